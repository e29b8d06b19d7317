//! Asking for offsets and for records, and taking the answers in.

use std::collections::BTreeMap;

use kafka_wire::fetch_response::PartitionData;
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::{FetchResponse, ListOffsetsResponse};
use kafka_wire_core::StrBytes;

use super::buffered::Buffered;
use super::session::Wanted;
use super::{ConsumeError, Consumer, Fetching, Isolation, LATEST, Position, StartAt, lookup};
use crate::client::message::{ClientRequest, ClientResponse};
use crate::client::network::{Answer, CallError, CallId, Target};
use crate::error::ErrorCode;
use crate::ids::{NodeId, Offset, ProducerId, TopicId, TopicName, TopicPartition};
use crate::time::Instant;
use crate::wire::api_table::FETCH;

/// First version of Fetch with sessions.
const SESSIONS_FROM: i16 = 7;

impl Consumer {
    /// Looks up the positions that are not known.
    pub(super) fn look_up(&mut self, now: Instant) {
        let mut by_node: BTreeMap<NodeId, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        let mut is_missing = false;
        for (partition, assigned) in &self.assigned {
            let Position::Lookup(timestamp) = assigned.position else {
                continue;
            };
            match self.directory.cluster.leader(partition) {
                None => is_missing = true,
                Some(_) if assigned.retry_at > now => {}
                Some(node) => by_node
                    .entry(node)
                    .or_default()
                    .push((partition.clone(), timestamp)),
            }
        }
        if is_missing {
            self.directory.refresh(now);
        }
        for (node, partitions) in by_node {
            let mut request = kafka_wire::ListOffsetsRequest::default();
            request.replica_id = -1;
            request.isolation_level = self.options.isolation.wire();
            for (partition, timestamp) in &partitions {
                let mut asked = ListOffsetsPartition::default();
                asked.partition_index = partition.partition.0;
                asked.current_leader_epoch = self.leader_epoch(partition).0;
                asked.timestamp = *timestamp;
                add_lookup(&mut request.topics, partition, asked);
            }
            let request = ClientRequest::ListOffsets(request);
            let call = self.network.call(now, Target::Node(node), request);
            for (partition, timestamp) in partitions {
                let assigned = self.assigned.get_mut(&partition).expect("listed above");
                assigned.position = Position::LookingUp(timestamp, call);
            }
        }
    }

    /// Fetches from every leader that is not asked already.
    pub(super) fn fetch(&mut self, now: Instant) {
        let mut by_node: BTreeMap<NodeId, BTreeMap<TopicPartition, Wanted>> = BTreeMap::new();
        let mut is_missing = false;
        for (partition, assigned) in &self.assigned {
            let Position::At(offset) = assigned.position else {
                continue;
            };
            let held: usize = assigned.buffered.iter().map(Buffered::remaining).sum();
            let is_full = held >= self.options.buffer_bytes_max || !assigned.buffered.is_empty();
            if assigned.is_paused || is_full || assigned.retry_at > now {
                continue;
            }
            let Some(node) = self.directory.cluster.leader(partition) else {
                is_missing = true;
                continue;
            };
            let view = self.directory.cluster.topics.get(&partition.topic);
            let wanted = Wanted {
                topic_id: view.map_or(TopicId::ZERO, |view| view.id),
                offset,
                leader_epoch: self.leader_epoch(partition),
                max_bytes: self.options.partition_max_bytes,
            };
            by_node
                .entry(node)
                .or_default()
                .insert(partition.clone(), wanted);
        }
        if is_missing {
            self.directory.refresh(now);
        }
        for (node, wanted) in by_node {
            let is_asked = self.fetches.values().any(|fetching| fetching.node == node);
            let waits = self.retry_at.get(&node).is_some_and(|at| *at > now);
            if !is_asked && !waits {
                self.fetch_from(now, node, &wanted);
            }
        }
    }

    fn uses_sessions(&self, node: NodeId) -> bool {
        // Where the version is not agreed yet, the first Fetch asks for none.
        let version = self.network.version_of(node, FETCH);
        self.options.uses_sessions && version.is_some_and(|version| version >= SESSIONS_FROM)
    }

