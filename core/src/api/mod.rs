//! One file per API: a request becomes calls on the rooms, and their answers a reply.
//!
//! Handlers translate; what a request may do is decided by the rooms they call. A handler that
//! cannot answer yet parks the request in `Broker::waiting`.

use std::sync::Arc;

use crate::ids::ListenerId;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::waiting::ReplyTo;
use crate::wire::request::{Reply, Request, RequestHead};

pub mod delete_records;
pub mod fetch;
pub mod init_producer_id;
pub mod list_offsets;
pub mod offset_for_leader_epoch;
pub mod produce;

/// Who asks, and where the answer goes.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// The listener the client came to.
    pub listener: ListenerId,
    /// The client's address, without the port.
    pub peer_host: Arc<str>,
    /// API, version, client id.
    pub head: RequestHead,
}

impl Requester {
    /// The version the client speaks.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.head.version
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved once, straight into the outbox"
)]
pub enum Handled {
    /// The connection is to be closed, for this reason.
    Close(&'static str),
    /// The request waits; it is answered by whoever ends its wait.
    Parked,
    /// The answer.
    Reply(Reply),
}

/// Hands a request to the file of its API.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "until every API of the table has its file"
)]
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: Request,
    out: &mut Outbox,
) -> Handled {
    match request {
        Request::DeleteRecords(request) => delete_records::handle(broker, from, &request, out),
        Request::Fetch(request) => fetch::handle(broker, now, from, &request, out),
        Request::InitProducerId(request) => {
            init_producer_id::handle(broker, now, from, &request, out)
        }
        Request::ListOffsets(request) => list_offsets::handle(broker, from, &request, out),
        Request::OffsetForLeaderEpoch(request) => offset_for_leader_epoch::handle(broker, &request),
        Request::Produce(input) => produce::handle(broker, now, from, input, out),
        _not_yet => Handled::Close("this API is not served yet"),
    }
}
