//! One `__consumer_offsets` partition's groups: loading, writing, time.
//!
//! Each request has a file of its own beside this one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::classic::{ClassicGroup, GroupState};
use super::offsets::ShardOffsets;
use super::record::{Record, RecordError};
use super::reply::{fail_commit, write_error};
use super::shared::{Shared, reference_to, tell};
use super::timers::Timer;
use super::writes::{GroupRef, InFlight, Then};
use super::{GroupEffects, GroupId, GroupReply, GroupSettings, WriteId};
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::limits::GROUP_REWRITE_DELAY;
use crate::metadata::Image;
use crate::mutants::mutant;
use crate::rng::Rng;
use crate::time::{Instant, Now};

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
    pub(super) shared: Shared,
    phase: Phase,
    pub(super) groups: BTreeMap<GroupId, ClassicGroup>,
    /// What was committed, by group.
    pub(super) offsets: ShardOffsets,
    /// Groups whose deletion is in flight: the log still has them.
    pub(super) dying: BTreeMap<(GroupId, WriteId), ClassicGroup>,
    /// How far a look for what has expired came that goes on in the next turn.
    pub(super) cleaned_to: Option<GroupId>,
    /// Records of kinds this program does not know, seen while loading.
    passed_over: u64,
}

impl Shard {
    /// A shard whose log is still to be replayed. Member ids are drawn from `rng`.
    #[must_use]
    pub fn new(settings: Arc<GroupSettings>, rng: Rng) -> Self {
        Self {
            shared: Shared::new(settings, rng),
            phase: Phase::Loading,
            groups: BTreeMap::new(),
            offsets: ShardOffsets::default(),
            cleaned_to: None,
            dying: BTreeMap::new(),
            passed_over: 0,
        }
    }

    /// A shard of no log, which refuses as one that resigned. It gives no names.
    #[must_use]
    pub fn resigned(settings: Arc<GroupSettings>) -> Self {
        let mut shard = Self::new(settings, Rng::new(0));
        shard.phase = Phase::Resigned;
        shard
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
        match Record::decode(key, value)? {
            Record::Group(id, Some(metadata)) => {
                let incarnation = self.shared.next_incarnation();
                let group = ClassicGroup::from_record(&id, incarnation, metadata);
                self.groups.insert(id, group);
            }
            Record::Group(id, None) => {
                self.groups.remove(&id);
            }
            Record::Offset(id, key, value) => {
                if value.is_some() && !self.groups.contains_key(&id) {
                    self.create(&id).is_recorded = true;
                }
                self.offsets.apply(&id, key, value);
            }
            Record::Other(_) => self.passed_over += 1,
        }
        Ok(())
    }

    /// Ends loading: the whole log was replayed. Members get fresh session timers.
    pub fn finish_loading(&mut self, now: Now, out: &mut GroupEffects) {
        assert!(self.phase == Phase::Loading, "a log is loaded once");
        self.phase = Phase::Active;
        if self.passed_over > 0 {
            let what = format!(
                "{} records of other kinds were passed over",
                self.passed_over
            );
            tell(Severity::Warning, "", what, out);
        }
        let interval = self.shared.settings.offsets_retention_check_interval;
        self.shared
            .timers
            .schedule(Timer::Cleanup, now.after(interval));
        let max_size = self.shared.settings.max_size;
        for group in self.groups.values_mut() {
            let ids: Vec<_> = group.members().map(|member| member.id.clone()).collect();
            for id in &ids {
                self.shared.expect_within_session(now, group, id);
            }
            if ids.len() > max_size {
                let reason = "it was loaded with more members than a group may have";
                self.shared.prepare(now, group, reason, out);
            }
        }
    }

    /// Ends the shard: this node leads the partition no longer, or could not load it. All that
    /// waits is answered with NOT_COORDINATOR, as is whatever comes still.
    pub fn resign(&mut self, out: &mut GroupEffects) {
        self.phase = Phase::Resigned;
        for group in self.groups.values_mut() {
            answer_all(group, ErrorCode::NotCoordinator, out);
        }
        while let Some(write) = self.shared.writes.take_up_to(WriteId(u64::MAX)) {
            if let Then::Answer(reply_to, mut reply) = write.then {
                fail_commit(&mut reply, ErrorCode::NotCoordinator);
                out.replies
                    .push((reply_to, GroupReply::OffsetCommit(reply)));
            }
        }
        self.groups.clear();
        self.offsets.clear();
        self.dying.clear();
        self.shared.timers = super::timers::Timers::default();
    }

