//! A classic group: its members, its generation, and the rules between them.
//!
//! Holds no timer and writes no record: [`super::rebalance`] moves it from state to state. Kafka
//! class to compare: `ClassicGroup` (4.3.1).

mod agreement;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kafka_wire::{JoinGroupRequest, JoinGroupResponse};
use kafka_wire_core::StrBytes;

use super::member::{Member, Parked, Terms, answer_join};
use super::record::GroupMetadata;
use super::reply::{join_error, sync_error};
use super::{GroupEffects, GroupId, MemberId, owned};
use crate::error::ErrorCode;
use crate::ids::TopicName;
use crate::limits::GROUP_BYTES_MAX;
use crate::time::{Timestamp, from_ms};

/// Where a group stands. A group that is dead is not there at all.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum GroupState {
    /// All members joined; the leader is to say who gets what.
    CompletingRebalance,
    /// No members.
    Empty,
    /// Members are to join again.
    PreparingRebalance,
    /// Every member has, or may fetch, its assignment.
    Stable,
}

impl GroupState {
    /// Kafka's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What the end of the wait for members means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum JoinWait {
    /// The group was empty: where members came in the last `delay`, it may wait for as long again,
    /// within what `remaining` is left of the rebalance timeout.
    Initial {
        delay: Duration,
        remaining: Duration,
    },
    /// Those who are not back by then are out.
    Rebalance,
}

/// A classic group.
#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    pub(super) id: GroupId,
    /// Tells this group from an earlier one of its name, for writes that are in flight.
    pub(super) incarnation: u64,
    pub(super) state: GroupState,
    /// Since when, or [`Timestamp::NONE`] where no record says so.
    pub(super) state_since: Timestamp,
    /// While it prepares: whether it was empty before.
    pub(super) was_empty: bool,
    pub(super) join_wait: JoinWait,
    /// A member came while the group that was empty waits for more.
    pub(super) has_newcomers: bool,
    /// Raised whenever a rebalance ends; never back.
    pub(super) generation: i32,
    pub(super) protocol_type: Option<StrBytes>,
    pub(super) protocol: Option<StrBytes>,
    leader: Option<MemberId>,
    members: BTreeMap<MemberId, Member>,
    /// The members with an instance id.
    static_members: BTreeMap<StrBytes, MemberId>,
    /// Ids given out, whose clients are to join with them.
    pub(super) pending_members: BTreeSet<MemberId>,
    /// Members that have not asked for their assignment in this generation.
    pub(super) pending_syncs: BTreeSet<MemberId>,
    /// How many members wait for the answer to their JoinGroup.
    joining_count: usize,
    /// How many members support each protocol.
    support: BTreeMap<StrBytes, usize>,
    /// The topics of all members, where the group is of consumers and their metadata was read.
    pub(super) subscribed: Option<BTreeSet<TopicName>>,
    /// Bytes of what members said.
    size_bytes: usize,
    places: u64,
    /// Whether a record of the group is committed.
    pub(super) is_recorded: bool,
    /// How many writes that make or change the group are in flight.
    pub(super) writes_in_flight: u32,
    /// The leader's assignments of this generation are being written.
    pub(super) is_assigning: bool,
}

impl ClassicGroup {
    /// An empty group.
    pub(super) fn new(id: &GroupId, incarnation: u64) -> Self {
        Self {
            id: owned(id),
            incarnation,
            state: GroupState::Empty,
            state_since: Timestamp::NONE,
            was_empty: false,
            join_wait: JoinWait::Rebalance,
            has_newcomers: false,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            joining_count: 0,
            support: BTreeMap::new(),
            subscribed: None,
            size_bytes: 0,
            places: 0,
            is_recorded: false,
            writes_in_flight: 0,
            is_assigning: false,
        }
    }

    /// A group as its record has it: Stable, or Empty where it has no members.
    pub(super) fn from_record(id: &GroupId, incarnation: u64, record: GroupMetadata) -> Self {
        let mut group = Self::new(id, incarnation);
        group.is_recorded = true;
        group.state_since = record.current_state_timestamp;
        group.generation = record.generation;
        group.protocol_type = Some(record.protocol_type).filter(|name| !name.is_empty());
        group.protocol = record.protocol;
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in record.members {
            let is_double = group.members.contains_key(&member.member_id);
            let instance_id = member.group_instance_id.as_ref();
            if !is_double && instance_id.is_none_or(|id| !group.static_members.contains_key(id)) {
                group.insert(Member::from_record(member, &protocol));
            }
        }
        let leader = record.leader.filter(|id| group.members.contains_key(id));
        group.leader = leader.or_else(|| group.eldest());
        if !group.members.is_empty() {
            group.state = GroupState::Stable;
        }
        group.subscribed = group.compute_subscribed();
        group
    }

