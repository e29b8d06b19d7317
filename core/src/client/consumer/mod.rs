//! A consumer of assigned partitions: records in order, by offset or by time.
//!
//! Fetches from each leader with one request in flight, with or without sessions, and follows
//! leaders as they move. Who is assigned what is the caller's business here, or that of
//! [`crate::client::group`].

mod buffered;
mod fetching;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::client::cluster::{Cluster, Directory};
use crate::client::consumer::buffered::Buffered;
use crate::client::consumer::session::Session;
use crate::client::network::{
    CallError, CallId, ClientEffect, ClientInput, Network, NetworkOptions,
};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, Offset, TopicPartition};
use crate::time::{Instant, Timestamp};
use crate::wire::batch::{BatchError, TimestampType};
use crate::wire::records::Record;

/// Which records are read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Isolation {
    /// Those of committed transactions, and those outside of any.
    Committed,
    /// All below the high watermark.
    #[default]
    Uncommitted,
}

impl Isolation {
    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::Committed => 1,
            Self::Uncommitted => 0,
        }
    }
}

/// Where to read from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartAt {
    /// The first record that is there.
    Earliest,
    /// What comes next.
    Latest,
    /// This offset.
    Offset(Offset),
    /// The first record with this time or a later one; the end where there is none.
    Time(Timestamp),
}

/// What a consumer is made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConsumerOptions {
    /// Where the cluster is.
    pub network: NetworkOptions,
    /// Bytes fetched and not read at which a partition is fetched no further.
    pub buffer_bytes_max: usize,
    /// Whether CRCs are checked (`check.crcs`).
    pub checks_crcs: bool,
    /// Which records are read.
    pub isolation: Isolation,
    /// Bytes of one Fetch.
    pub max_bytes: i32,
    /// How long a Fetch may wait for data.
    pub max_wait: Duration,
    /// Bytes a Fetch waits for.
    pub min_bytes: i32,
    /// Bytes of one partition in one Fetch.
    pub partition_max_bytes: i32,
    /// Where to go from an offset that is not there; `None` reports it.
    pub reset: Option<StartAt>,
    /// Wait after a failure.
    pub retry_backoff: Duration,
    /// Whether fetch sessions are used (KIP-227).
    pub uses_sessions: bool,
}

impl ConsumerOptions {
    /// The Java client's defaults.
    #[must_use]
    pub fn new(network: NetworkOptions) -> Self {
        Self {
            network,
            buffer_bytes_max: 1024 * 1024,
            checks_crcs: true,
            isolation: Isolation::Uncommitted,
            max_bytes: 50 * 1024 * 1024,
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            partition_max_bytes: 1024 * 1024,
            reset: Some(StartAt::Latest),
            retry_backoff: Duration::from_millis(100),
            uses_sessions: true,
        }
    }
}

/// Records of one batch of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Consumed {
    /// The partition.
    pub partition: TopicPartition,
    /// What the records' times are.
    pub timestamp_type: TimestampType,
    /// The records, in order; at least one.
    pub records: Vec<Record>,
}

/// Why a partition cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConsumeError {
    /// A batch is damaged; it is fetched again.
    Batch(BatchError),
    /// The broker's answer.
    Broker(ErrorCode),
    /// The broker cannot be asked: no version in common, or one that cannot say it.
    Call(CallError),
    /// The offset is not there, and there is no rule where to go.
    OutOfRange {
        /// The position.
        offset: Offset,
    },
}

impl fmt::Display for ConsumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(error) => error.fmt(f),
            Self::Broker(code) => f.write_str(code.name()),
            Self::Call(error) => error.fmt(f),
            Self::OutOfRange { offset } => write!(f, "offset {offset} is not in the log"),
        }
    }
}

/// Where a partition is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Position {
    /// Known.
    At(Offset),
    /// To be looked up: a ListOffsets timestamp.
    Lookup(i64),
    /// Being looked up.
    LookingUp(i64, CallId),
    /// Not readable until it is sought.
    Stopped,
}

