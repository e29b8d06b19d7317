//! A shard with a log that the test owns: what it writes is committed, or lost, when the test says.

mod histories;
mod joiner;
mod offsets;
mod rebalances;
mod recovery;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::leave_group_request::MemberIdentity;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_wire_core::{ApiVersion, KafkaEncode as _, StrBytes};

use self::joiner::{Joiner, joiner, subscription};
use super::{
    Caller, GroupEffects, GroupRecord, GroupReply, GroupSettings, GroupWrite, MemberId, Shard,
};
use crate::config::BrokerConfig;
use crate::error::ErrorCode;
use crate::ids::{
    ConnectionId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, RequestSequence, TopicId,
};
use crate::metadata::records::{MetadataRecord, PartitionRecord, TopicRecord};
use crate::metadata::{Delta, Image};
use crate::rng::Rng;
use crate::time::{Instant, Now, Timestamp};
use crate::waiting::ReplyTo;

/// The request that a reply answers.
type Ticket = u64;

/// Topics `t` and `u` of four partitions each.
fn image() -> Image {
    let mut image = Image::default();
    for name in ["t", "u"] {
        let topic_id = topic_id(name);
        let topic = TopicRecord {
            name: name.into(),
            topic_id,
        };
        let mut records = vec![MetadataRecord::Topic(topic)];
        records.extend((0..4).map(|index| {
            MetadataRecord::Partition(PartitionRecord {
                partition_id: PartitionIndex(index),
                topic_id,
                replicas: vec![NodeId(1)],
                isr: vec![NodeId(1)],
                leader: NodeId(1),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
                directories: vec![TopicId([9; 16])],
                ..PartitionRecord::default()
            })
        }));
        for record in &records {
            let applied = image.apply(record, &mut Delta::default());
            applied.expect("a topic is created once");
        }
    }
    image
}

fn topic_id(name: &str) -> TopicId {
    TopicId([name.as_bytes()[0]; 16])
}

fn settings() -> GroupSettings {
    GroupSettings::of(&BrokerConfig::default().groups)
}

/// A shard, its log, and those who wait for answers.
#[derive(Clone, Debug)]
struct Meeting {
    shard: Shard,
    now: Now,
    image: Image,
    /// Whether writes are committed as soon as they are made.
    commits_at_once: bool,
    in_flight: VecDeque<GroupWrite>,
    log: Vec<GroupRecord>,
    asked: u64,
    versions: BTreeMap<Ticket, i16>,
    replies: BTreeMap<Ticket, GroupReply>,
}

