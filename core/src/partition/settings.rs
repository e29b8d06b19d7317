//! From a topic's configuration to what its logs act upon.

use std::sync::Arc;

use crate::config;
use crate::log::{FlushPolicy, LogSettings};

/// The part of a topic's configuration that concerns the log.
#[must_use]
pub fn log_settings(config: &config::LogConfig) -> Arc<LogSettings> {
    Arc::new(LogSettings {
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
    })
}
