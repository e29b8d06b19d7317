//! A look at a node: sizes, offsets and counters, copied out for whoever shows them.
//!
//! Taken in pieces of bounded work, so that a driver that holds the brain for each piece holds it
//! for some microseconds however many partitions there are. Pieces are of different moments: a
//! partition that comes or goes meanwhile is in or out, never twice. Nothing is changed by a look.

use super::{Broker, Node, Phase};
use crate::counters::{RequestCounters, Traffic};
use crate::group::{GroupFigures, GroupId};
use crate::ids::{LogId, NodeId, Offset, PartitionIndex, TopicId, TopicName};
use crate::log::LogState;
use crate::node::wait::Wait;
use crate::partition::Partition;
use crate::quota::throttle::Throttled;
use crate::waiting::WaitId;
use crate::wire::api_table::ServedApi;

/// What a node says of itself as a whole.
#[derive(Clone, Debug, Default)]
pub struct NodeFigures {
    /// Turns taken.
    pub turns: u64,
    /// Inputs applied in them.
    pub inputs: u64,
    /// Requests and errors.
    pub requests: RequestCounters,
    /// Of the rooms; `None` until they are open.
    pub broker: Option<BrokerFigures>,
}

/// What the rooms of a broker say of themselves.
#[derive(Clone, Debug, Default)]
pub struct BrokerFigures {
    /// The node.
    pub node_id: NodeId,
    /// The cluster.
    pub cluster_id: String,
    /// Brokers that are registered and not fenced.
    pub brokers_active: u64,
    /// Brokers that are fenced.
    pub brokers_fenced: u64,
    /// Partitions hosted here.
    pub partitions_hosted: u64,
    /// Replicas that are not hosted, for their data directory was not there at the start.
    pub replicas_absent: u64,
    /// Whether this node is the active controller.
    pub is_active_controller: bool,
    /// End of the metadata log.
    pub metadata_log_end_offset: Offset,
    /// How far the metadata log is committed.
    pub metadata_high_watermark: Offset,
    /// How far it is applied here.
    pub metadata_applied: Offset,
    /// Fetch sessions that are open.
    pub fetch_sessions: u64,
    /// How many there may be.
    pub fetch_sessions_max: u64,
    /// Requests that wait, for whatever it is.
    pub requests_parked: u64,
    /// Requests whose answers will count for a quota.
    pub requests_metered: u64,
    /// Users, client ids and addresses that are remembered for their quotas; of each kind of quota.
    pub quota_sharers: u64,
    /// Answers that made clients wait, by their API.
    pub throttled: Vec<(&'static ServedApi, Throttled)>,
    /// Connections that are not read now, because their clients did too much.
    pub connections_muted: u64,
    /// Bytes of the memory tail.
    pub tail_bytes: u64,
    /// Bytes it may grow to.
    pub tail_bytes_max: u64,
    /// Bytes of loaded indexes of closed segments.
    pub index_bytes: u64,
    /// Reads of the disk that requests wait for.
    pub lookups: u64,
}

/// Requests that wait, by what for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WaitingFigures {
    /// For a change of the metadata, or for files to be saved.
    pub admin: u64,
    /// Fetches, for records.
    pub fetch: u64,
    /// ListOffsets, for the disk.
    pub list_offsets: u64,
    /// Produces, for their acknowledgement.
    pub produce: u64,
}

/// What a partition that is hosted here says of itself.
#[derive(Clone, Debug)]
pub struct PartitionFigures {
    /// Its topic's name.
    pub topic: TopicName,
    /// Its index.
    pub index: PartitionIndex,
    /// The first offset that may be read.
    pub log_start_offset: Offset,
    /// Exclusive end of what consumers read.
    pub high_watermark: Offset,
    /// The offset the next record gets.
    pub log_end_offset: Offset,
    /// Bytes of its segments.
    pub size_bytes: u64,
    /// How many segments it has.
    pub segments: u64,
    /// Whether its log takes nothing any more.
    pub is_offline: bool,
    /// What went through it.
    pub traffic: Traffic,
}

