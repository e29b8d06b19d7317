//! Where replicas go, and who of them leads.
//!
//! Placement spreads leaders over brokers, and the replicas of a partition over racks, by turns: a
//! line of brokers in which neighbours are of different racks, from which each partition takes the
//! next broker as leader and those after it as followers. Kafka's `StripedReplicaPlacer` pursues
//! the same ends; its very choice is not copied. Manual assignments are checked, not improved.

use std::collections::BTreeMap;

use super::{Refusal, Scene};
use crate::error::ErrorCode;
use crate::ids::{DirectoryId, NodeId, PartitionIndex};
use crate::ids::{LeaderEpoch, PartitionEpoch, TopicId};
use crate::metadata::records::PartitionRecord;
use crate::metadata::{BrokerImage, Image, PartitionImage};
use crate::rng::Rng;

/// The directory of a replica whose broker has several to choose from (`DirectoryId.UNASSIGNED`).
const UNASSIGNED_DIRECTORY: DirectoryId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Replicas for `count` partitions, the leader first in each.
///
/// # Errors
/// Where fewer brokers are registered than replicas are wanted, or none may lead.
pub fn place(
    scene: &Scene<'_>,
    rng: &mut Rng,
    count: usize,
    replication_factor: i16,
) -> Result<Vec<Vec<NodeId>>, Refusal> {
    let refuse = |reason: String| {
        let code = ErrorCode::InvalidReplicationFactor;
        let text =
            format!("Unable to replicate the partition {replication_factor} time(s): {reason}");
        Refusal::new(code, text)
    };
    let wanted = usize::try_from(replication_factor).unwrap_or(0);
    assert!(wanted > 0, "the caller checks the replication factor");
    let usable = |broker: &&BrokerImage| takes_partitions(broker);
    let brokers: Vec<&BrokerImage> = scene
        .image
        .brokers()
        .map(AsRef::as_ref)
        .filter(usable)
        .collect();
    if wanted > brokers.len() {
        let registered = brokers.len();
        return Err(refuse(format!(
            "The target replication factor of {replication_factor} cannot be reached because only \
             {registered} broker(s) are registered or some brokers have all their log directories \
             cordoned."
        )));
    }
    let leaders = line_up(brokers.iter().copied().filter(|broker| is_active(broker)));
    if leaders.is_empty() {
        return Err(refuse(
            "All brokers are currently fenced or have all their log directories \
                           cordoned."
                .to_owned(),
        ));
    }
    let fenced = line_up(brokers.iter().copied().filter(|broker| !is_active(broker)));
    let start = usize::try_from(rng.below(leaders.len() as u64)).expect("below a length");
    let partitions = (0..count)
        .map(|partition| replicas_from(&leaders, &fenced, start.wrapping_add(partition), wanted));
    Ok(partitions.collect())
}

/// A broker's place in a line: its number and its rack.
type Place<'a> = (NodeId, &'a str);

/// The leader at a position of the line, then followers: first those whose rack has no replica yet,
/// then the others; active ones before fenced ones in both. Each full round begins one further on,
/// so that two brokers do not share all their partitions.
fn replicas_from(
    leaders: &[Place<'_>],
    fenced: &[Place<'_>],
    position: usize,
    wanted: usize,
) -> Vec<NodeId> {
    let length = leaders.len();
    let others = (length - 1).max(1);
    let follower = |step: usize| {
        let distance = 1 + (step + position / length) % others;
        leaders[(position + distance) % length]
    };
    let after = |step: usize| fenced[(position + step) % fenced.len()];
    let mut line: Vec<Place<'_>> = vec![leaders[position % length]];
    line.extend((0..length - 1).map(follower));
    line.extend((0..fenced.len()).map(after));

    let mut racks: Vec<&str> = Vec::new();
    let (mut replicas, mut rest) = (Vec::new(), Vec::new());
    for (node, rack) in line {
        if racks.contains(&rack) {
            rest.push(node);
        } else {
            racks.push(rack);
            replicas.push(node);
        }
    }
    replicas.extend(rest);
    replicas.truncate(wanted);
    assert_eq!(replicas.len(), wanted, "there are enough brokers");
    replicas
}

/// Brokers in a line in which racks take turns; within a rack by number.
fn line_up<'a>(brokers: impl Iterator<Item = &'a BrokerImage>) -> Vec<Place<'a>> {
    let mut racks: BTreeMap<&str, Vec<Place<'a>>> = BTreeMap::new();
    for broker in brokers {
        let rack = broker.rack.as_deref().unwrap_or("");
        racks.entry(rack).or_default().push((broker.id, rack));
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|turn| {
            racks
                .values()
                .filter_map(move |rack| rack.get(turn).copied())
        })
        .collect()
}

/// Whether a broker may lead.
#[must_use]
pub fn is_active(broker: &BrokerImage) -> bool {
    !broker.fenced && !broker.in_controlled_shutdown
}

/// Whether one of the broker's directories takes new partitions.
fn takes_partitions(broker: &BrokerImage) -> bool {
    let Some(cordoned) = &broker.cordoned_log_dirs else {
        return true;
    };
    broker.log_dirs.is_empty() || broker.log_dirs.iter().any(|dir| !cordoned.contains(dir))
}

/// Checks replicas that a request names itself; `replication_factor` is that of the topic's other
/// partitions.
///
/// # Errors
/// Where the list is empty, names a broker twice or an unknown one, or has another length.
pub fn check_manual(
    image: &Image,
    replicas: &[NodeId],
    replication_factor: Option<usize>,
) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    if replicas.is_empty() {
        return refuse(
            "The manual partition assignment includes an empty replica list.".to_owned(),
        );
    }
    let mut sorted = replicas.to_vec();
    sorted.sort();
    for (index, broker) in sorted.iter().enumerate() {
        if image.broker(*broker).is_none() {
            return refuse(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is \
                 registered."
            ));
        }
        if index > 0 && sorted[index - 1] == *broker {
            return refuse(format!(
                "The manual partition assignment includes the broker {broker} more than once."
            ));
        }
    }
    match replication_factor {
        Some(expected) if expected != replicas.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is \
             not consistent with previous partitions, which have {expected} replica(s).",
            replicas.len()
        )),
        Some(_) | None => Ok(()),
    }
}

