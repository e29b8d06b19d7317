//! CreateTopics, DeleteTopics, CreatePartitions.

use kafka_wire::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use kafka_wire::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_wire::delete_topics_request::DeleteTopicState;
use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::super::session::{Session, Stopped};
use super::{Case, UNKNOWN_ID, illegal_names, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 19,
        name: "CreateTopics/ok",
        first: 0,
        run: created,
    },
    Case {
        key: 19,
        name: "CreateTopics/exists",
        first: 0,
        run: exists,
    },
    Case {
        key: 19,
        name: "CreateTopics/invalid",
        first: 0,
        run: invalid,
    },
    Case {
        key: 19,
        name: "CreateTopics/configs",
        first: 0,
        run: configs,
    },
    Case {
        key: 19,
        name: "CreateTopics/assignment",
        first: 0,
        run: assignment,
    },
    Case {
        key: 20,
        name: "DeleteTopics/by name",
        first: 0,
        run: deleted,
    },
    Case {
        key: 20,
        name: "DeleteTopics/by id",
        first: 6,
        run: deleted_by_id,
    },
    Case {
        key: 37,
        name: "CreatePartitions/grow",
        first: 0,
        run: grow,
    },
];

/// Time a request may take.
const TIMEOUT_MS: i32 = 8_000;

fn topic(name: &StrBytes, partitions: i32, replicas: i16) -> CreatableTopic {
    message!(CreatableTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: replicas,
    })
}

fn config(name: &str, value: Option<&str>) -> CreatableTopicConfig {
    message!(CreatableTopicConfig {
        name: text(name),
        value: value.map(text),
    })
}

fn create(
    session: &mut Session,
    label: &str,
    topics: Vec<CreatableTopic>,
    validate_only: bool,
) -> Result<(), Stopped> {
    let request = message!(CreateTopicsRequest {
        topics: topics,
        timeout_ms: TIMEOUT_MS,
        validate_only: validate_only,
    });
    session.ask_hiding(label, &request, &["configs"])
}

/// What the metadata says of topics.
fn state(session: &mut Session, label: &str, names: &[&StrBytes]) -> Result<(), Stopped> {
    let wanted = |name: &&StrBytes| {
        message!(MetadataRequestTopic {
            name: Some((*name).clone()),
        })
    };
    let request = message!(MetadataRequest {
        topics: Some(names.iter().map(wanted).collect()),
        allow_auto_topic_creation: false,
    });
    let hidden = ["brokers", "cluster_id", "controller_id"];
    session.sync()?;
    session.ask_at(label, 12, &request, &hidden)
}

fn created(session: &mut Session) -> Result<(), Stopped> {
    let names: Vec<StrBytes> = ["a", "b", "c", "d"].map(|n| session.name(n)).into();
    create(session, "one", vec![topic(&names[0], 3, 1)], false)?;
    let mut configured = topic(&names[1], 1, 1);
    configured.configs = vec![
        config("cleanup.policy", Some("compact")),
        config("max.message.bytes", Some("2000")),
    ];
    let request = message!(CreateTopicsRequest {
        topics: vec![configured],
        timeout_ms: TIMEOUT_MS,
    });
    session.ask("with configurations", &request)?;
    let two = vec![topic(&names[2], 1, 1), topic(&names[3], 2, 1)];
    create(session, "two", two, false)?;
    create(session, "none", Vec::new(), false)?;
    let names: Vec<&StrBytes> = names.iter().collect();
    state(session, "they exist", &names)
}

fn exists(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let name = |short: &str| session.name(short);
    let (b, c, d, e) = (name("b"), name("c"), name("d"), name("e"));
    let (dot, underscore) = (name("x.y"), name("x_y"));
    let one = |name: &StrBytes| topic(name, 1, 1);
    create(session, "again", vec![one(&a)], false)?;
    create(session, "one of two", vec![one(&a), one(&b)], false)?;
    create(session, "the same twice", vec![one(&c), one(&c)], false)?;
    let three = vec![one(&d), one(&d), one(&e)];
    create(session, "twice and another", three, false)?;
    create(session, "a dot", vec![one(&dot)], false)?;
    create(session, "collides with it", vec![one(&underscore)], false)?;
    let (dot, underscore) = (session.name("y.z"), session.name("y_z"));
    let both = vec![one(&dot), one(&underscore)];
    create(session, "two that collide", both, false)
}

