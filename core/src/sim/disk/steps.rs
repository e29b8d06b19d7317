//! From one disk operation to the system calls a careful driver would make for it.
//!
//! A crash may fall between any two steps, so their order is the order of `crate::storage`'s
//! contract: temporary file, sync, rename, sync of the directory; the cut, its sync, then the
//! removal of later segments. Steps name files, and find them when they are carried out.

use std::sync::Arc;

use bytes::Bytes;

use super::files::{DirectoryId, Entry, FileSystem};
use crate::ids::Offset;
use crate::mutants::mutant;
use crate::storage::{LogFile, StampedBatch};

/// Suffix of the files of a segment marked as deleted.
pub(super) const DELETED_SUFFIX: &str = ".deleted";

/// Suffix of a file being replaced whole.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// One system call of the driver.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Makes or empties a file.
    Create(DirectoryId, Arc<str>),
    /// Removes a name.
    Remove(DirectoryId, Arc<str>),
    /// Renames within a directory.
    Rename(DirectoryId, Arc<str>, Arc<str>),
    /// Cuts or extends a file.
    SetLength(DirectoryId, Arc<str>, u32),
    /// Makes a directory's names durable.
    SyncDirectory(DirectoryId),
    /// Makes a file's bytes durable.
    SyncFile(DirectoryId, Arc<str>),
    /// Writes bytes.
    Write(DirectoryId, Arc<str>, u32, Bytes),
}

impl Step {
    /// Carries the step out.
    pub(super) fn apply(&self, files: &mut FileSystem) {
        match self {
            Self::Create(directory, name) => files.create_file(*directory, name),
            Self::Remove(directory, name) => files.remove(*directory, name),
            Self::Rename(directory, from, to) => files.rename(*directory, from, to),
            Self::SetLength(directory, name, length) => {
                files.set_length(*directory, name, *length);
            }
            Self::SyncDirectory(directory) => files.sync_directory(*directory),
            Self::SyncFile(directory, name) => files.sync_file(*directory, name),
            Self::Write(directory, name, position, bytes) => {
                files.write(*directory, name, *position, bytes);
            }
        }
    }

    /// Whether it is a sync, which is slow and may fail.
    pub(super) fn is_sync(&self) -> bool {
        matches!(self, Self::SyncDirectory(_) | Self::SyncFile(..))
    }
}

/// One vectored write of batches; `cut` splits it in two calls, as a short write would.
pub(super) fn append(
    folder: DirectoryId,
    segment: Offset,
    position: u32,
    batches: &[StampedBatch],
    cut: Option<u32>,
) -> Vec<Step> {
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend_from_slice(&batch.stamp);
        bytes.extend_from_slice(&batch.body);
    }
    let name: Arc<str> = LogFile::Log(segment).name().into();
    let bytes = Bytes::from(bytes);
    match cut {
        Some(cut) if (cut as usize) < bytes.len() && cut > 0 => vec![
            Step::Write(
                folder,
                Arc::clone(&name),
                position,
                bytes.slice(..cut as usize),
            ),
            Step::Write(folder, name, position + cut, bytes.slice(cut as usize..)),
        ],
        Some(_) | None => vec![Step::Write(folder, name, position, bytes)],
    }
}

/// Cuts an index where the new entries begin, and writes them.
pub(super) fn append_index(
    folder: DirectoryId,
    file: LogFile,
    position: u32,
    bytes: &Bytes,
) -> Vec<Step> {
    let name: Arc<str> = file.name().into();
    vec![
        Step::SetLength(folder, Arc::clone(&name), position),
        Step::Write(folder, name, position, bytes.clone()),
    ]
}

/// Replaces a file whole and durably.
pub(super) fn replace(directory: DirectoryId, name: &str, bytes: &Bytes) -> Vec<Step> {
    let temporary: Arc<str> = format!("{name}{TEMPORARY_SUFFIX}").into();
    let mut steps = vec![
        Step::Create(directory, Arc::clone(&temporary)),
        Step::Write(directory, Arc::clone(&temporary), 0, bytes.clone()),
        Step::SyncFile(directory, Arc::clone(&temporary)),
        Step::Rename(directory, temporary, name.into()),
    ];
    if !mutant!(M32) {
        steps.push(Step::SyncDirectory(directory));
    }
    steps
}

