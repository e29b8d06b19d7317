//! The topics that Kafka keeps its own state in: how they are made when something needs them.
//!
//! A client may create one like any other topic, as it may with Kafka; then its choices stand.
//! Compare Kafka's `AutoTopicCreationManager` and `GroupCoordinatorService`, 4.3.1.

use super::topics::NewTopic;
use crate::config::BrokerConfig;

/// The topic of groups and their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// Whether a topic belongs to Kafka itself: ordinary clients do not write to it.
#[must_use]
pub fn is_internal(topic: &str) -> bool {
    matches!(
        topic,
        CONSUMER_OFFSETS | "__share_group_state" | "__transaction_state"
    )
}

/// The topic of groups and offsets, as a cluster of so many brokers needs it.
#[must_use]
pub fn consumer_offsets(config: &BrokerConfig, brokers: usize) -> NewTopic {
    let groups = &config.groups;
    let own = |name: &str, value: String| (name.to_owned(), Some(value));
    NewTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        partitions: groups.offsets_topic_partitions,
        replication_factor: groups.offsets_topic_replication.factor(brokers),
        assignments: Vec::new(),
        configs: vec![
            own("cleanup.policy", "compact".to_owned()),
            own("compression.type", "producer".to_owned()),
            own(
                "segment.bytes",
                groups.offsets_topic_segment_bytes.to_string(),
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offsets_topic_is_compacted_and_as_large_as_configured() {
        let topic = consumer_offsets(&BrokerConfig::default(), 1);
        assert_eq!((topic.partitions, topic.replication_factor), (50, 1));
        let value = |name: &str| {
            let mut configs = topic.configs.iter();
            configs
                .find(|(n, _)| n == name)
                .and_then(|(_, v)| v.clone())
        };
        assert_eq!(value("cleanup.policy").as_deref(), Some("compact"));
        assert_eq!(value("segment.bytes").as_deref(), Some("104857600"));
        assert_eq!(
            consumer_offsets(&BrokerConfig::default(), 3).replication_factor,
            3
        );
    }
}
