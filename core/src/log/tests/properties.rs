//! Random histories.

use super::indexes::check_files;
use super::rig::{Rig, info, same_newest, timestamps};
use crate::ids::{LeaderEpoch, Offset};
use crate::log::{AppendError, FlushPolicy, LogSettings, LogState, ReadRequest};
use crate::rng::Rng;
use crate::time::{Instant, Timestamp};

const SEEDS: u64 = 200;
const STEPS: u64 = 120;

/// A producer of the history: what it will send next.
#[derive(Clone, Copy, Debug)]
struct Sender {
    id: i64,
    epoch: i16,
    sequence: i32,
}

fn settings(rng: &mut Rng) -> LogSettings {
    LogSettings {
        segment_bytes: u32::try_from(rng.between(600, 6_000)).unwrap(),
        index_interval_bytes: u32::try_from(rng.between(1, 400)).unwrap(),
        segment_ms: if rng.chance(1, 3) { 5_000 } else { 1 << 40 },
        retention_ms: if rng.chance(1, 2) { 50_000 } else { -1 },
        retention_bytes: if rng.chance(1, 2) { 8_000 } else { -1 },
        file_delete_delay_ms: 100,
        flush_policy: match rng.below(3) {
            0 => FlushPolicy::Ack,
            1 => FlushPolicy::Interval {
                messages: 7,
                age_ms: 50,
            },
            _ => FlushPolicy::Os,
        },
        ..LogSettings::default()
    }
}

#[test]
fn a_log_is_a_list_of_batches() {
    for seed in 0..SEEDS {
        let history = std::panic::catch_unwind(|| run(seed));
        assert!(history.is_ok(), "seed {seed}");
    }
}

fn run(seed: u64) {
    let rng = &mut Rng::new(seed).child("log", 0);
    let tail_bytes = if rng.chance(1, 2) { 0 } else { 3_000 };
    let mut rig = Rig::new(settings(rng), tail_bytes);
    let mut senders: Vec<Sender> = (0..3)
        .map(|id| Sender {
            id,
            epoch: 0,
            sequence: 0,
        })
        .collect();
    for _ in 0..STEPS {
        step(&mut rig, &mut senders, rng);
        check(&mut rig, rng);
    }
}

fn step(rig: &mut Rig, senders: &mut [Sender], rng: &mut Rng) {
    match rng.below(100) {
        0..50 => {
            // A full disk may have taken back what they sent.
            resend(rig, senders);
            for _ in 0..rng.between(1, 6) {
                append(rig, senders, rng);
            }
            rig.settle();
        }
        50..75 => rig.run_disk(rng.between(1, 8)),
        75..80 => {
            rig.now.instant = Instant(rig.now.instant.0 + 30_000_000);
            rig.now.wall = Timestamp(rig.now.wall.0 + 2_000);
            let mut out = Vec::new();
            rig.log.on_time(rig.now, &mut out);
            rig.disk.queue.extend(out);
        }
        80..84 => rig.save_checkpoints(),
        84..88 => retain(rig, rng),
        88..91 => {
            rig.epoch = LeaderEpoch(rig.epoch.0 + 1);
        }
        91..94 => {
            let used: usize = rig.disk.files.values().map(Vec::len).sum();
            let room = usize::try_from(rng.below(1_500)).unwrap();
            rig.disk.capacity_bytes = rng.chance(2, 3).then_some(used + room);
        }
        94..96 => {
            rig.disk.capacity_bytes = None;
            rig.run_all();
            rig.stop();
            rig.disk.kill();
            let said = rig.restart(true);
            assert!(said.is_empty(), "{said:?}");
            let end = rig.model_end().max(rig.log_start_offset);
            assert_eq!(rig.log.log_end_offset(), end);
        }
        96..98 => truncate(rig, rng),
        _ => crash(rig, rng),
    }
}

