//! What compaction does to files: making a segment beside the log's own, and swapping it in.
//!
//! The order of calls is that of `ottla_core::log::compaction`. Writes and syncs run beside the
//! log's queue, for they may wait long for a device and nothing else waits for them; the swap is
//! one of the log's changes.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::ids::Offset;
use ottla_core::storage::{DiskDone, DiskOp, FailureScope, LogFile, Token};

use super::Engine;
use super::append::refuse;
use super::calls::write_all_at;
use super::execute::Refusal;
use super::execute::lost;
use super::failure::Failure;
use super::files::forget_indexes;
use super::log::{Log, Writer, index_base};
use super::segment::{CLEANED_SUFFIX, SWAP_SUFFIX, Stage};

/// A write or a sync that runs on a thread of its own choosing.
#[derive(Debug)]
pub(crate) struct CleanedJob {
    log: Arc<Log>,
    operation: DiskOp,
    token: Token,
}

impl CleanedJob {
    /// Takes a [`DiskOp::WriteCleaned`] or [`DiskOp::SyncCleaned`].
    pub(crate) fn new(log: &Arc<Log>, operation: DiskOp) -> Self {
        let (DiskOp::WriteCleaned { token, .. } | DiskOp::SyncCleaned { token, .. }) = operation
        else {
            unreachable!("{operation:?} is no work beside the log")
        };
        Self {
            log: Arc::clone(log),
            operation,
            token,
        }
    }

    /// Does it; may wait for the device.
    pub(crate) fn run(self) -> Vec<DiskDone> {
        let mut done = Vec::new();
        match self.carry_out() {
            Ok(()) => done.push(DiskDone::Saved { token: self.token }),
            // The log was removed meanwhile, and nobody waits.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => match refuse(&self.log, &error) {
                full @ Failure::Full => done.push(DiskDone::Failed {
                    scope: FailureScope::Save(self.token),
                    error: full.error(),
                }),
                failure @ Failure::Final(_) => self.log.directory().fail(&failure, &mut done),
            },
        }
        done
    }

    fn carry_out(&self) -> io::Result<()> {
        let calls = self.log.directory().calls();
        let _name_stays = self.log.hold_folder();
        let folder = self.log.directory().path().join(&**_name_stays);
        if let DiskOp::WriteCleaned {
            file,
            position,
            bytes,
            ..
        } = &self.operation
        {
            return self.write(&folder.join(cleaned(*file)), *position, bytes);
        }
        let DiskOp::SyncCleaned { segment, .. } = &self.operation else {
            unreachable!("checked when it was made")
        };
        for file in LogFile::of_segment(*segment) {
            match calls.open(&folder.join(cleaned(file))) {
                Ok(file) => calls.sync_file(&file)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        calls.sync_folder(&folder)
    }

    fn write(&self, path: &Path, position: u32, bytes: &Bytes) -> io::Result<()> {
        let calls = self.log.directory().calls();
        let file = calls.create(path)?;
        if position == 0 {
            calls.set_length(&file, 0)?;
        }
        write_all_at(
            calls,
            &file,
            &mut [IoSlice::new(bytes)],
            u64::from(position),
        )
    }
}

/// Puts a finished segment in the place of others, or goes on with that.
pub(crate) fn replace(
    log: &Arc<Log>,
    writer: &mut Writer,
    base: Offset,
    sources: &[Offset],
    engine: &Arc<Engine>,
) -> Result<(), Refusal> {
    forget_indexes(writer, |file| {
        index_base(file).is_some_and(|base| sources.contains(&base))
    });
    let old = log.take_replaced();
    let swap = || -> io::Result<Vec<File>> {
        rename_all(log, base, CLEANED_SUFFIX, SWAP_SUFFIX, Stage::Swap)?;
        let held = remove_sources(log, &old, sources)?;
        rename_all(log, base, SWAP_SUFFIX, "", Stage::Plain)?;
        Ok(held)
    };
    let held = swap().map_err(|error| lost(refuse(log, &error)))?;
    // The last hold on a large file gives its space back, which takes a while.
    engine.workers.run(Box::new(move || drop((old, held))));
    Ok(())
}

/// Renames the files of the new segment, those that are there, and makes the names durable.
fn rename_all(log: &Log, base: Offset, from: &str, to: &str, stage: Stage) -> io::Result<()> {
    let calls = log.directory().calls();
    let folder = log.folder_path();
    let segment = log.segment(base);
    for file in LogFile::of_segment(base) {
        let name = file.name();
        let from = folder.join(format!("{name}{from}"));
        let _nobody_opens = segment.file().lock();
        match calls.rename(&from, &folder.join(format!("{name}{to}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if file == LogFile::Log(base) {
            segment.set_stage(stage);
        }
    }
    calls.sync_folder(&folder)
}

/// Removes the files of the old segments, durably; answers holds on the large ones.
fn remove_sources(
    log: &Arc<Log>,
    old: &[Arc<super::segment::Segment>],
    sources: &[Offset],
) -> io::Result<Vec<File>> {
    for segment in old {
        segment.retire(log);
    }
    let calls = log.directory().calls();
    let folder = log.folder_path();
    let mut held = Vec::new();
    for file in sources.iter().flat_map(|base| LogFile::of_segment(*base)) {
        let path = folder.join(file.name());
        if matches!(file, LogFile::Log(_))
            && let Ok(opened) = calls.open(&path)
        {
            held.push(opened);
        }
        calls.remove_file(&path)?;
    }
    calls.sync_folder(&folder)?;
    Ok(held)
}

/// Removes what was not swapped in; what is called `.cleaned` last, for it says that nothing old
/// is gone.
pub(crate) fn remove(log: &Log, base: Offset) -> Result<(), Failure> {
    let calls = log.directory().calls();
    let folder = log.folder_path();
    let remove_all = || -> io::Result<()> {
        for suffix in [SWAP_SUFFIX, CLEANED_SUFFIX] {
            for file in LogFile::of_segment(base) {
                calls.remove_file(&folder.join(file.name() + suffix))?;
            }
            calls.sync_folder(&folder)?;
        }
        Ok(())
    };
    remove_all().map_err(|error| Failure::of(&error, &folder))
}

fn cleaned(file: LogFile) -> String {
    file.name() + CLEANED_SUFFIX
}
