//! Work that needs no disk, only time: what no turn should do.

use crate::log::compaction::{Piece, PieceDone};

/// A computation that carries all it needs. It reads no clock, holds no lock and touches no file:
/// its result is the same wherever and whenever it is run, and however often.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Work {
    /// A piece of a log is looked into by a compaction.
    Compaction(Piece),
}

/// The result of a [`Work`] of the same name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WorkDone {
    /// What the compaction found and made.
    Compaction(PieceDone),
}

impl Work {
    /// Does it. A driver calls this where nobody waits for the node meanwhile.
    #[must_use]
    pub fn run(self) -> WorkDone {
        match self {
            Self::Compaction(piece) => WorkDone::Compaction(piece.run()),
        }
    }
}
