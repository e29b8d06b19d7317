//! Finding the position of a batch in a segment's file: by its offset or by its time.
//!
//! Index in memory, then at most one read of the index file, then a step over batch headers. The
//! state between two reads is a value that anybody may park. Says nothing of what is done with the
//! position.

use std::sync::Arc;

use bytes::Bytes;

use super::batch::{BatchDamage, BatchInfo, HEADER_BYTES};
use super::index::{IndexEntry, IndexFloor, Thinned, decode_into};
use super::memory::LoadedIndex;
use super::offset_index::OffsetEntry;
use super::time_index::TimeEntry;
use super::{Log, LogMemory};
use crate::ids::{Generation, Offset};
use crate::limits::{INDEX_ENTRIES_LOADED, JOB_READ_BYTES, LOOKUP_READ_BYTES};
use crate::storage::LogFile;
use crate::time::Timestamp;

/// A batch in a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Point {
    pub(super) segment: Offset,
    pub(super) position: u32,
    pub(super) info: BatchInfo,
}

/// Which batch is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Goal {
    /// The first that ends above this offset.
    Above(Offset),
    /// The first that ends above this offset and has a record with this timestamp or a later one.
    NotBefore(Timestamp, Offset),
}

/// What a search comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Located {
    /// The batch.
    At(Point),
    /// What lies at `position`, where a batch should begin that follows `offset`.
    Damaged {
        offset: Offset,
        position: u32,
        damage: BatchDamage,
    },
    /// The segment's readable part has no such batch.
    Nowhere,
}

/// How a search goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Done(Located),
    Read {
        file: LogFile,
        position: u32,
        length: u32,
    },
}

/// A search between two reads.
#[derive(Clone, Debug)]
pub(super) struct Locate {
    pub(super) segment: Offset,
    generation: Generation,
    replacements: u64,
    goal: Goal,
    /// Bytes of the segment's file that are written.
    readable_bytes: u32,
    stage: Stage,
    is_index_used: bool,
}

#[derive(Clone, Debug)]
enum Stage {
    LoadOffsets(Loader<OffsetEntry>, u32),
    LoadTimes(Loader<TimeEntry>),
    Scan { position: u32, after: Offset },
    WindowOffsets(Window<OffsetEntry>, u32),
    WindowTimes(Window<TimeEntry>),
}

/// An index file on its way into memory.
#[derive(Clone, Debug)]
struct Loader<E> {
    index: Thinned<E>,
    last: Option<E>,
    position: u32,
}

/// Entries of an index file between two that are in memory.
#[derive(Clone, Copy, Debug)]
struct Window<E> {
    floor: E,
    unread: (u32, u32),
}

impl<E: IndexEntry> Loader<E> {
    fn new() -> Self {
        Self {
            index: Thinned::new(INDEX_ENTRIES_LOADED),
            last: None,
            position: 0,
        }
    }

    fn read(&self, file: LogFile) -> Step {
        Step::Read {
            file,
            position: self.position,
            length: JOB_READ_BYTES / E::BYTES * E::BYTES,
        }
    }

    /// Takes in a piece; answers whether the file goes on.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let before = self.index.count();
        let index = &mut self.index;
        self.last = decode_into(bytes, self.last, |entry| index.push(entry));
        let taken = (self.index.count() - before) * E::BYTES;
        self.position += taken;
        taken > 0 && taken == JOB_READ_BYTES / E::BYTES * E::BYTES
    }
}

impl<E: IndexEntry> Window<E> {
    fn read(&self, file: LogFile) -> Step {
        let (start, end) = self.unread;
        Step::Read {
            file,
            position: start * E::BYTES,
            length: ((end - start) * E::BYTES).min(JOB_READ_BYTES / E::BYTES * E::BYTES),
        }
    }

    fn nearest(&self, bytes: &[u8], key: E::Key) -> E {
        let mut nearest = self.floor;
        decode_into(bytes, Some(self.floor), |entry: E| {
            if entry.key() <= key {
                nearest = entry;
            }
        });
        nearest
    }
}

