//! Gathering: one look at the brain, piece by piece, and at everything beside it.
//!
//! The brain is held for one piece at a time, with no system call inside, and is turned over in
//! between. Pieces are put in the order of topics afterwards.

use std::collections::BTreeMap;

use ottla_core::counters::Traffic;
use ottla_core::group::GroupFigures;
use ottla_core::ids::{LogId, NodeId, Offset, PartitionIndex, TopicName};
use ottla_core::node::survey::{NodeFigures, PartitionFigures, ReplicaFigures, WaitingFigures};

use crate::driver::Driver;

/// Logs, replicas, requests or offsets of one look: some 20 microseconds. A group comes whole, with
/// all the offsets it committed.
const PIECE: usize = 256;

/// What the brain said.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) is_ready: bool,
    pub(super) node: NodeFigures,
    pub(super) waiting: WaitingFigures,
    /// In the order of topics and indexes.
    pub(super) partitions: Vec<PartitionFigures>,
    /// In the order of topics and indexes.
    pub(super) replicas: Vec<ReplicaFigures>,
    /// In the order of their names.
    pub(super) groups: Vec<GroupFigures>,
}

/// A topic's partitions together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TopicFigures {
    pub(super) traffic: Traffic,
    pub(super) size_bytes: u64,
}

/// The cluster's partitions together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) led_here: u64,
    pub(super) under_replicated: u64,
    pub(super) without_leader: u64,
    pub(super) imbalanced: u64,
}

impl Survey {
    /// Looks at a driver's brain; what a stand-in of a test does not tell stays empty.
    pub(super) fn take(driver: &Driver) -> Self {
        let mut survey = Self::default();
        let node = driver.look(|node| (node.readiness().is_ok(), node.survey()));
        let Some((is_ready, node)) = node else {
            return survey;
        };
        (survey.is_ready, survey.node) = (is_ready, node);
        let mut start = Some(LogId(0));
        while let Some(at) = start {
            let into = &mut survey.partitions;
            start = driver
                .look(|node| node.survey_partitions(at, PIECE, into))
                .flatten();
        }
        let mut start = None;
        loop {
            let into = &mut survey.replicas;
            start = driver
                .look(|node| node.survey_replicas(start, PIECE, into))
                .flatten();
            if start.is_none() {
                break;
            }
        }
        let mut after = None;
        loop {
            let into = &mut survey.waiting;
            after = driver
                .look(|node| node.survey_waiting(after, PIECE, into))
                .flatten();
            if after.is_none() {
                break;
            }
        }
        let mut cursor = Some((PartitionIndex(0), None));
        while let Some(at) = cursor {
            let into = &mut survey.groups;
            cursor = driver
                .look(|node| node.survey_groups(at, PIECE, into))
                .flatten();
        }
        survey.put_in_order();
        survey
    }

    /// How far a group is behind in a partition; `None` where the partition is not hosted here.
    pub(super) fn lag(
        &self,
        topic: &TopicName,
        index: PartitionIndex,
        committed: Offset,
    ) -> Option<i64> {
        let key = (topic, index);
        let place = self
            .partitions
            .binary_search_by(|of| (&of.topic, of.index).cmp(&key));
        let partition = &self.partitions[place.ok()?];
        Some((partition.high_watermark.0 - committed.0).max(0))
    }

    /// Sorts, and leaves a partition once that was seen twice: a topic deleted between two looks
    /// may be there again under its name.
    fn put_in_order(&mut self) {
        self.partitions
            .sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
        self.partitions
            .dedup_by(|a, b| (&a.topic, a.index) == (&b.topic, b.index));
        self.replicas
            .sort_by(|a, b| (&a.topic, a.index).cmp(&(&b.topic, b.index)));
        self.groups.sort_by(|a, b| a.group.cmp(&b.group));
        self.replicas
            .dedup_by(|a, b| (&a.topic, a.index) == (&b.topic, b.index));
    }

    /// Partitions hosted here, by topic.
    pub(super) fn topics(&self) -> BTreeMap<&TopicName, TopicFigures> {
        let mut topics = BTreeMap::<&TopicName, TopicFigures>::new();
        for partition in &self.partitions {
            let topic = topics.entry(&partition.topic).or_default();
            topic.traffic.add(&partition.traffic);
            topic.size_bytes += partition.size_bytes;
        }
        topics
    }

    /// Partitions of the cluster, by topic.
    pub(super) fn partition_counts(&self) -> BTreeMap<&TopicName, u64> {
        let mut counts = BTreeMap::new();
        for replica in &self.replicas {
            *counts.entry(&replica.topic).or_insert(0) += 1;
        }
        counts
    }

    /// Partitions of the cluster, counted.
    pub(super) fn totals(&self, node_id: NodeId) -> Totals {
        let mut totals = Totals::default();
        for replica in &self.replicas {
            let is_led_here = replica.leader == node_id;
            let is_short = replica.in_sync_replicas < replica.replicas;
            totals.led_here += u64::from(is_led_here);
            totals.under_replicated += u64::from(is_led_here && is_short);
            totals.without_leader += u64::from(replica.leader == NodeId::NONE);
            totals.imbalanced += u64::from(!replica.is_leader_preferred);
        }
        totals
    }
}
