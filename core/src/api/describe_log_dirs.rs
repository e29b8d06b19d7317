//! DescribeLogDirs: the data directories of this broker, and the partitions in them (KIP-113).
//!
//! The room on a disk is what the driver told last (KIP-827). Checked against Apache Kafka 4.3.1.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_wire::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;
use crate::log::LogState;
use crate::node::moves::FutureFigures;
use crate::partition::{Partition, PartitionTable};
use crate::storage::DiskSpace;

/// A size that is not known.
const UNKNOWN_BYTES: i64 = -1;

/// A data directory of this broker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataDirectory<'a> {
    /// Its path, as it is configured.
    pub path: &'a str,
    /// The room on its disk, where it is known.
    pub space: Option<DiskSpace>,
}

/// Answers a DescribeLogDirs request.
#[must_use]
pub fn answer(
    directories: &[DataDirectory<'_>],
    partitions: &PartitionTable,
    futures: impl Iterator<Item = FutureFigures>,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let mut results: Vec<DescribeLogDirsResult> = directories
        .iter()
        .map(|directory| {
            let mut result = DescribeLogDirsResult::default();
            result.log_dir = StrBytes::from(directory.path);
            let told = |bytes: Option<u64>| {
                bytes.map_or(UNKNOWN_BYTES, |bytes| {
                    i64::try_from(bytes).unwrap_or(i64::MAX)
                })
            };
            let space = directory.space;
            result.total_bytes = told(space.map(|space| space.total_bytes));
            result.usable_bytes = told(space.map(|space| space.usable_bytes));
            result
        })
        .collect();
    let asked: Option<BTreeSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        let partitions = topics.iter().flat_map(|topic| {
            let name = topic.topic.as_str();
            topic.partitions.iter().map(move |&index| (name, index))
        });
        partitions.collect()
    });
    let mut topics: Vec<BTreeMap<&str, DescribeLogDirsTopic>> =
        vec![BTreeMap::new(); results.len()];
    for partition in partitions.iter() {
        let at = usize::from(partition.identity().directory.0);
        if partition.log().state() == LogState::Offline {
            results[at].error_code = ErrorCode::KafkaStorageError.code();
        } else if is_asked(asked.as_ref(), partition) {
            let name = &*partition.identity().topic;
            let topic = topics[at].entry(name).or_default();
            topic.name = StrBytes::from(name);
            topic.partitions.push(told(partition));
        }
    }
    for future in futures {
        let Some(partition) = partitions.get(future.current) else {
            continue;
        };
        if is_asked(asked.as_ref(), partition) {
            let name = &*partition.identity().topic;
            let topic = topics[usize::from(future.directory.0)]
                .entry(name)
                .or_default();
            topic.name = StrBytes::from(name);
            topic.partitions.push(told_future(partition, &future));
        }
    }
    for (result, topics) in results.iter_mut().zip(topics) {
        if result.error_code == ErrorCode::None.code() {
            result.topics = topics.into_values().collect();
        }
    }
    let mut response = DescribeLogDirsResponse::default();
    response.results = results;
    response
}

fn is_asked(asked: Option<&BTreeSet<(&str, i32)>>, partition: &Partition) -> bool {
    let identity = partition.identity();
    asked.is_none_or(|asked| asked.contains(&(&*identity.topic, identity.index.0)))
}

/// The copy of a replica that is on its way to another directory.
fn told_future(partition: &Partition, future: &FutureFigures) -> DescribeLogDirsPartition {
    let mut told = DescribeLogDirsPartition::default();
    told.partition_index = partition.identity().index.0;
    told.partition_size = i64::try_from(future.size_bytes).expect("no disk holds 2^63 bytes");
    told.offset_lag = future.lag;
    told.is_future_key = true;
    told
}

fn told(partition: &Partition) -> DescribeLogDirsPartition {
    let size = i64::try_from(partition.log().size_bytes());
    let mut told = DescribeLogDirsPartition::default();
    told.partition_index = partition.identity().index.0;
    told.partition_size = size.expect("no disk holds 2^63 bytes");
    told.offset_lag = 0;
    told.is_future_key = false;
    told
}
