//! Features: what this version supports (KIP-584).
//!
//! Clients change their behaviour by finalized features (K6), so none is supported before what it
//! promises is built. What a new cluster finalizes is in `crate::quorum::format`.

use std::sync::Arc;

use crate::metadata::image;
use crate::metadata::records::FeatureData;
use crate::quorum::format::{KRAFT_VERSION, METADATA_VERSION};

/// The features that this node supports, for its registrations and for ApiVersions.
#[must_use]
pub fn supported() -> Vec<FeatureData> {
    let feature = |name: &str, lowest, highest| FeatureData {
        name: Arc::from(name),
        min_supported_version: lowest,
        max_supported_version: highest,
    };
    vec![
        feature("kraft.version", 0, KRAFT_VERSION),
        feature(image::METADATA_VERSION, METADATA_VERSION, METADATA_VERSION),
    ]
}
