//! Every family of metrics: its name, type, labels and meaning.
//!
//! Where Kafka has a name for it already, that name is used: those of `kafka_exporter` for topics,
//! partitions and groups, those that the JMX exporter makes of Kafka's MBeans with its usual rules
//! for the rest, `process_*` as in every client library. What only Ottla has begins with `ottla_`
//! and uses Prometheus's base units. The page `METRICS.md` is made from this table.

/// What kind of number a family holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It only grows, from 0 at the start of the process; `_total` is added to the name.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Durations in buckets; `_bucket`, `_sum` and `_count` are added to the name.
    Histogram,
}

/// One family.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Names of its labels.
    pub(crate) labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub(crate) help: &'static str,
    /// What Redpanda calls the same; empty where it has none.
    pub(crate) redpanda: &'static str,
}

macro_rules! families {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal
       $(= $redpanda:literal)?;)*) => {
        $(pub(super) static $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
            redpanda: concat!($($redpanda)?),
        };)*

        /// All of them, in the order of the page.
        pub(super) static ALL: &[&Family] = &[$(&$constant,)*];
    };
}

families! {
    BUILD: Gauge "ottla_build_info" ["version", "node_id", "cluster_id"]
        "Always 1; the labels say what runs here." = "redpanda_application_build";
    READY: Gauge "ottla_ready" [] "1 while requests are answered.";
    UPTIME: Gauge "ottla_uptime_seconds" []
        "Seconds since the process began to serve." = "redpanda_application_uptime_seconds_total";
    PROCESS_START: Gauge "process_start_time_seconds" [] "When it began, in seconds since 1970.";
    PROCESS_CPU: Counter "process_cpu_seconds" []
        "Time of all threads on a processor." = "redpanda_cpu_busy_seconds_total";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory of the process that is backed by real memory." = "redpanda_memory_allocated_memory";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" [] "Address space of the process.";
    PROCESS_THREADS: Gauge "process_threads" [] "Threads of the process.";
    PROCESS_FILES: Gauge "process_open_fds" [] "Open files, sockets among them.";
    PROCESS_FILES_MAX: Gauge "process_max_fds" [] "How many files may be open.";

    REQUESTS: Counter "kafka_network_requestmetrics_requests" ["request"]
        "Requests that were decided on, by API.";
    ERRORS: Counter "kafka_network_requestmetrics_errors" ["request", "error"]
        "Errors answered, by API and code; one answer may hold several.";
    LATENCY: Histogram "ottla_request_latency_seconds" ["request"]
        "From the last byte of a request to the last byte of its reply, by API."
        = "redpanda_kafka_request_latency_seconds";
    PURGATORY: Gauge "kafka_server_delayedoperationpurgatory_purgatorysize" ["delayedOperation"]
        "Requests that wait, by what kind they are.";
    THROTTLED: Counter "ottla_throttled_answers" ["request"]
        "Answers that told a client to wait because of a quota, by API.";
    THROTTLED_SECONDS: Counter "ottla_throttle_seconds" ["request"]
        "How long those answers told clients to wait, together.";
    MUTED: Gauge "ottla_connections_muted" []
        "Connections that are not read for now, because their clients are to wait.";
    FETCH_SESSIONS: Gauge "kafka_server_fetchsessioncache_numincrementalfetchsessions" []
        "Fetch sessions that are open.";

    CONNECTIONS: Gauge "ottla_connections" ["listener"]
        "Connections that are open." = "redpanda_rpc_active_connections";
    CONNECTIONS_ACCEPTED: Counter "ottla_connections_accepted" ["listener"]
        "Connections taken in.";
    CONNECTIONS_REFUSED: Counter "ottla_connections_refused" ["listener"]
        "Connections refused because too many are open.";
    CONNECTIONS_MALFORMED: Counter "ottla_connections_malformed" []
        "Connections closed because of what their peers sent.";
    IN_FLIGHT: Gauge "ottla_in_flight_bytes" []
        "Bytes of large frames and of requests that wait for their replies.";

    BYTES_IN: Counter "kafka_server_brokertopicmetrics_bytesin" ["topic"]
        "Bytes of record batches that clients appended."
        = "redpanda_kafka_request_bytes_total{redpanda_request=\"produce\"}";
    MESSAGES_IN: Counter "kafka_server_brokertopicmetrics_messagesin" ["topic"]
        "Records that clients appended." = "redpanda_kafka_records_produced_total";
    BYTES_OUT: Counter "kafka_server_brokertopicmetrics_bytesout" ["topic"]
        "Bytes of record batches answered to consumers."
        = "redpanda_kafka_request_bytes_total{redpanda_request=\"consume\"}";
    PRODUCES: Counter "kafka_server_brokertopicmetrics_totalproducerequests" ["topic"]
        "Batches that clients asked to append.";
    PRODUCES_FAILED: Counter "kafka_server_brokertopicmetrics_failedproducerequests" ["topic"]
        "Those of them that were refused.";
    FETCHES: Counter "kafka_server_brokertopicmetrics_totalfetchrequests" ["topic"]
        "Partitions told of in answers to fetches.";
    FETCHES_FAILED: Counter "kafka_server_brokertopicmetrics_failedfetchrequests" ["topic"]
        "Those of them that were told an error.";
    TOPIC_SIZE: Gauge "ottla_topic_size_bytes" ["topic"]
        "Bytes of the segments of all partitions hosted here.";

    BROKERS: Gauge "kafka_brokers" [] "Brokers of the cluster." = "redpanda_cluster_brokers";
    TOPIC_PARTITIONS: Gauge "kafka_topic_partitions" ["topic"]
        "Partitions of the topic." = "redpanda_kafka_partitions";
    CURRENT_OFFSET: Gauge "kafka_topic_partition_current_offset" ["topic", "partition"]
        "End of what consumers may read: the high watermark." = "redpanda_kafka_max_offset";
    OLDEST_OFFSET: Gauge "kafka_topic_partition_oldest_offset" ["topic", "partition"]
        "The first offset that may be read: the log's start.";
    LEADER: Gauge "kafka_topic_partition_leader" ["topic", "partition"]
        "The node that leads it; -1 for none.";
    LEADER_IS_PREFERRED: Gauge "kafka_topic_partition_leader_is_preferred" ["topic", "partition"]
        "1 where the first of its replicas leads.";
    REPLICAS: Gauge "kafka_topic_partition_replicas" ["topic", "partition"]
        "How many replicas it is to have." = "redpanda_kafka_replicas";
    IN_SYNC: Gauge "kafka_topic_partition_in_sync_replica" ["topic", "partition"]
        "How many of them are in sync.";
    UNDER_REPLICATED: Gauge "kafka_topic_partition_under_replicated_partition"
        ["topic", "partition"]
        "1 where that is fewer than it is to have." = "redpanda_kafka_under_replicated_replicas";
    LOG_SIZE: Gauge "kafka_log_log_size" ["topic", "partition"] "Bytes of its segments.";
    LOG_SEGMENTS: Gauge "kafka_log_log_numlogsegments" ["topic", "partition"]
        "How many segments it has.";
    LOG_END: Gauge "kafka_log_log_logendoffset" ["topic", "partition"]
        "The offset that the next record gets.";

    GROUP_MEMBERS: Gauge "kafka_consumergroup_members" ["consumergroup"]
        "Members of the group." = "redpanda_kafka_consumer_group_consumers";
    GROUP_STATE: Gauge "ottla_consumergroup_state" ["consumergroup", "state"]
        "Always 1; the label says what state the group is in.";
    GROUP_LAG_SUM: Gauge "kafka_consumergroup_lag_sum" ["consumergroup", "topic"]
        "Records between what the group committed and what it may read, over all partitions."
        = "redpanda_kafka_consumer_group_lag_sum";
    GROUP_OFFSET_SUM: Gauge "kafka_consumergroup_current_offset_sum" ["consumergroup", "topic"]
        "The offsets that the group committed, added up.";
    GROUP_LAG: Gauge "kafka_consumergroup_lag" ["consumergroup", "topic", "partition"]
        "Records between what the group committed and what it may read.";
    GROUP_OFFSET: Gauge "kafka_consumergroup_current_offset"
        ["consumergroup", "topic", "partition"]
        "The offset that the group committed."
        = "redpanda_kafka_consumer_group_committed_offset";

    PARTITION_COUNT: Gauge "kafka_server_replicamanager_partitioncount" []
        "Partitions hosted here.";
    LEADER_COUNT: Gauge "kafka_server_replicamanager_leadercount" []
        "Partitions that this node leads.";
    UNDER_REPLICATED_COUNT: Gauge "kafka_server_replicamanager_underreplicatedpartitions" []
        "Partitions that this node leads with fewer replicas in sync than they are to have.";
    OFFLINE_REPLICAS: Gauge "kafka_server_replicamanager_offlinereplicacount" []
        "Replicas here whose data directory failed or is not there.";
    ACTIVE_CONTROLLER: Gauge "kafka_controller_kafkacontroller_activecontrollercount" []
        "1 where this node is the active controller.";
    ACTIVE_BROKERS: Gauge "kafka_controller_kafkacontroller_activebrokercount" []
        "Brokers that may lead.";
    FENCED_BROKERS: Gauge "kafka_controller_kafkacontroller_fencedbrokercount" []
        "Brokers that may not.";
    GLOBAL_TOPICS: Gauge "kafka_controller_kafkacontroller_globaltopiccount" []
        "Topics of the cluster." = "redpanda_cluster_topics";
    GLOBAL_PARTITIONS: Gauge "kafka_controller_kafkacontroller_globalpartitioncount" []
        "Partitions of the cluster." = "redpanda_cluster_partitions";
    OFFLINE_PARTITIONS: Gauge "kafka_controller_kafkacontroller_offlinepartitionscount" []
        "Partitions without a leader." = "redpanda_cluster_unavailable_partitions";
    IMBALANCED: Gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" []
        "Partitions that another replica leads than the first.";
    METADATA_END: Gauge "kafka_server_raft_metrics_log_end_offset" []
        "End of the metadata log.";
    METADATA_COMMITTED: Gauge "kafka_server_raft_metrics_high_watermark" []
        "How far the metadata log is committed.";
    METADATA_APPLIED: Gauge "kafka_server_broker_metadata_metrics_last_applied_record_offset" []
        "The last record of the metadata log that is applied here.";

    APPEND: Histogram "ottla_append_seconds" []
        "Time of one write of record batches to a segment.";
    FLUSH: Histogram "ottla_flush_seconds" []
        "Time of one group commit: every fsync that was under way together.";
    FLUSH_REQUESTS: Counter "ottla_flush_requests" []
        "Requests to make a log durable that those commits answered.";
    DIRECTORIES_OFFLINE: Gauge "kafka_log_logmanager_offlinelogdirectorycount" []
        "Data directories that failed.";
    DIRECTORY_SIZE: Gauge "ottla_directory_size_bytes" ["directory"]
        "Size of the file system of a data directory." = "redpanda_storage_disk_total_bytes";
    DIRECTORY_FREE: Gauge "ottla_directory_free_bytes" ["directory"]
        "What this process may still write there." = "redpanda_storage_disk_free_bytes";
    TAIL: Gauge "ottla_tail_bytes" []
        "Memory of the newest batches, from which most fetches are answered.";
    TAIL_MAX: Gauge "ottla_tail_max_bytes" [] "What it may grow to (`log.tail.bytes`).";
    INDEXES: Gauge "ottla_index_cache_bytes" [] "Memory of indexes of closed segments.";
    LOOKUPS: Gauge "ottla_lookups" [] "Reads of the disk that fetches wait for.";

    TURNS: Counter "ottla_turns" [] "Turns of the brain.";
    TURN_INPUTS: Counter "ottla_turn_inputs" [] "What was brought to them, together.";
    TURN_SECONDS: Counter "ottla_turn_seconds" []
        "Time the brain was held for them; its rate is how busy it is.";
    LOG_LINES: Counter "ottla_log_lines" ["severity"] "Warnings and errors that were logged.";
}

