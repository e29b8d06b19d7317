//! Group and client-metrics configurations of Kafka 4.3: groups.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const GROUP_RESOURCES: &[Definition] = definitions! { Group;
    "consumer.assignment.interval.ms": Int = "1000", Valid::AtLeast(0), Medium, ClusterWide, Later;
        "Least time between two assignments of the group."
    "consumer.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Heartbeat interval given to the group's members."
    "consumer.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Silence after which a member is removed."
    "share.assignment.interval.ms": Int = "1000", Valid::AtLeast(0), Medium, ClusterWide, Later;
        "Least time between two assignments of the group."
    "share.auto.offset.reset": String = "latest", Valid::OffsetReset, Medium, ClusterWide, Later;
        "Where a share group begins in a partition new to it."
    "share.delivery.count.limit": Int = "5", Valid::AtLeast(2), Medium, ClusterWide, Later;
        "Deliveries of a record before the group gives it up."
    "share.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Heartbeat interval given to the group's members."
    "share.isolation.level": String = "read_uncommitted",
        Valid::OneOf(&["read_committed", "read_uncommitted"]),
        Medium, ClusterWide, Later;
        "Whether the group sees records of unfinished transactions."
    "share.partition.max.record.locks": Int = "2000", Valid::AtLeast(100),
        Medium, ClusterWide, Later;
        "Most records of one partition in flight to the group."
    "share.record.lock.duration.ms": Int = "30000", Valid::AtLeast(1000),
        Medium, ClusterWide, Later;
        "How long a member holds a record it acquired."
    "share.renew.acknowledge.enable": Boolean = "true", Valid::Any, Medium, ClusterWide, Later;
        "Whether members may renew their hold on a record."
    "share.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Silence after which a member is removed."
    "streams.assignment.interval.ms": Int = "1000", Valid::AtLeast(0), Medium, ClusterWide, Later;
        "Least time between two assignments of the group."
    "streams.heartbeat.interval.ms": Int = "5000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Heartbeat interval given to the group's members."
    "streams.initial.rebalance.delay.ms": Int = "3000", Valid::AtLeast(0),
        Medium, ClusterWide, Later;
        "How long an empty group waits for further members."
    "streams.num.standby.replicas": Int = "0", Valid::AtLeast(0), Medium, ClusterWide, Later;
        "Standby replicas of each task."
    "streams.session.timeout.ms": Int = "45000", Valid::AtLeast(1), Medium, ClusterWide, Later;
        "Silence after which a member is removed."
};

/// The table of client metrics subscriptions, sorted by name.
pub(super) const CLIENT_METRICS: &[Definition] = definitions! { ClientMetrics;
    "interval.ms": Int = "300000", Valid::Between(100, 3_600_000), Low, ClusterWide, Later;
        "How often matching clients push their metrics."
    "match": List = "", Valid::Any, Low, ClusterWide, Later;
        "Which clients push, as name=pattern pairs."
    "metrics": List = "", Valid::Any, Low, ClusterWide, Later;
        "Prefixes of the metrics that are pushed; empty for none, * for all."
};
