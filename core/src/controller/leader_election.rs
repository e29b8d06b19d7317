//! Elections that a client asks for: of preferred leaders, or unclean ones (KIP-183, KIP-460).
//!
//! Kafka method to compare: `ReplicationControlManager.electLeaders`.

use super::elections::election_record;
use super::placement::{elect, is_active};
use super::{Decision, Refusal, Scene};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, TopicName};
use crate::metadata::records::MetadataRecord;
use crate::metadata::{PartitionImage, TopicImage};

/// Which leader is asked for; the numbers are the wire's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Election {
    /// The first replica, where it is in sync.
    Preferred,
    /// Any replica that is alive, where nobody leads.
    Unclean,
}

impl Election {
    /// The election with this number.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _other => None,
        }
    }
}

/// What became of one partition's election.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ElectionResult {
    /// The topic's name.
    pub topic: TopicName,
    /// Each partition asked for, and whether its record elects a leader.
    pub partitions: Vec<(PartitionIndex, Result<(), Refusal>)>,
}

/// Elects leaders of the partitions named; of all of them where `asked` is `None`, and then says
/// nothing of those that have the right leader already.
#[must_use]
pub fn elect_leaders(
    scene: &Scene<'_>,
    election: Election,
    asked: Option<&[(TopicName, Vec<PartitionIndex>)]>,
) -> Decision<ElectionResult> {
    let mut decision = Decision::default();
    let records = &mut decision.records;
    if let Some(asked) = asked {
        for (name, indexes) in asked {
            let topic = scene.image.topic(name);
            let partitions = indexes.iter().map(|&index| {
                let outcome = elect_one(scene, election, name, topic.map(AsRef::as_ref), index);
                (index, outcome.map(|record| records.push(record)))
            });
            decision.results.push(ElectionResult {
                topic: name.clone(),
                partitions: partitions.collect(),
            });
        }
        return decision;
    }
    for topic in scene.image.topics() {
        let mut partitions = Vec::new();
        for (index, _) in topic.indexed() {
            let outcome = elect_one(scene, election, &topic.name, Some(topic), index);
            let is_needless = matches!(
                &outcome,
                Err(refusal) if refusal.code == ErrorCode::ElectionNotNeeded
            );
            if !is_needless {
                partitions.push((index, outcome.map(|record| records.push(record))));
            }
        }
        decision.results.push(ElectionResult {
            topic: topic.name.clone(),
            partitions,
        });
    }
    decision
}

fn elect_one(
    scene: &Scene<'_>,
    election: Election,
    name: &str,
    topic: Option<&TopicImage>,
    index: PartitionIndex,
) -> Result<MetadataRecord, Refusal> {
    let unknown = |text: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, text);
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let partition = topic
        .partition(index)
        .ok_or_else(|| unknown(format!("No such partition as {name}-{index}")))?;
    let is_alive = |node: NodeId| {
        let broker = scene.image.broker(node);
        broker.is_some_and(|broker| is_active(broker))
    };
    let (is_needless, elected, code) = match election {
        Election::Preferred => (
            Some(&partition.leader) == partition.replicas.first(),
            preferred(partition).filter(|&node| is_alive(node)),
            ErrorCode::PreferredLeaderNotAvailable,
        ),
        Election::Unclean => (
            partition.leader != NodeId::NONE,
            elect(partition, is_alive, true),
            ErrorCode::EligibleLeadersNotAvailable,
        ),
    };
    if is_needless {
        return Err(needless());
    }
    let record =
        elected.and_then(|node| election_record(topic.id, index, partition, Some(node), |_| false));
    record.ok_or_else(|| {
        let text = "No replica that may be elected is available.";
        Refusal::new(code, text)
    })
}

fn needless() -> Refusal {
    let text = "Leader election not needed for topic partition.";
    Refusal::new(ErrorCode::ElectionNotNeeded, text)
}

