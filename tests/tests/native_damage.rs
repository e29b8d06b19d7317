//! Damage that no start looks for, because the segment was closed and synced long ago: a read finds
//! it, refuses it loudly, and the rest is served.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, fresh_folder};
use ottla_tests::wire_client::WireClient;

/// Two such records do not fit one segment.
const RECORD_BYTES: usize = 600 * 1024;

fn large_batch() -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(Timestamp(1_000), None, Some(&vec![b'x'; RECORD_BYTES]));
    batch.build()
}

#[test]
fn a_read_that_meets_damage_is_refused_loudly_and_the_rest_is_served() {
    let folder = fresh_folder("damage-at-rest");
    let settings = ["log.segment.bytes=1048576"];
    let broker = Broker::start(&binary(), &folder, &settings).expect("the broker starts");
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    client.create_topic("kept", 1).expect("a topic");
    for offset in 0..3 {
        let sent = client.send_batch("kept", 0, large_batch());
        sent.expect("a batch is sent");
        let produced = client.receive_produced();
        assert_eq!(produced.expect("an answer"), (0, offset));
    }
    let (status, log) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}: {}", log.join("\n"));
    let path = folder.join("data/kept-0/00000000000000000000.log");
    let file = OpenOptions::new().write(true).open(path);
    let file = file.expect("the first segment");
    file.write_all_at(&[0xee; 61], 0).expect("it is ours");

    let broker = Broker::start(&binary(), &folder, &settings).expect("the broker starts");
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    for _again in 0..2 {
        let refused = client.fetch("kept", 0, 0).expect_err("it is damaged");
        assert_eq!(refused.to_string(), "error code 2");
    }
    let rest = client.fetch("kept", 0, 1).expect("it can be read");
    assert!(!rest.is_empty());
    let (status, log) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}: {}", log.join("\n"));
    let told = log.iter().filter(|line| line.contains("met damage"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "{log:?}");
    assert!(told[0].contains("ERROR") && told[0].contains("kept-0"));
}
