//! Requests that wait: for an append to be acknowledged, for records to arrive, for metadata to be
//! committed. Kafka calls this the purgatory.
//!
//! This module keeps each waiting request once, with its deadline; the rooms keep only ids of those
//! whose wait they can end. It decides nothing about when a wait is over, and guarantees that each
//! ends once (R95): whoever takes a request out answers it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ids::{ConnectionId, RequestSequence};
use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use crate::time::Instant;

/// A waiting request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WaitId(pub u64);

/// Where a reply goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReplyTo {
    /// The connection.
    pub connection: ConnectionId,
    /// The request's place among its requests.
    pub sequence: RequestSequence,
}

#[derive(Clone, Debug)]
struct Waiter<T> {
    reply_to: ReplyTo,
    deadline: Option<Instant>,
    state: T,
}

/// Waiting requests of every kind; `T` says what each waits for and holds its unfinished answer.
#[derive(Clone, Debug)]
pub struct Waiting<T> {
    waiters: BTreeMap<WaitId, Waiter<T>>,
    deadlines: BTreeSet<(Instant, WaitId)>,
    by_connection: BTreeSet<(ConnectionId, WaitId)>,
    next: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self {
            waiters: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            by_connection: BTreeSet::new(),
            next: 0,
        }
    }
}

impl<T> Waiting<T> {
    /// Parks a request until it is taken, at the latest at `deadline`.
    pub fn park(&mut self, reply_to: ReplyTo, deadline: Option<Instant>, state: T) -> WaitId {
        let id = WaitId(self.next);
        self.next += 1;
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        self.by_connection.insert((reply_to.connection, id));
        let former = self.waiters.insert(
            id,
            Waiter {
                reply_to,
                deadline,
                state,
            },
        );
        assert!(former.is_none(), "wait ids are never reused");
        id
    }

    /// Parks a request again whose wait was taken, under its old id and without a deadline: what it
    /// still waits for knows it by that id, and is sure to come.
    pub fn park_again(&mut self, id: WaitId, reply_to: ReplyTo, state: T) {
        let deadline = None;
        self.by_connection.insert((reply_to.connection, id));
        let former = self.waiters.insert(
            id,
            Waiter {
                reply_to,
                deadline,
                state,
            },
        );
        assert!(
            former.is_none(),
            "only a wait that was taken is parked again"
        );
    }

    /// What a request waits for; `None` once it was answered or its connection is gone.
    #[must_use]
    pub fn get(&self, id: WaitId) -> Option<&T> {
        self.waiters.get(&id).map(|waiter| &waiter.state)
    }

    /// What the requests wait for that were parked after `after`, in that order; for those who
    /// look.
    pub fn after(&self, after: Option<WaitId>) -> impl Iterator<Item = (WaitId, &T)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let waiters = self.waiters.range((start, Bound::Unbounded));
        waiters.map(|(&id, waiter)| (id, &waiter.state))
    }

    /// As [`Self::get`], to change.
    pub fn get_mut(&mut self, id: WaitId) -> Option<&mut T> {
        self.waiters.get_mut(&id).map(|waiter| &mut waiter.state)
    }

    /// Ends a wait: whoever gets the state answers the request.
    pub fn take(&mut self, id: WaitId) -> Option<(ReplyTo, T)> {
        let waiter = self.waiters.remove(&id)?;
        if let Some(deadline) = waiter.deadline {
            let removed = self.deadlines.remove(&(deadline, id));
            assert!(
                removed,
                "a waiter with a deadline is in the order of deadlines"
            );
        }
        let removed = self.by_connection.remove(&(waiter.reply_to.connection, id));
        assert!(removed, "a waiter is known by its connection");
        Some((waiter.reply_to, waiter.state))
    }

    /// Ends the wait of one request whose deadline has come; `None` when there is no more.
    pub fn take_expired(&mut self, now: Instant) -> Option<(WaitId, ReplyTo, T)> {
        let &(deadline, id) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let (reply_to, state) = self.take(id).expect("a deadline belongs to a waiter");
        Some((id, reply_to, state))
    }

    /// Forgets the requests of a connection that is gone; calls `forgotten` for each.
    pub fn forget(&mut self, connection: ConnectionId, mut forgotten: impl FnMut(WaitId, T)) {
        let range = (connection, WaitId(0))..=(connection, WaitId(u64::MAX));
        let ids: Vec<WaitId> = self.by_connection.range(range).map(|&(_, id)| id).collect();
        debug_assert!(
            ids.len() <= REQUESTS_IN_FLIGHT_MAX,
            "a connection parks a bounded number"
        );
        for id in ids {
            if let Some((_, state)) = self.take(id) {
                forgotten(id, state);
            }
        }
    }

    /// The next deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// How many requests wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_to(connection: u64, sequence: u64) -> ReplyTo {
        ReplyTo {
            connection: ConnectionId(connection),
            sequence: RequestSequence(sequence),
        }
    }

    #[test]
    fn a_wait_ends_once_by_whichever_comes_first() {
        let mut waiting = Waiting::default();
        let a = waiting.park(reply_to(1, 0), Some(Instant(10)), "a");
        let b = waiting.park(reply_to(1, 1), Some(Instant(5)), "b");
        assert_eq!(waiting.next_deadline(), Some(Instant(5)));
        assert!(waiting.take_expired(Instant(4)).is_none());
        assert_eq!(waiting.take(a), Some((reply_to(1, 0), "a")));
        assert_eq!(waiting.take(a), None);
        assert_eq!(
            waiting.take_expired(Instant(20)),
            Some((b, reply_to(1, 1), "b"))
        );
        assert!(waiting.take_expired(Instant(20)).is_none());
        assert!(waiting.is_empty());
        assert_eq!(waiting.next_deadline(), None);
    }

    #[test]
    fn a_gone_connection_takes_only_its_own_waits_along() {
        let mut waiting = Waiting::default();
        waiting.park(reply_to(1, 0), None, "a");
        let b = waiting.park(reply_to(2, 0), Some(Instant(5)), "b");
        waiting.park(reply_to(1, 1), Some(Instant(7)), "c");
        let mut gone = Vec::new();
        waiting.forget(ConnectionId(1), |_, state| gone.push(state));
        assert_eq!(gone, ["a", "c"]);
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting.get(b), Some(&"b"));
    }
}
