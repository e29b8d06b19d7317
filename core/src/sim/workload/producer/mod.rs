//! A producer: batches to partitions, retried in order until they succeed or are given up.
//!
//! Every record is unique and says whose it is. An idempotent producer numbers its batches and
//! begins anew, with another producer id, whenever a batch is given up or the broker finds its
//! numbers out of order, as librdkafka does. What became of a batch is judged at the broker's door
//! and in its files, not here.

mod lane;
mod records;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use kafka_wire_core::StrBytes;

use self::lane::{Lane, Unresolved};
use super::{Stage, TopicView};
use crate::client::message::{Call, ClientRequest, ClientResponse};
use crate::client::network::{Answer, CallError, CallId};
use crate::error::ErrorCode;
use crate::ids::{ProducerEpoch, ProducerId, Sequence, TopicId};
use crate::time::Instant;

/// Wall-clock time of a producer whose clock is right, when the world begins.
pub(super) const WALL_BEGINS_MS: i64 = 1_767_225_600_000;

/// Attempts after which a batch is given up.
const ATTEMPTS_MAX: u32 = 200;

/// Times a topic is looked for in vain before it is taken to be gone for good.
const MISSES_MAX: u32 = 20;

/// How a producer behaves.
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    /// Who it is, within its records.
    pub name: u32,
    /// Topics it writes to.
    pub topics: Vec<Arc<str>>,
    /// 0, 1 or -1.
    pub acks: i16,
    /// Whether it numbers its batches; only with acks=all.
    pub is_idempotent: bool,
    /// Batches of one partition under way at once.
    pub in_flight_max: usize,
    /// How far its records may be before and after its own clock where that matters, in
    /// milliseconds: the broker's may be ahead of it.
    pub timestamp_bounds_ms: (u64, u64),
    /// Most records of a batch.
    pub batch_records_max: u64,
    /// Most bytes of a value.
    pub value_bytes_max: u64,
    /// Keys of records for compacted topics.
    pub compacted_keys: u64,
    /// Longest pause between batches, in milliseconds.
    pub pause_ms_max: u64,
    /// Highest version of Produce it speaks.
    pub produce_version: i16,
    /// Whether it asks for an id as a producer without transactions does.
    pub gets_id: bool,
    /// Whether nothing acknowledged may be lost, so that no sequence is ever out of order.
    pub keeps_order: bool,
    /// Whether a batch may be refused that the next one overtakes, so that a producer's first
    /// sequences are unknown to a log until one is acknowledged.
    pub is_refused: bool,
    /// The sequence it begins with in each partition.
    pub first_sequence: i32,
    /// Whether it sends nothing as long as it is told to wait.
    pub honours_quotas: bool,
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Producer {
    options: ProducerOptions,
    view: TopicView,
    identity: Option<(ProducerId, ProducerEpoch)>,
    identity_call: Option<CallId>,
    lanes: BTreeMap<(Arc<str>, i32), Lane>,
    next_batch_at: Instant,
    retry_at: Instant,
    /// Until when it was told to wait.
    quiet_until: Instant,
    counter: u64,
    winding_down: bool,
    /// Batches acknowledged.
    pub successes: u64,
}

impl Producer {
    /// A producer that has not begun.
    #[must_use]
    pub fn new(options: ProducerOptions) -> Self {
        assert!(
            !options.is_idempotent || options.acks == -1,
            "as Kafka demands"
        );
        Self {
            options,
            view: TopicView::new(),
            identity: None,
            identity_call: None,
            lanes: BTreeMap::new(),
            next_batch_at: Instant(0),
            retry_at: Instant(0),
            quiet_until: Instant(0),
            counter: 0,
            winding_down: false,
            successes: 0,
        }
    }

