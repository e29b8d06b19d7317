//! A producer: records in, deliveries out.
//!
//! Records are collected into batches by partition, sent to leaders with a bounded number of
//! requests in flight, retried by policy, and reported one by one. Idempotent producers keep
//! order and leave no duplicate (KIP-98): a batch whose fate cannot be learned is reported as such
//! and never sent under another number. Transactions come with the transaction coordinator.

mod delivery;
mod drain;
mod options;
pub mod partitioner;
mod queue;
mod results;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

pub use delivery::{Delivered, DeliveryError, ProducerRecord, RecordId, Report, Undelivered};
pub use options::{Acks, ProducerOptions, RetryPolicy};
pub use partitioner::KeyHash;

use crate::client::cluster::{Cluster, Directory};
use crate::client::message::ClientRequest;
use crate::client::network::{CallId, ClientEffect, ClientInput, Network, Target};
use crate::client::producer::queue::{Batch, Identity, Queue};
use crate::ids::{NodeId, PartitionIndex, TopicName, TopicPartition};
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::wire::builder::BatchBuilder;

/// A record whose partition is not known yet.
#[derive(Clone, Debug)]
struct Unplaced {
    id: RecordId,
    record: ProducerRecord,
    deadline: Instant,
}

/// A batch under way.
#[derive(Clone, Debug)]
struct Sent {
    partition: TopicPartition,
    batch: Batch,
}

/// A request under way.
#[derive(Clone, Debug)]
struct SentRequest {
    node: NodeId,
    batches: Vec<Sent>,
}

/// How far the producer id is.
#[derive(Clone, Copy, Debug)]
enum IdentityState {
    Asked(CallId),
    Known(Identity),
    /// Not asked; ask from then on.
    Wanted(Instant),
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct Producer {
    options: ProducerOptions,
    network: Network,
    directory: Directory,
    rng: Rng,
    identity: IdentityState,
    next_record: u64,
    unplaced: VecDeque<Unplaced>,
    queues: BTreeMap<TopicPartition, Queue>,
    requests: BTreeMap<CallId, SentRequest>,
    /// Partitions whose sequence is broken, until the epoch is raised.
    broken: BTreeSet<TopicPartition>,
    sticky: BTreeMap<TopicName, PartitionIndex>,
    reports: VecDeque<Report>,
    is_flushing: bool,
    /// Rotates the partition that a request begins with.
    rotation: usize,
    /// When time passed last: what was due then and is not done waits for something else.
    last_time: Instant,
    /// When a record or a wish came after that.
    touched: Option<Instant>,
}

impl Producer {
    /// A producer that has connected to nobody yet.
    ///
    /// # Panics
    /// Where the options contradict each other: idempotence needs acks of all and at most 5
    /// requests in flight.
    #[must_use]
    pub fn new(options: ProducerOptions) -> Self {
        assert!(options.in_flight_max > 0, "something may be in flight");
        if options.is_idempotent {
            assert!(options.acks == Acks::All, "idempotence needs acks=all");
            assert!(options.in_flight_max <= 5, "brokers remember 5 batches");
        }
        Self {
            network: Network::new(options.network.clone()),
            directory: Directory::new(true),
            rng: Rng::new(options.seed),
            identity: IdentityState::Wanted(Instant(0)),
            next_record: 0,
            unplaced: VecDeque::new(),
            queues: BTreeMap::new(),
            requests: BTreeMap::new(),
            broken: BTreeSet::new(),
            sticky: BTreeMap::new(),
            reports: VecDeque::new(),
            is_flushing: false,
            rotation: 0,
            last_time: Instant(0),
            touched: None,
            options,
        }
    }

    /// Takes a record; its end comes by [`Self::next_report`]. Nothing is sent before the next
    /// [`Self::on_time`].
    pub fn send(&mut self, now: Now, record: ProducerRecord) -> RecordId {
        let id = RecordId(self.next_record);
        self.next_record += 1;
        self.touched = Some(now.instant);
        let (size_bytes, bytes_max) = (record.size_bytes_max(), self.options.request_bytes_max);
        if size_bytes > bytes_max {
            let error = DeliveryError::TooLarge {
                size_bytes,
                bytes_max,
            };
            self.report_failed(id, error, false);
            return id;
        }
        self.directory.want(now.instant, &record.topic);
        let unplaced = Unplaced {
            id,
            record,
            deadline: now.after(self.options.delivery_timeout),
        };
        // Records of one topic keep their order.
        if self.unplaced.is_empty() {
            if let Some(later) = self.place(now, unplaced) {
                self.unplaced.push_back(later);
            }
        } else {
            self.unplaced.push_back(unplaced);
        }
        id
    }

