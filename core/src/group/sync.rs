//! SyncGroup: who gets what (K73).

use std::collections::BTreeMap;

use kafka_wire::{SyncGroupRequest, SyncGroupResponse};
use kafka_wire_core::StrBytes;

use super::classic::{ClassicGroup, GroupState};
use super::member::Parked;
use super::reply::sync_error;
use super::shared::{Shared, tell};
use super::timers::Timer;
use super::writes::Then;
use super::{Caller, GroupEffects, GroupReply, MemberId, Shard, owned};
use crate::error::ErrorCode;
use crate::event::Severity;

/// The first version that names the protocol, and must.
const NAMES_PROTOCOL: i16 = 5;

impl Shard {
    /// SyncGroup. Followers are answered when the leader's assignments are committed.
    pub fn sync_group(
        &mut self,
        caller: &Caller,
        request: &SyncGroupRequest,
        out: &mut GroupEffects,
    ) {
        let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
        if caller.version >= NAMES_PROTOCOL && !names_protocol {
            return refuse(caller, ErrorCode::InconsistentGroupProtocol, out);
        }
        if request.group_id.is_empty() {
            return refuse(caller, ErrorCode::InvalidGroupId, out);
        }
        if let Some(code) = self.refusal() {
            return refuse(caller, code, out);
        }
        let Some(group) = self.groups.get_mut(&request.group_id) else {
            return refuse(caller, ErrorCode::UnknownMemberId, out);
        };
        if let Err(code) = check(group, request) {
            return refuse(caller, code, out);
        }
        match group.state {
            GroupState::CompletingRebalance => {
                self.shared.sync(caller, group, request, out);
            }
            GroupState::Empty => refuse(caller, ErrorCode::UnknownMemberId, out),
            GroupState::PreparingRebalance => {
                refuse(caller, ErrorCode::RebalanceInProgress, out);
            }
            GroupState::Stable => {
                self.shared.has_synced(group, &request.member_id);
                let member = group.member(&request.member_id);
                let member = member.expect("it was just checked");
                answer(caller, group.sync_reply(member), out);
            }
        }
    }
}

impl Shared {
    /// A member asks for its assignment before there is one; the leader brings all of them.
    fn sync(
        &mut self,
        caller: &Caller,
        group: &mut ClassicGroup,
        request: &SyncGroupRequest,
        out: &mut GroupEffects,
    ) {
        let id = &request.member_id;
        let member = group.member_mut(id).expect("it was just checked");
        let parked = Parked::of(caller);
        // An earlier SyncGroup that still waits is told to join again: its client gave it up.
        member.answer_sync(sync_error(ErrorCode::RebalanceInProgress), out);
        member.syncing = Some(parked);
        self.has_synced(group, id);
        // The leader's first word counts: a second record of the same generation could say
        // otherwise than what members were told.
        if !group.is_leader(id) || group.is_assigning {
            return;
        }
        let assignments = assignments_of(request);
        let is_missing = |id: &MemberId| !assignments.contains_key(id);
        let missing = group.members().filter(|member| is_missing(&member.id));
        let missing = missing.count();
        if missing > 0 {
            let what = format!("{missing} members got no assignment from their leader");
            tell(Severity::Warning, &group.id, what, out);
        }
        group.is_assigning = true;
        let then = Then::Assign {
            generation: group.generation,
            assignments: assignments.clone(),
        };
        self.write_group(group, &assignments, then, out);
    }

    /// Notes that a member asked for its assignment.
    fn has_synced(&mut self, group: &mut ClassicGroup, id: &MemberId) {
        group.pending_syncs.remove(id);
        if group.pending_syncs.is_empty() {
            self.timers.cancel(Timer::Sync(group.id.clone()));
        }
    }
}

/// The assignments of a request, without its frame.
fn assignments_of(request: &SyncGroupRequest) -> BTreeMap<MemberId, bytes::Bytes> {
    let assignments = request.assignments.iter();
    assignments
        .map(|assignment| {
            let bytes = bytes::Bytes::copy_from_slice(&assignment.assignment);
            (owned(&assignment.member_id), bytes)
        })
        .collect()
}

fn check(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    group.check_member(&request.member_id, request.group_instance_id.as_ref())?;
    if request.generation_id != group.generation {
        return Err(ErrorCode::IllegalGeneration);
    }
    let differ = |asked: &Option<StrBytes>, own: &Option<StrBytes>| {
        asked.is_some() && own.is_some() && asked != own
    };
    if differ(&request.protocol_type, &group.protocol_type)
        || differ(&request.protocol_name, &group.protocol)
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

fn refuse(caller: &Caller, code: ErrorCode, out: &mut GroupEffects) {
    answer(caller, sync_error(code), out);
}

fn answer(caller: &Caller, reply: SyncGroupResponse, out: &mut GroupEffects) {
    out.replies
        .push((caller.reply_to, GroupReply::SyncGroup(reply)));
}