impl Log {
    /// Begins a search in the segment with this base offset, which must be there.
    pub(super) fn locate(
        &self,
        segment: Offset,
        goal: Goal,
        memory: &mut LogMemory,
    ) -> (Locate, Step) {
        let mut locate = Locate {
            segment,
            generation: self.generation,
            replacements: self.replacements,
            goal,
            readable_bytes: self.readable_bytes(segment),
            stage: Stage::Scan {
                position: 0,
                after: segment,
            },
            is_index_used: true,
        };
        let step = match goal {
            Goal::Above(offset) => {
                let relative = relative(segment, offset);
                self.by_offset(&mut locate, relative, memory)
            }
            Goal::NotBefore(timestamp, _) => self.by_time(&mut locate, timestamp, memory),
        };
        (locate, step)
    }

    /// Goes on with the bytes that were asked for.
    pub(super) fn locate_next(
        &self,
        locate: &mut Locate,
        bytes: &Bytes,
        memory: &mut LogMemory,
    ) -> Step {
        let key = (self.id, locate.segment);
        match &mut locate.stage {
            Stage::LoadOffsets(loader, wanted) => {
                if loader.take(bytes) {
                    return loader.read(LogFile::OffsetIndex(locate.segment));
                }
                let (index, wanted) = (Arc::new(loader.index.clone()), *wanted);
                memory.indexes.insert(key, LoadedIndex::Offsets(index));
                self.by_offset(locate, wanted, memory)
            }
            Stage::LoadTimes(loader) => {
                if loader.take(bytes) {
                    return loader.read(LogFile::TimeIndex(locate.segment));
                }
                let index = Arc::new(loader.index.clone());
                memory.indexes.insert(key, LoadedIndex::Times(index));
                let Goal::NotBefore(timestamp, _) = locate.goal else {
                    unreachable!("times are loaded for searches by time");
                };
                self.by_time(locate, timestamp, memory)
            }
            Stage::WindowOffsets(window, wanted) => {
                let entry = window.nearest(bytes, *wanted);
                locate.scan_from(Some(entry))
            }
            Stage::WindowTimes(window) => {
                let Goal::NotBefore(timestamp, _) = locate.goal else {
                    unreachable!("times are read for searches by time");
                };
                let relative = window.nearest(bytes, timestamp).relative_offset;
                self.by_offset(locate, relative, memory)
            }
            Stage::Scan { .. } => locate.scan(bytes),
        }
    }

    /// Whether the files changed under a search: what it knows of positions means nothing.
    pub(super) fn is_stale(&self, locate: &Locate) -> bool {
        locate.generation != self.generation
            || locate.replacements != self.replacements
            || self.segment_at(locate.segment) != Some(locate.segment)
    }

    /// Bytes of a segment's file that are known to be written.
    pub(super) fn readable_bytes(&self, segment: Offset) -> u32 {
        if segment == self.written_at.base_offset {
            self.written_at.marks.size_bytes
        } else if segment > self.written_at.base_offset {
            0
        } else {
            let place = self
                .closed
                .binary_search_by_key(&segment, |closed| closed.base_offset);
            place.map_or(0, |place| self.closed[place].size_bytes)
        }
    }

    fn by_time(&self, locate: &mut Locate, timestamp: Timestamp, memory: &mut LogMemory) -> Step {
        let floor = match self.growing(locate.segment) {
            Some(segment) => segment.times.floor(timestamp),
            None => match memory.indexes.times((self.id, locate.segment)) {
                Some(index) => index.floor(timestamp),
                None => {
                    let loader = Loader::new();
                    let step = loader.read(LogFile::TimeIndex(locate.segment));
                    locate.stage = Stage::LoadTimes(loader);
                    return step;
                }
            },
        };
        match window(floor) {
            Some(window) => {
                locate.stage = Stage::WindowTimes(window);
                window.read(LogFile::TimeIndex(locate.segment))
            }
            None => {
                let relative = floor.entry.map_or(0, |entry| entry.relative_offset);
                self.by_offset(locate, relative, memory)
            }
        }
    }

