//! `producer-perf-test`: how fast records are sent, and how soon they are acknowledged.
//!
//! Source: `kafka-producer-perf-test.sh` of Apache Kafka 4.3.1. Transactions are refused until the
//! broker has them. Unlike there, records that could not be delivered make the exit status 1.

mod payload;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use ottla_core::client::producer::ProducerRecord;
use ottla_core::ids::TopicName;
use ottla_core::time::Instant;

use self::payload::Payloads;
use self::stats::{Stats, WINDOW_MS};
use crate::cli::args::{self, flag, given, option, text, texts};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::pace;
use crate::cli::properties::{self, Properties};
use crate::cli::sender::Sender;

const EXAMPLES: &str = "\
Examples:
  ottla producer-perf-test --topic perf --num-records 1000000 --record-size 100 --throughput -1
  ottla producer-perf-test --topic perf --num-records 60000 --record-size 1000 --throughput 1000 \\
      --command-property acks=1 linger.ms=10 compression.type=zstd
  ottla producer-perf-test --topic perf --num-records 10000 --payload-file lines.txt \\
      --throughput -1 --json";

/// Records handed over before sockets are looked at: a few batches' worth.
const RECORDS_AT_ONCE: u32 = 256;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Measure how fast records are sent and acknowledged";
    let properties = |name: &'static str, help: &'static str| {
        option(name, "K=V", help)
            .num_args(1..)
            .allow_hyphen_values(false)
            .action(clap::ArgAction::Append)
    };
    args::with_broker(args::command("producer-perf-test", about))
        .arg(option("topic", "TOPIC", "The topic"))
        .arg(option("num-records", "N", "How many records to send"))
        .arg(option(
            "throughput",
            "N",
            "Records a second at most; -1 for as many as possible",
        ))
        .arg(option(
            "record-size",
            "BYTES",
            "Size of each record, made up of letters",
        ))
        .arg(option(
            "payload-file",
            "FILE",
            "Send lines of this text instead, chosen by chance",
        ))
        .arg(option(
            "payload-delimiter",
            "TEXT",
            "What ends a payload in the file, a regular expression [\\n]",
        ))
        .arg(flag(
            "payload-monotonic",
            "Send numbers that count up instead",
        ))
        .arg(properties("command-property", "Properties of the producer"))
        .arg(properties("producer-props", "As --command-property").hide(true))
        .arg(option("producer.config", "FILE", "As --command-config").hide(true))
        .arg(flag(
            "print-metrics",
            "Print the producer's metrics at the end",
        ))
        .arg(option(
            "warmup-records",
            "N",
            "Leave this many first records out of a second summary",
        ))
        .arg(option(
            "reporting-interval",
            "MS",
            "How often to tell how it goes [5000]",
        ))
        .arg(transactional("transactional-id", "ID"))
        .arg(transactional("transaction-duration-ms", "MS"))
        .after_help(EXAMPLES)
}

fn transactional(name: &'static str, value: &'static str) -> Arg {
    option(name, value, "Not served yet").hide(true)
}

/// What is asked for.
struct Plan {
    topic: TopicName,
    records: u64,
    /// Records a second; `None` for no limit.
    throughput: Option<f64>,
    warmup: u64,
    interval: Duration,
    payloads: Payloads,
    properties: Properties,
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let (address, file) = args::broker(matches, console)?;
    let plan = plan(matches, file, console)?;
    let mut sender: Sender<()> =
        Sender::connect(&address, &plan.properties, "perf-producer-client")?;
    let json = matches.get_flag("json");
    let mut measured = Measured::new(&plan, sender.now().instant);
    if plan.warmup > 0 && !json {
        console.line(format!(
            "Warmup first {} records. Steady state results will print after the complete test \
             summary.",
            plan.warmup
        ))?;
    }
    send_all(plan, &mut sender, &mut measured, json, console)?;
    let now = sender.now().instant;
    if json {
        console.json(&measured.json(now))?;
    } else {
        measured.print(now, console)?;
        if matches.get_flag("print-metrics") {
            print_metrics(&measured, now, console)?;
        }
    }
    match measured.failed {
        0 => Ok(()),
        _some => Err(Failure::Told),
    }
}

