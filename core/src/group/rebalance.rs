//! How a group goes from one generation to the next.
//!
//! 1. Something changes: the group prepares. Members learn it from their heartbeats and join again.
//! 2. All members joined, or the rebalance timeout ended and those who did not are out: the next
//!    generation begins, and every member is told of it.
//! 3. The leader sends the assignments; they are written, and given out when they are committed.
//! 4. Members that do not ask for theirs within the rebalance timeout are out: back to 1.
//!
//! Kafka class to compare: `GroupMetadataManager` (4.3.1).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::classic::{ClassicGroup, GroupState, JoinWait};
use super::reply::sync_error;
use super::shared::{Shared, tell};
use super::timers::Timer;
use super::writes::Then;
use super::{GroupEffects, MemberId};
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::time::Now;

impl Shared {
    /// Rebalances a group that can be, for a reason that is told; or goes on with the rebalance
    /// under way.
    pub(super) fn prepare_or_continue(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        reason: impl FnOnce() -> String,
        out: &mut GroupEffects,
    ) {
        if group.state == GroupState::PreparingRebalance {
            self.maybe_complete_join(now, group, out);
        } else {
            self.prepare(now, group, &reason(), out);
        }
    }

    /// Begins a rebalance.
    pub(super) fn prepare(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        reason: &str,
        out: &mut GroupEffects,
    ) {
        if group.state == GroupState::CompletingRebalance {
            self.reset_assignments(now, group, ErrorCode::RebalanceInProgress, out);
        }
        group.pending_syncs.clear();
        self.timers.cancel(Timer::Sync(group.id.clone()));
        group.was_empty = group.state == GroupState::Empty;
        group.enter(GroupState::PreparingRebalance, now.wall);
        let generation = group.generation;
        let what = format!("rebalancing after generation {generation}: {reason}");
        tell(Severity::Info, &group.id, what, out);
        if group.was_empty {
            let delay = self.settings.initial_rebalance_delay;
            let remaining = group.rebalance_timeout().saturating_sub(delay);
            group.has_newcomers = false;
            self.wait_for_joins(now, group, JoinWait::Initial { delay, remaining }, delay);
        } else if group.have_all_joined() {
            self.complete_join(now, group, out);
        } else {
            let timeout = group.rebalance_timeout();
            self.wait_for_joins(now, group, JoinWait::Rebalance, timeout);
        }
    }

    fn wait_for_joins(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        wait: JoinWait,
        delay: Duration,
    ) {
        group.join_wait = wait;
        let timer = Timer::Join(group.id.clone());
        self.timers.schedule(timer, now.after(delay));
    }

    /// Ends the wait for members, if none is missing; a group that was empty waits its time.
    pub(super) fn maybe_complete_join(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        out: &mut GroupEffects,
    ) {
        let is_preparing = group.state == GroupState::PreparingRebalance;
        if is_preparing && !group.was_empty && group.have_all_joined() {
            self.complete_join(now, group, out);
        }
    }

    /// The time to wait for members has come to its end.
    pub(super) fn on_join_wait_over(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        out: &mut GroupEffects,
    ) {
        assert!(
            group.state == GroupState::PreparingRebalance,
            "the timer is cancelled when the wait ends"
        );
        if let JoinWait::Initial { delay, remaining } = group.join_wait
            && group.has_newcomers
            && !remaining.is_zero()
        {
            group.has_newcomers = false;
            let next = self.settings.initial_rebalance_delay.min(remaining);
            let wait = JoinWait::Initial {
                delay: next,
                remaining: remaining.saturating_sub(delay),
            };
            self.wait_for_joins(now, group, wait, next);
        } else {
            self.complete_join(now, group, out);
        }
    }

