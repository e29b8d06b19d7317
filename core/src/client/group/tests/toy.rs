//! A toy coordinator with a clock: one broker, topics without records, one group.
//!
//! It speaks one version of each API and rebalances as soon as all known members have joined; what
//! the real one does is tested against real ones. Faults are answered instead of the next reply of
//! an API.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::join_group_response::JoinGroupResponseMember;
use kafka_wire_core::{
    ApiVersion, DecodeLimits, Decoder, Encoder, KafkaDecode, KafkaEncode, StrBytes,
};

use super::super::*;
use crate::error::ErrorCode;

/// The version spoken of each API.
const VERSIONS: [(i16, i16); 10] = [
    (1, 12),
    (2, 7),
    (3, 12),
    (8, 9),
    (9, 9),
    (10, 4),
    (11, 9),
    (12, 4),
    (13, 5),
    (14, 5),
];

/// Who asked, and under which number.
type Asked = (usize, LinkId, i32);

#[derive(Debug, Default)]
pub(super) struct Toy {
    pub(super) topics: BTreeMap<String, i32>,
    pub(super) committed: BTreeMap<(String, i32), i64>,
    pub(super) generation: i32,
    /// Members by id, with what they offer.
    pub(super) members: BTreeMap<String, kafka_wire::JoinGroupRequest>,
    pub(super) faults: BTreeMap<i16, VecDeque<ErrorCode>>,
    /// Requests by API, as they came.
    pub(super) seen: Vec<(i16, String)>,
    pub(super) drops_links: bool,
    /// The ids that members joined with.
    pub(super) joined_as: Vec<String>,
    joining: BTreeMap<String, Asked>,
    /// Whether all must join again.
    rebalances: bool,
    syncing: BTreeMap<String, Asked>,
    assignments: Option<BTreeMap<String, Bytes>>,
    next_member: u32,
    inputs: VecDeque<(usize, ClientInput)>,
}

fn decode<M: KafkaDecode>(body: Bytes, version: i16) -> M {
    let mut decoder = Decoder::new(body, DecodeLimits::default()).expect("within limits");
    M::decode(&mut decoder, ApiVersion::new(version)).expect("our own request")
}

impl Toy {
    /// Carries out what member number `who` asked for; gives the inputs of all.
    pub(super) fn carry_out(&mut self, who: usize, effects: Vec<ClientEffect>) {
        for effect in effects {
            match effect {
                ClientEffect::Close { .. } => {}
                ClientEffect::Connect { link, .. } => {
                    self.inputs
                        .push_back((who, ClientInput::Connected { link }));
                }
                ClientEffect::Send { link, bytes } => self.on_bytes(who, link, bytes),
            }
        }
    }

    pub(super) fn next_input(&mut self) -> Option<(usize, ClientInput)> {
        self.inputs.pop_front()
    }

