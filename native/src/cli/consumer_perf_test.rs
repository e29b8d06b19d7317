//! `consumer-perf-test`: how fast a member of a group consumes.
//!
//! Source: `kafka-consumer-perf-test.sh` of Apache Kafka 4.3.1; the same columns. Times are UTC.

use std::time::Duration;

use clap::{ArgMatches, Command};
use ottla_core::client::consumer::{Consumed, StartAt};
use ottla_core::client::group::GroupEvent;
use ottla_core::time::Instant;
use serde_json::json;

use crate::cli::admin;
use crate::cli::args::{self, flag, given, number, option, repeated, text, texts};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::member::{self, Member};
use crate::cli::properties;
use crate::cli::time::{now_ms, utc_text};

const EXAMPLES: &str = "\
Examples:
  ottla consumer-perf-test --topic orders --num-records 1000000
  ottla consumer-perf-test --topic orders --num-records 1000000 --show-detailed-stats
  ottla consumer-perf-test --include 'orders.*' --num-records 1000 --group bench --hide-header";

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Measure how fast records are consumed";
    args::with_broker(args::command("consumer-perf-test", about))
        .arg(option("topic", "TOPIC", "The topic to consume"))
        .arg(option(
            "include",
            "REGEX",
            "All topics whose whole name matches",
        ))
        .arg(option("num-records", "N", "End after N records"))
        .arg(option("messages", "N", "As --num-records").hide(true))
        .arg(option(
            "group",
            "GROUP",
            "The group to join; a new one when left out",
        ))
        .arg(option(
            "fetch-size",
            "BYTES",
            "Bytes of one partition in a fetch [1048576]",
        ))
        .arg(option(
            "timeout",
            "MS",
            "Longest time between two records [10000]",
        ))
        .arg(option(
            "reporting-interval",
            "MS",
            "Time between two lines of details [5000]",
        ))
        .arg(flag("show-detailed-stats", "Show a line for each interval"))
        .arg(flag(
            "from-latest",
            "Begin at the end where the group has no offset",
        ))
        .arg(flag("hide-header", "Leave the names of the columns out"))
        .arg(repeated(
            "command-property",
            "K=V",
            "Properties of the consumer",
        ))
        .arg(option("consumer.config", "FILE", "As --command-config").hide(true))
        .arg(option("socket-buffer-size", "BYTES", "Accepted; not used").hide(true))
        .arg(option("date-format", "FORMAT", "Accepted; not used").hide(true))
        .arg(flag("print-metrics", "Accepted; there are none").hide(true))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    if [text(matches, "topic"), text(matches, "include")]
        .iter()
        .flatten()
        .count()
        != 1
    {
        return Err(Failure::usage(
            "Exactly one of the following arguments is required: [topic], [include]",
        ));
    }
    let records = match (given(matches, "num-records"), given(matches, "messages")) {
        (true, false) => number::<u64>(matches, "num-records")?,
        (false, true) => number::<u64>(matches, "messages")?,
        (true, true) | (false, false) => None,
    };
    let records = records.ok_or_else(|| {
        Failure::usage(
            "Exactly one of the following arguments is required: [messages], [num-records]",
        )
    })?;
    deprecated(matches, console)?;
    let mut member = join(matches, console)?;
    let mut measured = Measured::new(&member);
    let is_json = matches.get_flag("json");
    if !matches.get_flag("hide-header") && !is_json {
        console.line(header(matches.get_flag("show-detailed-stats")))?;
    }
    let result = consume(matches, &mut member, records, &mut measured, console);
    let ended = (member.now(), now_ms());
    member.close(|_event| Ok(()))?;
    result?;
    if is_json {
        return console.json(&measured.json(ended));
    }
    if matches.get_flag("show-detailed-stats") {
        return Ok(());
    }
    console.line(measured.total(ended))
}

/// Says which options have other names today; the words are not those of other tools.
fn deprecated(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    if given(matches, "consumer.config") && given(matches, "command-config") {
        return Err(Failure::usage(
            "Option \"[consumer.config]\" can't be used with option \"[command-config]\"",
        ));
    }
    for (old, new) in [
        ("messages", "num-records"),
        ("consumer.config", "command-config"),
    ] {
        if given(matches, old) {
            let words = format!("Warning: --{old} is deprecated. Use --{new} instead.");
            console.line(words)?;
        }
    }
    Ok(())
}

