//! Memory that all logs of a broker share: the budget of their tails, and loaded indexes.
//!
//! Owned by whoever owns the logs and lent to them call by call, so that one busy partition may use
//! what idle ones do not need.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::index::{GrowingIndex, IndexEntry, Thinned};
use super::offset_index::OffsetEntry;
use super::time_index::TimeEntry;
use crate::ids::{LogId, Offset};
use crate::limits::{INDEX_CACHE_BYTES_MAX, TAIL_BATCH_OVERHEAD_BYTES};
use crate::mutants::mutant;

/// What the logs of one broker share.
#[derive(Clone, Debug)]
pub struct LogMemory {
    /// The budget of the tails.
    pub tail: TailBudget,
    pub(super) indexes: IndexCache,
}

impl LogMemory {
    /// Memory with `tail_bytes_max` for the tails (`log.tail.bytes`).
    #[must_use]
    pub fn new(tail_bytes_max: u64) -> Self {
        Self {
            tail: TailBudget::new(tail_bytes_max),
            indexes: IndexCache::default(),
        }
    }

    /// Bytes of loaded indexes of closed segments.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.indexes.bytes as u64
    }
}

/// The place of a batch in the order in which tails took batches in, over all logs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// How much memory the tails of all logs hold, and whose batch is the oldest.
#[derive(Clone, Debug)]
pub struct TailBudget {
    bytes_max: u64,
    bytes: u64,
    /// Oldest first; a cancelled ticket has no log any more.
    queue: VecDeque<(Ticket, Option<LogId>)>,
    next_ticket: u64,
}

impl TailBudget {
    /// A budget of `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            bytes: 0,
            queue: VecDeque::new(),
            next_ticket: 0,
        }
    }

    /// Bytes the tails hold, with an estimate for each batch's bookkeeping.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes they may hold.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Changes the budget; it takes effect with the next evictions.
    pub fn resize(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// While the tails hold too much: the log with the oldest batch, and the ticket to call
    /// [`super::Log::evict`] with. A log that is gone may be skipped.
    pub fn next_victim(&mut self) -> Option<(LogId, Ticket)> {
        let factor = if mutant!(M55) { 2 } else { 1 };
        while self.bytes > self.bytes_max.saturating_mul(factor) {
            let (ticket, log) = self.queue.pop_front()?;
            if let Some(log) = log {
                return Some((log, ticket));
            }
        }
        None
    }

    pub(super) fn charge(&mut self, log: LogId, pinned_bytes: u64) -> (Ticket, u64) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let charged_bytes = pinned_bytes + TAIL_BATCH_OVERHEAD_BYTES;
        self.bytes += charged_bytes;
        self.queue.push_back((ticket, Some(log)));
        (ticket, charged_bytes)
    }

    pub(super) fn on_freed(&mut self, charged_bytes: u64) {
        assert!(charged_bytes <= self.bytes, "freed bytes were charged");
        self.bytes -= charged_bytes;
    }

    /// Forgets a ticket whose batch is gone already.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        let place = self
            .queue
            .partition_point(|(queued, _log)| *queued < ticket);
        if let Some(entry) = self.queue.get_mut(place)
            && entry.0 == ticket
        {
            entry.1 = None;
        }
        while self
            .queue
            .back()
            .is_some_and(|(_ticket, log)| log.is_none())
        {
            self.queue.pop_back();
        }
    }
}

/// Which index of which segment.
type IndexKey = (LogId, Offset);

/// Both indexes of a segment that is closed, thinned.
#[derive(Clone, Debug)]
pub(super) enum LoadedIndex {
    Offsets(Arc<Thinned<OffsetEntry>>),
    Times(Arc<Thinned<TimeEntry>>),
}

/// Indexes of closed segments, those least recently used dropped first.
#[derive(Clone, Debug, Default)]
pub(super) struct IndexCache {
    offsets: BTreeMap<IndexKey, (u64, Arc<Thinned<OffsetEntry>>)>,
    times: BTreeMap<IndexKey, (u64, Arc<Thinned<TimeEntry>>)>,
    /// Keys by last use; `true` for a time index.
    by_use: BTreeMap<u64, (IndexKey, bool)>,
    next_use: u64,
    bytes: usize,
}

impl IndexCache {
    pub(super) fn offsets(&mut self, key: IndexKey) -> Option<Arc<Thinned<OffsetEntry>>> {
        let next_use = self.next_use;
        let (last_use, index) = self.offsets.get_mut(&key)?;
        self.by_use.remove(last_use);
        *last_use = next_use;
        self.by_use.insert(next_use, (key, false));
        self.next_use += 1;
        Some(Arc::clone(index))
    }

