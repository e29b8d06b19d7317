//! Rounds over lists of batches, against a list of records.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    AbortedTransaction, CleanedTransactions, KeyMap, LiveProducers, Rules, Scratch, filter_batch,
    note_keys,
};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::log::batch::BatchInfo;
use crate::log::producer_state::{Producer, Producers};
use crate::rng::Rng;
use crate::time::Timestamp;
use crate::wire::batch::{BatchHeader, Compression, PreparedBatch, TimestampType};
use crate::wire::builder::BatchBuilder;
use crate::wire::records::{Record, RecordHeader, Records};

const DELETE_RETENTION_MS: i64 = 1_000;

/// A log as a list of batches, and the producers that wrote it.
#[derive(Default)]
struct World {
    batches: Vec<Bytes>,
    producers: Producers,
    sequences: BTreeMap<i64, i32>,
    /// Clean below.
    clean_to: Offset,
    now: i64,
    /// When a round first saw a tombstone as the last of its key, by offset.
    horizons: BTreeMap<i64, i64>,
}

impl World {
    fn end(&self) -> Offset {
        let last = self.batches.last();
        last.map_or(Offset::ZERO, |batch| header(batch).next_offset())
    }

    fn append(&mut self, rng: &mut Rng) {
        let codecs = Compression::ALL;
        let codec = codecs[usize::try_from(rng.below(5)).unwrap()];
        let mut builder = BatchBuilder::new(codec).at(self.end(), LeaderEpoch(3));
        let producer = i64::try_from(rng.below(4)).unwrap();
        if producer > 0 {
            let sequence = *self.sequences.entry(producer).or_default();
            builder = builder.producer(ProducerId(producer), ProducerEpoch(1), Sequence(sequence));
        }
        for _record in 0..rng.between(1, 6) {
            let key = format!("key {}", rng.below(9));
            let value = vec![7; usize::try_from(rng.below(60)).unwrap()];
            let headers = [RecordHeader {
                key: Bytes::from_static(b"header"),
                value: rng.chance(1, 2).then(|| Bytes::from_static(b"x")),
            }];
            builder.push_with_headers(
                Timestamp(self.now + i64::try_from(rng.below(40)).unwrap() - 20),
                rng.chance(9, 10).then_some(key.as_bytes()),
                rng.chance(3, 4).then_some(&value),
                &headers[..usize::from(rng.chance(1, 3))],
            );
        }
        if producer > 0 {
            *self.sequences.entry(producer).or_default() += builder.records_count();
        }
        let mut batch = PreparedBatch::from_log(builder.build()).unwrap();
        if rng.chance(1, 4) {
            batch = batch.with_timestamps(TimestampType::LogAppendTime, Timestamp(self.now));
        }
        self.producers
            .on_append(&BatchInfo::of(&batch.header).unwrap());
        self.batches.push(batch.bytes);
    }

    /// One round up to a batch boundary, with room for so many keys; answers where the map ended,
    /// which may be within a batch.
    fn clean(&mut self, bound: Offset, keys_max: u64) -> Offset {
        let mut map = KeyMap::new((keys_max + 1) * 24, 1_000_000, u64::MAX, 5);
        let mut scratch = Scratch::default();
        let mut transactions = CleanedTransactions::default();
        let mut map_end = bound;
        for batch in &self.batches {
            let header = header(batch);
            if header.next_offset() <= self.clean_to || header.base_offset >= bound {
                continue;
            }
            let rooms = (&mut scratch, &mut map);
            let full_at = note_keys(batch, &header, self.clean_to, &mut transactions, rooms);
            if let Some(offset) = full_at.unwrap() {
                assert!(
                    offset > self.clean_to,
                    "a round gets on, whatever the batch"
                );
                map_end = offset;
                break;
            }
        }
        let live = LiveProducers::of(&self.producers);
        let rules = Rules {
            map: &map,
            map_end,
            now: Timestamp(self.now),
            delete_retention_ms: DELETE_RETENTION_MS,
            live: &live,
            end_offset: bound,
        };
        let mut transactions = CleanedTransactions::default();
        let mut cleaned = Vec::new();
        for batch in &self.batches {
            let header = header(batch);
            if header.base_offset >= bound {
                cleaned.push(batch.clone());
                continue;
            }
            let mut out = Vec::new();
            let rooms = (&mut scratch, &mut out);
            let info = filter_batch(batch, &header, &rules, &mut transactions, rooms).unwrap();
            assert_eq!(info.is_some(), !out.is_empty());
            let Some(info) = info else { continue };
            let out = Bytes::from(out);
            info.check_crc(&out).expect("it was sealed");
            assert_eq!(info, BatchInfo::parse(&out).unwrap());
            check_header(&header, &self::header(&out));
            cleaned.push(out);
        }
        let before = std::mem::replace(&mut self.batches, cleaned);
        self.check(&before, map_end);
        self.clean_to = map_end;
        map_end
    }

