//! OffsetDelete: committed offsets that a group needs no more (KIP-496, K83).

use kafka_wire::OffsetDeleteResponse;
use kafka_wire::offset_delete_request::OffsetDeleteRequest;

use super::group_writes::{GroupsReply, finish, park};
use super::{Handled, Requester};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Deletes the offsets; the answer leaves when that is written.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &OffsetDeleteRequest,
    out: &mut Outbox,
) -> Handled {
    let id = park(
        broker,
        from,
        GroupsReply::OffsetDelete(OffsetDeleteResponse::default()),
    );
    broker.delete_offsets(now, request, (id, 0), out);
    finish(broker, id, out)
}
