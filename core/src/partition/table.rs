//! The partitions a broker hosts, by the ids that requests and disks use.

use std::collections::BTreeMap;

use super::Partition;
use crate::ids::{LogId, PartitionIndex, TopicId};
use crate::map::LookupMap;

/// Every partition this node hosts.
#[derive(Clone, Debug, Default)]
pub struct PartitionTable {
    /// By the id of the log. Ids are never reused, so a place stays empty when its log is gone:
    /// eight bytes for each log that ever was.
    by_log: Vec<Option<Box<Partition>>>,
    by_topic: LookupMap<(TopicId, PartitionIndex), LogId>,
    /// Logs that others took the place of, each with the next: whoever holds an old id finds the
    /// partition.
    successors: BTreeMap<LogId, LogId>,
}

impl PartitionTable {
    /// Adds a partition; its log and its place in its topic must be new.
    pub fn insert(&mut self, partition: Partition) {
        let identity = partition.identity();
        let log = identity.log;
        let key = (identity.topic_id, identity.index);
        let former = self.by_topic.insert(key, log);
        assert!(former.is_none(), "a partition has one replica on a node");
        let place = place_of(log);
        if self.by_log.len() <= place {
            self.by_log.resize_with(place + 1, || None);
        }
        let former = self.by_log[place].replace(Box::new(partition));
        assert!(former.is_none(), "a log belongs to one partition");
    }

    /// Removes the partition of a log.
    pub fn remove(&mut self, log: LogId) -> Option<Partition> {
        let partition = self.by_log.get_mut(place_of(log))?.take()?;
        let identity = partition.identity();
        let known = self.by_topic.remove(&(identity.topic_id, identity.index));
        assert_eq!(known, Some(log), "both indexes name the same log");
        Some(*partition)
    }

    /// Replaces the log of a partition by `change`, which answers what it likes of it; the former
    /// id goes on to mean the partition.
    pub fn succeed<T>(
        &mut self,
        former: LogId,
        change: impl FnOnce(&mut Partition) -> T,
    ) -> Option<T> {
        let mut partition = self.remove(former)?;
        let answer = change(&mut partition);
        let log = partition.identity().log;
        assert!(log > former, "ids are never used again");
        self.successors.insert(former, log);
        self.insert(partition);
        Some(answer)
    }

    /// Whether another log took this one's place.
    #[must_use]
    pub fn is_former(&self, log: LogId) -> bool {
        self.successors.contains_key(&log)
    }

    /// The log that took this one's place; itself where none did.
    #[must_use]
    pub fn present(&self, mut log: LogId) -> LogId {
        while let Some(&next) = self.successors.get(&log) {
            log = next;
        }
        log
    }

    /// The log of a partition of a topic.
    #[must_use]
    pub fn log_of(&self, topic: TopicId, index: PartitionIndex) -> Option<LogId> {
        self.by_topic.get(&(topic, index)).copied()
    }

    /// The partition of a log.
    #[must_use]
    pub fn get(&self, log: LogId) -> Option<&Partition> {
        self.by_log.get(place_of(self.present(log)))?.as_deref()
    }

    /// The partition of a log, to change.
    pub fn get_mut(&mut self, log: LogId) -> Option<&mut Partition> {
        let place = place_of(self.present(log));
        self.by_log.get_mut(place)?.as_deref_mut()
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
        self.by_log.iter().flatten().map(Box::as_ref)
    }

    /// The partitions among the `count_max` logs from `start` on, and the log to go on with; `None`
    /// at the end.
    pub fn page(
        &self,
        start: LogId,
        count_max: usize,
    ) -> (impl Iterator<Item = &Partition>, Option<LogId>) {
        let start = place_of(start).min(self.by_log.len());
        let end = start.saturating_add(count_max).min(self.by_log.len());
        let page = self.by_log[start..end].iter().flatten();
        let next = u32::try_from(end).expect("a log's id is its place");
        let next = (end < self.by_log.len()).then_some(LogId(next));
        (page.map(Box::as_ref), next)
    }

    /// All partitions, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.by_log.iter_mut().flatten().map(Box::as_mut)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_topic.is_empty()
    }
}

fn place_of(log: LogId) -> usize {
    usize::try_from(log.0).expect("a log id fits in the address space")
}
