//! DescribeClientQuotas and AlterClientQuotas (KIP-546).
//!
//! Here, at the edge of the wire, numbers become the bits that the metadata keeps and back.

use std::sync::Arc;

use kafka_wire::alter_client_quotas_response as alter_response;
use kafka_wire::describe_client_quotas_request::ComponentData;
use kafka_wire::describe_client_quotas_response as describe_response;
use kafka_wire::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::client_quotas::{
    Match, QuotaChange, QuotaResult, alter_quotas, describe as find,
};
use crate::controller::{Decision, Refusal};
use crate::error::ErrorCode;
use crate::metadata::codec::Double;
use crate::metadata::image::{Image, QuotaEntity, QuotaLimits};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Longest wait for a change: the request carries no timeout of its own.
const TIMEOUT_MS: i32 = 30_000;

/// Changes the limits of entities, each by itself.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &AlterClientQuotasRequest,
    out: &mut Outbox,
) -> Handled {
    let changes: Vec<QuotaChange> = request.entries.iter().map(change).collect();
    let Decision { records, results } = alter_quotas(&Ground::of(broker).scene(), &changes);
    let answer = |failure: Option<ErrorCode>| altered(&results, failure);
    if request.validate_only {
        return Handled::Reply(answer(None));
    }
    propose(broker, now, from, (records, TIMEOUT_MS), answer, out)
}

fn change(entry: &kafka_wire::alter_client_quotas_request::EntryData) -> QuotaChange {
    let text = |text: &StrBytes| Arc::from(text.as_str());
    QuotaChange {
        entity: entry
            .entity
            .iter()
            .map(|part| (text(&part.entity_type), part.entity_name.as_ref().map(text)))
            .collect(),
        limits: entry
            .ops
            .iter()
            .map(|op| {
                let limit = (!op.remove).then_some(Double(op.value.to_bits()));
                (text(&op.key), limit)
            })
            .collect(),
    }
}

fn altered(results: &[QuotaResult], failure: Option<ErrorCode>) -> Reply {
    let mut response = AlterClientQuotasResponse::default();
    response.entries = results
        .iter()
        .map(|result| {
            let (code, message) = match (&result.outcome, failure) {
                (Ok(()), None) => (ErrorCode::None, None),
                (Ok(()), Some(code)) => (code, None),
                (Err(refusal), _) => (refusal.code, refusal.message.as_deref()),
            };
            let mut told = alter_response::EntryData::default();
            told.error_code = code.code();
            told.error_message = message.map(StrBytes::from);
            told.entity = result
                .entity
                .iter()
                .map(|(kind, name)| {
                    let mut part = alter_response::EntityData::default();
                    part.entity_type = StrBytes::from(&**kind);
                    part.entity_name = name.as_deref().map(StrBytes::from);
                    part
                })
                .collect();
            told
        })
        .collect();
    Reply::AlterClientQuotas(response)
}

/// Answers a DescribeClientQuotas.
pub(super) fn describe(
    image: &Image,
    request: &DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let mut response = DescribeClientQuotasResponse::default();
    // Empty, not null, where all is well: as Kafka.
    response.error_message = Some(StrBytes::default());
    let filter: Result<Vec<(Arc<str>, Match)>, Refusal> =
        request.components.iter().map(component).collect();
    let found = filter.and_then(|filter| find(image, &filter, request.strict));
    match found {
        Ok(found) => {
            let entries = found
                .into_iter()
                .map(|(entity, limits)| told(entity, limits));
            response.entries = Some(entries.collect());
        }
        Err(refusal) => {
            response.entries = None;
            response.error_code = refusal.code.code();
            response.error_message = refusal.message.as_deref().map(StrBytes::from);
        }
    }
    response
}

fn component(component: &ComponentData) -> Result<(Arc<str>, Match), Refusal> {
    let kind: Arc<str> = Arc::from(component.entity_type.as_str());
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let matching = match (component.match_type, &component.match_) {
        (0, Some(name)) => Match::Exact(Arc::from(name.as_str())),
        (0, None) => {
            return refuse("An exact match needs something to match.".to_owned());
        }
        (1, None) => Match::Default,
        (2, None) => Match::Specified,
        (1 | 2, Some(_)) => {
            return refuse("This kind of match takes nothing to match.".to_owned());
        }
        (unknown, _) => return refuse(format!("Unknown match type {unknown}")),
    };
    Ok((kind, matching))
}

fn told(entity: &QuotaEntity, limits: &QuotaLimits) -> describe_response::EntryData {
    let mut told = describe_response::EntryData::default();
    told.entity = entity
        .iter()
        .map(|(kind, name)| {
            let mut part = describe_response::EntityData::default();
            part.entity_type = StrBytes::from(&**kind);
            part.entity_name = name.as_deref().map(StrBytes::from);
            part
        })
        .collect();
    told.values = limits
        .iter()
        .map(|(key, limit)| {
            let mut value = describe_response::ValueData::default();
            value.key = StrBytes::from(&**key);
            value.value = limit.value();
            value
        })
        .collect();
    told
}
