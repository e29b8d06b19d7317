//! A data directory: opened, locked against other brokers, listed, and failed for good.
//!
//! What the names and small files mean is the core's business: this module hands it a listing.
//! Kafka's lock file is `.lock`; both kinds of lock are taken on it, the one of Kafka (`fcntl`,
//! Java's `FileChannel.lock`) and the one that survives a stray close (`flock`).

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::iter;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ottla_core::ids::DirectoryIndex;
use ottla_core::storage::{
    DirectoryFile, DirectoryListing, DiskDone, DiskSpace, FailureScope, Token,
};
use rustix::fs::FlockOperation;

use super::calls::SystemCalls;
use super::commit::Committer;
use super::failure::Failure;
use super::handles::Handles;
use super::listing;
use super::log::Log;
use crate::metrics::DiskFigures;

/// One data directory, locked while this lives.
#[derive(Debug)]
pub(crate) struct Directory {
    index: DirectoryIndex,
    path: PathBuf,
    calls: Arc<dyn SystemCalls>,
    handles: Arc<Handles>,
    figures: Arc<DiskFigures>,
    has_failed: AtomicBool,
    queue: Mutex<DirectoryQueue>,
    committer: Committer,
    /// The `.lock` file, held open: it stands for the directory's file system, too.
    lock: File,
}

/// The changes that wait, each with the logs to flush before it.
#[derive(Debug, Default)]
struct DirectoryQueue {
    changes: VecDeque<DirectoryChange>,
    is_held: bool,
}

/// A change of one of the directory's own files.
#[derive(Debug)]
pub(crate) struct DirectoryChange {
    pub(crate) file: DirectoryFile,
    /// Its new content; `None` removes it.
    pub(crate) content: Option<Bytes>,
    pub(crate) token: Token,
    /// Logs whose files become durable first: all of the directory's before the marker of a clean
    /// stop, none otherwise.
    pub(crate) flush_first: Vec<Arc<Log>>,
}

impl DirectoryChange {
    /// Whether it only replaces a file.
    fn is_plain_save(&self) -> bool {
        self.content.is_some() && self.flush_first.is_empty()
    }
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub(crate) struct OpenError {
    path: PathBuf,
    what: &'static str,
    error: io::Error,
    advice: &'static str,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            what,
            error,
            advice,
        } = self;
        write!(
            f,
            "data directory {}: {what}: {error}; {advice}",
            path.display()
        )
    }
}

impl Directory {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn open(
        (index, path): (DirectoryIndex, &Path),
        calls: Arc<dyn SystemCalls>,
        handles: Arc<Handles>,
        figures: Arc<DiskFigures>,
    ) -> Result<Self, OpenError> {
        let fail = |what, error, advice| OpenError {
            path: path.to_owned(),
            what,
            error,
            advice,
        };
        std::fs::create_dir_all(path).map_err(|error| {
            fail(
                "cannot be made",
                error,
                "choose another with log.dirs, or make it for this user",
            )
        })?;
        let advice = "give this user the right to write there, or choose another with log.dirs";
        let lock = calls
            .create(&path.join(".lock"))
            .map_err(|error| fail("cannot be written to", error, advice))?;
        take_lock(&lock).map_err(|error| {
            fail(
                "is in use by another broker",
                error,
                "stop that one, or choose another directory with log.dirs",
            )
        })?;
        Ok(Self {
            index,
            path: path.to_owned(),
            calls,
            handles,
            figures,
            has_failed: AtomicBool::new(false),
            queue: Mutex::default(),
            committer: Committer::default(),
            lock,
        })
    }

    /// Its place among the node's data directories.
    pub(crate) fn index(&self) -> DirectoryIndex {
        self.index
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes everything on the directory's file system durable, and says so; `false` where that
    /// cannot be done.
    pub(crate) fn sync_file_system(&self) -> io::Result<bool> {
        self.calls.sync_file_system(&self.lock)
    }

    /// How its files are touched.
    pub(crate) fn calls(&self) -> &dyn SystemCalls {
        &*self.calls
    }

    /// The files that are open.
    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// What is counted of it, together with the others.
    pub(crate) fn figures(&self) -> &DiskFigures {
        &self.figures
    }

    /// Who makes its files durable.
    pub(crate) fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Whether a change failed for good: nothing is changed here any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// Gives the directory up; the first to do so tells the core.
    pub(crate) fn fail(&self, failure: &Failure, done: &mut Vec<DiskDone>) {
        if self.has_failed.swap(true, Ordering::AcqRel) {
            return;
        }
        done.push(DiskDone::Failed {
            scope: FailureScope::Directory(self.index),
            error: failure.error(),
        });
    }

    /// Queues a change; `true` where the caller now holds the queue.
    #[must_use]
    pub(crate) fn enqueue(&self, change: DirectoryChange) -> bool {
        let mut queue = self.lock_queue();
        queue.changes.push_back(change);
        !mem::replace(&mut queue.is_held, true)
    }

    /// The next changes for the queue's holder: files to save in a row, or one of another kind;
    /// `None` lets go of the queue.
    pub(crate) fn next_changes(&self) -> Option<Vec<DirectoryChange>> {
        let mut queue = self.lock_queue();
        let first = queue.changes.pop_front();
        queue.is_held = first.is_some();
        let mut next = vec![first?];
        if next[0].is_plain_save() {
            let others = iter::from_fn(|| queue.changes.pop_front_if(|next| next.is_plain_save()));
            next.extend(others);
        }
        Some(next)
    }

    fn lock_queue(&self) -> MutexGuard<'_, DirectoryQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists what the directory holds, for the core to boot from.
    ///
    /// After a stop that was not clean, what the last process wrote and did not sync may still be
    /// in memory alone: it is made durable first, for the core serves what it finds.
    pub(crate) fn list(&self) -> Result<DirectoryListing, OpenError> {
        let listed = listing::list(&self.path).and_then(|listing| {
            if listing.file(DirectoryFile::CleanShutdown).is_none() && !listing.folders.is_empty() {
                self.sync_all_files(&listing)?;
            }
            Ok(DirectoryListing {
                space: self.space(),
                ..listing
            })
        });
        listed.map_err(|error| OpenError {
            path: self.path.clone(),
            what: "cannot be read",
            error,
            advice: "check its permissions and the disk, or choose another with log.dirs",
        })
    }

    /// The room on its disk, where the system can tell.
    pub(crate) fn space(&self) -> Option<DiskSpace> {
        let found = rustix::fs::statvfs(&self.path).ok()?;
        Some(DiskSpace {
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            usable_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn sync_all_files(&self, listing: &DirectoryListing) -> io::Result<()> {
        if self.sync_file_system()? {
            return Ok(());
        }
        for folder in &listing.folders {
            let path = self.path.join(&folder.name);
            for (name, _size_bytes) in &folder.files {
                File::open(path.join(name))?.sync_all()?;
            }
            self.calls.sync_folder(&path)?;
        }
        self.calls.sync_folder(&self.path)
    }
}

fn take_lock(lock: &File) -> io::Result<()> {
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "its .lock is held",
            ));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(rustix::fs::fcntl_lock(
        lock,
        FlockOperation::NonBlockingLockExclusive,
    )?)
}
