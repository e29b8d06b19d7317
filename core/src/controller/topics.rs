//! Topics come, grow and go (K17, K24, K25, K26).
//!
//! Kafka classes to compare: `ReplicationControlManager`, `ControllerApis`. Paging, authorization
//! and waiting for the commit are the API's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config_rules::check_topic_set;
use super::names::{
    CLUSTER_METADATA, collide, colliding_topic, has_collision_characters, invalid_name,
};
use super::placement::{check_manual, new_partition, place};
use super::{Decision, Refusal, Scene};
use crate::config::definition::Scope;
use crate::config::{Overrides, table};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, TopicId};
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::metadata::records::{
    ConfigRecord, MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use crate::metadata::{ResourceKind, TopicImage};
use crate::rng::Rng;

/// A topic to be created.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// Its partitions; -1 for the default, or where `assignments` says it.
    pub partitions: i32,
    /// Its replicas; -1 for the default, or where `assignments` says it.
    pub replication_factor: i16,
    /// Replicas by partition, chosen by the client; mostly empty.
    pub assignments: Vec<(i32, Vec<NodeId>)>,
    /// Configurations; a null value is an error.
    pub configs: Vec<(String, Option<String>)>,
}

/// What became of a [`NewTopic`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicCreation {
    /// Its name.
    pub name: String,
    /// The topic, or why there is none.
    pub outcome: Result<CreatedTopic, Refusal>,
}

/// A topic that its records create.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each of them has.
    pub replication_factor: i16,
    /// The configurations of its own.
    pub configs: Overrides,
}

/// Creates topics: the records of those that can be, in the order of the request.
///
/// Names that come twice are refused once, after the others.
#[must_use]
pub fn create_topics(
    scene: &Scene<'_>,
    rng: &mut Rng,
    topics: &[NewTopic],
) -> Decision<TopicCreation> {
    let mut decision = Decision::default();
    let duplicates = duplicates(topics.iter().map(|topic| topic.name.as_str()));
    let unique = topics
        .iter()
        .filter(|topic| !duplicates.contains(topic.name.as_str()));
    let partitions: i64 = unique
        .clone()
        .map(|topic| asked_partitions(scene, topic))
        .sum();
    let mut accepted: Vec<&str> = Vec::new();
    for topic in unique {
        let outcome = if partitions > PARTITIONS_PER_REQUEST_MAX {
            Err(too_many_partitions())
        } else {
            create_topic(scene, rng, topic, &accepted).map(|(created, records)| {
                decision.records.extend(records);
                accepted.push(&topic.name);
                created
            })
        };
        decision.results.push(TopicCreation {
            name: topic.name.clone(),
            outcome,
        });
    }
    decision
        .results
        .extend(duplicates.into_iter().map(|name| TopicCreation {
            name: name.to_owned(),
            outcome: Err(duplicate("name")),
        }));
    decision
}

/// How many partitions a topic asks for, as far as can be told without checking it.
fn asked_partitions(scene: &Scene<'_>, topic: &NewTopic) -> i64 {
    if !topic.assignments.is_empty() {
        return i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX);
    }
    match topic.partitions {
        -1 => scene.settings.integer("num.partitions"),
        partitions => i64::from(partitions.max(0)),
    }
}

fn too_many_partitions() -> Refusal {
    let text = "Excessively large number of partitions per request.";
    Refusal::new(ErrorCode::PolicyViolation, text)
}

fn duplicate(what: &str) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidRequest,
        format!("Duplicate topic {what}."),
    )
}

fn duplicates<T: Copy + Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}

fn create_topic(
    scene: &Scene<'_>,
    rng: &mut Rng,
    topic: &NewTopic,
    accepted: &[&str],
) -> Result<(CreatedTopic, Vec<MetadataRecord>), Refusal> {
    check_name(scene, &topic.name, accepted)?;
    let configs = new_configs(scene, &topic.configs)?;
    let id = new_topic_id(rng);
    let replicas = if topic.assignments.is_empty() {
        placed_replicas(scene, rng, topic)?
    } else {
        manual_replicas(scene, topic)?
    };
    let created = CreatedTopic {
        id,
        partitions: i32::try_from(replicas.len()).expect("bounded by the request"),
        replication_factor: i16::try_from(replicas[0].len()).expect("bounded by the brokers"),
        configs: configs.clone(),
    };
    let name: Arc<str> = Arc::from(topic.name.as_str());
    let mut records = vec![MetadataRecord::from(TopicRecord {
        name: Arc::clone(&name),
        topic_id: id,
    })];
    records.extend(configs.into_iter().map(|(config, value)| {
        MetadataRecord::from(ConfigRecord {
            resource_type: ResourceKind::Topic as i8,
            resource_name: Arc::clone(&name),
            name: config,
            value: Some(value),
        })
    }));
    for (index, replicas) in (0..).zip(replicas) {
        let partition = new_partition(scene.image, id, PartitionIndex(index), replicas)?;
        records.push(partition.into());
    }
    Ok((created, records))
}

