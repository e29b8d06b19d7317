//! What is known of one group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::asked;
use super::blob::assigned_of;
use super::offsets::Register;
use super::{Key, LOG_LATE, RequestKey, SESSION_SLACK};
use crate::sim::checkers::Violation;
use crate::time::Instant;

/// What is known of one group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// The highest that a member was told.
    pub(super) generation: i32,
    /// The highest that a member was given an assignment of: the log has it.
    pub(super) synced: i32,
    /// Who joined in this generation.
    pub(super) joined: BTreeSet<String>,
    /// Who left, or was replaced.
    pub(super) gone: BTreeSet<String>,
    /// The member of each static one.
    pub(super) instances: BTreeMap<String, String>,
    /// The static one that a member is.
    pub(super) instance_of: BTreeMap<String, String>,
    /// What the leader proposed in a generation, and what members were given.
    pub(super) proposed: BTreeMap<i32, Vec<BTreeMap<String, Vec<u8>>>>,
    pub(super) given: BTreeMap<i32, BTreeMap<String, Vec<u8>>>,
    /// When a member was last known to be heard of, and its session.
    pub(super) heard: BTreeMap<String, (Instant, Duration)>,
    pub(super) sessions: BTreeMap<String, Duration>,
    pub(super) offsets: BTreeMap<Key, Register>,
    /// Who asked to leave, be it answered or not: members, or instances.
    pub(super) leaving: BTreeSet<String>,
    /// When somebody asked for the deletion of the group, or of offsets, and was not refused.
    pub(super) deletions: BTreeMap<RequestKey, Instant>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            generation: -1,
            synced: -1,
            joined: BTreeSet::new(),
            gone: BTreeSet::new(),
            instances: BTreeMap::new(),
            instance_of: BTreeMap::new(),
            proposed: BTreeMap::new(),
            given: BTreeMap::new(),
            heard: BTreeMap::new(),
            sessions: BTreeMap::new(),
            offsets: BTreeMap::new(),
            leaving: BTreeSet::new(),
            deletions: BTreeMap::new(),
        }
    }
}

impl Group {
    /// The group was deleted, or is another under the same name.
    pub(super) fn begin_anew(&mut self) {
        (self.generation, self.synced) = (-1, -1);
        self.proposed.clear();
        self.given.clear();
        self.heard.clear();
    }

    /// Why this member must be refused; `None` where it may be the right one.
    pub(super) fn stale(&self, member: &str, generation: i32) -> Option<String> {
        if generation < 0 {
            return None;
        }
        if self.gone.contains(member) {
            return Some(format!("{member}, which is gone"));
        }
        (generation < self.generation).then(|| {
            let now = self.generation;
            format!("{member} of generation {generation}, which is {now} now")
        })
    }

    /// R79: in a generation, each partition is one member's, and each member is told the same
    /// whenever it asks: what the leader proposed.
    pub(super) fn give(
        &mut self,
        name: &str,
        asked: &asked::Sync,
        blob: &[u8],
    ) -> Option<Violation> {
        self.synced = self.synced.max(asked.generation);
        let (member, generation) = (&asked.member, asked.generation);
        let complain = |what: String| {
            let what = format!("{name}: {member} in generation {generation} {what}");
            Some(Violation::new("R79", what))
        };
        let proposed = self.proposed.get(&generation);
        // A static member is given what its former self was, under an id that may have reached
        // nobody.
        let instance = self.instance_of.get(member);
        let is_own = |one: &BTreeMap<String, Vec<u8>>| {
            let mut given = one.iter();
            given.any(|(to, given)| given == blob && (to == member || instance.is_some()))
        };
        let is_proposed = proposed.into_iter().flatten().any(is_own);
        if !is_proposed && !blob.is_empty() {
            return complain("was given what no leader proposed".to_owned());
        }
        let given = self.given.entry(generation).or_default();
        for (other, theirs) in given.iter().filter(|(other, _)| *other != member) {
            let is_self = instance.is_some() && self.instance_of.get(other) == instance;
            let is_gone = is_self || self.gone.contains(other);
            let (ours, theirs) = (assigned_of(blob), assigned_of(theirs));
            let shared = ours.intersection(&theirs).next();
            if let Some(shared) = shared.filter(|_| !is_gone) {
                return complain(format!("was given {shared:?}, as was {other}"));
            }
        }
        let former = given.insert(member.clone(), blob.to_vec());
        match former {
            Some(former) if former != blob => complain("was given two assignments".to_owned()),
            Some(_) | None => None,
        }
    }

    /// Whether a deletion that was asked for may still show in the log.
    pub(super) fn may_be_deleted(&self, now: Instant) -> bool {
        let mut deletions = self.deletions.values();
        deletions.any(|asked| now < asked.after(LOG_LATE))
    }

    /// Somebody who was a member at `asked`, and has been one ever since.
    pub(super) fn certain_member(&self, asked: Instant, now: Instant) -> Option<&str> {
        let mut heard = self.heard.iter();
        let found = heard.find(|(member, (at, session))| {
            let instance = self.instance_of.get(*member);
            let may_leave = self.leaving.contains(*member)
                || instance.is_some_and(|instance| self.leaving.contains(instance));
            let is_member = self.joined.contains(*member) && !self.gone.contains(*member);
            let is_alive = *at < asked && at.after(*session) > now.after(SESSION_SLACK);
            is_member && is_alive && !may_leave
        });
        found.map(|(member, _)| member.as_str())
    }

    /// An offset that is committed for certain.
    pub(super) fn certain_offset(&self) -> Option<&Key> {
        let mut offsets = self.offsets.iter();
        let found = offsets.find(|(_, register)| register.is_certain());
        found.map(|(key, _)| key)
    }
}
