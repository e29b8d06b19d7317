//! LeaveGroup: members leave their group before their sessions end (K77).

use kafka_wire::{LeaveGroupRequest, LeaveGroupResponse};

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
    request: &LeaveGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let asked = broker.ask_group(
        now,
        from,
        &request.group_id,
        out,
        |shard, caller, _, out| {
            shard.leave_group(now, caller, request, out);
        },
    );
    match asked {
        Ok(()) => Handled::Parked,
        Err(code) => {
            let mut response = LeaveGroupResponse::default();
            response.error_code = code.code();
            Handled::Reply(Reply::LeaveGroup(response))
        }
    }
}
