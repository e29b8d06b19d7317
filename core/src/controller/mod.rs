//! The active controller's decisions, as pure functions: what the cluster knows and a request go
//! in, records and an answer for each item come out.
//!
//! * [`topics`]: create, delete, grow. [`names`]: which names topics may have. [`placement`]: where
//!   replicas go and who leads.
//! * [`configs`]: incremental and legacy changes of configurations; [`config_rules`]: what values
//!   may stand together.
//! * [`leader_election`], [`reassignments`]: leaders and replicas on request.
//! * [`client_quotas`], [`scram`]: limits and credentials of users.
//! * [`brokers`]: registration, fencing, and the elections that follow. [`producer_ids`]: blocks of
//!   ids. [`features`]: what is supported.
//!
//! Nothing is changed here. The caller appends the records as one batch or transaction, waits until
//! they are committed, and only then answers; for `validate_only` it drops them. Error texts are
//! those of Apache Kafka 4.3.1, compared in tests with recorded answers.

mod broker_configs;
pub mod brokers;
pub mod client_quotas;
pub mod config_rules;
pub mod configs;
mod elections;
pub mod features;
pub mod internal_topics;
pub mod leader_election;
pub mod names;
mod partition_growth;
pub mod placement;
pub mod producer_ids;
pub mod reassignments;
pub mod scram;
mod topic_deletion;
pub mod topics;

#[cfg(test)]
mod recorded;

use crate::config::Settings;
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::metadata::records::MetadataRecord;
use crate::metadata::{Delta, Image};

/// What a decision is made against.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// What the cluster knows, with every record that was ever decided.
    pub image: &'a Image,
    /// The configuration of the node that decides.
    pub settings: &'a Settings,
    /// The node that decides.
    pub node: NodeId,
}

/// Why an item of a request was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The error.
    pub code: ErrorCode,
    /// What a person reads; `None` where Kafka says nothing.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal with a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: Some(message.into()),
        }
    }

    /// A refusal without a text.
    #[must_use]
    pub fn bare(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
        }
    }
}

/// Records to be appended together, and an answer for each item of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision<T> {
    /// The records, in order; none where nothing changes.
    pub records: Vec<MetadataRecord>,
    /// The answers.
    pub results: Vec<T>,
}

impl<T> Default for Decision<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            results: Vec::new(),
        }
    }
}

/// The image after records that were just decided against it: they cannot contradict it.
fn apply_all(image: &mut Image, records: &[MetadataRecord]) {
    for record in records {
        let applied = image.apply(record, &mut Delta::default());
        applied.expect("decided against this image");
    }
}
