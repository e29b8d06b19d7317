//! The commands of scenarios that speak of groups, and what was answered to them.
//!
//! Members have names in the minutes; what ids the coordinator gives them is not told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::leave_group_request::MemberIdentity;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire_core::StrBytes;
use ottla_core::wire::request::{Reply, Request};

use crate::requests::Command;
use crate::stage::name_of;

/// What a member knows of itself.
#[derive(Default)]
struct Member {
    id: StrBytes,
    generation: i32,
}

/// The members of all groups, by the names that the minutes use.
#[derive(Default)]
pub(crate) struct Members {
    members: BTreeMap<String, Member>,
    /// Who asked, by the number of the request.
    asked: BTreeMap<u64, String>,
}

impl Members {
    /// The request of a command and its version; `None` where it speaks of no group.
    pub(crate) fn request(&mut self, command: &Command<'_>, number: u64) -> Option<(Request, i32)> {
        let name = command.values.get("as").copied().unwrap_or_default();
        let group = StrBytes::from(command.subject);
        let (id, generation) = match self.members.get(name) {
            Some(member) => (member.id.clone(), member.generation),
            None => (StrBytes::default(), -1),
        };
        if !name.is_empty() {
            self.asked.insert(number, name.to_owned());
        }
        let request = match command.name {
            "commit" => (commit(command, group, (id, generation)), 7),
            "committed" => (committed(command, group), 5),
            "find" => {
                let mut request = kafka_wire::FindCoordinatorRequest::default();
                request.key = group;
                (Request::FindCoordinator(request), 2)
            }
            "heartbeat" => {
                let mut request = kafka_wire::HeartbeatRequest::default();
                request.group_id = group;
                request.member_id = id;
                request.generation_id = generation;
                (Request::Heartbeat(request), 3)
            }
            "join" => (join(command, group, id), 5),
            "leave" => {
                let mut member = MemberIdentity::default();
                member.member_id = id;
                let mut request = kafka_wire::LeaveGroupRequest::default();
                request.group_id = group;
                request.members = vec![member];
                (Request::LeaveGroup(request), 3)
            }
            "sync" => (self.sync(command, group, (id, generation)), 3),
            _other => return None,
        };
        Some(request)
    }

    fn sync(
        &self,
        command: &Command<'_>,
        group: StrBytes,
        (id, generation): (StrBytes, i32),
    ) -> Request {
        let mut request = kafka_wire::SyncGroupRequest::default();
        request.group_id = group;
        request.member_id = id;
        request.generation_id = generation;
        for (name, work) in &command.values {
            if let Some(member) = self.members.get(*name) {
                let mut assignment = SyncGroupRequestAssignment::default();
                assignment.member_id = member.id.clone();
                assignment.assignment = bytes::Bytes::copy_from_slice(work.as_bytes());
                request.assignments.push(assignment);
            }
        }
        Request::SyncGroup(request)
    }

    /// A text with members' names in the place of their ids.
    pub(crate) fn with_names(&self, text: &str) -> String {
        let known = self
            .members
            .iter()
            .filter(|(_, member)| !member.id.is_empty());
        known.fold(text.to_owned(), |text, (name, member)| {
            text.replace(&*member.id, name)
        })
    }

    fn name(&self, id: &str) -> &str {
        let mut members = self.members.iter();
        let known = members.find(|(_, member)| *member.id == *id);
        known.map_or("?", |(name, _)| name)
    }

    /// What was answered; `None` where it speaks of no group.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the other replies are told elsewhere"
    )]
    pub(crate) fn describe(&mut self, reply: &Reply, number: u64) -> Option<String> {
        let name = self.asked.remove(&number);
        Some(match reply {
            Reply::FindCoordinator(reply) => {
                format!(
                    "coordinator {} {}",
                    name_of(reply.error_code),
                    reply.node_id
                )
            }
            Reply::Heartbeat(reply) => format!("heard {}", name_of(reply.error_code)),
            Reply::JoinGroup(reply) => self.joined(name, reply),
            Reply::LeaveGroup(reply) => {
                let codes = reply.members.iter().map(|member| member.error_code);
                let codes: Vec<_> = codes.map(name_of).collect();
                format!("left {} {}", name_of(reply.error_code), codes.join(" "))
            }
            Reply::OffsetCommit(reply) => {
                let partition = &reply.topics[0].partitions[0];
                format!("committed {}", name_of(partition.error_code))
            }
            Reply::OffsetFetch(reply) => {
                let partition = &reply.topics[0].partitions[0];
                let code = name_of(partition.error_code);
                format!("offset {code} {}", partition.committed_offset)
            }
            Reply::SyncGroup(reply) => {
                let work = String::from_utf8_lossy(&reply.assignment);
                format!("assigned {} \"{work}\"", name_of(reply.error_code))
            }
            _other => return None,
        })
    }

    fn joined(&mut self, name: Option<String>, reply: &kafka_wire::JoinGroupResponse) -> String {
        let name = name.unwrap_or_default();
        let member = Member {
            id: reply.member_id.clone(),
            generation: reply.generation_id,
        };
        self.members.insert(name, member);
        let mut text = format!("joined {}", name_of(reply.error_code));
        if reply.error_code == 0 {
            let leader = self.name(&reply.leader);
            let generation = reply.generation_id;
            write!(text, " generation={generation} leader={leader}").expect("text");
            for member in &reply.members {
                write!(text, " {}", self.name(&member.member_id)).expect("text");
            }
        }
        text
    }
}

fn join(command: &Command<'_>, group: StrBytes, id: StrBytes) -> Request {
    let mut protocol = JoinGroupRequestProtocol::default();
    protocol.name = "range".into();
    let mut request = kafka_wire::JoinGroupRequest::default();
    request.group_id = group;
    request.member_id = id;
    request.session_timeout_ms = command.small("session", 10_000);
    request.rebalance_timeout_ms = command.small("rebalance", 20_000);
    request.protocol_type = "consumer".into();
    request.protocols = vec![protocol];
    Request::JoinGroup(request)
}

fn commit(command: &Command<'_>, group: StrBytes, (id, generation): (StrBytes, i32)) -> Request {
    let mut partition = OffsetCommitRequestPartition::default();
    partition.committed_offset = command.number("offset", 0);
    partition.committed_leader_epoch = -1;
    let mut topic = OffsetCommitRequestTopic::default();
    topic.name = command.values["topic"].into();
    topic.partitions = vec![partition];
    let mut request = kafka_wire::OffsetCommitRequest::default();
    request.group_id = group;
    request.member_id = id;
    request.generation_id_or_member_epoch = generation;
    request.topics = vec![topic];
    Request::OffsetCommit(request)
}

fn committed(command: &Command<'_>, group: StrBytes) -> Request {
    let mut topic = OffsetFetchRequestTopic::default();
    topic.name = command.values["topic"].into();
    topic.partition_indexes = vec![0];
    let mut request = kafka_wire::OffsetFetchRequest::default();
    request.group_id = group;
    request.topics = Some(vec![topic]);
    Request::OffsetFetch(request)
}
