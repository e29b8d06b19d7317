//! Files damaged at rest: bits flipped, pages zeroed, ends lost, batches of other logs. Nothing
//! panics, nothing durable is cut, nobody else's records change (R52, R53).

use super::rig::{Rig, info};
use crate::ids::Offset;
use crate::log::batch::build::{Wanted, batch};
use crate::log::{BatchInfo, LogSettings, ReadRequest};
use crate::rng::Rng;
use crate::storage::LogFile;

const SEEDS: u64 = 300;

/// What was done to a file.
#[derive(Debug)]
struct Damage {
    name: String,
    /// Bytes that may differ now.
    range: (usize, usize),
}

fn filled(rng: &mut Rng) -> Rig {
    let settings = LogSettings {
        segment_bytes: u32::try_from(rng.between(500, 4_000)).unwrap(),
        index_interval_bytes: u32::try_from(rng.between(1, 300)).unwrap(),
        ..LogSettings::default()
    };
    let mut rig = Rig::new(settings, 0);
    for number in 0..i32::try_from(rng.between(5, 60)).unwrap() {
        let timestamp = i64::from(number) * 10;
        let value_bytes = usize::try_from(rng.below(100)).unwrap();
        let producer = rng.chance(1, 2).then_some((7, 0, 0));
        let producer = producer.map(|(id, epoch, _)| {
            let known = rig.expected_producer(id);
            let next = known.map_or(0, |known| known.last_sequence().0 + 1);
            (id, epoch, next)
        });
        rig.append(&[timestamp], producer, value_bytes).unwrap();
        rig.settle();
    }
    rig.run_all();
    rig
}

fn damage(rig: &mut Rig, rng: &mut Rng) -> Damage {
    let names: Vec<String> = rig.disk.files.keys().cloned().collect();
    let name = loop {
        let place = usize::try_from(rng.below(names.len() as u64)).unwrap();
        if !rig.disk.files[&names[place]].is_empty() {
            break names[place].clone();
        }
    };
    let content = rig.disk.files.get_mut(&name).unwrap();
    let size = content.len();
    let at = usize::try_from(rng.below(size as u64)).unwrap();
    let is_log = matches!(LogFile::parse(&name), Some(LogFile::Log(_)));
    if is_log && rng.chance(1, 5) {
        let range = misdirect(content, rng);
        return Damage { name, range };
    }
    let end = match rng.below(4) {
        0 => {
            content[at] ^= 1 << rng.below(8);
            at + 1
        }
        1 => {
            let end = (at + 64).min(size);
            content[at..end].fill(0);
            end
        }
        2 => {
            let end = (at + 200).min(size);
            rng.fill(&mut content[at..end]);
            end
        }
        _ => {
            content.truncate(at);
            size
        }
    };
    Damage {
        name,
        range: (at, end),
    }
}

/// Another log's batch is written over one of this one, as far as it is not larger.
fn misdirect(content: &mut [u8], rng: &mut Rng) -> (usize, usize) {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Ok(info) = BatchInfo::parse(&content[at..]) {
        ranges.push((at, at + info.size_bytes as usize));
        at += info.size_bytes as usize;
    }
    let place = usize::try_from(rng.below(ranges.len() as u64)).unwrap();
    let (start, end) = ranges[place];
    let header = batch(Wanted::default()).len() - Wanted::default().payload_bytes;
    let payload_bytes = rng.below((end - start - header) as u64 + 1);
    let other = batch(Wanted {
        base_offset: i64::try_from(rng.below(80)).unwrap(),
        count: i32::try_from(rng.between(1, 20)).unwrap(),
        payload_bytes: usize::try_from(payload_bytes).unwrap(),
        ..Wanted::default()
    });
    content[start..start + other.len()].copy_from_slice(&other);
    (start, start + other.len())
}

#[test]
fn damage_at_rest_is_survived_and_not_spread() {
    for seed in 0..SEEDS {
        let history = std::panic::catch_unwind(|| run(seed));
        assert!(history.is_ok(), "seed {seed}");
    }
}