impl Meeting {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: GroupSettings) -> Self {
        let mut shard = Shard::new(Arc::new(settings), Rng::new(7));
        let now = Now {
            instant: Instant(1_000_000_000),
            wall: Timestamp(1_700_000_000_000),
        };
        shard.finish_loading(now, &mut GroupEffects::default());
        Self {
            shard,
            now,
            image: image(),
            commits_at_once: true,
            in_flight: VecDeque::new(),
            log: Vec::new(),
            asked: 0,
            versions: BTreeMap::new(),
            replies: BTreeMap::new(),
        }
    }

    /// Calls the shard as a client would.
    fn ask(
        &mut self,
        version: i16,
        client: &str,
        call: impl FnOnce(&mut Shard, Now, &Caller, &Image, &mut GroupEffects),
    ) -> Ticket {
        let ticket = self.asked;
        self.asked += 1;
        self.versions.insert(ticket, version);
        let caller = Caller {
            reply_to: ReplyTo {
                connection: ConnectionId(1),
                sequence: RequestSequence(ticket),
            },
            version,
            client_id: StrBytes::from(client),
            peer_host: "127.0.0.1".into(),
        };
        let mut out = GroupEffects::default();
        call(&mut self.shard, self.now, &caller, &self.image, &mut out);
        self.settle(out);
        ticket
    }

    /// Calls the shard as its node would.
    fn act<T>(&mut self, call: impl FnOnce(&mut Shard, Now, &mut GroupEffects) -> T) -> T {
        let mut out = GroupEffects::default();
        let result = call(&mut self.shard, self.now, &mut out);
        self.settle(out);
        result
    }

    fn settle(&mut self, out: GroupEffects) {
        for (reply_to, reply) in out.replies {
            let ticket = reply_to.sequence.0;
            let version = self.versions[&ticket];
            encode(&reply, version);
            let former = self.replies.insert(ticket, reply);
            assert!(former.is_none(), "request {ticket} was answered before");
        }
        self.in_flight.extend(out.writes);
        if self.commits_at_once {
            self.commit_all();
        }
    }

    /// Commits the oldest write, if there is one.
    fn commit(&mut self) {
        if let Some(write) = self.in_flight.pop_front() {
            self.log.extend(write.records);
            self.act(|shard, now, out| shard.on_committed(now, write.id, out));
        }
    }

    fn commit_all(&mut self) {
        while !self.in_flight.is_empty() {
            self.commit();
        }
    }

    /// Loses the write at a place.
    fn lose(&mut self, place: usize) {
        if let Some(write) = self.in_flight.remove(place) {
            let code = ErrorCode::KafkaStorageError;
            self.act(|shard, now, out| shard.on_write_failed(now, write.id, code, out));
        }
    }

    /// Lets time pass; what becomes due is done on time.
    fn pass(&mut self, duration: Duration) {
        let end = self.now.instant.after(duration);
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.move_to(due.max(self.now.instant));
            let image = self.image.clone();
            self.act(|shard, now, out| shard.on_time(now, &image, out));
        }
        self.move_to(end);
    }

    fn move_to(&mut self, instant: Instant) {
        let passed = instant.since(self.now.instant);
        let passed_ms = i64::try_from(passed.as_millis()).expect("short");
        self.now.wall.0 += passed_ms;
        self.now.instant = instant;
    }

    fn seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    fn join(&mut self, joiner: &Joiner) -> Ticket {
        self.join_group("g", joiner)
    }

    fn join_group(&mut self, group: &str, joiner: &Joiner) -> Ticket {
        let mut request = JoinGroupRequest::default();
        request.group_id = group.into();
        request.session_timeout_ms = 10_000;
        request.rebalance_timeout_ms = joiner.rebalance_timeout_ms;
        request.member_id = joiner.member_id.clone();
        request.group_instance_id = joiner.instance.map(StrBytes::from);
        request.protocol_type = "consumer".into();
        request.protocols = joiner
            .protocols
            .iter()
            .map(|(name, metadata)| {
                let mut protocol = JoinGroupRequestProtocol::default();
                protocol.name = StrBytes::from(*name);
                protocol.metadata = metadata.clone();
                protocol
            })
            .collect();
        self.ask(
            joiner.version,
            joiner.client,
            |shard, now, caller, _, out| {
                shard.join_group(now, caller, &request, out);
            },
        )
    }

    /// The id that a client gets before it may join.
    fn id_of(&mut self, joiner: &Joiner) -> MemberId {
        let ticket = self.join(joiner);
        let reply = self.joined(ticket).clone();
        assert_eq!(reply.error_code, ErrorCode::MemberIdRequired.code());
        reply.member_id
    }

    /// Joins in both steps.
    fn join_twice(&mut self, client: &'static str) -> (MemberId, Ticket) {
        let id = self.id_of(&joiner(client));
        let ticket = self.join(&joiner(client).with_id(&id));
        (id, ticket)
    }

    fn sync(
        &mut self,
        id: &MemberId,
        generation: i32,
        assignments: &[(&MemberId, &str)],
    ) -> Ticket {
        let mut request = SyncGroupRequest::default();
        request.group_id = "g".into();
        request.member_id = id.clone();
        request.generation_id = generation;
        request.protocol_type = Some("consumer".into());
        request.protocol_name = Some("range".into());
        request.assignments = assignments_of(assignments);
        self.sync_as(5, &request)
    }

    fn sync_as(&mut self, version: i16, request: &SyncGroupRequest) -> Ticket {
        self.ask(version, "", |shard, _, caller, _, out| {
            shard.sync_group(caller, request, out);
        })
    }

    fn heartbeat(&mut self, id: &MemberId, generation: i32) -> ErrorCode {
        self.heartbeat_as(id, generation, None)
    }

    fn heartbeat_as(
        &mut self,
        id: &MemberId,
        generation: i32,
        instance: Option<&str>,
    ) -> ErrorCode {
        let mut request = HeartbeatRequest::default();
        request.group_id = "g".into();
        request.member_id = id.clone();
        request.generation_id = generation;
        request.group_instance_id = instance.map(StrBytes::from);
        let ticket = self.ask(4, "", |shard, now, caller, _, out| {
            shard.heartbeat(now, caller, &request, out);
        });
        let GroupReply::Heartbeat(reply) = &self.replies[&ticket] else {
            panic!("another reply answers a Heartbeat");
        };
        code(reply.error_code)
    }

    fn leave(&mut self, version: i16, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let mut request = LeaveGroupRequest::default();
        request.group_id = "g".into();
        if version < 3 {
            request.member_id = members[0].0.into();
        } else {
            request.members = members
                .iter()
                .map(|(id, instance)| {
                    let mut identity = MemberIdentity::default();
                    identity.member_id = StrBytes::from(*id);
                    identity.group_instance_id = instance.map(StrBytes::from);
                    identity
                })
                .collect();
        }
        let ticket = self.ask(version, "", |shard, now, caller, _, out| {
            shard.leave_group(now, caller, &request, out);
        });
        let GroupReply::LeaveGroup(reply) = &self.replies[&ticket] else {
            panic!("another reply answers a LeaveGroup");
        };
        reply.clone()
    }

    fn commit_offsets(&mut self, version: i16, request: &OffsetCommitRequest) -> Ticket {
        self.ask(version, "", |shard, now, caller, image, out| {
            shard.offset_commit(now, caller, request, image, out);
        })
    }

    /// Commits an offset of a partition of `t`.
    fn commit_offset(&mut self, id: &MemberId, generation: i32, offset: i64) -> Ticket {
        let request = commit_request("g", id, generation, &[("t", 0, offset)]);
        self.commit_offsets(9, &request)
    }

    /// The codes of an OffsetCommit, in the order of the answer.
    fn committed(&self, ticket: Ticket) -> Vec<ErrorCode> {
        let GroupReply::OffsetCommit(reply) = &self.replies[&ticket] else {
            panic!("another reply answers an OffsetCommit");
        };
        let partitions = reply.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(|partition| code(partition.error_code))
            .collect()
    }

    fn joined(&self, ticket: Ticket) -> &JoinGroupResponse {
        let GroupReply::JoinGroup(reply) = &self.replies[&ticket] else {
            panic!("another reply answers a JoinGroup");
        };
        reply
    }

    fn join_code(&self, ticket: Ticket) -> ErrorCode {
        code(self.joined(ticket).error_code)
    }

    fn synced(&self, ticket: Ticket) -> &SyncGroupResponse {
        let GroupReply::SyncGroup(reply) = &self.replies[&ticket] else {
            panic!("another reply answers a SyncGroup");
        };
        reply
    }

    fn sync_code(&self, ticket: Ticket) -> ErrorCode {
        code(self.synced(ticket).error_code)
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    fn state(&self) -> String {
        let described = self.shard.describe_group(&"g".into(), 6);
        described.group_state.to_string()
    }

    /// Two members, `a` who leads and `b`, in the Stable generation 1.
    fn two_members(&mut self) -> (MemberId, MemberId) {
        let (a, _) = self.join_twice("a");
        let (b, _) = self.join_twice("b");
        // A newcomer during the first delay of 3 s makes for a second one.
        self.seconds(6);
        self.sync(&b, 1, &[]);
        self.sync(&a, 1, &[(&a, "t0"), (&b, "t1")]);
        assert_eq!(self.state(), "Stable");
        (a, b)
    }
}

