//! ListOffsets: where a log begins and ends, and which offset belongs to a time.
//!
//! K64-K66. Times are found by the log's time index and at most a few reads of the disk.

use std::collections::BTreeSet;

use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use kafka_wire::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_wire_core::StrBytes;

use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, LogId, Offset, PartitionIndex};
use crate::log::{LogState, RecordAt, SearchOutcome, TimestampSearch, TimestampTarget};
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::node::wait::Wait;
use crate::partition::Visibility;
use crate::time::Timestamp;
use crate::waiting::WaitId;
use crate::wire::request::Reply;

/// The end of what the reader may see.
const LATEST: i64 = -1;
/// The log's start.
const EARLIEST: i64 = -2;
/// The record with the highest timestamp (KIP-734), from version 7 on.
const MAX_TIMESTAMP: i64 = -3;
/// The start of what is on local disks (KIP-405), from version 8 on; here, the log's start.
const EARLIEST_LOCAL: i64 = -4;
/// The end of what is in remote storage (KIP-1005), from version 9 on; here, nothing is.
const LATEST_TIERED: i64 = -5;
/// The start of what is to be uploaded (KIP-1023), from version 11 on; here, nothing is.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// First version whose answer has leader epochs; earlier ones have no place for them.
const EPOCH_VERSION: i16 = 4;

/// A ListOffsets request of which some times are still looked for on the disk.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetsWait {
    response: ListOffsetsResponse,
    version: i16,
    pending: u32,
}

/// What is known of one partition's answer.
enum Found {
    Now(ListOffsetsPartitionResponse),
    Later(LogId, Box<TimestampSearch>),
}

/// Answers where it can at once; parks the request while times are looked for.
pub fn handle(
    broker: &mut Broker,
    from: &Requester,
    request: &ListOffsetsRequest,
    out: &mut Outbox,
) -> Handled {
    let visibility = if request.isolation_level == 1 {
        Visibility::Committed
    } else {
        Visibility::HighWatermark
    };
    let mut response = ListOffsetsResponse::default();
    let mut searches = Vec::new();
    let duplicates = duplicates_of(request);
    let mut refused = BTreeSet::new();
    for (topic, topic_at) in request.topics.iter().zip(0u32..) {
        let mut answer = ListOffsetsTopicResponse::default();
        answer.name = topic.name.clone();
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            let key = (topic.name.clone(), index);
            let found = if !duplicates.contains(&key) {
                find(broker, from.version(), &topic.name, partition, visibility)
            } else if refused.insert(key) {
                Found::Now(failure(index, ErrorCode::InvalidRequest))
            } else {
                continue;
            };
            let partition_at = u32::try_from(answer.partitions.len());
            let partition_at = partition_at.expect("bounded by the frame");
            answer.partitions.push(match found {
                Found::Now(part) => part,
                Found::Later(log, search) => {
                    searches.push((log, search, (topic_at, partition_at)));
                    failure(index, ErrorCode::None)
                }
            });
        }
        response.topics.push(answer);
    }
    if searches.is_empty() {
        return Handled::Reply(reply(response, from.version()));
    }
    let version = from.version();
    let pending = u32::try_from(searches.len()).expect("bounded by the frame");
    let wait = OffsetsWait {
        response,
        version,
        pending,
    };
    // The disk always answers, so there is no deadline.
    let id = broker
        .waiting
        .park(from.reply_to, None, Wait::Offsets(wait));
    for (log, search, at) in searches {
        broker.begin_search(log, search, (id, at), out);
    }
    Handled::Parked
}

/// A search of a waiting request ended, or goes on.
pub fn on_search(
    broker: &mut Broker,
    waiter: (WaitId, (u32, u32)),
    (log, outcome): (LogId, SearchOutcome),
    out: &mut Outbox,
) {
    if broker.waiting.get(waiter.0).is_none() {
        return;
    }
    match ended(outcome) {
        Ok(found) => {
            if matches!(found, Err(ErrorCode::CorruptMessage)) {
                let partition = broker.partitions.get(log);
                let start =
                    partition.map_or(Offset::ZERO, |hosted| hosted.log().log_start_offset());
                broker.tell_damage(log, start, out);
            }
            settle(broker, waiter, found, out);
        }
        Err(search) => broker.begin_search(log, search, waiter, out),
    }
}

/// The log that a waiting request searched was deleted.
pub fn on_log_gone(broker: &mut Broker, waiter: (WaitId, (u32, u32)), out: &mut Outbox) {
    let found = Err(ErrorCode::UnknownTopicOrPartition);
    settle(broker, waiter, found, out);
}

/// One part of a waiting request is known; answers it when it was the last.
fn settle(
    broker: &mut Broker,
    (id, (topic_at, partition_at)): (WaitId, (u32, u32)),
    found: Result<Option<RecordAt>, ErrorCode>,
    out: &mut Outbox,
) {
    let Some(Wait::Offsets(wait)) = broker.waiting.get_mut(id) else {
        return;
    };
    wait.pending -= 1;
    let part = wait
        .response
        .topics
        .get_mut(topic_at as usize)
        .and_then(|topic| topic.partitions.get_mut(partition_at as usize));
    if let Some(part) = part {
        let index = PartitionIndex(part.partition_index);
        *part = answer_of(index, found);
    }
    if wait.pending == 0
        && let Some((reply_to, Wait::Offsets(wait))) = broker.waiting.take(id)
    {
        out.reply(reply_to, reply(wait.response, wait.version));
    }
}

