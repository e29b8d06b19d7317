//! `e2e-latency`: how long a record takes from a producer to a consumer, one after another.
//!
//! Source: `kafka-e2e-latency.sh` of Apache Kafka 4.3.1, with its named options and its positions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Arg, ArgMatches, Command};
use kafka_wire::CreateTopicsRequest;
use kafka_wire::create_topics_request::CreatableTopic;
use kafka_wire_core::StrBytes;
use ottla_core::client::consumer::{Consumer, ConsumerOptions, StartAt};
use ottla_core::client::network::ClientEffect;
use ottla_core::client::producer::ProducerRecord;
use ottla_core::ids::{PartitionIndex, TopicName, TopicPartition};
use ottla_core::rng::Rng;
use ottla_core::time::Instant;
use ottla_core::wire::records::{Record, RecordHeader};
use serde_json::json;

use crate::cli::admin;
use crate::cli::args::{self, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::produce::options;
use crate::cli::properties::Properties;
use crate::cli::sender::Sender;
use crate::cli::sockets::{Event, Sockets};

const EXAMPLES: &str = "\
Examples:
  ottla e2e-latency --topic latency --num-records 10000 --producer-acks all --record-size 100
  ottla e2e-latency localhost:9092 latency 10000 1 100";

/// Longest that one record may take on its way back.
const RECORD_TIMEOUT: Duration = Duration::from_secs(60);

/// How often one latency is printed.
const SHOWN_EACH: usize = 1_000;

/// The positions, in order, as the options they stand for.
const POSITIONS: [&str; 6] = [
    "bootstrap-server",
    "topic",
    "num-records",
    "producer-acks",
    "record-size",
    "command-config",
];

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Measure how long records take from a producer to a consumer";
    args::with_broker(args::command("e2e-latency", about))
        .arg(option(
            "topic",
            "TOPIC",
            "The topic; made where it is missing",
        ))
        .arg(option("num-records", "N", "How many records to send"))
        .arg(option("producer-acks", "ACKS", "1 or all"))
        .arg(option("record-size", "BYTES", "Size of each value"))
        .arg(option(
            "record-key-size",
            "BYTES",
            "Size of each key [0: none]",
        ))
        .arg(option("num-headers", "N", "Headers of each record [0]"))
        .arg(option(
            "record-header-size",
            "BYTES",
            "Size of each header's value [0]",
        ))
        .arg(option(
            "record-header-key-size",
            "BYTES",
            "Size of each header's key [0]",
        ))
        .arg(Arg::new("POSITIONS").num_args(0..).hide(true))
        .after_help(EXAMPLES)
}

/// What is asked for.
struct Plan {
    topic: TopicName,
    records: usize,
    acks: String,
    value_size: usize,
    key_size: Option<usize>,
    headers: usize,
    header_value_size: usize,
    header_key_size: usize,
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let positions = args::texts(matches, "POSITIONS");
    let plan;
    let address;
    let mut properties;
    if positions.is_empty() {
        plan = Plan::new(|name| text(matches, name))?;
        (address, properties) = args::broker(matches, console)?;
    } else {
        let matches = by_position(&positions)?;
        console.line(
            "WARNING: Positional argument usage is deprecated and will be removed in Apache Kafka \
             5.0. Please use named arguments instead: --bootstrap-server, --topic, --num-records, \
             --producer-acks, --record-size, --command-config",
        )?;
        plan = Plan::new(|name| text(&matches, name))?;
        (address, properties) = args::broker(&matches, console)?;
    }
    properties.insert("acks".to_owned(), plan.acks.clone());
    properties.insert("linger.ms".to_owned(), "0".to_owned());
    let json = matches.get_flag("json");
    let mut cluster = Cluster::new(&address, &properties, "ottla-e2e-latency")?;
    let partitions = partitions(&mut cluster, &plan, json, console)?;
    let mut receiver = Receiver::connect(&address, &properties, &plan.topic, partitions)?;
    let mut sender: Sender<()> = Sender::connect(&address, &properties, "e2e-latency")?;
    let latencies = measure(&plan, &mut sender, &mut receiver, json, console)?;
    report(latencies, json, console)
}

/// The positions as if they had been given as options.
fn by_position(positions: &[&String]) -> Result<ArgMatches, Failure> {
    let count = positions.len();
    if !(5..=6).contains(&count) {
        return Err(Failure::usage(format!(
            "Invalid number of arguments. Expected 5 or 6 positional arguments, but got {count}. \
             Usage: bootstrap-server topic num-records producer-acks record-size [optional] \
             command-config"
        )));
    }
    let named = POSITIONS.iter().zip(positions);
    let named = named.flat_map(|(name, value)| [format!("--{name}"), (*value).clone()]);
    command()
        .try_get_matches_from(named)
        .map_err(|error| Failure::usage(error.to_string()))
}

