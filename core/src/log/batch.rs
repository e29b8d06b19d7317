//! The header of a record batch, as the log needs it.
//!
//! Reads the 61 bytes in front of a v2 batch and nothing else: records are opened only by look-ups
//! by time, and a batch's CRC is checked only by the recovery scan. Compare Kafka's
//! `DefaultRecordBatch`.

use std::fmt;

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::storage::{STAMP_BYTES, StampedBatch};
use crate::time::Timestamp;
use crate::wire::batch::{
    Attributes, BATCH_HEADER_BYTES, BatchHeader, MAGIC, PreparedBatch, crc32c,
};

/// Size of a v2 batch's header, in bytes.
pub(super) const HEADER_BYTES: usize = BATCH_HEADER_BYTES;

/// Bytes of a batch that its length field does not count: base offset and the length itself.
const LENGTH_OVERHEAD_BYTES: u32 = 12;

/// Position of the first byte under the CRC, the attributes.
pub(super) const CRC_START: usize = 21;

/// The header of a v2 record batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchInfo {
    /// Offset of the first record; in a batch that is not appended yet, whatever the producer sent.
    pub base_offset: Offset,
    /// Size of the whole batch in bytes, header included.
    pub size_bytes: u32,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, transactional, control.
    pub attributes: Attributes,
    /// Offset of the last record relative to the first; never negative.
    pub last_offset_delta: i32,
    /// Timestamp of the first record.
    pub base_timestamp: Timestamp,
    /// Largest timestamp of its records, or the time of the append.
    pub max_timestamp: Timestamp,
    /// The idempotent producer, or none.
    pub producer_id: ProducerId,
    /// Its incarnation.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub base_sequence: Sequence,
    /// Number of records.
    pub count: i32,
}

/// Why bytes are not the front of a v2 batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchDamage {
    /// The CRC does not match.
    Crc,
    /// A length no batch can have.
    Length,
    /// A magic byte other than 2.
    Magic,
    /// A negative base offset or offset delta.
    Offsets,
    /// The bytes end within the batch.
    Short,
    /// Nothing but zeros: space that was reserved and never written.
    Zeros,
}

impl fmt::Display for BatchDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crc => "its checksum does not match",
            Self::Length => "its length is impossible",
            Self::Magic => "its format is not version 2",
            Self::Offsets => "its offsets are impossible",
            Self::Short => "it ends too early",
            Self::Zeros => "there are only zeros",
        })
    }
}

impl BatchInfo {
    /// Reads the header at the front of `bytes`. Does not check the CRC, nor that the whole batch
    /// is there.
    ///
    /// # Errors
    ///
    /// [`BatchDamage`] where these bytes cannot be the front of a batch.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchDamage> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(BatchDamage::Short);
        };
        if header.iter().all(|&byte| byte == 0) {
            return Err(BatchDamage::Zeros);
        }
        let header = BatchHeader::parse(header).expect("there are enough bytes");
        Self::of(&header)
    }

    /// Checks a header that was read already.
    ///
    /// # Errors
    ///
    /// [`BatchDamage`] where it cannot be the header of a batch.
    pub fn of(header: &BatchHeader) -> Result<Self, BatchDamage> {
        if header.magic != MAGIC {
            return Err(BatchDamage::Magic);
        }
        let Ok(length) = u32::try_from(header.batch_length) else {
            return Err(BatchDamage::Length);
        };
        let size_bytes = length + LENGTH_OVERHEAD_BYTES;
        if (size_bytes as usize) < HEADER_BYTES {
            return Err(BatchDamage::Length);
        }
        let room = i64::MAX - i64::from(i32::MAX) - 1;
        if header.last_offset_delta < 0 || !(0..=room).contains(&header.base_offset.0) {
            return Err(BatchDamage::Offsets);
        }
        Ok(Self {
            base_offset: header.base_offset,
            size_bytes,
            leader_epoch: header.leader_epoch,
            crc: header.crc,
            attributes: header.attributes,
            last_offset_delta: header.last_offset_delta,
            base_timestamp: header.base_timestamp,
            max_timestamp: header.max_timestamp,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            count: header.records_count,
        })
    }

    /// Checks the CRC of a whole batch, of which this is the header.
    ///
    /// # Errors
    ///
    /// [`BatchDamage::Short`] where `batch` is shorter than the header says, [`BatchDamage::Crc`]
    /// where the sum differs.
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchDamage> {
        let Some(covered) = batch.get(CRC_START..self.size_bytes as usize) else {
            return Err(BatchDamage::Short);
        };
        if crc32c(covered) == self.crc {
            Ok(())
        } else {
            Err(BatchDamage::Crc)
        }
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Sequence of the last record.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE {
            Sequence::NONE
        } else {
            self.base_sequence.plus(self.last_offset_delta)
        }
    }

    /// Whether its records belong to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// Whether it holds a control record: a transaction's marker, or one of the quorum's.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }
}

