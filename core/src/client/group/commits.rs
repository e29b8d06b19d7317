//! The group's offsets: committing them, and looking up where to begin.
//!
//! Commits are sent one after another, so that an older one never replaces a newer one. What the
//! coordinator cannot take at the moment is sent again until the commit's time is over; automatic
//! commits only until the next is due.

use std::collections::{BTreeMap, BTreeSet};

use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_wire::{OffsetCommitResponse, OffsetFetchResponse};
use kafka_wire_core::StrBytes;

use super::coordinator::code_of;
use super::joining::Phase;
use super::protocol::by_topic;
use super::{Commit, CommitError, CommitId, GroupConsumer, GroupError, GroupEvent, Wish};
use crate::client::consumer::{Isolation, StartAt};
use crate::client::message::ClientRequest;
use crate::client::network::{CallError, CallId, Target};
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicName, TopicPartition};
use crate::time::Instant;

/// The number of OffsetCommit.
pub(super) const OFFSET_COMMIT: i16 = 8;
/// The number of OffsetFetch.
pub(super) const OFFSET_FETCH: i16 = 9;

/// Why a commit is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// It is time for an automatic one.
    Automatic,
    /// Partitions are about to go, or went just now.
    Last,
    /// The caller asked.
    Manual,
}

/// A commit that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Committing {
    id: CommitId,
    kind: Kind,
    offsets: BTreeMap<TopicPartition, Commit>,
    call: Option<CallId>,
    retry_at: Instant,
    deadline: Instant,
}

impl GroupConsumer {
    /// Commits offsets; how it ends comes as an event.
    pub fn commit(&mut self, now: Instant, offsets: BTreeMap<TopicPartition, Commit>) -> CommitId {
        self.touched = true;
        self.last_time = now;
        self.queue_commit(now, Kind::Manual, offsets)
    }

    /// Commits the positions of all owned partitions; how it ends comes as an event.
    pub fn commit_all(&mut self, now: Instant) -> CommitId {
        let positions = self.positions();
        self.commit(now, positions)
    }

    fn positions(&self) -> BTreeMap<TopicPartition, Commit> {
        let known = self.owned.iter().filter_map(|partition| {
            let offset = self.consumer.position(partition)?;
            if let Some(&held) = self.held.get(partition)
                && held < offset
            {
                return Some((partition.clone(), Commit::at(held)));
            }
            let leader_epoch = self.consumer.read_epoch(partition);
            let commit = Commit {
                leader_epoch,
                ..Commit::at(offset)
            };
            Some((partition.clone(), commit))
        });
        known.collect()
    }

    /// Commits what was read; nothing where nothing is known.
    pub(super) fn commit_positions(&mut self, now: Instant, kind: Kind) {
        let positions = self.positions();
        if !positions.is_empty() {
            self.queue_commit(now, kind, positions);
        }
    }

    /// Commits what was read of partitions that go.
    pub(super) fn commit_revoked(&mut self, now: Instant, revoked: &BTreeSet<TopicPartition>) {
        let mut positions = self.positions();
        positions.retain(|partition, _commit| revoked.contains(partition));
        if self.options.auto_commit.is_some() && !positions.is_empty() {
            self.queue_commit(now, Kind::Last, positions);
        }
    }

    fn queue_commit(
        &mut self,
        now: Instant,
        kind: Kind,
        offsets: BTreeMap<TopicPartition, Commit>,
    ) -> CommitId {
        let id = CommitId(self.next_commit);
        self.next_commit += 1;
        self.commits.push_back(Committing {
            id,
            kind,
            offsets,
            call: None,
            retry_at: Instant(0),
            deadline: now.after(self.options.call_timeout),
        });
        id
    }

    /// Whether offsets may be committed now; an error where they may not be at all.
    fn may_commit(&self) -> Result<bool, CommitError> {
        if self.failed {
            return Err(CommitError::NotMember);
        }
        match (&self.wish, &self.phase) {
            (_, Phase::Closed | Phase::Leaving { .. }) => Err(CommitError::NotMember),
            (Wish::Partitions, _) => Ok(self.coordinator.is_some()),
            (_, Phase::Preparing(_) | Phase::Stable) if self.membership().is_some() => {
                Ok(self.coordinator.is_some())
            }
            (_, Phase::Expired | Phase::Idle | Phase::Preparing(_) | Phase::Stable) => {
                Err(CommitError::NotMember)
            }
            (_, Phase::Assigning(_) | Phase::Joining(_) | Phase::Syncing(_) | Phase::Unjoined) => {
                Err(CommitError::Rebalancing)
            }
        }
    }

