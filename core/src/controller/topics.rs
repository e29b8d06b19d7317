//! Topics come (K17, K24); how they grow and go is in files of their own, named here.
//!
//! Kafka classes to compare: `ReplicationControlManager`, `ControllerApis`. Paging, authorization
//! and waiting for the commit are the API's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config_rules::check_topic_set;
use super::names::{CLUSTER_METADATA, colliding_topic, invalid_name};
pub use super::partition_growth::{GrowthResult, PartitionGrowth, create_partitions};
use super::placement::{check_manual, new_partition, place};
pub use super::topic_deletion::{TopicDeletion, TopicReference, delete_topics};
use super::{Decision, Refusal, Scene};
use crate::config::definition::Scope;
use crate::config::{Overrides, table};
use crate::error::ErrorCode;
use crate::ids::{NodeId, PartitionIndex, TopicId};
use crate::limits::PARTITIONS_PER_REQUEST_MAX;
use crate::metadata::ResourceKind;
use crate::metadata::records::{ConfigRecord, MetadataRecord, TopicRecord};
use crate::quota::throttle::Allowance;
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
/// Names that come twice are refused once, after the others; so are topics beyond the allowance.
#[must_use]
pub fn create_topics(
    scene: &Scene<'_>,
    rng: &mut Rng,
    allowance: &mut Allowance,
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
    for topic in unique {
        let outcome = if partitions > PARTITIONS_PER_REQUEST_MAX {
            Err(too_many_partitions())
        } else {
            let created = create_topic(scene, rng, topic);
            let granted = created.and_then(|(created, records)| {
                take(allowance, created.partitions)?;
                Ok((created, records))
            });
            granted.map(|(created, records)| {
                decision.records.extend(records);
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

/// How many partitions a topic asks for, as far as can be told without checking it; at least one,
/// so that what is refused has a bound too.
fn asked_partitions(scene: &Scene<'_>, topic: &NewTopic) -> i64 {
    if !topic.assignments.is_empty() {
        return i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX);
    }
    match topic.partitions {
        -1 => scene.settings.integer("num.partitions"),
        partitions => i64::from(partitions.max(1)),
    }
}

/// Takes changes of so many partitions out of what the requester may change (KIP-599).
pub(super) fn take(allowance: &mut Allowance, partitions: i32) -> Result<(), Refusal> {
    if allowance.take(u64::from(partitions.unsigned_abs())) {
        return Ok(());
    }
    let text = "The throttling quota has been exceeded.";
    Err(Refusal::new(ErrorCode::ThrottlingQuotaExceeded, text))
}

pub(super) fn too_many_partitions() -> Refusal {
    let text = "Excessively large number of partitions per request.";
    Refusal::new(ErrorCode::PolicyViolation, text)
}

pub(super) fn duplicate(what: &str) -> Refusal {
    Refusal::new(
        ErrorCode::InvalidRequest,
        format!("Duplicate topic {what}."),
    )
}

pub(super) fn duplicates<T: Copy + Ord>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}

fn create_topic(
    scene: &Scene<'_>,
    rng: &mut Rng,
    topic: &NewTopic,
) -> Result<(CreatedTopic, Vec<MetadataRecord>), Refusal> {
    check_name(scene, &topic.name)?;
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

/// Whether a topic may be called that. Names of one request that collide with one another are taken
/// both, as by Kafka 4.3.
fn check_name(scene: &Scene<'_>, name: &str) -> Result<(), Refusal> {
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
    match colliding_topic(scene.image, name) {
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
        let parsed = scene.settings.parse(definition, value);
        parsed.map_err(|error| refuse(error.to_string()))?;
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
