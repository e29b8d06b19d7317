//! R47: nobody goes on with the log of a topic whose deletion was acknowledged, be there another
//! topic of its name by now.
//!
//! After a death in the middle of a deletion the former topic's folder may still have the name that
//! the new topic's is to have. The next process must tell them apart by the ids inside: it may move
//! the folder away, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::log_image::topic_id_of;
use crate::ids::{LogId, TopicId};
use crate::node::door::ReplyEffect;
use crate::sim::disk::FileSystem;
use crate::storage::DiskOp;
use crate::wire::request::Reply;

/// The topics of a node, over all its incarnations; see the module.
#[derive(Clone, Debug, Default)]
pub struct TopicChecker {
    deleted: BTreeSet<TopicId>,
    /// Folders of deleted topics that this process has opened.
    opened: BTreeMap<LogId, String>,
    violations: Vec<Violation>,
}

impl TopicChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Notes what is acknowledged.
    pub fn on_reply(&mut self, effect: &ReplyEffect) {
        if let Reply::DeleteTopics(reply) = &effect.reply {
            let deleted = reply.responses.iter().filter(|one| one.error_code == 0);
            let ids = deleted.map(|one| TopicId::from(one.topic_id));
            self.deleted.extend(ids.filter(|id| !id.is_zero()));
        }
    }

    /// Notes an operation in the order of emission; `files` are what the disk holds now.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest goes on with no log"
    )]
    pub fn on_op(&mut self, op: &DiskOp, files: &[&FileSystem]) {
        match op {
            DiskOp::OpenLog { log, folder, .. } => {
                let found = files.iter().find_map(|files| {
                    let directory = files.folder(folder)?;
                    let content = files.content(directory, "partition.metadata")?;
                    topic_id_of(&content.to_vec())
                });
                if found.is_some_and(|id| self.deleted.contains(&id)) {
                    self.opened.insert(*log, folder.to_string());
                }
            }
            DiskOp::MarkLogDeleted { log, .. } => {
                self.opened.remove(log);
            }
            DiskOp::Append { log, .. }
            | DiskOp::CreateSegment { log, .. }
            | DiskOp::Read { log, .. }
            | DiskOp::Sync { log, .. }
            | DiskOp::Truncate { log, .. } => {
                if let Some(folder) = self.opened.remove(log) {
                    let what = format!("{folder}: gone on with, though its topic was deleted");
                    self.violations.push(Violation::new("R47", what));
                }
            }
            _other => {}
        }
    }

    /// The process died.
    pub fn on_crash(&mut self) {
        self.opened.clear();
    }
}
