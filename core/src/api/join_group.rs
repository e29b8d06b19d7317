//! JoinGroup: a member joins a group, or joins it again after a change (K68-K76).
//!
//! Decided by the group's shard, which keeps the request until the rebalance has come to an end.

use kafka_wire::{JoinGroupRequest, JoinGroupResponse};
use kafka_wire_core::StrBytes;

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// First version whose answer may be without a protocol.
const NULLABLE_PROTOCOL_VERSION: i16 = 7;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &JoinGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let asked = broker.ask_group(
        now,
        from,
        &request.group_id,
        out,
        |shard, caller, _, out| {
            shard.join_group(now, caller, request, out);
        },
    );
    match asked {
        Ok(()) => Handled::Parked,
        Err(code) => Handled::Reply(Reply::JoinGroup(refusal(from.version(), code))),
    }
}

/// Who is not the coordinator, or not yet, tells no member's id; Kafka 4.3.1 does not either.
fn refusal(version: i16, code: ErrorCode) -> JoinGroupResponse {
    let mut response = JoinGroupResponse::default();
    response.error_code = code.code();
    response.generation_id = -1;
    response.protocol_name = (version < NULLABLE_PROTOCOL_VERSION).then(StrBytes::default);
    response
}
