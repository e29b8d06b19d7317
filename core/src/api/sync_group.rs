//! SyncGroup: a member hears what it is assigned (K73).
//!
//! Decided by the group's shard, which keeps the request until the leader has said.

use kafka_wire::{SyncGroupRequest, SyncGroupResponse};

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &SyncGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let asked = broker.ask_group(
        now,
        from,
        &request.group_id,
        out,
        |shard, caller, _, out| {
            shard.sync_group(caller, request, out);
        },
    );
    match asked {
        Ok(()) => Handled::Parked,
        Err(code) => {
            let mut response = SyncGroupResponse::default();
            response.error_code = code.code();
            Handled::Reply(Reply::SyncGroup(response))
        }
    }
}
