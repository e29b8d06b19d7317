//! Clients that always want more than they may, on a clock of their own (R94).

use std::sync::Arc;

use super::throttle::{QuotaSettings, Release, Throttle, Throttled};
use super::window::Windows;
use crate::ids::{ConnectionId, RequestSequence};
use crate::metadata::codec::Double;
use crate::metadata::records::{ClientQuotaRecord, QuotaEntityData};
use crate::metadata::{Delta, Image};
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::waiting::ReplyTo;
use crate::wire::request::RequestHead;
use kafka_wire_core::StrBytes;

const WINDOWS: Windows = Windows {
    count: 11,
    length_ms: 1_000,
};

const SETTINGS: QuotaSettings = QuotaSettings {
    clients: WINDOWS,
    mutations: WINDOWS,
};

fn image(limits: &[(&str, Option<&str>, &str, f64)]) -> Image {
    let mut image = Image::default();
    for (kind, name, key, limit) in limits {
        let record = ClientQuotaRecord {
            entity: vec![QuotaEntityData {
                entity_type: Arc::from(*kind),
                entity_name: name.map(Arc::from),
            }],
            key: Arc::from(*key),
            value: Double(limit.to_bits()),
            remove: false,
        };
        let applied = image.apply(&record.into(), &mut Delta::default());
        applied.expect("a quota contradicts nothing");
    }
    image
}

fn at(ms: u64) -> Now {
    Now {
        instant: Instant(ms * 1_000_000),
        ..Now::default()
    }
}

fn reply_to(connection: u64, sequence: u64) -> ReplyTo {
    ReplyTo {
        connection: ConnectionId(connection),
        sequence: RequestSequence(sequence),
    }
}

/// What was let in: when, in milliseconds, and how much.
type Admitted = Vec<(u64, u64)>;

