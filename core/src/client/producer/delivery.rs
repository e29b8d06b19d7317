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
