//! What passes the door of a node: every request answered once and in time, every acknowledgement
//! true, every record served the one that was written (R41, R42, R61, R64, R66, R87, R95).
//!
//! What a node says decides; its state is never looked at.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::Violation;
use super::durability::{DurabilityChecker, records_hash};
use crate::ids::{ConnectionId, Offset, RequestSequence, TopicId};
use crate::node::door::ReplyEffect;
use crate::storage::Slice;
use crate::time::Instant;
use crate::wire::request::{FetchReply, ProduceInput, Reply, Request};

/// A partition as a request names it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct PartitionName {
    topic: String,
    topic_id: TopicId,
    partition: i32,
}

/// A request that was not answered yet.
#[derive(Clone, Debug)]
struct PendingRequest {
    api: &'static str,
    /// When it must be answered at the latest; `None` where nothing bounds it but the disk.
    deadline: Option<Instant>,
    acks: i16,
    /// Hash of the records for each partition of a Produce.
    produced: BTreeMap<PartitionName, u64>,
}

/// Watches the requests and replies of one incarnation of a node.
#[derive(Clone, Debug, Default)]
pub struct DoorChecker {
    pending: BTreeMap<(ConnectionId, RequestSequence), PendingRequest>,
    /// The node was told that its disk is lost, and had a turn to see to it.
    has_lost_disk: bool,
    violations: Vec<Violation>,
}

/// What the checker is told of the node's durability.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// Whether what an acks=all reply or a Fetch lets out is on the platter.
    pub survives_power: bool,
}

impl DoorChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// How many requests were not answered yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    /// Notes a request given to the node.
    pub fn on_request(
        &mut self,
        connection: ConnectionId,
        sequence: RequestSequence,
        request: &Request,
        now: Instant,
    ) {
        let mut pending = PendingRequest {
            api: request.api_name(),
            deadline: None,
            acks: 0,
            produced: BTreeMap::new(),
        };
        if let Request::Produce(produce) = request {
            pending.acks = produce.acks;
            pending.deadline = Some(after_ms(now, produce.timeout_ms));
            pending.produced = hashes(produce);
        } else if let Request::Fetch(fetch) = request {
            pending.deadline = Some(after_ms(now, fetch.max_wait_ms));
        }
        self.pending.insert((connection, sequence), pending);
    }

    /// Notes that a connection is gone: its requests need no answer.
    pub fn on_disconnected(&mut self, connection: ConnectionId) {
        self.pending.retain(|(at, _), _| *at != connection);
    }

    /// The node knows that its disk is lost: it acknowledges nothing any more (R64).
    pub fn on_disk_lost(&mut self) {
        self.has_lost_disk = true;
    }

    /// Judges a reply; `resolve` answers the bytes of a slice.
    pub fn on_reply(
        &mut self,
        node: u32,
        effect: &ReplyEffect,
        promise: Promise,
        durability: &mut DurabilityChecker,
        resolve: &dyn Fn(&Slice) -> Bytes,
    ) {
        let key = (effect.connection, effect.sequence);
        let Some(pending) = self.pending.remove(&key) else {
            let what = format!("{key:?}: answered twice, or never asked");
            self.violations.push(Violation::new("R87", what));
            return;
        };
        if let Reply::Produce(reply) = &effect.reply {
            for topic in &reply.responses {
                for partition in &topic.partition_responses {
                    if partition.error_code != 0 || pending.acks == 0 {
                        continue;
                    }
                    let name = PartitionName {
                        topic: topic.name.to_string(),
                        topic_id: TopicId::from(topic.topic_id),
                        partition: partition.index,
                    };
                    if self.has_lost_disk {
                        let what = format!("{name:?}: acknowledged though the disk is lost");
                        self.violations.push(Violation::new("R64", what));
                    }
                    let hash = pending.produced.get(&name);
                    let folder = folder_of(node, &name, durability);
                    let (Some(&hash), Some(folder)) = (hash, folder) else {
                        let what = format!("{name:?}: acknowledged and not asked for");
                        self.violations.push(Violation::new("R87", what));
                        continue;
                    };
                    let survives = promise.survives_power && pending.acks == -1;
                    let base = Offset(partition.base_offset);
                    durability.on_acknowledged(node, &folder, base, hash, survives);
                }
            }
        } else if let Reply::Fetch(reply) = &effect.reply {
            self.on_fetched(node, reply, promise, durability, resolve);
        }
    }

    /// R95: nothing waits past its deadline. `slack` is what the world itself may take to give the
    /// node a turn.
    pub fn check_deadlines(&mut self, now: Instant, slack: Duration) {
        let late = self.pending.iter().find(|(_, pending)| {
            pending
                .deadline
                .is_some_and(|deadline| deadline.after(slack) < now)
        });
        if let Some((key, pending)) = late {
            let what = format!("{} {key:?} waits past its deadline", pending.api);
            self.violations.push(Violation::new("R95", what));
            let key = *key;
            self.pending.remove(&key);
        }
    }

    fn on_fetched(
        &mut self,
        node: u32,
        reply: &FetchReply,
        promise: Promise,
        durability: &mut DurabilityChecker,
        resolve: &dyn Fn(&Slice) -> Bytes,
    ) {
        for (topic, slices) in reply.response.responses.iter().zip(&reply.records) {
            for (partition, slices) in topic.partitions.iter().zip(slices) {
                if slices.is_empty() {
                    continue;
                }
                let name = PartitionName {
                    topic: topic.topic.to_string(),
                    topic_id: TopicId::from(topic.topic_id),
                    partition: partition.partition_index,
                };
                let Some(folder) = folder_of(node, &name, durability) else {
                    let what = format!("{name:?}: records served of no log");
                    self.violations.push(Violation::new("R41", what));
                    continue;
                };
                let mut bytes = Vec::new();
                for slice in slices {
                    bytes.extend_from_slice(&resolve(slice));
                }
                durability.on_served(node, &folder, &bytes, promise.survives_power);
            }
        }
    }
}

fn after_ms(now: Instant, milliseconds: i32) -> Instant {
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    now.after(Duration::from_millis(milliseconds))
}

fn hashes(produce: &ProduceInput) -> BTreeMap<PartitionName, u64> {
    let mut hashes = BTreeMap::new();
    for topic in &produce.topics {
        for partition in &topic.partitions {
            if let Ok(batch) = &partition.batch {
                let name = PartitionName {
                    topic: topic.name.to_string(),
                    topic_id: topic.topic_id,
                    partition: partition.index.0,
                };
                hashes.insert(name, records_hash(&batch.bytes));
            }
        }
    }
    hashes
}

fn folder_of(node: u32, name: &PartitionName, durability: &DurabilityChecker) -> Option<String> {
    if name.topic.is_empty() {
        return durability.folder_of(node, name.topic_id, name.partition);
    }
    Some(format!("{}-{}", name.topic, name.partition))
}
