//! OffsetDelete and DeleteGroups: what is to be forgotten (K83, K26).

use std::sync::Arc;

use kafka_wire::offset_delete_request::OffsetDeleteRequestTopic;
use kafka_wire::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_wire::{OffsetDeleteRequest, OffsetDeleteResponse};
use kafka_wire_core::StrBytes;

use super::classic::GroupState;
use super::offsets::GroupOffsets;
use super::record::{OffsetKey, RecordKey};
use super::reply::Places;
use super::shared::{reference_to, tell};
use super::writes::Then;
use super::{GroupEffects, GroupId, GroupRecord, Shard, WriteId};
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::ids::{PartitionIndex, TopicId, TopicName};
use crate::limits::{TOMBSTONE_BYTES_PER_WRITE, TOPIC_NAME_CHARACTERS_MAX};
use crate::metadata::Image;

impl Shard {
    /// OffsetDelete; the answer is sent when all of its writes are committed, where there are any.
    /// Should one fail, the whole request failed with [`Self::write_error`].
    pub fn offset_delete(
        &mut self,
        request: &OffsetDeleteRequest,
        image: &Image,
        out: &mut GroupEffects,
    ) -> (OffsetDeleteResponse, Vec<WriteId>) {
        let mut reply = DeleteReply::default();
        if let Err(code) = self.check_offset_delete(&request.group_id) {
            reply.reply.error_code = code.code();
            return (reply.reply, Vec::new());
        }
        let group = &self.groups[&request.group_id];
        let known = self.offsets.get(&request.group_id);
        let mut allowed = Vec::new();
        for topic in &request.topics {
            let existing = image.topic(&topic.name);
            for partition in &topic.partitions {
                let index = PartitionIndex(partition.partition_index);
                match existing {
                    Some(existing) if existing.partition(index).is_some() => {
                        allowed.push((topic, &existing.name, index));
                    }
                    Some(_) | None => {
                        reply.append(topic, index, ErrorCode::UnknownTopicOrPartition);
                    }
                }
            }
        }
        let mut keys = Vec::new();
        for (topic, name, partition) in allowed {
            if group.is_subscribed_to(name) {
                reply.append(topic, partition, ErrorCode::GroupSubscribedToTopic);
                continue;
            }
            reply.append(topic, partition, ErrorCode::None);
            let key = OffsetKey {
                topic: Arc::clone(name),
                partition,
            };
            if known.is_some_and(|offsets| offsets.is_known(&key)) {
                keys.push(key);
            }
        }
        let writes = self.delete_offsets(&request.group_id, keys, out);
        (reply.reply, writes)
    }

    fn check_offset_delete(&self, id: &GroupId) -> Result<(), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Some(code) = self.refusal() {
            return Err(code);
        }
        let group = self.groups.get(id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state != GroupState::Empty && !group.is_of_consumers() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        Ok(())
    }

