//! Everything the cluster knows: the result of applying the metadata log's records in order.
//!
//! An image is a value. Its parts are shared, so a clone costs a few reference counts and only what
//! changes afterwards is copied. Applying decides nothing: a record that contradicts the image is
//! an error, because the controller that wrote it saw the same image. Kafka classes to compare:
//! `MetadataImage` and its parts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use super::codec::Double;
use super::records::{
    AccessControlEntryRecord, DelegationTokenRecord, EndpointData, FeatureData,
    RegisterControllerRecord, UserScramCredentialRecord,
};
use crate::config::Overrides;
use crate::ids::{
    BrokerEpoch, DirectoryId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, ProducerId,
    TopicId, TopicName,
};

/// The feature whose version is that of the metadata records.
pub const METADATA_VERSION: &str = "metadata.version";

/// A record that contradicts the image it is applied to: a damaged log, or a bug.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageError(pub String);

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of resource that a configuration belongs to; the numbers are the wire's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(i8)]
pub enum ResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker, or all of them where the name is empty.
    Broker = 4,
    /// A client metrics subscription.
    ClientMetrics = 16,
    /// A group.
    Group = 32,
}

impl ResourceKind {
    /// The kind with this number; `None` for a number that has no configurations stored.
    #[must_use]
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Topic, Self::Broker, Self::ClientMetrics, Self::Group]
            .into_iter()
            .find(|kind| *kind as i8 == code)
    }
}

/// What a configuration belongs to.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConfigResource {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: Arc<str>,
}

impl ConfigResource {
    /// A topic by its name.
    #[must_use]
    pub fn topic(name: &TopicName) -> Self {
        Self {
            kind: ResourceKind::Topic,
            name: Arc::clone(name),
        }
    }

    /// One broker.
    #[must_use]
    pub fn broker(node: NodeId) -> Self {
        Self {
            kind: ResourceKind::Broker,
            name: Arc::from(node.to_string()),
        }
    }

    /// All brokers.
    #[must_use]
    pub fn broker_default() -> Self {
        Self {
            kind: ResourceKind::Broker,
            name: Arc::from(""),
        }
    }
}

/// A partition's state.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PartitionImage {
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The directory of each replica; as many as replicas.
    pub directories: Vec<DirectoryId>,
    /// The replicas in sync.
    pub isr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment adds.
    pub adding_replicas: Vec<NodeId>,
    /// Replicas that may be elected cleanly though they left the ISR.
    pub eligible_leader_replicas: Vec<NodeId>,
    /// The last of those before the ISR emptied.
    pub last_known_elr: Vec<NodeId>,
    /// The leader, or [`NodeId::NONE`].
    pub leader: NodeId,
    /// 1 while an unclean leader recovers.
    pub leader_recovery_state: i8,
    /// Raised by each election.
    pub leader_epoch: LeaderEpoch,
    /// Raised by each change.
    pub partition_epoch: PartitionEpoch,
}

/// A topic and its partitions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicImage {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionImage>,
}

impl TopicImage {
    /// A partition; `None` where the topic has no such index.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The directory that a node's replica of a partition is in; `None` where it has none.
    #[must_use]
    pub fn directory_of(&self, index: PartitionIndex, node: NodeId) -> Option<DirectoryId> {
        let partition = self.partition(index)?;
        let mut replicas = partition.replicas.iter();
        let at = replicas.position(|&replica| replica == node)?;
        partition.directories.get(at).copied()
    }

    /// The partitions with their indexes.
    pub fn indexed(&self) -> impl Iterator<Item = (PartitionIndex, &PartitionImage)> {
        self.indexed_from(PartitionIndex(0))
    }

    /// Its partitions from one on, each with its index.
    pub fn indexed_from(
        &self,
        first: PartitionIndex,
    ) -> impl Iterator<Item = (PartitionIndex, &PartitionImage)> {
        let skipped = usize::try_from(first.0).expect("partitions are numbered from 0");
        (first.0..)
            .map(PartitionIndex)
            .zip(self.partitions.iter().skip(skipped))
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partitions_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).expect("partitions are numbered by i32")
    }
}

/// A registered broker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BrokerImage {
    /// The broker.
    pub id: NodeId,
    /// The metadata offset of its registration.
    pub epoch: BrokerEpoch,
    /// Chosen by the broker at each start.
    pub incarnation_id: TopicId,
    /// Where it is reached.
    pub endpoints: Vec<EndpointData>,
    /// What it supports.
    pub features: Vec<FeatureData>,
    /// Its rack.
    pub rack: Option<Arc<str>>,
    /// Whether it may not lead.
    pub fenced: bool,
    /// Whether it is on its way out.
    pub in_controlled_shutdown: bool,
    /// Its data directories that work.
    pub log_dirs: Vec<DirectoryId>,
    /// Its data directories that take no new partitions; `None` where it never said.
    pub cordoned_log_dirs: Option<Vec<DirectoryId>>,
}

