//! The segments that compaction is writing, as far as they were asked to be written.

use std::collections::BTreeMap;

use crate::ids::{LogId, Offset};
use crate::storage::{DiskOp, LogFile};

/// What is being written of each node, until it replaces something.
#[derive(Clone, Debug, Default)]
pub(super) struct CleanedSegments {
    bytes: BTreeMap<(u32, LogId, Offset), Vec<u8>>,
}

impl CleanedSegments {
    /// Notes what is written, in the order of emission.
    pub(super) fn on_op(&mut self, node: u32, op: &DiskOp) {
        if let DiskOp::WriteCleaned {
            log,
            file: LogFile::Log(base),
            position,
            bytes,
            ..
        } = op
        {
            let cleaned = self.bytes.entry((node, *log, *base)).or_default();
            cleaned.truncate(*position as usize);
            cleaned.extend_from_slice(bytes);
        }
    }

    /// The bytes of a segment that replaces others from now on; `None` where another process wrote
    /// them.
    pub(super) fn take(&mut self, node: u32, log: LogId, segment: Offset) -> Option<Vec<u8>> {
        self.bytes.remove(&(node, log, segment))
    }

    /// Forgets what a process that died was writing.
    pub(super) fn on_crash(&mut self, node: u32) {
        self.bytes.retain(|(at, _, _), _| *at != node);
    }
}
