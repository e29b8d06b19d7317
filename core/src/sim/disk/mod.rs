//! A simulated disk: carries out [`DiskOp`]s slowly, one system call at a time, and can be crashed
//! between any two of them.
//!
//! It is a driver of `crate::storage` like the native one and asserts the same contract
//! ([`DiskContract`]). Each log is a queue of its own, so logs overtake each other; job reads
//! overtake appends and are overtaken, as the contract allows. What survives a crash is the file
//! system alone. It decides nothing about faults: the nemesis asks for them.

mod cleaned;
pub mod content;
mod execute;
pub mod files;
mod listing;
pub mod loss;
mod options;
mod planning;
mod queues;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use self::content::Content;
pub use self::files::{DirectoryId, Entry, FileSystem};
pub use self::loss::PowerLoss;
pub use self::options::DiskOptions;
use self::steps::Step;
use super::disk_contract::DiskContract;
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};
use crate::rng::Rng;
use crate::storage::{DiskDone, DiskOp, DiskSpace, LogFile, Slice};

/// The room on a simulated disk: what is full is decided by faults, not by counting.
const SPACE: DiskSpace = DiskSpace {
    total_bytes: 1 << 40,
    usable_bytes: 1 << 39,
};

/// How many times as long as a call a computation may take.
const WORK_CALLS_MAX: u64 = 64;

/// Operations that are carried out in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum QueueKey {
    Directory(DirectoryIndex),
    Log(LogId),
}

/// An operation with the calls it still needs.
#[derive(Clone, Debug)]
struct Pending {
    op: DiskOp,
    /// `None` until it begins.
    steps: Option<VecDeque<Step>>,
    /// Its number among the operations of its queue.
    number: u64,
}

/// A read that waits for its turn.
#[derive(Clone, Debug)]
struct PendingRead {
    op: DiskOp,
    /// It may begin once every barrier below this number is done.
    after: u64,
    at_ns: u64,
}

/// The operations of one log, or of the files directly in a directory.
#[derive(Clone, Debug, Default)]
struct Queue {
    pending: VecDeque<Pending>,
    reads: Vec<PendingRead>,
    /// What is computed, and when that is done.
    work: Vec<(u64, DiskOp)>,
    submitted: u64,
    /// When the next step of the first operation ends.
    next_at_ns: Option<u64>,
}

/// Where an opened log lies.
#[derive(Clone, Debug)]
struct OpenedLog {
    directory: DirectoryIndex,
    folder: DirectoryId,
    folder_name: Arc<str>,
    /// Its name as far as operations are done.
    name: Arc<str>,
    /// The generation that ran out of space.
    full: Option<Generation>,
}

/// One data directory.
#[derive(Clone, Debug, Default)]
struct Volume {
    files: FileSystem,
    /// Lost to this incarnation of the node.
    failed: bool,
}

/// The disk of one node: its data directories, and what is under way on them.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    options: DiskOptions,
    volumes: Vec<Volume>,
    logs: BTreeMap<LogId, OpenedLog>,
    queues: BTreeMap<QueueKey, Queue>,
    contract: DiskContract,
    /// Bytes of a file that cannot be read (D5).
    unreadable: Option<(DirectoryId, String, Range<u32>)>,
    rng: Rng,
}

impl SimulatedDisk {
    /// An empty disk with `directories` data directories.
    #[must_use]
    pub fn new(directories: u8, options: DiskOptions, rng: Rng) -> Self {
        let volumes = (0..directories).map(|_| Volume::default()).collect();
        Self {
            options,
            volumes,
            logs: BTreeMap::new(),
            queues: BTreeMap::new(),
            contract: DiskContract::default(),
            unreadable: None,
            rng,
        }
    }

    /// The files of a data directory.
    #[must_use]
    pub fn files(&self, directory: DirectoryIndex) -> &FileSystem {
        &self.volumes[usize::from(directory.0)].files
    }

    /// The files of a data directory, for damage done from outside.
    pub fn files_mut(&mut self, directory: DirectoryIndex) -> &mut FileSystem {
        &mut self.volumes[usize::from(directory.0)].files
    }

    /// Numbers of the data directories.
    pub fn directories(&self) -> impl Iterator<Item = DirectoryIndex> {
        (0u8..)
            .zip(&self.volumes)
            .map(|(index, _)| DirectoryIndex(index))
    }

    /// How it behaves, to change under way.
    pub fn options_mut(&mut self) -> &mut DiskOptions {
        &mut self.options
    }

    /// From now on these bytes of a file cannot be read by a job.
    pub fn make_unreadable(&mut self, folder: DirectoryId, file: String, range: Range<u32>) {
        self.unreadable = Some((folder, file, range));
    }

    /// Everything can be read again.
    pub fn make_readable(&mut self) {
        self.unreadable = None;
    }

