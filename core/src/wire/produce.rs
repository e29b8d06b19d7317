//! The Produce request in the form the brain takes it: batches found, checked and summed already.
//!
//! Decoded by hand, because every batch passes here: the connection's worker pays for the checks,
//! and the envelope costs no allocation for a request that names one partition. Versions 3-13 of
//! `ProduceRequest`; a test holds it equal to the codec's.

use bytes::Bytes;
use kafka_wire_core::{DecodeError, StrBytes};

use crate::ids::{PartitionIndex, TopicId};
use crate::limits::{ARRAY_ELEMENTS_MAX, EMPTY_TOPICS_MAX, HOLLOW_PARTITIONS_MAX};
use crate::one_or_many::OneOrMany;
use crate::wire::batch::{BATCH_HEADER_BYTES, BatchError, PreparedBatch};
use crate::wire::reader::Reader;

/// A Produce request whose batches are checked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProduceInput {
    /// The transaction's name; `None` where the producer is not transactional.
    pub transactional_id: Option<StrBytes>,
    /// 0, 1 or -1 (all); any other is an error of the whole request (K32).
    pub acks: i16,
    /// How long acks=all may wait, in milliseconds.
    pub timeout_ms: i32,
    /// The topics, as named by the client; one may come twice.
    pub topics: OneOrMany<ProduceTopic>,
}

impl ProduceInput {
    /// Whether it asks for acknowledgements that there are not (K32): all of it is refused.
    #[must_use]
    pub fn has_bad_acks(&self) -> bool {
        !(-1..=1).contains(&self.acks)
    }

    /// Whether a batch belongs to a transaction that the request does not name (K45): all of it is
    /// refused.
    #[must_use]
    pub fn is_unnamed_transaction(&self) -> bool {
        let is_transactional = |partition: &ProducePartition| {
            let batch = partition.batch.as_ref();
            batch.is_ok_and(|batch| batch.header.attributes.is_transactional())
        };
        self.transactional_id.is_none()
            && self
                .topics
                .iter()
                .any(|topic| topic.partitions.iter().any(is_transactional))
    }
}

/// One topic of a Produce request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProduceTopic {
    /// Its name; empty from version 13 on.
    pub name: StrBytes,
    /// Its id; zero before version 13.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: OneOrMany<ProducePartition>,
}

/// One partition of a Produce request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProducePartition {
    /// The partition.
    pub index: PartitionIndex,
    /// The batch, or what is wrong with it.
    pub batch: Result<PreparedBatch, BatchError>,
}

/// Least bytes of a partition: index, empty records, no tagged fields.
const PARTITION_BYTES_MIN: usize = 6;
/// Least bytes of a topic: empty name, empty array, no tagged fields.
const TOPIC_BYTES_MIN: usize = 3;

impl ProduceInput {
    /// Decodes a body of `version`, which must be served, and checks its batches.
    ///
    /// # Errors
    /// Malformed bytes: close the connection. A bad batch is an error of its partition alone.
    pub fn decode(body: &Bytes, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let mut reader = Reader::new(body);
        let mut hollow_left = HOLLOW_PARTITIONS_MAX;
        let mut input = Self {
            transactional_id: reader.nullable_string(flexible)?,
            acks: reader.i16()?,
            timeout_ms: reader.i32()?,
            topics: OneOrMany::None,
        };
        let count = reader.array_count(flexible, ARRAY_ELEMENTS_MAX, TOPIC_BYTES_MIN)?;
        check_topics(count, &reader)?;
        input.topics.reserve_exact(count);
        for _topic in 0..count {
            let topic = decode_topic(&mut reader, version, body.len(), &mut hollow_left)?;
            input.topics.push(topic);
        }
        if flexible {
            reader.skip_tagged_fields()?;
        }
        Ok(input)
    }

    /// Number of partitions named.
    #[must_use]
    pub fn partitions_count(&self) -> usize {
        self.topics.iter().map(|topic| topic.partitions.len()).sum()
    }
}

/// Refuses more topics than the bytes could hold if all but a few had a partition.
fn check_topics(count: usize, reader: &Reader<'_>) -> Result<(), DecodeError> {
    let full = reader.remaining() / (TOPIC_BYTES_MIN + PARTITION_BYTES_MIN);
    if count <= full + EMPTY_TOPICS_MAX {
        return Ok(());
    }
    Err(DecodeError::CountExceedsFrame {
        kind: "topics with partitions",
        count,
        remaining: reader.remaining(),
        offset: reader.offset(),
    })
}

