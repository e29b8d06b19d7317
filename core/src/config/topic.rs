//! What a log needs to know of its topic's configuration, typed and resolved.
//!
//! Made from a topic's own values over the broker's, once for each change, and shared by all
//! partitions of the topic. Kafka class to compare: `LogConfig`.

use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, Scope};
use super::settings::{Overrides, Settings};
use super::table;
use super::value::Value;
use crate::wire::batch::TimestampType;

/// Which mark answers an acks=all write.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FlushPolicy {
    /// Answered when synced; one sync serves all writes that wait for it.
    #[default]
    Ack,
    /// Answered when written; synced every so many records or milliseconds.
    Interval,
    /// Answered when written; the operating system decides when to sync.
    Os,
}

impl FlushPolicy {
    /// The policy's name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Interval => "interval",
            Self::Os => "os",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Ack, Self::Interval, Self::Os]
            .into_iter()
            .find(|policy| policy.name() == text)
    }
}

/// The codec a log's batches are stored with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CompressionType {
    /// gzip, at this level; -1 is the library's default.
    Gzip(i32),
    /// LZ4, at this level.
    Lz4(i32),
    /// Whatever the producer chose.
    #[default]
    Producer,
    /// Snappy.
    Snappy,
    /// None.
    Uncompressed,
    /// Zstandard, at this level.
    Zstd(i32),
}

/// How far the broker looks into batches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RecordValidation {
    /// Every record, compressed or not.
    Deep,
    /// Compressed batches by header and checksum alone.
    #[default]
    Header,
}

/// A topic's configuration. Times are milliseconds and sizes bytes; "no limit" is `None`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// `cleanup.policy` has `compact`.
    pub compact: bool,
    /// `cleanup.policy` has `delete`, or is empty of both and keeps everything.
    pub delete: bool,
    /// `compression.type` with its level.
    pub compression_type: CompressionType,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `flush.policy`, or what `flush.messages` and `flush.ms` make of it.
    pub flush_policy: FlushPolicy,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio` in millionths.
    pub min_cleanable_dirty_ratio_millionths: u32,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `record.validation`.
    pub record_validation: RecordValidation,
    /// `retention.bytes`; `None` keeps any size.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`; `None` keeps records for ever.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: u32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}

impl Default for LogConfig {
    /// The configuration of a topic without values on a broker without values.
    fn default() -> Self {
        Self::resolve(&Settings::default(), &Overrides::new())
    }
}

impl LogConfig {
    /// The configuration of a topic with these values on a node with these settings.
    ///
    /// Values that do not parse are passed over: they were validated before they were stored.
    #[must_use]
    pub fn resolve(settings: &Settings, topic: &Overrides) -> Self {
        let resolver = Resolver { settings, topic };
        let policies = resolver.list("cleanup.policy");
        Self {
            compact: policies.iter().any(|policy| policy == "compact"),
            delete: policies.iter().any(|policy| policy == "delete"),
            compression_type: resolver.compression_type(),
            delete_retention_ms: resolver.integer("delete.retention.ms"),
            file_delete_delay_ms: resolver.integer("file.delete.delay.ms"),
            flush_messages: resolver.integer("flush.messages"),
            flush_ms: resolver.integer("flush.ms"),
            flush_policy: resolver.flush_policy(),
            index_interval_bytes: resolver.size("index.interval.bytes"),
            max_compaction_lag_ms: resolver.integer("max.compaction.lag.ms"),
            max_message_bytes: resolver.size("max.message.bytes"),
            message_timestamp_after_max_ms: resolver.integer("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: resolver.integer("message.timestamp.before.max.ms"),
            message_timestamp_type: match resolver.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _create_time => TimestampType::CreateTime,
            },
            min_cleanable_dirty_ratio_millionths: resolver.millionths("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: resolver.integer("min.compaction.lag.ms"),
            min_insync_replicas: i32::try_from(resolver.integer("min.insync.replicas"))
                .expect("of type INT"),
            preallocate: resolver.boolean("preallocate"),
            record_validation: match resolver.text("record.validation").as_str() {
                "deep" => RecordValidation::Deep,
                _header => RecordValidation::Header,
            },
            retention_bytes: u64::try_from(resolver.integer("retention.bytes")).ok(),
            retention_ms: Some(resolver.integer("retention.ms")).filter(|&ms| ms >= 0),
            segment_bytes: resolver.size("segment.bytes"),
            segment_index_bytes: resolver.size("segment.index.bytes"),
            segment_ms: resolver.integer("segment.ms"),
            unclean_leader_election: resolver.boolean("unclean.leader.election.enable"),
        }
    }

    /// [`Self::resolve`], to be shared by the partitions of a topic.
    #[must_use]
    pub fn shared(settings: &Settings, topic: &Overrides) -> Arc<Self> {
        Arc::new(Self::resolve(settings, topic))
    }

    /// How long a deleted segment's files stay.
    #[must_use]
    pub fn file_delete_delay(&self) -> Duration {
        Duration::from_millis(self.file_delete_delay_ms.unsigned_abs())
    }
}

/// The effective value of a topic's configuration, as text in Kafka's form; `None` for null.
#[must_use]
pub fn topic_value(settings: &Settings, topic: &Overrides, name: &str) -> Option<String> {
    let resolver = Resolver { settings, topic };
    resolver.value(name).map(|value| value.to_string())
}

struct Resolver<'a> {
    settings: &'a Settings,
    topic: &'a Overrides,
}

