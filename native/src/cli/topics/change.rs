//! `topics --create`, `--alter` and `--delete`.

use std::collections::BTreeSet;

use clap::ArgMatches;
use kafka_wire::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_wire::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_wire::delete_topics_request::DeleteTopicState;
use kafka_wire::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};
use kafka_wire_core::StrBytes;
use ottla_core::config::definition::Scope;
use ottla_core::config::table;
use ottla_core::error::ErrorCode;
use serde_json::json;

use super::describe::matching_topics;
use super::require_match;
use crate::cli::admin;
use crate::cli::args::{number, text, texts};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// The broker is to choose this number itself.
const BROKER_DEFAULT: i16 = -1;

/// Creates one topic.
pub(super) fn create(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let name = text(matches, "topic").unwrap_or("");
    let topic = creatable_topic(matches, name)?;
    if name.contains(['.', '_']) && !console.is_json {
        console.line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or \
             underscore ('_') could collide. To avoid issues it is best to use either, but not \
             both.",
        )?;
    }
    let mut request = CreateTopicsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    request.topics = vec![topic];
    let answer = cluster.call(request)?;
    let Some(created) = answer.topics.first() else {
        return Err(Failure::refused(
            "The broker answered for another topic than asked.",
        ));
    };
    let exists = created.error_code == ErrorCode::TopicAlreadyExists.code();
    if exists && matches.get_flag("if-not-exists") {
        return told("created", [], console);
    }
    admin::check(created.error_code, created.error_message.as_ref())?;
    if console.is_json {
        return told("created", [name], console);
    }
    console.line(format!("Created topic {name}."))
}

/// Tells a program which topics were changed; people are told nothing, as with Kafka's tool.
fn told<'a>(
    done: &str,
    names: impl IntoIterator<Item = &'a str>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if !console.is_json {
        return Ok(());
    }
    let names: Vec<&str> = names.into_iter().collect();
    console.json(&json!({done: names}))
}

/// What the broker is asked to create.
fn creatable_topic(matches: &ArgMatches, name: &str) -> Result<CreatableTopic, Failure> {
    let mut topic = CreatableTopic::default();
    topic.name = StrBytes::from(name);
    topic.num_partitions = i32::from(BROKER_DEFAULT);
    topic.replication_factor = BROKER_DEFAULT;
    if let Some(partitions) = number::<i32>(matches, "partitions")? {
        if partitions < 1 {
            return Err(Failure::refused("The partitions must be greater than 0"));
        }
        topic.num_partitions = partitions;
    }
    if let Some(factor) = number::<i32>(matches, "replication-factor")? {
        topic.replication_factor =
            i16::try_from(factor)
                .ok()
                .filter(|f| *f >= 1)
                .ok_or_else(|| {
                    Failure::refused("The replication factor must be between 1 and 32767 inclusive")
                })?;
    }
    if let Some(given) = text(matches, "replica-assignment") {
        for (partition, brokers) in (0..).zip(replica_assignment(given)?) {
            let mut assignment = CreatableReplicaAssignment::default();
            assignment.partition_index = partition;
            assignment.broker_ids = brokers;
            topic.assignments.push(assignment);
        }
    }
    for given in texts(matches, "config") {
        let Some((key, value)) = given.split_once('=') else {
            return Err(Failure::refused(
                "requirement failed: Invalid topic config: all configs to be added must be in \
                 the format \"key=val\".",
            ));
        };
        check_config(key.trim(), value.trim())?;
        let mut config = CreatableTopicConfig::default();
        config.name = StrBytes::from(key.trim());
        config.value = Some(StrBytes::from(value.trim()));
        topic.configs.push(config);
    }
    Ok(topic)
}

/// A name or a value that is wrong is told whether or not the topic is there.
fn check_config(name: &str, value: &str) -> Result<(), Failure> {
    let Some(definition) = table::find(Scope::Topic, name) else {
        return Err(Failure::refused(format!(
            "Unknown topic config name: {name}"
        )));
    };
    let parsed = definition.parse(value).map(drop);
    parsed.map_err(|error| Failure::refused(error.to_string()))
}

