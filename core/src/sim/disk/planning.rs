//! The steps that an operation takes, and the room that it needs.

use std::sync::Arc;

use bytes::Bytes;

use super::steps::{self, Step};
use super::{DirectoryId, SimulatedDisk, cleaned};
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};
use crate::storage::{DirectoryFile, DiskDone, DiskError, DiskOp, FailureScope, LogFile, Token};

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
}
