//! Judges that stand outside the node.
//!
//! They see what left a node (replies, disk operations) and what lies on its disk, and share no
//! code with what they judge: files are parsed here a second time, from Kafka's format. Numbers
//! such as R54 name the invariants of the project's reliability rules; `ARCHITECTURE.md` lists
//! those.

pub mod compaction;
pub mod consumed;
pub mod door;
pub mod durability;
pub mod groups;
pub mod log_files;
pub mod log_image;
pub mod saved;
pub mod sequences;
mod swapped;

use std::fmt;

/// An invariant that did not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which one: `R50`.
    pub check: &'static str,
    /// What was seen, and what should have been.
    pub what: String,
}

impl Violation {
    /// A violation of `check`.
    #[must_use]
    pub fn new(check: &'static str, what: String) -> Self {
        Self { check, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.what)
    }
}
