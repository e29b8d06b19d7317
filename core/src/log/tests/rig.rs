//! A log, its disk, and what the log should contain: a list of batches.

use std::sync::Arc;

use bytes::Bytes;

use super::disk::{MemoryDisk, folder};
use crate::ids::{DirectoryIndex, LeaderEpoch, LogId, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::log::producer_state::{Producer, ProducerBatch};
use crate::log::{
    AppendError, BatchInfo, LeaderBatch, Log, LogCreation, LogFound, LogMemory, LogSettings,
    Opening, ReadOutcome, ReadRequest, SearchOutcome, TimestampTarget, Truncation,
};
use crate::rng::Rng;
use crate::storage::{DiskDone, DiskOp, FailureScope, Slice};
use crate::time::{Instant, Now, Timestamp};
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::records::Records;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Rig {
    pub(super) log: Log,
    pub(super) disk: MemoryDisk,
    pub(super) memory: LogMemory,
    pub(super) settings: Arc<LogSettings>,
    pub(super) now: Now,
    pub(super) epoch: LeaderEpoch,
    /// Every batch of the log, as it should lie there.
    pub(super) model: Vec<Bytes>,
    /// What the node's checkpoint files say.
    pub(super) recovery_point: Offset,
    pub(super) log_start_offset: Offset,
    pub(super) cleaned_to: Offset,
    pub(super) incarnation: u32,
}

impl Rig {
    pub(super) fn new(settings: LogSettings, tail_bytes: u64) -> Self {
        let settings = Arc::new(settings);
        let now = Now {
            instant: Instant(1),
            wall: Timestamp(1_000_000),
        };
        let mut out = Vec::new();
        let creation = LogCreation {
            id: LogId(0),
            directory: DirectoryIndex(0),
            folder: folder(),
            partition_metadata: Bytes::new(),
            settings: Arc::clone(&settings),
            start_offset: Offset::ZERO,
        };
        let log = Log::create(now, creation, &mut out);
        let mut disk = MemoryDisk::default();
        disk.queue.extend(out);
        Self {
            log,
            disk,
            memory: LogMemory::new(tail_bytes),
            settings,
            now,
            epoch: LeaderEpoch(0),
            model: Vec::new(),
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            cleaned_to: Offset::ZERO,
            incarnation: 0,
        }
    }

    /// Appends records with these timestamps; `None` where the log refused.
    pub(super) fn append(
        &mut self,
        timestamps: &[i64],
        producer: Option<(i64, i16, i32)>,
        value_bytes: usize,
    ) -> Result<(), AppendError> {
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some((id, epoch, sequence)) = producer {
            let (id, epoch) = (ProducerId(id), ProducerEpoch(epoch));
            builder = builder.producer(id, epoch, Sequence(sequence));
        }
        for &timestamp in timestamps {
            builder.push(Timestamp(timestamp), None, Some(&vec![7; value_bytes]));
        }
        let prepared = PreparedBatch::from_log(builder.build()).unwrap();
        let mut out = Vec::new();
        let end_before = self.log.log_end_offset();
        let appended = self.log.append_as_leader(
            self.now,
            &LeaderBatch::new(&prepared),
            self.epoch,
            &mut self.memory,
            &mut out,
        );
        self.disk.queue.extend(out);
        let appended = appended?;
        if !appended.is_duplicate {
            assert_eq!(appended.base_offset, end_before);
            let mut whole = prepared.bytes.to_vec();
            whole[..8].copy_from_slice(&appended.base_offset.0.to_be_bytes());
            whole[12..16].copy_from_slice(&self.epoch.0.to_be_bytes());
            self.model.push(Bytes::from(whole));
        }
        Ok(())
    }

    /// Ends a turn.
    pub(super) fn settle(&mut self) {
        let mut out = Vec::new();
        self.log.settle(self.now, &mut out);
        self.disk.queue.extend(out);
        while let Some((_log, ticket)) = self.memory.tail.next_victim() {
            self.log.evict(ticket, &mut self.memory.tail);
        }
    }

    /// Lets the disk carry out so many operations.
    pub(super) fn run_disk(&mut self, operations: u64) {
        for _ in 0..operations {
            if self.disk.queue.is_empty() {
                break;
            }
            if let Some(done) = self.disk.step() {
                self.on_done(&done);
            }
        }
    }

    /// Lets the disk carry out everything.
    pub(super) fn run_all(&mut self) {
        while !self.disk.queue.is_empty() {
            self.run_disk(1);
        }
    }

    pub(super) fn on_done(&mut self, done: &DiskDone) {
        let mut out = Vec::new();
        match done {
            DiskDone::Appended {
                generation,
                end_offset,
                ..
            } => {
                self.log
                    .on_appended(*generation, *end_offset, &mut self.memory);
            }
            DiskDone::Synced {
                generation,
                end_offset,
                ..
            } => {
                self.log
                    .on_synced(*generation, *end_offset, &mut self.memory);
            }
            DiskDone::Truncated {
                generation,
                end_offset,
                ..
            } => {
                self.log.on_truncated(*generation, *end_offset);
            }
            DiskDone::Saved { token } => self.log.on_saved(*token, &mut out),
            DiskDone::Failed {
                scope: FailureScope::Append { generation, .. },
                ..
            } => {
                let rewound = self
                    .log
                    .on_append_failed(*generation, &mut self.memory, &mut out);
                if let Some(rewound) = rewound {
                    self.cut_model(rewound.end_offset);
                }
            }
            DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Worked { .. } => {}
        }
        self.disk.queue.extend(out);
    }

    /// Forgets what the model has at and above `end`, which must be between two batches.
    pub(super) fn cut_model(&mut self, end: Offset) {
        self.model.retain(|batch| info(batch).end_offset() <= end);
        assert_eq!(self.model_end().max(end), end);
    }

    pub(super) fn model_end(&self) -> Offset {
        self.model
            .last()
            .map_or(Offset::ZERO, |batch| info(batch).end_offset())
    }

    /// Starts a new process over what the disk holds; answers what was said while opening.
    pub(super) fn restart(&mut self, is_clean: bool) -> Vec<String> {
        self.begin_restart(is_clean, u64::MAX)
            .expect("it is not interrupted")
    }

    /// Starts a new process that dies after so many operations of its disk: then `None`.
    pub(super) fn begin_restart(&mut self, is_clean: bool, operations: u64) -> Option<Vec<String>> {
        self.incarnation += 1;
        let found = LogFound {
            id: LogId(self.incarnation),
            directory: DirectoryIndex(0),
            settings: Arc::clone(&self.settings),
            recovery_point: Some(self.recovery_point),
            log_start_offset: Some(self.log_start_offset),
            cleaned_to: Some(self.cleaned_to),
            is_clean,
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin(self.now, found, &self.disk.listing(), &mut out);
        self.disk.queue.extend(out);
        let mut left = operations;
        loop {
            if let Some(opened) = opening.take_opened() {
                self.log = opened.log;
                let said = opened.events.iter().map(ToString::to_string);
                return Some(said.collect());
            }
            left = left.checked_sub(1)?;
            assert!(!self.disk.queue.is_empty(), "an opening goes on");
            if let Some(done) = self.disk.step() {
                let mut out = Vec::new();
                opening.on_done(&done, &mut out);
                self.disk.queue.extend(out);
            }
        }
    }

    /// Cuts the log as a follower would; everything must be written.
    pub(super) fn truncate(&mut self, end_offset: Offset) {
        let mut out = Vec::new();
        let mut truncation = Truncation::begin(
            self.now,
            (self.log.clone(), DirectoryIndex(0)),
            end_offset,
            &mut self.memory,
            &mut out,
        );
        self.disk.queue.extend(out);
        loop {
            if let Some(opened) = truncation.take_opened() {
                assert!(opened.events.is_empty(), "{:?}", opened.events);
                self.log = opened.log;
                return;
            }
            assert!(!self.disk.queue.is_empty(), "a truncation goes on");
            if let Some(done) = self.disk.step() {
                let mut out = Vec::new();
                truncation.on_done(&done, &mut self.memory, &mut out);
                self.disk.queue.extend(out);
            }
        }
    }

    /// Stops cleanly: everything is on disk afterwards.
    pub(super) fn stop(&mut self) {
        let mut out = Vec::new();
        self.log.close(self.now, &mut out);
        self.disk.queue.extend(out);
        self.run_all();
        assert!(self.log.is_closed());
        self.save_checkpoints();
        assert_eq!(self.recovery_point, self.log.log_end_offset());
    }

    /// What the node does every few seconds.
    pub(super) fn save_checkpoints(&mut self) {
        self.recovery_point = self.log.recovery_point();
        self.log_start_offset = self.log.log_start_offset();
        self.cleaned_to = self.log.clean_point();
    }

    /// Reads, going through look-ups, and takes the answer apart: whole batches, and how many bytes
    /// of a last one that was cut short.
    pub(super) fn read(&mut self, request: ReadRequest) -> Option<(Vec<Bytes>, usize)> {
        let mut outcome = self.log.read(request, &mut self.memory);
        let mut reads = 0;
        loop {
            match outcome {
                ReadOutcome::NeedsLookup(lookup) => {
                    reads += 1;
                    assert!(reads < 100, "look-ups end: {lookup:?}");
                    let bytes = self.answer(lookup.op());
                    outcome = self.log.resume_read(*lookup, &Ok(bytes), &mut self.memory);
                }
                ReadOutcome::Slices(slices) => return Some(self.take_apart(&slices)),
                ReadOutcome::Corrupt => return None,
                ReadOutcome::OutOfRange | ReadOutcome::StorageError => {
                    panic!("{outcome:?} for {request:?} of {:?}", self.log)
                }
            }
        }
    }

    pub(super) fn answer(&self, op: &DiskOp) -> Bytes {
        let DiskOp::Read {
            file,
            position,
            length,
            ..
        } = op
        else {
            panic!("{op:?} reads nothing");
        };
        self.disk.read(*file, *position, *length)
    }

    fn take_apart(&self, slices: &[Slice]) -> (Vec<Bytes>, usize) {
        let mut bytes = Vec::new();
        for slice in slices {
            match slice {
                Slice::Memory(batch) => bytes.extend_from_slice(&batch.to_bytes()),
                Slice::File {
                    segment,
                    position,
                    length,
                    ..
                } => {
                    let file = crate::storage::LogFile::Log(*segment);
                    let part = self.disk.read(file, *position, *length);
                    assert_eq!(part.len(), *length as usize, "slices name written bytes");
                    bytes.extend_from_slice(&part);
                }
            }
        }
        let mut rest = Bytes::from(bytes);
        let mut batches = Vec::new();
        while let Ok(info) = BatchInfo::parse(&rest)
            && info.size_bytes as usize <= rest.len()
        {
            batches.push(rest.split_to(info.size_bytes as usize));
        }
        (batches, rest.len())
    }

    /// The first record at or after a time, below `bound`, as the model has it.
    pub(super) fn expected_at(&self, timestamp: i64, bound: Offset) -> Option<Offset> {
        for batch in &self.model {
            for record in Records::open(batch).unwrap() {
                let record = record.unwrap();
                if record.timestamp.0 >= timestamp && record.offset >= self.log.log_start_offset() {
                    return (record.offset < bound).then_some(record.offset);
                }
            }
        }
        None
    }

    /// The same, as the log has it.
    pub(super) fn found_at(&mut self, timestamp: i64, bound: Offset) -> Option<Offset> {
        let target = TimestampTarget::AtOrAfter(Timestamp(timestamp));
        let mut outcome = self.log.search_timestamp(target, bound, &mut self.memory);
        loop {
            match outcome {
                SearchOutcome::NeedsRead(search) => {
                    let bytes = self.answer(search.op());
                    outcome = self
                        .log
                        .resume_search(*search, &Ok(bytes), &mut self.memory);
                }
                SearchOutcome::Found(record) => return Some(record.offset),
                SearchOutcome::Nothing => return None,
                SearchOutcome::Corrupt | SearchOutcome::StorageError => {
                    panic!("{outcome:?} in {:?}", self.log)
                }
            }
        }
    }

    /// Searches where damage may be in the way; only that it ends is certain.
    pub(super) fn search_anything(&mut self, timestamp: i64, bound: Offset) {
        let target = TimestampTarget::AtOrAfter(Timestamp(timestamp));
        let mut outcome = self.log.search_timestamp(target, bound, &mut self.memory);
        let mut reads = 0;
        while let SearchOutcome::NeedsRead(search) = outcome {
            reads += 1;
            assert!(reads < 1_000, "searches end");
            let bytes = self.answer(search.op());
            outcome = self
                .log
                .resume_search(*search, &Ok(bytes), &mut self.memory);
        }
    }

    /// What the model says of a producer: its epoch and its newest five batches.
    pub(super) fn expected_producer(&self, id: i64) -> Option<Producer> {
        let mut producers = crate::log::Producers::default();
        for batch in &self.model {
            producers.on_append(&info(batch));
        }
        producers.producer(ProducerId(id)).cloned()
    }
}

/// A draw of a small random batch.
pub(super) fn timestamps(rng: &mut Rng, around: i64) -> Vec<i64> {
    let count = rng.between(1, 5);
    (0..count)
        .map(|_| around + i64::try_from(rng.below(50)).unwrap() - 25)
        .collect()
}

pub(super) fn info(batch: &Bytes) -> BatchInfo {
    BatchInfo::parse(batch).unwrap()
}

/// The newest remembered batches of a producer, as far as both sides know them.
pub(super) fn same_newest(left: &Producer, right: &Producer) -> bool {
    let newest = |producer: &Producer| -> Vec<ProducerBatch> {
        producer.batches.iter().rev().copied().collect()
    };
    let (left_newest, right_newest) = (newest(left), newest(right));
    let common = left_newest.len().min(right_newest.len());
    left.epoch == right.epoch && common > 0 && left_newest[..common] == right_newest[..common]
}
