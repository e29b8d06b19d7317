//! Metadata: brokers, and topics with their partitions (K15-K23).
//!
//! Topics that are asked for by name and do not exist are created where the broker is configured
//! so; the answer does not wait for that (K16). Checked against Apache Kafka 4.3.1.

use std::collections::BTreeSet;

use kafka_wire::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_wire::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire_core::{EncodeError, StrBytes, Uuid};

use super::Requester;
use super::cluster_view::{
    CLUSTER_OPERATIONS, ClusterView, OPERATIONS_NOT_ASKED, Reporting, TOPIC_OPERATIONS,
};
use super::create_topics::create_automatically;
use super::describe::view;
use crate::controller::internal_topics::{CONSUMER_OFFSETS, is_internal};
use crate::controller::names::invalid_name;
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::metadata::image::TopicImage;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::metadata_reply::{MetadataReply, ToldPartition, ToldTopic, TopicsEncoder};
use crate::wire::request::Reply;

/// First version whose requests may name topics by id.
const TOPIC_ID_VERSION: i16 = 12;

/// An answer, and what else it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer.
    pub response: MetadataResponse,
    /// Topics to create: asked for by legal names that no topic has.
    pub to_create: Vec<StrBytes>,
}

/// Answers a Metadata request, and creates the topics it asks for where that is allowed.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &MetadataRequest,
    out: &mut Outbox,
) -> Reply {
    let version = from.version();
    if asks_for_all(version, request) {
        let view = view(broker, from);
        return Reply::Metadata(answer_of_all(&view, version, request));
    }
    let Answer {
        response,
        to_create,
    } = answer(&view(broker, from), version, request);
    if broker.config.auto_create_topics && !to_create.is_empty() {
        create_automatically(broker, now, &to_create, out);
    }
    Reply::Metadata(response.into())
}

/// Whether a request is about every topic: version 0 asks with an empty list, later ones with none
/// (K15).
fn asks_for_all(version: i16, request: &MetadataRequest) -> bool {
    match &request.topics {
        Some(topics) => version == 0 && topics.is_empty(),
        None => true,
    }
}

/// Answers a Metadata request of `version` for every topic: [`answer`], its topics encoded.
#[must_use]
pub fn answer_of_all(
    view: &ClusterView<'_>,
    version: i16,
    request: &MetadataRequest,
) -> MetadataReply {
    assert!(asks_for_all(version, request), "the caller has looked");
    let teller = Teller::new(view, version, request);
    let mut topics = TopicsEncoder::new(version, view.image.topics_count());
    for topic in view.image.topics() {
        let encoded = teller.encode(topic, &mut topics);
        encoded.expect("a topic's name and its partitions fit in a frame");
    }
    MetadataReply {
        response: without_topics(view, version, request),
        topics: Some(topics.end()),
    }
}