fn invalid(session: &mut Session) -> Result<(), Stopped> {
    for (label, name) in illegal_names() {
        let name = StrBytes::from(name);
        create(session, label, vec![topic(&name, 1, 1)], false)?;
    }
    let z = session.name("z");
    for partitions in [0, -1, -2] {
        let label = format!("{partitions} partitions");
        create(session, &label, vec![topic(&z, partitions, 1)], true)?;
    }
    for replicas in [0, -1, -2, 2, 300] {
        let label = format!("{replicas} replicas");
        create(session, &label, vec![topic(&z, 1, replicas)], true)?;
    }
    create(session, "valid", vec![topic(&z, 3, 1)], true)?;
    state(session, "it does not exist", &[&z])
}

fn configs(session: &mut Session) -> Result<(), Stopped> {
    let z = session.name("z");
    for (name, value) in [
        ("no.such.config", Some("1")),
        ("cleanup.policy", Some("none of these")),
        ("cleanup.policy", Some("")),
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("retention.ms", None),
        ("max.message.bytes", Some("-1")),
        ("segment.bytes", Some("1")),
        ("compression.type", Some("rar")),
        ("min.insync.replicas", Some("0")),
        ("message.timestamp.type", Some("Never")),
    ] {
        let mut topic = topic(&z, 1, 1);
        topic.configs = vec![config(name, value)];
        let label = format!("{name}={}", value.unwrap_or("null"));
        create(session, &label, vec![topic], true)?;
    }
    let mut twice = topic(&z, 1, 1);
    twice.configs = vec![
        config("retention.ms", Some("1000")),
        config("retention.ms", Some("2000")),
    ];
    create(session, "the same twice", vec![twice], true)
}

