//! Groups: their members, their offsets, and those who look at them.

pub(super) mod administration;
pub(super) mod members;
pub(super) mod offsets;

use kafka_wire::heartbeat_request::HeartbeatRequest;
use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::join_group_response::JoinGroupResponse;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::{
    FindCoordinatorRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
    SyncGroupRequest,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::super::session::{Session, Stopped};
use super::{Case, UNKNOWN_ID, message, text};

/// Versions used to prepare: of FindCoordinator, Heartbeat, JoinGroup, SyncGroup, LeaveGroup and
/// OffsetCommit.
const FIND_VERSION: i16 = 0;
const HEARTBEAT_VERSION: i16 = 3;
const JOIN_VERSION: i16 = 5;
const SYNC_VERSION: i16 = 3;
const LEAVE_VERSION: i16 = 3;
const COMMIT_VERSION: i16 = 7;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// A member of a group that a script made.
#[derive(Clone, Debug)]
struct Member {
    id: StrBytes,
    generation: i32,
}

/// A group of the script's own whose coordinator answers.
pub(super) fn group(session: &mut Session, short: &str) -> Result<StrBytes, Stopped> {
    let name = session.name(short);
    let find = message!(FindCoordinatorRequest { key: name.clone() });
    session.until("a coordinator", |session| {
        Ok(session.quiet(FIND_VERSION, &find)?.error_code == 0)
    })?;
    let probe = message!(HeartbeatRequest {
        group_id: name.clone(),
        member_id: text("nobody"),
        generation_id: 1,
    });
    session.until("a loaded coordinator", |session| {
        let code = session.quiet(HEARTBEAT_VERSION, &probe)?.error_code;
        Ok(![14, 15, 16].contains(&code))
    })?;
    Ok(name)
}

fn protocols(names: &[&str]) -> Vec<JoinGroupRequestProtocol> {
    let protocol = |name: &&str| {
        message!(JoinGroupRequestProtocol {
            name: text(name),
            metadata: subscription(&["t"]),
        })
    };
    names.iter().map(protocol).collect()
}

/// A consumer's subscription to topics, as the consumer protocol writes it (version 0).
fn subscription(topics: &[&str]) -> bytes::Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).unwrap_or(0).to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

/// A request to join as a consumer, with nothing wrong in it.
fn join_request(group: &StrBytes, member: &StrBytes) -> JoinGroupRequest {
    message!(JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: member.clone(),
        protocol_type: text(CONSUMER),
        protocols: protocols(&["range"]),
    })
}

/// Joins without a note: a new member, asking again with the id it is given.
fn join(session: &mut Session, request: &JoinGroupRequest) -> Result<JoinGroupResponse, Stopped> {
    let mut request = request.clone();
    let mut answer = session.quiet(JOIN_VERSION, &request)?;
    if answer.error_code == 79 {
        request.member_id = answer.member_id.clone();
        answer = session.quiet(JOIN_VERSION, &request)?;
    }
    match answer.error_code {
        0 => Ok(answer),
        code => Err(format!("a member could not join: {code}")),
    }
}

fn sync_request(group: &StrBytes, member: &Member, assignments: &[&str]) -> SyncGroupRequest {
    let assignment = |content: &&str| {
        message!(SyncGroupRequestAssignment {
            member_id: member.id.clone(),
            assignment: bytes::Bytes::copy_from_slice(content.as_bytes()),
        })
    };
    message!(SyncGroupRequest {
        group_id: group.clone(),
        generation_id: member.generation,
        member_id: member.id.clone(),
        assignments: assignments.iter().map(assignment).collect(),
    })
}

/// A stable group of one member.
fn stable(
    session: &mut Session,
    short: &str,
    instance: Option<&str>,
) -> Result<(StrBytes, Member), Stopped> {
    let group = group(session, short)?;
    let mut request = join_request(&group, &text(""));
    request.group_instance_id = instance.map(text);
    let joined = join(session, &request)?;
    let member = Member {
        id: joined.member_id,
        generation: joined.generation_id,
    };
    settle(session, &group, &member, instance)?;
    Ok((group, member))
}

/// The leader's assignment, without a note.
fn settle(
    session: &mut Session,
    group: &StrBytes,
    member: &Member,
    instance: Option<&str>,
) -> Result<(), Stopped> {
    let mut request = sync_request(group, member, &["work"]);
    request.group_instance_id = instance.map(text);
    match session.quiet(SYNC_VERSION, &request)?.error_code {
        0 => Ok(()),
        code => Err(format!("a group did not settle: {code}")),
    }
}

/// A member leaves, without a note.
fn leave(session: &mut Session, group: &StrBytes, member: &Member) -> Result<(), Stopped> {
    let gone = message!(kafka_wire::leave_group_request::MemberIdentity {
        member_id: member.id.clone(),
    });
    let request = message!(LeaveGroupRequest {
        group_id: group.clone(),
        members: vec![gone],
    });
    match session.quiet(LEAVE_VERSION, &request)?.error_code {
        0 => Ok(()),
        code => Err(format!("a member could not leave: {code}")),
    }
}

/// A partition to commit: its index, the offset, and what the consumer notes beside it.
fn commit_of(index: i32, offset: i64, note: Option<&str>) -> OffsetCommitRequestPartition {
    message!(OffsetCommitRequestPartition {
        partition_index: index,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: note.map(text),
    })
}

/// A commit of one topic, by name and id, as one who is no member.
fn commit_request(
    group: &StrBytes,
    (topic, id): (&StrBytes, Uuid),
    partitions: Vec<OffsetCommitRequestPartition>,
) -> OffsetCommitRequest {
    let topic = message!(OffsetCommitRequestTopic {
        name: topic.clone(),
        topic_id: id,
        partitions: partitions,
    });
    message!(OffsetCommitRequest {
        group_id: group.clone(),
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: vec![topic],
    })
}

/// Commits without a note.
fn commit(session: &mut Session, request: &OffsetCommitRequest) -> Result<(), Stopped> {
    let answer = session.quiet(COMMIT_VERSION, request)?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    match partitions.find(|partition| partition.error_code != 0) {
        None => Ok(()),
        Some(failed) => Err(format!("a commit was refused: {failed:?}")),
    }
}

/// For a version that names topics by id, the id; else the name.
fn named(session: &Session, first_by_id: i16, name: &StrBytes, id: Uuid) -> (StrBytes, Uuid) {
    if session.version() >= first_by_id {
        (text(""), id)
    } else {
        (name.clone(), Uuid::default())
    }
}
