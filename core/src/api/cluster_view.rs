//! The cluster as one client sees it: who is alive behind the listener it came to.
//!
//! Shared by the APIs that describe topics and brokers (K18, K19, K22). Decides nothing, and knows
//! no message. Compare Kafka's `KRaftMetadataCache`.

use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId};
use crate::metadata::image::{BrokerImage, Image, PartitionImage};
use crate::metadata::records::EndpointData;

/// Operations that anyone may perform on a topic where no authorizer forbids it: read, write,
/// create, delete, alter, describe, describe and alter configurations; a bit for each number.
pub const TOPIC_OPERATIONS: i32 = 3_576;

/// The same on the cluster: create, alter, describe, cluster action, describe and alter
/// configurations, idempotent write.
pub const CLUSTER_OPERATIONS: i32 = 8_096;

/// Operations that were not asked for.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// What answers about the cluster are made from.
#[derive(Clone, Copy, Debug)]
pub struct ClusterView<'a> {
    /// The metadata that is applied here.
    pub image: &'a Image,
    /// The cluster's id.
    pub cluster_id: &'a str,
    /// This node.
    pub node: NodeId,
    /// The name of the listener the client came to.
    pub listener: &'a str,
}

/// Where a partition's leader and replicas are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartitionPlace {
    /// What is wrong with it.
    pub error: ErrorCode,
    /// The leader, or [`NodeId::NONE`] where the client cannot reach it.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// The replicas.
    pub replicas: Vec<i32>,
    /// The replicas in sync.
    pub isr: Vec<i32>,
    /// The replicas that do not serve.
    pub offline: Vec<i32>,
}

/// How a version of an API tells that a node cannot be reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reporting {
    /// Replicas out of reach are left out and counted as an error (Metadata 0).
    pub filters_replicas: bool,
    /// A leader without the listener is `LISTENER_NOT_FOUND` (Metadata 6 and later).
    pub knows_listeners: bool,
}

impl<'a> ClusterView<'a> {
    /// The brokers that have the client's listener, with their addresses there; fenced ones too.
    pub fn registered(&self) -> impl Iterator<Item = (&'a BrokerImage, &'a EndpointData)> {
        let listener = self.listener;
        let image = self.image;
        image.brokers().filter_map(move |broker| {
            let endpoint = broker.endpoints.iter().find(|e| &*e.name == listener)?;
            Some((&**broker, endpoint))
        })
    }

    /// The brokers that serve, with their addresses at the client's listener.
    pub fn alive(&self) -> impl Iterator<Item = (&'a BrokerImage, &'a EndpointData)> {
        self.registered().filter(|(broker, _)| !broker.fenced)
    }

    /// Whom a client is to send what only a controller decides: this node, which is one or
    /// forwards to one; none while it does not serve.
    #[must_use]
    pub fn controller(&self) -> NodeId {
        if self.is_alive(self.node) {
            return self.node;
        }
        let other = self.alive().next();
        other.map_or(NodeId::NONE, |(broker, _)| broker.id)
    }

    /// Where a partition is, as the client may reach it.
    #[must_use]
    pub fn place(&self, partition: &PartitionImage, reporting: Reporting) -> PartitionPlace {
        let reachable = |nodes: &[NodeId]| -> Vec<i32> {
            let is_told = |id: &&NodeId| !reporting.filters_replicas || self.is_alive(**id);
            nodes.iter().filter(is_told).map(|id| id.0).collect()
        };
        let replicas = reachable(&partition.replicas);
        let isr = reachable(&partition.isr);
        let (leader, error) = if self.is_alive(partition.leader) {
            let is_whole =
                replicas.len() == partition.replicas.len() && isr.len() == partition.isr.len();
            let error = if is_whole {
                ErrorCode::None
            } else {
                ErrorCode::ReplicaNotAvailable
            };
            (partition.leader, error)
        } else if reporting.knows_listeners && self.image.broker(partition.leader).is_some() {
            (NodeId::NONE, ErrorCode::ListenerNotFound)
        } else {
            (NodeId::NONE, ErrorCode::LeaderNotAvailable)
        };
        let is_offline = |id: &&NodeId| self.image.broker(**id).is_none_or(|b| b.fenced);
        PartitionPlace {
            error,
            leader,
            leader_epoch: partition.leader_epoch,
            replicas,
            isr,
            offline: partition
                .replicas
                .iter()
                .filter(is_offline)
                .map(|id| id.0)
                .collect(),
        }
    }

    fn is_alive(&self, node: NodeId) -> bool {
        self.image.broker(node).is_some_and(|broker| {
            !broker.fenced && broker.endpoints.iter().any(|e| &*e.name == self.listener)
        })
    }
}

/// Whether a topic belongs to Kafka itself.
#[must_use]
pub fn is_internal(topic: &str) -> bool {
    matches!(
        topic,
        "__consumer_offsets" | "__share_group_state" | "__transaction_state"
    )
}
