//! Hostile bytes: no decoder panics, none is content with less than a whole message, and none
//! allocates beyond a small multiple of the frame.
//!
//! Messages are found, not written down: beginning with nothing, bytes are added as the decoder
//! asks for them, until it is content. From each such message grow longer ones, with elements in
//! its arrays, and attacks, with counts far beyond. So every API and version served or spoken is
//! covered, also those to come. Allocation is counted by the allocator of this process; the tests
//! take turns.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use kafka_wire_core::{ApiVersion, DecodeError, StrBytes};
use ottla_core::client::connection::{ClientConnection, ClientError, ConnectionOptions};
use ottla_core::client::message::{ClientRequest, versions_spoken};
use ottla_core::config::listeners::{Listener, SecurityProtocol};
use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::connection::{Connection, ConnectionError, ConnectionLimits};
use ottla_core::ids::{ConnectionId, ListenerId};
use ottla_core::node::door::{Input, Outbox};
use ottla_core::node::{BootOptions, Node};
use ottla_core::rng::Rng;
use ottla_core::sim::disk::{DiskOptions, SimulatedDisk};
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::api_table::SERVED;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_core::wire::request::{Piece, Reply};

/// The system's allocator, counted.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static OBJECTS: AtomicUsize = AtomicUsize::new(0);

fn count(size: usize) {
    let live = LIVE.fetch_add(size, Ordering::Relaxed) + size;
    PEAK.fetch_max(live, Ordering::Relaxed);
    OBJECTS.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it came; counting touches no memory
// of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the counters are the whole process's.
static TURN: Mutex<()> = Mutex::new(());

/// What a decoder says of a body, and what it cost.
struct Verdict {
    error: Option<DecodeError>,
    peak_bytes: usize,
    objects: usize,
}

fn measured<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let live = LIVE.load(Ordering::Relaxed);
    PEAK.store(live, Ordering::Relaxed);
    let objects = OBJECTS.load(Ordering::Relaxed);
    let result = work();
    let peak = PEAK.load(Ordering::Relaxed) - live;
    (result, peak, OBJECTS.load(Ordering::Relaxed) - objects)
}

fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("small");
    [&length.to_be_bytes(), content].concat()
}