impl Resolver<'_> {
    /// The topic's own value; else the broker's, in the topic's units; else the default.
    fn value(&self, name: &str) -> Option<Value> {
        let Some(definition) = table::find(Scope::Topic, name) else {
            unreachable!("{name} is no topic configuration");
        };
        self.own(definition)
            .or_else(|| self.inherited(name))
            .or_else(|| {
                let text = definition.default.text()?;
                Some(definition.parse(text).expect("a test parses every default"))
            })
    }

    fn own(&self, definition: &Definition) -> Option<Value> {
        let text = self.topic.get(definition.name)?;
        self.settings.parse(definition, text).ok()
    }

    fn inherited(&self, name: &str) -> Option<Value> {
        let hours = |hours: i64| hours.saturating_mul(3_600_000);
        let in_hours = |name: &str| self.settings.integer_if_any(name).map(hours);
        let number = match name {
            "flush.ms" => self
                .settings
                .integer_if_any("log.flush.interval.ms")
                .unwrap_or_else(|| self.settings.integer("log.flush.scheduler.interval.ms")),
            "retention.ms" => {
                let minutes = |minutes: i64| minutes.saturating_mul(60_000);
                let in_minutes = self
                    .settings
                    .integer_if_any("log.retention.minutes")
                    .map(minutes);
                self.settings
                    .integer_if_any("log.retention.ms")
                    .or(in_minutes)
                    .or_else(|| in_hours("log.retention.hours"))?
                    .max(-1)
            }
            "segment.jitter.ms" => self
                .settings
                .integer_if_any("log.roll.jitter.ms")
                .or_else(|| in_hours("log.roll.jitter.hours"))?,
            "segment.ms" => self
                .settings
                .integer_if_any("log.roll.ms")
                .or_else(|| in_hours("log.roll.hours"))?,
            other => return self.settings.value(table::topic_synonym(other)?),
        };
        Some(Value::Integer(number))
    }

    fn integer(&self, name: &str) -> i64 {
        let value = self.value(name).and_then(|value| value.integer());
        value.expect("asked for a number by the name of one that is never null")
    }

    /// A number of type INT that is not negative.
    fn size(&self, name: &str) -> u32 {
        u32::try_from(self.integer(name)).expect("of type INT and at least 0")
    }

    fn boolean(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    fn text(&self, name: &str) -> String {
        self.value(name)
            .map(|value| value.to_string())
            .unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let value = self.value(name);
        value.map(Value::into_list).unwrap_or_default()
    }

    /// A fraction between 0 and 1 in millionths, by its digits: no arithmetic on fractions.
    fn millionths(&self, name: &str) -> u32 {
        let Some(Value::Double(value)) = self.value(name) else {
            unreachable!("{name} is no fraction");
        };
        let digits = format!("{value:.6}").replace('.', "");
        digits
            .parse()
            .expect("a fraction between 0 and 1 with six digits")
    }

    fn compression_type(&self) -> CompressionType {
        let level = |name: &str| i32::try_from(self.integer(name)).expect("of type INT");
        match self.text("compression.type").as_str() {
            "gzip" => CompressionType::Gzip(level("compression.gzip.level")),
            "lz4" => CompressionType::Lz4(level("compression.lz4.level")),
            "snappy" => CompressionType::Snappy,
            "uncompressed" => CompressionType::Uncompressed,
            "zstd" => CompressionType::Zstd(level("compression.zstd.level")),
            _producer => CompressionType::Producer,
        }
    }

    /// The topic's word first; then Kafka's way of saying it for the topic, `flush.messages` and
    /// `flush.ms`; then the same two on the broker.
    fn flush_policy(&self) -> FlushPolicy {
        let own = |name: &str| {
            self.topic
                .get(name)
                .and_then(|text| text.trim().parse().ok())
        };
        if let Some(policy) = self
            .topic
            .get("flush.policy")
            .and_then(|text| FlushPolicy::parse(text))
        {
            return policy;
        }
        if let Some(policy) = policy_of_intervals(own("flush.messages"), own("flush.ms")) {
            return policy;
        }
        let is_set = |name: &str| self.settings.is_set(name);
        let broker = |name: &str| self.settings.integer_if_any(name).filter(|_| is_set(name));
        let interval_ms = broker("log.flush.interval.ms");
        let intervals = (broker("log.flush.interval.messages"), interval_ms);
        match policy_of_intervals(intervals.0, intervals.1) {
            Some(policy) if !is_set("log.flush.policy") => policy,
            Some(_) | None => {
                let text = self.settings.text("log.flush.policy").unwrap_or_default();
                FlushPolicy::parse(&text).unwrap_or_default()
            }
        }
    }
}

