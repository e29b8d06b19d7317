//! `topics --list` and `--describe`.

use std::collections::BTreeSet;

use clap::ArgMatches;
use kafka_wire::DescribeTopicPartitionsRequest;
use kafka_wire::describe_configs_response::DescribeConfigsResourceResult;
use kafka_wire::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_wire::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_wire_core::StrBytes;
use ottla_core::ids::TopicId;
use serde_json::{Value, json};

use super::require_match;
use crate::cli::admin::{self, resource};
use crate::cli::args::text;
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::{CallError, Failure};
use crate::cli::kafka_order::{hash_map_order, string_hash};

/// `ConfigSource` number of a value nobody has set.
const SOURCE_DEFAULT: i8 = 5;

/// Partitions asked for in one request (Kafka's tool's own default).
const PARTITIONS_PER_REQUEST: i32 = 2_000;

/// Topics whose configurations are asked for in one request: a reply of about 10 KiB each.
const TOPICS_PER_REQUEST: usize = 500;

/// The topics that `--topic`, `--topic-id` and `--exclude-internal` leave, by name.
pub(super) fn matching_topics(
    matches: &ArgMatches,
    cluster: &mut Cluster,
) -> Result<Vec<MetadataResponseTopic>, Failure> {
    let mut topics = admin::all_topics(cluster)?;
    if let Some(id) = text(matches, "topic-id") {
        let id = TopicId::parse(id);
        topics.retain(|topic| Some(TopicId::from(topic.topic_id)) == id);
    } else if let Some(pattern) = text(matches, "topic") {
        let filter = admin::topic_filter(pattern)?;
        topics.retain(|topic| filter.is_match(admin::name_of(topic)));
    }
    if matches.get_flag("exclude-internal") {
        topics.retain(|topic| !topic.is_internal);
    }
    Ok(topics)
}

/// Prints the names of topics.
pub(super) fn list(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let topics = matching_topics(matches, cluster)?;
    let names = topics.iter().map(admin::name_of);
    if matches.get_flag("json") {
        return console.json(&names.collect());
    }
    console.line(joined(names, "\n"))
}

/// Prints topics with their settings and partitions.
pub(super) fn describe(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let found = matching_topics(matches, cluster)?;
    require_match(matches, !found.is_empty())?;
    let live: BTreeSet<i32> = cluster
        .brokers()?
        .brokers
        .iter()
        .map(|b| b.node_id)
        .collect();
    let mut topics = Vec::with_capacity(found.len());
    for chunk in found.chunks(TOPICS_PER_REQUEST) {
        let resources: Vec<(i8, &str)> = chunk
            .iter()
            .map(|topic| (resource::TOPIC, admin::name_of(topic)))
            .collect();
        let configs = admin::describe_configs(cluster, &resources)?;
        for (topic, result) in chunk.iter().zip(configs) {
            admin::check(result.error_code, result.error_message.as_ref())?;
            topics.push(Topic::new(topic, result.configs));
        }
    }
    ask_eligible_leaders(cluster, &mut topics)?;
    if matches.get_flag("json") {
        let shown = topics
            .iter()
            .map(|topic| topic.to_json(&Filter::new(matches), &live));
        return console.json(&shown.flatten().collect());
    }
    let capacity = topics.len();
    hash_map_order(&mut topics, capacity, |topic| string_hash(&topic.name));
    for topic in &topics {
        topic.print(&Filter::new(matches), &live, console)?;
    }
    Ok(())
}

/// Which topics and partitions `--describe` shows.
struct Filter {
    overrides_only: bool,
    under_replicated: bool,
    unavailable: bool,
    under_min_isr: bool,
    at_min_isr: bool,
}

impl Filter {
    fn new(matches: &ArgMatches) -> Self {
        Self {
            overrides_only: matches.get_flag("topics-with-overrides"),
            under_replicated: matches.get_flag("under-replicated-partitions"),
            unavailable: matches.get_flag("unavailable-partitions"),
            under_min_isr: matches.get_flag("under-min-isr-partitions"),
            at_min_isr: matches.get_flag("at-min-isr-partitions"),
        }
    }

    /// Whether partitions are picked by their state, and topics not shown at all.
    fn by_state(&self) -> bool {
        self.under_replicated || self.unavailable || self.under_min_isr || self.at_min_isr
    }

    fn shows(&self, partition: &Partition, min_isr: usize, live: &BTreeSet<i32>) -> bool {
        let isr = partition.isr.len();
        let has_leader = live.contains(&partition.leader);
        !self.by_state()
            || (self.under_replicated && isr < partition.replicas.len())
            || (self.unavailable && !has_leader)
            || (self.under_min_isr && isr < min_isr)
            || (self.at_min_isr && isr == min_isr)
    }
}

/// A topic as it is shown.
struct Topic {
    name: String,
    id: TopicId,
    internal: bool,
    /// What somebody has set, in the order of Kafka's tool.
    overrides: Vec<(String, String)>,
    min_isr: usize,
    partitions: Vec<Partition>,
}

/// A partition as it is shown.
struct Partition {
    index: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// Eligible leader replicas and the last known ones (KIP-966); `None` where not told.
    eligible: Option<Vec<i32>>,
    last_known_eligible: Option<Vec<i32>>,
}

