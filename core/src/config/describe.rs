//! What DescribeConfigs answers: every configuration of a resource, its value, where that comes
//! from, and the values it hides (K116).
//!
//! Material only: the API selects names, leaves out what the request did not ask for and writes
//! the reply. Checked against Apache Kafka 4.3.1's own answers (`ConfigHelper`).

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

#[cfg(test)]
mod tests {
    use super::super::definition::Kind;
    use super::*;

    /// What Apache Kafka 4.3.1 answered: resource, name, value, source, type, read-only,
    /// sensitive, synonyms.
    const RECORDED: &str = include_str!("../../../tests/golden/config/describe.tsv");

    /// The static configuration of the broker that answered.
    const PROPERTIES: &str = "process.roles=broker,controller\nnode.id=1\n\
        controller.quorum.bootstrap.servers=127.0.0.1:9093\n\
        listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
        advertised.listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
        log.dirs=/data\nnum.partitions=4\nauto.create.topics.enable=true\n\
        default.replication.factor=1\noffsets.topic.replication.factor=1\n\
        offsets.topic.num.partitions=4\ntransaction.state.log.replication.factor=1\n\
        transaction.state.log.min.isr=1\ntransaction.state.log.num.partitions=4\n\
        share.coordinator.state.topic.replication.factor=1\n\
        share.coordinator.state.topic.min.isr=1\n\
        share.coordinator.state.topic.num.partitions=4\n\
        group.initial.rebalance.delay.ms=1000\n";

    /// Defaults that are Ottla's own.
    const OWN_DEFAULTS: [&str; 5] = [
        "controller.listener.names",
        "listeners",
        "log.dir",
        "node.id",
        "process.roles",
    ];

    fn overrides(pairs: &[(&str, &str)]) -> Arc<Overrides> {
        Arc::new(
            pairs
                .iter()
                .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
                .collect(),
        )
    }