fn decode_topic(
    reader: &mut Reader<'_>,
    version: i16,
    frame_bytes: usize,
    hollow_left: &mut usize,
) -> Result<ProduceTopic, DecodeError> {
    let flexible = version >= 9;
    let mut topic = ProduceTopic::default();
    if version >= 13 {
        topic.topic_id = TopicId(reader.uuid()?);
    } else {
        topic.name = reader.string(flexible)?;
    }
    let count = reader.array_count(flexible, ARRAY_ELEMENTS_MAX, PARTITION_BYTES_MIN)?;
    topic.partitions.reserve_exact(count);
    for _partition in 0..count {
        let offset = reader.offset();
        let index = PartitionIndex(reader.i32()?);
        let records = reader.nullable_bytes(flexible)?.unwrap_or_default();
        if flexible {
            reader.skip_tagged_fields()?;
        }
        if records.len() < BATCH_HEADER_BYTES {
            *hollow_left = hollow_left
                .checked_sub(1)
                .ok_or(DecodeError::LimitExceeded {
                    kind: "partitions without a batch",
                    length: HOLLOW_PARTITIONS_MAX + 1,
                    limit: HOLLOW_PARTITIONS_MAX,
                    offset,
                })?;
        }
        topic.partitions.push(ProducePartition {
            index,
            batch: PreparedBatch::from_client(records, version).map(|batch| PreparedBatch {
                pinned_bytes: frame_bytes.max(batch.pinned_bytes),
                ..batch
            }),
        });
    }
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(topic)
}

#[cfg(test)]
mod tests {
    use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_wire_core::{ApiVersion, KafkaEncode, Uuid};

    use super::*;
    use crate::time::Timestamp;
    use crate::wire::batch::Compression;
    use crate::wire::builder::BatchBuilder;

    fn batch() -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(Timestamp(1), Some(b"key"), Some(b"value"));
        builder.build()
    }

    fn request() -> kafka_wire::ProduceRequest {
        let mut request = kafka_wire::ProduceRequest::default();
        request.transactional_id = Some(StrBytes::from("transaction"));
        request.acks = -1;
        request.timeout_ms = 1_500;
        for name in ["one", "two"] {
            let mut topic = TopicProduceData::default();
            topic.name = StrBytes::from(name);
            topic.topic_id = Uuid::from_bytes([3; 16]);
            for index in 0..3 {
                let mut partition = PartitionProduceData::default();
                partition.index = index;
                partition.records = (index > 0).then(batch);
                topic.partition_data.push(partition);
            }
            request.topic_data.push(topic);
        }
        request
    }

    #[test]
    fn decoding_agrees_with_the_codec() {
        for version in 3..=13 {
            let body = request().encode_to_bytes(ApiVersion::new(version)).unwrap();
            let input = ProduceInput::decode(&body, version).unwrap();
            assert_eq!(input.transactional_id.as_deref(), Some("transaction"));
            assert_eq!((input.acks, input.timeout_ms), (-1, 1_500));
            assert_eq!(input.partitions_count(), 6);
            let topic = &input.topics[1];
            if version >= 13 {
                assert_eq!(topic.topic_id, TopicId([3; 16]));
                assert!(topic.name.is_empty());
            } else {
                assert!(topic.topic_id.is_zero());
                assert_eq!(&*topic.name, "two");
            }
            assert_eq!(topic.partitions[0].batch, Err(BatchError::NotOne));
            let prepared = topic.partitions[2].batch.as_ref().expect("a good batch");
            assert_eq!(prepared.bytes, batch());
        }
    }

    #[test]
    fn every_cut_is_an_error() {
        for version in 3..=13 {
            let body = request().encode_to_bytes(ApiVersion::new(version)).unwrap();
            for cut in 0..body.len() {
                assert!(ProduceInput::decode(&body.slice(..cut), version).is_err());
            }
        }
    }

    #[test]
    fn hollow_partitions_are_limited() {
        let mut request = request();
        let hollow = PartitionProduceData::default();
        request.topic_data[0].partition_data = vec![hollow; HOLLOW_PARTITIONS_MAX + 1];
        let body = request.encode_to_bytes(ApiVersion::new(9)).unwrap();
        let error = ProduceInput::decode(&body, 9).unwrap_err();
        assert!(matches!(error, DecodeError::LimitExceeded { .. }));
    }
}