fn check_name(scene: &Scene<'_>, name: &str, accepted: &[&str]) -> Result<(), Refusal> {
    if name == CLUSTER_METADATA {
        let text = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    if let Some(text) = invalid_name(name) {
        return Err(Refusal::new(ErrorCode::InvalidTopicException, text));
    }
    if scene.image.topic(name).is_some() {
        let text = format!("Topic '{name}' already exists.");
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, text));
    }
    let among_accepted = || {
        let may_collide = has_collision_characters(name);
        let collides = |other: &&&str| may_collide && collide(other, name);
        accepted.iter().find(collides).copied()
    };
    match colliding_topic(scene.image, name).or_else(among_accepted) {
        Some(other) => Err(Refusal::new(
            ErrorCode::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        )),
        None => Ok(()),
    }
}

/// The configurations of a new topic, each checked and all of them together. Of one given twice the
/// last counts.
fn new_configs(
    scene: &Scene<'_>,
    configs: &[(String, Option<String>)],
) -> Result<Overrides, Refusal> {
    let refuse = |text: String| Refusal::new(ErrorCode::InvalidConfig, text);
    let null: Vec<&str> = configs
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !null.is_empty() {
        let names = null.join(",");
        return Err(refuse(format!(
            "Null value not supported for topic configs: {names}"
        )));
    }
    let mut values = Overrides::new();
    for (name, value) in configs {
        let value = value.as_deref().unwrap_or_default();
        values.insert(Arc::from(name.as_str()), Arc::from(value));
    }
    for (name, value) in &values {
        let Some(definition) = table::find(Scope::Topic, name) else {
            return Err(refuse(format!("Unknown topic config name: {name}")));
        };
        definition
            .parse(value)
            .map_err(|error| refuse(error.to_string()))?;
    }
    check_topic_set(scene.settings, &values)?;
    Ok(values)
}

/// A random id as Kafka draws them: never a reserved one, and its text never begins with a dash,
/// which command lines would take for a flag.
fn new_topic_id(rng: &mut Rng) -> TopicId {
    loop {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let id = TopicId(bytes);
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

fn placed_replicas(
    scene: &Scene<'_>,
    rng: &mut Rng,
    topic: &NewTopic,
) -> Result<Vec<Vec<NodeId>>, Refusal> {
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if topic.partitions < -1 || topic.partitions == 0 {
        return Err(Refusal::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let default_factor = scene.settings.integer("default.replication.factor");
    let factor = match topic.replication_factor {
        -1 => i16::try_from(default_factor).unwrap_or(i16::MAX).max(1),
        factor => factor,
    };
    let count = usize::try_from(asked_partitions(scene, topic)).unwrap_or(usize::MAX);
    place(scene, rng, count, factor)
}

fn manual_replicas(scene: &Scene<'_>, topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, Refusal> {
    let contradicts = |what: &str| {
        let text =
            format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Refusal::new(ErrorCode::InvalidRequest, text))
    };
    if topic.replication_factor != -1 {
        return contradicts("replication factor");
    }
    if topic.partitions != -1 {
        return contradicts("numPartitions");
    }
    let mut factor = None;
    let mut by_index: BTreeMap<i32, &Vec<NodeId>> = BTreeMap::new();
    for (index, replicas) in &topic.assignments {
        let refuse = |text: String| Refusal::new(ErrorCode::InvalidReplicaAssignment, text);
        if by_index.contains_key(index) {
            return Err(refuse(format!(
                "Found multiple manual partition assignments for partition {index}"
            )));
        }
        check_manual(scene.image, replicas, factor)?;
        factor = Some(replicas.len());
        by_index.insert(*index, replicas);
    }
    if !by_index
        .keys()
        .copied()
        .eq(0..i32::try_from(by_index.len()).unwrap_or(i32::MAX))
    {
        let text = "partitions should be a consecutive 0-based integer sequence";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, text));
    }
    Ok(by_index.into_values().cloned().collect())
}

/// A topic to be deleted, by name or by id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicReference {
    /// Its name; `None` where the id says it.
    pub name: Option<String>,
    /// Its id; zero where the name says it.
    pub id: TopicId,
}

