//! Replicas on their way to other data directories: which, how fast, and what comes next.
//!
//! AlterReplicaLogDirs begins a move; it goes on in turns, at their ends. The order of its steps,
//! and why no crash loses or doubles anything, is told in `log::moving`; this is who takes them. At
//! most [`MOVES_MAX`] logs are copied at a time, a piece of each, within
//! `replica.alter.log.dirs.io.max.bytes.per.second` for all of them together. Compare Kafka's
//! `ReplicaManager.alterReplicaLogDirs`, `ReplicaAlterLogDirsManager`, `AssignmentsManager`, 4.3.1.

mod assign;
mod copying;
mod switch;

use std::collections::{BTreeMap, BTreeSet};

use self::switch::Switch;
use super::broker::{Broker, event};
use super::door::Outbox;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId, Offset, TopicId};
use crate::limits::MOVES_MAX;
use crate::log::moving::{FutureLog, LogCopy};
use crate::log::{Log, Ticket, partition_metadata};
use crate::partition::{Hold, Partition};
use crate::storage::{DiskDone, DiskOp, FailureScope, Token};
use crate::time::{Instant, Now};

/// The moves under way.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// By the current log.
    moves: BTreeMap<LogId, Move>,
    /// Future logs, each with its current one.
    futures: BTreeMap<LogId, LogId>,
    /// Logs that have taken the place of others whose folders are still to be renamed, by the log
    /// that is the current one now.
    switches: BTreeMap<LogId, Switch>,
    /// Moves that an earlier incarnation was on; until the logs are open.
    to_resume: BTreeMap<LogId, DirectoryIndex>,
    /// Partitions whose directory the metadata may not know.
    to_assign: BTreeSet<LogId>,
    /// When it is told again, after it refused to be.
    assign_from: Instant,
    /// What the throttle charges: the last piece.
    spent: (Instant, u64),
    /// Nothing is begun any more: the node stops.
    is_stopped: bool,
}

/// A replica that moves.
#[derive(Clone, Debug)]
struct Move {
    target: DirectoryIndex,
    copy: LogCopy,
    stage: Stage,
}

/// How far a move is; the numbers are those of `log::moving`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// 1: what is written is copied.
    Copy,
    /// 2: the copy becomes durable up to this offset, with what is saved beside it.
    Settle(Offset),
    /// 3: so many of the target's checkpoints are to be saved with this token.
    Record(Token, u32),
    /// 4: the metadata is to say where the replica is; it is asked to again from then on.
    Assign(Instant),
}

impl Move {
    /// Whether acknowledgements wait for the copy, too.
    fn is_settling(&self) -> bool {
        self.stage != Stage::Copy
    }

    /// What the copy has.
    fn hold(&self) -> Option<Hold> {
        let log = self.copy.log().filter(|_log| self.is_settling())?;
        Some(Hold {
            written: log.written(),
            committed: log.flushed(),
        })
    }
}

/// What DescribeLogDirs tells of a future log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FutureFigures {
    /// The partition's current log.
    pub current: LogId,
    /// The directory it is in.
    pub directory: DirectoryIndex,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How many records it lacks.
    pub lag: i64,
}

impl Moves {
    /// Whether a log moves, so that nothing else may change its files.
    #[must_use]
    pub fn is_moving(&self, log: LogId) -> bool {
        self.moves.contains_key(&log)
    }

    /// Where a log moves to.
    #[must_use]
    pub fn target_of(&self, log: LogId) -> Option<DirectoryIndex> {
        self.moves.get(&log).map(|moving| moving.target)
    }

    /// Whether a folder is still to be renamed because of a move.
    #[must_use]
    pub fn is_switching(&self) -> bool {
        !self.switches.is_empty()
    }

    /// Lets go of a future log's memory up to the batch of `ticket`.
    pub(super) fn evict(&mut self, log: LogId, ticket: Ticket, memory: &mut crate::log::LogMemory) {
        let current = self.futures.get(&log);
        if let Some(moving) = current.and_then(|current| self.moves.get_mut(current)) {
            moving.copy.evict(ticket, memory);
        }
    }

