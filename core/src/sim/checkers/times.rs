//! R62: the times of records, judged from outside.
//!
//! Where a topic is stamped with the time of the append, each batch says so, and has the wall clock
//! of a moment after it was sent, never an earlier one than the batch before in its leader's epoch;
//! who is acknowledged is told that time. In every other topic a batch is kept as its producer sent
//! it, its times and its checksum with it, and no time is told, but to one who sends a batch again;
//! where the topic has a codec of its own, it is kept in that one, and says the same when opened.
//! Where the times must lie near the broker's clock, a batch is appended only if those of all its
//! records may, and refused for them only if one may not.
//!
//! What kind of a topic it is, its name says in every workload.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::compaction::read_batches;
use super::durability::records_hash;
use super::log_image::{
    BOUNDED, COMPACTED, FoundLog, HEADER, RECODED, STAMPED, i16_at, i32_at, i64_at,
};
use crate::ids::{ConnectionId, LogId, RequestSequence, TopicId};
use crate::node::door::ReplyEffect;
use crate::storage::DiskOp;
use crate::time::Timestamp;
use crate::wire::request::{Reply, Request};

/// Kafka's code for a record whose time is out of range.
const INVALID_TIMESTAMP: i16 = 32;

/// The attribute of a batch that was stamped.
const STAMP: i16 = 0x08;

/// The attributes that say the codec, and what they say of zstd.
const CODEC: i16 = 0x07;
const ZSTD: i16 = 4;

/// Where the part of a batch begins that its producer decides.
const SENT_FROM: usize = 16;

/// What a request is known by.
type RequestKey = (ConnectionId, RequestSequence);

/// A partition as a request names it: the topic by its name or its id.
type PartitionName = (String, TopicId, i32);

/// The header of a batch from the magic byte on.
type Head = [u8; HEADER - SENT_FROM];

/// What a batch is known by, stamped and recompressed or not: the hash of its records, opened, and
/// its header without what those change. Batches of tombstones may have the same records.
type BatchKey = (u64, Head);

/// A batch that a producer sent, maybe several times.
#[derive(Clone, Debug)]
struct Sent {
    /// Each way it was sent: one who is no idempotent producer may send the same records twice, in
    /// different codecs.
    heads: BTreeSet<Head>,
    /// The least and the greatest time of its records, where that matters.
    times: Option<(i64, i64)>,
    /// When it first came.
    arrived: Timestamp,
}

/// A Produce that was not answered: when it came, and its batches.
#[derive(Clone, Debug)]
struct Pending {
    arrived: Timestamp,
    batches: BTreeMap<PartitionName, BatchKey>,
}

/// The times in the logs of a node, over all its incarnations; see the module.
#[derive(Clone, Debug, Default)]
pub struct TimeChecker {
    /// How far off times may be where it matters, in milliseconds; `None` where it nowhere does.
    bound_ms: Option<i64>,
    sent: BTreeMap<BatchKey, Sent>,
    pending: BTreeMap<RequestKey, Pending>,
    logs: BTreeMap<LogId, String>,
    /// The leader epoch and the time of the last batch of a stamped folder.
    last: BTreeMap<String, (i32, i64)>,
    /// The greatest time of the batch at an offset, as its header says.
    stamps: BTreeMap<(String, i64), i64>,
    violations: Vec<Violation>,
}

impl TimeChecker {
    /// A checker of a world where times may be so far off the broker's in some topics.
    #[must_use]
    pub fn new(bound_ms: Option<u64>) -> Self {
        let bound_ms = bound_ms.map(|ms| i64::try_from(ms).expect("some minutes"));
        Self {
            bound_ms,
            ..Self::default()
        }
    }

    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// The process died: what waited will not be answered.
    pub fn on_crash(&mut self) {
        self.pending.clear();
        self.logs.clear();
    }

    /// A connection is gone.
    pub fn on_disconnected(&mut self, connection: ConnectionId) {
        self.pending.retain(|(at, _), _| *at != connection);
    }

    /// Notes what is sent.
    pub fn on_request(&mut self, key: RequestKey, request: &Request, now: Timestamp) {
        let Request::Produce(produce) = request else {
            return;
        };
        let mut batches = BTreeMap::new();
        for topic in &produce.topics {
            for partition in &topic.partitions {
                if let Ok(batch) = &partition.batch {
                    let name = (topic.name.to_string(), topic.topic_id, partition.index.0);
                    batches.insert(name, self.note_sent(&batch.bytes, now));
                }
            }
        }
        let arrived = now;
        self.pending.insert(key, Pending { arrived, batches });
    }

