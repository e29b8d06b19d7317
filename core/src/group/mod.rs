//! The coordinator of classic groups and of committed offsets.
//!
//! One [`Shard`] for each `__consumer_offsets` partition this node leads. A shard is a machine
//! without a log: records leave it as [`GroupWrite`]s, and come back as [`Shard::on_committed`] or
//! [`Shard::on_write_failed`]; requests that wait (joins, syncs, commits) are kept by the shard
//! itself with the place of their answer. It reads no clock and draws no entropy of its own.
//!
//! Invariants:
//! * Each request is answered exactly once, now or in a later [`GroupEffects`].
//! * What OffsetFetch shows is committed: a replay of the log up to the last committed write gives
//!   the same offsets, and the same group where it is Stable or Empty and nothing is in flight.
//! * A write that failed leaves nothing behind.
//! * Generations of a group only grow, as long as it is there and until they begin at 1 again after
//!   2^31 - 1; in one generation a member gets one assignment.
//! * Nothing is answered from a shard that is still loading, or that resigned.
//!
//! Deliberately absent: consumer groups (KIP-848), share groups and transactional offsets. Their
//! records in a log are passed over; they will be further kinds of group beside the classic one,
//! and a further door for offsets. Kafka classes to compare: `GroupMetadataManager`,
//! `ClassicGroup`, `OffsetMetadataManager` (4.3.1).

mod classic;
mod cleanup;
mod commit;
mod delete;
mod describe;
mod effects;
mod fetch;
mod figures;
mod join;
mod member;
mod members;
mod offsets;
mod placement;
mod rebalance;
mod record;
mod reply;
mod settings;
mod shard;
mod shared;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod writes;

pub use describe::GroupFilter;
pub use effects::{Caller, GroupEffects, GroupRecord, GroupReply, GroupWrite, WriteId};
pub use figures::GroupFigures;
pub use placement::partition_of;
pub use record::{
    GroupMetadata, MemberMetadata, OffsetCommit, OffsetKey, Record, RecordError, RecordKey,
};
pub use settings::GroupSettings;
pub use shard::Shard;

use kafka_wire_core::StrBytes;

/// A group's name. Kept ones own their bytes and no frame.
pub type GroupId = StrBytes;

/// A member's name, given by the coordinator.
pub type MemberId = StrBytes;

/// A copy that keeps no frame alive.
fn owned(text: &StrBytes) -> StrBytes {
    StrBytes::from(text.as_str())
}