    fn fetch_from(
        &mut self,
        now: Instant,
        node: NodeId,
        wanted: &BTreeMap<TopicPartition, Wanted>,
    ) {
        let mut request = kafka_wire::FetchRequest::default();
        let wait_ms = self.options.max_wait.as_millis();
        request.max_wait_ms = i32::try_from(wait_ms).unwrap_or(i32::MAX);
        request.min_bytes = self.options.min_bytes;
        request.max_bytes = self.options.max_bytes;
        request.isolation_level = self.options.isolation.wire();
        let uses_sessions = self.uses_sessions(node);
        let session = self.sessions.entry(node).or_default();
        session.fill(&mut request, wanted, uses_sessions);
        let timeout = self.options.network.request_timeout + self.options.max_wait;
        let call = self.network.call_within(
            now,
            Target::Node(node),
            ClientRequest::Fetch(request),
            timeout,
        );
        let asked = wanted.iter().map(|(partition, wanted)| {
            let turn = self.assigned[partition].turn;
            (partition.clone(), (turn, wanted.offset))
        });
        let fetching = Fetching {
            node,
            asked: asked.collect(),
        };
        self.fetches.insert(call, fetching);
    }

    /// Takes the answer to one of the consumer's own calls.
    pub(super) fn on_answer(&mut self, now: Instant, answer: Answer) {
        if let Some(fetching) = self.fetches.remove(&answer.call) {
            match answer.result {
                Ok(ClientResponse::Fetch(response)) => self.on_fetched(now, &fetching, response),
                Ok(_other) => unreachable!("the network pairs answers with their requests"),
                Err(error) => {
                    if error.is_final() {
                        for partition in fetching.asked.keys() {
                            let error = ConsumeError::Call(error.clone());
                            self.errors.push_back((partition.clone(), error));
                        }
                    }
                    // What the broker remembers of the session is unknown.
                    self.sessions.remove(&fetching.node);
                    self.back_off(now, fetching.node);
                }
            }
            return;
        }
        match answer.result {
            Ok(ClientResponse::ListOffsets(response)) => {
                self.on_offsets(now, answer.call, &response);
            }
            Ok(_other) => unreachable!("the network pairs answers with their requests"),
            Err(error) if error.is_final() => self.stop_lookup(answer.call, &error),
            Err(_passing) => {
                self.directory.refresh(now);
                self.look_up_again(now, answer.call);
            }
        }
    }

    fn back_off(&mut self, now: Instant, node: NodeId) {
        let until = now.after(self.options.retry_backoff);
        self.retry_at.insert(node, until);
        self.directory.refresh(now);
    }

    /// Looks up once more what a call did not answer.
    fn look_up_again(&mut self, now: Instant, call: CallId) {
        let retry_at = now.after(self.options.retry_backoff);
        for assigned in self.assigned.values_mut() {
            if let Position::LookingUp(timestamp, asked) = assigned.position
                && asked == call
            {
                assigned.position = Position::Lookup(timestamp);
                assigned.retry_at = retry_at;
            }
        }
    }

    /// Gives up what a call was to look up.
    fn stop_lookup(&mut self, call: CallId, error: &CallError) {
        for (partition, assigned) in &mut self.assigned {
            if matches!(assigned.position, Position::LookingUp(_, asked) if asked == call) {
                assigned.position = Position::Stopped;
                let error = ConsumeError::Call(error.clone());
                self.errors.push_back((partition.clone(), error));
            }
        }
    }

    fn on_offsets(&mut self, now: Instant, call: CallId, response: &ListOffsetsResponse) {
        for topic in &response.topics {
            let name: TopicName = (&*topic.name).into();
            for result in &topic.partitions {
                let partition = TopicPartition {
                    topic: name.clone(),
                    partition: crate::ids::PartitionIndex(result.partition_index),
                };
                let Some(assigned) = self.assigned.get_mut(&partition) else {
                    continue;
                };
                let Position::LookingUp(timestamp, asked) = assigned.position else {
                    continue;
                };
                if asked != call {
                    continue;
                }
                let code = code_of(result.error_code);
                if code != ErrorCode::None {
                    if !code.is_retriable() {
                        assigned.position = Position::Stopped;
                        let error = ConsumeError::Broker(code);
                        self.errors.push_back((partition, error));
                    }
                    self.directory.refresh(now);
                } else if result.offset >= 0 {
                    assigned.position = Position::At(Offset(result.offset));
                } else {
                    // No record is that late: the end, which a further lookup finds.
                    let next = if timestamp == LATEST {
                        timestamp
                    } else {
                        LATEST
                    };
                    assigned.position = Position::Lookup(next);
                }
            }
        }
        self.look_up_again(now, call);
    }

