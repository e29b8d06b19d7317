//! CreateTopics: new topics, decided by the controller (K24).
//!
//! The answer leaves once this broker serves the topics' metadata, as Kafka's does.

use kafka_wire::create_topics_request::CreatableTopic;
use kafka_wire::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_wire::{CreateTopicsRequest, CreateTopicsResponse};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::config::Settings;
use crate::config::describe::describe_topic;
use crate::controller::Decision;
use crate::controller::internal_topics::{CONSUMER_OFFSETS, consumer_offsets, is_internal};
use crate::controller::topics::{CreatedTopic, NewTopic, TopicCreation, create_topics};
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::ids::NodeId;
use crate::node::Broker;
use crate::node::broker::event;
use crate::node::door::Outbox;
use crate::quota::throttle::Allowance;
use crate::time::Now;
use crate::wire::request::Reply;

/// First version that is refused what is too much; older ones wait for it afterwards (KIP-599).
const STRICT_VERSION: i16 = 6;

/// Creates the topics of a request, or tells what creating them would do.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &CreateTopicsRequest,
    out: &mut Outbox,
) -> Handled {
    let topics: Vec<NewTopic> = request.topics.iter().map(new_topic).collect();
    let is_strict = from.version() >= STRICT_VERSION;
    let mut allowance = broker.throttle.allowance(now, from.reply_to, is_strict);
    let ground = Ground::of(broker);
    let Decision { records, results } =
        create_topics(&ground.scene(), &mut broker.rng, &mut allowance, &topics);
    drop(ground);
    broker.throttle.on_changed(now, from.reply_to, allowance);
    let settings = broker.settings.clone();
    let answer =
        |failure: Option<ErrorCode>| Reply::CreateTopics(response(&settings, &results, failure));
    if request.validate_only {
        return Handled::Reply(answer(None));
    }
    let change = (records, request.timeout_ms);
    propose(broker, now, from, change, answer, out)
}

/// Creates topics because a client asked for their metadata (K16) or needs them: with the broker's
/// defaults, those of Kafka itself as their rooms want them. Nobody waits for it, and who wants to
/// know asks again.
pub(super) fn create_automatically(
    broker: &mut Broker,
    now: Now,
    names: &[StrBytes],
    out: &mut Outbox,
) {
    let brokers = broker.image.brokers().count();
    let topics: Vec<NewTopic> = names
        .iter()
        .map(|name| match &**name {
            CONSUMER_OFFSETS => consumer_offsets(&broker.config, brokers),
            name => NewTopic {
                name: name.to_owned(),
                partitions: -1,
                replication_factor: -1,
                assignments: Vec::new(),
                configs: Vec::new(),
            },
        })
        .collect();
    let mut allowance = Allowance::unlimited();
    let ground = Ground::of(broker);
    let decision = create_topics(&ground.scene(), &mut broker.rng, &mut allowance, &topics);
    drop(ground);
    for result in &decision.results {
        if let Err(refusal) = &result.outcome
            && is_internal(&result.name)
            && refusal.code != ErrorCode::TopicAlreadyExists
        {
            let why = refusal.message.as_deref().unwrap_or(refusal.code.name());
            let what = format!("the topic could not be created, and clients wait for it: {why}");
            out.events.push(event(Severity::Error, &result.name, what));
        }
    }
    if !decision.records.is_empty() {
        // Where it cannot be written now, the next request for the metadata tries again.
        let _ = broker.propose_unanswered(now, decision.records, out);
    }
}

fn new_topic(asked: &CreatableTopic) -> NewTopic {
    NewTopic {
        name: asked.name.to_string(),
        partitions: asked.num_partitions,
        replication_factor: asked.replication_factor,
        assignments: asked
            .assignments
            .iter()
            .map(|assignment| {
                let brokers = assignment.broker_ids.iter().copied().map(NodeId);
                (assignment.partition_index, brokers.collect())
            })
            .collect(),
        configs: asked
            .configs
            .iter()
            .map(|config| {
                let value = config.value.as_ref().map(ToString::to_string);
                (config.name.to_string(), value)
            })
            .collect(),
    }
}

fn response(
    settings: &Settings,
    results: &[TopicCreation],
    failure: Option<ErrorCode>,
) -> CreateTopicsResponse {
    let mut response = CreateTopicsResponse::default();
    response.topics = results
        .iter()
        .map(|result| {
            let mut told = match (&result.outcome, failure) {
                (Ok(created), None) => told_created(settings, created),
                (Ok(_), Some(code)) => refused(code, None),
                (Err(refusal), _) => refused(refusal.code, refusal.message.as_deref()),
            };
            told.name = StrBytes::from(result.name.as_str());
            told
        })
        .collect();
    response
}

fn told_created(settings: &Settings, created: &CreatedTopic) -> CreatableTopicResult {
    let mut told = CreatableTopicResult::default();
    told.topic_id = created.id.into();
    told.error_message = None;
    told.num_partitions = created.partitions;
    told.replication_factor = created.replication_factor;
    let configs = describe_topic(settings, &created.configs);
    let configs = configs.into_iter().map(|entry| {
        let mut told = CreatableTopicConfigs::default();
        told.name = StrBytes::from(entry.name);
        told.value = entry.value.map(StrBytes::from);
        told.read_only = entry.read_only;
        told.config_source = entry.source.wire_code();
        told.is_sensitive = entry.sensitive;
        told
    });
    told.configs = Some(configs.collect());
    told
}

fn refused(code: ErrorCode, message: Option<&str>) -> CreatableTopicResult {
    let mut told = CreatableTopicResult::default();
    told.error_code = code.code();
    told.error_message = message.map(StrBytes::from);
    told.num_partitions = -1;
    told.replication_factor = -1;
    told.configs = Some(Vec::new());
    told
}
