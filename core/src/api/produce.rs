//! Produce: batches become parts of logs, and the answer waits for as much as `acks` asks.
//!
//! K12, K29-K48. The batches were checked for themselves by the connection (`wire::produce`).

use kafka_wire::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_wire_core::StrBytes;

use super::{Handled, Requester};
use crate::controller::internal_topics::is_internal;
use crate::error::ErrorCode;
use crate::ids::{LogId, Offset, PartitionIndex, TopicId};
use crate::metadata::image::Image;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::node::wait::Wait;
use crate::one_or_many::OneOrMany;
use crate::partition::{Acknowledgement, AppendRefusal, Appended, Partition, WaitingPart};
use crate::time::{Now, from_ms};
use crate::waiting::{ReplyTo, WaitId};
use crate::wire::batch::{BatchError, PreparedBatch};
use crate::wire::produce::{ProduceInput, ProduceTopic};
use crate::wire::request::Reply;

/// The client that may write to Kafka's own topics (Kafka's `AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT: &str = "__admin_client";

/// A Produce request whose appends are done and whose acknowledgement is still to come.
#[derive(Clone, Debug, PartialEq)]
pub struct ProduceWait {
    /// The answer if all goes well.
    response: ProduceResponse,
    /// The parts that were not acknowledged at once: where they stand in the answer. A part keeps
    /// its place here, by which its log names it.
    pending: OneOrMany<PendingPart>,
    /// How many of them are still to come.
    left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct PendingPart {
    log: LogId,
    end_offset: Offset,
    topic_at: u32,
    partition_at: u32,
    is_over: bool,
}

/// Appends the request's batches; answers, or parks the request until they are acknowledged.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    input: ProduceInput,
    out: &mut Outbox,
) -> Handled {
    let acks = input.acks;
    let timeout_ms = input.timeout_ms;
    let mut appended = OneOrMany::None;
    let response = if input.is_unnamed_transaction() {
        refuse_all(&input, ErrorCode::TransactionalIdAuthorizationFailed)
    } else if input.has_bad_acks() {
        refuse_all(&input, ErrorCode::InvalidRequiredAcks)
    } else {
        append_all(broker, now, from, input, &mut appended, out)
    };
    if acks == 0 {
        let failed = error_of(&response).is_some();
        return if failed {
            // There is no answer that could tell: the client must notice (K33).
            Handled::Close("a Produce request with acks=0 failed")
        } else {
            Handled::Reply(Reply::Nothing)
        };
    }
    let pending = await_acknowledgements(broker, acks == -1, appended);
    if pending.is_empty() {
        return Handled::Reply(Reply::Produce(response));
    }
    let deadline = now.after(from_ms(i64::from(timeout_ms)));
    let id = broker.waiting.park(
        from.reply_to,
        Some(deadline),
        Wait::Produce(ProduceWait {
            response,
            left: pending.len(),
            pending: pending.clone(),
        }),
    );
    for (part, at) in pending.into_iter().zip(0..) {
        let wait = Acknowledgement {
            end_offset: part.end_offset,
            part: (id, at),
        };
        if let Some(partition) = broker.partitions.get_mut(part.log) {
            partition.await_acknowledgement(wait, acks == -1);
        }
    }
    Handled::Parked
}

/// A part of a waiting request is acknowledged; answers the request when it was the last.
pub fn on_acknowledged(broker: &mut Broker, (id, at): WaitingPart, out: &mut Outbox) {
    let Some(Wait::Produce(wait)) = broker.waiting.get_mut(id) else {
        // It timed out, or its client is gone.
        return;
    };
    wait.end(at);
    finish_when_complete(broker, id, out);
}

/// A part of a waiting request was lost with its log's disk.
pub fn on_failed(broker: &mut Broker, (id, at): WaitingPart, out: &mut Outbox) {
    let Some(Wait::Produce(wait)) = broker.waiting.get_mut(id) else {
        return;
    };
    let part = wait.end(at);
    if let Some(answer) = wait.part_mut(part) {
        let index = PartitionIndex(answer.index);
        *answer = failure(index, refusal(ErrorCode::KafkaStorageError));
    }
    finish_when_complete(broker, id, out);
}

/// The request's time is over: what is not acknowledged answers `REQUEST_TIMED_OUT`, though it is
/// in the log (K34).
pub fn on_timeout(reply_to: ReplyTo, mut wait: ProduceWait, out: &mut Outbox) {
    for part in std::mem::take(&mut wait.pending) {
        if part.is_over {
            continue;
        }
        if let Some(answer) = wait.part_mut(part) {
            answer.error_code = ErrorCode::RequestTimedOut.code();
        }
    }
    out.reply(reply_to, Reply::Produce(wait.response));
}

fn finish_when_complete(broker: &mut Broker, id: WaitId, out: &mut Outbox) {
    let complete = matches!(
        broker.waiting.get(id),
        Some(Wait::Produce(wait)) if wait.left == 0
    );
    if complete && let Some((reply_to, Wait::Produce(wait))) = broker.waiting.take(id) {
        out.reply(reply_to, Reply::Produce(wait.response));
    }
}

