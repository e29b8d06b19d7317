//! What a log's folder holds at boot: segments, snapshots, and leftovers of interrupted changes.
//!
//! Decides from names and sizes alone. Compare Kafka's
//! `LogLoader.removeTempFilesAndCollectSwapFiles`.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Segments that a compaction was making when it was interrupted.
    pub(super) cleaned: BTreeSet<Offset>,
    /// Segments that it was about to put in the place of others.
    pub(super) swaps: BTreeMap<Offset, SwapFiles>,
}

/// The files of a segment that is to replace others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SwapFiles {
    /// Size of its batches; `None` where they have their own name already.
    pub(super) log_bytes: Option<u64>,
    /// Size of its offset index.
    pub(super) offsets_bytes: Option<u64>,
    /// Size of its time index.
    pub(super) times_bytes: Option<u64>,
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
                Some(LogFile::Swap(base)) => {
                    files.swaps.entry(base).or_default().log_bytes = Some(*size_bytes);
                }
                Some(LogFile::PartitionMetadata | LogFile::QuorumState | LogFile::Snapshot(..)) => {
                }
                None => files.add_leftover(name, *size_bytes),
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
            | LogFile::Snapshot(..)
            | LogFile::Swap(_) => None,
        };
        let Some(segment) = segment else {
            if !self.add_swapped_index(index, size_bytes) {
                self.strays.push(index);
            }
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
            | LogFile::Swap(_)
            | LogFile::TransactionIndex(_) => {}
        }
    }

    /// An index that has its own name while the batches are still called `.swap`: it was renamed
    /// already, so it is the new segment's; `false` where there is no such segment. Where one
    /// called `.swap` is there too, it is the old segment's, and is about to be replaced.
    fn add_swapped_index(&mut self, index: LogFile, size_bytes: u64) -> bool {
        let base = match index {
            LogFile::OffsetIndex(base)
            | LogFile::TimeIndex(base)
            | LogFile::TransactionIndex(base) => base,
            LogFile::LeaderEpochs
            | LogFile::Log(_)
            | LogFile::PartitionMetadata
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..)
            | LogFile::Swap(_) => return false,
        };
        let Some(swap) = self.swaps.get_mut(&base) else {
            return false;
        };
        if index == LogFile::OffsetIndex(base) {
            swap.offsets_bytes.get_or_insert(size_bytes);
        } else if index == LogFile::TimeIndex(base) {
            swap.times_bytes.get_or_insert(size_bytes);
        }
        swap.log_bytes.is_some()
    }

    fn add_leftover(&mut self, name: &str, size_bytes: u64) {
        if let Some(base) = segment_of(name, ".deleted") {
            self.deleted_segments.push(base);
        } else if let Some(base) = segment_of(name, ".cleaned") {
            self.cleaned.insert(base);
        } else if let Some(base) = segment_of(name, ".swap") {
            let swap = self.swaps.entry(base).or_default();
            if name.ends_with(".timeindex.swap") {
                swap.times_bytes = Some(size_bytes);
            } else if name.ends_with(".index.swap") {
                swap.offsets_bytes = Some(size_bytes);
            }
        }
    }
}

/// The segment of a file whose name ends in `suffix`.
fn segment_of(name: &str, suffix: &str) -> Option<Offset> {
    match LogFile::parse(name.strip_suffix(suffix)?)? {
        LogFile::Log(base)
        | LogFile::OffsetIndex(base)
        | LogFile::TimeIndex(base)
        | LogFile::TransactionIndex(base)
        | LogFile::ProducerSnapshot(base) => Some(base),
        LogFile::LeaderEpochs
        | LogFile::PartitionMetadata
        | LogFile::QuorumState
        | LogFile::Snapshot(..)
        | LogFile::Swap(_) => None,
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
                (base(3, "timeindex.cleaned"), 1),
                (base(9, "index.swap"), 2),
                (base(9, "log.swap"), 1),
                (base(8, "timeindex.swap"), 3),
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
        assert_eq!(files.cleaned, BTreeSet::from([Offset(3)]));
        let whole = SwapFiles {
            log_bytes: Some(1),
            offsets_bytes: Some(2),
            times_bytes: None,
        };
        assert_eq!(files.swaps[&Offset(9)], whole);
        assert_eq!(files.swaps[&Offset(8)].log_bytes, None);
    }
    #[test]
    fn indexes_renamed_before_their_batches_belong_to_the_swap() {
        let name = |suffix: &str| format!("{:020}.{suffix}", 9);
        let of = |files: &[(&str, u64)]| {
            let files = files.iter();
            FolderFiles::of(&FolderListing {
                name: "t-0".to_owned(),
                files: files.map(|(suffix, size)| (name(suffix), *size)).collect(),
                ..FolderListing::default()
            })
        };
        let swap = |log_bytes, offsets, times| SwapFiles {
            log_bytes,
            offsets_bytes: Some(offsets),
            times_bytes: Some(times),
        };
        let renamed = [
            ("index", 1),
            ("log.swap", 9),
            ("timeindex.swap", 2),
            ("txnindex", 3),
        ];
        let files = of(&renamed);
        assert_eq!(files.swaps[&Offset(9)], swap(Some(9), 1, 2));
        assert_eq!(files.strays, []);
        // The old one is still there; the new one is renamed over it.
        let both = [
            ("index", 1),
            ("index.swap", 4),
            ("log.swap", 9),
            ("timeindex", 2),
        ];
        let files = of(&both);
        assert_eq!(files.swaps[&Offset(9)], swap(Some(9), 4, 2));
        assert_eq!(files.strays, []);
        let alone = of(&[("index", 1), ("timeindex.swap", 2)]);
        assert_eq!(alone.strays, [LogFile::OffsetIndex(Offset(9))]);
    }
}
