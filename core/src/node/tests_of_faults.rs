//! A node whose disk is slow, full or lost: every request ends once, and nothing is forgotten.
//!
//! Where the order of the disk's answers matters, they are given by hand instead of by the
//! simulated disk.

use kafka_wire_core::StrBytes;

use super::tests::{Bench, empty_disk, start};
use super::*;
use crate::error::ErrorCode;
use crate::ids::{DirectoryIndex, Generation, Offset, PartitionIndex, RequestSequence, TopicId};
use crate::metadata::records::{ConfigRecord, MetadataRecord, RemoveTopicRecord};
use crate::storage::{DirectoryFile, DiskError, DiskOp, FailureScope};
use crate::time::Timestamp;
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::produce::{ProduceInput, ProducePartition, ProduceTopic};
use crate::wire::request::{Reply, Request, RequestHead};

const CLIENT: ConnectionId = ConnectionId(1);

impl Bench {
    pub(super) fn broker(&mut self) -> &mut Broker {
        let Phase::Running(broker) = &mut self.node.phase else {
            panic!("it is running");
        };
        broker
    }

    pub(super) fn connect(&mut self) {
        self.turn(vec![Input::Connected {
            connection: CLIENT,
            listener: ListenerId(0),
            peer_host: "127.0.0.1".into(),
        }]);
    }

    pub(super) fn turn(&mut self, mut inputs: Vec<Input>) {
        self.node.turn(self.now, &mut inputs, &mut self.out);
    }

    /// A turn after so much time.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.now.instant = self
            .now
            .instant
            .after(std::time::Duration::from_secs(seconds));
        self.turn(Vec::new());
    }

    pub(super) fn ask(&mut self, sequence: u64, version: i16, request: Request) {
        self.turn(vec![Input::Request {
            connection: CLIENT,
            sequence: RequestSequence(sequence),
            head: RequestHead {
                api_key: 0,
                version,
                correlation_id: 0,
                client_id: None,
                frame_bytes: 0,
                work_ns: 0,
            },
            request,
        }]);
    }

    pub(super) fn replies(&mut self) -> Vec<(u64, Reply)> {
        let replies = self.out.replies.drain(..);
        replies
            .map(|effect| (effect.sequence.0, effect.reply))
            .collect()
    }

    /// Takes the disk's operations away, so that nobody carries them out.
    pub(super) fn take_operations(&mut self) -> Vec<DiskOp> {
        std::mem::take(&mut self.out.disk)
    }

    fn produce(&mut self, sequence: u64, acks: i16) {
        self.produce_batches(sequence, acks, 1);
    }

    /// Names one partition so many times in one request.
    fn produce_batches(&mut self, sequence: u64, acks: i16, batches: u32) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(self.now.wall, None, Some(&[7; 9_000]));
        let batch = PreparedBatch::from_client(builder.build(), 9).expect("it is valid");
        let mut input = ProduceInput {
            acks,
            timeout_ms: 1_000,
            ..ProduceInput::default()
        };
        let mut topic = ProduceTopic {
            name: StrBytes::from("topic"),
            ..ProduceTopic::default()
        };
        for _batch in 0..batches {
            topic.partitions.push(ProducePartition {
                index: PartitionIndex(0),
                batch: Ok(batch.clone()),
            });
        }
        input.topics.push(topic);
        self.ask(sequence, 9, Request::Produce(input));
    }

    fn fetch(&mut self, sequence: u64, topics: &[&str], offset: i64) {
        let mut request = kafka_wire::FetchRequest::default();
        request.max_wait_ms = 500;
        request.min_bytes = 1;
        request.max_bytes = 1 << 20;
        request.session_epoch = -1;
        for name in topics {
            let mut topic = kafka_wire::fetch_request::FetchTopic::default();
            topic.topic = StrBytes::from(*name);
            let mut partition = kafka_wire::fetch_request::FetchPartition::default();
            partition.fetch_offset = offset;
            partition.partition_max_bytes = 1 << 20;
            partition.current_leader_epoch = -1;
            partition.last_fetched_epoch = -1;
            topic.partitions.push(partition);
            request.topics.push(topic);
        }
        self.ask(sequence, 12, Request::Fetch(request));
    }

    fn list_offsets(&mut self, sequence: u64, timestamp: Timestamp) {
        let mut request = kafka_wire::ListOffsetsRequest::default();
        let mut topic = kafka_wire::list_offsets_request::ListOffsetsTopic::default();
        topic.name = StrBytes::from("topic");
        let mut partition = kafka_wire::list_offsets_request::ListOffsetsPartition::default();
        partition.current_leader_epoch = -1;
        partition.timestamp = timestamp.0;
        topic.partitions.push(partition);
        request.topics.push(topic);
        self.ask(sequence, 7, Request::ListOffsets(request));
    }

    fn init_producer_id(&mut self, sequence: u64) {
        let mut request = kafka_wire::InitProducerIdRequest::default();
        request.transactional_id = None;
        self.ask(sequence, 4, Request::InitProducerId(request));
    }

    /// A node that was stopped and started with some batches in a topic: nothing of them is in
    /// memory.
    fn with_cold_records() -> Self {
        let mut bench = Self::boot(empty_disk(), start());
        bench.write_topic("topic");
        bench.connect();
        for sequence in 0..4 {
            bench.now.wall = Timestamp(bench.now.wall.0 + 1_000);
            bench.produce(sequence, -1);
            bench.run();
        }
        assert_eq!(bench.replies().len(), 4);
        let (disk, now) = bench.stop();
        let mut bench = Self::boot(disk, now);
        bench.connect();
        bench
    }
}

