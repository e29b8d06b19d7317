//! The moment in which a copy becomes the log, and the folders that follow.
//!
//! Steps 5 to 8 of `log::moving`: from the switch on the partition is the copy, and its writes are
//! acknowledged again once the former log's folder is out of the way.

use std::sync::Arc;

use super::super::broker::{Broker, event};
use super::super::door::Outbox;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, LogId};
use crate::log::Log;
use crate::partition::{Hold, Partition, Wakeups};
use crate::storage::{DiskOp, Token};
use crate::time::{Now, from_ms};

/// A log that took another's place, whose folders are to be renamed.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    /// The partition's own folder name.
    folder: Arc<str>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The present log's folder gets the partition's name.
    Arrive(Token),
    /// The former log's folder gets out of the way.
    Leave {
        former: Box<Log>,
        directory: DirectoryIndex,
        token: Token,
    },
}

impl Switch {
    /// The former log, where it lies in this directory and its folder may still be the partition's.
    pub(super) fn leaving(&self, wanted: DirectoryIndex) -> Option<&Log> {
        match &self.stage {
            Stage::Leave {
                former, directory, ..
            } if *directory == wanted => Some(former),
            Stage::Arrive(_) | Stage::Leave { .. } => None,
        }
    }

    fn token(&self) -> Token {
        match &self.stage {
            Stage::Arrive(token) | Stage::Leave { token, .. } => *token,
        }
    }
}

impl Broker {
    /// Lets the copy take the log's place, where that is possible in this turn.
    pub(super) fn maybe_switch(&mut self, now: Now, log: LogId, out: &mut Outbox) {
        if self.moves.switches.contains_key(&log) || self.moves.is_stopped {
            return;
        }
        let (Some(moving), Some(partition)) =
            (self.moves.moves.get_mut(&log), self.partitions.get_mut(log))
        else {
            return;
        };
        let Some(hold) = moving.hold() else {
            return;
        };
        if hold.committed < partition.high_watermark() {
            return;
        }
        let acknowledged = Hold {
            written: partition.written_end().min(hold.written),
            committed: partition.high_watermark(),
        };
        let source = partition.log_mut();
        let rooms = (&mut self.memory, &mut out.disk);
        let Some(copy) = moving.copy.switch(now, source, rooms.0, rooms.1) else {
            return;
        };
        let target = moving.target;
        let name = partition.topic_partition().to_string();
        let former_directory = partition.identity().directory;
        let present = copy.id();
        let former = self.partitions.succeed(log, |partition| {
            partition.hold(Some(acknowledged));
            partition.change_log(copy, target)
        });
        let mut former = former.expect("it was just found");
        former.release(&mut self.memory);
        self.moves.moves.remove(&log);
        self.moves.futures.remove(&present);
        self.housekeeping.note_log(log, None);
        self.on_group_log_moved(log, present);
        let token = former.take_token();
        let folder = format!("{name}.{}-delete", self.random_digits());
        out.disk.push(DiskOp::RenameLog {
            log,
            folder: folder.into(),
            token,
        });
        let switch = Switch {
            folder: name.into(),
            stage: Stage::Leave {
                former: Box::new(former),
                directory: former_directory,
                token,
            },
        };
        self.moves.switches.insert(present, switch);
    }

    /// A folder was renamed, if the token is of that; answers whether it is.
    pub(super) fn on_renamed(&mut self, now: Now, token: Token, out: &mut Outbox) -> bool {
        let mut switches = self.moves.switches.iter();
        let found = switches.find(|(_log, switch)| switch.token() == token);
        let Some((&log, _switch)) = found else {
            // Of a former log, nothing else is awaited.
            return token
                .log()
                .is_some_and(|log| self.partitions.is_former(log));
        };
        let Some(switch) = self.moves.switches.remove(&log) else {
            return true;
        };
        match switch.stage {
            Stage::Leave { former, .. } => self.on_left(now, log, (&former, switch.folder), out),
            Stage::Arrive(_) => {
                let text = "is in its new data directory";
                self.tell_move(log, Severity::Info, text, out);
            }
        }
        true
    }

    /// The former log is out of the way: the present one counts, whatever happens.
    fn on_left(
        &mut self,
        now: Now,
        log: LogId,
        (former, folder): (&Log, Arc<str>),
        out: &mut Outbox,
    ) {
        let delay = from_ms(former.settings().file_delete_delay_ms);
        self.housekeeping
            .remove_log_at(now.after(delay), former.id());
        self.housekeeping.save_checkpoints_soon(now);
        // The topic may have been deleted meanwhile.
        let Some(partition) = self.partitions.get_mut(log) else {
            return;
        };
        // Another move may have got as far as to hold it back meanwhile.
        let next = self.moves.moves.get(&log);
        partition.hold(next.and_then(super::Move::hold));
        let token = partition.log_mut().take_token();
        partition.log_mut().rename(Arc::clone(&folder));
        self.touched.insert(log);
        out.disk.push(DiskOp::RenameLog {
            log,
            folder: Arc::clone(&folder),
            token,
        });
        let stage = Stage::Arrive(token);
        let switch = Switch { folder, stage };
        self.moves.switches.insert(log, switch);
    }

    /// A directory is lost: whether a folder there was renamed is known after the next start.
    pub(super) fn on_directory_of_switches_lost(
        &mut self,
        now: Now,
        directory: DirectoryIndex,
        out: &mut Outbox,
    ) {
        let switches = std::mem::take(&mut self.moves.switches);
        for (log, switch) in switches {
            let present = self.partitions.get(log).map(Partition::identity);
            let is_target = present.is_some_and(|identity| identity.directory == directory);
            if switch.leaving(directory).is_some() {
                self.take_offline(now, log, out);
            } else if !is_target {
                self.moves.switches.insert(log, switch);
            }
        }
    }

    /// Which of two logs counts is not known: neither does until the next start.
    fn take_offline(&mut self, now: Now, log: LogId, out: &mut Outbox) {
        let mut wakeups = Wakeups::default();
        if let Some(partition) = self.partitions.get_mut(log) {
            let name = partition.topic_partition().to_string();
            partition.log_mut().on_directory_failed();
            partition.fail_all(&mut wakeups);
            out.events.push(event(
                Severity::Error,
                &name,
                "is offline until the broker is started again: its former data directory failed \
                 while it left there"
                    .to_owned(),
            ));
        }
        self.wake(now, wakeups, out);
        self.on_group_log_lost(now, log, out);
    }
}
