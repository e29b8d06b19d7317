//! The client machines against a toy broker that speaks through the broker's own connection.
//!
//! The toy keeps one topic in memory and fails on demand; what a real broker does is tested against
//! a real broker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_wire::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_wire_core::StrBytes;

use crate::client::consumer::{Consumer, ConsumerOptions, Isolation, StartAt};
use crate::client::network::{ClientEffect, ClientInput, LinkId, NetworkOptions};
use crate::client::producer::{
    Acks, DeliveryError, Producer, ProducerOptions, ProducerRecord, RetryPolicy,
};
use crate::connection::{Connection, ConnectionLimits, Received};
use crate::error::ErrorCode;
use crate::ids::{ConnectionId, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::storage::{Slice, StampedBatch};
use crate::time::{Instant, Now, Timestamp};
use crate::wire::api_table::SERVED;
use crate::wire::batch::{BatchHeader, Compression};
use crate::wire::request::{FetchReply, Piece, ProduceInput, Reply, Request};

const TOPIC: &str = "letters";

/// One topic of two partitions, and what is to go wrong.
#[derive(Default)]
struct Toy {
    connections: BTreeMap<LinkId, Connection>,
    logs: [Vec<(BatchHeader, Bytes)>; 2],
    /// Errors for the next Produce partitions, appended or not.
    produce_faults: VecDeque<(ErrorCode, bool)>,
    /// Drops the connection instead of answering the next Produce; appended or not.
    drops: VecDeque<bool>,
    fetches: Vec<kafka_wire::FetchRequest>,
}

impl Toy {
    fn carry_out(&mut self, effects: Vec<ClientEffect>) -> Vec<ClientInput> {
        let mut inputs = Vec::new();
        for effect in effects {
            match effect {
                ClientEffect::Close { link } => {
                    self.connections.remove(&link);
                }
                ClientEffect::Connect { link, .. } => {
                    let id = ConnectionId(link.0);
                    let connection = Connection::new(id, ConnectionLimits::default());
                    self.connections.insert(link, connection);
                    inputs.push(ClientInput::Connected { link });
                }
                ClientEffect::Send { link, bytes } => inputs.extend(self.on_bytes(link, &bytes)),
            }
        }
        inputs
    }

    fn on_bytes(&mut self, link: LinkId, bytes: &[u8]) -> Vec<ClientInput> {
        let Some(mut connection) = self.connections.remove(&link) else {
            return Vec::new();
        };
        connection.receive(bytes);
        while let Some(received) = connection.next_request().expect("our client is sane") {
            let Received {
                sequence, request, ..
            } = received;
            let Some(reply) = self.reply(request) else {
                return vec![ClientInput::Closed { link }];
            };
            connection.reply(sequence, reply).expect("encodes");
        }
        let mut pieces = Vec::new();
        let size = connection.take_output(&mut pieces);
        connection.wrote(size);
        self.connections.insert(link, connection);
        let receive = |piece| match piece {
            Piece::Bytes(bytes) => ClientInput::Received { link, bytes },
            Piece::File { .. } => unreachable!("the toy has no files"),
        };
        pieces.into_iter().map(receive).collect()
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a toy serves a few APIs, whatever others there will be"
    )]
    fn reply(&mut self, request: Request) -> Option<Reply> {
        Some(match request {
            Request::ApiVersions(_) => Reply::ApiVersions(versions()),
            Request::Metadata(_) => Reply::Metadata(metadata().into()),
            Request::InitProducerId(_) => {
                let mut response = kafka_wire::InitProducerIdResponse::default();
                response.producer_id = 7;
                response.producer_epoch = 0;
                Reply::InitProducerId(response)
            }
            Request::Produce(input) => return self.produce(input),
            Request::ListOffsets(request) => Reply::ListOffsets(self.offsets(&request)),
            Request::Fetch(request) => self.fetch(request),
            other => panic!("the toy does not serve {}", other.api_name()),
        })
    }

    fn produce(&mut self, input: ProduceInput) -> Option<Reply> {
        let drop = self.drops.pop_front();
        let mut response = kafka_wire::ProduceResponse::default();
        for topic in input.topics {
            let mut topic_response = TopicProduceResponse::default();
            topic_response.name = topic.name;
            topic_response.topic_id = topic.topic_id.into();
            for partition in topic.partitions {
                let (code, appends) = self
                    .produce_faults
                    .pop_front()
                    .unwrap_or((ErrorCode::None, drop.unwrap_or(true)));
                let batch = partition.batch.expect("a good batch");
                let mut result = PartitionProduceResponse::default();
                result.index = partition.index.0;
                result.error_code = code.code();
                if appends {
                    let (code, offset) = self.append(partition.index, &batch.bytes);
                    if result.error_code == 0 {
                        result.error_code = code.code();
                    }
                    result.base_offset = offset;
                }
                topic_response.partition_responses.push(result);
            }
            response.responses.push(topic_response);
        }
        match (drop, input.acks) {
            (Some(_), _) => None,
            (None, 0) => Some(Reply::Nothing),
            (None, _) => Some(Reply::Produce(response)),
        }
    }

    /// Appends as an idempotent log does: duplicates answer their first offset, gaps an error.
    fn append(&mut self, index: PartitionIndex, bytes: &Bytes) -> (ErrorCode, i64) {
        let log = &mut self.logs[index.0 as usize];
        let mut header = BatchHeader::parse(bytes).expect("a header");
        let of_producer = |other: &BatchHeader| {
            (other.producer_id, other.producer_epoch) == (header.producer_id, header.producer_epoch)
        };
        if header.has_producer() {
            let mut earlier = log.iter().map(|(header, _)| header);
            if let Some(twin) = earlier
                .find(|other| of_producer(other) && other.base_sequence == header.base_sequence)
            {
                return (ErrorCode::None, twin.base_offset.0);
            }
            let last = log.iter().rfind(|(other, _)| of_producer(other));
            let next = last.map_or(0, |(last, _)| last.last_sequence().0 + 1);
            if header.base_sequence.0 != next {
                return (ErrorCode::OutOfOrderSequenceNumber, -1);
            }
        }
        let base = log.last().map_or(Offset(0), |(last, _)| last.next_offset());
        header.base_offset = base;
        log.push((header, bytes.clone()));
        (ErrorCode::None, base.0)
    }

    fn offsets(&self, request: &kafka_wire::ListOffsetsRequest) -> kafka_wire::ListOffsetsResponse {
        let mut response = kafka_wire::ListOffsetsResponse::default();
        for topic in &request.topics {
            let mut out = kafka_wire::list_offsets_response::ListOffsetsTopicResponse::default();
            out.name = topic.name.clone();
            for partition in &topic.partitions {
                let mut result =
                    kafka_wire::list_offsets_response::ListOffsetsPartitionResponse::default();
                result.partition_index = partition.partition_index;
                let log = &self.logs[partition.partition_index as usize];
                let end = log.last().map_or(0, |(last, _)| last.next_offset().0);
                result.offset = if partition.timestamp == -2 { 0 } else { end };
                out.partitions.push(result);
            }
            response.topics.push(out);
        }
        response
    }

    fn fetch(&mut self, request: kafka_wire::FetchRequest) -> Reply {
        let mut reply = FetchReply::default();
        for topic in &request.topics {
            let mut out = kafka_wire::fetch_response::FetchableTopicResponse::default();
            out.topic = topic.topic.clone();
            out.topic_id = topic.topic_id;
            let mut records = Vec::new();
            for partition in &topic.partitions {
                let log = &self.logs[partition.partition as usize];
                let mut data = kafka_wire::fetch_response::PartitionData::default();
                data.partition_index = partition.partition;
                data.high_watermark = log.last().map_or(0, |(last, _)| last.next_offset().0);
                let found = log
                    .iter()
                    .filter(|(header, _)| header.next_offset().0 > partition.fetch_offset);
                let slices = found.map(|(header, bytes)| {
                    let mut stamp = [0; 16];
                    stamp.copy_from_slice(&bytes[..16]);
                    stamp[..8].copy_from_slice(&header.base_offset.0.to_be_bytes());
                    Slice::Memory(StampedBatch {
                        stamp,
                        body: bytes.slice(16..),
                    })
                });
                records.push(slices.collect());
                out.partitions.push(data);
            }
            reply.response.responses.push(out);
            reply.records.push(records);
        }
        self.fetches.push(request);
        Reply::Fetch(reply)
    }

    fn values(&self, index: usize) -> Vec<String> {
        let records = self.logs[index]
            .iter()
            .flat_map(|(_, bytes)| crate::wire::records::Records::open(bytes).unwrap());
        let value = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        records
            .map(|record| value(record.unwrap().value.unwrap()))
            .collect()
    }
}

