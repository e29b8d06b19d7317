//! The segments of a log that is being opened, one after the other.
//!
//! A segment that lies before everything that must be scanned costs one read of twelve bytes. A
//! scanned one has its indexes rebuilt from where the scan began; what the index says of the place
//! is believed only when the batch found there confirms it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::files::SegmentFiles;
use super::scan::{ScanStep, Scanner};
use super::segment_scan::{Behind, Confirmed, INDEX_READ_BYTES, Phase, SegmentScan};
use super::{Opening, Stage};
use crate::ids::Offset;
use crate::limits::{HISTORY_BATCHES_MAX, HISTORY_SCAN_BYTES};
use crate::log::index::IndexEntry;
use crate::log::producer_state::Producers;
use crate::log::segment::ActiveSegment;
use crate::log::time_index::TimeEntry;
use crate::log::{BadRange, BatchDamage, BatchInfo, LeaderEpochs};
use crate::storage::{DiskOp, LogFile};
use crate::time::Timestamp;

impl Opening {
    /// The snapshot is in: decides where the scan begins.
    pub(super) fn after_snapshot(&mut self, out: &mut Vec<DiskOp>) {
        let scan_from = if self.scans_all {
            Offset::ZERO
        } else if self.found.is_clean {
            self.replay_from
        } else {
            let recovery_point = self.found.recovery_point.unwrap_or(Offset::ZERO);
            recovery_point.min(self.replay_from)
        };
        let segments = &self.files.segments;
        // A segment that ends just there was durable while its indexes were still written to: what
        // they got when it was closed may be lost, so after an unclean stop it is scanned too.
        let holds = if self.found.is_clean {
            segments.range(..=scan_from).next_back()
        } else {
            segments.range(..scan_from).next_back()
        };
        let holds = holds.or(segments.first_key_value());
        let Some((&holds, _files)) = holds else {
            self.begin_empty(out);
            return;
        };
        // Without a time index nothing tells how old a segment is but its batches, and without an
        // offset index every read of it would look for its place from the front.
        let bare = segments.iter().find(|(_base, files)| {
            let is_indexed = files.times_bytes.unwrap_or(0) > 0 && files.offsets_bytes.is_some();
            files.log_bytes > 0 && !is_indexed
        });
        let first_scanned = bare.map_or(holds, |(&base, _files)| base.min(holds));
        self.scan_from = if first_scanned < holds {
            first_scanned
        } else {
            scan_from
        };
        self.first_scanned = first_scanned;
        self.todo = segments
            .iter()
            .map(|(base, files)| (*base, *files))
            .collect();
        self.end_offset = self.todo[0].0;
        self.next_segment(out);
    }

    /// A folder without a segment: a log whose creation was interrupted.
    fn begin_empty(&mut self, out: &mut Vec<DiskOp>) {
        let log = &mut self.log;
        log.active = ActiveSegment::new(self.end_offset, self.now.wall);
        out.push(DiskOp::CreateSegment {
            log: log.id,
            generation: log.generation,
            segment: self.end_offset,
        });
        self.after_segments(out);
    }

    fn next_segment(&mut self, out: &mut Vec<DiskOp>) {
        let Some((base, files)) = self.todo.pop_front() else {
            self.after_segments(out);
            return;
        };
        let next_base = self.todo.front().map(|(base, _files)| *base);
        if base >= self.first_scanned {
            self.begin_segment(base, files, next_base, out);
            return;
        }
        let times_bytes = u32::try_from(files.times_bytes.unwrap_or(0)).unwrap_or(0);
        let whole = times_bytes - times_bytes % TimeEntry::BYTES;
        self.stage = Stage::LastTime(base, files);
        let position = whole.saturating_sub(TimeEntry::BYTES);
        self.read(LogFile::TimeIndex(base), position, TimeEntry::BYTES, out);
    }

    pub(super) fn on_last_time(
        &mut self,
        base: Offset,
        files: SegmentFiles,
        bytes: &Bytes,
        out: &mut Vec<DiskOp>,
    ) {
        let entry = (bytes.len() == TimeEntry::BYTES as usize).then(|| TimeEntry::decode(bytes));
        let timestamp = entry.map_or(Timestamp::NONE, |entry| entry.timestamp);
        let next_base = self.todo.front().map(|(base, _files)| *base);
        let end_offset = next_base.expect("the last segment is always scanned");
        let closed = Self::closed(base, end_offset, &files, timestamp);
        self.log.closed.push(closed);
        self.end_offset = end_offset;
        self.next_segment(out);
    }

