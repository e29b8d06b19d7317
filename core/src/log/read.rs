//! Reading a range of a log: from memory at once, from files by naming the range.
//!
//! The bytes of a file are never read here, except a few headers where a position must be known
//! exactly: that is a [`Lookup`]. Compare Kafka's `LocalLog.read`, `LogSegment.read`.

use bytes::Bytes;

use super::locate::{Goal, Locate, Located, Point, Step};
use super::{Log, LogMemory, LogState};
use crate::ids::Offset;
use crate::storage::{DiskError, DiskOp, Slice, Token};

/// Batches whose positions a log remembers from its last look-ups.
const POINTS_REMEMBERED: usize = 4;

/// What is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadRequest {
    /// First wanted record; the whole batch that holds it is answered (K52).
    pub start_offset: Offset,
    /// Nothing at or above is answered: the high watermark, or the last stable offset.
    pub bound: Offset,
    /// At most so many bytes.
    pub max_bytes: u32,
    /// One whole batch is answered even if it is larger than `max_bytes` (K51).
    pub at_least_one: bool,
}

/// What a read comes to.
#[derive(Clone, Debug)]
pub enum ReadOutcome {
    /// What lies there cannot be a batch, or is known to be damaged: CORRUPT_MESSAGE.
    Corrupt,
    /// A few bytes must come from the disk first: emit [`Lookup::op`], park the rest, and call
    /// [`Log::resume_read`] when its token comes back.
    NeedsLookup(Box<Lookup>),
    /// `start_offset` is below the log's start or above its end.
    OutOfRange,
    /// The bytes, in order; none where nothing lies below the bound. The last batch may be cut
    /// short, as Kafka's are.
    Slices(Vec<Slice>),
    /// The directory failed, or did not let itself be read: KAFKA_STORAGE_ERROR.
    StorageError,
}

/// A read that waits for bytes.
#[derive(Clone, Debug)]
pub struct Lookup {
    search: Search,
    op: DiskOp,
    token: Token,
}

/// A read that lacks a position.
#[derive(Clone, Debug)]
struct Search {
    request: ReadRequest,
    locate: Locate,
    /// The offset that is being looked for.
    target: Offset,
    /// What was found already for this read.
    known: Known,
}

/// Positions found for one read, each with the offset they were looked for.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    points: [Option<(Offset, Located)>; 2],
}

impl Lookup {
    /// What the disk is asked.
    #[must_use]
    pub fn op(&self) -> &DiskOp {
        &self.op
    }

    /// Comes back with the answer.
    #[must_use]
    pub fn token(&self) -> Token {
        self.token
    }

    /// The read that it belongs to.
    #[must_use]
    pub fn request(&self) -> &ReadRequest {
        &self.search.request
    }
}

impl Log {
    /// Reads from `request.start_offset` on.
    pub fn read(&mut self, request: ReadRequest, memory: &mut LogMemory) -> ReadOutcome {
        self.read_knowing(request, Known::default(), memory)
    }

    /// A token for a read that somebody else makes of this log's files.
    pub fn take_token(&mut self) -> Token {
        self.saves.next_token()
    }

    /// Goes on with a read whose bytes came.
    pub fn resume_read(
        &mut self,
        lookup: Lookup,
        result: &Result<Bytes, DiskError>,
        memory: &mut LogMemory,
    ) -> ReadOutcome {
        let mut search = lookup.search;
        if self.is_stale(&search.locate) {
            return self.read(search.request, memory);
        }
        let Ok(bytes) = result else {
            return ReadOutcome::StorageError;
        };
        let step = self.locate_next(&mut search.locate, bytes, memory);
        self.on_step(search, step, memory)
    }

    fn on_step(&mut self, mut search: Search, step: Step, memory: &mut LogMemory) -> ReadOutcome {
        match step {
            Step::Done(located) => {
                if let Located::At(point) = located {
                    self.remember(point);
                }
                search.known.add(search.target, located);
                self.read_knowing(search.request, search.known, memory)
            }
            Step::Read {
                file,
                position,
                length,
            } => {
                let token = self.saves.next_token();
                let op = DiskOp::Read {
                    log: self.id,
                    file,
                    position,
                    length,
                    token,
                };
                ReadOutcome::NeedsLookup(Box::new(Lookup { search, op, token }))
            }
        }
    }

    fn read_knowing(
        &mut self,
        request: ReadRequest,
        known: Known,
        memory: &mut LogMemory,
    ) -> ReadOutcome {
        if self.state == LogState::Offline {
            return ReadOutcome::StorageError;
        }
        let start = request.start_offset;
        if start < self.log_start_offset || start > self.log_end_offset {
            return ReadOutcome::OutOfRange;
        }
        let mut bound = request.bound.min(self.log_end_offset);
        if let Some(bad) = self.bad.iter().find(|bad| bad.end_offset > start) {
            if bad.start_offset <= start && start < bound {
                return ReadOutcome::Corrupt;
            }
            bound = bound.min(bad.start_offset);
        }
        if start >= bound {
            return ReadOutcome::Slices(Vec::new());
        }
        let max_bytes = request.max_bytes as usize;
        let hot = self
            .tail
            .read(start, bound, max_bytes, request.at_least_one);
        if let Some(slices) = hot {
            return ReadOutcome::Slices(slices);
        }
        let bound = bound.min(self.written);
        if start >= bound {
            return ReadOutcome::Slices(Vec::new());
        }
        self.read_cold(request, bound, known, memory)
    }

