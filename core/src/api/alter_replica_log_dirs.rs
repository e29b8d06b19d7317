//! AlterReplicaLogDirs: replicas to other data directories of this broker (KIP-113).
//!
//! The answer comes at once: a move begins, or ends where it was to be, and goes on by itself
//! (`node::moves`). Asked for the directory a replica is in, its move is called off. What is not
//! there is told as Kafka tells it.

use std::collections::BTreeMap;

use kafka_wire::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_wire::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;
use crate::ids::{DirectoryIndex, LogId, PartitionIndex};
use crate::log::LogState;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Longest name of a folder. Kafka's folder of a replica that moves has 40 characters more than its
/// partition's.
const FOLDER_CHARACTERS_MAX: usize = 255 - 40;

/// Answers an AlterReplicaLogDirs. A partition that comes twice is answered once, for the last
/// directory it is named with.
pub(super) fn answer(
    broker: &mut Broker,
    now: Now,
    request: &AlterReplicaLogDirsRequest,
    out: &mut Outbox,
) -> AlterReplicaLogDirsResponse {
    let mut asked: BTreeMap<(&str, i32), &str> = BTreeMap::new();
    for directory in &request.dirs {
        for topic in &directory.topics {
            for &index in &topic.partitions {
                asked.insert((topic.name.as_str(), index), directory.path.as_str());
            }
        }
    }
    let mut response = AlterReplicaLogDirsResponse::default();
    let results: &mut Vec<AlterReplicaLogDirTopicResult> = &mut response.results;
    for ((topic, index), path) in asked {
        let asked = find(broker, topic, PartitionIndex(index), path);
        let code = asked.map(|(log, target)| broker.move_replica(now, log, target, out));
        let mut result = AlterReplicaLogDirPartitionResult::default();
        result.partition_index = index;
        result.error_code = code.err().unwrap_or(ErrorCode::None).code();
        match results.last_mut() {
            Some(last) if last.topic_name.as_str() == topic => last.partitions.push(result),
            Some(_) | None => {
                let mut told = AlterReplicaLogDirTopicResult::default();
                told.topic_name = StrBytes::from(topic);
                told.partitions.push(result);
                results.push(told);
            }
        }
    }
    response
}

/// The log that is meant, and the directory it is to be in.
fn find(
    broker: &Broker,
    topic: &str,
    index: PartitionIndex,
    path: &str,
) -> Result<(LogId, DirectoryIndex), ErrorCode> {
    if topic.len() + index.to_string().len() + 1 > FOLDER_CHARACTERS_MAX {
        return Err(ErrorCode::InvalidTopicException);
    }
    let position = broker.config.log_dirs.iter().position(|dir| dir == path);
    let Some(target) = position.and_then(|at| u8::try_from(at).ok()) else {
        return Err(ErrorCode::LogDirNotFound);
    };
    let target = DirectoryIndex(target);
    if broker.housekeeping.is_lost(target) {
        return Err(ErrorCode::KafkaStorageError);
    }
    let known = broker.image.topic(topic);
    let known = known.filter(|image| image.partition(index).is_some());
    let known = known.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = broker.partitions.find(known.id, index);
    let partition = partition.ok_or(ErrorCode::ReplicaNotAvailable)?;
    if partition.log().state() == LogState::Offline {
        return Err(ErrorCode::KafkaStorageError);
    }
    Ok((partition.identity().log, target))
}
