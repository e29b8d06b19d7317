//! Heartbeat: a member is alive, and hears whether it must join again (K71).

use kafka_wire::{HeartbeatRequest, HeartbeatResponse};

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::request::Reply;

/// Hands the request to the group's shard.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &HeartbeatRequest,
    out: &mut Outbox,
) -> Handled {
    let asked = broker.ask_group(
        now,
        from,
        &request.group_id,
        out,
        |shard, caller, _, out| {
            shard.heartbeat(now, caller, request, out);
        },
    );
    match asked {
        Ok(()) => Handled::Parked,
        Err(code) => {
            // A member that says it is there has nothing to do while groups load: Kafka 4.3.1
            // answers so, and its own consumer takes the other code for fatal.
            let is_loading = code == ErrorCode::CoordinatorLoadInProgress;
            let code = if is_loading { ErrorCode::None } else { code };
            let mut response = HeartbeatResponse::default();
            response.error_code = code.code();
            Handled::Reply(Reply::Heartbeat(response))
        }
    }
}
