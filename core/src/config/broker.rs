//! A node's own configuration, typed: what its parts and its driver read.
//!
//! Resolved from [`Settings`] at boot and after each dynamic change, never read by name on a path
//! that carries requests. Whatever a topic may override is in [`LogConfig`]. Kafka class to
//! compare: `KafkaConfig`.

use std::collections::BTreeSet;
use std::sync::Arc;

pub use super::broker_parts::{
    CompactionConfig, GroupConfig, HousekeepingConfig, HttpConfig, InternalReplication,
    MetadataLogConfig, MoveConfig, SocketConfig, TransactionConfig,
};
use super::broker_parts::{http_address, i16_of, ip_overrides, size};
use super::listeners::Listeners;
use super::settings::{ConfigError, Overrides, Settings};
use super::topic::LogConfig;
use crate::ids::NodeId;
use crate::quota::throttle::QuotaSettings;
use crate::quota::window::Windows;

/// The roles of a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles {
    /// It keeps partitions and serves clients.
    pub broker: bool,
    /// It is a voter of the metadata quorum, or may become one.
    pub controller: bool,
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
    /// `log.dirs`, or `log.dir`; at least one, in order but for `metadata.log.dir`, which is first:
    /// the metadata log is in the first.
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
    /// Metrics and health checks.
    pub http: HttpConfig,
    /// Checkpoints, retention and producer ids.
    pub housekeeping: HousekeepingConfig,
    /// Compaction.
    pub compaction: CompactionConfig,
    /// How replicas move between data directories.
    pub moves: MoveConfig,
    /// Groups.
    pub groups: GroupConfig,
    /// Transactions.
    pub transactions: TransactionConfig,
    /// The metadata log.
    pub metadata_log: MetadataLogConfig,
    /// Over what times quotas are reckoned.
    pub quotas: QuotaSettings,
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
        let mut log_dirs = log_dirs(settings);
        let metadata_log_dir = settings.text("metadata.log.dir");
        if let Some(place) = metadata_log_dir.and_then(|dir| place_of(&log_dirs, &dir)) {
            log_dirs[..=place].rotate_right(1);
        }
        check_relations(settings, roles, &log_dirs, &mut errors);
        let node_id = NodeId(settings.int("node.id"));
        check_absent(settings, node_id, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            node_id,
            roles,
            rack: settings.text("broker.rack"),
            listeners,
            metadata_log_dir: log_dirs[0].clone(),
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
            http: HttpConfig::of(settings),
            housekeeping: HousekeepingConfig::of(settings),
            compaction: CompactionConfig::of(settings),
            moves: MoveConfig::of(settings),
            groups: GroupConfig::of(settings),
            transactions: TransactionConfig::of(settings),
            metadata_log: MetadataLogConfig::of(settings),
            quotas: QuotaSettings {
                clients: windows(settings, "quota.window"),
                mutations: windows(settings, "controller.quota.window"),
            },
            log_defaults: LogConfig::shared(settings, &Overrides::new()),
        })
    }
}

/// `<prefix>.num` samples of `<prefix>.size.seconds`; both are at least 1.
fn windows(settings: &Settings, prefix: &str) -> Windows {
    let number = |name: &str| settings.integer(&format!("{prefix}.{name}")).unsigned_abs();
    Windows {
        count: number("num"),
        length_ms: number("size.seconds").saturating_mul(1_000),
    }
}

fn log_dirs(settings: &Settings) -> Vec<String> {
    let mut dirs = settings.list("log.dirs");
    if dirs.is_empty() {
        dirs = settings.list("log.dir");
    }
    // One that is named twice is one, as in Kafka 4.3.1.
    let mut seen = BTreeSet::new();
    dirs.retain(|dir| seen.insert(dir.clone()));
    dirs
}

