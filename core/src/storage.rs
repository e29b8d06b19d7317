//! The vocabulary between the core and any disk: effects out, acknowledgements in.
//!
//! The core never opens a file. It emits [`DiskOp`]s and is told [`DiskDone`]s. The real disk, the
//! simulated one and the one in a browser tab implement the same contract, and both sides assert
//! it:
//!
//! 1. **FIFO per log**: the operations of one log are carried out in the order they were emitted.
//!    There is no order between logs, nor between reads and appends (a read names written bytes
//!    only).
//! 2. **Acknowledgements are cumulative**: [`DiskDone::Appended`] and [`DiskDone::Synced`]
//!    acknowledge everything of their log below an end offset, so a driver may coalesce operations
//!    and answers.
//! 3. **Generations**: an operation that changes a log carries the log's generation.
//!    [`DiskOp::Truncate`] begins the next one and is itself acknowledged in it. A driver drops
//!    changes of an older generation unanswered; the core drops acknowledgements of an older one.
//! 4. **Marks**: `flushed <= written <= log_end_offset`. `written` (appended) survives the death of
//!    the process, only `flushed` (synced) survives a power cut. A sync of a log makes durable
//!    everything appended to it before, including the names of the files it lies in, and the
//!    indexes of segments that are no longer appended to; those of the last one it may leave.
//!    Saving [`DirectoryFile::CleanShutdown`] waits for everything emitted before for the
//!    directory's logs, and makes them durable first, with all indexes.
//! 5. **Failure**: [`DiskDone::Failed`] with [`DiskError::Full`] answers an append that did not
//!    fit: nothing of it or of later appends of that generation is in the file, and the driver
//!    drops the log's further changes until a `Truncate` raises the generation. Any other failure
//!    of a change is final for its directory: a failed sync is never retried, and nothing of that
//!    directory is acknowledged again.
//! 6. **Slices** name written bytes only. `Truncate`, `MarkSegmentDeleted`, `MarkLogDeleted`,
//!    `RenameLog`, `ReplaceSegments` and removals are barriers: a driver resolves the slices of
//!    earlier replies before it carries them out. Replies of the turn that emits a
//!    `ReplaceSegments` are earlier ones; those of later turns name the new file, whatever it is
//!    called just then.
//! 7. **Compaction** writes files of its own (`log::compaction` has the protocol). `WriteCleaned`
//!    and `SyncCleaned` have no order with the log's other operations: the core waits for each
//!    answer. Where there is no space they fail alone, and nothing else is touched. All operations
//!    of compaction hold in every generation.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{DirectoryIndex, Generation, LogId, Offset};

/// Bytes at the front of a batch that the broker stamps: base offset (8), length (4), leader epoch
/// (4).
pub const STAMP_BYTES: usize = 16;

/// One record batch as it lies in a log: the stamped front and the rest exactly as the producer
/// sent it.
///
/// The stamp is outside the batch's CRC (KIP-98), so an append copies nothing and computes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StampedBatch {
    /// Base offset, batch length and leader epoch, big-endian, as on disk.
    pub stamp: [u8; STAMP_BYTES],
    /// The batch from its magic byte on.
    pub body: Bytes,
}

impl StampedBatch {
    /// Size on disk and on the wire, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        STAMP_BYTES + self.body.len()
    }

    /// The batch in one piece; copies.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut whole = Vec::with_capacity(self.size_bytes());
        whole.extend_from_slice(&self.stamp);
        whole.extend_from_slice(&self.body);
        Bytes::from(whole)
    }
}

/// Bytes of a log, for a reply: in memory, or in a file the driver may send without reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Slice {
    /// A range of a segment's `.log` file.
    File {
        /// The log.
        log: LogId,
        /// Base offset of the segment.
        segment: Offset,
        /// First byte.
        position: u32,
        /// Number of bytes; not zero.
        length: u32,
    },
    /// A batch of the memory tail.
    Memory(StampedBatch),
}

impl Slice {
    /// Length in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::File { length, .. } => *length as usize,
            Self::Memory(batch) => batch.size_bytes(),
        }
    }
}

/// A file in a log's folder, by meaning; [`LogFile::name`] is Kafka's name for it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum LogFile {
    /// `leader-epoch-checkpoint`: where each leader epoch begins.
    LeaderEpochs,
    /// `%020d.log`: the batches of the segment with this base offset.
    Log(Offset),
    /// `%020d.index`: (relative offset, position) pairs.
    OffsetIndex(Offset),
    /// `partition.metadata`: the topic's id.
    PartitionMetadata,
    /// `%020d.snapshot`: the producers known at this offset.
    ProducerSnapshot(Offset),
    /// `quorum-state`: the vote and epoch of a metadata log's replica.
    QuorumState,
    /// `%020d-%010d.checkpoint`: a metadata snapshot up to this offset and epoch (KIP-630).
    Snapshot(Offset, i32),
    /// `%020d.log.swap`: batches that are about to replace those of the segments they were made of.
    Swap(Offset),
    /// `%020d.timeindex`: (timestamp, relative offset) pairs.
    TimeIndex(Offset),
    /// `%020d.txnindex`: aborted transactions.
    TransactionIndex(Offset),
}