/// Adds partitions to every topic that matches.
pub(super) fn alter(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let topics = matching_topics(matches, cluster)?;
    require_match(matches, !topics.is_empty())?;
    let count = number::<i32>(matches, "partitions")?.unwrap_or(0);
    let assignment = match text(matches, "replica-assignment") {
        Some(given) => Some(replica_assignment(given)?),
        None => None,
    };
    let mut request = CreatePartitionsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    for topic in &topics {
        let name = admin::name_of(topic);
        let existing = topic.partitions.len();
        if usize::try_from(count).is_ok_and(|count| count < existing) || count < 0 {
            return Err(Failure::refused(format!(
                "The topic {name} currently has {existing} partition(s); {count} would not be an \
                 increase."
            )));
        }
        let mut added = CreatePartitionsTopic::default();
        added.name = StrBytes::from(name);
        added.count = count;
        added.assignments = assignment.as_ref().map(|assignment| {
            let new = assignment.iter().skip(existing);
            new.map(|brokers| {
                let mut assigned = CreatePartitionsAssignment::default();
                assigned.broker_ids.clone_from(brokers);
                assigned
            })
            .collect()
        });
        request.topics.push(added);
    }
    if !request.topics.is_empty() {
        for result in &cluster.call(request)?.results {
            admin::check(result.error_code, result.error_message.as_ref())?;
        }
    }
    told("altered", topics.iter().map(admin::name_of), console)
}

/// Deletes every topic that matches.
pub(super) fn delete(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let topics = matching_topics(matches, cluster)?;
    require_match(matches, !topics.is_empty())?;
    if topics.is_empty() {
        return told("deleted", [], console);
    }
    let mut request = DeleteTopicsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    for topic in &topics {
        let mut state = DeleteTopicState::default();
        state.name.clone_from(&topic.name);
        request.topics.push(state);
        // The same names where versions before 6 look for them.
        request.topic_names.extend(topic.name.clone());
    }
    let version = cluster.any()?.version_of::<DeleteTopicsRequest>();
    if version.is_some_and(|version| version >= 6) {
        request.topic_names.clear();
    } else {
        request.topics.clear();
    }
    for result in &cluster.call(request)?.responses {
        admin::check(result.error_code, result.error_message.as_ref())?;
    }
    told("deleted", topics.iter().map(admin::name_of), console)
}

/// Reads `1:2,2:3`: the brokers of each partition.
fn replica_assignment(given: &str) -> Result<Vec<Vec<i32>>, Failure> {
    let mut partitions: Vec<Vec<i32>> = Vec::new();
    for (index, part) in given.split(',').enumerate() {
        let mut brokers = Vec::new();
        for id in part.split(':') {
            let id = id.trim();
            brokers.push(id.parse().map_err(|_not_a_number| {
                Failure::refused(format!("For input string: \"{id}\""))
            })?);
        }
        let distinct: BTreeSet<i32> = brokers.iter().copied().collect();
        if distinct.len() != brokers.len() {
            let doubled = distinct
                .iter()
                .filter(|id| brokers.iter().filter(|other| other == id).count() > 1);
            return Err(Failure::refused(format!(
                "Partition replica lists may not contain duplicate entries: {}",
                joined(doubled, ",")
            )));
        }
        if partitions
            .first()
            .is_some_and(|first| first.len() != brokers.len())
        {
            return Err(Failure::refused(format!(
                "Partition {index} has different replication factor: [{}]",
                joined(&brokers, ", ")
            )));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_refused_as_kafka_does() {
        let read = |given| replica_assignment(given).map_err(|failure| failure.to_string());
        assert_eq!(read("1:2,2:3"), Ok(vec![vec![1, 2], vec![2, 3]]));
        let check = |given, words: &str| assert_eq!(read(given), Err(words.to_owned()));
        check("1:2,1", "Partition 1 has different replication factor: [1]");
        check(
            "1:1",
            "Partition replica lists may not contain duplicate entries: 1",
        );
        check("1,x", "For input string: \"x\"");
    }
}
