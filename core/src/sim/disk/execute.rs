//! Carrying out: the calls an operation needs, and the answer when they are done.

use std::sync::Arc;

use bytes::Bytes;

use super::cleaned;
use super::steps::{self, Step};
use super::{DirectoryId, Queue, QueueKey, SimulatedDisk};
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};
use crate::storage::{
    DirectoryFile, DiskDone, DiskError, DiskOp, FailureScope, LogFile, StampedBatch, Token,
};

impl SimulatedDisk {
    /// The calls an operation needs, or why it cannot be done.
    pub(super) fn plan(&mut self, op: &DiskOp) -> Result<Vec<Step>, DiskDone> {
        match op {
            DiskOp::Append { log, .. }
            | DiskOp::AppendIndex { log, .. }
            | DiskOp::CreateSegment { log, .. }
            | DiskOp::MarkSegmentDeleted { log, .. }
            | DiskOp::RemoveCleaned { log, .. }
            | DiskOp::RemoveFile { log, .. }
            | DiskOp::RemoveSegment { log, .. }
            | DiskOp::ReplaceSegments { log, .. }
            | DiskOp::SaveLogFile { log, .. }
            | DiskOp::Sync { log, .. }
            | DiskOp::SyncCleaned { log, .. }
            | DiskOp::Truncate { log, .. }
            | DiskOp::WriteCleaned { log, .. } => {
                let opened = self.logs.get(log).expect("the contract knows the log");
                let (volume, folder) = (opened.directory, opened.folder);
                self.plan_in_log(op, *log, volume, folder)
            }
            DiskOp::CreateLog {
                log,
                directory,
                folder,
                partition_metadata,
            } => Ok(self.plan_create_log(*log, *directory, folder, partition_metadata)),
            DiskOp::MarkLogDeleted { log, folder } => {
                let opened = self.logs.get_mut(log).expect("the contract knows the log");
                let former = std::mem::replace(&mut opened.folder_name, Arc::clone(folder));
                let renamed = Arc::clone(folder);
                Ok(vec![Step::Rename(DirectoryId::ROOT, former, renamed)])
            }
            DiskOp::RenameLog { log, folder, .. } => {
                let opened = self.logs.get_mut(log).expect("the contract knows the log");
                let former = std::mem::replace(&mut opened.folder_name, Arc::clone(folder));
                let files = self.files(self.logs[log].directory);
                assert!(files.folder(folder).is_none(), "{op:?}: the name is taken");
                Ok(vec![
                    Step::Rename(DirectoryId::ROOT, former, Arc::clone(folder)),
                    Step::SyncDirectory(DirectoryId::ROOT),
                ])
            }
            DiskOp::OpenLog { .. } => Ok(Vec::new()),
            DiskOp::Read { .. } | DiskOp::Work { .. } => {
                unreachable!("reads and work have queues of their own")
            }
            DiskOp::RemoveDirectoryFile { file, .. } => Ok(vec![
                Step::Remove(DirectoryId::ROOT, file.name().into()),
                Step::SyncDirectory(DirectoryId::ROOT),
            ]),
            DiskOp::RemoveLog { log } => Ok(self.plan_remove_log(*log)),
            DiskOp::SaveDirectoryFile {
                directory,
                file,
                bytes,
                token,
            } => {
                let root = DirectoryId::ROOT;
                let save = self.plan_save(*directory, root, file.name(), bytes, *token)?;
                let mut calls = Vec::new();
                if *file == DirectoryFile::CleanShutdown {
                    calls = steps::sync_everything(self.files(*directory));
                }
                calls.extend(save);
                Ok(calls)
            }
        }
    }

