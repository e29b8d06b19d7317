//! Carrying out a log's operations, one after the other.
//!
//! Two places to do it: inline, on the worker that turned the node, for what takes microseconds,
//! and on a disk worker, for what may wait for a device. The first slow operation moves the rest
//! of the queue, in order, to a disk worker. Source: the contract in `ottla_core::storage`.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use ottla_core::ids::{Generation, Offset};
use ottla_core::storage::{DiskDone, DiskOp, FailureScope, StampedBatch};

use super::append::append;
use super::cleaned::{self, CleanedJob};
use super::commit::SyncRequest;
use super::failure::Failure;
use super::log::{Log, Writer};
use super::read::{ReadJob, try_resident};
use super::save::{Save, save};
use super::{Engine, files};

/// Where operations are carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// On a disk worker, which may wait.
    DiskWorker,
    /// On the worker that turned the node, which must not.
    Inline,
}

/// Bytes that a worker appends itself; more goes to a disk worker. A write of 256 KiB into the page
/// cache takes about 40 microseconds, four times what a change of threads costs.
pub(crate) const INLINE_APPEND_BYTES_MAX: usize = 256 * 1024;

/// A log whose queue is held, and the operations taken from it.
#[derive(Debug)]
pub(crate) struct LogWork {
    log: Arc<Log>,
    operations: VecDeque<DiskOp>,
}

impl LogWork {
    /// Takes over a queue that the caller holds.
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self {
            log,
            operations: VecDeque::new(),
        }
    }

    /// Carries operations out until the queue is empty. `Some` is what is left for a disk worker.
    pub(crate) fn run(
        mut self,
        place: Place,
        engine: &Arc<Engine>,
        done: &mut Vec<DiskDone>,
    ) -> Option<Self> {
        let mut inline_bytes_left = INLINE_APPEND_BYTES_MAX;
        loop {
            while let Some(operation) = self.operations.front() {
                if place == Place::Inline && is_slow(operation, &mut inline_bytes_left) {
                    return Some(self);
                }
                let Some(operation) = self.operations.pop_front() else {
                    break;
                };
                self.carry_out(operation, engine, done);
            }
            if !self.log.take_operations(&mut self.operations) {
                Log::spare(self.operations);
                return None;
            }
        }
    }

    fn carry_out(&mut self, operation: DiskOp, engine: &Arc<Engine>, done: &mut Vec<DiskDone>) {
        let directory = self.log.directory();
        if directory.has_failed() && !matches!(operation, DiskOp::Read { .. }) {
            return;
        }
        let mut writer = self.log.writer();
        let outcome = self
            .log
            .change(operation, &mut writer, &mut self.operations, engine, done);
        let Err((failure, scope)) = outcome else {
            return;
        };
        match (&failure, scope) {
            (Failure::Full, Some(scope)) => {
                if matches!(scope, FailureScope::Append { .. }) {
                    writer.is_stopped = true;
                }
                done.push(DiskDone::Failed {
                    scope,
                    error: failure.error(),
                });
            }
            (Failure::Full | Failure::Final(_), _) => directory.fail(&failure, done),
        }
    }
}

/// What went wrong, and how far it reaches if the disk is only full; `None` is the directory.
pub(crate) type Refusal = (Failure, Option<FailureScope>);

/// A failure after which the directory is lost, full or not.
pub(crate) fn lost(failure: Failure) -> Refusal {
    (failure, None)
}

