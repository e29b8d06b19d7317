//! Looking a record up by its time (ListOffsets; K64, K65).
//!
//! Segment by its largest timestamp, batch by the time index and headers, record by opening the one
//! batch that can hold it. Compare Kafka's `UnifiedLog.fetchOffsetByTimestamp`.

use bytes::Bytes;

use super::locate::{Goal, Locate, Located, Point, Step};
use super::{BatchDamage, Log, LogMemory, LogState};
use crate::ids::{LeaderEpoch, Offset};
use crate::storage::{DiskError, DiskOp, LogFile, Token};
use crate::time::Timestamp;
use crate::wire::records::{Record, Records};

/// What is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimestampTarget {
    /// The first record with this timestamp or a later one.
    AtOrAfter(Timestamp),
    /// The first record with the largest timestamp of the log's segments (-3).
    Max,
}

/// A record that was looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordAt {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
}

/// What a search comes to.
#[derive(Clone, Debug)]
pub enum SearchOutcome {
    /// What lies on the way cannot be a batch: CORRUPT_MESSAGE.
    Corrupt,
    /// The record.
    Found(RecordAt),
    /// Bytes must come from the disk first: emit [`TimestampSearch::op`], park the rest, and call
    /// [`Log::resume_search`] when its token comes back.
    NeedsRead(Box<TimestampSearch>),
    /// There is no such record below the bound.
    Nothing,
    /// The directory failed, or did not let itself be read: KAFKA_STORAGE_ERROR.
    StorageError,
}

/// A search that waits for bytes.
#[derive(Clone, Debug)]
pub struct TimestampSearch {
    query: Query,
    stage: Stage,
    op: DiskOp,
    token: Token,
}

/// What is wanted, and from where on it was not looked for yet.
#[derive(Clone, Copy, Debug)]
struct Query {
    timestamp: Timestamp,
    from: Offset,
    bound: Offset,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Reading the batch that can hold the record.
    Batch(Point, Locate),
    /// Finding it.
    Locate(Locate),
}

impl TimestampSearch {
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
}

impl Log {
    /// Looks for a record by time among those below `bound`, the last offset a consumer may read.
    pub fn search_timestamp(
        &mut self,
        target: TimestampTarget,
        bound: Offset,
        memory: &mut LogMemory,
    ) -> SearchOutcome {
        let (timestamp, from) = match target {
            TimestampTarget::AtOrAfter(timestamp) => (timestamp, self.log_start_offset),
            // Kafka 4.3 also tells one that was deleted, as long as its segment is there.
            TimestampTarget::Max => (self.max_timestamp(), self.first_base_offset()),
        };
        if target == TimestampTarget::Max && timestamp == Timestamp::NONE {
            return SearchOutcome::Nothing;
        }
        let query = Query {
            timestamp,
            from,
            bound: bound.min(self.written),
        };
        self.search(query, memory)
    }

    /// Goes on with a search whose bytes came.
    pub fn resume_search(
        &mut self,
        search: TimestampSearch,
        result: &Result<Bytes, DiskError>,
        memory: &mut LogMemory,
    ) -> SearchOutcome {
        let query = search.query;
        let (Stage::Batch(_, ref locate) | Stage::Locate(ref locate)) = search.stage;
        if self.is_stale(locate) {
            return self.search(query, memory);
        }
        let Ok(bytes) = result else {
            return SearchOutcome::StorageError;
        };
        match search.stage {
            Stage::Batch(point, _locate) => self.on_batch(query, &point, bytes, memory),
            Stage::Locate(mut locate) => {
                let step = self.locate_next(&mut locate, bytes, memory);
                self.on_search_step(query, locate, step, memory)
            }
        }
    }

    /// The largest timestamp of the log; -1 for none.
    #[must_use]
    pub fn max_timestamp(&self) -> Timestamp {
        let closed = self.closed.iter().map(|segment| segment.max_timestamp);
        let active = self.active.marks.max_timestamp;
        closed.fold(active, Timestamp::max)
    }

