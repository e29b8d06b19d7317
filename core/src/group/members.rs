//! Heartbeat and LeaveGroup: members that are there, and members that go (K71, K77).

use kafka_wire::leave_group_request::MemberIdentity;
use kafka_wire::leave_group_response::MemberResponse;
use kafka_wire::{HeartbeatRequest, LeaveGroupRequest, LeaveGroupResponse};
use kafka_wire_core::StrBytes;

use super::classic::{ClassicGroup, GroupState};
use super::reply::{heartbeat, leave_error};
use super::shared::{Shared, tell};
use super::{Caller, GroupEffects, GroupReply, Shard};
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::time::Now;

/// The first version in which several members leave at once, each with a code of its own.
const LEAVES_IN_BATCHES: i16 = 3;

impl Shard {
    /// Heartbeat: the member is there, and learns whether it must join again.
    pub fn heartbeat(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &HeartbeatRequest,
        out: &mut GroupEffects,
    ) {
        let code = match self.beat(now, request) {
            Ok(()) => ErrorCode::None,
            Err(code) => code,
        };
        heartbeat(caller, code, out);
    }

    fn beat(&mut self, now: Now, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        match self.refusal() {
            // The client has nothing to do but to go on: Kafka says so too.
            Some(ErrorCode::CoordinatorLoadInProgress) => return Ok(()),
            Some(code) => return Err(code),
            None => {}
        }
        let group = self.groups.get(&request.group_id);
        let group = group.ok_or(ErrorCode::UnknownMemberId)?;
        group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let member = group.member(&request.member_id);
        let id = &member.expect("it was just checked").id;
        self.shared.expect_within_session(now, group, id);
        match group.state {
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
            GroupState::Empty => Err(ErrorCode::UnknownMemberId),
            GroupState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
        }
    }

    /// LeaveGroup, of every version.
    pub fn leave_group(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &LeaveGroupRequest,
        out: &mut GroupEffects,
    ) {
        let reply = self.leave(now, caller.version, request, out);
        out.replies
            .push((caller.reply_to, GroupReply::LeaveGroup(reply)));
    }

    fn leave(
        &mut self,
        now: Now,
        version: i16,
        request: &LeaveGroupRequest,
        out: &mut GroupEffects,
    ) -> LeaveGroupResponse {
        if request.group_id.is_empty() {
            return leave_error(ErrorCode::InvalidGroupId);
        }
        if let Some(code) = self.refusal() {
            return leave_error(code);
        }
        let alone;
        let leaving = if version >= LEAVES_IN_BATCHES {
            &request.members
        } else {
            let mut identity = MemberIdentity::default();
            identity.member_id = request.member_id.clone();
            alone = vec![identity];
            &alone
        };
        let mut codes = vec![ErrorCode::UnknownMemberId; leaving.len()];
        if let Some(group) = self.groups.get_mut(&request.group_id) {
            for (code, identity) in std::iter::zip(&mut codes, leaving) {
                *code = self.shared.let_go(group, identity, out);
            }
            if codes.contains(&ErrorCode::None) {
                self.shared.on_members_gone(now, group, out);
            }
        }
        if version >= LEAVES_IN_BATCHES {
            answer_each(leaving, &codes)
        } else {
            leave_error(codes[0])
        }
    }
}

impl Shared {
    /// Removes one who leaves, or an id that was given out.
    fn let_go(
        &mut self,
        group: &mut ClassicGroup,
        identity: &MemberIdentity,
        out: &mut GroupEffects,
    ) -> ErrorCode {
        let id = &identity.member_id;
        let instance_id = identity.group_instance_id.as_ref();
        let leaving = if id.is_empty() {
            let known = instance_id.and_then(|instance_id| group.static_member(instance_id));
            match known {
                Some(known) => known.clone(),
                None => return ErrorCode::UnknownMemberId,
            }
        } else if group.pending_members.contains(id) {
            id.clone()
        } else {
            match group.check_member(id, instance_id) {
                Ok(()) => id.clone(),
                Err(code) => return code,
            }
        };
        self.forget_member(group, &leaving);
        group.remove(&leaving, out);
        let reason = identity.reason.as_deref().unwrap_or("not provided");
        let what = format!("member {leaving} left; client reason: {reason}");
        tell(Severity::Info, &group.id, what, out);
        ErrorCode::None
    }

    /// Goes on after members left.
    fn on_members_gone(&mut self, now: Now, group: &mut ClassicGroup, out: &mut GroupEffects) {
        match group.state {
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.prepare(now, group, "members left", out);
            }
            GroupState::Empty => {}
            GroupState::PreparingRebalance => self.maybe_complete_join(now, group, out),
        }
    }
}

fn answer_each(leaving: &[MemberIdentity], codes: &[ErrorCode]) -> LeaveGroupResponse {
    let mut reply = LeaveGroupResponse::default();
    for (identity, code) in std::iter::zip(leaving, codes) {
        let mut told = MemberResponse::default();
        told.member_id = StrBytes::clone(&identity.member_id);
        told.group_instance_id = identity.group_instance_id.clone();
        told.error_code = code.code();
        reply.members.push(told);
    }
    reply
}
