//! The end of an opening: what the scan found is written down, said, and made durable.

use super::files::SegmentFiles;
use super::{Opening, Stage};
use crate::event::Severity;
use crate::ids::Offset;
use crate::log::batch::HEADER_BYTES;
use crate::log::index::IndexEntry;
use crate::log::offset_index::OffsetEntry;
use crate::log::producer_state::Producers;
use crate::log::segment::ActiveSegment;
use crate::log::time_index::TimeEntry;
use crate::log::{BadRange, BatchDamage, SegmentPoint};
use crate::mutants::mutant;
use crate::storage::{DiskOp, LogFile};

impl Opening {
    /// Asks the disk to end the log where the last sound batch ends.
    pub(super) fn cut(&mut self, files: &SegmentFiles, out: &mut Vec<DiskOp>) {
        let log = &mut self.log;
        log.generation = log.generation.next();
        out.push(DiskOp::Truncate {
            log: log.id,
            generation: log.generation,
            segment: log.active.base_offset,
            position: log.active.marks.size_bytes,
            end_offset: self.end_offset,
        });
        let left = self.files.segments.entry(log.active.base_offset);
        left.or_default().log_bytes = u64::from(log.active.marks.size_bytes);
        self.is_cutting = true;
        let mut active = log.active.clone();
        self.write_indexes(&mut active, files, out);
        self.log.active = active;
    }

    /// Makes a scanned segment's index files what the scan found.
    pub(super) fn write_indexes(
        &mut self,
        built: &mut ActiveSegment,
        files: &SegmentFiles,
        out: &mut Vec<DiskOp>,
    ) {
        let (offsets, times) = (built.offsets.count(), built.times.count());
        let is_same = self.found.is_clean
            && files.offsets_bytes == Some(u64::from(offsets * OffsetEntry::BYTES))
            && files.times_bytes == Some(u64::from(times * TimeEntry::BYTES));
        if is_same || mutant!(M35) {
            built.offsets.settle();
            built.times.settle();
            return;
        }
        let covered_by = self.end_offset.plus(1);
        let base = built.base_offset;
        for (file, written) in [
            (
                LogFile::OffsetIndex(base),
                built.offsets.rewrite(covered_by),
            ),
            (LogFile::TimeIndex(base), built.times.rewrite(covered_by)),
        ] {
            let (position, bytes) = written;
            out.push(DiskOp::AppendIndex {
                log: self.found.id,
                generation: self.log.generation,
                file,
                position,
                bytes,
            });
        }
    }

    /// The last segment is known: closes it if the log must go on elsewhere, and completes it.
    pub(super) fn after_segments(&mut self, out: &mut Vec<DiskOp>) {
        self.restore_history();
        let start = self.found.log_start_offset.unwrap_or(Offset::ZERO);
        let resume_at = self.recovery_point().max(start);
        if self.end_offset < resume_at {
            self.resume_at(resume_at, out);
        }
        let active = &self.log.active;
        if active.marks.size_bytes > 0 && active.first_timestamp.is_none() {
            let length = u32::try_from(HEADER_BYTES).expect("a small constant");
            let base = active.base_offset;
            self.stage = Stage::FirstHeader;
            self.read(LogFile::Log(base), 0, length, out);
            return;
        }
        self.finish(out);
    }

    /// Records that were durable, or deleted, are not there: the log goes on after them, so that
    /// their offsets are never given to others.
    pub(super) fn resume_at(&mut self, offset: Offset, out: &mut Vec<DiskOp>) {
        self.add_bad(BadRange {
            start_offset: self.end_offset,
            end_offset: offset,
        });
        // What producers wrote meanwhile is unknown: any of their sequences has to do, from here on
        // and after the next start, too.
        self.log.producers = Producers::default();
        self.is_resumed = true;
        for offset in std::mem::take(&mut self.files.snapshots) {
            out.push(DiskOp::RemoveFile {
                log: self.log.id,
                file: LogFile::ProducerSnapshot(offset),
            });
        }
        let log = &mut self.log;
        let next = ActiveSegment::new(offset, self.now.wall);
        let mut before = std::mem::replace(&mut log.active, next);
        // A segment of which nothing makes sense was durable too: somebody may restore it.
        let files = self.files.segments.get(&before.base_offset);
        if files.is_some_and(|files| files.log_bytes > 0) {
            before.maybe_push_time();
            log.closed.push(before.closed(self.end_offset));
        } else {
            let segment = before.base_offset;
            out.push(DiskOp::MarkSegmentDeleted {
                log: log.id,
                generation: log.generation,
                segment,
            });
            out.push(DiskOp::RemoveSegment {
                log: log.id,
                segment,
            });
        }
        out.push(DiskOp::CreateSegment {
            log: log.id,
            generation: log.generation,
            segment: offset,
        });
        self.end_offset = offset;
        self.found.is_clean = false;
    }