fn config(name: &str) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource_type: 16,
        resource_name: "subscription".into(),
        name: name.into(),
        value: Some("1".into()),
    })
}

fn fetch_errors(reply: &Reply) -> Vec<(i16, usize)> {
    let Reply::Fetch(reply) = reply else {
        panic!("{reply:?}");
    };
    let topics = reply.response.responses.iter().zip(&reply.records);
    topics
        .flat_map(|(topic, records)| topic.partitions.iter().zip(records))
        .map(|(part, slices)| {
            (
                part.error_code,
                slices.iter().map(crate::storage::Slice::size_bytes).sum(),
            )
        })
        .collect()
}

fn produce_error(reply: &Reply) -> i16 {
    let Reply::Produce(reply) = reply else {
        panic!("{reply:?}");
    };
    reply.responses[0].partition_responses[0].error_code
}

#[test]
fn requests_that_read_a_deleted_log_still_end() {
    let mut bench = Bench::with_cold_records();
    bench.fetch(0, &["topic"], 2);
    bench.list_offsets(1, bench.now.wall);
    assert_eq!(bench.replies(), [], "both wait for the disk");
    let (reads, others): (Vec<_>, Vec<_>) = bench
        .take_operations()
        .into_iter()
        .partition(|op| matches!(op, DiskOp::Read { .. }));
    assert_eq!(reads.len(), 2);
    bench.out.disk = others;
    bench.propose(vec![MetadataRecord::RemoveTopic(RemoveTopicRecord {
        topic_id: TopicId([b't'; 16]),
    })]);
    bench.pass(1);
    for op in reads {
        let DiskOp::Read { log, token, .. } = op else {
            continue;
        };
        let result = Err(DiskError::Io("gone".into()));
        bench.turn(vec![Input::Disk(DiskDone::Read { log, token, result })]);
    }
    let replies = bench.replies();
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!(fetch_errors(&replies[0].1), [(3, 0)]);
    let Reply::ListOffsets(offsets) = &replies[1].1 else {
        panic!("{replies:?}");
    };
    assert_eq!(offsets.topics[0].partitions[0].error_code, 3);
    assert!(bench.broker().waiting.is_empty());
}

#[test]
fn an_error_does_not_keep_cold_records_from_a_fetch() {
    let mut bench = Bench::with_cold_records();
    bench.fetch(0, &["unknown", "topic"], 2);
    bench.run();
    let replies = bench.replies();
    assert_eq!(replies.len(), 1);
    let parts = fetch_errors(&replies[0].1);
    assert_eq!(parts[0], (3, 0));
    assert_eq!(parts[1].0, 0);
    assert!(parts[1].1 > 0, "{parts:?}");
}