    /// Makes automatic commits and sends the first in line.
    pub(super) fn drive_commits(&mut self, now: Instant) {
        if let Some(interval) = self.options.auto_commit
            && self.auto_commit_at <= now
        {
            self.auto_commit_at = now.after(interval);
            if self.commits.is_empty() && self.may_commit() == Ok(true) {
                self.commit_positions(now, Kind::Automatic);
            }
        }
        while let Some(first) = self.commits.front()
            && first.call.is_none()
        {
            let is_late = first.deadline <= now;
            let is_early = first.retry_at > now;
            if first.offsets.is_empty() {
                self.end_commit(Ok(()));
                continue;
            }
            match self.may_commit() {
                Err(error) => self.end_commit(Err(error)),
                Ok(_can) if is_late => {
                    let late = CallError::TimedOut { was_sent: false };
                    self.end_commit(Err(CommitError::Call(late)));
                }
                Ok(true) if !is_early => self.send_commit(now),
                Ok(_later) => return,
            }
        }
    }

    pub(super) fn commits_deadline(&self) -> Option<Instant> {
        let automatic = self
            .options
            .auto_commit
            .map(|_interval| self.auto_commit_at);
        let automatic = automatic.filter(|at| *at < Instant(u64::MAX) && !self.is_closed());
        let first = self.commits.front().filter(|first| first.call.is_none());
        let first = first.map(|first| match self.coordinator {
            Some(_) if first.retry_at > self.last_time => first.retry_at,
            Some(_) | None => first.deadline,
        });
        let can_place = self.coordinator.is_some() && self.placing.is_none();
        let can_place = can_place && !self.failed && !self.is_revoking();
        let places = (can_place && !self.unplaced.is_empty()).then_some(self.placing_at);
        [automatic, first, places].into_iter().flatten().min()
    }

    fn send_commit(&mut self, now: Instant) {
        let first = self.commits.front().expect("the caller looked");
        let mut request = kafka_wire::OffsetCommitRequest::default();
        request.group_id = self.group_id();
        request.generation_id_or_member_epoch = self.generation.0;
        request.member_id = StrBytes::from(&*self.member_id);
        request.group_instance_id = self.instance_id();
        for (partition, commit) in &first.offsets {
            let mut data = OffsetCommitRequestPartition::default();
            data.partition_index = partition.partition.0;
            data.committed_offset = commit.offset.0;
            data.committed_leader_epoch = commit.leader_epoch.0;
            data.committed_metadata = Some(StrBytes::from(&*commit.metadata));
            match request.topics.last_mut() {
                Some(topic) if *topic.name == *partition.topic => topic.partitions.push(data),
                Some(_) | None => {
                    let mut topic = OffsetCommitRequestTopic::default();
                    topic.name = StrBytes::from(&*partition.topic);
                    topic.partitions.push(data);
                    request.topics.push(topic);
                }
            }
        }
        let node = self.coordinator.expect("the caller looked");
        let request = ClientRequest::OffsetCommit(request);
        let call = self.network.call(now, Target::Node(node), request);
        self.commits.front_mut().expect("seen just now").call = Some(call);
    }

    /// Ends the first in line.
    fn end_commit(&mut self, result: Result<(), CommitError>) {
        let ended = self.commits.pop_front().expect("the caller looked");
        self.events.push_back(GroupEvent::Committed {
            id: ended.id,
            offsets: ended.offsets,
            result,
        });
    }

    /// What a member commits is void once it is none.
    pub(super) fn drop_commits_of_member(&mut self) {
        if !matches!(self.wish, Wish::Partitions) {
            while !self.commits.is_empty() {
                self.end_commit(Err(CommitError::NotMember));
            }
        }
    }

    /// A commit cannot be sent at all.
    pub(super) fn drop_commit(&mut self, call: CallId, error: &CallError) {
        if self
            .commits
            .front()
            .is_some_and(|first| first.call == Some(call))
        {
            self.end_commit(Err(CommitError::Call(error.clone())));
        }
    }

    /// The connection of a commit was lost: it is sent again, for it does no harm twice.
    pub(super) fn retry_commit(&mut self, now: Instant, call: CallId) {
        let retry_at = now.after(self.options.consumer.retry_backoff);
        let first = self.commits.front_mut();
        if let Some(first) = first.filter(|first| first.call == Some(call)) {
            first.call = None;
            first.retry_at = retry_at;
            if first.kind == Kind::Automatic {
                self.commits.pop_front();
                self.auto_commit_at = retry_at;
            }
        }
    }

