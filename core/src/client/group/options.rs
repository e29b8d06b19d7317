//! What a member is made with, and what it tells its caller.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client::consumer::{ConsumeError, ConsumerOptions};
use crate::client::group::assignor::Assignor;
use crate::client::network::{CallError, NetworkOptions};
use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, TopicPartition};

/// Which topics a member wants, by their names: a regular expression of the caller's.
///
/// Must say the same of the same name each time.
pub trait TopicMatcher: fmt::Debug + Send + Sync {
    /// Whether a topic of this name is wanted.
    fn matches(&self, name: &str) -> bool;
}

/// What a member is made with.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// How records are fetched, and where to begin where the group has no offset
    /// (`auto.offset.reset` is its `reset`).
    pub consumer: ConsumerOptions,
    /// The group (`group.id`).
    pub group_id: Arc<str>,
    /// The member's name, which makes it a static one (`group.instance.id`).
    pub instance_id: Option<Arc<str>>,
    /// Where it is (`client.rack`).
    pub rack: Option<Arc<str>>,
    /// Strategies it can do, the preferred one first; at least one.
    pub assignors: Vec<Assignor>,
    /// Time between automatic commits (`auto.commit.interval.ms`); `None` for none.
    pub auto_commit: Option<Duration>,
    /// How long a commit is tried, and anything else that has no time of its own
    /// (`default.api.timeout.ms`).
    pub call_timeout: Duration,
    /// Whether unknown topics are to be created by asking (`allow.auto.create.topics`).
    pub creates_topics: bool,
    /// Whether matching leaves Kafka's own topics out (`exclude.internal.topics`).
    pub excludes_internal_topics: bool,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// Longest time between two polls, and the time a rebalance may take (`max.poll.interval.ms`).
    pub max_poll_interval: Duration,
    /// Age at which metadata are asked again (`metadata.max.age.ms`).
    pub metadata_age_max: Duration,
    /// `session.timeout.ms`.
    pub session_timeout: Duration,
}

impl GroupOptions {
    /// The Java client's defaults.
    #[must_use]
    pub fn new(network: NetworkOptions, group_id: &str) -> Self {
        Self {
            consumer: ConsumerOptions::new(network),
            group_id: group_id.into(),
            instance_id: None,
            rack: None,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            auto_commit: Some(Duration::from_secs(5)),
            call_timeout: Duration::from_secs(60),
            creates_topics: true,
            excludes_internal_topics: true,
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            metadata_age_max: Duration::from_secs(300),
            session_timeout: Duration::from_secs(45),
        }
    }
}

/// A commit; never reused by one member.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CommitId(pub u64);

/// What is committed for a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commit {
    /// The offset to read next.
    pub offset: Offset,
    /// The epoch of the last record before it; `NONE` where it is not known.
    pub leader_epoch: LeaderEpoch,
    /// The caller's words.
    pub metadata: Arc<str>,
}

impl Commit {
    /// An offset, and nothing more.
    #[must_use]
    pub fn at(offset: Offset) -> Self {
        Self {
            offset,
            leader_epoch: LeaderEpoch::NONE,
            metadata: "".into(),
        }
    }
}

/// Why a commit failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommitError {
    /// The coordinator's answer.
    Broker(ErrorCode),
    /// The coordinator could not be asked in time.
    Call(CallError),
    /// The member is not in the group any more; its partitions are another's.
    NotMember,
    /// A rebalance is under way; commit again after it.
    Rebalancing,
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(code) => f.write_str(code.name()),
            Self::Call(error) => error.fmt(f),
            Self::NotMember => f.write_str("the member is not part of the group any more"),
            Self::Rebalancing => f.write_str("the group is rebalancing"),
        }
    }
}

/// Why a member has stopped for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupError {
    /// The coordinator refused it.
    Broker(ErrorCode),
    /// A broker cannot be asked that.
    Call(CallError),
    /// The group has no offset for a partition, and there is no rule where to begin.
    NoOffset(TopicPartition),
    /// The group agreed on something that this member does not know.
    Protocol(&'static str),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(code) => f.write_str(code.name()),
            Self::Call(error) => error.fmt(f),
            Self::NoOffset(partition) => {
                write!(
                    f,
                    "Undefined offset with no reset policy for partition {partition}"
                )
            }
            Self::Protocol(what) => f.write_str(what),
        }
    }
}

/// What a member tells its caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupEvent {
    /// A rebalance ended; these partitions are new. May be none.
    Assigned(BTreeSet<TopicPartition>),
    /// A commit ended, asked for or automatic.
    Committed {
        /// The commit.
        id: CommitId,
        /// What it was to commit.
        offsets: BTreeMap<TopicPartition, Commit>,
        /// Whether it did.
        result: Result<(), CommitError>,
    },
    /// The member has stopped for good.
    Failed(GroupError),
    /// These partitions are gone without notice; others may read them already.
    Lost(BTreeSet<TopicPartition>),
    /// These partitions will be gone; what was read of them can still be committed.
    Revoked(BTreeSet<TopicPartition>),
    /// A partition cannot be read at the moment, or at all.
    Trouble {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong.
        error: ConsumeError,
    },
}
