//! R60: what compaction may take, judged from outside.
//!
//! It keeps every record of the compacted logs as it was appended, and reads what is to replace
//! segments with a reader of its own. A record may go if it has no key, if a later one of its key
//! is there, or if it is a tombstone whose time was set by a round before. Everything else must be
//! there, at its offset, byte for byte; and batches keep their headers. After a crash, of each key
//! the last record that was promised must be there, or a later one.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::log_image::{
    HEADER, LogImage, i16_at, i32_at, i64_at, is_compacted, is_crc_right, is_offsets,
};
use crate::ids::{LogId, Offset};
use crate::limits::decompressed_bytes_max;
use crate::sim::trace::hash_of;
use crate::storage::{DiskOp, LogFile};
use crate::wire::batch::Compression;
use crate::wire::compression::decompress;

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fact {
    pub(super) key: Option<Vec<u8>>,
    pub(super) is_tombstone: bool,
    pub(super) timestamp: i64,
    /// Of everything from the key on.
    hash: u64,
}

/// What a batch keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Head {
    last_offset: i64,
    leader_epoch: i32,
    producer: (i64, i16, i32),
    /// Codec, timestamp type, transactional, control.
    attributes: i16,
}

/// A batch, read.
pub(super) struct Batch {
    base: i64,
    head: Head,
    horizon: Option<i64>,
    is_empty: bool,
    pub(super) records: Vec<(i64, Fact)>,
}

/// What one log holds.
#[derive(Clone, Debug, Default)]
struct Model {
    heads: BTreeMap<i64, Head>,
    records: BTreeMap<i64, Fact>,
    /// When tombstones may go, by offset.
    horizons: BTreeMap<i64, i64>,
    segments: BTreeSet<i64>,
    /// Below this, everything is durable.
    durable_end: i64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct CompactionChecker {
    logs: BTreeMap<(u32, String), Model>,
    opened: BTreeMap<(u32, LogId), String>,
    /// What was durable of a log when its segment was last written to.
    bounds: BTreeMap<(u32, LogId, Offset), i64>,
    /// Segments that were replaced.
    pub replaced: u64,
    /// Those of them with committed offsets.
    pub replaced_of_offsets: u64,
    violations: Vec<Violation>,
}

impl CompactionChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Notes an operation in the order of emission; `cleaned` is the content of the segment that
    /// replaces others by it, unless another process wrote that.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest changes no record"
    )]
    pub fn on_op(&mut self, node: u32, op: &DiskOp, cleaned: Option<&[u8]>) {
        match op {
            DiskOp::CreateLog { log, folder, .. } if is_compacted(folder) => {
                self.opened.insert((node, *log), folder.to_string());
                self.logs
                    .insert((node, folder.to_string()), Model::default());
            }
            DiskOp::OpenLog { log, folder, .. } if is_compacted(folder) => {
                self.opened.insert((node, *log), folder.to_string());
            }
            DiskOp::MarkLogDeleted { log, .. } => {
                if let Some(folder) = self.opened.remove(&(node, *log)) {
                    self.logs.remove(&(node, folder));
                }
            }
            DiskOp::WriteCleaned {
                log,
                file: LogFile::Log(base),
                ..
            } => {
                if let Some(durable) = self.judge_bound((node, *log), *base) {
                    self.bounds.insert((node, *log, *base), durable);
                }
            }
            DiskOp::ReplaceSegments {
                log,
                segment,
                sources,
                ..
            } => {
                if let Some(last) = sources.last() {
                    self.judge_bound((node, *log), *last);
                }
                let bound = self.bounds.remove(&(node, *log, *segment));
                // Without bytes it goes on with what another process wrote.
                if let Some(bytes) = cleaned {
                    self.on_replaced((node, *log), bytes, sources, bound.unwrap_or(i64::MAX));
                }
            }
            _other => {
                let log = match op {
                    DiskOp::Append { log, .. }
                    | DiskOp::CreateSegment { log, .. }
                    | DiskOp::MarkSegmentDeleted { log, .. }
                    | DiskOp::Truncate { log, .. } => *log,
                    _other => return,
                };
                if let Some(folder) = self.opened.get(&(node, log))
                    && let Some(model) = self.logs.get_mut(&(node, folder.clone()))
                {
                    model.on_op(op);
                }
            }
        }
    }

    /// Judges what a crash left; below `promised` of a folder, its records were promised.
    pub fn on_crash(&mut self, node: u32, images: &[&LogImage], promised: impl Fn(&str) -> Offset) {
        self.opened.retain(|(at, _), _| *at != node);
        self.bounds.retain(|(at, _, _), _| *at != node);
        for image in images.iter().filter(|image| image.is_compacted()) {
            // The next process is told only of what is durable.
            let left = Model {
                durable_end: image.read().end_offset().0,
                ..Model::of(image)
            };
            let key = (node, image.folder.clone());
            if let Some(before) = self.logs.get(&key)
                && let Err(what) = before.judge_crash(&left, promised(&image.folder).0)
            {
                let what = format!("{}: {what}", image.folder);
                self.violations.push(Violation::new("R60", what));
            }
            self.logs.insert(key, left);
        }
    }

    /// Everything of a log below this offset is durable.
    pub fn on_synced(&mut self, node: u32, log: LogId, end_offset: Offset) {
        if let Some(folder) = self.opened.get(&(node, log))
            && let Some(model) = self.logs.get_mut(&(node, folder.clone()))
        {
            model.durable_end = model.durable_end.max(end_offset.0);
        }
    }

    /// A segment is compacted only if all of it is durable, and thus no transaction's or follower's
    /// business any more: what takes the place of older records must not go with the power. Answers
    /// what is durable.
    fn judge_bound(&mut self, (node, log): (u32, LogId), segment: Offset) -> Option<i64> {
        let model = self.opened.get(&(node, log)).and_then(|folder| {
            let model = self.logs.get(&(node, folder.clone()))?;
            Some((folder, model))
        });
        let (folder, model) = model?;
        let end = model.segments.range(segment.0 + 1..).next().copied();
        let durable = model.durable_end;
        if end.is_none_or(|end| end > durable) {
            let what = format!(
                "{folder}: compacts segment {segment}, which ends at {end:?}; durable is {durable}"
            );
            self.violations.push(Violation::new("R60", what));
        }
        Some(durable)
    }

    fn on_replaced(
        &mut self,
        (node, log): (u32, LogId),
        bytes: &[u8],
        sources: &[Offset],
        bound: i64,
    ) {
        let Some(folder) = self.opened.get(&(node, log)) else {
            return;
        };
        let key = (node, folder.clone());
        let Some(model) = self.logs.get_mut(&key) else {
            return;
        };
        self.replaced += sources.len() as u64;
        if is_offsets(folder) {
            self.replaced_of_offsets += sources.len() as u64;
        }
        if let Err(what) = model.replace(bytes, sources, bound) {
            let what = format!("{}: {what}", key.1);
            self.violations.push(Violation::new("R60", what));
        }
    }
}

