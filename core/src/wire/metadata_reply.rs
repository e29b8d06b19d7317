//! The answer to a Metadata, whose topics may be encoded already.
//!
//! An answer about every topic of a large cluster has many thousands of small parts. As Kafka's
//! message each of them is a few allocations; here they are written one after the other into the
//! bytes that leave. Versions 0-13 of `MetadataResponse`; a test holds the bytes equal to the
//! codec's. Knows nothing of where topics come from.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire::MetadataResponse;
use kafka_wire_core::{ApiVersion, EncodeError, Encoder, KafkaEncode, Uuid};

use crate::wire::frame_writer::{FrameWriter, Piece};

/// First version with compact strings and tagged fields.
const FLEXIBLE_VERSION: i16 = 9;

/// The answer to a Metadata: Kafka's message, with the topics beside it where they are encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataReply {
    /// All of it; without topics where those are in `topics`.
    pub response: MetadataResponse,
    /// The topics, encoded.
    pub topics: Option<EncodedTopics>,
}

/// Topics of an answer as they are on the wire, in one version of the API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncodedTopics {
    version: i16,
    count: usize,
    bytes: Bytes,
}

/// What is told of a topic, apart from its partitions.
#[derive(Clone, Copy, Debug)]
pub struct ToldTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its id.
    pub id: Uuid,
    /// Whether it is of Kafka itself.
    pub is_internal: bool,
    /// What the client may do with it, a bit for each operation.
    pub operations: i32,
}

/// What is told of a partition, apart from its replicas.
#[derive(Clone, Copy, Debug)]
pub struct ToldPartition {
    /// What is wrong with it; 0 for nothing.
    pub error_code: i16,
    /// Its index.
    pub index: i32,
    /// Its leader; -1 for none.
    pub leader: i32,
    /// The leader's epoch.
    pub leader_epoch: i32,
}

/// Encodes topics, one after the other.
#[derive(Debug)]
pub struct TopicsEncoder {
    version: i16,
    count: usize,
    bytes: BytesMut,
}

impl From<MetadataResponse> for MetadataReply {
    fn from(response: MetadataResponse) -> Self {
        Self {
            response,
            topics: None,
        }
    }
}

impl MetadataReply {
    /// Appends the body.
    pub(crate) fn encode(&self, version: i16, writer: &mut FrameWriter) -> Result<(), EncodeError> {
        let Some(topics) = &self.topics else {
            let buffer = writer.buffer_mut();
            let written = self.response.encode_into(buffer, ApiVersion::new(version));
            return written.map(|_bytes| ());
        };
        assert_eq!(topics.version, version, "encoded for this very request");
        assert!(self.response.topics.is_empty(), "topics are in one place");
        self.encode_front(version, writer)?;
        write_array_len(version, topics.count, writer.buffer_mut())?;
        writer.put_piece(Piece::Bytes(topics.bytes.clone()));
        let mut encoder = Encoder::new(writer.buffer_mut());
        if (8..=10).contains(&version) {
            encoder.write_i32(self.response.cluster_authorized_operations)?;
        }
        if version >= 13 {
            encoder.write_i16(self.response.error_code)?;
        }
        if version >= FLEXIBLE_VERSION {
            encoder.write_unsigned_varint(0)?;
        }
        Ok(())
    }

    /// What stands in front of the topics.
    fn encode_front(&self, version: i16, writer: &mut FrameWriter) -> Result<(), EncodeError> {
        let is_flexible = version >= FLEXIBLE_VERSION;
        let response = &self.response;
        if version >= 3 {
            Encoder::new(writer.buffer_mut()).write_i32(response.throttle_time_ms)?;
        }
        write_array_len(version, response.brokers.len(), writer.buffer_mut())?;
        let mut encoder = Encoder::new(writer.buffer_mut());
        for broker in &response.brokers {
            encoder.write_i32(broker.node_id)?;
            if is_flexible {
                encoder.write_compact_string(&broker.host)?;
            } else {
                encoder.write_string(&broker.host)?;
            }
            encoder.write_i32(broker.port)?;
            if is_flexible {
                encoder.write_compact_nullable_string(broker.rack.as_ref())?;
                encoder.write_unsigned_varint(0)?;
            } else if version >= 1 {
                encoder.write_nullable_string(broker.rack.as_ref())?;
            }
        }
        if is_flexible {
            encoder.write_compact_nullable_string(response.cluster_id.as_ref())?;
        } else if version >= 2 {
            encoder.write_nullable_string(response.cluster_id.as_ref())?;
        }
        if version >= 1 {
            encoder.write_i32(response.controller_id)?;
        }
        Ok(())
    }
}

