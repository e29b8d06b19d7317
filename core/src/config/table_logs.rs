//! Broker configurations of Kafka 4.3: logs, compaction and metadata.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const LOGS: &[Definition] = definitions! { Broker;
    "compression.gzip.level": Int = "-1", Valid::BetweenOr(1, 9, -1), Medium, ClusterWide, Later;
        "Effort of gzip when the broker itself compresses."
    "compression.lz4.level": Int = "9", Valid::Between(1, 17), Medium, ClusterWide, Later;
        "Effort of lz4 when the broker itself compresses."
    "compression.type": String = "producer",
        Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        High, ClusterWide, Active;
        "Codec that batches are stored with; producer keeps what the producer sent."
    "compression.zstd.level": Int = "3", Valid::Between(-131_072, 22), Medium, ClusterWide, Later;
        "Effort of zstd when the broker itself compresses."
    "cordoned.log.dirs": List = "", Valid::Any, Medium, PerBroker, Later;
        "Log directories that take no new partitions; * means all of them."
    "internal.metadata.delete.delay.millis": Long = "60000", Valid::Any,
        Low, ReadOnly, None, internal;
        "Delay before removed files of the metadata log are deleted."
    "internal.metadata.log.segment.bytes": Int = null, Valid::Any, Low, ReadOnly, None, internal;
        "Segment size of the metadata log, for Kafka's own tests."
    "internal.metadata.max.batch.size.in.bytes": Int = "8388608", Valid::Any,
        Low, ReadOnly, None, internal;
        "Largest batch of the metadata log, for Kafka's own tests."
    "log.cleaner.backoff.ms": Long = "15000", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Pause of the compaction when there is nothing to compact."
    "log.cleaner.dedupe.buffer.size": Long = "134217728", Valid::Any, Medium, ClusterWide, Active;
        "Memory for the key map of compaction."
    "log.cleaner.delete.retention.ms": Long = "86400000", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "How long a compacted topic keeps tombstones."
    "log.cleaner.enable": Boolean = "true", Valid::Any, Medium, ReadOnly, Active;
        "Whether logs are compacted at all."
    "log.cleaner.io.buffer.load.factor": Double = "0.9", Valid::Any, Medium, ClusterWide, Active;
        "How full the key map of compaction may become."
    "log.cleaner.io.buffer.size": Int = "524288", Valid::AtLeast(0), Medium, ClusterWide, None;
        "Memory for the reads and writes of Kafka's compaction; Ottla reads 128 KiB at a time."
    "log.cleaner.io.max.bytes.per.second": Double = "1.7976931348623157E308", Valid::Any,
        Medium, ClusterWide, Active;
        "Most bytes a second that compaction reads and writes."
    "log.cleaner.max.compaction.lag.ms": Long = "9223372036854775807", Valid::AtLeast(1),
        Medium, ClusterWide, Active;
        "Age at which a record must be compacted."
    "log.cleaner.min.cleanable.ratio": Double = "0.5", Valid::FractionTo(1.0),
        Medium, ClusterWide, Active;
        "Share of uncompacted bytes from which a log is compacted."
    "log.cleaner.min.compaction.lag.ms": Long = "0", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Age below which a record is never compacted."
    "log.cleaner.threads": Int = "1", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Logs that are compacted at a time."
    "log.cleanup.policy": List = "delete", Valid::ListOf(&["compact", "delete"]),
        Medium, ClusterWide, Active;
        "What happens to old data: delete, compact, or both."
    "log.dir": List = "ottla-data", Valid::Any, High, ReadOnly, Active;
        "Data directories, used where log.dirs is not given."
    "log.dir.failure.timeout.ms": Long = "30000", Valid::AtLeast(1), Low, ReadOnly, Later;
        "Time a broker has to report a failed directory before it stops."
    "log.dirs": List = null, Valid::Any, High, ReadOnly, Active;
        "Data directories, comma separated; overrides log.dir."
    "log.flush.interval.messages": Long = "9223372036854775807", Valid::AtLeast(1),
        High, ClusterWide, Active;
        "Records after which a log is flushed to disk."
    "log.flush.interval.ms": Long = null, Valid::Any, High, ClusterWide, Active;
        "Age of unflushed data at which a log is flushed to disk."
    "log.flush.offset.checkpoint.interval.ms": Int = "60000", Valid::AtLeast(0),
        High, ReadOnly, Active;
        "How often the recovery points are written."
    "log.flush.policy": String = "ack", Valid::OneOf(&["ack", "interval", "os"]),
        High, ClusterWide, Active;
        "When an acks=all write is durable: ack syncs before the answer, interval and os after it."
    "log.flush.scheduler.interval.ms": Long = "9223372036854775807", Valid::Any,
        High, ReadOnly, Active;
        "How often logs are looked at for a flush that is due."
    "log.flush.start.offset.checkpoint.interval.ms": Int = "60000", Valid::AtLeast(0),
        High, ReadOnly, Later;
        "How often the log start offsets are written."
    "log.index.interval.bytes": Int = "4096", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Bytes between two entries of an offset index."
    "log.index.size.max.bytes": Int = "10485760", Valid::AtLeast(4), Medium, ClusterWide, Active;
        "Largest size of an index file."
    "log.initial.task.delay.ms": Long = "30000", Valid::AtLeast(0), Low, ReadOnly, None, internal;
        "Delay before Kafka's periodic log tasks first run."
    "log.local.retention.bytes": Long = "-2", Valid::AtLeast(-2), Medium, ClusterWide, None;
        "Bytes of a tiered log kept locally; Ottla has no tiered storage."
    "log.local.retention.ms": Long = "-2", Valid::AtLeast(-2), Medium, ClusterWide, None;
        "Time that a tiered log's records stay local; Ottla has no tiered storage."
    "log.message.timestamp.after.max.ms": Long = "3600000", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "How far a record's timestamp may be ahead of the broker's clock."
    "log.message.timestamp.before.max.ms": Long = "9223372036854775807", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "How far a record's timestamp may be behind the broker's clock."
    "log.message.timestamp.type": String = "CreateTime",
        Valid::OneOf(&["CreateTime", "LogAppendTime"]),
        Medium, ClusterWide, Active;
        "Whether records carry the producer's time or the broker's."
    "log.preallocate": Boolean = "false", Valid::Any, Medium, ClusterWide, None;
        "Whether segment files get their full size at once; Ottla grows them in chunks of its own."
    "log.retention.bytes": Long = "-1", Valid::Any, High, ClusterWide, Active;
        "Bytes of a partition above which old segments are deleted; -1 sets no limit."
    "log.retention.check.interval.ms": Long = "300000", Valid::AtLeast(1), Medium, ReadOnly, Active;
        "How often logs are looked at for segments to delete."
    "log.retention.hours": Int = "168", Valid::Any, High, ReadOnly, Active;
        "Hours that records are kept, where neither log.retention.minutes nor .ms is given."
    "log.retention.minutes": Int = null, Valid::Any, High, ReadOnly, Active;
        "Minutes that records are kept, where log.retention.ms is not given."
    "log.retention.ms": Long = null, Valid::Any, High, ClusterWide, Active;
        "Milliseconds that records are kept; -1 sets no limit."
    "log.roll.hours": Int = "168", Valid::AtLeast(1), High, ReadOnly, Active;
        "Hours after which a new segment begins, where log.roll.ms is not given."
    "log.roll.jitter.hours": Int = "0", Valid::AtLeast(0), High, ReadOnly, None;
        "Random hours taken off the age at which a segment rolls; Ottla rolls without jitter."
    "log.roll.jitter.ms": Long = null, Valid::Any, High, ClusterWide, None;
        "Random time taken off the age at which a segment rolls; Ottla rolls without jitter."
    "log.roll.ms": Long = null, Valid::Any, High, ClusterWide, Active;
        "Milliseconds after which a new segment begins even if it is not full."
    "log.segment.bytes": Int = "1073741824", Valid::AtLeast(1_048_576), High, ClusterWide, Active;
        "Size at which a segment is full."
    "log.segment.delete.delay.ms": Long = "60000", Valid::AtLeast(0), High, ClusterWide, Active;
        "How long a deleted segment's files stay on disk."
    "log.tail.bytes": Long = "16777216", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Memory for the newest batches of all partitions, from which most fetches are answered."
    "message.max.bytes": Int = "1048588", Valid::AtLeast(0), High, ClusterWide, Active;
        "Largest record batch a partition takes."
    "metadata.log.dir": String = null, Valid::Any, High, ReadOnly, Active;
        "Directory of the metadata log; the first data directory where not given."
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520", Valid::AtLeast(1),
        High, ReadOnly, Active;
        "Bytes of metadata records after which a snapshot is made."
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", Valid::AtLeast(0),
        High, ReadOnly, Later;
        "Time after which a metadata snapshot is made if anything changed; 0 turns it off."
    "metadata.log.segment.bytes": Int = "1073741824", Valid::AtLeast(8_388_608),
        High, ReadOnly, Active;
        "Size at which a segment of the metadata log is full."
    "metadata.log.segment.ms": Long = "604800000", Valid::Any, High, ReadOnly, Active;
        "Age at which a segment of the metadata log rolls."
    "metadata.max.idle.interval.ms": Int = "500", Valid::AtLeast(0), Low, ReadOnly, Later;
        "How often an idle controller writes a no-op record; 0 turns it off."
    "metadata.max.retention.bytes": Long = "104857600", Valid::Any, High, ReadOnly, Active;
        "Size of the metadata log and its snapshots above which old ones are deleted."
    "metadata.max.retention.ms": Long = "604800000", Valid::Any, High, ReadOnly, Later;
        "Age at which old metadata segments and snapshots are deleted."
    "min.insync.replicas": Int = "1", Valid::AtLeast(1), High, ClusterWide, Later;
        "Replicas that must have a record before acks=all is answered."
    "num.recovery.threads.per.data.dir": Int = "2", Valid::AtLeast(1), High, ClusterWide, None;
        "Recovery threads of Kafka; Ottla sizes itself."
    "record.validation": String = "header", Valid::OneOf(&["header", "deep"]),
        Medium, ClusterWide, Active;
        "How far batches are checked: header and CRC, or every compressed record too."
    "remote.fetch.max.wait.ms": Int = "500", Valid::AtLeast(1), Medium, ClusterWide, None;
        "Longest wait of a fetch for tiered data; Ottla has no tiered storage."
    "remote.list.offsets.request.timeout.ms": Long = "30000", Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Timeout of offset look-ups in tiered data; Ottla has no tiered storage."
    "remote.log.index.file.cache.total.size.bytes": Long = "1073741824", Valid::AtLeast(1),
        Low, ClusterWide, None;
        "Disk space for indexes of tiered data; Ottla has no tiered storage."
    "remote.log.index.file.cache.ttl.ms": Long = "900000", Valid::AtLeast(-1),
        Low, ReadOnly, None, internal;
        "Lifetime of cached indexes of tiered data; Ottla has no tiered storage."
    "remote.log.manager.copier.thread.pool.size": Int = "10", Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Threads that copy segments to tiered storage; Ottla has no tiered storage."
    "remote.log.manager.copy.max.bytes.per.second": Long = "9223372036854775807", Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Most bytes a second copied to tiered storage; Ottla has no tiered storage."
    "remote.log.manager.copy.quota.window.num": Int = "11", Valid::AtLeast(1),
        Medium, ReadOnly, None;
        "Samples of the rate of copies to tiered storage; Ottla has no tiered storage."
    "remote.log.manager.copy.quota.window.size.seconds": Int = "1", Valid::AtLeast(1),
        Medium, ReadOnly, None;
        "Length of a sample of that rate; Ottla has no tiered storage."
    "remote.log.manager.expiration.thread.pool.size": Int = "10", Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Threads that expire tiered segments; Ottla has no tiered storage."
    "remote.log.manager.fetch.max.bytes.per.second": Long = "9223372036854775807",
        Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Most bytes a second fetched from tiered storage; Ottla has no tiered storage."
    "remote.log.manager.fetch.quota.window.num": Int = "11", Valid::AtLeast(1),
        Medium, ReadOnly, None;
        "Samples of the rate of fetches from tiered storage; Ottla has no tiered storage."
    "remote.log.manager.fetch.quota.window.size.seconds": Int = "1", Valid::AtLeast(1),
        Medium, ReadOnly, None;
        "Length of a sample of that rate; Ottla has no tiered storage."
    "remote.log.manager.follower.thread.pool.size": Int = "2", Valid::AtLeast(1),
        Medium, ClusterWide, None;
        "Threads of followers for tiered segments; Ottla has no tiered storage."
    "remote.log.manager.task.interval.ms": Long = "30000", Valid::AtLeast(1), Low, ReadOnly, None;
        "How often tiered storage is tended; Ottla has no tiered storage."
    "remote.log.manager.task.retry.backoff.max.ms": Long = "30000", Valid::AtLeast(1),
        Low, ReadOnly, None, internal;
        "Longest wait before a tiering task is tried again; Ottla has no tiered storage."
    "remote.log.manager.task.retry.backoff.ms": Long = "500", Valid::AtLeast(1),
        Low, ReadOnly, None, internal;
        "First wait before a tiering task is tried again; Ottla has no tiered storage."
    "remote.log.manager.task.retry.jitter": Double = "0.2", Valid::FractionTo(0.5),
        Low, ReadOnly, None, internal;
        "Randomness of that wait; Ottla has no tiered storage."
    "remote.log.manager.thread.pool.size": Int = "2", Valid::AtLeast(1), Medium, ReadOnly, None;
        "Threads of tiered storage; Ottla has no tiered storage."
    "remote.log.metadata.custom.metadata.max.bytes": Int = "128", Valid::AtLeast(0),
        Low, ReadOnly, None;
        "Longest custom metadata of a tiered segment; Ottla has no tiered storage."
    "remote.log.metadata.manager.class.name": String =
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        Valid::NonEmpty, Medium, ReadOnly, None;
        "Java class that keeps tiered metadata; Ottla has no tiered storage."
    "remote.log.metadata.manager.class.path": String = null, Valid::Any, Medium, ReadOnly, None;
        "Class path of that class; Ottla has no tiered storage."
    "remote.log.metadata.manager.impl.prefix": String = "rlmm.config.", Valid::NonEmpty,
        Medium, ReadOnly, None;
        "Prefix of that class's own configuration; Ottla has no tiered storage."
    "remote.log.metadata.manager.listener.name": String = null, Valid::NonEmpty,
        Medium, ReadOnly, None;
        "Listener used by that class; Ottla has no tiered storage."
    "remote.log.reader.max.pending.tasks": Int = "100", Valid::AtLeast(1), Medium, ReadOnly, None;
        "Queue of tiered reads; Ottla has no tiered storage."
    "remote.log.reader.threads": Int = "10", Valid::AtLeast(1), Medium, ClusterWide, None;
        "Threads of tiered reads; Ottla has no tiered storage."
    "remote.log.storage.manager.class.name": String = null, Valid::NonEmpty, Medium, ReadOnly, None;
        "Java class that stores tiered segments; Ottla has no tiered storage."
    "remote.log.storage.manager.class.path": String = null, Valid::Any, Medium, ReadOnly, None;
        "Class path of that class; Ottla has no tiered storage."
    "remote.log.storage.manager.impl.prefix": String = "rsm.config.", Valid::NonEmpty,
        Medium, ReadOnly, None;
        "Prefix of that class's own configuration; Ottla has no tiered storage."
    "remote.log.storage.system.enable": Boolean = "false", Valid::Any, Medium, ReadOnly, None;
        "Whether tiered storage is on; Ottla has none."
};
