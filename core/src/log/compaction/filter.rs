//! What stays of one batch.
//!
//! Pure over the batch's bytes: whole, with a checksum that was found right. Rebuilt batches are
//! byte for byte what Kafka makes of the same records where they are not compressed. Compare
//! `Cleaner.cleanInto`, `MemoryRecords.filterTo`, 4.3.1.

use std::collections::BTreeMap;

use super::key_map::KeyMap;
use super::raw::{RawRecord, RawRecords};
use super::transactions::{CleanedTransactions, Marker};
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::limits::decompressed_bytes_max;
use crate::log::batch::BatchInfo;
use crate::log::producer_state::Producers;
use crate::time::Timestamp;
use crate::wire::batch::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, Compression, TimestampType, seal,
};
use crate::wire::compression::{compress, decompress};

/// The batches that live producers are remembered by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveProducers {
    by_id: BTreeMap<ProducerId, (ProducerEpoch, Vec<Offset>)>,
}

/// What a round goes by.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Where each key of the dirty section was last.
    pub map: &'a KeyMap,
    /// Records at or above are not in the map, and stay.
    pub map_end: Offset,
    /// The wall clock when the round began.
    pub now: Timestamp,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Whose batches stay, even empty.
    pub live: &'a LiveProducers,
    /// The batch that ends here stays, even empty.
    pub end_offset: Offset,
}

/// Memory that is used again from batch to batch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scratch {
    opened: Vec<u8>,
    rebuilt: Vec<u8>,
    keeps: Vec<bool>,
}

/// What was found of a batch's records.
#[derive(Clone, Copy, Debug)]
struct Findings {
    records: i32,
    kept: i32,
    has_tombstone: bool,
    /// Of the first record that stays.
    first_timestamp: Timestamp,
    /// Of those that stay.
    max_timestamp: Timestamp,
}

impl LiveProducers {
    /// The producers that a log remembers.
    #[must_use]
    pub fn of(producers: &Producers) -> Self {
        let by_id = producers.iter().map(|(id, producer)| {
            let batches = producer.batches.iter().map(|batch| batch.last_offset);
            (id, (producer.epoch, batches.collect()))
        });
        Self {
            by_id: by_id.collect(),
        }
    }

    /// Whether a producer is remembered by this batch.
    fn needs(&self, header: &BatchHeader) -> bool {
        let Some((epoch, batches)) = self.by_id.get(&header.producer_id) else {
            return false;
        };
        if batches.is_empty() {
            // Its last word was a marker, which has its epoch.
            return header.attributes.is_control() && header.producer_epoch == *epoch;
        }
        batches.contains(&header.last_offset())
    }
}

/// Notes the keys of a batch's records from `first_dirty` on. Where the map is full, answers the
/// first offset that is not noted, which may lie within the batch.
///
/// # Errors
/// The records cannot be read.
pub fn note_keys(
    batch: &[u8],
    header: &BatchHeader,
    first_dirty: Offset,
    transactions: &mut CleanedTransactions,
    (scratch, map): (&mut Scratch, &mut KeyMap),
) -> Result<Option<Offset>, BatchError> {
    let records = open(batch, header, &mut scratch.opened)?;
    if header.attributes.is_control() {
        transactions.on_control(header, marker_of(header, records)?);
        return Ok(None);
    }
    if transactions.on_batch(header) {
        return Ok(None);
    }
    let mut next = header.base_offset;
    for record in RawRecords::new(header, records) {
        let record = record?;
        if record.offset < next {
            return Err(BatchError::Count);
        }
        next = record.offset.plus(1);
        if record.offset >= first_dirty
            && let Some(key) = record.key
            && !map.put(key, record.offset)
        {
            return Ok(Some(record.offset));
        }
    }
    Ok(None)
}

/// Appends to `out` what stays of a batch; answers its header, or `None` where nothing does.
///
/// # Errors
/// The records cannot be read.
pub fn filter_batch(
    batch: &[u8],
    header: &BatchHeader,
    rules: &Rules<'_>,
    transactions: &mut CleanedTransactions,
    (scratch, out): (&mut Scratch, &mut Vec<u8>),
) -> Result<Option<BatchInfo>, BatchError> {
    let records = open(batch, header, &mut scratch.opened)?;
    let is_control = header.attributes.is_control();
    let is_over = if is_control {
        transactions.on_control(header, marker_of(header, records)?)
    } else {
        transactions.on_batch(header)
    };
    let horizon = horizon_of(header);
    let discards = is_over && (!is_control || horizon.is_some_and(|horizon| horizon <= rules.now));
    let stays_empty = rules.live.needs(header) || header.next_offset() == rules.end_offset;
    let keeps = |record: &RawRecord<'_>| !discards && (is_control || rules.keep(horizon, record));
    let findings = judge(header, records, keeps, &mut scratch.keeps)?;
    if findings.kept == 0 {
        return Ok(stays_empty.then(|| write_empty(header, out)));
    }
    let is_marked = findings.has_tombstone || (is_control && is_over);
    let horizon = match horizon {
        None if is_marked => Some(Timestamp(
            rules.now.0.saturating_add(rules.delete_retention_ms),
        )),
        Some(horizon) if findings.kept < findings.records => Some(horizon),
        None if findings.kept < findings.records => None,
        Some(_) | None => {
            out.extend_from_slice(batch);
            return Ok(Some(info_of(header)));
        }
    };
    scratch.rebuilt.clear();
    let kept = Kept {
        records,
        keeps: &scratch.keeps,
        findings,
        horizon,
    };
    kept.write(header, &mut scratch.rebuilt, out).map(Some)
}

