//! What DescribeConfigs answers: every configuration of a resource, its value, where that comes
//! from, and the values it hides (K116).
//!
//! Material only: the API selects names, leaves out what the request did not ask for and writes
//! the reply. Checked against Apache Kafka 4.3.1's own answers (`ConfigHelper`).

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::definition::{Definition, Scope};
use super::rules::listener_base;
use super::settings::{Overrides, Settings, Source};
use super::table;
use super::topic::topic_value;

/// One configuration of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is null or a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Whether it can only be set in `server.properties`.
    pub read_only: bool,
    /// Whether it is a secret.
    pub sensitive: bool,
    /// Its definition, or that of all listeners' where it is one listener's; `None` for a name no
    /// table knows, which is treated as a secret.
    pub definition: Option<&'static Definition>,
    /// The values in order of precedence, the effective one first.
    pub synonyms: Vec<Synonym>,
}

/// A value that is effective, or would be if the ones before it were not set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Synonym {
    /// The configuration's name in its layer.
    pub name: String,
    /// The value; `None` for a secret.
    pub value: Option<String>,
    /// The layer.
    pub source: Source,
}

/// Every configuration of this broker, sorted by name.
#[must_use]
pub fn describe_broker(settings: &Settings) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table::all(Scope::Broker)
        .into_iter()
        .filter(|definition| !definition.internal)
        .filter(|definition| !is_quota_only(definition.name) || settings.is_set(definition.name))
        .map(|definition| broker_entry(settings, definition))
        .collect();
    entries.extend(unknown_entries(settings));
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// The configurations set for all brokers at run time, sorted by name.
#[must_use]
pub fn describe_broker_defaults(settings: &Settings) -> Vec<Entry> {
    let [_, (source, defaults), _] = settings.layers();
    defaults
        .iter()
        .map(|(name, text)| {
            let definition = definition_of(name);
            let sensitive = definition.is_none_or(Definition::is_sensitive);
            let value = Some(text.to_string()).filter(|_| !sensitive);
            let own = definition.filter(|definition| definition.name == name.as_ref());
            Entry {
                name: name.to_string(),
                value: value.clone(),
                source,
                read_only: own.is_none_or(|own| !is_dynamic(own)),
                sensitive,
                definition,
                synonyms: vec![Synonym {
                    name: name.to_string(),
                    value,
                    source,
                }],
            }
        })
        .collect()
}

/// Every configuration of a topic with these values of its own, sorted by name.
#[must_use]
pub fn describe_topic(settings: &Settings, topic: &Overrides) -> Vec<Entry> {
    resource_entries(Scope::Topic, topic, Source::Topic, |definition| {
        let name = definition.name;
        let value = topic_value(settings, topic, name);
        let inherited = table::topic_synonym(name).map(|broker| synonyms(settings, broker));
        (value, inherited.unwrap_or_default())
    })
}

/// Every configuration of a group with these values of its own, sorted by name.
#[must_use]
pub fn describe_group(settings: &Settings, group: &Overrides) -> Vec<Entry> {
    resource_entries(Scope::Group, group, Source::Group, |definition| {
        let name = definition.name;
        let broker = table::group_synonym(name);
        let inherited = match broker {
            Some(broker) => synonyms(settings, broker),
            None => vec![Synonym {
                name: name.to_owned(),
                value: definition.default.text().map(str::to_owned),
                source: Source::Default,
            }],
        };
        let own = group.get(name).and_then(|text| definition.parse(text).ok());
        let value = match (own, broker) {
            (Some(value), _) => Some(value.to_string()),
            (None, Some(broker)) => settings.text(broker),
            (None, None) => definition.default.text().map(str::to_owned),
        };
        (value, inherited)
    })
}

/// Every configuration of a client metrics subscription, sorted by name.
#[must_use]
pub fn describe_client_metrics(subscription: &Overrides) -> Vec<Entry> {
    let source = Source::ClientMetrics;
    resource_entries(Scope::ClientMetrics, subscription, source, |definition| {
        let own = subscription.get(definition.name).map(ToString::to_string);
        let value = own.or_else(|| definition.default.text().map(str::to_owned));
        (value, Vec::new())
    })
}

