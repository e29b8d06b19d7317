//! Files that are opened when first needed and closed again when too many are open.
//!
//! A broker has far more files than a process may hold open, and most are idle. [`Handles`] keeps
//! the open ones on a clock: a file used since the hand last passed gets another round, the first
//! one that was not is closed. A file in use stays open through its `Arc`, whatever the clock
//! says.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A file by meaning; open or not.
#[derive(Debug, Default)]
pub(crate) struct LazyFile {
    slot: Mutex<Option<Arc<File>>>,
    used: AtomicBool,
    /// The file has no name any more: it cannot be opened again, so it is not closed either.
    nameless: AtomicBool,
}

impl LazyFile {
    /// Locks the slot, so that the file can be renamed while nobody opens it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Arc<File>>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the file open from now on, for its name is about to go.
    pub(crate) fn keep_open(&self) {
        self.nameless.store(true, Ordering::Release);
    }
}

/// The files that are open, at most `capacity` of them for long.
#[derive(Debug)]
pub(crate) struct Handles {
    clock: Mutex<VecDeque<Weak<LazyFile>>>,
    capacity: usize,
}

impl Handles {
    /// Allows `capacity` open files (not zero).
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "no file could be open");
        Self {
            clock: Mutex::default(),
            capacity,
        }
    }

    /// The open file; `open` opens it if it is not, under the file's own lock.
    ///
    /// # Errors
    /// What `open` returned.
    pub(crate) fn open(
        &self,
        file: &Arc<LazyFile>,
        open: impl FnOnce() -> io::Result<File>,
    ) -> io::Result<Arc<File>> {
        file.used.store(true, Ordering::Relaxed);
        let mut slot = file.lock();
        if let Some(opened) = &*slot {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(open()?);
        *slot = Some(Arc::clone(&opened));
        drop(slot);
        self.admit(file);
        Ok(opened)
    }

    /// Puts an opened file on the clock and closes others while there are too many.
    fn admit(&self, file: &Arc<LazyFile>) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.push_back(Arc::downgrade(file));
        // Two rounds clear every mark; a third cannot be needed.
        let mut steps_left = 2 * clock.len();
        while clock.len() > self.capacity && steps_left > 0 {
            steps_left -= 1;
            let Some(oldest) = clock.pop_front() else {
                return;
            };
            let Some(candidate) = oldest.upgrade() else {
                continue;
            };
            if candidate.nameless.load(Ordering::Acquire) {
                continue;
            }
            if candidate.used.swap(false, Ordering::Relaxed) {
                clock.push_back(oldest);
                continue;
            }
            // Whoever holds the slot is opening or renaming: it is in use.
            match candidate.slot.try_lock() {
                Ok(mut slot) => *slot = None,
                Err(_held) => clock.push_back(oldest),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_file_is_closed_first() {
        let handles = Handles::new(2);
        let open = || File::open("/dev/null");
        let files: Vec<Arc<LazyFile>> = (0..3).map(|_| Arc::default()).collect();
        let is_open = |index: usize| files[index].lock().is_some();
        for file in &files[..2] {
            handles.open(file, open).unwrap();
        }
        // Both are marked as used; the hand clears the marks and closes the first.
        handles.open(&files[2], open).unwrap();
        assert!(!is_open(0));
        assert!(is_open(1));
        // The second is used again, so the third goes when the first comes back.
        files[2].used.store(false, Ordering::Relaxed);
        handles.open(&files[1], open).unwrap();
        handles.open(&files[0], open).unwrap();
        assert!(is_open(1));
        assert!(!is_open(2));
    }

    #[test]
    fn a_file_without_a_name_stays_open() {
        let handles = Handles::new(1);
        let open = || File::open("/dev/null");
        let files: Vec<Arc<LazyFile>> = (0..3).map(|_| Arc::default()).collect();
        handles.open(&files[0], open).unwrap();
        files[0].keep_open();
        handles.open(&files[1], open).unwrap();
        handles.open(&files[2], open).unwrap();
        assert!(files[0].lock().is_some());
        assert!(files[1].lock().is_none());
    }
}
