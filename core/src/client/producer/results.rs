//! What became of requests: deliveries, retries, broken sequences.

use kafka_wire::produce_response::PartitionProduceResponse;

use super::queue::{Batch, Identity};
use super::{
    Acks, Delivered, DeliveryError, IdentityState, Producer, RecordId, Report, Sent, Undelivered,
};
use crate::client::message::ClientResponse;
use crate::client::network::{Answer, CallError};
use crate::error::ErrorCode;
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId, TopicPartition};
use crate::time::{Instant, Timestamp};

impl Producer {
    /// Takes the answer to one of the producer's own calls.
    pub(super) fn on_answer(&mut self, now: Instant, answer: Answer) {
        if matches!(self.identity, IdentityState::Asked(call) if call == answer.call) {
            self.on_identity(now, answer.result);
            return;
        }
        let Some(request) = self.requests.remove(&answer.call) else {
            return;
        };
        for sent in request.batches {
            let queue = self.queues.get_mut(&sent.partition).expect("queues stay");
            queue
                .in_flight
                .retain(|number| *number != sent.batch.number);
            match &answer.result {
                Ok(ClientResponse::Produce(response)) => {
                    let result = self.find_result(response, &sent.partition);
                    self.on_result(now, sent, result);
                }
                Ok(_other) => unreachable!("the network pairs answers with their requests"),
                Err(error) => self.on_no_answer(now, sent, error.clone()),
            }
        }
    }

    fn on_identity(&mut self, now: Instant, result: Result<ClientResponse, CallError>) {
        let again = IdentityState::Wanted(now.after(self.options.retry.backoff));
        self.identity = match result {
            Ok(ClientResponse::InitProducerId(response)) if response.error_code == 0 => {
                IdentityState::Known(Identity {
                    id: ProducerId(response.producer_id),
                    epoch: ProducerEpoch(response.producer_epoch),
                })
            }
            Ok(_) | Err(_) => again,
        };
    }

    fn find_result(
        &self,
        response: &kafka_wire::ProduceResponse,
        partition: &TopicPartition,
    ) -> PartitionProduceResponse {
        if self.options.acks == Acks::None {
            return PartitionProduceResponse::default();
        }
        let view = self.directory.cluster.topics.get(&partition.topic);
        let id = view.map_or(TopicId::ZERO, |view| view.id);
        let topics = response.responses.iter().filter(|topic| {
            let theirs = TopicId::from(topic.topic_id);
            *topic.name == *partition.topic || !theirs.is_zero() && theirs == id
        });
        let mut partitions = topics.flat_map(|topic| &topic.partition_responses);
        let found = partitions.find(|result| result.index == partition.partition.0);
        found.cloned().unwrap_or_else(|| {
            let mut missing = PartitionProduceResponse::default();
            missing.error_code = ErrorCode::UnknownServerError.code();
            missing
        })
    }

    fn on_result(&mut self, now: Instant, sent: Sent, result: PartitionProduceResponse) {
        let code = ErrorCode::from_code(result.error_code).unwrap_or(ErrorCode::UnknownServerError);
        if code == ErrorCode::None || code == ErrorCode::DuplicateSequenceNumber {
            let is_known = self.options.acks != Acks::None && code == ErrorCode::None;
            let base = if is_known {
                Offset(result.base_offset)
            } else {
                Offset::NONE
            };
            let append_time = Some(Timestamp(result.log_append_time_ms))
                .filter(|time| is_known && *time != Timestamp::NONE);
            self.report_delivered(sent, base, append_time);
            return;
        }
        let message = result.error_message.as_deref().unwrap_or("").to_owned();
        self.on_error_code(now, sent, code, message);
    }

