//! What administrators of groups are told, and may do.
//!
//! A list or description tells of every group that there is for certain, or says why not: a
//! coordinator that has not read its log yet knows a part of them (R84). Members have what their
//! leader proposed, as the log has it (R85). Nothing is deleted that a group with members needs
//! (R83).

use kafka_wire::{
    DeleteGroupsResponse, DescribeGroupsResponse, ListGroupsResponse, OffsetDeleteResponse,
};

use super::asked::Delete;
use super::{GroupChecker, RequestKey};
use crate::sim::checkers::Violation;
use crate::time::Instant;

const GROUP_ID_NOT_FOUND: i16 = 69;

impl GroupChecker {
    pub(super) fn on_groups_deleted(
        &mut self,
        key: RequestKey,
        asked: &Delete,
        reply: &DeleteGroupsResponse,
        now: Instant,
    ) {
        for result in &reply.results {
            self.judge_code(&result.group_id, "DeleteGroups", result.error_code);
            self.on_deleted(key, &result.group_id, result.error_code, asked.at, now);
        }
    }

    pub(super) fn on_offsets_deleted(
        &mut self,
        key: RequestKey,
        asked: &Delete,
        reply: &OffsetDeleteResponse,
        now: Instant,
    ) {
        let Some(group) = asked.groups.first() else {
            return;
        };
        let topics = reply.topics.iter();
        let partitions = topics.flat_map(|topic| &topic.partitions);
        let codes = partitions.map(|partition| partition.error_code);
        let codes: Vec<i16> = [reply.error_code].into_iter().chain(codes).collect();
        for code in &codes {
            self.judge_code(group, "OffsetDelete", *code);
        }
        let refused = codes.into_iter().find(|code| *code != 0);
        self.on_deleted(key, group, refused.unwrap_or(0), asked.at, now);
    }

    /// A deletion was answered.
    fn on_deleted(&mut self, key: RequestKey, name: &str, code: i16, at: Instant, now: Instant) {
        if code == 0 {
            self.judge_empty(name, "R83", "a deletion", at, now);
        } else if let Some(group) = self.groups.get_mut(name) {
            group.deletions.remove(&key);
        }
    }

    /// What only a group without members may be asked for was done.
    pub(super) fn judge_empty(
        &mut self,
        name: &str,
        check: &'static str,
        what: &str,
        at: Instant,
        now: Instant,
    ) {
        let group = self.groups.get(name);
        let found = group
            .and_then(|group| group.certain_member(at, now))
            .map(|member| {
                let what = format!("{name}: {what} was taken, and {member} is a member");
                Violation::new(check, what)
            });
        self.suspect(name, now, found);
    }

    pub(super) fn on_listed(&mut self, at: Instant, reply: &ListGroupsResponse, now: Instant) {
        if reply.error_code != 0 {
            return self.judge_code("all groups", "ListGroups", reply.error_code);
        }
        let listed = |name: &str| reply.groups.iter().any(|group| *group.group_id == *name);
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names.iter().filter(|name| !listed(name)) {
            self.judge_absence(name, "is not listed", at, now);
        }
    }

    pub(super) fn on_described(
        &mut self,
        at: Instant,
        reply: &DescribeGroupsResponse,
        now: Instant,
    ) {
        for told in &reply.groups {
            let name = &*told.group_id;
            let is_dead = told.error_code == 0 && *told.group_state == *"Dead";
            if is_dead || told.error_code == GROUP_ID_NOT_FOUND {
                self.judge_absence(name, "is described as dead", at, now);
                continue;
            }
            self.judge_code(name, "DescribeGroups", told.error_code);
            if told.error_code != 0 || *told.group_state != *"Stable" {
                continue;
            }
            let Some(group) = self.groups.get(name) else {
                continue;
            };
            let proposed = |blob: &[u8]| {
                let mut all = group
                    .proposed
                    .values()
                    .flatten()
                    .flat_map(|one| one.values());
                all.any(|given| given == blob)
            };
            let strange = told.members.iter().find(|member| {
                let blob = &member.member_assignment;
                !blob.is_empty() && !proposed(blob)
            });
            let found = strange.map(|member| {
                let id = &member.member_id;
                let what = format!("{name}: {id} is described with what no leader proposed");
                Violation::new("R85", what)
            });
            self.suspect(name, now, found);
        }
    }

    /// R84: a group that is there for certain is told of.
    fn judge_absence(&mut self, name: &str, what: &str, at: Instant, now: Instant) {
        let Some(group) = self.groups.get(name) else {
            return;
        };
        if group.may_be_deleted(now) {
            return;
        }
        let offset = group
            .certain_offset()
            .filter(|(topic, _)| !self.may_expire && !self.deleted_topics.contains(topic));
        let why = match (group.certain_member(at, now), offset) {
            (Some(member), _) => format!("{member} is a member"),
            (None, Some(key)) => format!("{key:?} is committed"),
            (None, None) => return,
        };
        let what = format!("{name}: {what}, and {why}");
        self.suspect(name, now, Some(Violation::new("R84", what)));
    }
}
