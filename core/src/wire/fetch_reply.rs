//! The answer to a Fetch, encoded by hand so that records are never copied.
//!
//! Versions 4-18 of `FetchResponse`; a test holds the bytes equal to the codec's. What a version
//! cannot carry is left out.

use kafka_wire::fetch_response::{FetchableTopicResponse, NodeEndpoint, PartitionData};
use kafka_wire_core::{EncodeError, Encoder};

use crate::storage::Slice;
use crate::wire::frame_writer::FrameWriter;

/// The answer to a Fetch: Kafka's message, with the records as slices instead of bytes.
///
/// `response.responses[t].partitions[p].records` is not looked at; its records are
/// `records[t][p]`, and no records are sent as zero bytes, never as null (K54).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchReply {
    /// All but the records.
    pub response: kafka_wire::FetchResponse,
    /// The records of each topic's partitions, in the order of `response`; topics and partitions
    /// that are missing at the end have none.
    pub records: Vec<Vec<Vec<Slice>>>,
}

impl FetchReply {
    /// Bytes of records in the reply.
    #[must_use]
    pub fn records_bytes(&self) -> usize {
        let slices = self.records.iter().flatten().flatten();
        slices.map(Slice::size_bytes).sum()
    }

    /// Appends the body.
    pub(crate) fn encode(&self, version: i16, writer: &mut FrameWriter) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        let response = &self.response;
        let mut encoder = Encoder::new(writer.buffer_mut());
        encoder.write_i32(response.throttle_time_ms)?;
        if version >= 7 {
            encoder.write_i16(response.error_code)?;
            encoder.write_i32(response.session_id)?;
        }
        write_array_len(writer, flexible, response.responses.len())?;
        for (index, topic) in response.responses.iter().enumerate() {
            let records = self.records.get(index).map_or(&[][..], Vec::as_slice);
            encode_topic(version, topic, records, writer)?;
        }
        if flexible {
            encode_node_endpoints(version, &response.node_endpoints, writer)?;
        }
        Ok(())
    }
}

fn encode_topic(
    version: i16,
    topic: &FetchableTopicResponse,
    records: &[Vec<Slice>],
    writer: &mut FrameWriter,
) -> Result<(), EncodeError> {
    let flexible = version >= 12;
    let mut encoder = Encoder::new(writer.buffer_mut());
    if version >= 13 {
        encoder.write_uuid(topic.topic_id)?;
    } else if flexible {
        encoder.write_compact_string(&topic.topic)?;
    } else {
        encoder.write_string(&topic.topic)?;
    }
    write_array_len(writer, flexible, topic.partitions.len())?;
    for (index, partition) in topic.partitions.iter().enumerate() {
        let slices = records.get(index).map_or(&[][..], Vec::as_slice);
        encode_partition(version, partition, slices, writer)?;
    }
    if flexible {
        Encoder::new(writer.buffer_mut()).write_unsigned_varint(0)?;
    }
    Ok(())
}

fn encode_partition(
    version: i16,
    partition: &PartitionData,
    records: &[Slice],
    writer: &mut FrameWriter,
) -> Result<(), EncodeError> {
    let flexible = version >= 12;
    let mut encoder = Encoder::new(writer.buffer_mut());
    encoder.write_i32(partition.partition_index)?;
    encoder.write_i16(partition.error_code)?;
    encoder.write_i64(partition.high_watermark)?;
    encoder.write_i64(partition.last_stable_offset)?;
    if version >= 5 {
        encoder.write_i64(partition.log_start_offset)?;
    }
    let aborted = partition.aborted_transactions.as_ref();
    if flexible {
        encoder.write_compact_nullable_array_len(aborted.map(Vec::len))?;
    } else {
        encoder.write_nullable_array_len(aborted.map(Vec::len))?;
    }
    for transaction in aborted.into_iter().flatten() {
        encoder.write_i64(transaction.producer_id)?;
        encoder.write_i64(transaction.first_offset)?;
        if flexible {
            encoder.write_unsigned_varint(0)?;
        }
    }
    if version >= 11 {
        encoder.write_i32(partition.preferred_read_replica)?;
    }
    encode_records(flexible, records, writer)?;
    if flexible {
        encode_partition_tags(partition, writer)?;
    }
    Ok(())
}

