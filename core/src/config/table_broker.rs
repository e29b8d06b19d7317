//! Broker configurations of Kafka 4.3: the node, its sockets and replication.
//!
//! Rows of [`Definition`] and nothing else; the meaning of the columns is told there.

use super::definition::{
    Default, Definition, Effect, Importance, Kind, Scope, Update, Valid, definitions,
};

/// The table, sorted by name.
pub(super) const BROKER: &[Definition] = definitions! { Broker;
    "advertised.listeners": List = null, Valid::Any, High, ReadOnly, Active;
        "Addresses handed to clients and peers where they differ from the addresses bound."
    "alter.config.policy.class.name": Class = null, Valid::Any, Low, ReadOnly, None;
        "Java class that vets configuration changes; Ottla loads no Java classes."
    "alter.log.dirs.replication.quota.window.num": Int = "11", Valid::AtLeast(1),
        Low, ReadOnly, None;
        "Samples kept to measure the rate of moves between log directories."
    "alter.log.dirs.replication.quota.window.size.seconds": Int = "1", Valid::AtLeast(1),
        Low, ReadOnly, None;
        "Length of one sample of the rate of moves between log directories."
    "auto.create.topics.enable": Boolean = "true", Valid::Any, High, ReadOnly, Active;
        "Whether a client that names an unknown topic may bring it into being."
    "auto.leader.rebalance.enable": Boolean = "true", Valid::Any, High, ReadOnly, Later;
        "Whether leadership returns to preferred replicas by itself."
    "background.threads": Int = "10", Valid::AtLeast(1), High, ClusterWide, None;
        "Threads for background work in Kafka; Ottla sizes itself."
    "broker.heartbeat.interval.ms": Int = "2000", Valid::Any, Medium, ReadOnly, Later;
        "How often a broker tells the controller that it lives."
    "broker.id": Int = "-1", Valid::Any, High, ReadOnly, Active;
        "Former name of node.id; must agree with it where both are given."
    "broker.rack": String = null, Valid::Any, Medium, ReadOnly, Active;
        "Rack or zone of this broker, told to clients and used to spread replicas."
    "broker.session.timeout.ms": Int = "9000", Valid::Any, Medium, ReadOnly, Later;
        "Silence after which the controller fences a broker."
    "client.quota.callback.class": Class = null, Valid::Any, Low, ReadOnly, None;
        "Java class that decides quotas; Ottla loads no Java classes."
    "config.providers": List = "", Valid::Any, Low, ClusterWide, None;
        "Names of Java plug-ins that resolve configuration variables; Ottla loads no Java classes."
    "connections.max.idle.ms": Long = "600000", Valid::Any, Medium, ReadOnly, Active;
        "Idle time after which a connection is closed."
    "controlled.shutdown.enable": Boolean = "true", Valid::Any, Medium, ReadOnly, Later;
        "Whether a stopping broker hands its leadership over first."
    "controller.listener.names": List = "", Valid::Any, High, ReadOnly, Active;
        "Listeners that serve the controller, comma separated."
    "controller.performance.always.log.threshold.ms": Long = "2000", Valid::AtLeast(0),
        Medium, ReadOnly, None, internal;
        "Duration from which a controller event is always logged by Kafka."
    "controller.performance.sample.period.ms": Long = "60000", Valid::AtLeast(100),
        Medium, ReadOnly, None, internal;
        "Period of Kafka's controller performance log."
    "controller.quorum.append.linger.ms": Int = "25", Valid::AtLeast(0), Medium, ReadOnly, None;
        "How long Kafka's quorum leader gathers records before a write; Ottla gathers by turns."
    "controller.quorum.auto.join.enable": Boolean = "false", Valid::Any, Low, ReadOnly, Later;
        "Whether a new controller makes itself a voter."
    "controller.quorum.bootstrap.servers": List = "", Valid::Any, High, ReadOnly, Later;
        "Controllers through which a node finds the quorum."
    "controller.quorum.election.backoff.max.ms": Int = "1000", Valid::AtLeast(0),
        High, ReadOnly, Later;
        "Longest wait before a further election after a split vote."
    "controller.quorum.election.timeout.ms": Int = "1000", Valid::AtLeast(0), High, ReadOnly, Later;
        "How long a candidate waits for votes before a new election."
    "controller.quorum.fetch.max.bytes": Int = "1048576", Valid::AtLeast(1), Low, ReadOnly, Later;
        "Most bytes that one fetch of the metadata log returns."
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576", Valid::AtLeast(1),
        Low, ReadOnly, Later;
        "Most bytes that one fetch of a metadata snapshot returns."
    "controller.quorum.fetch.timeout.ms": Int = "2000", Valid::AtLeast(0), High, ReadOnly, Later;
        "How long a voter goes without the leader before it stands for election."
    "controller.quorum.request.timeout.ms": Int = "2000", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "How long a quorum request waits for its answer."
    "controller.quorum.retry.backoff.ms": Int = "20", Valid::AtLeast(0), Low, ReadOnly, Later;
        "Wait before a failed quorum request is sent again."
    "controller.quorum.voters": List = "", Valid::Any, High, ReadOnly, Later;
        "Static voters as id@host:port; a dynamic quorum leaves it empty."
    "controller.quota.window.num": Int = "11", Valid::AtLeast(1), Low, ReadOnly, Active;
        "Samples kept to measure the rate of controller mutations."
    "controller.quota.window.size.seconds": Int = "1", Valid::AtLeast(1), Low, ReadOnly, Active;
        "Length of one sample of the rate of controller mutations."
    "controller.socket.timeout.ms": Int = "30000", Valid::Any, Medium, ReadOnly, Later;
        "Timeout of requests from a broker to the controller."
    "create.topic.policy.class.name": Class = null, Valid::Any, Low, ReadOnly, None;
        "Java class that vets new topics; Ottla loads no Java classes."
    "default.replication.factor": Int = "1", Valid::Any, Medium, ReadOnly, Active;
        "Replicas of a topic whose creator leaves the number to the broker."
    "delete.records.purgatory.purge.interval.requests": Int = "1", Valid::Any,
        Medium, ReadOnly, None;
        "Housekeeping interval of Kafka's parked DeleteRecords requests."
    "delete.topic.enable": Boolean = "true", Valid::Any, High, ReadOnly, Active;
        "Whether topics may be deleted."
    "fetch.max.bytes": Int = "57671680", Valid::AtLeast(1024), Medium, ReadOnly, Active;
        "Most bytes the broker returns to one fetch, whatever the client allows."
    "fetch.purgatory.purge.interval.requests": Int = "1000", Valid::Any, Medium, ReadOnly, None;
        "Housekeeping interval of Kafka's parked fetches."
    "follower.fetch.last.tiered.offset.enable": Boolean = "false", Valid::Any,
        Medium, ClusterWide, None;
        "Whether new followers start from the last tiered offset; Ottla has no tiered storage."
    "follower.replication.throttled.rate": Long = "9223372036854775807", Valid::AtLeast(0),
        Medium, PerBroker, Later;
        "Bytes a second that throttled replicas may receive on this broker."
    "http.listener": String = "127.0.0.1:9644", Valid::Any, Medium, ReadOnly, Active;
        "Address of metrics and health checks over HTTP; empty for none."
    "initial.broker.registration.timeout.ms": Int = "60000", Valid::Any, Medium, ReadOnly, Later;
        "How long a starting broker waits for its registration before it gives up."
    "inter.broker.listener.name": String = null, Valid::Any, Medium, ReadOnly, Later;
        "Listener that brokers use among themselves."
    "kafka.metrics.polling.interval.secs": Int = "10", Valid::AtLeast(1), Low, ReadOnly, None;
        "Polling interval of Java metrics reporters."
    "kafka.metrics.reporters": List = "", Valid::Any, Low, ReadOnly, None;
        "Java metrics reporters; Ottla loads no Java classes."
    "leader.imbalance.check.interval.seconds": Long = "300", Valid::AtLeast(1),
        High, ReadOnly, Later;
        "How often the controller looks for partitions led by another than the preferred replica."
    "leader.replication.throttled.rate": Long = "9223372036854775807", Valid::AtLeast(0),
        Medium, PerBroker, Later;
        "Bytes a second that throttled replicas may be sent from this broker."
    "listener.security.protocol.map": String =
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        Valid::Any, Low, PerBroker, Active;
        "Security protocol of each listener, by its name."
    "listeners": List = "PLAINTEXT://127.0.0.1:9092", Valid::Any, High, PerBroker, Active;
        "Addresses the node listens on, as NAME://host:port."
    "max.connection.creation.rate": Int = "2147483647", Valid::AtLeast(0),
        Medium, ClusterWide, Active;
        "Most new connections a second."
    "max.connections": Int = "2147483647", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Most connections to the broker."
    "max.connections.per.ip": Int = "2147483647", Valid::AtLeast(0), Medium, ClusterWide, Active;
        "Most connections from one address."
    "max.connections.per.ip.overrides": String = "", Valid::Any, Medium, ClusterWide, Active;
        "Other limits of connections for given addresses, as host:count."
    "max.incremental.fetch.session.cache.slots": Int = "1000", Valid::AtLeast(0),
        Medium, ReadOnly, Active;
        "Incremental fetch sessions kept; 0 turns sessions off."
    "max.request.partition.size.limit": Int = "2000", Valid::AtLeast(1), Medium, ReadOnly, Active;
        "Most partitions in one answer to DescribeTopicPartitions."
    "metric.reporters": List = "org.apache.kafka.common.metrics.JmxReporter", Valid::Any,
        Low, ClusterWide, None;
        "Java metrics reporters; Ottla serves Prometheus metrics over HTTP."
    "metrics.num.samples": Int = "2", Valid::AtLeast(1), Low, ReadOnly, None;
        "Samples of Kafka's Java metrics."
    "metrics.partitions.enable": Boolean = "true", Valid::Any, Low, ReadOnly, Active;
        "Whether the metrics over HTTP tell of each partition; topics and totals are told anyway."
    "metrics.recording.level": String = "INFO", Valid::Any, Low, ReadOnly, None;
        "Detail of Kafka's Java metrics."
    "metrics.sample.window.ms": Long = "30000", Valid::AtLeast(1), Low, ReadOnly, None;
        "Length of one sample of Kafka's Java metrics."
    "node.id": Int = "1", Valid::AtLeast(0), High, ReadOnly, Active;
        "Number of this node in the cluster."
    "num.io.threads": Int = "8", Valid::AtLeast(1), High, ClusterWide, None;
        "Request threads of Kafka; Ottla sizes itself."
    "num.network.threads": Int = "3", Valid::AtLeast(1), High, ClusterWide, None;
        "Network threads of Kafka; Ottla sizes itself."
    "num.partitions": Int = "1", Valid::AtLeast(1), Medium, ReadOnly, Active;
        "Partitions of a topic whose creator leaves the number to the broker."
    "num.replica.alter.log.dirs.threads": Int = null, Valid::Any, High, ReadOnly, None;
        "Threads that move replicas between directories in Kafka."
    "num.replica.fetchers": Int = "1", Valid::AtLeast(1), High, ClusterWide, Later;
        "Parallel fetches from each leader."
    "process.roles": List = "broker,controller", Valid::ListOf(&["broker", "controller"]),
        High, ReadOnly, Active;
        "Roles of this node: broker, controller, or both."
    "producer.purgatory.purge.interval.requests": Int = "1000", Valid::Any, Medium, ReadOnly, None;
        "Housekeeping interval of Kafka's parked produce requests."
    "queued.max.request.bytes": Long = "-1", Valid::Any, Medium, ReadOnly, Active;
        "Most bytes of requests in memory; -1 leaves it to the broker."
    "queued.max.requests": Int = "500", Valid::AtLeast(1), High, ReadOnly, None;
        "Queue length before Kafka's network threads stop reading; Ottla bounds each connection."
    "quota.window.num": Int = "11", Valid::AtLeast(1), Low, ReadOnly, Active;
        "Samples kept to measure client quotas."
    "quota.window.size.seconds": Int = "1", Valid::AtLeast(1), Low, ReadOnly, Active;
        "Length of one sample of a client quota."
    "replica.alter.log.dirs.io.max.bytes.per.second": Long = "9223372036854775807",
        Valid::AtLeast(0),
        Medium, PerBroker, Active;
        "Bytes a second for moves between log directories."
    "replica.fetch.backoff.ms": Int = "1000", Valid::AtLeast(0), Medium, ReadOnly, Later;
        "Pause of a follower after a failed fetch."
    "replica.fetch.max.bytes": Int = "1048576", Valid::AtLeast(0), Medium, ReadOnly, Later;
        "Bytes a follower asks for from one partition."
    "replica.fetch.min.bytes": Int = "1", Valid::Any, High, ReadOnly, Later;
        "Bytes a follower waits for."
    "replica.fetch.response.max.bytes": Int = "10485760", Valid::AtLeast(0),
        Medium, ReadOnly, Later;
        "Bytes a follower asks for from one leader."
    "replica.fetch.wait.max.ms": Int = "500", Valid::Any, High, ReadOnly, Later;
        "Longest wait of a follower's fetch."
    "replica.high.watermark.checkpoint.interval.ms": Long = "5000", Valid::Any,
        High, ReadOnly, Later;
        "How often high watermarks are written to disk."
    "replica.lag.time.max.ms": Long = "30000", Valid::Any, High, ReadOnly, Later;
        "How long a follower may lag before it leaves the in-sync replicas."
    "replica.selector.class": String = null, Valid::Any, Medium, ReadOnly, Later;
        "Which replica a consumer reads from; RackAwareReplicaSelector is built in."
    "replica.socket.receive.buffer.bytes": Int = "65536", Valid::Any, High, ReadOnly, Later;
        "Receive buffer of connections to leaders."
    "replica.socket.timeout.ms": Int = "30000", Valid::Any, High, ReadOnly, Later;
        "Timeout of requests to leaders."
    "replication.quota.window.num": Int = "11", Valid::AtLeast(1), Low, ReadOnly, Later;
        "Samples kept to measure the rate of replication."
    "replication.quota.window.size.seconds": Int = "1", Valid::AtLeast(1), Low, ReadOnly, Later;
        "Length of one sample of the rate of replication."
    "request.timeout.ms": Int = "30000", Valid::Any, High, ReadOnly, Later;
        "Timeout of requests between nodes."
    "server.max.startup.time.ms": Long = "9223372036854775807", Valid::AtLeast(0),
        Medium, ReadOnly, None, internal;
        "How long a start may take before Kafka gives up."
    "socket.connection.setup.timeout.max.ms": Long = "30000", Valid::Any, Medium, ReadOnly, Later;
        "Longest time to set up a connection to a peer."
    "socket.connection.setup.timeout.ms": Long = "10000", Valid::Any, Medium, ReadOnly, Later;
        "First time allowed to set up a connection to a peer."
    "socket.listen.backlog.size": Int = "50", Valid::AtLeast(1), Medium, ReadOnly, Active;
        "Connections the system may queue before they are accepted."
    "socket.receive.buffer.bytes": Int = "102400", Valid::Any, High, ReadOnly, Active;
        "Receive buffer of client connections; -1 leaves it to the system."
    "socket.request.max.bytes": Int = "104857600", Valid::AtLeast(1), High, ReadOnly, Active;
        "Largest request a client may send."
    "socket.send.buffer.bytes": Int = "102400", Valid::Any, High, ReadOnly, Active;
        "Send buffer of client connections; -1 leaves it to the system."
    "unclean.leader.election.enable": Boolean = "false", Valid::Any, High, ClusterWide, Later;
        "Whether a replica that lags may become leader when no other is left."
    "unclean.leader.election.interval.ms": Long = "300000", Valid::AtLeast(1),
        Medium, ReadOnly, Later, internal;
        "How often unclean elections are looked for."
    "unstable.api.versions.enable": Boolean = "false", Valid::Any, High, ReadOnly, None, internal;
        "Whether unfinished versions of requests are offered; Ottla offers none."
    "unstable.feature.versions.enable": Boolean = "false", Valid::Any,
        High, ReadOnly, None, internal;
        "Whether unfinished feature versions are offered; Ottla offers none."
};