    /// The group's record, with these assignments; a member without one has an empty one.
    pub(super) fn to_record(&self, assignments: &BTreeMap<MemberId, Bytes>) -> GroupMetadata {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.values().map(|member| {
            let assignment = assignments.get(&member.id).cloned().unwrap_or_default();
            member.to_record(&protocol, assignment)
        });
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_since,
            members: members.collect(),
        }
    }

    /// The members' assignments.
    pub(super) fn assignments(&self) -> BTreeMap<MemberId, Bytes> {
        let members = self.members.iter();
        members
            .map(|(id, member)| (id.clone(), member.assignment.clone()))
            .collect()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(super) fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn member_mut(&mut self, id: &MemberId) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    /// Whether the log knows the group, or a client was told of it: the first record of a group is
    /// on its way to the log while its members are answered already.
    pub(super) fn is_known(&self) -> bool {
        self.is_recorded || !self.members.is_empty() || !self.pending_members.is_empty()
    }

    pub(super) fn members_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn joining_count(&self) -> usize {
        self.joining_count
    }

    pub(super) fn leader(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub(super) fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    /// The member of an instance.
    pub(super) fn static_member(&self, instance_id: &StrBytes) -> Option<&MemberId> {
        self.static_members.get(instance_id)
    }

    /// Moves the group to a state.
    pub(super) fn enter(&mut self, state: GroupState, now: Timestamp) {
        use GroupState as S;
        let is_allowed = match state {
            S::CompletingRebalance | S::Empty => self.state == S::PreparingRebalance,
            S::PreparingRebalance => self.state != S::PreparingRebalance,
            S::Stable => self.state == S::CompletingRebalance,
        };
        assert!(is_allowed, "{:?} does not become {state:?}", self.state);
        if state != S::PreparingRebalance {
            let is_empty = state == S::Empty;
            assert_eq!(self.members.is_empty(), is_empty, "{state:?}");
        }
        self.state = state;
        self.state_since = now;
    }

    /// Whether a member may do something: its id is a member's, and its instance's.
    pub(super) fn check_member(
        &self,
        id: &MemberId,
        instance_id: Option<&StrBytes>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    /// Whether somebody with these protocols may be, or stay, a member.
    pub(super) fn supports(&self, request: &JoinGroupRequest) -> bool {
        if self.state == GroupState::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|protocol| {
                let count = self.support.get(&protocol.name).copied().unwrap_or(0);
                count == self.members.len()
            })
    }

    /// Whether the group has room for what a member says in a request.
    pub(super) fn has_room_for(&self, request: &JoinGroupRequest) -> bool {
        let member = self.members.get(&request.member_id);
        let former = member.map_or(0, |member| member.terms.size_bytes());
        let protocols = request.protocols.iter();
        let asked: usize = protocols
            .map(|protocol| protocol.name.len() + protocol.metadata.len())
            .sum();
        self.size_bytes - former + asked <= GROUP_BYTES_MAX
    }

    /// Adds a member; the first one decides the protocol type.
    pub(super) fn add(&mut self, member: Member, protocol_type: &StrBytes) {
        if self.members.is_empty() {
            self.protocol_type = Some(owned(protocol_type));
        }
        assert_eq!(
            self.protocol_type.as_ref(),
            Some(protocol_type),
            "the caller checked the protocol type"
        );
        self.pending_members.remove(&member.id);
        let id = member.id.clone();
        self.insert(member);
        self.leader.get_or_insert(id);
    }

    fn insert(&mut self, mut member: Member) {
        self.places += 1;
        member.place = self.places;
        if let Some(instance_id) = &member.instance_id {
            let former = self
                .static_members
                .insert(instance_id.clone(), member.id.clone());
            assert!(former.is_none(), "an instance is one member");
        }
        self.count(&member.terms, true);
        self.joining_count += usize::from(member.joining.is_some());
        let former = self.members.insert(member.id.clone(), member);
        assert!(former.is_none(), "a member joins once");
    }

    /// Removes a member, or an id given out; what it waits for is answered with UNKNOWN_MEMBER_ID.
    pub(super) fn remove(&mut self, id: &MemberId, out: &mut GroupEffects) {
        self.pending_members.remove(id);
        self.pending_syncs.remove(id);
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        if let Some(parked) = member.joining.take() {
            self.joining_count -= 1;
            answer_join(parked, join_error("", ErrorCode::UnknownMemberId), out);
        }
        member.answer_sync(sync_error(ErrorCode::UnknownMemberId), out);
        self.count(&member.terms, false);
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.eldest();
        }
    }

    /// Gives the member of an instance another id; what the old one waits for is answered with
    /// FENCED_INSTANCE_ID.
    pub(super) fn replace(&mut self, old: &MemberId, new: &MemberId, out: &mut GroupEffects) {
        let mut member = self.members.remove(old).expect("an instance is a member");
        if let Some(parked) = member.joining.take() {
            self.joining_count -= 1;
            let mut reply = join_error(old, ErrorCode::FencedInstanceId);
            reply.protocol_name = None;
            answer_join(parked, reply, out);
        }
        member.answer_sync(sync_error(ErrorCode::FencedInstanceId), out);
        member.id = new.clone();
        member.is_new = false;
        let instance_id = member.instance_id.clone().expect("it is static");
        self.static_members.insert(instance_id, new.clone());
        self.members.insert(new.clone(), member);
        if self.is_leader(old) {
            self.leader = Some(new.clone());
        }
        if self.pending_syncs.remove(old) {
            self.pending_syncs.insert(new.clone());
        }
    }

    /// Takes what a member says in a JoinGroup, and the place of its answer. An earlier JoinGroup
    /// that still waits is told to join again: its client has given it up.
    pub(super) fn update(
        &mut self,
        id: &MemberId,
        terms: Terms,
        joining: Option<Parked>,
        out: &mut GroupEffects,
    ) -> Terms {
        let member = self.members.get_mut(id).expect("the caller knows it");
        let former = std::mem::replace(&mut member.terms, terms.clone());
        let parked = std::mem::replace(&mut member.joining, joining);
        self.joining_count += usize::from(joining.is_some());
        if let Some(parked) = parked {
            self.joining_count -= 1;
            answer_join(parked, join_error(id, ErrorCode::RebalanceInProgress), out);
        }
        self.count(&former, false);
        self.count(&terms, true);
        former
    }

    /// Answers a member's JoinGroup, if it waits; whether it did.
    pub(super) fn complete_join(
        &mut self,
        id: &MemberId,
        reply: JoinGroupResponse,
        out: &mut GroupEffects,
    ) -> bool {
        let member = self.members.get_mut(id).expect("the caller knows it");
        let Some(parked) = member.joining.take() else {
            return false;
        };
        self.joining_count -= 1;
        answer_join(parked, reply, out);
        true
    }

    /// Whether nobody is missing: neither members nor those to whom an id was given.
    pub(super) fn have_all_joined(&self) -> bool {
        self.members.len() == self.joining_count && self.pending_members.is_empty()
    }

    /// The longest time that a member may take to join again.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let members = self.members.values();
        let longest = members
            .map(|member| member.terms.rebalance_timeout_ms)
            .max();
        from_ms(i64::from(longest.unwrap_or(0)))
    }

    /// Whether there is a leader that joined, after another one was chosen where it did not.
    pub(super) fn elect_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else {
            return false;
        };
        let has_joined = |id: &MemberId| {
            let member = self.members.get(id);
            member.is_some_and(|member| member.joining.is_some())
        };
        if has_joined(leader) {
            return true;
        }
        let joined = self.members.values().filter(|m| m.joining.is_some());
        let Some(eldest) = joined.min_by_key(|member| member.place) else {
            return false;
        };
        self.leader = Some(eldest.id.clone());
        true
    }

    fn eldest(&self) -> Option<MemberId> {
        let eldest = self.members.values().min_by_key(|member| member.place);
        eldest.map(|member| member.id.clone())
    }

    /// Begins the next generation: CompletingRebalance, or Empty where nobody is left.
    pub(super) fn begin_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        self.pending_syncs.clear();
        self.is_assigning = false;
        if self.members.is_empty() {
            self.enter(GroupState::Empty, now);
        } else {
            self.enter(GroupState::CompletingRebalance, now);
        }
    }

    fn count(&mut self, terms: &Terms, is_added: bool) {
        let bytes = terms.size_bytes();
        if is_added {
            self.size_bytes += bytes;
        } else {
            self.size_bytes -= bytes;
        }
        for (index, protocol) in terms.protocols.iter().enumerate() {
            let mut earlier = terms.protocols[..index].iter();
            if earlier.any(|earlier| earlier.name == protocol.name) {
                continue;
            }
            if is_added {
                *self.support.entry(protocol.name.clone()).or_default() += 1;
            } else {
                let count = self.support.get_mut(&protocol.name);
                let count = count.expect("it was counted when its member came");
                *count -= 1;
                if *count == 0 {
                    self.support.remove(&protocol.name);
                }
            }
        }
    }
}
