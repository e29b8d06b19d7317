//! One partition's log, as metadata: where its batches are, never what is in them.
//!
//! A [`Log`] decides; a disk carries out the [`DiskOp`]s it emits and reports back
//! (`crate::storage` is the contract). It does no waiting of its own: appends, reads of hot data
//! and acknowledgements answer at once, and whatever needs bytes from the disk is a small job that
//! the caller parks: a [`Lookup`], a [`TimestampSearch`] or an [`Opening`].
//!
//! ```text
//! append_as_leader ─► tail (memory)  ─► pending ─► settle ─► DiskOp::Append, AppendIndex, Sync
//!                                                            DiskDone ─► on_appended, on_synced
//! read ─► Slice::Memory | Slice::File | a Lookup that asks for a few bytes first
//! ```
//!
//! What it deliberately does not know: who leads, what is replicated (the high watermark is an
//! argument), which configuration file its settings come from, what a record says. Compare Kafka's
//! `UnifiedLog`, `LocalLog`.
//!
//! Invariants, asserted when a turn settles:
//! * `log_start_offset <= log_end_offset`, `flushed <= written <= log_end_offset`;
//! * segments are in order, and the active one ends at `log_end_offset`;
//! * nothing is emitted while the log is rewinding or offline.

mod append;
pub mod batch;
mod by_time;
pub mod checkpoint;
mod close;
pub mod compaction;
mod index;
pub mod leader_epochs;
mod locate;
mod marks;
mod memory;
pub mod moving;
mod offset_index;
pub mod opening;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod producer_state;
mod read;
mod retention;
mod saves;
mod segment;
mod settings;
mod tail;
#[cfg(test)]
mod tests;
mod time_index;
mod truncation;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::append::{AppendError, AppendInfo};
pub use self::batch::{BatchDamage, BatchInfo, LeaderBatch};
pub use self::by_time::{RecordAt, SearchOutcome, TimestampSearch, TimestampTarget};
pub use self::leader_epochs::LeaderEpochs;
pub use self::marks::Rewound;
pub use self::memory::{LogMemory, TailBudget, Ticket};
pub use self::opening::{LogFound, Opened, Opening};
pub use self::producer_state::{Producers, SequenceError};
pub use self::read::{Lookup, ReadOutcome, ReadRequest};
pub use self::retention::Retained;
pub use self::segment::ClosedSegment;
pub use self::settings::{FlushPolicy, LogSettings};
pub use self::truncation::Truncation;

use self::locate::Point;
use self::producer_state::ProducerUndo;
use self::retention::Deleting;
use self::saves::Saves;
use self::segment::{ActiveSegment, SegmentMarks};
use self::tail::Tail;
use crate::ids::{DirectoryIndex, Generation, LeaderEpoch, LogId, Offset};
use crate::mutants::mutant;
use crate::storage::{DiskOp, StampedBatch};
use crate::time::{Instant, Now};

/// One partition's log.
#[derive(Clone)]
pub struct Log {
    id: LogId,
    folder: Arc<str>,
    settings: Arc<LogSettings>,
    generation: Generation,
    state: LogState,

    log_start_offset: Offset,
    log_end_offset: Offset,
    written: Offset,
    flushed: Offset,

    closed: Vec<ClosedSegment>,
    active: ActiveSegment,
    /// Segments rolled since, of which not everything is known to be written: what a rewind
    /// returns to. Oldest first.
    rolled: VecDeque<ActiveSegment>,
    tail: Tail,
    epochs: LeaderEpochs,
    /// Epoch of the last append since the log was opened; what is on disk may be damaged.
    appended_epoch: LeaderEpoch,
    producers: Producers,

    /// Batches placed but not yet given to the disk; all in the active segment.
    pending: Vec<StampedBatch>,
    /// Appends given to the disk and not acknowledged, oldest first.
    in_flight: VecDeque<InFlight>,
    /// Where `written` is, and how that segment was then.
    written_at: SegmentPoint,
    /// How to take back the producers' state, batch by batch, down to `written`.
    undos: VecDeque<(Offset, ProducerUndo)>,

