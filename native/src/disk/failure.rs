//! What a failed call means for the contract: a full disk can be outlived, anything else is final.
//!
//! Source: point 5 of the contract in `ottla_core::storage`; reliability of `fsync` after an error
//! is why nothing final is ever tried again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_core::storage::DiskError;

/// Why a change did not happen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// The directory cannot be trusted any more; the text names the path.
    Final(Arc<str>),
    /// No space, quota or file size is left: nothing is broken.
    Full,
}

impl Failure {
    /// Judges an error that came from work on `path`.
    pub(crate) fn of(error: &io::Error, path: &Path) -> Self {
        let is_full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        if is_full {
            Self::Full
        } else {
            Self::Final(format!("{}: {error}", path.display()).into())
        }
    }

    /// The failure in the core's words.
    pub(crate) fn error(&self) -> DiskError {
        match self {
            Self::Final(reason) => DiskError::Io(Arc::clone(reason)),
            Self::Full => DiskError::Full,
        }
    }
}
