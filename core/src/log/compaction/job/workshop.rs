//! What a round needs to look into records, and a piece of that work.
//!
//! To decompress a batch, judge its records and build it anew takes up to a second, and the node
//! serves nobody while it turns. So no turn does it: with each piece of the log that was read, the
//! round lends its workshop out in a [`Piece`], which a driver runs wherever it likes
//! ([`Work`](crate::storage::Work)), and has it back with what came of it. What is lent out is with
//! nobody else: there is nothing to lock, and nothing to copy.
//!
//! Invariants:
//! * a piece sees nothing but what it carries, so that its result depends on nothing else;
//! * a round has one piece out at most, and does nothing until it is back;
//! * the round looks at the log before it lends and after it has its workshop back: where segments
//!   were removed or cut meanwhile it gives up, and what the piece made is dropped;
//! * a round that was given up while a piece was out is over when the piece is back: until then
//!   its memory is counted, and no other round begins in its place.

use std::sync::Arc;

use bytes::Bytes;

use super::super::filter::{LiveProducers, Rules, Scratch, filter_batch, note_keys};
use super::super::key_map::KeyMap;
use super::super::output::Output;
use super::super::transactions::CleanedTransactions;
use super::input::Input;
use crate::ids::Offset;
use crate::log::{ClosedSegment, LogSettings};
use crate::time::Timestamp;

/// What a round works with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Workshop {
    /// The wall clock when the round began.
    pub(super) now: Timestamp,
    pub(super) delete_retention_ms: i64,
    pub(super) first_dirty: Offset,
    pub(super) map: KeyMap,
    pub(super) map_end: Offset,
    pub(super) live: LiveProducers,
    pub(super) transactions: CleanedTransactions,
    pub(super) scratch: Scratch,
    pub(super) input: Input,
    pub(super) output: Output,
}

/// What is to be done with the batches of a piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Task {
    /// What stays of them goes into the output.
    Clean {
        /// Nothing of the group comes after this source.
        is_last: bool,
        /// The log's.
        settings: Arc<LogSettings>,
    },
    /// Their keys are noted.
    Keys,
}

/// A piece of a log to look into, with all that it takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    pub(super) task: Task,
    pub(super) source: ClosedSegment,
    pub(super) bytes: Bytes,
    pub(super) workshop: Box<Workshop>,
}

/// What came of a piece.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PieceDone {
    pub(super) workshop: Box<Workshop>,
    /// Whether the map of keys is full; or what is wrong with the log.
    pub(super) outcome: Result<bool, String>,
}

impl Piece {
    /// Does it: pure, and as slow as its batches are large.
    #[must_use]
    pub fn run(self) -> PieceDone {
        let mut workshop = self.workshop;
        let outcome = match &self.task {
            Task::Clean { is_last, settings } => workshop
                .clean(&self.source, *is_last, settings, &self.bytes)
                .map(|()| false),
            Task::Keys => workshop.note_keys(&self.source, &self.bytes),
        };
        PieceDone { workshop, outcome }
    }

    /// The bytes of the log it looks into; what was left of the last piece comes before them.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Workshop {
    /// Notes the keys of the batches that came; answers whether the map is full.
    fn note_keys(&mut self, source: &ClosedSegment, bytes: &Bytes) -> Result<bool, String> {
        self.input.add(source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(source)? {
            let rooms = (&mut self.scratch, &mut self.map);
            let transactions = &mut self.transactions;
            let full_at = note_keys(&batch, &header, self.first_dirty, transactions, rooms)
                .map_err(|error| error.to_string())?;
            if let Some(offset) = full_at {
                assert!(offset > self.first_dirty, "an empty map takes a key");
                self.map_end = offset;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes what stays of the batches that came into the output.
    fn clean(
        &mut self,
        source: &ClosedSegment,
        is_last: bool,
        settings: &LogSettings,
        bytes: &Bytes,
    ) -> Result<(), String> {
        self.input.add(source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(source)? {
            let is_end = is_last && self.input.is_over(source);
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
            self.output.on_batch(&info, settings);
        }
        Ok(())
    }
}
