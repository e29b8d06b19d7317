//! Batches of real clients, in every codec, read by our own code.
//!
//! `golden/batches/CLIENT-CODEC.bin` is the one batch that a client (kafka-python 3.0.12,
//! librdkafka 2.16.1, the Java console producer 4.3.1) left in a log of Apache Kafka 4.3.1, which
//! stores it as it was sent but for the stamp in front. Each client sent the same records in each
//! codec.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_core::ids::Offset;
use ottla_core::wire::batch::{BATCH_HEADER_BYTES, BatchHeader, Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;
use ottla_core::wire::records::{Batches, Record, Records};

const CLIENTS: [&str; 3] = ["java", "kafka-python", "librdkafka"];

fn golden(client: &str, codec: Compression) -> Bytes {
    let name = format!("golden/batches/{client}-{}.bin", codec.name());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    Bytes::from(fs::read(path).expect("a golden batch for every client and codec"))
}

fn records(batch: &Bytes) -> Vec<Record> {
    let records = Records::open(batch).expect("opens");
    records.collect::<Result<_, _>>().expect("good records")
}

/// The batch as its client sent it: at offset 0, with no leader epoch.
fn as_sent(batch: &Bytes) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[..8].fill(0);
    bytes[12..16].fill(0xff);
    Bytes::from(bytes)
}

#[test]
fn every_codec_of_every_client_holds_the_same_records() {
    for client in CLIENTS {
        let plain = records(&golden(client, Compression::None));
        assert!(plain.len() >= 5, "{client}");
        for codec in Compression::ALL {
            let batch = golden(client, codec);
            let mut batches = Batches::new(batch.clone());
            let (header, whole) = batches.next().expect("one").expect("good");
            assert_eq!((batches.next(), batches.remaining()), (None, 0));
            assert_eq!(whole, batch);
            assert_eq!(header.attributes.compression(), Some(codec));
            let fields = |record: &Record| (record.key.clone(), record.value.clone());
            let opened = records(&batch);
            assert_eq!(
                opened.iter().map(fields).collect::<Vec<_>>(),
                plain.iter().map(fields).collect::<Vec<_>>(),
                "{client} {codec:?}"
            );
            let prepared = PreparedBatch::from_client(as_sent(&batch), 9).expect("accepted");
            assert_eq!(prepared.bytes, as_sent(&batch), "stored as it was sent");
            let facts = prepared.deep_facts().expect("its records bear it out");
            assert_eq!(facts.max_timestamp, prepared.header.max_timestamp);
            PreparedBatch::from_log(batch).expect("good in a log too");
        }
    }
}

#[test]
fn our_builder_writes_what_they_write() {
    for client in CLIENTS {
        let batch = golden(client, Compression::None);
        let header = BatchHeader::parse(&batch).expect("a header");
        let mut builder = BatchBuilder::new(Compression::None)
            .at(Offset(0), header.leader_epoch)
            .producer(
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
            );
        for record in records(&batch) {
            builder.push_with_headers(
                record.timestamp,
                record.key.as_deref(),
                record.value.as_deref(),
                &record.headers,
            );
        }
        let built = builder.build();
        assert!(built[BATCH_HEADER_BYTES..] == batch[BATCH_HEADER_BYTES..]);
        assert_eq!(built, batch, "{client}");
    }
}

#[test]
fn a_cut_batch_is_refused_wherever_it_is_cut() {
    for client in CLIENTS {
        for codec in Compression::ALL {
            let batch = as_sent(&golden(client, codec));
            for cut in 0..batch.len() {
                let part = batch.slice(..cut);
                assert!(PreparedBatch::from_client(part.clone(), 9).is_err());
                assert!(Records::open(&part).is_err());
            }
        }
    }
}
