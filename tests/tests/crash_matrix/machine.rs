//! A process with one log, its disk, and its deaths.

use std::collections::VecDeque;
use std::sync::Arc;

use ottla_core::event::Severity;
use ottla_core::ids::{DirectoryIndex, LogId, Offset, PartitionIndex, TopicId, TopicPartition};
use ottla_core::log::compaction::Compaction;
use ottla_core::log::opening::{LogFound, Opening};
use ottla_core::log::{Log, LogCreation, LogMemory, LogSettings, checkpoint, partition_metadata};
use ottla_core::rng::Rng;
use ottla_core::sim::checkers::durability::DurabilityChecker;
use ottla_core::sim::checkers::log_files;
use ottla_core::sim::checkers::log_image::LogImage;
use ottla_core::sim::disk::{DiskOptions, PowerLoss, SimulatedDisk};
use ottla_core::storage::{DirectoryFile, DiskDone, DiskOp, Token};
use ottla_core::time::{Instant, Now, Timestamp};

use crate::scripts::{is_compacted, settings};

pub(crate) const DIRECTORY: DirectoryIndex = DirectoryIndex(0);

/// A process with one log, and its disk.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) disk: SimulatedDisk,
    pub(crate) durability: DurabilityChecker,
    pub(crate) settings: Arc<LogSettings>,
    pub(crate) memory: LogMemory,
    pub(crate) folder: &'static str,
    pub(crate) log: Option<Log>,
    pub(crate) opening: Option<Opening>,
    pub(crate) round: Option<Compaction>,
    /// Rounds that came to an end.
    pub(crate) rounds: u64,
    pub(crate) now_ns: u64,
    pub(crate) next_log: u32,
    pub(crate) next_token: u64,
    pub(crate) epoch: i32,
    pub(crate) sequence: i32,
    /// Base offset, end and hash of appends that are not acknowledged yet.
    pub(crate) written: VecDeque<(Offset, Offset, u64)>,
    pub(crate) flushed: VecDeque<(Offset, Offset, u64)>,
    pub(crate) ops: Vec<DiskOp>,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        let root = Rng::new(seed);
        let mut rng = root.child("settings", 0);
        let options = DiskOptions {
            sync_takes_indexes: rng.chance(1, 2),
            ..DiskOptions::default()
        };
        let mut machine = Self {
            disk: SimulatedDisk::new(1, options, root.child("disk", 0)),
            durability: DurabilityChecker::default(),
            settings: settings(&mut rng, is_compacted(seed)),
            memory: LogMemory::new(1 << 20),
            folder: if is_compacted(seed) {
                "compacted-0"
            } else {
                "t-0"
            },
            log: None,
            opening: None,
            round: None,
            rounds: 0,
            now_ns: 0,
            next_log: 0,
            next_token: 1 << 40,
            epoch: 0,
            sequence: 0,
            written: VecDeque::new(),
            flushed: VecDeque::new(),
            ops: Vec::new(),
        };
        machine.create();
        machine
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            instant: Instant(self.now_ns),
            wall: Timestamp(1_000_000 + i64::try_from(self.now_ns / 1_000_000).expect("short")),
        }
    }

    pub(crate) fn create(&mut self) {
        let creation = LogCreation {
            id: LogId(self.next_log),
            directory: DIRECTORY,
            folder: self.folder.into(),
            partition_metadata: partition_metadata::to_text(TopicId([7; 16])).into(),
            settings: Arc::clone(&self.settings),
            start_offset: Offset::ZERO,
        };
        self.next_log += 1;
        self.log = Some(Log::create(self.now(), creation, &mut self.ops));
        self.submit();
    }

    pub(crate) fn submit(&mut self) {
        for op in std::mem::take(&mut self.ops) {
            self.durability.on_op(0, &op);
            self.disk.submit(op, self.now_ns);
        }
        self.check();
    }

    /// Carries out the next system call, and brings its answers in; `false` where there is none.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(at_ns) = self.disk.next_at_ns() else {
            return false;
        };
        self.now_ns = self.now_ns.max(at_ns);
        let mut done = Vec::new();
        self.disk.advance(at_ns, &mut done);
        for answer in done {
            self.on_done(answer);
        }
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.on_time(now, &mut self.ops);
        }
        self.go_on_with_round();
        self.submit();
        self.acknowledge();
        true
    }

    pub(crate) fn on_done(&mut self, done: DiskDone) {
        self.durability.on_done(0, &done);
        if let Some(opening) = &mut self.opening {
            opening.on_done(&done, &mut self.ops);
            return;
        }
        let (memory, ops) = (&mut self.memory, &mut self.ops);
        let Some(log) = &mut self.log else {
            return;
        };
        if let DiskDone::Read { token, .. }
        | DiskDone::Saved { token }
        | DiskDone::Worked { token, .. } = &done
            && let Some(round) = self.round.as_mut().filter(|round| round.awaits(*token))
        {
            round.on_done(log, done, ops);
            return;
        }
        match done {
            DiskDone::Appended {
                generation,
                end_offset,
                ..
            } => {
                log.on_appended(generation, end_offset, memory);
            }
            DiskDone::Saved { token } => log.on_saved(token, ops),
            DiskDone::Synced {
                generation,
                end_offset,
                ..
            } => {
                log.on_synced(generation, end_offset, memory);
            }
            DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => {}
        }
    }

    pub(crate) fn drain(&mut self) {
        while self.advance() {}
    }

    /// Promises what the marks say.
    pub(crate) fn acknowledge(&mut self) {
        let Some(log) = &self.log else {
            return;
        };
        let marks = [(log.written(), false), (log.flushed(), true)];
        for ((mark, durable), queue) in marks
            .into_iter()
            .zip([&mut self.written, &mut self.flushed])
        {
            while let Some((base, end, hash)) = queue.front().copied()
                && end <= mark
            {
                queue.pop_front();
                self.durability
                    .on_acknowledged(0, self.folder, base, hash, durable);
            }
        }
        self.check();
    }

    /// Remembers a point to die at. What a compacted log does before its first round is what any
    /// log does.
    pub(crate) fn keep_image(&self, images: &mut Vec<Self>) {
        if !self.settings.compact || self.round.is_some() || self.rounds > 0 {
            images.push(self.clone());
        }
    }

    /// Loses the process, or the power, and judges what is left.
    pub(crate) fn die(&mut self, loss: Option<&PowerLoss>) {
        self.log = None;
        self.opening = None;
        self.round = None;
        self.ops.clear();
        self.written.clear();
        self.flushed.clear();
        match loss {
            Some(loss) => self.disk.lose_power(loss),
            None => self.disk.crash_process(),
        }
        let files = [self.disk.files(DIRECTORY)];
        self.durability.on_crash(0, &files, loss.is_some());
        self.check();
    }

    /// Begins the next process; `false` where there is no log to open.
    pub(crate) fn begin_recovery(&mut self) -> bool {
        let listing = self.disk.list_at_boot(DIRECTORY);
        let is_clean = listing.file(DirectoryFile::CleanShutdown).is_some();
        if is_clean {
            self.next_token += 1;
            self.ops.push(DiskOp::RemoveDirectoryFile {
                directory: DIRECTORY,
                file: DirectoryFile::CleanShutdown,
                token: Token(self.next_token),
            });
            self.submit();
            self.drain();
        }
        let Some(folder) = listing
            .folders
            .iter()
            .find(|folder| folder.name == self.folder)
        else {
            return false;
        };
        let offset = |file| {
            let text = listing.file(file)?;
            let offsets = checkpoint::parse_offsets(text).expect("old or new, never torn");
            offsets.get(&partition(self.folder)).copied()
        };
        let found = LogFound {
            id: LogId(self.next_log),
            directory: DIRECTORY,
            settings: Arc::clone(&self.settings),
            recovery_point: offset(DirectoryFile::RecoveryPoints),
            log_start_offset: offset(DirectoryFile::LogStartOffsets),
            cleaned_to: offset(DirectoryFile::CleanerOffsets),
            is_clean,
        };
        self.next_log += 1;
        self.memory = LogMemory::new(1 << 20);
        let opening = Opening::begin(self.now(), found, folder, &mut self.ops);
        self.opening = Some(opening);
        self.submit();
        true
    }

    /// Takes the log out of a recovery that is over.
    pub(crate) fn finish_recovery(&mut self) {
        let mut opening = self.opening.take().expect("a recovery is under way");
        let opened = opening
            .take_opened()
            .expect("the disk has answered everything");
        for event in &opened.events {
            assert!(event.severity < Severity::Error, "{event}");
        }
        assert!(
            opened.log.bad_ranges().is_empty(),
            "nothing durable was damaged"
        );
        let log = opened.log;
        assert_eq!(
            log.flushed(),
            log.log_end_offset(),
            "R51: durable before it is served"
        );
        self.epoch += 1;
        self.sequence = 0;
        let image = LogImage::take(self.disk.files(DIRECTORY), self.folder).expect("it was opened");
        for batch in image.read().batches {
            let (base, hash) = (batch.base_offset, batch.records_hash);
            if base >= log.log_start_offset() {
                self.durability
                    .on_acknowledged(0, self.folder, base, hash, true);
            }
        }
        self.log = Some(log);
        self.check();
    }

    pub(crate) fn check(&mut self) {
        let violations = self.durability.take_violations();
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Judges the files of a log that was closed.
    pub(crate) fn check_at_rest(&mut self) {
        let files = self.disk.files(DIRECTORY);
        for image in LogImage::take_all(files) {
            let violations = log_files::check(&image);
            let sizes = image.files.iter().map(|(name, bytes)| (name, bytes.len()));
            let sizes: Vec<_> = sizes.collect();
            assert!(violations.is_empty(), "{violations:?}: {sizes:?}");
        }
        self.durability.check_at_rest(0, &[files]);
        self.check();
    }
}

pub(crate) fn partition(folder: &str) -> TopicPartition {
    TopicPartition {
        topic: folder.trim_end_matches("-0").into(),
        partition: PartitionIndex(0),
    }
}
