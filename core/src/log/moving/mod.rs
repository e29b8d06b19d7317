//! A replica's move to another data directory (AlterReplicaLogDirs; KIP-113, KIP-858).
//!
//! The log is copied into a *future* log, in the folder `topic-0.<32 hex digits>-future` of the
//! target directory, while the *current* one is read and appended to as ever. Batches keep their
//! bytes, offsets and leader epochs. What the log knows beyond them (producers, epochs, how far it
//! is compacted) is handed over once the copy has everything that is written. This module is the
//! copy; when what happens is decided in `node::moves`. Compare, of Kafka 4.3.1,
//! `ReplicaAlterLogDirsThread`, `LogManager.replaceCurrentWithFutureLog` and
//! `Partition.maybeReplaceCurrentWithFutureReplica`.
//!
//! # The order of things
//!
//! ```text
//! 1  copy      whole batches up to what is written, one piece under way at a time, throttled
//! 2  settle    producers and epochs are handed over; the copy is synced, a snapshot of its
//!              producers and its epochs are saved. From here on it follows what is written, and a
//!              write is acknowledged only when both logs have it
//! 3  record    the target's checkpoints name the copy: recovery point, start, high watermark
//! 4  assign    the metadata says that the replica is in the target directory; committed
//! 5  switch    in one turn: the copy gets what is not written yet of the current log, and takes
//!              its place; nothing is acknowledged until 6 is done
//! 6  leave     the former log's folder is renamed to end in `-delete`, durably
//! 7  arrive    the copy's folder gets the partition's name, durably
//! 8  remove    the former log, after `file.delete.delay.ms`
//! ```
//!
//! What a crash leaves, and what the next boot makes of it (`node::boot`):
//!
//! | after | there are | the metadata says | boot |
//! |---|---|---|---|
//! | 1 to 3 | current, future | the former directory | current; the move begins anew |
//! | 4, 5, 6 undone | current, future | the target | current; says so, and moves anew |
//! | 6 | `-delete`, future | the target | future, renamed; removes `-delete` |
//! | 7 | `-delete`, current | the target | current; removes `-delete` |
//!
//! Invariants:
//! * the log under the partition's own name is the one that counts; where there is none, it is the
//!   future one, if the metadata says that the replica is there;
//! * there is never more than one log under the partition's own name, because 7 is asked for only
//!   when 6 is durable;
//! * what is acknowledged lies in the log that counts: in the current one until 6 is durable, and
//!   in both from 2 to 6;
//! * a future log without its current one is used only where it is whole, because 4 comes after 2
//!   and 3; one that is left without its current log before that is put aside, never served.
//!
//! Kafka renames in the other order (7 before 6), and what a crash leaves in between it refuses to
//! start with; a broker of either kind can finish what the other began.

mod copy;

pub use self::copy::{CopyEnd, FutureLog, LogCopy};

use super::{Log, LogState};
use crate::ids::Offset;
use crate::storage::DiskOp;

impl Log {
    /// Takes over what `source` knows beyond its batches, as it was at this log's end: everything
    /// that is written of `source` is in this log, and nothing else.
    fn take_over(&mut self, source: &Self, out: &mut Vec<DiskOp>) {
        assert!(
            self.log_end_offset == source.written,
            "the copy has what is written"
        );
        assert!(self.pending.is_empty(), "the snapshot is of the log's end");
        let mut producers = source.producers.clone();
        for (base_offset, undo) in source.undos.iter().rev() {
            if *base_offset >= self.log_end_offset {
                producers.undo(undo.clone());
            }
        }
        self.producers = producers;
        // What they take back was of producers that are no more.
        self.undos.clear();
        self.epochs = source.epochs.clone();
        self.epochs.truncate_from_end(self.log_end_offset);
        self.save_epochs(out);
        self.cleaned_to = source.cleaned_to.min(self.log_end_offset);
        self.gaps_to = source.gaps_to.min(self.log_end_offset);
        self.save_producers(out);
    }

    /// Asks for a sync of everything that none was asked for yet.
    fn sync_all(&mut self, out: &mut Vec<DiskOp>) {
        if self.state == LogState::Usable && self.sync_requested < self.log_end_offset {
            self.save_due_epochs(out);
            self.sync(out);
        }
    }

    /// Whether everything below `offset` is durable here, with what is saved beside it.
    fn is_settled(&self, offset: Offset) -> bool {
        self.flushed >= offset && self.recovery_point() >= offset && !self.is_saving_producers()
    }

    /// From now on it is read in the place of `source`: what is known of positions there means
    /// nothing here.
    fn succeed(&mut self, source: &Self) {
        assert!(
            self.log_end_offset == source.log_end_offset,
            "the copy has everything"
        );
        assert!(
            self.log_start_offset == source.log_start_offset,
            "both begin at the same offset"
        );
        self.replacements = source.replacements + 1;
    }
}