/// An answer's brokers, and whatever else is not topics.
fn without_topics(
    view: &ClusterView<'_>,
    version: i16,
    request: &MetadataRequest,
) -> MetadataResponse {
    let mut response = MetadataResponse::default();
    response.brokers = brokers(view);
    response.cluster_id = Some(StrBytes::from(view.cluster_id));
    response.controller_id = view.controller().0;
    if request.include_cluster_authorized_operations && (8..=10).contains(&version) {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

/// Answers a Metadata request of `version`.
#[must_use]
pub fn answer(view: &ClusterView<'_>, version: i16, request: &MetadataRequest) -> Answer {
    if let Some(code) = malformed(version, request) {
        let response = refusal(version, request, code);
        return Answer {
            response,
            to_create: Vec::new(),
        };
    }
    let mut answer = Answer {
        response: without_topics(view, version, request),
        to_create: Vec::new(),
    };
    let teller = Teller::new(view, version, request);
    if asks_for_all(version, request) {
        let topics = view.image.topics();
        answer.response.topics = topics.map(|topic| teller.tell(topic)).collect();
    } else {
        let topics = request.topics.as_deref().unwrap_or_default();
        teller.tell_some(topics, request.allow_auto_topic_creation, &mut answer);
    }
    answer
}

/// What makes a request as a whole refused: topics by id before they were invented, and topics
/// with neither name nor id, for which Kafka 4.3.1 has no better word than an unknown error.
fn malformed(version: i16, request: &MetadataRequest) -> Option<ErrorCode> {
    let topics = request.topics.as_deref().unwrap_or_default();
    if version < TOPIC_ID_VERSION {
        let is_early = |t: &MetadataRequestTopic| t.name.is_none() || t.topic_id != Uuid::default();
        return topics
            .iter()
            .any(is_early)
            .then_some(ErrorCode::InvalidRequest);
    }
    let is_id = |topic: &MetadataRequestTopic| topic.topic_id != Uuid::default();
    if topics.iter().any(is_id) {
        // Names beside ids are not looked at.
        return None;
    }
    let is_nameless = topics.iter().any(|topic| topic.name.is_none());
    is_nameless.then_some(ErrorCode::UnknownServerError)
}

fn refusal(version: i16, request: &MetadataRequest, code: ErrorCode) -> MetadataResponse {
    let mut response = MetadataResponse::default();
    if version >= 13 && code == ErrorCode::UnknownServerError {
        response.error_code = code.code();
    }
    for topic in request.topics.iter().flatten() {
        let mut refused = MetadataResponseTopic::default();
        refused.error_code = code.code();
        refused.name = Some(topic.name.clone().unwrap_or_default());
        refused.topic_id = topic.topic_id;
        response.topics.push(refused);
    }
    response
}

fn brokers(view: &ClusterView<'_>) -> Vec<MetadataResponseBroker> {
    view.alive()
        .map(|(broker, endpoint)| {
            let mut told = MetadataResponseBroker::default();
            told.node_id = broker.id.0;
            told.host = StrBytes::from(&*endpoint.host);
            told.port = i32::from(endpoint.port);
            told.rack = broker.rack.as_deref().map(StrBytes::from);
            told
        })
        .collect()
}

/// How topics are told to one client.
struct Teller<'a> {
    view: &'a ClusterView<'a>,
    operations: i32,
    reporting: Reporting,
}

impl<'a> Teller<'a> {
    fn new(view: &'a ClusterView<'a>, version: i16, request: &MetadataRequest) -> Self {
        let operations = if request.include_topic_authorized_operations {
            TOPIC_OPERATIONS
        } else {
            OPERATIONS_NOT_ASKED
        };
        Self {
            view,
            operations,
            reporting: Reporting {
                filters_replicas: version == 0,
                knows_listeners: version >= 6,
            },
        }
    }

    fn tell_some(&self, topics: &[MetadataRequestTopic], may_create: bool, answer: &mut Answer) {
        let ids: BTreeSet<TopicId> = topics
            .iter()
            .map(|topic| TopicId::from(topic.topic_id))
            .filter(|id| !id.is_zero())
            .collect();
        let told = &mut answer.response.topics;
        if !ids.is_empty() {
            told.extend(
                ids.into_iter()
                    .map(|id| match self.view.image.topic_by_id(id) {
                        Some(topic) => self.tell(topic),
                        None => self.tell_unknown_id(id),
                    }),
            );
            return;
        }
        let mut seen = BTreeSet::new();
        for name in topics.iter().filter_map(|topic| topic.name.as_ref()) {
            if !seen.insert(name) {
                continue;
            }
            told.push(match self.view.image.topic(name) {
                Some(topic) => self.tell(topic),
                None if invalid_name(name).is_some() => {
                    self.tell_missing(name, ErrorCode::InvalidTopicException)
                }
                None => {
                    // Of those of Kafka itself, only this has a room that it belongs to.
                    if may_create && (!is_internal(name) || **name == *CONSUMER_OFFSETS) {
                        answer.to_create.push(name.clone());
                    }
                    self.tell_missing(name, ErrorCode::UnknownTopicOrPartition)
                }
            });
        }
    }

    fn tell(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let mut told = MetadataResponseTopic::default();
        told.name = Some(StrBytes::from(&*topic.name));
        told.topic_id = topic.id.into();
        told.is_internal = is_internal(&topic.name);
        told.topic_authorized_operations = self.operations;
        told.partitions = topic
            .indexed()
            .map(|(index, partition)| {
                let place = self
                    .view
                    .place((topic.id, index), partition, self.reporting);
                let mut told = MetadataResponsePartition::default();
                told.error_code = place.error.code();
                told.partition_index = index.0;
                told.leader_id = place.leader.0;
                told.leader_epoch = place.leader_epoch.0;
                told.replica_nodes = place.replicas;
                told.isr_nodes = place.isr;
                told.offline_replicas = place.offline;
                told
            })
            .collect();
        assert_eq!(
            told.partitions.len(),
            topic.partitions.len(),
            "none is left out"
        );
        told
    }

    /// [`Self::tell`], encoded.
    fn encode(&self, topic: &TopicImage, encoder: &mut TopicsEncoder) -> Result<(), EncodeError> {
        let told = ToldTopic {
            name: &topic.name,
            id: topic.id.into(),
            is_internal: is_internal(&topic.name),
            operations: self.operations,
        };
        encoder.topic(&told, topic.partitions.len())?;
        for (index, partition) in topic.indexed() {
            let key = (topic.id, index);
            let (leader, error) = self.view.leader(key, partition, self.reporting);
            let told = ToldPartition {
                error_code: error.code(),
                index: index.0,
                leader: leader.0,
                leader_epoch: partition.leader_epoch.0,
            };
            encoder.partition(
                &told,
                self.view.told(&partition.replicas, self.reporting),
                self.view.isr(key, partition, self.reporting),
                self.view.offline(key, partition),
            )?;
        }
        encoder.end_topic(&told)
    }

    fn tell_missing(&self, name: &StrBytes, code: ErrorCode) -> MetadataResponseTopic {
        let mut told = MetadataResponseTopic::default();
        told.error_code = code.code();
        told.name = Some(name.clone());
        told.is_internal = is_internal(name);
        told.topic_authorized_operations = self.operations;
        told
    }

    /// A topic that no name is told of (K21).
    fn tell_unknown_id(&self, id: TopicId) -> MetadataResponseTopic {
        let mut told = MetadataResponseTopic::default();
        told.error_code = ErrorCode::UnknownTopicId.code();
        told.name = None;
        told.topic_id = id.into();
        told.topic_authorized_operations = OPERATIONS_NOT_ASKED;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NodeId, PartitionIndex};
    use crate::metadata::Delta;
    use crate::metadata::image::Image;
    use crate::metadata::records::{
        EndpointData, MetadataRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
    };
    use crate::wire::frame_writer::FrameWriter;

    fn broker(id: i32, fenced: bool) -> MetadataRecord {
        MetadataRecord::RegisterBroker(RegisterBrokerRecord {
            broker_id: NodeId(id),
            end_points: vec![EndpointData {
                name: "CLIENTS".into(),
                host: "h".into(),
                port: 9_092,
                security_protocol: 0,
            }],
            rack: fenced.then(|| "r".into()),
            fenced,
            ..RegisterBrokerRecord::default()
        })
    }

    fn topic(number: u8, name: &str, leaders: &[i32]) -> Vec<MetadataRecord> {
        let topic_id = TopicId([number; 16]);
        let mut records = vec![MetadataRecord::Topic(TopicRecord {
            name: name.into(),
            topic_id,
        })];
        records.extend(leaders.iter().zip(0..).map(|(&leader, index)| {
            MetadataRecord::Partition(PartitionRecord {
                partition_id: PartitionIndex(index),
                topic_id,
                replicas: [1, 2].map(NodeId).to_vec(),
                isr: vec![NodeId(1)],
                leader: NodeId(leader),
                ..PartitionRecord::default()
            })
        }));
        records
    }

    /// Brokers 1 and, fenced, 2; topics with leaders here, there and nowhere.
    fn image() -> Image {
        let mut records = vec![broker(1, false), broker(2, true)];
        records.extend(topic(7, "a", &[1, 2, -1]));
        records.extend(topic(3, CONSUMER_OFFSETS, &[1]));
        records.extend(topic(5, &"long".repeat(40), &[]));
        let mut image = Image::default();
        for record in records {
            let applied = image.apply(&record, &mut Delta::default());
            applied.expect("new brokers, new topics");
        }
        image
    }

    #[test]
    fn topics_that_are_encoded_at_once_are_the_same_bytes() {
        let image = image();
        let view = ClusterView::new(&image, "c", NodeId(1), "CLIENTS");
        for version in 0..=13 {
            let mut request = MetadataRequest::default();
            request.topics = (version == 0).then(Vec::new);
            for operations in [false, version >= 8] {
                // Older requests cannot ask for them.
                request.include_cluster_authorized_operations = operations;
                request.include_topic_authorized_operations = operations;
                let encode = |mut reply: MetadataReply| {
                    reply.response.throttle_time_ms = 7;
                    let mut writer = FrameWriter::default();
                    let encoded = reply.encode(version, &mut writer);
                    encoded.expect("every version can tell this");
                    let mut pieces = Vec::new();
                    writer.take(&mut pieces);
                    let bytes = pieces.into_iter().map(|piece| match piece {
                        crate::wire::request::Piece::Bytes(bytes) => bytes,
                        piece @ crate::wire::request::Piece::File { .. } => {
                            panic!("{piece:?} is no metadata")
                        }
                    });
                    bytes.collect::<Vec<_>>().concat()
                };
                let whole = answer(&view, version, &request).response;
                assert_eq!(whole.topics.len(), 3, "version {version}");
                let at_once = answer_of_all(&view, version, &request);
                assert!(at_once.response.topics.is_empty());
                assert_eq!(
                    encode(at_once),
                    encode(whole.into()),
                    "version {version}, operations {operations}"
                );
            }
        }
    }
}
