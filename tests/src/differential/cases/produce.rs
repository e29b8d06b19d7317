//! Produce and InitProducerId.

use bytes::Bytes;
use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::{InitProducerIdRequest, ProduceRequest};
use kafka_wire_core::{StrBytes, Uuid};
use ottla_core::wire::batch::Compression;

use super::super::session::{Session, Stopped};
use super::batches::{
    ATTRIBUTES_AT, COUNT_AT, EPOCH_AT, LAST_DELTA_AT, MAGIC_AT, PRODUCER_AT, at_times, batch,
    compressed, patched, sequenced, with_wrong_crc,
};
use super::{Case, UNKNOWN_ID, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 0,
        name: "Produce/batches",
        first: 0,
        run: batches,
    },
    Case {
        key: 0,
        name: "Produce/targets",
        first: 0,
        run: targets,
    },
    Case {
        key: 0,
        name: "Produce/configs",
        first: 0,
        run: configs,
    },
    Case {
        key: 0,
        name: "Produce/sequences",
        first: 0,
        run: sequences,
    },
    Case {
        key: 22,
        name: "InitProducerId/ids",
        first: 0,
        run: producer_ids,
    },
];

/// First version that names topics by their ids.
const TOPIC_ID_VERSION: i16 = 13;

/// Records of any age stay.
pub(super) const KEPT: (&str, &str) = ("retention.ms", "-1");

/// One batch for one partition at `version`.
pub(super) fn request(
    version: i16,
    (name, id): &(StrBytes, Uuid),
    partition: i32,
    batch: Option<Bytes>,
) -> ProduceRequest {
    let by_id = version >= TOPIC_ID_VERSION;
    message!(ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![message!(TopicProduceData {
            name: if by_id { text("") } else { name.clone() },
            topic_id: if by_id { *id } else { Uuid::default() },
            partition_data: vec![message!(PartitionProduceData {
                index: partition,
                records: batch,
            })],
        })],
    })
}

fn produce(
    session: &mut Session,
    label: &str,
    topic: &(StrBytes, Uuid),
    batch: Bytes,
) -> Result<(), Stopped> {
    let request = request(session.version(), topic, 0, Some(batch));
    session.ask_hiding(label, &request, &["error_message"])
}

fn batches(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 1, &[KEPT])?;
    let good = batch(3);
    let two = [&good[..], &good[..]].concat();
    let trailing = [&good[..], b"xyz"].concat();
    let sent: [(&str, Bytes); 22] = [
        ("one", good.clone()),
        ("another", good.clone()),
        ("nothing", Bytes::new()),
        ("two in one", Bytes::from(two)),
        ("bytes after it", Bytes::from(trailing)),
        ("truncated", good.slice(..good.len() - 3)),
        ("garbage", Bytes::from_static(b"abcdefghijklmnop")),
        ("wrong CRC", with_wrong_crc(&good)),
        ("magic 1", patched(&good, MAGIC_AT, &[1])),
        ("magic 9", patched(&good, MAGIC_AT, &[9])),
        ("count too small", patched(&good, COUNT_AT, &[0, 0, 0, 2])),
        ("count too large", patched(&good, COUNT_AT, &[0, 0, 0, 4])),
        ("last delta 5", patched(&good, LAST_DELTA_AT, &[0, 0, 0, 5])),
        ("base offset 7", patched(&good, 7, &[7])),
        ("leader epoch 7", patched(&good, EPOCH_AT, &[0, 0, 0, 7])),
        ("control", patched(&good, ATTRIBUTES_AT, &[0, 0x20])),
        (
            "stamped by the client",
            patched(&good, ATTRIBUTES_AT, &[0, 8]),
        ),
        ("a transaction without a name", {
            let sequenced = sequenced(1, 5, 0, 0);
            patched(&sequenced, ATTRIBUTES_AT, &[0, 0x10])
        }),
        ("producer without sequence", {
            patched(&good, PRODUCER_AT, &[0, 0, 0, 0, 0, 0, 0, 5, 0, 0])
        }),
        ("gzip", compressed(3, Compression::Gzip)),
        ("lz4", compressed(3, Compression::Lz4)),
        ("one more", good.clone()),
    ];
    for (label, batch) in sent {
        produce(session, label, &topic, batch)?;
    }
    Ok(())
}