fn versions() -> kafka_wire::ApiVersionsResponse {
    let mut response = kafka_wire::ApiVersionsResponse::default();
    for api in SERVED {
        let mut range = kafka_wire::api_versions_response::ApiVersion::default();
        range.api_key = api.key;
        range.min_version = api.advertised_min();
        range.max_version = api.version_last;
        response.api_keys.push(range);
    }
    response
}

fn metadata() -> kafka_wire::MetadataResponse {
    let mut response = kafka_wire::MetadataResponse::default();
    let mut broker = kafka_wire::metadata_response::MetadataResponseBroker::default();
    broker.node_id = 1;
    broker.host = StrBytes::from("toy");
    broker.port = 9092;
    response.brokers.push(broker);
    let mut topic = kafka_wire::metadata_response::MetadataResponseTopic::default();
    topic.name = Some(StrBytes::from(TOPIC));
    topic.topic_id = TopicId([9; 16]).into();
    for index in 0..2 {
        let mut partition = kafka_wire::metadata_response::MetadataResponsePartition::default();
        partition.partition_index = index;
        partition.leader_id = 1;
        partition.leader_epoch = 0;
        topic.partitions.push(partition);
    }
    response.topics.push(topic);
    response
}

fn network(caps: &[(i16, i16)]) -> NetworkOptions {
    let mut options = NetworkOptions::new(vec![(Arc::from("toy"), 9092)]);
    options.connection.version_caps = caps.iter().copied().collect();
    options
}