    fn note_sent(&mut self, bytes: &[u8], arrived: Timestamp) -> BatchKey {
        let key = key_of(bytes);
        let is_bounded = self.bound_ms.is_some();
        let sent = self.sent.entry(key).or_insert_with(|| Sent {
            heads: BTreeSet::new(),
            times: is_bounded.then(|| times_of(bytes)).flatten(),
            arrived,
        });
        sent.heads.insert(head_of(bytes));
        key
    }

    /// Judges what goes to the logs.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest writes no batch"
    )]
    pub fn on_op(&mut self, op: &DiskOp, now: Timestamp) {
        match op {
            DiskOp::CreateLog { log, folder, .. } if !folder.starts_with("__") => {
                self.last.remove(&**folder);
                self.logs.insert(*log, folder.to_string());
            }
            DiskOp::OpenLog { log, folder, .. } if !folder.starts_with("__") => {
                self.logs.insert(*log, folder.to_string());
            }
            DiskOp::MarkLogDeleted { log, .. } => {
                self.logs.remove(log);
            }
            DiskOp::Append { log, batches, .. } => {
                let Some(folder) = self.logs.get(log).cloned() else {
                    return;
                };
                for batch in batches {
                    if let Err(what) = self.judge_batch(&folder, &batch.to_bytes(), now) {
                        let what = format!("{folder}: {what}");
                        self.violations.push(Violation::new("R62", what));
                    }
                }
            }
            _other => {}
        }
    }

    fn judge_batch(&mut self, folder: &str, bytes: &[u8], now: Timestamp) -> Result<(), String> {
        let (base, epoch, time) = (i64_at(bytes, 0), i32_at(bytes, 12), i64_at(bytes, 35));
        self.stamps.insert((folder.to_owned(), base), time);
        let Some(sent) = self.sent.get(&key_of(bytes)) else {
            return Err(format!("batch {base} was never sent as it is"));
        };
        let is_recoded = folder.contains(RECODED);
        if is_recoded && i16_at(bytes, 21) & CODEC != ZSTD {
            return Err(format!("batch {base} is not in the codec of its topic"));
        }
        if !is_stamped(folder) {
            if !is_recoded && !sent.heads.contains(&head_of(bytes)) {
                return Err(format!("batch {base} is not as its producer sent it"));
            }
            let bound_ms = self.bound_ms.filter(|_| folder.contains(BOUNDED));
            if let (Some(bound_ms), Some(times)) = (bound_ms, sent.times)
                && !may_be_right(times, bound_ms, (sent.arrived, now))
            {
                return Err(format!(
                    "batch {base} has times {times:?}, and came between {} and {now}; they may be \
                     {bound_ms} ms off",
                    sent.arrived
                ));
            }
            return Ok(());
        }
        if i16_at(bytes, 21) & STAMP == 0 {
            return Err(format!("batch {base} is not stamped"));
        }
        if !(sent.arrived.0..=now.0).contains(&time) {
            return Err(format!(
                "batch {base} is stamped {time}; it came at {} and is appended at {now}",
                sent.arrived
            ));
        }
        if let Some((before, earlier)) = self.last.get(folder)
            && *before == epoch
            && *earlier > time
        {
            return Err(format!(
                "batch {base} is stamped {time}, the one before {earlier}, both in epoch {epoch}"
            ));
        }
        self.last.insert(folder.to_owned(), (epoch, time));
        Ok(())
    }

    /// Judges what is answered; `folder_of` says where the partition of a topic id lies.
    pub fn on_reply(
        &mut self,
        effect: &ReplyEffect,
        now: Timestamp,
        folder_of: impl Fn(TopicId, i32) -> Option<String>,
    ) {
        let pending = self.pending.remove(&(effect.connection, effect.sequence));
        let (Some(pending), Reply::Produce(reply)) = (pending, &effect.reply) else {
            return;
        };
        for topic in &reply.responses {
            let (name, id) = (topic.name.to_string(), TopicId::from(topic.topic_id));
            for partition in &topic.partition_responses {
                let index = partition.index;
                let folder = match name.is_empty() {
                    true => folder_of(id, index),
                    false => Some(format!("{name}-{index}")),
                };
                let batch = pending.batches.get(&(name.clone(), id, index));
                let (Some(folder), Some(batch)) = (folder, batch) else {
                    continue;
                };
                let found = match partition.error_code {
                    0 => {
                        let told = (partition.base_offset, partition.log_append_time_ms);
                        self.judge_told(&folder, told)
                    }
                    INVALID_TIMESTAMP => self.judge_refused(&folder, batch, (pending.arrived, now)),
                    _other_trouble => Ok(()),
                };
                if let Err(what) = found {
                    let what = format!("{folder}: {what}");
                    self.violations.push(Violation::new("R62", what));
                }
            }
        }
    }

    fn judge_told(&self, folder: &str, (base, told): (i64, i64)) -> Result<(), String> {
        // One that a former process appended may not be known.
        let Some(there) = self.stamps.get(&(folder.to_owned(), base)) else {
            return Ok(());
        };
        if told == *there {
            return Ok(());
        }
        // Times of producers are told to retries alone: the newest of the records that compaction
        // had left when the producers were replayed, if they were.
        let is_older_left = folder.starts_with(COMPACTED) && told < *there;
        if !is_stamped(folder) && (told == -1 || is_older_left) {
            return Ok(());
        }
        Err(format!(
            "the batch at {base} has {there}, and {told} was told"
        ))
    }

    fn judge_refused(
        &self,
        folder: &str,
        batch: &BatchKey,
        (arrived, now): (Timestamp, Timestamp),
    ) -> Result<(), String> {
        let Some(bound_ms) = self.bound_ms.filter(|_| folder.contains(BOUNDED)) else {
            return Err("refused for its times, which may be any".to_owned());
        };
        let times = self.sent.get(batch).and_then(|sent| sent.times);
        match times {
            Some((least, most))
                if most - bound_ms <= arrived.0 && now.0 <= least.saturating_add(bound_ms) =>
            {
                Err(format!(
                    "refused for its times {least} to {most}, at {arrived} to {now}"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Judges the times of a log at rest.
#[must_use]
pub fn check(folder: &str, found: &FoundLog) -> Option<Violation> {
    if folder.starts_with("__") {
        return None;
    }
    let mut last = None;
    for batch in &found.batches {
        let (base, time) = (batch.base_offset, batch.max_timestamp);
        if (batch.attributes & STAMP != 0) != is_stamped(folder) {
            let what = format!("{folder}: batch {base} has attributes {}", batch.attributes);
            return Some(Violation::new("R62", what));
        }
        let before = last.replace((batch.leader_epoch, time));
        if let Some((epoch, earlier)) = before
            && is_stamped(folder)
            && epoch == batch.leader_epoch
            && earlier > time
        {
            let what = format!("{folder}: batch {base} is stamped {time}, after {earlier}");
            return Some(Violation::new("R62", what));
        }
    }
    None
}

fn is_stamped(folder: &str) -> bool {
    folder.contains(STAMPED)
}

/// Whether there was a moment at which all times between two were near enough.
fn may_be_right(
    (least, most): (i64, i64),
    bound_ms: i64,
    (arrived, now): (Timestamp, Timestamp),
) -> bool {
    let first = arrived.0.max(most - bound_ms);
    let last = now.0.min(least + bound_ms);
    first <= last
}

fn head_of(bytes: &[u8]) -> Head {
    let mut head = [0; HEADER - SENT_FROM];
    head.copy_from_slice(&bytes[SENT_FROM..HEADER]);
    head
}

/// What is left of a batch where a stamp is taken off: without checksum, codec, kind and time.
fn key_of(bytes: &[u8]) -> BatchKey {
    let mut head = head_of(bytes);
    head[1..5].fill(0);
    head[6] &= !0x0f;
    head[19..27].fill(0);
    (records_hash(bytes), head)
}

/// The least and the greatest time of the records of a batch.
fn times_of(bytes: &[u8]) -> Option<(i64, i64)> {
    let batches = read_batches(bytes);
    let records = batches.iter().flat_map(|batch| &batch.records);
    let times = records.map(|(_, record)| record.timestamp);
    let least = times.clone().min()?;
    Some((least, times.max()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::{Compression, PreparedBatch, TimestampType};
    use crate::wire::builder::BatchBuilder;

    const PLAIN: &str = "topic-0-0";
    const STAMPED_LOG: &str = "topic-stamped-0-0";
    const BOUNDED_LOG: &str = "topic-bounded-0-0";

    fn batch(times: &[i64]) -> Vec<u8> {
        batch_in(Compression::None, times)
    }

    fn batch_in(codec: Compression, times: &[i64]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec);
        for time in times {
            let value = format!("{times:?}");
            builder.push(Timestamp(*time), None, Some(value.as_bytes()));
        }
        builder.build().to_vec()
    }

    fn stamped(bytes: &[u8], time: i64) -> Vec<u8> {
        let batch = PreparedBatch::from_log(bytes.to_vec().into()).expect("whole");
        let batch = batch.with_timestamps(TimestampType::LogAppendTime, Timestamp(time));
        batch.bytes.to_vec()
    }

    fn checker(sent: &[&[u8]]) -> TimeChecker {
        let mut checker = TimeChecker::new(Some(100));
        for bytes in sent {
            checker.note_sent(bytes, Timestamp(1_000));
        }
        checker
    }

    #[test]
    fn what_a_producer_says_stands() {
        let sent = batch(&[5, 7]);
        let mut checker = checker(&[&sent]);
        let now = Timestamp(1_010);
        assert_eq!(checker.judge_batch(PLAIN, &sent, now), Ok(()));
        assert_eq!(checker.judge_told(PLAIN, (0, -1)), Ok(()));
        assert_eq!(checker.judge_told(PLAIN, (0, 7)), Ok(()), "a retry");
        assert!(checker.judge_told(PLAIN, (0, 1_010)).is_err());
        let changed = stamped(&sent, 1_005);
        assert!(checker.judge_batch(PLAIN, &changed, now).is_err());
        assert!(checker.judge_batch(PLAIN, &batch(&[6]), now).is_err());
    }

    #[test]
    fn the_same_records_stand_in_each_codec_they_were_sent_in() {
        let [first, second, never] = [Compression::None, Compression::Lz4, Compression::Gzip]
            .map(|codec| batch_in(codec, &[5, 7]));
        let mut checker = checker(&[&first, &second]);
        let mut judge = |bytes: &[u8]| checker.judge_batch(PLAIN, bytes, Timestamp(1_010));
        assert_eq!(judge(&first), Ok(()));
        assert_eq!(judge(&second), Ok(()));
        assert!(judge(&never).is_err());
    }

    #[test]
    fn stamps_are_the_clocks_and_do_not_go_back() {
        let (first, second) = (batch(&[5]), batch(&[6]));
        let mut checker = checker(&[&first, &second]);
        let mut judge = |bytes: &[u8]| checker.judge_batch(STAMPED_LOG, bytes, Timestamp(1_010));
        assert!(judge(&first).is_err(), "not stamped");
        assert!(judge(&stamped(&first, 999)).is_err(), "before it came");
        assert!(judge(&stamped(&first, 1_011)).is_err(), "in the future");
        assert_eq!(judge(&stamped(&first, 1_009)), Ok(()));
        assert!(judge(&stamped(&second, 1_008)).is_err(), "it goes back");
        let mut other = stamped(&second, 1_007);
        other[15] = 1;
        assert_eq!(judge(&other), Ok(()), "another epoch");
        other[30] ^= 1;
        assert!(judge(&other).is_err(), "another base time");
        assert!(checker.judge_told(STAMPED_LOG, (0, -1)).is_err());
    }

    #[test]
    fn times_that_may_not_be_are_refused_and_no_others() {
        let (right, early, late) = (batch(&[950, 1_050]), batch(&[899, 960]), batch(&[1_200]));
        let mut checker = checker(&[&right, &early, &late]);
        let (arrived, now) = (Timestamp(1_000), Timestamp(1_010));
        let mut judge = |bytes: &[u8]| checker.judge_batch(BOUNDED_LOG, bytes, now);
        assert_eq!(judge(&right), Ok(()));
        assert!(judge(&early).is_err());
        assert!(judge(&late).is_err());
        let refused =
            |folder, bytes: &[u8]| checker.judge_refused(folder, &key_of(bytes), (arrived, now));
        assert!(refused(BOUNDED_LOG, &right).is_err());
        assert_eq!(refused(BOUNDED_LOG, &early), Ok(()));
        assert!(refused(PLAIN, &early).is_err());
    }

    #[test]
    fn a_log_at_rest_is_stamped_throughout() {
        let found = |bytes: &[u8]| {
            let name = format!("{:020}.log", 0);
            let image = super::super::log_image::LogImage {
                folder: STAMPED_LOG.into(),
                files: BTreeMap::from([(name, bytes.to_vec())]),
                start_offset: None,
            };
            image.read()
        };
        let second = |time| {
            let mut bytes = stamped(&batch(&[6]), time);
            bytes[7] = 1;
            bytes
        };
        let first = stamped(&batch(&[5]), 9);
        let check = |second: Vec<u8>| check(STAMPED_LOG, &found(&[first.clone(), second].concat()));
        assert_eq!(check(second(9)), None);
        assert!(check(second(8)).is_some());
        let mut plain = batch(&[6]);
        plain[7] = 1;
        assert!(check(plain).is_some());
    }
}
