//! The copy of a log into another directory: a piece at a time, then whatever is written.
//!
//! It owns the future log. Whoever runs it lends it the current one in each turn. It ends by itself
//! where it cannot go on, for a reason that is told; what becomes of its folder is the caller's
//! business.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{LeaderBatch, Log, LogCreation, LogMemory, LogState, Lookup, ReadOutcome};
use super::super::{ReadRequest, Ticket};
use crate::ids::{DirectoryIndex, LogId, Offset};
use crate::limits::MOVE_READ_BYTES;
use crate::storage::{DiskDone, DiskError, DiskOp, FailureScope, LogFile, Slice, Token};
use crate::time::Now;
use crate::wire::batch::PreparedBatch;
use crate::wire::records::Batches;

/// What a future log will be.
#[derive(Clone, Debug)]
pub struct FutureLog {
    /// Its id; never used before in this incarnation of the node.
    pub id: LogId,
    /// The directory it is copied to.
    pub directory: DirectoryIndex,
    /// Its folder until it is the current one.
    pub folder: Arc<str>,
    /// Content of `partition.metadata`.
    pub partition_metadata: Bytes,
}

/// Why a copy goes on no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CopyEnd {
    /// It cannot be made, now or ever: for a person.
    Failed(String),
    /// The current log lost records that the copy has, or that it was to have: to be begun anew.
    Outrun,
}

/// The job.
#[derive(Clone, Debug)]
pub struct LogCopy {
    future: FutureLog,
    /// `None` until it is known where it begins.
    log: Option<Log>,
    awaited: Option<Awaited>,
    end: Option<CopyEnd>,
}

/// A read of the current log.
#[derive(Clone, Debug)]
enum Awaited {
    /// Of batches; with how often segments were replaced when it was asked for.
    Batches(Token, u64),
    /// Of something that says where they are.
    Position(Box<Lookup>),
}

impl LogCopy {
    /// Begins with nothing.
    #[must_use]
    pub fn new(future: FutureLog) -> Self {
        Self {
            future,
            log: None,
            awaited: None,
            end: None,
        }
    }

    /// What the future log is.
    #[must_use]
    pub fn future(&self) -> &FutureLog {
        &self.future
    }

