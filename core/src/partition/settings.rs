//! From a topic's configuration to what its logs act upon.

use std::sync::Arc;

use crate::config;
use crate::log::{FlushPolicy, LogSettings};

/// A topic's configuration as its partitions hold it. Topics without configurations of their own
/// all hold the same one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicConfig {
    /// All of it.
    pub whole: Arc<config::LogConfig>,
    /// The part that concerns the log.
    pub log: Arc<LogSettings>,
}

impl TopicConfig {
    /// The configuration, with the part that concerns the log taken out.
    #[must_use]
    pub fn of(whole: Arc<config::LogConfig>) -> Self {
        let log = Arc::new(log_settings(&whole));
        Self { whole, log }
    }
}

fn log_settings(config: &config::LogConfig) -> LogSettings {
    LogSettings {
        compact: config.compact,
        delete: config.delete,
        delete_retention_ms: config.delete_retention_ms,
        file_delete_delay_ms: config.file_delete_delay_ms,
        flush_policy: match config.flush_policy {
            config::FlushPolicy::Ack => FlushPolicy::Ack,
            config::FlushPolicy::Interval => FlushPolicy::Interval {
                messages: config.flush_messages,
                age_ms: config.flush_ms,
            },
            config::FlushPolicy::Os => FlushPolicy::Os,
        },
        index_interval_bytes: config.index_interval_bytes,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        min_cleanable_dirty_ratio_millionths: config.min_cleanable_dirty_ratio_millionths,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        retention_bytes: config
            .retention_bytes
            .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        retention_ms: config.retention_ms.unwrap_or(-1),
        segment_bytes: config.segment_bytes,
        segment_index_bytes: config.segment_index_bytes,
        segment_ms: if config.compact {
            config.segment_ms.min(config.max_compaction_lag_ms)
        } else {
            config.segment_ms
        },
    }
}
