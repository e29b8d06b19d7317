//! The partitions a broker hosts, by the ids that requests and disks use.

use std::collections::BTreeMap;

use super::Partition;
use crate::ids::{LogId, PartitionIndex, TopicId};
use crate::map::LookupMap;

/// Every partition this node hosts.
#[derive(Clone, Debug, Default)]
pub struct PartitionTable {
    by_log: BTreeMap<LogId, Partition>,
    by_topic: LookupMap<(TopicId, PartitionIndex), LogId>,
}

impl PartitionTable {
    /// Adds a partition; its log and its place in its topic must be new.
    pub fn insert(&mut self, partition: Partition) {
        let identity = partition.identity().clone();
        let key = (identity.topic_id, identity.index);
        let former = self.by_topic.insert(key, identity.log);
        assert!(former.is_none(), "a partition has one replica on a node");
        let former = self.by_log.insert(identity.log, partition);
        assert!(former.is_none(), "a log belongs to one partition");
    }

    /// Removes the partition of a log.
    pub fn remove(&mut self, log: LogId) -> Option<Partition> {
        let partition = self.by_log.remove(&log)?;
        let identity = partition.identity();
        let known = self.by_topic.remove(&(identity.topic_id, identity.index));
        assert_eq!(known, Some(log), "both indexes name the same log");
        Some(partition)
    }

    /// The log of a partition of a topic.
    #[must_use]
    pub fn log_of(&self, topic: TopicId, index: PartitionIndex) -> Option<LogId> {
        self.by_topic.get(&(topic, index)).copied()
    }

    /// The partition of a log.
    #[must_use]
    pub fn get(&self, log: LogId) -> Option<&Partition> {
        self.by_log.get(&log)
    }

    /// The partition of a log, to change.
    pub fn get_mut(&mut self, log: LogId) -> Option<&mut Partition> {
        self.by_log.get_mut(&log)
    }

    /// A partition of a topic.
    #[must_use]
    pub fn find(&self, topic: TopicId, index: PartitionIndex) -> Option<&Partition> {
        self.get(self.log_of(topic, index)?)
    }

    /// A partition of a topic, to change.
    pub fn find_mut(&mut self, topic: TopicId, index: PartitionIndex) -> Option<&mut Partition> {
        let log = self.log_of(topic, index)?;
        self.get_mut(log)
    }

    /// All partitions, in the order of their logs' ids.
    pub fn iter(&self) -> impl Iterator<Item = &Partition> {
        self.by_log.values()
    }

    /// All partitions, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.by_log.values_mut()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_log.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_log.is_empty()
    }
}
