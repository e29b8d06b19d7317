//! Appending: stamping a batch, choosing its segment, and handing it to the disk.
//!
//! Nothing is decoded and nothing of a batch is copied, except a small one that would pin a large
//! read buffer. Compare Kafka's `UnifiedLog.append`, `LocalLog.roll`.

use std::fmt;

use bytes::Bytes;

use super::batch::{BatchInfo, LeaderBatch};
use super::index::{GrowingIndex, IndexEntry};
use super::producer_state::{SequenceCheck, SequenceError};
use super::segment::ActiveSegment;
use super::{FlushPolicy, InFlight, Log, LogMemory, LogState, SegmentPoint};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, LogId, Offset};
use crate::storage::{DiskOp, LogFile};
use crate::time::{Instant, Now, Timestamp};

/// What became of an append.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AppendInfo {
    /// Offset of the batch's first record.
    pub base_offset: Offset,
    /// The offset after its last record; the write is acknowledged once a mark reaches it.
    pub end_offset: Offset,
    /// The batch was in the log already (K40): nothing was appended.
    pub is_duplicate: bool,
    /// The batch's largest timestamp, as stored.
    pub max_timestamp: Timestamp,
}

/// Why nothing was appended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AppendError {
    /// The batch is larger than `segment.bytes`.
    LargerThanSegment,
    /// A follower was given a batch that does not follow its last one.
    OutOfOrder,
    /// The producer's numbering forbids it.
    Sequence(SequenceError),
    /// The directory failed, or the disk is full.
    Storage,
}

impl AppendError {
    /// The error a Produce answers with.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::LargerThanSegment => ErrorCode::RecordListTooLarge,
            Self::OutOfOrder => ErrorCode::CorruptMessage,
            Self::Sequence(SequenceError::FencedEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
            Self::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
            Self::Storage => ErrorCode::KafkaStorageError,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LargerThanSegment => f.write_str("the batch is larger than segment.bytes"),
            Self::OutOfOrder => f.write_str("the batch does not follow the log's last one"),
            Self::Sequence(SequenceError::FencedEpoch { newest }) => {
                write!(f, "the producer's newest epoch is {newest}")
            }
            Self::Sequence(SequenceError::OutOfOrder { last }) => {
                write!(f, "the producer's last sequence is {last}")
            }
            Self::Storage => f.write_str("the log's disk is full or failed"),
        }
    }
}

