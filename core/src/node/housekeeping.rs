//! What a broker does by the clock: retention, checkpoints, forgetting producers, removing files.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::broker::{Broker, event};
use super::door::Outbox;
use super::wait::Wait;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId, Offset, TopicPartition};
use crate::log::checkpoint::offsets_to_text;
use crate::quorum::METADATA_FOLDER;
use crate::storage::{DirectoryFile, DiskOp, Token};
use crate::time::{Instant, Now};
use crate::waiting::{ReplyTo, WaitId};
use crate::wire::request::Reply;

/// Tokens of the node itself below this number have other meanings.
const FIRST_SAVE: u32 = 16;

/// When each chore is due.
#[derive(Clone, Debug)]
pub struct Housekeeping {
    checkpoints: Instant,
    expiry: Instant,
    retention: Instant,
    is_running: bool,
    removals: BTreeSet<(Instant, LogId)>,
    /// When logs want a turn, both ways.
    due_logs: BTreeSet<(Instant, LogId)>,
    log_deadlines: BTreeMap<LogId, Instant>,
    /// The number of the token of the next save that somebody waits for.
    next_save: u32,
    /// Who waits for saves.
    awaited: BTreeMap<Token, WaitId>,
    /// The content each checkpoint was last saved with; unchanged ones are not written again.
    saved: BTreeMap<(DirectoryIndex, DirectoryFile), Bytes>,
}

impl Default for Housekeeping {
    fn default() -> Self {
        Self {
            checkpoints: Instant(0),
            expiry: Instant(0),
            retention: Instant(0),
            is_running: false,
            removals: BTreeSet::new(),
            due_logs: BTreeSet::new(),
            log_deadlines: BTreeMap::new(),
            next_save: FIRST_SAVE,
            awaited: BTreeMap::new(),
            saved: BTreeMap::new(),
        }
    }
}

impl Housekeeping {
    /// Removes the files of a deleted log at `due`.
    pub fn remove_log_at(&mut self, due: Instant, log: LogId) {
        self.removals.insert((due, log));
    }

    /// Saves the checkpoints with the next turn: a log is gone, and another of its name must not be
    /// taken for it after a crash.
    pub(super) fn save_checkpoints_soon(&mut self, now: Now) {
        self.checkpoints = self.checkpoints.min(now.instant);
    }

    /// Notes when a log wants a turn, if it does.
    pub fn note_log(&mut self, log: LogId, due: Option<Instant>) {
        if self.log_deadlines.get(&log).copied() == due {
            return;
        }
        if let Some(former) = self.log_deadlines.remove(&log) {
            self.due_logs.remove(&(former, log));
        }
        if let Some(due) = due {
            self.log_deadlines.insert(log, due);
            self.due_logs.insert((due, log));
        }
    }

    /// The next chore, and what it is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, &'static str)> {
        let chores = self.is_running.then_some([
            (self.checkpoints, "offset checkpoints"),
            (self.expiry, "expiry of producers"),
            (self.retention, "retention"),
        ]);
        let removal = self
            .removals
            .first()
            .map(|&(due, _)| (due, "removal of deleted logs"));
        let log = self.due_logs.first().map(|&(due, _)| (due, "a log"));
        chores.into_iter().flatten().chain(removal).chain(log).min()
    }
}

impl Broker {
    /// Starts the clocks.
    pub(super) fn begin_housekeeping(&mut self, now: Now) {
        let periods = &self.config.housekeeping;
        self.housekeeping.is_running = true;
        self.housekeeping.checkpoints = now.after(periods.recovery_point_checkpoint_interval);
        self.housekeeping.expiry = now.after(periods.producer_id_expiration_check_interval);
        self.housekeeping.retention = now.after(periods.retention_check_interval);
    }

    /// Does the chores that are due.
    pub(super) fn keep_house(&mut self, now: Now, out: &mut Outbox) {
        while let Some(&(due, log)) = self.housekeeping.removals.first() {
            if due > now.instant {
                break;
            }
            self.housekeeping.removals.remove(&(due, log));
            out.disk.push(DiskOp::RemoveLog { log });
        }
        while let Some(&(due, log)) = self.housekeeping.due_logs.first() {
            if due > now.instant {
                break;
            }
            self.housekeeping.note_log(log, None);
            if let Some(partition) = self.partitions.get_mut(log) {
                partition.log_mut().on_time(now, &mut out.disk);
                self.touched.insert(log);
            }
        }
        if !self.housekeeping.is_running {
            return;
        }
        let periods = self.config.housekeeping.clone();
        if self.housekeeping.checkpoints <= now.instant {
            self.housekeeping.checkpoints = now.after(periods.recovery_point_checkpoint_interval);
            self.save_checkpoints(Token::of_node(0), out);
        }
        if self.housekeeping.expiry <= now.instant {
            self.housekeeping.expiry = now.after(periods.producer_id_expiration_check_interval);
            let expiration_ms =
                i64::try_from(periods.producer_id_expiration.as_millis()).unwrap_or(i64::MAX);
            for partition in self.partitions.iter_mut() {
                partition.log_mut().expire_producers(now, expiration_ms);
            }
        }
        if self.housekeeping.retention <= now.instant {
            self.housekeeping.retention = now.after(periods.retention_check_interval);
            self.retain(now, out);
        }
    }