impl Model {
    fn of(image: &LogImage) -> Self {
        let mut model = Self::default();
        for (segment, bytes) in image.segments() {
            model.segments.insert(segment.0);
            for batch in read_batches(bytes) {
                model.add(batch);
            }
        }
        model
    }

    fn add(&mut self, batch: Batch) {
        self.heads.insert(batch.base, batch.head);
        for (offset, fact) in batch.records {
            if let Some(horizon) = batch.horizon
                && fact.is_tombstone
            {
                self.horizons.insert(offset, horizon);
            }
            self.records.insert(offset, fact);
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller chose what comes here"
    )]
    fn on_op(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Append { batches, .. } => {
                for batch in batches {
                    for batch in read_batches(&batch.to_bytes()) {
                        self.add(batch);
                    }
                }
            }
            DiskOp::CreateSegment { segment, .. } => {
                self.segments.insert(segment.0);
            }
            DiskOp::MarkSegmentDeleted { segment, .. } => {
                self.segments.remove(&segment.0);
                let first = self.segments.first().copied().unwrap_or(i64::MAX);
                self.records = self.records.split_off(&first);
                self.heads = self.heads.split_off(&first);
            }
            DiskOp::Truncate {
                segment,
                end_offset,
                ..
            } => {
                self.records.split_off(&end_offset.0);
                self.heads.split_off(&end_offset.0);
                self.horizons.split_off(&end_offset.0);
                // One that was to begin where the cut is may be gone too: then the log goes on in
                // the one before, and begins another further on.
                self.segments.retain(|base| *base <= segment.0);
                self.durable_end = self.durable_end.min(end_offset.0);
            }
            _other => {}
        }
    }

    /// Judges what is to replace `sources`, and takes it over. Only what is below `bound` may have
    /// taken a record's place.
    fn replace(&mut self, bytes: &[u8], sources: &[Offset], bound: i64) -> Result<(), String> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Err("replaces nothing".to_owned());
        };
        let after = self.segments.range(last.0 + 1..).next().copied();
        let Some(end) = after else {
            return Err(format!("segment {last} is in use"));
        };
        let range = first.0..end;
        let mut left = Self::default();
        let mut next = first.0;
        for batch in read_batches(bytes) {
            let (base, head) = (batch.base, batch.head);
            let before = self.heads.get(&base).copied();
            let is_same = before.is_some_and(|before| {
                let codec_bits = if batch.is_empty { 0x07 } else { 0 };
                Head {
                    attributes: before.attributes & !codec_bits,
                    ..before
                } == head
            });
            if !is_same || base < next || !range.contains(&head.last_offset) {
                return Err(format!("batch {base} is {head:?}, and was {before:?}"));
            }
            next = head.last_offset + 1;
            left.add(batch);
        }
        if next != end {
            return Err(format!(
                "the new segment ends at {next}, the old ones at {end}"
            ));
        }
        self.judge_records(range.clone(), &left, bound)?;
        let tail = self.records.split_off(&range.end);
        self.records.split_off(&range.start);
        self.records.extend(left.records);
        self.records.extend(tail);
        self.heads.retain(|base, _| !range.contains(base));
        self.heads.extend(left.heads);
        self.horizons.extend(left.horizons);
        self.segments
            .retain(|base| !sources.contains(&Offset(*base)));
        self.segments.insert(range.start);
        Ok(())
    }

    fn judge_records(
        &self,
        range: std::ops::Range<i64>,
        left: &Self,
        bound: i64,
    ) -> Result<(), String> {
        for (offset, fact) in &left.records {
            if self.records.get(offset) != Some(fact) {
                let before = self.records.get(offset);
                return Err(format!("offset {offset} is {fact:?}, and was {before:?}"));
            }
        }
        for (offset, horizon) in &left.horizons {
            if self.horizons.get(offset).is_some_and(|set| set != horizon) {
                return Err(format!("the tombstone at {offset} got another horizon"));
            }
        }
        let newest = self.newest(bound);
        for (offset, fact) in self.records.range(range) {
            let Some(key) = &fact.key else {
                continue;
            };
            let is_last = newest.get(key) == Some(offset);
            let is_over = fact.is_tombstone && self.horizons.contains_key(offset);
            if is_last && !is_over && !left.records.contains_key(offset) {
                return Err(format!(
                    "the last record of a key below {bound} is gone, at {offset}: {fact:?}"
                ));
            }
        }
        Ok(())
    }

    /// The last offset of each key, below a bound.
    fn newest(&self, bound: i64) -> BTreeMap<&Vec<u8>, i64> {
        let mut newest = BTreeMap::new();
        for (offset, fact) in self.records.range(..bound) {
            if let Some(key) = &fact.key {
                newest.insert(key, *offset);
            }
        }
        newest
    }

    fn judge_crash(&self, left: &Self, promised: i64) -> Result<(), String> {
        let there = left.newest(i64::MAX);
        let start = left.segments.first().copied().unwrap_or(0);
        for (key, offset) in self.newest(promised) {
            let is_there = there.get(key).is_some_and(|found| *found >= offset);
            let may_be_gone = self.horizons.contains_key(&offset) || offset < start;
            if !is_there && !may_be_gone {
                return Err(format!(
                    "the last record of a key that was promised, at {offset}, is gone"
                ));
            }
        }
        Ok(())
    }
}

