//! Elections, reassignments, directories of replicas, features, registrations.

use kafka_wire::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_wire::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_wire::elect_leaders_request::TopicPartitions;
use kafka_wire::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_wire::update_features_request::FeatureUpdateKey;
use kafka_wire::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
    ElectLeadersRequest, ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
    UpdateFeaturesRequest,
};
use kafka_wire_core::StrBytes;

use super::super::session::{Session, Stopped};
use super::{Case, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 43,
        name: "ElectLeaders/answer",
        first: 0,
        run: elect,
    },
    Case {
        key: 45,
        name: "AlterPartitionReassignments/answer",
        first: 0,
        run: reassign,
    },
    Case {
        key: 46,
        name: "ListPartitionReassignments/answer",
        first: 0,
        run: list_reassignments,
    },
    Case {
        key: 34,
        name: "AlterReplicaLogDirs/answer",
        first: 0,
        run: move_replicas,
    },
    Case {
        key: 57,
        name: "UpdateFeatures/answer",
        first: 0,
        run: update_features,
    },
    Case {
        key: 64,
        name: "UnregisterBroker/unknown",
        first: 0,
        run: unregister,
    },
];

/// Time for a change, in milliseconds.
const TIMEOUT_MS: i32 = 8_000;

fn elect(session: &mut Session) -> Result<(), Stopped> {
    let (name, _) = session.topic("t", 2, &[])?;
    let missing = session.name("missing");
    for election in [0, 1, 7] {
        let ask = |session: &mut Session, label: &str, topics: &[(&StrBytes, &[i32])]| {
            let topics = topics.iter().map(|(name, partitions)| {
                message!(TopicPartitions {
                    topic: (*name).clone(),
                    partitions: partitions.to_vec(),
                })
            });
            let request = message!(ElectLeadersRequest {
                election_type: election,
                topic_partitions: Some(topics.collect()),
                timeout_ms: TIMEOUT_MS,
            });
            session.ask(&format!("{label}, election {election}"), &request)
        };
        ask(session, "none", &[])?;
        ask(session, "led already", &[(&name, &[0, 1])])?;
        ask(
            session,
            "a partition that is not there",
            &[(&name, &[0, 7, -1])],
        )?;
        ask(
            session,
            "unknown topics",
            &[(&missing, &[0]), (&text(""), &[0])],
        )?;
        ask(session, "twice", &[(&name, &[0, 0]), (&name, &[0])])?;
        ask(session, "no partition", &[(&name, &[])])?;
    }
    let all = message!(ElectLeadersRequest {
        topic_partitions: None,
        timeout_ms: TIMEOUT_MS,
    });
    session.ask_hiding("all", &all, &["replica_election_results"])
}

fn reassign(session: &mut Session) -> Result<(), Stopped> {
    let (name, _) = session.topic("t", 2, &[])?;
    let (missing, me) = (session.name("missing"), session.node);
    let ask =
        |session: &mut Session, label: &str, topic: &StrBytes, to: &[(i32, Option<&[i32]>)]| {
            let partitions = to.iter().map(|(index, replicas)| {
                message!(ReassignablePartition {
                    partition_index: *index,
                    replicas: replicas.map(<[i32]>::to_vec),
                })
            });
            let topic = message!(ReassignableTopic {
                name: topic.clone(),
                partitions: partitions.collect(),
            });
            let request = message!(AlterPartitionReassignmentsRequest {
                timeout_ms: TIMEOUT_MS,
                topics: vec![topic],
            });
            session.ask(label, &request)
        };
    let none = message!(AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
    });
    session.ask("none", &none)?;
    ask(session, "no partition", &name, &[])?;
    ask(
        session,
        "to where it is",
        &name,
        &[(0, Some(&[me])), (1, Some(&[me]))],
    )?;
    ask(session, "to an unknown broker", &name, &[(0, Some(&[99]))])?;
    ask(
        session,
        "to itself and an unknown broker",
        &name,
        &[(0, Some(&[me, 99]))],
    )?;
    ask(session, "to itself twice", &name, &[(0, Some(&[me, me]))])?;
    ask(session, "to a negative broker", &name, &[(0, Some(&[-1]))])?;
    ask(session, "to nobody", &name, &[(0, Some(&[]))])?;
    ask(session, "cancel none", &name, &[(0, None)])?;
    ask(
        session,
        "a partition that is not there",
        &name,
        &[(7, Some(&[me])), (-1, None)],
    )?;
    ask(
        session,
        "an unknown topic",
        &missing,
        &[(0, Some(&[me])), (1, None)],
    )?;
    ask(
        session,
        "a topic without a name",
        &text(""),
        &[(0, Some(&[me]))],
    )?;
    ask(
        session,
        "the same twice",
        &name,
        &[(0, Some(&[me])), (0, Some(&[99]))],
    )?;
    keep_factor(session, &name)
}

fn keep_factor(session: &mut Session, name: &StrBytes) -> Result<(), Stopped> {
    let me = session.node;
    let fixed = message!(AlterPartitionReassignmentsRequest {
        timeout_ms: TIMEOUT_MS,
        allow_replication_factor_change: false,
        topics: vec![message!(ReassignableTopic {
            name: name.clone(),
            partitions: vec![message!(ReassignablePartition {
                partition_index: 0,
                replicas: Some(vec![me]),
            })],
        })],
    });
    session.ask("the factor stays", &fixed)
}

