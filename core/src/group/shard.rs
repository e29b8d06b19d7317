//! One `__consumer_offsets` partition's groups.

use std::sync::Arc;

use kafka_wire::describe_groups_response::DescribedGroup;
use kafka_wire::list_groups_response::ListedGroup;
use kafka_wire::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_wire::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_wire::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, OffsetCommitRequest, OffsetCommitResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_wire_core::StrBytes;

use super::{Caller, GroupEffects, GroupReply, GroupSettings, Record, RecordError, WriteId};
use crate::error::ErrorCode;
use crate::ids::{TopicId, TopicName};
use crate::metadata::Image;
use crate::rng::Rng;
use crate::time::{Instant, Now};

/// Which groups a ListGroups asks for.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    states: Vec<String>,
    types: Vec<String>,
}

impl GroupFilter {
    /// The filter of a request; letters' case does not matter.
    #[must_use]
    pub fn of(request: &ListGroupsRequest) -> Self {
        let lower = |names: &[StrBytes]| names.iter().map(|name| name.to_lowercase()).collect();
        Self {
            states: lower(&request.states_filter),
            types: lower(&request.types_filter),
        }
    }
}

/// Whether a shard answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Loading,
    Active,
    Resigned,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct Shard {
    phase: Phase,
}

impl Shard {
    /// A shard whose log is still to be replayed. Member ids are drawn from `rng`.
    #[must_use]
    pub fn new(_settings: Arc<GroupSettings>, _rng: Rng) -> Self {
        Self {
            phase: Phase::Loading,
        }
    }

    /// Applies a record of the log, in order; `value` is none in a tombstone.
    ///
    /// # Errors
    /// Where the bytes are no record; nothing changed, and loading may go on.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        assert!(
            self.phase == Phase::Loading,
            "a log is replayed before it is served"
        );
        Record::decode(key, value).map(|_record| ())
    }

    /// Ends loading: the whole log was replayed. Members get fresh session timers.
    pub fn finish_loading(&mut self, _now: Now, _out: &mut GroupEffects) {
        self.phase = Phase::Active;
    }

    /// Ends the shard: this node leads the partition no longer, or could not load it. All that
    /// waits is answered with NOT_COORDINATOR, as is whatever comes still.
    pub fn resign(&mut self, _out: &mut GroupEffects) {
        self.phase = Phase::Resigned;
    }

    /// Whether the shard answers; else requests get [`Self::refusal`].
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Why the shard does not answer; `None` where it does.
    #[must_use]
    pub fn refusal(&self) -> Option<ErrorCode> {
        match self.phase {
            Phase::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Active => None,
            Phase::Resigned => Some(ErrorCode::NotCoordinator),
        }
    }

    /// JoinGroup.
    pub fn join_group(
        &mut self,
        _now: Now,
        caller: &Caller,
        request: &JoinGroupRequest,
        out: &mut GroupEffects,
    ) {
        let mut reply = JoinGroupResponse::default();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        reply.member_id = request.member_id.clone();
        out.replies
            .push((caller.reply_to, GroupReply::JoinGroup(reply)));
    }

    /// SyncGroup.
    pub fn sync_group(
        &mut self,
        _now: Now,
        caller: &Caller,
        _request: &SyncGroupRequest,
        out: &mut GroupEffects,
    ) {
        let mut reply = SyncGroupResponse::default();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        out.replies
            .push((caller.reply_to, GroupReply::SyncGroup(reply)));
    }

    /// Heartbeat.
    pub fn heartbeat(
        &mut self,
        _now: Now,
        caller: &Caller,
        _request: &HeartbeatRequest,
        out: &mut GroupEffects,
    ) {
        let mut reply = HeartbeatResponse::default();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        out.replies
            .push((caller.reply_to, GroupReply::Heartbeat(reply)));
    }

    /// LeaveGroup, of every version.
    pub fn leave_group(
        &mut self,
        _now: Now,
        caller: &Caller,
        _request: &LeaveGroupRequest,
        out: &mut GroupEffects,
    ) {
        let mut reply = LeaveGroupResponse::default();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        out.replies
            .push((caller.reply_to, GroupReply::LeaveGroup(reply)));
    }

    /// OffsetCommit; which topics and partitions exist is seen in `image`.
    pub fn offset_commit(
        &mut self,
        _now: Now,
        caller: &Caller,
        _request: &OffsetCommitRequest,
        _image: &Image,
        out: &mut GroupEffects,
    ) {
        let reply = OffsetCommitResponse::default();
        out.replies
            .push((caller.reply_to, GroupReply::OffsetCommit(reply)));
    }

    /// One group of an OffsetFetch: the committed offsets. Older versions, which ask for one group
    /// in other fields, are put into this form by the caller.
    #[must_use]
    pub fn offset_fetch(
        &self,
        request: &OffsetFetchRequestGroup,
        _version: i16,
        _image: &Image,
    ) -> OffsetFetchResponseGroup {
        let mut reply = OffsetFetchResponseGroup::default();
        reply.group_id = request.group_id.clone();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        reply
    }

    /// One group of a DescribeGroups.
    #[must_use]
    pub fn describe_group(&self, group_id: &StrBytes, _version: i16) -> DescribedGroup {
        let mut reply = DescribedGroup::default();
        reply.group_id = group_id.clone();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        reply
    }

    /// The groups that pass the filter, by name.
    pub fn list_groups(&self, filter: &GroupFilter) -> impl Iterator<Item = ListedGroup> {
        let _ = (&filter.states, &filter.types);
        std::iter::empty()
    }

    /// Deletes an empty group with its offsets; the caller answers when the write is committed.
    ///
    /// # Errors
    /// Why it is not deleted.
    pub fn delete_group(
        &mut self,
        _now: Now,
        _group_id: &StrBytes,
        _out: &mut GroupEffects,
    ) -> Result<WriteId, ErrorCode> {
        Err(ErrorCode::CoordinatorNotAvailable)
    }

    /// OffsetDelete; the answer is sent when the write is committed, where there is one. Should the
    /// write fail, [`Self::write_error`] tells the code to answer.
    pub fn offset_delete(
        &mut self,
        _now: Now,
        _request: &OffsetDeleteRequest,
        _image: &Image,
        _out: &mut GroupEffects,
    ) -> (OffsetDeleteResponse, Option<WriteId>) {
        let mut reply = OffsetDeleteResponse::default();
        reply.error_code = ErrorCode::CoordinatorNotAvailable.code();
        (reply, None)
    }

    /// Deletes what groups committed for a topic that is gone (K26).
    pub fn on_topic_deleted(
        &mut self,
        _now: Now,
        _topic: &TopicName,
        _topic_id: TopicId,
        _out: &mut GroupEffects,
    ) {
    }

    /// Learns that `id` and all writes before it are committed.
    pub fn on_committed(&mut self, _now: Now, _id: WriteId, _out: &mut GroupEffects) {}

    /// Learns that `id` is not in the log and never will be; `code` is the log's error. What the
    /// write would have changed is as before.
    pub fn on_write_failed(
        &mut self,
        _now: Now,
        _id: WriteId,
        _code: ErrorCode,
        _out: &mut GroupEffects,
    ) {
    }

    /// What a client is told where a write failed with the log's error `code`.
    #[must_use]
    pub fn write_error(code: ErrorCode) -> ErrorCode {
        code
    }

    /// When [`Self::on_time`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Does what is due: sessions, rebalances, pending ids, expired offsets.
    pub fn on_time(&mut self, _now: Now, _out: &mut GroupEffects) {}
}