    pub(super) fn on_committed(
        &mut self,
        now: Instant,
        call: CallId,
        response: &OffsetCommitResponse,
    ) {
        if self
            .commits
            .front()
            .is_none_or(|first| first.call != Some(call))
        {
            return;
        }
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let codes = partitions.map(|partition| code_of(partition.error_code));
        let codes: BTreeSet<ErrorCode> = codes.filter(|code| *code != ErrorCode::None).collect();
        // What cannot pass decides; what may pass is tried again.
        let worst = codes
            .iter()
            .find(|code| !code.is_retriable())
            .or(codes.first());
        match worst.copied() {
            None => self.end_commit(Ok(())),
            Some(
                ErrorCode::CoordinatorNotAvailable
                | ErrorCode::NotCoordinator
                | ErrorCode::RequestTimedOut,
            ) => {
                self.forget_coordinator(now);
                self.retry_commit(now, call);
            }
            Some(ErrorCode::RebalanceInProgress) => {
                self.rejoin = Some("offset commit failed since group is already rebalancing");
                self.end_commit(Err(CommitError::Rebalancing));
            }
            Some(ErrorCode::IllegalGeneration) => {
                self.end_commit(Err(CommitError::NotMember));
                self.forget_membership(now, true, "encountered ILLEGAL_GENERATION");
            }
            Some(ErrorCode::UnknownMemberId) => {
                self.end_commit(Err(CommitError::NotMember));
                self.forget_membership(now, false, "encountered UNKNOWN_MEMBER_ID");
            }
            Some(code @ (ErrorCode::FencedInstanceId | ErrorCode::GroupAuthorizationFailed)) => {
                self.end_commit(Err(CommitError::Broker(code)));
                self.fail(GroupError::Broker(code));
            }
            Some(code) if code.is_retriable() => self.retry_commit(now, call),
            Some(code) => self.end_commit(Err(CommitError::Broker(code))),
        }
    }

    /// Asks where to begin with partitions that are new.
    pub(super) fn drive_places(&mut self, now: Instant) {
        let is_due = self.placing.is_none() && self.placing_at <= now;
        let Some(node) = self.coordinator.filter(|_node| is_due && !self.failed) else {
            return;
        };
        if self.unplaced.is_empty() || self.is_revoking() {
            return;
        }
        let mut group = OffsetFetchRequestGroup::default();
        group.group_id = self.group_id();
        let topics = by_topic(&self.unplaced).into_iter();
        let topics = topics.map(|(name, indexes)| {
            let mut topic = OffsetFetchRequestTopics::default();
            topic.name = StrBytes::from(&**name);
            topic.partition_indexes = indexes;
            topic
        });
        group.topics = Some(topics.collect());
        let mut request = kafka_wire::OffsetFetchRequest::default();
        request.groups = vec![group];
        request.require_stable = self.options.consumer.isolation == Isolation::Committed;
        let request = ClientRequest::OffsetFetch(request);
        self.placing = Some(self.network.call(now, Target::Node(node), request));
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "codes that can be overcome are named; every other one is final"
    )]
    pub(super) fn on_places(&mut self, now: Instant, response: &OffsetFetchResponse) {
        self.placing_at = now.after(self.options.consumer.retry_backoff);
        let Some(group) = response.groups.first() else {
            return;
        };
        match code_of(group.error_code) {
            ErrorCode::None => {}
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.forget_coordinator(now);
                return;
            }
            code if code.is_retriable() => return,
            code => {
                self.fail(GroupError::Broker(code));
                return;
            }
        }
        self.placing_at = now;
        for topic in &group.topics {
            let name: TopicName = (&*topic.name).into();
            for data in &topic.partitions {
                let partition = TopicPartition {
                    topic: name.clone(),
                    partition: PartitionIndex(data.partition_index),
                };
                if !self.unplaced.contains(&partition) {
                    continue;
                }
                match code_of(data.error_code) {
                    ErrorCode::None => self.begin_at(now, &partition, data.committed_offset),
                    ErrorCode::UnstableOffsetCommit => {
                        // A transaction is about to commit it.
                        self.placing_at = now.after(self.options.consumer.retry_backoff);
                    }
                    code => self.fail(GroupError::Broker(code)),
                }
            }
        }
    }

    fn begin_at(&mut self, now: Instant, partition: &TopicPartition, committed: i64) {
        let start = if committed >= 0 {
            StartAt::Offset(Offset(committed))
        } else if let Some(reset) = self.options.consumer.reset {
            reset
        } else {
            self.fail(GroupError::NoOffset(partition.clone()));
            return;
        };
        self.unplaced.remove(partition);
        self.place(now, partition, start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;

    #[test]
    fn a_commit_of_an_offset_says_nothing_else() {
        let commit = Commit::at(Offset(3));
        assert_eq!(
            (commit.leader_epoch, &*commit.metadata),
            (LeaderEpoch::NONE, "")
        );
    }
}
