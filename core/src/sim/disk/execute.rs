//! Carrying out: the calls an operation needs, and the answer when they are done.

use std::sync::Arc;

use super::steps::Step;
use super::{Queue, QueueKey, SimulatedDisk};
use crate::ids::{DirectoryIndex, Generation, LogId};
use crate::storage::{
    DirectoryFile, DiskDone, DiskError, DiskOp, FailureScope, StampedBatch, Token,
};

impl SimulatedDisk {
    /// Whether an operation waits for another log: the marker of a clean stop for all of them, a
    /// folder to be made for the log of that name that is leaving.
    pub(super) fn is_held_back(&self, op: &DiskOp) -> bool {
        if let DiskOp::SaveDirectoryFile {
            file: DirectoryFile::CleanShutdown,
            ..
        } = op
        {
            return self
                .queues
                .iter()
                .any(|(key, queue)| matches!(key, QueueKey::Log(_)) && !queue.pending.is_empty());
        }
        let DiskOp::CreateLog {
            directory, folder, ..
        } = op
        else {
            return false;
        };
        self.queues.iter().any(|(key, queue)| {
            let QueueKey::Log(log) = key else {
                return false;
            };
            self.logs.get(log).is_some_and(|opened| {
                opened.directory == *directory && is_leaving(&opened.name, queue, folder)
            })
        })
    }