/// Partitions with their brokers.
type Parts<'a> = &'a [(i32, &'a [i32])];

fn assignment(session: &mut Session) -> Result<(), Stopped> {
    let me = session.node;
    let other = me + 70;
    let parts: [(&str, Parts<'_>); 8] = [
        ("ok", &[(0, &[me]), (1, &[me])]),
        ("unknown broker", &[(0, &[other])]),
        ("a gap", &[(0, &[me]), (2, &[me])]),
        ("not from 0", &[(1, &[me])]),
        ("no replicas", &[(0, &[])]),
        ("a replica twice", &[(0, &[me, me])]),
        ("a partition twice", &[(0, &[me]), (0, &[me])]),
        ("uneven", &[(0, &[me]), (1, &[me, other])]),
    ];
    let assigned = |name: &StrBytes, parts: Parts<'_>| {
        let mut topic = topic(name, -1, -1);
        topic.assignments = parts
            .iter()
            .map(|(index, brokers)| {
                message!(CreatableReplicaAssignment {
                    partition_index: *index,
                    broker_ids: brokers.to_vec(),
                })
            })
            .collect();
        topic
    };
    for (label, parts) in parts {
        let name = session.name(&label.replace(' ', "-"));
        create(session, label, vec![assigned(&name, parts)], false)?;
    }
    let name = session.name("z");
    let mut counted = assigned(&name, &[(0, &[me])]);
    counted.num_partitions = 1;
    create(session, "and a count", vec![counted], false)?;
    let mut counted = assigned(&name, &[(0, &[me])]);
    counted.replication_factor = 1;
    create(session, "and a factor", vec![counted], false)
}

fn deleted(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let (b, _) = session.topic("b", 2, &[])?;
    let (c, _) = session.topic("c", 1, &[])?;
    let nowhere = session.name("nowhere");
    let delete = |session: &mut Session, label: &str, names: &[&StrBytes]| {
        let names: Vec<StrBytes> = names.iter().map(|&name| name.clone()).collect();
        let by_name = |name: &StrBytes| {
            message!(DeleteTopicState {
                name: Some(name.clone()),
            })
        };
        let mut request = message!(DeleteTopicsRequest {
            timeout_ms: TIMEOUT_MS,
        });
        if session.version() >= 6 {
            request.topics = names.iter().map(by_name).collect();
        } else {
            request.topic_names = names;
        }
        session.ask(label, &request)
    };
    delete(session, "one", &[&a])?;
    state(session, "it is gone", &[&a])?;
    delete(session, "again", &[&a])?;
    delete(session, "one of two", &[&b, &nowhere])?;
    delete(session, "the same twice", &[&c, &c])?;
    delete(session, "none", &[])?;
    delete(session, "an illegal name", &[&text("bad name")])?;
    delete(session, "an empty name", &[&text("")])
}

fn deleted_by_id(session: &mut Session) -> Result<(), Stopped> {
    let (a, a_id) = session.topic("a", 1, &[])?;
    let (_, b_id) = session.topic("b", 1, &[])?;
    let delete = |session: &mut Session, label: &str, topics: &[(Option<&StrBytes>, Uuid)]| {
        let state = |(name, id): &(Option<&StrBytes>, Uuid)| {
            message!(DeleteTopicState {
                name: name.cloned(),
                topic_id: *id,
            })
        };
        let request = message!(DeleteTopicsRequest {
            topics: topics.iter().map(state).collect(),
            timeout_ms: TIMEOUT_MS,
        });
        session.ask(label, &request)
    };
    let zero = Uuid::default();
    delete(session, "unknown id", &[(None, UNKNOWN_ID)])?;
    delete(session, "both", &[(Some(&a), a_id)])?;
    let twice = [(Some(&a), zero), (None, a_id)];
    delete(session, "by name and by id", &twice)?;
    delete(session, "by id twice", &[(None, a_id), (None, a_id)])?;
    delete(session, "neither", &[(None, zero)])?;
    delete(session, "one", &[(None, b_id)])?;
    session.sync()?;
    delete(session, "again", &[(None, b_id)])
}

fn grow(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 2, &[])?;
    let nowhere = session.name("nowhere");
    let asked = |name: &StrBytes, count: i32, assignment: Option<&[&[i32]]>| {
        let assigned = |brokers: &&[i32]| {
            message!(CreatePartitionsAssignment {
                broker_ids: brokers.to_vec(),
            })
        };
        message!(CreatePartitionsTopic {
            name: name.clone(),
            count: count,
            assignments: assignment.map(|parts| parts.iter().map(assigned).collect()),
        })
    };
    let ask = |session: &mut Session, label: &str, topics, validate_only| {
        let request = message!(CreatePartitionsRequest {
            topics: topics,
            timeout_ms: TIMEOUT_MS,
            validate_only: validate_only,
        });
        session.ask(label, &request)
    };
    let me = session.node;
    ask(session, "validate", vec![asked(&a, 4, None)], true)?;
    state(session, "still two", &[&a])?;
    for count in [2, 1, 0, -1] {
        let label = format!("to {count}");
        ask(session, &label, vec![asked(&a, count, None)], false)?;
    }
    ask(session, "unknown", vec![asked(&nowhere, 2, None)], false)?;
    ask(session, "to 3", vec![asked(&a, 3, None)], false)?;
    state(session, "three", &[&a])?;
    let assigned: [(&str, i32, &[&[i32]]); 4] = [
        ("assigned", 4, &[&[me]]),
        ("too few assigned", 6, &[&[me]]),
        ("unknown broker", 5, &[&[me + 70]]),
        ("no brokers", 5, &[&[]]),
    ];
    for (label, count, parts) in assigned {
        ask(session, label, vec![asked(&a, count, Some(parts))], false)?;
    }
    let twice = vec![asked(&a, 7, None), asked(&a, 7, None)];
    ask(session, "the same twice", twice, false)?;
    ask(session, "none", Vec::new(), false)
}
