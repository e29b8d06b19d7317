//! The judges of what passes a node's door, over all its incarnations, side by side.

use super::checkers::Violation;
use super::checkers::groups::GroupChecker;
use super::checkers::quotas::QuotaChecker;
use super::checkers::times::TimeChecker;
use super::options::Options;
use crate::ids::{ConnectionId, RequestSequence, TopicId};
use crate::node::door::ReplyEffect;
use crate::storage::DiskOp;
use crate::time::Now;
use crate::wire::request::{Request, RequestHead};

/// `quota.window.size.seconds`, by default.
const QUOTA_WINDOW_MS: u64 = 1_000;

/// They see requests as they are taken, and replies and operations as they leave.
#[derive(Clone, Debug)]
pub(super) struct Judges {
    /// Of groups.
    pub(super) groups: GroupChecker,
    /// Of quotas.
    pub(super) quotas: QuotaChecker,
    /// Of the times of records.
    pub(super) times: TimeChecker,
}

impl Judges {
    pub(super) fn new(options: &Options) -> Self {
        let bound_ms = options.timestamp_bound_ms;
        let bound_ms = (bound_ms > 0).then_some(bound_ms + options.wall_skew_ms);
        Self {
            groups: GroupChecker::new(options.offsets_expire == 1),
            quotas: QuotaChecker::new(options.quota_windows, QUOTA_WINDOW_MS),
            times: TimeChecker::new(bound_ms),
        }
    }

    /// A request was taken from a connection.
    pub(super) fn on_request(
        &mut self,
        key: (ConnectionId, RequestSequence),
        (head, request): (&RequestHead, &Request),
        now: Now,
    ) {
        self.quotas.on_request(key, head, request);
        self.groups.on_request(key, request, now.instant);
        self.times.on_request(key, request, now.wall);
    }

    /// A connection is gone.
    pub(super) fn on_disconnected(&mut self, connection: ConnectionId) {
        self.groups.on_disconnected(connection);
        self.quotas.on_disconnected(connection);
        self.times.on_disconnected(connection);
    }

    /// A reply leaves; `folder_of` says where the partition of a topic id lies.
    pub(super) fn on_reply(
        &mut self,
        effect: &ReplyEffect,
        now: Now,
        folder_of: impl Fn(TopicId, i32) -> Option<String>,
    ) {
        self.groups.on_reply(effect, now.instant);
        self.quotas.on_reply(effect, now.instant);
        self.times.on_reply(effect, now.wall, folder_of);
    }

    /// An operation leaves.
    pub(super) fn on_op(&mut self, op: &DiskOp, now: Now) {
        self.groups.on_op(op, now.instant);
        self.times.on_op(op, now.wall);
    }

    /// The process died.
    pub(super) fn on_crash(&mut self) {
        self.groups.on_crash();
        self.quotas.on_crash();
        self.times.on_crash();
    }

    /// Takes what was found so far.
    pub(super) fn take_violations(&mut self) -> Vec<Violation> {
        let mut found = self.groups.take_violations();
        found.append(&mut self.quotas.take_violations());
        found.append(&mut self.times.take_violations());
        found
    }
}
