//! `leader-election`: asks the cluster to elect leaders of partitions anew.
//!
//! Source: `kafka-leader-election.sh` of Apache Kafka 4.3.1.

use clap::{ArgMatches, Command};
use kafka_wire::ElectLeadersRequest;
use kafka_wire::elect_leaders_request::TopicPartitions;
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::{Value, json};

use crate::cli::admin;
use crate::cli::args::{self, flag, given, number, option, text};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::json_file;
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, topic_partition_hash};

const EXAMPLES: &str = "\
Examples:
  ottla leader-election --election-type preferred --all-topic-partitions
  ottla leader-election --election-type preferred --topic orders --partition 0
  ottla leader-election --election-type unclean --path-to-json-file partitions.json --json

The file is {\"partitions\": [{\"topic\": \"orders\", \"partition\": 0}]}";

/// The ways to say which partitions, of which one is to be used.
const SELECTIONS: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];

/// A partition by name.
type Named = (String, i32);

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Elect preferred leaders, or unclean ones where there is no leader";
    args::with_broker(args::command("leader-election", about))
        .arg(option(
            "election-type",
            "TYPE",
            "preferred, or unclean (any replica, where there is no leader)",
        ))
        .arg(option("topic", "TOPIC", "A topic; with --partition"))
        .arg(option("partition", "P", "A partition of the topic"))
        .arg(flag("all-topic-partitions", "Every partition there is"))
        .arg(option(
            "path-to-json-file",
            "FILE",
            "The partitions of a file",
        ))
        .arg(option("admin.config", "FILE", "As --command-config").hide(true))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let election = election(matches)?;
    let partitions = selected(matches)?;
    let (address, mut properties) = args::broker(matches, console)?;
    properties.extend(args::deprecated_file(
        matches,
        "admin.config",
        "command-config",
        console,
    )?);
    let mut cluster = Cluster::new(&address, &properties, "ottla-leader-election")?;
    let outcome = elect(&mut cluster, election, partitions)?;
    if matches.get_flag("json") {
        console.json(&outcome.to_json(election))?;
    } else {
        outcome.print(election, console)?;
    }
    match outcome.failed.len() {
        0 => Ok(()),
        count => Err(Failure::refused(format!(
            "{count} replica(s) could not be elected"
        ))),
    }
}

/// Which replica is to lead.
#[derive(Clone, Copy)]
enum Election {
    Preferred,
    Unclean,
}

impl Election {
    fn wire(self) -> i8 {
        match self {
            Self::Preferred => 0,
            Self::Unclean => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Preferred => "PREFERRED",
            Self::Unclean => "UNCLEAN",
        }
    }
}

fn election(matches: &ArgMatches) -> Result<Election, Failure> {
    let Some(given) = text(matches, "election-type") else {
        return Err(Failure::usage("Missing required option(s): election-type"));
    };
    match given.to_ascii_lowercase().as_str() {
        "preferred" => Ok(Election::Preferred),
        "unclean" => Ok(Election::Unclean),
        _other => Err(Failure::usage(format!(
            "Cannot parse argument '{given}' of option election-type"
        ))),
    }
}

/// The partitions asked for; `None` for all there are.
fn selected(matches: &ArgMatches) -> Result<Option<Vec<Named>>, Failure> {
    let partition = number::<i32>(matches, "partition")?;
    let ways: Vec<&str> = SELECTIONS
        .into_iter()
        .filter(|way| given(matches, way))
        .collect();
    let [way] = ways[..] else {
        return Err(Failure::usage(format!(
            "One and only one of the following options is required: {}",
            joined(SELECTIONS, ", ")
        )));
    };
    match (way, text(matches, "topic"), partition) {
        ("topic", Some(topic), Some(partition)) => Ok(Some(vec![(topic.to_owned(), partition)])),
        ("topic", _, None) => Err(Failure::usage("Missing required option(s): partition")),
        (_, _, Some(_)) => Err(Failure::usage(
            "Option partition is only allowed if topic is used",
        )),
        ("path-to-json-file", ..) => {
            let path = text(matches, way).unwrap_or_default();
            Ok(Some(partitions_of(&json_file::read(path)?)?))
        }
        (_all, ..) => Ok(None),
    }
}

