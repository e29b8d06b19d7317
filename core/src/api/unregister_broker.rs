//! UnregisterBroker: a broker that is gone for good is forgotten.

use kafka_wire::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use kafka_wire_core::StrBytes;

use super::change::{Ground, propose};
use super::{Handled, Requester};
use crate::controller::Refusal;
use crate::controller::brokers::unregister;
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Longest wait for the change: the request carries no timeout of its own.
const TIMEOUT_MS: i32 = 30_000;

/// Unregisters a broker that is not there any more.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &UnregisterBrokerRequest,
    out: &mut Outbox,
) -> Handled {
    let decided = unregister(&Ground::of(broker).scene(), NodeId(request.broker_id));
    match decided {
        Ok(records) => {
            let answer = |failure: Option<ErrorCode>| told(failure.map(Refusal::bare));
            propose(broker, now, from, (records, TIMEOUT_MS), answer, out)
        }
        Err(refusal) => Handled::Reply(told(Some(refusal))),
    }
}

fn told(refusal: Option<Refusal>) -> Reply {
    let mut response = UnregisterBrokerResponse::default();
    response.error_message = None;
    if let Some(refusal) = refusal {
        response.error_code = refusal.code.code();
        response.error_message = refusal.message.as_deref().map(StrBytes::from);
    }
    Reply::UnregisterBroker(response)
}
