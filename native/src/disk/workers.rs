//! Threads for work that takes long: what may wait for a device (large appends, cold reads, saves,
//! removals), and what the core computes beside its turns.
//!
//! Threads start when there is work and no idle one, up to a maximum, and then stay: parked, one
//! costs a few KiB. The order of work is not this pool's business: whoever needs order queues per
//! log (`log.rs`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// Work for a thread of the pool.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads; dropping it ends them once their work is done.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("threads_max", &self.threads_max)
            .finish_non_exhaustive()
    }
}

impl Workers {
    /// Makes a pool of at most `threads_max` threads (not zero); none is started yet.
    pub(crate) fn new(threads_max: usize) -> Self {
        assert!(threads_max > 0, "a pool without threads never works");
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                wake: Condvar::new(),
                threads_max,
            }),
        }
    }

    /// Queues a job; never waits.
    pub(crate) fn run(&self, job: Job) {
        let mut state = self.shared.lock();
        assert!(!state.closed, "no work after the pool has ended");
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads == self.shared.threads_max {
            drop(state);
            self.shared.wake.notify_one();
            return;
        }
        state.threads += 1;
        let name = format!("disk-{}", state.threads);
        drop(state);
        let shared = Arc::clone(&self.shared);
        thread::Builder::new()
            .name(name)
            // Codecs build their tables on it before they move them to the heap.
            .stack_size(1024 * 1024)
            .spawn(move || shared.serve())
            .expect("the process may start a few threads; without them the broker cannot work");
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_run_side_by_side_up_to_the_maximum() {
        let workers = Workers::new(2);
        let (done, results) = mpsc::channel();
        // Two jobs that wait for each other need two threads.
        let barrier = Arc::new(std::sync::Barrier::new(2));
        for number in 0..2 {
            let (done, barrier) = (done.clone(), Arc::clone(&barrier));
            workers.run(Box::new(move || {
                barrier.wait();
                done.send(number).expect("the test still listens");
            }));
        }
        let mut seen: Vec<i32> = results.iter().take(2).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1]);
        for number in 0..100 {
            let done = done.clone();
            workers.run(Box::new(move || {
                done.send(number).expect("the test still listens");
            }));
        }
        assert_eq!(results.iter().take(100).count(), 100);
        assert!(workers.shared.lock().threads <= 2);
    }
}
