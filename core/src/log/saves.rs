//! Small files of a log that are replaced whole: `leader-epoch-checkpoint` and producer snapshots.
//!
//! Each save is durable when its token comes back. The recovery point waits for the epochs; a
//! snapshot that did not make it only costs a longer replay.

use std::cmp::Reverse;

use bytes::Bytes;

use super::{Log, LogState, producer_snapshot};
use crate::ids::{LogId, Offset};
use crate::limits::PRODUCER_SNAPSHOT_INTERVAL_BYTES;
use crate::mutants::mutant;
use crate::storage::{DiskOp, LogFile, Token};

/// Why a file is to be saved, if it is, and the recovery point when it came to that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Due {
    /// It is saved, or on its way to the disk.
    No,
    /// An append of this turn changed what it says.
    Changed(Offset),
    /// A save failed; to be tried again.
    Failed(Offset),
}

impl Due {
    fn since(self) -> Option<Offset> {
        match self {
            Self::No => None,
            Self::Changed(since) | Self::Failed(since) => Some(since),
        }
    }
}

/// Which saves are under way, and which snapshots there are.
#[derive(Clone, Debug)]
pub(super) struct Saves {
    log: LogId,
    next_number: u32,
    /// The last save of the epochs, and the log's end when it was asked for.
    epochs: Option<(Token, Offset)>,
    /// Whether the epochs are to be saved. The recovery point stays here until they are.
    epochs_due: Due,
    /// The last save of a snapshot.
    snapshot: Option<(Token, Offset)>,
    /// Offsets of the snapshots there are, newest first.
    snapshots: Vec<Offset>,
    /// Size of the active segment when the last snapshot was taken.
    snapshot_at_bytes: u64,
}

impl Saves {
    pub(super) fn new(log: LogId) -> Self {
        Self {
            log,
            next_number: 0,
            epochs: None,
            epochs_due: Due::No,
            snapshot: None,
            snapshots: Vec::new(),
            snapshot_at_bytes: 0,
        }
    }

    pub(super) fn next_token(&mut self) -> Token {
        let token = Token::of_log(self.log, self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        token
    }
}

impl Log {
    /// A file of this log was replaced durably.
    pub fn on_saved(&mut self, token: Token, out: &mut Vec<DiskOp>) {
        if self
            .saves
            .epochs
            .is_some_and(|(saving, _end)| saving == token)
        {
            self.saves.epochs = None;
        }
        if let Some((saving, offset)) = self.saves.snapshot
            && saving == token
        {
            self.saves.snapshot = None;
            self.remove_intermediate_snapshots(offset, out);
        }
    }

    /// A file of this log was not replaced; the old one stands.
    pub fn on_save_failed(&mut self, token: Token) {
        if let Some((saving, end_offset)) = self.saves.epochs
            && saving == token
        {
            self.saves.epochs = None;
            if self.saves.epochs_due == Due::No {
                self.saves.epochs_due = Due::Failed(end_offset);
            }
        }
        if let Some((saving, offset)) = self.saves.snapshot
            && saving == token
        {
            self.saves.snapshot = None;
            self.saves.snapshots.retain(|kept| *kept != offset);
        }
    }