fn at(ms: u64) -> Now {
    Now {
        instant: Instant(ms * 1_000_000),
        wall: Timestamp(1_000_000 + i64::try_from(ms).unwrap()),
    }
}

/// Lets a producer work until it is idle; answers when that was.
fn run(producer: &mut Producer, toy: &mut Toy, mut now: Now) -> Now {
    for _step in 0..10_000 {
        let mut effects = Vec::new();
        producer.take_effects(&mut effects);
        if effects.is_empty() {
            if producer.is_idle() {
                return now;
            }
            let next = producer.next_deadline().expect("waits for something");
            assert!(next >= now.instant, "no deadline in the past");
            let ms = next.0.div_ceil(1_000_000);
            now = at(ms.max(now.instant.0 / 1_000_000));
            producer.on_time(now);
        } else {
            for input in toy.carry_out(effects) {
                producer.on_input(now, input);
            }
        }
    }
    panic!("the producer never comes to rest");
}

fn record(value: &str, partition: i32) -> ProducerRecord {
    ProducerRecord {
        topic: TOPIC.into(),
        partition: Some(PartitionIndex(partition)),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        ..ProducerRecord::default()
    }
}

fn options() -> ProducerOptions {
    let mut options = ProducerOptions::new(network(&[]));
    options.batch_bytes_max = 200;
    options
}

#[test]
fn faults_of_every_kind_leave_order_and_no_duplicates() {
    let faults = [
        (ErrorCode::NotLeaderOrFollower, false),
        (ErrorCode::RequestTimedOut, true),
        (ErrorCode::None, true),
        (ErrorCode::NotEnoughReplicasAfterAppend, true),
        (ErrorCode::NotEnoughReplicas, false),
    ];
    let mut toy = Toy {
        produce_faults: faults.into(),
        drops: [true, false].into(),
        ..Toy::default()
    };
    let mut producer = Producer::new(options());
    let expected: Vec<String> = (0..50).map(|n| format!("value {n}")).collect();
    for value in &expected {
        producer.send(at(0), record(value, 0));
    }
    run(&mut producer, &mut toy, at(0));
    assert_eq!(toy.values(0), expected);
    let mut offsets = Vec::new();
    while let Some(report) = producer.next_report() {
        offsets.push(report.result.expect("delivered").offset.0);
    }
    offsets.sort_unstable();
    assert_eq!(offsets, (0..50).collect::<Vec<_>>());
}

/// A backlog is spread, too: batches that are full before any was sent.
#[test]
fn records_without_keys_go_everywhere() {
    let mut toy = Toy::default();
    let mut options = options();
    // Records of one size, so that no batch is ever quite full.
    options.batch_bytes_max = 1_000;
    let mut producer = Producer::new(options);
    for n in 0..1_000 {
        let mut record = record(&format!("{n:0>100}"), 0);
        record.partition = None;
        producer.send(at(0), record);
    }
    run(&mut producer, &mut toy, at(0));
    let counts = [toy.values(0).len(), toy.values(1).len()];
    assert_eq!(counts[0] + counts[1], 1_000);
    assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
}

