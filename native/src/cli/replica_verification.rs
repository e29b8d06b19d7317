//! `replica-verification`: whether all replicas of partitions hold the same.
//!
//! Source: `kafka-replica-verification.sh` of Apache Kafka 4.3.1. Replicas are read side by side
//! and compared batch by batch; it goes on until it is ended. Times are UTC.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::{FetchRequest, FetchResponse};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use ottla_core::ids::TopicId;
use ottla_core::wire::records::Batches;
use serde_json::json;

use crate::cli::admin;
use crate::cli::args::{self, number, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::time::{now_ms, utc_text};

const EXAMPLES: &str = "\
Example:
  ottla replica-verification --topics-include 'orders|events' --time -2";

/// Version of Fetch from which topics have ids instead of names (KIP-516).
const FETCH_BY_ID: i16 = 13;

/// A partition by name.
type Named = (String, i32);

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Compare the replicas of partitions, until it is ended";
    args::with_broker(args::command("replica-verification", about))
        .arg(option(
            "broker-list",
            "HOST:PORT,...",
            "As --bootstrap-server",
        ))
        .arg(option("topics-include", "REGEX", "Topics to compare [.*]"))
        .arg(option(
            "time",
            "TIME",
            "Where to begin: -1 the end, -2 the beginning, or a time [-1]",
        ))
        .arg(option(
            "fetch-size",
            "BYTES",
            "Bytes to read at a time [1048576]",
        ))
        .arg(option(
            "max-wait-ms",
            "MS",
            "How long a broker may wait for records [1000]",
        ))
        .arg(option(
            "report-interval-ms",
            "MS",
            "How often to tell how it goes [30000]",
        ))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let filter = admin::topic_filter(text(matches, "topics-include").unwrap_or(".*"))?;
    let time = number(matches, "time")?.unwrap_or(-1);
    let interval_ms = number(matches, "report-interval-ms")?.unwrap_or(30_000);
    let options = Options {
        fetch_size: number(matches, "fetch-size")?.unwrap_or(1024 * 1024),
        max_wait_ms: number(matches, "max-wait-ms")?.unwrap_or(1_000),
        json: matches.get_flag("json"),
    };
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-replica-verification")?;
    let mut partitions = BTreeMap::new();
    let mut by_leader: BTreeMap<i32, Vec<Named>> = BTreeMap::new();
    for topic in admin::all_topics(&mut cluster)? {
        let name = admin::name_of(&topic);
        if !filter.is_match(name) {
            continue;
        }
        for found in &topic.partitions {
            let named = (name.to_owned(), found.partition_index);
            by_leader
                .entry(found.leader_id)
                .or_default()
                .push(named.clone());
            let partition = Partition {
                topic_id: TopicId::from(topic.topic_id),
                offset: 0,
                replicas: found
                    .replica_nodes
                    .iter()
                    .map(|id| (*id, Replica::default()))
                    .collect(),
            };
            partitions.insert(named, partition);
        }
    }
    if partitions.is_empty() {
        return Err(Failure::refused(
            "No topics found. The --topics-include filter, if specified, matches none.",
        ));
    }
    for (leader, named) in by_leader {
        for (named, offset) in admin::list_offsets(&mut cluster, leader, &named, time, 0)? {
            let partition = partitions.get_mut(&named);
            match (partition, offset) {
                (Some(partition), Ok(offset)) => partition.offset = offset.max(0),
                (Some(_), Err(code)) => return Err(Failure::refused(admin::words(code, None))),
                (None, _) => {}
            }
        }
    }
    let mut verification = Verification {
        partitions,
        options,
    };
    say(console, "verification process is started", options.json)?;
    verification.run(&mut cluster, Duration::from_millis(interval_ms), console)
}

/// What is fixed for a run.
#[derive(Clone, Copy)]
struct Options {
    fetch_size: i32,
    max_wait_ms: i32,
    json: bool,
}

/// Prints a line with the time, as Kafka's tool does; for programs only the findings are printed.
fn say(console: &mut Console<'_>, words: &str, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(());
    }
    let time = utc_text(now_ms()).replace('T', " ").replace('.', ",");
    console.line(format!("{}: {words}", time.trim_end_matches('Z')))?;
    console.flush()
}

