//! What a client knows of its cluster: nodes, topics, leaders, and when to ask again.
//!
//! One [`Directory`] per machine asks for Metadata when something is missing or stale and takes
//! the answers in. A leader of an older epoch never replaces a newer one (KIP-320's rule for
//! clients). It creates no topics unless told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire::metadata_response::MetadataResponseTopic;
use kafka_wire_core::StrBytes;

use crate::client::message::{ClientRequest, ClientResponse};
use crate::client::network::{Answer, CallId, Network, Target};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId, TopicName, TopicPartition};
use crate::time::Instant;

/// A partition as a client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PartitionView {
    /// Its leader, or none.
    pub leader: NodeId,
    /// The leader's epoch; `NONE` where the broker did not say.
    pub leader_epoch: LeaderEpoch,
}

/// A topic as a client sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicView {
    /// Its id; zero where the broker did not say.
    pub id: TopicId,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: BTreeMap<PartitionIndex, PartitionView>,
    /// The racks of each partition's replicas; empty where no node has one.
    pub racks: BTreeMap<PartitionIndex, BTreeSet<Arc<str>>>,
}

/// The cluster as a client sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cluster {
    /// Its id; empty where unknown.
    pub cluster_id: String,
    /// The node that controller requests go to, or none.
    pub controller: NodeId,
    /// Where the nodes are.
    pub nodes: BTreeMap<NodeId, (Arc<str>, u16)>,
    /// Where those nodes stand that have a rack.
    pub racks: BTreeMap<NodeId, Arc<str>>,
    /// The topics asked for, those that exist.
    pub topics: BTreeMap<TopicName, TopicView>,
    /// Why other topics asked for are not known.
    pub errors: BTreeMap<TopicName, ErrorCode>,
}

impl Cluster {
    /// Takes an answer in; topics it does not mention stay as they are.
    pub fn update(&mut self, response: &kafka_wire::MetadataResponse) {
        self.cluster_id = response.cluster_id.as_deref().unwrap_or("").to_owned();
        self.controller = NodeId(response.controller_id);
        self.nodes = response
            .brokers
            .iter()
            .filter_map(|broker| {
                let port = u16::try_from(broker.port).ok()?;
                Some((NodeId(broker.node_id), (Arc::from(&*broker.host), port)))
            })
            .collect();
        let racks = response.brokers.iter().filter_map(|broker| {
            let rack = broker.rack.as_deref()?;
            Some((NodeId(broker.node_id), Arc::from(rack)))
        });
        self.racks = racks.collect();
        for topic in &response.topics {
            if let Some(name) = &topic.name {
                self.update_topic(Arc::from(&**name), topic);
            }
        }
    }

    fn update_topic(&mut self, name: TopicName, topic: &MetadataResponseTopic) {
        let code = ErrorCode::from_code(topic.error_code).unwrap_or(ErrorCode::UnknownServerError);
        if code != ErrorCode::None {
            // One that was known stays known while its error may pass.
            if !code.is_retriable() || code == ErrorCode::UnknownTopicOrPartition {
                self.topics.remove(&name);
            }
            self.errors.insert(name, code);
            return;
        }
        self.errors.remove(&name);
        let id = TopicId::from(topic.topic_id);
        let before = self.topics.get(&name).filter(|before| before.id == id);
        let mut partitions = BTreeMap::new();
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            let view = PartitionView {
                leader: NodeId(partition.leader_id),
                leader_epoch: LeaderEpoch(partition.leader_epoch),
            };
            let known = before.and_then(|before| before.partitions.get(&index));
            let newest = match known {
                Some(known) if known.leader_epoch > view.leader_epoch => *known,
                Some(_) | None => view,
            };
            partitions.insert(index, newest);
        }
        let racks = self.racks_of(topic);
        let view = TopicView {
            id,
            is_internal: topic.is_internal,
            partitions,
            racks,
        };
        self.topics.insert(name, view);
    }

    fn racks_of(
        &self,
        topic: &MetadataResponseTopic,
    ) -> BTreeMap<PartitionIndex, BTreeSet<Arc<str>>> {
        if self.racks.is_empty() {
            return BTreeMap::new();
        }
        let partitions = topic.partitions.iter();
        let racks = partitions.map(|partition| {
            let nodes = partition.replica_nodes.iter();
            let racks = nodes.filter_map(|node| self.racks.get(&NodeId(*node)).cloned());
            (PartitionIndex(partition.partition_index), racks.collect())
        });
        racks.collect()
    }

    /// Takes an answer about all topics in: others do not exist any more.
    fn update_all(&mut self, response: &kafka_wire::MetadataResponse) {
        let names = response
            .topics
            .iter()
            .filter_map(|topic| topic.name.as_deref());
        let names: BTreeSet<&str> = names.collect();
        self.topics.retain(|name, _topic| names.contains(&**name));
        self.update(response);
    }

    /// A partition, where it is known.
    #[must_use]
    pub fn partition(&self, of: &TopicPartition) -> Option<&PartitionView> {
        self.topics.get(&of.topic)?.partitions.get(&of.partition)
    }

    /// A partition's leader, where there is one.
    #[must_use]
    pub fn leader(&self, of: &TopicPartition) -> Option<NodeId> {
        let leader = self.partition(of)?.leader;
        self.nodes.contains_key(&leader).then_some(leader)
    }

    /// The name of a topic known by this id.
    #[must_use]
    pub fn topic_of(&self, id: TopicId) -> Option<&TopicName> {
        let found = self.topics.iter().find(|(_name, topic)| topic.id == id);
        found.map(|(name, _topic)| name)
    }
}

