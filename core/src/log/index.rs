//! What a segment's two sparse indexes have in common: fixed-size entries in order of offset.
//!
//! Memory is bounded however large a segment grows: the newest entries are kept whole until they
//! are on disk, older ones thinned to every n-th. Between two kept entries the file itself has the
//! rest, and because entries have one size, the place to read is known. Compare Kafka's
//! `AbstractIndex`, which maps the whole file instead.

use std::collections::VecDeque;
use std::fmt::Debug;

use bytes::Bytes;

use crate::ids::Offset;
use crate::limits::{INDEX_ENTRIES_BATCHED, INDEX_ENTRIES_KEPT};

/// An entry of an index file.
pub(super) trait IndexEntry: Copy + Debug + Eq {
    /// What look-ups compare; never decreases from entry to entry.
    type Key: Copy + Debug + Ord;
    /// Size in the file.
    const BYTES: u32;

    fn key(&self) -> Self::Key;
    /// The batch's last offset, relative to the segment's base.
    fn relative_offset(&self) -> u32;
    fn encode(&self, bytes: &mut Vec<u8>);
    /// Reads one entry; `bytes` has exactly [`Self::BYTES`].
    fn decode(bytes: &[u8]) -> Self;
    /// Whether `next` may follow this entry in a sound index.
    fn is_before(&self, next: &Self) -> bool;
}

/// Every n-th entry of an index, at most a fixed number of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Thinned<E> {
    /// Entry number `i * stride` of the file stands at `kept[i]`.
    kept: Vec<E>,
    /// A power of two.
    stride: u32,
    /// Entries taken in, kept or not.
    count: u32,
    /// Most entries kept.
    kept_max: usize,
}

/// Where an index says to look for a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct IndexFloor<E> {
    /// The last known entry whose key is not above the one looked for; `None` before the first.
    pub(super) entry: Option<E>,
    /// Entries of the file that may be nearer: the numbers `start..end`. Empty where none may.
    pub(super) unread: (u32, u32),
}

impl<E: IndexEntry> Thinned<E> {
    pub(super) fn new(kept_max: usize) -> Self {
        assert!(kept_max >= 2, "thinning halves what is kept");
        Self {
            kept: Vec::new(),
            stride: 1,
            count: 0,
            kept_max,
        }
    }

    /// Takes in the next entry of the file.
    pub(super) fn push(&mut self, entry: E) {
        if self.count.is_multiple_of(self.stride) {
            if self.kept.len() == self.kept_max {
                let mut number = 0;
                self.kept.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.kept.push(entry);
            }
        }
        self.count += 1;
        assert!(self.kept.len() <= self.kept_max, "thinning bounds memory");
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<E>()
    }

    pub(super) fn floor(&self, key: E::Key) -> IndexFloor<E> {
        let after = self.kept.partition_point(|entry| entry.key() <= key);
        let Some(place) = after.checked_sub(1) else {
            return IndexFloor {
                entry: None,
                unread: (0, 0),
            };
        };
        let number = u32::try_from(place).expect("bounded by kept_max") * self.stride;
        IndexFloor {
            entry: Some(self.kept[place]),
            unread: (number + 1, (number + self.stride).min(self.count)),
        }
    }
}

/// The index of a segment that is being appended to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct GrowingIndex<E> {
    /// Entries known to be in the file.
    settled: Thinned<E>,
    /// Entries after those, whole, oldest first.
    recent: Vec<E>,
    /// How many of `recent` were given to the disk.
    emitted: usize,
    /// Entries given to the disk together, and the mark whose passing proves that it has them.
    writes: VecDeque<(usize, Offset)>,
    /// The last entry of `settled`.
    settled_last: Option<E>,
}

impl<E: IndexEntry> Default for GrowingIndex<E> {
    fn default() -> Self {
        Self {
            settled: Thinned::new(INDEX_ENTRIES_KEPT),
            recent: Vec::new(),
            emitted: 0,
            writes: VecDeque::new(),
            settled_last: None,
        }
    }
}

