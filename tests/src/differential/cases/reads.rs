//! Fetch, ListOffsets, OffsetForLeaderEpoch and DeleteRecords.

use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_wire::{
    DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::super::session::{Session, Stopped};
use super::batches::{START_MS, at_times, batch};
use super::produce::{KEPT, request};
use super::{Case, UNKNOWN_ID, groups, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 1,
        name: "Fetch/offsets",
        first: 0,
        run: fetch,
    },
    Case {
        key: 1,
        name: "Fetch/sessions",
        first: 7,
        run: sessions,
    },
    Case {
        key: 2,
        name: "ListOffsets/times",
        first: 0,
        run: list_offsets,
    },
    Case {
        key: 23,
        name: "OffsetForLeaderEpoch/epochs",
        first: 0,
        run: epochs,
    },
    Case {
        key: 21,
        name: "DeleteRecords/cuts",
        first: 0,
        run: delete_records,
    },
];

/// Version of Produce used to prepare.
const PRODUCE_VERSION: i16 = 9;

/// First version of Fetch that names topics by their ids, and the first that names the replica in
/// a structure of its own.
const FETCH_TOPIC_ID_VERSION: i16 = 13;

/// Enough for every record of a script.
const BYTES_MAX: i32 = 1 << 20;

fn fill(session: &mut Session, topic: &(StrBytes, Uuid), sizes: &[i64]) -> Result<(), Stopped> {
    for &size in sizes {
        let request = request(PRODUCE_VERSION, topic, 0, Some(batch(size)));
        session.quiet(PRODUCE_VERSION, &request)?;
    }
    Ok(())
}

fn part(index: i32, offset: i64, bytes_max: i32) -> FetchPartition {
    message!(FetchPartition {
        partition: index,
        fetch_offset: offset,
        partition_max_bytes: bytes_max,
    })
}

fn ask_fetch(
    session: &mut Session,
    label: &str,
    (name, id): &(StrBytes, Uuid),
    partitions: Vec<FetchPartition>,
    change: impl Fn(&mut FetchRequest),
) -> Result<(), Stopped> {
    let by_id = session.version() >= FETCH_TOPIC_ID_VERSION;
    let mut request = message!(FetchRequest {
        max_bytes: BYTES_MAX,
        topics: vec![message!(FetchTopic {
            topic: if by_id { text("") } else { name.clone() },
            topic_id: if by_id { *id } else { Uuid::default() },
            partitions: partitions,
        })],
        session_epoch: if session.version() >= 7 {
            -1
        } else {
            FetchRequest::default().session_epoch
        },
    });
    change(&mut request);
    session.ask(label, &request)
}

fn fetch(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 2, &[KEPT])?;
    fill(session, &topic, &[3, 3, 3])?;
    let as_it_is = |_: &mut FetchRequest| {};
    for offset in [0, 4, 8, 9, 10, -1] {
        let label = format!("from {offset}");
        let parts = vec![part(0, offset, BYTES_MAX)];
        ask_fetch(session, &label, &topic, parts, as_it_is)?;
    }
    for bytes in [0, 1, 100] {
        let label = format!("{bytes} bytes of the partition");
        let parts = vec![part(0, 0, bytes)];
        ask_fetch(session, &label, &topic, parts, as_it_is)?;
        let label = format!("{bytes} bytes in all");
        let parts = vec![part(0, 0, BYTES_MAX)];
        ask_fetch(session, &label, &topic, parts, |r| r.max_bytes = bytes)?;
    }
    let both = vec![part(0, 0, BYTES_MAX), part(1, 0, BYTES_MAX)];
    ask_fetch(session, "two partitions", &topic, both, as_it_is)?;
    let missing = vec![part(9, 0, BYTES_MAX)];
    ask_fetch(session, "partition 9", &topic, missing, as_it_is)?;
    let nowhere = (session.name("nowhere"), UNKNOWN_ID);
    let parts = vec![part(0, 0, BYTES_MAX)];
    ask_fetch(session, "unknown", &nowhere, parts.clone(), as_it_is)?;
    ask_fetch(session, "committed", &topic, parts, |r| {
        r.isolation_level = 1
    })?;
    let empty = vec![part(1, 0, BYTES_MAX)];
    ask_fetch(session, "waits in vain", &topic, empty, |r| {
        (r.max_wait_ms, r.min_bytes) = (50, 1);
    })?;
    if session.version() >= 9 {
        for epoch in [0, 5] {
            let mut fenced = part(0, 0, BYTES_MAX);
            fenced.current_leader_epoch = epoch;
            let label = format!("in epoch {epoch}");
            ask_fetch(session, &label, &topic, vec![fenced], as_it_is)?;
        }
    }
    if session.version() >= 7 {
        let parts = vec![part(0, 0, BYTES_MAX)];
        ask_fetch(session, "a session that is not", &topic, parts, |r| {
            (r.session_id, r.session_epoch) = (12_345, 1);
        })?;
    }
    Ok(())
}