/// The answer as its version can carry it.
fn reply(mut response: ListOffsetsResponse, version: i16) -> Reply {
    if version < EPOCH_VERSION {
        let topics = response.topics.iter_mut();
        for part in topics.flat_map(|topic| &mut topic.partitions) {
            part.leader_epoch = LeaderEpoch::NONE.0;
        }
    }
    Reply::ListOffsets(response)
}

fn find(
    broker: &mut Broker,
    version: i16,
    topic: &StrBytes,
    partition: &ListOffsetsPartition,
    visibility: Visibility,
) -> Found {
    let index = PartitionIndex(partition.partition_index);
    let Some(topic) = broker.topic_id(topic) else {
        return Found::Now(failure(index, ErrorCode::UnknownTopicOrPartition));
    };
    let Some(log) = broker.partitions.log_of(topic, index) else {
        return Found::Now(failure(index, broker.missing(topic, index)));
    };
    let hosted = broker
        .partitions
        .get_mut(log)
        .expect("the table's indexes agree");
    let believed = LeaderEpoch(partition.current_leader_epoch);
    if let Err(code) = hosted.check_leader_epoch(believed) {
        return Found::Now(failure(index, code));
    }
    if hosted.log().state() == LogState::Offline {
        return Found::Now(failure(index, ErrorCode::KafkaStorageError));
    }
    let end = match visibility {
        Visibility::Committed => hosted.last_stable_offset(),
        Visibility::HighWatermark => hosted.high_watermark(),
    };
    let start = hosted.log().log_start_offset();
    let epoch_at = |offset: Offset| {
        hosted
            .log()
            .epochs()
            .epoch_at(offset)
            // Where no batch has come yet, the next one comes in this leader's epoch.
            .unwrap_or(if offset == hosted.log().log_end_offset() {
                hosted.leader_epoch()
            } else {
                LeaderEpoch::NONE
            })
    };
    let goal = match (partition.timestamp, version) {
        (LATEST, _) => return Found::Now(success(index, end, hosted.leader_epoch())),
        (EARLIEST, _) | (EARLIEST_LOCAL, 8..) => {
            return Found::Now(success(index, start, epoch_at(start)));
        }
        (MAX_TIMESTAMP, 7..) => TimestampTarget::Max,
        (LATEST_TIERED, 9..) | (EARLIEST_PENDING_UPLOAD, 11..) => {
            return Found::Now(success(index, Offset::NONE, LeaderEpoch::NONE));
        }
        (timestamp, _) if timestamp < 0 => {
            return Found::Now(failure(index, ErrorCode::UnsupportedVersion));
        }
        (timestamp, _) => TimestampTarget::AtOrAfter(Timestamp(timestamp)),
    };
    let outcome = hosted
        .log_mut()
        .search_timestamp(goal, end, &mut broker.memory);
    match ended(outcome) {
        Ok(found) => Found::Now(answer_of(index, found)),
        Err(search) => Found::Later(log, search),
    }
}

/// What a search found: the record, nothing, or why not; else how it goes on.
fn ended(
    outcome: SearchOutcome,
) -> Result<Result<Option<RecordAt>, ErrorCode>, Box<TimestampSearch>> {
    match outcome {
        SearchOutcome::Corrupt => Ok(Err(ErrorCode::CorruptMessage)),
        SearchOutcome::Found(record) => Ok(Ok(Some(record))),
        SearchOutcome::NeedsRead(search) => Err(search),
        SearchOutcome::Nothing => Ok(Ok(None)),
        SearchOutcome::StorageError => Ok(Err(ErrorCode::KafkaStorageError)),
    }
}

fn answer_of(
    index: PartitionIndex,
    found: Result<Option<RecordAt>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    match found {
        Ok(Some(record)) => {
            let mut part = success(index, record.offset, record.leader_epoch);
            part.timestamp = record.timestamp.0;
            part
        }
        Ok(None) => success(index, Offset::NONE, LeaderEpoch::NONE),
        Err(code) => failure(index, code),
    }
}

fn success(
    index: PartitionIndex,
    offset: Offset,
    epoch: LeaderEpoch,
) -> ListOffsetsPartitionResponse {
    let mut part = ListOffsetsPartitionResponse::default();
    part.partition_index = index.0;
    part.timestamp = -1;
    part.offset = offset.0;
    part.leader_epoch = epoch.0;
    part
}

fn failure(index: PartitionIndex, code: ErrorCode) -> ListOffsetsPartitionResponse {
    let mut part = success(index, Offset::NONE, LeaderEpoch::NONE);
    part.error_code = code.code();
    part
}

/// Partitions that the request names more than once: each is refused, once (Kafka's
/// `INVALID_REQUEST`).
fn duplicates_of(request: &ListOffsetsRequest) -> BTreeSet<(StrBytes, PartitionIndex)> {
    let mut seen = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (
                topic.name.clone(),
                PartitionIndex(partition.partition_index),
            );
            if !seen.insert(key.clone()) {
                duplicates.insert(key);
            }
        }
    }
    duplicates
}
