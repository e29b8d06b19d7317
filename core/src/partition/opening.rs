//! What topics ask of the records inside batches, told to those who can look before a turn does.
//!
//! To decompress a batch and to compress it anew takes up to a second, and the node serves nobody
//! while it turns. So the node says what it will ask for ([`Demands`]), a driver keeps the newest
//! of them, and whoever has decoded a Produce opens its batches ([`Demands::open`]) before the
//! request goes to a turn: beside the brain, and in the order of the connection, which is served
//! one request at a time there. The append finds the work done.
//!
//! Invariants:
//! * what was opened is only a help: the append checks each batch against the topic's configuration
//!   of its own turn, and does what is still to be done. A driver with old demands, or with none,
//!   is slower and not wrong;
//! * no order changes: the request is in no queue of the core while it is opened, so sequences,
//!   pipelined requests and crashes find nothing that they would not find without it;
//! * the answer is the same: what is wrong inside a batch is noted ([`PreparedBatch::flaw`]) and
//!   told by the append, after what comes before it there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conform;
use crate::config::{CompressionType, LogConfig, RecordValidation};
use crate::ids::{TopicId, TopicName};
use crate::time::Timestamp;
use crate::wire::batch::{Compression, PreparedBatch, TimestampType};
use crate::wire::produce::{ProduceInput, ProduceTopic};

/// The times that a topic takes just now, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TimeBounds {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl TimeBounds {
    /// What a configuration allows at a time (K38).
    pub(super) fn of(config: &LogConfig, wall: Timestamp) -> Self {
        Self {
            first: wall
                .0
                .saturating_sub(config.message_timestamp_before_max_ms),
            last: wall.0.saturating_add(config.message_timestamp_after_max_ms),
        }
    }

    /// Whether a record may have this time; one without is never wrong.
    pub(super) fn allow(&self, time: Timestamp) -> bool {
        time == Timestamp::NONE || (self.first..=self.last).contains(&time.0)
    }
}

/// What a topic asks of each record of its batches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Demand {
    /// Whether it must know what all records say.
    asks_facts: bool,
    /// The codec it stores, unless that is the producer's choice.
    codec: Option<Compression>,
    /// Larger batches are refused as they came, so nobody need open them.
    batch_bytes_max: u32,
    /// How far behind the clock and ahead of it the producer's times may be, in milliseconds.
    times_ms: (i64, i64),
}

impl Default for Demand {
    /// Asks for nothing.
    fn default() -> Self {
        Self {
            asks_facts: false,
            codec: None,
            batch_bytes_max: u32::MAX,
            times_ms: (i64::MAX, i64::MAX),
        }
    }
}

impl Demand {
    /// What a configuration asks for.
    #[must_use]
    pub fn of(config: &LogConfig) -> Self {
        let codec = match config.compression_type {
            CompressionType::Producer => None,
            CompressionType::Gzip(_) => Some(Compression::Gzip),
            CompressionType::Lz4(_) => Some(Compression::Lz4),
            CompressionType::Snappy => Some(Compression::Snappy),
            CompressionType::Uncompressed => Some(Compression::None),
            CompressionType::Zstd(_) => Some(Compression::Zstd),
        };
        let asks_facts = config.compact
            || config.message_timestamp_before_max_ms != i64::MAX
            || config.record_validation == RecordValidation::Deep;
        let times_ms = match config.message_timestamp_type {
            TimestampType::CreateTime => (
                config.message_timestamp_before_max_ms,
                config.message_timestamp_after_max_ms,
            ),
            TimestampType::LogAppendTime => (i64::MAX, i64::MAX),
        };
        if codec.is_none() && !asks_facts {
            // The size is not noted: most topics are alike in the rest, and need not be listed.
            return Self {
                times_ms,
                ..Self::default()
            };
        }
        Self {
            asks_facts,
            codec,
            batch_bytes_max: config.max_message_bytes,
            times_ms,
        }
    }