    /// Whether the shard answers; else each request that makes sense gets [`Self::refusal`].
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.phase == Phase::Active
    }

    /// Why the shard does not answer; `None` where it does.
    #[must_use]
    pub fn refusal(&self) -> Option<ErrorCode> {
        match self.phase {
            Phase::Loading if mutant!(M42) => None,
            Phase::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Active => None,
            Phase::Resigned => Some(ErrorCode::NotCoordinator),
        }
    }

    /// Learns that `id` and all writes before it are committed.
    pub fn on_committed(&mut self, now: Now, id: WriteId, out: &mut GroupEffects) {
        while let Some(write) = self.shared.writes.take_up_to(id) {
            self.end_write(&write);
            self.commit(now, write, out);
        }
    }

    fn commit(&mut self, now: Now, write: InFlight, out: &mut GroupEffects) {
        let reference = write.group;
        for (key, value) in write.offsets {
            self.offsets.apply(&reference.id, key, value);
        }
        let Some(group) = self.find(&reference) else {
            return self.commit_without_group(write.then, &reference, write.id, out);
        };
        group.is_recorded = true;
        match write.then {
            Then::Answer(reply_to, reply) => {
                out.replies
                    .push((reply_to, GroupReply::OffsetCommit(reply)));
            }
            Then::Assign {
                generation,
                assignments,
            } => {
                if let Some(group) = awaiting(&mut self.groups, &reference, generation) {
                    self.shared.assign(now, group, &assignments, out);
                }
            }
            Then::Delete => {
                let key = (reference.id, write.id);
                self.dying.remove(&key);
                self.on_name_freed(&key.0, out);
            }
            Then::Nothing | Then::Record => {}
            Then::Replace(replacement) => {
                self.commit_replacement(now, &reference, &replacement, out);
            }
        }
    }

    /// A write is committed whose group is gone since: only its request is left.
    fn commit_without_group(
        &mut self,
        then: Then,
        reference: &GroupRef,
        id: WriteId,
        out: &mut GroupEffects,
    ) {
        match then {
            Then::Answer(reply_to, reply) => {
                out.replies
                    .push((reply_to, GroupReply::OffsetCommit(reply)));
            }
            Then::Delete => unreachable!("{reference:?} is kept until its write {id:?} ends"),
            Then::Assign { .. } | Then::Nothing | Then::Record | Then::Replace(_) => {}
        }
    }

    /// Learns that `id` is not in the log and never will be; `code` is the log's error. What the
    /// write would have changed is as before.
    pub fn on_write_failed(
        &mut self,
        now: Now,
        id: WriteId,
        code: ErrorCode,
        out: &mut GroupEffects,
    ) {
        let Some(write) = self.shared.writes.take(id) else {
            return;
        };
        self.end_write(&write);
        let told = write_error(code);
        let what = format!("a write failed with {}", code.name());
        tell(Severity::Warning, &write.group.id, what, out);
        match write.then {
            Then::Answer(reply_to, mut reply) => {
                fail_commit(&mut reply, told);
                out.replies
                    .push((reply_to, GroupReply::OffsetCommit(reply)));
            }
            Then::Assign { generation, .. } => {
                if let Some(group) = awaiting(&mut self.groups, &write.group, generation) {
                    self.shared.reset_assignments(now, group, told, out);
                    let reason = "the assignments could not be written";
                    self.shared.prepare(now, group, reason, out);
                }
            }
            Then::Delete => self.revive(now, &write.group.id, id),
            Then::Nothing => {}
            Then::Record => self.plan_rewrite(now, &write.group),
            Then::Replace(replacement) => {
                self.undo_replacement(now, &write.group, &replacement, told, out);
                self.plan_rewrite(now, &write.group);
            }
        }
        self.drop_if_never_written(&write.group, told, out);
    }

    /// What a client is told where a write failed with the log's error `code`.
    #[must_use]
    pub fn write_error(code: ErrorCode) -> ErrorCode {
        write_error(code)
    }

    /// When [`Self::on_time`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.shared.timers.next()
    }

    /// Does what is due: sessions, rebalances, pending ids, expired offsets. Which topics there are
    /// is seen in `image`. What is left for the next turn is due at once.
    pub fn on_time(&mut self, now: Now, image: &Image, out: &mut GroupEffects) {
        // A timer that is set anew while these run may be due at once, so the number of rounds is
        // bounded by what was there at first; the rest is due in the next turn.
        for _timer in 0..self.shared.timers.len() {
            let Some(timer) = self.shared.timers.take_due(now.instant) else {
                return;
            };
            if timer == Timer::Cleanup {
                // It may go on at once, and its work is bounded in a turn.
                return self.clean_up(now, image, out);
            }
            self.on_timer(now, &timer, out);
        }
    }

    fn on_timer(&mut self, now: Now, timer: &Timer, out: &mut GroupEffects) {
        let id = match timer {
            Timer::Cleanup => unreachable!("the caller looked"),
            Timer::Join(id) | Timer::Rewrite(id) | Timer::Session(id, _) | Timer::Sync(id) => id,
        };
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        match timer {
            Timer::Cleanup => unreachable!("it is of no group"),
            Timer::Join(_) => self.shared.on_join_wait_over(now, group, out),
            Timer::Rewrite(_) => {
                let is_settled = [GroupState::Empty, GroupState::Stable].contains(&group.state);
                if is_settled {
                    let assignments = group.assignments();
                    let then = Then::Record;
                    self.shared.write_group(group, &assignments, then, out);
                }
            }
            Timer::Session(_, member) => self.shared.on_session_over(now, group, member, out),
            Timer::Sync(_) => self.shared.on_sync_wait_over(now, group, out),
        }
    }

    /// A new group under a name that has none.
    pub(super) fn create(&mut self, id: &GroupId) -> &mut ClassicGroup {
        let incarnation = self.shared.next_incarnation();
        let group = ClassicGroup::new(id, incarnation);
        let key = group.id.clone();
        let place = self.groups.entry(key);
        place.or_insert(group)
    }

    /// Counts a write as ended, in the group and in the offsets that it names.
    fn end_write(&mut self, write: &InFlight) {
        if let Some(group) = self.find(&write.group) {
            group.writes_in_flight -= 1;
        }
        for (key, _) in &write.offsets {
            self.offsets.end(&write.group.id, key);
        }
    }

    /// The group of a write, be it dying.
    fn find(&mut self, reference: &GroupRef) -> Option<&mut ClassicGroup> {
        let is_same = |group: &ClassicGroup| group.incarnation == reference.incarnation;
        if self.groups.get(&reference.id).is_some_and(is_same) {
            return self.groups.get_mut(&reference.id);
        }
        let from = (reference.id.clone(), WriteId(0));
        let to = (reference.id.clone(), WriteId(u64::MAX));
        let mut dying = self.dying.range_mut(from..=to).map(|(_, group)| group);
        dying.find(|group| is_same(group))
    }

    /// The log has no group of this name any more: whoever has it now is yet to be written.
    fn on_name_freed(&mut self, id: &GroupId, out: &mut GroupEffects) {
        if let Some(group) = self.groups.get_mut(id) {
            group.is_recorded = false;
            let reference = reference_to(group);
            self.drop_if_never_written(&reference, ErrorCode::UnknownMemberId, out);
        }
    }

    /// A deletion failed: the group is back. Where another took its name, the log is to learn of
    /// that one. Ids that were given out are not back.
    fn revive(&mut self, now: Now, id: &GroupId, write: WriteId) {
        let group = self.dying.remove(&(id.clone(), write));
        let group = group.expect("a group is kept until its deletion ends");
        match self.groups.get_mut(id) {
            None => {
                self.groups.insert(id.clone(), group);
            }
            Some(other) if group.is_recorded => {
                other.is_recorded = true;
                let reference = reference_to(other);
                self.plan_rewrite(now, &reference);
            }
            Some(_) => {}
        }
    }

    /// Sees to it that the log learns what the group is.
    fn plan_rewrite(&mut self, now: Now, reference: &GroupRef) {
        if live(&mut self.groups, reference).is_some() {
            let timer = Timer::Rewrite(reference.id.clone());
            let at = now.after(GROUP_REWRITE_DELAY);
            self.shared.timers.schedule(timer, at);
        }
    }

    /// Drops a group that no log knows, nor will: whoever waits for it is told `code`.
    pub(super) fn drop_if_never_written(
        &mut self,
        reference: &GroupRef,
        code: ErrorCode,
        out: &mut GroupEffects,
    ) {
        let Some(group) = live(&mut self.groups, reference) else {
            return;
        };
        if group.is_recorded || group.writes_in_flight > 0 {
            return;
        }
        answer_all(group, code, out);
        let group = self.groups.remove(&reference.id);
        self.forget_timers(&group.expect("it was just seen"));
    }

    /// Cancels whatever is planned for a group.
    pub(super) fn forget_timers(&mut self, group: &ClassicGroup) {
        for member in group.members() {
            self.shared.forget_member(group, &member.id);
        }
        for id in &group.pending_members {
            self.shared.forget_member(group, id);
        }
        let timers = &mut self.shared.timers;
        timers.cancel(Timer::Join(group.id.clone()));
        timers.cancel(Timer::Rewrite(group.id.clone()));
        timers.cancel(Timer::Sync(group.id.clone()));
    }
}

