//! Tests against a metadata log and two snapshots that Apache Kafka 4.3.1 wrote.
//!
//! The `.hex` files are the files' bytes, the `.txt` files what Kafka's dump tool said of them.

use bytes::Bytes;

use super::control::ControlRecord;
use super::records::MetadataRecord;
use crate::wire::batch::Compression;
use crate::wire::builder::BatchBuilder;
use crate::wire::records::{Batches, Records};

/// A cluster of one with topics, quotas, users, access control and a second start.
pub(crate) const CLUSTER: [&str; 2] = [
    include_str!("../../../tests/golden/metadata/cluster.hex"),
    include_str!("../../../tests/golden/metadata/cluster.txt"),
];
/// `bootstrap.checkpoint` of a directory formatted with every feature at 0.
pub(crate) const BOOTSTRAP: [&str; 2] = [
    include_str!("../../../tests/golden/metadata/bootstrap.hex"),
    include_str!("../../../tests/golden/metadata/bootstrap.txt"),
];
/// The first snapshot of the metadata log in the same directory.
pub(crate) const FIRST_SNAPSHOT: [&str; 2] = [
    include_str!("../../../tests/golden/metadata/first-snapshot.hex"),
    include_str!("../../../tests/golden/metadata/first-snapshot.txt"),
];

/// The bytes that a `.hex` file means.
pub(crate) fn bytes_of(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("hexadecimal digits");
        u8::from_str_radix(text, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// Decodes every record, writes it again, and compares both with what Kafka wrote and said.
fn check([hex, said]: [&str; 2]) {
    let mut lines = said.lines();
    for batch in Batches::new(bytes_of(hex)) {
        let (_, batch) = batch.expect("a batch of Kafka's");
        let records = Records::open(&batch).expect("not compressed");
        let header = *records.header();
        let mut builder =
            BatchBuilder::new(Compression::None).at(header.base_offset, header.leader_epoch);
        if header.attributes.is_control() {
            builder = builder.control();
        }
        for record in records {
            let record = record.expect("a record of Kafka's");
            let value = record.value.expect("every value is there");
            let text = match &record.key {
                Some(key) => {
                    let control = ControlRecord::decode(key, &value).expect("a control record");
                    let (key, value) = control.encode();
                    builder.push(record.timestamp, Some(&key), Some(&value));
                    control.to_json()
                }
                None => {
                    let decoded = MetadataRecord::decode(&value).expect("a metadata record");
                    let (decoded, version) = decoded;
                    assert_eq!(version, decoded.version(), "{decoded:?}");
                    builder.push(record.timestamp, None, Some(&decoded.encode()));
                    decoded.to_json(version)
                }
            };
            assert_eq!(
                Some(format!("{}\t{text}", record.offset).as_str()),
                lines.next()
            );
        }
        assert_eq!(builder.build(), batch, "at offset {}", header.base_offset);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn every_record_of_kafkas_goes_both_ways_to_the_byte() {
    check(CLUSTER);
    check(BOOTSTRAP);
    check(FIRST_SNAPSHOT);
}

#[test]
fn every_prefix_and_every_flipped_byte_is_refused_or_read_without_panic() {
    for batch in Batches::new(bytes_of(CLUSTER[0])) {
        let (_, batch) = batch.expect("a batch of Kafka's");
        for record in Records::open(&batch).expect("not compressed") {
            let record = record.expect("a record of Kafka's");
            let (key, value) = (record.key, record.value.expect("every value is there"));
            let decode = |bytes: &[u8]| match &key {
                Some(key) => ControlRecord::decode(key, bytes).is_ok(),
                None => MetadataRecord::decode(bytes).is_ok(),
            };
            for length in 0..value.len() {
                assert!(!decode(&value[..length]));
            }
            for index in 0..value.len() {
                let mut bytes = value.to_vec();
                for flip in [0x01, 0x80, 0xff] {
                    bytes[index] ^= flip;
                    let _read_or_refused = decode(&bytes);
                    bytes[index] ^= flip;
                }
            }
        }
    }
}