    /// Whether facts are asked for that are not known.
    pub(super) fn lacks_facts(self, batch: &PreparedBatch) -> bool {
        self.asks_facts && batch.facts.is_none()
    }

    /// The codec that the batch must be brought into; `None` where it stays as it is.
    pub(super) fn other_codec(self, batch: &PreparedBatch) -> Option<Compression> {
        let codec = batch.header.attributes.compression();
        self.codec.filter(|wanted| codec != Some(*wanted))
    }

    fn bounds(self, wall: Timestamp) -> TimeBounds {
        TimeBounds {
            first: wall.0.saturating_sub(self.times_ms.0),
            last: wall.0.saturating_add(self.times_ms.1),
        }
    }

    /// Whether the batch will be refused for its times, and its records must be decompressed to
    /// tell which are at fault.
    fn lacks_times(self, batch: &PreparedBatch, wall: Timestamp) -> bool {
        let bounds = self.bounds(wall);
        batch.odd_times.is_none()
            && batch.header.attributes.compression() != Some(Compression::None)
            && conform::timestamps(batch, batch.facts.as_ref())
                .into_iter()
                .any(|time| !bounds.allow(time))
    }

    fn is_met(self, batch: &PreparedBatch, wall: Timestamp) -> bool {
        batch.flaw.is_some()
            || batch.size_bytes() > self.batch_bytes_max as usize
            || !self.lacks_facts(batch)
                && self.other_codec(batch).is_none()
                && !self.lacks_times(batch, wall)
    }

    /// Does to the batch what the append would do.
    fn meet(self, batch: &mut PreparedBatch, wall: Timestamp) {
        match conform::facts_for(self, batch) {
            Ok(facts) => batch.facts = facts,
            Err(flaw) => {
                batch.flaw = Some(flaw);
                return;
            }
        }
        if self.lacks_times(batch, wall) {
            batch.odd_times = Some(conform::odd_times(batch, &self.bounds(wall)));
        }
        match conform::recompress(self, batch.clone()) {
            Ok(conforming) => *batch = conforming,
            Err(flaw) => batch.flaw = Some(flaw),
        }
    }
}

/// What all topics ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Demands {
    /// Of the topics that are not listed.
    others: Demand,
    by_id: BTreeMap<TopicId, Demand>,
    by_name: BTreeMap<TopicName, Demand>,
}

impl Demands {
    /// The demands of topics that all ask for the same.
    #[must_use]
    pub(crate) fn of_all(others: Demand) -> Self {
        Self {
            others,
            ..Self::default()
        }
    }

    /// Whether a topic is known to ask for this.
    pub(crate) fn has(&self, name: &TopicName, id: TopicId, demand: Demand) -> bool {
        let listed = (demand != self.others).then_some(demand);
        self.by_id.get(&id) == listed.as_ref() && self.by_name.get(name) == listed.as_ref()
    }

    /// Notes what a topic asks for.
    pub(crate) fn set(&mut self, name: &TopicName, id: TopicId, demand: Demand) {
        if demand == self.others {
            self.by_id.remove(&id);
            self.by_name.remove(name);
        } else {
            self.by_id.insert(id, demand);
            self.by_name.insert(Arc::clone(name), demand);
        }
    }

    /// Forgets a topic that is gone.
    pub(crate) fn forget(&mut self, name: &TopicName, id: TopicId) {
        self.set(name, id, self.others);
    }

    /// Whether batches of a request that came at this time would be opened, or compressed.
    #[must_use]
    pub fn asks(&self, input: &ProduceInput, wall: Timestamp) -> bool {
        // What is refused as a whole is not looked into.
        let is_open = !input.has_bad_acks() && !input.is_unnamed_transaction();
        is_open && self.asks_of_topics(input, wall)
    }

