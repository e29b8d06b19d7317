//! Every request that was recorded with Apache Kafka 4.3.1, decided here and compared.
//!
//! A line of the files is a request, and the lines with an arrow after it are Kafka's answer.
//! Kafka's texts are matched word for word; what is decided otherwise on purpose is listed in
//! [`DIFFERENCES`] with its reason.

use std::sync::Arc;

use super::configs::{
    ConfigChange, ConfigOperation, ConfigResult, alter_incrementally, alter_legacy,
};
use super::topics::{
    NewTopic, PartitionGrowth, TopicReference, create_partitions, create_topics, delete_topics,
};
use super::{Refusal, Scene, apply_all};
use crate::config::Settings;
use crate::ids::{DirectoryId, NodeId, TopicId};
use crate::metadata::records::RegisterBrokerRecord;
use crate::metadata::{Delta, Image};
use crate::quota::throttle::Allowance;
use crate::rng::Rng;

/// Requests that Kafka answers otherwise, and why we do not.
const DIFFERENCES: [(&str, &str); 9] = [
    (
        "alter\tresource=broker:1\tSET:min.insync.replicas=",
        "there are no eligible leader replicas here, in whose presence it is fixed",
    ),
    (
        "alter\tresource=broker:1\tSET:log.cleaner.min.cleanable.ratio=NaN",
        "what is no number is out of bounds",
    ),
    (
        "SET:max.connections.per.ip.overrides=127.0.0.1:-5",
        "fewer than no connections are none",
    ),
    (
        "SET:max.connections.per.ip.overrides=[::1]:5",
        "an address is taken in brackets too",
    ),
    (
        "SET:log.dirs=a\tSET:node.id=4\tSET:broker.id=4",
        "names in the order of the alphabet, not of a hash table",
    ),
    (
        "alter\tresource=topic:plain\t9:retention.ms=1",
        "an unknown operation is the client's fault, not an unknown error of the server",
    ),
    (
        "grow\tname=plain\tcount=20004\tvalidate",
        "the bound of partitions per request is said here as in CreateTopics",
    ),
    (
        "alter\tresource=broker:\tSET:log.retention.ms=x\tSET:log.dirs=y\tSET:node.id=3\tvalidate",
        "names in the order of the alphabet, not of a hash table",
    ),
    (
        "alter\tresource=logger:",
        "the same words, but it is refused for having no number first",
    ),
];

/// Changes that are refused as by Kafka but in words of our own, where its words are those of a
/// Java exception, or tell less.
const OWN_WORDS: [&str; 8] = [
    "APPEND:listeners=",
    "SUBTRACT:listeners=",
    "SET:listeners=",
    "SET:listener.security.protocol.map=",
    "SET:log.cleaner.threads=0",
    "SET:max.connections.per.ip.overrides=",
    "SET:metric.reporters=",
    "APPEND:metric.reporters=",
];

/// The broker whose own configurations were changed.
const BROKER: &str = "process.roles=broker,controller\nnode.id=1\n\
    listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
    advertised.listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
    controller.listener.names=CONTROLLER\n\
    listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
    log.dirs=/data\nnum.partitions=4\n";

/// A cluster of one broker that follows what is decided.
struct Cluster {
    image: Image,
    settings: Settings,
    rng: Rng,
}

impl Cluster {
    fn new() -> Self {
        Self::of("default.replication.factor=1\nnum.partitions=1\n")
    }

    fn of(properties: &str) -> Self {
        let record = RegisterBrokerRecord {
            broker_id: NodeId(1),
            fenced: false,
            log_dirs: vec![DirectoryId::METADATA],
            ..RegisterBrokerRecord::default()
        };
        let mut image = Image::default();
        image
            .apply(&record.into(), &mut Delta::default())
            .expect("the first");
        Self {
            image,
            settings: Settings::load(properties, &[]).expect("valid"),
            rng: Rng::new(1),
        }
    }

    /// Decides a request and answers as the recording has it.
    fn answer(&mut self, line: &str) -> Vec<String> {
        let tokens: Vec<String> = line.split('\t').map(unescape).collect();
        let validate_only = tokens.iter().any(|token| token == "validate");
        let scene = Scene {
            image: &self.image,
            settings: &self.settings,
            node: NodeId(1),
        };
        let (records, answers) = match tokens[0].as_str() {
            "create" => {
                let decision = create_topics(
                    &scene,
                    &mut self.rng,
                    &mut Allowance::unlimited(),
                    &new_topics(&tokens),
                );
                let answers = decision.results.iter().map(|result| {
                    let (partitions, factor) = match &result.outcome {
                        Ok(topic) => (topic.partitions, topic.replication_factor),
                        Err(_) => (-1, -1),
                    };
                    let outcome = shown(result.outcome.as_ref().err());
                    format!(
                        "{}\t{outcome}\t{partitions}\t{factor}\t0",
                        escape(&result.name)
                    )
                });
                (decision.records, answers.collect())
            }
            "grow" => {
                let decision = create_partitions(
                    &scene,
                    &mut self.rng,
                    &mut Allowance::unlimited(),
                    &growths(&tokens),
                );
                let answers = decision.results.iter().map(|result| {
                    let outcome = shown(result.outcome.as_ref().err());
                    format!("{}\t{outcome}", escape(&result.name))
                });
                (decision.records, answers.collect())
            }
            "delete" => {
                let decision =
                    delete_topics(&scene, &mut Allowance::unlimited(), &references(&tokens));
                let answers = decision.results.iter().map(|result| {
                    let name = result.name.clone().unwrap_or_default();
                    format!("{name}\t{}", shown(result.outcome.as_ref().err()))
                });
                (decision.records, answers.collect())
            }
            "alter" => {
                let decision = alter_incrementally(&scene, &config_changes(&tokens));
                (decision.records, config_answers(&decision.results))
            }
            "legacy" => {
                let decision = alter_legacy(&scene, &config_changes(&tokens));
                (decision.records, config_answers(&decision.results))
            }
            other => unreachable!("{other} is no request of the recording"),
        };
        if !validate_only {
            apply_all(&mut self.image, &records);
        }
        answers
    }
}

