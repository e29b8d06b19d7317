//! Joining: JoinGroup, dividing where the member leads, SyncGroup, and taking the assignment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::{JoinGroupResponse, SyncGroupResponse};
use kafka_wire_core::StrBytes;

use super::assignor::{Assignments, Assignor, Member, RebalanceProtocol, TopicPartitions, Topics};
use super::coordinator::code_of;
use super::preparing::Preparing;
use super::protocol::{Assignment, GroupGeneration, PROTOCOL_TYPE, Subscription};
use super::{GroupConsumer, GroupError, GroupEvent, Wish};
use crate::client::message::ClientRequest;
use crate::client::network::{CallId, Target};
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicName, TopicPartition};
use crate::time::Instant;

/// How much longer than the rebalance itself a JoinGroup may take.
const JOIN_SLACK_MS: u64 = 5_000;

/// How far the membership is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Leads the group, and waits to know the topics of all.
    Assigning(Box<JoinGroupResponse>),
    Closed,
    /// The caller did not poll in time; the next poll joins again.
    Expired,
    /// Is no member and does not want to be one yet.
    Idle,
    /// JoinGroup is under way.
    Joining(CallId),
    /// Going away; the call is under way, if it was made.
    Leaving {
        call: Option<CallId>,
        until: Instant,
    },
    /// Gives partitions up before it joins or leaves.
    Preparing(Preparing),
    Stable,
    /// SyncGroup is under way.
    Syncing(CallId),
    /// Is ready to join, as soon as it may.
    Unjoined,
}

impl Phase {
    pub(super) fn is_joining(&self, call: CallId) -> bool {
        matches!(self, Self::Joining(joining) if *joining == call)
    }

    pub(super) fn is_leaving(&self, call: CallId) -> bool {
        matches!(self, Self::Leaving { call: leaving, .. } if *leaving == Some(call))
    }

    pub(super) fn is_syncing(&self, call: CallId) -> bool {
        matches!(self, Self::Syncing(syncing) if *syncing == call)
    }
}

impl GroupConsumer {
    /// The protocol that all the member's strategies can do.
    pub(super) fn protocol(&self) -> RebalanceProtocol {
        let mut assignors = self.options.assignors.iter();
        let is_cooperative =
            |assignor: &Assignor| assignor.protocol() == RebalanceProtocol::Cooperative;
        if assignors.all(is_cooperative) {
            RebalanceProtocol::Cooperative
        } else {
            RebalanceProtocol::Eager
        }
    }

    /// Moves the membership a step further; `false` where there is none to make.
    pub(super) fn drive_membership(&mut self, now: Instant) -> bool {
        if self.failed && !matches!(self.phase, Phase::Preparing(_) | Phase::Leaving { .. }) {
            return false;
        }
        match &self.phase {
            Phase::Assigning(_) => self.drive_assigning(now),
            Phase::Idle => self.drive_idle(now),
            Phase::Leaving { until, .. } if *until <= now => {
                self.finish_leaving();
                true
            }
            Phase::Preparing(_) => self.drive_preparing(now),
            Phase::Stable => {
                if self.topics != self.joined_topics {
                    self.rejoin = Some("the subscription changed");
                }
                let rejoins = self.rejoin.is_some();
                if rejoins {
                    self.start_preparing(now);
                }
                rejoins
            }
            Phase::Unjoined if self.coordinator.is_some() && self.join_at <= now => {
                self.send_join(now);
                true
            }
            Phase::Closed
            | Phase::Expired
            | Phase::Joining(_)
            | Phase::Leaving { .. }
            | Phase::Syncing(_)
            | Phase::Unjoined => false,
        }
    }

