//! What a leader checks before it appends a client's batch, and what it answers.
//!
//! The batch was checked for itself on its connection; here it meets the topic's configuration and
//! the log's producers. Compare Kafka's `LogValidator` and `UnifiedLog.appendAsLeader`, 4.3.1.

use std::sync::Arc;

use bytes::Bytes;

use super::opening::{Demand, TimeBounds};
use super::{Partition, conform};
use crate::config::LogConfig;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::log::{AppendError, LeaderBatch, LogMemory};
use crate::mutants::mutant;
use crate::storage::DiskOp;
use crate::time::{Now, Timestamp};
use crate::wire::batch::{PreparedBatch, TimestampType};
use crate::wire::walk::RecordFacts;

/// A batch that is in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Appended {
    /// Offset of its first record; of the original's where it is a duplicate.
    pub base_offset: Offset,
    /// Offset after its last record: what an acknowledgement waits for.
    pub end_offset: Offset,
    /// The time stamped into it, or [`Timestamp::NONE`] where the producer's times stand.
    pub log_append_time: Timestamp,
    /// The log's start.
    pub log_start_offset: Offset,
}

/// A batch that was refused; nothing was appended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppendRefusal {
    /// The error for the client.
    pub code: ErrorCode,
    /// What is wrong, for a person; empty where the code says it all.
    pub message: String,
    /// Indexes, in the batch, of the records at fault.
    pub records: Vec<i32>,
}

impl AppendRefusal {
    fn new(code: ErrorCode, message: String) -> Self {
        Self {
            code,
            message,
            records: Vec::new(),
        }
    }
}

impl Partition {
    /// How many replicas must be in sync for a write of acks=all, of a partition with so many
    /// (K34): no more than it has.
    #[must_use]
    pub fn min_insync_replicas(&self, replicas: usize) -> usize {
        let configured = usize::try_from(self.config.min_insync_replicas);
        configured.unwrap_or(1).min(replicas)
    }

    /// Appends a client's batch as the leader.
    ///
    /// # Errors
    /// [`AppendRefusal`], and then the log is as it was.
    pub fn append(
        &mut self,
        now: Now,
        batch: PreparedBatch,
        effects: (&mut LogMemory, &mut Vec<DiskOp>),
    ) -> Result<Appended, AppendRefusal> {
        self.traffic.produces += 1;
        let appended = self.append_counted(now, batch, effects);
        self.traffic.produces_refused += u64::from(appended.is_err());
        appended
    }

    fn append_counted(
        &mut self,
        now: Now,
        batch: PreparedBatch,
        (memory, disk): (&mut LogMemory, &mut Vec<DiskOp>),
    ) -> Result<Appended, AppendRefusal> {
        let (batch, log_append_time) = self.admit(now, batch)?;
        let log_start_offset = self.log.log_start_offset();
        let size_bytes = batch.size_bytes() as u64;
        let records = u64::try_from(batch.header.records_count).unwrap_or(0);
        let batch = LeaderBatch::new(&batch);
        let appended = self
            .log
            .append_as_leader(now, &batch, self.leader_epoch, memory, disk)
            .map_err(|error| self.refusal(&error))?;
        if !appended.is_duplicate {
            self.traffic.bytes_in += size_bytes;
            self.traffic.records_in += records;
        }
        Ok(Appended {
            base_offset: appended.base_offset,
            end_offset: appended.end_offset,
            // A retry learns the time of the batch that is there, whoever stamped it (K40).
            log_append_time: if log_append_time == Timestamp::NONE && !appended.is_duplicate {
                Timestamp::NONE
            } else {
                appended.max_timestamp
            },
            log_start_offset,
        })
    }

    /// Appends a batch that this broker made, as the leader; answers the offset after it.
    ///
    /// # Errors
    /// The log's error, and then the log is as it was.
    pub fn append_own(
        &mut self,
        now: Now,
        batch: Bytes,
        (memory, disk): (&mut LogMemory, &mut Vec<DiskOp>),
    ) -> Result<Offset, ErrorCode> {
        let batch = PreparedBatch::from_log(batch).expect("it was built whole");
        self.check_size(&batch).map_err(|refused| refused.code)?;
        let batch = LeaderBatch::new(&batch);
        let appended = self
            .log
            .append_as_leader(now, &batch, self.leader_epoch, memory, disk);
        match appended {
            Ok(info) => Ok(info.end_offset),
            Err(error) => Err(error.code()),
        }
    }

