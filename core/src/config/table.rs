//! The tables together: every configuration by scope and name, and which ones stand in for which.
//!
//! No value of any broker is here. Names are Apache Kafka 4.3.1's plus Ottla's own
//! (`flush.policy`, `http.listener`, `log.flush.policy`, `log.tail.bytes`,
//! `metrics.partitions.enable`, `record.validation`).

use super::definition::{Definition, Scope};
use super::{table_broker, table_groups, table_logs, table_other, table_security, table_topics};

/// The tables of a scope; each sorted by name.
fn tables(scope: Scope) -> &'static [&'static [Definition]] {
    match scope {
        Scope::Broker => &[
            table_broker::BROKER,
            table_groups::GROUPS,
            table_logs::LOGS,
            table_security::SECURITY,
        ],
        Scope::ClientMetrics => &[table_other::CLIENT_METRICS],
        Scope::Group => &[table_other::GROUP_RESOURCES],
        Scope::Topic => &[table_topics::TOPICS],
    }
}

/// The configuration of this name; `None` where the scope has none.
#[must_use]
pub fn find(scope: Scope, name: &str) -> Option<&'static Definition> {
    tables(scope).iter().find_map(|table| {
        let index = table.binary_search_by(|definition| definition.name.cmp(name));
        index.ok().map(|index| &table[index])
    })
}

/// Every configuration of a scope, sorted by name.
#[must_use]
pub fn all(scope: Scope) -> Vec<&'static Definition> {
    let mut definitions: Vec<&Definition> = tables(scope).iter().copied().flatten().collect();
    definitions.sort_by_key(|definition| definition.name);
    definitions
}

/// The broker configurations that give a broker configuration its value, the strongest first: its
/// own name, then those in other units (`DynamicBrokerConfig.brokerConfigSynonyms`).
#[must_use]
pub fn broker_synonyms(name: &str) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            vec!["log.roll.jitter.ms", "log.roll.jitter.hours"]
        }
        "log.flush.interval.ms" => vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            vec![
                "log.retention.ms",
                "log.retention.minutes",
                "log.retention.hours",
            ]
        }
        other => vec![other],
    }
}

/// The broker configuration that a topic's one falls back to (`ServerTopicConfigSynonyms`).
#[must_use]
pub fn topic_synonym(name: &str) -> Option<&'static str> {
    Some(match name {
        "cleanup.policy" => "log.cleanup.policy",
        "compression.gzip.level" => "compression.gzip.level",
        "compression.lz4.level" => "compression.lz4.level",
        "compression.type" => "compression.type",
        "compression.zstd.level" => "compression.zstd.level",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "file.delete.delay.ms" => "log.segment.delete.delay.ms",
        "flush.messages" => "log.flush.interval.messages",
        "flush.ms" => "log.flush.interval.ms",
        "flush.policy" => "log.flush.policy",
        "index.interval.bytes" => "log.index.interval.bytes",
        "local.retention.bytes" => "log.local.retention.bytes",
        "local.retention.ms" => "log.local.retention.ms",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "max.message.bytes" => "message.max.bytes",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.type" => "log.message.timestamp.type",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "min.insync.replicas" => "min.insync.replicas",
        "preallocate" => "log.preallocate",
        "record.validation" => "record.validation",
        "retention.bytes" => "log.retention.bytes",
        "retention.ms" => "log.retention.ms",
        "segment.bytes" => "log.segment.bytes",
        "segment.index.bytes" => "log.index.size.max.bytes",
        "segment.jitter.ms" => "log.roll.jitter.ms",
        "segment.ms" => "log.roll.ms",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        _other => return None,
    })
}

/// The broker configuration that a group's one falls back to.
#[must_use]
pub fn group_synonym(name: &str) -> Option<&'static str> {
    let broker_name =
        |definition: &Definition| definition.name.strip_prefix("group.") == Some(name);
    all(Scope::Broker)
        .into_iter()
        .find(|definition| broker_name(definition))
        .map(|definition| definition.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_defaults_are_valid_and_documented() {
        for scope in [
            Scope::Broker,
            Scope::ClientMetrics,
            Scope::Group,
            Scope::Topic,
        ] {
            for table in tables(scope) {
                assert!(table.is_sorted_by_key(|definition| definition.name));
            }
            let definitions = all(scope);
            assert!(
                definitions
                    .windows(2)
                    .all(|pair| pair[0].name != pair[1].name)
            );
            for definition in definitions {
                assert_eq!(find(scope, definition.name), Some(definition));
                assert!(definition.doc.ends_with('.'), "{}", definition.name);
                if let Some(text) = definition.default.text() {
                    let value = definition.parse(text);
                    let value = value.unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(value.to_string(), text, "{}", definition.name);
                }
            }
        }
    }

    #[test]
    fn synonyms_exist() {
        for definition in all(Scope::Topic) {
            if let Some(name) = topic_synonym(definition.name) {
                assert!(find(Scope::Broker, name).is_some(), "{name}");
            }
        }
        assert_eq!(
            group_synonym("consumer.session.timeout.ms"),
            Some("group.consumer.session.timeout.ms")
        );
        assert_eq!(group_synonym("share.auto.offset.reset"), None);
    }
}