    fn source_name(source: Source) -> &'static str {
        match source {
            Source::Topic => "DYNAMIC_TOPIC_CONFIG",
            Source::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            Source::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            Source::StaticBroker => "STATIC_BROKER_CONFIG",
            Source::Default => "DEFAULT_CONFIG",
            Source::ClientMetrics => "DYNAMIC_CLIENT_METRICS_CONFIG",
            Source::Group => "DYNAMIC_GROUP_CONFIG",
        }
    }

    fn line(resource: &str, entry: &Entry) -> String {
        let show = |value: &Option<String>| value.clone().unwrap_or("(null)".to_owned());
        let synonyms: Vec<String> = entry
            .synonyms
            .iter()
            .map(|synonym| {
                let value = synonym.value.clone().unwrap_or("null".to_owned());
                format!("{}={value}@{}", synonym.name, source_name(synonym.source))
            })
            .collect();
        [
            resource.to_owned(),
            entry.name.clone(),
            show(&entry.value),
            source_name(entry.source).to_owned(),
            entry
                .definition
                .map_or("UNKNOWN", |d| d.kind.name())
                .to_owned(),
            if entry.read_only { "read-only" } else { "" }.to_owned(),
            if entry.sensitive { "sensitive" } else { "" }.to_owned(),
            synonyms.join(";"),
        ]
        .join("\t")
    }

    fn check(resource: &str, entries: &[Entry]) {
        let recorded: Vec<&str> = RECORDED
            .lines()
            .filter(|line| line.split('\t').next() == Some(resource))
            .collect();
        let ours: Vec<String> = entries
            .iter()
            .filter(|entry| !is_own(&entry.name))
            .map(|entry| line(resource, entry))
            .collect();
        let name = |line: &str| line.split('\t').nth(1).unwrap_or_default().to_owned();
        let recorded_names: Vec<String> = recorded.iter().map(|line| name(line)).collect();
        let our_names: Vec<String> = ours.iter().map(|line| name(line)).collect();
        assert_eq!(our_names, recorded_names, "{resource}");
        for (ours, recorded) in ours.iter().zip(recorded) {
            if !OWN_DEFAULTS.contains(&name(recorded).as_str()) {
                assert_eq!(ours, recorded);
            }
        }
    }

    fn is_own(name: &str) -> bool {
        matches!(
            name,
            "flush.policy"
                | "http.listener"
                | "log.flush.policy"
                | "log.tail.bytes"
                | "metrics.partitions.enable"
                | "record.validation"
        )
    }

    #[test]
    fn as_kafka_described_a_broker_and_its_topics() {
        let mut settings = Settings::load(PROPERTIES, &[]).expect("valid");
        let min_isr = [("min.insync.replicas", "1")];
        settings.set_dynamic(overrides(&min_isr), Arc::default());
        let own = overrides(&[
            ("cleanup.policy", "compact"),
            ("retention.ms", "1000"),
            ("segment.bytes", "2097152"),
        ]);
        check("broker-1", &describe_broker(&settings));
        check("broker-default", &describe_broker_defaults(&settings));
        check("topic-plain", &describe_topic(&settings, &Overrides::new()));
        check("topic-own", &describe_topic(&settings, &own));
        settings.set_dynamic(
            overrides(&[
                ("log.cleaner.threads", "3"),
                ("log.retention.bytes", "9000000"),
                ("message.max.bytes", "2000000"),
                ("min.insync.replicas", "1"),
            ]),
            overrides(&[
                ("log.cleaner.threads", "2"),
                ("log.retention.ms", "5000"),
                ("max.connections", "77"),
            ]),
        );
        check("dynamic-broker-1", &describe_broker(&settings));
        check(
            "dynamic-broker-default",
            &describe_broker_defaults(&settings),
        );
        check(
            "dynamic-topic-plain",
            &describe_topic(&settings, &Overrides::new()),
        );
        check("dynamic-topic-own", &describe_topic(&settings, &own));
        check("group-g", &describe_group(&settings, &Overrides::new()));
        check(
            "client-metrics-m",
            &describe_client_metrics(&Overrides::new()),
        );
    }

    /// As Apache Kafka 4.3.1 tells of them after they were set.
    #[test]
    fn configurations_of_a_listener_and_rates_are_shown_where_they_are_set() {
        let mut settings = Settings::load(PROPERTIES, &[]).expect("valid");
        let is_shown = |entry: &&Entry| {
            entry.name.contains("nope")
                || entry.name.starts_with("listener.name.")
                || entry.name.ends_with(".throttled.rate")
        };
        let none = describe_broker(&settings);
        assert_eq!(none.iter().filter(is_shown).count(), 0);
        settings.set_dynamic(
            overrides(&[("follower.replication.throttled.rate", "2000")]),
            overrides(&[
                ("leader.replication.throttled.rate", "1000"),
                ("listener.name.plaintext.max.connections", "50"),
                ("listener.name.plaintext.nope", "5"),
                ("listener.name.plaintext.ssl.keystore.location", "/x"),
                ("listener.name.plaintext.ssl.keystore.password", "secret"),
                ("nope", "x"),
            ]),
        );
        let entries = describe_broker(&settings);
        let shown: Vec<String> = entries
            .iter()
            .filter(is_shown)
            .map(|entry| line("b", entry).replace('\t', "|"))
            .collect();
        let own = "DYNAMIC_BROKER_CONFIG";
        let keystore = "listener.name.plaintext.ssl.keystore";
        let connections = "listener.name.plaintext.max.connections";
        let expected = [
            "b|follower.replication.throttled.rate|2000|DYNAMIC_DEFAULT_BROKER_CONFIG|LONG|||\
             follower.replication.throttled.rate=2000@DYNAMIC_DEFAULT_BROKER_CONFIG"
                .to_owned(),
            format!(
                "b|leader.replication.throttled.rate|1000|{own}|LONG|||\
                 leader.replication.throttled.rate=1000@{own}"
            ),
            format!(
                "b|{connections}|50|{own}|INT|read-only||{connections}=50@{own};\
                 max.connections=2147483647@DEFAULT_CONFIG"
            ),
            format!(
                "b|listener.name.plaintext.nope|(null)|{own}|UNKNOWN|read-only|sensitive|\
                 listener.name.plaintext.nope=null@{own};nope=null@{own}"
            ),
            format!(
                "b|{keystore}.location|/x|{own}|STRING|read-only||{keystore}.location=/x@{own}"
            ),
            format!(
                "b|{keystore}.password|(null)|{own}|PASSWORD|read-only|sensitive|\
                 {keystore}.password=null@{own}"
            ),
            format!("b|nope|(null)|{own}|UNKNOWN|read-only|sensitive|nope=null@{own}"),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn secrets_and_unknown_names_are_not_shown() {
        let text = "ssl.key.password=secret\nno.such=secret\n";
        let settings = Settings::load(text, &[]).expect("valid");
        for name in ["ssl.key.password", "no.such"] {
            let entries = describe_broker(&settings);
            let entry = entries
                .iter()
                .find(|entry| entry.name == name)
                .expect("listed");
            assert!(entry.sensitive, "{name}");
            assert_eq!(entry.value, None, "{name}");
            assert!(entry.synonyms.iter().all(|synonym| synonym.value.is_none()));
        }
        let kind = table::find(Scope::Broker, "ssl.key.password").map(|d| d.kind);
        assert_eq!(kind, Some(Kind::Password));
    }
}
