//! Changes of configurations, incremental and legacy (K117, KIP-339).
//!
//! Kafka classes to compare: `ConfigAdminManager`, `ConfigurationControlManager`. An incremental
//! request changes single values; a legacy one replaces all values of a resource.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::broker_configs::check_broker_set;
use super::config_rules::{check_client_metrics_set, check_group_set, check_topic_set};
use super::names::invalid_name;
use super::{Decision, Refusal, Scene};
use crate::config::definition::{Definition, Kind, Scope};
use crate::config::value::parse_list;
use crate::config::{Overrides, table};
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::metadata::records::{ConfigRecord, MetadataRecord};
use crate::metadata::{ConfigResource, ResourceKind};

/// The kind of resource of a broker's loggers, which are no configurations of the cluster.
const BROKER_LOGGER: i8 = 8;

/// What is done to one configuration; the numbers are `AlterConfigOp`'s.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigOperation {
    /// It gets this value.
    Set,
    /// It gets the value that it has without one of its own.
    Delete,
    /// Its list gets these words too.
    Append,
    /// Its list loses these words.
    Subtract,
}

impl ConfigOperation {
    /// The operation with this number.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _other => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// Changes of one resource.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConfigChange {
    /// The number of the resource's kind, as in the request.
    pub resource_type: i8,
    /// The resource's name.
    pub resource_name: String,
    /// The changes: name, operation (`None` for a number that means none) and value.
    pub changes: Vec<(String, Option<ConfigOperation>, Option<String>)>,
}

/// What became of a [`ConfigChange`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigResult {
    /// The number of the resource's kind, as in the request.
    pub resource_type: i8,
    /// The resource's name.
    pub resource_name: String,
    /// Whether its records change it.
    pub outcome: Result<(), Refusal>,
}

/// Changes single values of resources, each resource by itself.
#[must_use]
pub fn alter_incrementally(scene: &Scene<'_>, changes: &[ConfigChange]) -> Decision<ConfigResult> {
    alter(changes, |change| {
        check_shape(change)?;
        let resource = resource_of(scene, change)?;
        let mut values = (*scene.image.configs(&resource)).clone();
        for (name, operation, value) in &change.changes {
            let Some(operation) = operation else {
                let text = format!("Unknown operation for configuration {name}");
                return Err(Refusal::new(ErrorCode::InvalidRequest, text));
            };
            let value = value.as_deref().unwrap_or_default();
            change_value(&resource, &mut values, name, *operation, value)?;
        }
        let named = change.changes.iter().map(|(name, _, _)| name.as_str());
        check_values(scene, &resource, &values, named.collect())?;
        check_existence(scene, &resource)?;
        Ok(records(scene, &resource, &values))
    })
}

/// Replaces all values of resources, each resource by itself; operations are not looked at.
#[must_use]
pub fn alter_legacy(scene: &Scene<'_>, changes: &[ConfigChange]) -> Decision<ConfigResult> {
    alter(changes, |change| {
        check_shape(change)?;
        if change.resource_type == BROKER_LOGGER {
            return Err(unknown_kind(BROKER_LOGGER));
        }
        let resource = resource_of(scene, change)?;
        let mut values = Overrides::new();
        for (name, _, value) in &change.changes {
            let value = value.as_deref().unwrap_or_default();
            values.insert(Arc::from(name.as_str()), Arc::from(value));
        }
        let named = change.changes.iter().map(|(name, _, _)| name.as_str());
        check_values(scene, &resource, &values, named.collect())?;
        check_existence(scene, &resource)?;
        Ok(records(scene, &resource, &values))
    })
}

fn alter(
    changes: &[ConfigChange],
    decide: impl Fn(&ConfigChange) -> Result<Vec<MetadataRecord>, Refusal>,
) -> Decision<ConfigResult> {
    let mut mentions: BTreeMap<(i8, &str), usize> = BTreeMap::new();
    for change in changes {
        let resource = (change.resource_type, change.resource_name.as_str());
        *mentions.entry(resource).or_default() += 1;
    }
    let mut decision = Decision::default();
    for change in changes {
        let resource = (change.resource_type, change.resource_name.as_str());
        let outcome = if mentions.get(&resource).is_some_and(|&count| count > 1) {
            let text = "Each resource must appear at most once.";
            Err(Refusal::new(ErrorCode::InvalidRequest, text))
        } else {
            decide(change).map(|records| decision.records.extend(records))
        };
        decision.results.push(ConfigResult {
            resource_type: change.resource_type,
            resource_name: change.resource_name.clone(),
            outcome,
        });
    }
    decision
}

