//! Expiry of committed offsets, and of groups that have none (K80, R83).
//!
//! A look goes through the groups by name, a bounded number in a turn. It also takes what was
//! committed for topics that are gone, where their deletion did not reach the log.

use std::ops::Bound;

use super::classic::{ClassicGroup, GroupState};
use super::offsets::GroupOffsets;
use super::record::{OffsetCommit, OffsetKey};
use super::timers::Timer;
use super::{GroupEffects, GroupId, Shard};
use crate::ids::TopicName;
use crate::limits::GROUPS_CLEANED_PER_TURN;
use crate::metadata::Image;
use crate::mutants::mutant;
use crate::time::{Now, Timestamp};

/// From when on an offset grows old, where it may expire at all.
enum Clock {
    /// From its commit on: nobody is known to need it.
    Commit,
    /// From when the group lost its last member.
    Empty(Timestamp),
}

impl Clock {
    /// The clock of a group; `None` while it has members who may need all of its offsets, and
    /// while it rebalances: then nobody knows what they will need (KAFKA-13636).
    fn of(group: &ClassicGroup) -> Option<Self> {
        if group.protocol_type.is_none() {
            return Some(Self::Commit);
        }
        match group.state {
            GroupState::Empty if group.state_since == Timestamp::NONE => Some(Self::Commit),
            GroupState::Empty => Some(Self::Empty(group.state_since)),
            GroupState::Stable if group.subscribed.is_some() => Some(Self::Commit),
            GroupState::CompletingRebalance | GroupState::PreparingRebalance if mutant!(M45) => {
                Some(Self::Commit)
            }
            GroupState::CompletingRebalance
            | GroupState::PreparingRebalance
            | GroupState::Stable => None,
        }
    }

    fn has_expired(&self, commit: &OffsetCommit, now: Now, retention_ms: i64) -> bool {
        if commit.expire_timestamp != Timestamp::NONE {
            return now.wall >= commit.expire_timestamp;
        }
        let since = match self {
            Self::Commit => commit.commit_timestamp,
            Self::Empty(since) => *since,
        };
        now.wall.0.saturating_sub(since.0) >= retention_ms
    }
}

impl Shard {
    /// Deletes what has expired, and empty groups without offsets; plans when to go on, or when to
    /// look again.
    pub(super) fn clean_up(&mut self, now: Now, image: &Image, out: &mut GroupEffects) {
        for _group in 0..GROUPS_CLEANED_PER_TURN {
            let Some(id) = self.next_to_clean() else {
                let interval = self.shared.settings.offsets_retention_check_interval;
                let timers = &mut self.shared.timers;
                timers.schedule(Timer::Cleanup, now.after(interval));
                self.cleaned_to = None;
                return;
            };
            // Offsets without a group are left where a group's deletion was written in part.
            if !self.groups.contains_key(&id) && !self.is_dying(&id) {
                self.create(&id).is_recorded = true;
            }
            if self.groups.contains_key(&id) {
                self.clean_up_group(now, &id, image, out);
            }
            self.cleaned_to = Some(id);
        }
        let timers = &mut self.shared.timers;
        timers.schedule(Timer::Cleanup, now.instant);
    }

    /// The next group, or offsets of one that is gone.
    fn next_to_clean(&self) -> Option<GroupId> {
        let start = self.cleaned_to.as_ref();
        let start = start.map_or(Bound::Unbounded, Bound::Excluded);
        let mut groups = self.groups.range((start, Bound::Unbounded));
        let group = groups.next().map(|(id, _)| id);
        let committed = self.offsets.first_from(start);
        group.into_iter().chain(committed).min().cloned()
    }

    fn clean_up_group(&mut self, now: Now, id: &GroupId, image: &Image, out: &mut GroupEffects) {
        let group = &self.groups[id];
        let offsets = self.offsets.get(id);
        let is_unused = group.state == GroupState::Empty
            && group.pending_members.is_empty()
            && group.writes_in_flight == 0;
        let Some(offsets) = offsets else {
            if is_unused {
                self.bury(id, Vec::new(), out);
            }
            return;
        };
        let clock = Clock::of(group);
        let retention = self.shared.settings.offsets_retention;
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let rebalances = [
            GroupState::CompletingRebalance,
            GroupState::PreparingRebalance,
        ];
        let forgets_subscriptions = mutant!(M45) && rebalances.contains(&group.state);
        let has_expired = |topic: &TopicName, commit: &OffsetCommit| {
            let is_needed = !forgets_subscriptions && group.is_subscribed_to(topic);
            let clock = clock.as_ref().filter(|_| !is_needed);
            is_orphan(image, topic, commit)
                || clock.is_some_and(|clock| clock.has_expired(commit, now, retention_ms))
        };
        let expired = expired(offsets, has_expired);
        if is_unused && offsets.is_all(expired.len()) {
            self.bury(id, expired, out);
        } else {
            self.delete_offsets(id, expired, out);
        }
    }
}

/// Whether the topic of an offset is gone, be there another of its name. A group commits only for
/// topics that are there, and a topic that was there when the log was written is in the image.
fn is_orphan(image: &Image, topic: &TopicName, commit: &OffsetCommit) -> bool {
    let existing = image.topic(topic);
    existing.is_none_or(|topic| !commit.topic_id.is_zero() && commit.topic_id != topic.id)
}

/// The offsets for which `has_expired` holds.
fn expired(
    offsets: &GroupOffsets,
    has_expired: impl Fn(&TopicName, &OffsetCommit) -> bool,
) -> Vec<OffsetKey> {
    let mut keys = Vec::new();
    for (topic, partitions) in offsets.committed() {
        for (partition, commit) in partitions {
            let key = OffsetKey {
                topic: topic.clone(),
                partition: *partition,
            };
            // A write in flight may be a newer commit.
            if has_expired(topic, commit) && !offsets.is_in_flight(&key) {
                keys.push(key);
            }
        }
    }
    keys
}
