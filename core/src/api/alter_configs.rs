//! IncrementalAlterConfigs and the older AlterConfigs, decided by the controller (K117, KIP-339).
//!
//! Each resource is changed or refused by itself. These requests carry no timeout of their own.

use kafka_wire::alter_configs_response as legacy_response;
use kafka_wire::incremental_alter_configs_response as incremental_response;
use kafka_wire::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::Decision;
use crate::controller::configs::{
    ConfigChange, ConfigOperation, ConfigResult, alter_incrementally, alter_legacy,
};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Longest wait for a change that names no time itself: `request.timeout.ms` of a client is 30 s by
/// default, and an answer after that is of no use.
const TIMEOUT_MS: i32 = 30_000;

/// Changes single values of resources.
pub fn handle_incremental(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &IncrementalAlterConfigsRequest,
    out: &mut Outbox,
) -> Handled {
    let changes: Vec<ConfigChange> = request
        .resources
        .iter()
        .map(|resource| ConfigChange {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.to_string(),
            changes: resource
                .configs
                .iter()
                .map(|config| {
                    let operation = ConfigOperation::from_code(config.config_operation);
                    let value = config.value.as_ref().map(ToString::to_string);
                    (config.name.to_string(), operation, value)
                })
                .collect(),
        })
        .collect();
    let decision = alter_incrementally(&Ground::of(broker).scene(), &changes);
    let change = (decision, request.validate_only);
    finish(broker, now, from, change, incremental_answer, out)
}

/// Replaces all values of resources.
pub fn handle_legacy(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &AlterConfigsRequest,
    out: &mut Outbox,
) -> Handled {
    let changes: Vec<ConfigChange> = request
        .resources
        .iter()
        .map(|resource| ConfigChange {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.to_string(),
            changes: resource
                .configs
                .iter()
                .map(|config| {
                    let value = config.value.as_ref().map(ToString::to_string);
                    (config.name.to_string(), Some(ConfigOperation::Set), value)
                })
                .collect(),
        })
        .collect();
    let decision = alter_legacy(&Ground::of(broker).scene(), &changes);
    let change = (decision, request.validate_only);
    finish(broker, now, from, change, legacy_answer, out)
}

fn finish(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    (decision, validate_only): (Decision<ConfigResult>, bool),
    answer: impl Fn(&[ConfigResult], Option<ErrorCode>) -> Reply,
    out: &mut Outbox,
) -> Handled {
    let answer = |failure| answer(&decision.results, failure);
    if validate_only {
        return Handled::Reply(answer(None));
    }
    propose(
        broker,
        now,
        from,
        (decision.records, TIMEOUT_MS),
        answer,
        out,
    )
}

fn incremental_answer(results: &[ConfigResult], failure: Option<ErrorCode>) -> Reply {
    let mut response = IncrementalAlterConfigsResponse::default();
    response.responses = results
        .iter()
        .map(|result| {
            let (code, message) = outcome(result, failure);
            let mut told = incremental_response::AlterConfigsResourceResponse::default();
            told.error_code = code.code();
            told.error_message = message;
            told.resource_type = result.resource_type;
            told.resource_name = StrBytes::from(result.resource_name.as_str());
            told
        })
        .collect();
    Reply::IncrementalAlterConfigs(response)
}

fn legacy_answer(results: &[ConfigResult], failure: Option<ErrorCode>) -> Reply {
    let mut response = AlterConfigsResponse::default();
    response.responses = results
        .iter()
        .map(|result| {
            let (code, message) = outcome(result, failure);
            let mut told = legacy_response::AlterConfigsResourceResponse::default();
            told.error_code = code.code();
            told.error_message = message;
            told.resource_type = result.resource_type;
            told.resource_name = StrBytes::from(result.resource_name.as_str());
            told
        })
        .collect();
    Reply::AlterConfigs(response)
}

fn outcome(result: &ConfigResult, failure: Option<ErrorCode>) -> (ErrorCode, Option<StrBytes>) {
    match (&result.outcome, failure) {
        (Ok(()), None) => (ErrorCode::None, None),
        (Ok(()), Some(code)) => (code, None),
        (Err(refusal), _) => (refusal.code, refusal.message.as_deref().map(StrBytes::from)),
    }
}
