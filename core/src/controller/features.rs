//! Features: what this version supports, and what a new cluster finalizes (KIP-584).
//!
//! Clients change their behaviour by finalized features (K6), so none is finalized before what it
//! promises is built.

use std::sync::Arc;

use crate::metadata::image::METADATA_VERSION;
use crate::metadata::records::{
    BeginTransactionRecord, EndTransactionRecord, FeatureData, FeatureLevelRecord, MetadataRecord,
};

/// The number of metadata.version 4.3-IV0, whose records are written.
pub const METADATA_VERSION_LEVEL: i16 = 30;

/// What the highest kraft.version is: voters with directory ids (KIP-853).
pub const KRAFT_VERSION_LEVEL: i16 = 1;

/// The features that this node supports, for its registrations and for ApiVersions.
#[must_use]
pub fn supported() -> Vec<FeatureData> {
    let feature = |name: &str, lowest, highest| FeatureData {
        name: Arc::from(name),
        min_supported_version: lowest,
        max_supported_version: highest,
    };
    vec![
        feature("kraft.version", 0, KRAFT_VERSION_LEVEL),
        feature(
            METADATA_VERSION,
            METADATA_VERSION_LEVEL,
            METADATA_VERSION_LEVEL,
        ),
    ]
}

/// The records that a directory is formatted with: every feature at 0 but the metadata's own.
#[must_use]
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let record = FeatureLevelRecord {
        name: Arc::from(METADATA_VERSION),
        feature_level: METADATA_VERSION_LEVEL,
    };
    vec![record.into()]
}

/// The first records of an empty metadata log: those of the bootstrap file, as one transaction.
#[must_use]
pub fn activation_records(bootstrap: Vec<MetadataRecord>) -> Vec<MetadataRecord> {
    let begin = BeginTransactionRecord {
        name: Some(Arc::from("Bootstrap records")),
    };
    let mut records = vec![begin.into()];
    records.extend(bootstrap);
    records.push(EndTransactionRecord::default().into());
    records
}
