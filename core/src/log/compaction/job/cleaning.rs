//! The second pass: segments are copied without what is superseded, and put in place.

use super::super::output::Output;
use super::super::transactions::CleanedTransactions;
use super::{Compaction, CompactionEnd, Stage};
use crate::limits::COMPACTION_SYNC_BYTES;
use crate::log::Log;
use crate::log::index::IndexEntry;
use crate::log::offset_index::OffsetEntry;
use crate::log::time_index::TimeEntry;
use crate::storage::DiskOp;

impl Compaction {
    /// The map is made: cleans every segment that it says something of.
    pub(super) fn begin_cleaning(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        let end = self.workshop().map_end;
        self.sources.retain(|source| source.base_offset < end);
        self.workshop().transactions = CleanedTransactions::new(&self.aborted);
        self.begin_group(0, log, out);
    }

    pub(super) fn begin_group(&mut self, group: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let Some(first) = self.sources.get(group).copied() else {
            return self.complete(log, out);
        };
        let end = self.end_of_group(group, log);
        if self.sources[group..end]
            .iter()
            .all(|source| source.size_bytes == 0)
        {
            return self.begin_group(end, log, out);
        }
        let workshop = self.workshop();
        workshop.output = Output::new(first.base_offset, workshop.now);
        self.begin_source(group, group, end, log, out);
    }

    /// As many segments as fit into one, by their sizes before (Kafka's `groupSegmentsBySize`).
    pub(super) fn end_of_group(&self, group: usize, log: &Log) -> usize {
        let settings = &log.settings;
        let entries = |size_bytes: u64| size_bytes / u64::from(settings.index_interval_bytes) + 1;
        let index_bytes = u64::from(settings.segment_index_bytes);
        let fits_index = |size_bytes: u64| {
            entries(size_bytes) * u64::from(OffsetEntry::BYTES) <= index_bytes
                && (entries(size_bytes) + 1) * u64::from(TimeEntry::BYTES) <= index_bytes
        };
        let base = self.sources[group].base_offset;
        let mut size_bytes = u64::from(self.sources[group].size_bytes);
        let mut end = group + 1;
        while let Some(next) = self.sources.get(end) {
            size_bytes += u64::from(next.size_bytes);
            let span = next.end_offset.0 - base.0;
            if size_bytes > u64::from(settings.segment_bytes)
                || !fits_index(size_bytes)
                || span > i64::from(i32::MAX)
            {
                break;
            }
            end += 1;
        }
        end
    }

    pub(super) fn begin_source(
        &mut self,
        group: usize,
        at: usize,
        end: usize,
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        let source = self.sources[at];
        self.workshop().input.begin(&source);
        self.stage = Stage::Clean { group, at, end };
        self.read_on(at, log, out);
    }

    pub(super) fn after_clean(
        &mut self,
        (group, at, end): (usize, usize, usize),
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        let workshop = self.workshop.as_mut().expect("it is back");
        let is_over = workshop.input.is_over(&self.sources[at]);
        if is_over && at + 1 == end {
            let aborted = workshop.transactions.take_kept();
            workshop.output.finish(&aborted, &mut self.writes);
            self.stage = Stage::Finish { group, end };
        } else if workshop.output.is_write_due() {
            workshop.output.take_writes(&mut self.writes);
        }
        self.go_on(log, out);
    }

    /// The next thing to do once nothing is awaited: writes first, then a sync, then reads.
    pub(super) fn go_on(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        if let Some(write) = self.writes.pop_front() {
            return self.ask(log, |log, token| write.op(log, token));
        }
        let is_finished = matches!(self.stage, Stage::Finish { .. });
        let output = &mut self.workshop().output;
        if is_finished || output.unsynced_bytes >= COMPACTION_SYNC_BYTES {
            output.unsynced_bytes = 0;
            let segment = output.base();
            return self.ask(log, |log, token| DiskOp::SyncCleaned {
                log,
                segment,
                token,
            });
        }
        let Stage::Clean { group, at, end } = self.stage else {
            unreachable!("only cleaning reads and writes");
        };
        let source = self.sources[at];
        if self.workshop().input.is_over(&source) {
            self.begin_source(group, at + 1, end, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }

    pub(super) fn on_saved(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        match self.stage {
            Stage::Clean { .. } => self.go_on(log, out),
            Stage::Finish { group, end } => {
                let is_synced = self.workshop().output.unsynced_bytes == 0;
                if self.writes.is_empty() && is_synced {
                    self.stage = Stage::Ready { group, end };
                } else {
                    self.go_on(log, out);
                }
            }
            Stage::Swap { end } => self.begin_group(end, log, out),
            Stage::Aborted(_) | Stage::Keys(_) | Stage::Ready { .. } => {
                unreachable!("nothing is saved then")
            }
        }
    }

    /// Every group is swapped in.
    pub(super) fn complete(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        let map_end = self.workshop().map_end;
        self.done.end_offset = map_end;
        if log.generation == self.generation {
            log.on_cleaned(map_end);
            self.finish(CompactionEnd::Done(self.done), out);
        } else {
            self.abandon("the log was cut meanwhile", out);
        }
    }
}
