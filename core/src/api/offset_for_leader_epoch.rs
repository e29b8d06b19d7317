//! OffsetForLeaderEpoch: where an epoch ended, so that a consumer can tell whether its log was cut.
//!
//! K67. Source: KIP-101, KIP-320.

use kafka_wire::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use kafka_wire::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use kafka_wire_core::StrBytes;

use super::Handled;
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex};
use crate::log::LogState;
use crate::node::Broker;
use crate::wire::request::Reply;

/// Answers from the logs' epochs.
pub fn handle(broker: &Broker, request: &OffsetForLeaderEpochRequest) -> Handled {
    let mut response = OffsetForLeaderEpochResponse::default();
    for topic in &request.topics {
        let mut result = OffsetForLeaderTopicResult::default();
        result.topic = topic.topic.clone();
        result.partitions = topic
            .partitions
            .iter()
            .map(|partition| answer(broker, &topic.topic, partition))
            .collect();
        response.topics.push(result);
    }
    Handled::Reply(Reply::OffsetForLeaderEpoch(response))
}

fn answer(broker: &Broker, topic: &StrBytes, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let mut end = EpochEndOffset::default();
    end.partition = asked.partition;
    end.leader_epoch = LeaderEpoch::NONE.0;
    end.end_offset = Offset::NONE.0;
    match find(broker, topic, asked) {
        Ok(Some((epoch, offset))) => {
            end.leader_epoch = epoch.0;
            end.end_offset = offset.0;
        }
        // Nothing is known of so old an epoch: not an error, and no sign of lost data.
        Ok(None) => {}
        Err(code) => end.error_code = code.code(),
    }
    end
}

fn find(
    broker: &Broker,
    topic: &StrBytes,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
    let partition = broker
        .topic_id(topic)
        .and_then(|topic| {
            broker
                .partitions
                .find(topic, PartitionIndex(asked.partition))
        })
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if partition.log().state() == LogState::Offline {
        return Err(ErrorCode::KafkaStorageError);
    }
    partition.check_leader_epoch(LeaderEpoch(asked.current_leader_epoch))?;
    let requested = LeaderEpoch(asked.leader_epoch);
    if requested == partition.leader_epoch() {
        return Ok(Some((requested, partition.log().log_end_offset())));
    }
    Ok(partition.log().end_offset_for_epoch(requested))
}