/// No name twice, and no null value but to delete.
fn check_shape(change: &ConfigChange) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let mut seen = BTreeSet::new();
    if !change.changes.iter().all(|(name, _, _)| seen.insert(name)) {
        return refuse("Error due to duplicate config keys".to_owned());
    }
    let null: Vec<&str> = change
        .changes
        .iter()
        .filter(|(_, operation, _)| *operation != Some(ConfigOperation::Delete))
        .filter(|(_, _, value)| value.is_none())
        .map(|(name, _, _)| name.as_str())
        .collect();
    if !null.is_empty() {
        return refuse(format!(
            "Null value not supported for : {}",
            null.join(", ")
        ));
    }
    Ok(())
}

/// The resource that a change names, where it may have configurations.
fn resource_of(scene: &Scene<'_>, change: &ConfigChange) -> Result<ConfigResource, Refusal> {
    let name = change.resource_name.as_str();
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    if change.resource_type == BROKER_LOGGER {
        check_broker_name(scene, name)?;
        return Err(refused_logger(change));
    }
    let Some(kind) = ResourceKind::from_code(change.resource_type) else {
        return Err(unknown_kind(change.resource_type));
    };
    match kind {
        ResourceKind::Topic if name.is_empty() => {
            return refuse("Default topic resources are not allowed.".to_owned());
        }
        ResourceKind::Topic => {
            if let Some(text) = invalid_name(name) {
                return Err(Refusal::new(ErrorCode::InvalidTopicException, text));
            }
        }
        ResourceKind::Broker if name.is_empty() => {}
        ResourceKind::Broker => check_broker_name(scene, name)?,
        ResourceKind::ClientMetrics if name.is_empty() => {
            return refuse("Subscription name can't be empty".to_owned());
        }
        ResourceKind::Group if name.is_empty() => {
            return refuse("Default group resources are not allowed.".to_owned());
        }
        ResourceKind::ClientMetrics | ResourceKind::Group => {}
    }
    Ok(ConfigResource {
        kind,
        name: Arc::from(name),
    })
}

/// A topic must be there. Kafka 4.3 asks last, so that bad values are told first.
fn check_existence(scene: &Scene<'_>, resource: &ConfigResource) -> Result<(), Refusal> {
    let name = &resource.name;
    if resource.kind == ResourceKind::Topic && scene.image.topic(name).is_none() {
        let text = format!("The topic '{name}' does not exist.");
        return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, text));
    }
    Ok(())
}

fn unknown_kind(code: i8) -> Refusal {
    let text = format!("Unknown resource type {code}");
    Refusal::new(ErrorCode::InvalidRequest, text)
}

/// No logger of Kafka's exists here, and none is a list.
fn refused_logger(change: &ConfigChange) -> Refusal {
    let of_lists = [
        Some(ConfigOperation::Append),
        Some(ConfigOperation::Subtract),
    ];
    let is_of_lists = |(_, operation, _): &&(_, _, _)| of_lists.contains(operation);
    if let Some((_, Some(operation), _)) = change.changes.iter().find(is_of_lists) {
        let text = format!(
            "{} operation is not allowed for the BROKER_LOGGER resource",
            operation.name()
        );
        return Refusal::new(ErrorCode::InvalidRequest, text);
    }
    let first = change.changes.first();
    let logger = first.map_or("", |(name, _, _)| name.as_str());
    let text = format!("Logger {logger} does not exist!");
    Refusal::new(ErrorCode::InvalidConfig, text)
}