fn append(rig: &mut Rig, senders: &mut [Sender], rng: &mut Rng) {
    let around = rig.now.wall.0 + i64::try_from(rng.below(1_000)).unwrap();
    let timestamps = timestamps(rng, around);
    let value_bytes = usize::try_from(rng.below(120)).unwrap();
    let place = usize::try_from(rng.below(6)).unwrap();
    let Some(sender) = senders.get_mut(place) else {
        let _refused = rig.append(&timestamps, None, value_bytes);
        return;
    };
    if rng.chance(1, 20) {
        sender.epoch += 1;
        sender.sequence = 0;
    }
    let producer = (sender.id, sender.epoch, sender.sequence);
    let before = rig.log.log_end_offset();
    match rig.append(&timestamps, Some(producer), value_bytes) {
        Ok(()) => {
            assert!(rig.log.log_end_offset() > before, "{producer:?} was new");
            sender.sequence += i32::try_from(timestamps.len()).unwrap();
            let again = rig.append(&timestamps, Some(producer), value_bytes);
            assert_eq!(again, Ok(()), "a retry is accepted");
        }
        Err(AppendError::Storage) => assert_ne!(rig.log.state(), LogState::Usable),
        Err(error) => panic!("{producer:?}: {error} in {:?}", rig.log),
    }
}

fn retain(rig: &mut Rig, rng: &mut Rng) {
    let mut out = Vec::new();
    let bound = rig.log.written();
    if rng.chance(1, 3) && rig.log.state() == LogState::Usable {
        let start = rig.log.log_start_offset();
        let span = u64::try_from(bound.0 - start.0).unwrap();
        let to = start.plus(i64::try_from(rng.below(span + 1)).unwrap());
        rig.log.advance_log_start(to, &mut rig.memory, &mut out);
    }
    let before = rig.log.log_start_offset();
    rig.log.retain(rig.now, bound, &mut rig.memory, &mut out);
    assert!(rig.log.log_start_offset() >= before, "the start only rises");
    rig.disk.queue.extend(out);
    rig.settle();
    // As the node does: the checkpoint is written before the answer.
    rig.log_start_offset = rig.log.log_start_offset();
}

/// A follower's cut, in front of the batch that holds some offset.
fn truncate(rig: &mut Rig, rng: &mut Rng) {
    rig.disk.capacity_bytes = None;
    rig.run_all();
    let (start, end) = (rig.log.log_start_offset(), rig.log.log_end_offset());
    let span = u64::try_from(end.0 - start.0).unwrap() + 1;
    let to = start.plus(i64::try_from(rng.below(span)).unwrap());
    let kept = rig
        .model
        .partition_point(|batch| info(batch).end_offset() <= to);
    let expected = rig.model.get(kept).map_or(to, |cut| info(cut).base_offset);
    if expected < start {
        return;
    }
    rig.recovery_point = rig.recovery_point.min(expected);
    rig.truncate(to);
    assert_eq!(rig.log.log_end_offset(), expected, "cut to {to}");
    assert!(rig.log.bad_ranges().is_empty());
    rig.cut_model(expected);
}

/// The process dies, perhaps with the power, perhaps again while it recovers.
fn crash(rig: &mut Rig, rng: &mut Rng) {
    let (flushed, written) = (rig.log.flushed(), rig.log.written());
    let is_power_cut = rng.chance(1, 2);
    if is_power_cut {
        rig.disk.cut_power(rng);
    } else {
        rig.disk.kill();
    }
    while rng.chance(1, 4) {
        if rig.begin_restart(false, rng.below(30)).is_some() {
            break;
        }
        if is_power_cut {
            rig.disk.cut_power(rng);
        } else {
            rig.disk.kill();
        }
    }
    rig.disk.kill();
    rig.restart(false);
    let end = rig.log.log_end_offset();
    let promised = if is_power_cut { flushed } else { written };
    assert!(
        end >= promised,
        "{end} of {promised} left (power {is_power_cut})"
    );
    assert!(
        end <= rig.model_end().max(rig.log_start_offset),
        "nothing is invented"
    );
    assert!(
        rig.log.bad_ranges().is_empty(),
        "{:?}",
        rig.log.bad_ranges()
    );
    assert_eq!(rig.log.flushed(), end, "what is served is durable");
    rig.cut_model(end.min(rig.model_end()));
}

/// After a restart producers go on from what the log has.
fn resend(rig: &Rig, senders: &mut [Sender]) {
    for sender in senders {
        let known = rig.expected_producer(sender.id);
        if let Some(known) = known.filter(|known| known.epoch.0 == sender.epoch) {
            sender.sequence = known.last_sequence().0 + 1;
        } else {
            sender.sequence = 0;
        }
    }
}

fn check(rig: &mut Rig, rng: &mut Rng) {
    check_marks(rig);
    check_reads(rig, rng);
    check_epochs(rig);
    check_producers(rig);
    if rig.disk.queue.is_empty() {
        check_files(rig);
    }
}

