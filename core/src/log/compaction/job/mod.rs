//! A round over one log: a job made of reads, work and writes, a piece of the log at a time.
//!
//! It holds no log: whoever runs it lends it one with each answer of the disk, and emits what
//! [`Compaction::take_op`] hands out, one operation at a time, when the throttle allows. It gives
//! up, leaving the log as it is, when the log was cut, lost or taken segments of meanwhile, and
//! when the disk is full. Compare Kafka's `Cleaner.doClean`, 4.3.1.

mod cleaning;
mod input;
mod keys;
mod workshop;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use input::Input;
pub use workshop::{Piece, PieceDone};
use workshop::{Task, Workshop};

use super::dirty::Dirtiness;
use super::filter::{LiveProducers, Scratch};
use super::key_map::KeyMap;
use super::output::{Output, Write};
use super::transactions::{AbortedTransaction, CleanedTransactions};
use crate::ids::{Generation, LogId, Offset};
use crate::log::{ClosedSegment, Log, LogMemory, LogState};
use crate::storage::{DiskDone, DiskOp, FailureScope, Token, Work, WorkDone};
use crate::time::Now;

/// What a round is told by the broker's configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CompactionOptions {
    /// Memory for the keys: `log.cleaner.dedupe.buffer.size`, divided by the rounds at a time.
    pub key_map_bytes: u64,
    /// How full it may become: `log.cleaner.io.buffer.load.factor` in millionths.
    pub load_millionths: u32,
    /// What clients cannot know; see [`KeyMap`].
    pub salt: u64,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Compacted {
    /// The round began with this offset as the first that none had seen.
    pub first_dirty: Offset,
    /// It has been everywhere below.
    pub end_offset: Offset,
    /// Size of the segments it cleaned, in bytes.
    pub before_bytes: u64,
    /// Size of what it made of them.
    pub after_bytes: u64,
}

/// How a round ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CompactionEnd {
    /// It gave up, for a reason that passes; the log is whole.
    Abandoned(String),
    /// It is over.
    Done(Compacted),
    /// The log cannot be cleaned: what was found, for a person.
    Uncleanable(String),
}

/// The job.
#[derive(Clone, Debug)]
pub struct Compaction {
    log: LogId,
    generation: Generation,
    options: CompactionOptions,
    /// The segments of the round, oldest first.
    sources: Vec<ClosedSegment>,
    /// Segments that may tell of aborted transactions: the sources and all after them.
    tellers: Vec<Offset>,
    aborted: Vec<AbortedTransaction>,
    /// `None` while it is lent out with a piece.
    workshop: Option<Box<Workshop>>,
    key_map_bytes: u64,
    stage: Stage,
    writes: VecDeque<Write>,
    /// To be emitted.
    op: Option<DiskOp>,
    /// The answer that is awaited; of an operation emitted, or to be.
    awaited: Option<Token>,
    done: Compacted,
    end: Option<CompactionEnd>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Reading the index of aborted transactions of the teller with this number.
    Aborted(usize),
    /// Cleaning source number `at`, of the group that begins at `group` and ends before `end`.
    Clean { group: usize, at: usize, end: usize },
    /// Noting the keys of the source with this number.
    Keys(usize),
    /// A group is written; being made durable.
    Finish { group: usize, end: usize },
    /// To be swapped in at the end of a turn.
    Ready { group: usize, end: usize },
    /// Being swapped in.
    Swap { end: usize },
}

