//! Fetched batches of one partition, on their way to records.
//!
//! Skips what lies before the position, control batches, and, for a reader of committed records,
//! what aborted transactions wrote (KIP-98): a transaction's batches are dropped from its first
//! offset, which the Fetch named, to its abort marker.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerId};
use crate::wire::batch::{BatchError, BatchHeader, PreparedBatch, TimestampType};
use crate::wire::records::{Batches, Record, Records};

/// What one Fetch brought for a partition.
#[derive(Clone, Debug)]
pub(super) struct Buffered {
    batches: Batches,
    checks_crcs: bool,
    /// Aborted transactions not met yet, by first offset; `None` for readers of all records.
    aborted: Option<VecDeque<(Offset, ProducerId)>>,
    /// Producers in the middle of an aborted transaction.
    aborting: BTreeSet<ProducerId>,
}

/// One batch's worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opened {
    /// The records at or after the position; may be none.
    pub(super) records: Vec<Record>,
    /// The position after the batch.
    pub(super) next_offset: Offset,
    /// The epoch of the leader that wrote it.
    pub(super) leader_epoch: LeaderEpoch,
    /// What its times are.
    pub(super) timestamp_type: TimestampType,
}

impl Buffered {
    pub(super) fn new(
        records: Bytes,
        checks_crcs: bool,
        aborted: Option<Vec<(Offset, ProducerId)>>,
    ) -> Self {
        let aborted = aborted.map(|mut list| {
            list.sort_unstable();
            VecDeque::from(list)
        });
        Self {
            batches: Batches::new(records),
            checks_crcs,
            aborted,
            aborting: BTreeSet::new(),
        }
    }

    /// Bytes not opened yet.
    pub(super) fn remaining(&self) -> usize {
        self.batches.remaining()
    }

    /// Opens the next batch; `None` at the end.
    pub(super) fn open_next(&mut self, position: Offset) -> Option<Result<Opened, BatchError>> {
        let (header, bytes) = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        Some(self.open(&header, bytes, position))
    }

    fn open(
        &mut self,
        header: &BatchHeader,
        bytes: Bytes,
        position: Offset,
    ) -> Result<Opened, BatchError> {
        if self.checks_crcs {
            PreparedBatch::from_log(bytes.clone())?;
        }
        let mut opened = Opened {
            records: Vec::new(),
            next_offset: header.next_offset().max(position),
            leader_epoch: header.leader_epoch,
            timestamp_type: header.attributes.timestamp_type(),
        };
        if header.next_offset() <= position || self.is_hidden(header, &bytes)? {
            return Ok(opened);
        }
        for record in Records::open(&bytes)? {
            let record = record?;
            if record.offset >= position {
                opened.records.push(record);
            }
        }
        Ok(opened)
    }

    /// Whether a batch is not for readers: markers, and what was aborted.
    fn is_hidden(&mut self, header: &BatchHeader, bytes: &Bytes) -> Result<bool, BatchError> {
        if let Some(aborted) = &mut self.aborted {
            while let Some((first, producer)) = aborted.front().copied()
                && first <= header.last_offset()
            {
                aborted.pop_front();
                self.aborting.insert(producer);
            }
        }
        if header.attributes.is_control() {
            if is_abort_marker(bytes)? {
                self.aborting.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.attributes.is_transactional() && self.aborting.contains(&header.producer_id))
    }
}

/// Whether a control batch is an abort marker: its key is a version and the type 0.
fn is_abort_marker(bytes: &Bytes) -> Result<bool, BatchError> {
    let Some(record) = Records::open(bytes)?.next() else {
        return Ok(false);
    };
    let key = record?.key.unwrap_or_default();
    Ok(key.get(2..4) == Some(&[0, 0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProducerEpoch, Sequence};
    use crate::time::Timestamp;
    use crate::wire::batch::Compression;
    use crate::wire::builder::BatchBuilder;

    fn batch(base: i64, producer: Option<i64>, marker: Option<i16>) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None).at(Offset(base), LeaderEpoch(0));
        if let Some(producer) = producer {
            let id = ProducerId(producer);
            builder = builder
                .producer(id, ProducerEpoch(0), Sequence(0))
                .transactional();
        }
        match marker {
            Some(kind) => {
                builder = builder.control();
                let key = [[0, 0], kind.to_be_bytes()].concat();
                builder.push(Timestamp(1), Some(&key), Some(b""));
            }
            None => {
                builder.push(Timestamp(1), None, Some(b"a"));
                builder.push(Timestamp(1), None, Some(b"b"));
            }
        }
        builder.build()
    }

    fn offsets(mut buffered: Buffered, mut position: Offset) -> Vec<i64> {
        let mut offsets = Vec::new();
        while let Some(opened) = buffered.open_next(position) {
            let opened = opened.unwrap();
            position = opened.next_offset;
            offsets.extend(opened.records.iter().map(|record| record.offset.0));
        }
        assert_eq!(position, Offset(9));
        offsets
    }

    #[test]
    fn aborted_transactions_and_markers_are_skipped() {
        let log = [
            batch(0, Some(1), None),
            batch(2, Some(2), None),
            batch(4, Some(1), Some(0)),
            batch(5, Some(1), None),
            batch(7, Some(1), Some(1)),
            batch(8, Some(2), Some(1)),
        ];
        let log = Bytes::from(log.concat());
        let committed = vec![(Offset(0), ProducerId(1))];
        let buffered = Buffered::new(log.clone(), true, Some(committed));
        assert_eq!(offsets(buffered, Offset(0)), [2, 3, 5, 6]);
        let buffered = Buffered::new(log, true, None);
        assert_eq!(offsets(buffered, Offset(1)), [1, 2, 3, 5, 6]);
    }
}
