//! What the log's own files tell before its segments are looked at: its leader epochs, and the
//! producers of its newest usable snapshot. Where they are damaged, the scan finds it all again.

use super::{Opening, Stage};
use crate::event::Severity;
use crate::ids::Offset;
use crate::limits::JOB_READ_BYTES;
use crate::log::{LeaderEpochs, producer_snapshot};
use crate::storage::{DiskOp, LogFile};

impl Opening {
    pub(super) fn on_epochs(&mut self, text: &[u8], out: &mut Vec<DiskOp>) {
        match LeaderEpochs::parse(text) {
            Ok(epochs) if self.begins_late(&epochs) => {
                self.note(
                    Severity::Warning,
                    "the log starts before its leader-epoch-checkpoint does, because a crash took \
                     back a deletion of records: rebuilt from the whole log"
                        .to_owned(),
                );
                self.scans_all = true;
                self.is_epochs_changed = true;
            }
            Ok(epochs) => self.log.epochs = epochs,
            Err(damage) => {
                self.note(
                    Severity::Warning,
                    format!("leader-epoch-checkpoint is {damage}: rebuilt from the whole log"),
                );
                self.scans_all = true;
                self.is_epochs_changed = true;
            }
        }
        self.after_epochs(out);
    }

    /// Whether there are records in front of the first epoch. The epochs of deleted records are
    /// forgotten at once, the new start of the log is on record a little later.
    fn begins_late(&self, epochs: &LeaderEpochs) -> bool {
        let mut segments = self.files.segments.iter();
        let Some((&front, _files)) = segments.find(|(_base, files)| files.log_bytes > 0) else {
            return false;
        };
        let start = self.found.log_start_offset.unwrap_or(front).max(front);
        match epochs.entries().first() {
            Some(first) => first.start_offset > start,
            None => self.found.log_start_offset.is_none(),
        }
    }

    pub(super) fn after_epochs(&mut self, out: &mut Vec<DiskOp>) {
        // Beyond the recovery point a snapshot may know of records that did not make it.
        let usable =
            |offset: &&Offset| self.found.is_clean || Some(**offset) <= self.found.recovery_point;
        match self.files.snapshots.iter().rev().find(usable).copied() {
            Some(offset) => {
                self.stage = Stage::Snapshot(offset);
                self.read(LogFile::ProducerSnapshot(offset), 0, JOB_READ_BYTES, out);
            }
            None => {
                let first = self.files.segments.keys().next().copied();
                self.replay_from = if self.found.is_clean {
                    Offset(i64::MAX)
                } else {
                    first.unwrap_or(Offset::ZERO)
                };
                self.after_snapshot(out);
            }
        }
    }

    pub(super) fn on_snapshot(&mut self, offset: Offset, content: &[u8], out: &mut Vec<DiskOp>) {
        match producer_snapshot::decode(content) {
            Ok(producers) => {
                self.log.producers = producers;
                self.replay_from = offset;
                self.after_snapshot(out);
            }
            Err(damage) => {
                let file = LogFile::ProducerSnapshot(offset);
                self.note(
                    Severity::Warning,
                    format!("{} is unusable, {damage}: removed", file.name()),
                );
                out.push(DiskOp::RemoveFile {
                    log: self.found.id,
                    file,
                });
                self.files.snapshots.retain(|kept| *kept != offset);
                // Without it the producers are replayed, also after a clean stop.
                self.found.is_clean = false;
                self.after_epochs(out);
            }
        }
    }
}
