//! Topics get more partitions (K25).
//!
//! They never get fewer, and where keys went before does not change by it.

use super::placement::{check_manual, new_partition, place};
use super::topics::{duplicate, duplicates, take, too_many_partitions};
use super::{Decision, Refusal, Scene};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex};
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::metadata::records::{MetadataRecord, PartitionRecord};
use crate::quota::throttle::Allowance;
use crate::rng::Rng;

/// A topic to get more partitions.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PartitionGrowth {
    /// Its name.
    pub name: String,
    /// How many partitions it shall have.
    pub count: i32,
    /// The replicas of each new partition, chosen by the client; `None` leaves it to the cluster.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// What became of a [`PartitionGrowth`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrowthResult {
    /// The topic's name.
    pub name: String,
    /// Whether its records create the partitions.
    pub outcome: Result<(), Refusal>,
}

/// Adds partitions to topics. Names that come twice are refused once, before the others.
#[must_use]
pub fn create_partitions(
    scene: &Scene<'_>,
    rng: &mut Rng,
    allowance: &mut Allowance,
    topics: &[PartitionGrowth],
) -> Decision<GrowthResult> {
    let duplicates = duplicates(topics.iter().map(|topic| topic.name.as_str()));
    let mut decision = Decision::default();
    decision
        .results
        .extend(duplicates.iter().map(|name| GrowthResult {
            name: (*name).to_owned(),
            outcome: Err(duplicate("name")),
        }));
    let unique = topics
        .iter()
        .filter(|topic| !duplicates.contains(topic.name.as_str()));
    for topic in unique {
        let room = PARTITIONS_PER_REQUEST_MAX - decision.records.len() as i64;
        let grown = grow_topic(scene, rng, topic, room).and_then(|records| {
            let count = i32::try_from(records.len()).expect("bounded by the room");
            take(allowance, count)?;
            Ok(records)
        });
        let outcome = grown.map(|records| {
            decision
                .records
                .extend(records.into_iter().map(MetadataRecord::from));
        });
        decision.results.push(GrowthResult {
            name: topic.name.clone(),
            outcome,
        });
    }
    decision
}

fn grow_topic(
    scene: &Scene<'_>,
    rng: &mut Rng,
    growth: &PartitionGrowth,
    room: i64,
) -> Result<Vec<PartitionRecord>, Refusal> {
    let Some(topic) = scene.image.topic(&growth.name) else {
        return Err(Refusal::bare(ErrorCode::UnknownTopicOrPartition));
    };
    let (name, present) = (&growth.name, topic.partitions_count());
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidPartitions, text));
    if growth.count == present {
        return refuse(format!("Topic already has {present} partition(s)."));
    }
    if growth.count < present {
        return refuse(format!(
            "The topic {name} currently has {present} partition(s); {} would not be an increase.",
            growth.count
        ));
    }
    let additional = growth.count - present;
    let factor = topic
        .partitions
        .first()
        .map_or(1, |partition| partition.replicas.len());
    let replicas = match &growth.assignments {
        Some(assignments) if i32::try_from(assignments.len()) != Ok(additional) => {
            return Err(Refusal::new(
                ErrorCode::InvalidReplicaAssignment,
                format!(
                    "Attempted to add {additional} additional partition(s), but only {} \
                     assignment(s) were specified.",
                    assignments.len()
                ),
            ));
        }
        Some(assignments) => {
            for replicas in assignments {
                check_manual(scene.image, replicas, Some(factor))?;
            }
            assignments.clone()
        }
        None if i64::from(additional) > room => return Err(too_many_partitions()),
        None => {
            let factor = i16::try_from(factor).expect("bounded by the brokers");
            let count = usize::try_from(additional).expect("checked to be positive");
            place(scene, rng, count, factor)?
        }
    };
    (present..)
        .zip(replicas)
        .map(|(index, replicas)| {
            new_partition(scene.image, topic.id, PartitionIndex(index), replicas)
        })
        .collect()
}