impl LogFile {
    /// The file's name in the log's folder.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::LeaderEpochs => "leader-epoch-checkpoint".to_owned(),
            Self::Log(base) => format!("{:020}.log", base.0),
            Self::OffsetIndex(base) => format!("{:020}.index", base.0),
            Self::PartitionMetadata => "partition.metadata".to_owned(),
            Self::ProducerSnapshot(offset) => format!("{:020}.snapshot", offset.0),
            Self::QuorumState => "quorum-state".to_owned(),
            Self::Snapshot(offset, epoch) => format!("{:020}-{epoch:010}.checkpoint", offset.0),
            Self::Swap(base) => format!("{:020}.log.swap", base.0),
            Self::TimeIndex(base) => format!("{:020}.timeindex", base.0),
            Self::TransactionIndex(base) => format!("{:020}.txnindex", base.0),
        }
    }

    /// The files that a segment consists of; the `.log` last, for its name says that it is there.
    #[must_use]
    pub fn of_segment(base: Offset) -> [Self; 4] {
        [
            Self::OffsetIndex(base),
            Self::TimeIndex(base),
            Self::TransactionIndex(base),
            Self::Log(base),
        ]
    }

    /// The file a name means; `None` for a name that is none of Kafka's.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "leader-epoch-checkpoint" => return Some(Self::LeaderEpochs),
            "partition.metadata" => return Some(Self::PartitionMetadata),
            "quorum-state" => return Some(Self::QuorumState),
            _other => {}
        }
        let (stem, suffix) = name.split_once('.')?;
        if suffix == "checkpoint" {
            let (offset, epoch) = stem.split_once('-')?;
            return (offset.len() == 20 && epoch.len() == 10).then(|| {
                Some(Self::Snapshot(
                    Offset(digits(offset)?),
                    i32::try_from(digits(epoch)?).ok()?,
                ))
            })?;
        }
        if stem.len() != 20 {
            return None;
        }
        let base = Offset(digits(stem)?);
        match suffix {
            "index" => Some(Self::OffsetIndex(base)),
            "log" => Some(Self::Log(base)),
            "log.swap" => Some(Self::Swap(base)),
            "snapshot" => Some(Self::ProducerSnapshot(base)),
            "timeindex" => Some(Self::TimeIndex(base)),
            "txnindex" => Some(Self::TransactionIndex(base)),
            _other => None,
        }
    }
}

fn digits(text: &str) -> Option<i64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A file directly in a data directory.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DirectoryFile {
    /// `bootstrap.checkpoint`: the metadata records a directory is formatted with.
    BootstrapCheckpoint,
    /// `.kafka_cleanshutdown`: every log was closed in order.
    CleanShutdown,
    /// `cleaner-offset-checkpoint`: how far each log is compacted.
    CleanerOffsets,
    /// `replication-offset-checkpoint`: high watermarks.
    HighWatermarks,
    /// `log-start-offset-checkpoint`: log start offsets that are not a segment's base.
    LogStartOffsets,
    /// `meta.properties`: cluster id, node id, directory id.
    MetaProperties,
    /// `recovery-point-offset-checkpoint`: below these offsets everything was synced.
    RecoveryPoints,
}

impl DirectoryFile {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BootstrapCheckpoint => "bootstrap.checkpoint",
            Self::CleanShutdown => ".kafka_cleanshutdown",
            Self::CleanerOffsets => "cleaner-offset-checkpoint",
            Self::HighWatermarks => "replication-offset-checkpoint",
            Self::LogStartOffsets => "log-start-offset-checkpoint",
            Self::MetaProperties => "meta.properties",
            Self::RecoveryPoints => "recovery-point-offset-checkpoint",
        }
    }

    /// The file a name means.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::BootstrapCheckpoint,
            Self::CleanShutdown,
            Self::CleanerOffsets,
            Self::HighWatermarks,
            Self::LogStartOffsets,
            Self::MetaProperties,
            Self::RecoveryPoints,
        ]
        .into_iter()
        .find(|file| file.name() == name)
    }
}

/// Names a job's read, or a save whose end the core waits for; chosen by the core, returned as it
/// was.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

