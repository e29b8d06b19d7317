//! The changes of leaders that follow when a broker comes or goes.
//!
//! Kafka method to compare: `ReplicationControlManager.generateLeaderAndIsrUpdates`.

use super::Scene;
use super::placement::{elect, is_active};
use crate::config::topic::topic_value;
use crate::ids::{NodeId, PartitionIndex, TopicId};
use crate::metadata::records::{MetadataRecord, PartitionChangeRecord};
use crate::metadata::{ConfigResource, PartitionImage};

/// Which partitions an event is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Affected {
    /// Those the broker leads, which it no longer may.
    LedBy,
    /// Those that have the broker as a replica and no leader.
    Leaderless,
}

/// The changes of leaders that follow when a broker went or came.
///
/// A last in-sync replica stays in the ISR though it is gone: it is the only one known to have
/// everything (the classic rule; KIP-966 replaces it where it is finalized).
pub(super) fn elections(
    scene: &Scene<'_>,
    node: NodeId,
    affected: Affected,
) -> Vec<MetadataRecord> {
    let is_gone = |other: NodeId| affected == Affected::LedBy && other == node;
    let may_lead = |other: NodeId| {
        !is_gone(other)
            && scene
                .image
                .broker(other)
                .is_some_and(|broker| is_active(broker))
    };
    let mut records = Vec::new();
    for topic in scene.image.topics() {
        let unclean = || {
            let configs = scene.image.configs(&ConfigResource::topic(&topic.name));
            let name = "unclean.leader.election.enable";
            topic_value(scene.settings, &configs, name).as_deref() == Some("true")
        };
        for (index, partition) in topic.indexed() {
            let is_affected = match affected {
                Affected::LedBy => partition.leader == node || partition.isr.contains(&node),
                Affected::Leaderless => {
                    partition.leader == NodeId::NONE && partition.replicas.contains(&node)
                }
            };
            if is_affected {
                let elected = elect(partition, may_lead, false)
                    .or_else(|| elect(partition, may_lead, unclean()));
                records.extend(election_record(
                    topic.id, index, partition, elected, is_gone,
                ));
            }
        }
    }
    records
}

/// The change of one partition; `None` where nothing changes.
pub(super) fn election_record(
    topic_id: TopicId,
    partition_id: PartitionIndex,
    partition: &PartitionImage,
    elected: Option<NodeId>,
    is_gone: impl Fn(NodeId) -> bool,
) -> Option<MetadataRecord> {
    let unchanged = PartitionChangeRecord {
        partition_id,
        topic_id,
        ..PartitionChangeRecord::default()
    };
    let mut change = unchanged.clone();
    let leader = elected.unwrap_or(NodeId::NONE);
    if leader != partition.leader {
        change.leader = leader;
    }
    let stays = |node: &NodeId| !is_gone(*node);
    let mut isr: Vec<NodeId> = partition.isr.iter().copied().filter(stays).collect();
    if isr.is_empty() {
        isr.clone_from(&partition.isr);
    }
    if elected.is_some() && !isr.contains(&leader) {
        // Nothing but the new leader is known to match it. An eligible replica has everything; any
        // other is an unclean leader, and has to recover.
        isr = vec![leader];
        if !partition.eligible_leader_replicas.contains(&leader) {
            change.leader_recovery_state = 1;
        }
        let forget = |nodes: &Vec<NodeId>| (!nodes.is_empty()).then(Vec::new);
        change.eligible_leader_replicas = forget(&partition.eligible_leader_replicas);
        change.last_known_elr = forget(&partition.last_known_elr);
    }
    if isr != partition.isr {
        change.isr = Some(isr);
    }
    (change != unchanged).then(|| change.into())
}