    /// The answer to an operation that is done; `None` where there is none, or a later one will
    /// speak for it.
    pub(super) fn complete(&mut self, key: QueueKey, op: &DiskOp) -> Option<DiskDone> {
        match op {
            DiskOp::Append {
                log,
                generation,
                end_offset,
                batches,
                ..
            } => {
                assert_eq!(ends_at(batches), Some(end_offset.0), "checked before");
                let speaks = self.append_follows(key, *generation);
                if speaks && self.coalesces() {
                    return None;
                }
                Some(DiskDone::Appended {
                    log: *log,
                    generation: *generation,
                    end_offset: *end_offset,
                })
            }
            DiskOp::CreateLog { log, .. } => Some(DiskDone::Created { log: *log }),
            DiskOp::RemoveDirectoryFile { token, .. }
            | DiskOp::ReplaceSegments { token, .. }
            | DiskOp::SaveDirectoryFile { token, .. }
            | DiskOp::SaveLogFile { token, .. }
            | DiskOp::SyncCleaned { token, .. }
            | DiskOp::WriteCleaned { token, .. } => Some(DiskDone::Saved { token: *token }),
            DiskOp::Sync {
                log,
                generation,
                end_offset,
            } => {
                if self.sync_follows(key, *generation) && self.coalesces() {
                    return None;
                }
                Some(DiskDone::Synced {
                    log: *log,
                    generation: *generation,
                    end_offset: *end_offset,
                })
            }
            DiskOp::Truncate {
                log,
                generation,
                end_offset,
                ..
            } => Some(DiskDone::Truncated {
                log: *log,
                generation: *generation,
                end_offset: *end_offset,
            }),
            DiskOp::RemoveLog { log } => {
                self.logs.remove(log);
                None
            }
            DiskOp::RenameLog { log, folder, token } => Some(self.renamed(*log, folder, *token)),
            DiskOp::AppendIndex { .. }
            | DiskOp::CreateSegment { .. }
            | DiskOp::MarkLogDeleted { .. }
            | DiskOp::MarkSegmentDeleted { .. }
            | DiskOp::OpenLog { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveCleaned { .. }
            | DiskOp::RemoveFile { .. }
            | DiskOp::RemoveSegment { .. }
            | DiskOp::Work { .. } => None,
        }
    }

    fn renamed(&mut self, log: LogId, folder: &Arc<str>, token: Token) -> DiskDone {
        let opened = self.logs.get_mut(&log).expect("it was renamed just now");
        opened.name = Arc::clone(folder);
        DiskDone::Saved { token }
    }

    /// Whether the next operation appends to the generation too.
    fn append_follows(&self, key: QueueKey, generation: Generation) -> bool {
        let queue = self.queues.get(&key);
        queue.and_then(|queue| queue.pending.front()).is_some_and(|next| {
            matches!(&next.op, DiskOp::Append { generation: later, .. } if *later == generation)
        })
    }

    /// Whether, after appends alone, another sync of the generation is waiting. The appends may
    /// fail for lack of space and the sync with them, so a disk with a limit never counts on it.
    fn sync_follows(&self, key: QueueKey, generation: Generation) -> bool {
        if self.options.capacity_bytes.is_some() || self.options.may_fill {
            return false;
        }
        let Some(queue) = self.queues.get(&key) else {
            return false;
        };
        let mut later = queue
            .pending
            .iter()
            .skip_while(|pending| matches!(pending.op, DiskOp::Append { .. }));
        later.next().is_some_and(|next| {
            matches!(&next.op, DiskOp::Sync { generation: later, .. } if *later == generation)
        })
    }

    fn coalesces(&mut self) -> bool {
        self.options.coalesces
            && self.options.capacity_bytes.is_none()
            && !self.options.may_fill
            && self.rng.chance(1, 2)
    }

    /// Whether an operation is dropped unanswered: its generation ran out of space, or its
    /// directory failed.
    pub(super) fn drops(&self, op: &DiskOp) -> bool {
        let is_lost = match self.directory_of_op(op) {
            Some(directory) => self.volumes[usize::from(directory.0)].failed,
            // It was to be made in a directory that failed before.
            None => self.has_failed(),
        };
        if is_lost {
            return true;
        }
        match op {
            DiskOp::Append {
                log, generation, ..
            }
            | DiskOp::AppendIndex {
                log, generation, ..
            }
            | DiskOp::CreateSegment {
                log, generation, ..
            }
            | DiskOp::MarkSegmentDeleted {
                log, generation, ..
            }
            | DiskOp::Sync {
                log, generation, ..
            } => self
                .logs
                .get(log)
                .is_some_and(|opened| opened.full.is_some_and(|full| *generation <= full)),
            DiskOp::CreateLog { .. }
            | DiskOp::MarkLogDeleted { .. }
            | DiskOp::OpenLog { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveFile { .. }
            | DiskOp::RemoveCleaned { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::RemoveSegment { .. }
            | DiskOp::RenameLog { .. }
            | DiskOp::ReplaceSegments { .. }
            | DiskOp::SaveDirectoryFile { .. }
            | DiskOp::SaveLogFile { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::Work { .. }
            | DiskOp::WriteCleaned { .. } => false,
        }
    }

    pub(super) fn carry_out(&mut self, key: QueueKey, step: &Step) -> Result<(), DiskDone> {
        let Some(directory) = self.directory_of(key) else {
            return Ok(());
        };
        let one_in = self.options.sync_error_one_in;
        let volume = &mut self.volumes[usize::from(directory.0)];
        if step.is_sync() && one_in > 0 && self.rng.chance(1, one_in) {
            if let Step::SyncFile(folder, name) = step {
                volume.files.lose_dirtiness(*folder, name);
            }
            volume.failed = true;
            return Err(DiskDone::Failed {
                scope: FailureScope::Directory(directory),
                error: DiskError::Io("sync: input/output error".into()),
            });
        }
        step.apply(&mut volume.files);
        Ok(())
    }

    pub(super) fn fits(&self, directory: DirectoryIndex, more: u64) -> bool {
        self.options.capacity_bytes.is_none_or(|capacity| {
            self.volumes[usize::from(directory.0)].files.used_bytes() + more <= capacity
        })
    }
}

/// Whether a log whose folder is called `name` lets go of the name `folder` with an operation that
/// waits.
fn is_leaving(name: &Arc<str>, queue: &Queue, folder: &Arc<str>) -> bool {
    let mut name = name;
    queue.pending.iter().any(|pending| {
        let (DiskOp::MarkLogDeleted { folder: next, .. } | DiskOp::RenameLog { folder: next, .. }) =
            &pending.op
        else {
            return false;
        };
        std::mem::replace(&mut name, next) == folder
    })
}

/// Exclusive end of the last batch, from its bytes.
fn ends_at(batches: &[StampedBatch]) -> Option<i64> {
    let last = batches.last()?;
    let base = i64::from_be_bytes(last.stamp[..8].try_into().ok()?);
    let delta = i32::from_be_bytes(last.body.get(7..11)?.try_into().ok()?);
    Some(base + i64::from(delta) + 1)
}
