//! FindCoordinator: the broker that a group belongs to (K84).
//!
//! A group belongs to the leader of its partition of `__consumer_offsets`; the topic is created
//! when somebody first asks. There are no coordinators of transactions and share groups yet.

use kafka_wire::find_coordinator_response::Coordinator;
use kafka_wire::{FindCoordinatorRequest, FindCoordinatorResponse};
use kafka_wire_core::StrBytes;

use super::Requester;
use super::cluster_view::Reporting;
use super::create_topics::create_automatically;
use super::describe::view;
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::error::ErrorCode;
use crate::ids::{NodeId, TopicId};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// First version that asks for several keys.
const SEVERAL_KEYS_VERSION: i16 = 4;

/// First version that knows share groups.
const SHARE_VERSION: i16 = 6;

/// Whose coordinator is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum KeyType {
    Group,
    Share,
    Transaction,
}

/// What is answered for one key.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Found {
    At {
        node: NodeId,
        host: StrBytes,
        port: u16,
    },
    Not(ErrorCode, Option<&'static str>),
}

/// Answers where the coordinators of the keys are.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &FindCoordinatorRequest,
    out: &mut Outbox,
) -> Reply {
    let mut response = FindCoordinatorResponse::default();
    response.error_message = None;
    if from.version() < SEVERAL_KEYS_VERSION {
        match find(broker, now, from, (request.key_type, &request.key), out) {
            Found::At { node, host, port } => {
                response.error_message = Some(StrBytes::from("NONE"));
                response.node_id = node.0;
                response.host = host;
                response.port = i32::from(port);
            }
            Found::Not(code, message) => {
                response.error_code = code.code();
                response.error_message = Some(StrBytes::from(message.unwrap_or(code.name())));
                response.node_id = NodeId::NONE.0;
                response.port = -1;
            }
        }
        return Reply::FindCoordinator(response);
    }
    for key in &request.coordinator_keys {
        let mut told = Coordinator::default();
        told.key = key.clone();
        told.error_message = Some(StrBytes::default());
        match find(broker, now, from, (request.key_type, key), out) {
            Found::At { node, host, port } => {
                told.node_id = node.0;
                told.host = host;
                told.port = i32::from(port);
            }
            Found::Not(code, message) => {
                told.error_code = code.code();
                told.error_message = Some(StrBytes::from(message.unwrap_or_default()));
                told.node_id = NodeId::NONE.0;
                told.port = -1;
            }
        }
        response.coordinators.push(told);
    }
    Reply::FindCoordinator(response)
}

fn find(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    (key_type, key): (i8, &StrBytes),
    out: &mut Outbox,
) -> Found {
    match key_type_of(key_type) {
        None => Found::Not(ErrorCode::InvalidRequest, Some("Unknown coordinator type.")),
        Some(KeyType::Group) => group_coordinator(broker, now, from, key, out),
        Some(KeyType::Share) if from.version() < SHARE_VERSION || !is_share_key(key) => {
            Found::Not(ErrorCode::InvalidRequest, None)
        }
        Some(KeyType::Share) => Found::Not(
            ErrorCode::UnsupportedVersion,
            Some("There are no share groups yet."),
        ),
        Some(KeyType::Transaction) => Found::Not(
            no_transactions(from.version()),
            Some("There are no transactions yet."),
        ),
    }
}

/// Ends the client that wants a transaction at once, with the message that goes with the code.
///
/// librdkafka asks again for ever, unless it is told that it may not: it knows versions up to 2. At
/// later versions Kafka's own client shows the message of any code but that of a missing right.
fn no_transactions(version: i16) -> ErrorCode {
    match version {
        ..=2 => ErrorCode::TransactionalIdAuthorizationFailed,
        3.. => ErrorCode::UnsupportedVersion,
    }
}

fn group_coordinator(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    group: &str,
    out: &mut Outbox,
) -> Found {
    let Some(topic) = broker.image.topic(CONSUMER_OFFSETS).cloned() else {
        create_automatically(broker, now, &[StrBytes::from(CONSUMER_OFFSETS)], out);
        return Found::Not(ErrorCode::CoordinatorNotAvailable, None);
    };
    let index = broker.groups.partition_of(group);
    let view = view(broker, from);
    let leader = index.and_then(|index| {
        let partition = topic.partition(index)?;
        let key = (topic.id, index);
        Some(view.leader(key, partition, Reporting::default()).0)
    });
    let mut alive = view.alive();
    match alive.find(|(node, _)| Some(node.id) == leader) {
        Some((node, endpoint)) => Found::At {
            node: node.id,
            host: StrBytes::from(&*endpoint.host),
            port: endpoint.port,
        },
        None => Found::Not(ErrorCode::CoordinatorNotAvailable, None),
    }
}

fn key_type_of(code: i8) -> Option<KeyType> {
    match code {
        0 => Some(KeyType::Group),
        1 => Some(KeyType::Transaction),
        2 => Some(KeyType::Share),
        _unknown => None,
    }
}

/// Whether a key names a group's partition as share groups do: `group:topic id:partition`.
fn is_share_key(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().and_then(|text| text.parse::<u32>().ok());
    let topic = parts.next().and_then(TopicId::parse);
    let group = parts.next();
    partition.is_some() && topic.is_some() && group.is_some_and(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_ends_each_client_at_once() {
        let of_librdkafka = ErrorCode::TransactionalIdAuthorizationFailed;
        assert_eq!([1, 2].map(no_transactions), [of_librdkafka; 2]);
        assert_eq!(
            [3, 6].map(no_transactions),
            [ErrorCode::UnsupportedVersion; 2]
        );
    }

    #[test]
    fn share_keys() {
        let id = "AAAAAAAAAAAAAAAAAAAAAQ";
        for (key, expected) in [
            (format!("g:{id}:0"), true),
            (format!("a:b:{id}:12"), true),
            (format!(":{id}:0"), false),
            (format!("g:{id}:-1"), false),
            (format!("g:{id}"), false),
            ("g".to_owned(), false),
        ] {
            assert_eq!(is_share_key(&key), expected, "{key}");
        }
    }
}
