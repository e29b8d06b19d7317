//! The copy of a log that moves, piece by piece, as fast as it may.

use super::super::broker::Broker;
use super::super::door::Outbox;
use crate::event::Severity;
use crate::ids::LogId;
use crate::limits::{MOVE_READ_BYTES, MOVES_MAX};
use crate::log::moving::CopyEnd;
use crate::time::Now;

impl Broker {
    /// Copies the next piece, where the throttle and the number of moves allow; without them once
    /// acknowledgements wait for the copy, for that is over soon.
    pub(super) fn copy_on(&mut self, now: Now, log: LogId, out: &mut Outbox) {
        let (config, moves) = (&self.config.moves, &self.moves);
        let is_open =
            moves.open_from(config) <= now.instant && moves.moves.range(..log).count() < MOVES_MAX;
        let bytes_max = config.piece_bytes(MOVE_READ_BYTES);
        let (Some(moving), Some(partition)) =
            (self.moves.moves.get_mut(&log), self.partitions.get_mut(log))
        else {
            return;
        };
        let source = partition.log_mut();
        let rooms = (&mut self.memory, &mut out.disk);
        moving.copy.follow(source, rooms.0, rooms.1);
        let durably = moving.is_settling();
        let bytes_max = match durably {
            true => MOVE_READ_BYTES,
            false => bytes_max,
        };
        let mut bytes = 0;
        if (is_open || durably) && moving.copy.is_idle() && moving.copy.is_behind(source) {
            let from = (source, bytes_max);
            bytes = moving.copy.advance(now, from, rooms.0, rooms.1);
        }
        moving.copy.settle(now, durably, rooms.1);
        self.charge_move(now, bytes);
    }

    pub(super) fn charge_move(&mut self, now: Now, bytes: u64) {
        if bytes > 0 {
            let owed = self.moves.open_from(&self.config.moves);
            self.moves.spent = (owed.max(now.instant), bytes);
        }
    }

    pub(super) fn on_copy_over(&mut self, now: Now, log: LogId, end: &CopyEnd, out: &mut Outbox) {
        let target = self.moves.target_of(log);
        self.drop_move(log, out);
        match (end, target) {
            (CopyEnd::Failed(why), _) => {
                let text = format!("the move to another directory ended: {why}; ask for it again");
                self.tell_move(log, Severity::Error, &text, out);
            }
            (CopyEnd::Outrun, Some(target)) => self.move_replica(now, log, target, out),
            (CopyEnd::Outrun, None) => {}
        }
    }
}
