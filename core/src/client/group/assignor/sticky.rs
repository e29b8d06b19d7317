//! `sticky` and `cooperative-sticky`: balanced, and then with as few moves as possible.
//!
//! Members bring their last assignment along. Where all want the same, each keeps as much of it as
//! its share allows. Where they do not, partitions move, one by one and over other members if need
//! be, for as long as that brings two members closer together; at the end no assignment is more
//! even. Racks are not looked at. Compare Kafka's `AbstractStickyAssignor`, whose user data this
//! speaks; which of several equally good assignments it finds may differ.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Assignments, Member, Topics, nothing, partitions};
use crate::client::group::protocol::{GroupGeneration, by_topic};
use crate::ids::{PartitionIndex, TopicName, TopicPartition};
use crate::wire::reader::Reader;

/// What a member had, and in which generation.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Previous {
    pub(super) owned: BTreeSet<TopicPartition>,
    /// `-1` where it did not say.
    pub(super) generation: i32,
}

/// What a member of the eager strategy says it had: it is in its user data.
pub(super) fn previous_eager(member: &Member) -> Previous {
    let data = member.subscription.user_data.as_ref();
    data.and_then(decode_previous).unwrap_or_default()
}

/// What a member of the cooperative strategy has: it never gave it up.
pub(super) fn previous_cooperative(member: &Member) -> Previous {
    let subscription = &member.subscription;
    let generation = subscription.generation.or_else(|| {
        let data = subscription.user_data.as_ref()?;
        Reader::new(data).i32().ok().map(GroupGeneration)
    });
    Previous {
        owned: subscription.owned.clone(),
        generation: generation.unwrap_or(GroupGeneration::NONE).0,
    }
}

/// The user data of the cooperative strategy, for leaders that do not know version 2.
pub(super) fn encode_generation(generation: GroupGeneration) -> Bytes {
    Bytes::copy_from_slice(&generation.0.to_be_bytes())
}

/// The user data of the eager strategy.
pub(super) fn encode_previous(
    owned: &BTreeSet<TopicPartition>,
    generation: GroupGeneration,
) -> Bytes {
    let topics = by_topic(owned);
    let count = |length: usize| i32::try_from(length).expect("an assignment fits in a request");
    let mut data = BytesMut::new();
    data.put_i32(count(topics.len()));
    for (topic, partitions) in topics {
        data.put_i16(i16::try_from(topic.len()).expect("topics' names are short"));
        data.put_slice(topic.as_bytes());
        data.put_i32(count(partitions.len()));
        partitions
            .iter()
            .for_each(|partition| data.put_i32(*partition));
    }
    data.put_i32(generation.0);
    data.freeze()
}

/// Reads the user data of the eager strategy; the oldest has no generation.
fn decode_previous(data: &Bytes) -> Option<Previous> {
    let mut reader = Reader::new(data);
    let mut owned = BTreeSet::new();
    for _topic in 0..reader.i32().ok()? {
        let length = usize::try_from(reader.i16().ok()?).ok()?;
        let name: TopicName = std::str::from_utf8(&reader.take(length).ok()?).ok()?.into();
        for _partition in 0..reader.i32().ok()? {
            owned.insert(TopicPartition {
                topic: Arc::clone(&name),
                partition: PartitionIndex(reader.i32().ok()?),
            });
        }
    }
    let generation = reader.i32().unwrap_or(GroupGeneration::NONE.0);
    Some(Previous { owned, generation })
}

/// Takes back what another member still owns: it must give it up first.
pub(super) fn hold_back(members: &[&Member], assignments: &mut Assignments) {
    let mut revoked = BTreeSet::new();
    for member in members {
        let owned = &member.subscription.owned;
        revoked.extend(owned.difference(&assignments[&member.id]).cloned());
    }
    for member in members {
        let assigned = assignments
            .get_mut(&member.id)
            .expect("every member is there");
        let owned = &member.subscription.owned;
        assigned.retain(|partition| owned.contains(partition) || !revoked.contains(partition));
    }
}

