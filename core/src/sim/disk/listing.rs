//! What a simulated disk holds, as a process that begins is told.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::files::{DirectoryId, Entry, FileSystem};
use super::{SPACE, SimulatedDisk};
use crate::ids::{DirectoryIndex, Offset};
use crate::storage::{DirectoryFile, DirectoryListing, DiskOp, FolderListing, LogFile};

fn folder_listing(files: &FileSystem, folder: DirectoryId, name: &str) -> FolderListing {
    let metadata = files.content(folder, &LogFile::PartitionMetadata.name());
    FolderListing {
        name: name.to_owned(),
        files: files
            .names(folder)
            .filter_map(|(name, _)| {
                let content = files.content(folder, name)?;
                Some((name.to_string(), u64::from(content.length())))
            })
            .collect(),
        partition_metadata: metadata.map_or_else(Bytes::new, |content| content.to_vec().into()),
        has_others: false,
    }
}

impl SimulatedDisk {
    /// What a node is told of a data directory at boot. As every driver has to (see
    /// [`DirectoryListing`]), it makes all of that durable first, unless the stop was clean.
    #[must_use]
    pub fn list_at_boot(&mut self, directory: DirectoryIndex) -> DirectoryListing {
        let listing = self.listing(directory);
        if listing.file(DirectoryFile::CleanShutdown).is_none() && !listing.folders.is_empty() {
            self.files_mut(directory).sync_all();
        }
        listing
    }

    /// What a data directory holds, durable or not.
    #[must_use]
    pub fn listing(&self, directory: DirectoryIndex) -> DirectoryListing {
        let files = self.files(directory);
        let mut listing = DirectoryListing {
            space: Some(SPACE),
            ..DirectoryListing::default()
        };
        for (name, entry) in files.names(DirectoryId::ROOT) {
            match entry {
                Entry::File(_) => {
                    let content = files.content(DirectoryId::ROOT, name);
                    if let (Some(file), Some(content)) = (DirectoryFile::parse(name), content) {
                        listing.files.push((file, content.to_vec().into()));
                    }
                }
                Entry::Folder(folder) => listing.folders.push(folder_listing(files, folder, name)),
            }
        }
        listing
    }

    /// Lengths of the `.log` files of the folder an `OpenLog` names.
    pub(super) fn lengths_at_boot(&self, op: &DiskOp) -> BTreeMap<Offset, u32> {
        let DiskOp::OpenLog {
            directory, folder, ..
        } = op
        else {
            return BTreeMap::new();
        };
        let files = self.files(*directory);
        let folder = files
            .folder(folder)
            .expect("OpenLog names a folder that is there");
        files
            .names(folder)
            .filter_map(|(name, _)| {
                let Some(LogFile::Log(base)) = LogFile::parse(name) else {
                    return None;
                };
                Some((base, files.content(folder, name)?.length()))
            })
            .collect()
    }
}
