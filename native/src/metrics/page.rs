//! The page a scrape gets: every family with its samples.

use std::fmt;
use std::sync::Arc;

use ottla_core::node::survey::BrokerFigures;

use super::catalogue as families;
use super::encoder::Encoder;
use super::labels::Text;
use super::survey::{Survey, Totals};
use super::{Format, Metrics, process, seconds};

/// One page to be written.
pub(super) struct Page {
    metrics: Arc<Metrics>,
    survey: Survey,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

impl Page {
    /// Looks at everything there is to tell.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let survey = Survey::take(&metrics.driver);
        Self { metrics, survey }
    }

    /// Writes it.
    pub(super) fn write(self, format: Format) -> String {
        let mut out = Encoder::new(format);
        let totals = match &self.survey.node.broker {
            Some(broker) => self.survey.totals(broker.node_id),
            None => Totals::default(),
        };
        self.write_process(&mut out);
        self.write_requests(&mut out);
        self.write_connections(&mut out);
        self.write_topics(&mut out);
        if self.metrics.tells_partitions {
            self.write_partitions(&mut out);
        }
        self.write_groups(&mut out);
        if let Some(broker) = &self.survey.node.broker {
            self.write_cluster(&mut out, broker, totals);
            write_memory(&mut out, broker);
        }
        self.write_disk(&mut out);
        self.write_turns(&mut out);
        out.finish()
    }

    fn write_process(&self, out: &mut Encoder) {
        if let Some(broker) = &self.survey.node.broker {
            let node_id = broker.node_id.to_string();
            let labels = [
                ("version", Text(env!("CARGO_PKG_VERSION"))),
                ("node_id", Text(&node_id)),
                ("cluster_id", Text(&broker.cluster_id)),
            ];
            out.gauges(&families::BUILD, [(labels, 1_u64)]);
        }
        out.gauge(&families::READY, u64::from(self.survey.is_ready));
        let uptime = self.metrics.started.elapsed().as_secs_f64();
        out.gauge(&families::UPTIME, uptime);
        out.gauge(&families::PROCESS_START, self.metrics.start_time);
        let Some(process) = process::look() else {
            return;
        };
        out.counter(&families::PROCESS_CPU, process.cpu_seconds);
        out.gauge(&families::PROCESS_RESIDENT, process.resident_bytes);
        out.gauge(&families::PROCESS_VIRTUAL, process.virtual_bytes);
        out.gauge(&families::PROCESS_THREADS, process.threads);
        out.gauge(&families::PROCESS_FILES, process.open_files);
        out.gauge(&families::PROCESS_FILES_MAX, process.open_files_max);
    }

    fn write_requests(&self, out: &mut Encoder) {
        let requests = &self.survey.node.requests;
        let counts = requests.requests();
        let counts = counts.map(|(api, count)| ([("request", Text(api.name))], count));
        out.counters(&families::REQUESTS, counts);
        let errors = requests.errors().map(|(api, code, count)| {
            let labels = [("request", Text(api.name)), ("error", Text(code.name()))];
            (labels, count)
        });
        out.counters(&families::ERRORS, errors);
        if let Some(net) = self.metrics.net.get() {
            let latencies = net.figures.latencies();
            let latencies = latencies.map(|(api, seen)| ([("request", Text(api.name))], seen));
            out.histograms(&families::LATENCY, latencies);
        }
        if let Some(broker) = &self.survey.node.broker {
            let throttled = || {
                broker
                    .throttled
                    .iter()
                    .map(|(api, seen)| ([("request", Text(api.name))], seen))
            };
            let answers = throttled().map(|(labels, seen)| (labels, seen.answers));
            out.counters(&families::THROTTLED, answers);
            let waits = throttled()
                .map(|(labels, seen)| (labels, seconds(seen.wait_ms.saturating_mul(1_000_000))));
            out.counters(&families::THROTTLED_SECONDS, waits);
            out.gauge(&families::MUTED, broker.connections_muted);
        }
        let waiting = self.survey.waiting;
        let waiting = [
            ("Admin", waiting.admin),
            ("Fetch", waiting.fetch),
            ("ListOffsets", waiting.list_offsets),
            ("Produce", waiting.produce),
        ];
        let waiting = waiting.map(|(kind, count)| ([("delayedOperation", Text(kind))], count));
        out.gauges(&families::PURGATORY, waiting);
    }