    /// The next sync fails, and loses the pages it was for.
    pub fn fail_next_sync(&mut self) {
        self.options.sync_error_one_in = 1;
    }

    /// Leaves space for so many bytes more.
    pub fn fill(&mut self, left_bytes: u64) {
        let used = self.volumes.iter().map(|volume| volume.files.used_bytes());
        self.options.capacity_bytes = Some(used.max().unwrap_or(0) + left_bytes);
    }

    /// There is space again.
    pub fn make_space(&mut self) {
        self.options.capacity_bytes = None;
    }

    /// Whether a directory is lost to this incarnation of the node.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.volumes.iter().any(|volume| volume.failed)
    }

    /// The folder and data directory of an opened log.
    #[must_use]
    pub fn folder_of(&self, log: LogId) -> Option<(DirectoryIndex, &Arc<str>)> {
        let opened = self.logs.get(&log)?;
        Some((opened.directory, &opened.folder_name))
    }

    /// Takes an operation, at `now_ns`. Operations come in the order the core emitted them.
    pub fn submit(&mut self, op: DiskOp, now_ns: u64) {
        let lengths = self.lengths_at_boot(&op);
        self.contract.on_op(&op, &lengths);
        if let DiskOp::OpenLog {
            log,
            directory,
            folder,
        } = &op
        {
            self.bind(*log, *directory, folder);
        }
        let key = queue_of(&op);
        let mut call_ns = self.call_ns();
        let is_read = matches!(op, DiskOp::Read { .. });
        if is_read && self.options.read_ns_max > 0 {
            call_ns += self.rng.below(self.options.read_ns_max);
        }
        if matches!(op, DiskOp::Work { .. }) {
            // As long as a call or many: other turns go by, and the world may end before.
            let at_ns = now_ns + call_ns * self.rng.between(1, WORK_CALLS_MAX + 1);
            let queue = self.queues.entry(key).or_default();
            queue.work.push((at_ns, op));
            return;
        }
        let queue = self.queues.entry(key).or_default();
        if is_read {
            let after = queue
                .pending
                .iter()
                .rev()
                .find(|pending| is_barrier(&pending.op))
                .map_or(0, |pending| pending.number + 1);
            queue.reads.push(PendingRead {
                op,
                after,
                at_ns: now_ns + call_ns,
            });
            return;
        }
        let number = queue.submitted;
        queue.submitted += 1;
        queue.pending.push_back(Pending {
            op,
            steps: None,
            number,
        });
        if queue.next_at_ns.is_none() {
            queue.next_at_ns = Some(now_ns + call_ns);
        }
    }

    /// When the next call ends, in nanoseconds of the world.
    #[must_use]
    pub fn next_at_ns(&self) -> Option<u64> {
        self.queues
            .values()
            .flat_map(|queue| {
                queue
                    .next_at_ns
                    .into_iter()
                    .chain(queue.reads.iter().map(|read| read.at_ns))
                    .chain(queue.work.iter().map(|(at_ns, _)| *at_ns))
            })
            .min()
    }

    /// Whether a job's read waits for its turn.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.queues.values().any(|queue| !queue.reads.is_empty())
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.next_at_ns().is_none()
    }

    /// Carries out every call that ends by `now_ns`; answers go to `done`.
    pub fn advance(&mut self, now_ns: u64, done: &mut Vec<DiskDone>) {
        let first_answer = done.len();
        while let Some(at_ns) = self.next_at_ns().filter(|&at_ns| at_ns <= now_ns) {
            let keys: Vec<QueueKey> = self.queues.keys().copied().collect();
            for key in keys {
                self.advance_work(key, at_ns, done);
                self.advance_reads(key, at_ns, done);
                if self.queues.get(&key).and_then(|queue| queue.next_at_ns) == Some(at_ns) {
                    self.advance_change(key, at_ns, done);
                }
            }
        }
        for answer in &done[first_answer..] {
            self.contract.on_done(answer);
        }
    }

    /// The bytes a slice names. Called at the end of the turn that emitted it, before the turn's
    /// operations are submitted.
    ///
    /// # Panics
    /// Where the slice names bytes that are not written: contract, point 6.
    #[must_use]
    pub fn resolve(&self, slice: &Slice) -> Bytes {
        match slice {
            Slice::Memory(batch) => batch.to_bytes(),
            Slice::File {
                log,
                segment,
                position,
                length,
            } => {
                let opened = self.logs.get(log).expect("a slice names an opened log");
                let files = &self.volumes[usize::from(opened.directory.0)].files;
                let name = LogFile::Log(*segment).name();
                let deleted = format!("{name}{}", steps::DELETED_SUFFIX);
                let swapped = self.is_swapped_in(*log, *segment).then(|| {
                    let names = cleaned::names_under_way(*segment);
                    let found = names.iter();
                    found
                        .filter_map(|name| files.content(opened.folder, name))
                        .next()
                });
                let content = swapped
                    .flatten()
                    .or_else(|| files.content(opened.folder, &name))
                    .or_else(|| files.content(opened.folder, &deleted))
                    .unwrap_or_else(|| panic!("{slice:?}: no such file"));
                let bytes = content.read(*position, *length);
                assert_eq!(bytes.len(), *length as usize, "{slice:?}: not written");
                bytes.into()
            }
        }
    }

    /// Whether a segment was asked to be put in the place of others, and is not there yet.
    fn is_swapped_in(&self, log: LogId, wanted: Offset) -> bool {
        let queue = self.queues.get(&QueueKey::Log(log));
        let mut pending = queue.into_iter().flat_map(|queue| &queue.pending);
        pending.any(|pending| {
            matches!(&pending.op, DiskOp::ReplaceSegments { segment, .. } if *segment == wanted)
        })
    }

    /// The process died: what it asked for and did not see done may be half done.
    pub fn crash_process(&mut self) {
        let queues = std::mem::take(&mut self.queues);
        for (key, queue) in queues {
            let Some(first) = queue.pending.into_iter().next() else {
                continue;
            };
            let Some(directory) = self.directory_of(key) else {
                continue;
            };
            // The call under way when the process died: a write may be partly in the page cache.
            if let Some(Step::Write(folder, name, position, bytes)) =
                first.steps.as_ref().and_then(VecDeque::front)
                && self.rng.chance(1, 2)
            {
                let kept = self.rng.below(bytes.len() as u64 + 1);
                let kept = usize::try_from(kept).expect("at most the length of the bytes");
                let files = &mut self.volumes[usize::from(directory.0)].files;
                if kept > 0 {
                    files.write(*folder, name, *position, &bytes[..kept]);
                }
            }
        }
        self.logs.clear();
        self.contract = DiskContract::default();
        for volume in &mut self.volumes {
            volume.failed = false;
        }
        self.options.sync_error_one_in = 0;
    }

    /// The power went: the process died, and of what was not synced only what `loss` leaves stays.
    pub fn lose_power(&mut self, loss: &PowerLoss) {
        self.crash_process();
        for volume in &mut self.volumes {
            volume.files.lose_power(loss, &mut self.rng);
        }
    }

    fn call_ns(&mut self) -> u64 {
        let (least, most) = self.options.call_ns;
        let duration = self.rng.between(least, most + 1);
        self.perhaps_slow(duration)
    }

    fn duration_ns(&mut self, step: &Step) -> u64 {
        if !step.is_sync() {
            return self.call_ns();
        }
        let (least, most) = self.options.sync_ns;
        let duration = self.rng.between(least, most + 1);
        self.perhaps_slow(duration)
    }

    fn perhaps_slow(&mut self, duration_ns: u64) -> u64 {
        let one_in = self.options.slow_one_in;
        if one_in > 0 && self.rng.chance(1, one_in) {
            duration_ns * 100
        } else {
            duration_ns
        }
    }

    fn directory_of(&self, key: QueueKey) -> Option<DirectoryIndex> {
        match key {
            QueueKey::Directory(directory) => Some(directory),
            QueueKey::Log(log) => self.logs.get(&log).map(|opened| opened.directory),
        }
    }

    fn directory_of_op(&self, op: &DiskOp) -> Option<DirectoryIndex> {
        if let DiskOp::CreateLog { directory, .. } | DiskOp::OpenLog { directory, .. } = op {
            return Some(*directory);
        }
        self.directory_of(queue_of(op))
    }

    /// Notes where an opened log lies.
    fn bind(&mut self, log: LogId, directory: DirectoryIndex, folder_name: &Arc<str>) {
        let files = self.files(directory);
        let folder = files.folder(folder_name);
        let opened = OpenedLog {
            directory,
            folder: folder.expect("an opened log names a folder that is there"),
            folder_name: Arc::clone(folder_name),
            name: Arc::clone(folder_name),
            full: None,
        };
        self.logs.insert(log, opened);
    }
}

fn queue_of(op: &DiskOp) -> QueueKey {
    match (op.log(), op) {
        (Some(log), _) => QueueKey::Log(log),
        (
            None,
            DiskOp::RemoveDirectoryFile { directory, .. }
            | DiskOp::SaveDirectoryFile { directory, .. },
        ) => QueueKey::Directory(*directory),
        (None, _) => unreachable!("an operation is of a log or of a directory"),
    }
}

/// Whether reads may not pass the operation, nor it them.
fn is_barrier(op: &DiskOp) -> bool {
    !matches!(
        op,
        DiskOp::Append { .. }
            | DiskOp::AppendIndex { .. }
            | DiskOp::Read { .. }
            | DiskOp::Sync { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::Work { .. }
            | DiskOp::WriteCleaned { .. }
    )
}

#[cfg(test)]
mod tests;
