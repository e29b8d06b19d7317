//! Folders that are no partition's: those marked as deleted are removed, others are put aside.

use super::{Directories, FUTURE};
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId, TopicId};
use crate::log::partition_metadata;
use crate::node::broker::{Broker, event};
use crate::node::door::Outbox;
use crate::node::folders;
use crate::quorum::METADATA_FOLDER;
use crate::storage::DiskOp;

impl Directories {
    /// What is left in the listings is no partition's: folders marked as deleted are removed,
    /// others are put aside under a name that no partition has, for a person to look at.
    pub(in crate::node) fn dispose_of_strays(&mut self, broker: &mut Broker, out: &mut Outbox) {
        for (folders, index) in self.folders.iter().zip(0u8..) {
            for folder in folders.values() {
                if folder.name == METADATA_FOLDER || folder.name.ends_with("-stray") {
                    continue;
                }
                let topic = partition_metadata::parse(&folder.partition_metadata);
                // A future log that says of which topic it is may be all there is of a partition.
                let is_deleted = folder.name.ends_with("-delete")
                    || (folder.name.ends_with(FUTURE) && topic.is_none());
                if !is_deleted && topic.is_none() {
                    continue;
                }
                let log = broker.take_log_id();
                out.disk.push(DiskOp::OpenLog {
                    log,
                    directory: DirectoryIndex(index),
                    folder: folder.name.as_str().into(),
                });
                if is_deleted {
                    mark_deleted(log, &folder.name, out);
                    out.disk.push(DiskOp::RemoveLog { log });
                    continue;
                }
                let aside = match folder.name.strip_suffix(FUTURE) {
                    // It is as long as a name may be, and no other folder has it.
                    Some(name) => format!("{name}-stray"),
                    None => folders::stray(&folder.name, topic.unwrap_or(TopicId::ZERO)),
                };
                out.events.push(event(
                    Severity::Warning,
                    &folder.name,
                    format!("belongs to no partition of this node; it is kept as {aside}"),
                ));
                out.disk.push(DiskOp::MarkLogDeleted {
                    log,
                    folder: aside.as_str().into(),
                });
            }
        }
        self.listings.clear();
        self.folders.clear();
    }
}

/// Removes the folder of a future log that counts no more.
pub(in crate::node) fn remove_future(
    broker: &mut Broker,
    directory: DirectoryIndex,
    folder: &str,
    out: &mut Outbox,
) {
    let log = broker.take_log_id();
    out.disk.push(DiskOp::OpenLog {
        log,
        directory,
        folder: folder.into(),
    });
    mark_deleted(log, folder, out);
    out.disk.push(DiskOp::RemoveLog { log });
}

/// Gives a folder that is to be removed a name that says so, if it has none.
fn mark_deleted(log: LogId, folder: &str, out: &mut Outbox) {
    if let Some(name) = folder.strip_suffix(FUTURE) {
        out.disk.push(DiskOp::MarkLogDeleted {
            log,
            folder: format!("{name}-delete").into(),
        });
    }
}