    fn begin_segment(
        &mut self,
        base: Offset,
        files: SegmentFiles,
        next_base: Option<Offset>,
        out: &mut Vec<DiskOp>,
    ) {
        self.check_gap(base);
        let has_index = files.offsets_bytes.is_some_and(|size| size > 0) && files.log_bytes > 0;
        let scan = Box::new(SegmentScan::new(base, files, next_base, self.now.wall));
        if has_index && self.scan_from > base {
            self.read(LogFile::TimeIndex(base), 0, INDEX_READ_BYTES, out);
            self.stage = Stage::Segment(scan);
        } else {
            self.begin_batches(scan, out);
        }
    }

    /// Between the end of the last segment and `base` records are missing.
    fn check_gap(&mut self, base: Offset) {
        let is_sound = self.log.settings.compact || base <= self.gaps_to();
        if base <= self.end_offset || is_sound {
            return;
        }
        if self.end_offset < self.recovery_point() {
            let missing = BadRange {
                start_offset: self.end_offset,
                end_offset: base,
            };
            self.add_bad(missing);
        }
    }

    pub(super) fn on_segment_bytes(
        &mut self,
        mut scan: Box<SegmentScan>,
        bytes: &Bytes,
        out: &mut Vec<DiskOp>,
    ) {
        let base = scan.base;
        match scan.phase {
            Phase::Times => {
                if scan.on_times(bytes) {
                    let position = scan.index_position;
                    self.read(LogFile::TimeIndex(base), position, INDEX_READ_BYTES, out);
                } else {
                    scan.index_position = 0;
                    scan.phase = Phase::Offsets;
                    self.read(LogFile::OffsetIndex(base), 0, INDEX_READ_BYTES, out);
                }
                self.stage = Stage::Segment(scan);
            }
            Phase::Offsets => {
                if scan.on_offsets(bytes) {
                    let position = scan.index_position;
                    self.read(LogFile::OffsetIndex(base), position, INDEX_READ_BYTES, out);
                    self.stage = Stage::Segment(scan);
                } else {
                    let history_bytes = self.history_bytes();
                    scan.choose_entry(self.scan_from, history_bytes, self.found.is_clean);
                    self.begin_batches(scan, out);
                }
            }
            Phase::Batches(_) => self.on_batches(scan, bytes, out),
            Phase::Behind(_) => self.on_behind(scan, bytes, out),
        }
    }

    fn begin_batches(&mut self, mut scan: Box<SegmentScan>, out: &mut Vec<DiskOp>) {
        let position = scan.entry.map_or(0, |entry| entry.position);
        let bound = scan.next_base.unwrap_or(scan.base.plus(1 << 31));
        let gaps_to = if self.log.settings.compact {
            Offset(i64::MAX)
        } else {
            self.gaps_to()
        };
        let scanner = Scanner::new(
            u32::try_from(scan.files.log_bytes).expect("checked when it began"),
            (position, self.end_offset.max(scan.base)),
            bound,
            self.recovery_point(),
            gaps_to,
        );
        let step = scanner.begin();
        scan.phase = Phase::Batches(scanner);
        self.on_scan_step(scan, step, out);
    }

    fn on_batches(&mut self, mut scan: Box<SegmentScan>, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        let mut first_offset = None;
        if let Some(entry) = scan.entry.take() {
            match scan.confirm(bytes, entry, self.found.is_clean) {
                Confirmed::No => {
                    // The index leads nowhere, or to damage: only a scan from the front can tell.
                    scan.built = ActiveSegment::new(scan.base, self.now.wall);
                    self.begin_batches(scan, out);
                    return;
                }
                Confirmed::Yes(base_offset) => first_offset = Some(base_offset),
            }
        }
        let Phase::Batches(scanner) = &mut scan.phase else {
            unreachable!("batches are read in that phase");
        };
        if let Some(base_offset) = first_offset {
            scanner.trust_first(base_offset);
        }
        let settings = &self.log.settings;
        let built = &mut scan.built;
        let mut replay = Replay {
            epochs: &mut self.log.epochs,
            producers: &mut self.log.producers,
            history: &mut self.history,
            from: self.replay_from,
            is_epochs_changed: false,
        };
        let step = scanner.feed(bytes, |position, info| {
            built.marks.size_bytes = position;
            built.on_append(info, settings);
            replay.batch(info);
        });
        self.is_epochs_changed |= replay.is_epochs_changed;
        self.on_scan_step(scan, step, out);
    }

    fn on_scan_step(&mut self, scan: Box<SegmentScan>, step: ScanStep, out: &mut Vec<DiskOp>) {
        match step {
            ScanStep::Read { position, length } => {
                self.read(LogFile::Log(scan.base), position, length, out);
                self.stage = Stage::Segment(scan);
            }
            ScanStep::End => {
                let SegmentScan { phase, .. } = &*scan;
                match phase {
                    Phase::Batches(scanner) => {
                        let scanner = scanner.clone();
                        self.on_segment_end(*scan, scanner, None, out);
                    }
                    Phase::Behind(behind) => {
                        let cut = (behind.damage, behind.batches);
                        let scanner = behind.before.clone();
                        self.on_segment_end(*scan, scanner, Some(cut), out);
                    }
                    Phase::Offsets | Phase::Times => unreachable!("batches are scanned then"),
                }
            }
            ScanStep::Cut { damage, .. } => self.begin_behind(scan, damage, out),
        }
    }