    pub(super) fn times(&mut self, key: IndexKey) -> Option<Arc<Thinned<TimeEntry>>> {
        let next_use = self.next_use;
        let (last_use, index) = self.times.get_mut(&key)?;
        self.by_use.remove(last_use);
        *last_use = next_use;
        self.by_use.insert(next_use, (key, true));
        self.next_use += 1;
        Some(Arc::clone(index))
    }

    pub(super) fn insert(&mut self, key: IndexKey, index: LoadedIndex) {
        let is_times = matches!(index, LoadedIndex::Times(_));
        self.remove(key, is_times);
        match index {
            LoadedIndex::Offsets(index) => {
                self.bytes += cost(&index);
                self.offsets.insert(key, (self.next_use, index));
            }
            LoadedIndex::Times(index) => {
                self.bytes += cost(&index);
                self.times.insert(key, (self.next_use, index));
            }
        }
        self.by_use.insert(self.next_use, (key, is_times));
        self.next_use += 1;
        while self.bytes > INDEX_CACHE_BYTES_MAX
            && self.by_use.len() > 1
            && let Some((_use, (oldest, is_times))) = self.by_use.pop_first()
        {
            self.remove(oldest, is_times);
        }
    }

    /// Keeps the indexes of a segment that was closed and is whole on disk.
    pub(super) fn keep(
        &mut self,
        key: IndexKey,
        offsets: GrowingIndex<OffsetEntry>,
        times: GrowingIndex<TimeEntry>,
    ) {
        self.insert(key, LoadedIndex::Offsets(Arc::new(offsets.into_thinned())));
        self.insert(key, LoadedIndex::Times(Arc::new(times.into_thinned())));
    }

    /// Forgets a segment: it was deleted, or its files changed.
    pub(super) fn forget(&mut self, key: IndexKey) {
        self.remove(key, false);
        self.remove(key, true);
    }

    fn remove(&mut self, key: IndexKey, is_times: bool) {
        let gone = if is_times {
            self.times
                .remove(&key)
                .map(|(last_use, index)| (last_use, cost(&index)))
        } else {
            self.offsets
                .remove(&key)
                .map(|(last_use, index)| (last_use, cost(&index)))
        };
        if let Some((last_use, bytes)) = gone {
            self.by_use.remove(&last_use);
            assert!(bytes <= self.bytes, "removed bytes were counted");
            self.bytes -= bytes;
        }
    }
}

/// Bytes of an index with its bookkeeping.
fn cost<E: IndexEntry>(index: &Thinned<E>) -> usize {
    index.heap_bytes() + 160
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn victims_are_the_oldest_and_cancelled_tickets_are_skipped() {
        let mut budget = TailBudget::new(0);
        let (first, _) = budget.charge(LogId(1), 10);
        let (second, freed) = budget.charge(LogId(2), 10);
        let (third, _) = budget.charge(LogId(3), 10);
        budget.cancel(second);
        budget.on_freed(freed);
        assert_eq!(budget.next_victim(), Some((LogId(1), first)));
        assert_eq!(budget.next_victim(), Some((LogId(3), third)));
        assert_eq!(budget.next_victim(), None);
    }

    #[test]
    fn cancelled_tickets_do_not_pile_up() {
        let mut budget = TailBudget::new(1 << 20);
        budget.charge(LogId(1), 10);
        for _ in 0..1000 {
            let (ticket, freed) = budget.charge(LogId(2), 10);
            budget.on_freed(freed);
            budget.cancel(ticket);
        }
        assert_eq!(budget.queue.len(), 1);
    }

    #[test]
    fn the_least_recently_used_index_goes_first() {
        let mut cache = IndexCache::default();
        let index = |entries: u32| {
            let mut index = Thinned::new(1 << 20);
            for number in 0..entries {
                index.push(OffsetEntry {
                    relative_offset: number + 1,
                    position: number,
                });
            }
            LoadedIndex::Offsets(Arc::new(index))
        };
        let third = u32::try_from(INDEX_CACHE_BYTES_MAX / 8 / 3).unwrap();
        let key = |segment| (LogId(0), Offset(segment));
        cache.insert(key(0), index(third.next_power_of_two() / 2));
        cache.insert(key(1), index(third.next_power_of_two() / 2));
        assert!(cache.offsets(key(0)).is_some());
        cache.insert(key(2), index(third.next_power_of_two()));
        assert!(cache.bytes <= INDEX_CACHE_BYTES_MAX);
        assert!(cache.offsets(key(1)).is_none());
        assert!(cache.offsets(key(2)).is_some());
        cache.forget(key(0));
        cache.forget(key(2));
        assert_eq!((cache.bytes, cache.by_use.len()), (0, 0));
    }
}
