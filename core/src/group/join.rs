//! JoinGroup: who is a member, and under which name (K68-K72, K75, K76).

use std::collections::BTreeMap;

use kafka_wire::{JoinGroupRequest, JoinGroupResponse};
use kafka_wire_core::StrBytes;

use super::classic::{ClassicGroup, GroupState};
use super::member::{Member, Parked, Terms, answer_join};
use super::record::GroupMetadata;
use super::reply::join_error;
use super::shard::live;
use super::shared::Shared;
use super::writes::{GroupRef, Replacement, Then};
use super::{Caller, GroupEffects, MemberId, Shard, owned};
use crate::error::ErrorCode;
use crate::limits::{
    GROUP_TIMERS_MAX, GROUPS_PER_SHARD_MAX, NEW_MEMBER_JOIN_TIMEOUT, PENDING_MEMBERS_MAX,
    PROTOCOLS_PER_MEMBER_MAX,
};
use crate::time::{Now, from_ms};

/// The first version in which a client joins with an id it was given.
const KNOWN_MEMBER_ID: i16 = 4;

/// The first version in which a leader can be told to assign nothing.
const SKIP_ASSIGNMENT: i16 = 9;

/// What a JoinGroup is about.
struct Join<'a> {
    caller: &'a Caller,
    request: &'a JoinGroupRequest,
}

impl Join<'_> {
    fn terms(&self) -> Terms {
        Terms::of(self.caller.version, self.request)
    }

    fn refuse(&self, member_id: &str, code: ErrorCode, out: &mut GroupEffects) {
        self.answer(join_error(member_id, code), out);
    }

    fn answer(&self, reply: JoinGroupResponse, out: &mut GroupEffects) {
        answer_join(Parked::of(self.caller), reply, out);
    }

    fn reason(&self, what: &str) -> String {
        let told = self.request.reason.as_deref();
        let told = told.filter(|reason| !reason.is_empty());
        format!("{what}; client reason: {}", told.unwrap_or("not provided"))
    }
}

impl Shard {
    /// JoinGroup. The answer comes when the next generation begins, or at once where none is
    /// needed.
    pub fn join_group(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &JoinGroupRequest,
        out: &mut GroupEffects,
    ) {
        let join = Join { caller, request };
        let settings = &self.shared.settings;
        if request.group_id.is_empty() {
            return join.refuse(&request.member_id, ErrorCode::InvalidGroupId, out);
        }
        let bounds = settings.min_session_timeout_ms..=settings.max_session_timeout_ms;
        if !bounds.contains(&request.session_timeout_ms) {
            return join.refuse(&request.member_id, ErrorCode::InvalidSessionTimeout, out);
        }
        if let Some(code) = self.refusal() {
            return join.refuse("", code, out);
        }
        if request.protocols.len() > PROTOCOLS_PER_MEMBER_MAX {
            let code = ErrorCode::InconsistentGroupProtocol;
            return join.refuse(&request.member_id, code, out);
        }
        let is_new_group = !self.groups.contains_key(&request.group_id);
        if is_new_group {
            if !request.member_id.is_empty() {
                return join.refuse(&request.member_id, ErrorCode::UnknownMemberId, out);
            }
            if self.groups.len() >= GROUPS_PER_SHARD_MAX {
                return join.refuse("", ErrorCode::CoordinatorNotAvailable, out);
            }
            let since = now.wall;
            self.create(&request.group_id).state_since = since;
        }
        let group = self.groups.get_mut(&request.group_id);
        let group = group.expect("it was there, or created");
        let writes_before = group.writes_in_flight;
        self.shared.join(now, group, &join, out);
        if is_new_group && group.writes_in_flight == writes_before {
            self.shared.write_new_group(group, out);
        }
    }
}