/// The preferred leader, where it has everything.
fn preferred(partition: &PartitionImage) -> Option<NodeId> {
    let first = partition.replicas.first().copied()?;
    partition.isr.contains(&first).then_some(first)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Settings;
    use crate::ids::{DirectoryId, TopicId};
    use crate::metadata::records::{PartitionRecord, RegisterBrokerRecord, TopicRecord};
    use crate::metadata::{Delta, Image};

    const TOPIC: TopicId = TopicId([9; 16]);

    /// A topic with one partition on brokers 1 and 2; those named are alive.
    fn image(leader: i32, isr: &[i32], alive: &[i32]) -> Image {
        let mut image = Image::default();
        let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect::<Vec<NodeId>>();
        let mut records: Vec<MetadataRecord> = [1, 2]
            .into_iter()
            .map(|id| {
                let broker = RegisterBrokerRecord {
                    broker_id: NodeId(id),
                    fenced: !alive.contains(&id),
                    ..RegisterBrokerRecord::default()
                };
                broker.into()
            })
            .collect();
        let topic = TopicRecord {
            name: Arc::from("t"),
            topic_id: TOPIC,
        };
        let partition = PartitionRecord {
            partition_id: PartitionIndex(0),
            topic_id: TOPIC,
            replicas: nodes(&[1, 2]),
            isr: nodes(isr),
            leader: NodeId(leader),
            directories: vec![DirectoryId::ZERO; 2],
            ..PartitionRecord::default()
        };
        records.extend([topic.into(), partition.into()]);
        for record in records {
            let applied = image.apply(&record, &mut Delta::default());
            applied.expect("a new image");
        }
        image
    }

    /// The leader after an election, or the error.
    fn check(mut image: Image, election: Election) -> Result<i32, ErrorCode> {
        let settings = Settings::load("", &[]).expect("no settings");
        let scene = Scene {
            image: &image,
            settings: &settings,
            node: NodeId(1),
        };
        let asked = [(Arc::from("t"), vec![PartitionIndex(0)])];
        let decision = elect_leaders(&scene, election, Some(&asked));
        let all = elect_leaders(&scene, election, None);
        assert_eq!(decision.records, all.records);
        for record in &decision.records {
            let applied = image.apply(record, &mut Delta::default());
            applied.expect("decided on it");
        }
        let (_, outcome) = decision.results[0].partitions[0].clone();
        let told: usize = all.results.iter().map(|topic| topic.partitions.len()).sum();
        let is_needless = outcome == Err(needless());
        assert_eq!(told, usize::from(!is_needless));
        let topic = image.topic("t").expect("there");
        outcome
            .map(|()| topic.partitions[0].leader.0)
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn preferred_leaders_come_back() {
        let check = |leader, isr: &[i32], alive: &[i32]| {
            check(image(leader, isr, alive), Election::Preferred)
        };
        assert_eq!(
            check(1, &[1, 2], &[1, 2]),
            Err(ErrorCode::ElectionNotNeeded)
        );
        assert_eq!(check(2, &[1, 2], &[1, 2]), Ok(1));
        let unavailable = Err(ErrorCode::PreferredLeaderNotAvailable);
        assert_eq!(check(2, &[2], &[1, 2]), unavailable, "not in sync");
        assert_eq!(check(2, &[1, 2], &[2]), unavailable, "not alive");
    }

    #[test]
    fn unclean_leaders_only_where_there_is_none() {
        let check = |leader, isr: &[i32], alive: &[i32]| {
            check(image(leader, isr, alive), Election::Unclean)
        };
        assert_eq!(check(2, &[2], &[1, 2]), Err(ErrorCode::ElectionNotNeeded));
        assert_eq!(check(-1, &[2], &[1]), Ok(1));
        assert_eq!(
            check(-1, &[2], &[]),
            Err(ErrorCode::EligibleLeadersNotAvailable)
        );
    }
}
