//! `get-offsets`: the offsets of partitions at a time or at an end.
//!
//! Source: `kafka-get-offsets.sh` of Apache Kafka 4.3.1. A partition that has no such offset is
//! left out, as there.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use regex_lite::Regex;
use serde_json::json;

use crate::cli::admin;
use crate::cli::args::{self, flag, given, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla get-offsets --topic orders
  ottla get-offsets --topic orders --time earliest
  ottla get-offsets --topic-partitions 'orders:0-3,log.*:0'
  ottla get-offsets --topic orders --time 1700000000000";

/// Words for the times that are not times, with the numbers the protocol gives them.
const NAMED_TIMES: [(&str, i64); 6] = [
    ("latest", -1),
    ("earliest", -2),
    ("max-timestamp", -3),
    ("earliest-local", -4),
    ("latest-tiered", -5),
    ("earliest-pending-upload", -6),
];

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Show offsets of partitions: the ends, or those at a time";
    args::with_broker(args::command("get-offsets", about))
        .arg(option(
            "topic",
            "REGEX",
            "Topics whose whole name matches; all when left out",
        ))
        .arg(option(
            "partitions",
            "P,P,...",
            "Only these partitions of the topics",
        ))
        .arg(option(
            "topic-partitions",
            "TOPIC:PARTITIONS,...",
            "Topics with their partitions: 'a:0', 'a:0-3' (without 3), 'a:1-', 'a:-2', 'log.*'",
        ))
        .arg(
            option(
                "time",
                "TIME",
                "A name as below, or milliseconds since 1970 [latest]",
            )
            .long_help(
                "latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), \
                     latest-tiered (-5), earliest-pending-upload (-6), or milliseconds since 1970",
            ),
        )
        .arg(flag("exclude-internal-topics", "Leave internal topics out"))
        .arg(option("broker-list", "HOST:PORT,...", "As --bootstrap-server").hide(true))
        .after_help(EXAMPLES)
}

/// Runs the tool. Its refusals begin with Kafka's two words.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    match offsets(matches, console) {
        Err(Failure::Refused(message)) => {
            Err(Failure::refused(format!("Error occurred: {message}")))
        }
        result => result,
    }
}

fn offsets(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let selection = Selection::new(matches)?;
    let time = time(text(matches, "time").unwrap_or("latest"))?;
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-get-offsets")?;
    let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
    let mut found = false;
    for topic in admin::all_topics(&mut cluster)? {
        let internal = topic.is_internal && matches.get_flag("exclude-internal-topics");
        let name = admin::name_of(&topic);
        let chosen = topic
            .partitions
            .iter()
            .filter(|partition| !internal && selection.includes(name, partition.partition_index));
        for partition in chosen {
            found = true;
            let index = partition.partition_index;
            if partition.leader_id < 0 {
                console.notice(format!(
                    "Skip getting offsets for topic-partition {name}-{index} because there is no \
                     leader"
                ));
            } else {
                let asked = by_leader.entry(partition.leader_id).or_default();
                asked.push((name.to_owned(), index));
            }
        }
    }
    if !found {
        return Err(Failure::refused(
            "Could not match any topic-partitions with the specified filters",
        ));
    }
    let mut offsets = BTreeMap::new();
    for (leader, partitions) in &by_leader {
        ask(
            &mut cluster,
            *leader,
            partitions,
            time,
            &mut offsets,
            console,
        )?;
    }
    if matches.get_flag("json") {
        let shown = offsets.iter().map(|((topic, partition), offset)| {
            json!({"topic": topic, "partition": partition, "offset": offset})
        });
        return console.json(&shown.collect());
    }
    for ((topic, partition), offset) in &offsets {
        console.line(format!("{topic}:{partition}:{offset}"))?;
    }
    Ok(())
}

/// Asks one broker for the offsets of the partitions it leads.
fn ask(
    cluster: &mut Cluster,
    leader: i32,
    partitions: &[(String, i32)],
    time: i64,
    offsets: &mut BTreeMap<(String, i32), i64>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    for ((topic, index), answer) in admin::list_offsets(cluster, leader, partitions, time, 0)? {
        match answer {
            Err(code) => console.notice(format!(
                "Skip getting offsets for topic-partition {topic}-{index} due to: {}",
                admin::words(code, None)
            )),
            Ok(offset) if offset >= 0 => {
                offsets.insert((topic, index), offset);
            }
            Ok(_none) => {}
        }
    }
    Ok(())
}

