//! Walking the records of an uncompressed batch, without decoding them.
//!
//! Every length, delta and count is checked, and the few facts that a partition asks for are
//! collected on the way. Nothing is allocated. Compare Kafka's `DefaultRecord.readFrom`, 4.3.1.

use crate::time::Timestamp;
use crate::wire::batch::{BatchError, BatchHeader, TimestampType};

/// What walking a batch's records found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordFacts {
    /// The lowest timestamp, of the records that have one; `NONE` where none has.
    pub min_timestamp: Timestamp,
    /// The highest timestamp; `NONE` where no record has one.
    pub max_timestamp: Timestamp,
    /// Position in the batch of the first record without a key, which a compacted topic refuses
    /// (K37).
    pub first_without_key: Option<i32>,
}

/// Checks the records after an uncompressed batch's header.
///
/// # Errors
/// [`BatchError::Count`] where the records disagree with the header, [`BatchError::Record`] where
/// one is malformed.
pub(crate) fn walk_records(
    header: &BatchHeader,
    records: &[u8],
) -> Result<RecordFacts, BatchError> {
    let mut facts = RecordFacts {
        min_timestamp: Timestamp::NONE,
        max_timestamp: Timestamp::NONE,
        first_without_key: None,
    };
    let mut rest = records;
    for index in 0..header.records_count {
        let record = take_record(&mut rest)?;
        if record.offset_delta != i64::from(index) {
            return Err(BatchError::Count);
        }
        if !record.has_key && facts.first_without_key.is_none() {
            facts.first_without_key = Some(index);
        }
        let timestamp = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => {
                header.base_timestamp.0.wrapping_add(record.timestamp_delta)
            }
            TimestampType::LogAppendTime => header.max_timestamp.0,
        };
        note_timestamp(&mut facts, Timestamp(timestamp));
    }
    if rest.is_empty() {
        Ok(facts)
    } else {
        Err(BatchError::Count)
    }
}

/// Adds a record's timestamp to the facts.
pub(crate) fn note_timestamp(facts: &mut RecordFacts, timestamp: Timestamp) {
    if timestamp == Timestamp::NONE {
        return;
    }
    if facts.min_timestamp == Timestamp::NONE || timestamp < facts.min_timestamp {
        facts.min_timestamp = timestamp;
    }
    if timestamp > facts.max_timestamp {
        facts.max_timestamp = timestamp;
    }
}

/// What a walk notes of one record.
struct Walked {
    offset_delta: i64,
    timestamp_delta: i64,
    has_key: bool,
}

/// Takes one record off the front.
fn take_record(rest: &mut &[u8]) -> Result<Walked, BatchError> {
    let length = usize::try_from(varint(rest)?).map_err(|_sign| BatchError::Record)?;
    if length > rest.len() {
        return Err(BatchError::Record);
    }
    let (mut body, after) = rest.split_at(length);
    *rest = after;
    skip(&mut body, 1)?; // Attributes, of which no record has any.
    let timestamp_delta = varlong(&mut body)?;
    let offset_delta = i64::from(varint(&mut body)?);
    let has_key = skip_field(&mut body)?;
    skip_field(&mut body)?; // The value; null is a deletion.
    let headers = varint(&mut body)?;
    // A header has at least two bytes.
    if headers < 0 || headers as usize > body.len() {
        return Err(BatchError::Record);
    }
    for _header in 0..headers {
        if !skip_field(&mut body)? {
            return Err(BatchError::Record); // A header's key may not be null.
        }
        skip_field(&mut body)?;
    }
    if !body.is_empty() {
        return Err(BatchError::Record);
    }
    Ok(Walked {
        offset_delta,
        timestamp_delta,
        has_key,
    })
}

fn skip(bytes: &mut &[u8], length: usize) -> Result<(), BatchError> {
    *bytes = bytes.get(length..).ok_or(BatchError::Record)?;
    Ok(())
}

/// Passes over a field with a length in front; `false` where it is null.
fn skip_field(bytes: &mut &[u8]) -> Result<bool, BatchError> {
    let length = varint(bytes)?;
    match usize::try_from(length) {
        Ok(length) => skip(bytes, length).map(|()| true),
        Err(_negative) => Ok(false),
    }
}

/// Takes a zigzag varint of at most 32 bits off the front.
#[inline]
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<i32, BatchError> {
    // Nearly all are of one byte or two; this is the innermost loop of every produce.
    match **bytes {
        [first, ref rest @ ..] if first < 0x80 => {
            *bytes = rest;
            Ok(unzigzag(u32::from(first)))
        }
        [first, second, ref rest @ ..] if second < 0x80 => {
            *bytes = rest;
            Ok(unzigzag(u32::from(first & 0x7f) | u32::from(second) << 7))
        }
        _ => long_varint(bytes),
    }
}

#[inline]
fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[cold]
fn long_varint(bytes: &mut &[u8]) -> Result<i32, BatchError> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if index == 4 && byte & 0xf0 != 0 {
            return Err(BatchError::Record);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(unzigzag(value));
        }
    }
    Err(BatchError::Record)
}

/// Takes a zigzag varint of at most 64 bits off the front.
#[inline]
pub(crate) fn varlong(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    if let [first, ref rest @ ..] = **bytes
        && first < 0x80
    {
        *bytes = rest;
        return Ok(i64::from(unzigzag(u32::from(first))));
    }
    long_varlong(bytes)
}

fn long_varlong(bytes: &mut &[u8]) -> Result<i64, BatchError> {
    let mut value = 0u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && byte & 0xfe != 0 {
            return Err(BatchError::Record);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(BatchError::Record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_kafkas() {
        fn check(bytes: &[u8], expected: Option<i64>) {
            let mut rest = bytes;
            let long = varlong(&mut rest).ok();
            assert_eq!(long, expected, "{bytes:?}");
            let mut rest = bytes;
            if let Some(Ok(short)) = expected.map(i32::try_from) {
                assert_eq!(varint(&mut rest).ok(), Some(short), "{bytes:?}");
                assert!(rest.is_empty());
            } else {
                assert!(varint(&mut rest).is_err());
            }
        }
        check(&[0], Some(0));
        check(&[1], Some(-1));
        check(&[2], Some(1));
        check(&[0x80, 0x01], Some(64));
        check(&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(i64::from(i32::MIN)));
        check(&[0xfe, 0xff, 0xff, 0xff, 0x0f], Some(i64::from(i32::MAX)));
        check(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            Some(i64::MIN),
        );
        check(
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            None,
        );
        check(&[0x80], None);
        check(&[], None);
    }
}