/// Keeps a [`Cluster`] up to date.
#[derive(Clone, Debug)]
pub struct Directory {
    /// What is known.
    pub cluster: Cluster,
    /// Topics to ask for.
    wanted: BTreeSet<TopicName>,
    /// Whether all topics are asked for.
    wants_all: bool,
    /// Whether unknown topics are to be created by asking.
    creates_topics: bool,
    call: Option<CallId>,
    /// Whether the call asks for all topics.
    asked_for_all: bool,
    /// When to ask; `None` where everything wanted is known.
    due: Option<Instant>,
    /// Wait between two questions (`retry.backoff.ms`).
    backoff: Duration,
    /// Age at which what is known is asked again (`metadata.max.age.ms`).
    age_max: Duration,
    not_before: Instant,
}

impl Directory {
    /// A directory that knows nothing.
    #[must_use]
    pub fn new(creates_topics: bool) -> Self {
        Self {
            cluster: Cluster::default(),
            wanted: BTreeSet::new(),
            wants_all: false,
            creates_topics,
            call: None,
            asked_for_all: false,
            due: None,
            backoff: Duration::from_millis(100),
            age_max: Duration::from_secs(300),
            not_before: Instant(0),
        }
    }

    /// Wants a topic; it is asked for unless it is known.
    pub fn want(&mut self, now: Instant, topic: &TopicName) {
        if self.wanted.insert(topic.clone()) || !self.cluster.topics.contains_key(topic) {
            self.refresh(now);
        }
    }

    /// Wants all topics there are, from now on or no more.
    pub fn want_all(&mut self, now: Instant, wants_all: bool) {
        if wants_all && !self.wants_all {
            self.refresh(now);
        }
        self.wants_all = wants_all;
    }

    /// The age at which what is known is asked again (`metadata.max.age.ms`).
    pub fn set_age_max(&mut self, age_max: Duration) {
        self.age_max = age_max;
    }

    /// Whether everything wanted has been answered, and nothing is asked at the moment.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let cluster = &self.cluster;
        let is_answered =
            |name| cluster.topics.contains_key(name) || cluster.errors.contains_key(name);
        self.call.is_none() && self.is_known() && self.wanted.iter().all(is_answered)
    }

    /// Wants a topic no more.
    pub fn forget(&mut self, topic: &TopicName) {
        self.wanted.remove(topic);
        self.cluster.topics.remove(topic);
        self.cluster.errors.remove(topic);
    }

    /// Asks again as soon as it may.
    pub fn refresh(&mut self, now: Instant) {
        let at = now.max(self.not_before);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Whether the nodes are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.cluster.nodes.is_empty()
    }

    /// Asks, where it is due.
    pub fn on_time(&mut self, now: Instant, network: &mut Network) {
        if self.call.is_some() || self.due.is_none_or(|due| due > now) {
            return;
        }
        let mut request = kafka_wire::MetadataRequest::default();
        request.allow_auto_topic_creation = self.creates_topics;
        let topics = self.wanted.iter().map(|name| {
            let mut topic = MetadataRequestTopic::default();
            topic.name = Some(StrBytes::from(&**name));
            topic
        });
        request.topics = (!self.wants_all).then(|| topics.collect());
        self.asked_for_all = self.wants_all;
        self.due = None;
        self.call = Some(network.call(now, Target::Any, ClientRequest::Metadata(request)));
    }

    /// An answer about all topics has no entry for those that are not there.
    fn note_missing(&mut self) {
        for name in &self.wanted {
            let cluster = &mut self.cluster;
            if !cluster.topics.contains_key(name) && !cluster.errors.contains_key(name) {
                let code = ErrorCode::UnknownTopicOrPartition;
                cluster.errors.insert(Arc::clone(name), code);
            }
        }
    }

    /// When [`Self::on_time`] would ask.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.call.is_some() { None } else { self.due }
    }

    /// Takes the answer to its question in; `false` where the answer is another's.
    pub fn on_answer(&mut self, now: Instant, answer: &Answer, network: &mut Network) -> bool {
        if self.call != Some(answer.call) {
            return false;
        }
        self.call = None;
        self.not_before = now.after(self.backoff);
        if let Ok(ClientResponse::Metadata(response)) = &answer.result {
            if self.asked_for_all {
                self.cluster.update_all(response);
                self.note_missing();
            } else {
                self.cluster.update(response);
            }
            network.set_nodes(self.cluster.nodes.clone());
        } else {
            self.refresh(now);
            return true;
        }
        let is_missing = self.wanted.iter().any(|name| {
            let topic = self.cluster.topics.get(name);
            topic.is_none_or(|topic| {
                let mut partitions = topic.partitions.values();
                partitions.any(|partition| partition.leader == NodeId::NONE)
            })
        });
        if is_missing {
            self.refresh(now);
        } else if self.due.is_none() {
            self.due = Some(now.after(self.age_max));
        }
        true
    }
}