impl Log {
    /// Appends a validated batch at the end of the log, as the leader of `leader_epoch`.
    ///
    /// The batch is readable at once and reaches the disk with [`Self::settle`].
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the log is unchanged.
    pub fn append_as_leader(
        &mut self,
        now: Now,
        batch: &LeaderBatch,
        leader_epoch: LeaderEpoch,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Result<AppendInfo, AppendError> {
        if self.state != LogState::Usable {
            return Err(AppendError::Storage);
        }
        if batch.info().size_bytes > self.settings.segment_bytes {
            return Err(AppendError::LargerThanSegment);
        }
        match self.producers.check(batch.info()) {
            Ok(SequenceCheck::Next) => {}
            Ok(SequenceCheck::Duplicate(earlier)) => {
                return Ok(AppendInfo {
                    base_offset: earlier.first_offset(),
                    end_offset: earlier.last_offset.plus(1),
                    is_duplicate: true,
                    max_timestamp: earlier.timestamp,
                });
            }
            Err(error) => return Err(AppendError::Sequence(error)),
        }
        let placed = BatchInfo {
            base_offset: self.log_end_offset,
            leader_epoch,
            ..*batch.info()
        };
        self.place(now, batch, &placed, memory, out);
        Ok(AppendInfo {
            base_offset: placed.base_offset,
            end_offset: placed.end_offset(),
            is_duplicate: false,
            max_timestamp: placed.max_timestamp,
        })
    }

    /// Appends a batch as its leader numbered it.
    ///
    /// # Errors
    ///
    /// [`AppendError::OutOfOrder`] where it begins below the log's end, [`AppendError::Storage`].
    pub fn append_as_follower(
        &mut self,
        now: Now,
        batch: &LeaderBatch,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Result<(), AppendError> {
        if self.state != LogState::Usable {
            return Err(AppendError::Storage);
        }
        if batch.info().base_offset < self.log_end_offset {
            return Err(AppendError::OutOfOrder);
        }
        self.place(now, batch, &batch.info().clone(), memory, out);
        Ok(())
    }

    fn place(
        &mut self,
        now: Now,
        batch: &LeaderBatch,
        placed: &BatchInfo,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) {
        assert!(
            placed.leader_epoch >= self.appended_epoch,
            "no append as the leader of a past epoch"
        );
        self.appended_epoch = placed.leader_epoch;
        if self.active.must_roll_before(now, placed, &self.settings) {
            // Not where the batch begins: a follower's may come after a gap, and a segment that
            // does not end where the next one begins has lost its end.
            self.roll(now, self.log_end_offset, memory, out);
        }
        let stamped = batch.stamp(placed.base_offset, placed.leader_epoch);
        let position = self.active.marks.size_bytes;
        self.active.on_append(placed, &self.settings);
        if self.epochs.assign(placed.leader_epoch, placed.base_offset) {
            self.on_epochs_changed();
        }
        if let Some(undo) = self.producers.on_append(placed) {
            self.undos.push_back((placed.base_offset, undo));
        }
        self.pending.push(stamped.0.clone());
        let range = (placed.base_offset, placed.end_offset());
        self.tail
            .push(self.id, range, position, stamped, &mut memory.tail);
        self.log_end_offset = placed.end_offset();
        self.unsynced_since.get_or_insert(now.instant);
        assert!(
            self.active.marks.size_bytes == position + placed.size_bytes,
            "the segment grew by the batch"
        );
    }

    /// Closes the active segment and begins one at `base_offset`.
    pub(super) fn roll(
        &mut self,
        now: Now,
        base_offset: Offset,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) {
        assert!(
            self.active.marks.size_bytes > 0,
            "an empty segment is not rolled"
        );
        assert!(
            base_offset >= self.log_end_offset,
            "segments do not overlap"
        );
        self.active.maybe_push_time();
        self.flush_indexes(out);
        self.flush_pending(out);
        self.closed.push(self.active.closed(self.log_end_offset));
        let next = ActiveSegment::new(base_offset, now.wall);
        let before = std::mem::replace(&mut self.active, next);
        self.rolled.push_back(before);
        out.push(DiskOp::CreateSegment {
            log: self.id,
            generation: self.generation,
            segment: base_offset,
        });
        self.save_producers(out);
        self.sync(out);
        self.drop_settled_segments(memory);
    }

    /// Hands everything placed in this turn to the disk, and asks for a sync where the policy wants
    /// one. Called once a turn for every log that was touched.
    pub fn settle(&mut self, now: Now, out: &mut Vec<DiskOp>) {
        self.check();
        if self.state != LogState::Usable {
            assert!(self.pending.is_empty(), "nothing is appended meanwhile");
            return;
        }
        if self.pending.is_empty() && self.sync_requested == self.log_end_offset {
            return;
        }
        if self.active.offsets.is_write_due() && !self.pending.is_empty() {
            self.flush_indexes(out);
        }
        self.flush_pending(out);
        self.maybe_save_producers(out);
        let is_sync_due = self.is_sync_due(now);
        if is_sync_due {
            self.sync(out);
        }
        if is_sync_due || self.are_epochs_changed() {
            self.save_due_epochs(out);
        }
    }

    /// When the log wants a turn: an unsynced append reaches `flush.ms`.
    #[must_use]
    pub fn sync_deadline(&self) -> Option<Instant> {
        match self.settings.flush_policy {
            FlushPolicy::Interval { age_ms, .. } if self.state == LogState::Usable => {
                let since = self.unsynced_since?;
                Some(since.after(milliseconds(age_ms)))
            }
            FlushPolicy::Ack | FlushPolicy::Interval { .. } | FlushPolicy::Os => None,
        }
    }

    fn is_sync_due(&self, now: Now) -> bool {
        if self.sync_requested >= self.log_end_offset {
            return false;
        }
        match self.settings.flush_policy {
            // Kafka makes partition.metadata durable before the first append (4.3.1,
            // `UnifiedLog.maybeFlushMetadataFile`).
            _any if !self.is_named => true,
            FlushPolicy::Ack => true,
            FlushPolicy::Interval { messages, .. } => {
                let unsynced = self.log_end_offset.0 - self.sync_requested.0;
                let is_old = self
                    .sync_deadline()
                    .is_some_and(|deadline| deadline <= now.instant);
                unsynced >= messages || is_old
            }
            FlushPolicy::Os => false,
        }
    }

    /// Asks the disk to make everything appended durable.
    pub(super) fn sync(&mut self, out: &mut Vec<DiskOp>) {
        assert!(self.pending.is_empty(), "a sync comes after its appends");
        out.push(DiskOp::Sync {
            log: self.id,
            generation: self.generation,
            end_offset: self.log_end_offset,
        });
        self.sync_requested = self.log_end_offset;
        self.unsynced_since = None;
    }

    /// Hands the batches placed so far to the disk, in one operation.
    pub(super) fn flush_pending(&mut self, out: &mut Vec<DiskOp>) {
        if self.pending.is_empty() {
            return;
        }
        let batches = std::mem::take(&mut self.pending);
        let size: usize = batches.iter().map(|batch| batch.size_bytes()).sum();
        let size = u32::try_from(size).expect("a segment is below 2^31 bytes");
        out.push(DiskOp::Append {
            log: self.id,
            generation: self.generation,
            segment: self.active.base_offset,
            position: self.active.marks.size_bytes - size,
            end_offset: self.log_end_offset,
            batches,
        });
        self.in_flight.push_back(InFlight {
            end_offset: self.log_end_offset,
            at: SegmentPoint {
                base_offset: self.active.base_offset,
                marks: self.active.marks,
            },
        });
    }

    /// Hands new index entries to the disk; before the append they go with, so that its
    /// acknowledgement covers them.
    pub(super) fn flush_indexes(&mut self, out: &mut Vec<DiskOp>) {
        // With nothing pending no append follows in this turn: the next one's end covers them.
        let covered_by = if self.pending.is_empty() {
            self.log_end_offset.plus(1)
        } else {
            self.log_end_offset
        };
        let base = self.active.base_offset;
        let target = (self.id, self.generation, covered_by);
        let file = LogFile::OffsetIndex(base);
        append_index(&mut self.active.offsets, file, target, out);
        if self.active.offsets.count() == 0 && self.active.times.has_unwritten() {
            // An empty file: Kafka's readers of a time index want the other one beside it.
            out.push(DiskOp::AppendIndex {
                log: self.id,
                generation: self.generation,
                file,
                position: 0,
                bytes: Bytes::new(),
            });
        }
        append_index(
            &mut self.active.times,
            LogFile::TimeIndex(base),
            target,
            out,
        );
    }
}

/// Emits the entries of one index that the disk was not given yet.
fn append_index<E: IndexEntry>(
    index: &mut GrowingIndex<E>,
    file: LogFile,
    (log, generation, covered_by): (LogId, crate::ids::Generation, Offset),
    out: &mut Vec<DiskOp>,
) {
    let Some((position, bytes)) = index.take_unwritten(covered_by) else {
        return;
    };
    let bytes: Bytes = bytes;
    out.push(DiskOp::AppendIndex {
        log,
        generation,
        file,
        position,
        bytes,
    });
}

/// A configured number of milliseconds as a duration; negative ones as none.
fn milliseconds(value: i64) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
