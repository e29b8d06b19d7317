//! What real clients and a real Apache Kafka said to each other, read and written by our own code.
//!
//! `golden/wire/CLIENT/API-vVERSION.txt` was recorded by `golden/capture.py` between the client's
//! checks and Apache Kafka 4.3.1. Whether our *answers* are Kafka's is not judged here.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kafka_wire::{RequestHeader, RequestResponsePair, ResponseHeader};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, KafkaEncode};
use ottla_core::connection::{Connection, ConnectionLimits};
use ottla_core::ids::ConnectionId;
use ottla_core::wire::api_table::ServedApi;
use ottla_core::wire::request::Request;

/// APIs that clients ask for and we do not serve yet, with the reason.
const NOT_SERVED: &[(i16, &str)] = &[];

/// One request and its answer, both without the length in front.
struct Exchange {
    file: PathBuf,
    request: Bytes,
    answer: Option<Bytes>,
}

impl Exchange {
    fn api_key(&self) -> i16 {
        i16::from_be_bytes([self.request[0], self.request[1]])
    }

    fn version(&self) -> i16 {
        i16::from_be_bytes([self.request[2], self.request[3]])
    }
}

fn exchanges() -> Vec<Exchange> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/wire");
    let mut all = Vec::new();
    for client in sorted(&folder) {
        for file in sorted(&client) {
            let text = fs::read_to_string(&file).expect("a golden file is text");
            for line in text.lines() {
                let (mark, hex) = line.split_once(' ').expect("a mark and bytes");
                let bytes = from_hex(hex);
                if mark == ">" {
                    all.push(Exchange {
                        file: file.clone(),
                        request: bytes,
                        answer: None,
                    });
                } else {
                    all.last_mut().expect("a request is first").answer = Some(bytes);
                }
            }
        }
    }
    assert!(all.len() > 100, "the golden files were not found");
    all
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("golden folders can be listed");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn from_hex(text: &str) -> Bytes {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("hex digits are ASCII");
        u8::from_str_radix(pair, 16).expect("two hex digits")
    };
    pairs.map(byte).collect()
}

#[test]
fn every_request_is_understood() {
    for exchange in exchanges() {
        let at = exchange.file.display();
        let (key, version) = (exchange.api_key(), exchange.version());
        if NOT_SERVED.iter().any(|(not_served, _)| *not_served == key) {
            assert!(
                ServedApi::find(key).is_none(),
                "{at}: served, so no longer to be listed"
            );
            continue;
        }
        let mut connection = Connection::new(ConnectionId(1), ConnectionLimits::default());
        let length = u32::try_from(exchange.request.len()).expect("frames are short");
        connection.receive(&length.to_be_bytes());
        connection.receive(&exchange.request);
        let received = connection
            .next_request()
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        let received = received.unwrap_or_else(|| panic!("{at}: no request"));
        assert_eq!(
            (received.head.api_key, received.head.version),
            (key, version),
            "{at}"
        );
        let name = exchange
            .file
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        assert_eq!(
            name,
            format!("{}-v{version}.txt", received.request.api_name())
        );
        if let Request::Produce(produce) = received.request {
            for partition in produce.topics.iter().flat_map(|topic| &topic.partitions) {
                assert!(partition.batch.is_ok(), "{at}: {:?}", partition.batch);
            }
        }
    }
}

#[test]
fn every_message_is_written_as_it_was_read() {
    for exchange in exchanges() {
        round_trip(&exchange);
    }
}

macro_rules! round_trips {
    ($($key:literal $request:ident),* $(,)?) => {
        fn round_trip(exchange: &Exchange) {
            match exchange.api_key() {
                $($key => both_ways::<kafka_wire::$request>(exchange),)*
                key => panic!("{}: no round trip for API {key}", exchange.file.display()),
            }
        }
    };
}

round_trips! {
    0 ProduceRequest,
    1 FetchRequest,
    2 ListOffsetsRequest,
    3 MetadataRequest,
    8 OffsetCommitRequest,
    9 OffsetFetchRequest,
    10 FindCoordinatorRequest,
    11 JoinGroupRequest,
    12 HeartbeatRequest,
    13 LeaveGroupRequest,
    14 SyncGroupRequest,
    18 ApiVersionsRequest,
    19 CreateTopicsRequest,
    20 DeleteTopicsRequest,
    21 DeleteRecordsRequest,
    22 InitProducerIdRequest,
    32 DescribeConfigsRequest,
    37 CreatePartitionsRequest,
    55 DescribeQuorumRequest,
    60 DescribeClusterRequest,
    61 DescribeProducersRequest,
    75 DescribeTopicPartitionsRequest,
}

fn both_ways<M: RequestResponsePair>(exchange: &Exchange) {
    let at = exchange.file.display();
    let version = ApiVersion::new(exchange.version());
    let header_version = ApiVersion::new(if M::is_flexible(version) { 2 } else { 1 });
    let (written, after) = rewrite::<RequestHeader, M>(&exchange.request, header_version, version);
    assert!(exchange.request.starts_with(&written), "{at}: request");
    // librdkafka 2.16 lets three bytes follow a Metadata of all topics; Kafka ignores them.
    assert!(
        after == 0
            || at
                .to_string()
                .ends_with("confluent-kafka-2.16.1/Metadata-v13.txt")
    );
    let Some(answer) = &exchange.answer else {
        assert_eq!(M::NAME, "ProduceRequest", "{at}: only acks=0 has no answer");
        return;
    };
    let header_version =
        kafka_wire::response_header_version_for::<M>(version).expect("a version that was read");
    let header_version = ApiVersion::new(header_version);
    let (written, _) = rewrite::<ResponseHeader, M::Response>(answer, header_version, version);
    assert_eq!(&written, answer, "{at}: answer");
}

/// Reads a header and a body and writes both again; also says how many bytes follow them.
fn rewrite<H, M>(frame: &Bytes, header_version: ApiVersion, version: ApiVersion) -> (Vec<u8>, usize)
where
    H: KafkaDecode + KafkaEncode,
    M: KafkaDecode + KafkaEncode,
{
    let mut decoder = Decoder::new(frame.clone(), DecodeLimits::default()).expect("a short frame");
    let header = H::decode(&mut decoder, header_version).expect("a header");
    let body = M::decode(&mut decoder, version).expect("a body");
    let after = decoder.remaining();
    let mut written = bytes::BytesMut::new();
    header
        .encode_into(&mut written, header_version)
        .expect("a header that was read");
    body.encode_into(&mut written, version)
        .expect("a body that was read");
    (written.to_vec(), after)
}