    fn write_connections(&self, out: &mut Encoder) {
        let Some(net) = self.metrics.net.get() else {
            return;
        };
        let figures = &net.figures;
        let all = figures.listeners();
        let listeners = || {
            let listeners = all.iter();
            listeners.map(|listener| ([("listener", Text(&listener.name))], listener))
        };
        let open = listeners().map(|(labels, listener)| {
            // In this order, or one that ends meanwhile would be counted below zero.
            let closed = listener.closed.value();
            (labels, listener.accepted.value() - closed)
        });
        out.gauges(&families::CONNECTIONS, open);
        let accepted = listeners().map(|(labels, of)| (labels, of.accepted.value()));
        out.counters(&families::CONNECTIONS_ACCEPTED, accepted);
        let refused = listeners().map(|(labels, of)| (labels, of.refused.value()));
        out.counters(&families::CONNECTIONS_REFUSED, refused);
        out.counter(&families::CONNECTIONS_MALFORMED, figures.malformed.value());
        out.gauge(&families::IN_FLIGHT, net.budget.used_bytes());
    }

    fn write_topics(&self, out: &mut Encoder) {
        let topics = self.survey.topics();
        macro_rules! traffic {
            ($family:ident, $field:ident) => {
                out.counters(
                    &families::$family,
                    topics
                        .iter()
                        .map(|(name, topic)| ([("topic", Text(name))], topic.traffic.$field)),
                );
            };
        }
        traffic!(BYTES_IN, bytes_in);
        traffic!(MESSAGES_IN, records_in);
        traffic!(BYTES_OUT, bytes_out);
        traffic!(PRODUCES, produces);
        traffic!(PRODUCES_FAILED, produces_refused);
        traffic!(FETCHES, fetches);
        traffic!(FETCHES_FAILED, fetches_refused);
        let sizes = topics.iter();
        let sizes = sizes.map(|(name, topic)| ([("topic", Text(name))], topic.size_bytes));
        out.gauges(&families::TOPIC_SIZE, sizes);
        let counts = self.survey.partition_counts();
        let counts = counts.iter();
        let counts = counts.map(|(name, count)| ([("topic", Text(name))], *count));
        out.gauges(&families::TOPIC_PARTITIONS, counts);
    }

    fn write_partitions(&self, out: &mut Encoder) {
        macro_rules! each {
            ($list:ident, $family:ident, $value:expr) => {{
                let value = $value;
                let all = self.survey.$list.iter().map(|of| {
                    let labels = ([("topic", Text(&of.topic))], [("partition", of.index.0)]);
                    (labels, value(of))
                });
                out.gauges(&families::$family, all);
            }};
        }
        use ottla_core::node::survey::{PartitionFigures as Log, ReplicaFigures as Replicas};
        each!(partitions, CURRENT_OFFSET, |of: &Log| of.high_watermark.0);
        each!(partitions, OLDEST_OFFSET, |of: &Log| of.log_start_offset.0);
        each!(partitions, LOG_END, |of: &Log| of.log_end_offset.0);
        each!(partitions, LOG_SIZE, |of: &Log| of.size_bytes);
        each!(partitions, LOG_SEGMENTS, |of: &Log| of.segments);
        each!(replicas, LEADER, |of: &Replicas| i64::from(of.leader.0));
        each!(replicas, LEADER_IS_PREFERRED, |of: &Replicas| i64::from(
            of.is_leader_preferred
        ));
        each!(replicas, REPLICAS, |of: &Replicas| of.replicas);
        each!(replicas, IN_SYNC, |of: &Replicas| of.in_sync_replicas);
        each!(replicas, UNDER_REPLICATED, |of: &Replicas| i64::from(
            of.in_sync_replicas < of.replicas
        ));
    }