fn shown(refusal: Option<&Refusal>) -> String {
    match refusal {
        None => "0\t(null)".to_owned(),
        Some(refusal) => {
            let message = refusal
                .message
                .as_deref()
                .map_or("(null)".to_owned(), escape);
            format!("{}\t{message}", refusal.code.code())
        }
    }
}

fn config_answers(results: &[ConfigResult]) -> Vec<String> {
    let answer = |result: &ConfigResult| {
        let outcome = shown(result.outcome.as_ref().err());
        format!(
            "{}\t{}\t{outcome}",
            result.resource_type,
            escape(&result.resource_name)
        )
    };
    results.iter().map(answer).collect()
}

fn nodes(text: &str) -> Vec<NodeId> {
    let numbers = text.split(',').filter(|number| !number.is_empty());
    numbers
        .map(|number| NodeId(number.parse().expect("a number")))
        .collect()
}

fn new_topics(tokens: &[String]) -> Vec<NewTopic> {
    let mut topics: Vec<NewTopic> = Vec::new();
    for token in &tokens[1..] {
        let (key, value) = token.split_once('=').unwrap_or((token, ""));
        if key == "name" {
            topics.push(NewTopic {
                name: value.to_owned(),
                ..NewTopic::default()
            });
            continue;
        }
        let Some(topic) = topics.last_mut() else {
            continue;
        };
        match key {
            "partitions" => topic.partitions = value.parse().expect("a number"),
            "replicas" => topic.replication_factor = value.parse().expect("a number"),
            "assign" => {
                topic.assignments = value
                    .split(';')
                    .filter_map(|part| part.split_once(':'))
                    .map(|(index, brokers)| (index.parse().expect("a number"), nodes(brokers)))
                    .collect();
            }
            "config" => topic.configs.push(match value.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (value.to_owned(), None),
            }),
            "validate" => {}
            other => unreachable!("{other} is no part of a topic"),
        }
    }
    topics
}

fn growths(tokens: &[String]) -> Vec<PartitionGrowth> {
    let mut topics: Vec<PartitionGrowth> = Vec::new();
    for token in &tokens[1..] {
        let (key, value) = token.split_once('=').unwrap_or((token, ""));
        match (key, topics.last_mut()) {
            ("name", _) => topics.push(PartitionGrowth {
                name: value.to_owned(),
                ..PartitionGrowth::default()
            }),
            ("count", Some(topic)) => topic.count = value.parse().expect("a number"),
            ("assign", Some(topic)) if value == "none" => topic.assignments = Some(Vec::new()),
            ("assign", Some(topic)) => {
                topic.assignments = Some(value.split(';').map(nodes).collect());
            }
            (_, _) => {}
        }
    }
    topics
}

fn references(tokens: &[String]) -> Vec<TopicReference> {
    tokens[1..]
        .iter()
        .filter_map(|token| token.strip_prefix("name="))
        .map(|name| TopicReference {
            name: Some(name.to_owned()),
            id: TopicId::ZERO,
        })
        .collect()
}

fn config_changes(tokens: &[String]) -> Vec<ConfigChange> {
    let mut changes: Vec<ConfigChange> = Vec::new();
    for token in &tokens[1..] {
        if let Some(resource) = token.strip_prefix("resource=") {
            let (kind, name) = resource.split_once(':').expect("kind and name");
            changes.push(ConfigChange {
                resource_type: match kind {
                    "topic" => 2,
                    "broker" => 4,
                    "logger" => 8,
                    "client-metrics" => 16,
                    "group" => 32,
                    other => unreachable!("{other} is no kind of resource"),
                },
                resource_name: name.to_owned(),
                changes: Vec::new(),
            });
            continue;
        }
        let (Some((operation, rest)), Some(change)) = (token.split_once(':'), changes.last_mut())
        else {
            continue;
        };
        let operation = match operation {
            "SET" => Some(ConfigOperation::Set),
            "DELETE" => Some(ConfigOperation::Delete),
            "APPEND" => Some(ConfigOperation::Append),
            "SUBTRACT" => Some(ConfigOperation::Subtract),
            number => ConfigOperation::from_code(number.parse().expect("a number")),
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        change.changes.push((name.to_owned(), operation, value));
    }
    changes
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
}

fn unescape(text: &str) -> String {
    text.replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\\\", "\\")
}

/// Kafka's answer without what its languages put around the words.
fn unframed(answer: &str) -> String {
    let java = "Invalid value org.apache.kafka.common.config.ConfigException: ";
    let end = " for configuration Invalid dynamic configuration";
    answer
        .replace(java, "")
        .replace(end, "")
        .replace("requirement failed: ", "")
}

/// The answer without its words, where the request is refused in words of our own.
fn without_words<'a>(request: &str, answer: &'a str) -> &'a str {
    if OWN_WORDS.iter().any(|change| request.contains(change)) {
        answer.rsplit_once('\t').map_or(answer, |(code, _)| code)
    } else {
        answer
    }
}

