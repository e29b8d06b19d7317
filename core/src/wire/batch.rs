//! The header of a record batch, and the checks a broker makes before it takes one.
//!
//! A view over the bytes as they came; nothing here decompresses, and nothing is copied. Which
//! checks depend on a topic's configuration (size, timestamps, keys on compacted topics) is decided
//! by the partition, from the facts exposed here. Format: magic 2 of KIP-98; compare Kafka's
//! `DefaultRecordBatch` and `LogValidator`, 4.3.1.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::Timestamp;
use crate::wire::walk::{RecordFacts, walk_records};

pub use crate::wire::attributes::{Attributes, Compression, TimestampType};

/// Bytes of a batch before its records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// Bytes of a batch before what its length field counts: base offset and the length itself.
pub const BATCH_LENGTH_END: usize = 12;
/// The one record format served.
pub const MAGIC: i8 = 2;
/// First byte that the CRC covers: the attributes.
const CRC_START: usize = 21;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

/// CRC-32C of Kafka's record batches.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(
        crc_fast::CrcAlgorithm::Crc32Iscsi,
        bytes,
    ))
    .expect("a 32-bit checksum fits in u32")
}

/// The fields in front of a batch's records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Bytes after the length field; the batch is [`BATCH_LENGTH_END`] longer.
    pub batch_length: i32,
    /// The leader's epoch at the append; stamped by the broker.
    pub leader_epoch: LeaderEpoch,
    /// The record format; 2.
    pub magic: i8,
    /// CRC-32C from the attributes to the end.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record, relative to the base offset.
    pub last_offset_delta: i32,
    /// Timestamp that the records' deltas count from.
    pub base_timestamp: Timestamp,
    /// The highest timestamp of the records.
    pub max_timestamp: Timestamp,
    /// The idempotent or transactional producer, or none.
    pub producer_id: ProducerId,
    /// Its epoch, or none.
    pub producer_epoch: ProducerEpoch,
    /// Sequence of the first record, or none.
    pub base_sequence: Sequence,
    /// Number of records; fewer than the offsets suggest after compaction.
    pub records_count: i32,
}

fn field<const N: usize>(bytes: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; `None` where there are fewer than
    /// [`BATCH_HEADER_BYTES`]. Nothing is checked.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<BATCH_HEADER_BYTES>()?;
        Some(Self {
            base_offset: Offset(i64::from_be_bytes(field(bytes, 0))),
            batch_length: i32::from_be_bytes(field(bytes, 8)),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(bytes, 12))),
            magic: i8::from_be_bytes(field(bytes, MAGIC_AT)),
            crc: u32::from_be_bytes(field(bytes, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(field(bytes, ATTRIBUTES_AT))),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: Timestamp(i64::from_be_bytes(field(bytes, 27))),
            max_timestamp: Timestamp(i64::from_be_bytes(field(bytes, MAX_TIMESTAMP_AT))),
            producer_id: ProducerId(i64::from_be_bytes(field(bytes, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(bytes, 51))),
            base_sequence: Sequence(i32::from_be_bytes(field(bytes, 53))),
            records_count: i32::from_be_bytes(field(bytes, 57)),
        })
    }

    /// Writes the header, as it is, to the front of `bytes`, which must have room for it.
    pub fn write(&self, bytes: &mut [u8]) {
        assert!(bytes.len() >= BATCH_HEADER_BYTES, "room for a header");
        bytes[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        bytes[16..17].copy_from_slice(&self.magic.to_be_bytes());
        bytes[17..21].copy_from_slice(&self.crc.to_be_bytes());
        bytes[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        bytes[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.0.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.records_count.to_be_bytes());
    }

    /// Size of the whole batch in bytes; `None` where the length field makes no sense.
    #[must_use]
    pub fn size_bytes(&self) -> Option<usize> {
        let length = usize::try_from(self.batch_length).ok()?;
        let size = length.checked_add(BATCH_LENGTH_END)?;
        (size >= BATCH_HEADER_BYTES).then_some(size)
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// Offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// Sequence of the last record, wrapping; none where the batch has no sequences.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE || self.last_offset_delta < 0 {
            return Sequence::NONE;
        }
        self.base_sequence.plus(self.last_offset_delta)
    }

    /// Whether an idempotent or transactional producer wrote it.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 >= 0
    }
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BatchError {
    /// Its base offset is not 0, which is all a client may send.
    BaseOffset,
    /// A client may not write control records.
    Control,
    /// The records do not match the header: their number, offsets or lengths.
    Count,
    /// The CRC does not match.
    Crc,
    /// The length field makes no sense, or the bytes end before it says.
    Length,
    /// The record format is not magic 2.
    Magic,
    /// There is no batch, or more than one.
    NotOne,
    /// A record is malformed.
    Record,
    /// A producer id without a sequence.
    Sequence,
    /// The codec is unknown, or not allowed in this version of the request.
    UnsupportedCompression,
    /// The record format is one that never was.
    UnknownMagic,
}