fn join(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Member, Failure> {
    let (address, mut properties) = args::broker(matches, console)?;
    if let Some(path) = text(matches, "consumer.config") {
        properties.extend(properties::read_file(path)?);
    }
    if let Some(size) = text(matches, "fetch-size") {
        properties.insert("max.partition.fetch.bytes".to_owned(), size.to_owned());
    }
    properties.insert("check.crcs".to_owned(), "false".to_owned());
    properties.extend(properties::from_args(texts(matches, "command-property")));
    let fresh = format!(
        "perf-consumer-{}-{}",
        std::process::id(),
        now_ms() % 100_000
    );
    let group = text(matches, "group").unwrap_or(&fresh);
    let is_late = matches.get_flag("from-latest");
    let reset = if is_late {
        StartAt::Latest
    } else {
        StartAt::Earliest
    };
    let options = member::options(&address, &properties, group, "perf-consumer-client", reset)?;
    member::reach(&address, &properties)?;
    let mut member = Member::new(options)?;
    match text(matches, "topic") {
        Some(topic) => member.subscribe([topic.into()]),
        None => {
            let pattern = text(matches, "include").unwrap_or("");
            member.subscribe_matching(admin::topic_filter(pattern)?);
        }
    }
    Ok(member)
}

fn header(is_detailed: bool) -> String {
    let rest = "data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, \
                fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";
    let first = if is_detailed {
        "time, threadId"
    } else {
        "start.time, end.time"
    };
    format!("{first}, {rest}")
}

fn consume(
    matches: &ArgMatches,
    member: &mut Member,
    records: u64,
    measured: &mut Measured,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let timeout_ms = number::<u64>(matches, "timeout")?.unwrap_or(10_000);
    let timeout = Duration::from_millis(timeout_ms);
    let interval = number::<u64>(matches, "reporting-interval")?.unwrap_or(5_000);
    let interval = Duration::from_millis(interval);
    let is_detailed = matches.get_flag("show-detailed-stats") && !matches.get_flag("json");
    let mut last_at = member.now();
    while measured.records < records && !member.is_stopped() {
        while let Some(event) = member.group.next_event() {
            match event {
                GroupEvent::Assigned(_) => measured.on_assigned(member.now()),
                GroupEvent::Lost(_) | GroupEvent::Revoked(_) => measured.on_revoked(member.now()),
                GroupEvent::Failed(error) => return Err(Failure::refused(error.to_string())),
                GroupEvent::Trouble { partition, error } => {
                    console.notice(format!("{partition} cannot be read: {error}"));
                }
                GroupEvent::Committed { .. } => {}
            }
        }
        if let Some(consumed) = member.next_records() {
            last_at = member.now();
            measured.count(&consumed);
            if is_detailed && last_at.since(measured.reported.at) >= interval {
                console.line(measured.interval(last_at))?;
                console.flush()?;
            }
        } else if last_at.after(timeout) <= member.now() {
            return console.line(format!(
                "WARNING: Exiting before consuming the expected number of records: timeout \
                 ({timeout_ms} ms) exceeded. You can use the --timeout option to increase the \
                 timeout."
            ));
        } else {
            member.step(Some(last_at.after(timeout)));
        }
    }
    Ok(())
}

/// What was counted at some time.
#[derive(Clone, Copy, Debug)]
struct Counted {
    at: Instant,
    bytes: u64,
    records: u64,
    rebalanced: Duration,
}

/// What has been counted since the start.
#[derive(Debug)]
struct Measured {
    started: Instant,
    started_ms: i64,
    bytes: u64,
    records: u64,
    rebalanced: Duration,
    /// Since when a rebalance is under way.
    rebalancing: Option<Instant>,
    /// What the last line told.
    reported: Counted,
}

impl Measured {
    fn new(member: &Member) -> Self {
        let at = member.now();
        let reported = Counted {
            at,
            bytes: 0,
            records: 0,
            rebalanced: Duration::ZERO,
        };
        Self {
            started: at,
            started_ms: now_ms(),
            bytes: 0,
            records: 0,
            rebalanced: Duration::ZERO,
            rebalancing: Some(at),
            reported,
        }
    }

    fn on_assigned(&mut self, now: Instant) {
        if let Some(since) = self.rebalancing.take() {
            self.rebalanced += now.since(since);
        }
    }

    fn on_revoked(&mut self, now: Instant) {
        self.rebalancing.get_or_insert(now);
    }

    fn count(&mut self, consumed: &Consumed) {
        self.records += consumed.records.len() as u64;
        for record in &consumed.records {
            let size = |field: &Option<bytes::Bytes>| field.as_ref().map_or(0, bytes::Bytes::len);
            self.bytes += (size(&record.key) + size(&record.value)) as u64;
        }
    }

    /// The line of a whole run.
    fn total(&self, (ended, ended_ms): (Instant, i64)) -> String {
        let start = Counted {
            at: self.started,
            bytes: 0,
            records: 0,
            rebalanced: Duration::ZERO,
        };
        let times = format!("{}, {}", time_text(self.started_ms), time_text(ended_ms));
        format!("{times}, {}", self.since(start, ended))
    }

    /// A whole run, for programs.
    fn json(&self, (ended, ended_ms): (Instant, i64)) -> serde_json::Value {
        let elapsed = ended.since(self.started);
        json!({
            "startMs": self.started_ms,
            "endMs": ended_ms,
            "elapsedMs": millis(elapsed),
            "rebalanceMs": millis(self.rebalanced),
            "bytes": self.bytes,
            "records": self.records,
        })
    }

    /// The line of an interval, which ends now.
    fn interval(&mut self, now: Instant) -> String {
        let line = format!(
            "{}, 0, {}",
            time_text(now_ms()),
            self.since(self.reported, now)
        );
        self.reported = Counted {
            at: now,
            bytes: self.bytes,
            records: self.records,
            rebalanced: self.rebalanced,
        };
        line
    }

    /// The columns after the times: what there is, and how fast it came since then.
    fn since(&self, before: Counted, now: Instant) -> String {
        let elapsed = now.since(before.at);
        let rebalanced = self.rebalanced - before.rebalanced;
        let fetching = elapsed.saturating_sub(rebalanced);
        let megabytes = (self.bytes - before.bytes) as f64 / MEBIBYTE;
        let records = (self.records - before.records) as f64;
        let per = |amount: f64, time: Duration| match time.as_secs_f64() {
            0.0 => 0.0,
            seconds => amount / seconds,
        };
        format!(
            "{:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
            self.bytes as f64 / MEBIBYTE,
            per(megabytes, elapsed),
            self.records,
            per(records, elapsed),
            rebalanced.as_millis(),
            fetching.as_millis(),
            per(megabytes, fetching),
            per(records, fetching)
        )
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time as Kafka's tool writes it by default: `2026-11-27 06:35:06:358`.
fn time_text(time_ms: i64) -> String {
    let text = utc_text(time_ms).replace('T', " ").replace('.', ":");
    text.trim_end_matches('Z').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_that_passed() {
        let second = Duration::from_secs(1);
        let start = Counted {
            at: Instant(0),
            bytes: 0,
            records: 0,
            rebalanced: Duration::ZERO,
        };
        let mut measured = Measured {
            started: Instant(0),
            started_ms: 0,
            bytes: 3 << 20,
            records: 30,
            rebalanced: Duration::ZERO,
            rebalancing: Some(Instant(0)),
            reported: start,
        };
        measured.on_assigned(Instant(0).after(second));
        let end = Instant(0).after(3 * second);
        let expected = "3.0000, 1.0000, 30, 10.0000, 1000, 2000, 1.5000, 15.0000";
        assert_eq!(measured.since(start, end), expected);
        assert_eq!(time_text(1_795_761_306_358), "2026-11-27 06:35:06:358");
        measured.interval(end);
        let nothing = measured.since(measured.reported, end.after(second));
        assert_eq!(
            nothing,
            "3.0000, 0.0000, 30, 0.0000, 0, 1000, 0.0000, 0.0000"
        );
    }
}
