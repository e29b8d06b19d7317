//! Loading a shard: its log, read from its start to its end and replayed, once all of that is
//! committed.
//!
//! A job of reads of at most [`JOB_READ_BYTES`], or of one batch where that is larger. A log that
//! is damaged makes its shard resign: offsets that were acknowledged may lie in the damage, and a
//! shard that answered without them would move consumers back without a word. Compare Kafka's
//! `CoordinatorLoaderImpl`.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::event::Severity;
use crate::group::{GroupEffects, Shard};
use crate::ids::{LogId, Offset, PartitionIndex, ProducerId};
use crate::limits::{GROUP_LOADS_MAX, JOB_READ_BYTES};
use crate::log::{Lookup, ReadOutcome, ReadRequest};
use crate::node::broker::{Broker, event};
use crate::node::door::Outbox;
use crate::storage::{DiskError, DiskOp, LogFile, Slice, Token};
use crate::time::Now;
use crate::wire::batch::{BatchHeader, PreparedBatch};
use crate::wire::records::{Batches, Record, Records};

/// Type of a control record that ends a transaction well.
const COMMIT: i16 = 1;

/// A load in progress.
#[derive(Clone, Debug)]
pub struct GroupLoad {
    /// Everything below is replayed.
    next: Offset,
    /// Where what is read ends at the latest.
    bound: Offset,
    /// What the disk is asked for.
    reading: Option<Reading>,
    /// Records of transactions that are not decided yet; they count where the marker says so.
    undecided: BTreeMap<ProducerId, Vec<Record>>,
    /// Records replayed.
    records: u64,
}

#[derive(Clone, Debug)]
enum Reading {
    Batches(u64),
    Position(Box<Lookup>),
}

impl GroupLoad {
    fn new(start: Offset) -> Self {
        Self {
            next: start,
            bound: start,
            reading: None,
            undecided: BTreeMap::new(),
            records: 0,
        }
    }

    /// Replays the whole batches at the front of `bytes` that are not replayed yet.
    fn take_batches(&mut self, bytes: Bytes, shard: &mut Shard) -> Result<(), String> {
        let before = self.next;
        for batch in Batches::new(bytes) {
            let (header, bytes) = batch.map_err(|error| error.message().to_owned())?;
            if header.next_offset() <= self.next {
                continue;
            }
            let batch = PreparedBatch::from_log(bytes).map_err(|e| e.message().to_owned())?;
            self.take_batch(&header, &batch.bytes, shard)?;
            self.next = header.next_offset();
        }
        if self.next == before {
            return Err("there is no whole batch".to_owned());
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        header: &BatchHeader,
        batch: &Bytes,
        shard: &mut Shard,
    ) -> Result<(), String> {
        let records = Records::open(batch).map_err(|error| error.message().to_owned())?;
        for record in records {
            let record = record.map_err(|error| error.message().to_owned())?;
            if header.attributes.is_control() {
                let decided = self.undecided.remove(&header.producer_id);
                if is_commit(&record) {
                    for record in decided.into_iter().flatten() {
                        self.replay(&record, shard)?;
                    }
                }
            } else if header.attributes.is_transactional() {
                let undecided = self.undecided.entry(header.producer_id).or_default();
                undecided.push(record);
            } else {
                self.replay(&record, shard)?;
            }
        }
        Ok(())
    }

    fn replay(&mut self, record: &Record, shard: &mut Shard) -> Result<(), String> {
        let key = record.key.as_deref().unwrap_or_default();
        let replayed = shard.replay(key, record.value.as_deref());
        replayed.map_err(|error| format!("{error} of the record at {}", record.offset))?;
        self.records += 1;
        Ok(())
    }
}

fn is_commit(record: &Record) -> bool {
    let kind = record.key.as_deref().and_then(|key| key.get(2..4));
    kind == Some(&COMMIT.to_be_bytes())
}

impl Broker {
    /// Begins loads that wait, as long as not too many go on.
    pub(super) fn load_more_groups(&mut self, now: Now, out: &mut Outbox) {
        loop {
            let shards = self.groups.shards.values();
            if shards.filter(|hosted| hosted.load.is_some()).count() >= GROUP_LOADS_MAX {
                return;
            }
            let Some(partition) = self.groups.to_load.pop_front() else {
                return;
            };
            let Some(hosted) = self.groups.shards.get_mut(&partition) else {
                continue;
            };
            let Some(replica) = self.partitions.get(hosted.log) else {
                continue;
            };
            hosted.load = Some(GroupLoad::new(replica.log().log_start_offset()));
            self.go_on_loading(now, partition, out);
        }
    }

