//! JoinGroup: a member joins a group, or joins it again after a change (K68-K76).
//!
//! Decided by the group's shard, which keeps the request until the rebalance has come to an end.

use kafka_wire::JoinGroupRequest;

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &JoinGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    broker.ask_group(now, from, group, out, |shard, caller, _image, out| {
        shard.join_group(now, caller, request, out);
    })
}