/// The whole batches of some bytes, up to the first that is damaged.
pub(super) fn read_batches(bytes: &[u8]) -> Vec<Batch> {
    let mut rest = bytes;
    let mut batches = Vec::new();
    while rest.len() >= HEADER {
        let size = usize::try_from(i64::from(i32_at(rest, 8)) + 12).unwrap_or(usize::MAX);
        let Some(batch) = rest.get(..size).filter(|batch| batch.len() >= HEADER) else {
            break;
        };
        if !is_crc_right(batch) {
            break;
        }
        let Some(read) = read_batch(batch) else { break };
        batches.push(read);
        rest = &rest[size..];
    }
    batches
}

fn read_batch(bytes: &[u8]) -> Option<Batch> {
    let base = i64_at(bytes, 0);
    let attributes = i16_at(bytes, 21);
    let base_timestamp = i64_at(bytes, 27);
    let count = i32_at(bytes, 57);
    let head = Head {
        last_offset: base + i64::from(i32_at(bytes, 23)),
        leader_epoch: i32_at(bytes, 12),
        producer: (i64_at(bytes, 43), i16_at(bytes, 51), i32_at(bytes, 53)),
        attributes: attributes & 0x3f,
    };
    let records = &bytes[HEADER..];
    let codec = Compression::from_id(attributes & 0x07)?;
    let opened = if codec == Compression::None {
        records.to_vec()
    } else if count == 0 {
        Vec::new()
    } else {
        decompress(codec, records, decompressed_bytes_max(records.len())).ok()?
    };
    let stamped = (attributes & 0x08 != 0).then(|| i64_at(bytes, 35));
    let mut rest = &opened[..];
    let mut found = Vec::new();
    for _record in 0..count {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let mut body = rest.get(..length)?;
        rest = &rest[length..];
        body = body.get(1..)?;
        let timestamp = base_timestamp + varint(&mut body)?;
        let offset = base + varint(&mut body)?;
        let hash = hash_of(body);
        let key_length = varint(&mut body)?;
        let key = match usize::try_from(key_length) {
            Ok(length) => {
                let key = body.get(..length)?.to_vec();
                body = &body[length..];
                Some(key)
            }
            Err(_null) => None,
        };
        let fact = Fact {
            key,
            is_tombstone: varint(&mut body)? < 0,
            timestamp: stamped.unwrap_or(timestamp),
            hash,
        };
        found.push((offset, fact));
    }
    Some(Batch {
        base,
        head,
        horizon: (attributes & 0x40 != 0).then_some(base_timestamp),
        is_empty: count == 0,
        records: found,
    })
}

