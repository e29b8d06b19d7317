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
        retention_bytes: config
            .retention_bytes
            .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        retention_ms: config.retention_ms.unwrap_or(-1),
        segment_bytes: config.segment_bytes,
        segment_index_bytes: config.segment_index_bytes,
        segment_ms: config.segment_ms,
    })
}
