//! The commands that are requests.

use std::collections::BTreeMap;

use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use ottla_core::ids::{PartitionIndex, ProducerEpoch, ProducerId, Sequence, TopicId};
use ottla_core::one_or_many::OneOrMany;
use ottla_core::time::Now;
use ottla_core::wire::batch::{Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;
use ottla_core::wire::request::{ProduceInput, ProducePartition, ProduceTopic, Request};

/// A command with its named values.
pub(crate) struct Command<'a> {
    pub(crate) name: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let mut subject = "";
        let mut values = BTreeMap::new();
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => {
                    values.insert(name, value);
                }
                None => subject = word,
            }
        }
        Self {
            name,
            subject,
            values,
        }
    }

    /// The values that are not about the request itself.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let values = self.values.iter().map(|(name, value)| (*name, *value));
        values.filter(|(name, _)| !["client", "frame", "version"].contains(name))
    }

    pub(crate) fn number(&self, name: &str, default: i64) -> i64 {
        let text = self.values.get(name);
        text.map_or(default, |text| text.parse().expect("a number"))
    }

    pub(crate) fn small(&self, name: &str, default: i32) -> i32 {
        i32::try_from(self.number(name, i64::from(default))).expect("an int32")
    }
}

/// A version of each API that names topics.
pub(crate) fn version(command: &str) -> i32 {
    match command {
        "alter" | "quota" => 1,
        "create" => 7,
        "delete-records" => 2,
        "epoch-end" => 4,
        "fetch" => 11,
        "list" => 7,
        "produce" => 9,
        other => panic!("{other} is no command"),
    }
}

pub(crate) fn request(command: &Command<'_>, now: Now) -> Request {
    match command.name {
        "create" => {
            let mut topic = CreatableTopic::default();
            topic.name = command.subject.into();
            topic.num_partitions = 1;
            topic.replication_factor = 1;
            for (name, value) in command.properties() {
                let mut config = CreatableTopicConfig::default();
                config.name = name.into();
                config.value = Some(value.into());
                topic.configs.push(config);
            }
            let mut request = kafka_wire::CreateTopicsRequest::default();
            request.topics = vec![topic];
            request.timeout_ms = 1_000;
            Request::CreateTopics(request)
        }
        "delete-records" => {
            let mut partition = DeleteRecordsPartition::default();
            partition.offset = command.number("offset", -1);
            let mut topic = DeleteRecordsTopic::default();
            topic.name = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::DeleteRecordsRequest::default();
            request.topics = vec![topic];
            request.timeout_ms = 1_000;
            Request::DeleteRecords(request)
        }
        "epoch-end" => {
            let mut partition = OffsetForLeaderPartition::default();
            partition.current_leader_epoch = -1;
            partition.leader_epoch = command.small("epoch", 0);
            let mut topic = OffsetForLeaderTopic::default();
            topic.topic = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::OffsetForLeaderEpochRequest::default();
            request.topics = vec![topic];
            Request::OffsetForLeaderEpoch(request)
        }
        "alter" => alter(command),
        "fetch" => fetch(command),
        "list" => {
            let mut partition = ListOffsetsPartition::default();
            partition.current_leader_epoch = -1;
            partition.timestamp = command.number("at", -1);
            let mut topic = ListOffsetsTopic::default();
            topic.name = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::ListOffsetsRequest::default();
            request.replica_id = -1;
            request.topics = vec![topic];
            Request::ListOffsets(request)
        }
        "produce" => produce(command, now),
        "quota" => quota(command),
        other => panic!("{other} is no command"),
    }
}

/// Kinds of resource: a topic, a broker.
pub(crate) const KINDS: (i8, i8) = (2, 4);

pub(crate) fn alter(command: &Command<'_>) -> Request {
    let mut resource = AlterConfigsResource::default();
    (resource.resource_type, resource.resource_name) = match command.subject {
        "broker" => (KINDS.1, "1".into()),
        "brokers" => (KINDS.1, "".into()),
        topic => (KINDS.0, topic.into()),
    };
    for (name, value) in command.properties() {
        let mut config = AlterableConfig::default();
        config.name = name.into();
        config.config_operation = i8::from(value.is_empty());
        config.value = Some(value.into());
        resource.configs.push(config);
    }
    let mut request = kafka_wire::IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource];
    Request::IncrementalAlterConfigs(request)
}

pub(crate) fn quota(command: &Command<'_>) -> Request {
    let mut entity = EntityData::default();
    entity.entity_type = "client-id".into();
    entity.entity_name = Some(command.subject.into());
    let mut entry = EntryData::default();
    entry.entity = vec![entity];
    for (name, value) in command.properties() {
        let mut op = OpData::default();
        op.key = name.into();
        op.remove = value.is_empty();
        op.value = value.parse().unwrap_or(0.0);
        entry.ops.push(op);
    }
    let mut request = kafka_wire::AlterClientQuotasRequest::default();
    request.entries = vec![entry];
    Request::AlterClientQuotas(request)
}

pub(crate) fn fetch(command: &Command<'_>) -> Request {
    let mut partition = FetchPartition::default();
    partition.current_leader_epoch = command.small("leader-epoch", -1);
    partition.fetch_offset = command.number("offset", 0);
    partition.last_fetched_epoch = -1;
    partition.log_start_offset = -1;
    partition.partition_max_bytes = command.small("bytes", 1 << 20);
    let mut topic = FetchTopic::default();
    topic.topic = command.subject.into();
    topic.partitions = vec![partition];
    let mut request = kafka_wire::FetchRequest::default();
    request.replica_id = -1;
    request.max_wait_ms = command.small("wait", 0);
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_epoch = -1;
    request.topics = vec![topic];
    Request::Fetch(request)
}

pub(crate) fn produce(command: &Command<'_>, now: Now) -> Request {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(producer) = command.values.get("producer") {
        let numbers: Vec<i64> = producer.split(':').map(|n| n.parse().expect("n")).collect();
        let epoch = ProducerEpoch(i16::try_from(numbers[1]).expect("an int16"));
        let sequence = Sequence(i32::try_from(numbers[2]).expect("an int32"));
        builder = builder.producer(ProducerId(numbers[0]), epoch, sequence);
    }
    let value = vec![b'v'; usize::try_from(command.number("size", 20)).expect("a size")];
    let mut time = now.wall;
    time.0 += command.number("time", 0);
    for _ in 0..command.number("records", 1) {
        builder.push(time, None, Some(&value));
    }
    let acks = match command.values.get("acks") {
        Some(&"0") => 0,
        Some(&"1") => 1,
        _all => -1,
    };
    Request::Produce(ProduceInput {
        transactional_id: None,
        acks,
        timeout_ms: command.small("timeout", 1_000),
        topics: OneOrMany::One(ProduceTopic {
            name: command.subject.into(),
            topic_id: TopicId::ZERO,
            partitions: OneOrMany::One(ProducePartition {
                index: PartitionIndex(0),
                batch: PreparedBatch::from_client(builder.build(), 9),
            }),
        }),
    })
}
