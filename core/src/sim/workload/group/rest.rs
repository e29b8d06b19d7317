//! Whether a group is at rest: each partition is read to its end by one member.

use std::collections::{BTreeMap, BTreeSet};

use super::Member;
use crate::ids::{Offset, TopicName, TopicPartition};

/// What one member of a group owns that another owns too, or that nobody owns; empty where every
/// partition in `ends` is read to its end by exactly one of `members`, all of them stable.
#[must_use]
pub fn unsettled(members: &[&Member], ends: &BTreeMap<TopicPartition, Offset>) -> Vec<String> {
    let mut owned: BTreeMap<TopicPartition, Option<Offset>> = BTreeMap::new();
    let mut missing = Vec::new();
    for member in members {
        let Some(positions) = member.positions() else {
            missing.push(format!("not stable: {}", member.progress()));
            continue;
        };
        for (partition, position) in positions {
            if owned.insert(partition.clone(), position).is_some() {
                missing.push(format!("{partition} has two owners"));
            }
        }
    }
    let wanted: BTreeSet<&TopicName> = members.iter().flat_map(|one| one.topics()).collect();
    for (partition, end) in ends.iter().filter(|(at, _)| wanted.contains(&at.topic)) {
        match owned.get(partition) {
            Some(Some(position)) if position >= end => {}
            Some(position) => missing.push(format!("{partition} is at {position:?} of {end}")),
            None if abandoned(members).contains(partition) => {}
            None => missing.push(format!("{partition} has no owner")),
        }
    }
    missing
}

/// Partitions that nobody owns, and nobody can be blamed for.
#[must_use]
pub fn abandoned(members: &[&Member]) -> BTreeSet<TopicPartition> {
    let all = members.iter().flat_map(|member| member.abandoned.keys());
    let is_so = |partition: &&TopicPartition| {
        let is_owned = |member: &&Member| {
            let machine = member.machine.as_ref();
            machine.is_some_and(|machine| machine.owned().contains(*partition))
        };
        let mut ones = members.iter();
        !members.iter().any(is_owned) && ones.any(|one| one.has_abandoned(partition, members))
    };
    all.filter(is_so).cloned().collect()
}

impl Member {
    /// Whether it died as a static member after it gave up a partition in the generation that
    /// `members` are in: it came back without a rebalance (KIP-345), and neither it nor the
    /// coordinator knows that another was due (KIP-429). So it is in Kafka, where the partition has
    /// no owner until the next rebalance.
    fn has_abandoned(&self, partition: &TopicPartition, members: &[&Self]) -> bool {
        let Some(generation) = self.abandoned.get(partition) else {
            return false;
        };
        members.iter().all(|member| {
            let machine = member.machine.as_ref();
            let membership = machine.and_then(|machine| machine.membership());
            membership.is_some_and(|(_id, current)| current == *generation)
        })
    }
}
