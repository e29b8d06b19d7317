//! The cluster as one client sees it: who is alive behind the listener it came to.
//!
//! Shared by the APIs that describe topics and brokers (K18, K19, K22). Decides nothing, and knows
//! no message. Compare Kafka's `KRaftMetadataCache`.

use std::collections::BTreeSet;

use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::log::LogState;
use crate::metadata::image::{BrokerImage, Image, PartitionImage};
use crate::metadata::records::EndpointData;
use crate::partition::PartitionTable;

/// Operations that anyone may perform on a topic where no authorizer forbids it: read, write,
/// create, delete, alter, describe, describe and alter configurations; a bit for each number.
pub const TOPIC_OPERATIONS: i32 = 3_576;

/// The same on the cluster: create, alter, describe, cluster action, describe and alter
/// configurations, idempotent write.
pub const CLUSTER_OPERATIONS: i32 = 8_096;

/// The same on a group: read, delete, describe, describe and alter configurations.
pub const GROUP_OPERATIONS: i32 = 3_400;

/// Operations that were not asked for.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// What answers about the cluster are made from.
#[derive(Clone, Debug)]
pub struct ClusterView<'a> {
    /// The metadata that is applied here.
    pub image: &'a Image,
    /// The cluster's id.
    pub cluster_id: &'a str,
    /// This node.
    pub node: NodeId,
    /// The name of the listener the client came to.
    pub listener: &'a str,
    /// The brokers that serve and have that listener, by number.
    reachable: Vec<NodeId>,
    /// The brokers that serve, by number.
    serving: Vec<NodeId>,
    /// Where this node has lost replicas, if it has.
    lost: Option<LostReplicas<'a>>,
}

/// Which replicas of this node cannot be served: their data directories are not there, or failed.
#[derive(Clone, Copy, Debug)]
pub struct LostReplicas<'a> {
    /// Those that were not there when the node started.
    pub absent: &'a BTreeSet<PartitionKey>,
    /// Those that are hosted, or were until their directory failed.
    pub hosted: &'a PartitionTable,
}

/// Which partition is meant.
pub type PartitionKey = (TopicId, PartitionIndex);

