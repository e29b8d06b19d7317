//! Requests whose answer waits for writes of several groups: DeleteGroups, OffsetDelete.
//!
//! The disk commits or loses every write, so such a wait has no deadline.

use kafka_wire::{DeleteGroupsResponse, OffsetDeleteResponse};

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::group::Shard;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::node::wait::Wait;
use crate::waiting::WaitId;
use crate::wire::request::Reply;

/// A request whose writes are under way.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupsWait {
    /// The answer if all goes well.
    pub reply: GroupsReply,
    /// How many writes are still to come, and one while the request is still looked at.
    pub left: u32,
}

/// An answer that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupsReply {
    /// To a DeleteGroups; a part is the place of a result.
    DeleteGroups(DeleteGroupsResponse),
    /// To an OffsetDelete, which has one part.
    OffsetDelete(OffsetDeleteResponse),
}

/// Parks a request before its writes are asked for.
pub(super) fn park(broker: &mut Broker, from: &Requester, reply: GroupsReply) -> WaitId {
    let wait = GroupsWait { reply, left: 1 };
    broker.waiting.park(from.reply_to, None, Wait::Groups(wait))
}

/// The request was looked at as a whole.
pub(super) fn finish(broker: &mut Broker, id: WaitId, out: &mut Outbox) -> Handled {
    on_written(broker, (id, 0), Ok(()), out);
    Handled::Parked
}

/// One write more is to come.
pub fn expect(broker: &mut Broker, id: WaitId) {
    if let Some(Wait::Groups(wait)) = broker.waiting.get_mut(id) {
        wait.left += 1;
    }
}

/// Says what the answer is if all goes well; before the writes are asked for, which may fail at
/// once.
pub fn answer_with(broker: &mut Broker, id: WaitId, reply: GroupsReply) {
    if let Some(told) = reply_mut(broker, id) {
        *told = reply;
    }
}

/// The answer, to fill in.
pub(super) fn reply_mut(broker: &mut Broker, id: WaitId) -> Option<&mut GroupsReply> {
    match broker.waiting.get_mut(id) {
        Some(Wait::Groups(wait)) => Some(&mut wait.reply),
        Some(_) | None => None,
    }
}

/// A write is committed, or lost for the log's reason; answers the request when it was the last.
pub fn on_written(
    broker: &mut Broker,
    (id, at): (WaitId, u32),
    result: Result<(), ErrorCode>,
    out: &mut Outbox,
) {
    let Some(Wait::Groups(wait)) = broker.waiting.get_mut(id) else {
        // Its client is gone.
        return;
    };
    if let Err(code) = result {
        wait.reply.fail(at, Shard::write_error(code));
    }
    assert!(wait.left > 0, "each write ends once");
    wait.left -= 1;
    if wait.left == 0
        && let Some((reply_to, Wait::Groups(wait))) = broker.waiting.take(id)
    {
        out.reply(reply_to, wait.reply.into());
    }
}

impl GroupsReply {
    fn fail(&mut self, at: u32, code: ErrorCode) {
        match self {
            Self::DeleteGroups(response) => {
                if let Some(result) = response.results.get_mut(at as usize) {
                    result.error_code = code.code();
                }
            }
            Self::OffsetDelete(response) => {
                response.error_code = code.code();
                response.topics.clear();
            }
        }
    }
}

impl From<GroupsReply> for Reply {
    fn from(reply: GroupsReply) -> Self {
        match reply {
            GroupsReply::DeleteGroups(response) => Self::DeleteGroups(response),
            GroupsReply::OffsetDelete(response) => Self::OffsetDelete(response),
        }
    }
}
