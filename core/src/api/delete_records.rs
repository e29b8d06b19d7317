//! DeleteRecords: a log's start moves up, for good.
//!
//! K28. The answer comes when the new start is on record, so that a restart does not undo it.
//! Source: KIP-107.

use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest};
use kafka_wire::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use kafka_wire_core::StrBytes;

use super::{Handled, Requester};
use crate::controller::internal_topics;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex};
use crate::log::LogState;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::{Now, from_ms};
use crate::wire::request::Reply;

/// The offset that means the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// Moves the starts; parks the request until they are on record.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &DeleteRecordsRequest,
    out: &mut Outbox,
) -> Handled {
    let mut response = DeleteRecordsResponse::default();
    let mut is_moved = false;
    for topic in &request.topics {
        let mut result = DeleteRecordsTopicResult::default();
        result.name = topic.name.clone();
        for partition in &topic.partitions {
            let deleted = delete(broker, &topic.name, partition, (&mut is_moved, out));
            let mut part = DeleteRecordsPartitionResult::default();
            part.partition_index = partition.partition_index;
            match deleted {
                Ok(low_watermark) => part.low_watermark = low_watermark.0,
                Err(code) => {
                    part.low_watermark = -1;
                    part.error_code = code.code();
                }
            }
            result.partitions.push(part);
        }
        response.topics.push(result);
    }
    if !is_moved {
        return Handled::Reply(Reply::DeleteRecords(response));
    }
    let replies = (
        Reply::DeleteRecords(response.clone()),
        Reply::DeleteRecords(timed_out(response)),
    );
    let deadline = now.after(from_ms(i64::from(request.timeout_ms)));
    broker.save_checkpoints_then(from.reply_to, replies, deadline, out);
    Handled::Parked
}

/// The answer where the new starts are not on record in time.
fn timed_out(mut response: DeleteRecordsResponse) -> DeleteRecordsResponse {
    let topics = response.topics.iter_mut();
    for part in topics.flat_map(|topic| &mut topic.partitions) {
        if part.error_code == ErrorCode::None.code() {
            part.error_code = ErrorCode::RequestTimedOut.code();
            part.low_watermark = -1;
        }
    }
    response
}

fn delete(
    broker: &mut Broker,
    topic: &StrBytes,
    asked: &DeleteRecordsPartition,
    (is_moved, out): (&mut bool, &mut Outbox),
) -> Result<Offset, ErrorCode> {
    let index = PartitionIndex(asked.partition_index);
    let name = topic;
    let topic = broker
        .topic_id(name)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let log = broker.partitions.log_of(topic, index);
    let log = log.ok_or_else(|| broker.missing(topic, index))?;
    if internal_topics::is_internal(name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let partition = broker
        .partitions
        .get_mut(log)
        .expect("the table's indexes agree");
    if partition.log().state() != LogState::Usable {
        return Err(ErrorCode::KafkaStorageError);
    }
    let config = partition.config();
    if config.compact && !config.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let start = match asked.offset {
        HIGH_WATERMARK => partition.high_watermark(),
        offset => Offset(offset),
    };
    if start < Offset::ZERO || start > partition.high_watermark() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let memory = &mut broker.memory;
    *is_moved |= partition
        .log_mut()
        .advance_log_start(start, memory, &mut out.disk);
    Ok(partition.log().log_start_offset())
}