impl BatchError {
    /// The error a client is told (checked against Kafka 4.3.1).
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Crc | Self::Length | Self::UnknownMagic => ErrorCode::CorruptMessage,
            Self::UnsupportedCompression => ErrorCode::UnsupportedCompressionType,
            Self::BaseOffset
            | Self::Control
            | Self::Count
            | Self::Magic
            | Self::NotOne
            | Self::Record
            | Self::Sequence => ErrorCode::InvalidRecord,
        }
    }

    /// What is wrong, in a sentence for the client.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::BaseOffset => "The batch's base offset must be 0.",
            Self::Control => "Clients may not write control records.",
            Self::Count => "The batch's header disagrees with its records.",
            Self::Crc => "The batch's CRC does not match its bytes.",
            Self::Length => "The batch's length does not match its bytes.",
            Self::Magic => "Only record batches of magic 2 are accepted.",
            Self::NotOne => "There must be exactly one record batch per partition.",
            Self::Record => "A record of the batch is malformed.",
            Self::Sequence => "The batch has a producer id but no sequence number.",
            Self::UnknownMagic => "The batch's format is unknown.",
            Self::UnsupportedCompression => {
                "The batch's compression is not supported in this version."
            }
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// A batch that passed every check that needs no topic: what a partition appends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PreparedBatch {
    /// Its header, as in `bytes`.
    pub header: BatchHeader,
    /// The whole batch, as the client sent it.
    pub bytes: Bytes,
    /// What walking the records found; `None` for compressed records that were not opened.
    pub facts: Option<RecordFacts>,
    /// What is wrong with the records, where they were opened in vain: told by the append, in its
    /// place among the other checks, and only where it must look into them.
    pub flaw: Option<BatchError>,
    /// Records whose times were out of bounds when the batch was opened, by position, the first
    /// of them where there are many; `None` where nobody looked. Told by the append if it refuses
    /// the batch for its times.
    pub odd_times: Option<Arc<[(i32, Timestamp)]>>,
    /// Size of the read buffer that `bytes` keeps alive, itself at least: what holding it costs.
    pub pinned_bytes: usize,
}

impl PreparedBatch {
    /// Checks the records field of a Produce request of `version`, which must be one whole batch
    /// (K29, K30, K31, K36).
    ///
    /// # Errors
    /// The first check that fails, in Kafka's order.
    pub fn from_client(bytes: Bytes, version: i16) -> Result<Self, BatchError> {
        let header = first_batch(&bytes)?;
        let compression = header
            .attributes
            .compression()
            .ok_or(BatchError::UnsupportedCompression)?;
        if compression == Compression::Zstd && version < 7 {
            return Err(BatchError::UnsupportedCompression);
        }
        let size = header.size_bytes().ok_or(BatchError::Length)?;
        assert!(size <= bytes.len(), "first_batch saw the whole batch");
        if whole_batch(&bytes[size..])?.is_some() {
            return Err(BatchError::NotOne);
        }
        if header.base_offset != Offset::ZERO {
            return Err(BatchError::BaseOffset);
        }
        let bytes = if size == bytes.len() {
            bytes
        } else {
            bytes.slice(..size)
        };
        if crc32c(&bytes[CRC_START..]) != header.crc {
            return Err(BatchError::Crc);
        }
        check_client_header(&header)?;
        Self::checked(header, bytes, compression)
    }

