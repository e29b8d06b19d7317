//! The connections there may be, and who goes where there is no place left: the one that asked for
//! nothing for the longest time. A probe gets its answer whoever holds connections open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections at a time: a few scrapers, probes and people. Each holds at most a page.
const CONNECTIONS_MAX: usize = 32;

/// The places.
#[derive(Debug, Default)]
pub(super) struct Places {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Grows with every connection and every answer.
    clock: u64,
    open: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    /// When its last answer was ready; `None` while it is being answered.
    idle_since: Option<u64>,
    leave: Arc<Notify>,
}

/// A place that is taken; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    leave: Arc<Notify>,
}

impl Places {
    /// Takes a place. Where there is none, the connection that is idle for the longest time loses
    /// its own; `None` where all of them are being answered.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut table = self.lock();
        if table.open.len() >= CONNECTIONS_MAX {
            let open = table.open.iter();
            let idle = open.filter_map(|(number, one)| Some((one.idle_since?, *number)));
            let (_since, idlest) = idle.min()?;
            if let Some(one) = table.open.remove(&idlest) {
                one.leave.notify_one();
            }
        }
        table.clock += 1;
        let number = table.clock;
        let leave = Arc::<Notify>::default();
        let connection = Connection {
            idle_since: Some(number),
            leave: Arc::clone(&leave),
        };
        table.open.insert(number, connection);
        Some(Place {
            places: Arc::clone(self),
            number,
            leave,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has come.
    pub(super) fn begin_answer(&self) {
        if let Some(connection) = self.places.lock().open.get_mut(&self.number) {
            connection.idle_since = None;
        }
    }

    /// Its answer is ready.
    pub(super) fn end_answer(&self) {
        let mut table = self.places.lock();
        table.clock += 1;
        let now = table.clock;
        if let Some(connection) = table.open.get_mut(&self.number) {
            connection.idle_since = Some(now);
        }
    }

    /// Waits until another connection needs the place.
    pub(super) async fn needed(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_needed(place: &Place) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(pin!(place.needed()).poll(&mut context), Poll::Ready(()))
    }

    #[test]
    fn the_idlest_makes_room() {
        let places = Arc::<Places>::default();
        let take = || places.take().expect("there is room");
        let mut held: Vec<Place> = (0..CONNECTIONS_MAX).map(|_| take()).collect();
        // The first is being answered, the second was just now: the third waits for the longest.
        held[0].begin_answer();
        held[1].begin_answer();
        held[1].end_answer();
        let newcomer = take();
        assert!(is_needed(&held[2]));
        let others = held.iter().enumerate().filter(|(at, _)| *at != 2);
        assert!(others.into_iter().all(|(_, place)| !is_needed(place)));
        held.push(newcomer);
        assert_eq!(places.lock().open.len(), CONNECTIONS_MAX);
        for place in &held {
            place.begin_answer();
        }
        assert!(places.take().is_none(), "all are being answered");
        drop(held);
        assert!(places.lock().open.is_empty());
    }
}
