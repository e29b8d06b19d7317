//! Features: what this version supports, and how their levels change (KIP-584).
//!
//! Clients change their behaviour by finalized features (K6), so none is supported before what it
//! promises is built. What a new cluster finalizes is in `crate::quorum::format`.

use std::sync::Arc;

use super::Refusal;
use crate::error::ErrorCode;
use crate::metadata::image::{self, Image};
use crate::metadata::records::{FeatureData, FeatureLevelRecord, MetadataRecord};
use crate::quorum::format::{KRAFT_VERSION, METADATA_VERSION};

/// The feature that the quorum itself keeps.
const KRAFT: &str = "kraft.version";

/// The features that this node supports, for its registrations and for ApiVersions.
#[must_use]
pub fn supported() -> Vec<FeatureData> {
    let feature = |name: &str, lowest, highest| FeatureData {
        name: Arc::from(name),
        min_supported_version: lowest,
        max_supported_version: highest,
    };
    vec![
        feature(KRAFT, 0, KRAFT_VERSION),
        feature(image::METADATA_VERSION, METADATA_VERSION, METADATA_VERSION),
    ]
}

/// An update of one feature, as UpdateFeatures names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeatureUpdate {
    /// The feature.
    pub name: String,
    /// The version it shall have; 0 turns it off.
    pub level: i16,
    /// 1 raises it, 2 lowers it safely, 3 lowers it at any price.
    pub upgrade_type: i8,
}

/// Updates features, all or none: what is decided is a record for each level that changes.
///
/// Kafka method to compare: `FeatureControlManager.updateFeatures`.
///
/// # Errors
/// Of the first feature, in the order of the request, whose update is not possible.
pub fn update(image: &Image, updates: &[FeatureUpdate]) -> Result<Vec<MetadataRecord>, Refusal> {
    let mut records = Vec::new();
    for update in updates {
        if let Err(reason) = check_update(image, update) {
            let (name, level) = (&update.name, update.level);
            return Err(Refusal::new(
                ErrorCode::InvalidUpdateVersion,
                format!(
                    "The update failed for all features since the following feature had an error: \
                     Invalid update version {level} for feature {name}. {reason}"
                ),
            ));
        }
        if update.level != present_level(image, &update.name) {
            let record = FeatureLevelRecord {
                name: Arc::from(update.name.as_str()),
                feature_level: update.level,
            };
            records.push(record.into());
        }
    }
    Ok(records)
}

/// The quorum keeps its own version; the others are the image's.
fn present_level(image: &Image, name: &str) -> i16 {
    match name {
        KRAFT => KRAFT_VERSION,
        other => image.feature(other),
    }
}

fn check_update(image: &Image, update: &FeatureUpdate) -> Result<(), String> {
    const RAISE: i8 = 1;
    let (name, level) = (&update.name, update.level);
    if !(1..=3).contains(&update.upgrade_type) {
        return Err("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return Err("A feature version cannot be less than 0.".to_owned());
    }
    let known = supported();
    let Some(range) = known.iter().find(|range| *range.name == **name) else {
        return Err(format!("Local controller does not support feature {name}"));
    };
    let (lowest, highest) = (range.min_supported_version, range.max_supported_version);
    if level != 0 && !(lowest..=highest).contains(&level) || level == 0 && lowest > 0 {
        return Err(format!(
            "Local controller only supports versions {lowest}-{highest}"
        ));
    }
    let present = present_level(image, name);
    if level < present && update.upgrade_type == RAISE {
        return Err(
            "Can't downgrade the version of this feature without setting the upgrade type to \
             either safe or unsafe downgrade."
                .to_owned(),
        );
    }
    if level > present && update.upgrade_type != RAISE {
        return Err("Can't downgrade to a newer version.".to_owned());
    }
    if level < present && name == KRAFT {
        return Err("The version of the quorum cannot be lowered.".to_owned());
    }
    Ok(())
}