/// The record of a new partition: its active replicas are in sync, the first of them leads.
///
/// # Errors
/// Where none of the replicas is active.
pub fn new_partition(
    image: &Image,
    topic_id: TopicId,
    partition_id: PartitionIndex,
    replicas: Vec<NodeId>,
) -> Result<PartitionRecord, Refusal> {
    let active = |node: &NodeId| image.broker(*node).is_some_and(|broker| is_active(broker));
    let isr: Vec<NodeId> = replicas.iter().copied().filter(active).collect();
    let Some(&leader) = isr.first() else {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "All brokers specified in the manual partition assignment for partition \
                 {partition_id} are fenced or in controlled shutdown."
            ),
        ));
    };
    let directories = replicas
        .iter()
        .map(|node| default_directory(image, *node))
        .collect();
    Ok(PartitionRecord {
        partition_id,
        topic_id,
        replicas,
        isr,
        leader,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
        directories,
        ..PartitionRecord::default()
    })
}

/// The only directory of a broker that has one; else the broker chooses.
fn default_directory(image: &Image, node: NodeId) -> DirectoryId {
    match image.broker(node).map(|broker| broker.log_dirs.as_slice()) {
        Some([only]) => *only,
        Some(_) | None => UNASSIGNED_DIRECTORY,
    }
}

/// The replica that should lead: the first, in the order of the replicas, that is active and in
/// sync or eligible. Where none is left at all, the one that was the last known to be, if it is
/// active (KIP-966); where `unclean` allows it, the first that is active.
#[must_use]
pub fn elect(
    partition: &PartitionImage,
    is_active: impl Fn(NodeId) -> bool,
    unclean: bool,
) -> Option<NodeId> {
    let has_everything = |node: &NodeId| {
        partition.isr.contains(node) || partition.eligible_leader_replicas.contains(node)
    };
    let candidates = || {
        partition
            .replicas
            .iter()
            .copied()
            .filter(|node| is_active(*node))
    };
    let last_known = || match partition.last_known_elr.as_slice() {
        [last] if partition.isr.is_empty() && partition.eligible_leader_replicas.is_empty() => {
            Some(*last).filter(|node| is_active(*node))
        }
        _none_or_several => None,
    };
    candidates()
        .find(has_everything)
        .or_else(last_known)
        .or_else(|| candidates().next().filter(|_| unclean))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::config::Settings;
    use crate::metadata::Delta;
    use crate::metadata::records::RegisterBrokerRecord;

    /// Brokers numbered from 1, with racks and whether they are fenced.
    fn image(brokers: &[(&str, bool)]) -> Image {
        let mut image = Image::default();
        for (number, (rack, fenced)) in (1..).zip(brokers) {
            let record = RegisterBrokerRecord {
                broker_id: NodeId(number),
                rack: (!rack.is_empty()).then(|| Arc::from(*rack)),
                fenced: *fenced,
                ..RegisterBrokerRecord::default()
            };
            image
                .apply(&record.into(), &mut Delta::default())
                .expect("new");
        }
        image
    }

    fn placed(brokers: &[(&str, bool)], count: usize, factor: i16) -> Vec<Vec<NodeId>> {
        let image = image(brokers);
        let scene = Scene {
            image: &image,
            settings: &Settings::default(),
            node: NodeId(1),
        };
        place(&scene, &mut Rng::new(7), count, factor).expect("enough brokers")
    }

    #[test]
    fn leaders_and_followers_are_spread_evenly() {
        let partitions = placed(&[("", false); 5], 60, 3);
        for number in 1..=5 {
            let leads = partitions
                .iter()
                .filter(|replicas| replicas[0] == NodeId(number))
                .count();
            assert_eq!(leads, 12);
            let holds = partitions
                .iter()
                .filter(|r| r.contains(&NodeId(number)))
                .count();
            assert_eq!(holds, 36);
        }
        for replicas in partitions {
            assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 3);
        }
    }

    #[test]
    fn racks_take_turns() {
        let racks = [("a", false), ("a", false), ("b", false), ("b", false)];
        for replicas in placed(&racks, 4, 2) {
            let rack = |node: NodeId| racks[usize::try_from(node.0 - 1).expect("small")].0;
            assert_ne!(rack(replicas[0]), rack(replicas[1]));
        }
    }

    #[test]
    fn fenced_brokers_follow_but_never_lead() {
        for replicas in placed(&[("", true), ("", false)], 4, 2) {
            assert_eq!(replicas, [NodeId(2), NodeId(1)]);
        }
    }

    #[test]
    fn elections() {
        let nodes = |numbers: &[i32]| numbers.iter().copied().map(NodeId).collect::<Vec<_>>();
        let partition = PartitionImage {
            replicas: nodes(&[1, 2, 3]),
            isr: nodes(&[3, 2]),
            ..PartitionImage::default()
        };
        assert_eq!(elect(&partition, |_| true, false), Some(NodeId(2)));
        assert_eq!(
            elect(&partition, |node| node != NodeId(2), false),
            Some(NodeId(3))
        );
        assert_eq!(elect(&partition, |node| node == NodeId(1), false), None);
        assert_eq!(
            elect(&partition, |node| node == NodeId(1), true),
            Some(NodeId(1))
        );
    }
}
