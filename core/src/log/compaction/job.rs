//! A round over one log: a job made of reads and writes, a piece of the log in each turn.
//!
//! It holds no log: whoever runs it lends it one with each answer of the disk, and emits what
//! [`Compaction::take_op`] hands out, one operation at a time, when the throttle allows. It gives
//! up, leaving the log as it is, when the log was cut, lost or taken segments of meanwhile, and
//! when the disk is full. Compare Kafka's `Cleaner.doClean`, 4.3.1.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::dirty::Dirtiness;
use super::filter::{LiveProducers, Rules, Scratch, filter_batch, note_keys};
use super::key_map::KeyMap;
use super::output::{Output, Write};
use super::transactions::{AbortedTransaction, CleanedTransactions};
use crate::ids::{Generation, LogId, Offset};
use crate::limits::{COMPACTION_READ_BYTES, COMPACTION_SYNC_BYTES, JOB_READ_BYTES};
use crate::log::batch::{BatchInfo, HEADER_BYTES};
use crate::log::index::IndexEntry;
use crate::log::offset_index::OffsetEntry;
use crate::log::time_index::TimeEntry;
use crate::log::{ClosedSegment, Log, LogMemory, LogState};
use crate::storage::{DiskDone, DiskOp, FailureScope, LogFile, Token};
use crate::time::{Now, Timestamp};
use crate::wire::batch::BatchHeader;

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
    now: Timestamp,
    delete_retention_ms: i64,
    options: CompactionOptions,
    /// The segments of the round, oldest first.
    sources: Vec<ClosedSegment>,
    /// Segments that may tell of aborted transactions: the sources and all after them.
    tellers: Vec<Offset>,
    first_dirty: Offset,
    map: KeyMap,
    map_end: Offset,
    live: LiveProducers,
    aborted: Vec<AbortedTransaction>,
    transactions: CleanedTransactions,
    scratch: Scratch,
    stage: Stage,
    input: Input,
    output: Output,
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

/// Where in a source the round is.
#[derive(Clone, Debug, Default)]
struct Input {
    /// Bytes that came and were not taken apart yet.
    gathered: BytesMut,
    /// Where in the file they end.
    position: u32,
    /// Where the next batch may begin.
    expected: Offset,
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
        let mut round = Self {
            log: log.id,
            generation: log.generation,
            now: now.wall,
            delete_retention_ms: log.settings.delete_retention_ms,
            options,
            tellers: closed.chain([log.active.base_offset]).collect(),
            first_dirty: found.first_dirty,
            map: KeyMap::new(bytes, load, keys_expected, options.salt),
            map_end: found.end_offset,
            live: LiveProducers::of(&log.producers),
            aborted: Vec::new(),
            transactions: CleanedTransactions::default(),
            scratch: Scratch::default(),
            stage: Stage::Aborted(0),
            input: Input::default(),
            output: Output::new(sources[0].base_offset, now.wall),
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
        self.map.heap_bytes()
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
    pub fn on_done(&mut self, log: &mut Log, done: &DiskDone, out: &mut Vec<DiskOp>) {
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
                Ok(bytes) => self.on_bytes(log, bytes, out),
                Err(error) => self.abandon(&error.to_string(), out),
            },
            DiskDone::Saved { .. } => self.on_saved(log, out),
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
        let next = Output::new(self.output.base(), self.now);
        let made = std::mem::replace(&mut self.output, next);
        let before = sources.iter().map(|source| u64::from(source.size_bytes));
        self.done.before_bytes += before.sum::<u64>();
        self.done.after_bytes += u64::from(made.segment.marks.size_bytes);
        let token = log.saves.next_token();
        self.awaited = Some(token);
        log.replace_segments(sources, made.segment, token, (memory, out));
        self.stage = Stage::Swap { end };
    }

