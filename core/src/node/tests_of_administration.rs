//! Changes that are only asked about, changes that take effect, and the room on disks.
//!
//! Only with the simulator's feature, whose disk keeps the contract of storage.

use kafka_wire::alter_client_quotas_request as quotas;
use kafka_wire::alter_configs_request as legacy;
use kafka_wire::create_partitions_request::CreatePartitionsTopic;
use kafka_wire::create_topics_request::CreatableTopic;
use kafka_wire::incremental_alter_configs_request as incremental;
use kafka_wire::update_features_request::FeatureUpdateKey;

use super::tests::{Bench, empty_disk};
use crate::ids::{DirectoryIndex, PartitionIndex};
use crate::node::door::Input;
use crate::storage::DiskSpace;
use crate::time::{Instant, Now, Timestamp};
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::produce::{ProduceInput, ProducePartition, ProduceTopic};
use crate::wire::request::{Reply, Request};

fn bench() -> Bench {
    let now = Now {
        instant: Instant(1_000_000),
        wall: Timestamp(1_767_225_600_000),
    };
    let mut bench = Bench::boot(empty_disk(), now);
    bench.connect();
    bench
}

/// A request of every API that has `validate_only`, with its version; each would change something.
fn changes(validate_only: bool) -> Vec<(i16, Request)> {
    let mut created = CreatableTopic::default();
    created.name = "new".into();
    created.num_partitions = 3;
    created.replication_factor = 1;
    let mut create = kafka_wire::CreateTopicsRequest::default();
    create.topics = vec![created];
    create.validate_only = validate_only;

    let mut grown = CreatePartitionsTopic::default();
    grown.name = "topic".into();
    grown.count = 4;
    grown.assignments = None;
    let mut grow = kafka_wire::CreatePartitionsRequest::default();
    grow.timeout_ms = 60_000;
    grow.topics = vec![grown];
    grow.validate_only = validate_only;

    let mut config = incremental::AlterableConfig::default();
    config.name = "retention.ms".into();
    config.value = Some("1000".into());
    let mut resource = incremental::AlterConfigsResource::default();
    resource.resource_type = 2;
    resource.resource_name = "topic".into();
    resource.configs = vec![config];
    let mut alter = kafka_wire::IncrementalAlterConfigsRequest::default();
    alter.resources = vec![resource];
    alter.validate_only = validate_only;

    let mut config = legacy::AlterableConfig::default();
    config.name = "segment.bytes".into();
    config.value = Some("1048576".into());
    let mut resource = legacy::AlterConfigsResource::default();
    resource.resource_type = 2;
    resource.resource_name = "topic".into();
    resource.configs = vec![config];
    let mut replace = kafka_wire::AlterConfigsRequest::default();
    replace.resources = vec![resource];
    replace.validate_only = validate_only;

    let mut entity = quotas::EntityData::default();
    entity.entity_type = "user".into();
    entity.entity_name = Some("u".into());
    let mut op = quotas::OpData::default();
    op.key = "producer_byte_rate".into();
    op.value = 5.0;
    let mut entry = quotas::EntryData::default();
    entry.entity = vec![entity];
    entry.ops = vec![op];
    let mut limit = kafka_wire::AlterClientQuotasRequest::default();
    limit.entries = vec![entry];
    limit.validate_only = validate_only;

    vec![
        (7, Request::CreateTopics(create)),
        (3, Request::CreatePartitions(grow)),
        (1, Request::IncrementalAlterConfigs(alter)),
        (2, Request::AlterConfigs(replace)),
        (1, Request::AlterClientQuotas(limit)),
    ]
}

