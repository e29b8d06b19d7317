//! `verifiable-producer`: sends numbers that count up, and tells of each what became of it.
//!
//! Source: `kafka-verifiable-producer.sh` of Apache Kafka 4.3.1, made for tests of clusters. Each
//! line is one JSON document, fields in Kafka's order. Like there, every record is tried once
//! (`retries=0`), and a signal ends it in order, with a last line of what was done.

use std::sync::Arc;

use bytes::Bytes;
use clap::{ArgMatches, Command};
use ottla_core::client::producer::{DeliveryError, ProducerRecord};
use ottla_core::error::ErrorCode;
use ottla_core::ids::TopicName;
use ottla_core::time::{Instant, Timestamp};
use serde_json::Value;

use crate::cli::args::{self, option, text};
use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::interrupt::{self, Interrupt};
use crate::cli::pace;
use crate::cli::properties::Properties;
use crate::cli::sender::{Outcome, Sender};
use crate::cli::sockets::Event;
use crate::cli::time::now_ms;

const EXAMPLES: &str = "\
Examples:
  ottla verifiable-producer --topic checks --max-messages 1000
  ottla verifiable-producer --topic checks --throughput 100 --value-prefix 7 --repeating-keys 10";

/// Records handed over before sockets are looked at.
const RECORDS_AT_ONCE: u32 = 256;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Send counted records and tell what became of each, as JSON";
    args::with_broker(args::command("verifiable-producer", about))
        .arg(option("topic", "TOPIC", "The topic"))
        .arg(option(
            "max-messages",
            "N",
            "How many to send; -1 for no end [-1]",
        ))
        .arg(option(
            "throughput",
            "N",
            "Records a second; -1 for no limit [-1]",
        ))
        .arg(option("acks", "ACKS", "0, 1 or -1 [-1]"))
        .arg(option(
            "message-create-time",
            "MS",
            "Timestamp of the first record; later ones follow the clock",
        ))
        .arg(option("value-prefix", "N", "Values are N.0, N.1, ..."))
        .arg(option(
            "repeating-keys",
            "N",
            "Keys are 0 to N-1, over and over",
        ))
        .arg(option("producer.config", "FILE", "As --command-config").hide(true))
        .after_help(EXAMPLES)
}

/// What is asked for.
struct Plan {
    topic: TopicName,
    /// `None` has no end.
    records: Option<u64>,
    throughput: i64,
    create_time_ms: Option<i64>,
    value_prefix: Option<i32>,
    repeating_keys: Option<i32>,
    acks: &'static str,
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let plan = plan(matches)?;
    let (address, mut properties) = args::broker(matches, console)?;
    let (old, new) = ("producer.config", "command-config");
    properties.extend(args::deprecated_file(matches, old, new, console)?);
    let mut sender = connect(&address, properties, &plan)?;
    let events = sender.sockets.sender();
    // A tool that has ended wants to know nothing more.
    interrupt::on_signal(move |signal| drop(events.send(Event::Tool(signal))))?;
    event(console, "startup_complete", &[])?;
    let mut sending = Sending {
        started: sender.now().instant,
        plan,
        values: std::collections::BTreeMap::new(),
        sent: 0,
        acked: 0,
    };
    sending.run(&mut sender, console)?;
    event(console, "shutdown_complete", &[])?;
    let elapsed = sender.now().instant.since(sending.started).as_secs_f64();
    let average = match sending.acked {
        0 => 0.0,
        acked => acked as f64 / elapsed,
    };
    event(
        console,
        "tool_data",
        &[
            ("sent", sending.sent.into()),
            ("acked", sending.acked.into()),
            ("target_throughput", sending.plan.throughput.into()),
            ("avg_throughput", average.into()),
        ],
    )
}

fn whole<N: std::str::FromStr>(
    matches: &ArgMatches,
    name: &str,
    kind: &str,
) -> Result<Option<N>, Failure> {
    let Some(given) = text(matches, name) else {
        return Ok(None);
    };
    given.parse().map(Some).map_err(|_not_a_number| {
        Failure::usage(format!(
            "argument --{name}: could not convert '{given}' to {kind} (For input string: \
             \"{given}\")"
        ))
    })
}

fn plan(matches: &ArgMatches) -> Result<Plan, Failure> {
    let Some(topic) = text(matches, "topic") else {
        return Err(Failure::usage("argument --topic is required"));
    };
    let acks = match whole::<i32>(matches, "acks", "Integer")? {
        None | Some(-1) => "all",
        Some(0) => "0",
        Some(1) => "1",
        Some(other) => {
            return Err(Failure::usage(format!(
                "argument --acks: invalid choice: '{other}' (choose from {{0,1,-1}})"
            )));
        }
    };
    let records: i32 = whole(matches, "max-messages", "Integer")?.unwrap_or(-1);
    let create_time_ms: i64 = whole(matches, "message-create-time", "Long")?.unwrap_or(-1);
    Ok(Plan {
        topic: Arc::from(topic),
        records: u64::try_from(records).ok(),
        throughput: whole(matches, "throughput", "Integer")?.unwrap_or(-1),
        create_time_ms: (create_time_ms >= 0).then_some(create_time_ms),
        value_prefix: whole(matches, "value-prefix", "Integer")?,
        repeating_keys: whole(matches, "repeating-keys", "Integer")?,
        acks,
    })
}

