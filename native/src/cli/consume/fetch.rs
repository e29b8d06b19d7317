//! Fetching assigned partitions: positions, leaders, and what to do when they change.
//!
//! All leaders are asked at once and their answers collected one after another, so that a wait is
//! no longer than the longest of them. Fetch sessions are not used: a tool follows few partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::fetch_response::PartitionData;
use kafka_wire::{FetchRequest, FetchResponse};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use ottla_core::ids::TopicId;
use ottla_core::wire::batch::crc32c;
use ottla_core::wire::records::{Batches, Records};

use super::aborted::Aborted;
use super::position::{Position, Start};
use super::record::Consumed;
use super::subscription::{Found, Subscription};
use crate::cli::admin;
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// First byte that a batch's CRC covers: its attributes.
const CRC_COVERS_FROM: usize = 21;

/// How long a position stays unknown before metadata are asked for again (`retry.backoff.ms`).
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// How often new topics and partitions are looked for. Kafka's default is five minutes, which a
/// person at a terminal would take for a fault.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10);

/// Version of Fetch from which topics have ids instead of names (KIP-516).
const FETCH_BY_ID: i16 = 13;

/// `ListOffsetsRequest`'s times for the first record and for the end.
const TIME_EARLIEST: i64 = -2;
const TIME_LATEST: i64 = -1;

/// What is fixed for all fetches of one run.
#[derive(Clone, Debug)]
pub(super) struct FetchOptions {
    /// Where to begin, and again where a position is out of range.
    pub(super) start: Start,
    /// Stop at the ends that partitions have when they are first seen.
    pub(super) stop_at_end: bool,
    /// The protocol's: 0 uncommitted, 1 committed.
    pub(super) isolation_level: i8,
    /// Bytes of one answer, and of one partition in it.
    pub(super) max_bytes: i32,
    pub(super) partition_max_bytes: i32,
}

/// Partitions with their positions.
#[derive(Debug)]
pub(super) struct Fetcher {
    options: FetchOptions,
    subscription: Subscription,
    positions: BTreeMap<(Arc<str>, i32), Position>,
    /// Metadata must be asked for before the next fetch.
    stale: bool,
    discovered_at: Option<Instant>,
    /// Why no more can be read, told once the records before it are.
    failure: Option<Failure>,
}

impl Fetcher {
    /// A fetcher that has asked for nothing yet.
    pub(super) fn new(subscription: Subscription, options: FetchOptions) -> Self {
        Self {
            options,
            subscription,
            positions: BTreeMap::new(),
            stale: true,
            discovered_at: None,
            failure: None,
        }
    }

    /// Whether every partition has been read to its end, and ends were asked for.
    pub(super) fn is_done(&self) -> bool {
        let known = !self.stale && self.options.stop_at_end && self.failure.is_none();
        known && self.positions.values().all(Position::is_done)
    }

