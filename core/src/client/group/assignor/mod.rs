//! How the leader of a group divides partitions among the members.
//!
//! Pure: members with their subscriptions, and the partitions that exist, give assignments. The
//! four strategies have the names of Kafka's and speak its user data, so that members of ours and
//! of Java's form one group. Compare Kafka's `ConsumerPartitionAssignor` and its implementations;
//! checked against Apache Kafka 4.3.1.

mod range;
mod round_robin;
mod sticky;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::client::group::protocol::{GroupGeneration, Subscription};
use crate::ids::{TopicName, TopicPartition};

/// A member as the leader sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: Arc<str>,
    /// Its name, where it has one (`group.instance.id`).
    pub instance_id: Option<Arc<str>>,
    /// What it wants.
    pub subscription: Subscription,
}

/// The partitions of a topic.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TopicPartitions {
    /// How many it has.
    pub count: u32,
    /// The racks of each partition's replicas; empty where they are not known.
    pub racks: Vec<BTreeSet<Arc<str>>>,
}

/// The topics that exist, of those that members want.
pub type Topics = BTreeMap<TopicName, TopicPartitions>;

/// Partitions by member id; every member is there.
pub type Assignments = BTreeMap<Arc<str>, BTreeSet<TopicPartition>>;

/// How partitions move from one member to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RebalanceProtocol {
    /// Members keep what they own and give up only what moves, in a second round (KIP-429).
    Cooperative,
    /// Every member gives up all before each round.
    Eager,
}

/// A strategy (`partition.assignment.strategy`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Assignor {
    /// As sticky, and members go on reading while the group rebalances.
    CooperativeSticky,
    /// Each topic in ranges; the same indexes of topics with as many partitions go together.
    Range,
    /// One partition to each member in turn, over all topics.
    RoundRobin,
    /// Balanced, with as few moves as possible.
    Sticky,
}

impl Assignor {
    /// Its name in JoinGroup.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
        }
    }

    /// The strategy of this name, or of this class of Kafka's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let class = name.rsplit('.').next().unwrap_or(name);
        let all = [
            (Self::CooperativeSticky, "CooperativeStickyAssignor"),
            (Self::Range, "RangeAssignor"),
            (Self::RoundRobin, "RoundRobinAssignor"),
            (Self::Sticky, "StickyAssignor"),
        ];
        let mut found = all.iter();
        let found = found.find(|(assignor, known)| assignor.name() == name || *known == class);
        found.map(|(assignor, _class)| *assignor)
    }

    /// The protocol it is made for; every strategy can do with the eager one.
    #[must_use]
    pub fn protocol(self) -> RebalanceProtocol {
        match self {
            Self::CooperativeSticky => RebalanceProtocol::Cooperative,
            Self::Range | Self::RoundRobin | Self::Sticky => RebalanceProtocol::Eager,
        }
    }

    /// What a member adds to its subscription for this strategy: its last assignment.
    #[must_use]
    pub fn user_data(
        self,
        owned: &BTreeSet<TopicPartition>,
        generation: GroupGeneration,
    ) -> Option<Bytes> {
        match self {
            Self::CooperativeSticky => Some(sticky::encode_generation(generation)),
            Self::Range | Self::RoundRobin => None,
            Self::Sticky if generation == GroupGeneration::NONE => None,
            Self::Sticky => Some(sticky::encode_previous(owned, generation)),
        }
    }

    /// Divides the partitions of `topics`.
    ///
    /// Every partition of a topic that somebody wants goes to one member that wants it; with
    /// [`RebalanceProtocol::Cooperative`], one that another member owns goes to nobody until that
    /// member has given it up.
    #[must_use]
    pub fn assign(self, members: &[Member], topics: &Topics) -> Assignments {
        let mut sorted: Vec<&Member> = members.iter().collect();
        sorted.sort_by(|a, b| in_order(a, b));
        match self {
            Self::CooperativeSticky => {
                let mut assignments = sticky::assign(&sorted, topics, sticky::previous_cooperative);
                sticky::hold_back(&sorted, &mut assignments);
                assignments
            }
            Self::Range => range::assign(&sorted, topics),
            Self::RoundRobin => round_robin::assign(&sorted, topics),
            Self::Sticky => sticky::assign(&sorted, topics, sticky::previous_eager),
        }
    }
}

/// Named members first, by name, then the others by id.
fn in_order(a: &Member, b: &Member) -> std::cmp::Ordering {
    match (&a.instance_id, &b.instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.id.cmp(&b.id),
    }
}

/// An assignment of nothing to every member.
fn nothing(members: &[&Member]) -> Assignments {
    let ids = members.iter().map(|member| Arc::clone(&member.id));
    ids.map(|id| (id, BTreeSet::new())).collect()
}

/// The partitions of a topic, in order.
fn partitions(topic: &TopicName, count: u32) -> impl Iterator<Item = TopicPartition> + use<> {
    let topic = Arc::clone(topic);
    (0..count).map(move |index| TopicPartition {
        topic: Arc::clone(&topic),
        partition: crate::ids::PartitionIndex(i32::try_from(index).expect("counts fit in i32")),
    })
}