fn connect(
    address: &str,
    mut properties: Properties,
    plan: &Plan,
) -> Result<Sender<Interrupt>, Failure> {
    properties.insert("acks".to_owned(), plan.acks.to_owned());
    properties.insert("retries".to_owned(), "0".to_owned());
    properties
        .entry("linger.ms".to_owned())
        .or_insert_with(|| "5".to_owned());
    Sender::connect(address, &properties, "verifiable-producer")
}

/// Prints one event.
fn event(console: &mut Console<'_>, name: &str, fields: &[(&str, Value)]) -> Result<(), Failure> {
    let mut line = format!("{{\"timestamp\":{},\"name\":\"{name}\"", now_ms());
    for (field, value) in fields {
        line.push_str(&format!(",\"{field}\":{value}"));
    }
    line.push('}');
    console.document(line)
}

/// A run of the tool.
struct Sending {
    plan: Plan,
    started: Instant,
    /// Keys and values of the records without an outcome, by their numbers.
    values: std::collections::BTreeMap<u64, (Option<String>, String)>,
    sent: u64,
    acked: u64,
}

impl Sending {
    /// Sends until everything is sent or a signal comes, and waits for the outcomes.
    fn run(
        &mut self,
        sender: &mut Sender<Interrupt>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut ended = self.plan.records == Some(0);
        while !ended || !sender.is_idle() {
            let mut wake = None;
            let mut at_once = 0;
            while !ended && sender.has_room() {
                let due = pace::due(self.started, self.sent, self.rate());
                if at_once == RECORDS_AT_ONCE || due > sender.now().instant {
                    wake = Some(due);
                    break;
                }
                let record = self.record();
                sender.send(record);
                at_once += 1;
                ended = self.plan.records == Some(self.sent);
                if ended {
                    sender.flush();
                }
            }
            console.flush()?;
            sender.turn(wake);
            if !ended && !sender.take_told().is_empty() {
                ended = true;
                sender.flush();
            }
            while let Some(outcome) = sender.next_outcome() {
                self.tell(&outcome, console)?;
            }
        }
        Ok(())
    }

    fn rate(&self) -> Option<f64> {
        let a_second = u32::try_from(self.plan.throughput).ok()?;
        Some(f64::from(a_second))
    }

    fn record(&mut self) -> ProducerRecord {
        let number = self.sent;
        let value = match self.plan.value_prefix {
            Some(prefix) => format!("{prefix}.{number}"),
            None => number.to_string(),
        };
        // Kafka's counter begins anew when it has reached the number, so 0 is as good as 1.
        let keys = self.plan.repeating_keys;
        let key = keys.map(|keys| {
            let keys = u64::try_from(keys).unwrap_or(1).max(1);
            (number % keys).to_string()
        });
        let elapsed_ms = i64::try_from(number).unwrap_or(i64::MAX);
        let timestamp = self.plan.create_time_ms;
        let timestamp = timestamp.map(|first| Timestamp(first.saturating_add(elapsed_ms)));
        self.sent += 1;
        self.values.insert(number, (key.clone(), value.clone()));
        ProducerRecord {
            topic: Arc::clone(&self.plan.topic),
            key: key.map(Bytes::from),
            value: Some(Bytes::from(value)),
            timestamp,
            ..ProducerRecord::default()
        }
    }

    fn tell(&mut self, outcome: &Outcome, console: &mut Console<'_>) -> Result<(), Failure> {
        let (key, value) = self
            .values
            .remove(&outcome.record.0)
            .expect("a record has one outcome");
        let (key, value) = (key.map_or(Value::Null, Value::from), Value::from(value));
        let topic = Value::from(&*self.plan.topic);
        match &outcome.result {
            Ok(delivered) => {
                self.acked += 1;
                let fields = [
                    ("key", key),
                    ("value", value),
                    ("offset", delivered.offset.0.into()),
                    ("topic", topic),
                    ("partition", delivered.partition.partition.0.into()),
                ];
                event(console, "producer_send_success", &fields)
            }
            Err(undelivered) => {
                let (class, message) = exception(&undelivered.error, &self.plan.topic);
                let fields = [
                    ("topic", topic),
                    ("key", key),
                    ("value", value),
                    ("exception", class.into()),
                    ("message", message.into()),
                ];
                event(console, "producer_send_error", &fields)
            }
        }
    }
}

/// An error as Kafka's tool names it: its Java class, and words.
fn exception(error: &DeliveryError, topic: &str) -> (String, String) {
    let mut words = error.to_string();
    let class = match error {
        DeliveryError::Broker { code, message } => {
            if *code == ErrorCode::InvalidTopicException {
                words = format!("Invalid topics: [{topic}]");
            } else if !message.is_empty() {
                words.clone_from(message);
            }
            crate::cli::admin::exception_name(code.code())
        }
        DeliveryError::Expired => "org.apache.kafka.common.errors.TimeoutException".to_owned(),
        DeliveryError::TooLarge { .. } => {
            "org.apache.kafka.common.errors.RecordTooLargeException".to_owned()
        }
        DeliveryError::Call(_) | DeliveryError::NoPartition | DeliveryError::Unresolved => {
            "org.apache.kafka.common.KafkaException".to_owned()
        }
    };
    (format!("class {class}"), words)
}