fn assignments_of(assignments: &[(&MemberId, &str)]) -> Vec<SyncGroupRequestAssignment> {
    let assignments = assignments.iter();
    assignments
        .map(|(id, text)| {
            let mut assignment = SyncGroupRequestAssignment::default();
            assignment.member_id = MemberId::clone(id);
            assignment.assignment = Bytes::copy_from_slice(text.as_bytes());
            assignment
        })
        .collect()
}

fn commit_request(
    group: &str,
    id: &MemberId,
    generation: i32,
    offsets: &[(&str, i32, i64)],
) -> OffsetCommitRequest {
    let mut request = OffsetCommitRequest::default();
    request.group_id = group.into();
    request.member_id = id.clone();
    request.generation_id_or_member_epoch = generation;
    request.retention_time_ms = -1;
    for (name, index, offset) in offsets {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = *index;
        partition.committed_offset = *offset;
        partition.committed_leader_epoch = 5;
        partition.committed_metadata = Some("né".into());
        let mut topic = OffsetCommitRequestTopic::default();
        topic.name = StrBytes::from(*name);
        topic.partitions.push(partition);
        request.topics.push(topic);
    }
    request
}

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("Kafka knows it")
}

/// Encodes a reply at its request's version: a field that version cannot hold is a failure.
fn encode(reply: &GroupReply, version: i16) {
    let mut buffer = BytesMut::new();
    let version = ApiVersion::new(version);
    let encoded = match reply {
        GroupReply::Heartbeat(reply) => reply.encode_into(&mut buffer, version),
        GroupReply::JoinGroup(reply) => reply.encode_into(&mut buffer, version),
        GroupReply::LeaveGroup(reply) => reply.encode_into(&mut buffer, version),
        GroupReply::OffsetCommit(reply) => reply.encode_into(&mut buffer, version),
        GroupReply::SyncGroup(reply) => reply.encode_into(&mut buffer, version),
    };
    encoded.unwrap_or_else(|error| panic!("{reply:?} at {version:?}: {error:?}"));
}