    /// The future log; `None` until it is known where it begins.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        self.log.as_ref()
    }

    /// Why it goes on no more; `None` while it does.
    #[must_use]
    pub fn end(&self) -> Option<&CopyEnd> {
        self.end.as_ref()
    }

    /// Whether an answer with this token, of the current log, is for this copy.
    #[must_use]
    pub fn awaits(&self, token: Token) -> bool {
        match &self.awaited {
            Some(Awaited::Batches(awaited, _)) => *awaited == token,
            Some(Awaited::Position(lookup)) => lookup.token() == token,
            None => false,
        }
    }

    /// Whether nothing is under way, so that the next piece may be asked for.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let is_written = |log: &Log| log.written() == log.log_end_offset();
        self.end.is_none() && self.awaited.is_none() && self.log.as_ref().is_none_or(is_written)
    }

    /// Whether there is something written that it does not have.
    #[must_use]
    pub fn is_behind(&self, source: &Log) -> bool {
        let log = self.log.as_ref();
        log.is_none_or(|log| log.log_end_offset() < source.written())
    }

    /// Whether it has everything that is written, and could go on from there.
    #[must_use]
    pub fn has_caught_up(&self, source: &Log) -> bool {
        let is_usable = source.state() == LogState::Usable;
        self.end.is_none() && self.awaited.is_none() && is_usable && !self.is_behind(source)
    }

    /// Follows what happened to the current log apart from appends; once a turn.
    pub fn follow(&mut self, source: &Log, memory: &mut LogMemory, out: &mut Vec<DiskOp>) {
        let Some(log) = &mut self.log else {
            return;
        };
        log.reconfigure(Arc::clone(source.settings()));
        let start = source.log_start_offset();
        if start > log.log_end_offset() || log.log_end_offset() > source.written() {
            self.end.get_or_insert(CopyEnd::Outrun);
        } else if start > log.log_start_offset() {
            log.advance_log_start(start, memory, out);
        }
    }

    /// Copies the next piece of at most `bytes_max`, or one batch, from memory or by asking the
    /// disk; answers how many bytes that are.
    pub fn advance(
        &mut self,
        now: Now,
        (source, bytes_max): (&mut Log, u32),
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> u64 {
        assert!(self.is_idle(), "one piece at a time");
        let start = match &self.log {
            Some(log) => log.log_end_offset().max(source.log_start_offset()),
            None => source.log_start_offset(),
        };
        if start >= source.written() {
            // There is nothing: then this is where it begins.
            self.log_from(now, start, source, out);
            return 0;
        }
        let request = ReadRequest {
            start_offset: start,
            bound: source.written(),
            max_bytes: bytes_max.clamp(1, MOVE_READ_BYTES),
            at_least_one: true,
        };
        let outcome = source.read(request, memory);
        self.on_outcome(now, source, outcome, (memory, out))
    }

    /// Takes in a read that it awaits; answers how many bytes were copied or asked for.
    pub fn on_read(
        &mut self,
        now: Now,
        (source, result): (&mut Log, &Result<Bytes, DiskError>),
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> u64 {
        let awaited = self.awaited.take().expect("the caller asked");
        if self.end.is_some() {
            return 0;
        }
        match (awaited, result) {
            (Awaited::Batches(_, replacements), Ok(bytes)) => {
                if replacements == source.replacements() {
                    let before = self.end_offset();
                    self.take_batches(now, (source, bytes.clone()), memory, out);
                    if self.end_offset() == before {
                        self.fail("there is no whole batch where one begins".to_owned());
                    }
                    // What is old would push what is new out of memory.
                    if let Some(log) = &mut self.log {
                        log.release(memory);
                    }
                }
                0
            }
            (Awaited::Batches(..), Err(error)) => {
                self.fail(format!("the log cannot be read: {error}"));
                0
            }
            (Awaited::Position(lookup), result) => {
                let outcome = source.resume_read(*lookup, result, memory);
                self.on_outcome(now, source, outcome, (memory, out))
            }
        }
    }

    /// Takes in an answer of the disk that concerns the future log.
    pub fn on_done(&mut self, done: &DiskDone, memory: &mut LogMemory, out: &mut Vec<DiskOp>) {
        let Some(log) = &mut self.log else {
            return;
        };
        match done {
            DiskDone::Appended {
                generation,
                end_offset,
                ..
            } => {
                log.on_appended(*generation, *end_offset, memory);
            }
            DiskDone::Synced {
                generation,
                end_offset,
                ..
            } => {
                log.on_synced(*generation, *end_offset, memory);
            }
            DiskDone::Saved { token } => log.on_saved(*token, out),
            DiskDone::Failed { scope, error } => match scope {
                FailureScope::Append { .. } | FailureScope::Save(_) => {
                    self.fail(format!("the target directory: {error}"));
                }
                FailureScope::Directory(_) => {}
            },
            DiskDone::Created { .. }
            | DiskDone::Read { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => {}
        }
    }

    /// Hands what was copied in this turn to the disk; `durably`, whatever the flush policy is.
    pub fn settle(&mut self, now: Now, durably: bool, out: &mut Vec<DiskOp>) {
        if let Some(log) = &mut self.log {
            log.settle(now, out);
            if durably {
                log.sync_all(out);
            }
        }
    }

    /// Hands over what the current log knows beyond its batches.
    pub fn take_over(&mut self, source: &Log, out: &mut Vec<DiskOp>) {
        let log = self.log.as_mut().expect("it has caught up");
        log.take_over(source, out);
    }

    /// Whether everything below `offset` is durable in the copy, with what is saved beside it.
    #[must_use]
    pub fn is_settled(&self, offset: Offset) -> bool {
        self.end.is_none() && self.log.as_ref().is_some_and(|log| log.is_settled(offset))
    }

    /// Gives the future log everything that the current one has, written or not; then it is the
    /// current one, and the copy is over. `None` where that is not possible in this turn.
    pub fn switch(
        &mut self,
        now: Now,
        source: &mut Log,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Option<Log> {
        let log = self.log.as_ref()?;
        let is_open = self.end.is_none() && self.awaited.is_none();
        let is_usable = |log: &Log| log.state() == LogState::Usable && log.pending.is_empty();
        if !is_open || !is_usable(source) || !is_usable(log) {
            return None;
        }
        let (start, end) = (log.log_end_offset(), source.log_end_offset());
        if start < end {
            let slices = source.tail.read(start, end, usize::MAX, true)?;
            self.take_slices(now, (source, &slices), memory, out);
        }
        let log = self.log.as_mut()?;
        if self.end.is_some() || log.log_end_offset() != end {
            return None;
        }
        log.settle(now, out);
        log.sync_all(out);
        log.succeed(source);
        self.log.take()
    }

    /// Lets go of memory up to the batch of `ticket`.
    pub fn evict(&mut self, ticket: Ticket, memory: &mut LogMemory) {
        if let Some(log) = &mut self.log {
            log.evict(ticket, &mut memory.tail);
        }
    }

    /// Gives back the memory that it holds; before it is dropped.
    pub fn release(&mut self, memory: &mut LogMemory) {
        if let Some(log) = &mut self.log {
            log.release(memory);
        }
    }

    fn end_offset(&self) -> Option<Offset> {
        self.log.as_ref().map(Log::log_end_offset)
    }

    /// Ends the copy for a reason of the caller's.
    pub fn fail(&mut self, why: String) {
        self.end.get_or_insert(CopyEnd::Failed(why));
    }

    fn on_outcome(
        &mut self,
        now: Now,
        source: &mut Log,
        outcome: ReadOutcome,
        (memory, out): (&mut LogMemory, &mut Vec<DiskOp>),
    ) -> u64 {
        let slices = match outcome {
            ReadOutcome::Slices(slices) if slices.is_empty() => {
                self.fail("records that were written are not there".to_owned());
                return 0;
            }
            ReadOutcome::Slices(slices) => slices,
            ReadOutcome::NeedsLookup(lookup) => {
                out.push(lookup.op().clone());
                self.awaited = Some(Awaited::Position(lookup));
                return 0;
            }
            ReadOutcome::Corrupt => {
                self.fail("records of the log are damaged".to_owned());
                return 0;
            }
            ReadOutcome::OutOfRange => {
                self.end.get_or_insert(CopyEnd::Outrun);
                return 0;
            }
            ReadOutcome::StorageError => {
                self.fail("the log cannot be read".to_owned());
                return 0;
            }
        };
        if let Some(Slice::File {
            segment,
            position,
            length,
            ..
        }) = slices.first()
        {
            let token = source.take_token();
            out.push(DiskOp::Read {
                log: source.id(),
                file: LogFile::Log(*segment),
                position: *position,
                length: *length,
                token,
            });
            self.awaited = Some(Awaited::Batches(token, source.replacements()));
            return u64::from(*length);
        }
        self.take_slices(now, (source, &slices), memory, out)
    }

    fn take_slices(
        &mut self,
        now: Now,
        (source, slices): (&Log, &[Slice]),
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> u64 {
        let mut bytes = 0;
        for slice in slices {
            let Slice::Memory(batch) = slice else {
                break;
            };
            bytes += batch.size_bytes() as u64;
            self.take_batches(now, (source, batch.to_bytes()), memory, out);
        }
        bytes
    }

    /// Appends the whole batches at the front of `bytes` that it does not have.
    fn take_batches(
        &mut self,
        now: Now,
        (source, bytes): (&Log, Bytes),
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) {
        for batch in Batches::new(bytes) {
            let Ok((header, batch)) = batch else {
                return self.fail("records of the log are damaged".to_owned());
            };
            let Ok(batch) = PreparedBatch::from_log(batch) else {
                let at = header.base_offset;
                return self.fail(format!("the batch at offset {at} is damaged"));
            };
            let batch = LeaderBatch::new(&batch);
            let end_offset = batch.info().end_offset();
            let log = self.log_from(now, header.base_offset, source, out);
            if end_offset <= log.log_end_offset() {
                continue;
            }
            if let Err(error) = log.append_as_follower(now, &batch, memory, out) {
                return self.fail(error.to_string());
            }
        }
    }

    /// The future log, made to begin at `start` if there is none.
    fn log_from(
        &mut self,
        now: Now,
        start: Offset,
        source: &Log,
        out: &mut Vec<DiskOp>,
    ) -> &mut Log {
        let future = &self.future;
        self.log.get_or_insert_with(|| {
            let creation = LogCreation {
                id: future.id,
                directory: future.directory,
                folder: Arc::clone(&future.folder),
                partition_metadata: future.partition_metadata.clone(),
                settings: Arc::clone(source.settings()),
                // As the current one, whose first batch may begin below its start, or after it.
                start_offset: start.min(source.log_start_offset()),
            };
            Log::create(now, creation, out)
        })
    }
}
