//! The parts of a Fetch request and of its answer, as they are on the wire.
//!
//! Decides nothing but how a thing is said; what is said is `super`'s.

use std::sync::Arc;

use kafka_wire::fetch_request::FetchRequest;
use kafka_wire::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use kafka_wire_core::StrBytes;

use crate::error::ErrorCode;
use crate::fetch_session::{Answered, FetchTarget, PartitionKey, TopicKey};
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId};
use crate::metadata::Image;
use crate::partition::{ReadRefusal, ReadResult, Visibility};
use crate::storage::Slice;
use crate::wire::fetch_reply::FetchReply;

/// A partition that was read.
pub(super) fn success(
    target: &FetchTarget,
    visibility: Visibility,
    result: ReadResult,
) -> (PartitionData, Vec<Slice>) {
    let mut part = PartitionData::default();
    part.partition_index = target.key.1.0;
    part.high_watermark = result.high_watermark.0;
    part.last_stable_offset = result.last_stable_offset.0;
    part.log_start_offset = result.log_start_offset.0;
    part.preferred_read_replica = -1;
    part.aborted_transactions = match visibility {
        Visibility::Committed => Some(Vec::new()),
        Visibility::HighWatermark => None,
    };
    if let Some((epoch, end_offset)) = result.diverging {
        part.diverging_epoch.epoch = epoch.0;
        part.diverging_epoch.end_offset = end_offset.0;
    }
    (part, result.records)
}

/// A partition that could not be read, and why.
pub(super) fn failure(target: &FetchTarget, refused: &ReadRefusal) -> PartitionData {
    let mut part = PartitionData::default();
    part.partition_index = target.key.1.0;
    part.error_code = refused.code.code();
    part.high_watermark = refused.high_watermark.0;
    part.last_stable_offset = -1;
    part.log_start_offset = refused.log_start_offset.0;
    part.preferred_read_replica = -1;
    // What is wrong with the topic is said before the log is asked; Kafka tells the two apart here.
    let is_of_the_topic = matches!(
        refused.code,
        ErrorCode::FetchSessionTopicIdError
            | ErrorCode::InconsistentTopicId
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition
    );
    part.aborted_transactions = is_of_the_topic.then(Vec::new);
    part
}

/// Adds a partition to the answer, under its topic's heading where that is the last one.
pub(super) fn push_part(
    reply: &mut FetchReply,
    topic: &TopicKey,
    part: PartitionData,
    records: Vec<Slice>,
) {
    let is_same = reply
        .response
        .responses
        .last()
        .is_some_and(|last| match topic {
            TopicKey::Id(id) => last.topic_id == (*id).into(),
            TopicKey::Name(name) => last.topic.as_str() == &**name,
        });
    if !is_same {
        let mut heading = FetchableTopicResponse::default();
        match topic {
            TopicKey::Id(id) => heading.topic_id = (*id).into(),
            TopicKey::Name(name) => heading.topic = StrBytes::from(&**name),
        }
        reply.response.responses.push(heading);
        reply.records.push(Vec::new());
    }
    if let (Some(heading), Some(slices)) = (
        reply.response.responses.last_mut(),
        reply.records.last_mut(),
    ) {
        heading.partitions.push(part);
        slices.push(records);
    }
}

/// What a session has to know of an answered partition.
pub(super) fn answered(part: &PartitionData, records: &[Slice]) -> Answered {
    Answered {
        is_error: part.error_code != ErrorCode::None.code(),
        records_bytes: bytes_of(records),
        high_watermark: Offset(part.high_watermark),
        log_start_offset: Offset(part.log_start_offset),
        has_advice: part.diverging_epoch.epoch != -1 || part.preferred_read_replica != -1,
    }
}

/// The length of records.
pub(super) fn bytes_of(records: &[Slice]) -> u64 {
    records
        .iter()
        .map(|slice| u64::try_from(slice.size_bytes()).expect("a length fits in u64"))
        .sum()
}

/// A fetch that is refused as a whole.
pub(super) fn top_level_error(code: ErrorCode) -> FetchReply {
    let mut response = FetchResponse::default();
    response.error_code = code.code();
    FetchReply {
        response,
        records: Vec::new(),
    }
}

/// The partitions a request asks for.
pub(super) fn targets_of(image: &Image, request: &FetchRequest, by_id: bool) -> Vec<FetchTarget> {
    let mut targets = Vec::new();
    for topic in &request.topics {
        let key = topic_key(by_id, &topic.topic, topic.topic_id.into());
        let name = match key {
            TopicKey::Id(id) => image.topic_by_id(id).map(|topic| Arc::clone(&topic.name)),
            TopicKey::Name(_) => None,
        };
        targets.extend(topic.partitions.iter().map(|partition| FetchTarget {
            key: (key.clone(), PartitionIndex(partition.partition)),
            name: name.clone(),
            fetch_offset: Offset(partition.fetch_offset),
            bytes_max: u32::try_from(partition.partition_max_bytes).unwrap_or(0),
            current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            last_fetched_epoch: LeaderEpoch(partition.last_fetched_epoch),
        }));
    }
    targets
}

/// The partitions a request takes out of its session.
pub(super) fn forgotten_of(request: &FetchRequest, by_id: bool) -> Vec<PartitionKey> {
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = topic_key(by_id, &topic.topic, topic.topic_id.into());
        let indexes = topic.partitions.iter();
        forgotten.extend(indexes.map(|&index| (key.clone(), PartitionIndex(index))));
    }
    forgotten
}

fn topic_key(by_id: bool, name: &StrBytes, id: TopicId) -> TopicKey {
    if by_id {
        TopicKey::Id(id)
    } else {
        // Copied: a name kept in a session must not keep its whole frame alive.
        TopicKey::Name(name.as_str().into())
    }
}