    /// Sends what lingers, until everything is acknowledged.
    pub fn flush(&mut self) {
        self.is_flushing = true;
        self.touched = Some(self.touched.unwrap_or(self.last_time));
    }

    /// Whether every record has had its end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unplaced.is_empty()
            && self.requests.is_empty()
            && self.queues.values().all(|queue| queue.batches.is_empty())
    }

    /// Records taken whose end has not come.
    #[must_use]
    pub fn records_waiting(&self) -> usize {
        let queued = self.queues.values().flat_map(|queue| &queue.batches);
        let sent = self.requests.values().flat_map(|sent| &sent.batches);
        self.unplaced.len()
            + queued.map(|batch| batch.records.len()).sum::<usize>()
            + sent.map(|sent| sent.batch.records.len()).sum::<usize>()
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.directory.cluster
    }

    /// Takes an input of the driver.
    pub fn on_input(&mut self, now: Now, input: ClientInput) {
        self.network.on_input(now.instant, input);
        self.on_time(now);
    }

    /// Lets time pass; sends what is due.
    pub fn on_time(&mut self, now: Now) {
        self.last_time = now.instant;
        self.touched = None;
        self.network.on_time(now.instant);
        loop {
            self.directory.on_time(now.instant, &mut self.network);
            self.place_all(now);
            self.expire(now.instant);
            self.maybe_raise_epoch();
            self.maybe_ask_identity(now.instant);
            self.drain(now.instant);
            let mut is_quiet = true;
            while let Some(answer) = self.network.next_answer() {
                is_quiet = false;
                if !self
                    .directory
                    .on_answer(now.instant, &answer, &mut self.network)
                {
                    self.on_answer(now.instant, answer);
                }
            }
            if is_quiet {
                break;
            }
        }
        if self.is_flushing && self.is_idle() {
            self.is_flushing = false;
        }
    }

    fn place_all(&mut self, now: Now) {
        for unplaced in std::mem::take(&mut self.unplaced) {
            if let Some(later) = self.place(now, unplaced) {
                self.unplaced.push_back(later);
            }
        }
    }

