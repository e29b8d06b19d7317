//! Cutting a log back to an offset, as a follower does whose leader has another history (KIP-101,
//! KIP-279).
//!
//! A job: the batch that holds the offset is found, the disk cuts in front of it, and the end of
//! the log is read again as at boot, because that is how the producers' state of an earlier time is
//! known (snapshot and replay). A full disk is not this: see `marks`. Compare Kafka's
//! `UnifiedLog.truncateTo`.

use super::locate::{Goal, Locate, Located, Step};
use super::opening::{Opened, Opening, Reopened};
use super::{Log, LogMemory, LogState, Producers};
use crate::ids::{DirectoryIndex, Offset};
use crate::storage::{DiskDone, DiskOp, Token};
use crate::time::Now;

/// The job; owns the log meanwhile.
#[derive(Clone, Debug)]
pub struct Truncation {
    now: Now,
    directory: DirectoryIndex,
    end_offset: Offset,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Nothing more is to be done.
    Done(Option<Box<Opened>>),
    /// Finding the batch in front of which to cut.
    Locating(Box<Log>, Locate, Token),
    /// Cut; what is left is read again.
    Opening(Box<Opening>),
}

impl Truncation {
    /// Begins to cut `log` to `end_offset`, or in front of the batch that holds it. Everything must
    /// be written, and nothing may be cut that the recovery-point checkpoint calls durable: the
    /// caller has lowered it durably before.
    #[must_use]
    pub fn begin(
        now: Now,
        (log, directory): (Log, DirectoryIndex),
        end_offset: Offset,
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) -> Self {
        assert!(
            log.written == log.log_end_offset,
            "everything is written before a cut"
        );
        assert!(
            end_offset >= log.log_start_offset,
            "a cut is not below the log's start"
        );
        let mut truncation = Self {
            now,
            directory,
            end_offset,
            stage: Stage::Done(None),
        };
        let segment = log.segment_at(end_offset);
        match segment {
            Some(segment) if end_offset < log.log_end_offset && log.state == LogState::Usable => {
                let (locate, step) = log.locate(segment, Goal::Above(end_offset), memory);
                truncation.on_step(log, locate, step, (memory, out));
            }
            Some(_) | None => truncation.stage = Stage::unchanged(log),
        }
        truncation
    }

    /// Takes in an answer of the disk that concerns this log.
    pub fn on_done(&mut self, done: &DiskDone, memory: &mut LogMemory, out: &mut Vec<DiskOp>) {
        match std::mem::replace(&mut self.stage, Stage::Done(None)) {
            Stage::Locating(mut log, mut locate, awaited) => match done {
                DiskDone::Read { token, result, .. } if *token == awaited => match result {
                    Ok(bytes) => {
                        let step = log.locate_next(&mut locate, bytes, memory);
                        self.on_step(*log, locate, step, (memory, out));
                    }
                    Err(_unreadable) => {
                        log.on_directory_failed();
                        self.stage = Stage::unchanged(*log);
                    }
                },
                DiskDone::Appended { .. }
                | DiskDone::Created { .. }
                | DiskDone::Failed { .. }
                | DiskDone::Read { .. }
                | DiskDone::Saved { .. }
                | DiskDone::Synced { .. }
                | DiskDone::Truncated { .. }
                | DiskDone::Worked { .. } => self.stage = Stage::Locating(log, locate, awaited),
            },
            Stage::Opening(mut opening) => {
                opening.on_done(done, out);
                self.stage = Stage::Opening(opening);
            }
            over @ Stage::Done(_) => self.stage = over,
        }
    }

    /// The log, once it is cut and durable; then the job is over.
    pub fn take_opened(&mut self) -> Option<Opened> {
        match &mut self.stage {
            Stage::Done(opened) => opened.take().map(|opened| *opened),
            Stage::Locating(..) => None,
            Stage::Opening(opening) => opening.take_opened(),
        }
    }

    fn on_step(
        &mut self,
        mut log: Log,
        locate: Locate,
        step: Step,
        (memory, out): (&mut LogMemory, &mut Vec<DiskOp>),
    ) {
        // Below this, what the cut leaves is whole: the batch in front ends there.
        let mut sound_to = Offset::ZERO;
        let (position, end_offset) = match step {
            Step::Read {
                file,
                position,
                length,
            } => {
                let token = log.saves.next_token();
                out.push(DiskOp::Read {
                    log: log.id,
                    file,
                    position,
                    length,
                    token,
                });
                self.stage = Stage::Locating(Box::new(log), locate, token);
                return;
            }
            Step::Done(Located::At(point)) => {
                let base = point.info.base_offset;
                let may_be_gap = log.settings.compact || base <= log.gaps_to;
                if base <= self.end_offset && !may_be_gap {
                    sound_to = point.info.base_offset;
                }
                let end_offset = point.info.base_offset.min(self.end_offset);
                (point.position, end_offset)
            }
            // What cannot be read is fetched again from the leader, with what comes after it.
            Step::Done(Located::Damaged {
                offset, position, ..
            }) => (position, offset),
            Step::Done(Located::Nowhere) => unreachable!("the log ends above the offset"),
        };
        let segment = locate.segment;
        log.cut_to(segment, (position, end_offset), memory, out);
        let reopened = Reopened {
            segment,
            size_bytes: position,
            directory: self.directory,
            sound_to,
        };
        let opening = Opening::reopen(self.now, log, reopened, out);
        self.stage = Stage::Opening(Box::new(opening));
    }
}

impl Stage {
    /// The log is as it was, or offline.
    fn unchanged(log: Log) -> Self {
        let opened = Opened {
            log,
            events: Vec::new(),
        };
        Self::Done(Some(Box::new(opened)))
    }
}

impl Log {
    /// Forgets everything at and above `end_offset`, and the state that must be read again.
    fn cut_to(
        &mut self,
        segment: Offset,
        (position, end_offset): (u32, Offset),
        memory: &mut LogMemory,
        out: &mut Vec<DiskOp>,
    ) {
        assert!(self.pending.is_empty(), "everything was given to the disk");
        assert!(end_offset <= self.log_end_offset, "a cut only removes");
        self.generation = self.generation.next();
        out.push(DiskOp::Truncate {
            log: self.id,
            generation: self.generation,
            segment,
            position,
            end_offset,
        });
        self.log_end_offset = end_offset;
        self.written = end_offset;
        self.flushed = self.flushed.min(end_offset);
        self.cleaned_to = self.cleaned_to.min(end_offset);
        self.gaps_to = self.gaps_to.min(end_offset);
        self.tail.truncate(end_offset, &mut memory.tail);
        for closed in &self.closed {
            memory.indexes.forget((self.id, closed.base_offset));
        }
        self.rolled.clear();
        self.undos.clear();
        self.in_flight.clear();
        self.unsynced_since = None;
        self.producers = Producers::default();
        self.forget_points(self.log_start_offset, end_offset);
        self.bad.retain(|bad| bad.start_offset < end_offset);
        if self.epochs.truncate_from_end(end_offset) {
            self.save_epochs(out);
        }
        self.forget_snapshots_above(end_offset, out);
    }
}