    /// What a round did, judged by what was there before.
    fn check(&mut self, before: &[Bytes], map_end: Offset) {
        let (before, after) = (records(before), records(&self.batches));
        let mut newest = BTreeMap::new();
        for record in before.values().filter(|record| record.offset < map_end) {
            if let Some(key) = &record.key {
                newest.insert(key.clone(), record.offset);
            }
        }
        for (offset, record) in &before {
            let is_kept = after.get(offset);
            assert!(is_kept.is_none_or(|kept| kept == record), "{record:?}");
            let is_newest = match &record.key {
                Some(key) => newest.get(key).is_none_or(|last| record.offset >= *last),
                None => false,
            };
            let expected = if record.offset >= map_end {
                true
            } else if !is_newest {
                false
            } else if record.value.is_some() {
                true
            } else {
                let horizon = self.horizons.get(&offset.0);
                horizon.is_none_or(|horizon| self.now < *horizon)
            };
            assert_eq!(is_kept.is_some(), expected, "{record:?} of {map_end:?}");
        }
        let invented = after.keys().find(|offset| !before.contains_key(offset));
        assert_eq!(invented, None, "nothing is invented");
        self.note_horizons();
    }

    fn note_horizons(&mut self) {
        for batch in &self.batches {
            let header = header(batch);
            if !header.attributes.has_delete_horizon() {
                continue;
            }
            for record in Records::open(batch).unwrap() {
                let record = record.unwrap();
                let horizon = self.horizons.entry(record.offset.0);
                let horizon = *horizon.or_insert(header.base_timestamp.0);
                assert_eq!(horizon, header.base_timestamp.0, "a horizon is set once");
                assert!(horizon <= self.now + DELETE_RETENTION_MS);
            }
        }
    }

    /// What a restart would make of the producers from the batches alone.
    fn check_producers(&self) {
        let mut replayed = Producers::default();
        for batch in &self.batches {
            replayed.on_append(&BatchInfo::parse(batch).unwrap());
        }
        for (id, producer) in self.producers.iter() {
            let again = replayed.producer(id).expect("a live producer is known");
            assert_eq!(again.epoch, producer.epoch);
            // A batch's largest timestamp is that of the records that are left, as in Kafka.
            let numbers = |producer: &Producer| -> Vec<_> {
                let batches = producer.batches.iter();
                batches
                    .map(|batch| (batch.last_sequence, batch.last_offset, batch.offset_delta))
                    .collect()
            };
            assert_eq!(numbers(again), numbers(producer), "all that is remembered");
        }
    }
}

fn header(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).unwrap()
}

fn records(batches: &[Bytes]) -> BTreeMap<Offset, Record> {
    let records = batches
        .iter()
        .flat_map(|batch| Records::open(batch).unwrap());
    records
        .map(|record| record.unwrap())
        .map(|record| (record.offset, record))
        .collect()
}

