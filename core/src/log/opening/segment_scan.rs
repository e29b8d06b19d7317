//! What is known of one segment while it is scanned.
//!
//! Its index files are believed as far as the batch confirms that the scan begins at; everything
//! after it is built again.

use super::files::SegmentFiles;
use super::scan::Scanner;
use crate::ids::Offset;
use crate::limits::JOB_READ_BYTES;
use crate::log::index::{IndexEntry, decode_into};
use crate::log::offset_index::OffsetEntry;
use crate::log::segment::ActiveSegment;
use crate::log::time_index::TimeEntry;
use crate::log::{BatchDamage, BatchInfo};
use crate::time::Timestamp;

/// A segment that is being scanned.
#[derive(Clone, Debug)]
pub(super) struct SegmentScan {
    pub(super) base: Offset,
    pub(super) files: SegmentFiles,
    /// Base of the segment after it; `None` for the last.
    pub(super) next_base: Option<Offset>,
    /// What is built of it.
    pub(super) built: ActiveSegment,
    pub(super) phase: Phase,
    /// The indexes as they are in the files.
    times: Vec<TimeEntry>,
    offsets: Vec<OffsetEntry>,
    /// The index entry the scan begins at; nothing in front of it is looked at.
    pub(super) entry: Option<OffsetEntry>,
    /// What the time index says of its batch.
    entry_time: Option<Timestamp>,
    /// Bytes of the index file taken in.
    pub(super) index_position: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Reading the time index.
    Times,
    /// Reading the offset index.
    Offsets,
    /// Reading batches.
    Batches(Scanner),
    /// Counting the sound batches behind a cut.
    Behind(Box<Behind>),
}

/// Bytes one read of an index asks for: whole entries of either kind.
pub(super) const INDEX_READ_BYTES: u32 = JOB_READ_BYTES / 24 * 24;

/// What goes with a cut.
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// The scan that ended there.
    pub(super) before: Scanner,
    /// The scan that goes on.
    pub(super) scanner: Scanner,
    pub(super) damage: BatchDamage,
    /// Sound batches found.
    pub(super) batches: u32,
}

impl SegmentScan {
    pub(super) fn new(
        base: Offset,
        files: SegmentFiles,
        next_base: Option<Offset>,
        created: Timestamp,
    ) -> Self {
        Self {
            base,
            files,
            next_base,
            built: ActiveSegment::new(base, created),
            phase: Phase::Times,
            times: Vec::new(),
            offsets: Vec::new(),
            entry: None,
            entry_time: None,
            index_position: 0,
        }
    }

    /// Takes in a piece of the offset index; answers whether more is wanted.
    pub(super) fn on_offsets(&mut self, bytes: &[u8]) -> bool {
        let before = self.offsets.len();
        let offsets = &mut self.offsets;
        decode_into(bytes, offsets.last().copied(), |entry: OffsetEntry| {
            offsets.push(entry);
        });
        let taken = u32::try_from(self.offsets.len() - before).expect("a piece is small");
        self.index_position += taken * OffsetEntry::BYTES;
        taken * OffsetEntry::BYTES == INDEX_READ_BYTES
    }

    /// Chooses the entry the scan begins at: the last one below `scan_from`, and `history_bytes`
    /// before it. What the indexes say of the records in front of it is taken over.
    ///
    /// After an unclean stop each index file may have lost its end. An offset entry is believed
    /// only if the time index has an entry for the very same batch: then it is complete up to
    /// there.
    pub(super) fn choose_entry(&mut self, scan_from: Offset, history_bytes: u32, is_clean: bool) {
        let log_bytes = u32::try_from(self.files.log_bytes).expect("checked when it began");
        let base = self.base;
        let (mut offsets, times) = (
            std::mem::take(&mut self.offsets),
            std::mem::take(&mut self.times),
        );
        let usable = offsets.partition_point(|entry| {
            base.plus(i64::from(entry.relative_offset)) < scan_from && entry.position < log_bytes
        });
        offsets.truncate(usable);
        let Some(newest) = offsets.last() else {
            return;
        };
        let front = newest.position.saturating_sub(history_bytes);
        let time_of = |entry: &OffsetEntry| {
            let place =
                times.binary_search_by_key(&entry.relative_offset, |time| time.relative_offset);
            place.ok().map(|place| times[place].timestamp)
        };
        let chosen = offsets
            .iter()
            .rposition(|entry| entry.position <= front && (is_clean || time_of(entry).is_some()));
        let Some(chosen) = chosen else {
            return;
        };
        let entry = offsets[chosen];
        self.entry = Some(entry);
        self.entry_time = time_of(&entry);
        for before in &offsets[..chosen] {
            self.built.offsets.push_settled(*before);
        }
        for time in times {
            if time.relative_offset >= entry.relative_offset {
                break;
            }
            self.built.times.push_settled(time);
            self.built.marks.max_timestamp = time.timestamp;
            self.built.marks.max_timestamp_offset = base.plus(i64::from(time.relative_offset));
        }
        // The batch at the entry gets its entry again.
        self.built.marks.unindexed_bytes = u32::MAX;
    }

    /// Whether the entry leads to the batch it speaks of.
    pub(super) fn confirm(&self, bytes: &[u8], entry: OffsetEntry, is_clean: bool) -> Confirmed {
        let Ok(info) = BatchInfo::parse(bytes) else {
            return Confirmed::No;
        };
        let last_offset = self.base.plus(i64::from(entry.relative_offset));
        let is_in_time = is_clean || self.entry_time == Some(info.max_timestamp);
        let fits = u64::from(info.size_bytes) <= self.files.log_bytes;
        if info.last_offset() != last_offset || !is_in_time || !fits {
            return Confirmed::No;
        }
        match bytes.get(..info.size_bytes as usize) {
            Some(whole) if info.check_crc(whole).is_ok() => Confirmed::Yes(info.base_offset),
            Some(_rotten) => Confirmed::No,
            // Too large to be summed here; the scan does that next.
            None if info.size_bytes > JOB_READ_BYTES => Confirmed::Yes(info.base_offset),
            None => Confirmed::No,
        }
    }

    /// Takes in a piece of the time index; answers whether more is wanted.
    pub(super) fn on_times(&mut self, bytes: &[u8]) -> bool {
        let before = self.times.len();
        let times = &mut self.times;
        decode_into(bytes, times.last().copied(), |time: TimeEntry| {
            times.push(time)
        });
        let taken = u32::try_from(self.times.len() - before).expect("a piece is small");
        self.index_position += taken * TimeEntry::BYTES;
        taken * TimeEntry::BYTES == INDEX_READ_BYTES
    }
}

/// Whether an index entry leads to the batch it speaks of.
pub(super) enum Confirmed {
    No,
    /// A sound batch with this base offset.
    Yes(Offset),
}
