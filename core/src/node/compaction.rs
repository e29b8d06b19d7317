//! Which logs are compacted, when, and how fast.
//!
//! Looks for the dirtiest log every `log.cleaner.backoff.ms`, and at once after a round. Rounds go
//! on a piece in each turn, one operation of the disk at a time, within
//! `log.cleaner.io.max.bytes.per.second` for all of them together. What a round does is its own
//! business (`log::compaction`). Compare Kafka's `LogCleaner`, `LogCleanerManager`, 4.3.1.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::broker::{Broker, event};
use super::door::Outbox;
use crate::event::Severity;
use crate::ids::LogId;
use crate::limits::COMPACTION_LOOK_MIN;
use crate::log::compaction::{Compaction, CompactionEnd, CompactionOptions, Dirtiness};
use crate::storage::{DiskDone, FailureScope};
use crate::time::{Instant, Now};

/// The rounds under way.
#[derive(Clone, Debug, Default)]
pub struct Compactions {
    rounds: BTreeMap<LogId, Compaction>,
    /// When logs are looked at again.
    check: Instant,
    /// When the throttle lets the next operation through.
    open_from: Instant,
    /// The log whose operation it let through last; the others come first the next time.
    served: Option<LogId>,
    /// Logs that are damaged; they are not tried again before the next start.
    uncleanable: BTreeSet<LogId>,
}

impl Compactions {
    /// The rounds under way.
    pub fn rounds(&self) -> impl Iterator<Item = (LogId, &Compaction)> {
        self.rounds.iter().map(|(log, round)| (*log, round))
    }

    /// Whether a log was found to be damaged, and is compacted no more.
    #[must_use]
    pub fn is_uncleanable(&self, log: LogId) -> bool {
        self.uncleanable.contains(&log)
    }

    /// A directory is lost: its logs are compacted no more.
    pub(super) fn forget(&mut self, log: LogId) {
        self.rounds.remove(&log);
    }

    /// When there is something to do by the clock.
    pub(super) fn next_deadline(&self) -> (Instant, &'static str) {
        let is_held = self.rounds.values().any(|round| round.has_op());
        if is_held && self.open_from < self.check {
            (self.open_from, "compaction goes on")
        } else {
            (self.check, "compaction")
        }
    }
}

impl Broker {
    /// Starts the clock.
    pub(super) fn begin_compactions(&mut self, now: Now) {
        self.compactions.check = now.after(self.config.compaction.backoff);
    }

    /// Whether logs are compacted at all.
    pub(super) fn is_compacting(&self) -> bool {
        self.config.compaction.is_enabled && self.config.compaction.rounds_max > 0
    }

    /// Begins rounds where that is due.
    pub(super) fn compact(&mut self, now: Now) {
        if !self.is_compacting() || self.compactions.check > now.instant {
            return;
        }
        let backoff = self.config.compaction.backoff.max(COMPACTION_LOOK_MIN);
        self.compactions.check = now.after(backoff);
        let under_way = self.compactions.rounds.len();
        let room = self.config.compaction.rounds_max.saturating_sub(under_way);
        if room == 0 {
            return;
        }
        let mut due: Vec<(u32, LogId, Dirtiness)> = Vec::new();
        for partition in self.partitions.iter() {
            let log = partition.identity().log;
            let is_excluded = self.compactions.rounds.contains_key(&log)
                || self.moves.is_moving(log)
                || self.compactions.uncleanable.contains(&log);
            if is_excluded {
                continue;
            }
            let found = partition
                .log()
                .dirtiness(now, partition.last_stable_offset());
            if let Some(found) = found
                && partition.log().is_cleaning_due(&found)
            {
                due.push((found.ratio_millionths(), log, found));
            }
        }
        // The dirtiest first.
        due.sort_unstable_by_key(|&(ratio, log, _)| (std::cmp::Reverse(ratio), log));
        for (_ratio, log, found) in due.into_iter().take(room) {
            self.begin_round(now, log, &found);
        }
    }

    fn begin_round(&mut self, now: Now, log: LogId, found: &Dirtiness) {
        let config = &self.config.compaction;
        let options = CompactionOptions {
            key_map_bytes: config.key_map_bytes / config.rounds_max.max(1) as u64,
            load_millionths: config.load_millionths,
            salt: self.rng.next_u64(),
        };
        let partition = self.partitions.get_mut(log).expect("it was just found");
        let round = Compaction::begin(now, partition.log_mut(), found, options);
        self.compactions.rounds.insert(log, round);
    }