impl Log {
    /// Carries out one operation. `more` are those behind it: appends among them may ride along.
    fn change(
        self: &Arc<Self>,
        operation: DiskOp,
        writer: &mut Writer,
        more: &mut VecDeque<DiskOp>,
        engine: &Arc<Engine>,
        done: &mut Vec<DiskDone>,
    ) -> Result<(), Refusal> {
        if let DiskOp::Read {
            file,
            position,
            length,
            token,
            ..
        } = operation
        {
            let job = ReadJob::new(self, file, position, length, token);
            self.read(job, engine, done);
            return Ok(());
        }
        if let DiskOp::Work { work, token, .. } = operation {
            let sink = Arc::clone(engine);
            engine.workers.run(Box::new(move || {
                let result = work.run();
                sink.deliver(&mut vec![DiskDone::Worked { token, result }]);
            }));
            return Ok(());
        }
        if let DiskOp::WriteCleaned { .. } | DiskOp::SyncCleaned { .. } = operation {
            let job = CleanedJob::new(self, operation);
            let sink = Arc::clone(engine);
            engine.workers.run(Box::new(move || {
                sink.deliver(&mut job.run());
            }));
            return Ok(());
        }
        if let DiskOp::SaveLogFile { .. } = operation {
            return self.save_files(operation, more, engine, done);
        }
        let Some(generation) = generation_of(&operation) else {
            return self.change_files(operation, writer, engine, done);
        };
        let scope = FailureScope::Append {
            log: self.id(),
            generation,
        };
        if let DiskOp::Truncate { .. } = operation {
            return self.truncate(operation, writer, done).map_err(lost);
        }
        if !writer.admits(generation) {
            return Ok(());
        }
        self.change_records(operation, generation, writer, more, done)
            .map_err(|failure| (failure, Some(scope)))
    }

    /// Replaces a file, and those that are to be replaced right after it.
    fn save_files(
        &self,
        first: DiskOp,
        more: &mut VecDeque<DiskOp>,
        engine: &Arc<Engine>,
        done: &mut Vec<DiskDone>,
    ) -> Result<(), Refusal> {
        let mut saves = Vec::new();
        let mut next = Some(first);
        while let Some(DiskOp::SaveLogFile {
            file, bytes, token, ..
        }) = next
        {
            let name = file.name();
            saves.push(Save { name, bytes, token });
            next = more.pop_front_if(|next| matches!(next, DiskOp::SaveLogFile { .. }));
        }
        let directory = self.directory();
        save(directory, engine, &self.folder_path(), &saves, done).map_err(lost)
    }

    /// An operation of the current generation.
    fn change_records(
        self: &Arc<Self>,
        operation: DiskOp,
        generation: Generation,
        writer: &mut Writer,
        more: &mut VecDeque<DiskOp>,
        done: &mut Vec<DiskDone>,
    ) -> Result<(), Failure> {
        if let DiskOp::Append {
            segment,
            position,
            mut end_offset,
            mut batches,
            ..
        } = operation
        {
            let at = (segment, position);
            ride_along(generation, at, &mut batches, &mut end_offset, more);
            append(self, writer, segment, position, &batches)?;
            done.push(DiskDone::Appended {
                log: self.id(),
                generation,
                end_offset,
            });
        } else if let DiskOp::AppendIndex {
            file,
            position,
            bytes,
            ..
        } = operation
        {
            files::append_index(self, writer, file, position, &bytes)?;
        } else if let DiskOp::CreateSegment { segment, .. } = operation {
            files::create_segment(self, writer, segment)?;
        } else if let DiskOp::MarkSegmentDeleted { segment, .. } = operation {
            files::mark_segment_deleted(self, writer, segment)?;
        } else if let DiskOp::Sync { end_offset, .. } = operation {
            self.request_sync(writer, generation, end_offset);
        } else {
            unreachable!("{operation:?} has no generation");
        }
        Ok(())
    }

