//! Broker configurations of Kafka 4.3: groups, offsets and transactions.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const GROUPS: &[Definition] = definitions! { Broker;
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", Valid::AtLeast(0),
        High, ReadOnly, Later;
        "Longest wait between server-side retries of adding a partition to a transaction."
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", Valid::AtLeast(1), High, ReadOnly, Later;
        "First wait before the server retries adding a partition to a transaction."
    "group.consumer.assignment.interval.ms": Int = "1000", Valid::AtLeast(0),
        Medium, ClusterWide, Later;
        "Least time between two assignments of one consumer group."
    "group.consumer.assignors": List = "uniform,range", Valid::Any, Medium, ReadOnly, Later;
        "Server-side assignors for consumer groups; the first one is the default."
    "group.consumer.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Heartbeat interval given to members of consumer groups."
    "group.consumer.max.assignment.interval.ms": Int = "15000", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Largest assignment interval a consumer group may set."
    "group.consumer.max.heartbeat.interval.ms": Int = "15000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Largest heartbeat interval a consumer group may set."
    "group.consumer.max.session.timeout.ms": Int = "60000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Largest session timeout a consumer group may set."
    "group.consumer.max.size": Int = "2147483647", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Most members of one consumer group."
    "group.consumer.migration.policy": String = "bidirectional",
        Valid::OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        Medium, ReadOnly, Later;
        "Which conversions between classic and consumer groups happen online."
    "group.consumer.min.assignment.interval.ms": Int = "0", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Smallest assignment interval a consumer group may set."
    "group.consumer.min.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Smallest heartbeat interval a consumer group may set."
    "group.consumer.min.session.timeout.ms": Int = "45000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Smallest session timeout a consumer group may set."
    "group.consumer.regex.refresh.interval.ms": Int = "600000", Valid::AtLeast(10000),
        Medium, ReadOnly, Later, internal;
        "How often subscriptions by regular expression are resolved anew."
    "group.consumer.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Silence after which a member of a consumer group is removed."
    "group.coordinator.append.linger.ms": Int = "-1", Valid::AtLeast(-1), Medium, ReadOnly, None;
        "How long Kafka's coordinator gathers records before a write; Ottla gathers by turns."
    "group.coordinator.background.threads": Int = "2", Valid::AtLeast(1), High, ReadOnly, None;
        "Threads of Kafka's coordinator for background work; Ottla sizes itself."
    "group.coordinator.cached.buffer.max.bytes": Int = "1048588", Valid::AtLeast(524_288),
        Medium, ClusterWide, None;
        "Largest write buffer Kafka's group coordinator keeps."
    "group.coordinator.rebalance.protocols": List = "classic,consumer,streams",
        Valid::ListOf(&["consumer", "classic", "share", "streams"]),
        Medium, ReadOnly, Later;
        "Group protocols the coordinator serves."
    "group.coordinator.threads": Int = "4", Valid::AtLeast(1), High, ReadOnly, None;
        "Threads of Kafka's coordinator; Ottla sizes itself."
    "group.initial.rebalance.delay.ms": Int = "3000", Valid::Any, Medium, ReadOnly, Active;
        "How long an empty classic group waits for further members before its first rebalance."
    "group.max.session.timeout.ms": Int = "1800000", Valid::Any, Medium, ReadOnly, Active;
        "Largest session timeout of classic group members."
    "group.max.size": Int = "2147483647", Valid::AtLeast(1), Medium, ReadOnly, Active;
        "Most members of one classic group."
    "group.min.session.timeout.ms": Int = "6000", Valid::Any, Medium, ReadOnly, Active;
        "Smallest session timeout of classic group members."
    "group.share.assignment.interval.ms": Int = "1000", Valid::AtLeast(0),
        Medium, ClusterWide, Later;
        "Least time between two assignments of one share group."
    "group.share.assignors": List = "simple", Valid::Any, Medium, ReadOnly, Later;
        "Server-side assignors for share groups."
    "group.share.delivery.count.limit": Int = "5", Valid::Between(2, 10), Medium, ReadOnly, Later;
        "Deliveries of a record before a share group gives it up."
    "group.share.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Heartbeat interval given to members of share groups."
    "group.share.initialize.retry.interval.ms": Int = "30000", Valid::AtLeast(1),
        Low, ReadOnly, Later, internal;
        "Wait before initialising share state is tried again."
    "group.share.max.assignment.interval.ms": Int = "15000", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Largest assignment interval a share group may set."
    "group.share.max.delivery.count.limit": Int = "10", Valid::Between(5, 25),
        Medium, ReadOnly, Later;
        "Largest delivery limit a share group may set."
    "group.share.max.heartbeat.interval.ms": Int = "15000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Largest heartbeat interval a share group may set."
    "group.share.max.partition.max.record.locks": Int = "4000", Valid::Between(2000, 10000),
        Medium, ReadOnly, Later;
        "Largest limit of locked records a share group may set."
    "group.share.max.record.lock.duration.ms": Int = "60000", Valid::Between(30000, 3_600_000),
        Medium, ReadOnly, Later;
        "Longest record lock a share group may set."
    "group.share.max.session.timeout.ms": Int = "60000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Largest session timeout a share group may set."
    "group.share.max.share.sessions": Int = "2000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Most share sessions on one broker."
    "group.share.max.size": Int = "200", Valid::Between(1, 1000), Medium, ReadOnly, Later;
        "Most members of one share group."
    "group.share.min.assignment.interval.ms": Int = "0", Valid::AtLeast(0), Medium, ReadOnly, Later;
        "Smallest assignment interval a share group may set."
    "group.share.min.delivery.count.limit": Int = "2", Valid::Between(2, 5),
        Medium, ReadOnly, Later;
        "Smallest delivery limit a share group may set."
    "group.share.min.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Smallest heartbeat interval a share group may set."
    "group.share.min.partition.max.record.locks": Int = "100", Valid::Between(100, 2000),
        Medium, ReadOnly, Later;
        "Smallest limit of locked records a share group may set."
    "group.share.min.record.lock.duration.ms": Int = "15000", Valid::Between(1000, 30000),
        Medium, ReadOnly, Later;
        "Shortest record lock a share group may set."
    "group.share.min.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Smallest session timeout a share group may set."
    "group.share.partition.max.record.locks": Int = "2000", Valid::Between(100, 10000),
        Medium, ReadOnly, Later;
        "Most records of one partition in flight to a share group."
    "group.share.persister.class.name": String =
        "org.apache.kafka.server.share.persister.DefaultStatePersister",
        Valid::Any, Medium, ReadOnly, None, internal;
        "Java class that keeps share state; Ottla loads no Java classes."
    "group.share.record.lock.duration.ms": Int = "30000", Valid::Between(1000, 3_600_000),
        Medium, ReadOnly, Later;
        "How long a share group member holds a record it acquired."
    "group.share.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Silence after which a member of a share group is removed."
    "group.streams.assignment.interval.ms": Int = "1000", Valid::AtLeast(0),
        Medium, ClusterWide, Later;
        "Least time between two assignments of one streams group."
    "group.streams.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Heartbeat interval given to members of streams groups."
    "group.streams.initial.rebalance.delay.ms": Int = "3000", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "How long an empty streams group waits for further members."
    "group.streams.max.assignment.interval.ms": Int = "15000", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Largest assignment interval a streams group may set."
    "group.streams.max.heartbeat.interval.ms": Int = "15000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Largest heartbeat interval a streams group may set."
    "group.streams.max.session.timeout.ms": Int = "60000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Largest session timeout a streams group may set."
    "group.streams.max.size": Int = "2147483647", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Most members of one streams group."
    "group.streams.max.standby.replicas": Int = "2", Valid::AtLeast(0), Medium, ReadOnly, Later;
        "Most standby replicas a streams group may set."
    "group.streams.min.assignment.interval.ms": Int = "0", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Smallest assignment interval a streams group may set."
    "group.streams.min.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Smallest heartbeat interval a streams group may set."
    "group.streams.min.session.timeout.ms": Int = "45000", Valid::AtLeast(1),
        Medium, ReadOnly, Later;
        "Smallest session timeout a streams group may set."
    "group.streams.num.standby.replicas": Int = "0", Valid::AtLeast(0), Medium, ReadOnly, Later;
        "Standby replicas of each task of a streams group."
    "group.streams.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ReadOnly, Later;
        "Silence after which a member of a streams group is removed."
    "offset.metadata.max.bytes": Int = "4096", Valid::Any, High, ReadOnly, Active;
        "Longest text committed together with an offset."
    "offsets.commit.timeout.ms": Int = "5000", Valid::AtLeast(1), High, ReadOnly, Later;
        "How long a commit waits until all replicas have it."
    "offsets.load.buffer.size": Int = "5242880", Valid::AtLeast(1), High, ReadOnly, None;
        "Bytes Kafka reads at a time when committed offsets are loaded; Ottla reads 1 MiB."
    "offsets.retention.check.interval.ms": Long = "600000", Valid::AtLeast(1),
        High, ReadOnly, Active;
        "How often expired offsets are looked for."
    "offsets.retention.minutes": Int = "10080", Valid::AtLeast(1), High, ReadOnly, Active;
        "How long the offsets of an empty group are kept."
    "offsets.topic.compression.codec": Int = "0", Valid::Any, High, ReadOnly, Later;
        "Codec of the offsets topic, by number."
    "offsets.topic.num.partitions": Int = "50", Valid::AtLeast(1), High, ReadOnly, Active;
        "Partitions of the offsets topic; must not change once it exists."
    "offsets.topic.replication.factor": Short = "3", Valid::AtLeast(1), High, ReadOnly, Active;
        "Replicas of the offsets topic; 1 in a cluster of one broker unless it is set."
    "offsets.topic.segment.bytes": Int = "104857600", Valid::AtLeast(1), High, ReadOnly, Active;
        "Segment size of the offsets topic."
    "producer.id.expiration.check.interval.ms": Int = "600000", Valid::AtLeast(1),
        Low, ReadOnly, Active, internal;
        "How often idle producer ids are looked for."
    "producer.id.expiration.ms": Int = "86400000", Valid::AtLeast(1), Low, ClusterWide, Active;
        "Idle time after which a producer id is forgotten by a partition."
    "share.coordinator.append.linger.ms": Int = "-1", Valid::AtLeast(-1), Medium, ReadOnly, None;
        "How long Kafka's share coordinator gathers records before a write; Ottla gathers by turns."
    "share.coordinator.cached.buffer.max.bytes": Int = "1048588", Valid::AtLeast(524_288),
        Medium, ClusterWide, None;
        "Largest write buffer Kafka's share coordinator keeps."
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = "300000", Valid::AtLeast(1),
        Low, ReadOnly, Later, internal;
        "How often idle share partitions are written as snapshots."
    "share.coordinator.load.buffer.size": Int = "5242880", Valid::AtLeast(1), High, ReadOnly, Later;
        "Bytes read at a time when share state is loaded."
    "share.coordinator.snapshot.update.records.per.snapshot": Int = "500", Valid::Between(0, 500),
        Medium, ReadOnly, Later;
        "Updates of a share partition between two snapshots."
    "share.coordinator.state.topic.compression.codec": Int = "0", Valid::Any, High, ReadOnly, Later;
        "Codec of the share state topic, by number."
    "share.coordinator.state.topic.min.isr": Short = "2", Valid::AtLeast(1), High, ReadOnly, Later;
        "Least in-sync replicas of the share state topic."
    "share.coordinator.state.topic.num.partitions": Int = "50", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Partitions of the share state topic; must not change once it exists."
    "share.coordinator.state.topic.prune.interval.ms": Int = "300000", Valid::AtLeast(1),
        Low, ReadOnly, Later, internal;
        "How often old records of the share state topic are deleted."
    "share.coordinator.state.topic.replication.factor": Short = "3", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Replicas of the share state topic; 1 in a cluster of one broker unless it is set."
    "share.coordinator.state.topic.segment.bytes": Int = "104857600", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Segment size of the share state topic."
    "share.coordinator.threads": Int = "1", Valid::AtLeast(1), Medium, ReadOnly, None;
        "Threads of Kafka's share coordinator; Ottla sizes itself."
    "share.coordinator.write.timeout.ms": Int = "5000", Valid::AtLeast(1), High, ReadOnly, Later;
        "How long a write of share state waits until all replicas have it."
    "share.fetch.purgatory.purge.interval.requests": Int = "1000", Valid::Any,
        Medium, ReadOnly, None;
        "Housekeeping interval of Kafka's parked share fetches."
    "telemetry.max.bytes": Int = "1048576", Valid::AtLeast(1), Low, ReadOnly, Later;
        "Largest client metrics report that is taken."
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", Valid::AtLeast(1),
        Low, ReadOnly, Later;
        "How often transactions past their timeout are looked for."
    "transaction.max.timeout.ms": Int = "900000", Valid::AtLeast(1), High, ReadOnly, Later;
        "Longest timeout a transactional producer may ask for."
    "transaction.partition.verification.enable": Boolean = "true", Valid::Any,
        Low, ClusterWide, Later;
        "Whether a partition asks the coordinator before it takes a transactional write."
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000",
        Valid::AtLeast(1),
        Low, ReadOnly, Later;
        "How often expired transactional ids are looked for."
    "transaction.state.log.load.buffer.size": Int = "5242880", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Bytes read at a time when transaction state is loaded."
    "transaction.state.log.min.isr": Int = "2", Valid::AtLeast(1), High, ReadOnly, Later;
        "Least in-sync replicas of the transaction state topic."
    "transaction.state.log.num.partitions": Int = "50", Valid::AtLeast(1), High, ReadOnly, Later;
        "Partitions of the transaction state topic; must not change once it exists."
    "transaction.state.log.replication.factor": Short = "3", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Replicas of the transaction state topic; 1 in a cluster of one broker unless it is set."
    "transaction.state.log.segment.bytes": Int = "104857600", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "Segment size of the transaction state topic."
    "transaction.two.phase.commit.enable": Boolean = "false", Valid::Any, Low, ReadOnly, None;
        "Whether external two-phase commit is allowed."
    "transactional.id.expiration.ms": Int = "604800000", Valid::AtLeast(1), High, ReadOnly, Later;
        "Idle time after which a transactional id is forgotten."
};
