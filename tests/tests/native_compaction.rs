//! The real process compacts a topic while it is written to: of each key the last value stays, at
//! its offset, also after `kill -9`; and the files can be read by others.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ottla_core::ids::{ProducerEpoch, ProducerId, Sequence};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, fresh_folder};
use ottla_tests::wire_client::WireClient;

const TOPIC: &str = "table";
const KEYS: u32 = 100;
const BATCHES: u32 = 500;
const RECORDS_OF_BATCH: u32 = 50;

/// The smallest segments a broker takes, and a compaction that does not wait.
const SETTINGS: &[&str] = &[
    "log.cleanup.policy=compact",
    "log.segment.bytes=1048576",
    "log.cleaner.backoff.ms=20",
    "log.cleaner.min.cleanable.ratio=0.01",
];

fn start(folder: &Path) -> Broker {
    Broker::start(&binary(), folder, SETTINGS).expect("the broker starts")
}

fn key(number: u32) -> u32 {
    // Neighbours have different keys, and none comes in every batch.
    number.wrapping_mul(2_654_435_761) % KEYS
}

fn value(number: u32) -> Vec<u8> {
    let mut value = format!("{} {number} ", key(number)).into_bytes();
    value.resize(200, b'.');
    value
}

fn batch(first: u32, producer: (i64, i16)) -> Bytes {
    let sequence = Sequence(i32::try_from(first).expect("few"));
    let (id, epoch) = (ProducerId(producer.0), ProducerEpoch(producer.1));
    let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.expect("after 1970").as_millis();
    let now = Timestamp(i64::try_from(now).expect("in this age"));
    for number in first..first + RECORDS_OF_BATCH {
        let key = key(number).to_string();
        builder.push(now, Some(key.as_bytes()), Some(&value(number)));
    }
    builder.build()
}

/// Everything there is, by offset.
fn read_all(client: &mut WireClient) -> BTreeMap<i64, Bytes> {
    let mut all = BTreeMap::new();
    let mut next = 0;
    while next < i64::from(BATCHES * RECORDS_OF_BATCH) {
        let (records, after) = client.fetch_on(TOPIC, 0, next).expect("it can be read");
        assert!(after.0 > next, "reading goes on");
        next = after.0;
        all.extend(records.into_iter().map(|(offset, value)| (offset.0, value)));
    }
    all
}

/// The last value of each key is there, and nothing that was never written.
fn check(client: &mut WireClient) -> usize {
    let all = read_all(client);
    for (offset, found) in &all {
        let number = u32::try_from(*offset).expect("few");
        assert_eq!(*found, value(number), "offset {offset}");
    }
    let mut seen = BTreeMap::new();
    for number in 0..BATCHES * RECORDS_OF_BATCH {
        seen.insert(key(number), number);
    }
    for (key, number) in seen {
        assert!(
            all.contains_key(&i64::from(number)),
            "the last of key {key}"
        );
    }
    all.len()
}

#[test]
fn a_topic_is_compacted_while_it_is_written_and_read() {
    let folder = fresh_folder("compaction");
    let mut broker = start(&folder);
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    client.create_topic(TOPIC, 1).expect("a topic");
    let producer = client.init_producer().expect("a producer id");
    for number in 0..BATCHES {
        let batch = batch(number * RECORDS_OF_BATCH, producer);
        client.send_batch(TOPIC, 0, batch).expect("it is sent");
        let (code, _offset) = client.receive_produced().expect("it is answered");
        assert_eq!(code, 0);
    }
    broker
        .wait_for_line("compacted up to offset")
        .expect("there is much to compact");
    let before = check(&mut client);
    broker.crash().expect("kill -9 kills");
    let broker = start(&folder);
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    let left = check(&mut client);
    assert!(left <= before && before < (BATCHES * RECORDS_OF_BATCH) as usize);
    // A retry of the last batch is recognised (R66).
    let again = batch((BATCHES - 1) * RECORDS_OF_BATCH, producer);
    client.send_batch(TOPIC, 0, again).expect("it is sent");
    let answer = client.receive_produced().expect("it is answered");
    assert_eq!(answer, (0, i64::from((BATCHES - 1) * RECORDS_OF_BATCH)));
    let (status, _) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}");
    dump(&folder.join("data").join(format!("{TOPIC}-0")));
}

/// The dump tool finds nothing wrong in any segment.
fn dump(folder: &Path) {
    let mut segments = 0;
    for entry in std::fs::read_dir(folder).expect("the log's folder") {
        let path = entry.expect("an entry").path();
        let name = path.to_string_lossy().into_owned();
        assert!(
            !name.ends_with(".cleaned") && !name.ends_with(".swap"),
            "{name}"
        );
        if !name.ends_with(".log") && !name.ends_with("index") {
            continue;
        }
        let output = Command::new(binary())
            .args(["dump-log", "--deep-iteration", "--files", &name])
            .output()
            .expect("the tool starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {text}");
        let is_sound = ["isvalid: false", "Mismatches in", "corrupt"]
            .iter()
            .all(|complaint| !text.contains(complaint));
        assert!(is_sound, "{name}: {text}");
        segments += u32::from(name.ends_with(".log"));
    }
    assert!(segments > 1, "there is more than the segment in use");
}
