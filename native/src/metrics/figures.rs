//! What the parts of the process count for themselves, each where it happens.
//!
//! Atomic numbers that only grow, unless a name says otherwise. What the brain counts is its own
//! business (`ottla_core::counters`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ottla_core::event::Severity;
use ottla_core::ids::ListenerId;
use ottla_core::wire::api_table::{SERVED, ServedApi};

use super::histogram::{Distribution, Histogram};

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Its value.
    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the disk counts.
#[derive(Debug, Default)]
pub(crate) struct DiskFigures {
    /// Appends: one vectored write of batches each.
    pub(crate) append: Histogram,
    /// Group commits: all flushes that were under way together.
    pub(crate) flush: Histogram,
    /// Requests to make a log durable that those commits answered.
    pub(crate) flush_requests: Counter,
}

/// What the sockets count.
#[derive(Debug)]
pub(crate) struct NetFigures {
    /// From a frame's last byte to its reply's, by the API's place in the table; made at the first
    /// request, for most APIs are never asked.
    latency: Vec<OnceLock<Box<Histogram>>>,
    /// By the listener's id.
    listeners: RwLock<Vec<Arc<ListenerFigures>>>,
    /// Connections ended because of what their peers sent.
    pub(crate) malformed: Counter,
}

/// What a listener counts.
#[derive(Debug, Default)]
pub(crate) struct ListenerFigures {
    /// Its name.
    pub(crate) name: String,
    /// Connections taken in.
    pub(crate) accepted: Counter,
    /// Connections that ended.
    pub(crate) closed: Counter,
    /// Connections refused because too many are open.
    pub(crate) refused: Counter,
}

impl Default for NetFigures {
    /// Nothing counted yet.
    fn default() -> Self {
        Self {
            latency: SERVED.iter().map(|_api| OnceLock::new()).collect(),
            listeners: RwLock::default(),
            malformed: Counter::default(),
        }
    }
}

impl NetFigures {
    /// Listeners have these names, by id; what is known is kept.
    pub(crate) fn know_listeners(&self, names: &[String]) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = listeners.len();
        for name in names.iter().skip(known) {
            listeners.push(Arc::new(ListenerFigures {
                name: name.clone(),
                ..ListenerFigures::default()
            }));
        }
    }

    /// What one listener counts.
    pub(crate) fn listener(&self, id: ListenerId) -> Arc<ListenerFigures> {
        let listeners = self.listeners.read();
        let listeners = listeners.unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&listeners[usize::from(id.0)])
    }

    /// What all of them count.
    pub(crate) fn listeners(&self) -> Vec<Arc<ListenerFigures>> {
        let listeners = self.listeners.read();
        listeners.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how long a request took.
    pub(crate) fn note_latency(&self, api_place: u8, ns: u64) {
        let histogram = self.latency[usize::from(api_place)].get_or_init(Box::default);
        histogram.note(ns);
    }

    /// How long requests took, for each API that was asked.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (&'static ServedApi, Distribution)> {
        let known = SERVED.iter().zip(&self.latency);
        known.filter_map(|(api, histogram)| Some((api, histogram.get()?.look())))
    }
}

/// What the driver counts: lines that the brain had logged, by how bad they are.
#[derive(Debug, Default)]
pub(crate) struct EventFigures {
    errors: Counter,
    warnings: Counter,
}

impl EventFigures {
    /// Counts an event.
    pub(crate) fn note(&self, severity: Severity) {
        match severity {
            Severity::Error => self.errors.add(1),
            Severity::Warning => self.warnings.add(1),
            Severity::Debug | Severity::Info => {}
        }
    }

    /// Errors and warnings so far.
    pub(crate) fn look(&self) -> [(&'static str, u64); 2] {
        [
            ("error", self.errors.value()),
            ("warning", self.warnings.value()),
        ]
    }
}