#[test]
fn a_full_disk_takes_back_only_what_the_metadata_log_does_not_hold() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.connect();
    let now = bench.now;
    let mut out = Outbox::default();
    let kept = bench
        .broker()
        .propose_unanswered(now, vec![config("kept")], &mut out);
    let kept = kept.expect("there is space");
    bench.turn(Vec::new());
    let log = bench.broker().quorum.log_id();
    let generation = bench.broker().quorum.log().generation();
    bench.init_producer_id(0);
    // 1. The first proposal is written, not synced. 2. The second does not fit.
    let appended = DiskDone::Appended {
        log,
        generation,
        end_offset: kept,
    };
    let failed = DiskDone::Failed {
        scope: FailureScope::Append { log, generation },
        error: DiskError::Full,
    };
    let before = bench.broker().image.next_producer_id();
    bench.turn(vec![Input::Disk(appended), Input::Disk(failed)]);
    let replies = bench.replies();
    let Some((0, Reply::InitProducerId(refused))) = replies.first() else {
        panic!("{replies:?}");
    };
    assert_eq!(refused.error_code, ErrorCode::RequestTimedOut.code());
    let broker = bench.broker();
    assert_eq!(broker.controller_image.next_producer_id(), before);
    assert_ne!(
        broker.controller_image.fingerprint(),
        broker.image.fingerprint(),
        "what is in the log is decided upon"
    );
    // While the log is being cut, a proposal changes nothing.
    let refused = broker.propose_unanswered(now, vec![config("refused")], &mut out);
    assert_eq!(refused, Err(ErrorCode::KafkaStorageError));
    let decided = broker.controller_image.fingerprint();
    bench.turn(vec![Input::Disk(DiskDone::Truncated {
        log,
        generation: Generation(generation.0 + 1),
        end_offset: kept,
    })]);
    assert_eq!(bench.broker().image.fingerprint(), decided);
    assert_eq!(bench.broker().applied, kept);
    // The next producer gets an id only when its block is reserved.
    bench.init_producer_id(1);
    assert_eq!(bench.replies(), [], "the block is not reserved");
}

#[test]
fn records_are_deleted_in_time_or_not_on_record() {
    let mut bench = Bench::with_cold_records();
    let mut request = kafka_wire::DeleteRecordsRequest::default();
    request.timeout_ms = 1_000;
    let mut topic = kafka_wire::delete_records_request::DeleteRecordsTopic::default();
    topic.name = StrBytes::from("topic");
    let mut partition = kafka_wire::delete_records_request::DeleteRecordsPartition::default();
    partition.offset = 2;
    topic.partitions.push(partition);
    request.topics.push(topic);
    bench.ask(0, 2, Request::DeleteRecords(request));
    assert!(!bench.take_operations().is_empty());
    assert_eq!(bench.replies(), []);
    bench.pass(2);
    let replies = bench.replies();
    let Some((0, Reply::DeleteRecords(reply))) = replies.first() else {
        panic!("{replies:?}");
    };
    assert_eq!(reply.topics[0].partitions[0].error_code, 7);
    assert!(bench.broker().waiting.is_empty());
}

#[test]
fn a_start_stays_on_record_where_a_segment_begins_there() {
    let mut bench = Bench::boot_with("log.retention.ms=60000", empty_disk(), start());
    bench.write_topic("topic");
    bench.connect();
    for sequence in 0..4 {
        bench.produce(sequence, -1);
        bench.run();
    }
    // All of it grows old and goes; then the checkpoints are due.
    bench.now.wall = Timestamp(bench.now.wall.0 + 100_000);
    bench.pass(300);
    bench.run();
    bench.pass(61);
    bench.run();
    let log = bench
        .broker()
        .partitions
        .iter()
        .next()
        .expect("it is there");
    let log = log.log();
    assert_eq!(log.log_start_offset(), Offset(4));
    assert_eq!(log.active_segment(), Offset(4));
    let listing = bench.disk.listing(DirectoryIndex(0));
    let text = listing.file(DirectoryFile::LogStartOffsets);
    let text = text.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert_eq!(text.as_deref(), Some("0\n1\ntopic 0 4\n"));
}