/// Reads the partitions that a document names.
fn partitions_of(document: &Value) -> Result<Vec<Named>, Failure> {
    let Some(listed) = document.get("partitions") else {
        return Err(Failure::refused(
            "Replica election data is missing \"partitions\" field",
        ));
    };
    let mut partitions: Vec<Named> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for listed in json_file::array(listed, "partitions")? {
        let topic = json_file::text(listed, "topic")?.to_owned();
        let named = (topic, json_file::number(listed, "partition")?);
        if partitions.contains(&named) {
            twice.push(format!("{}-{}", named.0, named.1));
        }
        partitions.push(named);
    }
    if !twice.is_empty() {
        return Err(Failure::refused(format!(
            "Replica election data contains duplicate partitions: [{}]",
            joined(twice, ", ")
        )));
    }
    Ok(partitions)
}

/// What became of the elections.
#[derive(Default)]
struct Outcome {
    elected: Vec<Named>,
    /// Led by the right replica already.
    unneeded: Vec<Named>,
    failed: Vec<(Named, i16, String)>,
}

fn elect(
    cluster: &mut Cluster,
    election: Election,
    partitions: Option<Vec<Named>>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut request = ElectLeadersRequest::default();
    request.election_type = election.wire();
    request.timeout_ms = cluster.request_timeout_ms();
    request.topic_partitions = partitions.map(|partitions| {
        let mut topics: Vec<TopicPartitions> = Vec::new();
        for (topic, partition) in partitions {
            match topics
                .iter_mut()
                .find(|asked| asked.topic.as_str() == topic)
            {
                Some(asked) => asked.partitions.push(partition),
                None => {
                    let mut asked = TopicPartitions::default();
                    asked.topic = StrBytes::from(topic);
                    asked.partitions.push(partition);
                    topics.push(asked);
                }
            }
        }
        topics
    });
    if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return Ok(outcome);
    }
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, None)?;
    for topic in &answer.replica_election_results {
        for result in &topic.partition_result {
            let named = (topic.topic.to_string(), result.partition_id);
            if result.error_code == ErrorCode::None.code() {
                outcome.elected.push(named);
            } else if result.error_code == ErrorCode::ElectionNotNeeded.code() {
                outcome.unneeded.push(named);
            } else {
                let words = admin::words(result.error_code, result.error_message.as_ref());
                outcome.failed.push((named, result.error_code, words));
            }
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn print(&self, election: Election, console: &mut Console<'_>) -> Result<(), Failure> {
        let list = |partitions: &[Named]| {
            let mut partitions = partitions.to_vec();
            hash_map_order(&mut partitions, HASH_MAP_CAPACITY, |(topic, partition)| {
                topic_partition_hash(topic, *partition)
            });
            let names = partitions
                .iter()
                .map(|(topic, partition)| format!("{topic}-{partition}"));
            joined(names, ", ")
        };
        let name = election.name();
        if !self.elected.is_empty() {
            console.line(format!(
                "Successfully completed leader election ({name}) for partitions {}",
                list(&self.elected)
            ))?;
        }
        if !self.unneeded.is_empty() {
            console.line(format!(
                "Valid replica already elected for partitions {}",
                list(&self.unneeded)
            ))?;
        }
        for ((topic, partition), code, words) in &self.failed {
            console.line(format!(
                "Error completing leader election ({name}) for partition: {topic}-{partition}: {}: \
                 {words}",
                admin::exception_name(*code)
            ))?;
        }
        Ok(())
    }

    fn to_json(&self, election: Election) -> Value {
        let named = |(topic, partition): &Named| json!({"topic": topic, "partition": partition});
        let failed = self.failed.iter().map(|(partition, code, words)| {
            let mut shown = named(partition);
            shown["errorCode"] = (*code).into();
            shown["error"] = words.as_str().into();
            shown
        });
        json!({
            "electionType": election.name(),
            "elected": self.elected.iter().map(named).collect::<Vec<Value>>(),
            "notNeeded": self.unneeded.iter().map(named).collect::<Vec<Value>>(),
            "failed": failed.collect::<Vec<Value>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_partitions_once() {
        let read = |document| partitions_of(&document).map_err(|failure| failure.to_string());
        let one = json!({"topic": "a", "partition": 1});
        assert_eq!(
            read(json!({"partitions": [one]})),
            Ok(vec![("a".to_owned(), 1)])
        );
        assert_eq!(
            read(json!({"partitions": [one, one]})).expect_err("twice"),
            "Replica election data contains duplicate partitions: [a-1]"
        );
        assert!(read(json!({"partitions": [{"topic": "a"}]})).is_err());
        assert!(read(json!({"partitions": 7})).is_err());
        assert!(read(json!([])).is_err());
    }
}