    /// Whether the folder says, and will after a power cut, whose log it is: a log that does not is
    /// nobody's at the next boot, with all that is in it.
    is_named: bool,
    /// End offset of the last sync asked for.
    sync_requested: Offset,
    /// When the oldest append after `sync_requested` was made, for `flush.ms`.
    unsynced_since: Option<Instant>,
    saves: Saves,
    /// Batches that the last look-ups found in files.
    points: Vec<Point>,
    /// Ranges whose records are damaged, in order; nearly always none.
    bad: Vec<BadRange>,
    /// Segments whose files wait to be removed, oldest first.
    deleting: VecDeque<Deleting>,
    /// Below, compaction has been.
    cleaned_to: Offset,
    /// Below, records may be missing for compaction's sake.
    gaps_to: Offset,
    /// How often segments were replaced by others: positions from before mean nothing.
    replacements: u64,
}

/// Offsets whose records are damaged on disk: they are answered with CORRUPT_MESSAGE, never cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadRange {
    /// The first.
    pub start_offset: Offset,
    /// The one after the last.
    pub end_offset: Offset,
}

/// Whether a log takes appends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogState {
    /// Its directory failed; for this incarnation of the node it neither reads nor writes.
    Offline,
    /// An append did not fit; until the disk has cut it back it only reads.
    Rewinding,
    /// It reads and writes.
    Usable,
}

/// How a segment was at a batch boundary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct SegmentPoint {
    base_offset: Offset,
    marks: SegmentMarks,
}

/// An append that the disk has.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    end_offset: Offset,
    at: SegmentPoint,
}

/// How a new log begins.
#[derive(Clone, Debug)]
pub struct LogCreation {
    /// Its id; never used before in this incarnation of the node.
    pub id: LogId,
    /// The data directory it lies in.
    pub directory: DirectoryIndex,
    /// Its folder: `topic-0`.
    pub folder: Arc<str>,
    /// Content of `partition.metadata`; empty for none.
    pub partition_metadata: Bytes,
    /// Its topic's settings.
    pub settings: Arc<LogSettings>,
    /// Where it begins; not 0 for a log that begins with a snapshot.
    pub start_offset: Offset,
}

impl Log {
    /// Makes a new log: its folder and its first segment. Usable at once.
    #[must_use]
    pub fn create(now: Now, creation: LogCreation, out: &mut Vec<DiskOp>) -> Self {
        let is_named = creation.partition_metadata.is_empty();
        out.push(DiskOp::CreateLog {
            log: creation.id,
            directory: creation.directory,
            folder: Arc::clone(&creation.folder),
            partition_metadata: creation.partition_metadata,
        });
        let generation = Generation(1);
        out.push(DiskOp::CreateSegment {
            log: creation.id,
            generation,
            segment: creation.start_offset,
        });
        let active = ActiveSegment::new(creation.start_offset, now.wall);
        let log = Self::empty(
            creation.id,
            creation.folder,
            creation.settings,
            generation,
            active,
        );
        Self { is_named, ..log }
    }

