//! Reading the metadata back at boot: the newest snapshot, then the log after it.
//!
//! A job: it asks the disk for pieces of bounded size and hands whole batches to the replay, which
//! knows what they mean. The log was opened, and so checked and cut, before.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::ids::{LeaderEpoch, LogId, Offset};
use crate::limits::JOB_READ_BYTES;
use crate::log::Log;
use crate::metadata::delta::Delta;
use crate::metadata::replay::{Replay, ReplayError};
use crate::metadata::snapshot::read_snapshot;
use crate::storage::{DiskError, DiskOp, LogFile, Token};
use crate::wire::records::Batches;

/// Number of the token that the job's reads carry.
const LOAD_TOKEN: u32 = 1;

/// A load in progress.
#[derive(Clone, Debug)]
pub struct Load {
    log: LogId,
    /// Files still to be read, the next one last.
    files: Vec<LogFile>,
    file: LogFile,
    position: u32,
    /// The front of a batch whose rest is in the next piece; the whole of a snapshot.
    carry: BytesMut,
    replay: Replay,
}

/// How a load goes on.
#[derive(Clone, Debug)]
pub enum Loaded {
    /// Everything was replayed.
    Done(Replay),
    /// The disk is asked for more.
    Read(DiskOp),
}

/// The metadata cannot be read; the node cannot start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoadError {
    /// The disk did not give the bytes.
    Disk(DiskError),
    /// What lies in the file is no batch of the metadata log.
    Damaged {
        /// The file.
        file: LogFile,
        /// Where the piece begins that holds it.
        position: u32,
        /// What is wrong.
        error: ReplayError,
    },
    /// Neither the log nor a snapshot has the records in between.
    Missing {
        /// The first offset that is missing.
        start: Offset,
        /// The offset at which the log goes on.
        end: Offset,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => write!(f, "the metadata log cannot be read: {error}"),
            Self::Damaged {
                file,
                position,
                error,
            } => write!(
                f,
                "{} is damaged from byte {position} on: {error}",
                file.name()
            ),
            Self::Missing { start, end } => write!(
                f,
                "the metadata log goes on at offset {end}, and no snapshot holds what is before, \
                 from {start} on; put the newest .checkpoint file back"
            ),
        }
    }
}

impl Load {
    /// Reads `log` back, from the snapshot at `snapshot` on where there is one.
    #[must_use]
    pub fn new(log: &Log, snapshot: Option<(Offset, i32)>) -> Self {
        let start = snapshot.map_or(Offset::ZERO, |(offset, _)| offset);
        let mut files: Vec<LogFile> = log
            .closed_segments()
            .iter()
            .filter(|segment| segment.end_offset > start)
            .map(|segment| LogFile::Log(segment.base_offset))
            .collect();
        files.push(LogFile::Log(log.active_segment()));
        files.reverse();
        if let Some((offset, epoch)) = snapshot {
            files.push(LogFile::Snapshot(offset, epoch));
        }
        let file = files.pop().expect("a log has a segment");
        Self {
            log: log.id(),
            files,
            file,
            position: 0,
            carry: BytesMut::new(),
            replay: Replay::default(),
        }
    }

    /// The next read.
    #[must_use]
    pub fn read(&self) -> DiskOp {
        DiskOp::Read {
            log: self.log,
            file: self.file,
            position: self.position,
            length: JOB_READ_BYTES,
            token: Token::of_node(LOAD_TOKEN),
        }
    }

    /// Whether an answer of the disk is for a load.
    #[must_use]
    pub fn is_for(token: Token) -> bool {
        token == Token::of_node(LOAD_TOKEN)
    }

    /// Takes in a piece.
    ///
    /// # Errors
    /// [`LoadError`]: the node cannot start.
    pub fn on_read(
        mut self,
        result: &Result<Bytes, DiskError>,
    ) -> Result<(Self, Loaded), LoadError> {
        let piece = result
            .as_ref()
            .map_err(|error| LoadError::Disk(error.clone()))?;
        self.carry.extend_from_slice(piece);
        let length = u32::try_from(piece.len()).expect("no more than was asked for");
        let is_end = length < JOB_READ_BYTES;
        if let LogFile::Snapshot(offset, epoch) = self.file {
            if is_end {
                self.take_snapshot(offset, epoch)?;
            }
        } else {
            self.take_batches()?;
        }
        self.position += length;
        if is_end {
            self.carry.clear();
            self.position = 0;
            match self.files.pop() {
                Some(next) => self.file = next,
                None => {
                    let replay = std::mem::take(&mut self.replay);
                    return Ok((self, Loaded::Done(replay)));
                }
            }
        }
        let read = self.read();
        Ok((self, Loaded::Read(read)))
    }

    fn take_snapshot(&mut self, offset: Offset, epoch: i32) -> Result<(), LoadError> {
        let bytes = self.carry.split().freeze();
        let content = read_snapshot(&bytes).map_err(|error| self.damaged(error))?;
        self.replay = Replay::after(content.image, offset, LeaderEpoch(epoch));
        Ok(())
    }

    fn take_batches(&mut self) -> Result<(), LoadError> {
        let mut batches = Batches::new(self.carry.split().freeze());
        for batch in batches.by_ref() {
            let (header, bytes) = batch.map_err(|e| self.damaged(ReplayError::Batch(e)))?;
            if header.next_offset() <= self.replay.end_offset() {
                continue;
            }
            if header.base_offset > self.replay.end_offset() {
                return Err(LoadError::Missing {
                    start: self.replay.end_offset(),
                    end: header.base_offset,
                });
            }
            self.replay
                .apply_batch(&bytes, &mut Delta::default())
                .map_err(|error| self.damaged(error))?;
        }
        self.carry = BytesMut::from(batches.rest());
        Ok(())
    }

    fn damaged(&self, error: ReplayError) -> LoadError {
        LoadError::Damaged {
            file: self.file,
            position: self.position,
            error,
        }
    }
}