    fn plan_in_log(
        &mut self,
        op: &DiskOp,
        log: LogId,
        volume: DirectoryIndex,
        folder: DirectoryId,
    ) -> Result<Vec<Step>, DiskDone> {
        match op {
            DiskOp::Append {
                generation,
                segment,
                position,
                batches,
                ..
            } => {
                let size: u64 = batches.iter().map(|batch| batch.size_bytes() as u64).sum();
                self.reserve(log, *generation, size)?;
                let cut = self.short_write(size);
                Ok(steps::append(folder, *segment, *position, batches, cut))
            }
            DiskOp::AppendIndex {
                generation,
                file,
                position,
                bytes,
                ..
            } => {
                self.reserve(log, *generation, bytes.len() as u64)?;
                Ok(steps::append_index(folder, *file, *position, bytes))
            }
            DiskOp::CreateSegment { segment, .. } => Ok(vec![Step::Create(
                folder,
                LogFile::Log(*segment).name().into(),
            )]),
            DiskOp::MarkSegmentDeleted { segment, .. } => {
                let files = self.files(volume);
                Ok(steps::mark_segment_deleted(files, folder, *segment))
            }
            DiskOp::RemoveFile { file, .. } => Ok(vec![Step::Remove(folder, file.name().into())]),
            DiskOp::RemoveSegment { segment, .. } => {
                Ok(steps::remove_segment(self.files(volume), folder, *segment))
            }
            DiskOp::RemoveCleaned { .. }
            | DiskOp::ReplaceSegments { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::WriteCleaned { .. } => self.plan_compaction(op, volume, folder),
            DiskOp::SaveLogFile {
                file, bytes, token, ..
            } => self.plan_save(volume, folder, &file.name(), bytes, *token),
            DiskOp::Sync { .. } => {
                let with_indexes = self.options.sync_takes_indexes;
                Ok(steps::sync(self.files(volume), folder, with_indexes))
            }
            DiskOp::Truncate {
                segment, position, ..
            } => Ok(self.plan_truncate(log, volume, folder, (*segment, *position))),
            DiskOp::CreateLog { .. }
            | DiskOp::MarkLogDeleted { .. }
            | DiskOp::OpenLog { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::RenameLog { .. }
            | DiskOp::SaveDirectoryFile { .. }
            | DiskOp::Work { .. } => unreachable!("not within a log: {op:?}"),
        }
    }

    fn plan_truncate(
        &mut self,
        log: LogId,
        volume: DirectoryIndex,
        folder: DirectoryId,
        (segment, position): (Offset, u32),
    ) -> Vec<Step> {
        self.logs.get_mut(&log).expect("found by the caller").full = None;
        steps::truncate(self.files(volume), folder, segment, position)
    }

    /// What compaction asks for.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller sorted the others out"
    )]
    fn plan_compaction(
        &self,
        op: &DiskOp,
        volume: DirectoryIndex,
        folder: DirectoryId,
    ) -> Result<Vec<Step>, DiskDone> {
        let files = self.files(volume);
        match op {
            DiskOp::RemoveCleaned { segment, .. } => Ok(cleaned::remove(files, folder, *segment)),
            DiskOp::ReplaceSegments {
                segment, sources, ..
            } => Ok(cleaned::replace(files, folder, *segment, sources)),
            DiskOp::SyncCleaned { segment, .. } => Ok(cleaned::sync(files, folder, *segment)),
            DiskOp::WriteCleaned { bytes, token, .. } if !self.fits(volume, bytes.len() as u64) => {
                Err(DiskDone::Failed {
                    scope: FailureScope::Save(*token),
                    error: DiskError::Full,
                })
            }
            DiskOp::WriteCleaned {
                file,
                position,
                bytes,
                ..
            } => Ok(cleaned::write(folder, *file, *position, bytes)),
            _other => unreachable!("not of compaction: {op:?}"),
        }
    }

    /// Where a write is cut in two calls, now and then.
    fn short_write(&mut self, size: u64) -> Option<u32> {
        let cut = self.rng.chance(1, 4).then(|| self.rng.below(size.max(1)))?;
        Some(u32::try_from(cut).expect("a segment is below 4 GiB"))
    }

    fn plan_create_log(
        &mut self,
        log: LogId,
        directory: DirectoryIndex,
        folder: &Arc<str>,
        partition_metadata: &Bytes,
    ) -> Vec<Step> {
        // What an interrupted creation left is emptied.
        let files = self.files_mut(directory);
        let made = files.create_folder(folder);
        let names: Vec<Arc<str>> = files
            .names(made)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in names {
            files.remove(made, &name);
        }
        self.bind(log, directory, folder);
        if partition_metadata.is_empty() {
            return Vec::new();
        }
        let name: Arc<str> = LogFile::PartitionMetadata.name().into();
        vec![
            Step::Create(made, Arc::clone(&name)),
            Step::Write(made, name, 0, partition_metadata.clone()),
        ]
    }

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

    fn plan_save(
        &mut self,
        volume: DirectoryIndex,
        directory: DirectoryId,
        name: &str,
        bytes: &Bytes,
        token: Token,
    ) -> Result<Vec<Step>, DiskDone> {
        if !self.fits(volume, bytes.len() as u64) {
            return Err(DiskDone::Failed {
                scope: FailureScope::Save(token),
                error: DiskError::Full,
            });
        }
        let mut calls = steps::replace(directory, name, bytes);
        if directory != DirectoryId::ROOT {
            calls.push(Step::SyncDirectory(DirectoryId::ROOT));
        }
        Ok(calls)
    }

    /// File by file, then the folder.
    fn plan_remove_log(&mut self, log: LogId) -> Vec<Step> {
        let opened = &self.logs[&log];
        let files = self.files(opened.directory);
        let mut calls: Vec<Step> = files
            .names(opened.folder)
            .map(|(name, _)| Step::Remove(opened.folder, name.clone()))
            .collect();
        calls.push(Step::Remove(DirectoryId::ROOT, opened.folder_name.clone()));
        calls
    }

    /// Fails the log's generation where `size` more bytes do not fit.
    fn reserve(&mut self, log: LogId, generation: Generation, size: u64) -> Result<(), DiskDone> {
        let directory = self.logs[&log].directory;
        if self.fits(directory, size) {
            return Ok(());
        }
        let opened = self.logs.get_mut(&log).expect("found above");
        opened.full = Some(generation);
        Err(DiskDone::Failed {
            scope: FailureScope::Append { log, generation },
            error: DiskError::Full,
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

    fn fits(&self, directory: DirectoryIndex, more: u64) -> bool {
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