fn resource_entries(
    scope: Scope,
    own: &Overrides,
    own_source: Source,
    describe: impl Fn(&'static Definition) -> (Option<String>, Vec<Synonym>),
) -> Vec<Entry> {
    let is_shown = |definition: &&'static Definition| !definition.internal;
    let definitions = table::all(scope).into_iter().filter(is_shown);
    definitions
        .map(|definition| {
            let (value, inherited) = describe(definition);
            let mut synonyms = Vec::with_capacity(inherited.len() + 1);
            if own.contains_key(definition.name) {
                synonyms.push(Synonym {
                    name: definition.name.to_owned(),
                    value: value.clone(),
                    source: own_source,
                });
            }
            synonyms.extend(inherited);
            Entry {
                name: definition.name.to_owned(),
                value,
                source: source_of(&synonyms),
                read_only: false,
                sensitive: false,
                definition: Some(definition),
                synonyms,
            }
        })
        .collect()
}

fn broker_entry(settings: &Settings, definition: &'static Definition) -> Entry {
    let synonyms = synonyms(settings, definition.name);
    let sensitive = definition.is_sensitive();
    Entry {
        name: definition.name.to_owned(),
        value: settings.text(definition.name).filter(|_| !sensitive),
        source: source_of(&synonyms),
        read_only: !is_dynamic(definition),
        sensitive,
        definition: Some(definition),
        synonyms,
    }
}

/// The definition of a name, which may be that of a configuration of one listener.
fn definition_of(name: &str) -> Option<&'static Definition> {
    let exact = table::find(Scope::Broker, name);
    exact.or_else(|| table::find(Scope::Broker, listener_base(name)?))
}

/// Names that were set but that no table knows: those of a listener's configurations, and others,
/// which are shown without their values.
fn unknown_entries(settings: &Settings) -> Vec<Entry> {
    let mut names: Vec<&Arc<str>> = settings
        .layers()
        .into_iter()
        .flat_map(|(_, layer)| layer.keys())
        .filter(|name| table::find(Scope::Broker, name).is_none())
        .collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let synonyms = synonyms(settings, name);
            let definition = definition_of(name);
            Entry {
                name: name.to_string(),
                value: synonyms.first().and_then(|first| first.value.clone()),
                source: source_of(&synonyms),
                read_only: true,
                sensitive: definition.is_none_or(Definition::is_sensitive),
                definition,
                synonyms,
            }
        })
        .collect()
}

/// The values of a broker configuration, layer by layer.
///
/// Kafka lists every synonym of a layer before the next layer, and leaves out what stands before
/// the first mention of the name itself.
fn synonyms(settings: &Settings, name: &str) -> Vec<Synonym> {
    let mut names = table::broker_synonyms(name);
    names.extend(listener_base(name));
    let mut found = Vec::new();
    for (source, layer) in settings.layers() {
        for &synonym in &names {
            if let Some(text) = layer.get(synonym) {
                found.push(synonym_entry(synonym, text, source));
            }
        }
    }
    for &synonym in &names {
        if is_quota_only(synonym) {
            continue;
        }
        let default = table::find(Scope::Broker, synonym).and_then(|d| d.default.text());
        if let Some(text) = default {
            found.push(synonym_entry(synonym, text, Source::Default));
        }
    }
    let first = found.iter().position(|synonym| synonym.name == name);
    found.split_off(first.unwrap_or(found.len()))
}

fn synonym_entry(name: &str, text: &str, source: Source) -> Synonym {
    let sensitive = definition_of(name).is_none_or(Definition::is_sensitive);
    Synonym {
        name: name.to_owned(),
        value: Some(text.to_owned()).filter(|_| !sensitive),
        source,
    }
}

fn source_of(synonyms: &[Synonym]) -> Source {
    synonyms
        .first()
        .map_or(Source::Default, |synonym| synonym.source)
}

fn is_dynamic(definition: &Definition) -> bool {
    definition.update != super::definition::Update::ReadOnly
}

/// Throttled rates are configurations of a broker only at run time: they are listed where they are
/// set, and have no default.
fn is_quota_only(name: &str) -> bool {
    matches!(
        name,
        "follower.replication.throttled.rate"
            | "leader.replication.throttled.rate"
            | "replica.alter.log.dirs.io.max.bytes.per.second"
    )
}
