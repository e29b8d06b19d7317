//! OffsetFetch: where groups go on (K79).
//!
//! Before version 8 a request asks for one group; it is put into the form of several and back.

use kafka_wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_wire::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_wire::{OffsetFetchRequest, OffsetFetchResponse};
use kafka_wire_core::StrBytes;

use super::Requester;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::limits::OFFSETS_FETCHED_MAX;
use crate::node::Broker;
use crate::wire::request::Reply;

/// First version with an error of the whole group.
const GROUP_ERROR_VERSION: i16 = 2;

/// First version that asks for several groups.
const SEVERAL_GROUPS_VERSION: i16 = 8;

/// Answers what is committed.
pub fn handle(broker: &Broker, from: &Requester, request: &OffsetFetchRequest) -> Reply {
    let version = from.version();
    let mut response = OffsetFetchResponse::default();
    if version >= SEVERAL_GROUPS_VERSION {
        let mut left = OFFSETS_FETCHED_MAX;
        for group in &request.groups {
            let told = match left {
                0 => refusal(group, ErrorCode::InvalidRequest),
                _some => fetch(broker, version, group),
            };
            let offsets: usize = told.topics.iter().map(|t| t.partitions.len()).sum();
            left = left.saturating_sub(offsets);
            response.groups.push(told);
        }
    } else {
        let told = fetch(broker, version, &as_group(request));
        response.error_code = told.error_code;
        response.topics = told.topics.into_iter().map(topic_of_one).collect();
    }
    Reply::OffsetFetch(response)
}

fn fetch(
    broker: &Broker,
    version: i16,
    group: &OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let shard = broker.groups.shard_of(&group.group_id);
    let mut told = shard.offset_fetch(group, version, &broker.image);
    if version < GROUP_ERROR_VERSION && told.error_code != ErrorCode::None.code() {
        told.topics = failed_topics(group, told.error_code);
    }
    told
}

fn refusal(group: &OffsetFetchRequestGroup, code: ErrorCode) -> OffsetFetchResponseGroup {
    let mut told = OffsetFetchResponseGroup::default();
    told.group_id = group.group_id.clone();
    told.error_code = code.code();
    told
}

/// The error at every partition, for those who know no other place.
fn failed_topics(group: &OffsetFetchRequestGroup, code: i16) -> Vec<OffsetFetchResponseTopics> {
    let topics = group.topics.iter().flatten();
    let told = topics.map(|topic| {
        let mut told = OffsetFetchResponseTopics::default();
        told.name = topic.name.clone();
        for index in &topic.partition_indexes {
            let mut partition = OffsetFetchResponsePartitions::default();
            partition.partition_index = *index;
            partition.committed_offset = Offset::NONE.0;
            partition.committed_leader_epoch = -1;
            partition.metadata = Some(StrBytes::default());
            partition.error_code = code;
            told.partitions.push(partition);
        }
        told
    });
    told.collect()
}

fn as_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let mut group = OffsetFetchRequestGroup::default();
    group.group_id = request.group_id.clone();
    group.topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            let mut asked = OffsetFetchRequestTopics::default();
            asked.name = topic.name.clone();
            asked.partition_indexes = topic.partition_indexes.clone();
            asked
        });
        topics.collect()
    });
    group
}

fn topic_of_one(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let mut told = OffsetFetchResponseTopic::default();
    told.name = topic.name;
    let partitions = topic.partitions.into_iter().map(|partition| {
        let mut told = OffsetFetchResponsePartition::default();
        told.partition_index = partition.partition_index;
        told.committed_offset = partition.committed_offset;
        told.committed_leader_epoch = partition.committed_leader_epoch;
        told.metadata = partition.metadata;
        told.error_code = partition.error_code;
        told
    });
    told.partitions = partitions.collect();
    told
}
