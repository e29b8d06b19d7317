//! What the metadata says of the directories of this node's replicas.
//!
//! A broker with several directories chooses itself where a log is made, and where it moves to; the
//! controller is told, so that everybody knows (KIP-858, AssignReplicasToDirs). Here both are one
//! process, and the change is proposed at once.

use std::time::Duration;

use super::super::broker::Broker;
use super::super::door::Outbox;
use super::Stage;
use crate::ids::{DirectoryId, DirectoryIndex, LogId};
use crate::limits::METADATA_BATCH_RECORDS_MAX;
use crate::metadata::image::Image;
use crate::metadata::records::{MetadataRecord, PartitionChangeRecord};
use crate::time::Now;

/// Between attempts to change metadata that cannot be written.
const RETRY: Duration = Duration::from_secs(1);

impl Broker {
    /// Has the metadata say where this replica is, if it does not.
    pub(in crate::node) fn note_directory(&mut self, log: LogId) {
        // One directory is told with the partition itself.
        if self.identity.directories.len() > 1 {
            self.moves.to_assign.insert(log);
        }
    }

    /// Proposes where replicas are of which the metadata may say something else.
    pub(super) fn assign_directories(&mut self, now: Now, out: &mut Outbox) {
        if self.moves.to_assign.is_empty() || self.moves.assign_from > now.instant {
            return;
        }
        let mut records = Vec::new();
        let mut assigned = Vec::new();
        for &log in self.moves.to_assign.iter().take(METADATA_BATCH_RECORDS_MAX) {
            assigned.push(log);
            let Some(partition) = self.partitions.get(log) else {
                continue;
            };
            let directory = partition.identity().directory;
            records.extend(self.assignment(log, directory));
        }
        let is_proposed = records.is_empty() || self.propose_assignments(now, records, out);
        if !is_proposed {
            self.moves.assign_from = now.after(RETRY);
            return;
        }
        for log in assigned {
            self.moves.to_assign.remove(&log);
        }
    }

    /// Proposes that a replica is where it moves to, unless that is on its way. Refused, or lost
    /// with a disk that is full, it is proposed again a little later.
    pub(super) fn assign_to_target(
        &mut self,
        now: Now,
        log: LogId,
        target: DirectoryIndex,
        out: &mut Outbox,
    ) {
        if let Some(record) = self.assignment(log, target) {
            let _is_proposed = self.propose_assignments(now, vec![record], out);
        }
        if let Some(moving) = self.moves.moves.get_mut(&log) {
            moving.stage = Stage::Assign(now.after(RETRY));
        }
    }

    /// Whether the metadata says, for good, that a replica is in this directory.
    pub(super) fn is_assigned(&self, log: LogId, directory: DirectoryIndex) -> bool {
        let id = self.identity.directories[usize::from(directory.0)];
        self.directory_in(&self.image, log) == Some(id)
            && self.directory_in(&self.controller_image, log) == Some(id)
    }

    fn propose_assignments(
        &mut self,
        now: Now,
        records: Vec<MetadataRecord>,
        out: &mut Outbox,
    ) -> bool {
        let proposed = self.propose_unanswered(now, records, out);
        self.quorum.settle(now, &mut out.disk);
        proposed.is_ok()
    }

    /// The record that says where a replica is; `None` where the metadata says so, or knows no such
    /// replica.
    fn assignment(&self, log: LogId, directory: DirectoryIndex) -> Option<MetadataRecord> {
        let wanted = self.identity.directories[usize::from(directory.0)];
        let identity = self.partitions.get(log)?.identity();
        let topic = self.controller_image.topic_by_id(identity.topic_id)?;
        let image = topic.partition(identity.index)?;
        let at = image
            .replicas
            .iter()
            .position(|&replica| replica == self.identity.node)?;
        let mut directories = image.directories.clone();
        let known = directories.get_mut(at)?;
        if std::mem::replace(known, wanted) == wanted {
            return None;
        }
        Some(MetadataRecord::PartitionChange(PartitionChangeRecord {
            partition_id: identity.index,
            topic_id: identity.topic_id,
            directories: Some(directories),
            ..PartitionChangeRecord::default()
        }))
    }

    fn directory_in(&self, image: &Image, log: LogId) -> Option<DirectoryId> {
        let identity = self.partitions.get(log)?.identity();
        let topic = image.topic_by_id(identity.topic_id)?;
        topic.directory_of(identity.index, self.identity.node)
    }
}