    fn by_offset(&self, locate: &mut Locate, wanted: u32, memory: &mut LogMemory) -> Step {
        let floor = match self.growing(locate.segment) {
            Some(segment) => segment.offsets.floor(wanted),
            None => match memory.indexes.offsets((self.id, locate.segment)) {
                Some(index) => index.floor(wanted),
                None => {
                    let loader = Loader::new();
                    let step = loader.read(LogFile::OffsetIndex(locate.segment));
                    locate.stage = Stage::LoadOffsets(loader, wanted);
                    return step;
                }
            },
        };
        match window(floor) {
            Some(window) => {
                locate.stage = Stage::WindowOffsets(window, wanted);
                window.read(LogFile::OffsetIndex(locate.segment))
            }
            None => locate.scan_from(floor.entry),
        }
    }

    /// The segment, if its indexes are still in memory because it is, or was until now, in use.
    fn growing(&self, segment: Offset) -> Option<&super::segment::ActiveSegment> {
        if segment == self.active.base_offset {
            return Some(&self.active);
        }
        self.rolled
            .iter()
            .find(|rolled| rolled.base_offset == segment)
    }
}

impl Locate {
    /// Begins to step over headers at an index entry, or at the segment's front.
    fn scan_from(&mut self, entry: Option<OffsetEntry>) -> Step {
        // An entry past the written part is of a batch that nobody asks for yet.
        let entry = entry.filter(|entry| entry.position < self.readable_bytes);
        self.is_index_used = entry.is_some();
        let position = entry.map_or(0, |entry| entry.position);
        self.stage = Stage::Scan {
            position,
            after: self.segment,
        };
        self.read_headers(position)
    }

    fn read_headers(&self, position: u32) -> Step {
        if position >= self.readable_bytes {
            return Step::Done(Located::Nowhere);
        }
        Step::Read {
            file: LogFile::Log(self.segment),
            position,
            length: LOOKUP_READ_BYTES.min(self.readable_bytes - position),
        }
    }

    /// Steps over the headers in `bytes`, which begin at the scan's position.
    fn scan(&mut self, bytes: &[u8]) -> Step {
        let Stage::Scan {
            mut position,
            mut after,
        } = self.stage
        else {
            unreachable!("headers are read while scanning");
        };
        let start = position;
        loop {
            let rest = bytes.get((position - start) as usize..).unwrap_or(&[]);
            if rest.len() < HEADER_BYTES && position > start {
                break;
            }
            let info = match BatchInfo::parse(rest) {
                Ok(info) if info.base_offset >= after => info,
                Ok(_backward) => return self.on_damage(after, position, BatchDamage::Offsets),
                Err(damage) => return self.on_damage(after, position, damage),
            };
            let fits = position
                .checked_add(info.size_bytes)
                .is_some_and(|end| end <= self.readable_bytes);
            if !fits {
                return self.on_damage(after, position, BatchDamage::Length);
            }
            if self.goal.is_met_by(&info) {
                return Step::Done(Located::At(Point {
                    segment: self.segment,
                    position,
                    info,
                }));
            }
            position += info.size_bytes;
            after = info.end_offset();
        }
        self.stage = Stage::Scan { position, after };
        self.read_headers(position)
    }

    /// An entry of the index may be what is damaged: then the segment's front is not.
    fn on_damage(&mut self, offset: Offset, position: u32, damage: BatchDamage) -> Step {
        if self.is_index_used {
            return self.scan_from(None);
        }
        Step::Done(Located::Damaged {
            offset,
            position,
            damage,
        })
    }
}

impl Goal {
    fn is_met_by(self, info: &BatchInfo) -> bool {
        match self {
            Self::Above(offset) => info.end_offset() > offset,
            Self::NotBefore(timestamp, offset) => {
                info.end_offset() > offset && info.max_timestamp >= timestamp
            }
        }
    }
}

fn window<E: IndexEntry>(floor: IndexFloor<E>) -> Option<Window<E>> {
    let (start, end) = floor.unread;
    let entry = floor.entry?;
    (start < end).then_some(Window {
        floor: entry,
        unread: floor.unread,
    })
}

/// An offset within a segment; what lies outside is taken for the nearest within.
fn relative(segment: Offset, offset: Offset) -> u32 {
    u32::try_from((offset.0 - segment.0).max(0)).unwrap_or(u32::MAX)
}
