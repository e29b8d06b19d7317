//! What the data directories say at boot: whose they are, and what of each log was on record.

mod ownership;
mod strays;

use std::collections::{BTreeMap, BTreeSet};

use self::ownership::{check_metadata_log, owners_of};
pub(super) use self::strays::remove_folder;
use super::boot::{BootError, BootOptions};
use super::broker::event;
use super::door::Outbox;
use crate::event::Severity;
use crate::ids::{DirectoryId, DirectoryIndex, Offset, TopicId, TopicPartition};
use crate::log::checkpoint::parse_offsets;
use crate::log::partition_metadata;
use crate::mutants::mutant;
use crate::quorum::directory::MetaProperties;
use crate::quorum::{METADATA_FOLDER, format};
use crate::rng::Rng;
use crate::storage::{
    DirectoryFile, DirectoryListing, DiskOp, DiskSpace, FolderListing, LogFile, Token,
};
use crate::time::Now;

/// How the folder of a log ends that is not yet the one its partition has.
const FUTURE: &str = "-future";

/// Offsets on record, by what the directory's own files say: a log that moved may be in those of
/// two.
type Recorded = BTreeMap<(DirectoryIndex, TopicPartition), Offset>;

/// The directories of a node that boots.
#[derive(Clone, Debug)]
pub(super) struct Directories {
    /// The cluster they belong to.
    pub(super) cluster_id: String,
    /// Their ids, in the order of `log.dirs`.
    pub(super) ids: Vec<DirectoryId>,
    listings: Vec<DirectoryListing>,
    /// The folders of each, by name; those that are somebody's are taken out.
    folders: Vec<BTreeMap<String, FolderListing>>,
    clean: Vec<bool>,
    recovery_points: Recorded,
    log_start_offsets: Recorded,
    cleaner_offsets: Recorded,
}

/// Reads what the directories say of themselves, and formats new ones.
pub(super) fn inspect(
    now: Now,
    options: &mut BootOptions,
    rng: &mut Rng,
    out: &mut Outbox,
) -> Result<Directories, BootError> {
    assert!(
        !options.directories.is_empty(),
        "a node has a data directory"
    );
    let owners = owners_of(options)?;
    check_metadata_log(options)?;
    let cluster_id = match owners.iter().flatten().next() {
        Some(owner) => owner.cluster_id.clone(),
        None => random_id(rng).to_string(),
    };
    let mut listings = std::mem::take(&mut options.directories);
    let mut directories = Directories {
        cluster_id,
        ids: Vec::new(),
        folders: listings.iter_mut().map(folders_by_name).collect(),
        listings,
        clean: Vec::new(),
        recovery_points: Recorded::new(),
        log_start_offsets: Recorded::new(),
        cleaner_offsets: Recorded::new(),
    };
    for (at, owner) in owners.into_iter().enumerate() {
        let index = DirectoryIndex(u8::try_from(at).expect("log.dirs is bounded"));
        match owner {
            Some(owner) => directories.ids.push(owner.directory_id),
            None => {
                let id = random_id(rng);
                directories.ids.push(id);
                directories.format(now, index, options, out);
            }
        }
        directories.read_records(index, out);
    }
    Ok(directories)
}

impl Directories {
    fn format(&mut self, now: Now, index: DirectoryIndex, options: &BootOptions, out: &mut Outbox) {
        let mut save = |file, bytes| {
            out.disk.push(DiskOp::SaveDirectoryFile {
                directory: index,
                file,
                bytes,
                token: Token::of_node(0),
            });
        };
        save(
            DirectoryFile::BootstrapCheckpoint,
            format::bootstrap_checkpoint(now.wall),
        );
        let properties = MetaProperties {
            cluster_id: self.cluster_id.clone(),
            node_id: options.config.node_id,
            directory_id: self.ids[usize::from(index.0)],
        };
        // Last: a directory without it is formatted again.
        save(DirectoryFile::MetaProperties, properties.to_bytes());
    }

    /// Reads the clean-shutdown marker and the checkpoints of a directory. The marker is removed
    /// before anything is written, so that it never vouches for a later run (R58).
    fn read_records(&mut self, index: DirectoryIndex, out: &mut Outbox) {
        let listing = &self.listings[usize::from(index.0)];
        let is_clean = listing.file(DirectoryFile::CleanShutdown).is_some();
        self.clean.push(is_clean);
        if is_clean && !mutant!(M29) {
            out.disk.push(DiskOp::RemoveDirectoryFile {
                directory: index,
                file: DirectoryFile::CleanShutdown,
                token: Token::of_node(0),
            });
        }
        for (file, offsets) in [
            (DirectoryFile::RecoveryPoints, &mut self.recovery_points),
            (DirectoryFile::LogStartOffsets, &mut self.log_start_offsets),
            (DirectoryFile::CleanerOffsets, &mut self.cleaner_offsets),
        ] {
            let Some(bytes) = listing.file(file) else {
                continue;
            };
            match parse_offsets(bytes) {
                Ok(parsed) => {
                    let parsed = parsed.into_iter();
                    offsets.extend(parsed.map(|(name, offset)| ((index, name), offset)));
                }
                Err(damage) => out.events.push(event(
                    Severity::Warning,
                    file.name(),
                    format!("{damage}; its logs are checked from their beginning"),
                )),
            }
        }
    }

    /// Whether the node stopped in order, as far as a directory is concerned.
    pub(super) fn is_clean(&self, directory: DirectoryIndex) -> bool {
        self.clean[usize::from(directory.0)]
    }

    /// Whether the node stopped in order.
    pub(super) fn are_clean(&self) -> bool {
        self.clean.iter().all(|&is_clean| is_clean)
    }

