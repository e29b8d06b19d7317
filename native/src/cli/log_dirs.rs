//! `log-dirs`: which partitions lie in which data directories, and how large they are.
//!
//! Source: `kafka-log-dirs.sh` of Apache Kafka 4.3.1, whose output is JSON already.

use clap::{ArgMatches, Command};
use kafka_wire::DescribeLogDirsRequest;
use kafka_wire::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_wire::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::Value;

use crate::cli::admin;
use crate::cli::args::{self, flag, option, text};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, topic_partition_hash};

const EXAMPLES: &str = "\
Examples:
  ottla log-dirs --describe
  ottla log-dirs --describe --topic-list orders,events
  ottla log-dirs --describe --json";

/// Version of the output's format.
const OUTPUT_VERSION: u32 = 1;

/// The options of this tool.
pub(crate) fn command() -> Command {
    args::with_broker(args::command(
        "log-dirs",
        "Show the sizes of partitions on disk",
    ))
    .arg(flag("describe", "Show the data directories of brokers"))
    .arg(option("topic-list", "TOPIC,...", "Only these topics"))
    .arg(option("broker-list", "ID,...", "Only these brokers"))
    .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    if !matches.get_flag("describe") {
        return Err(Failure::usage("Missing required argument \"[describe]\""));
    }
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-log-dirs")?;
    let mut existing: Vec<i32> = cluster
        .brokers()?
        .brokers
        .iter()
        .map(|b| b.node_id)
        .collect();
    existing.sort_unstable();
    let asked = match text(matches, "broker-list").filter(|list| !list.is_empty()) {
        None => existing.clone(),
        Some(list) => broker_ids(list)?,
    };
    let missing: Vec<&i32> = asked.iter().filter(|id| !existing.contains(id)).collect();
    if !missing.is_empty() {
        return Err(Failure::refused(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent \
             brokers: {}",
            joined(missing, ","),
            joined(&existing, ",")
        )));
    }
    let listed = text(matches, "topic-list").unwrap_or("");
    let topics: Vec<&str> = listed
        .split(',')
        .filter(|topic| !topic.is_empty())
        .collect();
    let json = matches.get_flag("json");
    if !json {
        console.line("Querying brokers for log directories information")?;
    }
    let request = request(&mut cluster, &topics)?;
    let mut brokers = Vec::new();
    for node_id in &asked {
        let answer = cluster.call_node(*node_id, request.clone())?;
        admin::check(answer.error_code, None)?;
        brokers.push(broker_json(*node_id, &answer.results, &topics));
    }
    if !json {
        let ids = joined(&asked, ",");
        console.line(format!(
            "Received log directory information from brokers {ids}"
        ))?;
    }
    console.document(format!(
        "{{\"brokers\":[{}],\"version\":{OUTPUT_VERSION}}}",
        brokers.join(",")
    ))
}

fn broker_ids(list: &str) -> Result<Vec<i32>, Failure> {
    let read = |id: &str| {
        let malformed = |_not_a_number| Failure::refused(format!("For input string: \"{id}\""));
        id.parse().map_err(malformed)
    };
    let mut ids: Vec<i32> = Vec::new();
    for id in list.split(',') {
        let id = read(id)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Asks for all partitions, or for those of the topics given.
fn request(cluster: &mut Cluster, topics: &[&str]) -> Result<DescribeLogDirsRequest, Failure> {
    let mut request = DescribeLogDirsRequest::default();
    request.topics = None;
    if !topics.is_empty() {
        let mut asked = Vec::new();
        for topic in admin::all_topics(cluster)? {
            if topics.contains(&admin::name_of(&topic)) {
                let mut named = DescribableLogDirTopic::default();
                named.topic = StrBytes::from(admin::name_of(&topic));
                named.partitions = topic.partitions.iter().map(|p| p.partition_index).collect();
                asked.push(named);
            }
        }
        request.topics = Some(asked);
    }
    Ok(request)
}

/// One broker in the order of fields that Kafka's tool writes.
fn broker_json(node_id: i32, directories: &[DescribeLogDirsResult], topics: &[&str]) -> String {
    let directories = directories.iter().map(|directory| {
        let mut partitions = Vec::new();
        for topic in &directory.topics {
            if topics.is_empty() || topics.contains(&topic.name.as_str()) {
                partitions.extend(
                    topic
                        .partitions
                        .iter()
                        .map(|partition| (&topic.name, partition)),
                );
            }
        }
        hash_map_order(&mut partitions, HASH_MAP_CAPACITY, |(topic, partition)| {
            topic_partition_hash(topic, partition.partition_index)
        });
        let partitions = partitions.iter().map(|(topic, partition)| {
            let name = format!("{topic}-{}", partition.partition_index);
            format!(
                "{{\"partition\":{},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
                Value::String(name),
                partition.partition_size,
                partition.offset_lag,
                partition.is_future_key
            )
        });
        let error = match directory.error_code == ErrorCode::None.code() {
            true => Value::Null,
            false => Value::String(admin::exception_name(directory.error_code)),
        };
        format!(
            "{{\"partitions\":[{}],\"error\":{error},\"logDir\":{}}}",
            joined(partitions, ","),
            Value::String(directory.log_dir.to_string())
        )
    });
    format!(
        "{{\"broker\":{node_id},\"logDirs\":[{}]}}",
        joined(directories, ",")
    )
}