impl Shared {
    /// Writes that a group exists: as Kafka does, generation 0 of no protocol.
    fn write_new_group(&mut self, group: &mut ClassicGroup, out: &mut GroupEffects) {
        let record = GroupMetadata {
            protocol_type: StrBytes::default(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: group.state_since,
            members: Vec::new(),
        };
        self.write_metadata(group, &record, Then::Record, out);
    }

    fn join(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        out: &mut GroupEffects,
    ) {
        let member_id = &join.request.member_id;
        if !group.has_room_for(join.request) {
            join.refuse(member_id, ErrorCode::GroupMaxSizeReached, out);
        } else if !self.accepts(group, join) {
            self.forget_member(group, member_id);
            group.remove(member_id, out);
            join.refuse("", ErrorCode::GroupMaxSizeReached, out);
            self.maybe_complete_join(now, group, out);
        } else if member_id.is_empty() {
            self.join_new(now, group, join, out);
        } else {
            self.join_known(now, group, join, out);
        }
    }

    /// Whether the group has room for who asks. While it prepares, those who joined count: the
    /// first to come stay.
    fn accepts(&self, group: &ClassicGroup, join: &Join<'_>) -> bool {
        let max_size = self.settings.max_size;
        let member = group.member(&join.request.member_id);
        match group.state {
            GroupState::Empty => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some())
                    || group.joining_count() < max_size
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || group.members_count() < max_size
            }
        }
    }

    fn join_new(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        out: &mut GroupEffects,
    ) {
        let Join { caller, request } = join;
        if !group.supports(request) {
            return join.refuse("", ErrorCode::InconsistentGroupProtocol, out);
        }
        if self.timers.len() >= GROUP_TIMERS_MAX {
            return join.refuse("", ErrorCode::CoordinatorNotAvailable, out);
        }
        if let Some(instance_id) = &request.group_instance_id {
            let new = self.new_member_id(instance_id);
            return match group.static_member(instance_id).cloned() {
                Some(old) => self.replace_static(now, group, join, (&old, &new), out),
                None => self.add(now, group, join, &new, out),
            };
        }
        let new = self.new_member_id(&caller.client_id);
        if caller.version < KNOWN_MEMBER_ID {
            return self.add(now, group, join, &new, out);
        }
        if group.pending_members.len() >= PENDING_MEMBERS_MAX {
            return join.refuse("", ErrorCode::GroupMaxSizeReached, out);
        }
        group.pending_members.insert(new.clone());
        let timeout = from_ms(i64::from(request.session_timeout_ms));
        self.expect_member(group, &new, now.after(timeout));
        join.refuse(&new, ErrorCode::MemberIdRequired, out);
    }

    fn join_known(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        out: &mut GroupEffects,
    ) {
        let request = join.request;
        let id = &request.member_id;
        if !group.supports(request) {
            return join.refuse(id, ErrorCode::InconsistentGroupProtocol, out);
        }
        let instance_id = request.group_instance_id.as_ref();
        if group.pending_members.contains(id) && instance_id.is_none() {
            let id = owned(id);
            return self.add(now, group, join, &id, out);
        }
        if let Err(code) = group.check_member(id, instance_id) {
            return join.refuse(id, code, out);
        }
        let member = group.member(id).expect("it was just checked");
        let is_unchanged = member.matches(&request.protocols);
        let is_leader = group.is_leader(id);
        let what = match group.state {
            GroupState::CompletingRebalance if is_unchanged => {
                // Its answer was lost: it gets it again.
                return join.answer(group.join_reply(id, is_leader), out);
            }
            GroupState::Stable if is_unchanged && !is_leader => {
                return join.answer(group.join_reply(id, false), out);
            }
            GroupState::PreparingRebalance => "joins",
            GroupState::CompletingRebalance | GroupState::Stable if !is_unchanged => {
                "joins with other metadata"
            }
            GroupState::CompletingRebalance | GroupState::Stable => "joins again and leads",
            GroupState::Empty => unreachable!("an empty group has no members"),
        };
        let id = owned(id);
        let parked = Some(Parked::of(join.caller));
        group.update(&id, join.terms(), parked, out);
        let reason = || join.reason(&format!("member {id} {what}"));
        self.prepare_or_continue(now, group, reason, out);
    }

    /// Adds a member, and rebalances. Until it is told of a generation it may be silent for
    /// [`NEW_MEMBER_JOIN_TIMEOUT`].
    fn add(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        id: &MemberId,
        out: &mut GroupEffects,
    ) {
        let Join { caller, request } = join;
        let member = Member {
            id: id.clone(),
            instance_id: request.group_instance_id.as_ref().map(owned),
            client_id: owned(&caller.client_id),
            client_host: StrBytes::from(format!("/{}", caller.peer_host)),
            terms: join.terms(),
            assignment: bytes::Bytes::new(),
            is_new: true,
            place: 0,
            joining: Some(Parked::of(caller)),
            syncing: None,
        };
        if group.state == GroupState::PreparingRebalance && group.was_empty {
            group.has_newcomers = true;
        }
        group.add(member, &request.protocol_type);
        self.expect_member(group, id, now.after(NEW_MEMBER_JOIN_TIMEOUT));
        let reason = || join.reason(&format!("member {id} is new"));
        self.prepare_or_continue(now, group, reason, out);
    }

    /// The client of a static member came again: it gets a new id, and the old one is fenced. In a
    /// Stable group whose protocol stays the same nobody else notices.
    fn replace_static(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        join: &Join<'_>,
        (old, new): (&MemberId, &MemberId),
        out: &mut GroupEffects,
    ) {
        let old_leader = group.leader().cloned();
        self.forget_member(group, old);
        group.replace(old, new, out);
        self.expect_within_session(now, group, new);
        let parked = Some(Parked::of(join.caller));
        let old_terms = group.update(new, join.terms(), parked, out);
        match group.state {
            GroupState::Stable if group.protocol == group.select_protocol() => {
                let replacement = Replacement {
                    generation: group.generation,
                    old: old.clone(),
                    new: new.clone(),
                    old_terms,
                    old_leader,
                    version: join.caller.version,
                };
                let then = Then::Replace(Box::new(replacement));
                let assignments: BTreeMap<_, _> = group.assignments();
                self.write_group(group, &assignments, then, out);
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                let reason = join.reason(&format!("static member {new} joins again"));
                self.prepare(now, group, &reason, out);
            }
            GroupState::PreparingRebalance => self.maybe_complete_join(now, group, out),
            GroupState::Empty => unreachable!("an empty group has no members"),
        }
    }
}

