//! What a parked request waits for.

use crate::api::fetch::FetchWait;
use crate::api::group_writes::GroupsWait;
use crate::api::list_offsets::OffsetsWait;
use crate::api::produce::ProduceWait;
use crate::ids::Offset;
use crate::wire::request::Reply;

/// A parked request, by what ends its wait.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "parked in place; a box would cost each produce request an allocation"
)]
pub enum Wait {
    /// A change of the metadata: answered once its records are committed and applied here.
    Admin(AdminWait),
    /// A Fetch: answered when there is enough to say.
    Fetch(FetchWait),
    /// A change of groups: answered when all of it is written.
    Groups(GroupsWait),
    /// A ListOffsets: answered when every time was looked up.
    Offsets(OffsetsWait),
    /// A Produce: answered when its records are acknowledged.
    Produce(ProduceWait),
    /// An answer that holds once files are saved.
    Saved(SavedWait),
}

/// An answer that holds once files are saved.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedWait {
    /// How many files are still to be saved.
    pub left: u32,
    /// The answer once they are.
    pub reply: Reply,
    /// The answer if they are not in time.
    pub timed_out: Reply,
}

/// The answer to a change of the metadata, for when the change holds.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminWait {
    /// End offset of the change in the metadata log.
    pub end_offset: Offset,
    /// The answer once it is applied.
    pub reply: Reply,
    /// The answer if it is not applied in time.
    pub timed_out: Reply,
}
