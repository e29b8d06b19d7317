//! Who a node is.

use crate::config::listeners::Listener;
use crate::ids::{BrokerEpoch, DirectoryId, ListenerId, NodeId};

/// A node's identity for this incarnation.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its id.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: String,
    /// The ids of its data directories, in the order of `log.dirs`.
    pub directories: Vec<DirectoryId>,
    /// This incarnation of the node.
    pub incarnation: DirectoryId,
    /// The metadata offset of its registration.
    pub broker_epoch: BrokerEpoch,
    /// Where clients of each listener reach it; ports as they are bound.
    pub listeners: Vec<Listener>,
}

impl Identity {
    /// What clients that came to a listener are told (K18).
    #[must_use]
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listeners.get(usize::from(id.0))
    }
}