impl Compaction {
    /// Begins a round. `found` is what [`Log::dirtiness`] said.
    #[must_use]
    pub fn begin(now: Now, log: &mut Log, found: &Dirtiness, options: CompactionOptions) -> Self {
        // Segments below the log's start are about to be removed; between them and the others,
        // records may be lost whose producers must not be told by what is in front.
        let start = log.log_start_offset;
        let sources: Vec<ClosedSegment> = log
            .closed
            .iter()
            .filter(|segment| segment.end_offset > start && segment.base_offset < found.end_offset)
            .copied()
            .collect();
        assert!(!sources.is_empty(), "there is something to clean");
        let closed = log.closed.iter().map(|segment| segment.base_offset);
        let keys_expected = found.end_offset.0.saturating_sub(found.first_dirty.0);
        let keys_expected = u64::try_from(keys_expected).unwrap_or(0);
        let (bytes, load) = (options.key_map_bytes, options.load_millionths);
        let workshop = Workshop {
            now: now.wall,
            delete_retention_ms: log.settings.delete_retention_ms,
            first_dirty: found.first_dirty,
            map: KeyMap::new(bytes, load, keys_expected, options.salt),
            map_end: found.end_offset,
            live: LiveProducers::of(&log.producers),
            transactions: CleanedTransactions::default(),
            scratch: Scratch::default(),
            input: Input::default(),
            output: Output::new(sources[0].base_offset, now.wall),
        };
        let mut round = Self {
            log: log.id,
            generation: log.generation,
            options,
            tellers: closed.chain([log.active.base_offset]).collect(),
            aborted: Vec::new(),
            key_map_bytes: workshop.map.heap_bytes(),
            workshop: Some(Box::new(workshop)),
            stage: Stage::Aborted(0),
            sources,
            writes: VecDeque::new(),
            op: None,
            awaited: None,
            done: Compacted {
                first_dirty: found.first_dirty,
                ..Compacted::default()
            },
            end: None,
        };
        round.ask_for_aborted(0, log);
        round
    }

    /// The operation to emit now.
    pub fn take_op(&mut self) -> Option<DiskOp> {
        self.op.take()
    }

    /// Whether there is an operation to be emitted.
    #[must_use]
    pub fn has_op(&self) -> bool {
        self.op.is_some()
    }

    /// Bytes that the operation to be emitted reads or writes; 0 where there is none.
    #[must_use]
    pub fn op_bytes(&self) -> u64 {
        match &self.op {
            Some(DiskOp::Read { length, .. }) => u64::from(*length),
            Some(DiskOp::WriteCleaned { bytes, .. }) => bytes.len() as u64,
            Some(_) | None => 0,
        }
    }

    /// Whether an answer with this token is for this round.
    #[must_use]
    pub fn awaits(&self, token: Token) -> bool {
        self.awaited == Some(token)
    }

    /// How it ended; `None` while it goes on.
    #[must_use]
    pub fn end(&self) -> Option<&CompactionEnd> {
        self.end.as_ref()
    }

    /// Memory of the keys, in bytes.
    #[must_use]
    pub fn key_map_bytes(&self) -> u64 {
        self.key_map_bytes
    }

