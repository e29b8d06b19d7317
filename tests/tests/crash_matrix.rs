//! The crash matrix of one log: small workloads, a crash between any two system calls, every way of
//! losing what was not synced, and recovery from each, itself crashed.
//!
//! It drives the log and the simulated disk without a node around them, so that a failure names the
//! log and nothing else. Checked: R50, R51, R54 to R58, R61.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::event::Severity;
use ottla_core::ids::{
    DirectoryIndex, LeaderEpoch, LogId, Offset, PartitionIndex, ProducerEpoch, ProducerId,
    Sequence, TopicId, TopicPartition,
};
use ottla_core::log::compaction::{Compaction, CompactionEnd, CompactionOptions};
use ottla_core::log::opening::{LogFound, Opening};
use ottla_core::log::{
    FlushPolicy, LeaderBatch, Log, LogCreation, LogMemory, LogSettings, checkpoint,
    partition_metadata,
};
use ottla_core::rng::Rng;
use ottla_core::sim::checkers::durability::{DurabilityChecker, records_hash};
use ottla_core::sim::checkers::log_files;
use ottla_core::sim::checkers::log_image::LogImage;
use ottla_core::sim::disk::loss::{ByteLoss, NameLoss, Tear, TearFill};
use ottla_core::sim::disk::{DiskOptions, PowerLoss, SimulatedDisk};
use ottla_core::storage::{DirectoryFile, DiskDone, DiskOp, Token};
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::batch::{Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;

const DIRECTORY: DirectoryIndex = DirectoryIndex(0);
const SCRIPTS: u64 = 40;
/// One recovery in so many is itself interrupted.
const NESTED_ONE_IN: u64 = 17;
/// Scripts of compacted logs; their seeds follow those of the others.
const COMPACTED_SCRIPTS: u64 = 24;

/// What a workload does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append,
    Checkpoint,
    Close,
    Compact,
    DeleteRecords,
    Drain,
    Elect,
}

/// A process with one log, and its disk.
#[derive(Clone)]
struct Machine {
    disk: SimulatedDisk,
    durability: DurabilityChecker,
    settings: Arc<LogSettings>,
    memory: LogMemory,
    folder: &'static str,
    log: Option<Log>,
    opening: Option<Opening>,
    round: Option<Compaction>,
    /// Rounds that came to an end.
    rounds: u64,
    now_ns: u64,
    next_log: u32,
    next_token: u64,
    epoch: i32,
    sequence: i32,
    /// Base offset, end and hash of appends that are not acknowledged yet.
    written: VecDeque<(Offset, Offset, u64)>,
    flushed: VecDeque<(Offset, Offset, u64)>,
    ops: Vec<DiskOp>,
}

/// Whether a script is of a compacted log.
fn is_compacted(seed: u64) -> bool {
    seed >= SCRIPTS
}

fn settings(rng: &mut Rng, compact: bool) -> Arc<LogSettings> {
    let flush_policy = match rng.below(3) {
        0 => FlushPolicy::Os,
        1 => FlushPolicy::Interval {
            messages: 5,
            age_ms: 1_000,
        },
        _last => FlushPolicy::Ack,
    };
    Arc::new(LogSettings {
        compact,
        delete: !compact,
        // A tombstone may go with the round after the one that saw it first.
        delete_retention_ms: 0,
        min_cleanable_dirty_ratio_millionths: 0,
        file_delete_delay_ms: 0,
        flush_policy,
        index_interval_bytes: u32::try_from(rng.between(1, 400)).expect("small"),
        segment_bytes: u32::try_from(rng.between(200, 1_500)).expect("small"),
        ..LogSettings::default()
    })
}