impl Rules<'_> {
    /// Whether a record of data stays, in a batch with this horizon.
    fn keep(&self, horizon: Option<Timestamp>, record: &RawRecord<'_>) -> bool {
        if record.offset >= self.map_end {
            return true;
        }
        let Some(key) = record.key else {
            return false;
        };
        let is_last = self.map.get(key).is_none_or(|last| record.offset >= last);
        let is_needed = record.has_value || horizon.is_none_or(|horizon| self.now < horizon);
        is_last && is_needed
    }
}

/// Decides record by record; the answers go to `keeps`.
fn judge(
    header: &BatchHeader,
    records: &[u8],
    keep: impl Fn(&RawRecord<'_>) -> bool,
    keeps: &mut Vec<bool>,
) -> Result<Findings, BatchError> {
    let mut findings = Findings {
        records: header.records_count,
        kept: 0,
        has_tombstone: false,
        first_timestamp: Timestamp::NONE,
        max_timestamp: Timestamp::NONE,
    };
    keeps.clear();
    let mut next = header.base_offset;
    for record in RawRecords::new(header, records) {
        let record = record?;
        if record.offset < next {
            return Err(BatchError::Count);
        }
        next = record.offset.plus(1);
        let stays = keep(&record);
        keeps.push(stays);
        if !stays {
            continue;
        }
        if findings.kept == 0 {
            findings.first_timestamp = record.timestamp;
        }
        findings.kept += 1;
        findings.has_tombstone |= !record.has_value;
        findings.max_timestamp = findings.max_timestamp.max(record.timestamp);
    }
    assert!(
        findings.kept <= findings.records,
        "only records there are stay"
    );
    Ok(findings)
}

/// The records that stay of a batch.
struct Kept<'a> {
    records: &'a [u8],
    keeps: &'a [bool],
    findings: Findings,
    horizon: Option<Timestamp>,
}

impl Kept<'_> {
    fn write(
        &self,
        before: &BatchHeader,
        rebuilt: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<BatchInfo, BatchError> {
        let codec = codec_of(before)?;
        let start = out.len();
        out.resize(start + BATCH_HEADER_BYTES, 0);
        let base_timestamp = self.horizon.unwrap_or(self.findings.first_timestamp);
        if codec == Compression::None {
            self.write_records(before, base_timestamp, out)?;
        } else {
            self.write_records(before, base_timestamp, rebuilt)?;
            compress(codec, rebuilt, out);
        }
        let is_stamped = before.attributes.timestamp_type() == TimestampType::LogAppendTime;
        let mut header = BatchHeader {
            attributes: before
                .attributes
                .with_delete_horizon(self.horizon.is_some()),
            base_timestamp,
            max_timestamp: if is_stamped {
                before.max_timestamp
            } else {
                self.findings.max_timestamp
            },
            records_count: self.findings.kept,
            ..*before
        };
        seal(&mut header, &mut out[start..]);
        Ok(info_of(&header))
    }

    fn write_records(
        &self,
        before: &BatchHeader,
        base_timestamp: Timestamp,
        buffer: &mut Vec<u8>,
    ) -> Result<(), BatchError> {
        // A delta against the time of the append means nothing, and Kafka writes it as one.
        let is_same = base_timestamp == before.base_timestamp
            && before.attributes.timestamp_type() == TimestampType::CreateTime;
        let records = RawRecords::new(before, self.records).zip(self.keeps);
        for (record, _stays) in records.filter(|(_record, stays)| **stays) {
            let record = record?;
            if is_same {
                record.copy_to(buffer);
            } else {
                record.write_to(base_timestamp, buffer);
            }
        }
        Ok(())
    }
}

/// Appends a batch of which nothing is left but what its header says.
fn write_empty(before: &BatchHeader, out: &mut Vec<u8>) -> BatchInfo {
    let attributes = before.attributes.with_delete_horizon(false);
    let mut header = BatchHeader {
        attributes: attributes.with_compression(Compression::None),
        base_timestamp: Timestamp::NONE,
        records_count: 0,
        ..*before
    };
    let start = out.len();
    out.resize(start + BATCH_HEADER_BYTES, 0);
    seal(&mut header, &mut out[start..]);
    info_of(&header)
}

/// When the tombstones, or the marker, of a batch may go; `None` before a round saw them last.
fn horizon_of(header: &BatchHeader) -> Option<Timestamp> {
    let has_horizon = header.attributes.has_delete_horizon();
    has_horizon.then_some(header.base_timestamp)
}

/// The kind of a control batch's record; `None` where it is empty.
fn marker_of(header: &BatchHeader, records: &[u8]) -> Result<Option<Marker>, BatchError> {
    let first = RawRecords::new(header, records).next().transpose()?;
    Ok(first.map(|record| Marker::of_key(record.key)))
}

fn codec_of(header: &BatchHeader) -> Result<Compression, BatchError> {
    let codec = header.attributes.compression();
    codec.ok_or(BatchError::UnsupportedCompression)
}

fn info_of(header: &BatchHeader) -> BatchInfo {
    BatchInfo::of(header).expect("a batch of a log, or one made of it")
}

/// The records of a batch, decompressed.
fn open<'a>(
    batch: &'a [u8],
    header: &BatchHeader,
    opened: &'a mut Vec<u8>,
) -> Result<&'a [u8], BatchError> {
    let records = batch.get(BATCH_HEADER_BYTES..).ok_or(BatchError::Length)?;
    let codec = codec_of(header)?;
    if codec == Compression::None || header.records_count == 0 {
        return Ok(records);
    }
    *opened = decompress(codec, records, decompressed_bytes_max(records.len()))
        .map_err(|_error| BatchError::Record)?;
    Ok(opened)
}