/// A broker's configurations are changed through that broker.
fn check_broker_name(scene: &Scene<'_>, name: &str) -> Result<(), Refusal> {
    let text = match name.parse::<i32>() {
        Ok(number) if NodeId(number) == scene.node => return Ok(()),
        Ok(number) => format!(
            "Unexpected broker id, expected {}, but received {number}",
            scene.node
        ),
        Err(_) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(Refusal::new(ErrorCode::InvalidRequest, text))
}

fn change_value(
    resource: &ConfigResource,
    values: &mut Overrides,
    name: &str,
    operation: ConfigOperation,
    value: &str,
) -> Result<(), Refusal> {
    let definition = table::find(scope_of(resource.kind), name);
    match operation {
        ConfigOperation::Set => {
            values.insert(Arc::from(name), Arc::from(value));
        }
        ConfigOperation::Delete => {
            values.remove(name);
        }
        ConfigOperation::Append | ConfigOperation::Subtract => {
            // Kafka 4.3.1 takes a subscription's lists for plain values here.
            let is_whole = resource.kind == ResourceKind::ClientMetrics;
            if resource.kind == ResourceKind::Broker {
                check_broker_list(definition, name, operation)?;
            } else if is_whole || definition.is_none_or(|definition| definition.kind != Kind::List)
            {
                let operation = operation.name();
                return Err(Refusal::new(
                    ErrorCode::InvalidConfig,
                    format!("Can't {operation} to key {name} because its type is not LIST."),
                ));
            }
            let default = definition.and_then(|definition| definition.default.text());
            let present = values.get(name).map(AsRef::as_ref).or(default);
            let words = changed_list(present.unwrap_or_default(), operation, value);
            values.insert(Arc::from(name), Arc::from(words.join(",")));
        }
    }
    Ok(())
}

/// The words of a list may change; the broker that is asked says so before the controller does.
fn check_broker_list(
    definition: Option<&Definition>,
    name: &str,
    operation: ConfigOperation,
) -> Result<(), Refusal> {
    let text = match definition {
        Some(definition) if definition.kind == Kind::List => return Ok(()),
        Some(_) => {
            let operation = operation.name().to_ascii_lowercase();
            format!("Config value {operation} is not allowed for config key: {name}")
        }
        None => format!("Unknown config name: {name}"),
    };
    Err(Refusal::new(ErrorCode::InvalidConfig, text))
}

fn changed_list(present: &str, operation: ConfigOperation, value: &str) -> Vec<String> {
    let mut words = parse_list(present);
    let change = parse_list(value);
    if operation == ConfigOperation::Subtract {
        words.retain(|word| !change.contains(word));
    } else {
        for word in change {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words
}

fn scope_of(kind: ResourceKind) -> Scope {
    match kind {
        ResourceKind::Topic => Scope::Topic,
        ResourceKind::Broker => Scope::Broker,
        ResourceKind::ClientMetrics => Scope::ClientMetrics,
        ResourceKind::Group => Scope::Group,
    }
}

/// Checks all the values that a resource would have. Values that the request does not name were
/// checked when they were set, and must not keep others from being changed where they are no longer
/// known.
fn check_values(
    scene: &Scene<'_>,
    resource: &ConfigResource,
    values: &Overrides,
    named: BTreeSet<&str>,
) -> Result<(), Refusal> {
    let mut new = values.clone();
    new.retain(|name, _| named.contains(name.as_ref()));
    let what = match resource.kind {
        ResourceKind::Broker => return check_broker_set(scene, resource, values, &new),
        ResourceKind::ClientMetrics => return check_client_metrics_set(values),
        ResourceKind::Topic => "topic",
        ResourceKind::Group => "group",
    };
    for (name, value) in &new {
        let definition = table::find(scope_of(resource.kind), name);
        check_value(definition, what, name, value)?;
    }
    if resource.kind == ResourceKind::Topic {
        check_topic_set(scene.settings, values)
    } else {
        check_group_set(scene.settings, values)
    }
}

fn check_value(
    definition: Option<&Definition>,
    what: &str,
    name: &str,
    value: &str,
) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidConfig, text));
    match definition.map(|definition| definition.parse(value)) {
        None => refuse(format!("Unknown {what} config name: {name}")),
        Some(Err(error)) => refuse(error.to_string()),
        Some(Ok(_)) => Ok(()),
    }
}

/// A record for each value that differs from what the image has.
fn records(
    scene: &Scene<'_>,
    resource: &ConfigResource,
    values: &Overrides,
) -> Vec<MetadataRecord> {
    let present = scene.image.configs(resource);
    let record = |name: &Arc<str>, value: Option<&Arc<str>>| {
        MetadataRecord::from(ConfigRecord {
            resource_type: resource.kind as i8,
            resource_name: Arc::clone(&resource.name),
            name: Arc::clone(name),
            value: value.cloned(),
        })
    };
    let changed = values
        .iter()
        .filter(|(name, value)| present.get(*name) != Some(*value));
    let mut records: Vec<MetadataRecord> = changed
        .map(|(name, value)| record(name, Some(value)))
        .collect();
    let removed = present.keys().filter(|name| !values.contains_key(*name));
    records.extend(removed.map(|name| record(name, None)));
    records
}
