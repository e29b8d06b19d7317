//! What the disk reports: marks that move forward, and appends that did not fit.
//!
//! Answers of an older generation are dropped (contract, point 3). A full disk is survived: the log
//! goes back to what is written, as if the rest had never been appended, and takes appends again
//! once the disk has cut the file there.

use super::segment::SegmentMarks;
use super::{Log, LogMemory, LogState};
use crate::ids::{Generation, Offset};
use crate::mutants::mutant;
use crate::storage::{DiskOp, LogFile};

/// What a full disk took back: records of `[end_offset, former_end_offset)` were never appended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rewound {
    /// The log's end offset from now on.
    pub end_offset: Offset,
    /// Its end offset before.
    pub former_end_offset: Offset,
}

impl Log {
    /// Everything below `end_offset` is in the file. Answers whether that moved a mark.
    pub fn on_appended(
        &mut self,
        generation: Generation,
        end_offset: Offset,
        memory: &mut LogMemory,
    ) -> bool {
        if generation != self.generation || self.state != LogState::Usable {
            return false;
        }
        assert!(
            end_offset <= self.log_end_offset,
            "only what was appended is acknowledged"
        );
        if end_offset <= self.written {
            return false;
        }
        let mut reached = None;
        while let Some(append) = self.in_flight.front()
            && append.end_offset <= end_offset
        {
            reached = self.in_flight.pop_front();
        }
        let append = reached.expect("an acknowledgement is of an append");
        assert!(
            append.end_offset == end_offset,
            "acknowledgements are of whole appends"
        );
        self.written = end_offset;
        self.written_at = append.at;
        let undone = self
            .undos
            .partition_point(|(base_offset, _undo)| *base_offset < end_offset);
        self.undos.drain(..undone);
        self.active.offsets.on_written(end_offset);
        self.active.times.on_written(end_offset);
        self.drop_settled_segments(memory);
        true
    }

    /// Everything below `end_offset` is durable. Answers whether that moved a mark.
    pub fn on_synced(
        &mut self,
        generation: Generation,
        end_offset: Offset,
        memory: &mut LogMemory,
    ) -> bool {
        if generation != self.generation || self.state != LogState::Usable {
            return false;
        }
        if end_offset > self.written && self.in_flight.front().is_some() {
            self.on_appended(generation, end_offset, memory);
        }
        let was_named = std::mem::replace(&mut self.is_named, true);
        if end_offset <= self.flushed {
            return !was_named;
        }
        assert!(
            end_offset <= self.written,
            "what is durable was written before"
        );
        self.flushed = end_offset;
        true
    }

    /// An append did not fit: takes back everything that is not written and asks the disk to cut
    /// there. The log takes appends again after [`Self::on_truncated`].
    ///
    /// `None` for a stale report.
    pub fn on_append_failed(
        &mut self,
        generation: Generation,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Option<Rewound> {
        if generation != self.generation || self.state != LogState::Usable {
            return None;
        }
        if mutant!(M34) {
            if let Some(last) = self.in_flight.back().copied() {
                self.on_appended(generation, last.end_offset, memory);
            }
            return None;
        }
        let former_end_offset = self.log_end_offset;
        self.rewind(memory);
        self.generation = self.generation.next();
        self.state = LogState::Rewinding;
        self.emit_rewind(out);
        self.check();
        assert!(
            self.log_end_offset == self.written,
            "the rest is taken back"
        );
        Some(Rewound {
            end_offset: self.log_end_offset,
            former_end_offset,
        })
    }

    /// The disk has cut the log. Answers whether it was waited for.
    pub fn on_truncated(&mut self, generation: Generation, end_offset: Offset) -> bool {
        if generation != self.generation || self.state != LogState::Rewinding {
            return false;
        }
        assert!(
            end_offset == self.log_end_offset,
            "the disk cut where it was asked to"
        );
        // A truncation is durable when acknowledged, with what it leaves.
        self.flushed = self.written;
        self.sync_requested = self.written;
        self.state = LogState::Usable;
        true
    }

    /// Its directory is lost: nothing is read, written or acknowledged any more.
    pub fn on_directory_failed(&mut self) {
        self.state = LogState::Offline;
        self.pending.clear();
        self.in_flight.clear();
        self.unsynced_since = None;
    }

    /// Returns every part of the log to how it was at `written`.
    fn rewind(&mut self, memory: &mut LogMemory) {
        self.pending = Vec::new();
        self.in_flight.clear();
        while self.active.base_offset > self.written_at.base_offset {
            let before = self.rolled.pop_back();
            self.active = before.expect("segments are kept until they are written");
            let closed = self.closed.pop().expect("it was rolled");
            memory.indexes.forget((self.id, closed.base_offset));
        }
        assert!(
            self.active.base_offset == self.written_at.base_offset,
            "written is in a segment"
        );
        self.active.marks = self.written_at.marks;
        if self.active.marks.size_bytes == 0 {
            self.active.first_timestamp = None;
        }
        while let Some((_base_offset, undo)) = self.undos.pop_back() {
            self.producers.undo(undo);
        }
        self.tail.truncate(self.written, &mut memory.tail);
        self.log_end_offset = self.written;
        self.forget_points(self.log_start_offset, self.log_end_offset);
        self.unsynced_since = None;
    }

    fn emit_rewind(&mut self, out: &mut Vec<DiskOp>) {
        let (log, generation) = (self.id, self.generation);
        let SegmentMarks { size_bytes, .. } = self.active.marks;
        let segment = self.active.base_offset;
        out.push(DiskOp::Truncate {
            log,
            generation,
            segment,
            position: size_bytes,
            end_offset: self.log_end_offset,
        });
        if size_bytes == 0 {
            // Perhaps it was the creation of this file that did not fit.
            out.push(DiskOp::CreateSegment {
                log,
                generation,
                segment,
            });
        }
        let end = self.active.relative(self.log_end_offset);
        for (file, position) in [
            (
                LogFile::OffsetIndex(segment),
                self.active.offsets.rewind(end),
            ),
            (LogFile::TimeIndex(segment), self.active.times.rewind(end)),
        ] {
            out.push(DiskOp::AppendIndex {
                log,
                generation,
                file,
                position,
                bytes: bytes::Bytes::new(),
            });
        }
        if self.epochs.truncate_from_end(self.log_end_offset) {
            self.save_epochs(out);
        }
        self.forget_snapshots_above(self.log_end_offset, out);
        // Removals of the generation that is over were dropped with its appends, perhaps.
        for deleting in &self.deleting {
            out.push(DiskOp::MarkSegmentDeleted {
                log,
                generation,
                segment: deleting.base_offset,
            });
        }
    }

    /// Lets go of what was kept of rolled segments in case of a rewind, once they are written.
    pub(super) fn drop_settled_segments(&mut self, memory: &mut LogMemory) {
        while let Some(oldest) = self.rolled.front()
            && self.written_at.base_offset > oldest.base_offset
        {
            let key = (self.id, oldest.base_offset);
            let settled = self.rolled.pop_front().expect("it was just seen");
            memory.indexes.keep(key, settled.offsets, settled.times);
        }
    }
}
