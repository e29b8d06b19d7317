//! Rounds of compaction over a log on a disk, through restarts, crashes and full disks.
//!
//! Against a list of all records ever appended: of each key the last stays, what is read is in
//! order and as it was, and the producers are remembered as before.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::indexes::check_files;
use super::rig::{Rig, info, same_newest};
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::log::compaction::{Compaction, CompactionEnd, CompactionOptions};
use crate::log::{LeaderBatch, LogSettings, ReadRequest};
use crate::rng::Rng;
use crate::time::{Instant, Timestamp};
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::records::{Record, Records};

const DELETE_RETENTION_MS: i64 = 5_000;

/// A log, all its records, and what happened to tombstones.
struct World {
    rig: Rig,
    all: BTreeMap<Offset, Record>,
    /// Tombstones that a round wrote a time into.
    horizons: BTreeMap<Offset, Timestamp>,
    sequences: BTreeMap<i64, i32>,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rounds: u32,
    partial: u32,
    abandoned: u32,
    crashes: u32,
    records_gone: usize,
}

fn settings(rng: &mut Rng) -> LogSettings {
    LogSettings {
        compact: true,
        delete: rng.chance(1, 4),
        delete_retention_ms: DELETE_RETENTION_MS,
        retention_ms: 200_000,
        min_cleanable_dirty_ratio_millionths: u32::try_from(rng.below(500_000)).unwrap(),
        min_compaction_lag_ms: if rng.chance(1, 3) { 2_000 } else { 0 },
        segment_bytes: u32::try_from(rng.between(600, 4_000)).unwrap(),
        index_interval_bytes: u32::try_from(rng.between(1, 400)).unwrap(),
        file_delete_delay_ms: 0,
        ..LogSettings::default()
    }
}