/// Divides topics; `members` are in order.
pub(super) fn assign(
    members: &[&Member],
    topics: &Topics,
    previous: fn(&Member) -> Previous,
) -> Assignments {
    let wanted = |topic: &&TopicName, member: &Member| member.subscription.topics.contains(*topic);
    let mut wanted_by: BTreeMap<&TopicName, Vec<usize>> = BTreeMap::new();
    for topic in topics.keys() {
        let by = (0..members.len()).filter(|index| wanted(&topic, members[*index]));
        wanted_by.insert(topic, by.collect());
    }
    let owners = owners(members, topics, previous);
    let is_equal = wanted_by
        .values()
        .all(|by| by.is_empty() || by.len() == members.len());
    let assigned = if is_equal {
        let wanted = topics
            .iter()
            .filter(|(topic, _of)| !wanted_by[topic].is_empty());
        let all = wanted.flat_map(|(topic, of)| partitions(topic, of.count));
        share(members.len(), all.collect(), &owners)
    } else {
        let mut balancing = Balancing::new(members.len(), wanted_by, owners);
        balancing.place(topics);
        balancing.balance();
        balancing.held
    };
    let mut assignments = nothing(members);
    for (index, partitions) in assigned.into_iter().enumerate() {
        assignments.insert(Arc::clone(&members[index].id), partitions);
    }
    assignments
}

/// Who has each partition, by the latest generation; nobody where two of it say so, or where it is
/// not wanted any more.
fn owners(
    members: &[&Member],
    topics: &Topics,
    previous: fn(&Member) -> Previous,
) -> BTreeMap<TopicPartition, usize> {
    let mut claims: BTreeMap<TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        let Previous { owned, generation } = previous(member);
        for partition in owned {
            let count = topics.get(&partition.topic).map_or(0, |topic| topic.count);
            let exists = u32::try_from(partition.partition.0).is_ok_and(|index| index < count);
            if !exists || !member.subscription.topics.contains(&partition.topic) {
                continue;
            }
            let claim = claims.entry(partition).or_insert((generation, Some(index)));
            match claim.0.cmp(&generation) {
                std::cmp::Ordering::Less => *claim = (generation, Some(index)),
                std::cmp::Ordering::Equal if claim.1 != Some(index) => claim.1 = None,
                std::cmp::Ordering::Equal | std::cmp::Ordering::Greater => {}
            }
        }
    }
    let claims = claims.into_iter();
    claims
        .filter_map(|(partition, (_, owner))| Some((partition, owner?)))
        .collect()
}

/// Divides partitions that all members want: every member keeps its own up to its share.
fn share(
    members: usize,
    all: BTreeSet<TopicPartition>,
    owners: &BTreeMap<TopicPartition, usize>,
) -> Vec<BTreeSet<TopicPartition>> {
    let (each, mut extras) = (all.len() / members, all.len() % members);
    let mut held = vec![BTreeSet::new(); members];
    for (partition, owner) in owners {
        held[*owner].insert(partition.clone());
    }
    // Those who have more than the rest keep the partitions that do not come out even.
    let mut shares = vec![each; members];
    let mut give_extras = |shares: &mut Vec<usize>, to: &dyn Fn(usize) -> bool| {
        for (index, share) in shares.iter_mut().enumerate() {
            if extras > 0 && *share == each && to(index) {
                *share += 1;
                extras -= 1;
            }
        }
    };
    give_extras(&mut shares, &|index| held[index].len() > each);
    give_extras(&mut shares, &|_index| true);
    let mut free = all;
    for (index, partitions) in held.iter_mut().enumerate() {
        let kept = partitions.iter().take(shares[index]);
        *partitions = kept.cloned().collect();
        partitions.iter().for_each(|partition| {
            free.remove(partition);
        });
    }
    let mut turn = 0;
    for partition in free {
        while held[turn].len() == shares[turn] {
            turn = (turn + 1) % members;
        }
        held[turn].insert(partition);
        turn = (turn + 1) % members;
    }
    held
}

/// Members of different wishes, on the way to an even assignment.
struct Balancing<'a> {
    wanted_by: BTreeMap<&'a TopicName, Vec<usize>>,
    owners: BTreeMap<TopicPartition, usize>,
    held: Vec<BTreeSet<TopicPartition>>,
}