    /// Ends the wait for members: dynamic members that did not join are out; the rest begin a
    /// generation.
    pub(super) fn complete_join(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        out: &mut GroupEffects,
    ) {
        self.timers.cancel(Timer::Join(group.id.clone()));
        let missing: Vec<MemberId> = group
            .members()
            .filter(|member| member.joining.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for member in &missing {
            self.forget_member(group, member);
            group.remove(member, out);
            let what = format!("member {member} did not join again in time and is out");
            tell(Severity::Info, &group.id, what, out);
        }
        if !group.elect_leader() && group.members_count() > 0 {
            let timeout = group.rebalance_timeout();
            self.wait_for_joins(now, group, JoinWait::Rebalance, timeout);
            return;
        }
        group.begin_generation(now.wall);
        let generation = group.generation;
        if group.state == GroupState::Empty {
            let what = format!("empty in generation {generation}");
            tell(Severity::Info, &group.id, what, out);
            self.write_group(group, &BTreeMap::new(), Then::Record, out);
            return;
        }
        let what = format!(
            "generation {generation} has {} members",
            group.members_count()
        );
        tell(Severity::Info, &group.id, what, out);
        let ids: Vec<MemberId> = group.members().map(|member| member.id.clone()).collect();
        for id in ids {
            let reply = group.join_reply(&id, group.is_leader(&id));
            group.complete_join(&id, reply, out);
            self.expect_within_session(now, group, &id);
            let member = group.member_mut(&id).expect("it is one of the members");
            member.is_new = false;
            group.pending_syncs.insert(id);
        }
        let timeout = group.rebalance_timeout();
        let timer = Timer::Sync(group.id.clone());
        self.timers.schedule(timer, now.after(timeout));
    }

    /// The time to ask for assignments has come to its end: those who did not are out.
    pub(super) fn on_sync_wait_over(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        out: &mut GroupEffects,
    ) {
        let missing: Vec<MemberId> = group.pending_syncs.iter().cloned().collect();
        if missing.is_empty() {
            return;
        }
        for member in &missing {
            self.forget_member(group, member);
            group.remove(member, out);
            let what = format!("member {member} did not sync in time and is out");
            tell(Severity::Info, &group.id, what, out);
        }
        self.prepare(now, group, "members did not sync", out);
    }

    /// A member, or somebody to whom an id was given, was not heard of for too long.
    pub(super) fn on_session_over(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        id: &MemberId,
        out: &mut GroupEffects,
    ) {
        if group.pending_members.contains(id) {
            group.remove(id, out);
            if group.state == GroupState::PreparingRebalance && group.have_all_joined() {
                self.complete_join(now, group, out);
            }
            return;
        }
        let Some(member) = group.member(id) else {
            return;
        };
        if member.is_excused() {
            return;
        }
        let what = format!("member {id} was silent for too long and is out");
        tell(Severity::Info, &group.id, what, out);
        group.remove(id, out);
        match group.state {
            GroupState::Stable | GroupState::CompletingRebalance => {
                self.prepare(now, group, "a member was silent for too long", out);
            }
            GroupState::PreparingRebalance => {
                if group.have_all_joined() {
                    self.complete_join(now, group, out);
                }
            }
            GroupState::Empty => unreachable!("an empty group has no members"),
        }
    }

    /// Takes all assignments back, and tells those who wait for one why.
    pub(super) fn reset_assignments(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        code: ErrorCode,
        out: &mut GroupEffects,
    ) {
        group.is_assigning = false;
        let mut answered = Vec::new();
        for member in group.members_mut() {
            member.assignment = Bytes::new();
            if member.answer_sync(sync_error(code), out) {
                answered.push(member.id.clone());
            }
        }
        for id in &answered {
            self.expect_within_session(now, group, id);
        }
    }

    /// Gives out the leader's assignments: the group is Stable.
    pub(super) fn assign(
        &mut self,
        now: Now,
        group: &mut ClassicGroup,
        assignments: &BTreeMap<MemberId, Bytes>,
        out: &mut GroupEffects,
    ) {
        let ids: Vec<MemberId> = group.members().map(|member| member.id.clone()).collect();
        for id in ids {
            let member = group.member_mut(&id).expect("it is one of the members");
            member.assignment = assignments.get(&id).cloned().unwrap_or_default();
            let member = group.member(&id).expect("it is one of the members");
            let reply = group.sync_reply(member);
            let member = group.member_mut(&id).expect("it is one of the members");
            if member.answer_sync(reply, out) {
                self.expect_within_session(now, group, &id);
            }
        }
        group.is_assigning = false;
        group.enter(GroupState::Stable, now.wall);
    }
}
