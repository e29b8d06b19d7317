//! What a broker does by the clock: retention, checkpoints, forgetting producers, removing files.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::{Broker, event};
use super::checkpoints::Checkpoints;
use super::door::Outbox;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId};
use crate::storage::DiskOp;
use crate::time::{Instant, Now};

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
    /// The files with offsets of all logs.
    pub(super) records: Checkpoints,
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
            records: Checkpoints::default(),
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

    /// Whether nothing can be written to a directory any more.
    #[must_use]
    pub fn is_lost(&self, directory: DirectoryIndex) -> bool {
        self.records.is_lost(directory)
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
        self.housekeeping.checkpoints = if self.housekeeping.records.has_departures() {
            now.instant
        } else {
            now.after(periods.recovery_point_checkpoint_interval)
        };
        self.housekeeping.expiry = now.after(periods.producer_id_expiration_check_interval);
        self.housekeeping.retention = now.after(periods.retention_check_interval);
        self.begin_compactions(now);
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
            self.save_checkpoints_by_the_clock(now, out);
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
        self.compact(now);
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
        let groups = self.groups.next_deadline().map(|due| (due, "a group"));
        let is_compacting = self.housekeeping.is_running && self.is_compacting();
        let compaction = is_compacting.then(|| self.compactions.next_deadline());
        requests
            .into_iter()
            .chain(groups)
            .chain(self.housekeeping.next_deadline())
            .chain(compaction)
            .chain(self.next_move_deadline())
            .chain(
                self.throttle
                    .next_deadline()
                    .map(|due| (due, "a throttled client")),
            )
            .min()
    }
}