fn check(recording: &str) {
    check_with(Cluster::new(), recording);
}

fn check_with(mut cluster: Cluster, recording: &str) {
    let mut lines = recording.lines().peekable();
    let mut wrong = Vec::new();
    while let Some(request) = lines.next() {
        let mut recorded: Vec<String> = Vec::new();
        while let Some(answer) = lines.next_if(|line| line.starts_with("->")) {
            recorded.push(unframed(answer.trim_start_matches("->\t")));
        }
        let mut ours = cluster.answer(request);
        if request.starts_with("delete") {
            ours.sort();
            recorded.sort();
        }
        let is_different = DIFFERENCES.iter().any(|(part, _)| request.contains(part));
        let is_same = ours.len() == recorded.len()
            && ours.iter().zip(&recorded).all(|(ours, recorded)| {
                without_words(request, ours) == without_words(request, recorded)
            });
        if !is_same && !is_different {
            wrong.push(format!("{request}\n  Kafka {recorded:?}\n  ours  {ours:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn topics_are_created_grown_and_deleted_as_kafka_does() {
    check(include_str!("../../../tests/golden/controller/topics.tsv"));
}

#[test]
fn operations_on_configurations_as_kafka_does_them() {
    check(include_str!(
        "../../../tests/golden/controller/operations.tsv"
    ));
    check(include_str!("../../../tests/golden/controller/more.tsv"));
}

#[test]
fn values_of_configurations_as_kafka_takes_them() {
    check(include_str!("../../../tests/golden/controller/configs.tsv"));
}

#[test]
fn brokers_are_reconfigured_as_kafka_does_it() {
    let recording = include_str!("../../../tests/golden/controller/brokers.tsv");
    check_with(Cluster::of(BROKER), recording);
}

#[test]
fn topics_deleted_by_id() {
    let mut cluster = Cluster::new();
    for name in ["one", "two", "three"] {
        cluster.answer(&format!("create\tname={name}\tpartitions=1\treplicas=1"));
    }
    let id = |cluster: &Cluster, name: &str| cluster.image.topic(name).expect("created").id;
    let (one, two) = (id(&cluster, "one"), id(&cluster, "two"));
    let by = |name: Option<&str>, id: TopicId| TopicReference {
        name: name.map(str::to_owned),
        id,
    };
    let unknown = TopicId([7; 16]);
    let cases = [
        (
            vec![by(None, unknown)],
            "100\tThis server does not host this topic ID.",
        ),
        (
            vec![by(Some("two"), one)],
            "42\tYou may not specify both topic name and topic id.",
        ),
        (
            vec![by(None, TopicId::ZERO)],
            "42\tNeither topic name nor id were specified.",
        ),
        (
            vec![by(None, one), by(None, one)],
            "42\tDuplicate topic id.",
        ),
        (
            vec![by(Some("one"), TopicId::ZERO), by(None, one)],
            "42\tThe provided topic name maps to an ID that was already supplied.",
        ),
        (vec![by(None, two)], "0\t(null)"),
    ];
    for (references, expected) in cases {
        let scene = Scene {
            image: &cluster.image,
            settings: &cluster.settings,
            node: NodeId(1),
        };
        let decision = delete_topics(&scene, &mut Allowance::unlimited(), &references);
        assert_eq!(decision.results.len(), 1, "{expected}");
        assert_eq!(shown(decision.results[0].outcome.as_ref().err()), expected);
        assert_eq!(
            decision.records.len(),
            usize::from(expected.starts_with('0'))
        );
    }
    let text = "delete.topic.enable=false";
    cluster.settings = Settings::load(text, &[]).expect("valid");
    assert_eq!(
        cluster.answer("delete\tname=three"),
        ["three\t73\tTopic deletion is disabled."]
    );
}

#[test]
fn a_topics_configurations_die_with_it() {
    let mut cluster = Cluster::new();
    cluster.answer("create\tname=t\tpartitions=1\treplicas=1\tconfig=retention.ms=5");
    let resource = crate::metadata::ConfigResource::topic(&Arc::from("t"));
    assert_eq!(cluster.image.configs(&resource).len(), 1);
    cluster.answer("delete\tname=t");
    assert!(cluster.image.configs(&resource).is_empty());
}