    /// Future logs that the checkpoints of a directory are to name, each with its current one.
    pub(super) fn recorded(
        &self,
        directory: DirectoryIndex,
    ) -> impl Iterator<Item = (LogId, &Log)> {
        self.moves
            .iter()
            .filter(move |(_current, moving)| moving.target == directory)
            .filter(|(_current, moving)| {
                matches!(moving.stage, Stage::Record(..) | Stage::Assign(_))
            })
            .filter_map(|(current, moving)| Some((*current, moving.copy.log()?)))
    }

    /// Former logs that the checkpoints of a directory are still to name, each with the log that
    /// took its place.
    pub(super) fn leaving(&self, directory: DirectoryIndex) -> impl Iterator<Item = (LogId, &Log)> {
        let switches = self.switches.iter();
        switches.filter_map(move |(current, switch)| Some((*current, switch.leaving(directory)?)))
    }

    /// When the throttle lets the next piece through.
    fn open_from(&self, config: &crate::config::MoveConfig) -> Instant {
        let (at, bytes) = self.spent;
        at.after(config.time_of(bytes))
    }
}

impl Broker {
    /// Moves a replica to another directory, or calls its move off where it is there already;
    /// whatever move it was on before is over.
    pub fn move_replica(&mut self, now: Now, log: LogId, target: DirectoryIndex, out: &mut Outbox) {
        let Some(partition) = self.partitions.get(log) else {
            return;
        };
        let log = partition.identity().log;
        if self.moves.target_of(log) == Some(target) || self.moves.is_stopped {
            return;
        }
        self.drop_move(log, out);
        let Some(partition) = self.partitions.get(log) else {
            return;
        };
        if partition.identity().directory == target {
            return;
        }
        let name = partition.topic_partition().to_string();
        let identity = partition.identity().clone();
        self.abandon_compaction(log, "the replica moves to another directory", out);
        let future = FutureLog {
            id: self.take_log_id(),
            directory: target,
            folder: format!("{name}.{}-future", self.random_digits()).into(),
            partition_metadata: partition_metadata::to_text(identity.topic_id).into(),
        };
        out.events.push(event(
            Severity::Info,
            &name,
            format!(
                "moves from data directory {} to {target}",
                identity.directory
            ),
        ));
        self.moves.futures.insert(future.id, log);
        let moving = Move {
            target,
            copy: LogCopy::new(future),
            stage: Stage::Copy,
        };
        self.moves.moves.insert(log, moving);
        self.advance_move(now, log, out);
    }

    /// Has a move begin anew, once the logs are open, that an earlier incarnation was on.
    pub(super) fn resume_move(&mut self, log: LogId, target: DirectoryIndex) {
        self.moves.to_resume.insert(log, target);
    }

    /// The logs are open: moves begin anew, and the metadata hears where logs are.
    pub(super) fn resume_moves(&mut self, now: Now, out: &mut Outbox) {
        for (log, target) in std::mem::take(&mut self.moves.to_resume) {
            self.move_replica(now, log, target, out);
        }
        self.assign_directories(now, out);
    }

    /// Ends a log's move, if it is on one; what was copied is removed.
    pub(super) fn drop_move(&mut self, log: LogId, out: &mut Outbox) {
        let Some(moving) = self.forget_move(log) else {
            return;
        };
        let is_there = moving.copy.log().is_some();
        if is_there && !self.housekeeping.is_lost(moving.target) {
            let future = moving.copy.future();
            let folder = deleted(&future.folder);
            let log = future.id;
            out.disk.push(DiskOp::MarkLogDeleted { log, folder });
            out.disk.push(DiskOp::RemoveLog { log });
        }
    }

    /// Forgets a log's move; its files stay.
    fn forget_move(&mut self, log: LogId) -> Option<Move> {
        let mut moving = self.moves.moves.remove(&log)?;
        self.moves.futures.remove(&moving.copy.future().id);
        moving.copy.release(&mut self.memory);
        if let Some(partition) = self.partitions.get_mut(log) {
            partition.hold(None);
            self.touched.insert(log);
            self.moves.to_assign.insert(log);
        }
        Some(moving)
    }