    fn asks_of_topics(&self, input: &ProduceInput, wall: Timestamp) -> bool {
        input.topics.iter().any(|topic| {
            let demand = self.of(topic);
            let batches = topic.partitions.iter();
            let mut batches = batches.filter_map(|partition| partition.batch.as_ref().ok());
            batches.any(|batch| !demand.is_met(batch, wall))
        })
    }

    /// Opens and compresses what must be: pure, and as slow as the batches are large.
    pub fn open(&self, input: &mut ProduceInput, wall: Timestamp) {
        if !self.asks(input, wall) {
            return;
        }
        for topic in input.topics.iter_mut() {
            let demand = self.of(topic);
            for partition in topic.partitions.iter_mut() {
                if let Ok(batch) = &mut partition.batch
                    && !demand.is_met(batch, wall)
                {
                    demand.meet(batch, wall);
                }
            }
        }
    }

    /// What the topic asks for that a request names: by id where it has one.
    fn of(&self, topic: &ProduceTopic) -> Demand {
        let listed = if topic.topic_id.is_zero() {
            self.by_name.get::<str>(&topic.name)
        } else {
            self.by_id.get(&topic.topic_id)
        };
        *listed.unwrap_or(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire_core::StrBytes;

    use super::*;
    use crate::ids::PartitionIndex;
    use crate::one_or_many::OneOrMany;
    use crate::wire::batch::{BatchError, seal};
    use crate::wire::builder::BatchBuilder;
    use crate::wire::produce::ProducePartition;

    const ID: TopicId = TopicId([7; 16]);

    /// When requests come: batches are of then, unless they are meant to be wrong.
    const NOW: Timestamp = Timestamp(50);

    fn name() -> TopicName {
        Arc::from("topic")
    }

    fn batch(codec: Compression) -> PreparedBatch {
        let mut builder = BatchBuilder::new(codec);
        for at in 0..100 {
            builder.push(Timestamp(at), Some(b"key"), Some(b"the same value again"));
        }
        PreparedBatch::from_client(builder.build(), 9).expect("a valid batch")
    }

    /// A batch whose checksum is right and whose records cannot be opened.
    fn unreadable() -> PreparedBatch {
        let sent = batch(Compression::Gzip);
        let (mut header, mut bytes) = (sent.header, sent.bytes.to_vec());
        bytes[61..].fill(0xff);
        seal(&mut header, &mut bytes);
        PreparedBatch::from_client(bytes.into(), 9).expect("it is not opened")
    }

    fn request(name: &str, topic_id: TopicId, batch: PreparedBatch) -> ProduceInput {
        let mut input = ProduceInput::default();
        input.topics.push(ProduceTopic {
            name: StrBytes::from(name),
            topic_id,
            partitions: OneOrMany::from_iter([ProducePartition {
                index: PartitionIndex(0),
                batch: Ok(batch),
            }]),
        });
        input
    }

    fn opened(demands: &Demands, mut input: ProduceInput) -> PreparedBatch {
        let asks = demands.asks(&input, NOW);
        let before = input.clone();
        demands.open(&mut input, NOW);
        assert_eq!(asks, input != before, "asking foretells what is done");
        assert!(
            !demands.asks(&input, NOW),
            "what is opened is not opened again"
        );
        input.topics[0].partitions[0]
            .batch
            .clone()
            .expect("a batch")
    }

    fn zstd() -> LogConfig {
        LogConfig {
            compression_type: CompressionType::Zstd(3),
            ..LogConfig::default()
        }
    }

    fn listed(config: &LogConfig) -> Demands {
        let mut demands = Demands::default();
        demands.set(&name(), ID, Demand::of(config));
        demands
    }

    #[test]
    fn a_topic_is_found_by_its_name_and_its_id() {
        let demands = listed(&zstd());
        let sent = batch(Compression::Gzip);
        let codec_of = |batch: PreparedBatch| batch.header.attributes.compression();
        for (name, id, expected) in [
            ("topic", TopicId::default(), Compression::Zstd),
            ("", ID, Compression::Zstd),
            ("other", TopicId::default(), Compression::Gzip),
            ("", TopicId([8; 16]), Compression::Gzip),
        ] {
            let stored = opened(&demands, request(name, id, sent.clone()));
            assert_eq!(codec_of(stored), Some(expected), "{name:?} {id:?}");
        }
    }

    #[test]
    fn the_append_finds_nothing_left_to_do() {
        let compacted = LogConfig {
            compact: true,
            ..zstd()
        };
        let demand = Demand::of(&compacted);
        for codec in Compression::ALL {
            let sent = batch(codec);
            let early = opened(&listed(&compacted), request("", ID, sent.clone()));
            assert!(demand.is_met(&early, NOW), "{codec:?}");
            let late = conform::recompress(demand, sent).expect("readable");
            assert_eq!(early.bytes, late.bytes, "the same bytes, early or late");
        }
    }

    #[test]
    fn what_cannot_be_opened_is_told_where_the_records_are_asked_for() {
        let early = opened(&listed(&zstd()), request("", ID, unreadable()));
        assert_eq!(early.flaw, Some(BatchError::Record));
        let asked = conform::recompress(Demand::of(&zstd()), early.clone());
        assert_eq!(asked, Err(BatchError::Record));
        let unasked = conform::recompress(Demand::default(), early.clone());
        assert_eq!(
            unasked,
            Ok(early),
            "the topic was configured anew meanwhile"
        );
    }

    #[test]
    fn records_out_of_time_are_noted_and_survive_a_new_codec() {
        // The records have the times 0 to 99.
        let of = |compression_type| {
            listed(&LogConfig {
                message_timestamp_after_max_ms: 40,
                message_timestamp_before_max_ms: 47,
                compression_type,
                ..LogConfig::default()
            })
        };
        let odd = [0, 1, 2].into_iter().chain(91..100);
        let odd: Vec<i32> = odd.collect();
        for demands in [of(CompressionType::Producer), of(CompressionType::Zstd(3))] {
            let early = opened(&demands, request("", ID, batch(Compression::Gzip)));
            let noted = early.odd_times.expect("it was looked for");
            let at: Vec<i32> = noted.iter().map(|(index, _time)| *index).collect();
            assert_eq!(at, odd);
        }
        let sent = batch(Compression::None);
        let same = opened(
            &of(CompressionType::Producer),
            request("", ID, sent.clone()),
        );
        assert_eq!(same, sent, "nothing is to be decompressed in the turn");
        let stamped = listed(&LogConfig {
            message_timestamp_type: TimestampType::LogAppendTime,
            message_timestamp_after_max_ms: 0,
            ..LogConfig::default()
        });
        let sent = batch(Compression::Gzip);
        let same = opened(&stamped, request("", ID, sent.clone()));
        assert_eq!(same, sent, "its times do not count");
    }

    #[test]
    fn what_is_refused_as_a_whole_is_not_opened() {
        let demands = listed(&zstd());
        let sent = request("", ID, batch(Compression::Gzip));
        assert!(demands.asks(&sent, NOW));
        let mut refused = ProduceInput { acks: 5, ..sent };
        assert!(!demands.asks(&refused, NOW));
        let before = refused.clone();
        demands.open(&mut refused, NOW);
        assert_eq!(refused, before);
    }

    #[test]
    fn a_batch_that_is_too_large_is_not_opened() {
        let small = LogConfig {
            max_message_bytes: 10,
            ..zstd()
        };
        let sent = batch(Compression::Gzip);
        let same = opened(&listed(&small), request("", ID, sent.clone()));
        assert_eq!(same, sent);
    }

    #[test]
    fn a_topic_that_is_gone_is_not_listed() {
        let mut demands = listed(&zstd());
        assert!(demands.has(&name(), ID, Demand::of(&zstd())));
        demands.forget(&name(), ID);
        assert_eq!(demands, Demands::default());
    }
}