impl Topic {
    fn new(topic: &MetadataResponseTopic, configs: Vec<DescribeConfigsResourceResult>) -> Self {
        let value = |config: &DescribeConfigsResourceResult| match &config.value {
            Some(value) => value.to_string(),
            None => "null".to_owned(),
        };
        let min_isr = configs
            .iter()
            .find(|config| config.name.as_str() == "min.insync.replicas")
            .and_then(|config| value(config).parse().ok())
            .unwrap_or(1);
        let mut configs = configs;
        let capacity = configs.len();
        hash_map_order(&mut configs, capacity, |config| string_hash(&config.name));
        let overrides = configs
            .iter()
            .filter(|config| config.config_source != SOURCE_DEFAULT)
            .map(|config| (config.name.to_string(), value(config)))
            .collect();
        let mut partitions: Vec<Partition> = topic.partitions.iter().map(Partition::new).collect();
        partitions.sort_by_key(|partition| partition.index);
        Self {
            name: admin::name_of(topic).to_owned(),
            id: TopicId::from(topic.topic_id),
            internal: topic.is_internal,
            overrides,
            min_isr,
            partitions,
        }
    }

    fn replication_factor(&self) -> usize {
        self.partitions
            .first()
            .map_or(0, |partition| partition.replicas.len())
    }

    fn print(
        &self,
        filter: &Filter,
        live: &BTreeSet<i32>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let has_overrides = !self.overrides.is_empty();
        if !filter.by_state() && (has_overrides || !filter.overrides_only) {
            let overrides = self
                .overrides
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            console.line(format!(
                "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
                self.name,
                self.id,
                self.partitions.len(),
                self.replication_factor(),
                joined(overrides, ",")
            ))?;
        }
        if filter.overrides_only {
            return Ok(());
        }
        for partition in &self.partitions {
            if filter.shows(partition, self.min_isr, live) {
                console.line(partition.line(&self.name))?;
            }
        }
        Ok(())
    }

    /// The topic as JSON; `None` where the filter leaves nothing of it.
    fn to_json(&self, filter: &Filter, live: &BTreeSet<i32>) -> Option<Value> {
        if filter.overrides_only && self.overrides.is_empty() {
            return None;
        }
        let shown = self
            .partitions
            .iter()
            .filter(|p| filter.shows(p, self.min_isr, live));
        let partitions: Vec<Value> = shown.map(Partition::to_json).collect();
        if filter.by_state() && partitions.is_empty() {
            return None;
        }
        let configs = self.overrides.iter().cloned();
        let configs = configs.map(|(name, value)| (name, Value::String(value)));
        Some(json!({
            "name": self.name,
            "topicId": self.id.to_string(),
            "internal": self.internal,
            "partitionCount": self.partitions.len(),
            "replicationFactor": self.replication_factor(),
            "configs": Value::Object(configs.collect()),
            "partitions": partitions,
        }))
    }
}

impl Partition {
    fn new(partition: &MetadataResponsePartition) -> Self {
        Self {
            index: partition.partition_index,
            leader: partition.leader_id,
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            eligible: None,
            last_known_eligible: None,
        }
    }

    fn line(&self, topic: &str) -> String {
        let optional = |nodes: &Option<Vec<i32>>| match nodes {
            Some(nodes) => joined(nodes, ","),
            None => "N/A".to_owned(),
        };
        let leader = if self.leader < 0 {
            "none".to_owned()
        } else {
            self.leader.to_string()
        };
        format!(
            "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: \
             {}\tLastKnownElr: {}",
            self.index,
            joined(&self.replicas, ","),
            joined(&self.isr, ","),
            optional(&self.eligible),
            optional(&self.last_known_eligible)
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "partition": self.index,
            "leader": if self.leader < 0 { Value::Null } else { self.leader.into() },
            "leaderEpoch": self.leader_epoch,
            "replicas": self.replicas,
            "isr": self.isr,
            "eligibleLeaderReplicas": self.eligible,
            "lastKnownEligibleLeaderReplicas": self.last_known_eligible,
        })
    }
}

/// Fills in what only DescribeTopicPartitions tells; a broker without it leaves `N/A`.
fn ask_eligible_leaders(cluster: &mut Cluster, topics: &mut [Topic]) -> Result<(), Failure> {
    let mut request = DescribeTopicPartitionsRequest::default();
    request.response_partition_limit = PARTITIONS_PER_REQUEST;
    request.topics = topics
        .iter()
        .map(|topic| {
            let mut named = TopicRequest::default();
            named.name = StrBytes::from(topic.name.as_str());
            named
        })
        .collect();
    if request.topics.is_empty() {
        return Ok(());
    }
    loop {
        let answer = match cluster.call(request.clone()) {
            Err(CallError::Unsupported { .. }) => return Ok(()),
            answer => answer?,
        };
        for told in answer.topics {
            let name = told.name.as_ref().map_or("", StrBytes::as_str);
            let Ok(at) = topics.binary_search_by(|topic| topic.name.as_str().cmp(name)) else {
                continue;
            };
            for partition in told.partitions {
                let shown = &mut topics[at].partitions;
                let index = partition.partition_index;
                if let Ok(i) = shown.binary_search_by_key(&index, |partition| partition.index) {
                    shown[i].eligible = partition.eligible_leader_replicas;
                    shown[i].last_known_eligible = partition.last_known_elr;
                }
            }
        }
        let Some(next) = answer.next_cursor else {
            return Ok(());
        };
        let mut cursor = Cursor::default();
        cursor.topic_name = next.topic_name;
        cursor.partition_index = next.partition_index;
        if request.cursor.as_ref() == Some(&cursor) {
            return Err(Failure::refused(
                "The broker's list of partitions does not go on.",
            ));
        }
        request.cursor = Some(cursor);
    }
}