/// `connections` connections of one client that send a request of up to `bytes_max` bytes whenever
/// they are read, for `duration_ms`; `fetch` for reading in place of producing.
fn greedy(seed: u64, connections: u64, bytes_max: u64, duration_ms: u64, fetch: bool) -> Admitted {
    let key = if fetch {
        "consumer_byte_rate"
    } else {
        "producer_byte_rate"
    };
    let image = image(&[("client-id", Some("greedy"), key, 10_000.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let mut rng = Rng::new(seed);
    let mut is_muted = vec![false; usize::try_from(connections).expect("few")];
    let mut admitted = Vec::new();
    let mut now_ms = rng.below(100_000);
    let end_ms = now_ms + duration_ms;
    let mut sequence = 0;
    while now_ms < end_ms {
        while let Some((connection, release)) = throttle.take_due(at(now_ms).instant) {
            assert_eq!(release, Release::Unmute);
            is_muted[usize::try_from(connection.0).expect("few")] = false;
        }
        for connection in 0..connections {
            let muted = &mut is_muted[usize::try_from(connection).expect("few")];
            if *muted || rng.below(4) == 0 {
                continue;
            }
            sequence += 1;
            let (to, bytes) = (reply_to(connection, sequence), 1 + rng.below(bytes_max));
            let frame_bytes = if fetch { 0 } else { bytes };
            let frame_bytes = u32::try_from(frame_bytes).expect("small");
            throttle.on_request(to, &head(i16::from(fetch), Some("greedy"), frame_bytes));
            let is_held = fetch && throttle.on_fetched(at(now_ms), to, bytes) > 0;
            if !is_held {
                admitted.push((now_ms, bytes));
            }
            *muted = throttle.on_answered(at(now_ms), to, true) > 0;
            assert!(!is_held || *muted, "who gets nothing waits");
        }
        assert!(throttle.is_idle());
        now_ms += 1 + rng.below(30);
    }
    admitted
}

/// Bytes over any time are no more than the quota allows and a burst.
fn check_any_window(admitted: &Admitted, rate: u64, burst: u64) {
    let mut worst = 0;
    for (index, (from_ms, _)) in admitted.iter().enumerate() {
        let mut sum = 0;
        for (to_ms, bytes) in &admitted[index..] {
            sum += bytes;
            let allowed = (to_ms - from_ms) * rate / 1_000 + burst;
            assert!(sum <= allowed, "{sum} bytes in {from_ms}..{to_ms} ms");
            worst = worst.max(sum * 1_000 / allowed);
        }
    }
    assert!(worst > 500, "the client tried to have its part");
}

#[test]
fn bytes_over_any_time_are_within_the_quota_and_a_burst() {
    for seed in 0..20 {
        for fetch in [false, true] {
            for connections in [1, 3] {
                let bytes_max = 5_000;
                let admitted = greedy(seed, connections, bytes_max, 60_000, fetch);
                let burst = WINDOWS.least_ms() * 10 + WINDOWS.length_ms * 10;
                check_any_window(&admitted, 10_000, burst + connections * bytes_max);
                let total: u64 = admitted.iter().map(|(_, bytes)| bytes).sum();
                assert!(total > 60 * 10_000 / 2, "{total} bytes: starved");
            }
        }
    }
}

#[test]
fn one_that_is_larger_than_a_window_gets_through_alone() {
    let image = image(&[("client-id", None, "consumer_byte_rate", 10.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let to = reply_to(1, 1);
    throttle.on_request(to, &head(1, Some("c"), 50));
    assert_eq!(throttle.fetch_bytes_max(to), 100);
    assert_eq!(throttle.on_fetched(at(0), to, 5_000), 0);
    assert_eq!(throttle.on_answered(at(0), to, true), 490_000);
    let told: Vec<(i16, Throttled)> = throttle.throttled().collect();
    let expected = Throttled {
        answers: 1,
        wait_ms: 490_000,
    };
    assert_eq!(
        told.iter().map(|(_, seen)| *seen).collect::<Vec<_>>(),
        [expected]
    );
    assert_eq!(throttle.muted(), 1);
}

/// A request of so many bytes that took the driver ten microseconds.
fn head(api_key: i16, client_id: Option<&str>, frame_bytes: u32) -> RequestHead {
    RequestHead {
        api_key,
        version: 0,
        correlation_id: 0,
        client_id: client_id.map(StrBytes::from),
        frame_bytes,
        work_ns: 10_000,
    }
}

#[test]
fn what_a_turn_took_is_shared_by_those_who_asked() {
    let image = image(&[("client-id", None, "request_percentage", 1.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let ask = |throttle: &mut Throttle, sequence, client| {
        let to = reply_to(sequence, sequence);
        throttle.on_request(to, &head(3, Some(client), 100));
        throttle.on_answered(at(sequence), to, true)
    };
    let turned = |throttle: &mut Throttle, now_ms, took_ms: u64| {
        throttle.on_turned();
        throttle.on_turn_measured(at(now_ms), took_ms * 1_000_000);
    };
    // Each may have a hundred milliseconds in ten seconds.
    assert_eq!(ask(&mut throttle, 1, "a"), 0);
    assert_eq!(ask(&mut throttle, 2, "b"), 0);
    turned(&mut throttle, 10, 198);
    assert_eq!(ask(&mut throttle, 11, "a"), 0);
    turned(&mut throttle, 12, 2);
    // A turn that took in none of their requests is none of their time.
    turned(&mut throttle, 13, 500);
    assert_eq!(ask(&mut throttle, 14, "b"), 0);
    assert!(ask(&mut throttle, 15, "a") > 0, "a second turn was its own");
}

#[test]
fn time_of_the_broker_is_limited_and_the_wait_has_a_bound() {
    let image = image(&[("user", Some("ANONYMOUS"), "request_percentage", 0.01)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let mut waits = Vec::new();
    for sequence in 0..2_000 {
        let to = reply_to(1, sequence);
        throttle.on_request(to, &head(3, None, 100));
        waits.push(throttle.on_answered(at(sequence / 100), to, true));
    }
    // 0.01 % of ten seconds is a millisecond: a hundred requests of ten microseconds.
    assert_eq!(waits.iter().position(|wait| *wait > 0), Some(100));
    assert_eq!(waits.iter().max(), Some(&1_000), "one sample at most");
    let to = reply_to(1, 5_000);
    throttle.on_request(to, &head(0, None, 100));
    assert_eq!(
        throttle.on_answered(at(20), to, false),
        0,
        "no answer, no time"
    );
}

#[test]
fn changes_are_refused_or_waited_for() {
    let image = image(&[("client-id", Some("c"), "controller_mutation_rate", 2.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let mut ask = |now_ms, sequence, is_strict, changes| {
        let to = reply_to(1, sequence);
        throttle.on_request(to, &head(19, Some("c"), 100));
        let mut allowance = throttle.allowance(at(now_ms), to, is_strict);
        let is_granted = allowance.take(changes);
        throttle.on_changed(at(now_ms), to, allowance);
        (is_granted, throttle.on_answered(at(now_ms), to, true))
    };
    assert_eq!(ask(0, 1, true, 22), (true, 0), "the whole burst");
    assert_eq!(ask(0, 2, true, 10), (true, 0), "into debt, but granted");
    assert_eq!(ask(0, 3, true, 1), (false, 5_000));
    assert_eq!(
        ask(1_000, 4, false, 2),
        (true, 5_000),
        "an old client waits"
    );
    assert_eq!(ask(6_000, 5, true, 1), (true, 0));
}

#[test]
fn connections_of_an_address_are_closed_after_a_while() {
    let limits = [("ip", Some("10.0.0.1"), "connection_creation_rate", 1.0)];
    let mut throttle = Throttle::new(SETTINGS, &image(&limits));
    let (limited, free) = (Arc::from("10.0.0.1"), Arc::from("10.0.0.2"));
    let mut accepted = 0;
    for connection in 0..30 {
        assert!(throttle.on_connected(at(0), ConnectionId(100 + connection), &free));
        let is_in = throttle.on_connected(at(0), ConnectionId(connection), &limited);
        accepted += u64::from(is_in);
    }
    assert_eq!(accepted, 10, "a rate of one over ten seconds");
    assert_eq!(throttle.next_deadline(), Some(at(1_000).instant));
    let mut closed = 0;
    while let Some((_, release)) = throttle.take_due(at(1_000).instant) {
        assert_eq!(release, Release::Close);
        closed += 1;
    }
    assert_eq!(closed, 20);
}

#[test]
fn who_is_gone_is_forgotten() {
    let image = image(&[("client-id", None, "producer_byte_rate", 1.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    throttle.on_request(reply_to(1, 1), &head(0, None, 1_000));
    assert!(throttle.on_answered(at(0), reply_to(1, 1), true) > 0);
    throttle.on_request(reply_to(1, 2), &head(0, None, 1_000));
    throttle.forget(ConnectionId(1));
    assert!(throttle.is_idle());
    assert_eq!(throttle.next_deadline(), None);
    assert_eq!(throttle.on_answered(at(0), reply_to(1, 2), true), 0);
}

#[test]
fn nobody_gets_rid_of_a_debt_by_calling_itself_something_else() {
    let image = image(&[("client-id", None, "controller_mutation_rate", 2.0)]);
    let mut throttle = Throttle::new(SETTINGS, &image);
    let mut ask = |now_ms, client: &str, changes| {
        let to = reply_to(1, 1);
        throttle.on_request(to, &head(19, Some(client), 100));
        let mut allowance = throttle.allowance(at(now_ms), to, true);
        let is_granted = allowance.take(changes);
        throttle.on_changed(at(now_ms), to, allowance);
        let _wait_ms = throttle.on_answered(at(now_ms), to, true);
        is_granted
    };
    // The first by its name, and deep in debt.
    assert!(ask(0, "a", 1_000));
    for at in 0..=crate::limits::QUOTA_SHARERS_MAX {
        assert!(ask(1, &format!("b{at}"), 1));
    }
    assert!(!ask(2, "a", 1));
    // Those that are full again make room for others.
    assert!(ask(30_000, "c", 1));
    assert_eq!(throttle.buckets(), 2);
}