fn encode_records(
    flexible: bool,
    records: &[Slice],
    writer: &mut FrameWriter,
) -> Result<(), EncodeError> {
    let length = records.iter().map(Slice::size_bytes).sum::<usize>();
    let overflow = |_too_large| EncodeError::LengthOverflow {
        kind: "records",
        length,
        maximum: i32::MAX as usize,
    };
    let length_field = i32::try_from(length).map_err(overflow)?;
    let mut encoder = Encoder::new(writer.buffer_mut());
    if flexible {
        encoder.write_unsigned_varint(length_field.unsigned_abs() + 1)?;
    } else {
        encoder.write_i32(length_field)?;
    }
    for slice in records {
        writer.put_slice(slice);
    }
    Ok(())
}

/// The tagged fields of a partition: 0 diverging epoch, 1 current leader, 2 snapshot id; each only
/// where it says something.
fn encode_partition_tags(
    partition: &PartitionData,
    writer: &mut FrameWriter,
) -> Result<(), EncodeError> {
    // Two integers and an empty tagged-field section each.
    const EPOCH_AND_OFFSET_BYTES: u32 = 13;
    const LEADER_BYTES: u32 = 9;
    let diverging = &partition.diverging_epoch;
    let has_diverging = (diverging.epoch, diverging.end_offset) != (-1, -1);
    let leader = &partition.current_leader;
    let has_leader = (leader.leader_id, leader.leader_epoch) != (-1, -1);
    let snapshot = &partition.snapshot_id;
    let has_snapshot = (snapshot.epoch, snapshot.end_offset) != (-1, -1);
    let mut encoder = Encoder::new(writer.buffer_mut());
    let count = u32::from(has_diverging) + u32::from(has_leader) + u32::from(has_snapshot);
    encoder.write_unsigned_varint(count)?;
    if has_diverging {
        encoder.write_unsigned_varint(0)?;
        encoder.write_unsigned_varint(EPOCH_AND_OFFSET_BYTES)?;
        encoder.write_i32(diverging.epoch)?;
        encoder.write_i64(diverging.end_offset)?;
        encoder.write_unsigned_varint(0)?;
    }
    if has_leader {
        encoder.write_unsigned_varint(1)?;
        encoder.write_unsigned_varint(LEADER_BYTES)?;
        encoder.write_i32(leader.leader_id)?;
        encoder.write_i32(leader.leader_epoch)?;
        encoder.write_unsigned_varint(0)?;
    }
    if has_snapshot {
        encoder.write_unsigned_varint(2)?;
        encoder.write_unsigned_varint(EPOCH_AND_OFFSET_BYTES)?;
        encoder.write_i64(snapshot.end_offset)?;
        encoder.write_i32(snapshot.epoch)?;
        encoder.write_unsigned_varint(0)?;
    }
    Ok(())
}

/// The tagged fields of the whole: 0 the addresses of the current leaders (KIP-951), from version
/// 16 on.
fn encode_node_endpoints(
    version: i16,
    endpoints: &[NodeEndpoint],
    writer: &mut FrameWriter,
) -> Result<(), EncodeError> {
    if version < 16 || endpoints.is_empty() {
        return Encoder::new(writer.buffer_mut()).write_unsigned_varint(0);
    }
    // The section's length stands in front of it, so it is encoded twice: once to be measured.
    let mut sizing = Encoder::sizing();
    write_endpoints(&mut sizing, endpoints)?;
    let size = u32::try_from(sizing.len()).map_err(|_too_large| EncodeError::LengthOverflow {
        kind: "node endpoints",
        length: sizing.len(),
        maximum: u32::MAX as usize,
    })?;
    let mut encoder = Encoder::new(writer.buffer_mut());
    encoder.write_unsigned_varint(1)?;
    encoder.write_unsigned_varint(0)?;
    encoder.write_unsigned_varint(size)?;
    write_endpoints(&mut encoder, endpoints)
}

fn write_endpoints<T: kafka_wire_core::EncodeTarget>(
    encoder: &mut Encoder<T>,
    endpoints: &[NodeEndpoint],
) -> Result<(), EncodeError> {
    encoder.write_compact_array_len(endpoints.len())?;
    for endpoint in endpoints {
        encoder.write_i32(endpoint.node_id)?;
        encoder.write_compact_string(&endpoint.host)?;
        encoder.write_i32(endpoint.port)?;
        encoder.write_compact_nullable_string(endpoint.rack.as_ref())?;
        encoder.write_unsigned_varint(0)?;
    }
    Ok(())
}

