//! Tests of the connection as a driver sees it: real frames in, frames out.

use bytes::Bytes;
use kafka_wire::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest,
    MetadataResponse, OutboundFrameLimits,
};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, StrBytes};

use super::*;
use crate::rng::Rng;
use crate::wire::request::FetchReply;

fn connection() -> Connection {
    Connection::new(ConnectionId(7), ConnectionLimits::default())
}

fn frame<R: kafka_wire::KafkaRequest + kafka_wire_core::KafkaEncode>(
    correlation_id: i32,
    request: &R,
    version: i16,
) -> BytesMut {
    let mut buffer = BytesMut::new();
    kafka_wire::encode_request(
        &mut buffer,
        correlation_id,
        Some(StrBytes::from("tests")),
        request,
        ApiVersion::new(version),
        OutboundFrameLimits::new(1 << 20),
    )
    .unwrap();
    buffer
}

fn output(connection: &mut Connection) -> Vec<u8> {
    let mut pieces = Vec::new();
    let size = connection.take_output(&mut pieces);
    connection.wrote(size);
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(part) => bytes.extend_from_slice(&part),
            Piece::File { .. } => panic!("no files in this test"),
        }
    }
    assert_eq!(bytes.len(), size);
    bytes
}

fn correlation_ids(mut bytes: &[u8]) -> Vec<i32> {
    let mut ids = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(*bytes.first_chunk().unwrap()) as usize;
        ids.push(i32::from_be_bytes(*bytes[4..].first_chunk().unwrap()));
        bytes = &bytes[4 + size..];
    }
    ids
}

fn fetch_reply() -> Reply {
    Reply::Fetch(FetchReply {
        response: FetchResponse::default(),
        records: Vec::new(),
    })
}

#[test]
fn replies_leave_in_request_order() {
    let mut connection = connection();
    connection.receive(&frame(1, &FetchRequest::default(), 12));
    connection.receive(&frame(2, &MetadataRequest::default(), 9));
    connection.receive(&frame(3, &MetadataRequest::default(), 9));
    let mut sequences = Vec::new();
    while let Some(received) = connection.next_request().unwrap() {
        assert_eq!(received.head.client_id, Some(StrBytes::from("tests")));
        sequences.push(received.sequence);
    }
    assert_eq!(sequences, [0, 1, 2].map(RequestSequence));
    let metadata = || Reply::Metadata(MetadataResponse::default().into());
    connection.reply(sequences[2], metadata()).unwrap();
    assert!(!connection.has_output());
    assert!(connection.output_bytes() > 0);
    connection.reply(sequences[1], metadata()).unwrap();
    assert!(!connection.has_output());
    connection.reply(sequences[0], fetch_reply()).unwrap();
    assert_eq!(correlation_ids(&output(&mut connection)), [1, 2, 3]);
    assert_eq!(connection.requests_in_flight(), 0);
    assert_eq!(connection.output_bytes(), 0);
}

#[test]
fn requests_are_found_however_the_bytes_are_cut() {
    let mut bytes = Vec::new();
    for id in 0..20 {
        bytes.extend_from_slice(&frame(id, &MetadataRequest::default(), (id % 14) as i16));
    }
    for chunk in [1, 2, 3, 5, 7, 64, 10_000] {
        let mut connection = connection();
        let mut seen = Vec::new();
        for part in bytes.chunks(chunk) {
            connection.receive(part);
            while let Some(received) = connection.next_request().unwrap() {
                seen.push(received.head.correlation_id);
            }
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>(), "chunks of {chunk}");
        assert!(!connection.has_partial_frame());
    }
}