/// What became of a topic to be deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicDeletion {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its id, where it is known.
    pub id: TopicId,
    /// Whether its records delete it.
    pub outcome: Result<(), Refusal>,
}

/// Deletes topics; those that cannot be are answered before the others. Kafka shuffles its answers.
#[must_use]
pub fn delete_topics(scene: &Scene<'_>, topics: &[TopicReference]) -> Decision<TopicDeletion> {
    if !scene.settings.boolean("delete.topic.enable") {
        let refused = topics.iter().map(|topic| TopicDeletion {
            name: topic.name.clone(),
            id: topic.id,
            outcome: Err(Refusal::new(
                ErrorCode::TopicDeletionDisabled,
                "Topic deletion is disabled.",
            )),
        });
        return Decision {
            records: Vec::new(),
            results: refused.collect(),
        };
    }
    let mut refused = Vec::new();
    let mut found: Vec<&TopicImage> = Vec::new();
    let names = duplicates(topics.iter().filter_map(|topic| topic.name.as_deref()));
    let given_ids = topics
        .iter()
        .map(|topic| topic.id)
        .filter(|id| !id.is_zero());
    let ids = duplicates(given_ids.clone());
    let ids_given: BTreeSet<TopicId> = given_ids.collect();
    for &name in &names {
        refused.push(refusal(
            Some(name.to_owned()),
            TopicId::ZERO,
            duplicate("name"),
        ));
    }
    refused.extend(ids.iter().map(|id| refusal(None, *id, duplicate("id"))));
    for topic in topics {
        let is_twice = topic
            .name
            .as_deref()
            .is_some_and(|name| names.contains(name));
        if is_twice || ids.contains(&topic.id) {
            continue;
        }
        match find_topic(scene, topic) {
            Ok(image) if topic.name.is_some() && ids_given.contains(&image.id) => {
                let text = "The provided topic name maps to an ID that was already supplied.";
                let wrong = Refusal::new(ErrorCode::InvalidRequest, text);
                found.retain(|other| other.id != image.id);
                refused.push(refusal(topic.name.clone(), image.id, wrong));
            }
            Ok(image) if refused.iter().any(|other| other.id == image.id) => {}
            Ok(image) => found.push(image),
            Err(wrong) => refused.push(refusal(topic.name.clone(), topic.id, wrong)),
        }
    }
    let mut decision = Decision {
        records: Vec::new(),
        results: refused,
    };
    for topic in found {
        let record = RemoveTopicRecord { topic_id: topic.id };
        decision.records.push(record.into());
        decision.results.push(TopicDeletion {
            name: Some(topic.name.to_string()),
            id: topic.id,
            outcome: Ok(()),
        });
    }
    decision
}

fn refusal(name: Option<String>, id: TopicId, refusal: Refusal) -> TopicDeletion {
    TopicDeletion {
        name,
        id,
        outcome: Err(refusal),
    }
}

fn find_topic<'a>(scene: &Scene<'a>, topic: &TopicReference) -> Result<&'a TopicImage, Refusal> {
    let found = match (&topic.name, topic.id.is_zero()) {
        (Some(_), false) => {
            let text = "You may not specify both topic name and topic id.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        }
        (None, true) => {
            let text = "Neither topic name nor id were specified.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, text));
        }
        (Some(name), true) => scene.image.topic(name).ok_or((
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )),
        (None, false) => scene.image.topic_by_id(topic.id).ok_or((
            ErrorCode::UnknownTopicId,
            "This server does not host this topic ID.",
        )),
    };
    found
        .map(AsRef::as_ref)
        .map_err(|(code, text)| Refusal::new(code, text))
}

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
        let outcome = grow_topic(scene, rng, topic, room).map(|records| {
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