    /// Checks a batch against the topic's configuration; answers it as it is to be appended.
    fn admit(
        &self,
        now: Now,
        batch: PreparedBatch,
    ) -> Result<(PreparedBatch, Timestamp), AppendRefusal> {
        self.check_size(&batch)?;
        let demand = Demand::of(&self.config);
        let facts = conform::facts_for(demand, &batch).map_err(conform::refusal)?;
        if self.config.compact {
            self.check_keys(facts.as_ref())?;
        }
        let is_stamped = self.config.message_timestamp_type == TimestampType::LogAppendTime;
        if !is_stamped {
            check_timestamps(now, &batch, facts.as_ref(), &self.config)?;
        }
        let size_sent = batch.size_bytes();
        let batch = conform::recompress(demand, batch).map_err(conform::refusal)?;
        if batch.size_bytes() != size_sent {
            self.check_size(&batch)?;
        }
        if is_stamped {
            let time = match mutant!(M52) {
                true => batch.header.max_timestamp,
                false => now.wall,
            };
            let stamped = batch.with_timestamps(TimestampType::LogAppendTime, time);
            Ok((stamped, time))
        } else {
            Ok((batch, Timestamp::NONE))
        }
    }

    fn check_size(&self, batch: &PreparedBatch) -> Result<(), AppendRefusal> {
        let size = batch.size_bytes();
        if size <= self.config.max_message_bytes as usize {
            return Ok(());
        }
        Err(AppendRefusal::new(
            ErrorCode::MessageTooLarge,
            format!(
                "The record batch size in the append to {} is {size} bytes which exceeds the \
                 maximum configured value of {}.",
                self.topic_partition(),
                self.config.max_message_bytes
            ),
        ))
    }

    /// A compacted topic keeps the last record of each key, so each record needs one (K37).
    fn check_keys(&self, facts: Option<&RecordFacts>) -> Result<(), AppendRefusal> {
        let without_key = facts.and_then(|facts| facts.first_without_key);
        match without_key {
            None => Ok(()),
            Some(index) => Err(AppendRefusal {
                code: ErrorCode::InvalidRecord,
                message: format!(
                    "Compacted topic cannot accept message without key in topic partition {}",
                    self.topic_partition()
                ),
                records: vec![index],
            }),
        }
    }

    fn refusal(&self, error: &AppendError) -> AppendRefusal {
        let name = self.topic_partition();
        AppendRefusal::new(error.code(), format!("{error} ({name})"))
    }
}

/// The producer's times must lie near the broker's (K38).
fn check_timestamps(
    now: Now,
    batch: &PreparedBatch,
    facts: Option<&RecordFacts>,
    config: &LogConfig,
) -> Result<(), AppendRefusal> {
    let bounds = TimeBounds::of(config, now.wall);
    let known = conform::timestamps(batch, facts);
    let Some(time) = known.into_iter().find(|time| !bounds.allow(*time)) else {
        return Ok(());
    };
    Err(AppendRefusal {
        code: ErrorCode::InvalidTimestamp,
        message: format!(
            "Timestamp {time} of a message is out of range. The timestamp should be within \
             [{}, {}]",
            bounds.first, bounds.last
        ),
        records: wrong_records(batch, &bounds),
    })
}

/// The records whose times are wrong: as they were noted when the batch was opened before the turn,
/// if it was; the first record where the batch cannot be opened.
fn wrong_records(batch: &PreparedBatch, bounds: &TimeBounds) -> Vec<i32> {
    let noted = match &batch.odd_times {
        Some(noted) => Arc::clone(noted),
        None => conform::odd_times(batch, bounds),
    };
    let wrong = noted.iter().filter(|(_, time)| !bounds.allow(*time));
    let indexes: Vec<i32> = wrong.map(|(index, _)| *index).collect();
    if indexes.is_empty() { vec![0] } else { indexes }
}