    /// Deletes an empty group with its offsets; the caller answers when all of the writes are
    /// committed, or one is lost.
    ///
    /// # Errors
    /// Why it is not deleted.
    pub fn delete_group(
        &mut self,
        id: &GroupId,
        out: &mut GroupEffects,
    ) -> Result<Vec<WriteId>, ErrorCode> {
        if let Some(code) = self.refusal() {
            return Err(code);
        }
        let group = self.groups.get(id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state != GroupState::Empty {
            return Err(ErrorCode::NonEmptyGroup);
        }
        let offsets = self.offsets.get(id);
        let keys = offsets.map_or_else(Vec::new, GroupOffsets::known);
        Ok(self.bury(id, keys, out))
    }

    /// Deletes what groups committed for a topic that is gone (K26). What this misses, because the
    /// shard loads or the write is lost, goes with what has expired.
    pub fn on_topic_deleted(
        &mut self,
        topic: &TopicName,
        topic_id: TopicId,
        out: &mut GroupEffects,
    ) {
        if !self.is_active() {
            return;
        }
        let groups: Vec<GroupId> = self.offsets.groups_of(topic).cloned().collect();
        for id in groups {
            let offsets = self.offsets.get(&id).expect("it is listed with the topic");
            let known = offsets.known_of(topic).into_iter();
            // An offset of an earlier or a later topic of that name is none of this one's.
            let known = known.filter(|&partition| {
                let commit = offsets.get(topic, partition);
                commit.is_none_or(|commit| commit.topic_id.is_zero() || commit.topic_id == topic_id)
            });
            let keys = known.map(|partition| OffsetKey {
                topic: TopicName::clone(topic),
                partition,
            });
            let keys = keys.collect();
            self.delete_offsets(&id, keys, out);
        }
    }

    /// Deletes offsets of a group; the writes it takes.
    pub(super) fn delete_offsets(
        &mut self,
        id: &GroupId,
        keys: Vec<OffsetKey>,
        out: &mut GroupEffects,
    ) -> Vec<WriteId> {
        // A group whose own deletion is in flight has its offsets deleted with it.
        if !self.groups.contains_key(id) {
            return Vec::new();
        }
        let chunks = keys.chunks(tombstones_per_write(id));
        let writes = chunks.map(|keys| {
            let offsets = keys.iter().map(|key| (key.clone(), None)).collect();
            self.write_offsets(id, offsets, Then::Nothing, out)
        });
        writes.collect()
    }

    /// Deletes an empty group and these offsets, which are all it has; the writes it takes.
    pub(super) fn bury(
        &mut self,
        id: &GroupId,
        mut keys: Vec<OffsetKey>,
        out: &mut GroupEffects,
    ) -> Vec<WriteId> {
        let rest = keys.split_off(keys.len() - keys.len() % tombstones_per_write(id));
        let mut handed_out = self.delete_offsets(id, keys, out);
        let mut group = self.groups.remove(id).expect("the caller knows it");
        assert!(
            group.state == GroupState::Empty,
            "a group with members is not deleted"
        );
        tell(Severity::Info, id, "deleted", out);
        self.forget_timers(&group);
        group.pending_members.clear();
        group.writes_in_flight += 1;
        let mut records: Vec<GroupRecord> = Vec::with_capacity(rest.len() + 1);
        let mut offsets = Vec::with_capacity(rest.len());
        for key in rest {
            self.offsets.begin(id, &key);
            records.push(GroupRecord {
                key: RecordKey::Offset(id.clone(), key.clone()).encode(),
                value: None,
            });
            offsets.push((key, None));
        }
        records.push(GroupRecord {
            key: RecordKey::Group(id.clone()).encode(),
            value: None,
        });
        let reference = reference_to(&group);
        let writes = &mut self.shared.writes;
        let write = writes.begin(reference, records, offsets, Then::Delete, out);
        self.dying.insert((group.id.clone(), write), group);
        handed_out.push(write);
        handed_out
    }
}

/// How many offsets of a group are deleted in one write.
fn tombstones_per_write(id: &GroupId) -> usize {
    let key_bytes = id.len() + TOPIC_NAME_CHARACTERS_MAX + 32;
    (TOMBSTONE_BYTES_PER_WRITE / key_bytes).max(1)
}

/// An answer in the making.
#[derive(Default)]
struct DeleteReply {
    reply: OffsetDeleteResponse,
    places: Places<StrBytes>,
}

impl DeleteReply {
    fn append(
        &mut self,
        topic: &OffsetDeleteRequestTopic,
        partition: PartitionIndex,
        code: ErrorCode,
    ) {
        let mut told = OffsetDeleteResponsePartition::default();
        told.partition_index = partition.0;
        told.error_code = code.code();
        let topics = &mut self.reply.topics;
        let topic = self.places.topic(topic.name.clone(), topics, || {
            let mut new = OffsetDeleteResponseTopic::default();
            new.name = topic.name.clone();
            new
        });
        topic.partitions.push(told);
    }
}
