//! UpdateFeatures: levels of features are raised or lowered (KIP-584, KIP-778).

use kafka_wire::update_features_response::UpdatableFeatureResult;
use kafka_wire::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use kafka_wire_core::StrBytes;

use super::change::propose;
use super::{Handled, Requester};
use crate::controller::Refusal;
use crate::controller::features::{FeatureUpdate, update};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Last version whose answer names each feature that was updated.
const NAMING_VERSION: i16 = 1;

/// Updates features, all or none.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &UpdateFeaturesRequest,
    out: &mut Outbox,
) -> Handled {
    let updates: Vec<FeatureUpdate> = request
        .feature_updates
        .iter()
        .map(|update| FeatureUpdate {
            name: update.feature.to_string(),
            level: update.max_version_level,
            upgrade_type: update.upgrade_type,
        })
        .collect();
    let names = if from.version() <= NAMING_VERSION {
        request
            .feature_updates
            .iter()
            .map(|u| u.feature.clone())
            .collect()
    } else {
        Vec::new()
    };
    let records = match update(&broker.controller_image, &updates) {
        Ok(records) => records,
        Err(refusal) => return Handled::Reply(refused(&refusal)),
    };
    let answer = |failure: Option<ErrorCode>| match failure {
        None => updated(&names),
        Some(code) => refused(&Refusal::bare(code)),
    };
    if request.validate_only {
        return Handled::Reply(answer(None));
    }
    let change = (records, request.timeout_ms);
    propose(broker, now, from, change, answer, out)
}

fn updated(names: &[StrBytes]) -> Reply {
    let mut response = UpdateFeaturesResponse::default();
    response.error_message = None;
    response.results = names
        .iter()
        .map(|name| {
            let mut result = UpdatableFeatureResult::default();
            result.feature = name.clone();
            // What Kafka says of what went well.
            result.error_message = Some(StrBytes::from("NONE"));
            result
        })
        .collect();
    Reply::UpdateFeatures(response)
}

fn refused(refusal: &Refusal) -> Reply {
    let mut response = UpdateFeaturesResponse::default();
    response.error_code = refusal.code.code();
    response.error_message = refusal.message.as_deref().map(StrBytes::from);
    Reply::UpdateFeatures(response)
}