    fn write_groups(&self, out: &mut Encoder) {
        let groups = || self.survey.groups.iter();
        let members = groups().map(|of| ([("consumergroup", Text(&of.group))], of.members));
        out.gauges(&families::GROUP_MEMBERS, members);
        let states = groups().map(|of| {
            let labels = [
                ("consumergroup", Text(&of.group)),
                ("state", Text(of.state)),
            ];
            (labels, 1_u64)
        });
        out.gauges(&families::GROUP_STATE, states);
        // Offsets are in the order of topics, so each topic of a group is one run.
        type Topic<'a> = [(&'static str, Text<'a>); 2];
        let mut sums: Vec<(Topic<'_>, i64, i64)> = Vec::new();
        for of in groups() {
            for (topic, index, committed) in &of.offsets {
                let labels = [("consumergroup", Text(&of.group)), ("topic", Text(topic))];
                if sums.last().is_none_or(|(last, ..)| *last != labels) {
                    sums.push((labels, 0, 0));
                }
                let lag = self.survey.lag(topic, *index, *committed);
                if let Some((_, lags, offsets)) = sums.last_mut() {
                    *lags += lag.unwrap_or(0);
                    *offsets += committed.0;
                }
            }
        }
        let lags = sums.iter().map(|&(labels, lag, _)| (labels, lag));
        out.gauges(&families::GROUP_LAG_SUM, lags);
        let offsets = sums.iter().map(|&(labels, _, offset)| (labels, offset));
        out.gauges(&families::GROUP_OFFSET_SUM, offsets);
        if !self.metrics.tells_partitions {
            return;
        }
        let all = || {
            groups().flat_map(|of| {
                of.offsets.iter().map(|(topic, index, committed)| {
                    let labels = [("consumergroup", Text(&of.group)), ("topic", Text(topic))];
                    (
                        (labels, [("partition", index.0)]),
                        (topic, *index, *committed),
                    )
                })
            })
        };
        let lags = all().filter_map(|(labels, (topic, index, committed))| {
            Some((labels, self.survey.lag(topic, index, committed)?))
        });
        out.gauges(&families::GROUP_LAG, lags);
        let offsets = all().map(|(labels, (_, _, committed))| (labels, committed.0));
        out.gauges(&families::GROUP_OFFSET, offsets);
    }

    fn write_cluster(&self, out: &mut Encoder, broker: &BrokerFigures, totals: Totals) {
        let brokers = broker.brokers_active + broker.brokers_fenced;
        let offline = self.survey.partitions.iter().filter(|of| of.is_offline);
        let offline = offline.count() as u64 + broker.replicas_absent;
        let topics = self.survey.partition_counts().len();
        for (family, value) in [
            (&families::BROKERS, brokers),
            (&families::PARTITION_COUNT, broker.partitions_hosted),
            (&families::LEADER_COUNT, totals.led_here),
            (&families::UNDER_REPLICATED_COUNT, totals.under_replicated),
            (&families::OFFLINE_REPLICAS, offline),
            (
                &families::ACTIVE_CONTROLLER,
                u64::from(broker.is_active_controller),
            ),
            (&families::ACTIVE_BROKERS, broker.brokers_active),
            (&families::FENCED_BROKERS, broker.brokers_fenced),
            (&families::GLOBAL_TOPICS, topics as u64),
            (
                &families::GLOBAL_PARTITIONS,
                self.survey.replicas.len() as u64,
            ),
            (&families::OFFLINE_PARTITIONS, totals.without_leader),
            (&families::IMBALANCED, totals.imbalanced),
            (&families::FETCH_SESSIONS, broker.fetch_sessions),
        ] {
            out.gauge(family, value);
        }
        for (family, offset) in [
            (&families::METADATA_END, broker.metadata_log_end_offset.0),
            (
                &families::METADATA_COMMITTED,
                broker.metadata_high_watermark.0,
            ),
            // The last one applied, where ours is the one after it.
            (&families::METADATA_APPLIED, broker.metadata_applied.0 - 1),
        ] {
            out.gauge(family, offset);
        }
    }

    fn write_disk(&self, out: &mut Encoder) {
        let disk = self.metrics.driver.disk();
        out.histogram(&families::APPEND, &disk.figures().append.look());
        out.histogram(&families::FLUSH, &disk.figures().flush.look());
        let requests = disk.figures().flush_requests.value();
        out.counter(&families::FLUSH_REQUESTS, requests);
        out.gauge(&families::DIRECTORIES_OFFLINE, disk.failed_count());
        let space = self.metrics.directories.iter().filter_map(|path| {
            let space = rustix::fs::statvfs(path).ok()?;
            let name = path.display().to_string();
            Some((
                name,
                space.f_blocks * space.f_frsize,
                space.f_bavail * space.f_frsize,
            ))
        });
        let space: Vec<(String, u64, u64)> = space.collect();
        let sizes = space.iter();
        let sizes = sizes.map(|(name, size, _free)| ([("directory", Text(name))], *size));
        out.gauges(&families::DIRECTORY_SIZE, sizes);
        let free = space.iter();
        let free = free.map(|(name, _size, free)| ([("directory", Text(name))], *free));
        out.gauges(&families::DIRECTORY_FREE, free);
    }

    fn write_turns(&self, out: &mut Encoder) {
        let driver = &self.metrics.driver;
        out.counter(&families::TURNS, self.survey.node.turns);
        out.counter(&families::TURN_INPUTS, self.survey.node.inputs);
        out.counter(&families::TURN_SECONDS, seconds(driver.turning_ns()));
        let lines = driver.event_figures().look();
        let lines = lines.map(|(severity, count)| ([("severity", Text(severity))], count));
        out.counters(&families::LOG_LINES, lines);
    }
}

fn write_memory(out: &mut Encoder, broker: &BrokerFigures) {
    out.gauge(&families::TAIL, broker.tail_bytes);
    out.gauge(&families::TAIL_MAX, broker.tail_bytes_max);
    out.gauge(&families::INDEXES, broker.index_bytes);
    out.gauge(&families::LOOKUPS, broker.lookups);
}
