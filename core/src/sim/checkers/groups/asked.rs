//! What was asked of coordinators, in the checker's own words.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_wire::offset_fetch_response::{OffsetFetchResponseTopic, OffsetFetchResponseTopics};
use kafka_wire::{LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest};

use super::Key;
use crate::time::{Instant, Timestamp};
use crate::wire::request::Request;

/// A request that was not answered yet.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Commit(Commit),
    /// Of groups, or of some of their offsets.
    Delete(Delete),
    /// When it arrived.
    Describe(Instant),
    Fetch(Vec<Fetch>),
    Heartbeat(Heartbeat),
    Join(Join),
    Leave {
        group: String,
        /// Member and instance ids.
        members: Vec<(String, String)>,
    },
    /// When it arrived.
    List(Instant),
    Sync(Sync),
}

#[derive(Clone, Debug)]
pub(super) struct Delete {
    pub(super) groups: Vec<String>,
    pub(super) at: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) group: String,
    pub(super) member: String,
    pub(super) generation: i32,
    pub(super) stale: Option<String>,
    pub(super) at: Instant,
    /// Which change of the world each is.
    pub(super) offsets: Vec<(Key, i64, u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) group: String,
    /// Whether it asks for all that there are.
    pub(super) is_whole: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Heartbeat {
    pub(super) group: String,
    pub(super) member: String,
    pub(super) generation: i32,
    pub(super) stale: Option<String>,
    pub(super) at: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct Join {
    pub(super) group: String,
    pub(super) member: String,
    pub(super) instance: Option<String>,
    pub(super) session: Duration,
    /// When the node had certainly seen it.
    pub(super) handled: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Sync {
    pub(super) group: String,
    pub(super) member: String,
    pub(super) generation: i32,
    pub(super) stale: Option<String>,
    /// What the leader proposes; empty of others.
    pub(super) assignments: BTreeMap<String, Vec<u8>>,
}

/// What a request asks of a coordinator; `None` where it asks nothing of one.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "a checker names what it looks at; the rest is no business of groups"
)]
pub(super) fn asked_of(request: &Request, now: Instant) -> Option<Asked> {
    Some(match request {
        Request::DeleteGroups(delete) => {
            let groups = delete.groups_names.iter().map(ToString::to_string);
            Asked::Delete(Delete {
                groups: groups.collect(),
                at: now,
            })
        }
        Request::DescribeGroups(_) => Asked::Describe(now),
        Request::Heartbeat(beat) => Asked::Heartbeat(Heartbeat {
            group: beat.group_id.to_string(),
            member: beat.member_id.to_string(),
            generation: beat.generation_id,
            stale: None,
            at: now,
        }),
        Request::JoinGroup(join) => Asked::Join(Join {
            group: join.group_id.to_string(),
            member: join.member_id.to_string(),
            instance: join.group_instance_id.as_ref().map(ToString::to_string),
            session: Duration::from_millis(u64::try_from(join.session_timeout_ms).unwrap_or(0)),
            handled: None,
        }),
        Request::LeaveGroup(leave) => asked_of_leave(leave),
        Request::ListGroups(_) => Asked::List(now),
        Request::OffsetCommit(commit) => asked_of_commit(commit, now),
        Request::OffsetDelete(delete) => Asked::Delete(Delete {
            groups: vec![delete.group_id.to_string()],
            at: now,
        }),
        Request::OffsetFetch(fetch) => asked_of_fetch(fetch),
        Request::SyncGroup(sync) => Asked::Sync(Sync {
            group: sync.group_id.to_string(),
            member: sync.member_id.to_string(),
            generation: sync.generation_id,
            stale: None,
            assignments: sync
                .assignments
                .iter()
                .map(|one| (one.member_id.to_string(), one.assignment.to_vec()))
                .collect(),
        }),
        _other => return None,
    })
}

fn asked_of_commit(commit: &OffsetCommitRequest, now: Instant) -> Asked {
    let mut offsets = Vec::new();
    for topic in commit.topics.iter().filter(|topic| !topic.name.is_empty()) {
        for partition in &topic.partitions {
            let key = (topic.name.to_string(), partition.partition_index);
            offsets.push((key, partition.committed_offset, 0));
        }
    }
    Asked::Commit(Commit {
        group: commit.group_id.to_string(),
        member: commit.member_id.to_string(),
        generation: commit.generation_id_or_member_epoch,
        stale: None,
        at: now,
        offsets,
    })
}

fn asked_of_fetch(fetch: &OffsetFetchRequest) -> Asked {
    let several = fetch.groups.iter().map(|group| Fetch {
        group: group.group_id.to_string(),
        is_whole: group.topics.is_none(),
    });
    let mut groups: Vec<Fetch> = several.collect();
    if groups.is_empty() {
        groups.push(Fetch {
            group: fetch.group_id.to_string(),
            is_whole: fetch.topics.is_none(),
        });
    }
    Asked::Fetch(groups)
}

fn asked_of_leave(leave: &LeaveGroupRequest) -> Asked {
    let several = leave.members.iter().map(|member| {
        let instance = member.group_instance_id.as_ref();
        let instance = instance.map(ToString::to_string).unwrap_or_default();
        (member.member_id.to_string(), instance)
    });
    let mut members: Vec<(String, String)> = several.collect();
    if members.is_empty() {
        members.push((leave.member_id.to_string(), String::new()));
    }
    Asked::Leave {
        group: leave.group_id.to_string(),
        members,
    }
}

/// The offsets in a list of topics, with their errors.
macro_rules! told {
    ($topics:expr) => {{
        let told = $topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|one| {
                let key = (topic.name.to_string(), one.partition_index);
                (key, one.committed_offset, one.error_code)
            })
        });
        told.collect()
    }};
}

/// What an answer tells of one of several groups: offsets with their errors.
pub(super) fn told_of_groups(topics: &[OffsetFetchResponseTopics]) -> Vec<(Key, i64, i16)> {
    told!(topics)
}

/// As [`told_of_groups`], of the one group of older versions.
pub(super) fn told_of_topics(topics: &[OffsetFetchResponseTopic]) -> Vec<(Key, i64, i16)> {
    told!(topics)
}