impl Token {
    /// A token of a log; its answer goes to that log.
    ///
    /// The high half is the log's id and one more, so that the node's own tokens have none.
    #[must_use]
    pub fn of_log(log: LogId, number: u32) -> Self {
        Self(((u64::from(log.0) + 1) << 32) | u64::from(number))
    }

    /// A token of the node itself.
    #[must_use]
    pub fn of_node(number: u32) -> Self {
        Self(u64::from(number))
    }

    /// The log it belongs to; `None` where it is the node's own.
    #[must_use]
    pub fn log(self) -> Option<LogId> {
        let high = u32::try_from(self.0 >> 32).expect("half of 64 bits");
        high.checked_sub(1).map(LogId)
    }
}

/// What the core asks of a disk. See the module's contract.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiskOp {
    /// Writes batches at the end of a segment's `.log`. The segment was created, or was there at
    /// boot.
    Append {
        /// The log.
        log: LogId,
        /// The log's generation.
        generation: Generation,
        /// Base offset of the segment.
        segment: Offset,
        /// Where the first batch begins: the file's length as the core knows it.
        position: u32,
        /// The log's end offset once this is written.
        end_offset: Offset,
        /// The batches, in order; not empty.
        batches: Vec<StampedBatch>,
    },
    /// Appends entries to a segment's `.index` or `.timeindex`. Not acknowledged: an index is
    /// rebuilt when in doubt.
    AppendIndex {
        /// The log.
        log: LogId,
        /// The log's generation.
        generation: Generation,
        /// [`LogFile::OffsetIndex`], [`LogFile::TimeIndex`] or [`LogFile::TransactionIndex`].
        file: LogFile,
        /// Where the entries begin; the file is cut to this length first.
        position: u32,
        /// The entries as on disk.
        bytes: Bytes,
    },
    /// Makes a log's folder, with its `partition.metadata` if that is not empty, and binds it to
    /// `log`. What an interrupted creation left of a folder of that name is taken over, emptied; a
    /// log of that name that was marked as deleted before is moved away first. The first sync of
    /// the log makes `partition.metadata` durable too. Acknowledged by [`DiskDone::Created`].
    CreateLog {
        /// The id the log has from now on.
        log: LogId,
        /// The data directory.
        directory: DirectoryIndex,
        /// The folder's name: `topic-0`.
        folder: Arc<str>,
        /// Content of `partition.metadata`; empty for none.
        partition_metadata: Bytes,
    },
    /// Begins a segment: its `.log` file, empty. The first appends of a log come after the first of
    /// these.
    CreateSegment {
        /// The log.
        log: LogId,
        /// The log's generation.
        generation: Generation,
        /// The segment's base offset.
        segment: Offset,
    },
    /// Renames a log's folder, out of the way of a new log of that name; slices of earlier replies
    /// stay readable.
    MarkLogDeleted {
        /// The log.
        log: LogId,
        /// The folder's new name: `topic-0.<id>-delete`.
        folder: Arc<str>,
    },
    /// Renames a segment's files to end in `.deleted`; slices of earlier replies stay readable.
    MarkSegmentDeleted {
        /// The log.
        log: LogId,
        /// The log's generation.
        generation: Generation,
        /// The segment's base offset.
        segment: Offset,
    },
    /// Binds a folder that was there at boot to `log`. Not acknowledged.
    OpenLog {
        /// The id the log has from now on.
        log: LogId,
        /// The data directory.
        directory: DirectoryIndex,
        /// The folder's name.
        folder: Arc<str>,
    },
    /// Reads part of a file in a log's folder, for a job. Answered by [`DiskDone::Read`], which has
    /// fewer bytes than asked for where the file ends, and none at all where there is no such file.
    Read {
        /// The log.
        log: LogId,
        /// The file.
        file: LogFile,
        /// First byte.
        position: u32,
        /// At most so many bytes.
        length: u32,
        /// Returned with the answer.
        token: Token,
    },
    /// Removes what a compaction left of the segment it was making: the files called `.cleaned` and
    /// `.swap`. Not acknowledged.
    RemoveCleaned {
        /// The log.
        log: LogId,
        /// Base offset of the segment.
        segment: Offset,
    },
    /// Removes a file in a log's folder, if it is there. Not acknowledged.
    RemoveFile {
        /// The log.
        log: LogId,
        /// The file.
        file: LogFile,
    },
    /// Removes a folder marked as deleted, with all that is in it; the id means nothing from now
    /// on.
    RemoveLog {
        /// The log.
        log: LogId,
    },
    /// Removes the files of a segment marked as deleted, in this incarnation of the node or an
    /// earlier one.
    RemoveSegment {
        /// The log.
        log: LogId,
        /// The segment's base offset.
        segment: Offset,
    },
    /// Renames a log's folder within its directory; the log goes on under its new name, which no
    /// other folder has. Durable when acknowledged, by [`DiskDone::Saved`]: after a crash before
    /// that the folder has either name. A log whose new name ends in `-delete` may be removed. A
    /// failure is final for the directory.
    RenameLog {
        /// The log.
        log: LogId,
        /// The folder's new name.
        folder: Arc<str>,
        /// Returned with the answer.
        token: Token,
    },
    /// Puts the segment that compaction made, and that was synced, in the place of those it was
    /// made of; or goes on with that where it was interrupted. Durable when acknowledged, by
    /// [`DiskDone::Saved`]. A failure is final for the directory.
    ReplaceSegments {
        /// The log.
        log: LogId,
        /// Base offset of the new segment, and of the first old one.
        segment: Offset,
        /// Base offsets of the old ones that are there, in order.
        sources: Arc<[Offset]>,
        /// Returned with the answer.
        token: Token,
    },
    /// Replaces a file in a data directory whole and durably: temporary file, sync, rename, sync of
    /// the directory. Answered by [`DiskDone::Saved`].
    SaveDirectoryFile {
        /// The data directory.
        directory: DirectoryIndex,
        /// The file.
        file: DirectoryFile,
        /// Its whole content.
        bytes: Bytes,
        /// Returned with the answer.
        token: Token,
    },
    /// Removes a file in a data directory durably. Answered by [`DiskDone::Saved`].
    RemoveDirectoryFile {
        /// The data directory.
        directory: DirectoryIndex,
        /// The file.
        file: DirectoryFile,
        /// Returned with the answer.
        token: Token,
    },
    /// Replaces a file in a log's folder whole and durably, as `SaveDirectoryFile` does. Answered
    /// by [`DiskDone::Saved`].
    SaveLogFile {
        /// The log.
        log: LogId,
        /// The file.
        file: LogFile,
        /// Its whole content.
        bytes: Bytes,
        /// Returned with the answer.
        token: Token,
    },
    /// Makes everything appended to the log durable; one flush may answer many.
    Sync {
        /// The log.
        log: LogId,
        /// The log's generation.
        generation: Generation,
        /// The end offset to be acknowledged.
        end_offset: Offset,
    },
    /// Makes what was written of a cleaned segment durable, with the names of its files. Answered
    /// by [`DiskDone::Saved`].
    SyncCleaned {
        /// The log.
        log: LogId,
        /// Base offset of the segment.
        segment: Offset,
        /// Returned with the answer.
        token: Token,
    },
    /// Cuts a segment's `.log` to `position`, deletes the log's segments after it, and begins
    /// `generation`. Durable when acknowledged, by [`DiskDone::Truncated`].
    Truncate {
        /// The log.
        log: LogId,
        /// The generation that begins.
        generation: Generation,
        /// Base offset of the segment that becomes the last.
        segment: Offset,
        /// Its new length in bytes.
        position: u32,
        /// The log's end offset from now on.
        end_offset: Offset,
    },
    /// Writes part of a file of the segment that compaction makes; at position 0 the file begins,
    /// whatever was there. Answered by [`DiskDone::Saved`].
    WriteCleaned {
        /// The log.
        log: LogId,
        /// A file of [`LogFile::of_segment`]; on disk its name ends in `.cleaned`.
        file: LogFile,
        /// Where the bytes begin: 0, or where the last ones ended.
        position: u32,
        /// The bytes; may be none.
        bytes: Bytes,
        /// Returned with the answer.
        token: Token,
    },
}

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
            Self::Saved { token } => token.log(),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_find_their_owner() {
        assert_eq!(Token::of_node(7).log(), None);
        for log in [LogId(0), LogId(7), LogId(u32::MAX - 1)] {
            assert_eq!(Token::of_log(log, u32::MAX).log(), Some(log));
        }
    }

    #[test]
    fn names_of_files_go_both_ways() {
        let files = [
            LogFile::LeaderEpochs,
            LogFile::Log(Offset(0)),
            LogFile::OffsetIndex(Offset(42)),
            LogFile::PartitionMetadata,
            LogFile::ProducerSnapshot(Offset(i64::MAX)),
            LogFile::QuorumState,
            LogFile::Snapshot(Offset(7), 3),
            LogFile::Swap(Offset(8)),
            LogFile::TimeIndex(Offset(1)),
            LogFile::TransactionIndex(Offset(2)),
        ];
        for file in files {
            assert_eq!(LogFile::parse(&file.name()), Some(file), "{}", file.name());
        }
        for name in [
            "0.log",
            "00000000000000000000.log.cleaned",
            "00000000000000000000.log.deleted",
            "00000000000000000000.index.swap",
            "0000000000000000000x.log",
            "a.b.c",
            "",
        ] {
            assert_eq!(LogFile::parse(name), None, "{name}");
        }
    }
}
