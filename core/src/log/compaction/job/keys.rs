//! The first pass: which key is last where, and which transactions were aborted.

use bytes::Bytes;

use super::super::filter::note_keys;
use super::super::transactions::{AbortedTransaction, CleanedTransactions};
use super::{Compaction, CompactionEnd, Stage};
use crate::limits::{COMPACTION_READ_BYTES, JOB_READ_BYTES};
use crate::log::Log;
use crate::storage::{DiskOp, LogFile};

impl Compaction {
    pub(super) fn ask_for_aborted(&mut self, teller: usize, log: &mut Log) {
        let file = LogFile::TransactionIndex(self.tellers[teller]);
        let position = u32::try_from(self.input.gathered.len()).expect("an index is small");
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
        self.input.gathered.extend_from_slice(bytes);
        if bytes.len() == JOB_READ_BYTES as usize {
            return self.ask_for_aborted(teller, log);
        }
        let gathered = std::mem::take(&mut self.input.gathered);
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
        let dirty = self
            .sources
            .partition_point(|source| source.end_offset <= self.first_dirty);
        self.transactions = CleanedTransactions::new(&self.aborted);
        self.begin_keys(dirty, log, out);
    }

    pub(super) fn begin_keys(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let Some(source) = self.sources.get(at) else {
            return self.begin_cleaning(log, out);
        };
        self.input.begin(source);
        self.stage = Stage::Keys(at);
        self.read_on(at, log, out);
    }

    /// Asks for the next piece of a source; goes on where there is none.
    pub(super) fn read_on(&mut self, at: usize, log: &mut Log, out: &mut Vec<DiskOp>) {
        let source = self.sources[at];
        let left = source.size_bytes - self.input.position;
        if left == 0 {
            return self.on_bytes(log, &Bytes::new(), out);
        }
        let position = self.input.position;
        self.ask(log, |log, token| DiskOp::Read {
            log,
            file: LogFile::Log(source.base_offset),
            position,
            length: left.min(COMPACTION_READ_BYTES),
            token,
        });
    }

    /// Notes the keys of the batches that came; answers whether the map is full.
    pub(super) fn note_keys(&mut self, at: usize, bytes: &Bytes) -> Result<bool, String> {
        let source = self.sources[at];
        self.input.add(&source, bytes)?;
        while let Some((header, batch)) = self.input.next_batch(&source)? {
            let rooms = (&mut self.scratch, &mut self.map);
            let transactions = &mut self.transactions;
            let full_at = note_keys(&batch, &header, self.first_dirty, transactions, rooms)
                .map_err(|error| error.to_string())?;
            if let Some(offset) = full_at {
                assert!(offset > self.first_dirty, "an empty map takes a key");
                self.map_end = offset;
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn after_keys(
        &mut self,
        at: usize,
        is_full: bool,
        log: &mut Log,
        out: &mut Vec<DiskOp>,
    ) {
        if is_full {
            self.begin_cleaning(log, out);
        } else if self.input.is_over(&self.sources[at]) {
            self.begin_keys(at + 1, log, out);
        } else {
            self.read_on(at, log, out);
        }
    }
}