#[test]
fn a_batch_of_unknown_fate_is_never_sent_again_under_another_number() {
    let mut toy = Toy::default();
    let mut policy = RetryPolicy::java();
    policy.retries_max = 0;
    let mut producer = Producer::new(ProducerOptions {
        retry: policy,
        in_flight_max: 1,
        ..options()
    });
    toy.drops.push_back(true);
    producer.send(at(0), record("lost?", 0));
    let now = run(&mut producer, &mut toy, at(0));
    let report = producer.next_report().expect("an end");
    assert!(report.result.expect_err("no answer").may_be_written);
    producer.send(now, record("next", 0));
    run(&mut producer, &mut toy, now);
    assert!(producer.next_report().unwrap().result.is_ok());
    assert_eq!(toy.values(0), ["lost?", "next"]);
    let epochs: Vec<i16> = toy.logs[0]
        .iter()
        .map(|(header, _)| header.producer_epoch.0)
        .collect();
    assert_eq!(epochs, [0, 1], "a gap may be there: the epoch is raised");
}

#[test]
fn what_is_refused_or_expires_is_reported() {
    let mut toy = Toy::default();
    toy.produce_faults
        .push_back((ErrorCode::MessageTooLarge, false));
    let mut producer = Producer::new(options());
    producer.send(at(0), record("large", 0));
    let now = run(&mut producer, &mut toy, at(0));
    let failed = producer.next_report().unwrap().result.unwrap_err();
    assert!(matches!(
        failed.error,
        DeliveryError::Broker {
            code: ErrorCode::MessageTooLarge,
            ..
        }
    ));
    assert!(!failed.may_be_written);
    let mut missing = record("x", 9);
    missing.partition = Some(PartitionIndex(9));
    producer.send(now, missing);
    run(&mut producer, &mut toy, now);
    let failed = producer.next_report().unwrap().result.unwrap_err();
    assert_eq!(failed.error, DeliveryError::NoPartition);
}

#[test]
fn acks_none_and_old_versions_work() {
    let caps = [(0, 3), (1, 4), (2, 1), (3, 4), (18, 0), (22, 0)];
    for (acks, caps) in [
        (Acks::None, &caps[..]),
        (Acks::Leader, &caps),
        (Acks::None, &[]),
    ] {
        let mut toy = Toy::default();
        let mut producer = Producer::new(ProducerOptions {
            network: network(caps),
            acks,
            is_idempotent: false,
            compression: Compression::Lz4,
            ..options()
        });
        producer.send(at(0), record("a", 1));
        producer.send(at(0), record("b", 1));
        run(&mut producer, &mut toy, at(0));
        assert_eq!(toy.values(1), ["a", "b"]);
        let first = producer.next_report().unwrap().result.unwrap();
        assert_eq!(first.offset.0, if acks == Acks::None { -1 } else { 0 });
        assert_eq!(consume(&mut toy, caps, 1, StartAt::Earliest, 2), ["a", "b"]);
    }
}

/// Reads some records of a partition.
fn consume(
    toy: &mut Toy,
    caps: &[(i16, i16)],
    index: i32,
    start: StartAt,
    count: usize,
) -> Vec<String> {
    let mut consumer = Consumer::new(ConsumerOptions {
        max_wait: Duration::from_millis(10),
        isolation: if caps.is_empty() {
            Isolation::Committed
        } else {
            Isolation::Uncommitted
        },
        ..ConsumerOptions::new(network(caps))
    });
    let partition = TopicPartition {
        topic: TOPIC.into(),
        partition: PartitionIndex(index),
    };
    let now = Instant(1);
    consumer.assign(now, &partition, start);
    consumer.on_time(now);
    let mut values = Vec::new();
    for _step in 0..1_000 {
        while let Some(consumed) = consumer.next_records() {
            for record in consumed.records {
                let value = record.value.expect("a value");
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        assert_eq!(consumer.next_error(), None);
        if values.len() >= count {
            break;
        }
        let mut effects = Vec::new();
        consumer.take_effects(&mut effects);
        for input in toy.carry_out(effects) {
            consumer.on_input(now, input);
        }
    }
    values
}

#[test]
fn a_consumer_reads_from_where_it_is_told() {
    let mut toy = Toy::default();
    let mut producer = Producer::new(options());
    for n in 0..30 {
        producer.send(at(0), record(&n.to_string(), 0));
    }
    run(&mut producer, &mut toy, at(0));
    assert!(toy.logs[0].len() > 1, "several batches");
    let all: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    assert_eq!(consume(&mut toy, &[], 0, StartAt::Earliest, 30), all);
    let middle = consume(&mut toy, &[], 0, StartAt::Offset(Offset(17)), 13);
    assert_eq!(middle, all[17..]);
}