    /// Brings an answer to the round that awaits it; gives it back where there is none.
    pub(super) fn on_compaction_done(
        &mut self,
        done: DiskDone,
        out: &mut Outbox,
    ) -> Option<DiskDone> {
        let (DiskDone::Read { token, .. }
        | DiskDone::Saved { token }
        | DiskDone::Worked { token, .. }
        | DiskDone::Failed {
            scope: FailureScope::Save(token),
            ..
        }) = &done
        else {
            return Some(done);
        };
        let Some(log) = token.log() else {
            return Some(done);
        };
        let Some(round) = self.compactions.rounds.get_mut(&log) else {
            return Some(done);
        };
        if !round.awaits(*token) {
            return Some(done);
        }
        match self.partitions.get_mut(log) {
            Some(partition) => round.on_done(partition.log_mut(), done, &mut out.disk),
            // The topic was deleted, and its files go with it.
            None => self.compactions.forget(log),
        }
        None
    }

    /// The end of a turn, after everything that reads: swaps finished segments in, emits what the
    /// throttle lets through, and says how rounds ended.
    pub(super) fn settle_compactions(&mut self, now: Now, out: &mut Outbox) {
        if self.compactions.rounds.is_empty() {
            return;
        }
        let rounds = &self.compactions.rounds;
        let after = self
            .compactions
            .served
            .map_or(Bound::Unbounded, Bound::Excluded);
        let later = rounds.range((after, Bound::Unbounded));
        // Those up to the one that was served last, which come after all others.
        let earlier = rounds
            .keys()
            .take_while(|log| self.compactions.served.is_some_and(|last| **log <= last));
        let later = later.map(|(log, _round)| log);
        let logs: Vec<LogId> = later.chain(earlier).copied().collect();
        for log in logs {
            let round = self.compactions.rounds.get_mut(&log);
            let round = round.expect("it was just listed");
            let Some(partition) = self.partitions.get_mut(log) else {
                self.compactions.forget(log);
                continue;
            };
            round.swap(partition.log_mut(), &mut self.memory, &mut out.disk);
            if round.end().is_some() && round.is_lent() {
                continue;
            }
            if let Some(end) = round.end().cloned() {
                let name = partition.topic_partition().to_string();
                self.compactions.forget(log);
                self.on_round_over(now, log, (&name, &end), out);
                continue;
            }
            if self.compactions.open_from <= now.instant {
                let bytes = round.op_bytes();
                let op = round.take_op();
                if op.is_some() {
                    self.compactions.served = Some(log);
                }
                out.disk.extend(op);
                let cost = self.config.compaction.time_of(bytes);
                self.compactions.open_from = now.after(cost);
            }
        }
    }

    fn on_round_over(
        &mut self,
        now: Now,
        log: LogId,
        (name, end): (&str, &CompactionEnd),
        out: &mut Outbox,
    ) {
        let (severity, message) = match end {
            CompactionEnd::Abandoned(why) => {
                (Severity::Info, format!("compaction was given up: {why}"))
            }
            CompactionEnd::Done(done) => {
                // There may be another log, or more of this one.
                self.compactions.check = now.instant;
                self.housekeeping.save_checkpoints_soon(now);
                let message = format!(
                    "compacted up to offset {}, from {} on: {} bytes became {}",
                    done.end_offset, done.first_dirty, done.before_bytes, done.after_bytes
                );
                (Severity::Info, message)
            }
            CompactionEnd::Uncleanable(what) => {
                self.compactions.uncleanable.insert(log);
                let message = format!(
                    "cannot be compacted: {what}. It is served as it is, and grows, until the \
                     damage is repaired and the broker is started again"
                );
                (Severity::Error, message)
            }
        };
        out.events.push(event(severity, name, message));
    }

    /// Gives a log's round up, if there is one.
    pub(super) fn abandon_compaction(&mut self, log: LogId, why: &str, out: &mut Outbox) {
        if let Some(round) = self.compactions.rounds.get_mut(&log) {
            round.abandon(why, &mut out.disk);
        }
    }

    /// Gives every round up: the node stops.
    pub(super) fn abandon_compactions(&mut self, out: &mut Outbox) {
        for (_log, mut round) in std::mem::take(&mut self.compactions.rounds) {
            round.abandon("the broker stops", &mut out.disk);
        }
    }
}
