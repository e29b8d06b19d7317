//! Requests to their handlers, and parked requests to their ends.

use std::sync::Arc;

use super::Client;
use super::broker::Broker;
use super::door::Outbox;
use super::wait::Wait;
use crate::api::{self, Handled, Requester};
use crate::ids::{ConnectionId, RequestSequence};
use crate::time::Now;
use crate::waiting::ReplyTo;
use crate::wire::request::{Request, RequestHead};

/// Who asks.
pub(super) fn requester(
    client: &Client,
    connection: ConnectionId,
    sequence: RequestSequence,
    head: RequestHead,
) -> Requester {
    Requester {
        reply_to: ReplyTo {
            connection,
            sequence,
        },
        listener: client.listener,
        peer_host: Arc::clone(&client.peer_host),
        head,
    }
}

impl Broker {
    /// Answers a request, or parks it.
    pub(super) fn handle(
        &mut self,
        now: Now,
        from: &Requester,
        request: Request,
        out: &mut Outbox,
    ) {
        self.throttle.on_request(from.reply_to, &from.head);
        match api::handle(self, now, from, request, out) {
            Handled::Close(reason) => out.close.push((from.reply_to.connection, reason)),
            Handled::Parked => {}
            Handled::Reply(reply) => out.reply(from.reply_to, reply),
        }
    }

    /// Answers the requests whose time is over.
    pub(super) fn expire_waiting(&mut self, now: Now, out: &mut Outbox) {
        while let Some((id, reply_to, wait)) = self.waiting.take_expired(now.instant) {
            match wait {
                Wait::Admin(wait) => out.reply(reply_to, wait.timed_out),
                Wait::Fetch(wait) => api::fetch::on_timeout(self, now, id, (reply_to, wait), out),
                Wait::Groups(_) | Wait::Offsets(_) => {
                    unreachable!("the disk answers everything, so this has no deadline")
                }
                Wait::Produce(wait) => api::produce::on_timeout(reply_to, wait, out),
                Wait::Saved(wait) => {
                    self.forget_awaited(id);
                    out.reply(reply_to, wait.timed_out);
                }
            }
        }
    }

    /// Forgets the parked requests of a connection that is gone.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.groups.forget(connection);
        self.throttle.forget(connection);
        let mut fetches = Vec::new();
        self.waiting.forget(connection, |id, wait| {
            if let Wait::Fetch(wait) = wait {
                fetches.push((id, wait));
            }
        });
        for (id, wait) in fetches {
            api::fetch::on_forgotten(self, id, &wait);
        }
    }
}