impl ProduceWait {
    /// Ends the wait for a part.
    fn end(&mut self, at: u32) -> PendingPart {
        let part = self
            .pending
            .get_mut(at as usize)
            .expect("a log names a part as the request did");
        assert!(!part.is_over, "a part ends once");
        part.is_over = true;
        self.left -= 1;
        *part
    }

    fn part_mut(&mut self, part: PendingPart) -> Option<&mut PartitionProduceResponse> {
        let topic = self.response.responses.get_mut(part.topic_at as usize)?;
        topic
            .partition_responses
            .get_mut(part.partition_at as usize)
    }
}

/// Where an appended batch stands in the answer.
struct AppendedPart {
    log: LogId,
    appended: Appended,
    topic_at: u32,
    partition_at: u32,
}

fn append_all(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    input: ProduceInput,
    appended: &mut OneOrMany<AppendedPart>,
    out: &mut Outbox,
) -> ProduceResponse {
    let is_all = input.acks == -1;
    let mut response = ProduceResponse::default();
    response.responses.reserve_exact(input.topics.len());
    for (topic_at, topic) in input.topics.into_iter().enumerate() {
        let mut answer = TopicProduceResponse::default();
        answer.name = topic.name.clone();
        answer.topic_id = topic.topic_id.into();
        answer
            .partition_responses
            .reserve_exact(topic.partitions.len());
        let found = find_topic(broker, from, &topic);
        let is_forbidden = found.is_ok_and(|id| is_forbidden(broker, from, id));
        for (partition_at, partition) in topic.partitions.into_iter().enumerate() {
            let result = match partition.batch {
                Ok(_batch) if is_forbidden => Err(forbidden(broker, found, partition.index)),
                Ok(batch) => append(broker, now, found, (partition.index, is_all), batch, out),
                Err(error) => Err(bad_batch(broker, found, partition.index, error)),
            };
            let part = match result {
                Ok((log, done)) => {
                    appended.push(AppendedPart {
                        log,
                        appended: done,
                        topic_at: u32::try_from(topic_at).expect("bounded by the frame"),
                        partition_at: u32::try_from(partition_at).expect("bounded by the frame"),
                    });
                    success(partition.index, &done)
                }
                Err((refused, start)) => {
                    let mut part = failure(partition.index, refused);
                    part.log_start_offset = start.0;
                    part
                }
            };
            answer.partition_responses.push(part);
        }
        response.responses.push(answer);
    }
    response
}

/// The topic a request means: by id from version 13 on (K48), by name before.
fn find_topic(
    broker: &Broker,
    from: &Requester,
    topic: &ProduceTopic,
) -> Result<TopicId, ErrorCode> {
    if from.version() >= 13 {
        return match broker.image.topic_by_id(topic.topic_id) {
            Some(_topic) => Ok(topic.topic_id),
            None => Err(ErrorCode::UnknownTopicId),
        };
    }
    broker
        .topic_id(&topic.name)
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Whether a topic is Kafka's own, and the client not one for repairs (K49).
fn is_forbidden(broker: &Broker, from: &Requester, topic: TopicId) -> bool {
    let topic = broker.image.topic_by_id(topic);
    topic.is_some_and(|topic| is_internal(&topic.name))
        && from.head.client_id.as_deref() != Some(ADMIN_CLIENT)
}

fn forbidden(
    broker: &Broker,
    topic: Result<TopicId, ErrorCode>,
    index: PartitionIndex,
) -> (AppendRefusal, Offset) {
    let hosted = topic.map(|topic| broker.partitions.find(topic, index));
    let Ok(Some(partition)) = hosted else {
        return (refusal(ErrorCode::UnknownTopicOrPartition), Offset::NONE);
    };
    let name = &partition.identity().topic;
    let refused = AppendRefusal {
        code: ErrorCode::InvalidTopicException,
        message: format!("Cannot append to internal topic {name}"),
        records: Vec::new(),
    };
    (refused, Offset::NONE)
}

fn append(
    broker: &mut Broker,
    now: Now,
    topic: Result<TopicId, ErrorCode>,
    (index, is_all): (PartitionIndex, bool),
    batch: PreparedBatch,
    out: &mut Outbox,
) -> Result<(LogId, Appended), (AppendRefusal, Offset)> {
    let without_start = |code: ErrorCode| (refusal(code), Offset::NONE);
    let topic = topic.map_err(without_start)?;
    let log = broker
        .partitions
        .log_of(topic, index)
        .ok_or_else(|| without_start(broker.missing(topic, index)))?;
    let partition = broker
        .partitions
        .get_mut(log)
        .expect("the table's indexes agree");
    if batch.header.attributes.is_transactional() {
        // No transactional producer can have an id from us before transactions are there.
        return Err(without_start(ErrorCode::InvalidTxnState));
    }
    if is_all {
        check_isr(&broker.image, partition).map_err(|refused| (refused, Offset::NONE))?;
    }
    let start = partition.log().log_start_offset();
    let appended = partition.append(now, batch, (&mut broker.memory, &mut out.disk));
    let appended = appended.map_err(|refused| {
        let start = if tells_start(refused.code) {
            start
        } else {
            Offset::NONE
        };
        (refused, start)
    })?;
    broker.touched.insert(log);
    Ok((log, appended))
}

/// A write of acks=all needs enough replicas in sync before anything is appended (K34). A partition
/// with fewer replicas than `min.insync.replicas` needs all of them, as in Kafka 4.3.1.
fn check_isr(image: &Image, partition: &Partition) -> Result<(), AppendRefusal> {
    let identity = partition.identity();
    let topic = image.topic_by_id(identity.topic_id);
    let Some(replication) = topic.and_then(|topic| topic.partition(identity.index)) else {
        return Ok(());
    };
    let (needed, present) = (
        partition.min_insync_replicas(replication.replicas.len()),
        replication.isr.len(),
    );
    if present >= needed {
        return Ok(());
    }
    Err(AppendRefusal {
        code: ErrorCode::NotEnoughReplicas,
        message: format!(
            "The size of the current ISR {present} is insufficient to satisfy the min.isr \
             requirement of {needed} for partition {}",
            partition.topic_partition()
        ),
        records: Vec::new(),
    })
}

/// Whether a refusal of the log tells where the log starts, as Kafka's do: those of records and
/// sequences, not those of sizes and disks.
fn tells_start(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidRecord
            | ErrorCode::InvalidTimestamp
            | ErrorCode::OutOfOrderSequenceNumber
    )
}

