//! Segments: the files a log is cut into, as the log remembers them.
//!
//! A closed segment is a few numbers; the one in use also has its indexes. Compare Kafka's
//! `LogSegment`.

use super::batch::BatchInfo;
use super::index::{GrowingIndex, IndexEntry};
use super::offset_index::OffsetEntry;
use super::settings::LogSettings;
use super::time_index::TimeEntry;
use crate::ids::Offset;
use crate::time::{Now, Timestamp};

/// A segment that takes no more appends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClosedSegment {
    /// Offset its files are named by.
    pub base_offset: Offset,
    /// The offset after its last record; at most the next segment's base.
    pub end_offset: Offset,
    /// Size of its `.log`.
    pub size_bytes: u32,
    /// Largest timestamp of its first batch; -1 where that is not known.
    pub first_timestamp: Timestamp,
    /// Largest timestamp of its records; -1 for none.
    pub max_timestamp: Timestamp,
}

/// What changes with every append to a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SegmentMarks {
    /// Size of its `.log`, appended or about to be.
    pub(super) size_bytes: u32,
    /// Bytes appended since the last index entry.
    pub(super) unindexed_bytes: u32,
    /// Largest timestamp so far; -1 for none.
    pub(super) max_timestamp: Timestamp,
    /// Last offset of the batch that has it.
    pub(super) max_timestamp_offset: Offset,
}

/// The segment that takes appends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ActiveSegment {
    pub(super) base_offset: Offset,
    /// Wall clock when it was begun or opened.
    pub(super) created: Timestamp,
    /// Largest timestamp of its first batch, which decides when it is rolled by time.
    pub(super) first_timestamp: Option<Timestamp>,
    pub(super) marks: SegmentMarks,
    pub(super) offsets: GrowingIndex<OffsetEntry>,
    pub(super) times: GrowingIndex<TimeEntry>,
}

impl SegmentMarks {
    /// Those of an empty segment.
    pub(super) fn new(base_offset: Offset) -> Self {
        Self {
            size_bytes: 0,
            unindexed_bytes: 0,
            max_timestamp: Timestamp::NONE,
            max_timestamp_offset: base_offset,
        }
    }
}

impl ActiveSegment {
    pub(super) fn new(base_offset: Offset, created: Timestamp) -> Self {
        Self {
            base_offset,
            created,
            first_timestamp: None,
            marks: SegmentMarks::new(base_offset),
            offsets: GrowingIndex::default(),
            times: GrowingIndex::default(),
        }
    }

    /// Whether `batch`, at its place, must go to a new segment (K105; Kafka's
    /// `LogSegment.shouldRoll`, without jitter).
    pub(super) fn must_roll_before(
        &self,
        now: Now,
        batch: &BatchInfo,
        settings: &LogSettings,
    ) -> bool {
        if self.marks.size_bytes == 0 {
            return false;
        }
        let is_full =
            self.marks.size_bytes > settings.segment_bytes.saturating_sub(batch.size_bytes);
        let is_index_full = self.offsets.count()
            >= settings.segment_index_bytes / OffsetEntry::BYTES
            || self.times.count() + 1 >= settings.segment_index_bytes / TimeEntry::BYTES;
        let span = batch.last_offset().0 - self.base_offset.0;
        is_full
            || is_index_full
            || span > i64::from(i32::MAX)
            || self.is_old(now, batch.max_timestamp, settings)
    }

    /// Whether `segment.ms` has passed: between the timestamps of its first batch and of the one at
    /// hand, or by the wall clock where batches carry no timestamps.
    fn is_old(&self, now: Now, timestamp: Timestamp, settings: &LogSettings) -> bool {
        let waited_ms = match self.first_timestamp {
            Some(first) if first.0 >= 0 => timestamp.0.saturating_sub(first.0),
            Some(_) | None => now.wall.0.saturating_sub(self.created.0),
        };
        waited_ms > settings.segment_ms
    }