#[test]
fn a_large_frame_is_read_into_a_buffer_of_its_size() {
    let mut request = MetadataRequest::default();
    request.topics = Some(
        (0..1000)
            .map(|n| {
                let mut topic = kafka_wire::metadata_request::MetadataRequestTopic::default();
                topic.name = Some(StrBytes::from(format!("topic-with-a-long-name-{n}")));
                topic
            })
            .collect(),
    );
    let bytes = frame(1, &request, 9);
    let mut connection = connection();
    let mut rest = &bytes[..];
    let mut reads = 0;
    while !rest.is_empty() {
        let hint = connection.read_hint();
        let buffer = connection.buffer_mut();
        assert!(buffer.capacity() - buffer.len() >= hint);
        let (now, later) = rest.split_at(hint.min(rest.len()));
        buffer.extend_from_slice(now);
        rest = later;
        reads += 1;
        if !rest.is_empty() {
            assert_eq!(connection.next_request().unwrap(), None);
        }
    }
    assert_eq!(reads, 2, "one read for the length, one for the rest");
    assert!(connection.next_request().unwrap().is_some());
    connection.release_buffers();
    assert_eq!(connection.input.held_bytes(), 0);
}

#[test]
fn a_version_of_api_versions_that_is_none_is_answered_in_version_0() {
    for version in [99_i16, -1] {
        let mut connection = connection();
        // A header and a body that nobody knows yet.
        let [high, low] = version.to_be_bytes();
        let mut unknown = vec![0, 18, high, low, 0, 0, 0, 5];
        unknown.extend_from_slice(&[0xff; 9]);
        let mut bytes = u32::try_from(unknown.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&unknown);
        connection.receive(&bytes);
        connection.receive(&frame(6, &ApiVersionsRequest::default(), 0));
        let received = connection.next_request().unwrap().expect("the second");
        assert_eq!(received.head.correlation_id, 6);
        let out = output(&mut connection);
        assert_eq!(correlation_ids(&out), [5]);
        let body = Bytes::copy_from_slice(&out[8..]);
        let mut decoder = Decoder::new(body, DecodeLimits::default()).unwrap();
        let response = ApiVersionsResponse::decode(&mut decoder, ApiVersion::new(0)).unwrap();
        decoder.finish().unwrap();
        assert_eq!(response.error_code, 35);
        assert_eq!(response.api_keys.len(), 1);
        assert_eq!(response.api_keys[0].api_key, 18);
        assert_eq!(response.api_keys[0].max_version, 4);
    }
}

#[test]
fn bad_input_closes_and_says_why() {
    fn check(bytes: &[u8], expected: &ConnectionError) {
        let mut connection = connection();
        connection.receive(bytes);
        assert_eq!(connection.next_request().as_ref(), Err(expected));
        assert!(connection.is_closed());
        assert!(connection.is_done());
        assert_eq!(connection.next_request(), Ok(None));
    }
    check(
        &[0xff, 0xff, 0xff, 0xfe],
        &ConnectionError::NegativeSize { size: -2 },
    );
    check(
        &[0, 2, 0, 0, 0, 3, 0, 9],
        &ConnectionError::FrameTooLarge {
            size: 131_072,
            size_max: 65_536,
        },
    );
    check(&[0; 4], &ConnectionError::FrameTooSmall { size: 0 });
    check(
        b"GET / HTTP/1.1\r\n",
        &ConnectionError::NotKafka(Protocol::Http),
    );
    check(
        &[0x16, 3, 1, 2, 0, 1],
        &ConnectionError::NotKafka(Protocol::Tls),
    );
    check(
        &[0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0, 1],
        &ConnectionError::UnknownApi { api_key: 4 },
    );
    check(
        &[0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 1],
        &ConnectionError::UnsupportedVersion {
            api: "Produce",
            version: 2,
        },
    );
}