impl<'a> Balancing<'a> {
    fn new(
        members: usize,
        wanted_by: BTreeMap<&'a TopicName, Vec<usize>>,
        owners: BTreeMap<TopicPartition, usize>,
    ) -> Self {
        let mut held = vec![BTreeSet::new(); members];
        for (partition, owner) in &owners {
            held[*owner].insert(partition.clone());
        }
        Self {
            wanted_by,
            owners,
            held,
        }
    }

    /// Gives what nobody has to whoever has least, the choosiest partitions first.
    fn place(&mut self, topics: &Topics) {
        let mut by_choice: Vec<(usize, &TopicName, u32)> = topics
            .iter()
            .map(|(topic, of)| (self.wanted_by[topic].len(), topic, of.count))
            .filter(|(wanters, ..)| *wanters > 0)
            .collect();
        by_choice.sort_unstable();
        for (_wanters, topic, count) in by_choice {
            for partition in partitions(topic, count) {
                if !self.owners.contains_key(&partition) {
                    let wanters = self.wanted_by[topic].iter().copied();
                    let least = wanters.min_by_key(|member| self.held[*member].len());
                    self.held[least.expect("somebody wants it")].insert(partition);
                }
            }
        }
    }

    /// Moves partitions while that brings two members closer together.
    fn balance(&mut self) {
        loop {
            let mut sources: Vec<usize> = (0..self.held.len()).collect();
            sources.sort_by_key(|member| std::cmp::Reverse(self.held[*member].len()));
            let found = sources.iter().find_map(|source| self.path_from(*source));
            let Some(path) = found else {
                return;
            };
            for step in path.windows(2) {
                self.move_one(step[0], step[1]);
            }
        }
    }

    /// The shortest way, from member to member, to one that has at least two fewer.
    fn path_from(&self, source: usize) -> Option<Vec<usize>> {
        let most = self.held[source].len().checked_sub(2)?;
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::from([(source, source)]);
        let mut queue = VecDeque::from([source]);
        while let Some(member) = queue.pop_front() {
            if self.held[member].len() <= most {
                let mut path = vec![member];
                let mut at = member;
                while at != source {
                    at = came_from[&at];
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            let topics: BTreeSet<&TopicName> = self.held[member]
                .iter()
                .map(|partition| &partition.topic)
                .collect();
            let mut next: Vec<usize> = topics
                .iter()
                .flat_map(|topic| &self.wanted_by[topic])
                .copied()
                .collect();
            next.sort_by_key(|member| (self.held[*member].len(), *member));
            for to in next {
                came_from.entry(to).or_insert_with(|| {
                    queue.push_back(to);
                    member
                });
            }
        }
        None
    }

    /// Moves a partition; rather one that comes home, or that is not at home, than another.
    fn move_one(&mut self, from: usize, to: usize) {
        let movable = self.held[from].iter().filter(|partition| {
            let wanted_by = &self.wanted_by[&partition.topic];
            wanted_by.binary_search(&to).is_ok()
        });
        let chosen = movable.min_by_key(|partition| match self.owners.get(partition) {
            Some(owner) if *owner == to => 0,
            Some(owner) if *owner == from => 2,
            Some(_) | None => 1,
        });
        let chosen = chosen
            .expect("the path goes over topics that the next member wants")
            .clone();
        self.held[from].remove(&chosen);
        self.held[to].insert(chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_is_kafkas() {
        let partition = |topic: &str, index| TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(index),
        };
        let owned = BTreeSet::from([partition("t", 0), partition("t", 3), partition("a", 1)]);
        let data = encode_previous(&owned, GroupGeneration(5));
        let expected = b"\0\0\0\x02\0\x01a\0\0\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x03\
                         \0\0\0\x05";
        assert_eq!(&data[..], expected);
        let generation = 5;
        assert_eq!(decode_previous(&data), Some(Previous { owned, generation }));
        let without = decode_previous(&data.slice(..data.len() - 4)).expect("the oldest version");
        assert_eq!((without.owned.len(), without.generation), (3, -1));
        for length in 0..data.len() - 4 {
            assert_eq!(decode_previous(&data.slice(..length)), None, "{length}");
        }
        assert_eq!(&encode_generation(GroupGeneration::NONE)[..], [0xff; 4]);
    }
}