    /// Begins nothing and copies nothing any more. A replica that moves is copied anew after the
    /// next start; one whose folders are being renamed gets there before the stop ends.
    pub(super) fn stop_moves(&mut self) {
        self.moves.is_stopped = true;
        let logs: Vec<LogId> = self.moves.moves.keys().copied().collect();
        for log in logs {
            self.forget_move(log);
        }
        self.moves.to_assign.clear();
    }

    /// A directory is lost: moves from it and to it are over.
    pub(super) fn on_directory_of_moves_lost(
        &mut self,
        now: Now,
        directory: DirectoryIndex,
        out: &mut Outbox,
    ) {
        let logs: Vec<LogId> = self.moves.moves.keys().copied().collect();
        for log in logs {
            let current = self.partitions.get(log).map(Partition::identity);
            let is_source = current.is_some_and(|identity| identity.directory == directory);
            if is_source || self.moves.target_of(log) == Some(directory) {
                // Where the current log is lost, the copy stays as it is: at the next start it is
                // made anew if the current log is there, and put aside if it is not.
                self.forget_move(log);
                self.tell_move(
                    log,
                    Severity::Error,
                    "the move ended with its directory",
                    out,
                );
            }
        }
        self.on_directory_of_switches_lost(now, directory, out);
    }

    /// Brings an answer of the disk to the move that it belongs to; answers whether that was all it
    /// is for.
    pub(super) fn is_for_move(&mut self, now: Now, done: &DiskDone, out: &mut Outbox) -> bool {
        match done {
            DiskDone::Read { log, token, result } => {
                let Some(moving) = self.moves.moves.get_mut(log) else {
                    return false;
                };
                if !moving.copy.awaits(*token) {
                    return false;
                }
                let Some(partition) = self.partitions.get_mut(*log) else {
                    return true;
                };
                let read = (partition.log_mut(), result);
                let bytes = moving
                    .copy
                    .on_read(now, read, &mut self.memory, &mut out.disk);
                self.charge_move(now, bytes);
                true
            }
            // A move asks for none.
            DiskDone::Worked { .. } => false,
            DiskDone::Saved { token } => {
                self.on_move_recorded(*token, true);
                self.on_future_done(done, out) || self.on_renamed(now, *token, out)
            }
            DiskDone::Failed {
                scope: FailureScope::Save(token),
                ..
            } => {
                self.on_move_recorded(*token, false);
                self.on_future_done(done, out)
            }
            DiskDone::Appended { .. }
            | DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Synced { .. }
            | DiskDone::Truncated { .. } => self.on_future_done(done, out),
        }
    }

    /// Brings an answer to the future log it is of. What is said of a former log concerns nobody.
    fn on_future_done(&mut self, done: &DiskDone, out: &mut Outbox) -> bool {
        let Some(log) = done.log() else {
            return false;
        };
        let Some(&current) = self.moves.futures.get(&log) else {
            let is_rename = matches!(done, DiskDone::Saved { .. });
            return self.partitions.is_former(log) && !is_rename;
        };
        if let Some(moving) = self.moves.moves.get_mut(&current) {
            moving.copy.on_done(done, &mut self.memory, &mut out.disk);
            let hold = moving.hold();
            if let (Some(partition), true) = (self.partitions.get_mut(current), hold.is_some()) {
                partition.hold(hold);
                self.touched.insert(current);
            }
        }
        true
    }

    /// One of the target's checkpoints is saved, or is not.
    fn on_move_recorded(&mut self, token: Token, is_saved: bool) {
        for moving in self.moves.moves.values_mut() {
            if let Stage::Record(awaited, left) = &mut moving.stage
                && *awaited == token
            {
                if is_saved {
                    *left -= 1;
                } else {
                    let why = "a checkpoint of the target directory was not saved";
                    moving.copy.fail(why.to_owned());
                }
            }
        }
    }

    /// The end of a turn, after everything that reads: takes every move a step further.
    pub(super) fn settle_moves(&mut self, now: Now, out: &mut Outbox) {
        self.assign_directories(now, out);
        let logs: Vec<LogId> = self.moves.moves.keys().copied().collect();
        for log in logs {
            self.advance_move(now, log, out);
        }
    }