    /// Adds a record to its partition's batch; gives it back where the topic is not known.
    fn place(&mut self, now: Now, unplaced: Unplaced) -> Option<Unplaced> {
        let record = &unplaced.record;
        let Some(topic) = self.directory.cluster.topics.get(&record.topic) else {
            let error = self.directory.cluster.errors.get(&record.topic);
            return match error {
                Some(code) if !code.is_retriable() => {
                    let error = DeliveryError::Broker {
                        code: *code,
                        message: String::new(),
                    };
                    self.report_failed(unplaced.id, error, false);
                    None
                }
                Some(_) | None => Some(unplaced),
            };
        };
        let count = u32::try_from(topic.partitions.len()).expect("a topic's partitions");
        if count == 0 {
            return Some(unplaced);
        }
        let index = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => self.options.key_hash.partition(key, count),
            (None, None) => self.sticky(record, count),
        };
        if !self.directory.cluster.topics[&record.topic]
            .partitions
            .contains_key(&index)
        {
            self.report_failed(unplaced.id, DeliveryError::NoPartition, false);
            return None;
        }
        self.append(now, index, unplaced);
        None
    }

    /// Where a record without a key goes: where the last one went, while its batch has room.
    fn sticky(&mut self, record: &ProducerRecord, count: u32) -> PartitionIndex {
        let Some(index) = self.sticky.get(&record.topic) else {
            return self.pick_sticky(&record.topic, count);
        };
        let partition = TopicPartition {
            topic: record.topic.clone(),
            partition: *index,
        };
        let (size, max) = (record_bytes_max(record), self.options.batch_bytes_max);
        let queue = self.queues.get_mut(&partition);
        if queue.is_some_and(|queue| queue.close_if_full(size, max)) {
            return self.pick_sticky(&record.topic, count);
        }
        partition.partition
    }

    fn pick_sticky(&mut self, topic: &TopicName, count: u32) -> PartitionIndex {
        let index = self.rng.below(u64::from(count));
        let index = PartitionIndex(i32::try_from(index).expect("a partition's index"));
        self.sticky.insert(topic.clone(), index);
        index
    }

    fn append(&mut self, now: Now, index: PartitionIndex, unplaced: Unplaced) {
        let Unplaced { id, record, .. } = unplaced;
        let is_sticky = record.key.is_none() && record.partition.is_none();
        let partition = TopicPartition {
            topic: record.topic.clone(),
            partition: index,
        };
        let record_bytes = record_bytes_max(&record);
        let batch_bytes_max = self.options.batch_bytes_max;
        let compression = self.options.compression;
        let queue = self.queues.entry(partition).or_default();
        let batch = queue.open_batch(
            |builder| builder.size_bytes() + record_bytes <= batch_bytes_max,
            || BatchBuilder::new(compression),
            now.instant,
            self.options.delivery_timeout,
        );
        batch.records.push(id);
        let builder = batch.builder_mut().expect("an open batch");
        builder.push_with_headers(
            record.timestamp.unwrap_or(now.wall),
            record.key.as_deref(),
            record.value.as_deref(),
            &record.headers,
        );
        if builder.size_bytes() + SMALL_RECORD_BYTES > batch_bytes_max {
            batch.close();
            if is_sticky {
                // The next records without a key try another partition.
                self.sticky.remove(&record.topic);
            }
        }
    }

    fn maybe_ask_identity(&mut self, now: Instant) {
        let IdentityState::Wanted(at) = self.identity else {
            return;
        };
        if !self.options.is_idempotent || at > now || self.queues.is_empty() {
            return;
        }
        let mut request = kafka_wire::InitProducerIdRequest::default();
        // Null, not empty: an empty id is refused (Apache Kafka 4.3.1).
        request.transactional_id = None;
        request.transaction_timeout_ms = i32::MAX;
        let call = self
            .network
            .call(now, Target::Any, ClientRequest::InitProducerId(request));
        self.identity = IdentityState::Asked(call);
    }

    /// When [`Self::on_time`] would do something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let unplaced = self.unplaced.iter().map(|unplaced| unplaced.deadline);
        let queues = self.queues.values();
        let ready = queues.clone().filter_map(|queue| queue.batches.front());
        let ready = ready.map(|first| first.ready_at(self.options.linger));
        let batches = queues.flat_map(|queue| &queue.batches);
        let expiry = batches.map(|batch| batch.deadline);
        let identity = match self.identity {
            IdentityState::Wanted(at) if self.options.is_idempotent => Some(at),
            IdentityState::Wanted(_) | IdentityState::Asked(_) | IdentityState::Known(_) => None,
        };
        let own = unplaced.chain(ready).chain(expiry).chain(identity);
        let others = [
            self.network.next_deadline(),
            self.directory.next_deadline(),
            self.touched,
        ];
        own.filter(|at| *at > self.last_time)
            .chain(others.into_iter().flatten())
            .min()
    }

    /// The next record's end.
    pub fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Moves the effects to the end of `effects`.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        self.network.take_effects(effects);
    }

    /// Closes every connection; what is not acknowledged has no end.
    pub fn close(&mut self) {
        self.network.close();
    }
}

/// A batch with less room than this is closed.
const SMALL_RECORD_BYTES: usize = 64;

/// The most that a record adds to a batch.
fn record_bytes_max(record: &ProducerRecord) -> usize {
    // Lengths, deltas and attributes: at most 5 varints of 5 bytes and 2 of 10.
    const FRONT_BYTES: usize = 48;
    let length = |field: &Option<Bytes>| field.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter();
    let headers: usize = headers
        .map(|header| header.key.len() + length(&header.value) + 10)
        .sum();
    FRONT_BYTES + length(&record.key) + length(&record.value) + headers
}
