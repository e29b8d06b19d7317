//! The moment in which a log's segments become others.

use std::sync::Arc;

use crate::ids::Offset;
use crate::log::segment::{ActiveSegment, ClosedSegment};
use crate::log::{Log, LogMemory, LogState};
use crate::storage::{DiskOp, Token};

impl Log {
    /// Below this offset a round has been; for `cleaner-offset-checkpoint`, where it also says up
    /// to which offset records may be missing once the log is compacted no more.
    #[must_use]
    pub fn clean_point(&self) -> Offset {
        if self.settings.compact {
            self.cleaned_to
        } else {
            self.cleaned_to.max(self.gaps_to)
        }
    }

    /// A round is over: it has been everywhere below `offset`.
    pub(super) fn on_cleaned(&mut self, offset: Offset) {
        assert!(offset <= self.flushed, "what is cleaned is durable");
        self.cleaned_to = offset;
        self.gaps_to = self.gaps_to.max(offset);
    }

    /// Whether these segments are there as they were, one after the other.
    pub(super) fn holds(&self, sources: &[ClosedSegment]) -> bool {
        let Some(first) = sources.first() else {
            return false;
        };
        let place = self
            .closed
            .binary_search_by_key(&first.base_offset, |closed| closed.base_offset);
        let there = place
            .ok()
            .and_then(|place| self.closed.get(place..place + sources.len()));
        self.state == LogState::Usable && there == Some(sources)
    }

    /// Puts a segment that was made of `sources` in their place: from the next turn on, it is what
    /// is read. Nothing of this turn may read after this.
    pub(super) fn replace_segments(
        &mut self,
        sources: &[ClosedSegment],
        made: ActiveSegment,
        token: Token,
        (memory, out): (&mut LogMemory, &mut Vec<DiskOp>),
    ) {
        assert!(self.holds(sources), "the caller made sure");
        let (first, last) = (&sources[0], &sources[sources.len() - 1]);
        let (base, end_offset) = (first.base_offset, last.end_offset);
        let first_timestamp = first.first_timestamp;
        assert!(made.base_offset == base, "it is named by the first");
        assert!(end_offset <= self.flushed, "what is replaced is durable");
        assert!(
            last.base_offset < self.written_at.base_offset,
            "no rewind leads back there"
        );
        let bases: Arc<[Offset]> = sources.iter().map(|source| source.base_offset).collect();
        for source in sources {
            memory.indexes.forget((self.id, source.base_offset));
        }
        let place = self
            .closed
            .partition_point(|closed| closed.base_offset < base);
        let replacement = ClosedSegment {
            first_timestamp,
            ..made.closed(end_offset)
        };
        self.closed
            .splice(place..place + sources.len(), [replacement]);
        memory
            .indexes
            .keep((self.id, base), made.offsets, made.times);
        self.points
            .retain(|point| bases.binary_search(&point.segment).is_err());
        self.tail.truncate_front(end_offset, &mut memory.tail);
        self.replacements += 1;
        self.gaps_to = self.gaps_to.max(end_offset);
        self.forget_snapshots_at(&bases[1..], out);
        out.push(DiskOp::ReplaceSegments {
            log: self.id,
            segment: base,
            sources: bases,
            token,
        });
    }
}
