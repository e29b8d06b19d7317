//! Batches of the metadata log.

use bytes::Bytes;

use crate::metadata::control::ControlRecord;
use crate::metadata::records::MetadataRecord;
use crate::time::Timestamp;
use crate::wire::batch::Compression;
use crate::wire::builder::BatchBuilder;

/// One batch of metadata records.
pub(super) fn of_metadata(timestamp: Timestamp, records: &[MetadataRecord]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        builder.push(timestamp, None, Some(&record.encode()));
    }
    builder.build()
}

/// One batch of control records.
pub(super) fn of_control(timestamp: Timestamp, records: &[ControlRecord]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).control();
    for record in records {
        let (key, value) = record.encode();
        builder.push(timestamp, Some(&key), Some(&value));
    }
    builder.build()
}