    /// A log of one empty segment.
    fn empty(
        id: LogId,
        folder: Arc<str>,
        settings: Arc<LogSettings>,
        generation: Generation,
        active: ActiveSegment,
    ) -> Self {
        let start = active.base_offset;
        Self {
            id,
            folder,
            settings,
            generation,
            state: LogState::Usable,
            log_start_offset: start,
            log_end_offset: start,
            written: start,
            flushed: start,
            closed: Vec::new(),
            written_at: SegmentPoint {
                base_offset: start,
                marks: active.marks,
            },
            active,
            rolled: VecDeque::new(),
            tail: Tail::default(),
            epochs: LeaderEpochs::default(),
            appended_epoch: LeaderEpoch::NONE,
            producers: Producers::default(),
            pending: Vec::new(),
            in_flight: VecDeque::new(),
            undos: VecDeque::new(),
            is_named: true,
            sync_requested: start,
            unsynced_since: None,
            saves: Saves::new(id),
            points: Vec::new(),
            bad: Vec::new(),
            deleting: VecDeque::new(),
            cleaned_to: Offset::ZERO,
            gaps_to: Offset::ZERO,
            replacements: 0,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// Its folder's name: `topic-0`.
    #[must_use]
    pub fn folder(&self) -> &Arc<str> {
        &self.folder
    }

    /// Its folder has another name from now on.
    pub fn rename(&mut self, folder: Arc<str>) {
        self.folder = folder;
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &Arc<LogSettings> {
        &self.settings
    }

    /// Replaces its settings; they apply from the next append on.
    pub fn reconfigure(&mut self, settings: Arc<LogSettings>) {
        self.settings = settings;
    }

    /// Raised by each truncation; of storage alone, not a group's.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether it takes appends.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.state
    }

    /// The first offset that may be read; never goes back.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The offset the next record gets.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything below is in the file and survives the death of the process.
    #[must_use]
    pub fn written(&self) -> Offset {
        self.written
    }

    /// Everything below is durable and survives a power cut.
    #[must_use]
    pub fn flushed(&self) -> Offset {
        self.flushed
    }

    /// The end offset this replica reports for acks=all: durable under the `ack` policy, written
    /// under the others (design: the flush policy names the mark). A new log reports only what is
    /// durable until it is synced for the first time, under every policy.
    #[must_use]
    pub fn reported_end_offset(&self) -> Offset {
        match self.settings.flush_policy {
            FlushPolicy::Ack if mutant!(M2) => self.written,
            FlushPolicy::Ack => self.flushed,
            FlushPolicy::Interval { .. } | FlushPolicy::Os if !self.is_named => self.flushed,
            FlushPolicy::Interval { .. } | FlushPolicy::Os => self.written,
        }
    }

    /// Which offset each leader epoch begins at.
    #[must_use]
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// The largest epoch not above `requested` with the exclusive end of its records (K67).
    #[must_use]
    pub fn end_offset_for_epoch(&self, requested: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(requested, self.log_end_offset)
    }

    /// The producers it remembers.
    #[must_use]
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forgets producers that wrote nothing for `expiration_ms` (`producer.id.expiration.ms`).
    pub fn expire_producers(&mut self, now: Now, expiration_ms: i64) {
        self.producers.expire(now.wall, expiration_ms);
    }

    /// Size of all its `.log` files in bytes, as DescribeLogDirs reports it.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let closed: u64 = self
            .closed
            .iter()
            .map(|segment| u64::from(segment.size_bytes))
            .sum();
        closed + u64::from(self.active.marks.size_bytes)
    }

    /// The segments that take no more appends, oldest first.
    #[must_use]
    pub fn closed_segments(&self) -> &[ClosedSegment] {
        &self.closed
    }

    /// Base offset of the segment that takes appends.
    #[must_use]
    pub fn active_segment(&self) -> Offset {
        self.active.base_offset
    }

    /// How often compaction replaced segments: what is known of positions from before means
    /// nothing.
    #[must_use]
    pub fn replacements(&self) -> u64 {
        self.replacements
    }

    /// Ranges known to be damaged, in order.
    #[must_use]
    pub fn bad_ranges(&self) -> &[BadRange] {
        &self.bad
    }

    /// Lets go of the tail up to the batch that [`TailBudget::next_victim`] named.
    pub fn evict(&mut self, ticket: Ticket, budget: &mut TailBudget) {
        self.tail.evict(ticket, self.log_end_offset, budget);
    }

    /// The same, but for what is not written yet: a copy that is about to take this log's place
    /// will want it. Later evictions let it go.
    pub fn evict_written(&mut self, ticket: Ticket, budget: &mut TailBudget) {
        self.tail.evict(ticket, self.written, budget);
    }

    /// Gives back the memory it holds; before the log is dropped.
    pub fn release(&mut self, memory: &mut LogMemory) {
        self.tail.truncate(Offset::ZERO, &mut memory.tail);
        for segment in &self.closed {
            memory.indexes.forget((self.id, segment.base_offset));
        }
    }

    fn check(&self) {
        assert!(
            self.log_start_offset <= self.log_end_offset,
            "the start is not past the end"
        );
        assert!(
            self.flushed <= self.written,
            "only what is written is flushed"
        );
        assert!(
            self.written <= self.log_end_offset,
            "only what was appended is written"
        );
        assert!(
            self.active.base_offset <= self.log_end_offset,
            "the end is in the active segment"
        );
        if let Some(last) = self.closed.last() {
            assert!(
                last.end_offset <= self.active.base_offset,
                "segments are in order"
            );
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Log({} [{}, {}) written {} flushed {} {:?} {:?})",
            self.folder,
            self.log_start_offset,
            self.log_end_offset,
            self.written,
            self.flushed,
            self.generation,
            self.state
        )
    }
}
