//! Finding the coordinator, and staying a member: heartbeats and the two time limits.
//!
//! Where each answer of the network goes is decided here, too.

use kafka_wire_core::StrBytes;

use super::joining::Phase;
use super::{GroupConsumer, GroupError, Wish};
use crate::client::message::{ClientRequest, ClientResponse};
use crate::client::network::{Answer, CallError, CallId, Target};
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::time::Instant;

impl GroupConsumer {
    /// Whether there is anything to ask the coordinator.
    fn wants_coordinator(&self) -> bool {
        let is_over = self.failed || self.is_closed();
        !is_over && !matches!((&self.wish, &self.phase), (Wish::Nothing, Phase::Idle))
    }

    /// Looks the coordinator up where it is not known; sends a heartbeat where one is due.
    pub(super) fn drive_coordinator(&mut self, now: Instant) {
        if !self.wants_coordinator() {
            return;
        }
        let is_due = self.lookup_at <= now && self.directory.is_known();
        if self.coordinator.is_none() && self.lookup.is_none() && is_due {
            let mut request = kafka_wire::FindCoordinatorRequest::default();
            request.coordinator_keys = vec![self.group_id()];
            let request = ClientRequest::FindCoordinator(request);
            self.lookup = Some(self.network.call(now, Target::Any, request));
        }
        if !self.directory.is_known() && self.directory.next_deadline().is_none() {
            self.directory.refresh(now);
        }
        self.check_session(now);
        if let Some(node) = self.coordinator
            && self.keeps_alive()
            && self.heartbeats.call.is_none()
            && self.heartbeats.at <= now
        {
            let mut request = kafka_wire::HeartbeatRequest::default();
            request.group_id = self.group_id();
            request.generation_id = self.generation.0;
            request.member_id = StrBytes::from(&*self.member_id);
            request.group_instance_id = self.instance_id();
            let request = ClientRequest::Heartbeat(request);
            self.heartbeats.call = Some(self.network.call(now, Target::Node(node), request));
            self.heartbeats.at = now.after(self.options.heartbeat_interval);
        }
    }

    /// Whether the coordinator expects heartbeats.
    fn keeps_alive(&self) -> bool {
        match &self.phase {
            Phase::Assigning(_) | Phase::Stable | Phase::Syncing(_) | Phase::Preparing(_) => {
                self.membership().is_some()
            }
            Phase::Closed
            | Phase::Expired
            | Phase::Idle
            | Phase::Joining(_)
            | Phase::Leaving { .. }
            | Phase::Unjoined => false,
        }
    }

    /// Gives the coordinator up that does not answer, and leaves for a caller that does not poll.
    fn check_session(&mut self, now: Instant) {
        if !self.keeps_alive() {
            return;
        }
        if self
            .heartbeats
            .answered_at
            .after(self.options.session_timeout)
            <= now
        {
            self.heartbeats.answered_at = now;
            self.forget_coordinator(now);
        }
        if self.poll_by <= now {
            // The caller is stuck: its partitions go to others. It joins again at its next poll.
            self.send_leave(now, "consumer poll timeout has expired.");
            // It gave its id up with that; a static member comes back by its instance.
            self.forget_membership(now, false, "the caller did not poll");
            self.phase = Phase::Expired;
        }
    }

    pub(super) fn coordinator_deadline(&self) -> Option<Instant> {
        if !self.wants_coordinator() {
            return None;
        }
        let can_look_up = self.lookup.is_none() && self.directory.is_known();
        let lookup = (self.coordinator.is_none() && can_look_up).then_some(self.lookup_at);
        if !self.keeps_alive() {
            return lookup;
        }
        let can_beat = self.coordinator.is_some() && self.heartbeats.call.is_none();
        let session = self
            .heartbeats
            .answered_at
            .after(self.options.session_timeout);
        let beat = can_beat.then_some(self.heartbeats.at);
        let all = [lookup, beat, Some(session), Some(self.poll_by)];
        all.into_iter().flatten().min()
    }

    /// The coordinator is another, or gone: looks it up after a moment.
    pub(super) fn forget_coordinator(&mut self, now: Instant) {
        if self.coordinator.take().is_some() {
            self.lookup_at = now.after(self.options.consumer.retry_backoff);
            self.directory.refresh(now);
        }
    }

