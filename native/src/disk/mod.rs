//! The real disk: the contract of `ottla_core::storage` on a file system.
//!
//! [`DiskDoor`] is used while the order of effects is held: it queues operations and pins the
//! slices of replies, and never makes a system call. [`Disk`] carries the queued operations out,
//! on the thread that asks or on disk workers. What the operations mean is the core's business.
//!
//! Reading order: `door.rs`, `log.rs` (queues), `execute.rs`, `append.rs`, `files.rs`, `commit.rs`,
//! `segment.rs` (slices), `directory.rs` and `listing.rs` (opening), `calls.rs` (the operating
//! system).

mod append;
mod calls;
mod cleaned;
mod commit;
#[cfg(test)]
mod contract;
mod directory;
mod door;
mod execute;
mod failure;
mod files;
mod handles;
mod listing;
mod log;
mod read;
mod save;
mod segment;
mod workers;

use std::fmt;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use ottla_core::ids::DirectoryIndex;
use ottla_core::storage::{DirectoryListing, DiskDone, DiskSpace, FailureScope};

pub(crate) use calls::{OperatingSystem, SystemCalls};
pub(crate) use directory::OpenError;
pub(crate) use door::DiskDoor;
pub(crate) use segment::FileRange;

use crate::metrics::DiskFigures;
use directory::{Directory, DirectoryChange};
use execute::{LogWork, Place};
use failure::Failure;
use handles::Handles;
use log::Log;
use workers::Workers;

/// What a disk is made of.
#[derive(Clone, Debug)]
pub(crate) struct DiskOptions {
    /// The data directories, in the order of `log.dirs`; not empty.
    pub(crate) directories: Vec<PathBuf>,
    /// Files that stay open at the most; not zero.
    pub(crate) open_files_max: usize,
    /// Disk workers at the most; not zero.
    pub(crate) workers_max: usize,
}

/// Takes answers that were found outside a call of [`Disk::run`].
type Sink = Box<dyn Fn(&mut Vec<DiskDone>) + Send + Sync>;

/// What the threads of a disk share.
pub(crate) struct Engine {
    pub(crate) workers: Workers,
    sink: OnceLock<Sink>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Hands answers to whoever connected the disk.
    pub(crate) fn deliver(&self, done: &mut Vec<DiskDone>) {
        if done.is_empty() {
            return;
        }
        let sink = self.sink.get();
        sink.expect("a disk is connected before it is given work")(done);
    }

    /// Works a log's queue off on a disk worker.
    pub(crate) fn run_on_disk_worker(self: &Arc<Self>, work: LogWork) {
        let engine = Arc::clone(self);
        self.workers.run(Box::new(move || {
            let mut done = Vec::new();
            let rest = work.run(Place::DiskWorker, &engine, &mut done);
            assert!(rest.is_none(), "a disk worker does everything");
            engine.deliver(&mut done);
        }));
    }
}

/// The side of the disk that does the work.
#[derive(Debug)]
pub(crate) struct Disk {
    directories: Vec<Arc<Directory>>,
    engine: Arc<Engine>,
    committers: Mutex<Vec<JoinHandle<()>>>,
    figures: Arc<DiskFigures>,
}

/// A queue that must be worked off: hand it to [`Disk::run`].
#[derive(Debug)]
pub(crate) enum Work {
    /// A directory's own operations.
    Directory(Arc<Directory>),
    /// A log's operations.
    Log(LogWork),
}

/// Opens the data directories and lists what they hold.
///
/// # Errors
/// The first directory that cannot be used, and what to do about it.
pub(crate) fn open(
    options: &DiskOptions,
    calls: &Arc<dyn SystemCalls>,
) -> Result<(Disk, DiskDoor, Vec<DirectoryListing>), OpenError> {
    assert!(!options.directories.is_empty(), "a disk has a directory");
    let handles = Arc::new(Handles::new(options.open_files_max));
    let figures = Arc::new(DiskFigures::default());
    let mut directories = Vec::new();
    let mut listings = Vec::new();
    for (index, path) in (0u8..).zip(&options.directories) {
        let index = DirectoryIndex(index);
        let directory = Directory::open(
            (index, path),
            Arc::clone(calls),
            Arc::clone(&handles),
            Arc::clone(&figures),
        )?;
        listings.push(directory.list()?);
        directories.push(Arc::new(directory));
    }
    let engine = Arc::new(Engine {
        workers: Workers::new(options.workers_max),
        sink: OnceLock::new(),
    });
    let committers = directories
        .iter()
        .map(|directory| spawn_committer(directory, &engine))
        .collect();
    let door = DiskDoor::new(directories.clone());
    let disk = Disk {
        directories,
        engine,
        committers: Mutex::new(committers),
        figures,
    };
    Ok((disk, door, listings))
}

fn spawn_committer(directory: &Arc<Directory>, engine: &Arc<Engine>) -> JoinHandle<()> {
    let (directory, engine) = (Arc::clone(directory), Arc::clone(engine));
    thread::Builder::new()
        .name(format!("commit-{}", directory.index()))
        .stack_size(256 * 1024)
        .spawn(move || commit::serve(&directory, &engine))
        .expect("the process may start a few threads; without them the broker cannot work")
}