#[test]
fn a_lost_directory_ends_what_waits_for_it_and_the_node_still_stops() {
    let mut bench = Bench::with_cold_records();
    bench.produce(0, -1);
    assert_eq!(bench.replies(), []);
    bench.take_operations();
    bench.turn(vec![Input::Disk(DiskDone::Failed {
        scope: FailureScope::Directory(DirectoryIndex(0)),
        error: DiskError::Io("broken".into()),
    })]);
    bench.fetch(1, &["topic"], 0);
    bench.list_offsets(2, Timestamp(-1));
    bench.produce(3, 1);
    let replies = bench.replies();
    let sequences: Vec<u64> = replies.iter().map(|(sequence, _)| *sequence).collect();
    assert_eq!(sequences, [0, 1, 2, 3]);
    assert_eq!(fetch_errors(&replies[1].1), [(56, 0)]);
    let Reply::ListOffsets(offsets) = &replies[2].1 else {
        panic!("{replies:?}");
    };
    assert_eq!(offsets.topics[0].partitions[0].error_code, 56);
    let now = bench.now;
    let mut out = Outbox::default();
    let refused = bench
        .broker()
        .propose_unanswered(now, vec![config("no")], &mut out);
    assert_eq!(refused, Err(ErrorCode::KafkaStorageError));
    bench.turn(vec![Input::Shutdown]);
    assert_eq!(bench.node.stopped(), Some(Ok(())));
}

#[test]
fn a_stop_ends_though_its_marker_does_not_fit() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.turn(vec![Input::Shutdown]);
    let mut is_refused = false;
    while bench.node.stopped().is_none() {
        let mut inputs = Vec::new();
        for op in bench.take_operations() {
            let marker = DirectoryFile::CleanShutdown;
            if let DiskOp::SaveDirectoryFile { file, token, .. } = op
                && file == marker
            {
                is_refused = true;
                inputs.push(Input::Disk(DiskDone::Failed {
                    scope: FailureScope::Save(token),
                    error: DiskError::Full,
                }));
            } else {
                bench.disk.submit(op, bench.now.instant.0);
            }
        }
        let mut done = Vec::new();
        if let Some(at_ns) = bench.disk.next_at_ns() {
            bench.now.instant = bench.now.instant.max(Instant(at_ns));
            bench.disk.advance(bench.now.instant.0, &mut done);
        }
        inputs.extend(done.into_iter().map(Input::Disk));
        assert!(!inputs.is_empty(), "the stop waits for nothing");
        bench.turn(inputs);
    }
    assert!(is_refused);
}

#[test]
fn a_produce_whose_records_are_taken_back_fails_and_others_do_not() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    bench.connect();
    bench.produce(0, -1);
    bench.produce(1, -1);
    bench.take_operations();
    let partition = bench
        .broker()
        .partitions
        .iter()
        .next()
        .expect("there is one");
    let log = partition.identity().log;
    let generation = partition.log().generation();
    let appended = DiskDone::Appended {
        log,
        generation,
        end_offset: Offset(1),
    };
    let failed = DiskDone::Failed {
        scope: FailureScope::Append { log, generation },
        error: DiskError::Full,
    };
    bench.turn(vec![Input::Disk(appended), Input::Disk(failed)]);
    let replies = bench.replies();
    let codes: Vec<_> = replies
        .iter()
        .map(|(at, reply)| (*at, produce_error(reply)))
        .collect();
    assert_eq!(codes, [(1, 56)]);
    bench.turn(vec![Input::Disk(DiskDone::Truncated {
        log,
        generation: Generation(generation.0 + 1),
        end_offset: Offset(1),
    })]);
    let replies = bench.replies();
    let codes: Vec<_> = replies
        .iter()
        .map(|(at, reply)| (*at, produce_error(reply)))
        .collect();
    assert_eq!(codes, [(0, 0)]);
    // The offset that was taken back is given again.
    bench.produce(2, 1);
    let partition = bench
        .broker()
        .partitions
        .iter()
        .next()
        .expect("there is one");
    assert_eq!(partition.log().log_end_offset(), Offset(2));
}

#[test]
fn a_request_that_names_a_partition_twice_is_told_which_batch_was_taken_back() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    bench.connect();
    bench.produce_batches(0, 1, 2);
    let mut appends = bench.take_operations().into_iter();
    assert!(appends.any(|op| matches!(op, DiskOp::Append { .. })));
    let partition = bench.broker().partitions.iter().next();
    let partition = partition.expect("there is one");
    let log = partition.identity().log;
    let generation = partition.log().generation();
    bench.turn(vec![Input::Disk(DiskDone::Failed {
        scope: FailureScope::Append { log, generation },
        error: DiskError::Full,
    })]);
    let replies = bench.replies();
    let [(0, Reply::Produce(reply))] = &replies[..] else {
        panic!("{replies:?}");
    };
    let parts = &reply.responses[0].partition_responses;
    let codes: Vec<i16> = parts.iter().map(|part| part.error_code).collect();
    assert_eq!(codes, [56, 56]);
    assert!(bench.broker().waiting.is_empty());
}