/// The group of a write, where it still is the one of its name.
pub(super) fn live<'a>(
    groups: &'a mut BTreeMap<GroupId, ClassicGroup>,
    reference: &GroupRef,
) -> Option<&'a mut ClassicGroup> {
    let group = groups.get_mut(&reference.id)?;
    Some(group).filter(|group| reference_to(group) == *reference)
}

/// As [`live`], where it still awaits the assignments of this generation.
fn awaiting<'a>(
    groups: &'a mut BTreeMap<GroupId, ClassicGroup>,
    reference: &GroupRef,
    generation: i32,
) -> Option<&'a mut ClassicGroup> {
    let group = live(groups, reference)?;
    let is_awaiting = group.state == GroupState::CompletingRebalance;
    Some(group).filter(|group| is_awaiting && group.generation == generation)
}

/// Tells everybody who waits for a group that nothing will come of it.
fn answer_all(group: &mut ClassicGroup, code: ErrorCode, out: &mut GroupEffects) {
    let ids: Vec<_> = group.members().map(|member| member.id.clone()).collect();
    for id in ids {
        let reply = super::reply::join_error(&id, code);
        group.complete_join(&id, reply, out);
        let member = group.member_mut(&id).expect("it is one of the members");
        member.answer_sync(super::reply::sync_error(code), out);
    }
}