impl Disk {
    /// Says where answers go that are found on other threads. Once, before any work.
    pub(crate) fn connect(&self, sink: impl Fn(&mut Vec<DiskDone>) + Send + Sync + 'static) {
        let connected = self.engine.sink.set(Box::new(sink));
        assert!(connected.is_ok(), "a disk is connected once");
    }

    /// The room on the disk of each directory, where the system can tell; may wait for the device.
    pub(crate) fn spaces(&self) -> Vec<(DirectoryIndex, DiskSpace)> {
        let directories = (0u8..).map(DirectoryIndex).zip(&self.directories);
        directories
            .filter_map(|(index, directory)| Some((index, directory.space()?)))
            .collect()
    }

    /// Works queues off: what is quick here, with its answers in `done`; the rest on disk workers.
    pub(crate) fn run(&self, ready: &mut Vec<Work>, done: &mut Vec<DiskDone>) {
        for work in ready.drain(..) {
            let engine = Arc::clone(&self.engine);
            match work {
                Work::Directory(directory) => self.engine.workers.run(Box::new(move || {
                    while let Some(changes) = directory.next_changes() {
                        let mut done = Vec::new();
                        change_directory(&directory, &engine, changes, &mut done);
                        engine.deliver(&mut done);
                    }
                })),
                Work::Log(work) => {
                    if let Some(rest) = work.run(Place::Inline, &self.engine, done) {
                        self.engine.run_on_disk_worker(rest);
                    }
                }
            }
        }
    }

    /// What it counts.
    pub(crate) fn figures(&self) -> &DiskFigures {
        &self.figures
    }

    /// Data directories that failed.
    pub(crate) fn failed_count(&self) -> u64 {
        let failed = self.directories.iter().filter(|of| of.has_failed());
        failed.count() as u64
    }

    /// Whether the broker cannot go on: the first directory, which holds the metadata log, is lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.directories[0].has_failed()
    }

    /// Reads bytes of a range on a disk worker, which then hands them to `then`: all `length` from
    /// byte `skip` on, or an error.
    pub(crate) fn load(
        &self,
        range: FileRange,
        skip: u32,
        length: u32,
        then: impl FnOnce(io::Result<Bytes>) + Send + 'static,
    ) {
        self.engine
            .workers
            .run(Box::new(move || then(range.load(skip, length))));
    }

    /// Ends the committers once nothing waits, and gives back what was allocated ahead.
    ///
    /// For a stop in order: the node has confirmed that every log is closed.
    pub(crate) fn close(&self, door: &DiskDoor) {
        for directory in &self.directories {
            directory.committer().close();
        }
        let mut committers = self
            .committers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for committer in committers.drain(..) {
            // A committer that panicked has ended the process already.
            let _ended = committer.join();
        }
        for log in door.logs() {
            if !log.directory().has_failed() {
                // Space that cannot be given back now is given back at the next roll.
                let _kept = log.writer().close_active(log);
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for directory in &self.directories {
            directory.committer().close();
        }
    }
}

/// Changes some of a directory's own files.
fn change_directory(
    directory: &Arc<Directory>,
    engine: &Arc<Engine>,
    changes: Vec<DirectoryChange>,
    done: &mut Vec<DiskDone>,
) {
    if directory.has_failed() {
        return;
    }
    if let Err(failure) = replace_directory_files(directory, engine, changes, done) {
        directory.fail(&failure, done);
    }
}

fn replace_directory_files(
    directory: &Arc<Directory>,
    engine: &Arc<Engine>,
    mut changes: Vec<DirectoryChange>,
    done: &mut Vec<DiskDone>,
) -> Result<(), Failure> {
    if let [only] = &mut changes[..] {
        let flushed = flush_logs(directory, engine, mem::take(&mut only.flush_first));
        let changed = flushed.and_then(|()| match &only.content {
            Some(_to_save) => Ok(false),
            None => save::remove(directory, only.file.name()).map(|()| true),
        });
        match changed {
            Ok(false) => {}
            Ok(true) => {
                done.push(DiskDone::Saved { token: only.token });
                return Ok(());
            }
            Err(full @ Failure::Full) => {
                done.push(DiskDone::Failed {
                    scope: FailureScope::Save(only.token),
                    error: full.error(),
                });
                return Ok(());
            }
            Err(failure @ Failure::Final(_)) => return Err(failure),
        }
    }
    let saves = changes.into_iter().map(|change| save::Save {
        name: change.file.name().to_owned(),
        bytes: change.content.expect("a removal comes alone"),
        token: change.token,
    });
    let saves: Vec<_> = saves.collect();
    save::save(directory, engine, directory.path(), &saves, done)
}

/// Makes everything durable that was emitted for some logs.
fn flush_logs(
    directory: &Arc<Directory>,
    engine: &Arc<Engine>,
    logs: Vec<Arc<Log>>,
) -> Result<(), Failure> {
    let dirty = logs.into_iter().map(|log| {
        let mut writer = log.writer();
        writer.retire_indexes(true);
        let dirty = mem::take(&mut writer.dirty);
        drop(writer);
        (log, dirty)
    });
    let dirty: Vec<_> = dirty.filter(|(_, dirty)| !dirty.is_empty()).collect();
    if dirty.is_empty() {
        return Ok(());
    }
    commit::flush(directory, engine, dirty).map_err(|error| Failure::of(&error, directory.path()))
}
