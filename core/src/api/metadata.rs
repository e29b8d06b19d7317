//! Metadata: brokers, and topics with their partitions (K15-K23).
//!
//! Topics that are asked for by name and do not exist are created where the broker is configured
//! so; the answer does not wait for that (K16). Checked against Apache Kafka 4.3.1.

use std::collections::BTreeSet;

use kafka_wire::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_wire::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_wire_core::{StrBytes, Uuid};

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
    let Answer {
        response,
        to_create,
    } = answer(&view(broker, from), from.version(), request);
    if broker.config.auto_create_topics && !to_create.is_empty() {
        create_automatically(broker, now, &to_create, out);
    }
    Reply::Metadata(response)
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
        response: MetadataResponse::default(),
        to_create: Vec::new(),
    };
    answer.response.brokers = brokers(view);
    answer.response.cluster_id = Some(StrBytes::from(view.cluster_id));
    answer.response.controller_id = view.controller().0;
    if request.include_cluster_authorized_operations && (8..=10).contains(&version) {
        answer.response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    let operations = if request.include_topic_authorized_operations {
        TOPIC_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let teller = Teller {
        view,
        operations,
        reporting: Reporting {
            filters_replicas: version == 0,
            knows_listeners: version >= 6,
        },
    };
    match &request.topics {
        Some(topics) if version > 0 || !topics.is_empty() => {
            teller.tell_some(topics, request.allow_auto_topic_creation, &mut answer);
        }
        // Version 0 asks for all with an empty list, later ones with none (K15).
        Some(_) | None => {
            answer.response.topics = view
                .image
                .topics()
                .map(|topic| teller.tell(topic))
                .collect();
        }
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

impl Teller<'_> {
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
                let place = self.view.place(partition, self.reporting);
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