impl<E: IndexEntry> GrowingIndex<E> {
    /// Takes in an entry that the file has already; before any [`Self::push`].
    pub(super) fn push_settled(&mut self, entry: E) {
        assert!(self.recent.is_empty(), "entries of the file come first");
        self.settled.push(entry);
        self.settled_last = Some(entry);
    }

    pub(super) fn push(&mut self, entry: E) {
        self.recent.push(entry);
    }

    /// Number of entries, in the file or not.
    pub(super) fn count(&self) -> u32 {
        self.settled.count() + u32::try_from(self.recent.len()).expect("at most 2^32 bytes indexed")
    }

    /// Whether enough entries wait to be worth a write.
    pub(super) fn is_write_due(&self) -> bool {
        self.recent.len() - self.emitted >= INDEX_ENTRIES_BATCHED
    }

    /// Whether there are entries not yet given to the disk.
    pub(super) fn has_unwritten(&self) -> bool {
        self.emitted < self.recent.len()
    }

    /// The entries not yet given to the disk, and where in the file they begin; counts them as
    /// given. The disk has them once everything below `covered_by` is written.
    ///
    /// Sound because an append up to `covered_by` follows this write, and the disk keeps their
    /// order.
    pub(super) fn take_unwritten(&mut self, covered_by: Offset) -> Option<(u32, Bytes)> {
        let waiting = &self.recent[self.emitted..];
        if waiting.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(waiting.len() * E::BYTES as usize);
        for entry in waiting {
            entry.encode(&mut bytes);
        }
        let position = self.emitted_bytes();
        self.writes.push_back((waiting.len(), covered_by));
        self.emitted = self.recent.len();
        Some((position, Bytes::from(bytes)))
    }

    /// Lets go of entries that the file has, now that everything below `written` is.
    pub(super) fn on_written(&mut self, written: Offset) {
        let mut settled = 0;
        while let Some((entries, covered_by)) = self.writes.front()
            && *covered_by <= written
        {
            settled += entries;
            self.writes.pop_front();
        }
        for entry in self.recent.drain(..settled) {
            self.settled.push(entry);
            self.settled_last = Some(entry);
        }
        self.emitted -= settled;
    }

    /// Forgets entries at and above `end`, an offset relative to the segment's base that is not
    /// below what was written. What the disk may not have is to be given to it again. Answers the
    /// length in bytes that the file is to be cut to.
    pub(super) fn rewind(&mut self, end: u32) -> u32 {
        self.recent.retain(|entry| entry.relative_offset() < end);
        self.emitted = 0;
        self.writes.clear();
        self.emitted_bytes()
    }

    /// All entries are in the file already.
    pub(super) fn settle(&mut self) {
        for entry in self.recent.drain(..) {
            self.settled.push(entry);
            self.settled_last = Some(entry);
        }
        self.emitted = 0;
        self.writes.clear();
    }

    /// All entries that may not be in the file, and where in it they begin; what the file has from
    /// there on is not theirs.
    pub(super) fn rewrite(&mut self, covered_by: Offset) -> (u32, Bytes) {
        self.emitted = 0;
        self.writes.clear();
        let position = self.emitted_bytes();
        let none = (position, Bytes::new());
        self.take_unwritten(covered_by).unwrap_or(none)
    }

    /// Everything it knows, to be kept while the segment is closed.
    pub(super) fn into_thinned(mut self) -> Thinned<E> {
        for entry in self.recent {
            self.settled.push(entry);
        }
        self.settled
    }

    fn emitted_bytes(&self) -> u32 {
        let emitted = u32::try_from(self.emitted).expect("at most 2^32 bytes indexed");
        (self.settled.count() + emitted) * E::BYTES
    }

