//! What a run of records changed in an image, for those who act on it.
//!
//! Names only: what is there now is read from the image. A topic created and deleted in one run is
//! not mentioned as created.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::image::{ConfigResource, TopicImage};
use crate::ids::{NodeId, PartitionIndex, TopicId};

/// What a run of records changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Delta {
    /// Topics that are new.
    pub created_topics: BTreeSet<TopicId>,
    /// Topics that are gone, as they were.
    pub deleted_topics: BTreeMap<TopicId, Arc<TopicImage>>,
    /// Partitions that are new or changed, of topics that are there.
    pub partitions: BTreeMap<TopicId, BTreeSet<PartitionIndex>>,
    /// Resources whose configurations changed.
    pub configs: BTreeSet<ConfigResource>,
    /// Brokers that registered, changed or went.
    pub brokers: BTreeSet<NodeId>,
    /// Whether a controller registered.
    pub controllers: bool,
    /// Whether a finalized feature changed.
    pub features: bool,
    /// Whether producer ids were given out.
    pub producer_ids: bool,
    /// Whether a client quota changed.
    pub quotas: bool,
    /// Whether access control, users or tokens changed.
    pub security: bool,
}

impl Delta {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn on_created(&mut self, topic: TopicId) {
        self.created_topics.insert(topic);
    }

    pub(super) fn on_partition(&mut self, topic: TopicId, partition: PartitionIndex) {
        self.partitions.entry(topic).or_default().insert(partition);
    }

    pub(super) fn on_deleted(&mut self, topic: Arc<TopicImage>) {
        self.partitions.remove(&topic.id);
        if !self.created_topics.remove(&topic.id) {
            self.deleted_topics.insert(topic.id, topic);
        }
    }
}
