//! What a log's folder holds at boot: segments, snapshots, and leftovers of interrupted changes.
//!
//! Decides from names and sizes alone. Compare Kafka's
//! `LogLoader.removeTempFilesAndCollectSwapFiles`.

use std::collections::BTreeMap;

use crate::ids::Offset;
use crate::storage::{FolderListing, LogFile};

/// A segment's files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SegmentFiles {
    /// Size of its `.log`.
    pub(super) log_bytes: u64,
    /// Size of its `.index`; `None` where it is missing.
    pub(super) offsets_bytes: Option<u64>,
    /// Size of its `.timeindex`; `None` where it is missing.
    pub(super) times_bytes: Option<u64>,
}

/// A folder, sorted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct FolderFiles {
    pub(super) segments: BTreeMap<Offset, SegmentFiles>,
    /// Producer snapshots, newest last.
    pub(super) snapshots: Vec<Offset>,
    /// Size of `leader-epoch-checkpoint`.
    pub(super) epochs_bytes: u64,
    /// Segments that were marked as deleted and not removed yet.
    pub(super) deleted_segments: Vec<Offset>,
    /// Files that belong to no segment, to be removed.
    pub(super) strays: Vec<LogFile>,
    /// Names of a compaction that was interrupted while it replaced segments.
    pub(super) swaps: Vec<String>,
}

impl FolderFiles {
    pub(super) fn of(listing: &FolderListing) -> Self {
        let mut files = Self::default();
        let mut indexes = Vec::new();
        for (name, size_bytes) in &listing.files {
            match LogFile::parse(name) {
                Some(LogFile::Log(base)) => {
                    files.segments.entry(base).or_default().log_bytes = *size_bytes;
                }
                Some(LogFile::LeaderEpochs) => files.epochs_bytes = *size_bytes,
                Some(LogFile::ProducerSnapshot(offset)) => files.snapshots.push(offset),
                Some(
                    index @ (LogFile::OffsetIndex(_)
                    | LogFile::TimeIndex(_)
                    | LogFile::TransactionIndex(_)),
                ) => indexes.push((index, *size_bytes)),
                Some(LogFile::PartitionMetadata | LogFile::QuorumState | LogFile::Snapshot(..)) => {
                }
                None => files.add_leftover(name),
            }
        }
        for (index, size_bytes) in indexes {
            files.add_index(index, size_bytes);
        }
        files.snapshots.sort_unstable();
        files.deleted_segments.sort_unstable();
        files.deleted_segments.dedup();
        files
    }

    fn add_index(&mut self, index: LogFile, size_bytes: u64) {
        let segment = match index {
            LogFile::OffsetIndex(base)
            | LogFile::TimeIndex(base)
            | LogFile::TransactionIndex(base) => self.segments.get_mut(&base),
            LogFile::LeaderEpochs
            | LogFile::Log(_)
            | LogFile::PartitionMetadata
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..) => None,
        };
        let Some(segment) = segment else {
            self.strays.push(index);
            return;
        };
        match index {
            LogFile::OffsetIndex(_) => segment.offsets_bytes = Some(size_bytes),
            LogFile::TimeIndex(_) => segment.times_bytes = Some(size_bytes),
            LogFile::LeaderEpochs
            | LogFile::Log(_)
            | LogFile::PartitionMetadata
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..)
            | LogFile::TransactionIndex(_) => {}
        }
    }

    fn add_leftover(&mut self, name: &str) {
        if let Some(stem) = name.strip_suffix(".deleted") {
            match LogFile::parse(stem) {
                Some(
                    LogFile::Log(base)
                    | LogFile::OffsetIndex(base)
                    | LogFile::TimeIndex(base)
                    | LogFile::TransactionIndex(base)
                    | LogFile::ProducerSnapshot(base),
                ) => self.deleted_segments.push(base),
                Some(
                    LogFile::LeaderEpochs
                    | LogFile::PartitionMetadata
                    | LogFile::QuorumState
                    | LogFile::Snapshot(..),
                )
                | None => {}
            }
        } else if name.ends_with(".swap") {
            self.swaps.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_sorted_by_meaning() {
        let base = |base: i64, suffix: &str| format!("{base:020}.{suffix}");
        let listing = FolderListing {
            name: "t-0".to_owned(),
            files: vec![
                (base(0, "index"), 8),
                (base(0, "log"), 100),
                (base(0, "timeindex"), 12),
                (base(5, "snapshot"), 10),
                (base(7, "timeindex"), 12),
                (base(3, "log.deleted"), 50),
                (base(3, "index.deleted"), 8),
                (base(5, "log"), 0),
                (base(9, "log.swap"), 1),
                ("leader-epoch-checkpoint".to_owned(), 8),
                ("leader-epoch-checkpoint.tmp".to_owned(), 8),
                ("notes".to_owned(), 8),
            ],
            ..FolderListing::default()
        };
        let files = FolderFiles::of(&listing);
        assert_eq!(files.segments.len(), 2);
        let first = SegmentFiles {
            log_bytes: 100,
            offsets_bytes: Some(8),
            times_bytes: Some(12),
        };
        assert_eq!(files.segments[&Offset(0)], first);
        assert_eq!(files.segments[&Offset(5)], SegmentFiles::default());
        assert_eq!(files.snapshots, [Offset(5)]);
        assert_eq!(files.epochs_bytes, 8);
        assert_eq!(files.deleted_segments, [Offset(3)]);
        assert_eq!(files.strays, [LogFile::TimeIndex(Offset(7))]);
        assert_eq!(files.swaps, [base(9, "log.swap")]);
    }
}
