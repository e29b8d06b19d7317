//! The segment that a round is making.
//!
//! Gathers batches and index entries, and hands them out as writes of at most
//! [`JOB_READ_BYTES`](crate::limits::JOB_READ_BYTES).

use std::collections::VecDeque;

use bytes::Bytes;

use super::transactions::AbortedTransaction;
use crate::ids::{LogId, Offset};
use crate::limits::JOB_READ_BYTES;
use crate::log::batch::BatchInfo;
use crate::log::segment::ActiveSegment;
use crate::log::settings::LogSettings;
use crate::storage::{DiskOp, LogFile, Token};
use crate::time::Timestamp;

/// A segment on its way to the disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Output {
    pub(super) segment: ActiveSegment,
    /// Batches that are not written yet.
    pub(super) buffer: Vec<u8>,
    /// Where they belong in the file.
    position: u32,
    /// Bytes written since the last sync.
    pub(super) unsynced_bytes: u64,
}

/// A write without its token.
#[derive(Clone, Debug)]
pub(super) struct Write {
    file: LogFile,
    position: u32,
    pub(super) bytes: Bytes,
}

impl Write {
    pub(super) fn op(self, log: LogId, token: Token) -> DiskOp {
        DiskOp::WriteCleaned {
            log,
            file: self.file,
            position: self.position,
            bytes: self.bytes,
            token,
        }
    }
}

impl Output {
    pub(super) fn new(base: Offset, created: Timestamp) -> Self {
        Self {
            segment: ActiveSegment::new(base, created),
            buffer: Vec::new(),
            position: 0,
            unsynced_bytes: 0,
        }
    }

    pub(super) fn base(&self) -> Offset {
        self.segment.base_offset
    }

    /// Whether a batch of so many bytes has room: positions are 31 bits in Kafka.
    pub(super) fn has_room(&self, bytes: u32) -> bool {
        let end = u64::from(self.segment.marks.size_bytes) + u64::from(bytes);
        end <= i32::MAX as u64
    }

    /// Notes a batch that was added to the buffer.
    pub(super) fn on_batch(&mut self, info: &BatchInfo, settings: &LogSettings) {
        self.segment.on_append(info, settings);
        let held = self.position as usize + self.buffer.len();
        assert!(
            held == self.segment.marks.size_bytes as usize,
            "every byte is of a batch"
        );
    }

    /// Whether enough is gathered to be worth a write.
    pub(super) fn is_write_due(&self) -> bool {
        self.buffer.len() >= JOB_READ_BYTES as usize
    }

    /// What is gathered, to be written.
    pub(super) fn take_writes(&mut self, writes: &mut VecDeque<Write>) {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let size = u32::try_from(bytes.len()).expect("a segment is below 4 GiB");
        let file = LogFile::Log(self.base());
        push_pieces(file, self.position, &bytes, writes);
        self.position += size;
        self.unsynced_bytes += u64::from(size);
        assert!(
            self.position == self.segment.marks.size_bytes,
            "nothing is left"
        );
    }

    /// The segment is whole: its last batches, and its indexes.
    pub(super) fn finish(&mut self, aborted: &[AbortedTransaction], writes: &mut VecDeque<Write>) {
        if !self.buffer.is_empty() {
            self.take_writes(writes);
        }
        self.segment.maybe_push_time();
        let base = self.base();
        let covered_by = Offset(i64::MAX);
        let (_from, offsets) = self.segment.offsets.rewrite(covered_by);
        let (_from, times) = self.segment.times.rewrite(covered_by);
        self.segment.offsets.settle();
        self.segment.times.settle();
        // The indexes and the names want a sync even where all batches had theirs.
        self.unsynced_bytes += 1;
        push_pieces(LogFile::OffsetIndex(base), 0, &offsets, writes);
        push_pieces(LogFile::TimeIndex(base), 0, &times, writes);
        if !aborted.is_empty() {
            let entries: Vec<u8> = aborted.iter().flat_map(|entry| entry.to_bytes()).collect();
            let file = LogFile::TransactionIndex(base);
            push_pieces(file, 0, &Bytes::from(entries), writes);
        }
    }
}

/// Cuts a write to the size of one; no bytes at all still make the file.
fn push_pieces(file: LogFile, position: u32, bytes: &Bytes, writes: &mut VecDeque<Write>) {
    let mut rest = bytes.clone();
    let mut at = position;
    loop {
        let piece = rest.split_to(rest.len().min(JOB_READ_BYTES as usize));
        let size = u32::try_from(piece.len()).expect("a piece is small");
        writes.push_back(Write {
            file,
            position: at,
            bytes: piece,
        });
        at += size;
        if rest.is_empty() {
            return;
        }
    }
}