/// The error of a reply that has one item.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "no other request is sent here"
)]
fn error_of(reply: &Reply) -> i16 {
    match reply {
        Reply::AlterClientQuotas(reply) => reply.entries[0].error_code,
        Reply::AlterConfigs(reply) => reply.responses[0].error_code,
        Reply::CreatePartitions(reply) => reply.results[0].error_code,
        Reply::CreateTopics(reply) => reply.topics[0].error_code,
        Reply::IncrementalAlterConfigs(reply) => reply.responses[0].error_code,
        Reply::UpdateFeatures(reply) => reply.error_code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_only_validated_changes_nothing() {
    let mut bench = bench();
    bench.write_topic("topic");
    for validate_only in [true, false] {
        for (sequence, (version, request)) in (0..).zip(changes(validate_only)) {
            let sequence = sequence + if validate_only { 0 } else { 100 };
            let name = request.api_name();
            let broker = bench.node.broker().expect("it runs");
            let (before, end) = (
                broker.controller_image.fingerprint(),
                broker.quorum.log_end_offset(),
            );
            bench.ask(sequence, version, request);
            bench.run();
            let replies = bench.replies();
            assert_eq!(replies.len(), 1, "{name}");
            assert_eq!(error_of(&replies[0].1), 0, "{name}");
            let broker = bench.node.broker().expect("it runs");
            let is_same = broker.controller_image.fingerprint() == before
                && broker.quorum.log_end_offset() == end;
            assert_eq!(is_same, validate_only, "{name}");
        }
    }
}

#[test]
fn features_have_one_level_so_that_nothing_changes() {
    let mut bench = bench();
    let before = bench.node.broker().expect("it runs").image.fingerprint();
    for (sequence, (level, code)) in (0..).zip([(30, 0), (29, 95), (31, 95)]) {
        for validate_only in [true, false] {
            let mut update = FeatureUpdateKey::default();
            update.feature = "metadata.version".into();
            update.max_version_level = level;
            update.upgrade_type = 1;
            let mut request = kafka_wire::UpdateFeaturesRequest::default();
            request.feature_updates = vec![update];
            request.validate_only = validate_only;
            let sequence = 2 * sequence + u64::from(validate_only);
            bench.ask(sequence, 2, Request::UpdateFeatures(request));
            bench.run();
            assert_eq!(error_of(&bench.replies()[0].1), code, "{level}");
        }
    }
    let after = bench.node.broker().expect("it runs").image.fingerprint();
    assert_eq!(before, after);
}

#[test]
fn the_room_on_a_disk_is_what_the_driver_told_last() {
    let mut bench = bench();
    let mut told = |sequence| {
        let request = kafka_wire::DescribeLogDirsRequest::default();
        bench.ask(sequence, 4, Request::DescribeLogDirs(request));
        let replies = bench.replies();
        let Some((_, Reply::DescribeLogDirs(reply))) = replies.first() else {
            panic!("{replies:?}");
        };
        let space = DiskSpace {
            total_bytes: 100,
            usable_bytes: 40,
        };
        let directory = DirectoryIndex(0);
        bench.turn(vec![Input::Space { directory, space }]);
        (reply.results[0].total_bytes, reply.results[0].usable_bytes)
    };
    assert_eq!(told(0), (1 << 40, 1 << 39), "at boot");
    assert_eq!(told(1), (100, 40));
}

#[test]
fn a_change_too_large_for_one_batch_is_refused_whole() {
    let mut bench = bench();
    bench.write_topic("topic");
    let mut resource = incremental::AlterConfigsResource::default();
    resource.resource_type = 16;
    resource.resource_name = "subscription".into();
    let mut config = incremental::AlterableConfig::default();
    config.name = "metrics".into();
    config.value = Some("m".repeat(9 << 20).into());
    resource.configs = vec![config];
    let mut request = kafka_wire::IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource];
    let before = bench
        .node
        .broker()
        .expect("it runs")
        .controller_image
        .fingerprint();
    bench.ask(0, 1, Request::IncrementalAlterConfigs(request));
    bench.run();
    assert_eq!(error_of(&bench.replies()[0].1), 44);
    let after = bench
        .node
        .broker()
        .expect("it runs")
        .controller_image
        .fingerprint();
    assert_eq!(before, after);
}

/// Sets `compression.type` of a resource: a topic, or the default of all brokers.
fn set_codec(bench: &mut Bench, sequence: u64, (kind, name): (i8, &str), codec: &str) {
    let mut config = incremental::AlterableConfig::default();
    config.name = "compression.type".into();
    config.value = Some(codec.into());
    let mut resource = incremental::AlterConfigsResource::default();
    resource.resource_type = kind;
    resource.resource_name = name.into();
    resource.configs = vec![config];
    let mut request = kafka_wire::IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource];
    bench.ask(sequence, 1, Request::IncrementalAlterConfigs(request));
    bench.run();
    assert_eq!(error_of(&bench.replies()[0].1), 0);
}

/// Whether a batch of gzip that goes to a topic would be opened before the turn.
fn is_opened(bench: &Bench, name: &str) -> bool {
    let mut builder = BatchBuilder::new(Compression::Gzip);
    builder.push(Timestamp(1), None, Some(b"value"));
    let mut topic = ProduceTopic {
        name: name.into(),
        ..ProduceTopic::default()
    };
    topic.partitions.push(ProducePartition {
        index: PartitionIndex(0),
        batch: PreparedBatch::from_client(builder.build(), 9),
    });
    let mut input = ProduceInput::default();
    input.topics.push(topic);
    let broker = bench.node.broker().expect("it runs");
    broker.demands.asks(&input, Timestamp(1))
}

#[test]
fn what_topics_ask_of_batches_follows_their_configuration() {
    let mut bench = bench();
    bench.write_topic("topic");
    assert!(!is_opened(&bench, "topic"));
    set_codec(&mut bench, 0, (2, "topic"), "zstd");
    assert!(is_opened(&bench, "topic"));
    assert!(!is_opened(&bench, "other"));
    set_codec(&mut bench, 1, (4, ""), "lz4");
    assert!(is_opened(&bench, "other"));
    set_codec(&mut bench, 2, (2, "topic"), "gzip");
    assert!(!is_opened(&bench, "topic"), "it is in this codec already");
    let (disk, now) = bench.stop();
    let mut bench = Bench::boot(disk, now);
    bench.connect();
    assert!(!is_opened(&bench, "topic"), "after a restart");
    assert!(is_opened(&bench, "other"), "after a restart");
    let mut state = kafka_wire::delete_topics_request::DeleteTopicState::default();
    state.name = Some("topic".into());
    let mut request = kafka_wire::DeleteTopicsRequest::default();
    request.topics = vec![state];
    bench.ask(3, 6, Request::DeleteTopics(request));
    bench.run();
    assert!(is_opened(&bench, "topic"), "its demand is gone with it");
}