fn run(seed: u64) {
    let rng = &mut Rng::new(seed).child("damage", 0);
    let mut rig = filled(rng);
    let is_clean = rng.chance(1, 2);
    if is_clean {
        rig.stop();
    } else if rng.chance(1, 2) {
        rig.save_checkpoints();
    }
    rig.disk.kill();
    let end = rig.log.log_end_offset();
    let damage = damage(&mut rig, rng);
    rig.restart(is_clean);
    rig.run_all();
    let is_log = matches!(LogFile::parse(&damage.name), Some(LogFile::Log(_)));
    assert!(
        rig.log.log_end_offset() >= rig.recovery_point,
        "{damage:?}: durable records are never cut"
    );
    if !is_log {
        assert_eq!(rig.log.log_end_offset(), end, "{damage:?}");
        assert!(rig.log.bad_ranges().is_empty(), "{damage:?}");
    }
    let hit = if is_log {
        hit_batches(&rig, &damage)
    } else {
        (end, end)
    };
    for start in 0..rig.log.log_end_offset().0 {
        check_offset(&mut rig, Offset(start), hit, &damage);
    }
    // A time index has no sum, in Kafka's format, and is believed.
    let is_time = matches!(LogFile::parse(&damage.name), Some(LogFile::TimeIndex(_)));
    check_times(&mut rig, is_log || is_time);
    // It goes on.
    rig.append(&[1], None, 10).unwrap();
    rig.settle();
    rig.run_all();
    assert_eq!(rig.log.flushed(), rig.log.log_end_offset());
}

/// The records of the batches that the damage touched: `[first, end)`.
fn hit_batches(rig: &Rig, damage: &Damage) -> (Offset, Offset) {
    let Some(LogFile::Log(base)) = LogFile::parse(&damage.name) else {
        unreachable!("only called for segments");
    };
    let mut position = 0;
    let mut hit: Option<(Offset, Offset)> = None;
    for batch in &rig.model {
        let info = info(batch);
        if info.base_offset < base {
            continue;
        }
        let range = (position, position + batch.len());
        position = range.1;
        if range.0 < damage.range.1 && damage.range.0 < range.1 {
            let first = hit.map_or(info.base_offset, |(first, _)| first);
            hit = Some((first, info.end_offset()));
        }
    }
    hit.expect("the damage lies in some batch")
}

fn check_offset(rig: &mut Rig, start_offset: Offset, hit: (Offset, Offset), damage: &Damage) {
    let request = ReadRequest {
        start_offset,
        bound: rig.log.log_end_offset(),
        max_bytes: 1,
        at_least_one: true,
    };
    let is_hit = |offset: Offset| offset >= hit.0 && offset < hit.1;
    let Some((batches, _partial)) = rig.read(request) else {
        // After damage to a header the rest of a segment may be unreadable without a scan.
        assert!(
            start_offset >= hit.0,
            "{damage:?}: {start_offset} is not damaged, {:?} {:?}",
            rig.log.bad_ranges(),
            rig.log
        );
        return;
    };
    let Some(batch) = batches.first() else {
        assert!(start_offset >= hit.0, "{damage:?}: {start_offset} is there");
        return;
    };
    let place = rig
        .model
        .partition_point(|batch| info(batch).end_offset() <= start_offset);
    let expected = rig.model.get(place);
    if expected != Some(batch) {
        let read = BatchInfo::parse(batch).unwrap();
        let touches = is_hit(read.base_offset) || is_hit(start_offset);
        assert!(
            touches || start_offset >= hit.0,
            "{damage:?}: {start_offset} differs"
        );
    }
}

/// Searches by time end, and are right where nothing they rely on is damaged.
fn check_times(rig: &mut Rig, is_doubtful: bool) {
    let bound = rig.log.log_end_offset();
    for timestamp in (0..620).step_by(31) {
        if is_doubtful {
            rig.search_anything(timestamp, bound);
        } else {
            assert_eq!(
                rig.found_at(timestamp, bound),
                rig.expected_at(timestamp, bound)
            );
        }
    }
}
