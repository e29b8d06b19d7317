//! Reassignments of partitions to other brokers (KIP-455), as far as a cluster of one has any.
//!
//! Naming the brokers that have the replicas already changes nothing; brokers that are not there
//! are refused. Kafka methods to compare: `ReplicationControlManager.alterPartitionReassignments`
//! and `listPartitionReassignments`.

use super::placement::check_manual;
use super::{Refusal, Scene};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, TopicName};
use crate::metadata::{Image, PartitionImage};

/// What is asked for one partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reassignment<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The partition.
    pub index: PartitionIndex,
    /// Its replicas; `None` cancels the reassignment under way.
    pub replicas: Option<Vec<NodeId>>,
}

/// Decides upon one reassignment.
///
/// # Errors
/// Where the partition is not there, the replicas cannot be had, or there is nothing to cancel.
pub fn reassign(
    scene: &Scene<'_>,
    asked: &Reassignment<'_>,
    may_change_factor: bool,
) -> Result<(), Refusal> {
    let (topic, index) = (asked.topic, asked.index);
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let image = scene
        .image
        .topic(topic)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {topic}.")))?;
    let partition = image
        .partition(index)
        .ok_or_else(|| unknown(format!("Unable to find partition {topic}:{index}.")))?;
    let Some(target) = &asked.replicas else {
        if is_under_way(partition) {
            return Err(alone());
        }
        return Err(Refusal::bare(ErrorCode::NoReassignmentInProgress));
    };
    check_manual(scene.image, target, None)?;
    let present = &partition.replicas;
    if !may_change_factor && target.len() != present.len() {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            format!(
                "The replication factor is changed from {} to {}",
                present.len(),
                target.len()
            ),
        ));
    }
    if target == present && !is_under_way(partition) {
        Ok(())
    } else {
        Err(alone())
    }
}

/// Another broker of the same cluster is known, but it is not there to give or take anything.
fn alone() -> Refusal {
    Refusal::new(
        ErrorCode::InvalidReplicaAssignment,
        "No other broker takes part in this cluster, so replicas cannot move.",
    )
}

fn is_under_way(partition: &PartitionImage) -> bool {
    !partition.adding_replicas.is_empty() || !partition.removing_replicas.is_empty()
}

/// The partitions with a reassignment under way: of those named, or of all.
#[must_use]
pub fn under_way<'a>(
    image: &'a Image,
    asked: Option<&[(TopicName, Vec<PartitionIndex>)]>,
) -> Vec<(TopicName, Vec<(PartitionIndex, &'a PartitionImage)>)> {
    let mut found = Vec::new();
    let mut note = |name: &TopicName, partitions: Vec<(PartitionIndex, &'a PartitionImage)>| {
        if !partitions.is_empty() {
            found.push((name.clone(), partitions));
        }
    };
    let Some(asked) = asked else {
        for topic in image.topics() {
            let moving = topic.indexed().filter(|(_, image)| is_under_way(image));
            note(&topic.name, moving.collect());
        }
        return found;
    };
    for (name, indexes) in asked {
        let Some(topic) = image.topic(name) else {
            continue;
        };
        let moving = indexes
            .iter()
            .filter_map(|&index| Some((index, topic.partition(index)?)))
            .filter(|(_, image)| is_under_way(image));
        note(name, moving.collect());
    }
    found
}