/// A batch as it is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Batch {
    last_offset: i64,
    crc: u32,
}

/// One replica, as far as it was read.
#[derive(Debug, Default)]
struct Replica {
    high_watermark: i64,
    batches: VecDeque<Batch>,
}

/// A partition with its replicas by broker.
struct Partition {
    topic_id: TopicId,
    /// Below it everything has been compared.
    offset: i64,
    replicas: BTreeMap<i32, Replica>,
}

struct Verification {
    partitions: BTreeMap<Named, Partition>,
    options: Options,
}

impl Verification {
    fn run(
        &mut self,
        cluster: &mut Cluster,
        interval: Duration,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut reported = Instant::now();
        loop {
            self.fetch(cluster, console)?;
            self.compare(console)?;
            if reported.elapsed() >= interval {
                reported = Instant::now();
                self.report(console)?;
            }
        }
    }

    /// Reads every replica from where everything has been compared.
    fn fetch(&mut self, cluster: &mut Cluster, console: &mut Console<'_>) -> Result<(), Failure> {
        let brokers: BTreeSet<i32> = self
            .partitions
            .values()
            .flat_map(|partition| partition.replicas.keys().copied())
            .collect();
        for broker in brokers {
            let fetched = self.ask(cluster, broker);
            match fetched {
                Ok(answer) => self.take(broker, answer),
                Err(error) => {
                    console.notice(format!("{error} Trying again."));
                    cluster.forget(broker);
                    let pause = u64::try_from(self.options.max_wait_ms).unwrap_or(0);
                    std::thread::sleep(Duration::from_millis(pause));
                }
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        cluster: &mut Cluster,
        broker: i32,
    ) -> Result<FetchResponse, crate::cli::failure::CallError> {
        let link = cluster.node(broker)?;
        let version = link.version_of::<FetchRequest>().unwrap_or(0);
        let mut request = FetchRequest::default();
        request.max_wait_ms = self.options.max_wait_ms;
        request.min_bytes = 1;
        request.max_bytes = i32::MAX;
        request.session_epoch = -1;
        let mut last = None;
        for ((topic, index), partition) in &self.partitions {
            if !partition.replicas.contains_key(&broker) {
                continue;
            }
            if last != Some(topic) {
                let mut named = FetchTopic::default();
                if version >= FETCH_BY_ID {
                    named.topic_id = partition.topic_id.into();
                } else {
                    named.topic = StrBytes::from(topic.as_str());
                }
                request.topics.push(named);
                last = Some(topic);
            }
            let mut asked = FetchPartition::default();
            asked.partition = *index;
            asked.current_leader_epoch = -1;
            asked.fetch_offset = partition.offset;
            asked.partition_max_bytes = self.options.fetch_size;
            let topic = request.topics.last_mut().expect("one was just pushed");
            topic.partitions.push(asked);
        }
        link.call(request)
    }

    fn take(&mut self, broker: i32, answer: FetchResponse) {
        for topic in answer.responses {
            let id = TopicId::from(topic.topic_id);
            for found in topic.partitions {
                let asked = self
                    .partitions
                    .iter_mut()
                    .find(|((name, index), partition)| {
                        let is_topic = name == topic.topic.as_str() || partition.topic_id == id;
                        is_topic && *index == found.partition_index
                    });
                let replica = asked.and_then(|(_, asked)| asked.replicas.get_mut(&broker));
                let Some(replica) = replica else {
                    continue;
                };
                replica.batches.clear();
                if found.error_code != ErrorCode::None.code() {
                    continue;
                }
                replica.high_watermark = found.high_watermark;
                let mut batches = Batches::new(found.records.unwrap_or_default());
                // A batch that was cut is read again, whole.
                let whole = (&mut batches).map_while(Result::ok);
                replica.batches.extend(whole.map(|(header, _)| Batch {
                    last_offset: header.last_offset().0,
                    crc: header.crc,
                }));
            }
        }
    }

    /// Compares what all replicas of a partition have, and goes on behind it.
    fn compare(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        let json = self.options.json;
        for ((topic, index), partition) in &mut self.partitions {
            for difference in partition.compare() {
                if json {
                    console.json(&json!({
                        "topic": topic, "partition": index, "difference": difference,
                    }))?;
                }
                say(
                    console,
                    &format!("partition {topic}-{index}: {difference}"),
                    json,
                )?;
            }
        }
        console.flush()
    }

    fn report(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let lag = |partition: &Partition| partition.high_watermark() - partition.offset;
        let most = self
            .partitions
            .iter()
            .max_by_key(|(_, partition)| lag(partition));
        let Some(((topic, index), partition)) = most else {
            return Ok(());
        };
        let (lag, count) = (lag(partition).max(0), self.partitions.len());
        if self.options.json {
            console.json(&json!({
                "maxLag": lag, "topic": topic, "partition": index,
                "offset": partition.offset, "partitions": count,
            }))?;
            return console.flush();
        }
        let offset = partition.offset;
        let words = format!(
            "max lag is {lag} for partition {topic}-{index} at offset {offset} among {count} \
             partitions"
        );
        say(console, &words, false)
    }
}

impl Partition {
    /// The furthest that any replica knows to be on all.
    fn high_watermark(&self) -> i64 {
        let marks = self.replicas.values().map(|replica| replica.high_watermark);
        marks.max().unwrap_or(0)
    }

    /// Takes from all replicas what all have; how they differ.
    fn compare(&mut self) -> Vec<String> {
        let mut differences = Vec::new();
        while let Some(next) = self.next_of_all() {
            let (first, expected) = next[0];
            for (broker, batch) in &next[1..] {
                if batch.last_offset != expected.last_offset {
                    differences.push(format!(
                        "replica {first}'s offset {} doesn't match replica {broker}'s offset {}",
                        expected.last_offset, batch.last_offset
                    ));
                } else if batch.crc != expected.crc {
                    differences.push(format!(
                        "replica {first} has checksum {} at offset {}; replica {broker} has \
                         checksum {}",
                        expected.crc, expected.last_offset, batch.crc
                    ));
                }
            }
            let furthest = next.iter().map(|(_, batch)| batch.last_offset).max();
            self.offset = furthest.unwrap_or(self.offset) + 1;
        }
        differences
    }

    /// The next batch of each replica, where every one has one.
    fn next_of_all(&mut self) -> Option<Vec<(i32, Batch)>> {
        let all = self.replicas.values();
        if self.replicas.is_empty() || all.clone().any(|replica| replica.batches.is_empty()) {
            return None;
        }
        let next = self.replicas.iter_mut().filter_map(|(broker, replica)| {
            let batch = replica.batches.pop_front()?;
            Some((*broker, batch))
        });
        Some(next.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(replicas: &[(i32, &[(i64, u32)])]) -> Partition {
        let replicas = replicas.iter().map(|(broker, batches)| {
            let batches = batches.iter().map(|(last_offset, crc)| Batch {
                last_offset: *last_offset,
                crc: *crc,
            });
            let replica = Replica {
                high_watermark: 10,
                batches: batches.collect(),
            };
            (*broker, replica)
        });
        Partition {
            topic_id: TopicId::ZERO,
            offset: 0,
            replicas: replicas.collect(),
        }
    }

    #[test]
    fn equal_replicas_are_passed_and_others_told() {
        let mut same = partition(&[(1, &[(1, 7), (3, 8)]), (2, &[(1, 7)])]);
        assert!(same.compare().is_empty());
        assert_eq!(same.offset, 2, "only what both have");
        let mut other = partition(&[(1, &[(1, 7)]), (2, &[(1, 9)])]);
        assert_eq!(
            other.compare(),
            ["replica 1 has checksum 7 at offset 1; replica 2 has checksum 9"]
        );
        let mut shifted = partition(&[(1, &[(1, 7)]), (2, &[(2, 7)])]);
        assert_eq!(
            shifted.compare(),
            ["replica 1's offset 1 doesn't match replica 2's offset 2"]
        );
    }
}