/// The refusal of a batch that is wrong by itself. Kafka finds some of it before it looks for the
/// log, and the rest at the log.
fn bad_batch(
    broker: &Broker,
    topic: Result<TopicId, ErrorCode>,
    index: PartitionIndex,
    error: BatchError,
) -> (AppendRefusal, Offset) {
    let topic = match topic {
        Ok(topic) => topic,
        Err(code) => return (refusal(code), Offset::NONE),
    };
    let refused = AppendRefusal {
        code: error.code(),
        message: error.message().to_owned(),
        records: Vec::new(),
    };
    let found_at_the_log = match error {
        BatchError::BaseOffset
        | BatchError::Control
        | BatchError::Count
        | BatchError::Record
        | BatchError::Sequence => true,
        BatchError::Crc
        | BatchError::Length
        | BatchError::Magic
        | BatchError::NotOne
        | BatchError::UnknownMagic
        | BatchError::UnsupportedCompression => false,
    };
    let hosted = broker.partitions.find(topic, index);
    let start = hosted.filter(|_| found_at_the_log);
    let start = start.map_or(Offset::NONE, |hosted| hosted.log().log_start_offset());
    (refused, start)
}

fn refusal(code: ErrorCode) -> AppendRefusal {
    AppendRefusal {
        code,
        message: String::new(),
        records: Vec::new(),
    }
}

fn success(index: PartitionIndex, appended: &Appended) -> PartitionProduceResponse {
    let mut part = PartitionProduceResponse::default();
    part.index = index.0;
    part.base_offset = appended.base_offset.0;
    part.log_append_time_ms = appended.log_append_time.0;
    part.log_start_offset = appended.log_start_offset.0;
    part
}

fn failure(index: PartitionIndex, refused: AppendRefusal) -> PartitionProduceResponse {
    let mut part = PartitionProduceResponse::default();
    part.index = index.0;
    part.error_code = refused.code.code();
    part.base_offset = -1;
    part.log_append_time_ms = -1;
    part.log_start_offset = -1;
    part.record_errors = refused
        .records
        .iter()
        .map(|&record| {
            let mut error = BatchIndexAndErrorMessage::default();
            error.batch_index = record;
            error.batch_index_error_message = Some(StrBytes::from(refused.message.as_str()));
            error
        })
        .collect();
    part.error_message = (!refused.message.is_empty()).then(|| StrBytes::from(refused.message));
    part
}

fn refuse_all(input: &ProduceInput, code: ErrorCode) -> ProduceResponse {
    let mut response = ProduceResponse::default();
    for topic in &input.topics {
        let mut answer = TopicProduceResponse::default();
        answer.name = topic.name.clone();
        answer.topic_id = topic.topic_id.into();
        answer.partition_responses = topic
            .partitions
            .iter()
            .map(|partition| failure(partition.index, refusal(code)))
            .collect();
        response.responses.push(answer);
    }
    response
}

fn error_of(response: &ProduceResponse) -> Option<i16> {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses)
        .map(|part| part.error_code)
        .find(|&code| code != ErrorCode::None.code())
}

/// The parts whose acknowledgement is still to come.
fn await_acknowledgements(
    broker: &Broker,
    all: bool,
    appended: OneOrMany<AppendedPart>,
) -> OneOrMany<PendingPart> {
    let mut pending = OneOrMany::None;
    for part in appended {
        let reached = broker
            .partitions
            .get(part.log)
            .is_some_and(|partition| partition.is_acknowledged(part.appended.end_offset, all));
        if !reached {
            pending.push(PendingPart {
                log: part.log,
                end_offset: part.appended.end_offset,
                topic_at: part.topic_at,
                partition_at: part.partition_at,
                is_over: false,
            });
        }
    }
    pending
}
