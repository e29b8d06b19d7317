//! Descriptions are those that Apache Kafka gave.

use super::super::definition::Kind;
use super::*;

/// What Apache Kafka 4.3.1 answered: resource, name, value, source, type, read-only,
/// sensitive, synonyms.
const RECORDED: &str = include_str!("../../../../tests/golden/config/describe.tsv");

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
        format!("b|{keystore}.location|/x|{own}|STRING|read-only||{keystore}.location=/x@{own}"),
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
