//! Records on their way, and what became of them.
//!
//! Every record has one end: a place in a log, or a reason, with the word whether it may be in the
//! log all the same.

use std::fmt;

use bytes::Bytes;

use crate::client::network::CallError;
use crate::error::ErrorCode;
use crate::ids::{Offset, PartitionIndex, TopicName, TopicPartition};
use crate::time::Timestamp;
use crate::wire::batch::BATCH_HEADER_BYTES;
use crate::wire::records::RecordHeader;

/// A record of this producer, in the order of [`super::Producer::send`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordId(pub u64);

/// A record to send.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition; `None` lets the key, or chance, decide.
    pub partition: Option<PartitionIndex>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<RecordHeader>,
    /// Its time; `None` is now.
    pub timestamp: Option<Timestamp>,
}

impl ProducerRecord {
    /// Bytes of a batch that holds this record alone, at most, before compression: as Kafka's
    /// client reckons (`DefaultRecordBatch.estimateBatchSizeUpperBound`).
    #[must_use]
    pub(super) fn size_bytes_max(&self) -> usize {
        let field = |bytes: Option<usize>| match bytes {
            None => 1,
            Some(length) => varint_bytes(length) + length,
        };
        let headers: usize = self
            .headers
            .iter()
            .map(|header| {
                field(Some(header.key.len())) + field(header.value.as_ref().map(Bytes::len))
            })
            .sum();
        BATCH_HEADER_BYTES
            + RECORD_OVERHEAD_BYTES_MAX
            + field(self.key.as_ref().map(Bytes::len))
            + field(self.value.as_ref().map(Bytes::len))
            + varint_bytes(self.headers.len())
            + headers
    }
}

/// Bytes of a record beside its key, value and headers, at most: length, attributes, and deltas.
const RECORD_OVERHEAD_BYTES_MAX: usize = 21;

/// Bytes of a length as a varint in zigzag.
fn varint_bytes(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros() + 1).max(1);
    bits.div_ceil(7) as usize
}

/// Where a record went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivered {
    /// The partition.
    pub partition: TopicPartition,
    /// Its offset; `NONE` with acks=0, and for a duplicate too old for the broker to remember.
    pub offset: Offset,
    /// The append's time, where the topic stamps records with it.
    pub append_time: Option<Timestamp>,
}

/// Why a record was not acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeliveryError {
    /// The broker's answer.
    Broker {
        /// Its code.
        code: ErrorCode,
        /// Its words; may be empty.
        message: String,
    },
    /// No answer.
    Call(CallError),
    /// The delivery timeout passed.
    Expired,
    /// The topic has no such partition.
    NoPartition,
    /// It is larger than a request may be, and was not sent.
    TooLarge {
        /// Its bytes in a batch of its own, at most.
        size_bytes: usize,
        /// The bytes of a request (`max.request.size`).
        bytes_max: usize,
    },
    /// Its fate was unknown when the producer had to take another epoch.
    Unresolved,
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker { code, message } if message.is_empty() => f.write_str(code.name()),
            Self::Broker { code, message } => write!(f, "{}: {message}", code.name()),
            Self::Call(error) => error.fmt(f),
            Self::Expired => f.write_str("not acknowledged in time"),
            Self::NoPartition => f.write_str("the topic has no such partition"),
            Self::TooLarge {
                size_bytes,
                bytes_max,
            } => write!(
                f,
                "The message is {size_bytes} bytes when serialized which is larger than \
                 {bytes_max}, which is the value of the max.request.size configuration"
            ),
            Self::Unresolved => f.write_str("whether it was written could not be learned"),
        }
    }
}

/// A record's end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// The record.
    pub record: RecordId,
    /// Where it went, or why it is not acknowledged.
    pub result: Result<Delivered, Undelivered>,
}

/// A record that was not acknowledged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undelivered {
    /// Why.
    pub error: DeliveryError,
    /// Whether it may be in the log all the same.
    pub may_be_written: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the Java client 4.3.1 says of values of these lengths without a key.
    #[test]
    fn sizes_are_those_of_the_java_client() {
        for (length, size) in [(1_048_576, 1_048_664), (1_048_489, 1_048_576)] {
            let record = ProducerRecord {
                value: Some(vec![b'x'; length].into()),
                ..ProducerRecord::default()
            };
            assert_eq!(record.size_bytes_max(), size);
        }
        assert_eq!([0, 63, 64].map(varint_bytes), [1, 1, 2]);
    }
}
