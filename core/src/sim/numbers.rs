//! What the disk is asked and answers, as the numbers that a trace holds.

use super::trace::hash_of;
use crate::storage::{DiskDone, DiskOp, Work};

/// The numbers by which the trace knows an operation: its log or token, and an end offset.
pub(super) fn op_numbers(op: &DiskOp) -> (u64, u64) {
    match op {
        DiskOp::Append {
            log, end_offset, ..
        }
        | DiskOp::Sync {
            log, end_offset, ..
        }
        | DiskOp::Truncate {
            log, end_offset, ..
        } => (u64::from(log.0), end_offset.0.cast_unsigned()),
        DiskOp::AppendIndex { log, position, .. } => (u64::from(log.0), u64::from(*position)),
        DiskOp::CreateLog { log, .. }
        | DiskOp::MarkLogDeleted { log, .. }
        | DiskOp::OpenLog { log, .. }
        | DiskOp::RemoveFile { log, .. }
        | DiskOp::RemoveLog { log } => (u64::from(log.0), 0),
        DiskOp::CreateSegment { log, segment, .. }
        | DiskOp::MarkSegmentDeleted { log, segment, .. }
        | DiskOp::RemoveCleaned { log, segment }
        | DiskOp::RemoveSegment { log, segment }
        | DiskOp::ReplaceSegments { log, segment, .. } => {
            (u64::from(log.0), segment.0.cast_unsigned())
        }
        DiskOp::Read { log, token, .. }
        | DiskOp::RenameLog { log, token, .. }
        | DiskOp::SaveLogFile { log, token, .. }
        | DiskOp::SyncCleaned { log, token, .. }
        | DiskOp::Work { log, token, .. }
        | DiskOp::WriteCleaned { log, token, .. } => (u64::from(log.0), token.0),
        DiskOp::RemoveDirectoryFile { token, .. } | DiskOp::SaveDirectoryFile { token, .. } => {
            (u64::MAX, token.0)
        }
    }
}

/// Hash of the bytes an operation writes; 0 where it writes none.
pub(super) fn hash_of_op(op: &DiskOp) -> u64 {
    match op {
        DiskOp::Append { batches, .. } => batches.iter().fold(0, |hash, batch| {
            let stamp = hash_of(&batch.stamp);
            hash_of(&batch.body) ^ stamp.rotate_left(1) ^ hash.rotate_left(7)
        }),
        DiskOp::AppendIndex { bytes, .. }
        | DiskOp::SaveDirectoryFile { bytes, .. }
        | DiskOp::SaveLogFile { bytes, .. }
        | DiskOp::WriteCleaned { bytes, .. } => hash_of(bytes),
        DiskOp::Work { work, .. } => match work {
            Work::Compaction(piece) => hash_of(piece.bytes()),
        },
        DiskOp::CreateLog { .. }
        | DiskOp::CreateSegment { .. }
        | DiskOp::MarkLogDeleted { .. }
        | DiskOp::MarkSegmentDeleted { .. }
        | DiskOp::OpenLog { .. }
        | DiskOp::Read { .. }
        | DiskOp::RemoveDirectoryFile { .. }
        | DiskOp::RemoveFile { .. }
        | DiskOp::RemoveLog { .. }
        | DiskOp::RemoveCleaned { .. }
        | DiskOp::RemoveSegment { .. }
        | DiskOp::RenameLog { .. }
        | DiskOp::ReplaceSegments { .. }
        | DiskOp::Sync { .. }
        | DiskOp::SyncCleaned { .. }
        | DiskOp::Truncate { .. } => 0,
    }
}

/// The numbers by which the trace knows an answer.
pub(super) fn done_numbers(done: &DiskDone) -> (u64, u64) {
    match done {
        DiskDone::Appended {
            log, end_offset, ..
        }
        | DiskDone::Synced {
            log, end_offset, ..
        }
        | DiskDone::Truncated {
            log, end_offset, ..
        } => (u64::from(log.0), end_offset.0.cast_unsigned()),
        DiskDone::Created { log } => (u64::from(log.0), 0),
        DiskDone::Failed { .. } => (u64::MAX, 1),
        DiskDone::Read { log, token, .. } => (u64::from(log.0), token.0),
        DiskDone::Saved { token } | DiskDone::Worked { token, .. } => (u64::MAX, token.0),
    }
}
