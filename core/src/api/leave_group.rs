//! LeaveGroup: members leave their group before their sessions end (K77).

use kafka_wire::LeaveGroupRequest;

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &LeaveGroupRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    broker.ask_group(now, from, group, out, |shard, caller, _image, out| {
        shard.leave_group(now, caller, request, out);
    })
}