/// What a batch keeps, however many of its records go.
fn check_header(before: &BatchHeader, after: &BatchHeader) {
    assert_eq!(after.base_offset, before.base_offset);
    assert_eq!(after.last_offset(), before.last_offset());
    assert_eq!(after.leader_epoch, before.leader_epoch);
    assert_eq!(after.producer_id, before.producer_id);
    assert_eq!(after.producer_epoch, before.producer_epoch);
    assert_eq!(after.base_sequence, before.base_sequence);
    let (old, new) = (before.attributes, after.attributes);
    assert_eq!(new.timestamp_type(), old.timestamp_type());
    assert_eq!(new.is_transactional(), old.is_transactional());
    assert_eq!(new.is_control(), old.is_control());
    if after.records_count > 0 {
        assert_eq!(new.compression(), old.compression());
    } else {
        assert_eq!(after.size_bytes(), Some(61));
        assert_eq!(after.max_timestamp, before.max_timestamp);
    }
}

#[test]
fn rounds_keep_the_last_record_of_each_key() {
    let (mut rounds, mut partial, mut gone) = (0, 0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let mut world = World {
            now: 100_000,
            ..World::default()
        };
        for _step in 0..40 {
            world.now += i64::try_from(rng.below(300)).unwrap();
            for _batch in 0..rng.between(1, 4) {
                world.append(&mut rng);
            }
            if rng.chance(1, 3) {
                let boundaries: Vec<Offset> = world
                    .batches
                    .iter()
                    .map(|batch| header(batch).next_offset())
                    .filter(|end| *end > world.clean_to)
                    .collect();
                let at = usize::try_from(rng.below(boundaries.len() as u64)).unwrap();
                let before = records(&world.batches).len();
                let map_end = world.clean(boundaries[at], rng.between(1, 12));
                rounds += 1;
                partial += u32::from(map_end < boundaries[at]);
                gone += before - records(&world.batches).len();
                let ends = world
                    .batches
                    .iter()
                    .map(|batch| header(batch).next_offset());
                assert!(ends.clone().is_sorted(), "offsets stay in order");
                assert!(
                    ends.clone().any(|end| end == boundaries[at]),
                    "the end stays"
                );
                world.check_producers();
            }
        }
    }
    assert!(
        rounds > 500 && partial > 100 && gone > 2_000,
        "{rounds} {partial} {gone}"
    );
}

#[test]
fn a_tombstone_goes_once_its_time_has_come() {
    let mut world = World {
        now: 1_000,
        ..World::default()
    };
    for value in [Some(&b"v"[..]), None] {
        let mut builder = BatchBuilder::new(Compression::None).at(world.end(), LeaderEpoch(0));
        builder.push(Timestamp(900), Some(b"k"), value);
        world.batches.push(builder.build());
    }
    // The last batch stays whatever is in it: this one is only in the way.
    let mut other = BatchBuilder::new(Compression::None).at(world.end(), LeaderEpoch(0));
    other.push(Timestamp(900), Some(b"other"), Some(b"v"));
    world.batches.push(other.build());
    let end = world.end();
    let offsets = |world: &World| -> Vec<i64> {
        records(&world.batches)
            .keys()
            .map(|offset| offset.0)
            .collect()
    };
    world.clean(end, 10);
    assert_eq!(offsets(&world), [1, 2]);
    let marked = header(&world.batches[0]);
    assert!(marked.attributes.has_delete_horizon());
    assert_eq!(marked.base_timestamp, Timestamp(2_000));
    assert_eq!(
        records(&world.batches)[&Offset(1)].timestamp,
        Timestamp(900)
    );
    world.now = 1_999;
    world.clean(end, 10);
    assert_eq!(offsets(&world), [1, 2]);
    world.now = 2_000;
    world.clean(end, 10);
    assert_eq!(offsets(&world), [2]);
}

/// A marker's record.
fn marker(kind: u8, offset: Offset, producer: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None)
        .at(offset, LeaderEpoch(0))
        .producer(ProducerId(producer), ProducerEpoch(0), Sequence::NONE)
        .transactional()
        .control();
    builder.push(Timestamp(5), Some(&[0, 0, 0, kind]), Some(&[0; 6]));
    builder.build()
}

