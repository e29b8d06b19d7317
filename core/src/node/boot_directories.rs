//! What the data directories say at boot: whose they are, and what of each log was on record.

use std::collections::{BTreeMap, BTreeSet};

use super::boot::{BootError, BootOptions};
use super::broker::{Broker, event};
use super::door::Outbox;
use super::folders;
use crate::event::Severity;
use crate::ids::{DirectoryId, DirectoryIndex, LogId, Offset, TopicId, TopicPartition};
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

/// What `meta.properties` of each directory says; checks that they agree and are this node's.
fn owners_of(options: &BootOptions) -> Result<Vec<Option<MetaProperties>>, BootError> {
    let mut owners: Vec<Option<MetaProperties>> = Vec::new();
    for (listing, path) in options.directories.iter().zip(&options.config.log_dirs) {
        let Some(bytes) = listing.file(DirectoryFile::MetaProperties) else {
            if listing
                .folders
                .iter()
                .any(|folder| folder.name == METADATA_FOLDER)
            {
                return Err(BootError(format!(
                    "{path} holds a metadata log but no meta.properties; put the file back or \
                     choose another directory"
                )));
            }
            owners.push(None);
            continue;
        };
        let owner = MetaProperties::parse(bytes)
            .map_err(|error| BootError(format!("{path}/meta.properties {error}")))?;
        if owner.node_id != options.config.node_id {
            return Err(BootError(format!(
                "{path} belongs to node {}, and this is node {}; set node.id={} or choose another \
                 directory",
                owner.node_id, options.config.node_id, owner.node_id
            )));
        }
        if let Some(other) = owners.iter().flatten().next()
            && other.cluster_id != owner.cluster_id
        {
            return Err(BootError(format!(
                "{path} belongs to cluster {}, and the directories before it to cluster {}; all \
                 of log.dirs must be of one cluster",
                owner.cluster_id, other.cluster_id
            )));
        }
        owners.push(Some(owner));
    }
    Ok(owners)
}

/// The metadata log is in the first directory and in no other, and is not missing where there are
/// logs of topics: with another one, or an empty one, those would be logs of topics that nobody
/// knows.
fn check_metadata_log(options: &BootOptions) -> Result<(), BootError> {
    let paths = &options.config.log_dirs;
    let directories = options.directories.iter().zip(paths);
    let is_metadata = |folder: &FolderListing| folder.name == METADATA_FOLDER;
    let is_topic = |folder: &FolderListing| {
        !is_metadata(folder)
            && partition_of(&folder.name).is_some()
            && !folder.partition_metadata.is_empty()
    };
    let elsewhere = directories.clone().skip(1);
    let mut elsewhere =
        elsewhere.filter(|(listing, _path)| listing.folders.iter().any(is_metadata));
    if let Some((_listing, path)) = elsewhere.next() {
        return Err(BootError(format!(
            "there is a metadata log in {path}, and {} is where it belongs, as the first of \
             log.dirs; put {path} first again, or name it as metadata.log.dir",
            paths[0]
        )));
    }
    let has_metadata = options.directories[0].folders.iter().any(is_metadata);
    let mut with_topics = directories.filter(|(listing, _)| listing.folders.iter().any(is_topic));
    if !has_metadata && let Some((_listing, path)) = with_topics.next() {
        return Err(BootError(format!(
            "there are logs of topics in {path}, and no metadata log in {}, the first of \
             log.dirs, that says whose they are; put back {METADATA_FOLDER}, or choose other \
             directories",
            paths[0]
        )));
    }
    Ok(())
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

    /// What is left in the listings is no partition's: folders marked as deleted are removed,
    /// others are put aside under a name that no partition has, for a person to look at.
    pub(super) fn dispose_of_strays(&mut self, broker: &mut Broker, out: &mut Outbox) {
        for (folders, index) in self.folders.iter().zip(0u8..) {
            for folder in folders.values() {
                if folder.name == METADATA_FOLDER || folder.name.ends_with("-stray") {
                    continue;
                }
                let topic = partition_metadata::parse(&folder.partition_metadata);
                // A future log that says of which topic it is may be all there is of a partition.
                let is_deleted = folder.name.ends_with("-delete")
                    || (folder.name.ends_with(FUTURE) && topic.is_none());
                if !is_deleted && topic.is_none() {
                    continue;
                }
                let log = broker.take_log_id();
                out.disk.push(DiskOp::OpenLog {
                    log,
                    directory: DirectoryIndex(index),
                    folder: folder.name.as_str().into(),
                });
                if is_deleted {
                    mark_deleted(log, &folder.name, out);
                    out.disk.push(DiskOp::RemoveLog { log });
                    continue;
                }
                let aside = match folder.name.strip_suffix(FUTURE) {
                    // It is as long as a name may be, and no other folder has it.
                    Some(name) => format!("{name}-stray"),
                    None => folders::stray(&folder.name, topic.unwrap_or(TopicId::ZERO)),
                };
                out.events.push(event(
                    Severity::Warning,
                    &folder.name,
                    format!("belongs to no partition of this node; it is kept as {aside}"),
                ));
                out.disk.push(DiskOp::MarkLogDeleted {
                    log,
                    folder: aside.as_str().into(),
                });
            }
        }
        self.listings.clear();
        self.folders.clear();
    }
}

