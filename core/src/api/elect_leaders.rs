//! ElectLeaders: preferred or unclean elections on request (KIP-183, KIP-460).

use std::sync::Arc;

use kafka_wire::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_wire::{ElectLeadersRequest, ElectLeadersResponse};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::leader_election::{Election, ElectionResult, elect_leaders};
use crate::controller::{Decision, Refusal};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicName};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Elects the leaders that a request asks for.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &ElectLeadersRequest,
    out: &mut Outbox,
) -> Handled {
    let asked: Option<Vec<(TopicName, Vec<PartitionIndex>)>> =
        request.topic_partitions.as_ref().map(|topics| {
            let topic = |topic: &kafka_wire::elect_leaders_request::TopicPartitions| {
                let indexes = topic.partitions.iter().copied().map(PartitionIndex);
                (Arc::from(topic.topic.as_str()), indexes.collect())
            };
            topics.iter().map(topic).collect()
        });
    let Some(election) = Election::from_code(request.election_type) else {
        return Handled::Reply(refused(asked.unwrap_or_default(), request.election_type));
    };
    let decision = elect_leaders(&Ground::of(broker).scene(), election, asked.as_deref());
    let Decision { records, results } = decision;
    let answer = |failure: Option<ErrorCode>| Reply::ElectLeaders(response(&results, failure));
    let change = (records, request.timeout_ms);
    propose(broker, now, from, change, answer, out)
}

/// Every partition refused, because there is no such election.
fn refused(asked: Vec<(TopicName, Vec<PartitionIndex>)>, election: i8) -> Reply {
    let text = format!("Unknown election type {election}");
    let refusal = Refusal::new(ErrorCode::InvalidRequest, text);
    let results: Vec<ElectionResult> = asked
        .into_iter()
        .map(|(topic, indexes)| ElectionResult {
            topic,
            partitions: indexes
                .into_iter()
                .map(|index| (index, Err(refusal.clone())))
                .collect(),
        })
        .collect();
    let mut response = response(&results, None);
    if !results.is_empty() {
        response.error_code = ErrorCode::InvalidRequest.code();
    }
    Reply::ElectLeaders(response)
}

fn response(results: &[ElectionResult], failure: Option<ErrorCode>) -> ElectLeadersResponse {
    let mut response = ElectLeadersResponse::default();
    response.replica_election_results = results
        .iter()
        .map(|topic| {
            let mut told = ReplicaElectionResult::default();
            told.topic = StrBytes::from(&*topic.topic);
            told.partition_result = topic
                .partitions
                .iter()
                .map(|(index, outcome)| {
                    let (code, message) = match (outcome, failure) {
                        (Ok(()), None) => (ErrorCode::None, None),
                        (Ok(()), Some(code)) => (code, None),
                        (Err(refusal), _) => (refusal.code, refusal.message.as_deref()),
                    };
                    let mut told = PartitionResult::default();
                    told.partition_id = index.0;
                    told.error_code = code.code();
                    told.error_message = message.map(StrBytes::from);
                    told
                })
                .collect();
            told
        })
        .collect();
    response
}
