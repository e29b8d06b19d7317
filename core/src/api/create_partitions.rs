//! CreatePartitions: more partitions for topics; never fewer (K25).

use kafka_wire::create_partitions_request::CreatePartitionsTopic;
use kafka_wire::create_partitions_response::CreatePartitionsTopicResult;
use kafka_wire::{CreatePartitionsRequest, CreatePartitionsResponse};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::Decision;
use crate::controller::topics::{GrowthResult, PartitionGrowth, create_partitions};
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// First version that is refused what is too much; older ones wait for it afterwards (KIP-599).
const STRICT_VERSION: i16 = 3;

/// Adds partitions to the topics of a request, or tells whether they could be added.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &CreatePartitionsRequest,
    out: &mut Outbox,
) -> Handled {
    let topics: Vec<PartitionGrowth> = request.topics.iter().map(growth).collect();
    let is_strict = from.version() >= STRICT_VERSION;
    let mut allowance = broker.throttle.allowance(now, from.reply_to, is_strict);
    let ground = Ground::of(broker);
    let Decision { records, results } =
        create_partitions(&ground.scene(), &mut broker.rng, &mut allowance, &topics);
    drop(ground);
    broker.throttle.on_changed(now, from.reply_to, allowance);
    let answer = |failure: Option<ErrorCode>| Reply::CreatePartitions(response(&results, failure));
    if request.validate_only {
        return Handled::Reply(answer(None));
    }
    let change = (records, request.timeout_ms);
    propose(broker, now, from, change, answer, out)
}

fn growth(asked: &CreatePartitionsTopic) -> PartitionGrowth {
    let brokers = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
    PartitionGrowth {
        name: asked.name.to_string(),
        count: asked.count,
        assignments: asked.assignments.as_ref().map(|assignments| {
            let assigned = assignments.iter().map(|a| brokers(&a.broker_ids));
            assigned.collect()
        }),
    }
}

fn response(results: &[GrowthResult], failure: Option<ErrorCode>) -> CreatePartitionsResponse {
    let mut response = CreatePartitionsResponse::default();
    response.results = results
        .iter()
        .map(|result| {
            let mut told = CreatePartitionsTopicResult::default();
            told.name = StrBytes::from(result.name.as_str());
            let (code, message) = match (&result.outcome, failure) {
                (Ok(()), None) => (ErrorCode::None, None),
                (Ok(()), Some(code)) => (code, None),
                (Err(refusal), _) => (refusal.code, refusal.message.as_deref()),
            };
            told.error_code = code.code();
            told.error_message = message.map(StrBytes::from);
            told
        })
        .collect();
    response
}
