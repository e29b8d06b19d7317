//! Expiry of committed offsets, and of groups that have none (K80, R83).

use super::classic::{ClassicGroup, GroupState};
use super::offsets::GroupOffsets;
use super::record::{OffsetCommit, OffsetKey};
use super::timers::Timer;
use super::{GroupEffects, GroupId, Shard};
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
    /// Deletes what has expired, and empty groups without offsets; plans the next time.
    pub(super) fn clean_up(&mut self, now: Now, out: &mut GroupEffects) {
        let interval = self.shared.settings.offsets_retention_check_interval;
        let timers = &mut self.shared.timers;
        timers.schedule(Timer::Cleanup, now.after(interval));
        // Offsets without a group are left where a group's deletion was written in part.
        let lost = self.offsets.keys();
        let lost = lost.filter(|id| !self.groups.contains_key(*id) && !self.is_dying(id));
        for id in lost.cloned().collect::<Vec<GroupId>>() {
            self.create(&id).is_recorded = true;
        }
        let ids: Vec<GroupId> = self.groups.keys().cloned().collect();
        for id in ids {
            self.clean_up_group(now, &id, out);
        }
    }

    fn clean_up_group(&mut self, now: Now, id: &GroupId, out: &mut GroupEffects) {
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
        let Some(clock) = Clock::of(group) else {
            return;
        };
        let retention = self.shared.settings.offsets_retention;
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let is_expired = |commit: &OffsetCommit| clock.has_expired(commit, now, retention_ms);
        let expired = expired(group, offsets, is_expired);
        let is_all = expired.len() == offsets.known(None).len();
        if is_all && is_unused {
            self.bury(id, expired, out);
        } else {
            self.delete_offsets(id, expired, out);
        }
    }
}

/// The offsets of topics that no member subscribed to, which have expired.
fn expired(
    group: &ClassicGroup,
    offsets: &GroupOffsets,
    is_expired: impl Fn(&OffsetCommit) -> bool,
) -> Vec<OffsetKey> {
    let mut keys = Vec::new();
    for (topic, partitions) in offsets.committed() {
        if group.is_subscribed_to(topic) {
            continue;
        }
        for (partition, commit) in partitions {
            let key = OffsetKey {
                topic: topic.clone(),
                partition: *partition,
            };
            // A write in flight may be a newer commit.
            if is_expired(commit) && !offsets.is_in_flight(&key) {
                keys.push(key);
            }
        }
    }
    keys
}
