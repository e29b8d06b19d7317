//! How dirty a log is: what a round would clean, and whether that is worth it or due.
//!
//! Compare Kafka's `LogCleanerManager.cleanableOffsets`, `maxCompactionDelay`, `LogToClean`, 4.3.1.

use crate::ids::Offset;
use crate::log::{ClosedSegment, Log, LogState};
use crate::mutants::mutant;
use crate::time::Now;

/// A round that could be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dirtiness {
    /// The first offset that no round has seen.
    pub first_dirty: Offset,
    /// Where a round would end: base of the first segment that may not be touched.
    pub end_offset: Offset,
    /// Bytes of the segments below the dirty ones.
    pub clean_bytes: u64,
    /// Bytes of the dirty segments that may be cleaned.
    pub dirty_bytes: u64,
    /// A record is older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Dirtiness {
    /// Share of dirty bytes, in millionths.
    #[must_use]
    pub fn ratio_millionths(&self) -> u32 {
        let total = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let ratio = u128::from(self.dirty_bytes) * 1_000_000 / total.max(1);
        u32::try_from(ratio).expect("a part of a whole")
    }
}

impl Log {
    /// What a round up to `stable`, the last stable offset, would find; `None` where there is
    /// nothing to clean, or the log is not compacted.
    #[must_use]
    pub fn dirtiness(&self, now: Now, stable: Offset) -> Option<Dirtiness> {
        if !self.settings.compact || self.state != LogState::Usable {
            return None;
        }
        let first_dirty = self.first_dirty();
        let end_offset = self.first_uncleanable(now, stable, first_dirty);
        let mut found = Dirtiness {
            first_dirty,
            end_offset,
            clean_bytes: 0,
            dirty_bytes: 0,
            is_overdue: false,
        };
        for segment in &self.closed {
            let size_bytes = u64::from(segment.size_bytes);
            if segment.end_offset <= first_dirty {
                found.clean_bytes += size_bytes;
            } else if segment.base_offset < end_offset {
                found.dirty_bytes += size_bytes;
                found.is_overdue |= self.is_overdue(now, segment);
            }
        }
        (found.dirty_bytes > 0).then_some(found)
    }

    /// Whether a round is worth it, or due.
    #[must_use]
    pub fn is_cleaning_due(&self, found: &Dirtiness) -> bool {
        found.is_overdue
            || found.ratio_millionths() > self.settings.min_cleanable_dirty_ratio_millionths
    }

    /// The first offset that no round has seen.
    pub(super) fn first_dirty(&self) -> Offset {
        // Records that are cut off and written again are new, and a mark beyond the log means
        // nothing.
        if self.cleaned_to > self.log_end_offset {
            self.log_start_offset
        } else {
            self.cleaned_to.max(self.log_start_offset)
        }
    }

    /// Base of the first segment that may not be touched: it is in use, or holds what is not
    /// committed, not durable or too young.
    fn first_uncleanable(&self, now: Now, stable: Offset, first_dirty: Offset) -> Offset {
        let bound = match mutant!(M39) {
            true => self.active.base_offset,
            false => stable.min(self.flushed).min(self.written_at.base_offset),
        };
        let lag_ms = self.settings.min_compaction_lag_ms;
        let is_young = |segment: &ClosedSegment| {
            lag_ms > 0
                && segment.end_offset > first_dirty
                && segment.max_timestamp.0 > now.wall.0.saturating_sub(lag_ms)
        };
        let first = self
            .closed
            .iter()
            .find(|segment| segment.end_offset > bound || is_young(segment));
        first.map_or(self.active.base_offset, |segment| segment.base_offset)
    }

    /// Whether a dirty segment has waited for too long. When its first batch was written is not
    /// known of segments that were there at boot: they count as due, which is early at worst.
    fn is_overdue(&self, now: Now, segment: &ClosedSegment) -> bool {
        let lag_ms = self.settings.max_compaction_lag_ms;
        let first = segment.first_timestamp;
        let is_known = first.0 > 0;
        if lag_ms == i64::MAX || (!is_known && segment.max_timestamp.0 <= 0) {
            return false;
        }
        !is_known || first.0 < now.wall.0.saturating_sub(lag_ms)
    }
}
