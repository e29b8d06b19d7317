//! OffsetCommit: where a group goes on (K78).

use std::sync::Arc;

use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_wire::{OffsetCommitRequest, OffsetCommitResponse};
use kafka_wire_core::{StrBytes, Uuid};

use super::classic::{ClassicGroup, GroupState};
use super::record::{OffsetCommit, OffsetKey, RecordKey};
use super::reply::Places;
use super::shared::reference_to;
use super::writes::Then;
use super::{Caller, GroupEffects, GroupId, GroupRecord, GroupReply, Shard, WriteId, owned};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::limits::GROUPS_PER_SHARD_MAX;
use crate::metadata::{Image, TopicImage};
use crate::mutants::mutant;
use crate::time::{Now, Timestamp};

/// The first version in which topics are named by their ids.
pub(super) const NAMES_TOPICS_BY_ID: i16 = 10;

/// The first version in which a group that is not known is told apart from an old generation.
const KNOWS_GROUP_ID_NOT_FOUND: i16 = 9;

/// The last version in which a client may say how long its offsets are kept.
const HAS_RETENTION: i16 = 4;

type Offsets = Vec<(OffsetKey, Option<OffsetCommit>)>;

impl Shard {
    /// OffsetCommit; which topics and partitions exist is seen in `image`. Answered when the
    /// offsets are committed.
    pub fn offset_commit(
        &mut self,
        now: Now,
        caller: &Caller,
        request: &OffsetCommitRequest,
        image: &Image,
        out: &mut GroupEffects,
    ) {
        let commit = Committing {
            now,
            version: caller.version,
            metadata_max: self.shared.settings.offset_metadata_max,
            request,
        };
        let (mut reply, known) = commit.known_partitions(image);
        if known.is_empty() {
            return answer(caller, reply.reply, out);
        }
        if let Err(code) = self.check_commit(now, caller.version, request) {
            Committing::append_all(&mut reply, &known, code);
            return answer(caller, reply.reply, out);
        }
        let mut offsets = Vec::new();
        for (topic, image, partition) in known {
            let code = match commit.offset(image, partition) {
                Ok(offset) => {
                    offsets.push(offset);
                    ErrorCode::None
                }
                Err(code) => code,
            };
            reply.append(topic, partition.partition_index, code);
        }
        if offsets.is_empty() {
            let group = &self.groups[&request.group_id];
            let reference = reference_to(group);
            answer(caller, reply.reply, out);
            return self.drop_if_never_written(&reference, ErrorCode::UnknownMemberId, out);
        }
        let then = Then::Answer(caller.reply_to, reply.reply);
        self.write_offsets(&request.group_id, offsets, then, out);
    }

    /// Whether the caller may commit for the group; a simple consumer makes a group where there is
    /// none. A member that commits is there.
    fn check_commit(
        &mut self,
        now: Now,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        if let Some(code) = self.refusal() {
            return Err(code);
        }
        let Some(group) = self.groups.get(&request.group_id) else {
            if request.generation_id_or_member_epoch >= 0 {
                return Err(if version >= KNOWS_GROUP_ID_NOT_FOUND {
                    ErrorCode::GroupIdNotFound
                } else {
                    ErrorCode::IllegalGeneration
                });
            }
            if self.groups.len() >= GROUPS_PER_SHARD_MAX {
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
            self.create(&request.group_id);
            return Ok(());
        };
        check_committer(group, request)?;
        if [GroupState::Stable, GroupState::PreparingRebalance].contains(&group.state) {
            let member = group.member(&request.member_id);
            let id = &member
                .expect("a group that is not empty was asked by a member")
                .id;
            self.shared.expect_within_session(now, group, id);
        }
        Ok(())
    }

    /// Hands out a write of offsets of a group that is there.
    pub(super) fn write_offsets(
        &mut self,
        id: &GroupId,
        offsets: Offsets,
        then: Then,
        out: &mut GroupEffects,
    ) -> WriteId {
        let group = self.groups.get_mut(id).expect("the caller knows it");
        group.writes_in_flight += 1;
        let mut records = Vec::with_capacity(offsets.len());
        for (key, value) in &offsets {
            self.offsets.begin(&group.id, key);
            records.push(GroupRecord {
                key: RecordKey::Offset(id.clone(), key.clone()).encode(),
                value: value.as_ref().map(OffsetCommit::encode),
            });
        }
        let reference = reference_to(group);
        let writes = &mut self.shared.writes;
        writes.begin(reference, records, offsets, then, out)
    }
}

/// Whether the caller may commit for a group that is there.
fn check_committer(group: &ClassicGroup, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
    let generation = request.generation_id_or_member_epoch;
    if generation < 0 && group.state == GroupState::Empty {
        return Ok(());
    }
    let instance_id = request.group_instance_id.as_ref();
    if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
        // A simple consumer, in a group that has members.
        return Err(ErrorCode::UnknownMemberId);
    }
    group.check_member(&request.member_id, instance_id)?;
    if generation != group.generation && !mutant!(M43) {
        return Err(ErrorCode::IllegalGeneration);
    }
    if group.state == GroupState::CompletingRebalance {
        return Err(ErrorCode::RebalanceInProgress);
    }
    Ok(())
}