    fn first_base_offset(&self) -> Offset {
        let closed = self.closed.first().map(|segment| segment.base_offset);
        closed.unwrap_or(self.active.base_offset)
    }

    fn search(&mut self, query: Query, memory: &mut LogMemory) -> SearchOutcome {
        if self.state == LogState::Offline {
            return SearchOutcome::StorageError;
        }
        let closed = self
            .closed
            .iter()
            .find(|segment| {
                segment.end_offset > query.from && segment.max_timestamp >= query.timestamp
            })
            .map(|segment| segment.base_offset);
        let is_in_active =
            self.log_end_offset > query.from && self.active.marks.max_timestamp >= query.timestamp;
        let segment = closed.or(is_in_active.then_some(self.active.base_offset));
        match segment {
            Some(segment) if segment < query.bound && query.from < query.bound => {
                let goal = Goal::NotBefore(query.timestamp, query.from);
                let (locate, step) = self.locate(segment, goal, memory);
                self.on_search_step(query, locate, step, memory)
            }
            Some(_) | None => SearchOutcome::Nothing,
        }
    }

    fn on_search_step(
        &mut self,
        query: Query,
        locate: Locate,
        step: Step,
        memory: &mut LogMemory,
    ) -> SearchOutcome {
        match step {
            Step::Done(Located::At(point)) if point.info.base_offset >= query.bound => {
                SearchOutcome::Nothing
            }
            Step::Done(Located::At(point)) => {
                // Also where the tail has it: one batch an input, however many headers lie.
                let file = LogFile::Log(point.segment);
                let (position, length) = (point.position, point.info.size_bytes);
                self.ask(query, Stage::Batch(point, locate), (file, position, length))
            }
            Step::Done(Located::Nowhere) => {
                // The segment's largest timestamp lies below the log's start, or above what is
                // written; the next segment may have it.
                let place = self
                    .closed
                    .binary_search_by_key(&locate.segment, |closed| closed.base_offset);
                match place {
                    Ok(place) => {
                        let from = self.closed[place].end_offset.max(query.from);
                        self.search(Query { from, ..query }, memory)
                    }
                    Err(_active) => SearchOutcome::Nothing,
                }
            }
            Step::Done(Located::Damaged { .. }) => SearchOutcome::Corrupt,
            Step::Read {
                file,
                position,
                length,
            } => self.ask(query, Stage::Locate(locate), (file, position, length)),
        }
    }

    fn on_batch(
        &mut self,
        query: Query,
        point: &Point,
        bytes: &Bytes,
        memory: &mut LogMemory,
    ) -> SearchOutcome {
        match first_record(bytes, point, &query) {
            Ok(Some(record)) if record.offset < query.bound => SearchOutcome::Found(RecordAt {
                offset: record.offset,
                timestamp: record.timestamp,
                leader_epoch: point.info.leader_epoch,
            }),
            Ok(Some(_above)) => SearchOutcome::Nothing,
            Ok(None) => {
                let from = point.info.end_offset();
                self.search(Query { from, ..query }, memory)
            }
            Err(_damage) => SearchOutcome::Corrupt,
        }
    }

    fn ask(
        &mut self,
        query: Query,
        stage: Stage,
        (file, position, length): (LogFile, u32, u32),
    ) -> SearchOutcome {
        let token = self.saves.next_token();
        let op = DiskOp::Read {
            log: self.id,
            file,
            position,
            length,
            token,
        };
        SearchOutcome::NeedsRead(Box::new(TimestampSearch {
            query,
            stage,
            op,
            token,
        }))
    }
}

/// The first wanted record of a batch; `None` where its header promised more than its records keep.
fn first_record(
    bytes: &Bytes,
    point: &Point,
    query: &Query,
) -> Result<Option<Record>, BatchDamage> {
    point.info.check_crc(bytes)?;
    let records = Records::open(bytes).map_err(|_malformed| BatchDamage::Length)?;
    for record in records {
        let record = record.map_err(|_malformed| BatchDamage::Length)?;
        if record.offset >= query.from && record.timestamp >= query.timestamp {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
