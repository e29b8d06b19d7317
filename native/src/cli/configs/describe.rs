//! `configs --describe`.

use clap::ArgMatches;
use kafka_wire::ListGroupsRequest;
use kafka_wire::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};
use kafka_wire_core::StrBytes;
use serde_json::{Value, json};

use super::Kind;
use crate::cli::admin::{self, resource};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, string_hash};

/// Names of `ConfigSource`, by their numbers on the wire.
const SOURCES: [&str; 9] = [
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
];

/// What is to be described.
pub(super) struct Entity {
    pub(super) kind: &'static Kind,
    pub(super) resource_type: i8,
    /// One of the kind; the empty name is the default; `None` is all of them.
    pub(super) name: Option<String>,
}

/// Prints the settings of one entity or of all of its kind.
pub(super) fn describe(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    entity: &Entity,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let existing = existing(cluster, entity.resource_type)?;
    let (names, named) = match &entity.name {
        Some(name) => (vec![name.clone()], true),
        None if entity.resource_type == resource::BROKER => (
            existing.iter().cloned().chain([String::new()]).collect(),
            false,
        ),
        None => (existing.clone(), false),
    };
    let all = matches.get_flag("all");
    let mut shown = Vec::new();
    for name in &names {
        if named && !name.is_empty() && !existing.contains(name) {
            if !matches.get_flag("json") {
                console.line(format!(
                    "The {} '{name}' doesn't exist and doesn't have dynamic config.",
                    entity.kind.one
                ))?;
            }
            continue;
        }
        let entries = entries(cluster, entity.resource_type, name, all)?;
        if matches.get_flag("json") {
            shown.push(to_json(entity.kind, name, &entries));
            continue;
        }
        console.line(heading(entity.kind, name, all))?;
        for entry in &entries {
            console.line(line(entry))?;
        }
    }
    if matches.get_flag("json") {
        return console.json(&Value::Array(shown));
    }
    Ok(())
}

/// The names of what exists of a kind, in the order of Kafka's tool.
fn existing(cluster: &mut Cluster, resource_type: i8) -> Result<Vec<String>, Failure> {
    if resource_type == resource::TOPIC {
        let topics = admin::all_topics(cluster)?;
        let mut names: Vec<String> = topics
            .iter()
            .map(|topic| admin::name_of(topic).to_owned())
            .collect();
        hash_map_order(&mut names, HASH_MAP_CAPACITY, |name| string_hash(name));
        return Ok(names);
    }
    if matches!(resource_type, resource::BROKER | resource::BROKER_LOGGER) {
        let mut ids: Vec<i32> = cluster
            .brokers()?
            .brokers
            .iter()
            .map(|b| b.node_id)
            .collect();
        ids.sort_unstable();
        return Ok(ids.iter().map(i32::to_string).collect());
    }
    let mut names = admin::config_resources(cluster, resource_type)?;
    if resource_type == resource::GROUP {
        let mut groups = groups(cluster)?;
        names.retain(|name| !groups.contains(name));
        groups.append(&mut names);
        return Ok(groups);
    }
    Ok(names)
}

/// The groups there are, with settings or without, as each broker lists its own.
fn groups(cluster: &mut Cluster) -> Result<Vec<String>, Failure> {
    let mut groups: Vec<String> = Vec::new();
    for broker in cluster.brokers()?.brokers {
        let link = cluster.node(broker.node_id)?;
        if link.version_of::<ListGroupsRequest>().is_none() {
            continue;
        }
        let answer = link.call(ListGroupsRequest::default())?;
        admin::check(answer.error_code, None)?;
        groups.extend(answer.groups.iter().map(|group| group.group_id.to_string()));
    }
    groups.dedup();
    Ok(groups)
}

/// The settings of one entity by name; without `all`, only those somebody has set for it.
fn entries(
    cluster: &mut Cluster,
    resource_type: i8,
    name: &str,
    all: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    let results = admin::describe_configs(cluster, &[(resource_type, name)])?;
    let mut entries = Vec::new();
    for result in results {
        admin::check(result.error_code, result.error_message.as_ref())?;
        entries.extend(result.configs);
    }
    let own_source = match resource_type {
        resource::TOPIC => 1,
        resource::BROKER if name.is_empty() => 3,
        resource::BROKER => 2,
        resource::BROKER_LOGGER => 6,
        resource::CLIENT_METRICS => 7,
        _group => 8,
    };
    entries.retain(|entry| all || entry.config_source == own_source);
    entries.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    Ok(entries)
}

fn heading(kind: &Kind, name: &str, all: bool) -> String {
    match (name, all) {
        ("", _) => format!("Default configs for {} in the cluster are:", kind.plural),
        (name, true) => format!("All configs for {} {name} are:", kind.one),
        (name, false) => format!("Dynamic configs for {} {name} are:", kind.one),
    }
}

fn line(entry: &DescribeConfigsResourceResult) -> String {
    let synonyms = entry
        .synonyms
        .iter()
        .map(|synonym: &DescribeConfigsSynonym| {
            let value = value(synonym.value.as_ref());
            format!("{}:{}={value}", source_name(synonym.source), synonym.name)
        });
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        value(entry.value.as_ref()),
        entry.is_sensitive,
        joined(synonyms, ", ")
    )
}

fn value(value: Option<&StrBytes>) -> &str {
    value.map_or("null", StrBytes::as_str)
}

fn source_name(source: i8) -> &'static str {
    let index = usize::try_from(source).unwrap_or(0);
    SOURCES.get(index).copied().unwrap_or(SOURCES[0])
}

fn to_json(kind: &Kind, name: &str, entries: &[DescribeConfigsResourceResult]) -> Value {
    let configs = entries.iter().map(|entry| {
        let synonyms = entry.synonyms.iter().map(|synonym| {
            json!({
                "name": synonym.name.as_str(),
                "value": synonym.value.as_ref().map(StrBytes::as_str),
                "source": source_name(synonym.source),
            })
        });
        json!({
            "name": entry.name.as_str(),
            "value": entry.value.as_ref().map(StrBytes::as_str),
            "source": source_name(entry.config_source),
            "readOnly": entry.read_only,
            "sensitive": entry.is_sensitive,
            "synonyms": synonyms.collect::<Vec<Value>>(),
        })
    });
    json!({
        "entityType": kind.plural,
        "entityName": name,
        "configs": configs.collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kafkas() {
        let mut synonym = DescribeConfigsSynonym::default();
        synonym.name = StrBytes::from("log.retention.ms");
        synonym.value = Some(StrBytes::from("7"));
        synonym.source = 5;
        let mut entry = DescribeConfigsResourceResult::default();
        entry.name = StrBytes::from("retention.ms");
        entry.value = None;
        entry.synonyms = vec![synonym];
        assert_eq!(
            line(&entry),
            "  retention.ms=null sensitive=false synonyms={DEFAULT_CONFIG:log.retention.ms=7}"
        );
    }

    #[test]
    fn an_unknown_source_has_a_name() {
        assert_eq!(source_name(-1), "UNKNOWN");
        assert_eq!(source_name(100), "UNKNOWN");
        assert_eq!(source_name(1), "DYNAMIC_TOPIC_CONFIG");
    }
}