fn check_marks(rig: &Rig) {
    let log = &rig.log;
    assert!(log.recovery_point() <= log.flushed(), "{log:?}");
    assert!(log.flushed() <= log.written(), "{log:?}");
    assert!(log.written() <= log.log_end_offset(), "{log:?}");
    let end = rig.model_end().max(rig.log_start_offset);
    assert_eq!(log.log_end_offset(), end, "{log:?}");
}

fn check_reads(rig: &mut Rig, rng: &mut Rng) {
    let (first, end) = (rig.log.log_start_offset(), rig.log.log_end_offset());
    for _ in 0..3 {
        let span = u64::try_from(end.0 - first.0).unwrap() + 1;
        let start_offset = first.plus(i64::try_from(rng.below(span)).unwrap());
        let written = rig.log.written();
        let bound = if rng.chance(1, 2) {
            written
        } else {
            first
                .plus(i64::try_from(rng.below(span)).unwrap())
                .min(written)
        };
        let max_bytes = u32::try_from(rng.below(3_000)).unwrap();
        let request = ReadRequest {
            start_offset,
            bound,
            max_bytes,
            at_least_one: rng.chance(1, 2),
        };
        check_read(rig, request);
    }
    let bound = rig.log.written();
    let around = rig.now.wall.0 + i64::try_from(rng.below(3_000)).unwrap() - 2_000;
    let expected = rig.expected_at(around, bound);
    assert_eq!(rig.found_at(around, bound), expected, "time {around}");
}

fn check_read(rig: &mut Rig, request: ReadRequest) {
    let (batches, partial_bytes) = rig.read(request).expect("nothing is damaged");
    let first = rig
        .model
        .partition_point(|batch| info(batch).end_offset() <= request.start_offset);
    let whole: Vec<_> = rig.model[first..]
        .iter()
        .take_while(|batch| info(batch).end_offset() <= request.bound)
        .collect();
    assert!(batches.len() <= whole.len(), "{request:?}: past the bound");
    for (read, expected) in batches.iter().zip(&whole) {
        assert_eq!(read, *expected, "{request:?}");
    }
    if partial_bytes > 0 {
        assert!(batches.len() < whole.len(), "{request:?}: past the bound");
    }
    let size_bytes: usize = batches.iter().map(|batch| batch.len()).sum();
    let max_bytes = request.max_bytes as usize;
    let is_within = size_bytes + partial_bytes <= max_bytes;
    let is_owed_one = request.at_least_one && batches.len() == 1 && partial_bytes == 0;
    assert!(is_within || is_owed_one, "{request:?}: {size_bytes} bytes");
    if let Some(next) = whole.first() {
        let must_answer = request.at_least_one || next.len() <= max_bytes;
        assert!(!must_answer || !batches.is_empty(), "{request:?}: nothing");
    }
}

fn check_epochs(rig: &Rig) {
    let start = rig.log.log_start_offset();
    let mut runs: Vec<(i32, Offset)> = Vec::new();
    for batch in &rig.model {
        let info = info(batch);
        if runs
            .last()
            .is_none_or(|(epoch, _)| *epoch != info.leader_epoch.0)
        {
            runs.push((info.leader_epoch.0, info.base_offset));
        }
    }
    let kept = runs.partition_point(|(_, offset)| *offset <= start);
    let mut expected = runs.split_off(kept.saturating_sub(1));
    if let Some(first) = expected.first_mut() {
        first.1 = first.1.max(start);
    }
    // An epoch that has no records left may be known or not, as in Kafka.
    let end = rig.log.log_end_offset();
    expected.retain(|(_epoch, offset)| *offset < end);
    let held: Vec<(i32, Offset)> = rig
        .log
        .epochs()
        .entries()
        .iter()
        .map(|entry| (entry.epoch.0, entry.start_offset))
        .filter(|(_epoch, offset)| *offset < end)
        .collect();
    assert_eq!(held, expected, "{:?}", rig.log);
}

fn check_producers(rig: &Rig) {
    for id in 0..3 {
        let expected = rig.expected_producer(id);
        let held = rig.log.producers().producer(crate::ids::ProducerId(id));
        if let (Some(expected), Some(held)) = (&expected, held) {
            assert!(
                same_newest(expected, held),
                "{expected:?}\n{held:?}\n{:?} {:?}",
                rig.log,
                rig.disk.files.keys()
            );
        }
        if held.is_some() || rig.log.log_start_offset() == Offset::ZERO {
            assert_eq!(expected.is_some(), held.is_some(), "producer {id}");
        }
    }
}