    /// Fetches once from every leader; waits up to `wait` where there is nothing.
    pub(super) fn poll(
        &mut self,
        cluster: &mut Cluster,
        wait: Duration,
        console: &mut Console<'_>,
    ) -> Result<Vec<Consumed>, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let due = self
            .discovered_at
            .is_none_or(|at| at.elapsed() > DISCOVERY_INTERVAL);
        if self.stale || due {
            self.discover(cluster, console)?;
            self.look_up(cluster)?;
        }
        let mut leaders: BTreeSet<i32> = BTreeSet::new();
        for position in self
            .positions
            .values()
            .filter(|position| !position.is_done())
        {
            if position.leader >= 0 && position.offset.is_some() {
                leaders.insert(position.leader);
            }
        }
        if leaders.is_empty() {
            if !self.is_done() {
                self.stale = true;
                std::thread::sleep(RETRY_PAUSE.min(wait));
            }
            return Ok(Vec::new());
        }
        let mut asked = Vec::new();
        for leader in leaders {
            let request = self.request(cluster, leader, wait);
            let posted = request.and_then(|request| Ok(cluster.node(leader)?.post(request)?));
            match posted {
                Ok(()) => asked.push(leader),
                Err(failure) => self.lost(cluster, leader, failure, console)?,
            }
        }
        let mut consumed = Vec::new();
        for leader in asked {
            let answered = cluster
                .node(leader)
                .and_then(|link| link.answer::<FetchRequest>());
            match answered {
                Ok(answer) => {
                    if let Err(failure) = self.take(answer, &mut consumed) {
                        self.failure.get_or_insert(failure);
                    }
                }
                Err(error) => self.lost(cluster, leader, error.into(), console)?,
            }
        }
        match self.failure.take() {
            Some(failure) if consumed.is_empty() => Err(failure),
            failure => {
                self.failure = failure;
                Ok(consumed)
            }
        }
    }

    /// A broker could not be asked: its partitions wait for new metadata.
    fn lost(
        &mut self,
        cluster: &mut Cluster,
        leader: i32,
        failure: Failure,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let Failure::Call(error) = failure else {
            return Err(failure);
        };
        console.notice(format!("{error} Trying again."));
        cluster.forget(leader);
        self.stale = true;
        Ok(())
    }

    /// Asks for metadata; takes up new partitions and new leaders.
    fn discover(
        &mut self,
        cluster: &mut Cluster,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let first = self.discovered_at.is_none();
        let found = match self.subscription.find(cluster) {
            Ok(found) => found,
            // The first answer decides whether there is a broker at all.
            Err(Failure::Call(error)) if !first => {
                console.notice(format!("{error} Trying again."));
                std::thread::sleep(RETRY_PAUSE);
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        self.discovered_at = Some(Instant::now());
        self.stale = false;
        for Found {
            topic,
            topic_id,
            partition,
            leader,
        } in found
        {
            let start = self.options.start;
            let offset = match start {
                Start::Offset(offset) => Some(offset),
                Start::Earliest | Start::FromEnd(_) | Start::Latest => None,
            };
            let position = self.positions.entry((topic, partition));
            let position = position.or_insert(Position {
                topic_id,
                leader,
                offset,
                start,
                end: None,
            });
            position.leader = leader;
            position.topic_id = topic_id;
        }
        Ok(())
    }

    /// Looks up the positions, and the ends, that are not known.
    fn look_up(&mut self, cluster: &mut Cluster) -> Result<(), Failure> {
        let (isolation_level, ends) = (self.options.isolation_level, self.options.stop_at_end);
        for (time, end) in [(TIME_EARLIEST, false), (TIME_LATEST, true)] {
            for (leader, partitions) in self.unknown(end) {
                let answers =
                    admin::list_offsets(cluster, leader, &partitions, time, isolation_level)?;
                for ((topic, partition), answer) in answers {
                    let key = (Arc::from(topic.as_str()), partition);
                    let Some(position) = self.positions.get_mut(&key) else {
                        continue;
                    };
                    match answer {
                        Ok(offset) => position.found(end, offset, ends),
                        Err(code) if is_passing(code) => self.stale = true,
                        Err(code) => return Err(refused(&key.0, partition, code)),
                    }
                }
            }
        }
        Ok(())
    }

    /// The partitions whose first offset, or whose end, must be asked for; by leader.
    fn unknown(&self, end: bool) -> BTreeMap<i32, Vec<(String, i32)>> {
        let mut by_leader: BTreeMap<i32, Vec<(String, i32)>> = BTreeMap::new();
        for ((topic, partition), position) in &self.positions {
            let from_end = matches!(position.start, Start::FromEnd(_));
            let unknown = position.offset.is_none();
            let needed = if end {
                from_end
                    || unknown && position.start == Start::Latest
                    || self.options.stop_at_end && position.end.is_none()
            } else {
                // The first record bounds a step back from the end.
                unknown && (from_end || position.start == Start::Earliest)
            };
            if needed && position.leader >= 0 {
                let asked = by_leader.entry(position.leader).or_default();
                asked.push((topic.to_string(), *partition));
            }
        }
        by_leader
    }

    fn request(
        &self,
        cluster: &mut Cluster,
        leader: i32,
        wait: Duration,
    ) -> Result<FetchRequest, Failure> {
        let version = cluster
            .node(leader)?
            .version_of::<FetchRequest>()
            .unwrap_or(0);
        let mut request = FetchRequest::default();
        request.max_wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        request.min_bytes = 1;
        request.max_bytes = self.options.max_bytes;
        request.isolation_level = self.options.isolation_level;
        request.session_epoch = -1;
        let mut last: Option<&Arc<str>> = None;
        for ((topic, index), position) in &self.positions {
            let Some(offset) = position.offset else {
                continue;
            };
            if position.leader != leader || position.is_done() {
                continue;
            }
            let mut partition = FetchPartition::default();
            partition.partition = *index;
            partition.current_leader_epoch = -1;
            partition.fetch_offset = offset;
            partition.partition_max_bytes = self.options.partition_max_bytes;
            if last != Some(topic) {
                let mut named = FetchTopic::default();
                if version >= FETCH_BY_ID {
                    named.topic_id = position.topic_id.into();
                } else {
                    named.topic = StrBytes::from(&**topic);
                }
                request.topics.push(named);
                last = Some(topic);
            }
            let topic = request.topics.last_mut().expect("one was just pushed");
            topic.partitions.push(partition);
        }
        Ok(request)
    }

    /// Takes the records out of an answer and moves the positions.
    fn take(&mut self, answer: FetchResponse, consumed: &mut Vec<Consumed>) -> Result<(), Failure> {
        admin::check(answer.error_code, None)?;
        for topic in answer.responses {
            let id = TopicId::from(topic.topic_id);
            let name = if id.is_zero() {
                Some(Arc::from(topic.topic.as_str()))
            } else {
                let mut named = self.positions.iter();
                let found = named.find(|(_, position)| position.topic_id == id);
                found.map(|((name, _), _)| Arc::clone(name))
            };
            let Some(name) = name else {
                continue;
            };
            for partition in topic.partitions {
                self.take_partition(&name, partition, consumed)?;
            }
        }
        Ok(())
    }

    fn take_partition(
        &mut self,
        topic: &Arc<str>,
        data: PartitionData,
        consumed: &mut Vec<Consumed>,
    ) -> Result<(), Failure> {
        let index = data.partition_index;
        let Some(position) = self.positions.get_mut(&(Arc::clone(topic), index)) else {
            return Ok(());
        };
        let code = data.error_code;
        if code == ErrorCode::OffsetOutOfRange.code() {
            position.offset = None;
            position.start = match self.options.start {
                Start::Offset(_) | Start::FromEnd(_) => Start::Latest,
                start @ (Start::Earliest | Start::Latest) => start,
            };
            self.stale = true;
            return Ok(());
        }
        if code == ErrorCode::CorruptMessage.code() {
            // It can be asked for again, and stays what it is.
            return Err(Failure::refused(format!(
                "Encountered corrupt message when fetching offset {} for topic-partition \
                 {topic}-{index}",
                position.offset.unwrap_or(0)
            )));
        }
        if code != ErrorCode::None.code() {
            self.stale = true;
            return if is_passing(code) {
                Ok(())
            } else {
                Err(refused(topic, index, code))
            };
        }
        let mut aborted = Aborted::new(data.aborted_transactions);
        let mut batches = Batches::new(data.records.unwrap_or_default());
        for batch in &mut batches {
            let (header, batch) = batch.map_err(|error| corrupt(topic, index, error.message()))?;
            if crc32c(&batch[CRC_COVERS_FROM..]) != header.crc {
                return Err(corrupt(
                    topic,
                    index,
                    "a batch's CRC is not that of its bytes",
                ));
            }
            let shown = aborted.shows(&header, &batch);
            if shown && !position.is_done() {
                append_records(topic, index, position, &batch, consumed)?;
            }
            position.offset = Some(header.next_offset().0.max(position.offset.unwrap_or(0)));
        }
        Ok(())
    }
}

/// Appends the records of a batch that are at or after the position, and before its end.
fn append_records(
    topic: &Arc<str>,
    partition: i32,
    position: &Position,
    batch: &Bytes,
    consumed: &mut Vec<Consumed>,
) -> Result<(), Failure> {
    let damaged =
        |error: ottla_core::wire::batch::BatchError| corrupt(topic, partition, error.message());
    let records = Records::open(batch).map_err(damaged)?;
    let timestamp_type = records.header().attributes.timestamp_type();
    let start = position.offset.unwrap_or(0);
    let end = position.end.unwrap_or(i64::MAX);
    for record in records {
        let record = record.map_err(damaged)?;
        if (start..end).contains(&record.offset.0) {
            let topic = Arc::clone(topic);
            consumed.push(Consumed {
                topic,
                partition,
                timestamp_type,
                record,
            });
        }
    }
    Ok(())
}

/// Whether an error passes once metadata are fresh.
fn is_passing(code: i16) -> bool {
    ErrorCode::from_code(code)
        .is_some_and(|error| error.is_retriable() || error == ErrorCode::OffsetNotAvailable)
}

fn refused(topic: &str, partition: i32, code: i16) -> Failure {
    Failure::refused(format!(
        "The broker refused to read {topic}-{partition}: {}",
        admin::words(code, None)
    ))
}

fn corrupt(topic: &str, partition: i32, what: &str) -> Failure {
    Failure::refused(format!(
        "The data of {topic}-{partition} cannot be read: {what}. Read on behind it with \
         --partition {partition} --offset N."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_not_the_end_of_a_topic() {
        let subscription = Subscription::Topic {
            name: "t".to_owned(),
            partition: Some(1),
            wait: false,
        };
        let start = Start::Offset(40);
        let options = FetchOptions {
            start,
            stop_at_end: false,
            isolation_level: 0,
            max_bytes: 1,
            partition_max_bytes: 1,
        };
        let mut fetcher = Fetcher::new(subscription, options);
        let topic: Arc<str> = Arc::from("t");
        let position = Position {
            topic_id: TopicId::default(),
            leader: 1,
            offset: Some(42),
            start,
            end: None,
        };
        fetcher.positions.insert((Arc::clone(&topic), 1), position);
        let mut data = PartitionData::default();
        data.partition_index = 1;
        data.error_code = ErrorCode::CorruptMessage.code();
        let taken = fetcher.take_partition(&topic, data, &mut Vec::new());
        assert_eq!(
            taken.expect_err("the batch is damaged").to_string(),
            "Encountered corrupt message when fetching offset 42 for topic-partition t-1"
        );
    }
}
