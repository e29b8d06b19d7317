//! What coordinators of groups answer: one owner of each partition in a generation (R79),
//! generations that only grow (R80), nobody of a former generation heard (R81), committed offsets
//! that are the latest (R82) and stay (R83), members that are not dropped while they are heard of
//! (R86), nothing told of a part of the groups (R84) or against the log (R85), and no error that
//! says nothing (R88).
//!
//! It sees requests as they arrive and replies as they leave, in the order in which the node
//! handles them, and what the node appends to the topic of offsets. A node that died may have
//! forgotten a generation that nobody was given an assignment of, and who left; never more.

mod administrated;
mod asked;
mod blob;
mod group;
mod offsets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_wire::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse,
    OffsetFetchResponse, SyncGroupResponse,
};

use self::asked::{Asked, asked_of};
use self::blob::{OffsetsRecord, records_of};
use self::group::Group;
use self::offsets::is_refusal;
use super::Violation;
use super::log_image::is_offsets;
use crate::ids::{ConnectionId, LogId, RequestSequence};
use crate::node::door::ReplyEffect;
use crate::storage::{DiskOp, StampedBatch};
use crate::time::{Instant, Now};
use crate::wire::request::{Reply, Request};

/// How long the log may take to show that a group was deleted.
const LOG_LATE: Duration = Duration::from_secs(5);

/// How much earlier than its session ends a member is certainly alive.
const SESSION_SLACK: Duration = Duration::from_millis(50);

const UNKNOWN_SERVER_ERROR: i16 = -1;
const UNKNOWN_MEMBER_ID: i16 = 25;

/// What a request is known by.
type RequestKey = (ConnectionId, RequestSequence);

/// A committed offset: topic and partition.
type Key = (String, i32);

/// Something wrong, unless the log tells that the group had been deleted.
#[derive(Clone, Debug)]
struct Suspicion {
    group: String,
    since: Instant,
    violation: Violation,
}

/// The groups of a node, over all its incarnations; see the module.
#[derive(Clone, Debug, Default)]
pub struct GroupChecker {
    groups: BTreeMap<String, Group>,
    pending: BTreeMap<RequestKey, Asked>,
    logs: BTreeSet<LogId>,
    deleted_topics: BTreeSet<String>,
    suspicions: Vec<Suspicion>,
    /// Counts what may change an offset, in order.
    changes: u64,
    /// Whether offsets may expire at all in this world.
    may_expire: bool,
    violations: Vec<Violation>,
}

impl GroupChecker {
    /// A checker of a world whose offsets expire as soon as they may, or never.
    #[must_use]
    pub fn new(may_expire: bool) -> Self {
        Self {
            may_expire,
            ..Self::default()
        }
    }

    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// The process died: what waited will not be answered; what no log has is forgotten.
    pub fn on_crash(&mut self) {
        self.pending.clear();
        self.logs.clear();
        self.suspicions.clear();
        for group in self.groups.values_mut() {
            group.generation = group.synced;
            group.gone.clear();
            group.joined.clear();
            group.heard.clear();
            group.leaving.clear();
            group.deletions.clear();
        }
    }

    /// Notes a request, as it arrives.
    pub fn on_request(&mut self, key: RequestKey, request: &Request, now: Instant) {
        if let Request::DeleteTopics(delete) = request {
            let old = delete.topic_names.iter().map(ToString::to_string);
            let new = delete.topics.iter().filter_map(|topic| topic.name.as_ref());
            let names = old.chain(new.map(ToString::to_string));
            self.deleted_topics.extend(names);
        }
        let Some(mut asked) = asked_of(request, now) else {
            return;
        };
        match &mut asked {
            Asked::Commit(commit) => {
                let group = self.groups.entry(commit.group.clone()).or_default();
                commit.stale = group.stale(&commit.member, commit.generation);
                for (at, offset, change) in &mut commit.offsets {
                    self.changes += 1;
                    *change = self.changes;
                    let register = group.offsets.entry(at.clone()).or_default();
                    register.ask(self.changes, Some(*offset));
                }
            }
            Asked::Heartbeat(asked) => {
                let group = self.groups.entry(asked.group.clone()).or_default();
                asked.stale = group.stale(&asked.member, asked.generation);
            }
            Asked::Sync(sync) => {
                let group = self.groups.entry(sync.group.clone()).or_default();
                sync.stale = group.stale(&sync.member, sync.generation);
                if !sync.assignments.is_empty() {
                    let proposed = group.proposed.entry(sync.generation).or_default();
                    proposed.push(sync.assignments.clone());
                }
            }
            Asked::Join(join) => {
                let group = self.groups.entry(join.group.clone()).or_default();
                group.heard.remove(&join.member);
            }
            Asked::Delete(delete) => {
                for name in &delete.groups {
                    let group = self.groups.entry(name.clone()).or_default();
                    group.deletions.insert(key, now);
                }
            }
            Asked::Leave { group, members } => {
                let group = self.groups.entry(group.clone()).or_default();
                let ids = members.iter().flat_map(|(id, instance)| [id, instance]);
                group.leaving.extend(ids.cloned());
            }
            Asked::Describe(_) | Asked::Fetch(_) | Asked::List(_) => {}
        }
        self.pending.insert(key, asked);
    }

