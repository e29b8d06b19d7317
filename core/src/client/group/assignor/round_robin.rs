//! `roundrobin`: all partitions of all topics in order, one to each member in turn.
//!
//! A member that does not want a partition's topic is passed over. Compare Kafka's
//! `RoundRobinAssignor`.

use std::collections::BTreeSet;

use super::{Assignments, Member, Topics, nothing, partitions};

/// Deals partitions out; `members` are in order.
pub(super) fn assign(members: &[&Member], topics: &Topics) -> Assignments {
    let mut assignments = nothing(members);
    let wanted: BTreeSet<_> = members
        .iter()
        .flat_map(|member| &member.subscription.topics)
        .collect();
    let mut turn = 0;
    for (topic, of) in topics.iter().filter(|(topic, _of)| wanted.contains(topic)) {
        for partition in partitions(topic, of.count) {
            while !members[turn].subscription.topics.contains(topic) {
                turn = (turn + 1) % members.len();
            }
            let assigned = assignments.get_mut(&members[turn].id);
            assigned.expect("every member is there").insert(partition);
            turn = (turn + 1) % members.len();
        }
    }
    assignments
}
