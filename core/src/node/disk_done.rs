//! What the disk answers, brought to the room that asked.

use std::sync::Arc;

use bytes::Bytes;

use super::broker::{Broker, event, is_transaction_mark};
use super::door::Outbox;
use super::lookups::LookupFor;
use super::wait::Wait;
use crate::error::ErrorCode;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};
use crate::metadata::delta::Delta;
use crate::metadata::image::Image;
use crate::mutants::mutant;
use crate::partition::Wakeups;
use crate::quorum::{METADATA_DIRECTORY, METADATA_FOLDER};
use crate::storage::{DiskDone, DiskError, FailureScope, Token};
use crate::time::Now;

impl Broker {
    /// Applies an answer of the disk that concerns a partition's log or a request.
    pub(super) fn on_disk(&mut self, now: Now, done: DiskDone, out: &mut Outbox) {
        if self.is_for_move(now, &done, out) {
            return;
        }
        let Some(done) = self.on_compaction_done(done, out) else {
            return;
        };
        match done {
            DiskDone::Appended {
                log,
                generation,
                end_offset,
            } => {
                let memory = &mut self.memory;
                if log == self.quorum.log_id() {
                    self.quorum.on_appended(generation, end_offset, memory);
                } else if let Some(partition) = self.partitions.get_mut(log) {
                    partition
                        .log_mut()
                        .on_appended(generation, end_offset, memory);
                    self.touched.insert(log);
                }
            }
            // Of a round that is no more, where it is a result.
            DiskDone::Created { log: _ } | DiskDone::Worked { .. } => {}
            DiskDone::Failed { scope, error } => self.on_disk_failed(now, scope, &error, out),
            DiskDone::Read { log, token, result } => {
                self.on_disk_read(now, (log, token), &result, out);
            }
            DiskDone::Saved { token } => self.on_disk_saved(now, token, out),
            DiskDone::Synced {
                log,
                generation,
                end_offset,
            } => {
                let memory = &mut self.memory;
                if log == self.quorum.log_id() {
                    self.quorum.on_synced(generation, end_offset, memory);
                } else if let Some(partition) = self.partitions.get_mut(log) {
                    partition
                        .log_mut()
                        .on_synced(generation, end_offset, memory);
                    self.touched.insert(log);
                }
            }
            DiskDone::Truncated {
                log,
                generation,
                end_offset,
            } => {
                if log == self.quorum.log_id() {
                    self.quorum.on_truncated(generation, end_offset);
                } else if let Some(partition) = self.partitions.get_mut(log) {
                    partition.log_mut().on_truncated(generation, end_offset);
                    self.touched.insert(log);
                }
            }
        }
    }

    fn on_disk_read(
        &mut self,
        now: Now,
        key: (LogId, Token),
        bytes: &Result<Bytes, DiskError>,
        out: &mut Outbox,
    ) {
        // Where another log took this one's place, the read goes on there.
        let log = self.partitions.present(key.0);
        if let Some(pending) = self.searches.remove(&key) {
            let Some(partition) = self.partitions.get_mut(log) else {
                crate::api::list_offsets::on_log_gone(self, pending.waiter, out);
                return;
            };
            let memory = &mut self.memory;
            let outcome = partition
                .log_mut()
                .resume_search(*pending.search, bytes, memory);
            crate::api::list_offsets::on_search(self, pending.waiter, (log, outcome), out);
            return;
        }
        if self.on_load_read(now, key, bytes, out) {
            return;
        }
        let Some(pending) = self.lookups.remove(&key) else {
            return;
        };
        let resumed = match self.partitions.get_mut(log) {
            Some(partition) => partition.resume_read(*pending.lookup, bytes, &mut self.memory),
            // The topic was deleted meanwhile; who waits for the read still gets an end.
            None => Err(ErrorCode::UnknownTopicOrPartition.into()),
        };
        match pending.waiter {
            LookupFor::Fetch(id, target_at) => {
                crate::api::fetch::on_lookup(self, now, (id, target_at), resumed, (log, out));
            }
        }
    }

    fn on_disk_failed(
        &mut self,
        now: Now,
        scope: FailureScope,
        error: &DiskError,
        out: &mut Outbox,
    ) {
        match scope {
            FailureScope::Append { log, generation } if log == self.quorum.log_id() => {
                self.on_metadata_append_failed(generation, error, out);
            }
            FailureScope::Append { log, generation } => {
                let Some(partition) = self.partitions.get_mut(log) else {
                    return;
                };
                let rewound = partition.log_mut().on_append_failed(
                    generation,
                    &mut self.memory,
                    &mut out.disk,
                );
                if let Some(rewound) = rewound {
                    let name = partition.topic_partition().to_string();
                    let mut wakeups = Wakeups::default();
                    partition.fail_from(rewound.end_offset, &mut wakeups);
                    out.events.push(event(
                        Severity::Error,
                        &name,
                        format!(
                            "{error}: records of [{}, {}) were refused; free space and producers \
                             go on by themselves",
                            rewound.end_offset, rewound.former_end_offset
                        ),
                    ));
                    self.wake(now, wakeups, out);
                    self.on_group_log_cut(now, (log, rewound.end_offset), out);
                }
            }
            FailureScope::Directory(directory) => {
                self.on_directory_failed(now, directory, error, out);
            }
            FailureScope::Save(token) => {
                out.events.push(event(
                    Severity::Error,
                    "",
                    format!("a file was not saved: {error}; the old one stands"),
                ));
                self.on_save_failed(now, token, out);
            }
        }
    }