    /// An operation that holds in every generation.
    fn change_files(
        self: &Arc<Self>,
        operation: DiskOp,
        writer: &mut Writer,
        engine: &Arc<Engine>,
        done: &mut Vec<DiskDone>,
    ) -> Result<(), Refusal> {
        if let DiskOp::CreateLog {
            partition_metadata, ..
        } = operation
        {
            let scope = FailureScope::Append {
                log: self.id(),
                generation: writer.generation,
            };
            files::create_log(self, writer, &partition_metadata)
                .map_err(|failure| (failure, Some(scope)))?;
            done.push(DiskDone::Created { log: self.id() });
        } else if let DiskOp::MarkLogDeleted { folder, .. } = operation {
            self.rename(&folder, engine)?;
        } else if let DiskOp::RenameLog { folder, token, .. } = operation {
            self.rename(&folder, engine)?;
            done.push(DiskDone::Saved { token });
        } else if let DiskOp::RemoveCleaned { segment, .. } = operation {
            cleaned::remove(self, segment).map_err(lost)?;
        } else if let DiskOp::ReplaceSegments {
            segment,
            sources,
            token,
            ..
        } = operation
        {
            cleaned::replace(self, writer, segment, &sources, engine)?;
            done.push(DiskDone::Saved { token });
        } else if let DiskOp::RemoveFile { file, .. } = operation {
            files::remove_file(self, writer, file).map_err(lost)?;
        } else if let DiskOp::RemoveLog { .. } = operation {
            files::remove_log(self, writer).map_err(lost)?;
        } else if let DiskOp::RemoveSegment { segment, .. } = operation {
            files::remove_segment(self, writer, segment).map_err(lost)?;
        } else {
            let is_open = matches!(operation, DiskOp::OpenLog { .. });
            assert!(is_open, "{operation:?} is no log's");
        }
        Ok(())
    }

    /// Renames the folder, and lets a log go on that waits for its name.
    fn rename(&self, folder: &Arc<str>, engine: &Arc<Engine>) -> Result<(), Refusal> {
        files::rename_log(self, folder).map_err(lost)?;
        for successor in self.step_aside() {
            engine.run_on_disk_worker(LogWork::new(successor));
        }
        Ok(())
    }

    fn truncate(
        self: &Arc<Self>,
        operation: DiskOp,
        writer: &mut Writer,
        done: &mut Vec<DiskDone>,
    ) -> Result<(), Failure> {
        let DiskOp::Truncate {
            generation,
            segment,
            position,
            end_offset,
            ..
        } = operation
        else {
            unreachable!("{operation:?} is no truncation");
        };
        assert!(
            generation > writer.generation,
            "a truncation begins a generation"
        );
        writer.generation = generation;
        writer.is_stopped = false;
        files::truncate(self, writer, segment, position)?;
        done.push(DiskDone::Truncated {
            log: self.id(),
            generation,
            end_offset,
        });
        Ok(())
    }

    /// Reads now if that needs no waiting, else on a disk worker; either way the log goes on.
    fn read(self: &Arc<Self>, job: ReadJob, engine: &Arc<Engine>, done: &mut Vec<DiskDone>) {
        if let Some(answer) = try_resident(&job) {
            done.push(answer);
            return;
        }
        let sink = Arc::clone(engine);
        engine.workers.run(Box::new(move || {
            sink.deliver(&mut vec![job.run()]);
        }));
    }

    fn request_sync(self: &Arc<Self>, writer: &mut Writer, generation: Generation, end: Offset) {
        writer.retire_indexes(false);
        self.directory().committer().submit(SyncRequest {
            log: Arc::clone(self),
            generation,
            end_offset: end,
            dirty: std::mem::take(&mut writer.dirty),
        });
    }
}

impl Writer {
    /// Whether a change of this generation is carried out; an older one is dropped unanswered.
    fn admits(&mut self, generation: Generation) -> bool {
        if generation > self.generation {
            // The core opened the log anew: only a truncation of this process raises it otherwise.
            self.generation = generation;
            self.is_stopped = false;
        }
        generation == self.generation && !self.is_stopped
    }
}