    /// A connection is gone: nothing will be answered on it.
    pub fn on_disconnected(&mut self, connection: ConnectionId) {
        self.pending.retain(|(at, _), _| *at != connection);
    }

    /// The node has handled every request that arrived so far.
    pub fn on_turn(&mut self, now: Now) {
        for asked in self.pending.values_mut() {
            if let Asked::Join(join) = asked {
                join.handled.get_or_insert(now.wall);
            }
        }
        let is_over = |suspicion: &Suspicion| suspicion.since.after(LOG_LATE) < now.instant;
        if self.suspicions.iter().any(is_over) {
            let (over, open) = std::mem::take(&mut self.suspicions)
                .into_iter()
                .partition(is_over);
            self.suspicions = open;
            let over: Vec<Suspicion> = over;
            let found = over.into_iter().map(|suspicion| suspicion.violation);
            self.violations.extend(found);
        }
    }

    /// Judges a reply.
    pub fn on_reply(&mut self, effect: &ReplyEffect, now: Instant) {
        let key = (effect.connection, effect.sequence);
        let Some(asked) = self.pending.remove(&key) else {
            return;
        };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the door checker pairs replies with requests"
        )]
        match (asked, &effect.reply) {
            (Asked::Join(join), Reply::JoinGroup(reply)) => self.on_joined(&join, reply, now),
            (Asked::Sync(sync), Reply::SyncGroup(reply)) => self.on_synced(&sync, reply, now),
            (Asked::Heartbeat(asked), Reply::Heartbeat(reply)) => self.on_beat(&asked, reply, now),
            (Asked::Leave { group, members }, Reply::LeaveGroup(reply)) => {
                self.on_left(&group, &members, reply);
            }
            (Asked::Commit(commit), Reply::OffsetCommit(reply)) => {
                self.on_committed(&commit, reply, now);
            }
            (Asked::Fetch(groups), Reply::OffsetFetch(reply)) => self.on_fetched(&groups, reply),
            (Asked::Delete(asked), Reply::DeleteGroups(reply)) => {
                self.on_groups_deleted(key, &asked, reply, now);
            }
            (Asked::Delete(asked), Reply::OffsetDelete(reply)) => {
                self.on_offsets_deleted(key, &asked, reply, now);
            }
            (Asked::Describe(at), Reply::DescribeGroups(reply)) => {
                self.on_described(at, reply, now);
            }
            (Asked::List(at), Reply::ListGroups(reply)) => self.on_listed(at, reply, now),
            _other => {}
        }
    }

    fn on_joined(&mut self, asked: &asked::Join, reply: &JoinGroupResponse, now: Instant) {
        self.judge_code(&asked.group, "JoinGroup", reply.error_code);
        if reply.error_code != 0 {
            return;
        }
        let name = &asked.group;
        let group = self.groups.entry(name.clone()).or_default();
        let member = reply.member_id.to_string();
        let mut found = None;
        if reply.generation_id < group.generation {
            let what = format!(
                "{name}: {member} joined generation {} after {}",
                reply.generation_id, group.generation
            );
            found = Some(Violation::new("R80", what));
            group.begin_anew();
        }
        if reply.generation_id > group.generation {
            group.joined.clear();
        }
        group.generation = reply.generation_id;
        group.joined.insert(member.clone());
        group.leaving.remove(&member);
        group.sessions.insert(member.clone(), asked.session);
        let oldest = reply.generation_id - 8;
        group.proposed.retain(|generation, _| *generation >= oldest);
        group.given.retain(|generation, _| *generation >= oldest);
        if group.gone.contains(&member) {
            let what = format!("{name}: {member} joined after it had left");
            self.violations.push(Violation::new("R81", what));
        }
        if let Some(instance) = &asked.instance {
            group.leaving.remove(instance);
            group.instance_of.insert(member.clone(), instance.clone());
            let former = group.instances.insert(instance.clone(), member.clone());
            group.gone.extend(former.filter(|former| *former != member));
        }
        self.suspect(name, now, found);
    }

    fn on_synced(&mut self, asked: &asked::Sync, reply: &SyncGroupResponse, now: Instant) {
        self.judge_code(&asked.group, "SyncGroup", reply.error_code);
        if reply.error_code != 0 {
            return;
        }
        self.judge_stale(&asked.group, &asked.stale, "SyncGroup", now);
        let group = self.groups.entry(asked.group.clone()).or_default();
        let session = group.sessions.get(&asked.member).copied();
        group
            .heard
            .extend(session.map(|session| (asked.member.clone(), (now, session))));
        let found = group.give(&asked.group, asked, &reply.assignment);
        self.suspect(&asked.group, now, found);
    }

    fn on_beat(&mut self, asked: &asked::Heartbeat, reply: &HeartbeatResponse, now: Instant) {
        self.judge_code(&asked.group, "Heartbeat", reply.error_code);
        if reply.error_code == 0 {
            self.judge_stale(&asked.group, &asked.stale, "Heartbeat", now);
        }
        let group = self.groups.entry(asked.group.clone()).or_default();
        let heard = group.heard.get_mut(&asked.member);
        match (reply.error_code, heard) {
            (0, Some(heard)) => heard.0 = asked.at,
            (UNKNOWN_MEMBER_ID, Some((at, session))) => {
                let is_alive = at.after(*session) > asked.at.after(SESSION_SLACK);
                let is_member = group.joined.contains(&asked.member)
                    && asked.generation == group.generation
                    && !group.gone.contains(&asked.member);
                if is_alive && is_member {
                    let what = format!("{}: {} was dropped in time", asked.group, asked.member);
                    self.violations.push(Violation::new("R86", what));
                }
            }
            (_trouble, _) => {
                group.heard.remove(&asked.member);
            }
        }
    }

    fn on_left(&mut self, name: &str, members: &[(String, String)], reply: &LeaveGroupResponse) {
        self.judge_code(name, "LeaveGroup", reply.error_code);
        if reply.error_code != 0 {
            return;
        }
        let group = self.groups.entry(name.to_owned()).or_default();
        let answers = reply.members.iter().map(|member| member.error_code);
        // Before version 3 there is one member and one answer.
        let answers = answers.chain(std::iter::repeat(0));
        for ((member, instance), code) in members.iter().zip(answers) {
            if code != 0 {
                continue;
            }
            let of_instance = group.instances.remove(instance);
            let gone = Some(member.clone()).filter(|member| !member.is_empty());
            group.gone.extend(gone.or(of_instance));
        }
    }

    fn on_committed(&mut self, asked: &asked::Commit, reply: &OffsetCommitResponse, now: Instant) {
        let mut is_taken = false;
        for topic in &reply.topics {
            for partition in &topic.partitions {
                let code = partition.error_code;
                self.judge_code(&asked.group, "OffsetCommit", code);
                let key = (topic.name.to_string(), partition.partition_index);
                let asked_for = asked.offsets.iter().find(|(at, _, _)| *at == key);
                let Some(&(_, offset, change)) = asked_for else {
                    let what = format!("{}: {key:?} committed unasked", asked.group);
                    self.violations.push(Violation::new("R87", what));
                    continue;
                };
                let group = self.groups.entry(asked.group.clone()).or_default();
                let register = group.offsets.entry(key).or_default();
                if code == 0 {
                    is_taken = true;
                    self.changes += 1;
                    register.acknowledge(change, offset, self.changes);
                } else if is_refusal(code) {
                    register.refuse(change);
                }
            }
        }
        if is_taken {
            self.judge_stale(&asked.group, &asked.stale, "OffsetCommit", now);
            if asked.generation < 0 {
                self.judge_empty(&asked.group, "R81", "OffsetCommit of nobody", asked.at, now);
            }
        }
    }

    fn on_fetched(&mut self, asked: &[asked::Fetch], reply: &OffsetFetchResponse) {
        for fetch in asked {
            let told: Vec<(Key, i64, i16)> = match reply.groups.is_empty() {
                false => {
                    let groups = reply.groups.iter();
                    let mut groups = groups.filter(|group| *group.group_id == *fetch.group);
                    let Some(group) = groups.next().filter(|group| group.error_code == 0) else {
                        continue;
                    };
                    asked::told_of_groups(&group.topics)
                }
                true if reply.error_code == 0 => asked::told_of_topics(&reply.topics),
                true => continue,
            };
            let group = self.groups.entry(fetch.group.clone()).or_default();
            let mut seen: BTreeMap<Key, i64> = BTreeMap::new();
            for (key, offset, code) in told {
                if code == 0 {
                    seen.insert(key, offset);
                }
            }
            if fetch.is_whole {
                for key in group.offsets.keys() {
                    seen.entry(key.clone()).or_insert(-1);
                }
            }
            for (key, offset) in seen {
                if self.deleted_topics.contains(&key.0) {
                    continue;
                }
                let register = group.offsets.entry(key.clone()).or_default();
                if let Err(what) = register.serve((offset >= 0).then_some(offset)) {
                    let what = format!("{} {key:?}: {what}", fetch.group);
                    self.violations.push(Violation::new("R82", what));
                }
            }
        }
    }

    /// Notes an operation: what goes to the log of offsets.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest is no record of a group"
    )]
    pub fn on_op(&mut self, op: &DiskOp, now: Instant) {
        match op {
            DiskOp::CreateLog { log, folder, .. } | DiskOp::OpenLog { log, folder, .. }
                if is_offsets(folder) =>
            {
                self.logs.insert(*log);
            }
            DiskOp::Append { log, batches, .. } if self.logs.contains(log) => {
                for batch in batches {
                    self.on_batch(batch, now);
                }
            }
            _other => {}
        }
    }

    fn on_batch(&mut self, batch: &StampedBatch, now: Instant) {
        let mut bytes = batch.stamp.to_vec();
        bytes.extend_from_slice(&batch.body);
        for record in records_of(&bytes) {
            match record {
                OffsetsRecord::GroupGone(name) => {
                    self.suspicions.retain(|suspicion| suspicion.group != name);
                    let group = self.groups.entry(name).or_default();
                    group.begin_anew();
                }
                OffsetsRecord::OffsetGone {
                    group,
                    key,
                    timestamp_ms,
                } => self.on_offset_gone(&group, &key, timestamp_ms, now),
            }
        }
    }

    /// R83: an offset goes only where somebody asked for it, or nobody can need it.
    fn on_offset_gone(&mut self, name: &str, key: &Key, timestamp_ms: i64, now: Instant) {
        self.changes += 1;
        let group = self.groups.entry(name.to_owned()).or_default();
        let register = group.offsets.entry(key.clone()).or_default();
        register.ask(self.changes, None);
        if group.may_be_deleted(now) || self.deleted_topics.contains(&key.0) {
            return;
        }
        // A dynamic member that waits to join waits for others: the group rebalances.
        let waiting = self.pending.values().find_map(|asked| match asked {
            Asked::Join(join) if join.group == *name && join.instance.is_none() => {
                let handled = join.handled?;
                (handled.0 < timestamp_ms).then_some(join)
            }
            Asked::Commit(_)
            | Asked::Delete(_)
            | Asked::Describe(_)
            | Asked::Fetch(_)
            | Asked::Heartbeat(_)
            | Asked::Join(_)
            | Asked::Leave { .. }
            | Asked::List(_)
            | Asked::Sync(_) => None,
        });
        let what = match waiting {
            Some(join) => format!("while {:?} waits to join", join.member),
            None if self.may_expire => return,
            None => "and nobody asked for it".to_owned(),
        };
        let what = format!("{name} {key:?}: deleted, {what}");
        self.violations.push(Violation::new("R83", what));
    }

    /// R88: an error that says nothing.
    fn judge_code(&mut self, group: &str, api: &str, code: i16) {
        if code == UNKNOWN_SERVER_ERROR {
            let what = format!("{group}: {api} answered UNKNOWN_SERVER_ERROR");
            self.violations.push(Violation::new("R88", what));
        }
    }

    /// R81: who was stale when it asked must be refused.
    fn judge_stale(&mut self, group: &str, stale: &Option<String>, api: &str, now: Instant) {
        let found = stale.as_ref().map(|why| {
            let what = format!("{group}: {api} accepted from {why}");
            Violation::new("R81", what)
        });
        self.suspect(group, now, found);
    }

    fn suspect(&mut self, group: &str, since: Instant, found: Option<Violation>) {
        self.suspicions.extend(found.map(|violation| Suspicion {
            group: group.to_owned(),
            since,
            violation,
        }));
    }
}