    pub(super) fn membership_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Leaving { until, .. } => Some(*until),
            Phase::Stable | Phase::Unjoined if self.failed => None,
            Phase::Preparing(preparing) => Some(preparing.until),
            Phase::Unjoined if self.coordinator.is_some() => Some(self.join_at),
            Phase::Stable if self.rejoin.is_some() => Some(self.last_time),
            Phase::Assigning(_)
            | Phase::Closed
            | Phase::Expired
            | Phase::Idle
            | Phase::Joining(_)
            | Phase::Stable
            | Phase::Syncing(_)
            | Phase::Unjoined => None,
        }
    }

    fn drive_idle(&mut self, now: Instant) -> bool {
        let is_ready = match &self.wish {
            Wish::Matching(_) => self.directory.is_settled(),
            Wish::Topics => true,
            Wish::Nothing | Wish::Partitions => false,
        };
        if is_ready {
            self.poll_by = now.after(self.options.max_poll_interval);
            self.phase = Phase::Unjoined;
        }
        is_ready
    }

    fn send_join(&mut self, now: Instant) {
        let node = self.coordinator.expect("the caller looked");
        let mut request = kafka_wire::JoinGroupRequest::default();
        request.group_id = self.group_id();
        request.session_timeout_ms = millis(self.options.session_timeout);
        request.rebalance_timeout_ms = millis(self.options.max_poll_interval);
        request.member_id = StrBytes::from(&*self.member_id);
        request.group_instance_id = self.instance_id();
        request.protocol_type = StrBytes::from(PROTOCOL_TYPE);
        request.reason = Some(StrBytes::from(self.rejoin.take().unwrap_or("")));
        for assignor in &self.options.assignors {
            let (before, generation) = &self.remembered;
            let subscription = Subscription {
                topics: self.topics.clone(),
                user_data: assignor.user_data(before, *generation),
                owned: self.owned.clone(),
                generation: Some(self.generation),
                rack: self.options.rack.clone(),
            };
            let mut protocol = JoinGroupRequestProtocol::default();
            protocol.name = StrBytes::from(assignor.name());
            protocol.metadata = subscription.encode();
            request.protocols.push(protocol);
        }
        self.joined_topics.clone_from(&self.topics);
        self.divided = None;
        let slack = std::time::Duration::from_millis(JOIN_SLACK_MS);
        let timeout = self.options.max_poll_interval + slack;
        let timeout = timeout.max(self.options.consumer.network.request_timeout);
        let request = ClientRequest::JoinGroup(request);
        let call = self
            .network
            .call_within(now, Target::Node(node), request, timeout);
        self.phase = Phase::Joining(call);
    }

    pub(super) fn on_joined(&mut self, now: Instant, response: JoinGroupResponse) {
        let code = code_of(response.error_code);
        if code != ErrorCode::None {
            self.on_join_error(now, code, &response);
            return;
        }
        if response
            .protocol_type
            .as_deref()
            .is_some_and(|of| of != PROTOCOL_TYPE)
        {
            self.fail(GroupError::Protocol("the group is not one of consumers"));
            return;
        }
        let name = response.protocol_name.as_deref().unwrap_or("");
        let assignor = Assignor::parse(name);
        let Some(assignor) = assignor.filter(|found| self.options.assignors.contains(found)) else {
            self.fail(GroupError::Protocol(
                "the group chose a strategy that was not offered",
            ));
            return;
        };
        self.assignor = Some(assignor);
        self.member_id = Arc::from(&*response.member_id);
        self.generation = GroupGeneration(response.generation_id);
        self.heartbeats.answered_at = now;
        self.heartbeats.at = now.after(self.options.heartbeat_interval);
        if response.leader == response.member_id {
            for member in &response.members {
                for topic in subscription_of(&member.metadata).topics {
                    self.directory.want(now, &topic);
                }
            }
            self.phase = Phase::Assigning(Box::new(response));
        } else {
            self.send_sync(now, Vec::new());
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "codes that can be overcome are named; every other one is final"
    )]
    fn on_join_error(&mut self, now: Instant, code: ErrorCode, response: &JoinGroupResponse) {
        let retry_at = now.after(self.options.consumer.retry_backoff);
        self.phase = Phase::Unjoined;
        match code {
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::RebalanceInProgress => {
                self.join_at = retry_at;
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.forget_coordinator(now);
            }
            ErrorCode::MemberIdRequired => {
                self.member_id = Arc::from(&*response.member_id);
                self.rejoin = Some("need to re-join with the given member-id");
            }
            ErrorCode::UnknownMemberId => {
                self.forget_membership(now, false, "encountered UNKNOWN_MEMBER_ID");
            }
            ErrorCode::IllegalGeneration => {
                self.forget_membership(now, true, "encountered ILLEGAL_GENERATION");
            }
            code => self.fail(GroupError::Broker(code)),
        }
    }

    /// Divides once the topics of all members are known.
    fn drive_assigning(&mut self, now: Instant) -> bool {
        if !self.directory.is_settled() || self.coordinator.is_none() {
            return false;
        }
        let Phase::Assigning(response) = std::mem::replace(&mut self.phase, Phase::Unjoined) else {
            unreachable!("the caller looked");
        };
        let members: Vec<Member> = response
            .members
            .iter()
            .map(|member| Member {
                id: Arc::from(&*member.member_id),
                instance_id: member.group_instance_id.as_deref().map(Arc::from),
                subscription: subscription_of(&member.metadata),
            })
            .collect();
        let wanted: BTreeSet<&TopicName> = members
            .iter()
            .flat_map(|member| &member.subscription.topics)
            .collect();
        self.divided = Some(self.counts(wanted.iter().copied()));
        if response.skip_assignment {
            self.send_sync(now, Vec::new());
            return true;
        }
        let assignor = self.assignor.expect("the group agreed on one");
        let assignments = assignor.assign(&members, &self.topics_of(&wanted));
        self.send_sync(now, encode_all(assignments));
        true
    }

    fn topics_of(&self, wanted: &BTreeSet<&TopicName>) -> Topics {
        let known = &self.directory.cluster.topics;
        let topics = wanted.iter().filter_map(|name| {
            let view = known.get(*name)?;
            let count = u32::try_from(view.partitions.len()).ok()?;
            let indexes = (0..count).filter_map(|index| i32::try_from(index).ok());
            let racks = indexes.map(|index| {
                view.racks
                    .get(&PartitionIndex(index))
                    .cloned()
                    .unwrap_or_default()
            });
            let racks = if view.racks.is_empty() {
                Vec::new()
            } else {
                racks.collect()
            };
            Some((Arc::clone(name), TopicPartitions { count, racks }))
        });
        topics.collect()
    }

    fn send_sync(&mut self, now: Instant, assignments: Vec<SyncGroupRequestAssignment>) {
        let Some(node) = self.coordinator else {
            self.phase = Phase::Unjoined;
            return;
        };
        let mut request = kafka_wire::SyncGroupRequest::default();
        request.group_id = self.group_id();
        request.generation_id = self.generation.0;
        request.member_id = StrBytes::from(&*self.member_id);
        request.group_instance_id = self.instance_id();
        request.protocol_type = Some(StrBytes::from(PROTOCOL_TYPE));
        request.protocol_name = self
            .assignor
            .map(|assignor| StrBytes::from(assignor.name()));
        request.assignments = assignments;
        let timeout = self.options.max_poll_interval;
        let timeout = timeout.max(self.options.consumer.network.request_timeout);
        let request = ClientRequest::SyncGroup(request);
        let call = self
            .network
            .call_within(now, Target::Node(node), request, timeout);
        self.phase = Phase::Syncing(call);
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "codes that can be overcome are named; every other one is final"
    )]
    pub(super) fn on_synced(&mut self, now: Instant, response: &SyncGroupResponse) {
        self.phase = Phase::Unjoined;
        match code_of(response.error_code) {
            ErrorCode::None => self.take_assignment(now, &response.assignment),
            ErrorCode::RebalanceInProgress => {
                self.rejoin = Some("the group began another rebalance");
            }
            ErrorCode::CoordinatorLoadInProgress => {
                self.join_at = now.after(self.options.consumer.retry_backoff);
            }
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.forget_coordinator(now);
            }
            ErrorCode::UnknownMemberId => {
                self.forget_membership(now, false, "encountered UNKNOWN_MEMBER_ID");
            }
            ErrorCode::IllegalGeneration => {
                self.forget_membership(now, true, "encountered ILLEGAL_GENERATION");
            }
            code => self.fail(GroupError::Broker(code)),
        }
    }

    fn take_assignment(&mut self, now: Instant, blob: &Bytes) {
        let Ok(assignment) = Assignment::decode(blob) else {
            self.fail(GroupError::Protocol(
                "the leader's assignment cannot be read",
            ));
            return;
        };
        self.phase = Phase::Stable;
        self.heartbeats.at = now.after(self.options.heartbeat_interval);
        let assigned = assignment.partitions;
        let is_wanted = |partition: &TopicPartition| self.joined_topics.contains(&partition.topic);
        if !assigned.iter().all(is_wanted) {
            self.rejoin = Some("received assignment does not match the current subscription");
            return;
        }
        let revoked: BTreeSet<TopicPartition> = self.owned.difference(&assigned).cloned().collect();
        let added: BTreeSet<TopicPartition> = assigned.difference(&self.owned).cloned().collect();
        self.remembered = (assigned, self.generation);
        for partition in &added {
            self.take_partition(partition.clone());
        }
        if !revoked.is_empty() {
            // They go with the next round, which gives them to others; nothing of them is read
            // from now on, for that round may begin before this member takes part in it.
            self.commit_revoked(now, &revoked);
            for partition in &revoked {
                self.drop_partition(partition);
            }
            self.events.push_back(GroupEvent::Revoked(revoked));
            self.rejoin = Some("need to revoke partitions and re-join");
        }
        self.events.push_back(GroupEvent::Assigned(added));
        if let Some(interval) = self.options.auto_commit {
            self.auto_commit_at = now.after(interval);
        }
    }
}

/// A member's subscription; one that cannot be read wants nothing.
fn subscription_of(blob: &Bytes) -> Subscription {
    let mut subscription = Subscription::decode(blob).unwrap_or_default();
    // As in Kafka's consumer, an empty name is no rack.
    subscription.rack = subscription.rack.filter(|rack| !rack.is_empty());
    subscription
}

fn encode_all(assignments: Assignments) -> Vec<SyncGroupRequestAssignment> {
    let assignments: BTreeMap<Arc<str>, BTreeSet<TopicPartition>> = assignments;
    let encoded = assignments.into_iter().map(|(member, partitions)| {
        let mut assignment = SyncGroupRequestAssignment::default();
        assignment.member_id = StrBytes::from(&*member);
        let user_data = None;
        assignment.assignment = Assignment {
            partitions,
            user_data,
        }
        .encode();
        assignment
    });
    encoded.collect()
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
