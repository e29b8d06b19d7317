//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455, KIP-860).

use std::sync::Arc;

use kafka_wire::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_wire::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_wire::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use kafka_wire_core::StrBytes;

use super::change::Ground;
use crate::controller::reassignments::{Reassignment, reassign, under_way};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, TopicName};
use crate::node::Broker;

/// Answers an AlterPartitionReassignments. In a cluster of one no answer changes anything.
pub(super) fn alter(
    broker: &Broker,
    request: &AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let ground = Ground::of(broker);
    let may_change_factor = request.allow_replication_factor_change;
    let mut response = AlterPartitionReassignmentsResponse::default();
    response.allow_replication_factor_change = may_change_factor;
    // Kafka leaves the text empty where nothing is asked for, and null otherwise.
    response.error_message = request.topics.is_empty().then(StrBytes::default);
    for topic in &request.topics {
        let mut told = ReassignableTopicResponse::default();
        told.name = topic.name.clone();
        for partition in &topic.partitions {
            let replicas = partition.replicas.as_ref();
            let asked = Reassignment {
                topic: topic.name.as_str(),
                index: PartitionIndex(partition.partition_index),
                replicas: replicas.map(|ids| ids.iter().copied().map(NodeId).collect()),
            };
            let mut result = ReassignablePartitionResponse::default();
            result.partition_index = partition.partition_index;
            result.error_message = None;
            if let Err(refusal) = reassign(&ground.scene(), &asked, may_change_factor) {
                result.error_code = refusal.code.code();
                result.error_message = refusal.message.as_deref().map(StrBytes::from);
            }
            told.partitions.push(result);
        }
        response.responses.push(told);
    }
    response
}

/// Answers a ListPartitionReassignments.
pub(super) fn list(
    broker: &Broker,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let asked: Option<Vec<(TopicName, Vec<PartitionIndex>)>> =
        request.topics.as_ref().map(|topics| {
            let topics = topics.iter().map(|topic| {
                let indexes = topic.partition_indexes.iter().copied().map(PartitionIndex);
                (Arc::from(topic.name.as_str()), indexes.collect())
            });
            topics.collect()
        });
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
    let mut response = ListPartitionReassignmentsResponse::default();
    response.error_code = ErrorCode::None.code();
    response.error_message = None;
    for (name, partitions) in under_way(&broker.controller_image, asked.as_deref()) {
        let mut told = OngoingTopicReassignment::default();
        told.name = StrBytes::from(&*name);
        for (index, partition) in partitions {
            let mut moving = OngoingPartitionReassignment::default();
            moving.partition_index = index.0;
            moving.replicas = ids(&partition.replicas);
            moving.adding_replicas = ids(&partition.adding_replicas);
            moving.removing_replicas = ids(&partition.removing_replicas);
            told.partitions.push(moving);
        }
        response.topics.push(told);
    }
    response
}
