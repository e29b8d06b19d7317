//! Judges that stand outside the node.
//!
//! They see what left a node (replies, disk operations) and what lies on its disk, and share no
//! code with what they judge: files are parsed here a second time, from Kafka's format. Numbers
//! such as R54 name the invariants of the project's reliability rules; `ARCHITECTURE.md` lists
//! those.
//!
//! | invariant | what it says | judge |
//! |---|---|---|
//! | R28 | the epochs of a log are those of its batches | `log_files` |
//! | R41, R42 | what was served at an offset stays, and was committed | `door`, `durability` |
//! | R47 | nobody goes on with the log of a deleted topic | `topics` |
//! | R50, R51 | nothing promised is gone, nothing is invented, recovery goes on | `durability` |
//! | R52 | no batch with a wrong sum is served | `durability` |
//! | R53 | damage stays where it is | `run::damage` |
//! | R54, R55, R56 | batches, indexes and snapshots agree | `log_files`, `durability` |
//! | R57 | recovery points promise what is there, files are old or new | `durability`, `saved` |
//! | R58 | the marker of an orderly stop tells the truth | `durability` |
//! | R59 | retention takes the oldest segments first | `durability` |
//! | R60 | compaction keeps the last of each key, and takes only what is durable | `compaction` |
//! | R61, R63 | whole batches or none, with the bytes that were sent | `durability` |
//! | R62 | times are the append's and do not go back, or the producer's and near enough | `times` |
//! | R64 | a disk whose sync failed acknowledges nothing | `door` |
//! | R65, R67 | sequences have no gap, epochs do not go back | `sequences` |
//! | R66 | a retry appends nothing, what comes after is not refused | the producers themselves |
//! | R79 - R83 | owners, generations, fencing, committed offsets and their expiry | `groups` |
//! | R84, R85 | nothing is told of a part of the groups, or against their log | `groups` |
//! | R86 | who is heard of is not dropped | `groups` |
//! | R92 | nothing is held beyond its bound, or for nobody | `accounts` |
//! | R94 | who does too much is told how long to wait, and waits as long | `quotas` |
//! | R87, R88, R95 | one answer to each request, in time, that says why | `door`, `groups` |

pub mod accounts;
pub mod checkpoint;
mod cleaned;
pub mod compaction;
pub mod consumed;
pub mod door;
pub mod durability;
pub mod groups;
pub mod log_files;
pub mod log_image;
pub mod quotas;
pub mod saved;
pub mod sequences;
mod swapped;
pub mod times;
pub mod topics;

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
