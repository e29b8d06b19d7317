//! The first pass: which key is last where, and which transactions were aborted.

use bytes::Bytes;

use super::super::transactions::{AbortedTransaction, CleanedTransactions};
use super::{Compaction, CompactionEnd, Stage};
use crate::limits::{COMPACTION_READ_BYTES, JOB_READ_BYTES};
use crate::log::Log;
use crate::storage::{DiskOp, LogFile};

impl Compaction {
    pub(super) fn ask_for_aborted(&mut self, teller: usize, log: &mut Log) {
        let file = LogFile::TransactionIndex(self.tellers[teller]);
        let position =
            u32::try_from(self.workshop().input.gathered.len()).expect("an index is small");
        self.ask(log, |log, token| DiskOp::Read {
            log,
            file,
            position,
            length: JOB_READ_BYTES,
            token,
        });
    }

    pub(super) fn on_aborted(
        &mut self,
        teller: usize,
        log: &mut Log,
        bytes: &Bytes,
        out: &mut Vec<DiskOp>,
    ) {
        self.workshop().input.gathered.extend_from_slice(bytes);
        if bytes.len() == JOB_READ_BYTES as usize {
            return self.ask_for_aborted(teller, log);
        }
        let gathered = std::mem::take(&mut self.workshop().input.gathered);
        let Some(entries) = AbortedTransaction::parse_all(&gathered) else {
            let what = format!(
                "the transaction index of {} is damaged",
                self.tellers[teller]
            );
            return self.finish(CompactionEnd::Uncleanable(what), out);
        };
        self.aborted.extend(entries);
        if teller + 1 < self.tellers.len() {
            self.stage = Stage::Aborted(teller + 1);
            return self.ask_for_aborted(teller + 1, log);
        }
        let first_dirty = self.workshop().first_dirty;
        let dirty = self
            .sources
            .partition_point(|source| source.end_offset <= first_dirty);
        self.workshop().transactions = CleanedTransactions::new(&self.aborted);
        self.begin_keys(dirty, log, out);
    }

    pub(super) fn begin_keys(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let Some(source) = self.sources.get(at).copied() else {
            return self.begin_cleaning(log, out);
        };
        self.workshop().input.begin(&source);
        self.stage = Stage::Keys(at);
        self.read_on(at, log, out);
    }

    /// Asks for the next piece of a source; goes on where there is none.
    pub(super) fn read_on(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let source = self.sources[at];
        let position = self.workshop().input.position;
        let left = source.size_bytes - position;
        if left == 0 {
            return self.on_bytes(log, &Bytes::new(), out);
        }
        self.ask(log, |log, token| DiskOp::Read {
            log,
            file: LogFile::Log(source.base_offset),
            position,
            length: left.min(COMPACTION_READ_BYTES),
            token,
        });
    }

    pub(super) fn after_keys(
        &mut self,
        at: usize,
        is_full: bool,
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        let source = self.sources[at];
        let is_over = self.workshop().input.is_over(&source);
        if is_full {
            self.begin_cleaning(log, out);
        } else if is_over {
            self.begin_keys(at + 1, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }
}