impl Plan {
    fn new<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Result<Self, Failure> {
        let required = |name: &str| {
            let missing = || Failure::usage(format!("Missing required argument \"[{name}]\""));
            text(name).ok_or_else(missing)
        };
        for name in &POSITIONS[1..5] {
            required(name)?;
        }
        let size = |name: &str| -> Result<usize, Failure> {
            let Some(given) = text(name) else {
                return Ok(0);
            };
            let number: i32 = given.parse().map_err(|_not_a_number| {
                Failure::usage(format!("Cannot parse argument '{given}' of option {name}"))
            })?;
            usize::try_from(number).map_err(|_negative| {
                Failure::usage(format!(
                    "Value for --{name} must be a non-negative integer."
                ))
            })
        };
        let records = match size("num-records") {
            Ok(0) => return Err(not_positive("num-records")),
            Err(Failure::Usage(words)) if words.starts_with("Value") => {
                return Err(not_positive("num-records"));
            }
            other => other?,
        };
        let acks = required("producer-acks")?;
        if !matches!(acks, "1" | "all") {
            return Err(Failure::usage(
                "Invalid value for --producer-acks. Latency testing requires synchronous \
                 acknowledgement. Please use '1' or 'all'.",
            ));
        }
        let key_size = size("record-key-size")?;
        Ok(Self {
            topic: Arc::from(required("topic")?),
            records,
            acks: acks.to_owned(),
            value_size: size("record-size")?,
            key_size: (key_size > 0).then_some(key_size),
            headers: size("num-headers")?,
            header_value_size: size("record-header-size")?,
            header_key_size: size("record-header-key-size")?,
        })
    }

    fn record(&self, rng: &mut Rng) -> ProducerRecord {
        let mut letters = |size: usize| {
            let letters = (0..size).map(|_| {
                let letter = u8::try_from(rng.below(26)).expect("there are 26 letters");
                b'A' + letter
            });
            Bytes::from(letters.collect::<Vec<u8>>())
        };
        let key = self.key_size.map(&mut letters);
        let value = Some(letters(self.value_size));
        let headers = (0..self.headers).map(|_| RecordHeader {
            key: letters(self.header_key_size),
            value: Some(letters(self.header_value_size)),
        });
        ProducerRecord {
            headers: headers.collect(),
            topic: Arc::clone(&self.topic),
            partition: None,
            key,
            value,
            timestamp: None,
        }
    }
}

fn not_positive(name: &str) -> Failure {
    Failure::usage(format!("Value for --{name} must be a positive integer."))
}

/// The topic's partitions; makes the topic where it is missing.
fn partitions(
    cluster: &mut Cluster,
    plan: &Plan,
    json: bool,
    console: &mut Console<'_>,
) -> Result<Vec<i32>, Failure> {
    let topics = admin::all_topics(cluster)?;
    let found = topics
        .iter()
        .find(|topic| admin::name_of(topic) == &*plan.topic);
    if let Some(topic) = found {
        return Ok(topic.partitions.iter().map(|p| p.partition_index).collect());
    }
    let said = format!(
        "Topic \"{}\" does not exist. Will create topic with 1 partition(s) and replication factor \
         = 1",
        plan.topic
    );
    match json {
        true => console.notice(said),
        false => console.line(said)?,
    }
    let mut topic = CreatableTopic::default();
    topic.name = StrBytes::from(&*plan.topic);
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    let mut request = CreateTopicsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    request.topics.push(topic);
    for topic in &cluster.call(request)?.topics {
        admin::check(topic.error_code, topic.error_message.as_ref())?;
    }
    Ok(vec![0])
}

/// A consumer with its sockets.
struct Receiver {
    consumer: Consumer,
    sockets: Sockets<()>,
    effects: Vec<ClientEffect>,
}

impl Receiver {
    /// A consumer that stands at the ends of these partitions.
    fn connect(
        address: &str,
        properties: &Properties,
        topic: &TopicName,
        partitions: Vec<i32>,
    ) -> Result<Self, Failure> {
        let network = options::producer_options(address, properties, false)?.network;
        let mut receiver = Self {
            sockets: Sockets::new(network.connect_timeout),
            consumer: Consumer::new(ConsumerOptions::new(network)),
            effects: Vec::new(),
        };
        let partitions: Vec<TopicPartition> = partitions
            .into_iter()
            .map(|index| TopicPartition {
                topic: Arc::clone(topic),
                partition: PartitionIndex(index),
            })
            .collect();
        let now = receiver.sockets.now().instant;
        for partition in &partitions {
            receiver.consumer.assign(now, partition, StartAt::Latest);
        }
        let give_up = now.after(RECORD_TIMEOUT);
        let stands = |consumer: &Consumer| {
            partitions
                .iter()
                .all(|partition| consumer.position(partition).is_some())
        };
        while !stands(&receiver.consumer) {
            receiver.turn(give_up)?;
        }
        Ok(receiver)
    }