    /// Reads on, or ends a load that has come to the log's end. What is not committed yet is waited
    /// for: it was written by an earlier incarnation, and no shard but this one will be told of it.
    pub(super) fn go_on_loading(&mut self, now: Now, partition: PartitionIndex, out: &mut Outbox) {
        let Some(hosted) = self.groups.shards.get_mut(&partition) else {
            return;
        };
        let (log, Some(load)) = (hosted.log, &mut hosted.load) else {
            return;
        };
        let Some(replica) = self.partitions.get_mut(log) else {
            return;
        };
        let bound = replica.high_watermark();
        load.next = load.next.max(replica.log().log_start_offset());
        if load.next >= bound {
            if bound == replica.log().log_end_offset() {
                self.finish_load(now, partition, out);
            }
            return;
        }
        load.bound = bound;
        let request = ReadRequest {
            start_offset: load.next,
            bound,
            max_bytes: JOB_READ_BYTES,
            at_least_one: true,
        };
        let outcome = replica.log_mut().read(request, &mut self.memory);
        self.on_load_outcome(now, (partition, log), outcome, out);
    }

    pub(in crate::node) fn on_load_outcome(
        &mut self,
        now: Now,
        (partition, log): (PartitionIndex, LogId),
        outcome: ReadOutcome,
        out: &mut Outbox,
    ) {
        let slices = match outcome {
            ReadOutcome::NeedsLookup(lookup) => {
                out.disk.push(lookup.op().clone());
                let token = lookup.token();
                self.await_load(partition, (log, token), Reading::Position(lookup));
                return;
            }
            // Compaction took all that was left.
            ReadOutcome::Slices(slices) if slices.is_empty() => {
                let hosted = self.groups.shards.get_mut(&partition);
                if let Some(load) = hosted.and_then(|hosted| hosted.load.as_mut()) {
                    load.next = load.bound;
                }
                return self.groups.note_due(partition, Some(now.instant));
            }
            ReadOutcome::Slices(slices) => slices,
            ReadOutcome::Corrupt => return self.fail_load(now, partition, "damage", out),
            // Its start moved meanwhile.
            ReadOutcome::OutOfRange => return self.groups.note_due(partition, Some(now.instant)),
            ReadOutcome::StorageError => {
                return self.fail_load(now, partition, "its disk does not answer", out);
            }
        };
        if let Some(Slice::File {
            segment,
            position,
            length,
            ..
        }) = slices.first()
        {
            let replica = self.partitions.get_mut(log);
            let replica = replica.expect("it was read just now");
            let token = replica.log_mut().take_token();
            let replacements = replica.log().replacements();
            out.disk.push(DiskOp::Read {
                log,
                file: LogFile::Log(*segment),
                position: *position,
                length: *length,
                token,
            });
            let reading = Reading::Batches(replacements);
            self.await_load(partition, (log, token), reading);
            return;
        }
        let mut bytes = BytesMut::new();
        for slice in slices {
            match slice {
                Slice::Memory(batch) => bytes.extend_from_slice(&batch.to_bytes()),
                Slice::File { .. } => break,
            }
        }
        self.take_loaded(now, partition, bytes.freeze(), out);
    }

    fn await_load(&mut self, partition: PartitionIndex, key: (LogId, Token), reading: Reading) {
        self.groups.reading.insert(key, partition);
        let hosted = self.groups.shards.get_mut(&partition);
        let load = hosted.and_then(|hosted| hosted.load.as_mut());
        let load = load.expect("a load reads");
        let former = load.reading.replace(reading);
        assert!(former.is_none(), "a load awaits one read at a time");
    }