impl Machine {
    fn new(seed: u64) -> Self {
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

    fn now(&self) -> Now {
        Now {
            instant: Instant(self.now_ns),
            wall: Timestamp(1_000_000 + i64::try_from(self.now_ns / 1_000_000).expect("short")),
        }
    }

    fn create(&mut self) {
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

    fn submit(&mut self) {
        for op in std::mem::take(&mut self.ops) {
            self.durability.on_op(0, &op);
            self.disk.submit(op, self.now_ns);
        }
        self.check();
    }

    /// Carries out the next system call, and brings its answers in; `false` where there is none.
    fn advance(&mut self) -> bool {
        let Some(at_ns) = self.disk.next_at_ns() else {
            return false;
        };
        self.now_ns = self.now_ns.max(at_ns);
        let mut done = Vec::new();
        self.disk.advance(at_ns, &mut done);
        for answer in done {
            self.on_done(&answer);
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

    /// Begins a round of compaction, if there is something to clean and none is under way.
    fn compact(&mut self, rng: &mut Rng) {
        let now = self.now();
        let Some(log) = self.log.as_mut().filter(|_| self.round.is_none()) else {
            return;
        };
        let Some(found) = log.dirtiness(now, log.flushed()) else {
            return;
        };
        let options = CompactionOptions {
            key_map_bytes: rng.between(4, 40) * 24,
            load_millionths: 900_000,
            salt: 0,
        };
        self.round = Some(Compaction::begin(now, log, &found, options));
        self.go_on_with_round();
        self.submit();
    }

    /// The end of a turn.
    fn go_on_with_round(&mut self) {
        let (Some(round), Some(log)) = (&mut self.round, &mut self.log) else {
            return;
        };
        round.swap(log, &mut self.memory, &mut self.ops);
        self.ops.extend(round.take_op());
        let Some(end) = round.end() else {
            return;
        };
        let is_fine = !matches!(end, CompactionEnd::Uncleanable(_));
        // A map of four keys has no room for some batches.
        let is_small = format!("{end:?}").contains("do not fit");
        assert!(is_fine || is_small, "{end:?}");
        self.rounds += 1;
        self.round = None;
        let point = log.clean_point();
        self.submit();
        self.save_offset(DirectoryFile::CleanerOffsets, point);
    }

    fn on_done(&mut self, done: &DiskDone) {
        if let Some(opening) = &mut self.opening {
            opening.on_done(done, &mut self.ops);
            return;
        }
        let (memory, ops) = (&mut self.memory, &mut self.ops);
        let Some(log) = &mut self.log else {
            return;
        };
        if let DiskDone::Read { token, .. } | DiskDone::Saved { token } = done
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
                log.on_appended(*generation, *end_offset, memory);
            }
            DiskDone::Saved { token } => log.on_saved(*token, ops),
            DiskDone::Synced {
                generation,
                end_offset,
                ..
            } => {
                log.on_synced(*generation, *end_offset, memory);
            }
            DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Truncated { .. } => {}
        }
    }

    fn drain(&mut self) {
        while self.advance() {}
    }

    /// Promises what the marks say.
    fn acknowledge(&mut self) {
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

    fn append(&mut self, rng: &mut Rng) {
        let now = self.now();
        let mut builder = BatchBuilder::new(Compression::None);
        let is_idempotent = rng.chance(1, 2);
        if is_idempotent {
            let sequence = Sequence(self.sequence);
            builder = builder.producer(ProducerId(9), self.producer_epoch(), sequence);
        }
        let mut value = vec![0; usize::try_from(rng.between(1, 250)).expect("small")];
        rng.fill(&mut value);
        for _ in 0..rng.between(1, 5) {
            if self.settings.compact {
                let key = [u8::try_from(rng.below(6)).expect("small")];
                let value = rng.chance(3, 4).then_some(&value[..]);
                builder.push(now.wall, Some(&key), value);
            } else {
                builder.push(now.wall, None, Some(&value));
            }
        }
        let records = builder.records_count();
        let bytes = builder.build();
        let hash = records_hash(&bytes);
        let prepared = PreparedBatch::from_client(bytes, 9).expect("a good batch");
        let batch = LeaderBatch::new(&prepared);
        if batch.info().size_bytes > self.settings.segment_bytes {
            return;
        }
        if is_idempotent {
            self.sequence += records;
        }
        let epoch = LeaderEpoch(self.epoch);
        let memory = &mut self.memory;
        let log = self.log.as_mut().expect("a log is open");
        let appended = log
            .append_as_leader(now, &batch, epoch, memory, &mut self.ops)
            .expect("a good append");
        log.settle(now, &mut self.ops);
        let fact = (appended.base_offset, appended.end_offset, hash);
        self.written.push_back(fact);
        self.flushed.push_back(fact);
        self.submit();
    }

    /// A producer begins anew in each reign, because it cannot know what a crash left.
    fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::try_from(self.epoch).expect("few reigns"))
    }

    fn save(&mut self, file: DirectoryFile, bytes: Bytes) {
        self.next_token += 1;
        self.ops.push(DiskOp::SaveDirectoryFile {
            directory: DIRECTORY,
            file,
            bytes,
            token: Token(self.next_token),
        });
        self.submit();
    }

    fn save_offset(&mut self, file: DirectoryFile, offset: Offset) {
        let name = partition(self.folder);
        let text = checkpoint::offsets_to_text([(&name, offset)].into_iter());
        self.save(file, text.into());
    }

    fn delete_records(&mut self, rng: &mut Rng) {
        let now = self.now();
        let log = self.log.as_mut().expect("a log is open");
        let span = u64::try_from(log.written().0 - log.log_start_offset().0).expect("in order");
        let by = i64::try_from(rng.below(span + 1)).expect("small");
        let start = log.log_start_offset().plus(by);
        let (memory, ops) = (&mut self.memory, &mut self.ops);
        log.advance_log_start(start, memory, ops);
        log.retain(now, log.written(), memory, ops);
        self.submit();
        self.save_offset(DirectoryFile::LogStartOffsets, start);
    }

    fn close(&mut self) {
        let now = self.now();
        if let Some(mut round) = self.round.take() {
            round.abandon("the process stops", &mut self.ops);
        }
        let log = self.log.as_mut().expect("a log is open");
        log.close(now, &mut self.ops);
        self.submit();
    }

    /// What a node does once its logs are closed.
    fn mark_clean(&mut self) {
        let log = self.log.as_ref().expect("a log is open");
        assert!(log.is_closed(), "nothing is under way");
        let point = log.recovery_point();
        self.save_offset(DirectoryFile::RecoveryPoints, point);
        self.save(DirectoryFile::CleanShutdown, Bytes::from_static(b"{}"));
    }

    fn run(&mut self, step: Step, rng: &mut Rng) {
        match step {
            Step::Append => self.append(rng),
            Step::Checkpoint => {
                let point = self.log.as_ref().expect("a log is open").recovery_point();
                self.save_offset(DirectoryFile::RecoveryPoints, point);
            }
            Step::Close => {
                self.close();
                self.drain();
                self.mark_clean();
            }
            Step::Compact => self.compact(rng),
            Step::DeleteRecords => self.delete_records(rng),
            Step::Drain => self.drain(),
            Step::Elect => {
                self.epoch += 1;
                self.sequence = 0;
            }
        }
    }

    /// Remembers a point to die at. What a compacted log does before its first round is what any
    /// log does.
    fn keep_image(&self, images: &mut Vec<Self>) {
        if !self.settings.compact || self.round.is_some() || self.rounds > 0 {
            images.push(self.clone());
        }
    }

    /// Loses the process, or the power, and judges what is left.
    fn die(&mut self, loss: Option<&PowerLoss>) {
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
    fn begin_recovery(&mut self) -> bool {
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
    fn finish_recovery(&mut self) {
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

    fn check(&mut self) {
        let violations = self.durability.take_violations();
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Judges the files of a log that was closed.
    fn check_at_rest(&mut self) {
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

fn partition(folder: &str) -> TopicPartition {
    TopicPartition {
        topic: folder.trim_end_matches("-0").into(),
        partition: PartitionIndex(0),
    }
}

/// The ways of dying at one point: the process alone, then the power.
fn deaths() -> Vec<Option<PowerLoss>> {
    let plain = |bytes, names| PowerLoss {
        bytes,
        names,
        tear: None,
    };
    let torn = |unit_bytes, fill, bytes| PowerLoss {
        bytes: Some(bytes),
        names: None,
        tear: Some(Tear { unit_bytes, fill }),
    };
    vec![
        None,
        Some(PowerLoss::LOSE_ALL),
        Some(plain(Some(ByteLoss::KeepAll), Some(NameLoss::LoseAll))),
        Some(plain(Some(ByteLoss::LoseAll), Some(NameLoss::KeepAll))),
        Some(plain(Some(ByteLoss::Suffix), Some(NameLoss::KeepAll))),
        Some(plain(Some(ByteLoss::Pages), Some(NameLoss::Prefix))),
        Some(plain(None, Some(NameLoss::Subset))),
        Some(plain(None, None)),
        Some(torn(1, TearFill::Zeros, ByteLoss::Suffix)),
        Some(torn(1, TearFill::Garbage, ByteLoss::Pages)),
        Some(torn(512, TearFill::Old, ByteLoss::Pages)),
        Some(torn(512, TearFill::Garbage, ByteLoss::Suffix)),
    ]
}

/// Appends in several segments first, then rounds among everything else.
fn compacted_script(rng: &mut Rng) -> Vec<Step> {
    let mut steps = vec![Step::Append; usize::try_from(rng.between(6, 12)).expect("few")];
    steps.push(Step::Drain);
    for _ in 0..rng.between(2, 5) {
        steps.push(match rng.below(8) {
            0 => Step::Checkpoint,
            1 => Step::DeleteRecords,
            2 => Step::Elect,
            3 => Step::Drain,
            _most => Step::Append,
        });
        steps.push(Step::Compact);
        if rng.chance(1, 2) {
            steps.push(Step::Drain);
        }
    }
    if rng.chance(1, 4) {
        steps.push(Step::Close);
    }
    steps
}

fn script(rng: &mut Rng) -> Vec<Step> {
    let length = rng.between(4, 12);
    let mut steps: Vec<Step> = (0..length)
        .map(|_| match rng.below(10) {
            0 => Step::Checkpoint,
            1 => Step::DeleteRecords,
            2 => Step::Elect,
            3 | 4 => Step::Drain,
            _most => Step::Append,
        })
        .collect();
    if rng.chance(1, 3) {
        steps.push(Step::Close);
    }
    steps
}

/// Recovers, goes on, closes, and judges the files. `nested` crashes the recovery itself.
fn recover(machine: &Machine, rng: &mut Rng, nested: bool) {
    let mut machine = machine.clone();
    if !machine.begin_recovery() {
        return;
    }
    loop {
        if nested && rng.chance(1, 4) {
            let mut again = machine.clone();
            let deaths = deaths();
            let which = usize::try_from(rng.below(deaths.len() as u64)).expect("few");
            again.die(deaths[which].as_ref());
            recover(&again, rng, false);
        }
        if !machine.advance() {
            break;
        }
    }
    machine.finish_recovery();
    let mut at_once = machine.clone();
    at_once.die(Some(&PowerLoss::LOSE_ALL));
    machine.append(rng);
    machine.drain();
    machine.compact(rng);
    machine.drain();
    machine.close();
    machine.drain();
    machine.mark_clean();
    machine.drain();
    machine.check_at_rest();
    machine.die(Some(&PowerLoss::LOSE_ALL));
    assert!(machine.begin_recovery(), "a log that was closed is there");
    machine.drain();
    machine.finish_recovery();
}

/// Where in the matrix a panic came from.
struct Place(u64, usize, Option<PowerLoss>);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "script {}, crash after call {}, {:?}",
                self.0, self.1, self.2
            );
        }
    }
}

#[test]
fn a_log_survives_a_crash_between_any_two_calls() {
    let points = survive(0..SCRIPTS);
    assert!(points > 1_000, "{points} points are no matrix");
}

#[test]
fn a_compacted_log_survives_a_crash_between_any_two_calls() {
    let points = survive(SCRIPTS..SCRIPTS + COMPACTED_SCRIPTS);
    assert!(points > 1_000, "{points} points are no matrix");
}

/// Runs scripts, or the one of `SCRIPT` alone; answers at how many points they died.
fn survive(all: std::ops::Range<u64>) -> u64 {
    let only = std::env::var("SCRIPT")
        .ok()
        .and_then(|text| text.parse().ok());
    let scripts = only.map_or(all.clone(), |only: u64| only..only + 1);
    let mut points = 0u64;
    let mut rounds = 0;
    for seed in scripts {
        let mut rng = Rng::new(seed).child("script", 0);
        let steps = if is_compacted(seed) {
            compacted_script(&mut rng)
        } else {
            script(&mut rng)
        };
        eprintln!("SCRIPT={seed} {steps:?}");
        let mut machine = Machine::new(seed);
        let mut images = Vec::new();
        for step in steps {
            machine.run(step, &mut rng);
            // Between two steps, some of the calls are carried out; a crash may follow each.
            for _ in 0..rng.below(6) {
                machine.keep_image(&mut images);
                if !machine.advance() {
                    break;
                }
            }
        }
        while machine.advance() {
            machine.keep_image(&mut images);
        }
        rounds += machine.rounds;
        // Counted anew in each script, so that `SCRIPT` alone does what it does among the others.
        let mut deaths_died = seed;
        for (index, image) in images.iter().enumerate() {
            for death in deaths() {
                let _place = Place(seed, index, death);
                let mut dead = image.clone();
                dead.die(death.as_ref());
                points += 1;
                deaths_died += 1;
                recover(&dead, &mut rng, deaths_died.is_multiple_of(NESTED_ONE_IN));
            }
        }
    }
    assert!(
        rounds > 20 || !is_compacted(all.start) || only.is_some(),
        "{rounds} rounds are too few"
    );
    if only.is_some() { u64::MAX } else { points }
}
