//! Batches of the metadata log and of snapshots.

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset};
use crate::metadata::control::ControlRecord;
use crate::metadata::records::MetadataRecord;
use crate::time::Timestamp;
use crate::wire::batch::Compression;
use crate::wire::builder::BatchBuilder;

/// One batch of metadata records.
pub(super) fn of_metadata(timestamp: Timestamp, records: &[MetadataRecord]) -> Bytes {
    push_metadata(BatchBuilder::new(Compression::None), timestamp, records)
}

/// One batch of control records.
pub(super) fn of_control(timestamp: Timestamp, records: &[ControlRecord]) -> Bytes {
    push_control(BatchBuilder::new(Compression::None), timestamp, records)
}

/// A batch of metadata records at its place in a snapshot, whose batches are of epoch 0.
pub(super) fn metadata_at(base: Offset, timestamp: Timestamp, records: &[MetadataRecord]) -> Bytes {
    let builder = BatchBuilder::new(Compression::None).at(base, LeaderEpoch(0));
    push_metadata(builder, timestamp, records)
}

/// A batch of control records at its place in a snapshot.
pub(super) fn control_at(base: Offset, timestamp: Timestamp, records: &[ControlRecord]) -> Bytes {
    let builder = BatchBuilder::new(Compression::None).at(base, LeaderEpoch(0));
    push_control(builder, timestamp, records)
}

fn push_metadata(
    mut builder: BatchBuilder,
    timestamp: Timestamp,
    records: &[MetadataRecord],
) -> Bytes {
    for record in records {
        builder.push(timestamp, None, Some(&record.encode()));
    }
    builder.build()
}

fn push_control(builder: BatchBuilder, timestamp: Timestamp, records: &[ControlRecord]) -> Bytes {
    let mut builder = builder.control();
    for record in records {
        let (key, value) = record.encode();
        builder.push(timestamp, Some(&key), Some(&value));
    }
    builder.build()
}
