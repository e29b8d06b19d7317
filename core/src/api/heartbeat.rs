//! Heartbeat: a member is alive, and hears whether it must join again (K71).

use kafka_wire::HeartbeatRequest;

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &HeartbeatRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    broker.ask_group(now, from, group, out, |shard, caller, _image, out| {
        shard.heartbeat(now, caller, request, out);
    })
}
