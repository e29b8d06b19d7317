//! What the judge of quotas complains of, and what not.

use bytes::Bytes;
use kafka_wire::{FetchResponse, ProduceResponse};

use super::limits::tests::change;
use super::*;
use crate::storage::Slice;
use crate::wire::request::FetchReply;

const CONNECTION: ConnectionId = ConnectionId(1);
const SLACK: Duration = Duration::from_millis(20);

/// One client of 1,000 bytes a second, for which a broker looks back over 2 to 4 seconds.
struct Bench {
    checker: QuotaChecker,
    sequence: u64,
    now: Instant,
}

impl Bench {
    fn new(key: &'static str, rate: f64) -> Self {
        let mut checker = QuotaChecker::new(3, 1_000);
        let request = change(&[("client-id", None)], key, Some(rate));
        let asked = (ConnectionId(9), RequestSequence(0));
        checker.limits.on_asked(asked, &request);
        checker.limits.on_answered(asked, true);
        checker.limits.end_turn();
        Self {
            checker,
            sequence: 0,
            now: Instant(5_000_000_000),
        }
    }

    fn at(&mut self, ms: u64) {
        self.now = Instant((5_000 + ms) * 1_000_000);
    }

    /// A request of so many bytes, and its answer.
    fn answer(&mut self, api_key: i16, frame_bytes: u32, reply: Reply) {
        let sequence = RequestSequence(self.sequence);
        self.sequence += 1;
        let head = RequestHead {
            api_key,
            version: 0,
            correlation_id: 0,
            client_id: Some("c".into()),
            frame_bytes,
            work_ns: 10_000,
        };
        let request = Request::ApiVersions(kafka_wire::ApiVersionsRequest::default());
        let key = (CONNECTION, sequence);
        self.checker.on_request(key, &head, &request);
        let effect = ReplyEffect {
            connection: CONNECTION,
            sequence,
            reply,
        };
        self.checker.on_reply(&effect, self.now);
    }

    fn produce(&mut self, frame_bytes: u32, told_ms: i32) {
        let mut reply = ProduceResponse::default();
        reply.throttle_time_ms = told_ms;
        self.answer(PRODUCE, frame_bytes, Reply::Produce(reply));
    }

    fn fetch(&mut self, bytes: usize, told_ms: i32) {
        let mut response = FetchResponse::default();
        response.throttle_time_ms = told_ms;
        let mut reply = FetchReply {
            response,
            ..FetchReply::default()
        };
        let batch = Slice::Memory(crate::storage::StampedBatch {
            stamp: [0; 16],
            body: Bytes::from(vec![0; bytes.saturating_sub(16)]),
        });
        reply.records = vec![vec![if bytes > 0 { vec![batch] } else { Vec::new() }]];
        self.answer(FETCH, 100, Reply::Fetch(reply));
    }

    fn mute(&mut self, is_muted: bool) {
        self.checker.on_muted(CONNECTION, is_muted, self.now);
    }

    fn found(&mut self) -> usize {
        self.checker.end_turn(self.now, SLACK);
        self.checker.take_violations().len()
    }
}

#[test]
fn who_writes_too_much_waits_as_long_as_that_takes() {
    for (told_ms, found) in [(0, 1), (7_999, 1), (8_000, 0), (8_001, 1), (-1, 1)] {
        let mut bench = Bench::new("producer_byte_rate", 1_000.0);
        bench.produce(10_000, told_ms);
        if (0..9_000).contains(&told_ms) && found == 0 {
            bench.mute(true);
        }
        assert_eq!(bench.found(), found, "{told_ms}");
    }
    let mut bench = Bench::new("producer_byte_rate", 1_000.0);
    bench.produce(2_000, 1);
    assert_eq!(bench.found(), 1, "so much is within the rate");
}

#[test]
fn a_connection_is_not_read_as_long_as_was_said() {
    let muted = |until_ms, says_it: bool| {
        let mut bench = Bench::new("producer_byte_rate", 1_000.0);
        bench.produce(9_000, 7_000);
        if says_it {
            bench.mute(true);
        }
        assert_eq!(bench.found(), usize::from(!says_it));
        bench.at(until_ms);
        bench
    };
    muted(0, false);
    let mut early = muted(6_999, true);
    early.mute(false);
    assert_eq!(early.found(), 1);
    let mut late = muted(7_021, true);
    assert_eq!(late.found(), 1);
    let mut read = muted(100, true);
    read.produce(100, 7_000);
    assert_eq!(read.found(), 2, "and nobody muted it again");
    let mut right = muted(7_000, true);
    right.mute(false);
    assert_eq!(right.found(), 0);
    right.mute(true);
    assert_eq!(right.found(), 1, "without a word");
}

#[test]
fn a_reader_gets_nothing_beyond_its_rate() {
    let mut bench = Bench::new("consumer_byte_rate", 1_000.0);
    bench.fetch(10_000, 7_000);
    bench.mute(true);
    assert_eq!(bench.found(), 0, "the first gets all, and waits for it");
    bench.checker.muted.clear();
    bench.at(100);
    bench.fetch(0, 7_000);
    bench.mute(true);
    assert_eq!(bench.found(), 0);
    bench.checker.muted.clear();
    bench.at(200);
    bench.fetch(1_000, 8_000);
    bench.mute(true);
    assert_eq!(bench.found(), 1);
}

#[test]
fn who_takes_too_much_time_waits_a_sample_at_most() {
    // A thousandth of a percent is 10 us a second: one request.
    let waits = |told_ms| {
        let mut bench = Bench::new("request_percentage", 0.001);
        for _request in 0..9 {
            bench.answer(3, 10, Reply::Nothing);
        }
        assert_eq!(bench.found(), 0, "without an answer nothing is counted");
        for _request in 0..9 {
            bench.produce(10, told_ms);
            bench.mute(true);
            bench.checker.muted.clear();
        }
        bench.found()
    };
    assert!(waits(0) > 0, "nine take nine seconds, and four have passed");
    assert!(waits(1_001) > 0);
}

#[test]
fn the_time_of_a_turn_is_shared_by_those_who_came_in_it() {
    // Of 10 us a second, a turn took 18 and the request has 10; 2 s count as passed.
    let told = |told_ms| {
        let mut bench = Bench::new("request_percentage", 0.001);
        for _request in 0..2 {
            bench.answer(3, 10, Reply::Nothing);
        }
        bench.checker.on_turn(bench.now, None);
        bench.checker.on_turn(bench.now, Some(18_000));
        bench.checker.on_turn(bench.now, Some(1_000_000));
        bench.produce(10, told_ms);
        bench.mute(true);
        bench.found()
    };
    assert_eq!(told(800), 0, "28 us take 2.8 s");
    assert!(told(799) > 0);
    assert!(told(801) > 0);
}
