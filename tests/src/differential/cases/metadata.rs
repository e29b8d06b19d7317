//! ApiVersions, Metadata, DescribeCluster, DescribeTopicPartitions.

use kafka_wire::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire::{
    ApiVersionsRequest, DescribeClusterRequest, DescribeTopicPartitionsRequest, MetadataRequest,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::super::session::{Session, Stopped};
use super::{Case, UNKNOWN_ID, illegal_names, message, text};

pub(super) const CASES: &[Case] = &[
    Case {
        key: 18,
        name: "ApiVersions/answer",
        first: 0,
        run: api_versions,
    },
    Case {
        key: 18,
        name: "ApiVersions/software",
        first: 3,
        run: software,
    },
    Case {
        key: 3,
        name: "Metadata/by name",
        first: 0,
        run: by_name,
    },
    Case {
        key: 3,
        name: "Metadata/unknown",
        first: 4,
        run: unknown,
    },
    Case {
        key: 3,
        name: "Metadata/creation",
        first: 0,
        run: creation,
    },
    Case {
        key: 3,
        name: "Metadata/by id",
        first: 10,
        run: by_id,
    },
    Case {
        key: 60,
        name: "DescribeCluster/answer",
        first: 0,
        run: describe_cluster,
    },
    Case {
        key: 75,
        name: "DescribeTopicPartitions/pages",
        first: 0,
        run: describe_topic_partitions,
    },
];

fn api_versions(session: &mut Session) -> Result<(), Stopped> {
    let request = identified("differential", "1.0");
    session.ask_hiding("answer", &request, &["api_keys"])
}

fn identified(name: &str, version: &str) -> ApiVersionsRequest {
    message!(ApiVersionsRequest {
        client_software_name: text(name),
        client_software_version: text(version),
    })
}

fn software(session: &mut Session) -> Result<(), Stopped> {
    for (name, version) in [
        ("", "1"),
        ("a", ""),
        ("bad name!", "1"),
        ("a", "bad/version!"),
        ("-a", "1"),
        ("a-", "1"),
        ("a", ".1"),
        ("a.b-c", "1-x.2"),
        ("a", "1"),
    ] {
        let label = format!("{name} at {version}");
        let hidden = ["api_keys", "supported_features", "finalized_features"];
        session.ask_hiding(&label, &identified(name, version), &hidden)?;
    }
    Ok(())
}

fn named(name: &StrBytes) -> MetadataRequestTopic {
    message!(MetadataRequestTopic {
        name: Some(name.clone()),
    })
}

fn metadata(topics: Vec<MetadataRequestTopic>) -> MetadataRequest {
    message!(MetadataRequest {
        topics: Some(topics),
        // Versions before 4 can only say yes.
        allow_auto_topic_creation: true,
    })
}

fn by_name(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 3, &[])?;
    let (b, _) = session.topic("b", 1, &[])?;
    session.ask("two", &metadata(vec![named(&b), named(&a)]))?;
    session.ask("the same twice", &metadata(vec![named(&b), named(&b)]))?;
    if session.version() > 0 {
        session.ask("none", &metadata(Vec::new()))?;
    }
    let mut operations = metadata(vec![named(&a)]);
    operations.include_topic_authorized_operations = true;
    session.ask("operations on a topic", &operations)?;
    let mut operations = metadata(vec![named(&a)]);
    operations.include_cluster_authorized_operations = true;
    session.ask("operations on the cluster", &operations)
}

fn unknown(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 1, &[])?;
    let nowhere = session.name("nowhere");
    let mut request = metadata(vec![named(&nowhere)]);
    request.allow_auto_topic_creation = false;
    session.ask("no creation", &request)?;
    session.ask("still unknown", &request)?;
    for (label, name) in illegal_names() {
        let mut request = metadata(vec![named(&StrBytes::from(name))]);
        request.allow_auto_topic_creation = false;
        session.ask(label, &request)?;
    }
    let mut request = metadata(vec![named(&text("bad name")), named(&nowhere), named(&a)]);
    request.allow_auto_topic_creation = false;
    request.include_topic_authorized_operations = true;
    session.ask("operations on all of these", &request)
}

