//! Removing the oldest segments: by age, by size, and below the log's start.
//!
//! Whole segments, oldest first, never past the high watermark (R59). Files are renamed at once and
//! removed after `file.delete.delay.ms`, so that replies under way keep what they name. Compare
//! Kafka's `UnifiedLog.deleteOldSegments`.

use super::segment::SegmentMarks;
use super::{Log, LogMemory, LogState, SegmentPoint};
use crate::ids::Offset;
use crate::limits::RETENTION_SEGMENTS_PER_PASS;
use crate::storage::DiskOp;
use crate::time::{Instant, Now};

/// A segment whose files wait to be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Deleting {
    due: Instant,
    pub(super) base_offset: Offset,
}

/// What a retention pass did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retained {
    /// Segments removed.
    pub segments: u32,
    /// Their size in bytes.
    pub size_bytes: u64,
    /// There is more to remove: come again.
    pub has_more: bool,
}

impl Log {
    /// Moves the log's start up, as DeleteRecords does; `offset` must not be above the high
    /// watermark. Answers whether it moved. Never moves back.
    ///
    /// The caller saves `log-start-offset-checkpoint`; files go with the next retention pass.
    pub fn advance_log_start(
        &mut self,
        offset: Offset,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> bool {
        assert!(
            offset <= self.log_end_offset,
            "nothing starts past the log's end"
        );
        if offset <= self.log_start_offset || self.state != LogState::Usable {
            return false;
        }
        self.log_start_offset = offset;
        self.tail.truncate_front(offset, &mut memory.tail);
        if self.epochs.truncate_from_start(offset) {
            self.save_epochs(out);
        }
        self.bad.retain(|bad| bad.end_offset > offset);
        true
    }

    /// Removes segments that are due, at most a fixed number of them.
    pub fn retain(
        &mut self,
        now: Now,
        high_watermark: Offset,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Retained {
        let mut done = Retained::default();
        if self.state != LogState::Usable {
            return done;
        }
        let excess_bytes = self.excess_bytes();
        let mut count = 0;
        for segment in &self.closed {
            let is_due = segment.end_offset <= high_watermark
                && (self.is_below_start(count)
                    || self.is_expired(now, count)
                    || (excess_bytes > 0
                        && done.size_bytes + u64::from(segment.size_bytes) <= excess_bytes));
            if !is_due {
                break;
            }
            if count == RETENTION_SEGMENTS_PER_PASS {
                done.has_more = true;
                break;
            }
            done.size_bytes += u64::from(segment.size_bytes);
            count += 1;
        }
        let takes_all = count == self.closed.len() && !done.has_more;
        let left_bytes = excess_bytes.saturating_sub(done.size_bytes);
        if takes_all && self.is_active_due(now, high_watermark, left_bytes) {
            // All of it goes: a new segment first, so that the log stays one.
            self.roll(now, self.log_end_offset, memory, out);
            done.size_bytes += u64::from(self.closed[count].size_bytes);
            count += 1;
        }
        done.segments = u32::try_from(count).expect("bounded by the pass");
        self.remove_oldest(now, count, memory, out);
        done
    }

    /// When the log wants a turn: to sync, or to remove files.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, &'static str)> {
        let removal = self
            .deleting
            .front()
            .map(|deleting| (deleting.due, "remove the files of a deleted segment"));
        let sync = self
            .sync_deadline()
            .map(|deadline| (deadline, "sync a log after flush.ms"));
        [removal, sync].into_iter().flatten().min()
    }

    /// Does what is due: removes files of deleted segments; syncs happen when the log settles.
    pub fn on_time(&mut self, now: Now, out: &mut Vec<DiskOp>) {
        while let Some(deleting) = self.deleting.front()
            && deleting.due <= now.instant
        {
            out.push(DiskOp::RemoveSegment {
                log: self.id,
                segment: deleting.base_offset,
            });
            self.deleting.pop_front();
        }
        self.settle(now, out);
    }

    /// Bytes above `retention.bytes`.
    fn excess_bytes(&self) -> u64 {
        match u64::try_from(self.settings.retention_bytes) {
            Ok(kept) if self.settings.delete => self.size_bytes().saturating_sub(kept),
            Ok(_) | Err(_) => 0,
        }
    }

    fn is_below_start(&self, place: usize) -> bool {
        let next = self.closed.get(place + 1);
        let next_base = next.map_or(self.active.base_offset, |next| next.base_offset);
        next_base <= self.log_start_offset
    }

    fn is_expired(&self, now: Now, place: usize) -> bool {
        self.is_old(now, self.closed[place].max_timestamp.0)
    }

    /// Kafka's rule by the largest timestamp; records without one never grow old here, where Kafka
    /// would go by the file's modification time.
    fn is_old(&self, now: Now, max_timestamp: i64) -> bool {
        self.settings.delete
            && self.settings.retention_ms >= 0
            && max_timestamp >= 0
            && now.wall.0.saturating_sub(max_timestamp) > self.settings.retention_ms
    }

    fn is_active_due(&self, now: Now, high_watermark: Offset, excess_bytes: u64) -> bool {
        let marks = &self.active.marks;
        marks.size_bytes > 0
            && self.log_end_offset <= high_watermark
            && (self.is_old(now, marks.max_timestamp.0)
                || u64::from(marks.size_bytes) <= excess_bytes)
    }

    fn remove_oldest(
        &mut self,
        now: Now,
        count: usize,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) {
        if count == 0 {
            return;
        }
        let delay_ms = u64::try_from(self.settings.file_delete_delay_ms).unwrap_or(0);
        let due = now.after(std::time::Duration::from_millis(delay_ms));
        for segment in self.closed.drain(..count) {
            memory.indexes.forget((self.id, segment.base_offset));
            out.push(DiskOp::MarkSegmentDeleted {
                log: self.id,
                generation: self.generation,
                segment: segment.base_offset,
            });
            self.deleting.push_back(Deleting {
                due,
                base_offset: segment.base_offset,
            });
        }
        let first = self
            .closed
            .first()
            .map_or(self.active.base_offset, |segment| segment.base_offset);
        self.rolled.retain(|rolled| rolled.base_offset >= first);
        if self.written_at.base_offset < first {
            // What is removed was written whole: `written` is the front of what is left.
            assert!(self.written >= first, "only written segments are removed");
            self.written_at = SegmentPoint {
                base_offset: first,
                marks: SegmentMarks::new(first),
            };
        }
        self.forget_points(first, self.log_end_offset);
        self.forget_snapshots_below(first, out);
        self.advance_log_start(first, memory, out);
        assert!(
            self.log_start_offset >= first,
            "nothing is before the start"
        );
    }
}
