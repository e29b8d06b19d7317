//! Answers that say no, with the fields that Kafka leaves in them.

use std::collections::BTreeMap;

use kafka_wire::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse,
    SyncGroupResponse,
};
use kafka_wire_core::StrBytes;

use super::{Caller, GroupEffects, GroupReply};
use crate::error::ErrorCode;

/// Where the topics of an answer in the making stand: partitions of one topic stand together, in
/// the place of the first.
#[derive(Debug)]
pub(super) struct Places<K>(BTreeMap<K, usize>);

impl<K: Ord> Places<K> {
    /// The topic's place in the answer; it is `new` where there is none yet.
    pub(super) fn topic<'a, T>(
        &mut self,
        key: K,
        topics: &'a mut Vec<T>,
        new: impl FnOnce() -> T,
    ) -> &'a mut T {
        let place = *self.0.entry(key).or_insert(topics.len());
        if place == topics.len() {
            topics.push(new());
        }
        &mut topics[place]
    }
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// A JoinGroup refused; Kafka names the member in some cases, a protocol in none.
pub(super) fn join_error(member_id: &str, code: ErrorCode) -> JoinGroupResponse {
    let mut reply = JoinGroupResponse::default();
    reply.error_code = code.code();
    reply.generation_id = -1;
    reply.protocol_name = None;
    reply.member_id = StrBytes::from(member_id);
    reply
}

/// A SyncGroup refused.
pub(super) fn sync_error(code: ErrorCode) -> SyncGroupResponse {
    let mut reply = SyncGroupResponse::default();
    reply.error_code = code.code();
    reply
}

/// Answers a Heartbeat.
pub(super) fn heartbeat(caller: &Caller, code: ErrorCode, out: &mut GroupEffects) {
    let mut reply = HeartbeatResponse::default();
    reply.error_code = code.code();
    let reply = GroupReply::Heartbeat(reply);
    out.replies.push((caller.reply_to, reply));
}

/// Refuses a whole LeaveGroup.
pub(super) fn leave_error(code: ErrorCode) -> LeaveGroupResponse {
    let mut reply = LeaveGroupResponse::default();
    reply.error_code = code.code();
    reply
}

/// Gives every partition of the answer that has no error this one.
pub(super) fn fail_commit(reply: &mut OffsetCommitResponse, code: ErrorCode) {
    let topics = reply.topics.iter_mut();
    for partition in topics.flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::None.code() {
            partition.error_code = code.code();
        }
    }
}

/// What a client is told where a write failed with this error of the log (Kafka's
/// `CoordinatorOperationExceptionHelper`, 4.3.1).
pub(super) fn write_error(code: ErrorCode) -> ErrorCode {
    use ErrorCode as E;
    if [
        E::UnknownTopicOrPartition,
        E::NotEnoughReplicas,
        E::RequestTimedOut,
    ]
    .contains(&code)
    {
        E::CoordinatorNotAvailable
    } else if [E::NotLeaderOrFollower, E::KafkaStorageError].contains(&code) {
        E::NotCoordinator
    } else if [
        E::MessageTooLarge,
        E::RecordListTooLarge,
        E::InvalidFetchSize,
    ]
    .contains(&code)
    {
        E::UnknownServerError
    } else {
        code
    }
}
