//! One bound for the bytes that all connections together hold of large frames and of requests in
//! flight (Kafka's `queued.max.request.bytes`).
//!
//! A connection that would go beyond it is not read from until others have let go. One that holds
//! no more than a small share is not counted: it could not finish its frame otherwise, and its
//! number is bounded elsewhere.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Bytes each connection may hold uncounted: a read buffer at its largest.
const SHARE_BYTES: u64 = ottla_core::limits::READ_BYTES_MAX as u64;

/// The bound, and who waits below it.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    used_bytes: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
    has_waiting: AtomicBool,
}

/// What one connection is counted for.
#[derive(Debug, Default)]
pub(crate) struct Charge {
    bytes: u64,
}

impl Budget {
    /// Allows `bytes_max` bytes together.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            used_bytes: AtomicU64::new(0),
            waiting: Mutex::default(),
            has_waiting: AtomicBool::new(false),
        }
    }

    /// Bytes that are counted now.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Sets what a connection holds.
    pub(crate) fn charge(&self, charge: &mut Charge, held_bytes: u64) {
        let bytes = if held_bytes > SHARE_BYTES {
            held_bytes
        } else {
            0
        };
        if bytes > charge.bytes {
            let more = bytes - charge.bytes;
            self.used_bytes.fetch_add(more, Ordering::AcqRel);
        } else if bytes < charge.bytes {
            let less = charge.bytes - bytes;
            let before = self.used_bytes.fetch_sub(less, Ordering::AcqRel);
            assert!(before >= less, "only what was charged is let go");
            fence(Ordering::SeqCst);
            if self.has_waiting.swap(false, Ordering::AcqRel) {
                self.wake_all();
            }
        }
        charge.bytes = bytes;
    }

    /// Whether a large reservation is paid for already.
    pub(crate) fn covers(charge: &Charge, bytes: u64) -> bool {
        bytes > SHARE_BYTES && charge.bytes >= bytes
    }

    /// Whether a connection may take `more_bytes` on top; if not, `waker` is woken when others let
    /// go. What is beyond the bound by itself is allowed once nothing else is held.
    pub(crate) fn admits(&self, charge: &Charge, more_bytes: u64, waker: &Waker) -> bool {
        if self.has_room(charge, more_bytes) {
            return true;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        drop(waiting);
        self.has_waiting.store(true, Ordering::Release);
        // Others may have let go between the look and the registration.
        fence(Ordering::SeqCst);
        self.has_room(charge, more_bytes)
    }

    fn has_room(&self, charge: &Charge, more_bytes: u64) -> bool {
        let used = self.used_bytes.load(Ordering::Acquire);
        used == charge.bytes || used + more_bytes <= self.bytes_max
    }

    fn wake_all(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_waits_until_others_let_go() {
        let budget = Budget::new(1_000_000);
        let waker = Waker::noop();
        let (mut one, mut two) = (Charge::default(), Charge::default());
        budget.charge(&mut one, 900_000);
        assert!(!budget.admits(&two, 200_000, waker));
        assert!(budget.admits(&two, 100_000, waker));
        // A small one is not counted, a single huge one is allowed.
        budget.charge(&mut two, 10_000);
        assert_eq!(budget.used_bytes.load(Ordering::Relaxed), 900_000);
        assert!(budget.admits(&one, 5_000_000, waker));
        budget.charge(&mut one, 0);
        assert!(budget.admits(&two, 200_000, waker));
        assert!(budget.waiting.lock().unwrap().is_empty());
    }
}