/// An assigned partition.
#[derive(Clone, Debug)]
struct Assigned {
    position: Position,
    /// The leader epoch of the last batch read.
    read_epoch: LeaderEpoch,
    /// Raised by each seek, so that what was fetched before is dropped.
    turn: u64,
    is_paused: bool,
    high_watermark: Offset,
    buffered: VecDeque<Buffered>,
    retry_at: Instant,
}

/// A Fetch under way.
#[derive(Clone, Debug)]
struct Fetching {
    node: NodeId,
    /// The partitions asked for, with their turn and offset then.
    asked: BTreeMap<TopicPartition, (u64, Offset)>,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct Consumer {
    options: ConsumerOptions,
    network: Network,
    directory: Directory,
    assigned: BTreeMap<TopicPartition, Assigned>,
    sessions: BTreeMap<NodeId, Session>,
    fetches: BTreeMap<CallId, Fetching>,
    retry_at: BTreeMap<NodeId, Instant>,
    errors: VecDeque<(TopicPartition, ConsumeError)>,
    next_turn: u64,
    last_time: Instant,
    touched: bool,
    /// The partition read last, so that each has its turn.
    read_last: Option<TopicPartition>,
}

impl Consumer {
    /// A consumer of nothing yet.
    #[must_use]
    pub fn new(options: ConsumerOptions) -> Self {
        Self {
            network: Network::new(options.network.clone()),
            options,
            directory: Directory::new(false),
            assigned: BTreeMap::new(),
            sessions: BTreeMap::new(),
            fetches: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            errors: VecDeque::new(),
            next_turn: 0,
            last_time: Instant(0),
            touched: false,
            read_last: None,
        }
    }

    /// Reads a partition from now on, from there; also moves one that is read already. Nothing is
    /// sent before the next [`Self::on_time`].
    pub fn assign(&mut self, now: Instant, partition: &TopicPartition, start: StartAt) {
        self.directory.want(now, &partition.topic);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.touched = true;
        let is_paused = self
            .assigned
            .get(partition)
            .is_some_and(|before| before.is_paused);
        let assigned = Assigned {
            position: lookup(start),
            read_epoch: LeaderEpoch::NONE,
            turn,
            is_paused,
            high_watermark: Offset::NONE,
            buffered: VecDeque::new(),
            retry_at: Instant(0),
        };
        self.assigned.insert(partition.clone(), assigned);
    }

    /// Reads a partition no more.
    pub fn unassign(&mut self, partition: &TopicPartition) {
        self.assigned.remove(partition);
        let mut others = self.assigned.keys();
        if !others.any(|other| other.topic == partition.topic) {
            self.directory.forget(&partition.topic);
        }
    }

    /// Fetches a partition no more, or again; what is buffered is still read.
    pub fn set_paused(&mut self, partition: &TopicPartition, is_paused: bool) {
        if let Some(assigned) = self.assigned.get_mut(partition) {
            assigned.is_paused = is_paused;
            self.touched = true;
        }
    }