fn write_array_len(
    writer: &mut FrameWriter,
    flexible: bool,
    length: usize,
) -> Result<(), EncodeError> {
    let mut encoder = Encoder::new(writer.buffer_mut());
    if flexible {
        encoder.write_compact_array_len(length)
    } else {
        encoder.write_array_len(length)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kafka_wire::fetch_response::AbortedTransaction;
    use kafka_wire_core::{ApiVersion, KafkaEncode, StrBytes, Uuid};

    use super::*;
    use crate::rng::Rng;
    use crate::storage::{STAMP_BYTES, StampedBatch};
    use crate::wire::frame_writer::Piece;

    fn random_slices(rng: &mut Rng) -> Vec<Slice> {
        let slice = |rng: &mut Rng| {
            let mut stamp = [0; STAMP_BYTES];
            rng.fill(&mut stamp);
            let mut body = vec![0; usize::try_from(rng.below(1_500)).unwrap()];
            rng.fill(&mut body);
            Slice::Memory(StampedBatch {
                stamp,
                body: Bytes::from(body),
            })
        };
        (0..rng.below(4)).map(|_| slice(rng)).collect()
    }

    /// A partition with whatever `version` can carry.
    fn random_partition(rng: &mut Rng, version: i16) -> PartitionData {
        let mut data = PartitionData::default();
        data.partition_index = i32::try_from(rng.below(100)).unwrap();
        data.error_code = i16::try_from(rng.below(3)).unwrap();
        data.high_watermark = i64::try_from(rng.below(1 << 60)).unwrap();
        data.last_stable_offset = 5;
        if version >= 5 {
            data.log_start_offset = 1;
        }
        let mut aborted = AbortedTransaction::default();
        aborted.producer_id = 9;
        aborted.first_offset = 4;
        data.aborted_transactions = match rng.below(3) {
            0 => None,
            1 => Some(vec![aborted.clone(), aborted]),
            _none => Some(Vec::new()),
        };
        if version >= 11 {
            data.preferred_read_replica = 3;
        }
        if version >= 12 && rng.chance(1, 2) {
            data.diverging_epoch.epoch = 2;
            data.diverging_epoch.end_offset = 20;
        }
        if version >= 12 && rng.chance(1, 2) {
            data.current_leader.leader_id = 4;
        }
        if version >= 12 && rng.chance(1, 2) {
            data.snapshot_id.end_offset = 8;
        }
        data
    }

    fn random_reply(rng: &mut Rng, version: i16) -> FetchReply {
        let mut reply = FetchReply::default();
        reply.response.throttle_time_ms = 3;
        if version >= 7 {
            reply.response.session_id = 77;
        }
        for _topic in 0..rng.below(3) {
            let mut topic = FetchableTopicResponse::default();
            topic.topic = StrBytes::from("a-topic");
            topic.topic_id = Uuid::from_bytes([6; 16]);
            let mut records = Vec::new();
            for _partition in 0..rng.below(4) {
                topic.partitions.push(random_partition(rng, version));
                records.push(random_slices(rng));
            }
            reply.response.responses.push(topic);
            reply.records.push(records);
        }
        if version >= 16 && rng.chance(1, 2) {
            let mut endpoint = NodeEndpoint::default();
            endpoint.node_id = 4;
            endpoint.host = StrBytes::from("host");
            endpoint.port = 9092;
            endpoint.rack = Some(StrBytes::from("rack")).filter(|_| rng.chance(1, 2));
            reply.response.node_endpoints.push(endpoint);
        }
        reply
    }

    #[test]
    fn the_bytes_are_the_codecs_with_the_records_put_in() {
        let mut rng = Rng::new(11);
        for version in 4..=18 {
            for _round in 0..50 {
                let reply = random_reply(&mut rng, version);
                let mut inlined = reply.response.clone();
                for (topic, records) in inlined.responses.iter_mut().zip(&reply.records) {
                    for (partition, slices) in topic.partitions.iter_mut().zip(records) {
                        let mut bytes = Vec::new();
                        for slice in slices {
                            let Slice::Memory(batch) = slice else {
                                panic!("all are in memory");
                            };
                            bytes.extend_from_slice(&batch.to_bytes());
                        }
                        partition.records = Some(Bytes::from(bytes));
                    }
                }
                let expected = inlined.encode_to_bytes(ApiVersion::new(version)).unwrap();
                let mut writer = FrameWriter::default();
                reply.encode(version, &mut writer).unwrap();
                let mut pieces = Vec::new();
                let size = writer.take(&mut pieces);
                let mut bytes = Vec::new();
                for piece in pieces {
                    let Piece::Bytes(part) = piece else {
                        panic!("all are in memory");
                    };
                    bytes.extend_from_slice(&part);
                }
                assert_eq!(size, bytes.len());
                assert!(expected == bytes, "version {version}");
            }
        }
    }
}
