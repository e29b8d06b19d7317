//! Sockets: listeners, one task for each connection, and the limits on them.
//!
//! Frames, requests and the order of replies are the business of `ottla_core::connection`; what a
//! request means is the brain's. Here bytes are moved, and connections counted, watched and ended.

mod admission;
mod budget;
mod doors;
mod latency;
mod listener;
mod output;
mod pace;
mod session;
#[cfg(test)]
mod tests;
mod watch;
mod work;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::connection::{Connection, ConnectionLimits};
use ottla_core::ids::{ConnectionId, ListenerId};
use ottla_core::node::door::Input;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

pub(crate) use doors::{Doors, Wanted};
pub(crate) use listener::{Listener, SocketOptions, is_of_one_connection};

use crate::driver::{Driver, Mailbox};
use crate::logging::Seldom;
use crate::metrics::NetFigures;
pub(crate) use admission::Admission;
use budget::Budget;
use pace::Pace;
use session::{Ending, Session};
pub(crate) use watch::follow_configuration;

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
    /// A place for each request whose batches may be opened at a time: one for a processor, for no
    /// more can work; so many batches are in memory, opened.
    openings: Semaphore,
    next_connection: AtomicU64,
    open: Mutex<Open>,
    pace: Mutex<Pace>,
    /// Rung when a connection ends: a file handle is free again.
    ended: Notify,
    /// Connections that were refused, and accepts that failed.
    refusals: Seldom,
}

/// The open connections.
#[derive(Debug, Default)]
struct Open {
    connections: HashMap<ConnectionId, (ListenerId, Arc<Mailbox>)>,
    by_address: HashMap<IpAddr, usize>,
    /// By the listener's id.
    listeners: Vec<OpenListener>,
    admission: Admission,
}

/// What is open of a listener.
#[derive(Debug)]
struct OpenListener {
    /// How many connections may come to it at a time.
    connections_max: usize,
    connections: usize,
    /// It is there.
    is_open: bool,
}

/// Why a removed listener's connections end.
const LISTENER_REMOVED: &str = "its listener is there no more";

impl Net {
    /// Starts watching connections; there are none yet. Needs the runtime.
    pub(crate) fn start(driver: Arc<Driver>, limits: NetLimits) -> Arc<Self> {
        let net = Arc::new(Self {
            driver,
            figures: NetFigures::default(),
            budget: Budget::new(limits.in_flight_bytes_max),
            openings: Semaphore::new(thread::available_parallelism().map_or(1, usize::from)),
            next_connection: AtomicU64::new(1),
            open: Mutex::new(Open {
                admission: limits.admission.clone(),
                ..Open::default()
            }),
            limits,
            pace: Mutex::new(Pace::new()),
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
        for (_, mailbox) in self.lock_open().connections.values() {
            look(mailbox);
        }
    }

    /// From now on so many connections may be open, and come in a second; those that are stay.
    fn configure(&self, settings: &Settings, config: &BrokerConfig, wanted: &Wanted) {
        let admission = Admission::of(settings, config);
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.configure(settings, config, &wanted.names);
        drop(pace);
        self.know_listeners(&wanted.names);
        let mut open = self.lock_open();
        for (listener, name) in open.listeners.iter_mut().zip(&wanted.names) {
            listener.connections_max = admission.most_to(name);
        }
        open.admission = admission;
    }

    /// Listeners have these names, by id; none is forgotten.
    fn know_listeners(&self, names: &[String]) {
        self.figures.know_listeners(names);
        let mut open = self.lock_open();
        let known = open.listeners.len();
        for name in names.iter().skip(known) {
            let connections_max = open.admission.most_to(name);
            open.listeners.push(OpenListener {
                connections_max,
                connections: 0,
                is_open: false,
            });
        }
    }

    /// Connections may come to a listener.
    fn open_listener(&self, id: ListenerId) {
        self.lock_open().listeners[usize::from(id.0)].is_open = true;
    }

    /// Ends the connections of a listener, once what was decided is written; none comes any more.
    fn close_listener(&self, id: ListenerId) {
        let mut open = self.lock_open();
        open.listeners[usize::from(id.0)].is_open = false;
        let connections = open.connections.values();
        for (_, mailbox) in connections.filter(|(listener, _)| *listener == id) {
            mailbox.put(|mail| mail.finish = Some(LISTENER_REMOVED));
            mailbox.wake();
        }
    }

    /// A connection came: how long it is to wait, and those behind it at its listener.
    fn wait_of(&self, listener: ListenerId) -> Duration {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.on_accepted(self.driver.now_ms(), listener)
    }

    /// Takes a connection in, or says why not.
    fn admit(&self, listener: ListenerId, address: IpAddr) -> Result<Arc<Mailbox>, &'static str> {
        let mut open = self.lock_open();
        if open.connections.len() >= open.admission.connections_max {
            return Err("max.connections are open");
        }
        let count = open.by_address.get(&address).copied().unwrap_or(0);
        if count >= open.admission.most_from(address) {
            return Err("max.connections.per.ip are open");
        }
        let own = &mut open.listeners[usize::from(listener.0)];
        if !own.is_open {
            return Err(LISTENER_REMOVED);
        }
        if own.connections >= own.connections_max {
            return Err("max.connections of its listener are open");
        }
        own.connections += 1;
        open.by_address.insert(address, count + 1);
        let id = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let mailbox = Arc::new(Mailbox::new(id, self.driver.now_ms()));
        open.connections
            .insert(id, (listener, Arc::clone(&mailbox)));
        Ok(mailbox)
    }

    fn release(&self, id: ConnectionId, address: IpAddr) {
        let mut open = self.lock_open();
        if let Some((listener, _)) = open.connections.remove(&id) {
            open.listeners[usize::from(listener.0)].connections -= 1;
        }
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
        let figures = self.figures.listener(listener);
        let mailbox = match self.admit(listener, address) {
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
        figures.closed.add(1);
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