/// Shows a body to the broker's side of a connection.
fn ask_broker(api_key: i16, version: i16, header: &[u8], body: &[u8]) -> Verdict {
    let mut connection = Connection::new(ConnectionId(1), ConnectionLimits::default());
    // A first valid request, so that the full limits apply.
    connection.receive(&framed(&[0, 18, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(connection.next_request().expect("valid").is_some());
    let start = [
        &api_key.to_be_bytes()[..],
        &version.to_be_bytes(),
        &[0, 0, 0, 1],
        header,
        body,
    ]
    .concat();
    let frame = framed(&start);
    let (result, peak_bytes, objects) = measured(|| {
        connection.receive(&frame);
        connection.next_request()
    });
    let error = match result {
        Ok(received) => {
            assert!(received.is_some(), "the frame is whole");
            None
        }
        Err(ConnectionError::Malformed { error, .. }) => Some(error),
        Err(other) => panic!("API {api_key} version {version}: {other}"),
    };
    Verdict {
        error,
        peak_bytes,
        objects,
    }
}

/// Shows the body of a response to the client's side of a connection.
fn ask_client(api_key: i16, version: i16, header: &[u8], body: &[u8]) -> Verdict {
    let mut connection = ClientConnection::new(ConnectionOptions::default());
    connection.start();
    // ApiVersions as of version 4, naming just this API and version, then nothing more to say.
    let mut versions = vec![0, 0, 0, 0, 0, 0, 2];
    for number in [api_key, version, version] {
        versions.extend_from_slice(&number.to_be_bytes());
    }
    versions.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    connection.receive(&framed(&versions));
    assert_eq!(connection.next_response(), Ok(None));
    let request = ClientRequest::empty(api_key).expect("spoken");
    let id = connection.send(&request).expect("an empty request");
    let content = [&id.to_be_bytes()[..], header, body].concat();
    let frame = framed(&content);
    let (result, peak_bytes, objects) = measured(|| {
        connection.receive(&frame);
        connection.next_response()
    });
    let error = match result {
        Ok(answered) => {
            assert!(answered.is_some(), "the frame is whole");
            None
        }
        Err(ClientError::Malformed { error, .. }) => Some(error),
        Err(other) => panic!("API {api_key} version {version}: {other}"),
    };
    Verdict {
        error,
        peak_bytes,
        objects,
    }
}

type Ask<'a> = &'a dyn Fn(&[u8]) -> Verdict;

/// Adds bytes to `body` as the decoder asks for them, until it is content.
fn grow(mut body: Vec<u8>, ask: Ask<'_>) -> Option<Vec<u8>> {
    for _step in 0..150 {
        match ask(&body).error {
            None => return Some(body),
            Some(DecodeError::UnexpectedEnd {
                needed, remaining, ..
            }) if needed < 64 => {
                body.resize(body.len() + needed - remaining, 0);
            }
            // An empty one instead of null.
            Some(DecodeError::NullNotAllowed { offset, .. }) if offset < body.len() => {
                if body[offset] == 1 {
                    return None;
                }
                body[offset] = 1;
                body.truncate(offset + 1);
            }
            Some(_other) => return None,
        }
    }
    None
}

/// Levels of arrays within arrays to look into.
const LEVELS: usize = 3;

/// The message with nothing in it, and fuller ones: two elements where it has room for them, level
/// by level.
fn messages(ask: Ask<'_>) -> Vec<Vec<u8>> {
    let mut fullest = grow(Vec::new(), ask).expect("every message has an empty form");
    let mut all = vec![fullest.clone()];
    for _level in 0..LEVELS {
        for at in 0..fullest.len() {
            for count in [&[0, 0, 0, 2][..], &[3], &[0, 2]] {
                let mut start = fullest[..at].to_vec();
                start.extend_from_slice(count);
                if let Some(longer) = grow(start, ask)
                    && longer.len() > fullest.len()
                {
                    all.push(longer);
                }
            }
        }
        let longest = all.iter().max_by_key(|message| message.len());
        fullest.clone_from(longest.expect("at least one"));
    }
    all.sort();
    all.dedup();
    all
}

/// A cut message is an error up to where its last field ends; what follows that does not matter to
/// a broker.
fn check_cuts(message: &[u8], ask: Ask<'_>, what: &str) {
    let mut is_content = false;
    for cut in 0..=message.len() {
        let is_whole = ask(&message[..cut]).error.is_none();
        assert!(
            is_whole || !is_content,
            "{what}: content with less than {cut} bytes"
        );
        is_content = is_whole;
    }
    assert!(is_content, "{what}: never content");
}

const ATTACK_BYTES: usize = 6 * 1024;

fn check_attacks(message: &[u8], ask: Ask<'_>, what: &str) {
    let counts: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0x1f, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0x3e],
    ];
    let fillings: [&[u8]; 3] = [&[0], &[1], &[1, 0, 0, 0]];
    for at in 0..message.len() {
        for count in counts {
            for filling in fillings {
                let mut body = message[..at].to_vec();
                body.extend_from_slice(count);
                let rest = filling.iter().copied().cycle();
                body.extend(rest.take(ATTACK_BYTES));
                let verdict = ask(&body);
                let frame = body.len() + 32;
                let allowed = 80 * frame + 64 * 1024;
                assert!(
                    verdict.peak_bytes <= allowed,
                    "{what}: {} bytes for a frame of {frame} ({count:?} at {at}, {filling:?})",
                    verdict.peak_bytes,
                );
                assert!(
                    verdict.objects <= frame / 2 + 256,
                    "{what}: {} objects for a frame of {frame} ({count:?} at {at}, {filling:?})",
                    verdict.objects,
                );
            }
        }
    }
}

fn check(ask: Ask<'_>, what: &str) {
    let mut messages = messages(ask);
    messages.sort_by_key(|message| std::cmp::Reverse(message.len()));
    check_attacks(&messages[0], ask, what);
    // The fullest ones; what they lack in variety the others lack in content.
    for message in messages.iter().take(4) {
        check_cuts(message, ask, what);
    }
}

#[test]
fn requests() {
    let _turn = TURN.lock();
    for api in SERVED {
        for version in api.version_min..=api.version_last {
            let header: &[u8] = if api.request_header_version(version) >= 2 {
                &[0, 0, 0]
            } else {
                &[0, 0]
            };
            let ask = |body: &[u8]| ask_broker(api.key, version, header, body);
            check(&ask, &format!("{} request {version}", api.name));
        }
    }
}

#[test]
fn responses() {
    let _turn = TURN.lock();
    for api_key in 0..200 {
        let Some((first, last)) = versions_spoken(api_key) else {
            continue;
        };
        for version in first..=last {
            let request = ClientRequest::empty(api_key).expect("spoken");
            if api_key == 18 || !request.expects_response() {
                continue;
            }
            let is_flexible = is_flexible(api_key, version);
            let header: &[u8] = if is_flexible { &[0] } else { &[] };
            let ask = |body: &[u8]| ask_client(api_key, version, header, body);
            check(&ask, &format!("{} response {version}", request.api_name()));
        }
    }
}

fn is_flexible(api_key: i16, version: i16) -> bool {
    let api = kafka_wire::API_DESCRIPTORS
        .iter()
        .find(|api| api.api_key.value() == api_key)
        .expect("the codec knows it");
    let version = ApiVersion::new(version);
    api.flexible_versions
        .is_some_and(|range| range.contains(version))
}

/// One record of 1 KiB in a Produce of version 9, whole.
fn produce_frame() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(Timestamp(1), None, Some(&[7; 1024]));
    let mut partition = kafka_wire::produce_request::PartitionProduceData::default();
    partition.records = Some(builder.build());
    let mut topic = kafka_wire::produce_request::TopicProduceData::default();
    topic.name = StrBytes::from("topic");
    topic.partition_data = vec![partition];
    let mut request = kafka_wire::ProduceRequest::default();
    request.acks = -1;
    request.topic_data = vec![topic];
    encoded(&request, 9)
}

