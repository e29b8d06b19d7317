//! Topic configurations of Kafka 4.3: topics.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const TOPICS: &[Definition] = definitions! { Topic;
    "cleanup.policy": List = "delete", Valid::ListOf(&["compact", "delete"]),
        Medium, ClusterWide, Active;
        "What happens to old data: delete, compact, or both."
    "compression.gzip.level": Int = "-1", Valid::BetweenOr(1, 9, -1), Medium, ClusterWide, Later;
        "Effort of gzip when the broker itself compresses."
    "compression.lz4.level": Int = "9", Valid::Between(1, 17), Medium, ClusterWide, Later;
        "Effort of lz4 when the broker itself compresses."
    "compression.type": String = "producer",
        Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        Medium, ClusterWide, Active;
        "Codec that batches are stored with; producer keeps what the producer sent."
    "compression.zstd.level": Int = "3", Valid::Between(-131_072, 22), Medium, ClusterWide, Later;
        "Effort of zstd when the broker itself compresses."
    "delete.retention.ms": Long = "86400000", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "How long tombstones are kept after compaction has reached them."
    "file.delete.delay.ms": Long = "60000", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "How long a deleted segment's files stay on disk."
    "flush.messages": Long = "9223372036854775807", Valid::AtLeast(1), Medium, ClusterWide, Active;
        "Records after which the log is flushed to disk; 1 means the flush policy ack."
    "flush.ms": Long = "9223372036854775807", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Age of unflushed data at which the log is flushed to disk."
    "flush.policy": String = "ack", Valid::OneOf(&["ack", "interval", "os"]),
        Medium, ClusterWide, Active;
        "When an acks=all write is durable: ack syncs before the answer, interval and os after it."
    "follower.replication.throttled.replicas": List = "", Valid::ThrottledReplicas,
        Medium, ClusterWide, Later;
        "Replicas whose followers are throttled, as partition:broker pairs or *."
    "index.interval.bytes": Int = "4096", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Bytes between two entries of an offset index."
    "internal.segment.bytes": Int = null, Valid::Any, Medium, ClusterWide, None, internal;
        "Segment size for Kafka's own tests."
    "leader.replication.throttled.replicas": List = "", Valid::ThrottledReplicas,
        Medium, ClusterWide, Later;
        "Replicas whose leaders are throttled, as partition:broker pairs or *."
    "local.retention.bytes": Long = "-2", Valid::AtLeast(-2), Medium, ClusterWide, None;
        "Bytes of a tiered log kept locally; Ottla has no tiered storage."
    "local.retention.ms": Long = "-2", Valid::AtLeast(-2), Medium, ClusterWide, None;
        "Time that a tiered log's records stay local; Ottla has no tiered storage."
    "max.compaction.lag.ms": Long = "9223372036854775807", Valid::AtLeast(1),
        Medium, ClusterWide, Active;
        "Age at which a record must be compacted."
    "max.message.bytes": Int = "1048588", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Largest record batch a partition takes."
    "message.timestamp.after.max.ms": Long = "3600000", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "How far a record's timestamp may be ahead of the broker's clock."
    "message.timestamp.before.max.ms": Long = "9223372036854775807", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "How far a record's timestamp may be behind the broker's clock."
    "message.timestamp.type": String = "CreateTime", Valid::OneOf(&["CreateTime", "LogAppendTime"]),
        Medium, ClusterWide, Active;
        "Whether records carry the producer's time or the broker's."
    "min.cleanable.dirty.ratio": Double = "0.5", Valid::FractionTo(1.0),
        Medium, ClusterWide, Active;
        "Share of uncompacted bytes from which the log is compacted."
    "min.compaction.lag.ms": Long = "0", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Age below which a record is never compacted."
    "min.insync.replicas": Int = "1", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Replicas that must have a record before acks=all is answered."
    "preallocate": Boolean = "false", Valid::Any, Medium, ClusterWide, None;
        "Whether segment files get their full size at once; Ottla grows them in chunks of its own."
    "record.validation": String = "header", Valid::OneOf(&["header", "deep"]),
        Medium, ClusterWide, Active;
        "How far batches are checked: header and CRC, or every compressed record too."
    "remote.log.copy.disable": Boolean = "false", Valid::Any, Medium, ClusterWide, None;
        "Whether copying to tiered storage stops; Ottla has no tiered storage."
    "remote.log.delete.on.disable": Boolean = "false", Valid::Any, Medium, ClusterWide, None;
        "Whether tiered data goes when tiering is turned off; Ottla has no tiered storage."
    "remote.storage.enable": Boolean = "false", Valid::Any, Medium, ClusterWide, None;
        "Whether the topic is tiered; Ottla has no tiered storage."
    "retention.bytes": Long = "-1", Valid::Any, Medium, ClusterWide, Active;
        "Bytes of a partition above which old segments are deleted; -1 sets no limit."
    "retention.ms": Long = "604800000", Valid::AtLeast(-1), Medium, ClusterWide, Active;
        "Milliseconds that records are kept; -1 sets no limit."
    "segment.bytes": Int = "1073741824", Valid::AtLeast(1_048_576), Medium, ClusterWide, Active;
        "Size at which a segment is full."
    "segment.index.bytes": Int = "10485760", Valid::AtLeast(4), Medium, ClusterWide, Active;
        "Largest size of an index file."
    "segment.jitter.ms": Long = "0", Valid::AtLeast(0), Medium, ClusterWide, None;
        "Random time taken off the age at which a segment rolls; Ottla rolls without jitter."
    "segment.ms": Long = "604800000", Valid::AtLeast(1), Medium, ClusterWide, Active;
        "Age at which a new segment begins even if it is not full."
    "unclean.leader.election.enable": Boolean = "false", Valid::Any, Medium, ClusterWide, Later;
        "Whether a replica that lags may become leader when no other is left."
};
