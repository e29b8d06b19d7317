//! DescribeProducers: the idempotent producers that partitions remember (KIP-664).
//!
//! Answered by the replicas here, whether they lead or not; Kafka asks leaders only. Checked
//! against Apache Kafka 4.3.1.

use kafka_wire::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use kafka_wire::{DescribeProducersRequest, DescribeProducersResponse};
use kafka_wire_core::StrBytes;

use crate::controller::names::invalid_name;
use crate::error::ErrorCode;
use crate::ids::ProducerId;
use crate::ids::{Offset, PartitionIndex};
use crate::limits::PRODUCERS_DESCRIBED_MAX;
use crate::log::producer_state::Producer;
use crate::metadata::image::Image;
use crate::partition::PartitionTable;

/// Kafka's words for a topic or partition that is not there.
pub(super) const NOT_HOSTED: &str = "This server does not host this topic-partition.";

/// What is said of partitions for which an answer has no room left.
const TOO_MANY: &str = "Too many producers are asked for at once; ask for fewer partitions.";

/// Answers a DescribeProducers request.
#[must_use]
pub fn answer(
    image: &Image,
    partitions: &PartitionTable,
    request: &DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut response = DescribeProducersResponse::default();
    let mut room = PRODUCERS_DESCRIBED_MAX;
    for asked in &request.topics {
        let refusal = match invalid_name(&asked.name) {
            Some(message) => Some((ErrorCode::InvalidTopicException, message)),
            None if image.topic(&asked.name).is_none() => {
                Some((ErrorCode::UnknownTopicOrPartition, NOT_HOSTED.to_owned()))
            }
            None => None,
        };
        let mut topic = TopicResponse::default();
        topic.name = asked.name.clone();
        topic.partitions = asked
            .partition_indexes
            .iter()
            .map(|&index| {
                let index_asked = PartitionIndex(index);
                let mut told = match &refusal {
                    None => describe(image, partitions, (&asked.name, index_asked), &mut room),
                    Some((code, message)) => {
                        let mut told = PartitionResponse::default();
                        told.error_code = code.code();
                        told.error_message = Some(StrBytes::from(message.as_str()));
                        told
                    }
                };
                told.partition_index = index;
                told
            })
            .collect();
        response.topics.push(topic);
    }
    response
}

fn describe(
    image: &Image,
    partitions: &PartitionTable,
    (topic, index): (&str, PartitionIndex),
    room: &mut usize,
) -> PartitionResponse {
    let mut told = PartitionResponse::default();
    told.error_message = None;
    let topic = image.topic(topic).expect("the caller has looked it up");
    if topic.partition(index).is_none() {
        told.error_code = ErrorCode::UnknownTopicOrPartition.code();
    } else if let Some(partition) = partitions.find(topic.id, index) {
        let producers = partition.log().producers();
        if producers.len() > *room {
            told.error_code = ErrorCode::InvalidRequest.code();
            told.error_message = Some(StrBytes::from(TOO_MANY));
            return told;
        }
        *room -= producers.len();
        let states = producers.iter().map(|(id, producer)| state(id, producer));
        told.active_producers = states.collect();
    } else {
        told.error_code = ErrorCode::NotLeaderOrFollower.code();
    }
    told
}

fn state(id: ProducerId, producer: &Producer) -> ProducerState {
    let mut state = ProducerState::default();
    state.producer_id = id.0;
    state.producer_epoch = i32::from(producer.epoch.0);
    state.last_sequence = producer
        .batches
        .back()
        .map_or(-1, |batch| batch.last_sequence.0);
    state.last_timestamp = producer.last_timestamp.0;
    state.coordinator_epoch = producer.coordinator_epoch;
    state.current_txn_start_offset = producer.transaction_start.unwrap_or(Offset::NONE).0;
    state
}