/// A batch that passed validation and waits to be appended by a leader.
#[derive(Clone, Debug)]
pub struct LeaderBatch {
    info: BatchInfo,
    body: Bytes,
    pinned_bytes: usize,
}

impl LeaderBatch {
    /// Takes a batch that passed validation.
    ///
    /// A small batch that keeps a large read buffer alive is copied before it enters the tail.
    ///
    /// # Panics
    ///
    /// Where the header is none of a whole batch, which validation excludes.
    #[must_use]
    pub fn new(batch: &PreparedBatch) -> Self {
        let info = BatchInfo::of(&batch.header).expect("validation checked the header");
        assert!(
            info.size_bytes as usize == batch.bytes.len(),
            "validation checked the length"
        );
        Self {
            info,
            body: batch.bytes.slice(STAMP_BYTES..),
            pinned_bytes: batch.pinned_bytes.max(batch.bytes.len()),
        }
    }

    /// Its header, with the base offset and leader epoch that the producer sent.
    #[must_use]
    pub fn info(&self) -> &BatchInfo {
        &self.info
    }

    /// The batch at its place in the log, without copying more than a small batch that would pin a
    /// much larger buffer. Also answers the bytes that the result keeps alive.
    pub(super) fn stamp(
        &self,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
    ) -> (StampedBatch, u64) {
        let mut stamp = [0; STAMP_BYTES];
        stamp[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        let length = self.info.size_bytes - LENGTH_OVERHEAD_BYTES;
        stamp[8..12].copy_from_slice(&length.to_be_bytes());
        stamp[12..].copy_from_slice(&leader_epoch.0.to_be_bytes());
        let (body, pinned) = if self.body.len() * 2 < self.pinned_bytes {
            (Bytes::copy_from_slice(&self.body), self.body.len())
        } else {
            (self.body.clone(), self.pinned_bytes)
        };
        (StampedBatch { stamp, body }, pinned as u64)
    }
}

/// Batches for tests: real headers and real checksums around opaque records.
#[cfg(test)]
pub(crate) mod build {
    use super::*;

    /// What a test wants of a batch; the rest has defaults.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Wanted {
        pub(crate) base_offset: i64,
        pub(crate) leader_epoch: i32,
        pub(crate) attributes: i16,
        pub(crate) count: i32,
        pub(crate) base_timestamp: i64,
        pub(crate) max_timestamp: i64,
        pub(crate) producer: (i64, i16, i32),
        pub(crate) payload_bytes: usize,
        pub(crate) fill: u8,
    }

    impl Default for Wanted {
        fn default() -> Self {
            Self {
                base_offset: 0,
                leader_epoch: -1,
                attributes: 0,
                count: 1,
                base_timestamp: 1_000,
                max_timestamp: 1_000,
                producer: (-1, -1, -1),
                payload_bytes: 20,
                fill: 7,
            }
        }
    }

