//! OffsetFetch: what is committed (K79). An unknown group has committed nothing; that is no error.

use kafka_wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_wire::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::Shard;
use super::commit::NAMES_TOPICS_BY_ID;
use super::offsets::GroupOffsets;
use super::record::OffsetCommit;
use crate::error::ErrorCode;
use crate::ids::{PartitionIndex, TopicId};
use crate::metadata::Image;

impl Shard {
    /// One group of an OffsetFetch: the committed offsets, of all topics where none are named.
    /// Versions below 8, which ask for one group in other fields, are put into this form by the
    /// caller.
    #[must_use]
    pub fn offset_fetch(
        &self,
        request: &OffsetFetchRequestGroup,
        version: i16,
        image: &Image,
    ) -> OffsetFetchResponseGroup {
        let mut reply = OffsetFetchResponseGroup::default();
        reply.group_id = request.group_id.clone();
        if let Some(code) = self.refusal() {
            reply.error_code = code.code();
            return reply;
        }
        let names_ids = version >= NAMES_TOPICS_BY_ID;
        let offsets = self.offsets.get(&request.group_id);
        reply.topics = match &request.topics {
            None => offsets.map_or_else(Vec::new, |offsets| all(offsets, names_ids, image)),
            Some(topics) if names_ids => {
                let (mut told, mut unknown) = (Vec::new(), Vec::new());
                for topic in topics {
                    match image.topic_by_id(TopicId::from(topic.topic_id)) {
                        Some(existing) => {
                            let (name, id) = (&existing.name, existing.id);
                            told.push(some(offsets, topic, name, Some(id)));
                        }
                        None => unknown.push(unknown_topic(topic)),
                    }
                }
                told.append(&mut unknown);
                told
            }
            Some(topics) => topics
                .iter()
                .map(|topic| {
                    let id = image.topic(&topic.name).map(|existing| existing.id);
                    some(offsets, topic, &topic.name, id)
                })
                .collect(),
        };
        reply
    }
}

/// Whether an offset was committed for the topic that now goes by its topic's name: what an earlier
/// topic of that name left says nothing of this one. An old record does not tell.
fn is_of(commit: &OffsetCommit, topic: Option<TopicId>) -> bool {
    commit.topic_id.is_zero() || topic == Some(commit.topic_id)
}

/// The offsets that were asked for, of one topic.
fn some(
    offsets: Option<&GroupOffsets>,
    topic: &OffsetFetchRequestTopics,
    name: &str,
    id: Option<TopicId>,
) -> OffsetFetchResponseTopics {
    let mut told = name_topic(&topic.name, topic.topic_id);
    let indexes = topic.partition_indexes.iter();
    told.partitions = indexes
        .map(|&index| {
            let commit = offsets.and_then(|offsets| offsets.get(name, PartitionIndex(index)));
            partition(index, commit.filter(|commit| is_of(commit, id)))
        })
        .collect();
    told
}

/// All offsets of a group for topics that are there; where topics go by id, those without one are
/// left out.
fn all(offsets: &GroupOffsets, names_ids: bool, image: &Image) -> Vec<OffsetFetchResponseTopics> {
    let topics = offsets.committed().iter();
    topics
        .filter_map(|(name, partitions)| {
            let id = image.topic(name).map(|topic| topic.id);
            let mut told = if names_ids {
                name_topic(&StrBytes::default(), id?.into())
            } else {
                name_topic(&StrBytes::from(name.as_ref()), Uuid::default())
            };
            let partitions = partitions.iter();
            told.partitions = partitions
                .filter(|(_, commit)| is_of(commit, id))
                .map(|(index, commit)| partition(index.0, Some(commit)))
                .collect();
            (!told.partitions.is_empty()).then_some(told)
        })
        .collect()
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let mut told = name_topic(&topic.name, topic.topic_id);
    let indexes = topic.partition_indexes.iter();
    told.partitions = indexes
        .map(|&index| {
            let mut told = partition(index, None);
            told.error_code = ErrorCode::UnknownTopicId.code();
            told
        })
        .collect();
    told
}

fn name_topic(name: &StrBytes, id: Uuid) -> OffsetFetchResponseTopics {
    let mut told = OffsetFetchResponseTopics::default();
    told.name = name.clone();
    told.topic_id = id;
    told
}

fn partition(index: i32, commit: Option<&OffsetCommit>) -> OffsetFetchResponsePartitions {
    let mut told = OffsetFetchResponsePartitions::default();
    told.partition_index = index;
    told.committed_offset = commit.map_or(-1, |commit| commit.offset.0);
    told.committed_leader_epoch = commit.map_or(-1, |commit| commit.leader_epoch.0);
    told.metadata = Some(
        commit
            .map(|commit| commit.metadata.clone())
            .unwrap_or_default(),
    );
    told
}
