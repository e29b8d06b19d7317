//! What a group committed, and which of it is on its way.

use std::collections::BTreeMap;

use super::OffsetKey;
use super::record::OffsetCommit;
use crate::ids::{PartitionIndex, TopicName};

/// The offsets of one group.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupOffsets {
    committed: BTreeMap<TopicName, BTreeMap<PartitionIndex, OffsetCommit>>,
    /// How many writes that change the offset of a partition are in flight.
    in_flight: BTreeMap<OffsetKey, u32>,
}

impl GroupOffsets {
    /// The committed offset of a partition.
    pub(super) fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&OffsetCommit> {
        self.committed.get(topic)?.get(&partition)
    }

    /// The committed offsets, by topic and partition.
    pub(super) fn committed(&self) -> &BTreeMap<TopicName, BTreeMap<PartitionIndex, OffsetCommit>> {
        &self.committed
    }

    /// Whether a partition has an offset, or may get one.
    pub(super) fn is_known(&self, key: &OffsetKey) -> bool {
        self.in_flight.contains_key(key) || self.get(&key.topic, key.partition).is_some()
    }

    /// Whether a write of a partition's offset is in flight.
    pub(super) fn is_in_flight(&self, key: &OffsetKey) -> bool {
        self.in_flight.contains_key(key)
    }

    /// Every partition that has an offset or may get one, of one topic or of all.
    pub(super) fn known(&self, topic: Option<&str>) -> Vec<OffsetKey> {
        let is_asked = |name: &str| topic.is_none_or(|topic| topic == name);
        let mut keys: Vec<OffsetKey> = self
            .committed
            .iter()
            .filter(|(name, _)| is_asked(name))
            .flat_map(|(topic, partitions)| {
                partitions.keys().map(|partition| OffsetKey {
                    topic: TopicName::clone(topic),
                    partition: *partition,
                })
            })
            .chain(
                self.in_flight
                    .keys()
                    .filter(|key| is_asked(&key.topic))
                    .cloned(),
            )
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Notes that a write of a partition's offset was handed out.
    pub(super) fn begin(&mut self, key: &OffsetKey) {
        match self.in_flight.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                self.in_flight.insert(key.clone(), 1);
            }
        }
    }

    /// Notes that such a write has ended.
    pub(super) fn end(&mut self, key: &OffsetKey) {
        let count = self.in_flight.get_mut(key).expect("its write was begun");
        *count -= 1;
        if *count == 0 {
            self.in_flight.remove(key);
        }
    }

    /// Applies a record of the log.
    pub(super) fn apply(&mut self, key: OffsetKey, value: Option<OffsetCommit>) {
        match value {
            Some(commit) => {
                let partitions = self.committed.entry(key.topic).or_default();
                partitions.insert(key.partition, commit);
            }
            None => {
                if let Some(partitions) = self.committed.get_mut(&key.topic) {
                    partitions.remove(&key.partition);
                    if partitions.is_empty() {
                        self.committed.remove(&key.topic);
                    }
                }
            }
        }
    }

    /// Whether nothing is committed and nothing in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.in_flight.is_empty()
    }
}