    fn advance_move(&mut self, now: Now, log: LogId, out: &mut Outbox) {
        self.copy_on(now, log, out);
        let (Some(moving), Some(partition)) =
            (self.moves.moves.get_mut(&log), self.partitions.get_mut(log))
        else {
            return;
        };
        if let Some(end) = moving.copy.end().cloned() {
            return self.on_copy_over(now, log, &end, out);
        }
        let target = moving.target;
        match moving.stage {
            Stage::Copy => {
                if moving.copy.has_caught_up(partition.log()) {
                    moving.copy.take_over(partition.log(), &mut out.disk);
                    moving.copy.settle(now, true, &mut out.disk);
                    moving.stage = Stage::Settle(partition.log().written());
                    partition.hold(moving.hold());
                }
            }
            Stage::Settle(offset) => {
                if moving.copy.is_settled(offset) {
                    let token = self.housekeeping.records.take_token();
                    // The copy is among what is recorded from now on.
                    moving.stage = Stage::Record(token, 0);
                    let saves = self.save_checkpoints_of(target, token, out);
                    if let Some(moving) = self.moves.moves.get_mut(&log) {
                        moving.stage = Stage::Record(token, saves);
                    }
                }
            }
            Stage::Record(_token, left) => {
                if left == 0 {
                    self.assign_or_switch(now, log, (target, true), out);
                }
            }
            Stage::Assign(due) => {
                self.assign_or_switch(now, log, (target, due <= now.instant), out);
            }
        }
    }

    fn assign_or_switch(
        &mut self,
        now: Now,
        log: LogId,
        (target, is_due): (DirectoryIndex, bool),
        out: &mut Outbox,
    ) {
        if self.is_assigned(log, target) {
            self.maybe_switch(now, log, out);
        } else if is_due {
            self.assign_to_target(now, log, target, out);
        }
    }

    fn tell_move(&self, log: LogId, severity: Severity, text: &str, out: &mut Outbox) {
        if let Some(partition) = self.partitions.get(log) {
            let name = partition.topic_partition().to_string();
            out.events.push(event(severity, &name, text.to_owned()));
        }
    }

    /// When a move wants a turn by the clock.
    pub(super) fn next_move_deadline(&self) -> Option<(Instant, &'static str)> {
        let moves = &self.moves.moves;
        let open_from = self.moves.open_from(&self.config.moves);
        let mut copied = moves.iter().take(MOVES_MAX);
        let is_held = copied.any(|(log, moving)| {
            // One that is settling goes on with the answers of the disk.
            let source = self.partitions.get(*log).map(Partition::log);
            moving.copy.is_idle() && source.is_some_and(|source| moving.copy.is_behind(source))
        });
        let piece = is_held.then_some(open_from);
        let unassigned = moves.iter().filter_map(|(log, moving)| match moving.stage {
            Stage::Assign(due) if !self.is_assigned(*log, moving.target) => Some(due),
            Stage::Assign(_) | Stage::Copy | Stage::Record(..) | Stage::Settle(_) => None,
        });
        let to_assign = (!self.moves.to_assign.is_empty()).then_some(self.moves.assign_from);
        let due = piece.into_iter().chain(unassigned).chain(to_assign).min();
        due.map(|due| (due, "a replica moves to another directory"))
    }

    /// The future logs there are.
    pub fn futures(&self) -> impl Iterator<Item = FutureFigures> {
        self.moves.moves.iter().filter_map(|(current, moving)| {
            let partition = self.partitions.get(*current)?;
            let copy = moving.copy.log();
            let end = partition.log().log_end_offset();
            let start = partition.log().log_start_offset();
            let copied = copy.map_or(start, Log::log_end_offset);
            Some(FutureFigures {
                current: *current,
                directory: moving.target,
                size_bytes: copy.map_or(0, Log::size_bytes),
                lag: (end.0 - copied.0).max(0),
            })
        })
    }

    /// 32 digits that no other folder has.
    pub(super) fn random_digits(&mut self) -> String {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        super::folders::hex(TopicId(id))
    }
}

/// The name under which a folder `…-future` is removed.
fn deleted(folder: &str) -> std::sync::Arc<str> {
    let name = folder.strip_suffix("-future").unwrap_or(folder);
    format!("{name}-delete").into()
}
