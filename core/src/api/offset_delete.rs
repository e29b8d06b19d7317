//! OffsetDelete: committed offsets that a group needs no more (KIP-496, K83).

use kafka_wire::OffsetDeleteResponse;
use kafka_wire::offset_delete_request::OffsetDeleteRequest;

use super::group_writes::{GroupsReply, expect, finish, park, reply_mut};
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
    expect(broker, id);
    let (response, is_written_later) = match broker.delete_offsets(now, request, (id, 0), out) {
        Ok(deleted) => deleted,
        Err(code) => {
            let mut refused = OffsetDeleteResponse::default();
            refused.error_code = code.code();
            (refused, false)
        }
    };
    if let Some(reply) = reply_mut(broker, id) {
        *reply = GroupsReply::OffsetDelete(response);
    }
    if !is_written_later {
        super::group_writes::on_written(broker, (id, 0), Ok(()), out);
    }
    finish(broker, id, out)
}