    /// The offset read next; `None` while it is not known.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        match self.assigned.get(partition)?.position {
            Position::At(offset) => Some(offset),
            Position::Lookup(_) | Position::LookingUp(..) | Position::Stopped => None,
        }
    }

    /// The leader epoch of what was read last; `NONE` before.
    #[must_use]
    pub fn read_epoch(&self, partition: &TopicPartition) -> LeaderEpoch {
        let assigned = self.assigned.get(partition);
        assigned.map_or(LeaderEpoch::NONE, |assigned| assigned.read_epoch)
    }

    /// The high watermark that the last Fetch told; `None` before.
    #[must_use]
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        let mark = self.assigned.get(partition)?.high_watermark;
        (mark != Offset::NONE).then_some(mark)
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.directory.cluster
    }

    /// Takes an input of the driver.
    pub fn on_input(&mut self, now: Instant, input: ClientInput) {
        self.network.on_input(now, input);
        self.on_time(now);
    }

    /// Lets time pass; asks for what is wanted.
    pub fn on_time(&mut self, now: Instant) {
        self.last_time = now;
        self.touched = false;
        self.network.on_time(now);
        loop {
            self.directory.on_time(now, &mut self.network);
            self.look_up(now);
            self.fetch(now);
            let mut is_quiet = true;
            while let Some(answer) = self.network.next_answer() {
                is_quiet = false;
                if !self.directory.on_answer(now, &answer, &mut self.network) {
                    self.on_answer(now, answer);
                }
            }
            if is_quiet {
                break;
            }
        }
    }

    /// When [`Self::on_time`] would do something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let partitions = self.assigned.values().map(|assigned| assigned.retry_at);
        let nodes = self.retry_at.values().copied();
        let others = [
            self.network.next_deadline(),
            self.directory.next_deadline(),
            self.touched.then_some(self.last_time),
        ];
        partitions
            .chain(nodes)
            .filter(|at| *at > self.last_time)
            .chain(others.into_iter().flatten())
            .min()
    }

    /// The next records of any partition, batch by batch; partitions take turns.
    pub fn next_records(&mut self) -> Option<Consumed> {
        let after = self.read_last.clone();
        let is_after = |partition: &TopicPartition| Some(partition) > after.as_ref();
        let keys = self.assigned.keys();
        let later = keys.clone().filter(|partition| is_after(partition));
        let earlier = keys.filter(|partition| !is_after(partition));
        let order: Vec<TopicPartition> = later.chain(earlier).cloned().collect();
        for partition in order {
            if let Some((timestamp_type, records)) = self.read(&partition) {
                self.read_last = Some(partition.clone());
                return Some(Consumed {
                    partition,
                    timestamp_type,
                    records,
                });
            }
        }
        None
    }

    fn read(&mut self, partition: &TopicPartition) -> Option<(TimestampType, Vec<Record>)> {
        let assigned = self.assigned.get_mut(partition)?;
        loop {
            let Position::At(position) = assigned.position else {
                return None;
            };
            let buffered = assigned.buffered.front_mut()?;
            match buffered.open_next(position) {
                None => {
                    assigned.buffered.pop_front();
                    self.touched = true;
                }
                Some(Ok(opened)) => {
                    assigned.position = Position::At(opened.next_offset);
                    assigned.read_epoch = opened.leader_epoch;
                    if !opened.records.is_empty() {
                        return Some((opened.timestamp_type, opened.records));
                    }
                }
                Some(Err(error)) => {
                    // What follows cannot be trusted: fetch it again, a little later.
                    assigned.buffered.clear();
                    assigned.retry_at = self.last_time.after(self.options.retry_backoff);
                    let error = ConsumeError::Batch(error);
                    self.errors.push_back((partition.clone(), error));
                    return None;
                }
            }
        }
    }

    /// The next trouble with a partition, if there is any.
    pub fn next_error(&mut self) -> Option<(TopicPartition, ConsumeError)> {
        self.errors.pop_front()
    }

    /// Moves the effects to the end of `effects`.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        self.network.take_effects(effects);
    }

    /// Closes every connection.
    pub fn close(&mut self) {
        self.network.close();
    }

    fn leader_epoch(&self, partition: &TopicPartition) -> LeaderEpoch {
        let view = self.directory.cluster.partition(partition);
        view.map_or(LeaderEpoch::NONE, |view| view.leader_epoch)
    }
}

/// ListOffsets' special timestamps.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

fn lookup(start: StartAt) -> Position {
    match start {
        StartAt::Earliest => Position::Lookup(EARLIEST),
        StartAt::Latest => Position::Lookup(LATEST),
        StartAt::Offset(offset) => Position::At(offset),
        StartAt::Time(time) => Position::Lookup(time.0),
    }
}