    pub(super) fn group_id(&self) -> StrBytes {
        StrBytes::from(&*self.options.group_id)
    }

    pub(super) fn instance_id(&self) -> Option<StrBytes> {
        self.options.instance_id.as_deref().map(StrBytes::from)
    }

    /// Takes an answer that is not the directory's.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "an answer to what is not waited for any more is nobody's"
    )]
    pub(super) fn on_answer(&mut self, now: Instant, answer: Answer) {
        let Answer { call, result } = answer;
        if self.lookup == Some(call) {
            self.lookup = None;
            self.on_lookup(now, result);
            return;
        }
        let is_placing = self.placing == Some(call);
        if is_placing {
            self.placing = None;
        }
        let is_beat = self.heartbeats.call == Some(call);
        if is_beat {
            self.heartbeats.call = None;
        }
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                self.on_lost_call(now, call, error);
                return;
            }
        };
        match response {
            ClientResponse::Heartbeat(response) if is_beat => {
                self.on_heartbeat(now, response.error_code);
            }
            ClientResponse::JoinGroup(response) if self.phase.is_joining(call) => {
                self.on_joined(now, response);
            }
            ClientResponse::LeaveGroup(_whatever) if self.phase.is_leaving(call) => {
                self.finish_leaving();
            }
            ClientResponse::OffsetCommit(response) => self.on_committed(now, call, &response),
            ClientResponse::OffsetFetch(response) if is_placing => self.on_places(now, &response),
            ClientResponse::SyncGroup(response) if self.phase.is_syncing(call) => {
                self.on_synced(now, &response);
            }
            // An answer to what is not waited for any more.
            _late => {}
        }
    }

    /// A call has no response: the connection is gone, or what was asked is not known there.
    fn on_lost_call(&mut self, now: Instant, call: CallId, error: CallError) {
        if error.is_final() {
            self.drop_commit(call, &error);
            self.fail(GroupError::Call(error));
            return;
        }
        self.forget_coordinator(now);
        let retry_at = now.after(self.options.consumer.retry_backoff);
        if self.phase.is_joining(call) || self.phase.is_syncing(call) {
            self.phase = Phase::Unjoined;
            self.join_at = retry_at;
        } else if self.phase.is_leaving(call) {
            self.finish_leaving();
        } else {
            self.retry_commit(now, call);
        }
        self.placing_at = retry_at;
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "codes that can be overcome are named; every other one is final"
    )]
    fn on_lookup(&mut self, now: Instant, result: Result<ClientResponse, CallError>) {
        self.lookup_at = now.after(self.options.consumer.retry_backoff);
        let response = match result {
            Ok(ClientResponse::FindCoordinator(response)) => response,
            Ok(_other) => unreachable!("the network pairs answers with their requests"),
            Err(error) => {
                if error.is_final() {
                    self.fail(GroupError::Call(error));
                }
                return;
            }
        };
        let Some(found) = response.coordinators.first() else {
            return;
        };
        match code_of(found.error_code) {
            ErrorCode::None => {
                let node = NodeId(found.node_id);
                if self.directory.cluster.nodes.contains_key(&node) {
                    self.coordinator = Some(node);
                    self.heartbeats.at = self.heartbeats.at.min(now);
                } else {
                    self.directory.refresh(now);
                }
            }
            code if code.is_retriable() => {}
            code => self.fail(GroupError::Broker(code)),
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "codes that can be overcome are named; every other one is final"
    )]
    fn on_heartbeat(&mut self, now: Instant, code: i16) {
        self.heartbeats.answered_at = now;
        if !self.keeps_alive() {
            return;
        }
        match code_of(code) {
            ErrorCode::None => {}
            ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator => {
                self.forget_coordinator(now);
            }
            ErrorCode::RebalanceInProgress => {
                if matches!(self.phase, Phase::Stable) {
                    self.rejoin = Some("group is already rebalancing");
                }
            }
            ErrorCode::IllegalGeneration => {
                self.forget_membership(now, true, "encountered ILLEGAL_GENERATION");
            }
            ErrorCode::UnknownMemberId => {
                self.forget_membership(now, false, "encountered UNKNOWN_MEMBER_ID");
            }
            code if code.is_retriable() => {}
            code => self.fail(GroupError::Broker(code)),
        }
    }
}

pub(super) fn code_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
