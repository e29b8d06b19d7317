//! The newest batches of a log, in memory: what consumers at the end of a log read.
//!
//! Holds whole batches as they were handed to the disk, without a copy. How much of memory all
//! tails together may hold is the business of [`super::memory::TailBudget`].

use std::collections::VecDeque;

use super::memory::{TailBudget, Ticket};
use crate::ids::{LogId, Offset};
use crate::storage::{Slice, StampedBatch};

/// One batch.
#[derive(Clone, Debug)]
struct TailBatch {
    base_offset: Offset,
    end_offset: Offset,
    /// Where it begins in its segment's file.
    position: u32,
    ticket: Ticket,
    charged_bytes: u64,
    batch: StampedBatch,
}

/// Batches in order of offset. Invariant: the last one ends at the log's end.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    batches: VecDeque<TailBatch>,
}

impl Tail {
    /// Takes in the batch just appended, which keeps `pinned_bytes` of memory alive.
    pub(super) fn push(
        &mut self,
        log: LogId,
        (base_offset, end_offset): (Offset, Offset),
        position: u32,
        (batch, pinned_bytes): (StampedBatch, u64),
        budget: &mut TailBudget,
    ) {
        let (ticket, charged_bytes) = budget.charge(log, pinned_bytes);
        self.batches.push_back(TailBatch {
            base_offset,
            end_offset,
            position,
            ticket,
            charged_bytes,
            batch,
        });
    }

    /// Offset of the first batch; `None` while empty.
    pub(super) fn start_offset(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base_offset)
    }

    /// Where the first batch at or above `offset` lies in its segment's file.
    pub(super) fn position_from(&self, offset: Offset) -> Option<u32> {
        let place = self
            .batches
            .partition_point(|batch| batch.base_offset < offset);
        self.batches.get(place).map(|batch| batch.position)
    }

    /// The end of the last batch that ends at or below `bound`, and whether there is one.
    pub(super) fn end_at_or_below(&self, bound: Offset) -> Option<Offset> {
        let after = self
            .batches
            .partition_point(|batch| batch.end_offset <= bound);
        let place = after.checked_sub(1)?;
        Some(self.batches[place].end_offset)
    }

    /// Whole batches from the one that holds `start` on, none past `bound`, together at most
    /// `max_bytes`; the first one even if it is larger, where `at_least_one`.
    ///
    /// `None` where the tail does not reach back to `start`.
    pub(super) fn read(
        &self,
        start: Offset,
        bound: Offset,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Option<Vec<Slice>> {
        if self.start_offset()? > start {
            return None;
        }
        let first = self
            .batches
            .partition_point(|batch| batch.end_offset <= start);
        let mut slices = Vec::new();
        let mut size_bytes = 0;
        for held in self.batches.range(first..) {
            if held.end_offset > bound {
                break;
            }
            size_bytes += held.batch.size_bytes();
            let is_owed = slices.is_empty() && at_least_one;
            if size_bytes > max_bytes && !is_owed {
                break;
            }
            slices.push(Slice::Memory(held.batch.clone()));
        }
        Some(slices)
    }

    /// Lets go of everything up to the batch of `ticket` that ends at or below `bound`.
    pub(super) fn evict(&mut self, ticket: Ticket, bound: Offset, budget: &mut TailBudget) {
        while let Some(held) = self.batches.front()
            && held.ticket <= ticket
            && held.end_offset <= bound
        {
            budget.on_freed(held.charged_bytes);
            self.batches.pop_front();
        }
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        }
    }

    /// Forgets batches at and above `end`.
    pub(super) fn truncate(&mut self, end: Offset, budget: &mut TailBudget) {
        while let Some(held) = self.batches.back()
            && held.end_offset > end
        {
            budget.on_freed(held.charged_bytes);
            budget.cancel(held.ticket);
            self.batches.pop_back();
        }
    }

    /// Forgets batches that lie whole below `start`.
    pub(super) fn truncate_front(&mut self, start: Offset, budget: &mut TailBudget) {
        while let Some(held) = self.batches.front()
            && held.end_offset <= start
        {
            budget.on_freed(held.charged_bytes);
            budget.cancel(held.ticket);
            self.batches.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::build::{Wanted, leader_batch};
    use super::*;
    use crate::ids::LeaderEpoch;

    const SIZE: usize = 61 + 20;

    fn filled(budget: &mut TailBudget) -> Tail {
        let mut tail = Tail::default();
        for number in 0..4 {
            let base = Offset(100 + number * 10);
            let wanted = Wanted {
                count: 10,
                ..Wanted::default()
            };
            let stamped = leader_batch(wanted).stamp(base, LeaderEpoch(0));
            let position = u32::try_from(number).unwrap() * SIZE as u32;
            tail.push(LogId(1), (base, base.plus(10)), position, stamped, budget);
        }
        tail
    }

    fn count(read: Option<Vec<Slice>>) -> Option<usize> {
        read.map(|slices| slices.len())
    }

    #[test]
    fn reads_are_whole_batches_within_bounds() {
        let tail = filled(&mut TailBudget::new(1 << 20));
        let read =
            |start, bound, max, one| count(tail.read(Offset(start), Offset(bound), max, one));
        assert_eq!(read(99, 140, 1000, true), None);
        assert_eq!(read(100, 140, 1000, true), Some(4));
        assert_eq!(read(109, 139, 1000, true), Some(3));
        assert_eq!(read(110, 140, 2 * SIZE, true), Some(2));
        assert_eq!(read(110, 140, SIZE - 1, true), Some(1));
        assert_eq!(read(110, 140, SIZE - 1, false), Some(0));
        assert_eq!(read(110, 119, 1000, true), Some(0));
        assert_eq!(read(140, 140, 1000, true), Some(0));
        assert_eq!(tail.position_from(Offset(120)), Some(2 * SIZE as u32));
        assert_eq!(tail.position_from(Offset(131)), None);
        assert_eq!(tail.end_at_or_below(Offset(129)), Some(Offset(120)));
    }

    #[test]
    fn memory_is_given_back() {
        let mut budget = TailBudget::new(3 * (SIZE as u64 + 128));
        let mut tail = filled(&mut budget);
        let (log, ticket) = budget.next_victim().unwrap();
        assert_eq!(log, LogId(1));
        tail.evict(ticket, Offset(109), &mut budget);
        assert_eq!(tail.start_offset(), Some(Offset(100)), "it is kept");
        tail.evict(ticket, Offset(110), &mut budget);
        assert_eq!(budget.next_victim(), None);
        assert_eq!(tail.start_offset(), Some(Offset(110)));
        tail.truncate(Offset(130), &mut budget);
        assert_eq!(tail.batches.len(), 2);
        tail.truncate_front(Offset(120), &mut budget);
        tail.truncate(Offset(0), &mut budget);
        assert_eq!(budget.held_bytes(), 0);
    }
}
