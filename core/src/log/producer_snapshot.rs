//! The `.snapshot` file: producers as they were at an offset, so that a restart need not replay
//! the whole log.
//!
//! Kafka's `ProducerSnapshot` message, version 1: version, CRC-32C of what follows it, then the
//! producers, each with its newest batch only. Compare `ProducerStateManager.readSnapshot`.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::producer_state::{Producer, ProducerBatch, Producers};
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::Timestamp;
use crate::wire::batch::crc32c;

const VERSION: i16 = 1;
/// Bytes in front of what the CRC covers: version and CRC.
const PREFIX_BYTES: usize = 6;
const ENTRY_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// Why bytes are not a producer snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SnapshotDamage {
    /// The CRC does not match.
    Crc,
    /// The size does not fit the number of producers.
    Size,
    /// A version other than 1.
    Version,
}

impl fmt::Display for SnapshotDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc => "its checksum does not match",
            Self::Size => "its size is wrong",
            Self::Version => "its version is not 1",
        })
    }
}

/// The file's content for these producers.
#[must_use]
pub fn encode(producers: &Producers) -> Bytes {
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + 4 + producers.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let count = i32::try_from(producers.len()).expect("producers are bounded by memory");
    bytes.extend_from_slice(&count.to_be_bytes());
    for (id, producer) in producers.iter() {
        let newest = producer.batches.back().copied().unwrap_or(ProducerBatch {
            last_sequence: Sequence::NONE,
            last_offset: Offset::NONE,
            offset_delta: 0,
            timestamp: producer.last_timestamp,
        });
        bytes.extend_from_slice(&id.0.to_be_bytes());
        bytes.extend_from_slice(&producer.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&newest.last_sequence.0.to_be_bytes());
        bytes.extend_from_slice(&newest.last_offset.0.to_be_bytes());
        bytes.extend_from_slice(&newest.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&producer.last_timestamp.0.to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        let start = producer.transaction_start.unwrap_or(Offset::NONE);
        bytes.extend_from_slice(&start.0.to_be_bytes());
    }
    let crc = crc32c(&bytes[PREFIX_BYTES..]);
    bytes[2..PREFIX_BYTES].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

/// Reads it.
///
/// # Errors
///
/// [`SnapshotDamage`]; then an older snapshot and a longer replay are the way out.
pub fn decode(bytes: &[u8]) -> Result<Producers, SnapshotDamage> {
    let mut reader = Reader { bytes };
    let version = i16::from_be_bytes(reader.take()?);
    if version != VERSION {
        return Err(SnapshotDamage::Version);
    }
    let crc = u32::from_be_bytes(reader.take()?);
    if crc32c(reader.bytes) != crc {
        return Err(SnapshotDamage::Crc);
    }
    let count = i32::from_be_bytes(reader.take()?);
    let expected = usize::try_from(count).ok().and_then(|count| {
        let size = count.checked_mul(ENTRY_BYTES)?;
        (size == reader.bytes.len()).then_some(count)
    });
    let mut producers = Producers::default();
    for _entry in 0..expected.ok_or(SnapshotDamage::Size)? {
        let (id, producer) = reader.producer()?;
        producers.restore(id, producer);
    }
    Ok(producers)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnapshotDamage> {
        let (taken, rest) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(SnapshotDamage::Size)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn producer(&mut self) -> Result<(ProducerId, Producer), SnapshotDamage> {
        let id = ProducerId(i64::from_be_bytes(self.take()?));
        let epoch = ProducerEpoch(i16::from_be_bytes(self.take()?));
        let last_sequence = Sequence(i32::from_be_bytes(self.take()?));
        let last_offset = Offset(i64::from_be_bytes(self.take()?));
        let offset_delta = i32::from_be_bytes(self.take()?);
        let timestamp = Timestamp(i64::from_be_bytes(self.take()?));
        let coordinator_epoch = i32::from_be_bytes(self.take()?);
        let start = Offset(i64::from_be_bytes(self.take()?));
        let mut batches = VecDeque::new();
        if last_offset.0 >= 0 {
            batches.push_back(ProducerBatch {
                last_sequence,
                last_offset,
                offset_delta,
                timestamp,
            });
        }
        let producer = Producer {
            epoch,
            batches,
            coordinator_epoch,
            last_timestamp: timestamp,
            transaction_start: (start.0 >= 0).then_some(start),
        };
        Ok((id, producer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Producers {
        let mut producers = Producers::default();
        for id in [4, 9] {
            let producer = Producer {
                epoch: ProducerEpoch(2),
                batches: VecDeque::from([ProducerBatch {
                    last_sequence: Sequence(10),
                    last_offset: Offset(100 + id),
                    offset_delta: 3,
                    timestamp: Timestamp(77),
                }]),
                coordinator_epoch: -1,
                last_timestamp: Timestamp(77),
                transaction_start: (id == 9).then_some(Offset(90)),
            };
            producers.restore(ProducerId(id), producer);
        }
        producers
    }

    #[test]
    fn snapshots_go_both_ways() {
        for producers in [Producers::default(), some()] {
            assert_eq!(decode(&encode(&producers)), Ok(producers));
        }
    }

    #[test]
    fn damage_is_seen() {
        let good = encode(&some());
        for at in 6..good.len() {
            let mut bytes = good.to_vec();
            bytes[at] ^= 0x10;
            assert_eq!(decode(&bytes), Err(SnapshotDamage::Crc), "byte {at}");
        }
        assert_eq!(decode(&good[..5]), Err(SnapshotDamage::Size));
        assert_eq!(decode(&[0; 20]), Err(SnapshotDamage::Version));
        assert_eq!(decode(&[]), Err(SnapshotDamage::Size));
    }

    #[test]
    fn an_empty_snapshot_is_kafkas() {
        let bytes = encode(&Producers::default());
        assert_eq!(bytes.len(), 10);
        assert_eq!(bytes[..2], [0, 1]);
    }
}