#[test]
fn buffers_grow_with_what_one_read_brings_and_not_with_time() {
    let one = frame(1, &MetadataRequest::default(), 9);
    let mut connection = connection();
    for _request in 0..1_000 {
        connection.receive(&one);
        let received = connection.next_request().unwrap().expect("whole");
        let reply = Reply::Metadata(MetadataResponse::default().into());
        connection.reply(received.sequence, reply).unwrap();
        output(&mut connection);
    }
    assert!(connection.input.held_bytes() <= limits::READ_BYTES_MIN);
    let many: Vec<u8> = one.repeat(4_000);
    let mut rest = &many[..];
    let mut largest = 0;
    while !rest.is_empty() {
        let hint = connection.read_hint();
        largest = largest.max(hint);
        let (now, later) = rest.split_at(hint.min(rest.len()));
        connection.buffer_mut().extend_from_slice(now);
        rest = later;
        while let Some(received) = connection.next_request().unwrap() {
            let reply = Reply::Metadata(MetadataResponse::default().into());
            connection.reply(received.sequence, reply).unwrap();
        }
        output(&mut connection);
    }
    // Less the part of a frame that was there before.
    assert!(largest > limits::READ_BYTES_MAX - one.len());
}

#[test]
fn a_huge_claim_reserves_only_as_its_bytes_arrive() {
    let mut connection = connection();
    connection.receive(&frame(1, &ApiVersionsRequest::default(), 0));
    assert!(connection.next_request().unwrap().is_some());
    let size = 50 * 1024 * 1024;
    connection.receive(&u32::try_from(size).unwrap().to_be_bytes());
    // A Produce of version 9.
    connection.receive(&[0, 0, 0, 9]);
    let mut got = 4;
    while got < size {
        assert_eq!(connection.next_request(), Ok(None));
        let hint = connection.read_hint();
        let buffer = connection.buffer_mut();
        assert!(buffer.capacity() - buffer.len() >= hint);
        let part = (hint / 3 + 1).min(size - got);
        buffer.extend_from_slice(&vec![0; part]);
        got += part;
        let allowed = (2 * (got + 4)).max(limits::FRAME_RESERVE_BYTES_MAX);
        assert!(connection.input.held_bytes() <= allowed);
    }
    let error = connection.next_request().expect_err("zeros");
    assert!(matches!(error, ConnectionError::Malformed { .. }));
    let mut connection = self::connection();
    connection.receive(&frame(1, &ApiVersionsRequest::default(), 0));
    assert!(connection.next_request().unwrap().is_some());
    connection.receive(&u32::try_from(size).unwrap().to_be_bytes());
    assert_eq!(connection.next_request(), Ok(None));
    connection.receive(&[0, 3, 0, 9]);
    let error = connection
        .next_request()
        .expect_err("no Metadata is that large");
    assert!(matches!(error, ConnectionError::FrameTooLarge { .. }));
}

/// kafka-python 2.0.2 does not greet a node before it produces.
#[test]
fn a_first_frame_may_be_large_when_it_is_a_produce() {
    let mut request = kafka_wire::ProduceRequest::default();
    let mut topic = kafka_wire::produce_request::TopicProduceData::default();
    let mut partition = kafka_wire::produce_request::PartitionProduceData::default();
    partition.records = Some(Bytes::from(vec![0; 900_000]));
    topic.partition_data.push(partition);
    request.transactional_id = None;
    request.topic_data.push(topic);
    let mut connection = connection();
    for part in frame(1, &request, 7).chunks(3) {
        assert_eq!(connection.next_request(), Ok(None));
        connection.receive(part);
    }
    let received = connection.next_request().unwrap().unwrap();
    assert_eq!(received.head.api_key, PRODUCE);
}

/// librdkafka 2.16 sends three bytes too many in a Metadata of all topics; Kafka ignores them.
#[test]
fn bytes_after_a_request_are_ignored() {
    let mut request = frame(1, &MetadataRequest::default(), 12);
    request.extend_from_slice(&[1, 0, 0]);
    let size = u32::try_from(request.len() - 4).unwrap();
    request[..4].copy_from_slice(&size.to_be_bytes());
    let mut connection = connection();
    connection.receive(&request);
    let received = connection.next_request().unwrap().unwrap();
    assert_eq!(
        received.request,
        Request::Metadata(MetadataRequest::default())
    );
}

