//! What groups say of themselves to whoever shows metrics: state, members, committed offsets.

use std::ops::Bound;

use kafka_wire_core::StrBytes;

use super::{GroupId, Shard};
use crate::ids::{Offset, PartitionIndex, TopicName};

/// One group.
#[derive(Clone, Debug)]
pub struct GroupFigures {
    /// Its name.
    pub group: StrBytes,
    /// Kafka's name for its state.
    pub state: &'static str,
    /// How many members it has.
    pub members: u64,
    /// What it committed, by topic and partition.
    pub offsets: Vec<(TopicName, PartitionIndex, Offset)>,
}

impl Shard {
    /// Adds groups after `after`, in the order of their names, until there are `count_max` groups
    /// and offsets of them, the last group whole; answers where to go on, or `None` at the end.
    pub fn figures(
        &self,
        after: Option<&GroupId>,
        count_max: usize,
        into: &mut Vec<GroupFigures>,
    ) -> Option<GroupId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let groups = self.groups.range((start, Bound::Unbounded));
        let mut last = None;
        let mut count = 0;
        for (id, group) in groups {
            if count >= count_max {
                break;
            }
            let committed = self.offsets.get(id).map(|offsets| offsets.committed());
            let offsets = committed
                .into_iter()
                .flatten()
                .flat_map(|(topic, partitions)| {
                    let partitions = partitions.iter();
                    partitions
                        .map(|(index, commit)| (TopicName::clone(topic), *index, commit.offset))
                });
            let offsets: Vec<_> = offsets.collect();
            count += 1 + offsets.len();
            into.push(GroupFigures {
                group: id.clone(),
                state: group.state.name(),
                members: u64::try_from(group.members_count()).expect("a length fits in u64"),
                offsets,
            });
            last = Some(id.clone());
        }
        last
    }
}
