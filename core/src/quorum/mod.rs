//! The metadata quorum: this node's replica of `__cluster_metadata-0`, and its vote in it.
//!
//! Today the quorum has one voter: it elects itself in a new epoch at every start, and what is
//! synced is committed. The replica keeps what a larger quorum needs (epochs, the vote file, the
//! voters' records), so that votes and pulled replication are additions. It writes and commits
//! records; it does not know what they mean. Source: KIP-595, KIP-630, KIP-853.

mod batches;
pub mod directory;
pub mod format;
mod load;
mod snapshots;
pub mod state_file;

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::ErrorCode;
use crate::ids::{DirectoryId, DirectoryIndex, Generation, LeaderEpoch, LogId, NodeId, Offset};
use crate::limits::METADATA_BATCH_BYTES_MAX;
use crate::log::{LeaderBatch, Log, LogMemory};
use crate::metadata::control::ControlRecord;
use crate::metadata::records::MetadataRecord;
use crate::storage::{DiskOp, LogFile, Token};
use crate::time::{Now, Timestamp};
use crate::waiting::WaitId;
use crate::wire::batch::PreparedBatch;

pub use load::{Load, LoadError, Loaded};
use snapshots::Snapshots;

/// The folder of the metadata log.
pub const METADATA_FOLDER: &str = "__cluster_metadata-0";

/// The data directory it lies in.
pub const METADATA_DIRECTORY: DirectoryIndex = DirectoryIndex(0);

/// Records that are committed: to be applied to the image, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Offset after the last of them.
    pub end_offset: Offset,
    /// The epoch they were written in.
    pub epoch: LeaderEpoch,
    /// When they were written.
    pub timestamp: Timestamp,
    /// The records.
    pub records: Vec<MetadataRecord>,
}

/// A voter's replica of the metadata log, leading.
#[derive(Clone, Debug)]
pub struct Quorum {
    node: NodeId,
    directory: DirectoryId,
    log: Log,
    epoch: LeaderEpoch,
    /// Everything below is committed. Invariant: at most `log.flushed()`.
    high_watermark: Offset,
    /// Written and not committed, in order.
    uncommitted: VecDeque<Committed>,
    /// Requests to answer once the offset is applied, in order.
    waiters: VecDeque<(Offset, WaitId)>,
    snapshots: Snapshots,
}

/// Records that are to be written together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposal {
    bytes: Bytes,
    records: Vec<MetadataRecord>,
}

impl Proposal {
    /// The records.
    #[must_use]
    pub fn records(&self) -> &[MetadataRecord] {
        &self.records
    }
}

/// Who votes, as far as this voter is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Voter {
    /// Its id.
    pub node: NodeId,
    /// Its metadata directory.
    pub directory: DirectoryId,
}

impl Quorum {
    /// Becomes the leader of a quorum of one, in the epoch after `last_epoch`: notes the vote,
    /// begins the epoch with a `LeaderChange` record and, in a log that is new, with the quorum's
    /// version and voters. Nothing is committed before that is synced.
    #[must_use]
    pub fn lead(
        now: Now,
        voter: &Voter,
        last_epoch: LeaderEpoch,
        log: Log,
        (memory, disk): (&mut LogMemory, &mut Vec<DiskOp>),
    ) -> Self {
        let epoch = LeaderEpoch(last_epoch.0 + 1);
        assert!(epoch.0 >= 1, "epochs of leaders begin at 1");
        assert!(
            log.epochs().latest() <= Some(last_epoch),
            "no record is of a later epoch than the last"
        );
        let mut quorum = Self {
            node: voter.node,
            directory: voter.directory,
            epoch,
            high_watermark: log.flushed(),
            log,
            uncommitted: VecDeque::new(),
            waiters: VecDeque::new(),
            snapshots: Snapshots::default(),
        };
        quorum.save_state(disk);
        let mut records = vec![format::leader_change(voter.node)];
        if quorum.log.log_end_offset() == Offset::ZERO {
            records.extend(format::quorum_records(voter.node, voter.directory));
        }
        quorum.append_control(now, &records, memory, disk);
        quorum
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The id of the log.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.log.id()
    }

    /// The epoch this node leads in.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The leader of the quorum.
    #[must_use]
    pub fn leader(&self) -> NodeId {
        self.node
    }

    /// The metadata directory of this voter.
    #[must_use]
    pub fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// Everything below is committed.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Offset the next proposal begins at.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    /// Records as the one batch they will be in the log: all of them are kept or none, whatever
    /// becomes of the disk.
    ///
    /// # Errors
    /// `POLICY_VIOLATION` where they are too many for a batch.
    pub fn prepare(now: Now, records: Vec<MetadataRecord>) -> Result<Proposal, ErrorCode> {
        assert!(!records.is_empty(), "a proposal says something");
        let bytes = batches::of_metadata(now.wall, &records);
        if bytes.len() > METADATA_BATCH_BYTES_MAX {
            return Err(ErrorCode::PolicyViolation);
        }
        Ok(Proposal { bytes, records })
    }

