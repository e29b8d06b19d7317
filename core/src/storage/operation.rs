//! What the core asks of a disk.

use std::sync::Arc;

use bytes::Bytes;

#[cfg(doc)]
use super::DiskDone;
use super::{DirectoryFile, LogFile, StampedBatch, Token, Work};
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};

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
    /// log of that name that was marked as deleted or renamed before is moved away first, durably
    /// where it was renamed. The first sync of the log makes `partition.metadata` durable too.
    /// Acknowledged by [`DiskDone::Created`].
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
    /// Computes something that is of a log, and touches nothing of it. Answered by
    /// [`DiskDone::Worked`].
    Work {
        /// The log.
        log: LogId,
        /// What is to be done.
        work: Work,
        /// Returned with the answer.
        token: Token,
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

impl DiskOp {
    /// The log it concerns; `None` where that is a directory.
    #[must_use]
    pub fn log(&self) -> Option<LogId> {
        match self {
            Self::Append { log, .. }
            | Self::AppendIndex { log, .. }
            | Self::CreateLog { log, .. }
            | Self::CreateSegment { log, .. }
            | Self::MarkLogDeleted { log, .. }
            | Self::MarkSegmentDeleted { log, .. }
            | Self::OpenLog { log, .. }
            | Self::Read { log, .. }
            | Self::RemoveCleaned { log, .. }
            | Self::RemoveFile { log, .. }
            | Self::RemoveLog { log }
            | Self::RemoveSegment { log, .. }
            | Self::RenameLog { log, .. }
            | Self::ReplaceSegments { log, .. }
            | Self::SaveLogFile { log, .. }
            | Self::Sync { log, .. }
            | Self::SyncCleaned { log, .. }
            | Self::Truncate { log, .. }
            | Self::Work { log, .. }
            | Self::WriteCleaned { log, .. } => Some(*log),
            Self::RemoveDirectoryFile { .. } | Self::SaveDirectoryFile { .. } => None,
        }
    }
}
