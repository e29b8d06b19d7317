//! Reads of a job: part of a file, as bytes.
//!
//! What is in the page cache is read on the spot; the rest by a disk worker. Slices of replies are
//! not read here but sent (`net`).

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::storage::{DiskDone, DiskError, LogFile, Token};

use super::log::Log;

/// Bytes that a worker reads itself if they are in memory: 64 KiB take about 10 microseconds.
const INLINE_READ_BYTES_MAX: u64 = 64 * 1024;

/// Small files are read without asking for their length: most that a start reads are smaller, and
/// to ask costs a fifth of the read.
const PROBE_BYTES: usize = 4 * 1024;

/// Where the system may end a read before the file does, for want of what comes next: at a multiple
/// of this. Every size of pages is one.
const PAGE_BYTES: u64 = 4 * 1024;

/// A read to be carried out.
#[derive(Debug)]
pub(crate) struct ReadJob {
    log: Arc<Log>,
    file: LogFile,
    position: u64,
    length: u64,
    token: Token,
}

impl ReadJob {
    /// Describes a read; touches no file.
    pub(crate) fn new(
        log: &Arc<Log>,
        file: LogFile,
        position: u32,
        length: u32,
        token: Token,
    ) -> Self {
        Self {
            log: Arc::clone(log),
            file,
            position: u64::from(position),
            length: u64::from(length),
            token,
        }
    }

    /// Reads, waiting for the device if need be.
    pub(crate) fn run(self) -> DiskDone {
        let result = self.read().map_err(|error| self.error(&error));
        self.answer(result)
    }

    fn read(&self) -> io::Result<Bytes> {
        let Some(file) = self.open()? else {
            return Ok(Bytes::new());
        };
        let mut buffer = vec![0; self.available(&file)?];
        let count = self
            .log
            .directory()
            .calls()
            .read_at(&file, &mut buffer, self.position)?;
        buffer.truncate(count);
        Ok(buffer.into())
    }

    /// The file; `None` where there is none. Index files and checkpoints are read rarely, so they
    /// are not kept open.
    fn open(&self) -> io::Result<Option<Arc<File>>> {
        let opened = match self.file {
            LogFile::Log(base) => self.log.segment(base).open(&self.log),
            LogFile::LeaderEpochs
            | LogFile::OffsetIndex(_)
            | LogFile::PartitionMetadata
            | LogFile::ProducerSnapshot(_)
            | LogFile::QuorumState
            | LogFile::Snapshot(..)
            | LogFile::Swap(_)
            | LogFile::TimeIndex(_)
            | LogFile::TransactionIndex(_) => self
                .log
                .directory()
                .calls()
                .open(&self.path())
                .map(Arc::new),
        };
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How much there is to read, so that no memory is taken for what a file does not have.
    fn available(&self, file: &File) -> io::Result<usize> {
        let length = file.metadata()?.len();
        let available = self.length.min(length.saturating_sub(self.position));
        usize::try_from(available).map_err(io::Error::other)
    }

    fn path(&self) -> PathBuf {
        self.log.folder_path().join(self.file.name())
    }

    fn error(&self, error: &io::Error) -> DiskError {
        DiskError::Io(format!("{}: {error}", self.path().display()).into())
    }

    fn answer(&self, result: Result<Bytes, DiskError>) -> DiskDone {
        DiskDone::Read {
            log: self.log.id(),
            token: self.token,
            result,
        }
    }
}

/// Reads what is in memory already; `None` where a disk worker has to do it.
pub(crate) fn try_resident(job: &ReadJob) -> Option<DiskDone> {
    let file = match job.open() {
        Ok(Some(file)) => file,
        Ok(None) => return Some(job.answer(Ok(Bytes::new()))),
        Err(_again) => return None,
    };
    if let Some(bytes) = probe(job, &file) {
        return Some(job.answer(Ok(bytes)));
    }
    let available = job.available(&file).ok()?;
    if available as u64 > INLINE_READ_BYTES_MAX {
        return None;
    }
    let mut buffer = vec![0; available];
    if available > 0 {
        let calls = job.log.directory().calls();
        let count = calls.read_resident(&file, &mut buffer, job.position);
        if count.ok()? != Some(available) {
            return None;
        }
    }
    Some(job.answer(Ok(buffer.into())))
}

/// What is in memory, where it is little and certainly all that there is.
fn probe(job: &ReadJob, file: &File) -> Option<Bytes> {
    let mut buffer = [0; PROBE_BYTES];
    let wanted = usize::try_from(job.length).map_or(PROBE_BYTES, |length| length.min(PROBE_BYTES));
    let calls = job.log.directory().calls();
    let read = calls.read_resident(file, &mut buffer[..wanted], job.position);
    let count = read.ok()??;
    let end = job.position + count as u64;
    let is_all = count as u64 == job.length || (count < wanted && !end.is_multiple_of(PAGE_BYTES));
    is_all.then(|| Bytes::copy_from_slice(&buffer[..count]))
}