fn list_reassignments(session: &mut Session) -> Result<(), Stopped> {
    let (name, _) = session.topic("t", 2, &[])?;
    let missing = session.name("missing");
    let ask = |session: &mut Session, label: &str, topics: Option<&[(&StrBytes, &[i32])]>| {
        let topic = |(name, indexes): &(&StrBytes, &[i32])| {
            message!(ListPartitionReassignmentsTopics {
                name: (*name).clone(),
                partition_indexes: indexes.to_vec(),
            })
        };
        let request = message!(ListPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            topics: topics.map(|topics| topics.iter().map(topic).collect()),
        });
        session.ask(label, &request)
    };
    ask(session, "all", None)?;
    ask(session, "none", Some(&[]))?;
    ask(session, "one", Some(&[(&name, &[0, 1])]))?;
    ask(
        session,
        "not there",
        Some(&[(&name, &[7, -1]), (&missing, &[0])]),
    )
}

fn move_replicas(session: &mut Session) -> Result<(), Stopped> {
    let (name, _) = session.topic("t", 2, &[])?;
    let (missing, long) = (session.name("missing"), text(&"x".repeat(249)));
    let directories = session.quiet(1, &DescribeLogDirsRequest::default())?;
    let home = directories
        .results
        .first()
        .ok_or("no directory")?
        .log_dir
        .clone();
    let nowhere = text("/nowhere/at/all");
    let ask = |session: &mut Session, label: &str, moves: &[(&StrBytes, &StrBytes, &[i32])]| {
        let dirs = moves.iter().map(|(path, topic, partitions)| {
            message!(AlterReplicaLogDir {
                path: (*path).clone(),
                topics: vec![message!(AlterReplicaLogDirTopic {
                    name: (*topic).clone(),
                    partitions: partitions.to_vec(),
                })],
            })
        });
        let request = message!(AlterReplicaLogDirsRequest {
            dirs: dirs.collect(),
        });
        session.ask(label, &request)
    };
    ask(session, "none", &[])?;
    ask(session, "to where it is", &[(&home, &name, &[0, 1])])?;
    ask(
        session,
        "to an unknown directory",
        &[(&nowhere, &name, &[0])],
    )?;
    ask(
        session,
        "to a directory without a name",
        &[(&text(""), &name, &[0])],
    )?;
    ask(
        session,
        "a partition that is not there",
        &[(&home, &name, &[0, 7])],
    )?;
    ask(session, "an unknown topic", &[(&home, &missing, &[0])])?;
    ask(session, "both are unknown", &[(&nowhere, &missing, &[0])])?;
    ask(session, "a long name", &[(&home, &long, &[0])])?;
    ask(
        session,
        "to two directories",
        &[(&nowhere, &name, &[0]), (&home, &name, &[0, 1])],
    )
}

fn update_features(session: &mut Session) -> Result<(), Stopped> {
    let ask = |session: &mut Session, label: &str, updates: &[(&str, i16, i8)], validate| {
        let is_zero = session.version() == 0;
        let updates = updates.iter().map(|(name, level, upgrade_type)| {
            message!(FeatureUpdateKey {
                feature: text(name),
                max_version_level: *level,
                allow_downgrade: is_zero && *upgrade_type > 1,
                upgrade_type: if is_zero { 1 } else { *upgrade_type },
            })
        });
        let request = message!(UpdateFeaturesRequest {
            timeout_ms: TIMEOUT_MS,
            feature_updates: updates.collect(),
            validate_only: validate && !is_zero,
        });
        session.ask(label, &request)
    };
    for validate in [true, false] {
        let label = |text: &str| format!("{text}{}", if validate { ", validated" } else { "" });
        let mut ask =
            |text: &str, updates: &[(&str, i16, i8)]| ask(session, &label(text), updates, validate);
        ask("none", &[])?;
        ask("to the same level", &[("metadata.version", 30, 1)])?;
        ask("down to the same level", &[("metadata.version", 30, 2)])?;
        ask(
            "to a level that is too high",
            &[("metadata.version", 99, 1)],
        )?;
        ask("to a level that is too low", &[("metadata.version", 1, 3)])?;
        ask("to level 0", &[("metadata.version", 0, 3)])?;
        ask("to a negative level", &[("metadata.version", -1, 1)])?;
        ask("down by an upgrade", &[("metadata.version", 29, 1)])?;
        ask("an unknown feature", &[("x", 1, 1)])?;
        ask("an unknown feature to 0", &[("x", 0, 3)])?;
        ask("a feature without a name", &[("", 1, 1)])?;
        ask("kraft to the same level", &[("kraft.version", 1, 1)])?;
        ask("kraft too high", &[("kraft.version", 9, 1)])?;
        ask(
            "a good and a bad one",
            &[("metadata.version", 30, 1), ("x", 1, 1)],
        )?;
    }
    if session.version() > 0 {
        for number in [0, 4, -1] {
            let label = format!("upgrade type {number}");
            ask(session, &label, &[("metadata.version", 30, number)], true)?;
        }
    }
    Ok(())
}

fn unregister(session: &mut Session) -> Result<(), Stopped> {
    for broker in [99, -1] {
        let request = message!(UnregisterBrokerRequest { broker_id: broker });
        session.ask(&format!("broker {broker}"), &request)?;
    }
    Ok(())
}