    /// The folder of this name in a directory.
    pub(super) fn folder(&self, directory: DirectoryIndex, name: &str) -> Option<FolderListing> {
        let folders = &self.folders[usize::from(directory.0)];
        folders.get(name).cloned()
    }

    /// The room on the disk of each directory, as it was found.
    pub(super) fn spaces(&self) -> BTreeMap<DirectoryIndex, DiskSpace> {
        let found = (0u8..).map(DirectoryIndex).zip(&self.listings);
        found
            .filter_map(|(index, listing)| Some((index, listing.space?)))
            .collect()
    }

    /// Takes the folder of a partition out of the listings; where there are two, that of the
    /// directory which the metadata says it is in.
    pub(super) fn take_log(
        &mut self,
        name: &str,
        topic: TopicId,
        assigned: Option<DirectoryId>,
    ) -> Option<(DirectoryIndex, FolderListing)> {
        let assigned = self.ids.iter().position(|id| Some(*id) == assigned);
        let order = assigned.into_iter().chain(0..self.listings.len());
        for at in order.collect::<Vec<_>>() {
            let folders = &mut self.folders[at];
            if let Some(folder) = folders.get(name)
                && (mutant!(M41)
                    || partition_metadata::parse(&folder.partition_metadata) == Some(topic))
            {
                let folder = folders.remove(name).expect("it was there just now");
                let index = u8::try_from(at).expect("log.dirs is bounded");
                return Some((DirectoryIndex(index), folder));
            }
        }
        None
    }

    /// Takes the future logs of a partition out of the listings.
    pub(super) fn take_futures(
        &mut self,
        name: &str,
        topic: TopicId,
    ) -> Vec<(DirectoryIndex, FolderListing)> {
        let prefix = format!("{name}.");
        let mut taken = Vec::new();
        for (folders, index) in self.folders.iter_mut().zip(0u8..) {
            let index = DirectoryIndex(index);
            let of_name = folders.range(prefix.clone()..);
            let found = of_name
                .take_while(|(name, _folder)| name.starts_with(&prefix))
                .filter(|(name, folder)| {
                    name.ends_with(FUTURE)
                        && partition_metadata::parse(&folder.partition_metadata) == Some(topic)
                });
            let found: Vec<String> = found.map(|(name, _folder)| name.clone()).collect();
            let folders = found.iter().filter_map(|name| folders.remove(name));
            taken.extend(folders.map(|folder| (index, folder)));
        }
        taken
    }

    /// Puts the folder of a future log back, to be put aside with what belongs to nobody.
    pub(super) fn put_back(&mut self, directory: DirectoryIndex, folder: FolderListing) {
        let folders = &mut self.folders[usize::from(directory.0)];
        folders.insert(folder.name.clone(), folder);
    }

    /// The newest snapshot of the metadata log.
    pub(super) fn newest_snapshot(&self) -> Option<(Offset, i32)> {
        let folder = self.folder(DirectoryIndex(0), METADATA_FOLDER)?;
        let snapshots = folder
            .files
            .iter()
            .filter_map(|(name, _)| match LogFile::parse(name) {
                Some(LogFile::Snapshot(offset, epoch)) => Some((offset, epoch)),
                _other => None,
            });
        snapshots.max()
    }

    /// The logs on record that were not found, but for the metadata log.
    pub(super) fn names_on_record_beside<'a>(
        &'a self,
        found: &'a BTreeSet<TopicPartition>,
    ) -> impl Iterator<Item = &'a TopicPartition> {
        let metadata = partition_of(METADATA_FOLDER);
        let names = self
            .recovery_points
            .keys()
            .chain(self.log_start_offsets.keys())
            .chain(self.cleaner_offsets.keys());
        names
            .map(|(_directory, name)| name)
            .filter(move |name| metadata.as_ref() != Some(*name) && !found.contains(*name))
    }

    /// The recovery point on record for a log, by its folder.
    pub(super) fn recovery_point(&self, directory: DirectoryIndex, folder: &str) -> Option<Offset> {
        let key = (directory, partition_of(folder)?);
        self.recovery_points.get(&key).copied()
    }

    /// The log start offset on record for a log, by its folder.
    pub(super) fn log_start_offset(
        &self,
        directory: DirectoryIndex,
        folder: &str,
    ) -> Option<Offset> {
        let key = (directory, partition_of(folder)?);
        self.log_start_offsets.get(&key).copied()
    }

    /// How far a log is compacted, as far as that is on record, by its folder.
    pub(super) fn cleaned_to(&self, directory: DirectoryIndex, folder: &str) -> Option<Offset> {
        let key = (directory, partition_of(folder)?);
        self.cleaner_offsets.get(&key).copied()
    }
}

fn folders_by_name(listing: &mut DirectoryListing) -> BTreeMap<String, FolderListing> {
    let folders = std::mem::take(&mut listing.folders).into_iter();
    folders
        .map(|folder| (folder.name.clone(), folder))
        .collect()
}

/// The partition whose log lies in a folder of this name.
fn partition_of(folder: &str) -> Option<TopicPartition> {
    let (topic, index) = folder.rsplit_once('-')?;
    Some(TopicPartition {
        topic: topic.into(),
        partition: crate::ids::PartitionIndex(index.parse().ok()?),
    })
}

/// A random id whose text does not begin with a dash, as Kafka makes them.
fn random_id(rng: &mut Rng) -> DirectoryId {
    loop {
        let mut bytes = [0; 16];
        rng.fill(&mut bytes);
        let id = TopicId(bytes);
        if !id.to_string().starts_with('-') && !id.is_zero() && id != TopicId::METADATA {
            return id;
        }
    }
}
