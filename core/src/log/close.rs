//! A clean stop: everything on disk, so that the next start has nothing to find out.

use super::{Log, LogState};
use crate::storage::DiskOp;
use crate::time::Now;

impl Log {
    /// Writes down everything and makes it durable. The caller takes no more appends, waits until
    /// [`Self::is_closed`], and then saves the recovery point and the clean-shutdown marker.
    pub fn close(&mut self, now: Now, out: &mut Vec<DiskOp>) {
        if self.state != LogState::Usable {
            return;
        }
        if self.active.marks.size_bytes > 0 {
            self.active.maybe_push_time();
        }
        self.flush_indexes(out);
        self.flush_pending(out);
        self.save_due_epochs(out);
        if self.needs_closing_snapshot() {
            self.save_producers(out);
        }
        self.settle(now, out);
        if self.flushed < self.log_end_offset || self.recovery_point() < self.log_end_offset {
            self.sync(out);
        }
    }

    /// Whether everything is durable.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.flushed == self.log_end_offset && self.recovery_point() == self.flushed
    }
}
