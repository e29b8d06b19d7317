//! Throttled clients: their answers say how long to wait, and then nothing is read of them.

use std::sync::Arc;

use super::broker::Broker;
use super::door::Outbox;
use crate::ids::ConnectionId;
use crate::mutants::mutant;
use crate::quota::throttle::Release;
use crate::time::Now;
use crate::waiting::ReplyTo;
use crate::wire::request::Reply;

impl Broker {
    /// A client connects, where it may.
    pub(super) fn on_connected(
        &mut self,
        now: Now,
        connection: ConnectionId,
        peer_host: &Arc<str>,
        out: &mut Outbox,
    ) {
        if !self.throttle.on_connected(now, connection, peer_host) {
            out.muted.push((connection, true));
        }
    }

    /// Reads again of those who waited long enough.
    pub(super) fn release_muted(&mut self, now: Now, out: &mut Outbox) {
        while let Some((connection, release)) = self.throttle.take_due(now.instant) {
            match release {
                Release::Close => {
                    let reason = "more connections come from its address than its quota allows";
                    out.close.push((connection, reason));
                }
                Release::Unmute => out.muted.push((connection, false)),
            }
        }
    }

    /// Looks at the answers of this turn: what they cost, and who is to wait.
    pub(super) fn throttle_answers(&mut self, now: Now, out: &mut Outbox) {
        self.throttle.on_turned();
        if self.throttle.is_idle() {
            return;
        }
        for effect in &mut out.replies {
            let reply_to = ReplyTo {
                connection: effect.connection,
                sequence: effect.sequence,
            };
            // A Produce with acks=0 has no answer, and its time does not count.
            let has_answer = effect.reply != Reply::Nothing;
            let wait_ms = self.throttle.on_answered(now, reply_to, has_answer);
            if wait_ms > 0 {
                effect.reply.set_throttle_time_ms(wait_ms);
                if !mutant!(M56) {
                    out.muted.push((effect.connection, true));
                }
            }
        }
    }
}