/// What the cluster's metadata says of a partition, wherever it is hosted.
#[derive(Clone, Debug)]
pub struct ReplicaFigures {
    /// Its topic's name.
    pub topic: TopicName,
    /// Its index.
    pub index: PartitionIndex,
    /// Its leader, or [`NodeId::NONE`].
    pub leader: NodeId,
    /// Whether the leader is the first of the replicas.
    pub is_leader_preferred: bool,
    /// How many replicas it is to have.
    pub replicas: u64,
    /// How many of them are in sync.
    pub in_sync_replicas: u64,
}

/// Where a look at replicas goes on.
pub type ReplicaCursor = (TopicId, PartitionIndex);

/// Where a look at groups goes on: in which partition of the offsets topic, after which group.
pub type GroupCursor = (PartitionIndex, Option<GroupId>);

impl Node {
    /// What the node says of itself as a whole.
    #[must_use]
    pub fn survey(&self) -> NodeFigures {
        NodeFigures {
            turns: self.turns,
            inputs: self.inputs,
            requests: self.requests.clone(),
            broker: self.broker().map(Broker::survey),
        }
    }

    /// Adds the hosted partitions among the `count_max` logs from `start` on; answers where to go
    /// on, or `None` at the end.
    pub fn survey_partitions(
        &self,
        start: LogId,
        count_max: usize,
        into: &mut Vec<PartitionFigures>,
    ) -> Option<LogId> {
        let broker = self.broker()?;
        let (partitions, next) = broker.partitions.page(start, count_max);
        into.extend(partitions.map(partition_figures));
        next
    }

    /// Adds at most `count_max` partitions, as the metadata has them, from `start` on; answers
    /// where to go on, or `None` at the end.
    pub fn survey_replicas(
        &self,
        start: Option<ReplicaCursor>,
        count_max: usize,
        into: &mut Vec<ReplicaFigures>,
    ) -> Option<ReplicaCursor> {
        let image = &self.broker()?.image;
        let end = into.len() + count_max;
        let begun = start.and_then(|(id, first)| Some((image.topic_by_id(id)?, first)));
        let others = image.topics_after(start.map(|(id, _first)| id));
        let others = others.map(|topic| (topic, PartitionIndex(0)));
        for (topic, first) in begun.into_iter().chain(others) {
            for (index, replica) in topic.indexed_from(first) {
                if into.len() == end {
                    return Some((topic.id, index));
                }
                into.push(ReplicaFigures {
                    topic: TopicName::clone(&topic.name),
                    index,
                    leader: replica.leader,
                    is_leader_preferred: replica.replicas.first() == Some(&replica.leader),
                    replicas: count(replica.replicas.len()),
                    in_sync_replicas: count(replica.isr.len()),
                });
            }
        }
        None
    }

    /// Adds groups of the coordinator of one partition of the offsets topic, after `after`, until
    /// there are `count_max` groups and offsets of them; answers where to go on, or `None` where
    /// this was the last.
    pub fn survey_groups(
        &self,
        (partition, after): GroupCursor,
        count_max: usize,
        into: &mut Vec<GroupFigures>,
    ) -> Option<GroupCursor> {
        let groups = &self.broker()?.groups;
        let shard = groups.shard(partition);
        let last = shard.and_then(|shard| shard.figures(after.as_ref(), count_max, into));
        if last.is_some() {
            return Some((partition, last));
        }
        groups.shard_after(partition).map(|next| (next, None))
    }

    /// Counts at most `count_max` waiting requests after `after`; answers where to go on, or
    /// `None` at the end.
    pub fn survey_waiting(
        &self,
        after: Option<WaitId>,
        count_max: usize,
        into: &mut WaitingFigures,
    ) -> Option<WaitId> {
        let broker = self.broker()?;
        let mut last = None;
        for (id, wait) in broker.waiting.after(after).take(count_max) {
            let counted = match wait {
                Wait::Admin(_) | Wait::Groups(_) | Wait::Saved(_) => &mut into.admin,
                Wait::Fetch(_) => &mut into.fetch,
                Wait::Offsets(_) => &mut into.list_offsets,
                Wait::Produce(_) => &mut into.produce,
            };
            *counted += 1;
            last = Some(id);
        }
        last
    }