    /// Asks for what is wanted, and waits for something to happen.
    fn turn(&mut self, give_up: Instant) -> Result<(), Failure> {
        self.consumer.on_time(self.sockets.now().instant);
        self.perform();
        let deadline = self.consumer.next_deadline();
        let until = deadline.map_or(give_up, |deadline| deadline.min(give_up));
        match self.sockets.wait(Some(until)) {
            Some(Event::Client(input)) => {
                self.consumer.on_input(self.sockets.now().instant, input);
            }
            Some(Event::Opened(..) | Event::Tool(())) | None => {}
        }
        self.perform();
        if let Some((_partition, error)) = self.consumer.next_error() {
            return Err(Failure::refused(format!("Cannot read the topic: {error}.")));
        }
        if self.sockets.now().instant >= give_up {
            let waited_ms = RECORD_TIMEOUT.as_millis();
            return Err(Failure::refused(format!(
                "poll() timed out before finding a result (timeout:[{waited_ms}ms])"
            )));
        }
        Ok(())
    }

    fn perform(&mut self) {
        self.consumer.take_effects(&mut self.effects);
        self.sockets.perform(&mut self.effects);
    }

    /// The one record that comes next.
    fn one(&mut self) -> Result<Record, Failure> {
        let give_up = self.sockets.now().instant.after(RECORD_TIMEOUT);
        loop {
            if let Some(mut consumed) = self.consumer.next_records() {
                let count = consumed.records.len();
                if count != 1 {
                    return Err(Failure::refused(format!(
                        "Only one result was expected during this test. We found [{count}]"
                    )));
                }
                return Ok(consumed.records.remove(0));
            }
            self.turn(give_up)?;
        }
    }
}

/// Sends records and reads each back; how long each took.
fn measure(
    plan: &Plan,
    sender: &mut Sender<()>,
    receiver: &mut Receiver,
    json: bool,
    console: &mut Console<'_>,
) -> Result<Vec<Duration>, Failure> {
    let mut rng = Rng::new(u64::from(std::process::id()));
    let mut latencies = Vec::new();
    for index in 0..plan.records {
        let record = plan.record(&mut rng);
        let started = std::time::Instant::now();
        sender.send(record.clone());
        let outcome = loop {
            sender.turn(None);
            if let Some(outcome) = sender.next_outcome() {
                break outcome;
            }
        };
        if let Err(undelivered) = outcome.result {
            return Err(Failure::refused(format!(
                "A record was not acknowledged: {}.",
                undelivered.error
            )));
        }
        let found = receiver.one()?;
        let latency = started.elapsed();
        if found.key != record.key || found.value != record.value {
            return Err(Failure::refused(
                "The message read did not match the message sent: somebody else writes to the \
                 topic. Name another.",
            ));
        }
        if index.is_multiple_of(SHOWN_EACH) && !json {
            console.line(format!("{index}\t{:?}", latency.as_secs_f64() * 1_000.0))?;
            console.flush()?;
        }
        latencies.push(latency);
    }
    Ok(latencies)
}

fn report(
    mut latencies: Vec<Duration>,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    latencies.sort_unstable();
    let count = latencies.len();
    let total: Duration = latencies.iter().sum();
    let mean = total.as_secs_f64() * 1_000.0 / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let [half, p99, p999] = [500, 990, 999].map(|per_mille| {
        let index = count * per_mille / 1_000;
        latencies[index.min(count - 1)]
    });
    if json {
        let ms = |latency: Duration| latency.as_secs_f64() * 1_000.0;
        return console.json(&json!({
            "records": count,
            "latencyMs": {"mean": mean, "p50": ms(half), "p99": ms(p99), "p99.9": ms(p999)},
        }));
    }
    console.line(format!("Avg latency: {mean:.4} ms"))?;
    console.line(format!(
        "Percentiles: 50th = {}, 99th = {}, 99.9th = {}",
        half.as_millis(),
        p99.as_millis(),
        p999.as_millis()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(args: &[(&str, &str)]) -> Result<Plan, String> {
        let find = |name: &str| {
            args.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, v)| *v)
        };
        Plan::new(find).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_cannot_be_measured_is_refused_in_kafkas_words() {
        let good = [
            ("topic", "t"),
            ("num-records", "1"),
            ("producer-acks", "all"),
            ("record-size", "3"),
        ];
        let with = |name, value| {
            let mut args = good.to_vec();
            args.retain(|(known, _)| *known != name);
            args.push((name, value));
            plan(&args).map(|_| ()).expect_err("a bad plan")
        };
        let made = plan(&good).expect("a good plan").record(&mut Rng::new(1));
        assert_eq!(made.value.map(|value| value.len()), Some(3));
        assert_eq!(made.key, None);
        assert_eq!(
            plan(&good[..3]).map(|_| ()).expect_err("no size"),
            "Missing required argument \"[record-size]\""
        );
        assert!(with("producer-acks", "0").contains("requires synchronous acknowledgement"));
        for bad in ["0", "-1"] {
            assert_eq!(
                with("num-records", bad),
                "Value for --num-records must be a positive integer."
            );
        }
        assert_eq!(
            with("record-size", "-1"),
            "Value for --record-size must be a non-negative integer."
        );
        assert_eq!(
            with("num-records", "x"),
            "Cannot parse argument 'x' of option num-records"
        );
    }
}