    /// Notes a batch that was placed at this segment's end.
    pub(super) fn on_append(&mut self, batch: &BatchInfo, settings: &LogSettings) {
        let position = self.marks.size_bytes;
        if self.first_timestamp.is_none() {
            self.first_timestamp = Some(batch.max_timestamp);
        }
        if batch.max_timestamp > self.marks.max_timestamp {
            self.marks.max_timestamp = batch.max_timestamp;
            self.marks.max_timestamp_offset = batch.last_offset();
        }
        if self.marks.unindexed_bytes > settings.index_interval_bytes {
            self.offsets.push(OffsetEntry {
                relative_offset: self.relative(batch.last_offset()),
                position,
            });
            self.maybe_push_time();
            self.marks.unindexed_bytes = 0;
        }
        self.marks.unindexed_bytes = self.marks.unindexed_bytes.saturating_add(batch.size_bytes);
        self.marks.size_bytes = position
            .checked_add(batch.size_bytes)
            .expect("must_roll_before keeps a segment below 2^31 bytes");
    }

    /// Adds the largest timestamp to the time index unless it is there; when an offset entry is
    /// added, and when the segment is closed.
    pub(super) fn maybe_push_time(&mut self) {
        let entry = TimeEntry {
            timestamp: self.marks.max_timestamp,
            relative_offset: self.relative(self.marks.max_timestamp_offset),
        };
        let is_news = match self.times.last() {
            Some(last) => last.is_before(&entry),
            None => entry.timestamp.0 >= 0,
        };
        if is_news {
            self.times.push(entry);
        }
    }

    pub(super) fn relative(&self, offset: Offset) -> u32 {
        u32::try_from(offset.0 - self.base_offset.0)
            .expect("must_roll_before keeps offsets within 2^31 of the base")
    }

    pub(super) fn closed(&self, end_offset: Offset) -> ClosedSegment {
        ClosedSegment {
            base_offset: self.base_offset,
            end_offset,
            size_bytes: self.marks.size_bytes,
            first_timestamp: self.first_timestamp.unwrap_or(Timestamp::NONE),
            max_timestamp: self.marks.max_timestamp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::build::{Wanted, batch};
    use super::*;

    fn info(base_offset: i64, max_timestamp: i64) -> BatchInfo {
        BatchInfo::parse(&batch(Wanted {
            base_offset,
            max_timestamp,
            ..Wanted::default()
        }))
        .unwrap()
    }

    #[test]
    fn rolls_by_size_time_index_and_offset() {
        let settings = LogSettings {
            segment_bytes: 200,
            segment_ms: 100,
            segment_index_bytes: 1 << 20,
            ..LogSettings::default()
        };
        let now = Now::default();
        let mut segment = ActiveSegment::new(Offset(0), now.wall);
        let huge = info(i64::from(i32::MAX) + 5, 50);
        assert!(!segment.must_roll_before(now, &huge, &settings), "empty");
        segment.on_append(&info(0, 50), &settings);
        assert!(!segment.must_roll_before(now, &info(1, 150), &settings));
        assert!(segment.must_roll_before(now, &info(1, 151), &settings));
        assert!(segment.must_roll_before(now, &huge, &settings));
        segment.on_append(&info(1, 50), &settings);
        assert!(segment.must_roll_before(now, &info(2, 50), &settings));
        let tiny_index = LogSettings {
            segment_index_bytes: 12,
            ..LogSettings::default()
        };
        assert!(segment.must_roll_before(now, &info(2, 50), &tiny_index));
    }

    #[test]
    fn entries_point_at_batches_past_the_interval() {
        let settings = LogSettings {
            index_interval_bytes: 100,
            ..LogSettings::default()
        };
        let mut segment = ActiveSegment::new(Offset(10), Timestamp(0));
        for number in 0..5 {
            segment.on_append(&info(10 + number, 70 - number), &settings);
        }
        segment.maybe_push_time();
        // Batches are 81 bytes: the third and the fifth come after more than 100 bytes.
        let floor = segment.offsets.floor(3).entry.unwrap();
        assert_eq!((floor.relative_offset, floor.position), (2, 162));
        assert_eq!(segment.offsets.count(), 2);
        assert_eq!(segment.times.count(), 1);
        assert_eq!(segment.times.last().unwrap().timestamp, Timestamp(70));
    }
}