    /// The newest entry.
    pub(super) fn last(&self) -> Option<&E> {
        self.recent.last().or(self.settled_last.as_ref())
    }

    /// Where to look for `key`.
    pub(super) fn floor(&self, key: E::Key) -> IndexFloor<E> {
        let after = self.recent.partition_point(|entry| entry.key() <= key);
        match after.checked_sub(1) {
            Some(place) => IndexFloor {
                entry: Some(self.recent[place]),
                unread: (0, 0),
            },
            None => self.settled.floor(key),
        }
    }
}

/// Reads the entries at the front of `bytes`, until the first that cannot follow its predecessor
/// (reserved space is zeros) or is incomplete. Answers the last sound entry.
pub(super) fn decode_into<E: IndexEntry>(
    bytes: &[u8],
    before: Option<E>,
    mut each: impl FnMut(E),
) -> Option<E> {
    let mut last = before;
    for chunk in bytes.chunks_exact(E::BYTES as usize) {
        let entry = E::decode(chunk);
        if last.is_some_and(|last| !last.is_before(&entry)) {
            break;
        }
        if last.is_none() && chunk.iter().all(|&byte| byte == 0) {
            break;
        }
        each(entry);
        last = Some(entry);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::offset_index::OffsetEntry;

    fn entry(number: u32) -> OffsetEntry {
        OffsetEntry {
            relative_offset: number * 10 + 9,
            position: number * 100,
        }
    }

    #[test]
    fn thinning_keeps_every_nth_and_names_the_unread_between() {
        let mut thinned = Thinned::new(4);
        for number in 0..21 {
            thinned.push(entry(number));
        }
        assert_eq!(thinned.stride, 8);
        assert_eq!(thinned.count(), 21);
        let floor = thinned.floor(entry(9).key() + 3);
        assert_eq!(floor.entry, Some(entry(8)));
        assert_eq!(floor.unread, (9, 16));
        let floor = thinned.floor(entry(30).key());
        assert_eq!((floor.entry, floor.unread), (Some(entry(16)), (17, 21)));
        assert_eq!(thinned.floor(0).entry, None);
    }

    #[test]
    fn entries_leave_memory_only_when_the_file_has_them() {
        let mut index = GrowingIndex::default();
        let many = u32::try_from(INDEX_ENTRIES_BATCHED).unwrap();
        for number in 0..many {
            index.push(entry(number));
        }
        assert!(index.is_write_due());
        let (position, bytes) = index.take_unwritten(Offset(400)).unwrap();
        assert_eq!((position, bytes.len() as u32), (0, many * 8));
        assert_eq!(index.take_unwritten(Offset(400)), None);
        index.on_written(Offset(399));
        assert_eq!(index.settled.count(), 0);
        index.on_written(Offset(400));
        assert_eq!(index.settled.count(), many);
        index.push(entry(many));
        index.push(entry(many + 1));
        let (position, _bytes) = index.take_unwritten(Offset(500)).unwrap();
        assert_eq!(position, many * 8);
        assert_eq!(index.rewind(entry(many + 1).relative_offset), many * 8);
        assert_eq!(index.last(), Some(&entry(many)));
        let (position, bytes) = index.take_unwritten(Offset(500)).unwrap();
        assert_eq!((position, bytes.len()), (many * 8, 8));
    }

    #[test]
    fn decoding_stops_at_reserved_space_and_disorder() {
        let mut bytes = Vec::new();
        entry(0).encode(&mut bytes);
        entry(1).encode(&mut bytes);
        bytes.extend_from_slice(&[0; 20]);
        let mut seen = Vec::new();
        let last = decode_into(&bytes, None, |entry: OffsetEntry| seen.push(entry));
        assert_eq!(seen, [entry(0), entry(1)]);
        assert_eq!(last, Some(entry(1)));
        assert_eq!(decode_into(&[0; 16], None, |_: OffsetEntry| ()), None);
    }
}