    /// A whole batch of opaque records.
    pub(crate) fn batch(wanted: Wanted) -> Bytes {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&wanted.base_offset.to_be_bytes());
        let length = HEADER_BYTES - 12 + wanted.payload_bytes;
        bytes.extend_from_slice(&i32::try_from(length).unwrap().to_be_bytes());
        bytes.extend_from_slice(&wanted.leader_epoch.to_be_bytes());
        bytes.push(2);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&wanted.attributes.to_be_bytes());
        bytes.extend_from_slice(&(wanted.count - 1).to_be_bytes());
        bytes.extend_from_slice(&wanted.base_timestamp.to_be_bytes());
        bytes.extend_from_slice(&wanted.max_timestamp.to_be_bytes());
        bytes.extend_from_slice(&wanted.producer.0.to_be_bytes());
        bytes.extend_from_slice(&wanted.producer.1.to_be_bytes());
        bytes.extend_from_slice(&wanted.producer.2.to_be_bytes());
        bytes.extend_from_slice(&wanted.count.to_be_bytes());
        bytes.resize(HEADER_BYTES + wanted.payload_bytes, wanted.fill);
        let crc = crc32c(&bytes[CRC_START..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    }

    /// The same, ready to be appended.
    pub(crate) fn leader_batch(wanted: Wanted) -> LeaderBatch {
        LeaderBatch::new(&PreparedBatch::from_log(batch(wanted)).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::build::{Wanted, batch};
    use super::*;

    #[test]
    fn a_stamped_batch_is_the_same_batch_elsewhere() {
        let whole = batch(Wanted {
            count: 3,
            producer: (9, 1, i32::MAX - 1),
            ..Wanted::default()
        });
        let prepared = LeaderBatch::new(&PreparedBatch::from_log(whole.clone()).unwrap());
        let (stamped, pinned) = prepared.stamp(Offset(40), LeaderEpoch(6));
        assert_eq!(pinned, whole.len() as u64);
        let there = stamped.to_bytes();
        let info = BatchInfo::parse(&there).unwrap();
        assert_eq!(info.base_offset, Offset(40));
        assert_eq!(info.end_offset(), Offset(43));
        assert_eq!(info.leader_epoch, LeaderEpoch(6));
        assert_eq!(info.last_sequence(), Sequence(0));
        assert_eq!(info.check_crc(&there), Ok(()));
        assert_eq!(there[16..], whole[16..]);
    }

    #[test]
    fn a_small_batch_does_not_pin_a_large_buffer() {
        let whole = batch(Wanted::default());
        let mut prepared = PreparedBatch::from_log(whole).unwrap();
        prepared.pinned_bytes = 1_000_000;
        let prepared = LeaderBatch::new(&prepared);
        let (stamped, pinned) = prepared.stamp(Offset(0), LeaderEpoch(0));
        assert_eq!(pinned, stamped.body.len() as u64);
        assert_ne!(stamped.body.as_ptr(), prepared.body.as_ptr());
    }

    #[test]
    fn damage_is_told_apart() {
        let whole = batch(Wanted::default());
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.to_vec();
            bytes[at] = byte;
            bytes
        };
        assert_eq!(BatchInfo::parse(&[0; 80]), Err(BatchDamage::Zeros));
        assert_eq!(BatchInfo::parse(&whole[..60]), Err(BatchDamage::Short));
        assert_eq!(BatchInfo::parse(&changed(16, 1)), Err(BatchDamage::Magic));
        assert_eq!(BatchInfo::parse(&changed(8, 255)), Err(BatchDamage::Length));
        assert_eq!(
            BatchInfo::parse(&changed(0, 255)),
            Err(BatchDamage::Offsets)
        );
        let rotten = changed(70, 8);
        let info = BatchInfo::parse(&rotten).unwrap();
        assert_eq!(info.check_crc(&rotten), Err(BatchDamage::Crc));
        assert_eq!(info.check_crc(&rotten[..70]), Err(BatchDamage::Short));
    }
}