    /// Writes a proposal; answers the offset after it. It is committed, and told by
    /// [`Self::take_committed`], once it is synced.
    ///
    /// # Errors
    /// `KAFKA_STORAGE_ERROR` where the log's disk is full or failed; then nothing was written.
    pub fn propose(
        &mut self,
        now: Now,
        proposal: Proposal,
        memory: &mut LogMemory,
        disk: &mut Vec<DiskOp>,
    ) -> Result<Offset, ErrorCode> {
        self.snapshots.bytes_since += proposal.bytes.len() as u64;
        let batch = leader_batch(proposal.bytes);
        let appended = self
            .log
            .append_as_leader(now, &batch, self.epoch, memory, disk)
            .map_err(|error| error.code())?;
        self.uncommitted.push_back(Committed {
            end_offset: appended.end_offset,
            epoch: self.epoch,
            timestamp: now.wall,
            records: proposal.records,
        });
        Ok(appended.end_offset)
    }

    fn append_control(
        &mut self,
        now: Now,
        records: &[ControlRecord],
        memory: &mut LogMemory,
        disk: &mut Vec<DiskOp>,
    ) {
        let bytes = batches::of_control(now.wall, records);
        let batch = leader_batch(bytes);
        let appended = self
            .log
            .append_as_leader(now, &batch, self.epoch, memory, disk)
            .expect("a log that was just opened takes a batch of a hundred bytes");
        self.uncommitted.push_back(Committed {
            end_offset: appended.end_offset,
            epoch: self.epoch,
            timestamp: now.wall,
            records: Vec::new(),
        });
    }

    /// Answers request `id` once everything below `end_offset` is applied.
    pub fn await_commit(&mut self, end_offset: Offset, id: WaitId) {
        assert!(
            self.waiters
                .back()
                .is_none_or(|(last, _)| *last <= end_offset),
            "proposals are made in order"
        );
        self.waiters.push_back((end_offset, id));
    }

    /// The log's appends are written.
    pub fn on_appended(&mut self, generation: Generation, end: Offset, memory: &mut LogMemory) {
        self.log.on_appended(generation, end, memory);
    }

    /// The log's appends are durable: with one voter, committed.
    pub fn on_synced(&mut self, generation: Generation, end: Offset, memory: &mut LogMemory) {
        self.log.on_synced(generation, end, memory);
        let flushed = self.log.flushed();
        assert!(
            flushed >= self.high_watermark,
            "the high watermark never goes back"
        );
        self.high_watermark = flushed;
    }

    /// The log, for disk answers that do not commit anything.
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// Hands what was proposed in this turn to the disk.
    pub fn settle(&mut self, now: Now, disk: &mut Vec<DiskOp>) {
        self.log.settle(now, disk);
    }

    /// The next records that are committed and were not told yet.
    pub fn take_committed(&mut self) -> Option<Committed> {
        let next = self.uncommitted.front()?;
        if next.end_offset > self.high_watermark {
            return None;
        }
        self.uncommitted.pop_front()
    }

    /// A request whose records are applied, below `applied`.
    pub fn take_waiter(&mut self, applied: Offset) -> Option<WaitId> {
        let &(end_offset, _) = self.waiters.front()?;
        if end_offset > applied {
            return None;
        }
        self.waiters.pop_front().map(|(_, id)| id)
    }

    /// The log was cut at `end_offset`: with one voter, what it keeps is committed.
    pub fn on_truncated(&mut self, generation: Generation, end_offset: Offset) {
        if self.log.on_truncated(generation, end_offset) {
            self.high_watermark = self.high_watermark.max(self.log.flushed());
        }
    }

    /// Everything proposed from `end_offset` on is lost: the requests that waited for it. What is
    /// below it is in the log, and will be committed.
    pub fn fail_from(&mut self, end_offset: Offset) -> Vec<WaitId> {
        self.uncommitted
            .retain(|proposed| proposed.end_offset <= end_offset);
        let kept = self.waiters.partition_point(|(end, _)| *end <= end_offset);
        self.waiters.drain(kept..).map(|(_, id)| id).collect()
    }

    /// The records that are in the log and not told as committed yet, in order.
    pub fn untold_records(&self) -> impl Iterator<Item = &MetadataRecord> {
        self.uncommitted
            .iter()
            .flat_map(|proposed| &proposed.records)
    }

    fn save_state(&self, disk: &mut Vec<DiskOp>) {
        disk.push(DiskOp::SaveLogFile {
            log: self.log.id(),
            file: LogFile::QuorumState,
            bytes: state_file::of_leader(self.node, self.epoch),
            token: Token::of_node(0),
        });
    }
}

fn leader_batch(bytes: Bytes) -> LeaderBatch {
    let prepared = PreparedBatch::from_log(bytes).expect("we built it ourselves");
    LeaderBatch::new(&prepared)
}