/// Which of the directories this one is; with or without a slash at its end.
fn place_of(dirs: &[String], wanted: &str) -> Option<usize> {
    let bare = |dir: &str| dir.trim_end_matches('/').to_owned();
    dirs.iter().position(|dir| bare(dir) == bare(wanted))
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
    check_directories(settings, log_dirs, &mut error);
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
    if let Some(wrong) = settings
        .text("http.listener")
        .filter(|text| http_address(text).is_err())
    {
        error(format!(
            "http.listener={wrong}: is not host:port, nor empty for none"
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

fn check_directories(settings: &Settings, log_dirs: &[String], error: &mut impl FnMut(String)) {
    for name in ["log.dirs", "log.dir"] {
        if settings.is_set(name) && settings.list(name).is_empty() {
            error(format!(
                "{name}=: names no directory; write a path, or leave it out"
            ));
        }
    }
    if log_dirs.iter().any(String::is_empty) {
        error("log.dirs: an empty directory name; write paths separated by commas".to_owned());
    }
    if log_dirs.len() > usize::from(u8::MAX) {
        error(format!(
            "log.dirs: {} directories, at most 255 are served",
            log_dirs.len()
        ));
    }
    if let Some(dir) = settings.text("metadata.log.dir")
        && place_of(log_dirs, &dir).is_none()
    {
        error(format!(
            "metadata.log.dir={dir}: is none of log.dirs; name one of them, or add it there: a \
             directory for metadata alone is not served"
        ));
    }
}

/// Refuses what says that other nodes, or the rights of users, are to be seen to: a node that went
/// on without would be a cluster of its own, or open to all.
fn check_absent(settings: &Settings, node: NodeId, errors: &mut Vec<ConfigError>) {
    let mut error = |text: String| errors.push(ConfigError(text));
    for name in [
        "controller.quorum.voters",
        "controller.quorum.bootstrap.servers",
    ] {
        let nodes = settings.list(name);
        if nodes.len() > 1 {
            error(format!(
                "{name}: names {} nodes, and a quorum of several is not served yet; name this \
                 one alone, or leave it out",
                nodes.len()
            ));
        }
    }
    if let [voter] = &settings.list("controller.quorum.voters")[..] {
        let id = voter
            .split_once('@')
            .and_then(|(id, _address)| id.parse().ok());
        if id != Some(node.0) {
            error(format!(
                "controller.quorum.voters={voter}: is not this node, which is {node}@host:port; \
                 name this one, or leave it out"
            ));
        }
    }
    let authorizer = settings.text("authorizer.class.name");
    // Without an ACL it lets everyone in, and so does a broker without it.
    let is_needless = settings.allows_everyone_without_acls();
    if let Some(class) = authorizer.filter(|class| !class.is_empty() && !is_needless) {
        error(format!(
            "authorizer.class.name={class}: ACLs are not served yet, and everyone would be let \
             in; leave it out, or say allow.everyone.if.no.acl.found=true, where that is meant"
        ));
    }
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
    fn metrics_are_on_loopback_unless_told_otherwise() {
        let http = |text: &str| load(text).expect("valid").http;
        let address = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(http("").listener, address("127.0.0.1", 9644));
        assert!(http("").is_default_listener);
        let set = http("http.listener=[::1]:0\nmetrics.partitions.enable=false");
        assert_eq!(set.listener, address("::1", 0));
        assert!(!set.is_default_listener);
        assert!(!set.tells_partitions);
        assert_eq!(http("http.listener=").listener, None);
        assert_eq!(http("http.listener=:9644").listener, address("", 9644));
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
    fn the_directory_of_the_metadata_log_is_the_first() {
        let config = load("log.dirs=a,b,c/\nmetadata.log.dir=c").expect("valid");
        assert_eq!(config.log_dirs, ["c/", "a", "b"]);
        assert_eq!(config.metadata_log_dir, "c/");
        let config = load("log.dirs=a,b,a").expect("one of them is named twice");
        assert_eq!(config.log_dirs, ["a", "b"]);
    }

    #[test]
    fn an_authorizer_that_lets_everyone_in_is_needless() {
        let text = "authorizer.class.name=A\nallow.everyone.if.no.acl.found=TRUE";
        assert!(load(text).is_ok());
        let text = "authorizer.class.name=A\nallow.everyone.if.no.acl.found=false";
        let errors = load(text).expect_err("some are kept out");
        assert!(
            errors[0].0.contains("everyone would be let in"),
            "{errors:?}"
        );
    }

    #[test]
    fn relations_are_checked() {
        for (text, expected) in [
            ("process.roles=", "names no role"),
            ("process.roles=broker", "needs a cluster"),
            ("log.dirs=a,,b", "empty directory"),
            ("log.dirs=", "names no directory"),
            ("log.dirs=a\nlog.dir=", "names no directory"),
            ("node.id=1\nbroker.id=2", "differs from node.id"),
            ("default.replication.factor=0", "from 1 to 32767"),
            ("max.connections.per.ip.overrides=a", "is not host:count"),
            ("log.dirs=a,b\nmetadata.log.dir=c", "is none of log.dirs"),
            ("http.listener=9644", "is not host:port"),
            ("http.listener=localhost:http", "is not host:port"),
            ("authorizer.class.name=A", "ACLs are not served yet"),
            (
                "controller.quorum.voters=1@a:1,2@b:1,3@c:1",
                "names 3 nodes",
            ),
            (
                "controller.quorum.bootstrap.servers=a:1,b:1",
                "names 2 nodes",
            ),
            ("controller.quorum.voters=2@a:1", "is not this node"),
            ("controller.quorum.voters=a:1", "is not this node"),
        ] {
            let errors = load(text).expect_err(text);
            assert!(
                errors.iter().any(|error| error.0.contains(expected)),
                "{errors:?}"
            );
        }
    }
}