/// Topics with the partitions and offsets that one fetch of a session asks for.
type Targets<'a> = &'a [(&'a (StrBytes, Uuid), &'a [(i32, i64)])];

fn in_session(
    session: &mut Session,
    label: &str,
    (id, epoch): (i32, i32),
    targets: Targets<'_>,
    forgotten: Option<&(StrBytes, Uuid)>,
) -> Result<i32, Stopped> {
    let by_id = session.version() >= FETCH_TOPIC_ID_VERSION;
    let name = |topic: &(StrBytes, Uuid)| if by_id { text("") } else { topic.0.clone() };
    let topic_id = |topic: &(StrBytes, Uuid)| if by_id { topic.1 } else { Uuid::default() };
    let topic = |&(topic, parts): &(&(StrBytes, Uuid), &[(i32, i64)])| {
        let partition = |&(index, offset): &(i32, i64)| part(index, offset, BYTES_MAX);
        message!(FetchTopic {
            topic: name(topic),
            topic_id: topic_id(topic),
            partitions: parts.iter().map(partition).collect(),
        })
    };
    let forgotten_topic = |topic: &(StrBytes, Uuid)| {
        message!(ForgottenTopic {
            topic: name(topic),
            topic_id: topic_id(topic),
            partitions: vec![0],
        })
    };
    let request = message!(FetchRequest {
        max_bytes: BYTES_MAX,
        session_id: id,
        session_epoch: epoch,
        topics: targets.iter().map(topic).collect(),
        forgotten_topics_data: forgotten.into_iter().map(forgotten_topic).collect(),
    });
    let response = session.ask_and_take(label, &request)?;
    Ok(response.session_id)
}

fn sessions(session: &mut Session) -> Result<(), Stopped> {
    let a = session.topic("a", 2, &[KEPT])?;
    let b = session.topic("b", 1, &[KEPT])?;
    let nowhere = (session.name("nowhere"), UNKNOWN_ID);
    fill(session, &a, &[3])?;
    let all: Targets<'_> = &[(&a, &[(0, 0), (1, 0)]), (&b, &[(0, 0)])];
    let id = in_session(session, "begins", (0, 0), all, None)?;
    in_session(session, "nothing new", (id, 1), &[], None)?;
    in_session(session, "reads on", (id, 2), &[(&a, &[(0, 3)])], None)?;
    in_session(session, "at the end", (id, 3), &[], None)?;
    fill(session, &b, &[1])?;
    in_session(session, "news of one", (id, 4), &[], None)?;
    in_session(session, "which was not read on", (id, 5), &[], None)?;
    in_session(session, "and is forgotten", (id, 6), &[], Some(&b))?;
    in_session(
        session,
        "adds unknown",
        (id, 7),
        &[(&nowhere, &[(0, 0)])],
        None,
    )?;
    in_session(session, "still unknown", (id, 8), &[], Some(&nowhere))?;
    in_session(session, "out of range", (id, 9), &[(&a, &[(0, 99)])], None)?;
    in_session(session, "a wrong epoch", (id, 20), &[], None)?;
    in_session(session, "an old epoch", (id, 3), &[], None)?;
    in_session(
        session,
        "in order again",
        (id, 10),
        &[(&a, &[(0, 3)])],
        None,
    )?;
    in_session(session, "ends", (id, -1), &[(&a, &[(0, 0)])], None)?;
    in_session(session, "after its end", (id, 11), &[], None)?;
    let next = in_session(session, "another", (0, 0), &[(&a, &[(0, 3)])], None)?;
    in_session(session, "begins anew", (next, 0), &[(&a, &[(0, 3)])], None)?;
    in_session(session, "of the one before", (next, 1), &[], None)?;
    in_session(session, "none", (0, -1), &[(&a, &[(0, 1)])], None)?;
    in_session(
        session,
        "none, in an epoch",
        (0, 1),
        &[(&a, &[(0, 0)])],
        None,
    )?;
    in_session(session, "of nothing", (0, 0), &[], None)?;
    Ok(())
}