/// Reads a time: a name, or a number.
fn time(given: &str) -> Result<i64, Failure> {
    if let Some((_, number)) = NAMED_TIMES.iter().find(|(name, _)| *name == given) {
        return Ok(*number);
    }
    given.parse().map_err(|_not_a_number| {
        let names = NAMED_TIMES.map(|(name, number)| format!("{number} or {name}"));
        Failure::refused(format!(
            "Malformed time argument {given}. Please use {}, or a specified long format timestamp",
            names.join(" / ")
        ))
    })
}

/// Which partitions are asked for.
struct Selection {
    rules: Vec<Rule>,
}

/// Topics and a half-open range of their partitions.
struct Rule {
    topics: Option<Regex>,
    start: i32,
    end: i32,
}

impl Selection {
    fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let everything = Rule {
            topics: None,
            start: 0,
            end: i32::MAX,
        };
        if let Some(given_rules) = text(matches, "topic-partitions") {
            if given(matches, "topic") || given(matches, "partitions") {
                return Err(Failure::refused(
                    "--topic-partitions cannot be used with --topic or --partitions",
                ));
            }
            let rules: Result<Vec<Rule>, Failure> = given_rules.split(',').map(rule).collect();
            return Ok(Self { rules: rules? });
        }
        let topics = match text(matches, "topic") {
            Some(pattern) => Some(admin::topic_filter(pattern)?),
            None => None,
        };
        let Some(list) = text(matches, "partitions").filter(|list| !list.is_empty()) else {
            return Ok(Self {
                rules: vec![Rule {
                    topics,
                    ..everything
                }],
            });
        };
        let mut rules = Vec::new();
        for part in list.split(',') {
            let index: i32 = part.parse().map_err(|_not_a_number| {
                Failure::refused(format!(
                    "--partitions expects a comma separated list of numeric partition ids, but \
                     received: {list}"
                ))
            })?;
            let topics = topics.clone();
            rules.push(Rule {
                topics,
                start: index,
                end: index.saturating_add(1),
            });
        }
        Ok(Self { rules })
    }

    fn includes(&self, topic: &str, partition: i32) -> bool {
        self.rules.iter().any(|rule| {
            rule.topics
                .as_ref()
                .is_none_or(|topics| topics.is_match(topic))
                && (rule.start..rule.end).contains(&partition)
        })
    }
}

/// Reads one rule of `--topic-partitions`: `[TOPIC][:PARTITIONS]`.
fn rule(given: &str) -> Result<Rule, Failure> {
    let malformed = || Failure::refused(format!("Invalid rule specification: {given}"));
    let number = |text: &str| text.parse::<i32>().map_err(|_not_a_number| malformed());
    let (topic, partitions) = given.split_once(':').unwrap_or((given, ""));
    let topics = match topic {
        "" => None,
        pattern => Some(admin::topic_filter(pattern)?),
    };
    let (start, end) = match partitions.split_once('-') {
        None if partitions.is_empty() => (0, i32::MAX),
        None => {
            let index = number(partitions)?;
            (index, index.saturating_add(1))
        }
        Some((start, end)) => {
            let start = if start.is_empty() { 0 } else { number(start)? };
            let end = if end.is_empty() {
                i32::MAX
            } else {
                number(end)?
            };
            (start, end)
        }
    };
    Ok(Rule { topics, start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_names_and_numbers() {
        assert_eq!(time("earliest").ok(), Some(-2));
        assert_eq!(time("-6").ok(), Some(-6));
        assert_eq!(time("1700000000000").ok(), Some(1_700_000_000_000));
        let words = time("bogus").expect_err("not a time").to_string();
        assert!(words.starts_with("Malformed time argument bogus. Please use -1 or latest / -2"));
    }

    #[test]
    fn rules_select_partitions() {
        let check = |given: &str, topic: &str, expected: &[i32]| {
            let selection = Selection {
                rules: vec![rule(given).expect("a good rule")],
            };
            let chosen: Vec<i32> = (0..4).filter(|p| selection.includes(topic, *p)).collect();
            assert_eq!(chosen, expected, "{given}");
        };
        check("t", "t", &[0, 1, 2, 3]);
        check("t", "u", &[]);
        check("t:1", "t", &[1]);
        check("t:1-3", "t", &[1, 2]);
        check("t:2-", "t", &[2, 3]);
        check("t:-1", "t", &[0]);
        check(":3", "anything", &[3]);
        check("o.*:0", "one", &[0]);
        let words = rule("t:x")
            .map(|_| ())
            .expect_err("not a number")
            .to_string();
        assert_eq!(words, "Invalid rule specification: t:x");
    }
}