fn required<'a>(matches: &'a ArgMatches, name: &str) -> Result<&'a str, Failure> {
    text(matches, name).ok_or_else(|| Failure::usage(format!("argument --{name} is required")))
}

fn plan(
    matches: &ArgMatches,
    file: Properties,
    console: &mut Console<'_>,
) -> Result<Plan, Failure> {
    let topic = Arc::from(required(matches, "topic")?);
    required(matches, "num-records")?;
    required(matches, "throughput")?;
    let whole = |name: &str, default: i64| -> Result<i64, Failure> {
        let value = match text(matches, name) {
            Some(text) => text.parse().map_err(|_not_a_number| {
                Failure::usage(format!(
                    "argument --{name}: could not convert '{text}' to Long (For input string: \
                     \"{text}\")"
                ))
            })?,
            None => default,
        };
        Ok(value)
    };
    let records = whole("num-records", 0)?;
    let throughput = text(matches, "throughput").unwrap_or("-1");
    let throughput: f64 = throughput.parse().map_err(|_not_a_number| {
        Failure::usage(format!(
            "argument --throughput: could not convert '{throughput}' to Double (For input string: \
             \"{throughput}\")"
        ))
    })?;
    let warmup = whole("warmup-records", 0)?;
    let interval_ms = whole("reporting-interval", WINDOW_MS)?;
    if records <= 0 {
        return Err(Failure::usage("--num-records should be greater than zero."));
    }
    if warmup >= records {
        return Err(Failure::usage(
            "The value for --warmup-records must be strictly fewer than the number of records in \
             the test, --num-records.",
        ));
    }
    if interval_ms <= 0 {
        return Err(Failure::usage(
            "--reporting-interval should be greater than zero.",
        ));
    }
    let properties = producer_properties(matches, file, console)?;
    let payloads = Payloads::new(matches, console)?;
    Ok(Plan {
        topic,
        records: records.unsigned_abs(),
        throughput: (throughput >= 0.0).then_some(throughput),
        // Kafka's tool takes less than nothing for nothing.
        warmup: u64::try_from(warmup).unwrap_or(0),
        interval: Duration::from_millis(interval_ms.unsigned_abs()),
        payloads,
        properties,
    })
}

/// The producer's properties: a file's, then those given one by one.
fn producer_properties(
    matches: &ArgMatches,
    mut merged: Properties,
    console: &mut Console<'_>,
) -> Result<Properties, Failure> {
    for (old, new) in [
        ("producer-props", "command-property"),
        ("producer.config", "command-config"),
    ] {
        if given(matches, old) && given(matches, new) {
            return Err(Failure::usage(format!(
                "--{new} and --{old} cannot be specified together."
            )));
        }
        if given(matches, old) {
            console.line(format!(
                "Option --{old} has been deprecated and will be removed in a future version. Use \
                 --{new} instead."
            ))?;
        }
    }
    if let Some(path) = text(matches, "producer.config") {
        merged.extend(properties::read_file(path)?);
    }
    let single = [
        texts(matches, "producer-props"),
        texts(matches, "command-property"),
    ]
    .concat();
    if let Some(bad) = single.iter().find(|property| !property.contains('=')) {
        return Err(Failure::refused(format!("Invalid property: {bad}")));
    }
    merged.extend(properties::from_args(single));
    let transactional = given(matches, "transactional-id")
        || given(matches, "transaction-duration-ms")
        || merged.contains_key("transactional.id");
    if transactional {
        return Err(Failure::refused(
            "Transactions are not supported by this tool yet: leave transactional.id, \
             --transactional-id and --transaction-duration-ms out.",
        ));
    }
    // Kafka's producer waits this long; the console producer does not.
    merged
        .entry("linger.ms".to_owned())
        .or_insert_with(|| "5".to_owned());
    Ok(merged)
}

