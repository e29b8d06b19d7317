//! What a disk answers.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Token, WorkDone};
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};

/// What a disk answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiskDone {
    /// Everything of the log below `end_offset` is written.
    Appended {
        /// The log.
        log: LogId,
        /// The generation of the appends.
        generation: Generation,
        /// Exclusive end.
        end_offset: Offset,
    },
    /// The log's folder is there.
    Created {
        /// The log.
        log: LogId,
    },
    /// An operation failed: see the contract, point 5.
    Failed {
        /// What failed.
        scope: FailureScope,
        /// How.
        error: DiskError,
    },
    /// The bytes of a job's read.
    Read {
        /// The log.
        log: LogId,
        /// As in the operation.
        token: Token,
        /// The bytes, or why there are none.
        result: Result<Bytes, DiskError>,
    },
    /// A file was replaced, or removed, durably.
    Saved {
        /// As in the operation.
        token: Token,
    },
    /// Everything of the log below `end_offset` is durable.
    Synced {
        /// The log.
        log: LogId,
        /// The generation of the sync.
        generation: Generation,
        /// Exclusive end.
        end_offset: Offset,
    },
    /// The log was cut; `generation` has begun.
    Truncated {
        /// The log.
        log: LogId,
        /// The generation that began.
        generation: Generation,
        /// The log's end offset.
        end_offset: Offset,
    },
    /// A computation is done.
    Worked {
        /// As in the operation.
        token: Token,
        /// What came of it.
        result: WorkDone,
    },
}

impl DiskDone {
    /// The log it concerns; `None` where that is a directory or a file of the node's own.
    #[must_use]
    pub fn log(&self) -> Option<LogId> {
        match self {
            Self::Appended { log, .. }
            | Self::Created { log }
            | Self::Read { log, .. }
            | Self::Synced { log, .. }
            | Self::Truncated { log, .. } => Some(*log),
            Self::Failed { scope, .. } => match scope {
                FailureScope::Append { log, .. } => Some(*log),
                FailureScope::Directory(_) => None,
                FailureScope::Save(token) => token.log(),
            },
            Self::Saved { token } | Self::Worked { token, .. } => token.log(),
        }
    }
}

/// How far a failure reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureScope {
    /// A change of one log did not fit ([`DiskError::Full`]): its generation is over at `written`.
    Append {
        /// The log.
        log: LogId,
        /// The generation that is over.
        generation: Generation,
    },
    /// The directory is lost to this incarnation of the node.
    Directory(DirectoryIndex),
    /// A save did not happen; the old file stands.
    Save(Token),
}

/// Why a disk did not do what it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiskError {
    /// No space is left.
    Full,
    /// Any other failure, in the operating system's words, with the path.
    Io(Arc<str>),
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("no space left on the device"),
            Self::Io(reason) => f.write_str(reason),
        }
    }
}