fn creation(session: &mut Session) -> Result<(), Stopped> {
    let name = session.name("new");
    session.ask("first", &metadata(vec![named(&name)]))?;
    session.wait_for_topic(&name, None)?;
    session.ask("then", &metadata(vec![named(&name)]))?;
    session.ask("an illegal name", &metadata(vec![named(&text("bad name"))]))
}

fn by_id(session: &mut Session) -> Result<(), Stopped> {
    let (a, id) = session.topic("a", 2, &[])?;
    let asked = |name: Option<&StrBytes>, topic_id: Uuid| {
        message!(MetadataRequestTopic {
            name: name.cloned(),
            topic_id: topic_id,
        })
    };
    let zero = Uuid::default();
    session.ask("by id", &metadata(vec![asked(None, id)]))?;
    session.ask("unknown id", &metadata(vec![asked(None, UNKNOWN_ID)]))?;
    session.ask("both", &metadata(vec![asked(Some(&a), id)]))?;
    session.ask("neither", &metadata(vec![asked(None, zero)]))?;
    let mixed = vec![asked(Some(&a), zero), asked(None, id)];
    session.ask("a name and an id", &metadata(mixed))
}

fn describe_cluster(session: &mut Session) -> Result<(), Stopped> {
    let request = DescribeClusterRequest::default();
    session.ask("plain", &request)?;
    let operations = message!(DescribeClusterRequest {
        include_cluster_authorized_operations: true,
    });
    session.ask("operations", &operations)?;
    let fenced = message!(DescribeClusterRequest {
        include_fenced_brokers: true,
    });
    session.ask("fenced too", &fenced)?;
    for endpoint_type in [0, 2, 3] {
        let request = message!(DescribeClusterRequest {
            endpoint_type: endpoint_type,
        });
        session.ask(&format!("endpoints of type {endpoint_type}"), &request)?;
    }
    Ok(())
}

fn describe_topic_partitions(session: &mut Session) -> Result<(), Stopped> {
    let (a, _) = session.topic("a", 3, &[])?;
    let (b, _) = session.topic("b", 2, &[])?;
    let both = [&b, &a];
    ask_page(session, "both", &both, 2000, None)?;
    ask_page(session, "limit 2", &both, 2, None)?;
    ask_page(session, "limit 3", &both, 3, None)?;
    ask_page(session, "limit 4", &both, 4, None)?;
    ask_page(session, "limit 0", &both, 0, None)?;
    ask_page(session, "limit -1", &both, -1, None)?;
    ask_page(session, "cursor", &both, 2000, Some((&a, 1)))?;
    ask_page(session, "cursor and limit", &both, 1, Some((&a, 1)))?;
    ask_page(session, "cursor at the second", &both, 2000, Some((&b, 0)))?;
    ask_page(session, "cursor beyond", &both, 2000, Some((&a, 9)))?;
    ask_page(session, "cursor below 0", &both, 2000, Some((&a, -1)))?;
    let unknown = session.name("ab");
    ask_page(session, "unknown between", &[&a, &unknown, &b], 2000, None)?;
    ask_page(
        session,
        "cursor at unknown",
        &both,
        2000,
        Some((&unknown, 0)),
    )?;
    ask_page(session, "illegal", &[&text("bad name")], 2000, None)?;
    ask_page(session, "the same twice", &[&a, &a], 2000, None)
}

fn ask_page(
    session: &mut Session,
    label: &str,
    names: &[&StrBytes],
    limit: i32,
    cursor: Option<(&StrBytes, i32)>,
) -> Result<(), Stopped> {
    let topic = |name: &&StrBytes| {
        message!(TopicRequest {
            name: (*name).clone(),
        })
    };
    let request = message!(DescribeTopicPartitionsRequest {
        topics: names.iter().map(topic).collect(),
        response_partition_limit: limit,
        cursor: cursor.map(|(name, index)| message!(Cursor {
            topic_name: name.clone(),
            partition_index: index,
        })),
    });
    session.ask(label, &request)
}
