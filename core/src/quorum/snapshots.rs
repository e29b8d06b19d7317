//! Snapshots of the metadata, so that its log need not be kept from the beginning.
//!
//! One is taken when enough records were committed since the last; once it is on disk the log
//! before it may go, as far as `metadata.max.retention.bytes` asks. Source: KIP-630.

use super::{Quorum, format};
use crate::config::broker::MetadataLogConfig;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::LogMemory;
use crate::metadata::replay::Replay;
use crate::metadata::snapshot::snapshot_bytes;
use crate::storage::{DiskOp, LogFile, Token};
use crate::time::Now;

/// Number of the token that the save of a snapshot carries.
const SNAPSHOT_TOKEN: u32 = 5;

/// What is known of this log's snapshots.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// Bytes of records committed since the last snapshot, or since this start.
    pub(super) bytes_since: u64,
    /// The last that is on disk.
    latest: Option<(Offset, LeaderEpoch)>,
    /// The one that is being saved.
    saving: Option<(Offset, LeaderEpoch)>,
}

impl Quorum {
    /// Takes a snapshot of what `replay` has applied, if one is due.
    pub fn maybe_snapshot(
        &mut self,
        now: Now,
        config: &MetadataLogConfig,
        replay: &Replay,
        disk: &mut Vec<DiskOp>,
    ) {
        let bytes_max = u64::try_from(config.max_record_bytes_between_snapshots);
        let is_due = bytes_max.is_ok_and(|max| self.snapshots.bytes_since >= max);
        if !is_due || self.snapshots.saving.is_some() || replay.is_in_transaction() {
            return;
        }
        let id = (self.high_watermark, self.epoch);
        assert!(
            id.0 >= replay.end_offset(),
            "a snapshot stands for committed records alone"
        );
        self.snapshots.bytes_since = 0;
        self.snapshots.saving = Some(id);
        disk.push(DiskOp::SaveLogFile {
            log: self.log.id(),
            file: LogFile::Snapshot(id.0, id.1.0),
            bytes: snapshot_bytes(
                &replay.image().to_records(),
                &format::quorum_records(self.node, self.directory),
                self.epoch,
                replay.last_timestamp(),
                now.wall,
            ),
            token: Token::of_node(SNAPSHOT_TOKEN),
        });
    }

    /// A file of the node itself is on disk, or is not: what that means for a snapshot.
    pub fn on_saved(
        &mut self,
        token: Token,
        is_saved: bool,
        config: &MetadataLogConfig,
        (memory, disk): (&mut LogMemory, &mut Vec<DiskOp>),
    ) {
        if token != Token::of_node(SNAPSHOT_TOKEN) {
            return;
        }
        let Some(saved) = self.snapshots.saving.take() else {
            return;
        };
        if !is_saved {
            return;
        }
        if let Some((offset, epoch)) = self.snapshots.latest.replace(saved) {
            disk.push(DiskOp::RemoveFile {
                log: self.log.id(),
                file: LogFile::Snapshot(offset, epoch.0),
            });
        }
        let bytes_max = u64::try_from(config.max_retention_bytes);
        if bytes_max.is_ok_and(|max| self.log.size_bytes() > max) {
            self.log.advance_log_start(saved.0, memory, disk);
        }
    }
}
