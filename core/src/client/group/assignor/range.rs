//! `range`: each topic's partitions in consecutive ranges, one to each member.
//!
//! The first members get one more where they do not come out even, so topics with as many
//! partitions and the same members are divided alike. Where racks are known and matter, partitions
//! go first to members in a rack of a replica, all topics alike (KIP-881). Compare Kafka's
//! `RangeAssignor`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Assignments, Member, TopicPartitions, Topics, nothing, partitions};
use crate::ids::{TopicName, TopicPartition};

/// A topic while it is divided.
struct Dividing<'a> {
    topic: &'a TopicName,
    partitions: &'a TopicPartitions,
    /// Indexes of the members that want it, in order.
    wanted_by: Vec<usize>,
    unassigned: BTreeSet<TopicPartition>,
    /// Partitions that each member gets at least.
    each: u32,
    /// Members that still get one more.
    extras: u32,
    /// Partitions that members have got, by index.
    taken: BTreeMap<usize, u32>,
}

/// Divides topics; `members` are in order.
pub(super) fn assign(members: &[&Member], topics: &Topics) -> Assignments {
    let mut dividing: Vec<Dividing<'_>> = topics
        .iter()
        .filter_map(|(topic, partitions)| Dividing::new(members, topic, partitions))
        .collect();
    let mut assignments = nothing(members);
    if dividing.iter().any(|topic| topic.racks_matter(members)) {
        match_racks(members, &mut dividing, &mut assignments);
    }
    for topic in &mut dividing {
        topic.divide(members, &mut assignments, |_topic, _member, _partition| {
            true
        });
    }
    assignments
}

impl<'a> Dividing<'a> {
    fn new(
        members: &[&Member],
        topic: &'a TopicName,
        partitions_of: &'a TopicPartitions,
    ) -> Option<Self> {
        let wanted_by: Vec<usize> = (0..members.len())
            .filter(|index| members[*index].subscription.topics.contains(topic))
            .collect();
        let count = partitions_of.count;
        if wanted_by.is_empty() || count == 0 {
            return None;
        }
        let among = u32::try_from(wanted_by.len()).expect("a group has no such many members");
        Some(Self {
            topic,
            partitions: partitions_of,
            wanted_by,
            unassigned: partitions(topic, count).collect(),
            each: count / among,
            extras: count % among,
            taken: BTreeMap::new(),
        })
    }

    /// Whether racks are known on both sides and some partition is not in all of them.
    fn racks_matter(&self, members: &[&Member]) -> bool {
        let theirs: BTreeSet<&Arc<str>> = self
            .wanted_by
            .iter()
            .filter_map(|index| members[*index].subscription.rack.as_ref())
            .collect();
        let all: BTreeSet<&Arc<str>> = self.partitions.racks.iter().flatten().collect();
        let everywhere = |racks: &BTreeSet<Arc<str>>| racks.iter().collect::<BTreeSet<_>>() == all;
        !theirs.is_disjoint(&all) && !self.partitions.racks.iter().all(everywhere)
    }

    fn is_near(&self, member: &Member, partition: &TopicPartition) -> bool {
        let Some(rack) = &member.subscription.rack else {
            return true;
        };
        let index = usize::try_from(partition.partition.0).unwrap_or(usize::MAX);
        let racks = self.partitions.racks.get(index);
        racks.is_some_and(|racks| racks.contains(rack))
    }

    /// How many more partitions a member may get.
    fn room(&self, member: usize) -> u32 {
        let most = self.each + u32::from(self.extras > 0);
        most.saturating_sub(self.taken.get(&member).copied().unwrap_or(0))
    }

    /// Gives each member the first partitions it may have.
    fn divide(
        &mut self,
        members: &[&Member],
        assignments: &mut Assignments,
        may_have: impl Fn(&Self, &Member, &TopicPartition) -> bool,
    ) {
        for member in self.wanted_by.clone() {
            let room = self.room(member) as usize;
            let fitting = self.unassigned.iter();
            let given: Vec<TopicPartition> = fitting
                .filter(|partition| may_have(self, members[member], partition))
                .take(room)
                .cloned()
                .collect();
            self.give(member, members[member], &given, assignments);
        }
    }

    fn give(
        &mut self,
        index: usize,
        member: &Member,
        given: &[TopicPartition],
        assignments: &mut Assignments,
    ) {
        if given.is_empty() {
            return;
        }
        let count = u32::try_from(given.len()).expect("no more than the topic has");
        let taken = self.taken.entry(index).or_default();
        *taken += count;
        if *taken > self.each {
            self.extras -= 1;
        }
        let assigned = assignments
            .get_mut(&member.id)
            .expect("every member is there");
        for partition in given {
            self.unassigned.remove(partition);
            assigned.insert(partition.clone());
        }
    }
}

/// Gives partitions to members near them; topics with the same members and as many partitions
/// alike.
fn match_racks(members: &[&Member], topics: &mut [Dividing<'_>], assignments: &mut Assignments) {
    let mut alike: BTreeMap<(Vec<usize>, u32), Vec<usize>> = BTreeMap::new();
    for (index, topic) in topics.iter().enumerate() {
        let key = (topic.wanted_by.clone(), topic.partitions.count);
        alike.entry(key).or_default().push(index);
    }
    for ((wanted_by, count), together) in alike {
        if let [alone] = together[..] {
            if topics[alone].racks_matter(members) {
                topics[alone].divide(members, assignments, Dividing::is_near);
            }
            continue;
        }
        let mut remaining = wanted_by;
        for index in 0..count {
            let at = |topic: &Dividing<'_>| {
                partitions(topic.topic, index + 1)
                    .last()
                    .expect("index + 1 is not none")
            };
            let fits = |member: &usize| {
                together.iter().all(|topic| {
                    let topic = &topics[*topic];
                    topic.is_near(members[*member], &at(topic)) && topic.room(*member) > 0
                })
            };
            let Some(member) = remaining.iter().copied().find(fits) else {
                continue;
            };
            for topic in &together {
                let given = [at(&topics[*topic])];
                topics[*topic].give(member, members[member], &given, assignments);
            }
            if together
                .iter()
                .all(|topic| topics[*topic].room(member) == 0)
            {
                remaining.retain(|other| *other != member);
            }
        }
    }
}
