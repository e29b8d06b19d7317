//! The records of a batch as slices of its bytes, to be copied without being decoded.
//!
//! A record that stays is copied as it is wherever the batch's base timestamp stays; otherwise its
//! length and timestamp are written anew and the rest is copied. Compare Kafka's `DefaultRecord`.

use crate::ids::Offset;
use crate::time::Timestamp;
use crate::wire::batch::{BatchError, BatchHeader, TimestampType};
use crate::wire::builder::{put_varlong, varlong_bytes};
use crate::wire::walk::{varint, varlong};

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its offset in the log.
    pub offset: Offset,
    /// Its timestamp, by the batch's meaning of timestamps.
    pub timestamp: Timestamp,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Whether the value is not null: null is a tombstone.
    pub has_value: bool,
    /// The whole record, its length included.
    whole: &'a [u8],
    attributes: u8,
    offset_delta: i32,
    /// Everything from the key on.
    rest: &'a [u8],
}

/// The records of a batch, decompressed, one after the other; ends after the first error.
#[derive(Clone, Debug)]
pub struct RawRecords<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    left: i32,
}

impl<'a> RawRecords<'a> {
    /// The records in `records`, which follow this header.
    #[must_use]
    pub fn new(header: &'a BatchHeader, records: &'a [u8]) -> Self {
        Self {
            header,
            rest: records,
            left: header.records_count,
        }
    }

    fn take(&mut self) -> Result<RawRecord<'a>, BatchError> {
        let start = self.rest;
        let length =
            usize::try_from(varint(&mut self.rest)?).map_err(|_sign| BatchError::Record)?;
        let body = self.rest.get(..length).ok_or(BatchError::Record)?;
        self.rest = &self.rest[length..];
        let whole = &start[..start.len() - self.rest.len()];
        let (&attributes, mut rest) = body.split_first().ok_or(BatchError::Record)?;
        let timestamp_delta = varlong(&mut rest)?;
        let offset_delta = varint(&mut rest)?;
        let is_within = (0..=self.header.last_offset_delta).contains(&offset_delta);
        if !is_within {
            return Err(BatchError::Count);
        }
        let mut fields = rest;
        let key = field(&mut fields)?;
        let has_value = field(&mut fields)?.is_some();
        let timestamp = match self.header.attributes.timestamp_type() {
            TimestampType::CreateTime => {
                Timestamp(self.header.base_timestamp.0.wrapping_add(timestamp_delta))
            }
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        Ok(RawRecord {
            offset: self.header.base_offset.plus(i64::from(offset_delta)),
            timestamp,
            key,
            has_value,
            whole,
            attributes,
            offset_delta,
            rest,
        })
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            // Bytes behind the last record belong to nothing.
            let is_over = self.rest.is_empty() || self.left < 0;
            self.left = -1;
            return (!is_over).then_some(Err(BatchError::Count));
        }
        self.left -= 1;
        let record = self.take();
        if record.is_err() {
            self.left = -1;
        }
        Some(record)
    }
}

impl RawRecord<'_> {
    /// Appends the record as it is.
    pub fn copy_to(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.whole);
    }

    /// Appends the record for a batch with this base timestamp.
    pub fn write_to(&self, base_timestamp: Timestamp, buffer: &mut Vec<u8>) {
        let timestamp_delta = self.timestamp.0.wrapping_sub(base_timestamp.0);
        let offset_delta = i64::from(self.offset_delta);
        let front = 1 + varlong_bytes(timestamp_delta) + varlong_bytes(offset_delta);
        let length = i64::try_from(front + self.rest.len()).expect("a record is below 2 GiB");
        put_varlong(buffer, length);
        buffer.push(self.attributes);
        put_varlong(buffer, timestamp_delta);
        put_varlong(buffer, offset_delta);
        buffer.extend_from_slice(self.rest);
    }
}

/// Takes a field with a length in front; `None` is null.
fn field<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, BatchError> {
    let Ok(length) = usize::try_from(varint(bytes)?) else {
        return Ok(None);
    };
    let field = bytes.get(..length).ok_or(BatchError::Record)?;
    *bytes = &bytes[length..];
    Ok(Some(field))
}
