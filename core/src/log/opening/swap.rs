//! What an interrupted compaction left: thrown away, or finished (`log::compaction` has the table).
//!
//! Segments that were being made are removed. One that was about to replace others is whole and
//! durable, so the swap goes on; which ones it replaces is told by where it ends. Compare Kafka's
//! `LogLoader.load`, 4.3.1.

use std::sync::Arc;

use bytes::Bytes;

use super::files::{SegmentFiles, SwapFiles};
use super::scan::{ScanStep, Scanner};
use super::{Opening, Stage};
use crate::event::Severity;
use crate::ids::Offset;
use crate::log::LogState;
use crate::storage::{DiskOp, LogFile};

/// A segment whose swap is to go on, while it is looked through.
#[derive(Clone, Debug)]
pub(super) struct SwapScan {
    base: Offset,
    files: SwapFiles,
    scanner: Scanner,
}

impl Opening {
    /// Throws away what was being made, and goes on with what was whole.
    pub(super) fn begin_swaps(&mut self, out: &mut Vec<DiskOp>) {
        let mut discarded = std::mem::take(&mut self.files.cleaned);
        // As long as there is a file that was being made, nothing old was removed.
        let from = discarded.first().copied();
        self.files.swaps.retain(|base, files| {
            let is_whole = files.log_bytes.is_some() && from.is_none_or(|from| *base < from);
            if !is_whole {
                discarded.insert(*base);
            }
            is_whole
        });
        for segment in discarded {
            let log = self.found.id;
            out.push(DiskOp::RemoveCleaned { log, segment });
        }
        self.next_swap(out);
    }

    fn next_swap(&mut self, out: &mut Vec<DiskOp>) {
        let Some((base, files)) = self.files.swaps.pop_first() else {
            self.remove_leftovers(out);
            self.start(out);
            return;
        };
        let size_bytes = files.log_bytes.and_then(|size| u32::try_from(size).ok());
        let Some(size_bytes) = size_bytes else {
            return self.give_up_swap(base, "it is larger than 4 GiB");
        };
        let bound = base.plus(1 << 31);
        let gaps_to = Offset(i64::MAX);
        let scanner = Scanner::new(size_bytes, (0, base), bound, Offset::ZERO, gaps_to);
        let step = scanner.begin();
        let scan = SwapScan {
            base,
            files,
            scanner,
        };
        self.on_swap_step(Box::new(scan), step, out);
    }

    pub(super) fn on_swap_bytes(
        &mut self,
        mut scan: Box<SwapScan>,
        bytes: &Bytes,
        out: &mut Vec<DiskOp>,
    ) {
        let step = scan.scanner.feed(bytes, |_position, _info| {});
        self.on_swap_step(scan, step, out);
    }

    fn on_swap_step(&mut self, scan: Box<SwapScan>, step: ScanStep, out: &mut Vec<DiskOp>) {
        match step {
            ScanStep::Read { position, length } => {
                self.read(LogFile::Swap(scan.base), position, length, out);
                self.stage = Stage::Swap(scan);
            }
            ScanStep::End => self.finish_swap(&scan, out),
            ScanStep::Cut { damage, .. } => self.give_up_swap(scan.base, &damage.to_string()),
        }
    }

    /// The new segment is sound: everything up to its end is replaced by it.
    fn finish_swap(&mut self, scan: &SwapScan, out: &mut Vec<DiskOp>) {
        let base = scan.base;
        let end = scan.scanner.end_offset().max(base.plus(1));
        let sources: Arc<[Offset]> = self
            .files
            .segments
            .range(base..end)
            .map(|(source, _files)| *source)
            .collect();
        let token = self.log.saves.next_token();
        self.note(
            Severity::Info,
            format!("finishes a compaction that was interrupted: segment {base}, up to {end}"),
        );
        for source in &*sources {
            self.files.segments.remove(source);
        }
        let files = SegmentFiles {
            log_bytes: scan.files.log_bytes.unwrap_or(0),
            offsets_bytes: scan.files.offsets_bytes,
            times_bytes: scan.files.times_bytes,
        };
        self.files.segments.insert(base, files);
        out.push(DiskOp::ReplaceSegments {
            log: self.found.id,
            segment: base,
            sources,
            token,
        });
        self.next_swap(out);
    }

    fn give_up_swap(&mut self, base: Offset, why: &str) {
        let name = LogFile::Swap(base).name();
        self.note(
            Severity::Error,
            format!(
                "{name}, which was about to replace other segments, is unusable: {why}. The log \
                 stays offline; restore it from a replica or a backup, or remove this file if no \
                 segment is missing"
            ),
        );
        self.log.state = LogState::Offline;
        self.stage = Stage::Done;
    }
}
