//! How a simulated process starts: its configuration, and what its disk lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::client::port_of;
use super::disk::SimulatedDisk;
use super::options::Options;
use crate::config::{BrokerConfig, Settings};
use crate::ids::DirectoryIndex;
use crate::node::Node;
use crate::node::boot::BootOptions;
use crate::node::door::Outbox;
use crate::rng::Rng;
use crate::time::Now;

/// Starts a process: a broker and controller, alone in its cluster.
pub(super) fn boot(
    number: u32,
    incarnation: u64,
    disk: &mut SimulatedDisk,
    options: &Options,
    now: Now,
    outbox: &mut Outbox,
) -> Node {
    // Segments far smaller than Kafka allows make rare paths common.
    let settings = Settings::without_bounds(configuration(number, options));
    let config = BrokerConfig::of(&settings).expect("the simulator knows what goes together");
    let seed = Rng::new(u64::from(number))
        .child("incarnation", incarnation)
        .next_u64();
    let indexes: Vec<DirectoryIndex> = disk.directories().collect();
    let directories = indexes
        .into_iter()
        .map(|index| disk.list_at_boot(index))
        .collect();
    let boot_options = BootOptions {
        listeners: config.listeners.advertised.clone(),
        settings,
        config,
        directories,
        seed,
    };
    Node::boot(now, boot_options, outbox).expect("the directory is this node's own")
}

fn configuration(number: u32, options: &Options) -> BTreeMap<Arc<str>, Arc<str>> {
    let policy = match options.flush_policy {
        0 => "ack",
        1 => "interval",
        _last => "os",
    };
    let port = port_of(number);
    let mut values = vec![
        ("node.id", (number + 1).to_string()),
        ("process.roles", "broker,controller".to_owned()),
        ("listeners", format!("PLAINTEXT://:{port}")),
        ("advertised.listeners", format!("PLAINTEXT://node:{port}")),
        ("log.dirs", "data".to_owned()),
        ("log.flush.policy", policy.to_owned()),
        ("log.tail.bytes", options.tail_bytes.to_string()),
        ("log.segment.bytes", options.segment_bytes.to_string()),
        (
            "log.index.interval.bytes",
            options.index_interval_bytes.to_string(),
        ),
        ("log.flush.offset.checkpoint.interval.ms", "400".to_owned()),
        (
            "log.flush.start.offset.checkpoint.interval.ms",
            "400".to_owned(),
        ),
        ("log.retention.check.interval.ms", "300".to_owned()),
        ("log.segment.delete.delay.ms", "200".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("log.cleaner.backoff.ms", "100".to_owned()),
        ("log.cleaner.min.cleanable.ratio", "0.2".to_owned()),
        ("log.cleaner.threads", "2".to_owned()),
        (
            "log.cleaner.dedupe.buffer.size",
            options.key_map_bytes.to_string(),
        ),
        (
            "log.cleaner.delete.retention.ms",
            options.delete_retention_ms.to_string(),
        ),
    ];
    if options.groups > 0 {
        values.extend(configuration_of_groups(options));
    }
    if options.quotas == 1 {
        values.push(("quota.window.num", options.quota_windows.to_string()));
    }
    if options.flush_policy == 1 {
        values.push(("log.flush.interval.ms", "50".to_owned()));
        values.push(("log.flush.interval.messages", "100".to_owned()));
    }
    if options.cleaner_bytes_per_second > 0 {
        let rate = options.cleaner_bytes_per_second.to_string();
        values.push(("log.cleaner.io.max.bytes.per.second", rate));
    }
    if options.retention_bytes > 0 {
        values.push(("log.retention.bytes", options.retention_bytes.to_string()));
    }
    values
        .into_iter()
        .map(|(name, value)| (Arc::from(name), Arc::from(value)))
        .collect()
}

/// Sessions far shorter than Kafka allows, and offsets that expire at once where they expire.
fn configuration_of_groups(options: &Options) -> Vec<(&'static str, String)> {
    let mut values = vec![
        ("group.min.session.timeout.ms", "1".to_owned()),
        (
            "group.initial.rebalance.delay.ms",
            options.rebalance_delay_ms.to_string(),
        ),
        (
            "offsets.topic.num.partitions",
            options.offsets_partitions.to_string(),
        ),
        ("offsets.topic.replication.factor", "1".to_owned()),
    ];
    if options.offsets_segment_bytes > 0 {
        let bytes = options.offsets_segment_bytes.to_string();
        values.push(("offsets.topic.segment.bytes", bytes));
    }
    if options.offsets_expire == 1 {
        values.push(("offsets.retention.minutes", "0".to_owned()));
        values.push(("offsets.retention.check.interval.ms", "150".to_owned()));
    }
    values
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{LogConfig, Overrides};
    use crate::controller::internal_topics::consumer_offsets;

    #[test]
    fn what_the_options_say_is_what_a_process_does() {
        let options = Options {
            segment_bytes: 4_096,
            groups: 1,
            offsets_expire: 1,
            offsets_partitions: 3,
            offsets_segment_bytes: 8_192,
            ..Options::default()
        };
        let settings = Settings::without_bounds(configuration(0, &options));
        let topic = LogConfig::shared(&settings, &Overrides::default());
        assert_eq!(topic.segment_bytes, 4_096);
        let config = BrokerConfig::of(&settings).unwrap();
        assert_eq!(config.groups.offsets_retention, Duration::ZERO);
        assert_eq!(config.groups.offsets_topic_partitions, 3);
        let own = consumer_offsets(&config, 1).configs.into_iter();
        let own = own.filter_map(|(name, value)| Some((Arc::from(name), Arc::from(value?))));
        let offsets = LogConfig::shared(&settings, &own.collect());
        assert_eq!(offsets.segment_bytes, 8_192);
        assert!(settings.unknown_names().next().is_none());
    }
}