impl LostReplicas<'_> {
    fn contains(&self, (topic, index): PartitionKey) -> bool {
        let is_offline = || {
            let hosted = self.hosted.find(topic, index);
            hosted.is_some_and(|hosted| hosted.log().state() == LogState::Offline)
        };
        self.absent.contains(&(topic, index)) || is_offline()
    }
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
    /// The view of a client that came to `listener` of `node`.
    #[must_use]
    pub fn new(image: &'a Image, cluster_id: &'a str, node: NodeId, listener: &'a str) -> Self {
        let has_listener =
            |broker: &BrokerImage| broker.endpoints.iter().any(|e| &*e.name == listener);
        let serving = || image.brokers().filter(|broker| !broker.fenced);
        Self {
            image,
            cluster_id,
            node,
            listener,
            reachable: serving()
                .filter(|broker| has_listener(broker))
                .map(|broker| broker.id)
                .collect(),
            serving: serving().map(|broker| broker.id).collect(),
            lost: None,
        }
    }

    /// The same, of a node that has lost replicas.
    #[must_use]
    pub fn without(self, lost: LostReplicas<'a>) -> Self {
        Self {
            lost: Some(lost),
            ..self
        }
    }

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
    pub fn place(
        &self,
        key: PartitionKey,
        partition: &PartitionImage,
        reporting: Reporting,
    ) -> PartitionPlace {
        let (leader, error) = self.leader(key, partition, reporting);
        PartitionPlace {
            error,
            leader,
            leader_epoch: partition.leader_epoch,
            replicas: self.told(&partition.replicas, reporting).collect(),
            isr: self.isr(key, partition, reporting).collect(),
            offline: self.offline(key, partition).collect(),
        }
    }

    /// A partition's leader, and what is wrong with the partition.
    #[must_use]
    pub fn leader(
        &self,
        key: PartitionKey,
        partition: &PartitionImage,
        reporting: Reporting,
    ) -> (NodeId, ErrorCode) {
        if self.is_lost(key, partition.leader) {
            (NodeId::NONE, ErrorCode::LeaderNotAvailable)
        } else if self.is_alive(partition.leader) {
            let is_whole = |nodes: &[NodeId]| self.told(nodes, reporting).count() == nodes.len();
            let error = if is_whole(&partition.replicas) && is_whole(&partition.isr) {
                ErrorCode::None
            } else {
                ErrorCode::ReplicaNotAvailable
            };
            (partition.leader, error)
        } else if reporting.knows_listeners && self.image.broker(partition.leader).is_some() {
            (NodeId::NONE, ErrorCode::ListenerNotFound)
        } else {
            (NodeId::NONE, ErrorCode::LeaderNotAvailable)
        }
    }

    /// The nodes among some that the client is told of.
    pub fn told<'b>(
        &'b self,
        nodes: &'b [NodeId],
        reporting: Reporting,
    ) -> impl Iterator<Item = i32> + Clone + use<'b> {
        let is_told = move |id: &&NodeId| !reporting.filters_replicas || self.is_alive(**id);
        nodes.iter().filter(is_told).map(|id| id.0)
    }

    /// The replicas in sync of a partition that the client is told of; one that is lost is not.
    pub fn isr<'b>(
        &'b self,
        key: PartitionKey,
        partition: &'b PartitionImage,
        reporting: Reporting,
    ) -> impl Iterator<Item = i32> + Clone + use<'b> {
        let lost = self.lost_of(key);
        let told = self.told(&partition.isr, reporting);
        told.filter(move |id| Some(NodeId(*id)) != lost)
    }

    /// The replicas of a partition that do not serve.
    pub fn offline<'b>(
        &'b self,
        key: PartitionKey,
        partition: &'b PartitionImage,
    ) -> impl Iterator<Item = i32> + Clone + use<'b> {
        let lost = self.lost_of(key);
        let replicas = partition.replicas.iter();
        replicas
            .filter(move |id| !has(&self.serving, **id) || Some(**id) == lost)
            .map(|id| id.0)
    }

    /// This node, where it has lost its replica of the partition.
    fn lost_of(&self, key: PartitionKey) -> Option<NodeId> {
        let lost = self.lost.as_ref();
        lost.is_some_and(|lost| lost.contains(key))
            .then_some(self.node)
    }

    fn is_lost(&self, key: PartitionKey, node: NodeId) -> bool {
        node == self.node && self.lost_of(key).is_some()
    }

    fn is_alive(&self, node: NodeId) -> bool {
        has(&self.reachable, node)
    }
}