impl TopicsEncoder {
    /// Begins an answer of `version`, with room for about `topics` topics of one partition.
    #[must_use]
    pub fn new(version: i16, topics: usize) -> Self {
        /// A topic with a name of 40 characters, and its partition with one replica.
        const BYTES_EACH: usize = 112;
        Self {
            version,
            count: 0,
            bytes: BytesMut::with_capacity(topics.saturating_mul(BYTES_EACH)),
        }
    }

    /// Adds a topic; its `partitions` follow, so many times [`Self::partition`], then
    /// [`Self::end_topic`].
    ///
    /// # Errors
    /// What no frame can hold: a name that is too long, too many partitions.
    pub fn topic(&mut self, topic: &ToldTopic<'_>, partitions: usize) -> Result<(), EncodeError> {
        let version = self.version;
        self.count += 1;
        self.bytes.put_i16(0);
        self.name(topic.name)?;
        let mut encoder = Encoder::new(&mut self.bytes);
        if version >= 10 {
            encoder.write_uuid(topic.id)?;
        }
        if version >= 1 {
            encoder.write_bool(topic.is_internal)?;
        }
        write_array_len(version, partitions, &mut self.bytes)
    }

    /// Adds the next partition with its replicas, those in sync and those that do not serve.
    ///
    /// # Errors
    /// As [`Self::topic`].
    pub fn partition(
        &mut self,
        partition: &ToldPartition,
        replicas: impl Iterator<Item = i32> + Clone,
        isr: impl Iterator<Item = i32> + Clone,
        offline: impl Iterator<Item = i32> + Clone,
    ) -> Result<(), EncodeError> {
        let version = self.version;
        let mut encoder = Encoder::new(&mut self.bytes);
        encoder.write_i16(partition.error_code)?;
        encoder.write_i32(partition.index)?;
        encoder.write_i32(partition.leader)?;
        if version >= 7 {
            encoder.write_i32(partition.leader_epoch)?;
        }
        self.nodes(replicas)?;
        self.nodes(isr)?;
        if version >= 5 {
            self.nodes(offline)?;
        }
        self.end_tags()
    }

    /// Ends a topic.
    ///
    /// # Errors
    /// As [`Self::topic`].
    pub fn end_topic(&mut self, topic: &ToldTopic<'_>) -> Result<(), EncodeError> {
        if self.version >= 8 {
            Encoder::new(&mut self.bytes).write_i32(topic.operations)?;
        }
        self.end_tags()
    }

    /// What was encoded.
    #[must_use]
    pub fn end(self) -> EncodedTopics {
        EncodedTopics {
            version: self.version,
            count: self.count,
            bytes: self.bytes.freeze(),
        }
    }

    fn name(&mut self, name: &str) -> Result<(), EncodeError> {
        let mut encoder = Encoder::new(&mut self.bytes);
        if self.version >= FLEXIBLE_VERSION {
            // As long as an array of so many bytes, and one more for a string that is there.
            encoder.write_compact_array_len(name.len())?;
        } else {
            let length = i16::try_from(name.len()).expect("topics' names are short");
            encoder.write_i16(length)?;
        }
        self.bytes.put_slice(name.as_bytes());
        Ok(())
    }

    fn nodes(&mut self, nodes: impl Iterator<Item = i32> + Clone) -> Result<(), EncodeError> {
        write_array_len(self.version, nodes.clone().count(), &mut self.bytes)?;
        let mut encoder = Encoder::new(&mut self.bytes);
        for node in nodes {
            encoder.write_i32(node)?;
        }
        Ok(())
    }

    /// No tagged fields.
    fn end_tags(&mut self) -> Result<(), EncodeError> {
        if self.version < FLEXIBLE_VERSION {
            return Ok(());
        }
        Encoder::new(&mut self.bytes).write_unsigned_varint(0)
    }
}

fn write_array_len(version: i16, length: usize, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    let mut encoder = Encoder::new(buffer);
    if version >= FLEXIBLE_VERSION {
        encoder.write_compact_array_len(length)
    } else {
        encoder.write_array_len(length)
    }
}
