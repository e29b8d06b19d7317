//! Stopping in order.
//!
//! Every log writes what it holds back (index ends, a snapshot of its producers) and is synced;
//! then the checkpoints, and last the marker that vouches for it all (R58).

use bytes::Bytes;

use super::broker::Broker;
use super::door::Outbox;
use crate::ids::DirectoryIndex;
use crate::log::{Log, LogState};
use crate::storage::{DirectoryFile, DiskDone, DiskOp, FailureScope, Token};
use crate::time::Now;

/// Number of the token of the last saves.
const MARKER_TOKEN: u32 = 3;

/// A stop in progress.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// Logs are being synced.
    Closing,
    /// The markers are being written; so many are to come.
    Marking(usize),
    /// It is done.
    Stopped,
}

impl Stop {
    /// Begins to stop: nothing is parked or appended any more.
    pub(super) fn begin(broker: &mut Broker, now: Now, out: &mut Outbox) -> Self {
        broker.groups.stop();
        broker.abandon_compactions(out);
        broker.stop_moves();
        for partition in broker.partitions.iter_mut() {
            partition.log_mut().close(now, &mut out.disk);
        }
        broker.quorum.log_mut().close(now, &mut out.disk);
        Self::Closing
    }

    /// Notes an answer of the disk.
    pub(super) fn on_disk(&mut self, done: &DiskDone) {
        let marker = Token::of_node(MARKER_TOKEN);
        let is_over = match done {
            DiskDone::Saved { token } => *token == marker,
            // Without its marker, what the directory holds is checked at the next start.
            DiskDone::Failed { scope, .. } => match scope {
                FailureScope::Append { .. } => false,
                FailureScope::Directory(_) => true,
                FailureScope::Save(token) => *token == marker,
            },
            DiskDone::Appended { .. }
            | DiskDone::Created { .. }
            | DiskDone::Read { .. }
            | DiskDone::Synced { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => false,
        };
        if let Self::Marking(left) = self
            && is_over
        {
            *left -= 1;
            if *left == 0 {
                *self = Self::Stopped;
            }
        }
    }

    /// Goes on when everything before is durable.
    pub(super) fn settle(&mut self, broker: &mut Broker, out: &mut Outbox) {
        let Self::Closing = self else {
            return;
        };
        let logs = || {
            broker
                .partitions
                .iter()
                .map(|partition| partition.log())
                .chain([broker.quorum.log()])
        };
        if !logs().all(is_over) || broker.moves.is_switching() {
            return;
        }
        broker.save_checkpoints(Token::of_node(0), out);
        let directories = broker.identity.directories.len();
        let mut marks = 0;
        for at in 0..directories {
            let directory = DirectoryIndex(u8::try_from(at).expect("log.dirs is bounded"));
            if broker.housekeeping.records.is_lost(directory) {
                // What it holds is to be checked at the next start.
                continue;
            }
            let content = format!(
                "{{\"version\":0,\"brokerEpoch\":{}}}",
                broker.identity.broker_epoch
            );
            marks += 1;
            out.disk.push(DiskOp::SaveDirectoryFile {
                directory,
                file: DirectoryFile::CleanShutdown,
                bytes: Bytes::from(content),
                token: Token::of_node(MARKER_TOKEN),
            });
        }
        *self = match marks {
            0 => Self::Stopped,
            marks => Self::Marking(marks),
        };
    }
}

/// Whether nothing more can be made durable of a log.
fn is_over(log: &Log) -> bool {
    log.is_closed() || log.state() == LogState::Offline
}
