//! What operations do to files other than appending to a `.log`: making, renaming, cutting,
//! removing, replacing.
//!
//! Each function is one operation of the contract, carried out by whoever holds the log's queue.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::ids::Offset;
use ottla_core::storage::LogFile;

use super::append::refuse;
use super::calls::write_all_at;
use super::failure::Failure;
use super::handles::LazyFile;
use super::log::{Active, Index, Log, Writer, index_base};
use super::segment::{DELETED_SUFFIX, Stage};

/// Files of a segment beside its `.log`.
fn indexes_of(segment: Offset) -> [LogFile; 3] {
    [
        LogFile::OffsetIndex(segment),
        LogFile::TimeIndex(segment),
        LogFile::TransactionIndex(segment),
    ]
}

/// Makes the log's folder, and its `partition.metadata` where that has content.
pub(crate) fn create_log(
    log: &Log,
    writer: &mut Writer,
    partition_metadata: &Bytes,
) -> Result<(), Failure> {
    let calls = log.directory().calls();
    let make = || -> io::Result<()> {
        let folder = log.folder_path();
        calls.create_folder(&folder)?;
        // What a creation left that a crash interrupted is no part of the new log.
        for leftover in std::fs::read_dir(&folder)? {
            calls.remove_file(&leftover?.path())?;
        }
        if !partition_metadata.is_empty() {
            let file = calls.create(&folder.join(LogFile::PartitionMetadata.name()))?;
            calls.set_length(&file, 0)?;
            write_all_at(calls, &file, &mut [IoSlice::new(partition_metadata)], 0)?;
        }
        Ok(())
    };
    make().map_err(|error| refuse(log, &error))?;
    if !partition_metadata.is_empty() {
        // Durable before any record is: without it the next start would not know the records.
        let metadata = (LogFile::PartitionMetadata, Arc::new(LazyFile::default()));
        writer.dirty.indexes.push(metadata);
    }
    writer.dirty.folder = true;
    writer.dirty.folder_name = true;
    Ok(())
}

/// Begins a segment: its empty `.log`, from now on the one that is appended to.
pub(crate) fn create_segment(
    log: &Arc<Log>,
    writer: &mut Writer,
    base: Offset,
) -> Result<(), Failure> {
    let calls = log.directory().calls();
    let mut make = || -> io::Result<()> {
        writer.close_active(log)?;
        let segment = log.segment(base);
        let file = segment.create(log)?;
        if file.metadata()?.len() > 0 {
            calls.set_length(&file, 0)?;
        }
        writer.active = Some(Active {
            segment,
            length: 0,
            allocated_end: 0,
        });
        Ok(())
    };
    make().map_err(|error| refuse(log, &error))?;
    writer.mark_active_dirty();
    writer.dirty.folder = true;
    writer.retire_indexes(false);
    Ok(())
}

/// Appends entries to an index file, which is cut to where they begin.
pub(crate) fn append_index(
    log: &Log,
    writer: &mut Writer,
    name: LogFile,
    position: u32,
    bytes: &Bytes,
) -> Result<(), Failure> {
    assert!(index_base(name).is_some(), "{name:?} is no index");
    let calls = log.directory().calls();
    let known = writer.indexes.iter().position(|index| index.file == name);
    let slot = known.unwrap_or(writer.indexes.len());
    if known.is_none() {
        writer.indexes.push(Index {
            file: name,
            handle: Arc::default(),
            length: None,
            is_dirty: false,
        });
        writer.dirty.folder = true;
    }
    let index = &mut writer.indexes[slot];
    let position = u64::from(position);
    let mut write = || -> io::Result<()> {
        let folder = log.folder_path();
        let path = folder.join(name.name());
        if let (None, LogFile::TimeIndex(base)) = (known, name) {
            // Kafka keeps both, and its dump tool opens the one to read the other.
            calls.create(&folder.join(LogFile::OffsetIndex(base).name()))?;
        }
        let file = log
            .directory()
            .handles()
            .open(&index.handle, || calls.create(&path))?;
        if index.length != Some(position) {
            calls.set_length(&file, position)?;
        }
        index.length = None;
        write_all_at(calls, &file, &mut [IoSlice::new(bytes)], position)?;
        index.length = Some(position + bytes.len() as u64);
        index.is_dirty = true;
        Ok(())
    };
    write().map_err(|error| refuse(log, &error))
}

/// Renames the log's folder, durably: a new log of its name finds none.
pub(crate) fn rename_log(log: &Log, folder: &Arc<str>) -> Result<(), Failure> {
    let directory = log.directory();
    let mut name = log.lock_folder();
    let from = directory.path().join(&**name);
    let to = directory.path().join(&**folder);
    directory
        .calls()
        .rename(&from, &to)
        .and_then(|()| directory.calls().sync_folder(directory.path()))
        .map_err(|error| Failure::of(&error, &from))?;
    *name = Arc::clone(folder);
    Ok(())
}