/// What `flush.messages` and `flush.ms` mean as a policy: 1 record is `Ack`, any other bound is
/// `Interval`, and none at all says nothing.
fn policy_of_intervals(messages: Option<i64>, ms: Option<i64>) -> Option<FlushPolicy> {
    let bounded = |value: Option<i64>| value.filter(|&value| value != i64::MAX);
    match (bounded(messages), bounded(ms)) {
        (Some(1), _) => Some(FlushPolicy::Ack),
        (None, None) => None,
        (Some(_), _) | (None, Some(_)) => Some(FlushPolicy::Interval),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
            .collect()
    }

    fn check(broker: &[(&str, &str)], topic: &[(&str, &str)]) -> LogConfig {
        LogConfig::resolve(&Settings::of(overrides(broker)), &overrides(topic))
    }

    #[test]
    fn defaults_are_kafkas() {
        let config = LogConfig::default();
        assert!(config.delete && !config.compact);
        assert_eq!(config.retention_ms, Some(604_800_000));
        assert_eq!(config.retention_bytes, None);
        assert_eq!(config.segment_ms, 604_800_000);
        assert_eq!(config.segment_bytes, 1 << 30);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.flush_ms, i64::MAX);
        assert_eq!(config.flush_policy, FlushPolicy::Ack);
        assert_eq!(config.min_cleanable_dirty_ratio_millionths, 500_000);
    }

    #[test]
    fn units_of_the_broker_are_converted_and_the_finest_wins() {
        assert_eq!(
            check(&[("log.retention.hours", "1")], &[]).retention_ms,
            Some(3_600_000)
        );
        let both = [("log.retention.hours", "1"), ("log.retention.minutes", "1")];
        assert_eq!(check(&both, &[]).retention_ms, Some(60_000));
        let own = [("retention.ms", "-1")];
        assert_eq!(check(&both, &own).retention_ms, None);
        assert_eq!(
            check(&[("log.retention.minutes", "-1")], &[]).retention_ms,
            None
        );
        assert_eq!(check(&[("log.roll.hours", "2")], &[]).segment_ms, 7_200_000);
    }

    #[test]
    fn flush_policies() {
        let policy =
            |broker: &[(&str, &str)], topic: &[(&str, &str)]| check(broker, topic).flush_policy;
        let os = [("log.flush.policy", "os")];
        assert_eq!(policy(&os, &[]), FlushPolicy::Os);
        assert_eq!(policy(&os, &[("flush.policy", "ack")]), FlushPolicy::Ack);
        assert_eq!(policy(&os, &[("flush.messages", "1")]), FlushPolicy::Ack);
        assert_eq!(
            policy(&os, &[("flush.messages", "100")]),
            FlushPolicy::Interval
        );
        assert_eq!(
            policy(&[("log.flush.interval.ms", "50")], &[]),
            FlushPolicy::Interval
        );
        assert_eq!(policy(&[], &[("flush.ms", "50")]), FlushPolicy::Interval);
    }

    #[test]
    fn cleanup_and_compression() {
        let config = check(
            &[],
            &[
                ("cleanup.policy", "compact, delete"),
                ("compression.type", "zstd"),
            ],
        );
        assert!(config.compact && config.delete);
        assert_eq!(config.compression_type, CompressionType::Zstd(3));
        assert!(!check(&[], &[("cleanup.policy", "")]).delete);
    }
}