    fn on_disk_saved(&mut self, now: Now, token: Token, out: &mut Outbox) {
        match token.log() {
            Some(log) if log == self.quorum.log_id() => {
                self.quorum.log_mut().on_saved(token, &mut out.disk);
            }
            Some(log) => {
                if let Some(partition) = self.partitions.get_mut(log) {
                    partition.log_mut().on_saved(token, &mut out.disk);
                }
            }
            None => self.on_node_file(now, token, true, out),
        }
    }

    fn on_node_file(&mut self, now: Now, token: Token, is_saved: bool, out: &mut Outbox) {
        let config = &self.config.metadata_log;
        let rooms = (&mut self.memory, &mut out.disk);
        self.quorum.on_saved(token, is_saved, config, rooms);
        self.on_checkpoint(now, (token, is_saved), out);
    }

    fn on_save_failed(&mut self, now: Now, token: Token, out: &mut Outbox) {
        match token.log() {
            Some(log) if log == self.quorum.log_id() => {
                self.quorum.log_mut().on_save_failed(token);
            }
            Some(log) => {
                if let Some(partition) = self.partitions.get_mut(log) {
                    partition.log_mut().on_save_failed(token);
                }
            }
            None => self.on_node_file(now, token, false, out),
        }
    }

    /// The disk is full for the metadata log: proposals that are not committed are refused.
    fn on_metadata_append_failed(
        &mut self,
        generation: Generation,
        error: &DiskError,
        out: &mut Outbox,
    ) {
        let memory = &mut self.memory;
        let rewound = self
            .quorum
            .log_mut()
            .on_append_failed(generation, memory, &mut out.disk);
        let Some(rewound) = rewound else {
            return;
        };
        out.events.push(event(
            Severity::Error,
            METADATA_FOLDER,
            format!("{error}: changes of the metadata are refused until there is space"),
        ));
        self.forget_proposals(rewound.end_offset, out);
    }

    /// Proposals from `end_offset` of the metadata log on are lost: who waited for them is told,
    /// and the controller decides upon what is left.
    fn forget_proposals(&mut self, end_offset: Offset, out: &mut Outbox) {
        let lost = self.quorum.fail_from(end_offset);
        let mut image = Image::clone(&self.image);
        let mut delta = Delta::default();
        for record in self.quorum.untold_records() {
            if !is_transaction_mark(record) {
                image
                    .apply(record, &mut delta)
                    .expect("the controller applied it before");
            }
        }
        self.controller_image = Arc::new(image);
        self.producer_ids
            .forget_unreserved(self.controller_image.next_producer_id());
        for id in lost {
            if let Some((reply_to, Wait::Admin(wait))) = self.waiting.take(id) {
                out.reply(reply_to, wait.timed_out);
            }
        }
    }

    /// A directory is lost to this incarnation: its logs answer errors from now on.
    fn on_directory_failed(
        &mut self,
        now: Now,
        directory: DirectoryIndex,
        error: &DiskError,
        out: &mut Outbox,
    ) {
        if mutant!(M33) {
            for partition in self.partitions.iter_mut() {
                let (log, memory) = (partition.log_mut(), &mut self.memory);
                log.on_synced(log.generation(), log.log_end_offset(), memory);
                self.touched.insert(log.id());
            }
            return;
        }
        out.events.push(event(
            Severity::Error,
            &format!("data directory {directory}"),
            format!("{error}: its partitions are offline until the broker is started again"),
        ));
        let records = &mut self.housekeeping.records;
        records.on_directory_lost(directory);
        if records.has_departures() {
            self.housekeeping.save_checkpoints_soon(now);
        }
        let logs: Vec<LogId> = self
            .partitions
            .iter()
            .filter(|partition| partition.identity().directory == directory)
            .map(|partition| partition.identity().log)
            .collect();
        for log in logs {
            self.compactions.forget(log);
            let mut wakeups = Wakeups::default();
            if let Some(partition) = self.partitions.get_mut(log) {
                partition.log_mut().on_directory_failed();
                partition.fail_all(&mut wakeups);
            }
            self.wake(now, wakeups, out);
            self.on_group_log_lost(now, log, out);
        }
        self.on_directory_of_moves_lost(now, directory, out);
        if directory == METADATA_DIRECTORY {
            self.quorum.log_mut().on_directory_failed();
            let committed = self.quorum.high_watermark();
            self.forget_proposals(committed, out);
        }
    }
}
