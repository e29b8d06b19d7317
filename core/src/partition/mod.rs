//! One replica of a partition: its log, its place in replication, and who waits for it.
//!
//! A partition decides what may be appended and read here and now; it does not know how requests
//! look on the wire, nor other partitions. Today every replica leads alone, and its high watermark
//! is the mark of its log that the flush policy names; followers, the ISR and transactions add
//! states here. Compare Kafka's `Partition`; KIP-101, KIP-279, KIP-320.

mod append;
mod conform;
pub mod opening;
mod read;
mod settings;
mod table;
mod watermark;

pub use append::{AppendRefusal, Appended};
pub use read::{ReadLimit, ReadRefusal, ReadResult, Resumed, Visibility};
pub use settings::TopicConfig;
pub use table::PartitionTable;
pub use watermark::{Acknowledgement, WaitingPart, Wakeups};

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::config::LogConfig;
use crate::counters::Traffic;
use crate::error::ErrorCode;
use crate::ids::{
    DirectoryIndex, LeaderEpoch, LogId, Offset, PartitionIndex, TopicId, TopicName, TopicPartition,
};
use crate::log::Log;
use crate::waiting::WaitId;

/// What a partition is, apart from its log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartitionIdentity {
    /// The log's id in this incarnation of the node.
    pub log: LogId,
    /// The topic's name.
    pub topic: TopicName,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The partition's index.
    pub index: PartitionIndex,
    /// The data directory its log lies in.
    pub directory: DirectoryIndex,
}

impl PartitionIdentity {
    /// The partition's name.
    #[must_use]
    pub fn name(&self) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.topic),
            partition: self.index,
        }
    }
}

/// One replica of a partition, leading.
#[derive(Clone, Debug)]
pub struct Partition {
    identity: PartitionIdentity,
    config: Arc<LogConfig>,
    log: Log,
    leader_epoch: LeaderEpoch,
    /// Highest offset known to be on every in-sync replica; consumers read below it. Exclusive
    /// end. Does not regress within one leader epoch. Invariant: `high_watermark <=
    /// log_end_offset`. Never used to truncate (KIP-101).
    high_watermark: Offset,
    /// acks=1 requests, by the end offset that must be written.
    until_written: VecDeque<Acknowledgement>,
    /// acks=all requests, by the end offset the high watermark must reach.
    until_committed: VecDeque<Acknowledgement>,
    /// Fetches to look at again when the high watermark moves or a read of the disk ends.
    fetches: BTreeSet<WaitId>,
    traffic: Traffic,
    /// Nothing beyond is acknowledged, whatever its own log says: another copy of it does not have
    /// more yet.
    hold: Option<Hold>,
    /// The offset at which damage on the disk was told of last.
    damage_told: Option<Offset>,
}

/// How far the writes of a partition may be acknowledged while its log moves to another directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hold {
    /// For acks=1: what is written there too.
    pub written: Offset,
    /// For acks=all, and for readers: what is durable there too.
    pub committed: Offset,
}

impl Partition {
    /// A replica that leads in `leader_epoch` from now on.
    #[must_use]
    pub fn lead(
        identity: PartitionIdentity,
        config: Arc<LogConfig>,
        log: Log,
        leader_epoch: LeaderEpoch,
    ) -> Self {
        let mut partition = Self {
            identity,
            config,
            log,
            leader_epoch,
            high_watermark: Offset::ZERO,
            until_written: VecDeque::new(),
            until_committed: VecDeque::new(),
            fetches: BTreeSet::new(),
            traffic: Traffic::default(),
            hold: None,
            damage_told: None,
        };
        partition.high_watermark = partition.committed_end();
        partition
    }

    /// What it is.
    #[must_use]
    pub fn identity(&self) -> &PartitionIdentity {
        &self.identity
    }

    /// Its topic's name and its index.
    #[must_use]
    pub fn topic_partition(&self) -> TopicPartition {
        self.identity.name()
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its log, for what does not concern replication: disk answers, retention, closing.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Lets acknowledgements go no further than `hold`; `None` is as far as the log goes.
    pub fn hold(&mut self, hold: Option<Hold>) {
        self.hold = hold;
    }

    /// Goes on with a copy of its log, in another directory, that has all of it; answers the former
    /// log.
    pub fn change_log(&mut self, log: Log, directory: DirectoryIndex) -> Log {
        assert!(
            log.log_end_offset() == self.log.log_end_offset(),
            "the copy has everything"
        );
        assert!(
            log.written() >= self.high_watermark,
            "what is acknowledged is in the copy"
        );
        self.identity.log = log.id();
        self.identity.directory = directory;
        std::mem::replace(&mut self.log, log)
    }

    /// The topic's configuration.
    #[must_use]
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// The topic's configuration changed.
    pub fn reconfigure(&mut self, config: TopicConfig) {
        self.log.reconfigure(config.log);
        self.config = config.whole;
    }

    /// The epoch it leads in.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The controller raised the epoch; it never goes back.
    pub fn set_leader_epoch(&mut self, epoch: LeaderEpoch) {
        assert!(epoch >= self.leader_epoch, "leader epochs never go back");
        self.leader_epoch = epoch;
    }

    /// Exclusive end of what consumers may read.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Exclusive end of what consumers of committed records may read (K56).
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        match self.log.producers().first_open_transaction() {
            Some(start) => start.min(self.high_watermark),
            None => self.high_watermark,
        }
    }

    /// Checks the leader epoch that a client believes in (K58, KIP-320); `-1` is not checked.
    ///
    /// # Errors
    /// `FENCED_LEADER_EPOCH` where the client is behind, `UNKNOWN_LEADER_EPOCH` where we are.
    pub fn check_leader_epoch(&self, believed: LeaderEpoch) -> Result<(), ErrorCode> {
        if believed == LeaderEpoch::NONE || believed == self.leader_epoch {
            Ok(())
        } else if believed < self.leader_epoch {
            Err(ErrorCode::FencedLeaderEpoch)
        } else {
            Err(ErrorCode::UnknownLeaderEpoch)
        }
    }

    /// What went through it.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Counts its part of a Fetch answer.
    pub fn on_fetched(&mut self, records_bytes: u64, is_error: bool) {
        self.traffic.fetches += 1;
        self.traffic.bytes_out += records_bytes;
        self.traffic.fetches_refused += u64::from(is_error);
    }

    /// Parks a fetch here: it is looked at again when there is news.
    pub fn park_fetch(&mut self, id: WaitId) {
        self.fetches.insert(id);
    }

    /// A parked fetch was answered or its client is gone.
    pub fn unpark_fetch(&mut self, id: WaitId) {
        self.fetches.remove(&id);
    }
}
