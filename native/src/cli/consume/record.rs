//! A record as a consumer sees it, and how its bytes become text.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::wire::batch::TimestampType;
use ottla_core::wire::records::Record;

use crate::cli::failure::Failure;

/// A record with where it came from.
#[derive(Clone, Debug)]
pub(super) struct Consumed {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) timestamp_type: TimestampType,
    pub(super) record: Record,
}

/// Puts records of several partitions into the order of their times; those of one partition keep
/// theirs, though their times may go back.
pub(super) fn sort_by_time(records: &mut [Consumed]) {
    let mut latest: BTreeMap<(Arc<str>, i32), i64> = BTreeMap::new();
    let mut times = BTreeMap::new();
    for consumed in &*records {
        let partition = (Arc::clone(&consumed.topic), consumed.partition);
        let time = latest.entry(partition.clone()).or_insert(i64::MIN);
        *time = consumed.record.timestamp.0.max(*time);
        times.insert((partition, consumed.record.offset), *time);
    }
    records.sort_by_key(|consumed| {
        let partition = (Arc::clone(&consumed.topic), consumed.partition);
        times[&(partition, consumed.record.offset)]
    });
}

/// What a key, a value or a header is: Kafka's deserializers of the same names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Deserializer {
    /// Bytes as they are.
    Bytes,
    /// An eight-byte floating-point number.
    Double,
    /// A four-byte floating-point number.
    Float,
    /// A four-byte whole number.
    Integer,
    /// An eight-byte whole number.
    Long,
    /// A two-byte whole number.
    Short,
    /// UTF-8 text, printed as it came.
    #[default]
    String,
    /// The text of a UUID, which is what Kafka's serializer of them writes.
    Uuid,
}

impl Deserializer {
    /// The deserializer of this Java class; its package may be left out.
    pub(super) fn parse(class: &str) -> Result<Self, Failure> {
        let name = class.rsplit('.').next().unwrap_or(class);
        match name {
            "ByteArrayDeserializer" | "BytesDeserializer" | "ByteBufferDeserializer" => {
                Ok(Self::Bytes)
            }
            "DoubleDeserializer" => Ok(Self::Double),
            "FloatDeserializer" => Ok(Self::Float),
            "IntegerDeserializer" => Ok(Self::Integer),
            "LongDeserializer" => Ok(Self::Long),
            "ShortDeserializer" => Ok(Self::Short),
            "StringDeserializer" => Ok(Self::String),
            "UUIDDeserializer" => Ok(Self::Uuid),
            _unknown => Err(Failure::refused(format!(
                "There is no deserializer {class} here: only Kafka's own for bytes, numbers, UUIDs \
                 and strings."
            ))),
        }
    }

    /// Appends the text of `bytes`.
    ///
    /// Refuses bytes of the wrong length for a number, as Kafka's deserializers do.
    pub(super) fn append(self, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), Failure> {
        let shown = match self {
            Self::Bytes | Self::String | Self::Uuid => {
                text.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Double => f64::from_be_bytes(exactly(bytes)?).to_string(),
            Self::Float => f32::from_be_bytes(exactly(bytes)?).to_string(),
            Self::Integer => i32::from_be_bytes(exactly(bytes)?).to_string(),
            Self::Long => i64::from_be_bytes(exactly(bytes)?).to_string(),
            Self::Short => i16::from_be_bytes(exactly(bytes)?).to_string(),
        };
        text.extend_from_slice(shown.as_bytes());
        Ok(())
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Failure> {
    bytes.try_into().map_err(|_length| {
        Failure::refused(format!(
            "A number of {N} bytes was to be read, but the data has {}. Name another deserializer, \
             or pass such records over with --skip-message-on-error.",
            bytes.len()
        ))
    })
}

/// Appends the text of an optional field, or else what stands for null.
pub(super) fn append_optional(
    deserializer: Deserializer,
    field: Option<&Bytes>,
    null_literal: &str,
    text: &mut Vec<u8>,
) -> Result<(), Failure> {
    match field {
        Some(bytes) => deserializer.append(bytes, text),
        None => {
            text.extend_from_slice(null_literal.as_bytes());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::ids::Offset;
    use ottla_core::time::Timestamp;

    #[test]
    fn partitions_are_merged_by_time_and_keep_their_order() {
        let record = |partition, offset, time| Consumed {
            topic: "t".into(),
            partition,
            timestamp_type: TimestampType::CreateTime,
            record: Record {
                offset: Offset(offset),
                timestamp: Timestamp(time),
                ..Record::default()
            },
        };
        let mut records = [
            record(0, 0, 50),
            record(0, 1, 10),
            record(1, 0, 20),
            record(1, 1, 60),
        ];
        sort_by_time(&mut records);
        let order: Vec<(i32, i64)> = records
            .iter()
            .map(|record| (record.partition, record.record.offset.0))
            .collect();
        assert_eq!(order, [(1, 0), (0, 0), (0, 1), (1, 1)]);
    }

    #[test]
    fn numbers_are_big_endian() {
        let check = |class: &str, bytes: &[u8], expected: &str| {
            let mut text = Vec::new();
            let deserializer = Deserializer::parse(class).expect("a known class");
            deserializer
                .append(bytes, &mut text)
                .expect("bytes of the right length");
            assert_eq!(String::from_utf8_lossy(&text), expected);
        };
        let package = "org.apache.kafka.common.serialization.";
        check(
            &format!("{package}LongDeserializer"),
            &[0, 0, 0, 0, 0, 0, 1, 0],
            "256",
        );
        check("IntegerDeserializer", &[0xff; 4], "-1");
        check("ShortDeserializer", &[1, 0], "256");
        check("DoubleDeserializer", &1.5f64.to_be_bytes(), "1.5");
        check("StringDeserializer", b"text", "text");
        assert!(Deserializer::parse("com.example.Avro").is_err());
        assert!(Deserializer::Long.append(b"123", &mut Vec::new()).is_err());
    }
}