    fn on_fetched(&mut self, now: Instant, fetching: &Fetching, response: FetchResponse) {
        let node = fetching.node;
        let uses_sessions = self.uses_sessions(node);
        let session = self.sessions.entry(node).or_default();
        let code = code_of(response.error_code);
        if code == ErrorCode::FetchSessionIdNotFound {
            session.forget();
            return;
        }
        if code != ErrorCode::None {
            session.reset();
            self.on_fetch_error(now, fetching, code);
            return;
        }
        session.on_response(response.session_id, uses_sessions);
        for topic in response.responses {
            let id = TopicId::from(topic.topic_id);
            let name = if topic.topic.is_empty() {
                self.directory.cluster.topic_of(id).cloned()
            } else {
                Some((&*topic.topic).into())
            };
            let Some(name) = name else {
                self.directory.refresh(now);
                continue;
            };
            for data in topic.partitions {
                let partition = TopicPartition {
                    topic: name.clone(),
                    partition: crate::ids::PartitionIndex(data.partition_index),
                };
                if let Some((turn, offset)) = fetching.asked.get(&partition) {
                    self.on_partition(now, partition, *turn, *offset, data);
                }
            }
        }
    }

    fn on_fetch_error(&mut self, now: Instant, fetching: &Fetching, code: ErrorCode) {
        if !code.is_retriable() {
            for partition in fetching.asked.keys() {
                let error = ConsumeError::Broker(code);
                self.errors.push_back((partition.clone(), error));
            }
        }
        self.back_off(now, fetching.node);
    }

    fn on_partition(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        turn: u64,
        offset: Offset,
        data: PartitionData,
    ) {
        let Some(assigned) = self.assigned.get_mut(&partition) else {
            return;
        };
        if assigned.turn != turn || assigned.position != Position::At(offset) {
            return; // It was moved meanwhile.
        }
        let code = code_of(data.error_code);
        if code != ErrorCode::None {
            self.on_partition_error(now, partition, offset, code);
            return;
        }
        assigned.high_watermark = Offset(data.high_watermark);
        let records = data.records.unwrap_or_default();
        if records.is_empty() {
            return;
        }
        let aborted = data.aborted_transactions.unwrap_or_default();
        let aborted = aborted.iter().map(|aborted| {
            (
                Offset(aborted.first_offset),
                ProducerId(aborted.producer_id),
            )
        });
        let aborted = match self.options.isolation {
            Isolation::Committed => Some(aborted.collect()),
            Isolation::Uncommitted => None,
        };
        let checks_crcs = self.options.checks_crcs;
        let buffered = Buffered::new(records, checks_crcs, aborted);
        assigned.buffered.push_back(buffered);
    }

    fn on_partition_error(
        &mut self,
        now: Instant,
        partition: TopicPartition,
        offset: Offset,
        code: ErrorCode,
    ) {
        let retry_at = now.after(self.options.retry_backoff);
        let assigned = self.assigned.get_mut(&partition).expect("seen just now");
        assigned.retry_at = retry_at;
        if code == ErrorCode::OffsetOutOfRange {
            match self.options.reset {
                Some(StartAt::Offset(_)) | None => {
                    assigned.position = Position::Stopped;
                    let error = ConsumeError::OutOfRange { offset };
                    self.errors.push_back((partition, error));
                }
                Some(reset) => {
                    assigned.position = lookup(reset);
                    assigned.retry_at = now;
                }
            }
            return;
        }
        self.directory.refresh(now);
        if !code.is_retriable() || code == ErrorCode::CorruptMessage {
            self.errors
                .push_back((partition, ConsumeError::Broker(code)));
        }
    }
}

fn add_lookup(
    topics: &mut Vec<ListOffsetsTopic>,
    partition: &TopicPartition,
    asked: ListOffsetsPartition,
) {
    match topics.last_mut() {
        Some(topic) if *topic.name == *partition.topic => topic.partitions.push(asked),
        Some(_) | None => {
            let mut topic = ListOffsetsTopic::default();
            topic.name = StrBytes::from(&*partition.topic);
            topic.partitions.push(asked);
            topics.push(topic);
        }
    }
}

fn code_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
