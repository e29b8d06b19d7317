//! From batches to requests: what may be sent now, to whom, in which order.

use std::collections::BTreeMap;

use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire_core::{StrBytes, Uuid};

use super::queue::Identity;
use super::{DeliveryError, IdentityState, Producer, Sent, SentRequest};
use crate::client::message::ClientRequest;
use crate::client::network::Target;
use crate::ids::{NodeId, ProducerEpoch, Sequence, TopicPartition};
use crate::time::Instant;

impl Producer {
    /// Gives up what waited too long.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(first) = self.unplaced.front()
            && first.deadline <= now
        {
            let id = first.id;
            self.unplaced.pop_front();
            self.report_failed(id, DeliveryError::Expired, false);
        }
        let partitions: Vec<TopicPartition> = self.queues.keys().cloned().collect();
        for partition in partitions {
            let queue = self.queues.get_mut(&partition).expect("listed just now");
            let mut expired = Vec::new();
            while let Some(first) = queue.batches.front()
                && first.deadline <= now
            {
                expired.extend(queue.batches.pop_front());
            }
            for batch in expired {
                self.fail_batch(&partition, batch, DeliveryError::Expired);
            }
        }
    }

    /// Sends every batch that may be sent.
    pub(super) fn drain(&mut self, now: Instant) {
        let identity = match self.identity {
            IdentityState::Known(identity) => Some(identity),
            IdentityState::Asked(_) | IdentityState::Wanted(_) => None,
        };
        if self.options.is_idempotent && identity.is_none() {
            return;
        }
        loop {
            let mut by_node: BTreeMap<NodeId, Vec<TopicPartition>> = BTreeMap::new();
            for partition in self.queues.keys() {
                if self.is_sendable(partition, now)
                    && let Some(node) = self.directory.cluster.leader(partition)
                    && self.in_flight(node) < self.options.in_flight_max
                {
                    by_node.entry(node).or_default().push(partition.clone());
                }
            }
            if by_node.is_empty() {
                break;
            }
            for (node, mut partitions) in by_node {
                let middle = self.rotation % partitions.len();
                partitions.rotate_left(middle);
                self.send_request(now, node, partitions, identity);
            }
            self.rotation = self.rotation.wrapping_add(1);
        }
        self.want_missing_leaders(now);
    }

    fn want_missing_leaders(&mut self, now: Instant) {
        let is_missing = self.queues.iter().any(|(partition, queue)| {
            !queue.batches.is_empty() && self.directory.cluster.leader(partition).is_none()
        });
        if is_missing {
            self.directory.refresh(now);
        }
    }

    fn in_flight(&self, node: NodeId) -> usize {
        let requests = self.requests.values();
        requests.filter(|request| request.node == node).count()
    }

    /// Whether the first batch of a partition may be sent now.
    fn is_sendable(&self, partition: &TopicPartition, now: Instant) -> bool {
        let queue = &self.queues[partition];
        let Some(first) = queue.batches.front() else {
            return false;
        };
        if first.ready_at(self.options.linger) > now && !(self.is_flushing && first.attempts == 0) {
            return false;
        }
        if !self.options.is_idempotent {
            return true;
        }
        let has_sequence = first.sequence != Sequence::NONE;
        if !self.broken.is_empty() && (!has_sequence || self.broken.contains(partition)) {
            // The epoch is about to be raised: only fates that can still be learned are pursued.
            return false;
        }
        // A retry goes only when nothing before it is under way, or it would be out of order again.
        let is_behind = queue.in_flight.iter().any(|other| *other < first.number);
        !(has_sequence && is_behind)
    }

    fn send_request(
        &mut self,
        now: Instant,
        node: NodeId,
        partitions: Vec<TopicPartition>,
        identity: Option<Identity>,
    ) {
        let mut request = kafka_wire::ProduceRequest::default();
        request.acks = self.options.acks.wire();
        let timeout_ms = self.options.network.request_timeout.as_millis();
        request.timeout_ms = i32::try_from(timeout_ms).unwrap_or(i32::MAX);
        let mut sent = Vec::new();
        let mut size = 0;
        for partition in partitions {
            let queue = self.queues.get_mut(&partition).expect("listed just now");
            let first = queue.batches.front().expect("a sendable batch");
            if !sent.is_empty() && size + first.size_bytes() > self.options.request_bytes_max {
                continue;
            }
            let mut batch = queue.batches.pop_front().expect("seen just now");
            if let Some(identity) = identity
                && batch.sequence == Sequence::NONE
            {
                batch.sequence = queue.next_sequence;
                queue.next_sequence = queue.next_sequence.plus(batch.count());
                batch.restamp(identity);
            }
            batch.attempts += 1;
            let bytes = batch.seal(identity);
            size += bytes.len();
            queue.in_flight.push(batch.number);
            if batch.number == queue.last_number() {
                // Its successor may go elsewhere.
                self.sticky.remove(&partition.topic);
            }
            let mut data = PartitionProduceData::default();
            data.index = partition.partition.0;
            data.records = Some(bytes);
            self.add_partition(&mut request, &partition, data);
            sent.push(Sent { partition, batch });
        }
        let call = self
            .network
            .call(now, Target::Node(node), ClientRequest::Produce(request));
        let request = SentRequest {
            node,
            batches: sent,
        };
        self.requests.insert(call, request);
    }

    fn add_partition(
        &self,
        request: &mut kafka_wire::ProduceRequest,
        partition: &TopicPartition,
        data: PartitionProduceData,
    ) {
        let topics = &mut request.topic_data;
        let is_same = |topic: &TopicProduceData| *topic.name == *partition.topic;
        if let Some(topic) = topics.iter_mut().find(|topic| is_same(topic)) {
            topic.partition_data.push(data);
            return;
        }
        let mut topic = TopicProduceData::default();
        topic.name = StrBytes::from(&*partition.topic);
        let view = self.directory.cluster.topics.get(&partition.topic);
        topic.topic_id = view.map_or(Uuid::default(), |view| view.id.into());
        topic.partition_data.push(data);
        topics.push(topic);
    }

    /// Raises the epoch once every fate that can be learned is known (KIP-360); sequences begin
    /// at 0 again.
    pub(super) fn maybe_raise_epoch(&mut self) {
        if self.broken.is_empty() || !self.requests.is_empty() {
            return;
        }
        let is_settled = self
            .queues
            .iter()
            .all(|(partition, queue)| self.broken.contains(partition) || !queue.has_sequenced());
        if !is_settled {
            return;
        }
        self.identity = match self.identity {
            IdentityState::Known(identity) if identity.epoch.0 < i16::MAX - 1 => {
                IdentityState::Known(Identity {
                    id: identity.id,
                    epoch: ProducerEpoch(identity.epoch.0 + 1),
                })
            }
            // The epochs of this id are used up: another id.
            IdentityState::Known(_) => IdentityState::Wanted(Instant(0)),
            other @ (IdentityState::Asked(_) | IdentityState::Wanted(_)) => other,
        };
        self.broken.clear();
        let partitions: Vec<TopicPartition> = self.queues.keys().cloned().collect();
        for partition in partitions {
            let queue = self.queues.get_mut(&partition).expect("listed just now");
            queue.next_sequence = Sequence(0);
            for mut batch in std::mem::take(&mut queue.batches) {
                if batch.may_be_written {
                    self.report_batch(batch, &DeliveryError::Unresolved);
                } else {
                    batch.unsequence();
                    let queue = self.queues.get_mut(&partition).expect("listed just now");
                    queue.batches.push_back(batch);
                }
            }
        }
    }
}
