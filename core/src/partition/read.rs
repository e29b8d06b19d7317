//! What a leader answers to a read.
//!
//! Decides which offsets are visible and which errors a position means (K50-K59); the log finds the
//! bytes. Compare Kafka's `Partition.fetchRecords`, 4.3.1; KIP-320 and KIP-595 for epochs.

use bytes::Bytes;

use super::Partition;
use crate::error::ErrorCode;
use crate::fetch_session::FetchTarget;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::{LogMemory, Lookup, ReadOutcome, ReadRequest};
use crate::mutants::mutant;
use crate::storage::{DiskError, Slice};

/// How far a reader sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Visibility {
    /// To the last stable offset: consumers with `isolation.level=read_committed`.
    Committed,
    /// To the high watermark: other consumers.
    #[default]
    HighWatermark,
}

/// How much a reader takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadLimit {
    /// At most so many bytes.
    pub bytes_max: u32,
    /// One whole batch is answered even if it is larger (K51).
    pub at_least_one: bool,
}

/// A successful read.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// The bytes; none where there is nothing to see yet.
    pub records: Vec<Slice>,
    /// Exclusive end of what consumers may read.
    pub high_watermark: Offset,
    /// Exclusive end of what consumers of committed records may read.
    pub last_stable_offset: Offset,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// The reader's log is not a prefix of ours: it agrees at most up to this epoch's end.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The disk must answer before the records can be told: park it, and resume the read.
    pub lookup: Option<Box<Lookup>>,
}

/// A read that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadRefusal {
    /// The error for the client.
    pub code: ErrorCode,
    /// The high watermark, where the error says anything about the log; else `-1`.
    pub high_watermark: Offset,
    /// The log's first offset, likewise.
    pub log_start_offset: Offset,
}

impl From<ErrorCode> for ReadRefusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            high_watermark: Offset::NONE,
            log_start_offset: Offset::NONE,
        }
    }
}

impl Partition {
    /// Reads what `target` asks for, as far as `visibility` lets the reader see.
    ///
    /// # Errors
    /// [`ReadRefusal`]: an epoch that is not ours, an offset outside the log, a disk that failed.
    pub fn read(
        &mut self,
        target: &FetchTarget,
        visibility: Visibility,
        limit: ReadLimit,
        memory: &mut LogMemory,
    ) -> Result<ReadResult, ReadRefusal> {
        self.check_leader_epoch(target.current_leader_epoch)?;
        let mut result = ReadResult {
            records: Vec::new(),
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset(),
            log_start_offset: self.log.log_start_offset(),
            diverging: None,
            lookup: None,
        };
        if let Some(diverging) = self.divergence(target)? {
            result.diverging = Some(diverging);
            return Ok(result);
        }
        let bound = match visibility {
            Visibility::Committed => result.last_stable_offset,
            Visibility::HighWatermark if mutant!(M19) => self.log.log_end_offset(),
            Visibility::HighWatermark => result.high_watermark,
        };
        let request = ReadRequest {
            start_offset: target.fetch_offset,
            bound,
            max_bytes: limit.bytes_max,
            at_least_one: limit.at_least_one,
        };
        if limit.bytes_max == 0 && !limit.at_least_one {
            // Others used up the answer; only the marks are told.
            return match self.is_in_range(target.fetch_offset) {
                true => Ok(result),
                false => Err(ErrorCode::OffsetOutOfRange.into()),
            };
        }
        match resumed(self.log.read(request, memory))? {
            Resumed::NeedsLookup(lookup) => result.lookup = Some(lookup),
            Resumed::Records(records) => result.records = records,
        }
        Ok(result)
    }

    /// Goes on with a read whose bytes came from the disk; answers its records, or the next thing
    /// the disk is asked.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn resume_read(
        &mut self,
        lookup: Lookup,
        bytes: &Result<Bytes, DiskError>,
        memory: &mut LogMemory,
    ) -> Result<Resumed, ReadRefusal> {
        resumed(self.log.resume_read(lookup, bytes, memory))
    }

    /// Notes that a read from this offset met damage; whether that is to be told, because it was
    /// not told of this offset last. Readers ask again and again.
    pub fn note_damage(&mut self, offset: Offset) -> bool {
        self.damage_told.replace(offset) != Some(offset)
    }

    fn is_in_range(&self, offset: Offset) -> bool {
        (self.log.log_start_offset()..=self.log.log_end_offset()).contains(&offset)
    }

    /// Where the reader's history leaves ours, if it does (K59).
    fn divergence(
        &self,
        target: &FetchTarget,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ReadRefusal> {
        if target.last_fetched_epoch == LeaderEpoch::NONE {
            return Ok(None);
        }
        let Some((epoch, end_offset)) = self.log.end_offset_for_epoch(target.last_fetched_epoch)
        else {
            // Epochs this old are not remembered: the position is below the log's start.
            return Err(ErrorCode::OffsetOutOfRange.into());
        };
        let agrees = epoch == target.last_fetched_epoch && end_offset >= target.fetch_offset;
        Ok((!agrees).then_some((epoch, end_offset)))
    }
}

/// What became of a read that the disk was asked about.
#[derive(Clone, Debug)]
pub enum Resumed {
    /// The disk is asked once more.
    NeedsLookup(Box<Lookup>),
    /// The records.
    Records(Vec<Slice>),
}

fn resumed(outcome: ReadOutcome) -> Result<Resumed, ReadRefusal> {
    match outcome {
        ReadOutcome::Corrupt => Err(ErrorCode::CorruptMessage.into()),
        ReadOutcome::NeedsLookup(lookup) => Ok(Resumed::NeedsLookup(lookup)),
        ReadOutcome::OutOfRange => Err(ErrorCode::OffsetOutOfRange.into()),
        ReadOutcome::Slices(slices) => Ok(Resumed::Records(slices)),
        ReadOutcome::StorageError => Err(ErrorCode::KafkaStorageError.into()),
    }
}