impl Shard {
    /// The log knows the new id of a static member: its client may go on where it was.
    pub(super) fn commit_replacement(
        &mut self,
        now: Now,
        reference: &GroupRef,
        replacement: &Replacement,
        out: &mut GroupEffects,
    ) {
        let Some(group) = live(&mut self.groups, reference) else {
            return;
        };
        group.subscribed = group.compute_subscribed();
        if !is_in_force(group, replacement) {
            return;
        }
        let new = &replacement.new;
        let may_skip = replacement.version >= SKIP_ASSIGNMENT;
        let is_leader = group.is_leader(new);
        let mut reply = group.join_reply(new, may_skip && is_leader);
        reply.skip_assignment = may_skip && is_leader;
        if !may_skip {
            // An older client that is told it leads would assign, and nobody would ask for it.
            reply.leader = replacement.old_leader.clone().unwrap_or_default();
        }
        group.complete_join(new, reply, out);
        // While it waited for the write its silence was excused, and its timer may have run out.
        self.shared.expect_within_session(now, group, new);
    }

    /// The log does not know the new id of a static member: the old one is back.
    pub(super) fn undo_replacement(
        &mut self,
        now: Now,
        reference: &GroupRef,
        replacement: &Replacement,
        code: ErrorCode,
        out: &mut GroupEffects,
    ) {
        let Some(group) = live(&mut self.groups, reference) else {
            return;
        };
        if !is_in_force(group, replacement) {
            return;
        }
        let Replacement { old, new, .. } = replacement;
        let mut reply = join_error("", code);
        reply.generation_id = group.generation;
        reply.protocol_type = group.protocol_type.clone();
        reply.protocol_name = group.protocol.clone();
        reply.leader = replacement.old_leader.clone().unwrap_or_default();
        group.complete_join(new, reply, out);
        group.update(new, replacement.old_terms.clone(), None, out);
        self.shared.forget_member(group, new);
        group.replace(new, old, out);
        self.shared.expect_within_session(now, group, old);
    }
}

/// Whether nothing happened since a static member was replaced.
fn is_in_force(group: &ClassicGroup, replacement: &Replacement) -> bool {
    let member = group.member(&replacement.new);
    group.state == GroupState::Stable
        && group.generation == replacement.generation
        && member.is_some_and(|member| member.joining.is_some())
}
