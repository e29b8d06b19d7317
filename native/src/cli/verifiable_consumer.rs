//! `verifiable-consumer`: consumes as a member of a group and tells every step as a line of JSON.
//!
//! Source: `kafka-verifiable-consumer.sh` of Apache Kafka 4.3.1, which tests of Kafka read. The
//! classic protocol alone.

use std::collections::BTreeMap;

use clap::{ArgMatches, Command};
use ottla_core::client::consumer::{Consumed, StartAt};
use ottla_core::client::group::{Commit, CommitError, GroupEvent};
use ottla_core::ids::{Offset, TopicPartition};
use serde_json::json;

use crate::cli::args::{self, flag, number, option, text};
use crate::cli::console::{Console, joined};
use crate::cli::failure::Failure;
use crate::cli::member::{self, Member};
use crate::cli::time::now_ms;

const EXAMPLES: &str = "\
Examples:
  ottla verifiable-consumer --topic orders --group-id check --max-messages 100
  ottla verifiable-consumer --topic orders --group-id check --verbose --enable-autocommit
  ottla verifiable-consumer --topic orders --group-id check --assignment-strategy sticky";

/// Records of one poll (`max.poll.records`).
const POLL_RECORDS: usize = 500;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Consume with a group and tell each step as JSON, for tests";
    args::with_broker(args::command("verifiable-consumer", about))
        .arg(option("topic", "TOPIC", "The topic to consume"))
        .arg(option("group-id", "GROUP", "The group to join"))
        .arg(option(
            "group-instance-id",
            "NAME",
            "The member's name: makes it a static one",
        ))
        .arg(option(
            "max-messages",
            "N",
            "End after N records [-1: never]",
        ))
        .arg(option(
            "session-timeout",
            "MS",
            "How long the member may be silent",
        ))
        .arg(flag("verbose", "Tell every record"))
        .arg(flag("enable-autocommit", "Leave commits to the consumer"))
        .arg(option(
            "reset-policy",
            "POLICY",
            "earliest (default), latest or none",
        ))
        .arg(option(
            "assignment-strategy",
            "STRATEGY",
            "range (default), roundrobin, sticky, cooperative-sticky, or Kafka's class",
        ))
        .arg(option(
            "group-protocol",
            "PROTOCOL",
            "classic, which is the only one here",
        ))
        .arg(option("consumer.config", "FILE", "As --command-config").hide(true))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    for name in ["topic", "group-id"] {
        if text(matches, name).is_none() {
            return Err(Failure::usage(format!("argument --{name} is required")));
        }
    }
    if text(matches, "group-protocol").is_some_and(|name| !name.eq_ignore_ascii_case("classic")) {
        return Err(Failure::usage(
            "--group-protocol: only the classic protocol is here.",
        ));
    }
    let (address, mut properties) = args::broker(matches, console)?;
    let (old, new) = ("consumer.config", "command-config");
    properties.extend(args::deprecated_file(matches, old, new, console)?);
    for (option, property, default) in [
        ("group-instance-id", "group.instance.id", None),
        ("session-timeout", "session.timeout.ms", None),
        ("reset-policy", "auto.offset.reset", Some("earliest")),
        (
            "assignment-strategy",
            "partition.assignment.strategy",
            Some("range"),
        ),
    ] {
        if let Some(value) = text(matches, option).or(default) {
            properties.insert(property.to_owned(), value.to_owned());
        }
    }
    let commits = matches.get_flag("enable-autocommit").to_string();
    properties.insert("enable.auto.commit".to_owned(), commits);
    let group = text(matches, "group-id").unwrap_or("");
    // As Kafka's consumer names itself.
    let instance = properties.get("group.instance.id");
    let client_id = format!("consumer-{group}-{}", instance.map_or("1", String::as_str));
    let options = member::options(&address, &properties, group, &client_id, StartAt::Earliest)?;
    member::reach(&address, &properties)?;
    let mut member = Member::new(options)?;
    member.subscribe([text(matches, "topic").unwrap_or("").into()]);
    let mut telling = Telling {
        left: number::<i64>(matches, "max-messages")?.and_then(|most| u64::try_from(most).ok()),
        is_verbose: matches.get_flag("verbose"),
        commits: !matches.get_flag("enable-autocommit"),
        is_asked: false,
        console,
    };
    telling.tell("startup_complete", "")?;
    let result = telling.consume(&mut member);
    member.close(|event| telling.on_event(event))?;
    telling.tell("shutdown_complete", "")?;
    if !telling.is_asked {
        // Kafka's tool says so when it ends by itself, too, and then last.
        telling.tell("shutdown_requested", "")?;
    }
    result
}

/// What is told, and how much is left to consume.
struct Telling<'a, 'b> {
    left: Option<u64>,
    is_verbose: bool,
    commits: bool,
    /// Whether it was told that somebody asked it to end.
    is_asked: bool,
    console: &'a mut Console<'b>,
}

impl Telling<'_, '_> {
    /// Prints an event; `fields` begin with a comma where there are some.
    fn tell(&mut self, name: &str, fields: &str) -> Result<(), Failure> {
        let time = now_ms();
        self.console.document(format!(
            "{{\"timestamp\":{time},\"name\":\"{name}\"{fields}}}"
        ))?;
        self.console.flush()
    }

