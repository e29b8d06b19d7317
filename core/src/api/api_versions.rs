//! ApiVersions: what the broker speaks, and which features the cluster has agreed on.
//!
//! K3 (a version too new) is answered by the connection, before a request exists. K4-K7; KIP-482,
//! KIP-511, KIP-584. Checked against Apache Kafka 4.3.1.

use kafka_wire::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_wire::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::metadata::records::FeatureData;
use crate::wire::api_table::SERVED;

/// First version whose request says what the client is (KIP-511).
const IDENTITY_VERSION: i16 = 3;

/// First version whose answer may hold a feature that begins at level 0; clients before it fail on
/// one (K5, KAFKA-17011).
const LEVEL_ZERO_VERSION: i16 = 4;

/// What is agreed on in the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Features<'a> {
    /// What this broker supports.
    pub supported: &'a [FeatureData],
    /// The levels in force; a feature at level 0 is not there.
    pub finalized: Vec<(&'a str, i16)>,
    /// The metadata offset they were read at.
    pub offset: Offset,
}

/// Answers an ApiVersions request of `version`.
#[must_use]
pub fn answer(
    features: &Features<'_>,
    version: i16,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    let mut response = ApiVersionsResponse::default();
    let is_identified =
        is_word(&request.client_software_name) && is_word(&request.client_software_version);
    if version >= IDENTITY_VERSION && !is_identified {
        response.error_code = ErrorCode::InvalidRequest.code();
        return response;
    }
    response.api_keys = SERVED
        .iter()
        .map(|api| {
            let mut told = ApiVersion::default();
            told.api_key = api.key;
            told.min_version = api.advertised_min();
            told.max_version = api.version_last;
            told
        })
        .collect();
    if version < IDENTITY_VERSION {
        return response;
    }
    let may_tell = |f: &&FeatureData| version >= LEVEL_ZERO_VERSION || f.min_supported_version > 0;
    response.supported_features = features
        .supported
        .iter()
        .filter(may_tell)
        .map(|feature| {
            let mut told = SupportedFeatureKey::default();
            told.name = StrBytes::from(&*feature.name);
            told.min_version = feature.min_supported_version;
            told.max_version = feature.max_supported_version;
            told
        })
        .collect();
    response.finalized_features_epoch = features.offset.0;
    response.finalized_features = features
        .finalized
        .iter()
        .map(|&(name, level)| {
            let mut told = FinalizedFeatureKey::default();
            told.name = StrBytes::from(name);
            told.min_version_level = level;
            told.max_version_level = level;
            told
        })
        .collect();
    response
}

/// Letters and digits, with dots and hyphens between them (K4).
fn is_word(text: &str) -> bool {
    let is_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    is_end(text.bytes().next()) && is_end(text.bytes().last()) && text.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_is_a_word() {
        for good in ["a", "a.b-c", "1-x.2", "kafka-python"] {
            assert!(is_word(good), "{good}");
        }
        for bad in ["", "-a", "a.", "bad name", "a/b", "\u{e4}"] {
            assert!(!is_word(bad), "{bad}");
        }
    }
}
