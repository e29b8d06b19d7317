//! A node's own configuration, typed: what its parts and its driver read.
//!
//! Resolved from [`Settings`] at boot and after each dynamic change, never read by name on a path
//! that carries requests. Whatever a topic may override is in [`LogConfig`]. Kafka class to
//! compare: `KafkaConfig`.

use std::sync::Arc;
use std::time::Duration;

use super::listeners::Listeners;
use super::settings::{ConfigError, Overrides, Settings};
use super::topic::LogConfig;
use crate::ids::NodeId;

/// The roles of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It is a voter of the metadata quorum, or may become one.
    pub controller: bool,
}

/// Replicas of an internal topic: as configured, or as many as a small cluster has room for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InternalReplication {
    value: i16,
    is_set: bool,
}

impl InternalReplication {
    /// The factor in a cluster of so many brokers: the configured one, or where nobody configured
    /// any, the default for three brokers and more, and 1 below that of one broker alone.
    #[must_use]
    pub fn factor(self, brokers: usize) -> i16 {
        if !self.is_set && brokers <= 1 {
            1
        } else {
            self.value
        }
    }
}

/// Limits and buffers of client connections.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SocketConfig {
    /// `connections.max.idle.ms`; `None` never closes an idle connection.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`.
    pub max_connections: u32,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: u32,
    /// `max.connections.per.ip.overrides`: hosts and their own limits.
    pub max_connections_per_ip_overrides: Vec<(String, u32)>,
    /// `queued.max.request.bytes`; `None` leaves it to the driver.
    pub queued_max_request_bytes: Option<u64>,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: u32,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the system.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.request.max.bytes`.
    pub request_max_bytes: u32,
    /// `socket.send.buffer.bytes`; `None` leaves it to the system.
    pub send_buffer_bytes: Option<u32>,
}

/// Intervals of what a broker does with its logs of its own accord.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HousekeepingConfig {
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Duration,
    /// `log.flush.start.offset.checkpoint.interval.ms`.
    pub log_start_offset_checkpoint_interval: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Duration,
}

/// The group coordinator's bounds and the offsets topic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`.
    pub max_size: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: i32,
    /// `offsets.commit.timeout.ms`.
    pub offsets_commit_timeout: Duration,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication: InternalReplication,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: i32,
}

/// The transaction coordinator's bounds and its topic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub transactional_id_expiration: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_check_interval: Duration,
    /// `transaction.state.log.num.partitions`.
    pub state_topic_partitions: i32,
    /// `transaction.state.log.replication.factor`.
    pub state_topic_replication: InternalReplication,
    /// `transaction.state.log.min.isr`.
    pub state_topic_min_isr: i32,
    /// `transaction.state.log.segment.bytes`.
    pub state_topic_segment_bytes: i32,
}

