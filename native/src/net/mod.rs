//! Sockets: listeners, one task for each connection, and the limits on them.
//!
//! Frames, requests and the order of replies are the business of `ottla_core::connection`; what a
//! request means is the brain's. Here bytes are moved, and connections counted, watched and ended.

mod admission;
mod budget;
mod latency;
mod listener;
mod output;
mod session;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ottla_core::connection::{Connection, ConnectionLimits};
use ottla_core::ids::{ConnectionId, ListenerId};
use ottla_core::node::door::Input;
use tokio::net::TcpStream;
use tokio::sync::Notify;

pub(crate) use listener::{Listener, SocketOptions, is_of_one_connection};

use crate::driver::{Driver, Mailbox};
use crate::logging::Seldom;
use crate::metrics::NetFigures;
pub(crate) use admission::Admission;
use budget::Budget;
use session::{Ending, Session};

/// What connections may take. Every limit is finite.
#[derive(Clone, Debug)]
pub(crate) struct NetLimits {
    /// How many connections may be open at first; the broker may be reconfigured.
    pub(crate) admission: Admission,
    /// Milliseconds without a byte after which a connection ends (`connections.max.idle.ms`).
    pub(crate) idle_ms_max: u64,
    /// Bytes of large frames and of requests in flight, over all connections
    /// (`queued.max.request.bytes`).
    pub(crate) in_flight_bytes_max: u64,
    /// What one connection may send.
    pub(crate) connection: ConnectionLimits,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            admission: Admission::default(),
            idle_ms_max: 10 * 60 * 1000,
            in_flight_bytes_max: 64 * 1024 * 1024,
            connection: ConnectionLimits::default(),
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) driver: Arc<Driver>,
    pub(crate) limits: NetLimits,
    pub(crate) budget: Budget,
    pub(crate) figures: NetFigures,
    next_connection: AtomicU64,
    open: Mutex<Open>,
    /// Rung when a connection ends: a file handle is free again.
    ended: Notify,
    /// Connections that were refused, and accepts that failed.
    refusals: Seldom,
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    by_address: HashMap<IpAddr, usize>,
    admission: Admission,
}

impl Net {
    /// Starts watching connections; there are none yet. `listeners` are names, in the order of the
    /// listeners' ids. Needs the runtime.
    pub(crate) fn start(
        driver: Arc<Driver>,
        limits: NetLimits,
        listeners: Vec<String>,
    ) -> Arc<Self> {
        let net = Arc::new(Self {
            driver,
            figures: NetFigures::new(listeners),
            budget: Budget::new(limits.in_flight_bytes_max),
            next_connection: AtomicU64::new(1),
            open: Mutex::new(Open {
                admission: limits.admission.clone(),
                ..Open::default()
            }),
            limits,
            ended: Notify::new(),
            refusals: Seldom::default(),
        });
        tokio::spawn(watch::serve(Arc::clone(&net)));
        net
    }

    fn lock_open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at every connection.
    fn each_connection(&self, mut look: impl FnMut(&Mailbox)) {
        for mailbox in self.lock_open().mailboxes.values() {
            look(mailbox);
        }
    }

    /// From now on so many connections may be open; those that are stay.
    fn set_admission(&self, admission: Admission) {
        self.lock_open().admission = admission;
    }

    /// Takes a connection in, or says why not.
    fn admit(&self, address: IpAddr) -> Result<Arc<Mailbox>, &'static str> {
        let mut open = self.lock_open();
        if open.mailboxes.len() >= open.admission.connections_max {
            return Err("max.connections are open");
        }
        let count = open.by_address.get(&address).copied().unwrap_or(0);
        if count >= open.admission.most_from(address) {
            return Err("max.connections.per.ip are open");
        }
        open.by_address.insert(address, count + 1);
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let mailbox = Arc::new(Mailbox::new(id, self.driver.now_ms()));
        open.mailboxes.insert(id, Arc::clone(&mailbox));
        Ok(mailbox)
    }

    fn release(&self, id: ConnectionId, address: IpAddr) {
        let mut open = self.lock_open();
        open.mailboxes.remove(&id);
        if let Some(count) = open.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
        drop(open);
        self.ended.notify_one();
    }

    /// Serves one connection from its first byte to its last.
    async fn serve(self: Arc<Self>, socket: TcpStream, listener: ListenerId, address: IpAddr) {
        let figures = &self.figures.listeners[usize::from(listener.0)];
        let mailbox = match self.admit(address) {
            Ok(mailbox) => mailbox,
            Err(reason) => {
                figures.refused.add(1);
                if let Some(times) = self.refusals.note(Instant::now()) {
                    tracing::warn!(%address, reason, times, "connection refused");
                }
                return;
            }
        };
        figures.accepted.add(1);
        let id = mailbox.connection();
        self.driver.submit(Some(id), |inbox| {
            inbox.arrivals.push(Arc::clone(&mailbox));
            inbox.inputs.push(Input::Connected {
                connection: id,
                listener,
                peer_host: address.to_string().into(),
            });
        });
        let connection = Connection::new(id, self.limits.connection);
        let mut session = Session::new(Arc::clone(&self), socket, connection, mailbox);
        let ending = session.run().await;
        self.driver.submit(None, |inbox| {
            inbox.departures.push(id);
            inbox.inputs.push(Input::Disconnected { connection: id });
        });
        self.release(id, address);
        self.figures.listeners[usize::from(listener.0)]
            .closed
            .add(1);
        if matches!(ending, Ending::Wrong(_)) {
            self.figures.malformed.add(1);
        }
        log_ending(id, address, &ending);
    }
}

/// What a person may want to know of a connection's end: nothing of ordinary ones.
fn log_ending(id: ConnectionId, address: IpAddr, ending: &Ending) {
    match ending {
        Ending::Closed => tracing::debug!(connection = id.0, %address, "connection closed"),
        Ending::Io(error) => {
            tracing::debug!(connection = id.0, %address, %error, "connection broken off");
        }
        Ending::Refused(reason) => {
            tracing::info!(connection = id.0, %address, reason, "connection ended");
        }
        Ending::Wrong(error) => {
            tracing::warn!(connection = id.0, %address, %error, "connection closed");
        }
    }
}