    /// Keeps a damaged range, as far as its records are not deleted.
    pub(super) fn add_bad(&mut self, range: BadRange) {
        let start = self.found.log_start_offset.unwrap_or(Offset::ZERO);
        let range = BadRange {
            start_offset: range.start_offset.max(start),
            end_offset: range.end_offset,
        };
        if range.start_offset >= range.end_offset {
            return;
        }
        self.log.bad.push(range);
        self.note(
            Severity::Error,
            format!(
                "records [{}, {}) are damaged on disk although they were durable; they are \
                 answered with CORRUPT_MESSAGE, the rest is served. Restore the segment from a \
                 replica or a backup, or skip them",
                range.start_offset, range.end_offset
            ),
        );
    }

    pub(super) fn note_cut(&mut self, damage: BatchDamage, bytes: u64, batches: u32) {
        let severity = if bytes == 0 {
            Severity::Info
        } else {
            Severity::Warning
        };
        let (end, segments) = (self.end_offset, self.todo.len());
        self.note(
            severity,
            format!(
                "an unfinished write at offset {end} ({damage}): cut there, {bytes} bytes removed, \
                 with {batches} sound batches and {segments} later segments among them"
            ),
        );
    }

    /// Everything was looked at: writes down what changed, and waits until it is durable.
    pub(super) fn finish(&mut self, out: &mut Vec<DiskOp>) {
        let log = &mut self.log;
        if mutant!(M21) {
            log.producers = Producers::default();
        }
        log.log_end_offset = self.end_offset;
        log.written = self.end_offset;
        log.written_at = SegmentPoint {
            base_offset: log.active.base_offset,
            marks: log.active.marks,
        };
        log.sync_requested = self.end_offset;
        // Not what is left, but what there was: lost records are answered as such.
        let found = self.files.segments.keys().next().copied();
        let kept = log.closed.first().map(|closed| closed.base_offset);
        let first = kept.into_iter().chain(found).min();
        let first = first.unwrap_or(log.active.base_offset);
        let wanted = self.found.log_start_offset.unwrap_or(first);
        log.log_start_offset = wanted.max(first).min(self.end_offset);
        self.is_epochs_changed |= log.epochs.truncate_from_end(self.end_offset);
        self.is_epochs_changed |= log.epochs.truncate_from_start(log.log_start_offset);
        // Beyond the end it is of another log, or of one that lost its end: all is dirty.
        let cleaned_to = self.found.cleaned_to.unwrap_or(Offset::ZERO);
        log.cleaned_to = if cleaned_to > self.end_offset {
            Offset::ZERO
        } else {
            cleaned_to
        };
        // After a crash a round may have been further than is on record.
        let may_be_ahead = log.settings.compact && !self.found.is_clean;
        let ahead = log.active.base_offset;
        let gaps_to = log.gaps_to.max(log.cleaned_to);
        log.gaps_to = if may_be_ahead {
            gaps_to.max(ahead)
        } else {
            gaps_to
        };
        for &offset in &self.files.snapshots {
            log.on_snapshot_found(offset);
        }
        log.forget_snapshots_above(self.end_offset, out);
        if self.is_resumed {
            log.save_producers(out);
        }
        if self.is_epochs_changed {
            log.save_epochs(out);
        }
        if self.is_cutting {
            self.stage = Stage::Truncating;
        } else if self.found.is_clean {
            self.log.flushed = self.end_offset;
            self.stage = Stage::Done;
        } else {
            self.sync(out);
        }
    }

    pub(super) fn sync(&mut self, out: &mut Vec<DiskOp>) {
        self.stage = Stage::Syncing;
        self.log.sync(out);
    }
}
