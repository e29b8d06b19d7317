//! What a producer is made with.
//!
//! Defaults are the Java client's, 4.3.1.

use std::time::Duration;

use super::KeyHash;
use crate::client::network::NetworkOptions;
use crate::wire::batch::Compression;

/// Whose acknowledgement a record waits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Acks {
    /// Every in-sync replica's.
    #[default]
    All,
    /// The leader's.
    Leader,
    /// Nobody's.
    None,
}

impl Acks {
    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

/// When and how often to try again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// Wait before the first retry; doubles with each.
    pub backoff: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
    /// Retries of one batch, at most.
    pub retries_max: u32,
    /// Whether a batch that may have been written is sent again without idempotence, at the risk
    /// of a duplicate.
    pub retries_unknown: bool,
}

impl RetryPolicy {
    /// Kafka's Java client by default: until the delivery timeout.
    #[must_use]
    pub fn java() -> Self {
        Self {
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            retries_max: u32::MAX,
            retries_unknown: true,
        }
    }

    /// librdkafka by default, which gives up without idempotence where a duplicate is possible and
    /// `retries` is 0.
    #[must_use]
    pub fn librdkafka(retries: u32) -> Self {
        Self {
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            retries_max: retries,
            retries_unknown: retries > 0,
        }
    }
}

/// What a producer is made with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProducerOptions {
    /// Where the cluster is.
    pub network: NetworkOptions,
    /// Whose acknowledgement to wait for.
    pub acks: Acks,
    /// Size at which a batch is closed, before compression.
    pub batch_bytes_max: usize,
    /// Codec of batches.
    pub compression: Compression,
    /// How long a record may wait altogether (`delivery.timeout.ms`).
    pub delivery_timeout: Duration,
    /// Requests in flight to one node; order needs 1, or idempotence and at most 5.
    pub in_flight_max: usize,
    /// Whether batches carry a producer id and sequences; needs acks of all.
    pub is_idempotent: bool,
    /// How keys are hashed.
    pub key_hash: KeyHash,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Size at which a request takes no further batch, and that no record exceeds
    /// (`max.request.size`).
    pub request_bytes_max: usize,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Seed of the choice of partitions for records without a key.
    pub seed: u64,
}

impl ProducerOptions {
    /// The Java client's defaults.
    #[must_use]
    pub fn new(network: NetworkOptions) -> Self {
        Self {
            network,
            acks: Acks::All,
            batch_bytes_max: 16 * 1024,
            compression: Compression::None,
            delivery_timeout: Duration::from_secs(120),
            in_flight_max: 5,
            is_idempotent: true,
            key_hash: KeyHash::Murmur2,
            linger: Duration::from_millis(5),
            request_bytes_max: 1024 * 1024,
            retry: RetryPolicy::java(),
            seed: 0,
        }
    }
}