    fn finish(&mut self, end: CompactionEnd, out: &mut Vec<DiskOp>) {
        self.op = None;
        self.writes.clear();
        let is_making = matches!(
            self.stage,
            Stage::Clean { .. } | Stage::Finish { .. } | Stage::Ready { .. }
        );
        if is_making {
            out.push(DiskOp::RemoveCleaned {
                log: self.log,
                segment: self.output.base(),
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

    fn ask_for_aborted(&mut self, teller: usize, log: &mut Log) {
        let file = LogFile::TransactionIndex(self.tellers[teller]);
        let position = u32::try_from(self.input.gathered.len()).expect("an index is small");
        self.ask(log, |log, token| DiskOp::Read {
            log,
            file,
            position,
            length: JOB_READ_BYTES,
            token,
        });
    }

    fn on_bytes(&mut self, log: &mut Log, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        match self.stage {
            Stage::Aborted(teller) => self.on_aborted(teller, log, bytes, out),
            Stage::Keys(at) => {
                if !self.is_there(log, at) {
                    return self.abandon("a segment was removed meanwhile", out);
                }
                match self.note_keys(at, bytes) {
                    Ok(is_full) => self.after_keys(at, is_full, log, out),
                    Err(damage) => self.on_damage(at, &damage, out),
                }
            }
            Stage::Clean { group, at, end } => {
                if !self.is_there(log, at) {
                    return self.abandon("a segment was removed meanwhile", out);
                }
                match self.clean((at, end), log, bytes) {
                    Ok(()) => self.after_clean((group, at, end), log, out),
                    Err(damage) => self.on_damage(at, &damage, out),
                }
            }
            Stage::Finish { .. } | Stage::Ready { .. } | Stage::Swap { .. } => {
                unreachable!("nothing is read then")
            }
        }
    }

    fn is_there(&self, log: &Log, at: usize) -> bool {
        log.holds(&self.sources[at..=at])
    }

    fn on_damage(&mut self, at: usize, damage: &str, out: &mut Vec<DiskOp>) {
        let base = self.sources[at].base_offset;
        let offset = self.input.expected;
        let what = format!("segment {base}, at offset {offset} or after it: {damage}");
        self.finish(CompactionEnd::Uncleanable(what), out);
    }

    fn on_aborted(&mut self, teller: usize, log: &mut Log, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        self.input.gathered.extend_from_slice(bytes);
        if bytes.len() == JOB_READ_BYTES as usize {
            return self.ask_for_aborted(teller, log);
        }
        let gathered = std::mem::take(&mut self.input.gathered);
        let Some(entries) = AbortedTransaction::parse_all(&gathered) else {
            let what = format!(
                "the transaction index of {} is damaged",
                self.tellers[teller]
            );
            return self.finish(CompactionEnd::Uncleanable(what), out);
        };
        self.aborted.extend(entries);
        if teller + 1 < self.tellers.len() {
            self.stage = Stage::Aborted(teller + 1);
            return self.ask_for_aborted(teller + 1, log);
        }
        let dirty = self
            .sources
            .partition_point(|source| source.end_offset <= self.first_dirty);
        self.transactions = CleanedTransactions::new(&self.aborted);
        self.begin_keys(dirty, log, out);
    }

    fn begin_keys(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let Some(source) = self.sources.get(at) else {
            return self.begin_cleaning(log, out);
        };
        self.input.begin(source);
        self.stage = Stage::Keys(at);
        self.read_on(at, log, out);
    }

    /// Asks for the next piece of a source; goes on where there is none.
    fn read_on(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let source = self.sources[at];
        let left = source.size_bytes - self.input.position;
        if left == 0 {
            return self.on_bytes(log, &Bytes::new(), out);
        }
        let position = self.input.position;
        self.ask(log, |log, token| DiskOp::Read {
            log,
            file: LogFile::Log(source.base_offset),
            position,
            length: left.min(COMPACTION_READ_BYTES),
            token,
        });
    }

    /// Notes the keys of the batches that came; answers whether the map is full.
    fn note_keys(&mut self, at: usize, bytes: &Bytes) -> Result<bool, String> {
        let source = self.sources[at];
        self.input.add(&source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(&source)? {
            let rooms = (&mut self.scratch, &mut self.map);
            let transactions = &mut self.transactions;
            let is_noted = note_keys(&batch, &header, self.first_dirty, transactions, rooms)
                .map_err(|error| error.to_string())?;
            if !is_noted {
                self.map_end = header.base_offset;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn after_keys(&mut self, at: usize, is_full: bool, log: &mut Log, out: &mut Vec<DiskOp>) {
        if is_full && self.map_end <= self.first_dirty {
            let what = format!(
                "the keys of one batch do not fit into {} bytes; raise \
                 log.cleaner.dedupe.buffer.size",
                self.map.heap_bytes()
            );
            return self.finish(CompactionEnd::Uncleanable(what), out);
        }
        if is_full {
            self.begin_cleaning(log, out);
        } else if self.input.is_over(&self.sources[at]) {
            self.begin_keys(at + 1, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }

    /// The map is made: cleans every segment that it says something of.
    fn begin_cleaning(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        let end = self.map_end;
        self.sources.retain(|source| source.base_offset < end);
        self.transactions = CleanedTransactions::new(&self.aborted);
        self.begin_group(0, log, out);
    }

    fn begin_group(&mut self, group: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let Some(first) = self.sources.get(group).copied() else {
            return self.complete(log, out);
        };
        let end = self.end_of_group(group, log);
        if self.sources[group..end]
            .iter()
            .all(|source| source.size_bytes == 0)
        {
            return self.begin_group(end, log, out);
        }
        self.output = Output::new(first.base_offset, self.now);
        self.begin_source(group, group, end, log, out);
    }

    /// As many segments as fit into one, by their sizes before (Kafka's `groupSegmentsBySize`).
    fn end_of_group(&self, group: usize, log: &Log) -> usize {
        let settings = &log.settings;
        let entries = |size_bytes: u64| size_bytes / u64::from(settings.index_interval_bytes) + 1;
        let index_bytes = u64::from(settings.segment_index_bytes);
        let fits_index = |size_bytes: u64| {
            entries(size_bytes) * u64::from(OffsetEntry::BYTES) <= index_bytes
                && (entries(size_bytes) + 1) * u64::from(TimeEntry::BYTES) <= index_bytes
        };
        let base = self.sources[group].base_offset;
        let mut size_bytes = u64::from(self.sources[group].size_bytes);
        let mut end = group + 1;
        while let Some(next) = self.sources.get(end) {
            size_bytes += u64::from(next.size_bytes);
            let span = next.end_offset.0 - base.0;
            if size_bytes > u64::from(settings.segment_bytes)
                || !fits_index(size_bytes)
                || span > i64::from(i32::MAX)
            {
                break;
            }
            end += 1;
        }
        end
    }

    fn begin_source(
        &mut self,
        group: usize,
        at: usize,
        end: usize,
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        self.input.begin(&self.sources[at]);
        self.stage = Stage::Clean { group, at, end };
        self.read_on(at, log, out);
    }

    /// Takes what stays of the batches that came into the output.
    fn clean(&mut self, (at, end): (usize, usize), log: &Log, bytes: &Bytes) -> Result<(), String> {
        let source = self.sources[at];
        let is_last = self.sources[at + 1..end]
            .iter()
            .all(|later| later.size_bytes == 0);
        self.input.add(&source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(&source)? {
            let is_end = is_last && self.input.is_over(&source);
            let rules = Rules {
                map: &self.map,
                map_end: self.map_end,
                now: self.now,
                delete_retention_ms: self.delete_retention_ms,
                live: &self.live,
                end_offset: if is_end {
                    header.next_offset()
                } else {
                    Offset::NONE
                },
            };
            let rooms = (&mut self.scratch, &mut self.output.buffer);
            let kept = filter_batch(&batch, &header, &rules, &mut self.transactions, rooms)
                .map_err(|error| error.to_string())?;
            let Some(info) = kept else { continue };
            if !self.output.has_room(info.size_bytes) {
                return Err("what stays is larger than a segment can be".to_owned());
            }
            self.output.on_batch(&info, &log.settings);
        }
        Ok(())
    }

    fn after_clean(
        &mut self,
        (group, at, end): (usize, usize, usize),
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        let is_over = self.input.is_over(&self.sources[at]);
        if is_over && at + 1 == end {
            let aborted = self.transactions.take_kept();
            self.output.finish(&aborted, &mut self.writes);
            self.stage = Stage::Finish { group, end };
        } else if self.output.is_write_due() {
            self.output.take_writes(&mut self.writes);
        }
        self.go_on(log, out);
    }

    /// The next thing to do once nothing is awaited: writes first, then a sync, then reads.
    fn go_on(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        if let Some(write) = self.writes.pop_front() {
            return self.ask(log, |log, token| write.op(log, token));
        }
        let is_finished = matches!(self.stage, Stage::Finish { .. });
        if is_finished || self.output.unsynced_bytes >= COMPACTION_SYNC_BYTES {
            self.output.unsynced_bytes = 0;
            let segment = self.output.base();
            return self.ask(log, |log, token| DiskOp::SyncCleaned {
                log,
                segment,
                token,
            });
        }
        let Stage::Clean { group, at, end } = self.stage else {
            unreachable!("only cleaning reads and writes");
        };
        if self.input.is_over(&self.sources[at]) {
            self.begin_source(group, at + 1, end, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }

    fn on_saved(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        match self.stage {
            Stage::Clean { .. } => self.go_on(log, out),
            Stage::Finish { group, end } => {
                if self.writes.is_empty() && self.output.unsynced_bytes == 0 {
                    self.stage = Stage::Ready { group, end };
                } else {
                    self.go_on(log, out);
                }
            }
            Stage::Swap { end } => self.begin_group(end, log, out),
            Stage::Aborted(_) | Stage::Keys(_) | Stage::Ready { .. } => {
                unreachable!("nothing is saved then")
            }
        }
    }

    /// Every group is swapped in.
    fn complete(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        self.done.end_offset = self.map_end;
        if log.generation == self.generation {
            log.on_cleaned(self.map_end);
            self.finish(CompactionEnd::Done(self.done), out);
        } else {
            self.abandon("the log was cut meanwhile", out);
        }
    }
}

impl Input {
    fn begin(&mut self, source: &ClosedSegment) {
        // Where the map filled up in the middle of a source, something is left of it.
        *self = Self {
            expected: source.base_offset,
            ..Self::default()
        };
    }

    /// Whether every batch of the source was handed out.
    fn is_over(&self, source: &ClosedSegment) -> bool {
        self.gathered.is_empty() && self.position == source.size_bytes
    }

    /// Takes in the piece that was asked for.
    fn add(&mut self, source: &ClosedSegment, bytes: &Bytes) -> Result<(), String> {
        let left = source.size_bytes - self.position;
        if (bytes.len() as u64) < u64::from(left.min(COMPACTION_READ_BYTES)) {
            return Err("the file is shorter than it was".to_owned());
        }
        self.gathered.extend_from_slice(bytes);
        self.position += u32::try_from(bytes.len()).expect("a piece is small");
        Ok(())
    }

    /// The next whole batch, checked; `None` where more must come first.
    fn next_batch(
        &mut self,
        source: &ClosedSegment,
    ) -> Result<Option<(BatchHeader, Bytes)>, String> {
        let left = (source.size_bytes - self.position) as usize;
        if self.gathered.len() < HEADER_BYTES && left > 0 || self.gathered.is_empty() {
            return Ok(None);
        }
        let info = BatchInfo::parse(&self.gathered).map_err(|damage| damage.to_string())?;
        let size = info.size_bytes as usize;
        if size > self.gathered.len() + left {
            return Err("a batch is longer than the rest of its segment".to_owned());
        }
        if size > self.gathered.len() {
            return Ok(None);
        }
        if info.base_offset < self.expected || info.end_offset() > source.end_offset {
            return Err("offsets are out of order".to_owned());
        }
        let batch = self.gathered.split_to(size).freeze();
        info.check_crc(&batch)
            .map_err(|damage| damage.to_string())?;
        self.expected = info.end_offset();
        let header = BatchHeader::parse(&batch).expect("it was just parsed");
        Ok(Some((header, batch)))
    }
}