    /// Removes segments that are due; where there are many, the rest goes in the next turns.
    fn retain(&mut self, now: Now, out: &mut Outbox) {
        let committed = self.quorum.high_watermark();
        let metadata = self.quorum.log_mut();
        metadata.retain(now, committed, &mut self.memory, &mut out.disk);
        for partition in self.partitions.iter_mut() {
            let high_watermark = partition.high_watermark();
            let log = partition.log_mut();
            let done = log.retain(now, high_watermark, &mut self.memory, &mut out.disk);
            if done.segments > 0 {
                self.touched.insert(partition.identity().log);
                out.events.push(event(
                    Severity::Info,
                    &partition.topic_partition().to_string(),
                    format!(
                        "retention removed {} segments of {} bytes",
                        done.segments, done.size_bytes
                    ),
                ));
            }
            if done.has_more {
                self.housekeeping.retention = now.instant;
            }
        }
    }

    /// When the broker wants a turn, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, &'static str)> {
        let requests = self
            .waiting
            .next_deadline()
            .map(|due| (due, "a parked request"));
        requests
            .into_iter()
            .chain(self.housekeeping.next_deadline())
            .min()
    }

    /// Saves recovery points, high watermarks and log start offsets, where they changed; answers
    /// how many files that are, each with `token`.
    pub(super) fn save_checkpoints(&mut self, token: Token, out: &mut Outbox) -> u32 {
        let mut saves = 0;
        for at in 0..self.identity.directories.len() {
            let directory = DirectoryIndex(u8::try_from(at).expect("log.dirs is bounded"));
            for (file, text) in self.checkpoints_of(directory) {
                let bytes = Bytes::from(text);
                let key = (directory, file);
                if self.housekeeping.saved.get(&key) == Some(&bytes) {
                    continue;
                }
                self.housekeeping.saved.insert(key, bytes.clone());
                saves += 1;
                out.disk.push(DiskOp::SaveDirectoryFile {
                    directory,
                    file,
                    bytes,
                    token,
                });
            }
        }
        saves
    }

    /// Saves the checkpoints; `reply` answers a request once they are on record.
    pub fn save_checkpoints_then(&mut self, to: ReplyTo, reply: Reply, out: &mut Outbox) {
        let number = self.housekeeping.next_save;
        self.housekeeping.next_save = number.wrapping_add(1).max(FIRST_SAVE);
        let token = Token::of_node(number);
        let saves = self.save_checkpoints(token, out);
        if saves == 0 {
            out.reply(to, reply);
            return;
        }
        let id = self.waiting.park(to, None, Wait::Saved(reply, saves));
        self.housekeeping.awaited.insert(token, id);
    }

    /// A checkpoint is on record.
    pub(super) fn on_checkpoint_saved(&mut self, token: Token, out: &mut Outbox) {
        let Some(&id) = self.housekeeping.awaited.get(&token) else {
            return;
        };
        if let Some(Wait::Saved(_, left)) = self.waiting.get_mut(id) {
            *left -= 1;
            if *left > 0 {
                return;
            }
        }
        self.housekeeping.awaited.remove(&token);
        if let Some((reply_to, Wait::Saved(reply, _))) = self.waiting.take(id) {
            out.reply(reply_to, reply);
        }
    }

    fn checkpoints_of(&self, directory: DirectoryIndex) -> [(DirectoryFile, String); 3] {
        let mut recovery = Vec::new();
        let mut watermarks = Vec::new();
        let mut starts = Vec::new();
        for partition in self.partitions.iter() {
            let log = partition.log();
            if partition.identity().directory != directory {
                continue;
            }
            let name = partition.topic_partition();
            recovery.push((name.clone(), log.recovery_point()));
            watermarks.push((name.clone(), partition.high_watermark()));
            let first = log
                .closed_segments()
                .first()
                .map(|closed| closed.base_offset);
            if log.log_start_offset() > first.unwrap_or(log.active_segment()) {
                starts.push((name, log.log_start_offset()));
            }
        }
        if directory == DirectoryIndex(0) {
            let (topic, _index) = METADATA_FOLDER
                .rsplit_once('-')
                .expect("it is a log's folder");
            let name = TopicPartition {
                topic: topic.into(),
                partition: crate::ids::PartitionIndex(0),
            };
            recovery.push((name, self.quorum.log().recovery_point()));
        }
        let text = |entries: &[(TopicPartition, Offset)]| {
            offsets_to_text(entries.iter().map(|(name, offset)| (name, *offset)))
        };
        [
            (DirectoryFile::RecoveryPoints, text(&recovery)),
            (DirectoryFile::HighWatermarks, text(&watermarks)),
            (DirectoryFile::LogStartOffsets, text(&starts)),
        ]
    }
}