/// Whether sorted numbers hold one.
fn has(sorted: &[NodeId], node: NodeId) -> bool {
    sorted.binary_search(&node).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metadata::Delta;
    use crate::metadata::records::{MetadataRecord, RegisterBrokerRecord};

    /// Brokers 1 and 2 with both listeners, 3 with the internal one only, 4 fenced.
    fn image() -> Image {
        let mut image = Image::default();
        for (id, names, fenced) in [
            (1, vec!["CLIENTS", "INTERNAL"], false),
            (2, vec!["CLIENTS", "INTERNAL"], false),
            (3, vec!["INTERNAL"], false),
            (4, vec!["CLIENTS", "INTERNAL"], true),
        ] {
            let end_points = names
                .into_iter()
                .map(|name| EndpointData {
                    name: Arc::from(name),
                    host: Arc::from("h"),
                    port: 9_092,
                    security_protocol: 0,
                })
                .collect();
            let record = MetadataRecord::RegisterBroker(RegisterBrokerRecord {
                broker_id: NodeId(id),
                end_points,
                fenced,
                ..RegisterBrokerRecord::default()
            });
            let applied = image.apply(&record, &mut Delta::default());
            applied.expect("a new broker");
        }
        image
    }

    fn partition(leader: i32) -> PartitionImage {
        PartitionImage {
            replicas: [1, 3, 4].map(NodeId).to_vec(),
            isr: [1, 3].map(NodeId).to_vec(),
            leader: NodeId(leader),
            leader_epoch: LeaderEpoch(7),
            ..PartitionImage::default()
        }
    }

    const KEY: PartitionKey = (TopicId::METADATA, PartitionIndex(0));

    fn check(listener: &str, leader: i32, reporting: Reporting, expected: (ErrorCode, i32)) {
        let image = image();
        let view = ClusterView::new(&image, "c", NodeId(1), listener);
        let place = view.place(KEY, &partition(leader), reporting);
        assert_eq!((place.error, place.leader.0), expected);
        assert_eq!(place.leader_epoch, LeaderEpoch(7), "told whatever is wrong");
        assert_eq!(place.offline, [4], "a fenced broker does not serve");
    }

    #[test]
    fn a_leader_is_where_the_client_can_reach_it() {
        let old = Reporting::default();
        let new = Reporting {
            filters_replicas: false,
            knows_listeners: true,
        };
        check("CLIENTS", 1, new, (ErrorCode::None, 1));
        check("INTERNAL", 3, new, (ErrorCode::None, 3));
        check("CLIENTS", 3, new, (ErrorCode::ListenerNotFound, -1));
        check("CLIENTS", 3, old, (ErrorCode::LeaderNotAvailable, -1));
        check("CLIENTS", -1, new, (ErrorCode::LeaderNotAvailable, -1));
    }

    #[test]
    fn a_replica_that_is_lost_neither_leads_nor_is_in_sync() {
        let image = image();
        let hosted = PartitionTable::default();
        let absent = [KEY].into();
        let lost = LostReplicas {
            absent: &absent,
            hosted: &hosted,
        };
        let view = ClusterView::new(&image, "c", NodeId(1), "CLIENTS").without(lost);
        let place = view.place(KEY, &partition(1), Reporting::default());
        assert_eq!(place.error, ErrorCode::LeaderNotAvailable);
        assert_eq!(place.leader, NodeId::NONE);
        assert_eq!((place.isr, place.offline), (vec![3], vec![1, 4]));
        // Another node that leads it still does.
        let place = view.place(KEY, &partition(2), Reporting::default());
        assert_eq!((place.error, place.leader.0), (ErrorCode::None, 2));
        let other = (TopicId::METADATA, PartitionIndex(1));
        let place = view.place(other, &partition(1), Reporting::default());
        assert_eq!((place.leader.0, place.offline), (1, vec![4]));
    }

    #[test]
    fn the_oldest_version_leaves_out_whom_it_cannot_reach() {
        let image = image();
        let view = ClusterView::new(&image, "c", NodeId(1), "CLIENTS");
        let oldest = Reporting {
            filters_replicas: true,
            knows_listeners: false,
        };
        let place = view.place(KEY, &partition(1), oldest);
        assert_eq!(place.error, ErrorCode::ReplicaNotAvailable);
        assert_eq!((place.replicas, place.isr), (vec![1], vec![1]));
        let alive: Vec<i32> = view.alive().map(|(broker, _)| broker.id.0).collect();
        assert_eq!(alive, [1, 2]);
    }

    #[test]
    fn the_controller_is_someone_who_serves() {
        let image = image();
        for (node, controller) in [(2, 2), (4, 1)] {
            let view = ClusterView::new(&image, "c", NodeId(node), "CLIENTS");
            assert_eq!(view.controller(), NodeId(controller));
        }
        let view = ClusterView::new(&image, "c", NodeId(1), "NONE");
        assert_eq!(view.controller(), NodeId::NONE);
    }
}
