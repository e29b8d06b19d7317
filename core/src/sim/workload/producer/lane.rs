//! What a producer has under way in one partition.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::client::network::CallId;
use crate::time::Instant;

/// A batch that was not acknowledged yet.
#[derive(Clone, Debug)]
pub(super) struct Unresolved {
    pub(super) bytes: Bytes,
    pub(super) records: i32,
    pub(super) call: Option<CallId>,
    pub(super) attempts: u32,
    /// How often a node had died when a later batch was first sent.
    pub(super) overtaken_after: Option<u64>,
}

impl Unresolved {
    /// Whether a node died after a later batch was sent. Of each producer its newest batch alone is
    /// in the snapshot of a log, so a broker that starts again knows no older one that is written
    /// already: a retry of it is out of order (Kafka 4.3.1, `ProducerStateManager.readSnapshot`).
    pub(super) fn may_be_forgotten(&self, deaths: u64) -> bool {
        self.overtaken_after.is_some_and(|before| before < deaths)
    }
}

/// One partition it writes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// In the order of their sequences.
    pub(super) batches: VecDeque<Unresolved>,
    pub(super) next_sequence: i32,
    /// Something failed: nothing is sent until all that is under way is answered.
    pub(super) draining: bool,
    /// Whether the first batch of this identity was acknowledged.
    pub(super) has_begun: bool,
    /// Whether a batch was sent before the first was acknowledged. Where the first was lost on its
    /// way, the log may have begun with this one: whoever is unknown to it may begin anywhere.
    pub(super) is_overtaken: bool,
    pub(super) not_before: Instant,
    /// How often its topic was not to be found.
    pub(super) misses: u32,
    /// What became of the last attempt that failed.
    pub(super) last_trouble: String,
}