/// Everything measured in one run.
struct Measured {
    all: Stats,
    /// Without the records that warmed up, once they are through.
    steady: Option<Stats>,
    records: u64,
    warmup: u64,
    failed: u64,
}

impl Measured {
    fn new(plan: &Plan, now: Instant) -> Self {
        Self {
            all: Stats::new(plan.records, plan.interval, now),
            steady: None,
            records: plan.records,
            warmup: plan.warmup,
            failed: 0,
        }
    }

    fn print(&mut self, now: Instant, console: &mut Console<'_>) -> Result<(), Failure> {
        console.line(self.all.total(now, "records sent"))?;
        match &mut self.steady {
            Some(steady) => console.line(steady.total(now, "steady state records sent")),
            None => Ok(()),
        }
    }

    fn json(&mut self, now: Instant) -> serde_json::Value {
        let mut document = self.all.json(now);
        document["failed"] = self.failed.into();
        if let Some(steady) = &mut self.steady {
            document["steadyState"] = steady.json(now);
        }
        document
    }
}

/// Sends every record and waits for the last acknowledgement.
fn send_all(
    mut plan: Plan,
    sender: &mut Sender<()>,
    measured: &mut Measured,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let started = sender.now().instant;
    let mut sent = 0;
    while sent < plan.records || !sender.is_idle() {
        let mut at_once = 0;
        let mut wake = None;
        while sent < plan.records && sender.has_room() {
            let now = sender.now().instant;
            let due = pace::due(started, sent, plan.throughput);
            if at_once == RECORDS_AT_ONCE || due > now {
                wake = Some(due);
                break;
            }
            if plan.warmup > 0 && sent == plan.warmup {
                let steady = Stats::new(plan.records - plan.warmup, plan.interval, now);
                measured.steady = Some(steady);
            }
            sender.send(ProducerRecord {
                topic: Arc::clone(&plan.topic),
                value: Some(plan.payloads.next(sent)),
                ..ProducerRecord::default()
            });
            sent += 1;
            at_once += 1;
            if sent == plan.records {
                sender.flush();
            }
        }
        sender.turn(wake);
        take_outcomes(sender, measured, json, console)?;
    }
    Ok(())
}

fn take_outcomes(
    sender: &mut Sender<()>,
    measured: &mut Measured,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let now = sender.now().instant;
    while let Some(outcome) = sender.next_outcome() {
        if let Err(undelivered) = &outcome.result {
            measured.failed += 1;
            console.notice(format!(
                "Record {} was not acknowledged: {}.",
                outcome.record.0 + 1,
                undelivered.error
            ));
            continue;
        }
        let latency = now.since(outcome.sent_at);
        measured.all.record(latency, outcome.size_bytes);
        if let Some(steady) = &mut measured.steady
            && outcome.record.0 >= measured.warmup
        {
            steady.record(latency, outcome.size_bytes);
        }
    }
    let is_last = measured.all.records() == measured.records;
    if let Some(window) = measured.all.window(now)
        && !is_last
    {
        if json {
            console.notice(window);
        } else {
            console.line(window)?;
            console.flush()?;
        }
    }
    Ok(())
}

/// The figures of this tool under the names that Kafka's producer has for them.
fn print_metrics(
    measured: &Measured,
    now: Instant,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let client = "{client-id=perf-producer-client}";
    let metrics = measured.all.metrics(now, measured.failed);
    let names = metrics
        .iter()
        .map(|(name, _)| format!("producer-metrics:{name}:{client}"));
    let names: Vec<String> = names.collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    console.line(format!("\n{:<width$}   Value", "Metric Name"))?;
    for (name, (_, value)) in names.iter().zip(&metrics) {
        console.line(format!("{name:<width$} : {value:.3}"))?;
    }
    Ok(())
}