impl World {
    fn new(rng: &mut Rng) -> Self {
        let tail_bytes = if rng.chance(1, 2) { 0 } else { 3_000 };
        let mut rig = Rig::new(settings(rng), tail_bytes);
        rig.now.wall = Timestamp(1_000_000);
        Self {
            rig,
            all: BTreeMap::new(),
            horizons: BTreeMap::new(),
            sequences: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    fn append(&mut self, rng: &mut Rng) {
        let codec = Compression::ALL[usize::try_from(rng.below(5)).unwrap()];
        let mut builder = BatchBuilder::new(codec);
        let producer = i64::try_from(rng.below(4)).unwrap();
        if producer > 0 {
            let sequence = Sequence(*self.sequences.entry(producer).or_default());
            builder = builder.producer(ProducerId(producer), ProducerEpoch(0), sequence);
        }
        let now = self.rig.now;
        for _record in 0..rng.between(1, 5) {
            let key = format!("key {}", rng.below(12));
            let value = vec![7; usize::try_from(rng.below(90)).unwrap()];
            let value = rng.chance(4, 5).then_some(&value[..]);
            builder.push(now.wall, Some(key.as_bytes()), value);
        }
        if producer > 0 {
            *self.sequences.entry(producer).or_default() += builder.records_count();
        }
        let batch = LeaderBatch::new(&PreparedBatch::from_log(builder.build()).unwrap());
        let mut out = Vec::new();
        let (memory, epoch) = (&mut self.rig.memory, self.rig.epoch);
        let appended = self
            .rig
            .log
            .append_as_leader(now, &batch, epoch, memory, &mut out)
            .expect("there is room");
        self.rig.disk.queue.extend(out);
        let whole = batch.stamp(appended.base_offset, epoch).0.to_bytes();
        for record in Records::open(&whole).unwrap() {
            let record = record.unwrap();
            self.all.insert(record.offset, record);
        }
        self.rig.model.push(whole);
        self.rig.settle();
    }

    /// One round, if there is something to clean; it dies with the process after so many
    /// operations. Answers whether it is over.
    fn compact(&mut self, rng: &mut Rng, mut operations: u64) -> bool {
        let stable = self.rig.log.flushed();
        let Some(found) = self.rig.log.dirtiness(self.rig.now, stable) else {
            return true;
        };
        let first_kept = self.rig.log.active_segment();
        assert!(found.end_offset <= first_kept, "the segment in use stays");
        let options = CompactionOptions {
            key_map_bytes: rng.between(8, 30) * 24,
            load_millionths: 900_000,
            salt: 3,
        };
        let rig = &mut self.rig;
        let mut round = Compaction::begin(rig.now, &mut rig.log, &found, options);
        while round.end().is_none() {
            rig.disk.queue.extend(round.take_op());
            if operations == 0 {
                return false;
            }
            operations -= 1;
            assert!(!rig.disk.queue.is_empty(), "a round goes on");
            let done = rig.disk.step();
            let mut out = Vec::new();
            if let Some(done) = done {
                match token_of(&done) {
                    Some(token) if round.awaits(token) => {
                        round.on_done(&mut rig.log, done, &mut out);
                    }
                    Some(_) | None => rig.on_done(&done),
                }
            }
            round.swap(&mut rig.log, &mut rig.memory, &mut out);
            rig.disk.queue.extend(out);
        }
        rig.run_all();
        match round.end() {
            Some(CompactionEnd::Done(done)) => {
                self.counts.rounds += 1;
                self.counts.partial += u32::from(done.end_offset < found.end_offset);
                assert_eq!(rig.log.clean_point(), done.end_offset);
                assert!(done.after_bytes <= done.before_bytes + 200, "{done:?}");
            }
            Some(CompactionEnd::Abandoned(_)) => self.counts.abandoned += 1,
            end => panic!("{end:?}"),
        }
        true
    }

    /// Everything the log holds, read as a consumer would.
    fn read_all(&mut self) -> Vec<Bytes> {
        let mut batches = Vec::new();
        let end = self.rig.log.log_end_offset();
        let mut next = self.rig.log.log_start_offset();
        while next < end {
            let request = ReadRequest {
                start_offset: next,
                bound: end,
                max_bytes: 700,
                at_least_one: true,
            };
            let (read, _cut) = self.rig.read(request).expect("nothing is damaged");
            let last = read.last().expect("there is more before the end");
            assert!(info(last).end_offset() > next, "reading goes on");
            next = info(last).end_offset();
            batches.extend(read);
        }
        batches
    }

    /// What is there, judged by everything that ever was.
    fn check(&mut self) {
        let batches = self.read_all();
        let start = self.rig.log.log_start_offset();
        let mut left = BTreeMap::new();
        let mut next = Offset::ZERO;
        for batch in &batches {
            let info = info(batch);
            assert!(info.base_offset >= next, "batches are in order");
            next = info.end_offset();
            info.check_crc(batch).expect("a sound batch");
            for record in Records::open(batch).unwrap() {
                let record = record.unwrap();
                if info.attributes.has_delete_horizon() && record.value.is_none() {
                    let horizon = self.horizons.entry(record.offset);
                    let set = *horizon.or_insert(info.base_timestamp);
                    assert_eq!(set, info.base_timestamp, "a time is set once");
                }
                left.insert(record.offset, record);
            }
        }
        let all = self.all.range(start..).map(|(_, record)| record);
        let mut newest = BTreeMap::new();
        for record in all.clone() {
            newest.insert(record.key.clone(), record.offset);
        }
        let mut gone = 0;
        for record in all {
            let kept = left.remove(&record.offset);
            gone += usize::from(kept.is_none());
            assert!(
                kept.as_ref().is_none_or(|kept| kept == record),
                "{record:?}"
            );
            let is_newest = newest[&record.key] == record.offset;
            let horizon = self.horizons.get(&record.offset);
            let is_over = horizon.is_some_and(|horizon| *horizon <= self.rig.now.wall);
            if is_newest && !is_over {
                assert!(kept.is_some(), "the last of its key is gone: {record:?}");
            }
            if record.offset >= self.rig.log.active_segment() {
                assert!(kept.is_some(), "the segment in use is not touched");
            }
        }
        left.retain(|offset, _| *offset >= start);
        assert!(left.is_empty(), "invented: {left:?}");
        self.counts.records_gone = self.counts.records_gone.max(gone);
    }

    fn check_producers(&self) {
        for id in 1..4 {
            let Some(expected) = self.rig.expected_producer(id) else {
                continue;
            };
            let newest = expected.batches.back().expect("it wrote something");
            if newest.last_offset < self.rig.log.log_start_offset() {
                continue;
            }
            let known = self.rig.log.producers().producer(ProducerId(id));
            let known = known.expect("a live producer is known");
            let numbers = |producer: &crate::log::producer_state::Producer| {
                let mut producer = producer.clone();
                for batch in &mut producer.batches {
                    batch.timestamp = Timestamp::NONE;
                }
                producer
            };
            assert!(
                same_newest(&numbers(known), &numbers(&expected)),
                "{known:?} for {expected:?}"
            );
        }
    }

    fn restart(&mut self, is_clean: bool) {
        for said in self.rig.restart(is_clean) {
            let is_fine = said.contains("finishes a compaction");
            assert!(is_fine, "{said}");
        }
    }

    fn pass(&mut self, milliseconds: i64) {
        let now = &mut self.rig.now;
        now.wall = Timestamp(now.wall.0 + milliseconds);
        let nanos = u64::try_from(milliseconds).unwrap() * 1_000_000;
        now.instant = Instant(now.instant.0 + nanos);
    }
}

fn token_of(done: &crate::storage::DiskDone) -> Option<crate::storage::Token> {
    use crate::storage::DiskDone;
    match done {
        DiskDone::Read { token, .. }
        | DiskDone::Saved { token }
        | DiskDone::Worked { token, .. } => Some(*token),
        DiskDone::Appended { .. }
        | DiskDone::Created { .. }
        | DiskDone::Failed { .. }
        | DiskDone::Synced { .. }
        | DiskDone::Truncated { .. } => None,
    }
}

fn run(seed: u64) -> Counts {
    let rng = &mut Rng::new(seed).child("compaction", 0);
    let mut world = World::new(rng);
    for _step in 0..60 {
        let passed = i64::try_from(rng.below(2_000)).unwrap();
        world.pass(passed);
        match rng.below(20) {
            0..10 => {
                for _ in 0..rng.between(1, 8) {
                    world.append(rng);
                }
                world.rig.run_all();
            }
            10..14 => {
                world.rig.run_all();
                assert!(world.compact(rng, u64::MAX));
            }
            14..16 => {
                world.rig.run_all();
                if !world.compact(rng, rng_operations(seed, passed)) {
                    world.counts.crashes += 1;
                    world.rig.disk.kill();
                    world.restart(false);
                }
            }
            16 => {
                world.rig.run_all();
                world.rig.save_checkpoints();
                world.rig.disk.cut_power(rng);
                world.restart(false);
            }
            17 => {
                world.rig.run_all();
                world.rig.stop();
                world.rig.disk.kill();
                world.restart(true);
            }
            18 => world.rig.save_checkpoints(),
            _retention => {
                world.rig.run_all();
                let mut out = Vec::new();
                let (now, end) = (world.rig.now, world.rig.log.written());
                world
                    .rig
                    .log
                    .retain(now, end, &mut world.rig.memory, &mut out);
                world.rig.disk.queue.extend(out);
                world.rig.run_all();
                world.rig.save_checkpoints();
            }
        }
        world.rig.run_all();
        world.check();
        world.check_producers();
    }
    world.rig.stop();
    world.rig.model = world.read_all();
    check_files(&world.rig);
    world.counts
}

/// After how many operations a round dies.
fn rng_operations(seed: u64, passed: i64) -> u64 {
    Rng::new(seed).child("die", passed.unsigned_abs()).below(60)
}

#[test]
fn the_last_record_of_each_key_survives_everything() {
    let mut sum = Counts::default();
    for seed in 0..40 {
        let history = std::panic::catch_unwind(|| run(seed));
        let counts = history.unwrap_or_else(|_| panic!("seed {seed}"));
        sum.rounds += counts.rounds;
        sum.partial += counts.partial;
        sum.crashes += counts.crashes;
        sum.records_gone += counts.records_gone;
    }
    assert!(
        sum.rounds > 100 && sum.partial > 2 && sum.crashes > 20 && sum.records_gone > 200,
        "{sum:?}"
    );
}

/// A world in which there is something to clean, and a round whose first piece is lent out.
fn lent() -> (World, Compaction) {
    let mut rng = Rng::new(5);
    let mut world = World::new(&mut rng);
    let found = loop {
        assert!(world.all.len() < 10_000, "the log never gets dirty");
        world.append(&mut rng);
        world.rig.run_all();
        world.pass(1_000);
        let (log, now) = (&mut world.rig.log, world.rig.now);
        let stable = log.flushed();
        if let Some(found) = log.dirtiness(now, stable) {
            break found;
        }
    };
    let options = CompactionOptions {
        key_map_bytes: 30 * 24,
        load_millionths: 900_000,
        salt: 3,
    };
    let rig = &mut world.rig;
    let mut round = Compaction::begin(rig.now, &mut rig.log, &found, options);
    while !round.is_lent() {
        let reads = rig.disk.queue.pop_front();
        assert!(reads.is_none(), "a round asks for one thing at a time");
        rig.disk.queue.extend(round.take_op());
        if round.is_lent() {
            break;
        }
        let done = rig.disk.step().expect("it answers");
        let mut out = Vec::new();
        round.on_done(&mut rig.log, done, &mut out);
        assert!(out.is_empty(), "nothing is made yet");
    }
    (world, round)
}

#[test]
fn a_round_given_up_keeps_its_place_until_its_piece_is_back() {
    let (mut world, mut round) = lent();
    let mut out = Vec::new();
    round.abandon("for the test", &mut out);
    assert!(round.is_lent(), "its memory is with the piece");
    let done = world.rig.disk.step().expect("the piece is done");
    assert!(round.awaits(token_of(&done).expect("a piece has a token")));
    round.on_done(&mut world.rig.log, done, &mut out);
    assert!(!round.is_lent() && !round.has_op() && out.is_empty());
    assert!(matches!(round.end(), Some(CompactionEnd::Abandoned(_))));
    world.check();
}

#[test]
fn what_a_piece_found_is_dropped_where_its_segment_went_meanwhile() {
    let (mut world, mut round) = lent();
    let done = world.rig.disk.step().expect("the piece is done");
    let mut out = Vec::new();
    let Rig {
        log, memory, now, ..
    } = &mut world.rig;
    let end = log.log_end_offset();
    assert!(log.advance_log_start(end, memory, &mut out));
    assert!(log.retain(*now, end, memory, &mut out).segments > 0);
    round.on_done(log, done, &mut out);
    assert!(matches!(round.end(), Some(CompactionEnd::Abandoned(_))));
    assert!(!round.is_lent() && !round.has_op(), "it asks for nothing");
}
