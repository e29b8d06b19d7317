//! OffsetCommit: where a group's consumers go on (K78).
//!
//! Answered when the commit is on the disk; the group's shard keeps the request until then.

use kafka_wire::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::{OffsetCommitRequest, OffsetCommitResponse};

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &OffsetCommitRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    let asked = broker.ask_group(now, from, group, out, |shard, caller, image, out| {
        shard.offset_commit(now, caller, request, image, out);
    });
    match asked {
        Ok(()) => Handled::Parked,
        Err(code) => Handled::Reply(Reply::OffsetCommit(refusal(request, code))),
    }
}

/// The same error for every partition.
fn refusal(request: &OffsetCommitRequest, code: ErrorCode) -> OffsetCommitResponse {
    let mut response = OffsetCommitResponse::default();
    for topic in &request.topics {
        let mut told = OffsetCommitResponseTopic::default();
        told.name = topic.name.clone();
        told.topic_id = topic.topic_id;
        for partition in &topic.partitions {
            let mut part = OffsetCommitResponsePartition::default();
            part.partition_index = partition.partition_index;
            part.error_code = code.code();
            told.partitions.push(part);
        }
        response.topics.push(told);
    }
    response
}