    /// Begins nothing new.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
    }

    /// Whether every batch is acknowledged or given up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.winding_down && self.lanes.values().all(|lane| lane.batches.is_empty())
    }

    /// Highest version of Produce it speaks.
    #[must_use]
    pub fn produce_version(&self) -> i16 {
        self.options.produce_version
    }

    /// What it waits for: for a message about one that does not come to an end.
    #[must_use]
    pub fn progress(&self) -> String {
        let stuck = self
            .lanes
            .iter()
            .filter(|(_, lane)| !lane.batches.is_empty());
        let lanes = stuck.map(|((topic, partition), lane)| {
            let attempts = lane.batches.front().map_or(0, |batch| batch.attempts);
            let (count, last) = (lane.batches.len(), &lane.last_trouble);
            format!("{topic}-{partition}: {count} batches, {attempts} attempts, last {last}")
        });
        let lanes: Vec<String> = lanes.collect();
        format!("acks={} {:?} {lanes:?}", self.options.acks, self.identity)
    }

    /// See [`super::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        let view_at = self.view.step(stage, &self.options.topics);
        if !self.is_identified(stage) {
            let retry_at = self.identity_call.is_none().then_some(self.retry_at);
            return [view_at, retry_at].into_iter().flatten().min();
        }
        if !self.winding_down && self.view.is_fresh() && stage.now >= self.next_batch_at {
            self.make_batch(stage);
            let pause_ms = stage.rng.below(self.options.pause_ms_max + 1);
            self.next_batch_at = stage.in_ms(pause_ms);
        }
        let lane_at = self.send(stage);
        let batch_at = (!self.winding_down).then_some(self.next_batch_at);
        [view_at, lane_at, batch_at]
            .into_iter()
            .flatten()
            .filter(|at| *at > stage.now)
            .min()
    }

    /// See [`super::Actor::on_answer`].
    pub fn on_answer(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        let Some(answer) = self.view.on_answer(answer) else {
            return;
        };
        if self.identity_call == Some(answer.call) {
            self.on_identity(stage, answer);
            return;
        }
        let lane = self.lanes.iter().find_map(|(key, lane)| {
            let sent = lane
                .batches
                .iter()
                .position(|batch| batch.call == Some(answer.call));
            sent.map(|index| (key.clone(), index))
        });
        if let Some((key, index)) = lane {
            self.on_produced(stage, &key, index, answer.result);
        }
    }

    /// Whether it may send: it needs no identity, or has one.
    fn is_identified(&mut self, stage: &mut Stage<'_>) -> bool {
        if !self.options.is_idempotent || self.identity.is_some() {
            return true;
        }
        if self.identity_call.is_none() && stage.now >= self.retry_at {
            let request = made!(InitProducerIdRequest {
                // The empty name is none that a transaction may have.
                transactional_id: (!self.options.gets_id).then(StrBytes::default),
                transaction_timeout_ms: 60_000,
                producer_id: -1,
                producer_epoch: -1,
            });
            self.identity_call = Some(stage.call(ClientRequest::InitProducerId(request)));
            self.retry_at = stage.in_ms(100);
        }
        false
    }

    fn on_identity(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        self.identity_call = None;
        let response = answer
            .result
            .ok()
            .and_then(InitProducerIdRequest::from_response);
        if let Some(response) = response
            && response.error_code == 0
        {
            if response.producer_id < 0 || response.producer_epoch < 0 {
                let what = format!("InitProducerId answered {response:?}");
                stage.complaints.push(what);
            }
            self.identity = Some((
                ProducerId(response.producer_id),
                ProducerEpoch(response.producer_epoch),
            ));
        }
    }

    fn make_batch(&mut self, stage: &mut Stage<'_>) {
        let topics: Vec<(Arc<str>, i32)> = self
            .view
            .topics()
            .map(|(name, topic)| (Arc::clone(name), topic.partitions))
            .collect();
        if topics.is_empty() {
            self.view.distrust();
            return;
        }
        let (topic, partitions) = &topics[stage.rng.below(topics.len() as u64) as usize];
        let count = u64::try_from(*partitions).unwrap_or(1).max(1);
        let partition = i32::try_from(stage.rng.below(count)).expect("below an i32");
        let first_sequence = self.options.first_sequence;
        let lane = self
            .lanes
            .entry((Arc::clone(topic), partition))
            .or_insert_with(|| Lane {
                next_sequence: first_sequence,
                ..Lane::default()
            });
        if lane.batches.len() >= 20 {
            return;
        }
        let sequence = lane.next_sequence;
        let (bytes, records) = self.build(stage, sequence, topic);
        let lane = self
            .lanes
            .entry((Arc::clone(topic), partition))
            .or_default();
        lane.next_sequence = Sequence(sequence).plus(records).0;
        lane.batches.push_back(Unresolved {
            bytes,
            records,
            call: None,
            attempts: 0,
            overtaken_after: None,
        });
    }

    /// Sends what may be sent; answers when the next may.
    fn send(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if !self.winding_down && stage.now < self.quiet_until {
            return Some(self.quiet_until);
        }
        let mut next_at: Option<Instant> = None;
        let in_flight_max = self.options.in_flight_max;
        for ((topic, partition), lane) in &mut self.lanes {
            if lane.draining && lane.batches.iter().all(|batch| batch.call.is_none()) {
                lane.draining = false;
            }
            let under_way = lane
                .batches
                .iter()
                .filter(|batch| batch.call.is_some())
                .count();
            if lane.draining || lane.batches.len() == under_way {
                continue;
            }
            if stage.now < lane.not_before {
                next_at = Some(next_at.map_or(lane.not_before, |at| at.min(lane.not_before)));
                continue;
            }
            let Some(known) = self.view.topic(topic) else {
                lane.misses += 1;
                if self.winding_down && lane.misses > MISSES_MAX {
                    lane.batches.clear();
                    continue;
                }
                self.view.distrust();
                "UNKNOWN TO METADATA".clone_into(&mut lane.last_trouble);
                lane.not_before = stage.in_ms(100);
                continue;
            };
            let topic_id = (self.options.produce_version >= 13).then_some(known.topic_id);
            let room = in_flight_max.saturating_sub(under_way);
            let mut last_sent = None;
            let unsent = lane.batches.iter_mut().enumerate();
            let unsent = unsent.filter(|(_, batch)| batch.call.is_none());
            for (index, batch) in unsent.take(room) {
                lane.is_overtaken |= index > 0;
                last_sent = Some(index);
                let timeout_ms = i32::try_from(stage.rng.between(100, 3_000)).expect("small");
                let records = batch.bytes.clone();
                let mut request = produce_request(topic, topic_id, *partition, records);
                request.acks = self.options.acks;
                request.timeout_ms = timeout_ms;
                batch.call = Some(stage.call(ClientRequest::Produce(request)));
                batch.attempts += 1;
            }
            for batch in lane.batches.iter_mut().take(last_sent.unwrap_or(0)) {
                batch.overtaken_after.get_or_insert(stage.deaths);
            }
        }
        next_at
    }

    fn on_produced(
        &mut self,
        stage: &mut Stage<'_>,
        key: &(Arc<str>, i32),
        index: usize,
        result: Result<ClientResponse, CallError>,
    ) {
        let lane = self.lanes.get_mut(key).expect("the caller found it");
        lane.batches[index].call = None;
        if self.options.acks == 0 {
            // Sent, or not: nobody will ever know.
            lane.batches.remove(index);
            self.successes += 1;
            return;
        }
        lane.last_trouble = match &result {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        let response = result.ok().and_then(ProduceRequest::from_response);
        if let Some(response) = response.as_ref().filter(|_| self.options.honours_quotas) {
            let ms = u64::try_from(response.throttle_time_ms).unwrap_or(0);
            self.quiet_until = self.quiet_until.max(stage.in_ms(ms));
        }
        let code = response.map(|response| partition_code(&response));
        if let Some(Some(code)) = code {
            code.name().clone_into(&mut lane.last_trouble);
        }
        match code {
            Some(Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber)) => {
                lane.batches.remove(index);
                lane.has_begun |= index == 0;
                self.successes += 1;
            }
            Some(Some(code)) if !code.is_retriable() => {
                // All batches before the first are acknowledged, and none of them was lost.
                let may_be_lost = lane.is_overtaken && lane.batches[index].attempts > 1;
                let may_be_forgotten = lane.batches[index].may_be_forgotten(stage.deaths);
                if code == ErrorCode::OutOfOrderSequenceNumber
                    && index == 0
                    && self.options.keeps_order
                    && !may_be_forgotten
                    && (lane.has_begun || !(self.options.is_refused || may_be_lost))
                {
                    let what = format!("{key:?}: the sequence that is due is out of order");
                    stage.complaints.push(what);
                }
                self.give_up(key, index);
            }
            Some(Some(_)) | None => {
                let lane = self.lanes.get_mut(key).expect("as above");
                lane.draining = true;
                let backoff_ms = stage.rng.between(10, 100);
                lane.not_before = stage.in_ms(backoff_ms);
                self.view.distrust();
                if lane.batches[index].attempts >= ATTEMPTS_MAX {
                    self.give_up(key, index);
                }
            }
            Some(None) => {
                let what = "a Produce response without its partition".to_owned();
                stage.complaints.push(what);
                self.give_up(key, index);
            }
        }
    }

    /// Drops a batch; an idempotent producer begins anew, and with it every batch not acknowledged.
    fn give_up(&mut self, key: &(Arc<str>, i32), index: usize) {
        if self.options.is_idempotent {
            self.identity = None;
            self.lanes.clear();
            return;
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            let dropped = lane.batches.remove(index);
            assert!(
                dropped.is_none_or(|batch| batch.records > 0),
                "no empty batches"
            );
        }
    }
}

/// A request with one batch, naming its topic by name or by id.
fn produce_request(
    topic: &str,
    topic_id: Option<TopicId>,
    partition: i32,
    records: Bytes,
) -> ProduceRequest {
    let name = if topic_id.is_none() { topic } else { "" };
    let batch = made!(PartitionProduceData {
        index: partition,
        records: Some(records),
    });
    made!(ProduceRequest {
        topic_data: vec![made!(TopicProduceData {
            name: StrBytes::from(name),
            topic_id: topic_id.unwrap_or_default().into(),
            partition_data: vec![batch],
        })],
    })
}

/// The code of the one partition of a response; `None` where there is none.
fn partition_code(response: &ProduceResponse) -> Option<ErrorCode> {
    let partition = response.responses.first()?.partition_responses.first()?;
    Some(ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_start_forgets_was_overtaken_before_it() {
        let batch = |overtaken_after| Unresolved {
            bytes: Bytes::new(),
            records: 1,
            call: None,
            attempts: 2,
            overtaken_after,
        };
        assert!(!batch(None).may_be_forgotten(3), "it is the newest");
        assert!(!batch(Some(3)).may_be_forgotten(3), "nobody died since");
        assert!(batch(Some(2)).may_be_forgotten(3));
    }
}