    fn on_error_code(&mut self, now: Instant, mut sent: Sent, code: ErrorCode, message: String) {
        // These leave open whether the batch is in the log.
        sent.batch.may_be_written |= [
            ErrorCode::KafkaStorageError,
            ErrorCode::NetworkException,
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::RequestTimedOut,
            ErrorCode::UnknownServerError,
        ]
        .contains(&code);
        let error = DeliveryError::Broker { code, message };
        let is_sequence_error = [
            ErrorCode::InvalidProducerEpoch,
            ErrorCode::OutOfOrderSequenceNumber,
            ErrorCode::UnknownProducerId,
        ]
        .contains(&code);
        if self.options.is_idempotent && is_sequence_error {
            self.on_sequence_error(now, sent, error);
            return;
        }
        let is_stale = [
            ErrorCode::FencedLeaderEpoch,
            ErrorCode::KafkaStorageError,
            ErrorCode::LeaderNotAvailable,
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::UnknownTopicId,
            ErrorCode::UnknownTopicOrPartition,
        ]
        .contains(&code);
        if is_stale {
            self.directory.refresh(now);
        }
        if code.is_retriable() {
            self.retry_or_fail(now, sent, error);
        } else {
            self.fail_batch(&sent.partition, sent.batch, error);
        }
    }

    fn on_sequence_error(&mut self, now: Instant, sent: Sent, error: DeliveryError) {
        let queue = &self.queues[&sent.partition];
        if queue.has_earlier(sent.batch.number) {
            // Out of order because one before it failed: its turn comes again.
            self.retry_or_fail(now, sent, error);
            return;
        }
        self.broken.insert(sent.partition.clone());
        if sent.batch.may_be_written {
            self.report_batch(sent.batch, &DeliveryError::Unresolved);
        } else {
            self.retry_or_fail(now, sent, error);
        }
    }

    fn on_no_answer(&mut self, now: Instant, mut sent: Sent, error: CallError) {
        sent.batch.may_be_written |= error.may_have_happened();
        self.directory.refresh(now);
        let is_final = error.is_final();
        let error = DeliveryError::Call(error);
        if is_final {
            self.fail_batch(&sent.partition, sent.batch, error);
        } else {
            self.retry_or_fail(now, sent, error);
        }
    }

    fn retry_or_fail(&mut self, now: Instant, sent: Sent, error: DeliveryError) {
        let Sent {
            partition,
            mut batch,
        } = sent;
        let policy = self.options.retry;
        let retries = batch.attempts.saturating_sub(1);
        let is_risky = batch.may_be_written && !self.options.is_idempotent;
        let is_over = retries >= policy.retries_max
            || batch.deadline <= now
            || is_risky && !policy.retries_unknown;
        if is_over {
            self.fail_batch(&partition, batch, error);
            return;
        }
        let wait = policy.backoff * (1u32 << retries.min(10));
        batch.retry_at = now.after(wait.min(policy.backoff_max));
        let queue = self.queues.get_mut(&partition).expect("queues stay");
        queue.put_back(batch);
    }

    /// Reports a batch as failed; where it had a sequence number, a gap is left behind.
    pub(super) fn fail_batch(
        &mut self,
        partition: &TopicPartition,
        batch: Batch,
        error: DeliveryError,
    ) {
        if batch.sequence != Sequence::NONE {
            self.broken.insert(partition.clone());
        }
        self.report_batch(batch, &error);
    }

    pub(super) fn report_batch(&mut self, batch: Batch, error: &DeliveryError) {
        for record in batch.records {
            self.report_failed(record, error.clone(), batch.may_be_written);
        }
    }

    pub(super) fn report_failed(
        &mut self,
        record: RecordId,
        error: DeliveryError,
        may_be_written: bool,
    ) {
        self.reports.push_back(Report {
            record,
            result: Err(Undelivered {
                error,
                may_be_written,
            }),
        });
    }

    fn report_delivered(&mut self, sent: Sent, base: Offset, append_time: Option<Timestamp>) {
        for (record, index) in sent.batch.records.into_iter().zip(0..) {
            let offset = if base == Offset::NONE {
                base
            } else {
                base.plus(index)
            };
            self.reports.push_back(Report {
                record,
                result: Ok(Delivered {
                    partition: sent.partition.clone(),
                    offset,
                    append_time,
                }),
            });
        }
    }
}