/// Adds the batches of appends that continue this one, so that they are written with it.
fn ride_along(
    generation: Generation,
    (segment, position): (Offset, u32),
    batches: &mut Vec<StampedBatch>,
    end_offset: &mut Offset,
    more: &mut VecDeque<DiskOp>,
) {
    let mut end = u64::from(position) + size_bytes(batches);
    while let Some(DiskOp::Append {
        generation: next_generation,
        segment: next_segment,
        position: next_position,
        end_offset: next_end_offset,
        batches: next_batches,
        ..
    }) = more.front_mut()
    {
        if (*next_generation, *next_segment) != (generation, segment)
            || u64::from(*next_position) != end
        {
            return;
        }
        assert!(*next_end_offset > *end_offset, "a log only grows");
        end += size_bytes(next_batches);
        *end_offset = *next_end_offset;
        batches.append(next_batches);
        more.pop_front();
    }
}

/// Bytes of batches together.
pub(crate) fn size_bytes(batches: &[StampedBatch]) -> u64 {
    batches.iter().map(|batch| batch.size_bytes() as u64).sum()
}

/// The generation of a change that has one.
fn generation_of(operation: &DiskOp) -> Option<Generation> {
    match operation {
        DiskOp::Append { generation, .. }
        | DiskOp::AppendIndex { generation, .. }
        | DiskOp::CreateSegment { generation, .. }
        | DiskOp::MarkSegmentDeleted { generation, .. }
        | DiskOp::Sync { generation, .. }
        | DiskOp::Truncate { generation, .. } => Some(*generation),
        DiskOp::CreateLog { .. }
        | DiskOp::MarkLogDeleted { .. }
        | DiskOp::OpenLog { .. }
        | DiskOp::Read { .. }
        | DiskOp::RemoveCleaned { .. }
        | DiskOp::RemoveDirectoryFile { .. }
        | DiskOp::RemoveFile { .. }
        | DiskOp::RemoveLog { .. }
        | DiskOp::RemoveSegment { .. }
        | DiskOp::RenameLog { .. }
        | DiskOp::ReplaceSegments { .. }
        | DiskOp::SaveDirectoryFile { .. }
        | DiskOp::SaveLogFile { .. }
        | DiskOp::SyncCleaned { .. }
        | DiskOp::Work { .. }
        | DiskOp::WriteCleaned { .. } => None,
    }
}

/// Whether a worker should not do this itself; appends share an allowance.
fn is_slow(operation: &DiskOp, bytes_left: &mut usize) -> bool {
    match operation {
        DiskOp::Append { batches, .. } => {
            let bytes: usize = batches.iter().map(StampedBatch::size_bytes).sum();
            let is_slow = bytes > *bytes_left;
            *bytes_left = bytes_left.saturating_sub(bytes);
            is_slow
        }
        DiskOp::AppendIndex { .. }
        | DiskOp::CreateSegment { .. }
        | DiskOp::OpenLog { .. }
        | DiskOp::Read { .. }
        | DiskOp::Sync { .. }
        | DiskOp::SyncCleaned { .. }
        | DiskOp::Work { .. }
        | DiskOp::WriteCleaned { .. } => false,
        DiskOp::CreateLog { .. }
        | DiskOp::MarkLogDeleted { .. }
        | DiskOp::MarkSegmentDeleted { .. }
        | DiskOp::RemoveCleaned { .. }
        | DiskOp::RemoveDirectoryFile { .. }
        | DiskOp::RemoveFile { .. }
        | DiskOp::RemoveLog { .. }
        | DiskOp::RemoveSegment { .. }
        | DiskOp::RenameLog { .. }
        | DiskOp::ReplaceSegments { .. }
        | DiskOp::SaveDirectoryFile { .. }
        | DiskOp::SaveLogFile { .. }
        | DiskOp::Truncate { .. } => true,
    }
}

/// Pairs of slices for a vectored write of batches: stamp, body, stamp, body.
pub(crate) fn slices_of(batches: &[StampedBatch]) -> impl Iterator<Item = IoSlice<'_>> {
    batches
        .iter()
        .flat_map(|batch| [IoSlice::new(&batch.stamp), IoSlice::new(&batch.body)])
}
