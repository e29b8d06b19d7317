//! The parts of a node's configuration: connections, housekeeping, groups, transactions, the
//! metadata log.
//!
//! Each is resolved from [`Settings`] by [`super::broker`], which also checks what is between them.

use std::time::Duration;

use super::settings::Settings;

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

/// Metrics and health checks over HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpConfig {
    /// `http.listener`: host and port; no host is every address, `None` is none at all.
    pub listener: Option<(String, u16)>,
    /// Whether nobody chose that address, so that another program may have it.
    pub is_default_listener: bool,
    /// `metrics.partitions.enable`.
    pub tells_partitions: bool,
}

impl HttpConfig {
    pub(super) fn of(settings: &Settings) -> Self {
        let listener = settings.text("http.listener").unwrap_or_default();
        Self {
            listener: http_address(&listener).unwrap_or_default(),
            is_default_listener: !settings.is_set("http.listener"),
            tells_partitions: settings.boolean("metrics.partitions.enable"),
        }
    }
}

/// The host and port of `host:port`; `None` where the text is empty.
pub(super) fn http_address(text: &str) -> Result<Option<(String, u16)>, ()> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let (host, port) = text.trim().rsplit_once(':').ok_or(())?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or(())?,
        None if host.contains(':') => return Err(()),
        None => host,
    };
    Ok(Some((host.to_owned(), port.parse().map_err(|_| ())?)))
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

/// How replicas move between data directories.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MoveConfig {
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, of all moves together; `None` for no
    /// bound.
    pub bytes_per_second: Option<u64>,
}

impl MoveConfig {
    pub(super) fn of(settings: &Settings) -> Self {
        let rate = settings.integer("replica.alter.log.dirs.io.max.bytes.per.second");
        let rate = (rate < i64::MAX).then(|| u64::try_from(rate).unwrap_or(0).max(1));
        Self {
            bytes_per_second: rate,
        }
    }

    /// How long copying so many bytes may take.
    #[must_use]
    pub fn time_of(&self, bytes: u64) -> Duration {
        time_at(self.bytes_per_second, bytes)
    }

    /// The largest piece, so that none takes longer than a second: a rate that is raised is felt
    /// soon.
    #[must_use]
    pub fn piece_bytes(&self, bytes_max: u32) -> u32 {
        let rate = self.bytes_per_second.map(u32::try_from);
        rate.and_then(Result::ok).unwrap_or(u32::MAX).min(bytes_max)
    }
}

/// How long so many bytes take at a rate, if there is one.
fn time_at(bytes_per_second: Option<u64>, bytes: u64) -> Duration {
    let Some(rate) = bytes_per_second else {
        return Duration::ZERO;
    };
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How logs are compacted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompactionConfig {
    /// `log.cleaner.enable`.
    pub is_enabled: bool,
    /// `log.cleaner.threads`: logs that are compacted at a time.
    pub rounds_max: usize,
    /// `log.cleaner.dedupe.buffer.size`: memory for keys, of all rounds together.
    pub key_map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor` in millionths.
    pub load_millionths: u32,
    /// `log.cleaner.io.max.bytes.per.second`; `None` for no bound.
    pub bytes_per_second: Option<u64>,
    /// `log.cleaner.backoff.ms`.
    pub backoff: Duration,
}

impl CompactionConfig {
    pub(super) fn of(settings: &Settings) -> Self {
        let size = settings.integer("log.cleaner.dedupe.buffer.size");
        let load = settings.millionths("log.cleaner.io.buffer.load.factor");
        let rate = settings.millionths("log.cleaner.io.max.bytes.per.second");
        Self {
            is_enabled: settings.boolean("log.cleaner.enable"),
            rounds_max: usize::try_from(settings.int("log.cleaner.threads")).unwrap_or(0),
            key_map_bytes: u64::try_from(size).unwrap_or(0),
            load_millionths: u32::try_from(load.min(1_000_000)).expect("at most a million"),
            bytes_per_second: (rate < u64::MAX).then_some((rate / 1_000_000).max(1)),
            backoff: millis(settings, "log.cleaner.backoff.ms"),
        }
    }

    /// How long reading or writing so many bytes may take.
    #[must_use]
    pub fn time_of(&self, bytes: u64) -> Duration {
        time_at(self.bytes_per_second, bytes)
    }
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

impl SocketConfig {
    pub(super) fn of(settings: &Settings) -> Self {
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
    pub(super) fn of(settings: &Settings) -> Self {
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
    pub(super) fn of(settings: &Settings) -> Self {
        let retention_minutes = settings.integer("offsets.retention.minutes").unsigned_abs();
        Self {
            initial_rebalance_delay: millis(settings, "group.initial.rebalance.delay.ms"),
            min_session_timeout_ms: settings.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: settings.int("group.max.session.timeout.ms"),
            max_size: settings.int("group.max.size"),
            offset_metadata_max_bytes: settings.int("offset.metadata.max.bytes"),
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
    pub(super) fn of(settings: &Settings) -> Self {
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
    pub(super) fn of(settings: &Settings) -> Self {
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

/// `host:count` pairs; the pair that is not one where it fails.
pub(super) fn ip_overrides(text: &str) -> Result<Vec<(String, u32)>, String> {
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
pub(super) fn i16_of(settings: &Settings, name: &str) -> i16 {
    i16::try_from(settings.int(name)).expect("of type SHORT, or checked by check_relations")
}

/// A number of type INT that is at least 0.
pub(super) fn size(settings: &Settings, name: &str) -> u32 {
    u32::try_from(settings.int(name)).expect("its table row demands at least 0")
}

/// A time; a negative one is none at all.
fn millis(settings: &Settings, name: &str) -> Duration {
    Duration::from_millis(u64::try_from(settings.integer(name)).unwrap_or(0))
}
