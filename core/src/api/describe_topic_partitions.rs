//! DescribeTopicPartitions: topics with their partitions, page by page (K27, KIP-966).
//!
//! Topics are told in the order of their names, partitions in theirs; a cursor says where the next
//! page begins. Checked against Apache Kafka 4.3.1.

use std::collections::BTreeSet;

use kafka_wire::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_wire::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use kafka_wire_core::StrBytes;

use super::cluster_view::{ClusterView, OPERATIONS_NOT_ASKED, Reporting, TOPIC_OPERATIONS};
use crate::controller::internal_topics::is_internal;
use crate::controller::names::invalid_name;
use crate::error::ErrorCode;
use crate::ids::PartitionIndex;
use crate::metadata::image::TopicImage;

/// Answers a DescribeTopicPartitions request with at most `partitions_max` partitions.
#[must_use]
pub fn answer(
    view: &ClusterView<'_>,
    partitions_max: i32,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let (start, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let tells_all = request.topics.is_empty();
    let names: BTreeSet<&str> = if tells_all {
        let names = view.image.topics().map(|topic| &*topic.name);
        names.filter(|name| *name >= start).collect()
    } else {
        let names = request.topics.iter().map(|topic| topic.name.as_str());
        names.filter(|name| *name >= start).collect()
    };
    let is_lost = !tells_all && request.cursor.is_some() && !names.contains(start);
    if is_lost || first_partition < 0 {
        return refusal(request);
    }
    let limit = request.response_partition_limit.min(partitions_max).max(1);
    let mut room = usize::try_from(limit).expect("at least 1");
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if room == 0 {
            response.next_cursor = Some(cursor(name, PartitionIndex(0)));
            break;
        }
        let Some(topic) = view.image.topic(name) else {
            response.topics.push(missing(name));
            continue;
        };
        let first = if name == start { first_partition } else { 0 };
        let (told, next) = tell(view, topic, PartitionIndex(first), room);
        room -= told.partitions.len();
        response.topics.push(told);
        if let Some(next) = next {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

/// A topic's partitions from `first` on, at most `room` of them, and where the next page begins.
fn tell(
    view: &ClusterView<'_>,
    topic: &TopicImage,
    first: PartitionIndex,
    room: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<PartitionIndex>) {
    let reporting = Reporting {
        filters_replicas: false,
        knows_listeners: true,
    };
    let mut told = DescribeTopicPartitionsResponseTopic::default();
    told.name = Some(StrBytes::from(&*topic.name));
    told.topic_id = topic.id.into();
    told.is_internal = is_internal(&topic.name);
    told.topic_authorized_operations = TOPIC_OPERATIONS;
    let mut rest = topic.indexed().skip_while(|(index, _)| *index < first);
    for (index, partition) in rest.by_ref().take(room) {
        let place = view.place((topic.id, index), partition, reporting);
        let mut part = DescribeTopicPartitionsResponsePartition::default();
        part.error_code = place.error.code();
        part.partition_index = index.0;
        part.leader_id = place.leader.0;
        part.leader_epoch = place.leader_epoch.0;
        part.replica_nodes = place.replicas;
        part.isr_nodes = place.isr;
        let numbers = |nodes: &[crate::ids::NodeId]| Some(nodes.iter().map(|id| id.0).collect());
        part.eligible_leader_replicas = numbers(&partition.eligible_leader_replicas);
        part.last_known_elr = numbers(&partition.last_known_elr);
        part.offline_replicas = place.offline;
        told.partitions.push(part);
    }
    assert!(told.partitions.len() <= room, "a page has an end");
    (told, rest.next().map(|(index, _)| index))
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let code = match invalid_name(name) {
        None => ErrorCode::UnknownTopicOrPartition,
        Some(_) => ErrorCode::InvalidTopicException,
    };
    let mut told = DescribeTopicPartitionsResponseTopic::default();
    told.error_code = code.code();
    told.name = Some(StrBytes::from(name));
    told.is_internal = is_internal(name);
    told.topic_authorized_operations = TOPIC_OPERATIONS;
    told
}

/// The cursor is not at a topic that was asked for, or before its first partition.
fn refusal(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    for topic in &request.topics {
        let mut told = DescribeTopicPartitionsResponseTopic::default();
        told.error_code = ErrorCode::InvalidRequest.code();
        told.name = Some(topic.name.clone());
        told.topic_authorized_operations = OPERATIONS_NOT_ASKED;
        response.topics.push(told);
    }
    response
}

fn cursor(name: &str, index: PartitionIndex) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.topic_name = StrBytes::from(name);
    cursor.partition_index = index.0;
    cursor
}