    fn read_cold(
        &mut self,
        request: ReadRequest,
        bound: Offset,
        known: Known,
        memory: &mut LogMemory,
    ) -> ReadOutcome {
        let Some(segment) = self.segment_at(request.start_offset) else {
            return ReadOutcome::Slices(Vec::new());
        };
        let limit = match self.limit(segment, bound, &known) {
            Limit::At(limit) => limit,
            Limit::Unknown => return self.look_up(request, segment, bound, known, memory),
        };
        let start = request.start_offset;
        let point = match self.point_of(segment, start, &known) {
            Some(Located::At(point)) => point,
            // Compaction took the end of the segment's records: what is next is in the next one.
            Some(Located::Nowhere) => match self.segment_after(segment) {
                Some(next) if next < bound => {
                    let request = ReadRequest {
                        start_offset: next,
                        ..request
                    };
                    return self.read_cold(request, bound, Known::default(), memory);
                }
                Some(_) | None => return ReadOutcome::Slices(Vec::new()),
            },
            Some(Located::Damaged { .. }) => return ReadOutcome::Corrupt,
            None => return self.look_up(request, segment, start, known, memory),
        };
        if point.position >= limit {
            return ReadOutcome::Slices(Vec::new());
        }
        let available = limit - point.position;
        let first = point.info.size_bytes;
        assert!(first <= available, "limits are at batch boundaries");
        let length = match (request.max_bytes < first, request.at_least_one) {
            (false, _) => request.max_bytes.min(available),
            (true, true) => first,
            (true, false) => return ReadOutcome::Slices(Vec::new()),
        };
        ReadOutcome::Slices(vec![Slice::File {
            log: self.id,
            segment,
            position: point.position,
            length,
        }])
    }

    fn look_up(
        &mut self,
        request: ReadRequest,
        segment: Offset,
        target: Offset,
        known: Known,
        memory: &mut LogMemory,
    ) -> ReadOutcome {
        let (locate, step) = self.locate(segment, Goal::Above(target), memory);
        let search = Search {
            request,
            locate,
            target,
            known,
        };
        self.on_step(search, step, memory)
    }

    /// Base of the segment to read `offset` from: the first that ends above it.
    pub(super) fn segment_at(&self, offset: Offset) -> Option<Offset> {
        let place = self
            .closed
            .partition_point(|closed| closed.end_offset <= offset);
        match self.closed.get(place) {
            Some(closed) => Some(closed.base_offset),
            None => (offset <= self.log_end_offset).then_some(self.active.base_offset),
        }
    }

    /// Base of the segment that follows a closed one.
    fn segment_after(&self, segment: Offset) -> Option<Offset> {
        let place = self
            .closed
            .binary_search_by_key(&segment, |closed| closed.base_offset);
        let next = self.closed.get(place.ok()? + 1);
        Some(next.map_or(self.active.base_offset, |next| next.base_offset))
    }

    /// Where in a segment's file the first batch begins that does not lie whole below `bound`.
    fn limit(&self, segment: Offset, bound: Offset, known: &Known) -> Limit {
        let end_offset = self
            .closed
            .binary_search_by_key(&segment, |closed| closed.base_offset)
            .map_or(self.log_end_offset, |place| self.closed[place].end_offset);
        let readable = self.readable_bytes(segment);
        if bound >= end_offset.min(self.written) {
            return Limit::At(readable);
        }
        if let Some(tail_start) = self.tail.start_offset()
            && tail_start <= bound
        {
            let whole = self.tail.end_at_or_below(bound).unwrap_or(tail_start);
            if whole >= end_offset.min(self.written) {
                return Limit::At(readable);
            }
            let position = self.tail.position_from(whole);
            return Limit::At(position.expect("a batch follows, for the bound is below the end"));
        }
        match self.point_of(segment, bound, known) {
            Some(Located::At(point)) => Limit::At(point.position),
            Some(Located::Nowhere) => Limit::At(readable),
            // What is in front of the damage is sound.
            Some(Located::Damaged { position, .. }) => Limit::At(position),
            None => Limit::Unknown,
        }
    }

    /// What is known without the disk of the first batch of a segment that ends above `target`.
    fn point_of(&self, segment: Offset, target: Offset, known: &Known) -> Option<Located> {
        let remembered = self.points.iter().find(|point| {
            point.segment == segment
                && point.info.base_offset <= target
                && target < point.info.end_offset()
        });
        match remembered {
            Some(point) => Some(Located::At(*point)),
            None => known.of(target),
        }
    }

    fn remember(&mut self, point: Point) {
        if self.points.len() == POINTS_REMEMBERED {
            self.points.remove(0);
        }
        self.points.push(point);
    }

    /// Forgets positions that a truncation or a removal made stale.
    pub(super) fn forget_points(&mut self, start: Offset, end: Offset) {
        self.points
            .retain(|point| point.info.base_offset >= start && point.info.end_offset() <= end);
    }
}

/// How far into a file a read may go.
enum Limit {
    At(u32),
    Unknown,
}

impl Known {
    fn add(&mut self, target: Offset, located: Located) {
        self.points[0] = self.points[1];
        self.points[1] = Some((target, located));
    }

    fn of(&self, target: Offset) -> Option<Located> {
        self.points
            .iter()
            .flatten()
            .find(|(known, _located)| *known == target)
            .map(|(_known, located)| *located)
    }
}