    /// Below this offset everything is durable, records and what is remembered of them: where an
    /// unclean start begins to check. For `recovery-point-offset-checkpoint`.
    ///
    /// Before the log is truncated below it, the checkpoint must have been lowered.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        if mutant!(M31) {
            return self.written;
        }
        let unsaved = self.saves.epochs.map(|(_token, end_offset)| end_offset);
        [unsaved, self.saves.epochs_due.since()]
            .into_iter()
            .flatten()
            .fold(self.flushed, Offset::min)
    }

    pub(super) fn save_epochs(&mut self, out: &mut Vec<DiskOp>) {
        let token = self.saves.next_token();
        let unsaved_from = self.recovery_point();
        self.saves.epochs = Some((token, unsaved_from));
        self.saves.epochs_due = Due::No;
        out.push(DiskOp::SaveLogFile {
            log: self.id,
            file: LogFile::LeaderEpochs,
            bytes: Bytes::from(self.epochs.to_text()),
            token,
        });
    }

    /// An append changed the epochs: they are saved when it was handed to the disk, so that no
    /// record waits for the file. Until then the epochs are what recovery finds in the batches.
    pub(super) fn on_epochs_changed(&mut self) {
        self.saves.epochs_due = Due::Changed(self.recovery_point());
    }

    /// Whether the epochs changed since they were last handed to the disk.
    pub(super) fn are_epochs_changed(&self) -> bool {
        matches!(self.saves.epochs_due, Due::Changed(_))
    }

    /// Saves the epochs where that is due: they changed, or a save failed for want of space.
    pub(super) fn save_due_epochs(&mut self, out: &mut Vec<DiskOp>) {
        if self.saves.epochs_due != Due::No && self.state == LogState::Usable {
            self.save_epochs(out);
        }
    }

    /// Saves the producers as they are at the log's end.
    pub(super) fn save_producers(&mut self, out: &mut Vec<DiskOp>) {
        let offset = self.log_end_offset;
        let token = self.saves.next_token();
        self.saves.snapshot = Some((token, offset));
        self.saves.snapshot_at_bytes = self.active_bytes();
        if self.saves.snapshots.first() != Some(&offset) {
            self.saves.snapshots.insert(0, offset);
        }
        out.push(DiskOp::SaveLogFile {
            log: self.id,
            file: LogFile::ProducerSnapshot(offset),
            bytes: producer_snapshot::encode(&self.producers),
            token,
        });
    }

    /// Whether a snapshot of the producers is on its way to the disk.
    pub(super) fn is_saving_producers(&self) -> bool {
        self.saves.snapshot.is_some()
    }

    /// Saves the producers when the log has grown much since the last time, so that an unclean
    /// start replays little.
    pub(super) fn maybe_save_producers(&mut self, out: &mut Vec<DiskOp>) {
        let grown = self
            .active_bytes()
            .saturating_sub(self.saves.snapshot_at_bytes);
        if grown >= PRODUCER_SNAPSHOT_INTERVAL_BYTES && self.pending.is_empty() {
            self.save_producers(out);
        }
    }

    /// Whether a clean stop without a snapshot would lose nothing: no producers, and no older
    /// snapshot that would be taken for the newest state.
    pub(super) fn needs_closing_snapshot(&self) -> bool {
        !self.producers.is_empty() || !self.saves.snapshots.is_empty()
    }

    /// The snapshots there are, oldest first; forgets them.
    pub(super) fn take_snapshots(&mut self) -> Vec<Offset> {
        let mut snapshots = std::mem::take(&mut self.saves.snapshots);
        snapshots.reverse();
        snapshots
    }

    /// Notes a snapshot that was there when the log was opened.
    pub(super) fn on_snapshot_found(&mut self, offset: Offset) {
        self.saves.snapshots.push(offset);
        self.saves
            .snapshots
            .sort_unstable_by_key(|kept| Reverse(*kept));
    }

    pub(super) fn forget_snapshots_above(&mut self, end: Offset, out: &mut Vec<DiskOp>) {
        self.remove_snapshots(|offset| offset > end, out);
    }

    pub(super) fn forget_snapshots_below(&mut self, start: Offset, out: &mut Vec<DiskOp>) {
        self.remove_snapshots(|offset| offset < start, out);
    }

    /// Removes snapshots at the bases of segments that are no more, but the newest of all.
    pub(super) fn forget_snapshots_at(&mut self, bases: &[Offset], out: &mut Vec<DiskOp>) {
        let newest = self.saves.snapshots.first().copied();
        self.remove_snapshots(
            |offset| Some(offset) != newest && bases.binary_search(&offset).is_ok(),
            out,
        );
    }

    /// Removes older snapshots that are not at the base of a segment.
    fn remove_intermediate_snapshots(&mut self, newest: Offset, out: &mut Vec<DiskOp>) {
        let active = self.active.base_offset;
        let bases: Vec<Offset> = self
            .closed
            .iter()
            .map(|segment| segment.base_offset)
            .collect();
        self.remove_snapshots(
            |offset| offset < newest && offset != active && bases.binary_search(&offset).is_err(),
            out,
        );
    }

    fn remove_snapshots(&mut self, unwanted: impl Fn(Offset) -> bool, out: &mut Vec<DiskOp>) {
        let log = self.id;
        self.saves.snapshots.retain(|&offset| {
            let goes = unwanted(offset);
            if goes {
                out.push(DiskOp::RemoveFile {
                    log,
                    file: LogFile::ProducerSnapshot(offset),
                });
            }
            !goes
        });
    }

    fn active_bytes(&self) -> u64 {
        u64::from(self.active.marks.size_bytes)
    }
}