/// A zigzag varint, by its definition.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::time::Timestamp;
    use crate::wire::builder::BatchBuilder;

    fn batch(base: i64, records: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None).at(Offset(base), LeaderEpoch(0));
        for (key, value) in records {
            let value = value.map(str::as_bytes);
            builder.push(Timestamp(5), Some(key.as_bytes()), value);
        }
        builder.build().to_vec()
    }

    fn model(batches: &[Vec<u8>]) -> Model {
        let mut model = Model {
            segments: BTreeSet::from([0, 2, 4]),
            ..Model::default()
        };
        for batch in read_batches(&batches.concat()) {
            model.add(batch);
        }
        model
    }

    #[test]
    fn the_last_of_a_key_must_stay() {
        let first = batch(0, &[("a", Some("1")), ("b", Some("1"))]);
        let second = batch(2, &[("a", Some("2")), ("b", Some("2"))]);
        let world = model(&[first.clone(), second.clone()]);
        let sources = [Offset(0), Offset(2)];
        let check = |bytes: &[u8]| world.clone().replace(bytes, &sources, i64::MAX);
        assert_eq!(check(&[first, second.clone()].concat()), Ok(()));
        assert_eq!(check(&second), Ok(()));
        let early = world.clone().replace(&second, &sources, 2);
        assert!(early.is_err(), "what takes the place is not durable yet");
        let changed = batch(2, &[("a", Some("3")), ("b", Some("2"))]);
        assert!(check(&changed).is_err(), "another value");
        let mut other = second.clone();
        other[15] = 1;
        assert!(check(&other).is_err(), "another epoch");
        assert!(check(&[]).is_err(), "the end is lost");
        let half = batch(2, &[("a", Some("2"))]);
        assert!(check(&half).is_err(), "the batch is shorter");
        assert!(
            world
                .clone()
                .replace(&second, &[Offset(4)], i64::MAX)
                .is_err(),
            "in use"
        );
    }

    #[test]
    fn a_torn_batch_says_nothing() {
        let mut torn = batch(2, &[("a", Some("2"))]);
        let last = torn.len() - 1;
        torn[last] ^= 1;
        let left = model(&[batch(0, &[("a", Some("1"))]), torn]);
        assert!(left.records.keys().eq([&0]), "{:?}", left.records);
    }

    #[test]
    fn a_segment_that_was_cut_off_is_not_there() {
        let first = batch(0, &[("a", Some("1")), ("b", Some("1"))]);
        let mut world = model(std::slice::from_ref(&first));
        world.segments = BTreeSet::from([0, 2]);
        // The segment at 2 did not fit on the disk; the next batch goes to the one before.
        world.on_op(&DiskOp::Truncate {
            log: LogId(1),
            generation: crate::ids::Generation(1),
            segment: Offset(0),
            position: 0,
            end_offset: Offset(2),
        });
        assert_eq!(world.segments, BTreeSet::from([0]));
        assert!(world.records.keys().eq([&0, &1]));
    }

    #[test]
    fn a_tombstone_without_a_horizon_must_stay() {
        let only = batch(0, &[("a", None), ("b", Some("1"))]);
        let mut world = model(std::slice::from_ref(&only));
        let mut gone = BatchBuilder::new(Compression::None).at(Offset(0), LeaderEpoch(0));
        gone.push(Timestamp(5), Some(b"x"), Some(b"1"));
        assert!(
            world
                .clone()
                .replace(&gone.build(), &[Offset(0)], i64::MAX)
                .is_err()
        );
        assert_eq!(world.clone().replace(&only, &[Offset(0)], i64::MAX), Ok(()));
        world.horizons.insert(0, 9);
        assert!(world.judge_crash(&Model::default(), 1).is_ok());
        assert!(world.judge_crash(&Model::default(), 2).is_err());
    }
}