fn folders_by_name(listing: &mut DirectoryListing) -> BTreeMap<String, FolderListing> {
    let folders = std::mem::take(&mut listing.folders).into_iter();
    folders
        .map(|folder| (folder.name.clone(), folder))
        .collect()
}

/// Removes the folder of a future log that counts no more.
pub(super) fn remove_future(
    broker: &mut Broker,
    directory: DirectoryIndex,
    folder: &str,
    out: &mut Outbox,
) {
    let log = broker.take_log_id();
    out.disk.push(DiskOp::OpenLog {
        log,
        directory,
        folder: folder.into(),
    });
    mark_deleted(log, folder, out);
    out.disk.push(DiskOp::RemoveLog { log });
}

/// Gives a folder that is to be removed a name that says so, if it has none.
fn mark_deleted(log: LogId, folder: &str, out: &mut Outbox) {
    if let Some(name) = folder.strip_suffix(FUTURE) {
        out.disk.push(DiskOp::MarkLogDeleted {
            log,
            folder: format!("{name}-delete").into(),
        });
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BrokerConfig, Settings};
    use crate::ids::NodeId;

    fn folder(name: &str, partition_metadata: &'static [u8]) -> FolderListing {
        FolderListing {
            name: name.to_owned(),
            partition_metadata: partition_metadata.into(),
            ..FolderListing::default()
        }
    }

    fn refusal(first: Vec<FolderListing>, second: Vec<FolderListing>) -> Option<String> {
        let properties = MetaProperties {
            cluster_id: "c".to_owned(),
            node_id: NodeId(1),
            directory_id: TopicId([7; 16]),
        };
        let of = |folders| DirectoryListing {
            files: vec![(DirectoryFile::MetaProperties, properties.to_bytes())],
            folders,
            ..DirectoryListing::default()
        };
        let settings = Settings::load("log.dirs=a,b", &[]).expect("they are valid");
        let options = BootOptions {
            config: BrokerConfig::of(&settings).expect("they go together"),
            settings,
            listeners: Vec::new(),
            directories: vec![of(first), of(second)],
            seed: 7,
        };
        let said = check_metadata_log(&options);
        said.err().map(|error| error.0)
    }

    #[test]
    fn a_metadata_log_in_the_wrong_place_is_left_alone() {
        let metadata = || folder(METADATA_FOLDER, b"");
        let topic = || folder("t-0", b"version: 0");
        assert_eq!(refusal(vec![], vec![]), None);
        assert_eq!(refusal(vec![metadata()], vec![topic()]), None);
        let said = refusal(vec![], vec![metadata(), topic()]).expect("b came first before");
        assert!(said.contains("metadata log in b"), "{said}");
        let said = refusal(vec![topic()], vec![]).expect("somebody removed it");
        assert!(said.contains("no metadata log in a"), "{said}");
        assert_eq!(refusal(vec![folder("lost-1", b"")], vec![]), None);
    }
}
