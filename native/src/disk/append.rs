//! Appending batches to a segment: one vectored write, into space allocated ahead.
//!
//! Nothing is copied and nothing is allocated on the heap here. Allocation ahead of the end saves
//! about 12 % of what a write costs on ext4; it begins once a segment has proved busy, so that a
//! thousand quiet partitions take no space, and is given back when the segment is closed.

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use ottla_core::ids::Offset;
use ottla_core::storage::StampedBatch;

use super::calls::write_all_at;
use super::execute::{size_bytes, slices_of};
use super::failure::Failure;
use super::log::{Active, Log, Writer};
use crate::metrics::nanoseconds;

/// A segment shorter than this allocates nothing ahead.
const PREALLOCATE_FROM_BYTES: u64 = 256 * 1024;

/// The first step ahead; later ones are as long as the segment already is.
const PREALLOCATE_BYTES_MIN: u64 = 1024 * 1024;

/// The longest step ahead: 16 MiB last 16 ms at 1 GB/s, and a call takes some 20 microseconds.
const PREALLOCATE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Slices of one vectored write: half of this in batches. On the stack it is 2 KiB.
const SLICES_MAX: usize = 128;

/// Writes batches at the end of a segment.
///
/// # Errors
/// `Full`: the file is as it was before. Anything else: the directory is lost.
pub(crate) fn append(
    log: &Arc<Log>,
    writer: &mut Writer,
    segment: Offset,
    position: u32,
    batches: &[StampedBatch],
) -> Result<(), Failure> {
    assert!(!batches.is_empty(), "an append has something to write");
    let file = activate(log, writer, segment).map_err(|error| refuse(log, &error))?;
    writer.mark_active_dirty();
    let Some(active) = &mut writer.active else {
        unreachable!("activate made it");
    };
    let position = u64::from(position);
    if active.length != position {
        let found = active.length;
        let reason = format!("segment {segment} has {found} bytes where {position} are known");
        return Err(refuse(log, &io::Error::other(reason)));
    }
    let end = position + size_bytes(batches);
    active.preallocate(log, &file, end);
    let started = Instant::now();
    match write_batches(log, &file, batches, position) {
        Ok(()) => {
            log.directory().figures().append.note(nanoseconds(started));
            active.length = end;
            active.allocated_end = active.allocated_end.max(end);
            assert!(active.length > position, "an append makes a log longer");
            Ok(())
        }
        Err(error) => {
            let failure = refuse(log, &error);
            if failure == Failure::Full {
                let calls = log.directory().calls();
                calls
                    .set_length(&file, position)
                    .map_err(|error| refuse(log, &error))?;
                active.allocated_end = position;
            }
            Err(failure)
        }
    }
}

/// Judges an error of a log's file.
pub(crate) fn refuse(log: &Log, error: &io::Error) -> Failure {
    Failure::of(error, &log.folder_path())
}

fn write_batches(
    log: &Log,
    file: &File,
    batches: &[StampedBatch],
    mut position: u64,
) -> io::Result<()> {
    let calls = log.directory().calls();
    for group in batches.chunks(SLICES_MAX / 2) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        for slice in slices_of(group) {
            slices[count] = slice;
            count += 1;
        }
        write_all_at(calls, file, &mut slices[..count], position)?;
        position += size_bytes(group);
    }
    Ok(())
}

/// Makes a segment the one that is appended to, and opens it.
fn activate(log: &Arc<Log>, writer: &mut Writer, base: Offset) -> io::Result<Arc<File>> {
    if let Some(active) = &writer.active
        && active.segment.base() == base
    {
        return active.segment.open(log);
    }
    writer.close_active(log)?;
    let segment = log.segment(base);
    let file = segment.open(log)?;
    let length = file.metadata()?.len();
    writer.active = Some(Active {
        segment,
        length,
        allocated_end: length,
    });
    Ok(file)
}

impl Writer {
    /// Ends appending to the active segment: what was allocated ahead is given back.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn close_active(&mut self, log: &Log) -> io::Result<()> {
        let Some(active) = self.active.take() else {
            return Ok(());
        };
        if active.allocated_end > active.length {
            let file = active.segment.open(log)?;
            log.directory().calls().set_length(&file, active.length)?;
        }
        Ok(())
    }
}

impl Active {
    /// Allocates ahead when the next write would pass what is allocated. A file system that cannot
    /// is not asked again for this segment; a full one shows at the write.
    fn preallocate(&mut self, log: &Log, file: &File, end: u64) {
        if end <= self.allocated_end || end < PREALLOCATE_FROM_BYTES {
            return;
        }
        let step = end.clamp(PREALLOCATE_BYTES_MIN, PREALLOCATE_BYTES_MAX);
        let start = self.allocated_end.max(self.length);
        let calls = log.directory().calls();
        self.allocated_end = match calls.preallocate(file, start, end - start + step) {
            Ok(()) => end + step,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => u64::MAX,
            Err(_full) => end,
        };
    }
}