fn list_offsets(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 2, &[KEPT])?;
    for times in [&[100, 101, 102][..], &[50, 51, 52], &[1000, 1001]] {
        let batch = at_times(times, Some(b"k"));
        let request = request(PRODUCE_VERSION, &topic, 0, Some(batch));
        session.quiet(PRODUCE_VERSION, &request)?;
    }
    let ask = |session: &mut Session, label: &str, name: &StrBytes, asked: &[(i32, i64)]| {
        let partition = |&(index, timestamp): &(i32, i64)| {
            message!(ListOffsetsPartition {
                partition_index: index,
                timestamp: timestamp,
            })
        };
        let request = message!(ListOffsetsRequest {
            replica_id: -1,
            topics: vec![message!(ListOffsetsTopic {
                name: name.clone(),
                partitions: asked.iter().map(partition).collect(),
            })],
        });
        session.ask(label, &request)
    };
    let (name, _) = &topic;
    for special in [-1, -2, -3, -4, -5, -6, -7] {
        ask(
            session,
            &format!("special {special}"),
            name,
            &[(0, special)],
        )?;
        let label = format!("special {special} of an empty log");
        ask(session, &label, name, &[(1, special)])?;
    }
    for time in [0, 50, 51, 53, 101, 103, 1001, 1002] {
        let at = START_MS + time;
        ask(session, &format!("at {time}"), name, &[(0, at)])?;
    }
    ask(session, "partition 9", name, &[(9, -1)])?;
    ask(session, "twice", name, &[(0, -1), (0, -2)])?;
    let nowhere = session.name("nowhere");
    ask(session, "unknown", &nowhere, &[(0, -1)])
}

fn epochs(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 2, &[KEPT])?;
    fill(session, &topic, &[3])?;
    let ask =
        |session: &mut Session, label: &str, (name, index): (&StrBytes, i32), epoch, current| {
            let request = message!(OffsetForLeaderEpochRequest {
                replica_id: -1,
                topics: vec![message!(OffsetForLeaderTopic {
                    topic: name.clone(),
                    partitions: vec![message!(OffsetForLeaderPartition {
                        partition: index,
                        leader_epoch: epoch,
                        current_leader_epoch: current,
                    })],
                })],
            });
            session.ask(label, &request)
        };
    let (name, _) = &topic;
    for epoch in [0, 1, -1] {
        ask(session, &format!("epoch {epoch}"), (name, 0), epoch, -1)?;
        let label = format!("epoch {epoch} of an empty log");
        ask(session, &label, (name, 1), epoch, -1)?;
    }
    ask(session, "believed rightly", (name, 0), 0, 0)?;
    ask(session, "believed too high", (name, 0), 0, 1)?;
    ask(session, "partition 9", (name, 9), 0, -1)?;
    let nowhere = session.name("nowhere");
    ask(session, "unknown", (&nowhere, 0), 0, -1)
}

fn delete_records(session: &mut Session) -> Result<(), Stopped> {
    let topic = session.topic("a", 2, &[KEPT])?;
    let compacted = session.topic("k", 1, &[("cleanup.policy", "compact")])?;
    let neither = session.topic("n", 1, &[("cleanup.policy", "")])?;
    fill(session, &topic, &[3, 3])?;
    fill(session, &compacted, &[3])?;
    fill(session, &neither, &[3])?;
    let ask = |session: &mut Session, label: &str, (name, index): (&StrBytes, i32), offset| {
        let request = message!(DeleteRecordsRequest {
            timeout_ms: 8_000,
            topics: vec![message!(DeleteRecordsTopic {
                name: name.clone(),
                partitions: vec![message!(DeleteRecordsPartition {
                    partition_index: index,
                    offset: offset,
                })],
            })],
        });
        session.ask(label, &request)
    };
    let (name, _) = &topic;
    for offset in [2, 1, 7, -2, -1] {
        ask(session, &format!("to {offset}"), (name, 0), offset)?;
    }
    ask(session, "of an empty log", (name, 1), -1)?;
    ask(session, "partition 9", (name, 9), 0)?;
    ask(session, "compacted", (&compacted.0, 0), 1)?;
    ask(session, "no policy", (&neither.0, 0), 1)?;
    groups::group(session, "g")?;
    let own = text("__consumer_offsets");
    ask(session, "of a topic of Kafka's own", (&own, 0), 0)?;
    let nowhere = session.name("nowhere");
    ask(session, "unknown", (&nowhere, 0), 0)
}
