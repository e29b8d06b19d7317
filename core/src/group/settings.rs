//! The bounds of groups and offsets, as configured.

use std::time::Duration;

use crate::config::broker::GroupConfig;
use crate::limits::GROUP_MEMBERS_MAX;

/// The configuration of every shard of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupSettings {
    /// `group.initial.rebalance.delay.ms`: how long a group that was empty waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`, and no more than [`GROUP_MEMBERS_MAX`].
    pub max_size: usize,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `offset.metadata.max.bytes`, counted as Kafka counts it: in UTF-16 code units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
}

impl GroupSettings {
    /// The settings that a node's configuration makes.
    #[must_use]
    pub fn of(config: &GroupConfig) -> Self {
        Self {
            initial_rebalance_delay: config.initial_rebalance_delay,
            max_session_timeout_ms: config.max_session_timeout_ms,
            max_size: usize::try_from(config.max_size)
                .unwrap_or(0)
                .min(GROUP_MEMBERS_MAX),
            min_session_timeout_ms: config.min_session_timeout_ms,
            offset_metadata_max: usize::try_from(config.offset_metadata_max_bytes).unwrap_or(0),
            offsets_retention: config.offsets_retention,
            offsets_retention_check_interval: config.offsets_retention_check_interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn of_a_node_started_with_nothing() {
        let settings = GroupSettings::of(&BrokerConfig::default().groups);
        assert_eq!(settings.initial_rebalance_delay, Duration::from_secs(3));
        assert_eq!(settings.min_session_timeout_ms, 6_000);
        assert_eq!(settings.max_session_timeout_ms, 1_800_000);
        assert_eq!(settings.max_size, GROUP_MEMBERS_MAX);
        assert_eq!(settings.offset_metadata_max, 4_096);
        assert_eq!(settings.offsets_retention, Duration::from_secs(7 * 86_400));
    }
}
