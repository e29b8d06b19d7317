//! What a log holds, by what was asked of the disk, and what a round of compaction may make of it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::log_image::{HEADER, LogImage, i16_at, i32_at, i64_at, is_crc_right};
use crate::ids::Offset;
use crate::limits::decompressed_bytes_max;
use crate::sim::trace::hash_of;
use crate::storage::DiskOp;
use crate::wire::batch::Compression;
use crate::wire::compression::decompress;

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::sim::checkers) struct Fact {
    pub(in crate::sim::checkers) key: Option<Vec<u8>>,
    pub(in crate::sim::checkers) is_tombstone: bool,
    pub(in crate::sim::checkers) timestamp: i64,
    /// Of everything from the key on.
    pub(in crate::sim::checkers) hash: u64,
}

/// What a batch keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::sim::checkers) struct Head {
    pub(in crate::sim::checkers) last_offset: i64,
    pub(in crate::sim::checkers) leader_epoch: i32,
    pub(in crate::sim::checkers) producer: (i64, i16, i32),
    /// Codec, timestamp type, transactional, control.
    pub(in crate::sim::checkers) attributes: i16,
}

/// A batch, read.
pub(in crate::sim::checkers) struct Batch {
    pub(in crate::sim::checkers) base: i64,
    pub(in crate::sim::checkers) head: Head,
    pub(in crate::sim::checkers) horizon: Option<i64>,
    pub(in crate::sim::checkers) is_empty: bool,
    pub(in crate::sim::checkers) records: Vec<(i64, Fact)>,
}

/// What one log holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) heads: BTreeMap<i64, Head>,
    pub(super) records: BTreeMap<i64, Fact>,
    /// When tombstones may go, by offset.
    pub(super) horizons: BTreeMap<i64, i64>,
    pub(super) segments: BTreeSet<i64>,
    /// Below this, everything is durable.
    pub(super) durable_end: i64,
}

impl Model {
    pub(super) fn of(image: &LogImage) -> Self {
        let mut model = Self::default();
        for (segment, bytes) in image.segments() {
            model.segments.insert(segment.0);
            for batch in read_batches(bytes) {
                model.add(batch);
            }
        }
        model
    }

    pub(super) fn add(&mut self, batch: Batch) {
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
    pub(super) fn on_op(&mut self, op: &DiskOp) {
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
    pub(super) fn replace(
        &mut self,
        bytes: &[u8],
        sources: &[Offset],
        bound: i64,
    ) -> Result<(), String> {
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

    pub(super) fn judge_records(
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
    pub(super) fn newest(&self, bound: i64) -> BTreeMap<&Vec<u8>, i64> {
        let mut newest = BTreeMap::new();
        for (offset, fact) in self.records.range(..bound) {
            if let Some(key) = &fact.key {
                newest.insert(key, *offset);
            }
        }
        newest
    }

    pub(super) fn judge_crash(&self, left: &Self, promised: i64) -> Result<(), String> {
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
pub(in crate::sim::checkers) fn read_batches(bytes: &[u8]) -> Vec<Batch> {
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
