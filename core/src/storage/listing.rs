//! What a disk holds when a node boots.

use bytes::Bytes;

use super::DirectoryFile;

/// What a data directory held when the node booted: names and sizes, and the small files of the
/// directory itself.
///
/// Unless the directory was left in a clean state ([`DirectoryFile::CleanShutdown`] is there), the
/// driver makes everything in it durable before it lists it. What the last process wrote may be in
/// memory alone, and recovery builds on what it is told: it serves the records, and removes what
/// lies below a log's start because the checkpoint says where that is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DirectoryListing {
    /// Contents of the files directly in the directory that are there.
    pub files: Vec<(DirectoryFile, Bytes)>,
    /// The folders, sorted by name.
    pub folders: Vec<FolderListing>,
    /// The room on its disk; `None` where the driver cannot tell.
    pub space: Option<DiskSpace>,
}

/// The room on the disk that a data directory lies on, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DiskSpace {
    /// All of it.
    pub total_bytes: u64,
    /// What may still be written.
    pub usable_bytes: u64,
}

impl DirectoryListing {
    /// The content of one of the directory's own files; `None` where it is not there.
    #[must_use]
    pub fn file(&self, wanted: DirectoryFile) -> Option<&Bytes> {
        self.files
            .iter()
            .find(|(file, _)| *file == wanted)
            .map(|(_, bytes)| bytes)
    }
}

/// One folder of a data directory at boot.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FolderListing {
    /// The folder's name: `topic-0`, `__cluster_metadata-0`, `topic-0.<id>-delete`.
    pub name: String,
    /// Its files with their sizes in bytes, sorted by name; names are as on disk, including
    /// leftovers.
    pub files: Vec<(String, u64)>,
    /// Content of `partition.metadata`; empty where it is not there.
    pub partition_metadata: Bytes,
    /// Whether there is something in it that is no plain file, or has a name that is no text.
    pub has_others: bool,
}