    /// Whether the node answers requests now, and what it does instead.
    ///
    /// # Errors
    /// Why it does not.
    pub fn readiness(&self) -> Result<(), &'static str> {
        match &self.phase {
            Phase::Booting(_) => Err("booting: the logs are being opened"),
            Phase::Running(_) => Ok(()),
            Phase::Stopping(..) => Err("stopping"),
            Phase::Stopped(_) => Err("stopped"),
        }
    }
}

impl Broker {
    pub(crate) fn survey(&self) -> BrokerFigures {
        let fenced = self.image.brokers().filter(|broker| broker.fenced).count();
        let brokers = self.image.brokers().count();
        BrokerFigures {
            node_id: self.config.node_id,
            cluster_id: self.identity.cluster_id.clone(),
            brokers_active: count(brokers - fenced),
            brokers_fenced: count(fenced),
            partitions_hosted: count(self.partitions.len()),
            replicas_absent: count(self.absent.len()),
            is_active_controller: self.quorum.leader() == self.config.node_id,
            metadata_log_end_offset: self.quorum.log_end_offset(),
            metadata_high_watermark: self.quorum.high_watermark(),
            metadata_applied: self.applied,
            fetch_sessions: count(self.sessions.len()),
            fetch_sessions_max: count(self.sessions.slots_max()),
            requests_parked: count(self.waiting.len()),
            requests_metered: count(self.throttle.metered()),
            quota_sharers: count(self.throttle.sharers()),
            throttled: self
                .throttle
                .throttled()
                .filter_map(|(api_key, seen)| Some((ServedApi::find(api_key)?, seen)))
                .collect(),
            connections_muted: count(self.throttle.muted()),
            tail_bytes: self.memory.tail.held_bytes(),
            tail_bytes_max: self.memory.tail.bytes_max(),
            index_bytes: self.memory.index_bytes(),
            lookups: count(self.lookups.len() + self.searches.len()),
        }
    }
}

fn partition_figures(partition: &Partition) -> PartitionFigures {
    let identity = partition.identity();
    let log = partition.log();
    PartitionFigures {
        topic: TopicName::clone(&identity.topic),
        index: identity.index,
        log_start_offset: log.log_start_offset(),
        high_watermark: partition.high_watermark(),
        log_end_offset: log.log_end_offset(),
        size_bytes: log.size_bytes(),
        segments: count(log.closed_segments().len()) + 1,
        is_offline: log.state() == LogState::Offline,
        traffic: *partition.traffic(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits in u64")
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::super::tests::{Bench, empty_disk, start};
    use super::*;

    #[test]
    fn pages_hold_every_partition_once() {
        let mut bench = Bench::boot(empty_disk(), start());
        for (name, partitions) in [("a", 1), ("b", 3), ("c", 1)] {
            bench.write_topic_of(name, partitions);
        }
        let all = [("a", 0), ("b", 0), ("b", 1), ("b", 2), ("c", 0)];
        for count_max in [1, 2, 100] {
            let (mut partitions, mut start) = (Vec::new(), LogId(0));
            while let Some(next) = bench
                .node
                .survey_partitions(start, count_max, &mut partitions)
            {
                assert!(next > start);
                start = next;
            }
            let mut seen: Vec<_> = partitions
                .iter()
                .map(|of| (&*of.topic, of.index.0))
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, all);
            let (mut replicas, mut start) = (Vec::new(), None);
            loop {
                let before = replicas.len();
                start = bench.node.survey_replicas(start, count_max, &mut replicas);
                assert!(replicas.len() - before <= count_max);
                if start.is_none() {
                    break;
                }
            }
            let mut seen: Vec<_> = replicas.iter().map(|of| (&*of.topic, of.index.0)).collect();
            seen.sort_unstable();
            assert_eq!(seen, all);
            assert!(replicas.iter().all(|of| of.in_sync_replicas == 1));
        }
        let figures = bench.node.survey();
        assert!(figures.turns > 0 && figures.inputs > 0);
        let broker = figures.broker.expect("the node is ready");
        assert_eq!(broker.partitions_hosted, 5);
        assert!(broker.is_active_controller);
        assert_eq!(bench.node.readiness(), Ok(()));
    }
}
