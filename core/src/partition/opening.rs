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
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::produce::{ProduceInput, ProduceTopic};

/// What a topic asks of each record of its batches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Demand {
    /// Whether it must know what all records say.
    asks_facts: bool,
    /// The codec it stores, unless that is the producer's choice.
    codec: Option<Compression>,
    /// Larger batches are refused as they came, so nobody need open them.
    batch_bytes_max: u32,
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
        if codec.is_none() && !asks_facts {
            return Self::default();
        }
        Self {
            asks_facts,
            codec,
            batch_bytes_max: config.max_message_bytes,
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

    fn is_met(self, batch: &PreparedBatch) -> bool {
        batch.flaw.is_some()
            || batch.size_bytes() > self.batch_bytes_max as usize
            || !self.lacks_facts(batch) && self.other_codec(batch).is_none()
    }

    /// Does to the batch what the append would do.
    fn meet(self, batch: &mut PreparedBatch) {
        match conform::facts_for(self, batch) {
            Ok(facts) => batch.facts = facts,
            Err(flaw) => {
                batch.flaw = Some(flaw);
                return;
            }
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

    /// Whether batches of a request would be opened, or compressed.
    #[must_use]
    pub fn asks(&self, input: &ProduceInput) -> bool {
        input.topics.iter().any(|topic| {
            let demand = self.of(topic);
            let batches = topic.partitions.iter();
            let mut batches = batches.filter_map(|partition| partition.batch.as_ref().ok());
            batches.any(|batch| !demand.is_met(batch))
        })
    }

    /// Opens and compresses what must be: pure, and as slow as the batches are large.
    pub fn open(&self, input: &mut ProduceInput) {
        for topic in input.topics.iter_mut() {
            let demand = self.of(topic);
            for partition in topic.partitions.iter_mut() {
                if let Ok(batch) = &mut partition.batch
                    && !demand.is_met(batch)
                {
                    demand.meet(batch);
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
    use crate::time::Timestamp;
    use crate::wire::batch::{BatchError, seal};
    use crate::wire::builder::BatchBuilder;
    use crate::wire::produce::ProducePartition;

    const ID: TopicId = TopicId([7; 16]);

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
        let asks = demands.asks(&input);
        let before = input.clone();
        demands.open(&mut input);
        assert_eq!(asks, input != before, "asking foretells what is done");
        assert!(!demands.asks(&input), "what is opened is not opened again");
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
            assert!(demand.is_met(&early), "{codec:?}");
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
