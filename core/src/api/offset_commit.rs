//! OffsetCommit: where a group's consumers go on (K78).
//!
//! Answered when the commit is on the disk; the group's shard keeps the request until then.

use kafka_wire::OffsetCommitRequest;

use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &OffsetCommitRequest,
    out: &mut Outbox,
) -> Handled {
    let group = &request.group_id;
    broker.ask_group(now, from, group, out, |shard, caller, image, out| {
        shard.offset_commit(now, caller, request, image, out);
    })
}
