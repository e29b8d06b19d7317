//! DeleteTopics: topics with all they hold, by name or by id (K26).

use kafka_wire::delete_topics_response::DeletableTopicResult;
use kafka_wire::{DeleteTopicsRequest, DeleteTopicsResponse};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::Decision;
use crate::controller::topics::{TopicDeletion, TopicReference, delete_topics};
use crate::error::ErrorCode;
use crate::ids::TopicId;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// First version that names topics by name or id.
const TOPIC_ID_VERSION: i16 = 6;

/// First version whose answer has messages.
const MESSAGE_VERSION: i16 = 5;

/// First version that is refused what is too much; older ones wait for it afterwards (KIP-599).
const STRICT_VERSION: i16 = 5;

/// Deletes the topics of a request.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &DeleteTopicsRequest,
    out: &mut Outbox,
) -> Handled {
    let version = from.version();
    let topics = references(version, request);
    let is_strict = from.version() >= STRICT_VERSION;
    let mut allowance = broker.throttle.allowance(now, from.reply_to, is_strict);
    let Decision { records, results } =
        delete_topics(&Ground::of(broker).scene(), &mut allowance, &topics);
    broker.throttle.on_changed(now, from.reply_to, allowance);
    let answer =
        |failure: Option<ErrorCode>| Reply::DeleteTopics(response(version, &results, failure));
    let change = (records, request.timeout_ms);
    propose(broker, now, from, change, answer, out)
}

fn references(version: i16, request: &DeleteTopicsRequest) -> Vec<TopicReference> {
    let by_name = |name: &StrBytes| TopicReference {
        name: Some(name.to_string()),
        id: TopicId::ZERO,
    };
    if version < TOPIC_ID_VERSION {
        return request.topic_names.iter().map(by_name).collect();
    }
    let topics = request.topics.iter().map(|topic| TopicReference {
        name: topic.name.as_ref().map(ToString::to_string),
        id: topic.topic_id.into(),
    });
    topics.collect()
}

fn response(
    version: i16,
    results: &[TopicDeletion],
    failure: Option<ErrorCode>,
) -> DeleteTopicsResponse {
    let mut response = DeleteTopicsResponse::default();
    response.responses = results
        .iter()
        .map(|result| {
            let mut told = DeletableTopicResult::default();
            told.name = result.name.as_deref().map(StrBytes::from);
            told.topic_id = result.id.into();
            told.error_message = None;
            let (code, message) = match (&result.outcome, failure) {
                (Ok(()), None) => (ErrorCode::None, None),
                (Ok(()), Some(code)) => (code, None),
                (Err(refusal), _) => (refusal.code, refusal.message.as_deref()),
            };
            told.error_code = code.code();
            if version >= MESSAGE_VERSION {
                told.error_message = message.map(StrBytes::from);
            }
            told
        })
        .collect();
    response
}