    fn consume(&mut self, member: &mut Member) -> Result<(), Failure> {
        while self.left != Some(0) {
            if member.is_stopped() {
                self.is_asked = true;
                return self.tell("shutdown_requested", "");
            }
            while let Some(event) = member.group.next_event() {
                self.on_event(event)?;
            }
            let mut polled = Vec::new();
            let mut count = 0;
            while let Some(consumed) = next_batch(member, self.left, POLL_RECORDS - count) {
                count += consumed.records.len();
                self.left = self.left.map(|left| left - consumed.records.len() as u64);
                polled.push(consumed);
            }
            if polled.is_empty() {
                member.step(None);
            } else {
                self.on_records(member, &polled)?;
            }
        }
        self.await_commits(member)
    }

    /// Takes events until nothing is being committed any more.
    fn await_commits(&mut self, member: &mut Member) -> Result<(), Failure> {
        while member.group.is_committing() && !member.is_stopped() {
            member.step(None);
            while let Some(event) = member.group.next_event() {
                self.on_event(event)?;
            }
        }
        Ok(())
    }

    fn on_records(&mut self, member: &mut Member, polled: &[Consumed]) -> Result<(), Failure> {
        let mut ranges: BTreeMap<&TopicPartition, (usize, i64, i64)> = BTreeMap::new();
        for consumed in polled {
            for record in &consumed.records {
                let offset = record.offset.0;
                let range = ranges
                    .entry(&consumed.partition)
                    .or_insert((0, offset, offset));
                *range = (range.0 + 1, range.1, offset);
                if self.is_verbose {
                    let shown = |bytes: &Option<bytes::Bytes>| {
                        json!(bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes)))
                    };
                    let fields = format!(
                        ",\"key\":{},\"value\":{},{},\"offset\":{offset}",
                        shown(&record.key),
                        shown(&record.value),
                        named(&consumed.partition)
                    );
                    self.tell("record_data", &fields)?;
                }
            }
        }
        let count: usize = ranges.values().map(|(count, ..)| count).sum();
        let partitions = ranges.iter().map(|(partition, (count, first, last))| {
            format!(
                "{{{},\"count\":{count},\"minOffset\":{first},\"maxOffset\":{last}}}",
                named(partition)
            )
        });
        let partitions = joined(partitions, ",");
        self.tell(
            "records_consumed",
            &format!(",\"count\":{count},\"partitions\":[{partitions}]"),
        )?;
        if self.commits {
            let offsets = ranges.iter().map(|(partition, (_count, _first, last))| {
                ((*partition).clone(), Commit::at(Offset(last + 1)))
            });
            member.commit(offsets.collect());
            self.await_commits(member)?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: GroupEvent) -> Result<(), Failure> {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.tell("partitions_assigned", &listed(&partitions))
            }
            GroupEvent::Lost(partitions) | GroupEvent::Revoked(partitions) => {
                self.tell("partitions_revoked", &listed(&partitions))
            }
            GroupEvent::Committed {
                offsets, result, ..
            } if self.commits => self.on_committed(&offsets, result),
            GroupEvent::Committed { .. } => Ok(()),
            GroupEvent::Failed(error) => Err(Failure::refused(error.to_string())),
            GroupEvent::Trouble { partition, error } => {
                self.console
                    .notice(format!("{partition} cannot be read: {error}"));
                Ok(())
            }
        }
    }

    fn on_committed(
        &mut self,
        offsets: &BTreeMap<TopicPartition, Commit>,
        result: Result<(), CommitError>,
    ) -> Result<(), Failure> {
        let offsets = offsets.iter().map(|(partition, commit)| {
            format!("{{{},\"offset\":{}}}", named(partition), commit.offset)
        });
        let offsets = joined(offsets, ",");
        let end = match result {
            Ok(()) => "\"success\":true".to_owned(),
            Err(error) => format!("\"success\":false,\"error\":{}", json!(error.to_string())),
        };
        self.tell(
            "offsets_committed",
            &format!(",\"offsets\":[{offsets}],{end}"),
        )
    }
}

/// The next records, no more than are wanted; what is left over is not consumed.
fn next_batch(member: &mut Member, left: Option<u64>, room: usize) -> Option<Consumed> {
    let most = left.map_or(usize::MAX, |left| {
        usize::try_from(left).unwrap_or(usize::MAX)
    });
    let most = most.min(room);
    if most == 0 {
        return None;
    }
    let mut consumed = member.next_records()?;
    if let Some(first) = consumed.records.get(most) {
        let start = StartAt::Offset(first.offset);
        member.seek(&consumed.partition, start);
        consumed.records.truncate(most);
    }
    Some(consumed)
}

fn named(partition: &TopicPartition) -> String {
    format!(
        "\"topic\":{},\"partition\":{}",
        json!(*partition.topic),
        partition.partition
    )
}

fn listed<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let partitions = partitions
        .into_iter()
        .map(|partition| format!("{{{}}}", named(partition)));
    format!(",\"partitions\":[{}]", joined(partitions, ","))
}