    /// The disk answered a read of a load; says whether it was one's.
    pub(in crate::node) fn on_load_read(
        &mut self,
        now: Now,
        key: (LogId, Token),
        bytes: &Result<Bytes, DiskError>,
        out: &mut Outbox,
    ) -> bool {
        let Some(partition) = self.groups.reading.remove(&key) else {
            return false;
        };
        let hosted = self.groups.shards.get_mut(&partition);
        let load = hosted.and_then(|hosted| hosted.load.as_mut());
        let reading = load.and_then(|load| load.reading.take());
        let log = self.partitions.present(key.0);
        match (reading, bytes) {
            (Some(Reading::Batches(replacements)), Ok(bytes)) => {
                let replica = self.partitions.get_mut(log);
                let is_stale =
                    replica.is_some_and(|replica| replica.log().replacements() != replacements);
                if is_stale {
                    self.go_on_loading(now, partition, out);
                } else {
                    self.take_loaded(now, partition, bytes.clone(), out);
                }
            }
            (Some(Reading::Batches(_)), Err(error)) => {
                let why = format!("its disk does not answer: {error}");
                self.fail_load(now, partition, &why, out);
            }
            (Some(Reading::Position(lookup)), bytes) => {
                let Some(replica) = self.partitions.get_mut(log) else {
                    return true;
                };
                let outcome = replica
                    .log_mut()
                    .resume_read(*lookup, bytes, &mut self.memory);
                self.on_load_outcome(now, (partition, log), outcome, out);
            }
            (None, _) => {}
        }
        true
    }

    /// The high watermark of a log moved: a load may have waited for that.
    pub(super) fn on_load_committed(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        out: &mut Outbox,
    ) {
        let hosted = self.groups.shards.get(&partition);
        let load = hosted.and_then(|hosted| hosted.load.as_ref());
        if load.is_some_and(|load| load.reading.is_none()) {
            self.go_on_loading(now, partition, out);
        }
    }

    fn take_loaded(&mut self, now: Now, partition: PartitionIndex, bytes: Bytes, out: &mut Outbox) {
        let Some(hosted) = self.groups.shards.get_mut(&partition) else {
            return;
        };
        let Some(load) = &mut hosted.load else {
            return;
        };
        match load.take_batches(bytes, &mut hosted.shard) {
            // The next piece has its own turn.
            Ok(()) => self.groups.note_due(partition, Some(now.instant)),
            Err(why) => self.fail_load(now, partition, &why, out),
        }
    }

    fn finish_load(&mut self, now: Now, partition: PartitionIndex, out: &mut Outbox) {
        let Some(hosted) = self.groups.shards.get_mut(&partition) else {
            return;
        };
        let load = hosted.load.take().expect("a load ends once");
        let text = format!("groups are loaded from {} records", load.records);
        out.events
            .push(event(Severity::Debug, &name_of(partition), text));
        let mut effects = GroupEffects::default();
        if let Some(hosted) = self.groups.shards.get_mut(&partition) {
            hosted.shard.finish_loading(now, &mut effects);
        }
        self.carry_out(now, partition, effects, out);
        self.load_more_groups(now, out);
    }

    /// The log of a shard cannot be read whole: the shard answers nobody, rather than without
    /// offsets that were acknowledged.
    fn fail_load(&mut self, now: Now, partition: PartitionIndex, why: &str, out: &mut Outbox) {
        let Some(hosted) = self.groups.shards.get_mut(&partition) else {
            return;
        };
        let load = hosted.load.take();
        let at = load.map_or(Offset::ZERO, |load| load.next);
        let name = name_of(partition);
        out.events.push(event(
            Severity::Error,
            &name,
            format!(
                "its groups are not served, because committed offsets from offset {at} on cannot \
                 be read: {why}; put the files back from a copy and start again, or delete the \
                 topic to begin without any committed offset"
            ),
        ));
        self.with_shard(now, partition, out, |shard, _image, effects| {
            shard.resign(effects);
        });
        self.load_more_groups(now, out);
    }
}

fn name_of(partition: PartitionIndex) -> String {
    format!("{CONSUMER_OFFSETS}-{partition}")
}
