//! DescribeLogDirs, DescribeProducers, DescribeQuorum.

use kafka_wire::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_wire::describe_producers_request::TopicRequest;
use kafka_wire::describe_quorum_request::{PartitionData, TopicData};
use kafka_wire::{DescribeLogDirsRequest, DescribeProducersRequest, DescribeQuorumRequest};
use kafka_wire_core::StrBytes;

use super::super::session::{Session, Stopped};
use super::{Case, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 35,
        name: "DescribeLogDirs/answer",
        first: 0,
        run: log_dirs,
    },
    Case {
        key: 55,
        name: "DescribeQuorum/answer",
        first: 0,
        run: quorum,
    },
    Case {
        key: 61,
        name: "DescribeProducers/answer",
        first: 0,
        run: producers,
    },
];

fn log_dirs(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 2, &[])?;
    let nowhere = session.name("nowhere");
    let topic = |name: &StrBytes, partitions: &[i32]| {
        message!(DescribableLogDirTopic {
            topic: name.clone(),
            partitions: partitions.to_vec(),
        })
    };
    let ask = |session: &mut Session, label: &str, topics| {
        let request = message!(DescribeLogDirsRequest {
            topics: Some(topics),
        });
        session.ask(label, &request)
    };
    ask(session, "some", vec![topic(&a, &[0, 1, 7])])?;
    ask(session, "unknown", vec![topic(&nowhere, &[0])])?;
    ask(session, "no partitions", vec![topic(&a, &[])])?;
    let twice = vec![topic(&a, &[0]), topic(&a, &[1])];
    ask(session, "the same twice", twice)?;
    ask(session, "illegal", vec![topic(&text("bad name"), &[0])])?;
    ask(session, "none", Vec::new())
}

fn producers(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 2, &[])?;
    let nowhere = session.name("nowhere");
    let ask = |session: &mut Session, label: &str, topics: &[(&StrBytes, &[i32])]| {
        let topic = |(name, partitions): &(&StrBytes, &[i32])| {
            message!(TopicRequest {
                name: (*name).clone(),
                partition_indexes: partitions.to_vec(),
            })
        };
        let request = message!(DescribeProducersRequest {
            topics: topics.iter().map(topic).collect(),
        });
        session.ask(label, &request)
    };
    ask(session, "some", &[(&a, &[0, 1, 7])])?;
    ask(session, "unknown", &[(&nowhere, &[0])])?;
    ask(session, "illegal", &[(&text("bad name"), &[0])])?;
    ask(session, "a partition twice", &[(&a, &[0, 0])])?;
    ask(session, "no partitions", &[(&a, &[])])?;
    ask(session, "none", &[])
}

fn quorum(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let log = text("__cluster_metadata");
    let ask = |session: &mut Session, label: &str, topics: &[(&StrBytes, &[i32])]| {
        let partition = |index: &i32| {
            message!(PartitionData {
                partition_index: *index,
            })
        };
        let topic = |(name, partitions): &(&StrBytes, &[i32])| {
            message!(TopicData {
                topic_name: (*name).clone(),
                partitions: partitions.iter().map(partition).collect(),
            })
        };
        let request = message!(DescribeQuorumRequest {
            topics: topics.iter().map(topic).collect(),
        });
        let hidden = ["high_watermark", "log_end_offset", "nodes"];
        session.ask_hiding(label, &request, &hidden)
    };
    ask(session, "the metadata log", &[(&log, &[0])])?;
    ask(session, "another partition", &[(&log, &[1])])?;
    ask(session, "two partitions", &[(&log, &[0, 1])])?;
    ask(session, "another topic", &[(&a, &[0])])?;
    ask(session, "no partitions", &[(&log, &[])])?;
    ask(session, "none", &[])
}