/// The metadata log of this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetadataLogConfig {
    /// `metadata.log.segment.bytes`.
    pub segment_bytes: i32,
    /// `metadata.log.segment.ms`.
    pub segment_ms: i64,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub max_record_bytes_between_snapshots: i64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` makes none by time.
    pub max_snapshot_interval: Option<Duration>,
    /// `metadata.max.idle.interval.ms`; `None` writes no no-op records.
    pub max_idle_interval: Option<Duration>,
    /// `metadata.max.retention.bytes`.
    pub max_retention_bytes: i64,
    /// `metadata.max.retention.ms`.
    pub max_retention_ms: i64,
}

/// A node's own configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// `process.roles`.
    pub roles: Roles,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The addresses.
    pub listeners: Listeners,
    /// `log.dirs`, or `log.dir`; at least one, in order.
    pub log_dirs: Vec<String>,
    /// `metadata.log.dir`, or the first of `log_dirs`.
    pub metadata_log_dir: String,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `max.request.partition.size.limit`: partitions in one answer to DescribeTopicPartitions.
    pub describe_partitions_max: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: u32,
    /// `log.tail.bytes`: memory for the newest batches of all partitions.
    pub tail_bytes: u64,
    /// Connections.
    pub socket: SocketConfig,
    /// Checkpoints, retention and producer ids.
    pub housekeeping: HousekeepingConfig,
    /// Groups.
    pub groups: GroupConfig,
    /// Transactions.
    pub transactions: TransactionConfig,
    /// The metadata log.
    pub metadata_log: MetadataLogConfig,
    /// What a topic without values of its own has.
    pub log_defaults: Arc<LogConfig>,
}

impl Default for BrokerConfig {
    /// The configuration of a node started with nothing.
    fn default() -> Self {
        Self::of(&Settings::default()).expect("a test makes it")
    }
}

impl BrokerConfig {
    /// The configuration that these settings make.
    ///
    /// # Errors
    /// Every rule between values that they break; single values were checked when they were read.
    pub fn of(settings: &Settings) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let listeners = match Listeners::of(settings) {
            Ok(listeners) => listeners,
            Err(wrong) => {
                errors.extend(wrong);
                Listeners::default()
            }
        };
        let roles = settings.list("process.roles");
        let has_role = |wanted: &str| roles.iter().any(|role| role == wanted);
        let roles = Roles {
            broker: has_role("broker"),
            controller: has_role("controller"),
        };
        let log_dirs = log_dirs(settings);
        check_relations(settings, roles, &log_dirs, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            node_id: NodeId(settings.int("node.id")),
            roles,
            rack: settings.text("broker.rack"),
            listeners,
            metadata_log_dir: settings
                .text("metadata.log.dir")
                .unwrap_or_else(|| log_dirs[0].clone()),
            log_dirs,
            auto_create_topics: settings.boolean("auto.create.topics.enable"),
            delete_topics: settings.boolean("delete.topic.enable"),
            num_partitions: settings.int("num.partitions"),
            default_replication_factor: i16_of(settings, "default.replication.factor"),
            describe_partitions_max: settings.int("max.request.partition.size.limit"),
            fetch_max_bytes: size(settings, "fetch.max.bytes"),
            fetch_session_slots: size(settings, "max.incremental.fetch.session.cache.slots"),
            tail_bytes: settings.integer("log.tail.bytes").unsigned_abs(),
            socket: SocketConfig::of(settings),
            housekeeping: HousekeepingConfig::of(settings),
            groups: GroupConfig::of(settings),
            transactions: TransactionConfig::of(settings),
            metadata_log: MetadataLogConfig::of(settings),
            log_defaults: LogConfig::shared(settings, &Overrides::new()),
        })
    }
}

impl SocketConfig {
    fn of(settings: &Settings) -> Self {
        let idle_ms = settings.integer("connections.max.idle.ms");
        let overrides = settings
            .text("max.connections.per.ip.overrides")
            .unwrap_or_default();
        Self {
            connections_max_idle: u64::try_from(idle_ms).ok().map(Duration::from_millis),
            max_connections: size(settings, "max.connections"),
            max_connections_per_ip: size(settings, "max.connections.per.ip"),
            max_connections_per_ip_overrides: ip_overrides(&overrides).unwrap_or_default(),
            queued_max_request_bytes: u64::try_from(settings.integer("queued.max.request.bytes"))
                .ok()
                .filter(|&bytes| bytes > 0),
            listen_backlog: size(settings, "socket.listen.backlog.size"),
            receive_buffer_bytes: u32::try_from(settings.int("socket.receive.buffer.bytes")).ok(),
            request_max_bytes: size(settings, "socket.request.max.bytes"),
            send_buffer_bytes: u32::try_from(settings.int("socket.send.buffer.bytes")).ok(),
        }
    }
}

impl HousekeepingConfig {
    fn of(settings: &Settings) -> Self {
        Self {
            recovery_point_checkpoint_interval: millis(
                settings,
                "log.flush.offset.checkpoint.interval.ms",
            ),
            log_start_offset_checkpoint_interval: millis(
                settings,
                "log.flush.start.offset.checkpoint.interval.ms",
            ),
            high_watermark_checkpoint_interval: millis(
                settings,
                "replica.high.watermark.checkpoint.interval.ms",
            ),
            retention_check_interval: millis(settings, "log.retention.check.interval.ms"),
            producer_id_expiration: millis(settings, "producer.id.expiration.ms"),
            producer_id_expiration_check_interval: millis(
                settings,
                "producer.id.expiration.check.interval.ms",
            ),
        }
    }
}

impl GroupConfig {
    fn of(settings: &Settings) -> Self {
        let retention_minutes = settings.integer("offsets.retention.minutes").unsigned_abs();
        Self {
            initial_rebalance_delay: millis(settings, "group.initial.rebalance.delay.ms"),
            min_session_timeout_ms: settings.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: settings.int("group.max.session.timeout.ms"),
            max_size: settings.int("group.max.size"),
            offset_metadata_max_bytes: settings.int("offset.metadata.max.bytes"),
            offsets_commit_timeout: millis(settings, "offsets.commit.timeout.ms"),
            offsets_retention: Duration::from_secs(retention_minutes * 60),
            offsets_retention_check_interval: millis(
                settings,
                "offsets.retention.check.interval.ms",
            ),
            offsets_topic_partitions: settings.int("offsets.topic.num.partitions"),
            offsets_topic_replication: replication(settings, "offsets.topic.replication.factor"),
            offsets_topic_segment_bytes: settings.int("offsets.topic.segment.bytes"),
        }
    }
}

impl TransactionConfig {
    fn of(settings: &Settings) -> Self {
        Self {
            max_timeout_ms: settings.int("transaction.max.timeout.ms"),
            transactional_id_expiration: millis(settings, "transactional.id.expiration.ms"),
            abort_check_interval: millis(
                settings,
                "transaction.abort.timed.out.transaction.cleanup.interval.ms",
            ),
            state_topic_partitions: settings.int("transaction.state.log.num.partitions"),
            state_topic_replication: replication(
                settings,
                "transaction.state.log.replication.factor",
            ),
            state_topic_min_isr: settings.int("transaction.state.log.min.isr"),
            state_topic_segment_bytes: settings.int("transaction.state.log.segment.bytes"),
        }
    }
}

impl MetadataLogConfig {
    fn of(settings: &Settings) -> Self {
        let bytes_between = "metadata.log.max.record.bytes.between.snapshots";
        let some_millis = |name: &str| Some(millis(settings, name)).filter(|d| !d.is_zero());
        Self {
            segment_bytes: settings.int("metadata.log.segment.bytes"),
            segment_ms: settings.integer("metadata.log.segment.ms"),
            max_record_bytes_between_snapshots: settings.integer(bytes_between),
            max_snapshot_interval: some_millis("metadata.log.max.snapshot.interval.ms"),
            max_idle_interval: some_millis("metadata.max.idle.interval.ms"),
            max_retention_bytes: settings.integer("metadata.max.retention.bytes"),
            max_retention_ms: settings.integer("metadata.max.retention.ms"),
        }
    }
}

fn log_dirs(settings: &Settings) -> Vec<String> {
    let dirs = settings.list("log.dirs");
    if dirs.is_empty() {
        settings.list("log.dir")
    } else {
        dirs
    }
}

fn check_relations(
    settings: &Settings,
    roles: Roles,
    log_dirs: &[String],
    errors: &mut Vec<ConfigError>,
) {
    let mut error = |text: String| errors.push(ConfigError(text));
    if !roles.broker && !roles.controller {
        error("process.roles: names no role; write broker,controller".to_owned());
    } else if !(roles.broker && roles.controller) {
        let roles = settings.text("process.roles").unwrap_or_default();
        error(format!(
            "process.roles={roles}: a node of one role needs a cluster, which this version does \
             not serve yet; write broker,controller"
        ));
    }
    if log_dirs.is_empty() || log_dirs.iter().any(String::is_empty) {
        error("log.dirs: an empty directory name; write paths separated by commas".to_owned());
    }
    if log_dirs.len() > usize::from(u8::MAX) {
        error(format!(
            "log.dirs: {} directories, at most 255 are served",
            log_dirs.len()
        ));
    }
    let broker_id = settings.int("broker.id");
    if settings.is_set("broker.id")
        && settings.is_set("node.id")
        && broker_id != settings.int("node.id")
    {
        error(format!(
            "broker.id={broker_id}: differs from node.id; leave broker.id out"
        ));
    }
    let factor = settings.int("default.replication.factor");
    if !(1..=i32::from(i16::MAX)).contains(&factor) {
        error(format!(
            "default.replication.factor={factor}: write a number from 1 to 32767"
        ));
    }
    let overrides = settings
        .text("max.connections.per.ip.overrides")
        .unwrap_or_default();
    if let Err(wrong) = ip_overrides(&overrides) {
        error(format!(
            "max.connections.per.ip.overrides: {wrong} is not host:count"
        ));
    }
}

/// `host:count` pairs; the pair that is not one where it fails.
fn ip_overrides(text: &str) -> Result<Vec<(String, u32)>, String> {
    super::value::parse_list(text)
        .into_iter()
        .map(|pair| {
            let parsed = pair
                .rsplit_once(':')
                .and_then(|(host, count)| Some((host.to_owned(), count.trim().parse().ok()?)));
            parsed.ok_or(pair)
        })
        .collect()
}

fn replication(settings: &Settings, name: &str) -> InternalReplication {
    InternalReplication {
        value: i16_of(settings, name),
        is_set: settings.is_set(name),
    }
}

/// A number checked to be from 1 to 32767.
fn i16_of(settings: &Settings, name: &str) -> i16 {
    i16::try_from(settings.int(name)).expect("of type SHORT, or checked by check_relations")
}

/// A number of type INT that is at least 0.
fn size(settings: &Settings, name: &str) -> u32 {
    u32::try_from(settings.int(name)).expect("its table row demands at least 0")
}

/// A time; a negative one is none at all.
fn millis(settings: &Settings, name: &str) -> Duration {
    Duration::from_millis(u64::try_from(settings.integer(name)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<BrokerConfig, Vec<ConfigError>> {
        BrokerConfig::of(&Settings::load(text, &[]).expect("values of the right types"))
    }

    #[test]
    fn started_with_nothing() {
        let config = BrokerConfig::default();
        assert_eq!(config.node_id, NodeId(1));
        assert!(config.roles.broker && config.roles.controller);
        assert_eq!(config.log_dirs, ["ottla-data"]);
        assert_eq!(config.metadata_log_dir, "ottla-data");
        assert_eq!(config.num_partitions, 1);
        assert_eq!(config.socket.request_max_bytes, 104_857_600);
        assert_eq!(config.tail_bytes, crate::limits::TAIL_BYTES_DEFAULT);
        assert_eq!(config.groups.offsets_topic_replication.factor(1), 1);
        assert_eq!(config.groups.offsets_topic_replication.factor(3), 3);
    }

    #[test]
    fn a_configured_factor_is_kept_on_one_broker() {
        let config = load("offsets.topic.replication.factor=2").expect("valid");
        assert_eq!(config.groups.offsets_topic_replication.factor(1), 2);
    }

    #[test]
    fn kafkas_example_configuration() {
        let config = load(
            "process.roles=broker,controller\nnode.id=7\nlog.dirs=/a, /b\n\
             listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.listener.names=CONTROLLER\n\
             controller.quorum.bootstrap.servers=localhost:9093\n\
             num.network.threads=3\nlog.retention.hours=168\n\
             max.connections.per.ip.overrides=127.0.0.1:100,[::1]:5\n",
        )
        .expect("valid");
        assert_eq!(config.node_id, NodeId(7));
        assert_eq!(config.log_dirs, ["/a", "/b"]);
        assert_eq!(config.socket.max_connections_per_ip_overrides[1].1, 5);
    }

    #[test]
    fn relations_are_checked() {
        for (text, expected) in [
            ("process.roles=", "names no role"),
            ("process.roles=broker", "needs a cluster"),
            ("log.dirs=a,,b", "empty directory"),
            ("node.id=1\nbroker.id=2", "differs from node.id"),
            ("default.replication.factor=0", "from 1 to 32767"),
            ("max.connections.per.ip.overrides=a", "is not host:count"),
        ] {
            let errors = load(text).expect_err(text);
            assert!(
                errors.iter().any(|error| error.0.contains(expected)),
                "{errors:?}"
            );
        }
    }
}