/// Whom a quota is for: entity types and names, sorted; no name is the default of its type.
pub type QuotaEntity = BTreeMap<Arc<str>, Option<Arc<str>>>;

/// Limits by what they limit.
pub type QuotaLimits = BTreeMap<Arc<str>, Double>;

/// Everything the cluster knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    pub(super) features: Arc<BTreeMap<Arc<str>, i16>>,
    pub(super) topics: Arc<BTreeMap<TopicId, Arc<TopicImage>>>,
    /// The same topics by their names: clients ask by name, and are told in this order.
    pub(super) names: Arc<BTreeMap<TopicName, Arc<TopicImage>>>,
    pub(super) configs: Arc<BTreeMap<ConfigResource, Arc<Overrides>>>,
    pub(super) brokers: Arc<BTreeMap<NodeId, Arc<BrokerImage>>>,
    pub(super) controllers: Arc<BTreeMap<NodeId, RegisterControllerRecord>>,
    pub(super) quotas: Arc<BTreeMap<QuotaEntity, QuotaLimits>>,
    pub(super) access: Arc<BTreeMap<TopicId, AccessControlEntryRecord>>,
    pub(super) scram: Arc<BTreeMap<(Arc<str>, i8), UserScramCredentialRecord>>,
    pub(super) tokens: Arc<BTreeMap<Arc<str>, DelegationTokenRecord>>,
    pub(super) next_producer_id: ProducerId,
}

impl Default for Image {
    /// A cluster that knows nothing yet.
    fn default() -> Self {
        Self {
            features: Arc::default(),
            topics: Arc::default(),
            names: Arc::default(),
            configs: Arc::default(),
            brokers: Arc::default(),
            controllers: Arc::default(),
            quotas: Arc::default(),
            access: Arc::default(),
            scram: Arc::default(),
            tokens: Arc::default(),
            next_producer_id: ProducerId::NONE,
        }
    }
}

impl Image {
    /// The finalized features with their versions, sorted by name; those at 0 are not there.
    pub fn features(&self) -> impl Iterator<Item = (&Arc<str>, i16)> {
        self.features.iter().map(|(name, version)| (name, *version))
    }

    /// A feature's finalized version; 0 where it is off.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The topics, sorted by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.names.values()
    }

    /// How many topics there are.
    #[must_use]
    pub fn topics_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have.
    #[must_use]
    pub fn partitions_count(&self) -> usize {
        self.topics
            .values()
            .map(|topic| topic.partitions.len())
            .sum()
    }

    /// The topics after one, in the order of their ids; all of them after `None`.
    pub fn topics_after(&self, after: Option<TopicId>) -> impl Iterator<Item = &Arc<TopicImage>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let topics = self.topics.range((start, Bound::Unbounded));
        topics.map(|(_id, topic)| topic)
    }

    /// A topic by its name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.names.get(name)
    }

    /// A topic by its id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&id)
    }

    /// Takes over topics of an image that is as far as this one or behind it, where they are the
    /// same: memory holds them once then.
    pub fn share_topics(&mut self, other: &Self, ids: impl Iterator<Item = TopicId>) {
        if Arc::ptr_eq(&self.topics, &other.topics) {
            return;
        }
        let topics = Arc::make_mut(&mut self.topics);
        let names = Arc::make_mut(&mut self.names);
        for id in ids {
            if let (Some(own), Some(theirs)) = (topics.get_mut(&id), other.topics.get(&id))
                && own == theirs
            {
                *own = Arc::clone(theirs);
                names.insert(Arc::clone(&theirs.name), Arc::clone(theirs));
            }
        }
    }

    /// The configurations set for a resource; none where nobody set any.
    #[must_use]
    pub fn configs(&self, resource: &ConfigResource) -> Arc<Overrides> {
        self.configs.get(resource).cloned().unwrap_or_default()
    }

    /// The resources of a kind that have configurations, sorted by name.
    pub fn configured(&self, kind: ResourceKind) -> impl Iterator<Item = &ConfigResource> {
        self.configs
            .keys()
            .filter(move |resource| resource.kind == kind)
    }

    /// The brokers, by number.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// A broker by its number.
    #[must_use]
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// The controllers that registered, by number.
    pub fn controllers(&self) -> impl Iterator<Item = &RegisterControllerRecord> {
        self.controllers.values()
    }

    /// The quotas, by whom they are for.
    #[must_use]
    pub fn quotas(&self) -> &BTreeMap<QuotaEntity, QuotaLimits> {
        &self.quotas
    }

    /// The access control entries, by id.
    #[must_use]
    pub fn access_entries(&self) -> &BTreeMap<TopicId, AccessControlEntryRecord> {
        &self.access
    }

    /// The SCRAM credentials, by user and mechanism.
    #[must_use]
    pub fn scram_credentials(&self) -> &BTreeMap<(Arc<str>, i8), UserScramCredentialRecord> {
        &self.scram
    }

    /// The first producer id that no block was given of; 0 where none was given.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        ProducerId(self.next_producer_id.0.max(0))
    }
}