/// Renames a segment's files to end in `.deleted`.
pub(crate) fn mark_segment_deleted(
    log: &Log,
    writer: &mut Writer,
    base: Offset,
) -> Result<(), Failure> {
    forget_indexes(writer, |file| index_base(file) == Some(base));
    if let Some(active) = &writer.active
        && active.segment.base() == base
    {
        writer.active = None;
    }
    let segment = log.segment(base);
    let folder = log.folder_path();
    let calls = log.directory().calls();
    let rename = |file: LogFile| match calls
        .rename(&folder.join(file.name()), &folder.join(deleted_name(file)))
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let rename_all = || -> io::Result<()> {
        {
            let _nobody_opens = segment.file().lock();
            rename(LogFile::Log(base))?;
            segment.set_stage(Stage::Deleted);
        }
        indexes_of(base).into_iter().try_for_each(rename)
    };
    rename_all().map_err(|error| refuse(log, &error))?;
    writer.dirty.folder = true;
    Ok(())
}

fn deleted_name(file: LogFile) -> String {
    file.name() + DELETED_SUFFIX
}

/// Removes one file of the log's folder.
pub(crate) fn remove_file(log: &Log, writer: &mut Writer, file: LogFile) -> Result<(), Failure> {
    forget_indexes(writer, |index| index == file);
    if let LogFile::Log(base) = file
        && let Some(segment) = log.forget_segment(base)
    {
        segment.retire(log);
    }
    let path = log.folder_path().join(file.name());
    log.directory()
        .calls()
        .remove_file(&path)
        .map_err(|error| Failure::of(&error, &path))?;
    writer.dirty.folder = true;
    Ok(())
}

/// Removes a folder that is marked as deleted, and all that is in it.
pub(crate) fn remove_log(log: &Log, writer: &mut Writer) -> Result<(), Failure> {
    writer.active = None;
    writer.indexes.clear();
    writer.dirty = super::log::Dirty::default();
    for segment in log.forget_segments(Offset::ZERO) {
        segment.retire(log);
    }
    let path = log.folder_path();
    log.directory()
        .calls()
        .remove_folder(&path)
        .map_err(|error| Failure::of(&error, &path))
}

/// Removes the files of a segment that is marked as deleted.
pub(crate) fn remove_segment(log: &Log, writer: &mut Writer, base: Offset) -> Result<(), Failure> {
    if let Some(segment) = log.forget_segment(base) {
        segment.retire(log);
    }
    let folder = log.folder_path();
    let calls = log.directory().calls();
    let files = [LogFile::Log(base)].into_iter().chain(indexes_of(base));
    for file in files {
        let path = folder.join(deleted_name(file));
        calls
            .remove_file(&path)
            .map_err(|error| Failure::of(&error, &path))?;
    }
    writer.dirty.folder = true;
    Ok(())
}

/// Cuts a segment and removes those after it, durably.
pub(crate) fn truncate(
    log: &Arc<Log>,
    writer: &mut Writer,
    base: Offset,
    position: u32,
) -> Result<(), Failure> {
    let calls = log.directory().calls();
    let length = u64::from(position);
    let mut cut = || -> io::Result<()> {
        writer.active = None;
        forget_indexes(writer, |file| index_base(file) >= Some(base));
        remove_segments_after(log, base)?;
        let segment = log.segment(base);
        let file = segment.create(log)?;
        {
            let _nobody_reads = segment.begin_cut(length);
            calls.set_length(&file, length)?;
        }
        calls.sync_file(&file)?;
        calls.sync_folder(&log.folder_path())?;
        writer.active = Some(Active {
            segment,
            length,
            allocated_end: length,
        });
        Ok(())
    };
    cut().map_err(|error| refuse(log, &error))
}

/// Removes every segment whose base lies above `base`: known ones and those a folder still holds.
fn remove_segments_after(log: &Log, base: Offset) -> io::Result<()> {
    let calls = log.directory().calls();
    for segment in log.forget_segments(base.plus(1)) {
        drop(segment.begin_cut(0));
        segment.retire(log);
    }
    let folder = log.folder_path();
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name();
        let Some(file) = name.to_str().and_then(LogFile::parse) else {
            continue;
        };
        let file_base = match file {
            LogFile::Log(file_base) => Some(file_base),
            LogFile::LeaderEpochs
            | LogFile::OffsetIndex(_)
            | LogFile::PartitionMetadata
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..)
            | LogFile::Swap(_)
            | LogFile::TimeIndex(_)
            | LogFile::TransactionIndex(_) => index_base(file),
        };
        if file_base > Some(base) {
            calls.remove_file(&folder.join(name))?;
        }
    }
    Ok(())
}

/// Stops writing to indexes whose files change or go.
pub(crate) fn forget_indexes(writer: &mut Writer, is_gone: impl Fn(LogFile) -> bool) {
    writer.indexes.retain(|index| !is_gone(index.file));
    writer.dirty.indexes.retain(|(file, _)| !is_gone(*file));
}

/// An index file's slot: also what a sync flushes.
pub(crate) type IndexHandle = (LogFile, Arc<LazyFile>);