    /// Checks a whole batch that this cluster wrote: length, magic and CRC; offsets and epoch stand
    /// as they are.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn from_log(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes).ok_or(BatchError::Length)?;
        if header.size_bytes() != Some(bytes.len()) {
            return Err(BatchError::Length);
        }
        if header.magic != MAGIC {
            return Err(BatchError::Magic);
        }
        if crc32c(&bytes[CRC_START..]) != header.crc {
            return Err(BatchError::Crc);
        }
        Ok(Self {
            header,
            pinned_bytes: bytes.len(),
            bytes,
            facts: None,
            flaw: None,
            odd_times: None,
        })
    }

    fn checked(
        header: BatchHeader,
        bytes: Bytes,
        compression: Compression,
    ) -> Result<Self, BatchError> {
        let facts = match compression {
            Compression::None => Some(walk_records(&header, &bytes[BATCH_HEADER_BYTES..])?),
            Compression::Gzip | Compression::Lz4 | Compression::Snappy | Compression::Zstd => None,
        };
        let batch = Self {
            header,
            pinned_bytes: bytes.len(),
            bytes,
            facts,
            flaw: None,
            odd_times: None,
        };
        // Kafka corrects a maximum that the records do not bear out, and clears the bit of
        // LogAppendTime, which is the broker's to set.
        let max_timestamp = facts.map_or(header.max_timestamp, |facts| facts.max_timestamp);
        let is_honest = header.attributes.timestamp_type() == TimestampType::CreateTime
            && header.max_timestamp == max_timestamp;
        Ok(if is_honest {
            batch
        } else {
            batch.with_timestamps(TimestampType::CreateTime, max_timestamp)
        })
    }

    /// Size of the batch in bytes, as limits count it.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The batch with this meaning of timestamps and this maximum, and the CRC that follows;
    /// copies it (K31, K38).
    #[must_use]
    pub fn with_timestamps(self, kind: TimestampType, max_timestamp: Timestamp) -> Self {
        let mut header = self.header;
        header.attributes = header.attributes.with_timestamp_type(kind);
        header.max_timestamp = max_timestamp;
        let mut bytes = BytesMut::from(&self.bytes[..]);
        seal(&mut header, &mut bytes);
        Self {
            header,
            pinned_bytes: bytes.len(),
            bytes: bytes.freeze(),
            facts: self.facts,
            flaw: self.flaw,
            odd_times: self.odd_times,
        }
    }
}

/// Writes `header` to the front of a whole batch, with the length and the CRC that its bytes have.
pub(crate) fn seal(header: &mut BatchHeader, batch: &mut [u8]) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "a whole batch");
    header.batch_length =
        i32::try_from(batch.len() - BATCH_LENGTH_END).expect("a batch is below 2 GiB");
    header.write(batch);
    header.crc = crc32c(&batch[CRC_START..]);
    batch[CRC_AT..CRC_START].copy_from_slice(&header.crc.to_be_bytes());
}

/// The header of the first batch in `bytes`.
///
/// Kafka takes a batch that is cut short for no batch at all, the first one as well as what follows
/// it.
fn first_batch(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
    let size = match whole_batch(bytes)? {
        Some(size) => size,
        None => return Err(BatchError::NotOne),
    };
    if bytes[MAGIC_AT] != MAGIC.to_be_bytes()[0] {
        return Err(BatchError::Magic);
    }
    BatchHeader::parse(&bytes[..size]).ok_or(BatchError::Length)
}

/// Size of the whole batch, of any magic, at the front of `bytes`; `None` where it is cut short.
fn whole_batch(bytes: &[u8]) -> Result<Option<usize>, BatchError> {
    let Some(front) = bytes.first_chunk::<{ MAGIC_AT + 1 }>() else {
        return Ok(None);
    };
    let mut length = [0; 4];
    length.copy_from_slice(&front[8..12]);
    let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_sign| BatchError::Length)?;
    // The least a batch of any format has after its length field.
    if length < 14 {
        return Err(BatchError::Length);
    }
    if !(0..=MAGIC).contains(&i8::from_be_bytes([front[MAGIC_AT]])) {
        return Err(BatchError::UnknownMagic);
    }
    let size = length + BATCH_LENGTH_END;
    Ok((size <= bytes.len()).then_some(size))
}

fn check_client_header(header: &BatchHeader) -> Result<(), BatchError> {
    if header.last_offset_delta < 0 || header.records_count <= 0 {
        return Err(BatchError::Count);
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.records_count) {
        return Err(BatchError::Count);
    }
    if header.attributes.is_control() {
        return Err(BatchError::Control);
    }
    if header.has_producer() && header.base_sequence.0 < 0 {
        return Err(BatchError::Sequence);
    }
    Ok(())
}