fn encoded<R>(request: &R, version: i16) -> Vec<u8>
where
    R: kafka_wire::KafkaRequest + kafka_wire_core::KafkaEncode,
{
    let mut frame = bytes::BytesMut::new();
    let limits = kafka_wire::OutboundFrameLimits::new(1 << 20);
    let client = Some(StrBytes::from("client"));
    let version = ApiVersion::new(version);
    kafka_wire::encode_request(&mut frame, 1, client, request, version, limits).expect("encodes");
    frame.to_vec()
}

#[test]
fn a_produce_request_costs_its_connection_no_allocation() {
    let _turn = TURN.lock();
    let frame = produce_frame();
    let mut connection = Connection::new(ConnectionId(1), ConnectionLimits::default());
    let mut pieces = Vec::with_capacity(4);
    let mut counts = Vec::new();
    for _request in 0..200 {
        let reply = Reply::Produce(kafka_wire::ProduceResponse::default());
        let (received, _peak, objects) = measured(|| {
            connection.receive(&frame);
            let received = connection.next_request().expect("valid").expect("whole");
            connection.reply(received.sequence, reply).expect("encodes");
            let size = connection.take_output(&mut pieces);
            connection.wrote(size);
            received
        });
        pieces.clear();
        drop(received);
        counts.push(objects);
    }
    // A read buffer and its count now and then, shared by three requests of this size.
    let steady = &counts[100..];
    let mean_tenths = steady.iter().sum::<usize>() * 10 / steady.len();
    assert!(mean_tenths <= 7, "{mean_tenths} tenths: {steady:?}");
}