    /// The log ends here; what goes with the cut is counted, so that it can be said.
    fn begin_behind(
        &mut self,
        mut scan: Box<SegmentScan>,
        damage: BatchDamage,
        out: &mut Vec<DiskOp>,
    ) {
        let Phase::Batches(before) = &scan.phase else {
            unreachable!("only that phase cuts");
        };
        let scanner = before.behind();
        let step = scanner.begin();
        scan.phase = Phase::Behind(Box::new(Behind {
            before: before.clone(),
            scanner,
            damage,
            batches: 0,
        }));
        self.on_scan_step(scan, step, out);
    }

    fn on_behind(&mut self, mut scan: Box<SegmentScan>, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        let Phase::Behind(behind) = &mut scan.phase else {
            unreachable!("it is read in that phase");
        };
        let batches = &mut behind.batches;
        let step = behind.scanner.feed(bytes, |_position, _info| *batches += 1);
        self.on_scan_step(scan, step, out);
    }

    fn on_segment_end(
        &mut self,
        scan: SegmentScan,
        scanner: Scanner,
        cut: Option<(BatchDamage, u32)>,
        out: &mut Vec<DiskOp>,
    ) {
        let mut built = scan.built;
        built.marks.size_bytes = scanner.valid_bytes();
        self.end_offset = scanner.end_offset();
        let bad = scanner.into_bad();
        for range in bad {
            self.add_bad(range);
        }
        // Also of a compacted log: a round keeps the last batch of each segment, and what Kafka's
        // took is below the clean point.
        let known_to = self.end_offset.max(self.gaps_to());
        let is_short = scan.next_base.is_some_and(|next| next > known_to)
            && self.end_offset >= self.recovery_point();
        match (cut, scan.next_base) {
            (None, Some(_)) if !is_short => {
                built.maybe_push_time();
                self.write_indexes(&mut built, &scan.files, out);
                self.log.closed.push(built.closed(self.end_offset));
                self.next_segment(out);
            }
            (None, None) => {
                if self.found.is_clean {
                    // As it was closed, so that there is nothing to write.
                    built.maybe_push_time();
                }
                self.write_indexes(&mut built, &scan.files, out);
                self.log.active = built;
                self.after_segments(out);
            }
            (cut, _) => {
                let (damage, batches) = cut.unwrap_or((BatchDamage::Short, 0));
                let removed: u64 = self.todo.iter().map(|(_base, files)| files.log_bytes).sum();
                let bytes = removed + scan.files.log_bytes - u64::from(built.marks.size_bytes);
                self.note_cut(damage, bytes, batches);
                self.todo.clear();
                self.log.active = built;
                self.cut(&scan.files, out);
                self.after_segments(out);
            }
        }
    }

    pub(super) fn restore_history(&mut self) {
        for info in std::mem::take(&mut self.history).iter().rev() {
            self.log.producers.restore_older(info);
        }
    }

    /// How far in front of the snapshot batches are looked at, for the producers' older batches.
    fn history_bytes(&self) -> u32 {
        if self.log.producers.is_empty() {
            0
        } else {
            HISTORY_SCAN_BYTES
        }
    }

    /// Up to here compaction may have taken the records between two batches, as far as that is on
    /// record.
    fn gaps_to(&self) -> Offset {
        let cleaned_to = self.found.cleaned_to.unwrap_or(Offset::ZERO);
        cleaned_to.max(self.log.gaps_to)
    }

    /// Below this, damage is corruption.
    pub(super) fn recovery_point(&self) -> Offset {
        self.found.recovery_point.unwrap_or(Offset::ZERO)
    }
}

/// What batches found by a scan do to the rest of the log.
struct Replay<'a> {
    epochs: &'a mut LeaderEpochs,
    producers: &'a mut Producers,
    history: &'a mut VecDeque<BatchInfo>,
    from: Offset,
    is_epochs_changed: bool,
}

impl Replay<'_> {
    fn batch(&mut self, info: &BatchInfo) {
        if self.epochs.latest() < Some(info.leader_epoch) {
            self.is_epochs_changed |= self.epochs.assign(info.leader_epoch, info.base_offset);
        }
        if info.base_offset >= self.from {
            for older in std::mem::take(self.history).iter().rev() {
                self.producers.restore_older(older);
            }
            self.producers.on_append(info);
        } else if info.producer_id.0 >= 0 {
            if self.history.len() == HISTORY_BATCHES_MAX {
                self.history.pop_front();
            }
            self.history.push_back(*info);
        }
    }
}