/// The page that documents them, in Markdown.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `curl http://localhost:9644/metrics` (`http.listener`) answers them in the text format \
         of Prometheus, and in that of OpenMetrics where it is asked for. Names are those of \
         [kafka_exporter](https://github.com/danielqsj/kafka_exporter) and of the JMX exporter's \
         usual rules for Kafka; what only Ottla has begins with `ottla_`. Series of each \
         partition are left out with `metrics.partitions.enable=false`. All counters begin at \
         zero with the process; those of a topic end with it. This page is made from the table \
         in `src/metrics/catalogue.rs`.\n\n\
         | name | type | labels | meaning | Redpanda's name |\n|---|---|---|---|---|\n",
    );
    for family in ALL {
        let (kind, suffix) = match family.kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Histogram => ("histogram", ""),
        };
        let labels = family.labels.join(", ");
        let redpanda = match family.redpanda {
            "" => String::new(),
            name => format!("`{name}`"),
        };
        let (name, help) = (family.name, family.help);
        page += &format!("| `{name}{suffix}` | {kind} | {labels} | {help} | {redpanda} |\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, markdown()).expect("the repository can be written");
        }
        let page = std::fs::read_to_string(path).expect("the page is there");
        assert!(
            page == markdown(),
            "METRICS.md is not the table: UPDATE=1 writes it"
        );
    }

    #[test]
    fn names_are_prometheus_names_and_given_once() {
        let mut names = Vec::new();
        for family in ALL {
            let is_plain = |text: &str| {
                let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
                text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letters)
            };
            assert!(is_plain(family.name), "{}", family.name);
            assert!(family.labels.iter().all(|label| is_plain(label)));
            assert!(family.help.ends_with('.'), "{}", family.name);
            assert!(!family.name.ends_with("_total"), "{}", family.name);
            assert!(!names.contains(&family.name), "{} twice", family.name);
            names.push(family.name);
        }
    }
}