    /// Whether the round's memory is with a piece of work that was emitted, and is to come back
    /// with its answer, even where the round is over.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.workshop.is_none() && self.op.is_none() && self.awaited.is_some()
    }

    /// What the round was begun with.
    #[must_use]
    pub fn options(&self) -> &CompactionOptions {
        &self.options
    }

    /// Gives the round up.
    pub fn abandon(&mut self, why: &str, out: &mut Vec<DiskOp>) {
        self.finish(CompactionEnd::Abandoned(why.to_owned()), out);
    }

    /// Takes in an answer that it awaits.
    pub fn on_done(&mut self, log: &mut Log, done: DiskDone, out: &mut Vec<DiskOp>) {
        self.awaited = None;
        if self.end.is_some() {
            return;
        }
        let is_swapping = matches!(self.stage, Stage::Swap { .. });
        if log.state == LogState::Offline {
            return self.abandon("the log is offline", out);
        }
        if log.generation != self.generation && !is_swapping {
            return self.abandon("the log was cut meanwhile", out);
        }
        match done {
            DiskDone::Read { result, .. } => match result {
                Ok(bytes) => self.on_bytes(log, &bytes, out),
                Err(error) => self.abandon(&error.to_string(), out),
            },
            DiskDone::Saved { .. } => self.on_saved(log, out),
            DiskDone::Worked { result, .. } => {
                let WorkDone::Compaction(done) = result;
                self.on_piece(log, done, out);
            }
            DiskDone::Failed {
                scope: FailureScope::Save(_),
                error,
            } => self.abandon(&error.to_string(), out),
            DiskDone::Appended { .. }
            | DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Synced { .. }
            | DiskDone::Truncated { .. } => unreachable!("they have no token"),
        }
    }

    /// Swaps a finished segment in, if there is one; after everything that reads in this turn.
    pub fn swap(&mut self, log: &mut Log, memory: &mut LogMemory, out: &mut Vec<DiskOp>) {
        let Stage::Ready { group, end } = self.stage else {
            return;
        };
        if self.end.is_some() {
            return;
        }
        let sources = &self.sources[group..end];
        if log.generation != self.generation || !log.holds(sources) {
            return self.abandon("segments were removed meanwhile", out);
        }
        let sources = sources.to_vec();
        let workshop = self.workshop();
        let next = Output::new(workshop.output.base(), workshop.now);
        let made = std::mem::replace(&mut workshop.output, next);
        let before = sources.iter().map(|source| u64::from(source.size_bytes));
        self.done.before_bytes += before.sum::<u64>();
        self.done.after_bytes += u64::from(made.segment.marks.size_bytes);
        let token = log.saves.next_token();
        self.awaited = Some(token);
        log.replace_segments(&sources, made.segment, token, (memory, out));
        self.stage = Stage::Swap { end };
    }

    fn finish(&mut self, end: CompactionEnd, out: &mut Vec<DiskOp>) {
        if self.op.take().is_some() {
            // It was never asked, so nothing is awaited.
            self.awaited = None;
        }
        self.writes.clear();
        if let Stage::Clean { group, .. }
        | Stage::Finish { group, .. }
        | Stage::Ready { group, .. } = self.stage
        {
            out.push(DiskOp::RemoveCleaned {
                log: self.log,
                segment: self.sources[group].base_offset,
            });
        }
        self.end = Some(end);
    }

    fn ask(&mut self, log: &mut Log, op: impl FnOnce(LogId, Token) -> DiskOp) {
        assert!(self.awaited.is_none(), "one thing at a time");
        let token = log.saves.next_token();
        self.awaited = Some(token);
        self.op = Some(op(self.log, token));
    }

    /// What is made and noted; nothing is lent out.
    fn workshop(&mut self) -> &mut Workshop {
        let workshop = self.workshop.as_mut();
        workshop.expect("it is lent out only while its piece is awaited")
    }

    fn on_bytes(&mut self, log: &mut Log, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        let (at, task) = match self.stage {
            Stage::Aborted(teller) => return self.on_aborted(teller, log, bytes, out),
            Stage::Keys(at) => (at, Task::Keys),
            Stage::Clean { at, end, .. } => {
                let mut later = self.sources[at + 1..end].iter();
                let task = Task::Clean {
                    is_last: later.all(|source| source.size_bytes == 0),
                    settings: Arc::clone(&log.settings),
                };
                (at, task)
            }
            Stage::Finish { .. } | Stage::Ready { .. } | Stage::Swap { .. } => {
                unreachable!("nothing is read then")
            }
        };
        if !self.is_there(log, at) {
            return self.abandon("a segment was removed meanwhile", out);
        }
        let workshop = self.workshop.take();
        let piece = Piece {
            task,
            source: self.sources[at],
            bytes: bytes.clone(),
            workshop: workshop.expect("one piece at a time"),
        };
        self.ask(log, |log, token| DiskOp::Work {
            log,
            work: Work::Compaction(piece),
            token,
        });
    }

    /// The workshop is back.
    fn on_piece(&mut self, log: &mut Log, done: PieceDone, out: &mut Vec<DiskOp>) {
        assert!(self.workshop.is_none(), "it was lent out");
        self.workshop = Some(done.workshop);
        let (Stage::Keys(at) | Stage::Clean { at, .. }) = self.stage else {
            unreachable!("only these stages lend it out")
        };
        if !self.is_there(log, at) {
            return self.abandon("a segment was removed meanwhile", out);
        }
        match (done.outcome, self.stage) {
            (Err(damage), _stage) => self.on_damage(at, &damage, out),
            (Ok(_is_full), Stage::Clean { group, at, end }) => {
                self.after_clean((group, at, end), log, out);
            }
            (Ok(is_full), _keys) => self.after_keys(at, is_full, log, out),
        }
    }

    fn is_there(&self, log: &Log, at: usize) -> bool {
        log.holds(&self.sources[at..=at])
    }

    fn on_damage(&mut self, at: usize, damage: &str, out: &mut Vec<DiskOp>) {
        let base = self.sources[at].base_offset;
        let offset = self.workshop().input.expected;
        let what = format!("segment {base}, at offset {offset} or after it: {damage}");
        self.finish(CompactionEnd::Uncleanable(what), out);
    }
}