#[test]
fn transactions_go_as_a_whole() {
    let data = |offset: i64, producer: i64, key: &str| {
        let mut builder = BatchBuilder::new(Compression::None)
            .at(Offset(offset), LeaderEpoch(0))
            .producer(ProducerId(producer), ProducerEpoch(0), Sequence(0))
            .transactional();
        builder.push(Timestamp(5), Some(key.as_bytes()), Some(b"v"));
        builder.build()
    };
    // 0 is aborted by 1, 2 is committed by 3, and 4 supersedes 2's key.
    let mut batches = vec![
        data(0, 1, "a"),
        marker(0, Offset(1), 1),
        data(2, 2, "b"),
        marker(1, Offset(3), 2),
        data(4, 3, "b"),
        marker(1, Offset(5), 3),
    ];
    let aborted = [AbortedTransaction {
        producer_id: ProducerId(1),
        first_offset: Offset(0),
        last_offset: Offset(1),
        last_stable_offset: Offset(0),
    }];
    let mut scratch = Scratch::default();
    let mut round = |now: i64| {
        let mut map = KeyMap::new(1_000, 900_000, 100, 0);
        let mut pass = CleanedTransactions::new(&aborted);
        for batch in &batches {
            let rooms = (&mut scratch, &mut map);
            let full_at = note_keys(batch, &header(batch), Offset(0), &mut pass, rooms);
            assert_eq!(full_at, Ok(None));
        }
        assert_eq!(map.get(b"a"), None, "aborted keys hide nothing");
        let rules = Rules {
            map: &map,
            map_end: Offset(6),
            now: Timestamp(now),
            delete_retention_ms: 10,
            live: &LiveProducers::default(),
            end_offset: Offset(6),
        };
        let mut pass = CleanedTransactions::new(&aborted);
        let mut kept = Vec::new();
        for batch in &batches {
            let mut out = Vec::new();
            let rooms = (&mut scratch, &mut out);
            filter_batch(batch, &header(batch), &rules, &mut pass, rooms).unwrap();
            if !out.is_empty() {
                kept.push(Bytes::from(out));
            }
        }
        batches = kept;
        let left: Vec<i64> = batches
            .iter()
            .map(|batch| header(batch).base_offset.0)
            .collect();
        (left, pass.take_kept().len())
    };
    // The data goes, the markers wait: that of 2 saw its batch, that of 1 is needed while it did.
    assert_eq!(round(100), (vec![1, 3, 4, 5], 1));
    // Now nothing is left of either: their horizons are set, and come.
    assert_eq!(round(105), (vec![1, 3, 4, 5], 0));
    assert_eq!(round(114), (vec![1, 3, 4, 5], 0));
    assert_eq!(round(115), (vec![4, 5], 0));
    assert_eq!(round(1_000), (vec![4, 5], 0));
}

#[test]
fn damage_is_found_and_never_panics() {
    let mut rng = Rng::new(4);
    let mut world = World {
        now: 100_000,
        ..World::default()
    };
    for _batch in 0..30 {
        world.append(&mut rng);
    }
    let mut map = KeyMap::new(10_000, 900_000, 1_000, 0);
    let mut scratch = Scratch::default();
    let mut refused = 0;
    for round in 0..3_000 {
        let mut batch = world.batches[round % 30].to_vec();
        for _byte in 0..rng.between(1, 4) {
            let at = usize::try_from(rng.between(61, batch.len() as u64)).unwrap();
            batch[at] = u8::try_from(rng.below(256)).unwrap();
        }
        let header = BatchHeader::parse(&batch).unwrap();
        let mut pass = CleanedTransactions::default();
        let rooms = (&mut scratch, &mut map);
        refused += u32::from(note_keys(&batch, &header, Offset(0), &mut pass, rooms).is_err());
        let rules = Rules {
            map: &KeyMap::new(0, 0, 0, 0),
            map_end: Offset(10_000),
            now: Timestamp(0),
            delete_retention_ms: 0,
            live: &LiveProducers::default(),
            end_offset: Offset(0),
        };
        let rooms = (&mut scratch, &mut Vec::new());
        let _any = filter_batch(&batch, &header, &rules, &mut pass, rooms);
        // Offsets in order of offset are what the map counts on; damage may break that.
        map = KeyMap::new(10_000, 900_000, 1_000, 0);
    }
    assert!(refused > 500, "{refused}");
}
