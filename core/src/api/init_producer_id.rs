//! InitProducerId: an identity for an idempotent producer (KIP-98).
//!
//! Transactional producers come with the transaction coordinator; until then they are told that the
//! version is not supported, at once.

use std::time::Duration;

use kafka_wire::init_producer_id_request::InitProducerIdRequest;
use kafka_wire::init_producer_id_response::InitProducerIdResponse;

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::ids::ProducerId;
use crate::metadata::records::{MetadataRecord, ProducerIdsRecord};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::node::producer_ids::BLOCK_IDS;
use crate::time::Now;
use crate::wire::request::Reply;

/// How long a producer waits for a block to be reserved (Kafka's request timeout).
const BLOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Hands out a producer id; the first of a block waits until the block is reserved durably.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &InitProducerIdRequest,
    out: &mut Outbox,
) -> Handled {
    match &request.transactional_id {
        Some(id) if id.is_empty() => return Handled::Reply(refused(ErrorCode::InvalidRequest)),
        Some(_) => return Handled::Reply(refused(ErrorCode::UnsupportedVersion)),
        None => {}
    }
    if let Some(id) = broker.producer_ids.take() {
        return wait_or_answer(broker, now, from, id);
    }
    let start = broker.controller_image.next_producer_id();
    let record = MetadataRecord::ProducerIds(ProducerIdsRecord {
        broker_id: broker.identity.node,
        broker_epoch: broker.identity.broker_epoch,
        next_producer_id: ProducerId(start.0 + BLOCK_IDS),
    });
    if let Err(code) = broker.propose_unanswered(now, vec![record], out) {
        return Handled::Reply(refused(code));
    }
    broker.producer_ids.begin_block(start.0);
    let id = broker.producer_ids.take().expect("the block just began");
    wait_or_answer(broker, now, from, id)
}

/// Answers an id, once the metadata that reserves it is committed.
fn wait_or_answer(broker: &mut Broker, now: Now, from: &Requester, id: ProducerId) -> Handled {
    if broker.is_reserved(id) {
        return Handled::Reply(granted(id));
    }
    let deadline = now.after(BLOCK_TIMEOUT);
    let timed_out = refused(ErrorCode::RequestTimedOut);
    let end_offset = broker.quorum.log_end_offset();
    broker.await_metadata(
        end_offset,
        from.reply_to,
        (granted(id), timed_out),
        deadline,
    );
    Handled::Parked
}

fn granted(id: ProducerId) -> Reply {
    let mut response = InitProducerIdResponse::default();
    response.producer_id = id.0;
    response.producer_epoch = 0;
    Reply::InitProducerId(response)
}

fn refused(code: ErrorCode) -> Reply {
    let mut response = InitProducerIdResponse::default();
    response.error_code = code.code();
    response.producer_id = -1;
    response.producer_epoch = -1;
    Reply::InitProducerId(response)
}
