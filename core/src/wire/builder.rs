//! Building record batches: for clients, tests, and the logs that the broker itself writes.
//!
//! Byte for byte what Kafka's own `MemoryRecordsBuilder` makes of the same records where they are
//! not compressed.

use bytes::Bytes;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::Timestamp;
use crate::wire::batch::{Attributes, BATCH_HEADER_BYTES, BatchHeader, Compression, MAGIC, seal};
use crate::wire::compression::compress;
use crate::wire::records::RecordHeader;

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    /// The header's place, then the records, not compressed.
    buffer: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch at offset 0, with no producer and no leader epoch.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            header: BatchHeader {
                leader_epoch: LeaderEpoch::NONE,
                magic: MAGIC,
                attributes: Attributes::default().with_compression(compression),
                base_timestamp: Timestamp::NONE,
                max_timestamp: Timestamp::NONE,
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                ..BatchHeader::default()
            },
            compression,
            buffer: vec![0; BATCH_HEADER_BYTES],
        }
    }

    /// Places the batch at an offset, in a leader's epoch.
    #[must_use]
    pub fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self
    }

    /// Marks the batch as an idempotent producer's.
    #[must_use]
    pub fn producer(
        mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        base_sequence: Sequence,
    ) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_transactional();
        self
    }

    /// Marks the batch as holding control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_control();
        self
    }

    /// Adds a record.
    pub fn push(&mut self, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push_with_headers(timestamp, key, value, &[]);
    }

    /// Adds a record with headers.
    ///
    /// # Panics
    /// Where the batch would grow beyond 2 GiB or `i32::MAX` records; callers bound it far below.
    pub fn push_with_headers(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) {
        let delta = self.header.records_count;
        if delta == 0 {
            self.header.base_timestamp = timestamp;
            self.header.max_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.header.base_timestamp.0);
        let mut size = 1 + varlong_bytes(timestamp_delta) + varlong_bytes(i64::from(delta));
        size += field_bytes(key) + field_bytes(value) + varlong_bytes(headers.len() as i64);
        for header in headers {
            size += field_bytes(Some(&header.key)) + field_bytes(header.value.as_deref());
        }
        let end = self.buffer.len() + varlong_bytes(size as i64) + size;
        assert!(i32::try_from(end).is_ok(), "a batch stays below 2 GiB");
        self.buffer.reserve(end - self.buffer.len());
        put_varlong(&mut self.buffer, size as i64);
        self.buffer.push(0);
        put_varlong(&mut self.buffer, timestamp_delta);
        put_varlong(&mut self.buffer, i64::from(delta));
        put_field(&mut self.buffer, key);
        put_field(&mut self.buffer, value);
        put_varlong(&mut self.buffer, headers.len() as i64);
        for header in headers {
            put_field(&mut self.buffer, Some(&header.key));
            put_field(&mut self.buffer, header.value.as_deref());
        }
        assert!(self.buffer.len() == end, "the size was foreseen");
        self.header.records_count += 1;
        self.header.last_offset_delta = delta;
    }

    /// Number of records so far.
    #[must_use]
    pub fn records_count(&self) -> i32 {
        self.header.records_count
    }

    /// Size of the batch so far, in bytes, before compression.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether there is no record yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }

    /// The finished batch.
    ///
    /// # Panics
    /// Where it has no records: no such batch is ever sent.
    #[must_use]
    pub fn build(mut self) -> Bytes {
        assert!(!self.is_empty(), "a batch has a record");
        if self.compression != Compression::None {
            let mut compressed = vec![0; BATCH_HEADER_BYTES];
            let records = &self.buffer[BATCH_HEADER_BYTES..];
            compress(self.compression, records, &mut compressed);
            self.buffer = compressed;
        }
        seal(&mut self.header, &mut self.buffer);
        Bytes::from(self.buffer)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes of that.
pub(crate) fn varlong_bytes(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros().min(63) as usize;
    bits.div_ceil(7)
}

/// Appends a zigzag varint; the same bytes for 32 and 64 bits.
pub(crate) fn put_varlong(buffer: &mut Vec<u8>, value: i64) {
    let mut value = zigzag(value);
    while value >= 0x80 {
        buffer.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

fn field_bytes(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varlong_bytes(bytes.len() as i64) + bytes.len(),
        None => varlong_bytes(-1),
    }
}

fn put_field(buffer: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            put_varlong(buffer, bytes.len() as i64);
            buffer.extend_from_slice(bytes);
        }
        None => put_varlong(buffer, -1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::wire::batch::{BatchError, PreparedBatch, TimestampType, crc32c};
    use crate::wire::records::{Batches, Records};

    fn sample(compression: Compression) -> Bytes {
        let mut builder = BatchBuilder::new(compression);
        let header = RecordHeader {
            key: Bytes::from_static(b"h"),
            value: None,
        };
        builder.push(Timestamp(1_000), Some(b"k"), Some(b"value"));
        builder.push_with_headers(Timestamp(900), None, Some(b"x"), &[header]);
        builder.push(Timestamp(1_200), Some(b""), None);
        builder.build()
    }

    #[test]
    fn built_batches_are_accepted_and_read_back() {
        for codec in Compression::ALL {
            let bytes = sample(codec);
            let batch = PreparedBatch::from_client(bytes.clone(), 9).expect("a good batch");
            assert_eq!(batch.bytes, bytes);
            assert_eq!(batch.header.max_timestamp, Timestamp(1_200));
            assert_eq!(batch.facts.is_some(), codec == Compression::None);
            let facts = batch.deep_facts().expect("good records");
            assert_eq!(facts.min_timestamp, Timestamp(900));
            assert_eq!(facts.max_timestamp, Timestamp(1_200));
            assert_eq!(facts.first_without_key, Some(1));
            let records: Vec<_> = Records::open(&bytes).unwrap().map(Result::unwrap).collect();
            assert_eq!(records.len(), 3);
            assert_eq!(records[1].timestamp, Timestamp(900));
            assert_eq!(records[1].headers.len(), 1);
            assert_eq!(records[2].offset, Offset(2));
            assert_eq!(records[2].key.as_deref(), Some(&b""[..]));
            assert_eq!(records[2].value, None);
        }
    }

    /// Changes a good batch, renews its CRC, and expects an error.
    fn check(change: impl Fn(&mut Vec<u8>), renew_crc: bool, expected: BatchError) {
        let mut bytes = sample(Compression::None).to_vec();
        change(&mut bytes);
        if renew_crc {
            let crc = crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let result = PreparedBatch::from_client(Bytes::from(bytes), 9);
        assert_eq!(result, Err(expected));
    }

    #[test]
    fn every_check_has_its_error() {
        check(|b| b.extend([0; 20]), false, BatchError::Length);
        check(|b| b[70] ^= 1, false, BatchError::Crc);
        check(|b| b[7] = 1, true, BatchError::BaseOffset);
        check(|b| b[8] = 0x80, true, BatchError::Length);
        check(|b| b[11] = 13, true, BatchError::Length);
        check(|b| b[16] = 1, true, BatchError::Magic);
        check(|b| b[16] = 3, true, BatchError::UnknownMagic);
        check(|b| b[22] = 5, true, BatchError::UnsupportedCompression);
        check(|b| b[22] = 0x20, true, BatchError::Control);
        check(|b| b[26] = 1, true, BatchError::Count);
        check(|b| b[60] = 2, true, BatchError::Count);
        check(|b| b[57] = 0x80, true, BatchError::Count);
        check(|b| b[43..51].fill(0), true, BatchError::Sequence);
        check(|b| b[61] = 0x7f, true, BatchError::Record);
        check(|b| b[64] = 2, true, BatchError::Count);
        check(|b| b.truncate(80), true, BatchError::NotOne);
        check(Vec::clear, false, BatchError::NotOne);
        let two = |b: &mut Vec<u8>| b.extend_from_within(..);
        check(two, false, BatchError::NotOne);
        let zstd = sample(Compression::Zstd);
        let old = PreparedBatch::from_client([&zstd[..], &zstd].concat().into(), 6);
        assert_eq!(old, Err(BatchError::UnsupportedCompression));
        assert_eq!(BatchError::Crc.code(), ErrorCode::CorruptMessage);
        assert_eq!(BatchError::Count.code(), ErrorCode::InvalidRecord);
    }

    #[test]
    fn kafka_accepts_these_and_so_do_we() {
        fn accepted(change: impl Fn(&mut Vec<u8>)) -> PreparedBatch {
            let mut bytes = sample(Compression::None).to_vec();
            let size = bytes.len();
            change(&mut bytes);
            let crc = crc32c(&bytes[21..size]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            PreparedBatch::from_client(Bytes::from(bytes), 9).expect("accepted")
        }
        let size = sample(Compression::None).len();
        assert_eq!(accepted(|b| b.push(0)).bytes.len(), size);
        accepted(|b| b[21] = 0x7f); // Bits without a meaning.
        accepted(|b| b[22] = 0x40); // A delete horizon.
        accepted(|b| b[62] = 7); // Attributes of a record.
        accepted(|b| b[53..57].copy_from_slice(&[0, 0, 0, 3])); // A sequence without a producer.
        accepted(|b| b[12..16].fill(0)); // A leader epoch.
        let stamped = accepted(|b| b[22] = 0x08);
        let kind = stamped.header.attributes.timestamp_type();
        assert_eq!(kind, TimestampType::CreateTime);
        assert!(PreparedBatch::from_log(stamped.bytes).is_ok());
    }

    #[test]
    fn a_maximum_that_lies_is_corrected_and_append_time_is_stamped() {
        let mut bytes = sample(Compression::None).to_vec();
        bytes[35..43].copy_from_slice(&5_000i64.to_be_bytes());
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let batch = PreparedBatch::from_client(Bytes::from(bytes), 9).unwrap();
        assert_eq!(batch.bytes, sample(Compression::None));
        let stamped = batch.with_timestamps(TimestampType::LogAppendTime, Timestamp(7_777));
        let again = PreparedBatch::from_log(stamped.bytes.clone()).expect("its CRC is right");
        assert_eq!(again.header, stamped.header);
        let mut records = Records::open(&stamped.bytes).unwrap();
        assert_eq!(records.next().unwrap().unwrap().timestamp, Timestamp(7_777));
    }

    #[test]
    fn batches_are_found_until_one_is_cut_short() {
        let one = sample(Compression::None);
        let mut run = one.to_vec();
        run.extend_from_slice(&one);
        run.extend_from_slice(&one[..70]);
        let mut batches = Batches::new(Bytes::from(run));
        assert_eq!(batches.next().unwrap().unwrap().1, one);
        assert_eq!(batches.next().unwrap().unwrap().1, one);
        assert!(batches.next().is_none());
        assert_eq!(batches.remaining(), 70);
    }

    #[test]
    fn damage_never_panics() {
        let mut rng = crate::rng::Rng::new(3);
        for codec in Compression::ALL {
            let good = sample(codec);
            for _round in 0..5_000 {
                let mut bytes = good.to_vec();
                for _byte in 0..rng.between(1, 5) {
                    let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
                    bytes[at] = u8::try_from(rng.below(256)).unwrap();
                }
                let crc = crc32c(&bytes[21..]);
                bytes[17..21].copy_from_slice(&crc.to_be_bytes());
                let bytes = Bytes::from(bytes);
                if let Ok(batch) = PreparedBatch::from_client(bytes.clone(), 9) {
                    let _facts = batch.deep_facts();
                }
                if let Ok(records) = Records::open(&bytes) {
                    let _all = records.count();
                }
            }
        }
    }
}