/// Makes everything appended to a log durable, with the names it lies under, and the indexes of
/// segments that are no longer appended to. `with_active_index` says whether the driver takes those
/// of the last segment along; the contract does not ask for it.
pub(super) fn sync(files: &FileSystem, folder: DirectoryId, with_active_index: bool) -> Vec<Step> {
    let logs = files
        .names(folder)
        .filter_map(|(name, _)| match LogFile::parse(name) {
            Some(LogFile::Log(base)) => Some(base),
            _other => None,
        });
    let active = logs.max();
    let is_synced = |name: &str| match LogFile::parse(name) {
        Some(LogFile::Log(_) | LogFile::PartitionMetadata) => true,
        Some(
            LogFile::OffsetIndex(base) | LogFile::TimeIndex(base) | LogFile::TransactionIndex(base),
        ) => with_active_index || Some(base) != active,
        Some(
            LogFile::LeaderEpochs
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..)
            | LogFile::Swap(_),
        )
        | None => false,
    };
    let mut steps: Vec<Step> = files
        .names(folder)
        .filter(|(name, _)| is_synced(name) && files.is_dirty(folder, name))
        .map(|(name, _)| Step::SyncFile(folder, Arc::clone(name)))
        .collect();
    if files.has_pending_names(folder) {
        steps.push(Step::SyncDirectory(folder));
    }
    if files.has_pending_names(DirectoryId::ROOT) {
        steps.push(Step::SyncDirectory(DirectoryId::ROOT));
    }
    steps
}

/// Makes every log durable with all of its indexes, before the marker of a clean stop.
pub(super) fn sync_everything(files: &FileSystem) -> Vec<Step> {
    files
        .names(DirectoryId::ROOT)
        .filter_map(|(_, entry)| match entry {
            Entry::Folder(folder) => Some(sync(files, folder, true)),
            Entry::File(_) => None,
        })
        .flatten()
        .collect()
}

/// Cuts a log. The later segments go first, newest first, and durably, so that a crash in between
/// never leaves a hole before a segment.
pub(super) fn truncate(
    files: &FileSystem,
    folder: DirectoryId,
    segment: Offset,
    position: u32,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let later = files.names(folder).filter(|(name, entry)| {
        matches!(entry, Entry::File(_)) && segment_of(name).is_some_and(|base| base > segment)
    });
    for (name, _) in later.collect::<Vec<_>>().into_iter().rev() {
        steps.push(Step::Remove(folder, Arc::clone(name)));
    }
    if !steps.is_empty() {
        steps.push(Step::SyncDirectory(folder));
    }
    let name: Arc<str> = LogFile::Log(segment).name().into();
    if files.lookup(folder, &name).is_none() {
        steps.push(Step::Create(folder, Arc::clone(&name)));
    }
    steps.push(Step::SetLength(folder, Arc::clone(&name), position));
    steps.push(Step::SyncFile(folder, name));
    steps.push(Step::SyncDirectory(folder));
    steps.push(Step::SyncDirectory(DirectoryId::ROOT));
    steps
}

/// Renames the files of a segment out of the way. The `.log` goes last, so that its indexes never
/// stand alone under their own names after it.
pub(super) fn mark_segment_deleted(
    files: &FileSystem,
    folder: DirectoryId,
    segment: Offset,
) -> Vec<Step> {
    segment_files(files, folder, segment)
        .into_iter()
        .map(|name| {
            let renamed: Arc<str> = format!("{name}{DELETED_SUFFIX}").into();
            Step::Rename(folder, name, renamed)
        })
        .collect()
}

/// Removes the files of a segment marked as deleted.
pub(super) fn remove_segment(
    files: &FileSystem,
    folder: DirectoryId,
    segment: Offset,
) -> Vec<Step> {
    files
        .names(folder)
        .filter(|(name, _)| {
            name.strip_suffix(DELETED_SUFFIX)
                .and_then(segment_of)
                .is_some_and(|base| base == segment)
        })
        .map(|(name, _)| Step::Remove(folder, Arc::clone(name)))
        .collect()
}

fn segment_files(files: &FileSystem, folder: DirectoryId, segment: Offset) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = files
        .names(folder)
        .filter(|(name, _)| segment_of(name) == Some(segment))
        .map(|(name, _)| Arc::clone(name))
        .collect();
    names.sort_by_key(|name| name.ends_with(".log"));
    names
}

/// The segment a file belongs to, for the files that live and die with their segment.
fn segment_of(name: &str) -> Option<Offset> {
    match LogFile::parse(name)? {
        LogFile::Log(base)
        | LogFile::OffsetIndex(base)
        | LogFile::TimeIndex(base)
        | LogFile::TransactionIndex(base) => Some(base),
        LogFile::LeaderEpochs
        | LogFile::PartitionMetadata
        | LogFile::ProducerSnapshot(_)
        | LogFile::QuorumState
        | LogFile::Snapshot(..)
        | LogFile::Swap(_) => None,
    }
}
