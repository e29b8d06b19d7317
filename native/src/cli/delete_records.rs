//! `delete-records`: moves the start of partitions up, as a JSON file says.
//!
//! Source: `kafka-delete-records.sh` of Apache Kafka 4.3.1. An unknown partition is told at once
//! instead of after a minute of asking again. Kafka's tool prints partitions in an order that
//! changes from run to run; this one sorts them.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use kafka_wire::DeleteRecordsRequest;
use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::{Value, json};

use crate::cli::admin;
use crate::cli::args::{self, option, text};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Example:
  ottla delete-records --offset-json-file records.json

where the file says up to which offset (-1: all there are) records go:
  {\"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"offset\": 1200}], \"version\": 1}";

/// The version of the file's format, when it names one.
const FILE_VERSION: i64 = 1;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Delete the records of partitions below given offsets";
    args::with_broker(args::command("delete-records", about))
        .arg(option(
            "offset-json-file",
            "FILE",
            "The partitions and their offsets, as JSON",
        ))
        .after_help(EXAMPLES)
}

/// A partition and what became of it.
type Outcome = ((String, i32), Result<i64, (i16, String)>);

/// Runs the tool. Partitions that were refused are told in the result; the status stays 0, as with
/// Kafka's tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(path) = text(matches, "offset-json-file") else {
        return Err(Failure::usage(
            "Missing required argument \"[offset-json-file]\"",
        ));
    };
    let (address, properties) = args::broker(matches, console)?;
    let json = matches.get_flag("json");
    let content = std::fs::read_to_string(path)
        .map_err(|error| Failure::refused(format!("Unable to read file {path}: {error}")))?;
    let offsets = parse(&content)?;
    if !json {
        console.line("Executing records delete operation")?;
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-delete-records")?;
    let mut outcomes = delete(&mut cluster, &offsets)?;
    outcomes.sort_by(|a, b| a.0.cmp(&b.0));
    if json {
        let shown = outcomes
            .iter()
            .map(|((topic, partition), outcome)| match outcome {
                Ok(low) => json!({"topic": topic, "partition": partition, "lowWatermark": low}),
                Err((_, words)) => json!({"topic": topic, "partition": partition, "error": words}),
            });
        return console.json(&shown.collect());
    }
    console.line("Records delete operation completed:")?;
    for ((topic, partition), outcome) in &outcomes {
        console.line(match outcome {
            Ok(low) => format!("partition: {topic}-{partition}\tlow_watermark: {low}"),
            Err((code, words)) => format!(
                "partition: {topic}-{partition}\terror: {}: {words}",
                admin::exception_name(*code)
            ),
        })?;
    }
    Ok(())
}

/// Reads the file: partitions with their offsets, none of them twice.
fn parse(content: &str) -> Result<BTreeMap<(String, i32), i64>, Failure> {
    let refused = |message: &str| Failure::refused(message);
    let Ok(file) = serde_json::from_str::<Value>(content) else {
        return Err(refused("The input string is not a valid JSON"));
    };
    if let Some(version) = file.get("version")
        && version.as_i64() != Some(FILE_VERSION)
    {
        return Err(refused(&format!(
            "Not supported version field value {version}"
        )));
    }
    let Some(partitions) = file.get("partitions").and_then(Value::as_array) else {
        return Err(refused("Missing partitions field"));
    };
    let mut offsets = BTreeMap::new();
    let mut twice = Vec::new();
    for partition in partitions {
        let field = |name: &str| {
            let missing = || refused(&format!("No such field exists: `{name}`"));
            partition.get(name).ok_or_else(missing)
        };
        let wrong = |name: &str| refused(&format!("The field `{name}` has no usable value"));
        let topic = field("topic")?.as_str().ok_or_else(|| wrong("topic"))?;
        let index = field("partition")?
            .as_i64()
            .and_then(|index| i32::try_from(index).ok());
        let index = index.ok_or_else(|| wrong("partition"))?;
        let offset = field("offset")?.as_i64().ok_or_else(|| wrong("offset"))?;
        if offsets.insert((topic.to_owned(), index), offset).is_some() {
            twice.push(format!("{topic}-{index}"));
        }
    }
    if !twice.is_empty() {
        return Err(refused(&format!(
            "Offset json file contains duplicate topic partitions: {}",
            joined(twice, ",")
        )));
    }
    Ok(offsets)
}

/// Asks each partition's leader.
fn delete(
    cluster: &mut Cluster,
    offsets: &BTreeMap<(String, i32), i64>,
) -> Result<Vec<Outcome>, Failure> {
    let mut leaders = BTreeMap::new();
    for topic in admin::all_topics(cluster)? {
        for partition in &topic.partitions {
            let named = (admin::name_of(&topic).to_owned(), partition.partition_index);
            leaders.insert(named, partition.leader_id);
        }
    }
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut by_leader: BTreeMap<i32, DeleteRecordsRequest> = BTreeMap::new();
    for (named, offset) in offsets {
        let Some(leader) = leaders.get(named) else {
            let code = ErrorCode::UnknownTopicOrPartition.code();
            outcomes.push((named.clone(), Err((code, admin::words(code, None)))));
            continue;
        };
        let request = by_leader.entry(*leader).or_default();
        request.timeout_ms = cluster.request_timeout_ms();
        let mut partition = DeleteRecordsPartition::default();
        partition.partition_index = named.1;
        partition.offset = *offset;
        match request.topics.last_mut() {
            Some(topic) if topic.name.as_str() == named.0 => topic.partitions.push(partition),
            _another => {
                let mut topic = DeleteRecordsTopic::default();
                topic.name = StrBytes::from(named.0.as_str());
                topic.partitions.push(partition);
                request.topics.push(topic);
            }
        }
    }
    for (leader, request) in by_leader {
        for topic in cluster.call_node(leader, request)?.topics {
            for partition in topic.partitions {
                let named = (topic.name.to_string(), partition.partition_index);
                let code = partition.error_code;
                outcomes.push(match code == ErrorCode::None.code() {
                    true => (named, Ok(partition.low_watermark)),
                    false => (named, Err((code, admin::words(code, None)))),
                });
            }
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_and_refused_as_kafka_does() {
        let good = r#"{"partitions":[{"topic":"a","partition":0,"offset":5}],"version":1}"#;
        let offsets = parse(good).expect("a good file");
        assert_eq!(offsets, [(("a".to_owned(), 0), 5)].into());
        let check = |content: &str, words: &str| {
            assert_eq!(parse(content).expect_err("a bad file").to_string(), words);
        };
        check("{\"part", "The input string is not a valid JSON");
        check("{}", "Missing partitions field");
        check(
            "{\"partitions\":[],\"version\":2}",
            "Not supported version field value 2",
        );
        check(
            r#"{"partitions":[{"topic":"a","offset":5}]}"#,
            "No such field exists: `partition`",
        );
        let twice = r#"{"partitions":[{"topic":"a","partition":0,"offset":5},
                        {"topic":"a","partition":0,"offset":6}]}"#;
        check(
            twice,
            "Offset json file contains duplicate topic partitions: a-0",
        );
    }
}