#[test]
fn a_full_connection_stops_taking_requests_until_it_answers() {
    let mut connection = Connection::new(
        ConnectionId(1),
        ConnectionLimits {
            requests_in_flight_max: 2,
            ..ConnectionLimits::default()
        },
    );
    for id in 0..3 {
        connection.receive(&frame(id, &MetadataRequest::default(), 1));
    }
    let first = connection.next_request().unwrap().unwrap();
    assert!(connection.next_request().unwrap().is_some());
    assert!(connection.next_request().unwrap().is_none());
    assert!(!connection.wants_input());
    let reply = Reply::Metadata(MetadataResponse::default().into());
    connection.reply(first.sequence, reply).unwrap();
    assert!(connection.wants_input());
    assert!(connection.next_request().unwrap().is_some());
}

#[test]
fn nothing_leaves_after_close_and_finish_lets_the_decided_out() {
    let mut connection = connection();
    connection.receive(&frame(1, &MetadataRequest::default(), 1));
    connection.receive(&frame(2, &MetadataRequest::default(), 1));
    let first = connection.next_request().unwrap().unwrap();
    let second = connection.next_request().unwrap().unwrap();
    let reply = || Reply::Metadata(MetadataResponse::default().into());
    connection.reply(first.sequence, reply()).unwrap();
    connection.finish();
    assert!(!connection.is_done());
    let mut finished = connection.clone();
    assert_eq!(correlation_ids(&output(&mut finished)), [1]);
    assert!(finished.is_done());
    connection.close();
    assert!(!connection.has_output());
    assert_eq!(connection.take_output(&mut Vec::new()), 0);
    connection.reply(second.sequence, reply()).unwrap();
    assert_eq!(connection.take_output(&mut Vec::new()), 0);
}

#[test]
fn any_cutting_and_any_order_of_answers_gives_the_same_output() {
    let mut rng = Rng::new(5);
    for _round in 0..300 {
        let count = i32::try_from(rng.between(1, 30)).unwrap();
        let mut bytes = Vec::new();
        for id in 0..count {
            bytes.extend_from_slice(&frame(id, &MetadataRequest::default(), 9));
        }
        let mut connection = connection();
        let mut open = Vec::new();
        let mut out = Vec::new();
        let mut rest = &bytes[..];
        while !rest.is_empty() || !open.is_empty() {
            let part = usize::try_from(rng.below(120)).unwrap().min(rest.len());
            connection.receive(&rest[..part]);
            rest = &rest[part..];
            while let Some(received) = connection.next_request().unwrap() {
                open.push(received.sequence);
            }
            if !open.is_empty() && rng.chance(2, 3) {
                let at = usize::try_from(rng.below(open.len() as u64)).unwrap();
                let reply = Reply::Metadata(MetadataResponse::default().into());
                connection.reply(open.swap_remove(at), reply).unwrap();
            }
            if rng.chance(1, 4) {
                out.extend(output(&mut connection));
            }
        }
        out.extend(output(&mut connection));
        assert_eq!(correlation_ids(&out), (0..count).collect::<Vec<_>>());
        connection.release_buffers();
        assert_eq!(connection.held_bytes(), 0);
    }
}

#[test]
fn noise_closes_or_waits_and_never_panics() {
    let mut rng = Rng::new(6);
    let good = frame(1, &FetchRequest::default(), 12);
    for _round in 0..20_000 {
        let mut bytes = if rng.chance(1, 2) {
            let mut noise = vec![0; usize::try_from(rng.below(80)).unwrap()];
            rng.fill(&mut noise);
            noise
        } else {
            good.to_vec()
        };
        for _byte in 0..rng.below(6) {
            if let Ok(at) = usize::try_from(rng.below(bytes.len().max(1) as u64))
                && at < bytes.len()
            {
                bytes[at] = u8::try_from(rng.below(256)).unwrap();
            }
        }
        let mut connection = connection();
        connection.receive(&bytes);
        let mut taken = 0;
        while let Ok(Some(_received)) = connection.next_request() {
            taken += 1;
        }
        assert!(taken <= 1 + bytes.len() / 12);
        assert!(connection.held_bytes() <= 4 * limits::FRAME_RESERVE_BYTES_MAX as u64);
    }
}