/// A node over a simulated disk, and one client.
struct Bench {
    node: Node,
    disk: SimulatedDisk,
    now: Now,
    out: Outbox,
    inputs: Vec<Input>,
    connection: Connection,
    pieces: Vec<Piece>,
}

impl Bench {
    fn boot() -> Self {
        let settings = Settings::load("log.flush.policy=os", &[]).expect("they are valid");
        let config = BrokerConfig::of(&settings).expect("defaults are valid");
        let disk = SimulatedDisk::new(1, DiskOptions::default(), Rng::new(3));
        let options = BootOptions {
            settings,
            config,
            listeners: vec![Listener {
                name: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 9092,
                protocol: SecurityProtocol::Plaintext,
            }],
            directories: disk.directories().map(|at| disk.listing(at)).collect(),
            seed: 7,
        };
        let now = Now {
            instant: Instant(0),
            wall: Timestamp(1_700_000_000_000),
        };
        let mut out = Outbox::default();
        let node = Node::boot(now, options, &mut out).expect("an empty directory");
        let id = ConnectionId(1);
        let mut bench = Self {
            node,
            disk,
            now,
            out,
            inputs: vec![Input::Connected {
                connection: id,
                listener: ListenerId(0),
                peer_host: "127.0.0.1".into(),
            }],
            connection: Connection::new(id, ConnectionLimits::default()),
            pieces: Vec::with_capacity(16),
        };
        bench.run();
        bench
    }

    /// Turns until nothing is left to do; answers what it allocated, the disk's part left out.
    fn run(&mut self) -> usize {
        let mut objects = 0;
        loop {
            let (_, _, cost) = measured(|| {
                self.node.turn(self.now, &mut self.inputs, &mut self.out);
                for effect in self.out.replies.drain(..) {
                    self.connection
                        .reply(effect.sequence, effect.reply)
                        .expect("encodes");
                }
                let size = self.connection.take_output(&mut self.pieces);
                self.connection.wrote(size);
                self.pieces.clear();
            });
            objects += cost;
            for op in self.out.disk.drain(..) {
                self.disk.submit(op, self.now.instant.0);
            }
            let Some(at_ns) = self.disk.next_at_ns() else {
                return objects;
            };
            self.now.instant = self.now.instant.max(Instant(at_ns));
            let mut done = Vec::new();
            self.disk.advance(self.now.instant.0, &mut done);
            self.inputs.extend(done.into_iter().map(Input::Disk));
        }
    }

    /// Sends a request and lets the node answer it; what both sides allocated for it.
    fn request(&mut self, frame: &[u8]) -> usize {
        let (_, _, cost) = measured(|| {
            self.connection.receive(frame);
            let received = self.connection.next_request();
            let received = received.expect("valid").expect("whole");
            self.inputs.push(Input::Request {
                connection: self.connection.id(),
                sequence: received.sequence,
                head: received.head,
                request: received.request,
            });
        });
        cost + self.run()
    }
}

#[test]
fn a_produce_request_costs_the_broker_few_allocations() {
    let _turn = TURN.lock();
    let mut bench = Bench::boot();
    let mut topic = kafka_wire::create_topics_request::CreatableTopic::default();
    topic.name = StrBytes::from("topic");
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    let mut create = kafka_wire::CreateTopicsRequest::default();
    create.topics = vec![topic];
    create.timeout_ms = 1_000;
    bench.request(&encoded(&create, 7));
    assert_eq!(bench.connection.requests_in_flight(), 0, "it was answered");
    let frame = produce_frame();
    let counts: Vec<usize> = (0..600).map(|_| bench.request(&frame)).collect();
    assert_eq!(
        bench.connection.requests_in_flight(),
        0,
        "all were answered"
    );
    let steady = &counts[300..];
    let mean_tenths = steady.iter().sum::<usize>() * 10 / steady.len();
    assert!(mean_tenths <= 40, "{mean_tenths} tenths: {steady:?}");
}