fn targets(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 2, &[KEPT])?;
    let version = session.version();
    for partition in [0, 1, 9, -1] {
        let request = request(version, &topic, partition, Some(batch(1)));
        session.ask(&format!("partition {partition}"), &request)?;
    }
    let nowhere = (session.name("nowhere"), UNKNOWN_ID);
    let asked = request(version, &nowhere, 0, Some(batch(1)));
    session.ask("unknown", &asked)?;
    for acks in [1, 2, -2] {
        let mut asked = request(version, &topic, 0, Some(batch(1)));
        asked.acks = acks;
        session.ask(&format!("acks {acks}"), &asked)?;
    }
    session.ask("no topics", &message!(ProduceRequest { acks: -1 }))
}

fn configs(session: &mut Session) -> Result<(), Stopped> {
    let compacted = session.topic("k", 1, &[("cleanup.policy", "compact")])?;
    produce(session, "with a key", &compacted, batch(1))?;
    let keyless = at_times(&[0], None);
    produce(session, "without a key", &compacted, keyless)?;
    let small = session.topic("m", 1, &[KEPT, ("max.message.bytes", "200")])?;
    produce(session, "small enough", &small, batch(1))?;
    produce(session, "too large", &small, batch(30))?;
    let lonely = session.topic("i", 1, &[KEPT, ("min.insync.replicas", "2")])?;
    produce(session, "too few in sync", &lonely, batch(1))?;
    let mut asked = request(session.version(), &lonely, 0, Some(batch(1)));
    asked.acks = 1;
    session.ask("too few, and no matter", &asked)?;
    let strict = ("message.timestamp.before.max.ms", "1000");
    let strict = session.topic("t", 1, &[KEPT, strict])?;
    produce(session, "too old", &strict, at_times(&[0], Some(b"k")))?;
    let several = at_times(&[0, 1, 2], Some(b"k"));
    produce(session, "three too old", &strict, several)?;
    // 1 is far in the future, 0 and 2 are not.
    let stamped = ("message.timestamp.type", "CreateTime");
    let ahead = session.topic("f", 1, &[KEPT, stamped])?;
    let mixed = at_times(&[0, 1 << 42, 0], Some(b"k"));
    produce(session, "one of three too new", &ahead, mixed)
}

fn sequences(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 1, &[KEPT])?;
    let ids = message!(InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
    });
    let id = session.quiet(4, &ids)?.producer_id;
    for (label, count, epoch, sequence) in [
        ("first", 2, 0, 0),
        ("again", 2, 0, 0),
        ("next", 2, 0, 2),
        ("the first once more", 2, 0, 0),
        ("a gap", 2, 0, 9),
        ("an overlap", 2, 0, 1),
        ("half a retry", 1, 0, 2),
        ("4", 2, 0, 4),
        ("6", 2, 0, 6),
        ("8", 2, 0, 8),
        ("10", 2, 0, 10),
        ("a retry of the fifth", 2, 0, 2),
        ("a retry of the sixth", 2, 0, 0),
        ("a new epoch in the middle", 2, 1, 5),
        ("a new epoch", 2, 1, 0),
        ("the old epoch", 2, 0, 12),
    ] {
        produce(
            session,
            label,
            &topic,
            sequenced(count, id, epoch, sequence),
        )?;
    }
    let stranger = sequenced(1, id + 1_000_000, 3, 7);
    produce(session, "a stranger in the middle", &topic, stranger)
}

fn producer_ids(session: &mut Session) -> Result<(), Stopped> {
    let ask = |session: &mut Session, label: &str, name: Option<&str>, timeout_ms| {
        let request = message!(InitProducerIdRequest {
            transactional_id: name.map(text),
            transaction_timeout_ms: timeout_ms,
        });
        session.ask(label, &request)
    };
    ask(session, "one", None, 60_000)?;
    ask(session, "another", None, 60_000)?;
    ask(session, "no time", None, 0)?;
    ask(session, "an empty name", Some(""), 60_000)?;
    let known = message!(InitProducerIdRequest {
        transactional_id: None,
        producer_id: 5,
        producer_epoch: 3,
    });
    session.ask("an id of its own", &known)
}
