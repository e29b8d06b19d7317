//! The second pass: segments are copied without what is superseded, and put in place.

use bytes::Bytes;

use super::super::filter::{Rules, filter_batch};
use super::super::output::Output;
use super::super::transactions::CleanedTransactions;
use super::{Compaction, CompactionEnd, Stage};
use crate::ids::Offset;
use crate::limits::COMPACTION_SYNC_BYTES;
use crate::log::Log;
use crate::log::index::IndexEntry;
use crate::log::offset_index::OffsetEntry;
use crate::log::time_index::TimeEntry;
use crate::storage::DiskOp;

impl Compaction {
    /// The map is made: cleans every segment that it says something of.
    pub(super) fn begin_cleaning(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        let end = self.map_end;
        self.sources.retain(|source| source.base_offset < end);
        self.transactions = CleanedTransactions::new(&self.aborted);
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
        self.output = Output::new(first.base_offset, self.now);
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
        self.input.begin(&self.sources[at]);
        self.stage = Stage::Clean { group, at, end };
        self.read_on(at, log, out);
    }

    /// Takes what stays of the batches that came into the output.
    pub(super) fn clean(
        &mut self,
        (at, end): (usize, usize),
        log: &Log,
        bytes: &Bytes,
    ) -> Result<(), String> {
        let source = self.sources[at];
        let is_last = self.sources[at + 1..end]
            .iter()
            .all(|later| later.size_bytes == 0);
        self.input.add(&source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(&source)? {
            let is_end = is_last && self.input.is_over(&source);
            let rules = Rules {
                map: &self.map,
                map_end: self.map_end,
                now: self.now,
                delete_retention_ms: self.delete_retention_ms,
                live: &self.live,
                end_offset: if is_end {
                    header.next_offset()
                } else {
                    Offset::NONE
                },
            };
            let rooms = (&mut self.scratch, &mut self.output.buffer);
            let kept = filter_batch(&batch, &header, &rules, &mut self.transactions, rooms)
                .map_err(|error| error.to_string())?;
            let Some(info) = kept else { continue };
            if !self.output.has_room(info.size_bytes) {
                return Err("what stays is larger than a segment can be".to_owned());
            }
            self.output.on_batch(&info, &log.settings);
        }
        Ok(())
    }

    pub(super) fn after_clean(
        &mut self,
        (group, at, end): (usize, usize, usize),
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        let is_over = self.input.is_over(&self.sources[at]);
        if is_over && at + 1 == end {
            let aborted = self.transactions.take_kept();
            self.output.finish(&aborted, &mut self.writes);
            self.stage = Stage::Finish { group, end };
        } else if self.output.is_write_due() {
            self.output.take_writes(&mut self.writes);
        }
        self.go_on(log, out);
    }

    /// The next thing to do once nothing is awaited: writes first, then a sync, then reads.
    pub(super) fn go_on(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        if let Some(write) = self.writes.pop_front() {
            return self.ask(log, |log, token| write.op(log, token));
        }
        let is_finished = matches!(self.stage, Stage::Finish { .. });
        if is_finished || self.output.unsynced_bytes >= COMPACTION_SYNC_BYTES {
            self.output.unsynced_bytes = 0;
            let segment = self.output.base();
            return self.ask(log, |log, token| DiskOp::SyncCleaned {
                log,
                segment,
                token,
            });
        }
        let Stage::Clean { group, at, end } = self.stage else {
            unreachable!("only cleaning reads and writes");
        };
        if self.input.is_over(&self.sources[at]) {
            self.begin_source(group, at + 1, end, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }

    pub(super) fn on_saved(&mut self, log: &mut Log, out: &mut Vec<DiskOp>) {
        match self.stage {
            Stage::Clean { .. } => self.go_on(log, out),
            Stage::Finish { group, end } => {
                if self.writes.is_empty() && self.output.unsynced_bytes == 0 {
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
        self.done.end_offset = self.map_end;
        if log.generation == self.generation {
            log.on_cleaned(self.map_end);
            self.finish(CompactionEnd::Done(self.done), out);
        } else {
            self.abandon("the log was cut meanwhile", out);
        }
    }
}
