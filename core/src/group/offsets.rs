//! What groups committed, and which of it is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::record::OffsetCommit;
use super::{GroupId, OffsetKey};
use crate::ids::{PartitionIndex, TopicName};

/// The offsets of all groups of a shard, by group; and which groups know a topic, so that nobody
/// looks through all of them when one is deleted.
#[derive(Clone, Debug, Default)]
pub(super) struct ShardOffsets {
    /// A group may be gone while the write that deletes its offsets is in flight.
    groups: BTreeMap<GroupId, GroupOffsets>,
    /// Invariant: a group is here exactly where [`GroupOffsets::knows_topic`] says so.
    by_topic: BTreeMap<TopicName, BTreeSet<GroupId>>,
}

impl ShardOffsets {
    /// The offsets of a group, where it has any or may get some.
    pub(super) fn get(&self, group: &GroupId) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    /// The first group from `start` on that has offsets.
    pub(super) fn first_from(&self, start: Bound<&GroupId>) -> Option<&GroupId> {
        let mut groups = self.groups.range((start, Bound::Unbounded));
        groups.next().map(|(id, _)| id)
    }

    /// The groups that have an offset of a topic, or may get one.
    pub(super) fn groups_of(&self, topic: &TopicName) -> impl Iterator<Item = &GroupId> {
        self.by_topic.get(topic).into_iter().flatten()
    }

    /// Notes that a write of a partition's offset was handed out.
    pub(super) fn begin(&mut self, group: &GroupId, key: &OffsetKey) {
        self.change(group, &key.topic, |offsets| offsets.begin(key));
    }

    /// Notes that such a write has ended.
    pub(super) fn end(&mut self, group: &GroupId, key: &OffsetKey) {
        self.change(group, &key.topic, |offsets| offsets.end(key));
    }

    /// Applies a record of the log.
    pub(super) fn apply(&mut self, group: &GroupId, key: OffsetKey, value: Option<OffsetCommit>) {
        let topic = TopicName::clone(&key.topic);
        self.change(group, &topic, |offsets| offsets.apply(key, value));
    }

    /// The groups with what they committed; sees to it that the indexes agree.
    #[cfg(test)]
    pub(super) fn checked(&self) -> impl Iterator<Item = (&GroupId, &GroupOffsets)> {
        for (topic, groups) in &self.by_topic {
            assert!(!groups.is_empty(), "{topic} is of nobody");
            let knows = |id: &GroupId| self.groups[id].knows_topic(topic);
            assert!(groups.iter().all(knows), "{topic}");
        }
        for (id, offsets) in &self.groups {
            assert!(!offsets.is_empty(), "{id} has nothing");
            for key in offsets.known() {
                let groups = self.by_topic.get(&key.topic);
                assert!(groups.is_some_and(|groups| groups.contains(id)), "{id}");
            }
        }
        self.groups.iter()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.by_topic.clear();
    }

    /// Changes offsets of one topic in a group, and keeps both indexes.
    fn change(&mut self, group: &GroupId, topic: &TopicName, call: impl FnOnce(&mut GroupOffsets)) {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.clone(), GroupOffsets::default());
        }
        let offsets = self.groups.get_mut(group).expect("it was there, or made");
        let knew = offsets.knows_topic(topic);
        call(offsets);
        let knows = offsets.knows_topic(topic);
        if offsets.is_empty() {
            self.groups.remove(group);
        }
        if knows && !knew {
            let groups = self.by_topic.entry(TopicName::clone(topic)).or_default();
            groups.insert(group.clone());
        } else if knew && !knows {
            let groups = self.by_topic.get_mut(topic);
            let groups = groups.expect("a topic that a group knows is listed");
            groups.remove(group);
            if groups.is_empty() {
                self.by_topic.remove(topic);
            }
        }
    }
}

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

    /// Every partition that has an offset or may get one.
    pub(super) fn known(&self) -> Vec<OffsetKey> {
        let committed = self.committed.iter().flat_map(|(topic, partitions)| {
            partitions.keys().map(|partition| OffsetKey {
                topic: TopicName::clone(topic),
                partition: *partition,
            })
        });
        let keys: BTreeSet<OffsetKey> = committed.chain(self.in_flight.keys().cloned()).collect();
        keys.into_iter().collect()
    }

    /// Every partition of a topic that has an offset or may get one.
    pub(super) fn known_of(&self, topic: &TopicName) -> BTreeSet<PartitionIndex> {
        let committed = self.committed.get(topic).into_iter().flatten();
        let committed = committed.map(|(partition, _)| *partition);
        let in_flight = self.in_flight_of(topic).map(|key| key.partition);
        committed.chain(in_flight).collect()
    }

    /// Whether a partition of the topic has an offset, or may get one.
    fn knows_topic(&self, topic: &TopicName) -> bool {
        self.committed.contains_key(topic) || self.in_flight_of(topic).next().is_some()
    }

    fn in_flight_of(&self, topic: &TopicName) -> impl Iterator<Item = &OffsetKey> {
        let first = OffsetKey {
            topic: TopicName::clone(topic),
            partition: PartitionIndex(i32::MIN),
        };
        let keys = self.in_flight.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.topic == *topic)
    }

    /// Whether these are all of the partitions that have an offset, and none may get one.
    pub(super) fn is_all(&self, committed: usize) -> bool {
        let all: usize = self.committed.values().map(BTreeMap::len).sum();
        self.in_flight.is_empty() && all == committed
    }

    /// Notes that a write of a partition's offset was handed out.
    fn begin(&mut self, key: &OffsetKey) {
        match self.in_flight.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                self.in_flight.insert(key.clone(), 1);
            }
        }
    }

    /// Notes that such a write has ended.
    fn end(&mut self, key: &OffsetKey) {
        let count = self.in_flight.get_mut(key).expect("its write was begun");
        *count -= 1;
        if *count == 0 {
            self.in_flight.remove(key);
        }
    }

    /// Applies a record of the log.
    fn apply(&mut self, key: OffsetKey, value: Option<OffsetCommit>) {
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
    fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.in_flight.is_empty()
    }
}