/// A partition that a request commits for, with the topic in the request and in the image.
type Known<'a> = (
    &'a OffsetCommitRequestTopic,
    &'a TopicImage,
    &'a OffsetCommitRequestPartition,
);

/// An OffsetCommit.
struct Committing<'a> {
    now: Now,
    version: i16,
    metadata_max: usize,
    request: &'a OffsetCommitRequest,
}

impl<'a> Committing<'a> {
    /// The partitions that exist, and an answer that refuses the others.
    fn known_partitions(&self, image: &'a Image) -> (CommitReply, Vec<Known<'a>>) {
        let mut reply = CommitReply::default();
        let mut known = Vec::new();
        for topic in &self.request.topics {
            let (existing, unknown) = if self.version >= NAMES_TOPICS_BY_ID {
                let id = TopicId::from(topic.topic_id);
                (image.topic_by_id(id), ErrorCode::UnknownTopicId)
            } else {
                (image.topic(&topic.name), ErrorCode::UnknownTopicOrPartition)
            };
            for partition in &topic.partitions {
                let index = PartitionIndex(partition.partition_index);
                match existing {
                    Some(existing) if existing.partition(index).is_some() => {
                        known.push((topic, existing.as_ref(), partition));
                    }
                    Some(_) => {
                        let code = ErrorCode::UnknownTopicOrPartition;
                        reply.append(topic, index.0, code);
                    }
                    None => reply.append(topic, index.0, unknown),
                }
            }
        }
        (reply, known)
    }

    /// The offset to remember, or why it is refused.
    fn offset(
        &self,
        topic: &TopicImage,
        partition: &OffsetCommitRequestPartition,
    ) -> Result<(OffsetKey, Option<OffsetCommit>), ErrorCode> {
        let metadata = partition.committed_metadata.as_ref();
        let length = metadata.map_or(0, |metadata| metadata.encode_utf16().count());
        if length > self.metadata_max {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let key = OffsetKey {
            topic: Arc::clone(&topic.name),
            partition: PartitionIndex(partition.partition_index),
        };
        let retention_ms = self.request.retention_time_ms;
        let expire_timestamp = if self.version <= HAS_RETENTION && retention_ms != -1 {
            Timestamp(self.now.wall.0.saturating_add(retention_ms))
        } else {
            Timestamp::NONE
        };
        let leader_epoch = LeaderEpoch(partition.committed_leader_epoch);
        let value = OffsetCommit {
            offset: Offset(partition.committed_offset),
            // What a record does not hold is not remembered.
            leader_epoch: if expire_timestamp == Timestamp::NONE {
                leader_epoch
            } else {
                LeaderEpoch::NONE
            },
            metadata: metadata.map(owned).unwrap_or_default(),
            commit_timestamp: self.now.wall,
            expire_timestamp,
            topic_id: if expire_timestamp == Timestamp::NONE {
                topic.id
            } else {
                TopicId::ZERO
            },
        };
        Ok((key, Some(value)))
    }

    fn append_all(reply: &mut CommitReply, known: &[Known<'_>], code: ErrorCode) {
        for (topic, _, partition) in known {
            reply.append(topic, partition.partition_index, code);
        }
    }
}

/// An answer in the making.
#[derive(Default)]
struct CommitReply {
    reply: OffsetCommitResponse,
    places: Places<(StrBytes, Uuid)>,
}

impl CommitReply {
    fn append(&mut self, topic: &OffsetCommitRequestTopic, partition_index: i32, code: ErrorCode) {
        let mut told = OffsetCommitResponsePartition::default();
        told.partition_index = partition_index;
        told.error_code = code.code();
        let topics = &mut self.reply.topics;
        let last = topics.last_mut();
        if let Some(last) =
            last.filter(|last| last.name == topic.name && last.topic_id == topic.topic_id)
        {
            return last.partitions.push(told);
        }
        let key = (StrBytes::clone(&topic.name), topic.topic_id);
        let topic = self.places.topic(key, topics, || {
            let mut new = OffsetCommitResponseTopic::default();
            new.name = StrBytes::clone(&topic.name);
            new.topic_id = topic.topic_id;
            new
        });
        topic.partitions.push(told);
    }
}

fn answer(caller: &Caller, reply: OffsetCommitResponse, out: &mut GroupEffects) {
    let reply = GroupReply::OffsetCommit(reply);
    out.replies.push((caller.reply_to, reply));
}
