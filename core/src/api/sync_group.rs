//! SyncGroup: a member hears what it is assigned (K73).
//!
//! Decided by the group's shard, which keeps the request until the leader has said.

use kafka_wire::SyncGroupRequest;

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &SyncGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    broker.ask_group(now, from, group, out, |shard, caller, _image, out| {
        shard.sync_group(caller, request, out);
    })
}
