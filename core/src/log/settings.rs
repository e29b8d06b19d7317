//! The part of a topic's configuration that its logs act upon.
//!
//! Resolved elsewhere (`config`); shared by all logs of a topic. Names and defaults are Kafka
//! 4.3's, except `flush.policy`, which is Ottla's own.

/// When a log's appends are made durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlushPolicy {
    /// Every append, by group commit; an acks=all write is acknowledged when it is durable.
    Ack,
    /// After `flush.messages` records or `flush.ms`, whichever comes first.
    Interval {
        /// Records that may be unsynced; at least 1.
        messages: i64,
        /// Age an unsynced append may reach, in milliseconds.
        age_ms: i64,
    },
    /// When a segment is rolled, for the first append of a new log, and on a clean stop; otherwise
    /// the operating system decides.
    Os,
}

/// What one log is told by its topic's configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogSettings {
    /// `cleanup.policy` contains `compact`: offsets may be missing.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`: retention by time and size applies.
    pub delete: bool,
    /// `delete.retention.ms`: how long a tombstone stays after it was first seen to be the last.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.policy`, with `flush.messages` and `flush.ms`.
    pub flush_policy: FlushPolicy,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`; `i64::MAX` for no bound.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio` in millionths.
    pub min_cleanable_dirty_ratio_millionths: u32,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `retention.bytes`; negative for no bound.
    pub retention_bytes: i64,
    /// `retention.ms`; negative for no bound.
    pub retention_ms: i64,
    /// `segment.bytes`; at most `i32::MAX`, as in Kafka.
    pub segment_bytes: u32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `segment.ms`; of a compacted log at most `max.compaction.lag.ms`, for the segment in use is
    /// not compacted.
    pub segment_ms: i64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            compact: false,
            delete: true,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            flush_policy: FlushPolicy::Ack,
            index_interval_bytes: 4_096,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio_millionths: 500_000,
            min_compaction_lag_ms: 0,
            retention_bytes: -1,
            retention_ms: 604_800_000,
            segment_bytes: 1_073_741_824,
            segment_index_bytes: 10_485_760,
            segment_ms: 604_800_000,
        }
    }
}