    fn on_bytes(&mut self, who: usize, link: LinkId, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let length = i32::from_be_bytes(bytes[..4].try_into().expect("four bytes"));
            let length = usize::try_from(length).expect("positive");
            let frame = bytes.slice(4..4 + length);
            bytes = bytes.slice(4 + length..);
            let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
            let (api, version) = (number(0), number(2));
            let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four bytes"));
            let client_id = usize::try_from(number(8).max(0)).expect("positive");
            // The header ends with an empty set of tags.
            let body = frame.slice((10 + client_id + 1).min(frame.len())..);
            self.on_request((who, link, correlation), api, version, body);
        }
    }

    fn answer<M: KafkaEncode>(&mut self, (who, link, correlation): Asked, api: i16, message: &M) {
        let version = VERSIONS.iter().find(|(known, _version)| *known == api);
        let version = ApiVersion::new(version.map_or(0, |(_api, version)| *version));
        let mut body = BytesMut::new();
        message
            .encode(&mut Encoder::new(&mut body), version)
            .expect("encodes");
        let mut frame = BytesMut::new();
        let header = if api == 18 { 4 } else { 5 };
        frame.put_i32(i32::try_from(body.len() + header).expect("short"));
        frame.put_i32(correlation);
        if api != 18 {
            frame.put_u8(0);
        }
        frame.put_slice(&body);
        let bytes = frame.freeze();
        self.inputs
            .push_back((who, ClientInput::Received { link, bytes }));
    }

    /// As [`Self::fault`]; who is told to be unknown is forgotten.
    fn fault_of(&mut self, api: i16, member: &str) -> Option<i16> {
        let code = self.fault(api)?;
        if code == ErrorCode::UnknownMemberId.code() {
            self.members.remove(member);
        }
        Some(code)
    }

    fn fault(&mut self, api: i16) -> Option<i16> {
        let code = self.faults.get_mut(&api)?.pop_front()?;
        Some(code.code())
    }

    fn on_request(&mut self, asked: Asked, api: i16, version: i16, body: Bytes) {
        if self.drops_links && api != 18 && api != 3 {
            self.drops_links = false;
            self.inputs
                .push_back((asked.0, ClientInput::Closed { link: asked.1 }));
            return;
        }
        match api {
            3 => self.answer(asked, api, &self.metadata()),
            8 => self.on_commit(asked, &decode(body, version)),
            9 => self.on_offsets(asked, &decode(body, version)),
            10 => {
                let mut found = kafka_wire::find_coordinator_response::Coordinator::default();
                found.node_id = 1;
                found.error_code = self.fault(api).unwrap_or(0);
                let mut response = kafka_wire::FindCoordinatorResponse::default();
                response.coordinators = vec![found];
                self.answer(asked, api, &response);
            }
            11 => self.on_join(asked, decode(body, version)),
            12 => self.on_heartbeat(asked, &decode(body, version)),
            13 => self.on_leave(asked, &decode(body, version)),
            14 => self.on_sync(asked, &decode(body, version)),
            18 => {
                let mut response = kafka_wire::ApiVersionsResponse::default();
                for (key, version) in VERSIONS {
                    let mut range = kafka_wire::api_versions_response::ApiVersion::default();
                    range.api_key = key;
                    range.min_version = version;
                    range.max_version = version;
                    response.api_keys.push(range);
                }
                if version > 0 {
                    // Asked again in the oldest version, which all understand.
                    response.error_code = ErrorCode::UnsupportedVersion.code();
                }
                self.answer(asked, api, &response);
            }
            // Nothing is ever there to be fetched: a Fetch waits for good.
            1 => {}
            other => panic!("the toy does not serve {other}"),
        }
    }

    fn metadata(&self) -> kafka_wire::MetadataResponse {
        let mut response = kafka_wire::MetadataResponse::default();
        let mut broker = kafka_wire::metadata_response::MetadataResponseBroker::default();
        broker.node_id = 1;
        broker.host = StrBytes::from("toy");
        broker.port = 9092;
        response.brokers.push(broker);
        for (name, count) in &self.topics {
            let mut topic = kafka_wire::metadata_response::MetadataResponseTopic::default();
            topic.name = Some(StrBytes::from(name.as_str()));
            for index in 0..*count {
                let mut partition =
                    kafka_wire::metadata_response::MetadataResponsePartition::default();
                partition.partition_index = index;
                partition.leader_id = 1;
                partition.leader_epoch = 0;
                topic.partitions.push(partition);
            }
            response.topics.push(topic);
        }
        response
    }

    /// The error of somebody who is no member, or of an old generation.
    fn check(&self, member: &str, generation: i32) -> ErrorCode {
        if !self.members.contains_key(member) {
            ErrorCode::UnknownMemberId
        } else if generation != self.generation {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::None
        }
    }

    fn on_join(&mut self, asked: Asked, mut request: kafka_wire::JoinGroupRequest) {
        self.seen
            .push((11, request.reason.as_deref().unwrap_or("").to_owned()));
        self.joined_as.push(request.member_id.to_string());
        let mut response = kafka_wire::JoinGroupResponse::default();
        if let Some(code) = self.fault(11) {
            response.error_code = code;
            return self.answer(asked, 11, &response);
        }
        if request.member_id.is_empty() && request.group_instance_id.is_none() {
            response.error_code = ErrorCode::MemberIdRequired.code();
            response.member_id = StrBytes::from(format!("m{}", self.next_member).as_str());
            self.next_member += 1;
            return self.answer(asked, 11, &response);
        }
        if let Some(name) = &request.group_instance_id
            && request.member_id.is_empty()
        {
            request.member_id = StrBytes::from(format!("{}-x", &**name).as_str());
        }
        let id = request.member_id.to_string();
        self.members.insert(id.clone(), request);
        self.joining.insert(id, asked);
        self.rebalances = true;
        self.maybe_complete();
    }

    /// Begins a generation once all members have joined.
    pub(super) fn maybe_complete(&mut self) {
        if self.joining.is_empty() || self.joining.len() < self.members.len() {
            return;
        }
        self.generation += 1;
        self.rebalances = false;
        self.assignments = None;
        let leader = self.members.keys().next().expect("somebody joined").clone();
        let protocol = self.members[&leader].protocols[0].name.clone();
        let all: Vec<JoinGroupResponseMember> = self
            .members
            .iter()
            .map(|(id, request)| {
                let mut member = JoinGroupResponseMember::default();
                member.member_id = StrBytes::from(id.as_str());
                member
                    .group_instance_id
                    .clone_from(&request.group_instance_id);
                let offered = request
                    .protocols
                    .iter()
                    .find(|offer| offer.name == protocol);
                member.metadata = offered.expect("all offer the same").metadata.clone();
                member
            })
            .collect();
        for (id, asked) in std::mem::take(&mut self.joining) {
            let mut response = kafka_wire::JoinGroupResponse::default();
            response.generation_id = self.generation;
            response.protocol_type = Some(StrBytes::from("consumer"));
            response.protocol_name = Some(protocol.clone());
            response.leader = StrBytes::from(leader.as_str());
            response.member_id = StrBytes::from(id.as_str());
            if id == leader {
                response.members.clone_from(&all);
            }
            self.answer(asked, 11, &response);
        }
    }

    fn on_sync(&mut self, asked: Asked, request: &kafka_wire::SyncGroupRequest) {
        let mut response = kafka_wire::SyncGroupResponse::default();
        let code = self.fault_of(14, &request.member_id).unwrap_or_else(|| {
            let code = self.check(&request.member_id, request.generation_id);
            let rebalances = code == ErrorCode::None && self.rebalances;
            if rebalances {
                ErrorCode::RebalanceInProgress.code()
            } else {
                code.code()
            }
        });
        if code != 0 {
            response.error_code = code;
            return self.answer(asked, 14, &response);
        }
        if !request.assignments.is_empty() {
            let given = request.assignments.iter();
            let given = given.map(|one| (one.member_id.to_string(), one.assignment.clone()));
            self.assignments = Some(given.collect());
        }
        self.syncing.insert(request.member_id.to_string(), asked);
        let Some(assignments) = self.assignments.clone() else {
            return;
        };
        for (id, asked) in std::mem::take(&mut self.syncing) {
            let mut response = kafka_wire::SyncGroupResponse::default();
            response.assignment = assignments.get(&id).cloned().unwrap_or_default();
            self.answer(asked, 14, &response);
        }
    }

    fn on_heartbeat(&mut self, asked: Asked, request: &kafka_wire::HeartbeatRequest) {
        let mut response = kafka_wire::HeartbeatResponse::default();
        response.error_code = self.fault_of(12, &request.member_id).unwrap_or_else(|| {
            let code = self.check(&request.member_id, request.generation_id);
            let rebalances = code == ErrorCode::None && self.rebalances;
            if rebalances {
                ErrorCode::RebalanceInProgress.code()
            } else {
                code.code()
            }
        });
        self.answer(asked, 12, &response);
    }

    fn on_leave(&mut self, asked: Asked, request: &kafka_wire::LeaveGroupRequest) {
        for member in &request.members {
            let reason = member.reason.as_deref().unwrap_or("").to_owned();
            self.seen.push((13, reason));
            self.members.remove(&*member.member_id);
            self.rebalances = true;
        }
        self.answer(asked, 13, &kafka_wire::LeaveGroupResponse::default());
        self.maybe_complete();
    }

    fn on_commit(&mut self, asked: Asked, request: &kafka_wire::OffsetCommitRequest) {
        let code = self.fault_of(8, &request.member_id).unwrap_or_else(|| {
            let is_simple = request.generation_id_or_member_epoch < 0;
            if is_simple {
                return 0;
            }
            self.check(&request.member_id, request.generation_id_or_member_epoch)
                .code()
        });
        let mut response = kafka_wire::OffsetCommitResponse::default();
        for topic in &request.topics {
            let mut answered =
                kafka_wire::offset_commit_response::OffsetCommitResponseTopic::default();
            answered.name = topic.name.clone();
            for partition in &topic.partitions {
                let mut data =
                    kafka_wire::offset_commit_response::OffsetCommitResponsePartition::default();
                data.partition_index = partition.partition_index;
                data.error_code = code;
                answered.partitions.push(data);
                if code == 0 {
                    let key = (topic.name.to_string(), partition.partition_index);
                    self.committed.insert(key, partition.committed_offset);
                }
            }
            response.topics.push(answered);
        }
        self.answer(asked, 8, &response);
    }

    fn on_offsets(&mut self, asked: Asked, request: &kafka_wire::OffsetFetchRequest) {
        let mut group = kafka_wire::offset_fetch_response::OffsetFetchResponseGroup::default();
        group.error_code = self.fault(9).unwrap_or(0);
        for topic in request.groups[0].topics.iter().flatten() {
            let mut answered =
                kafka_wire::offset_fetch_response::OffsetFetchResponseTopics::default();
            answered.name = topic.name.clone();
            for index in &topic.partition_indexes {
                let mut data =
                    kafka_wire::offset_fetch_response::OffsetFetchResponsePartitions::default();
                data.partition_index = *index;
                let key = (topic.name.to_string(), *index);
                data.committed_offset = self.committed.get(&key).copied().unwrap_or(-1);
                answered.partitions.push(data);
            }
            group.topics.push(answered);
        }
        let mut response = kafka_wire::OffsetFetchResponse::default();
        response.groups = vec![group];
        self.answer(asked, 9, &response);
    }
}

/// Which topics a set of partitions is of, in a word.
pub(super) fn short(partitions: &BTreeSet<TopicPartition>) -> String {
    let all = partitions.iter().map(ToString::to_string);
    all.collect::<Vec<_>>().join(" ")
}
