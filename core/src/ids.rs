//! Identifiers and positions, each its own type, so that none can stand in for another.
//!
//! Widths are those of the Kafka protocol. `-1` is Kafka's "none" for most of them and has a name
//! here.

use std::fmt;
use std::sync::Arc;

use kafka_wire_core::Uuid;

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

newtype!(
    /// A node of the cluster (`node.id`), broker or controller. `-1` is no node.
    NodeId(i32)
);
newtype!(
    /// A partition's index within its topic, from 0.
    PartitionIndex(i32)
);
newtype!(
    /// A record's position in a partition's log. Ranges are half open: `start` inclusive, `end`
    /// exclusive.
    Offset(i64)
);
newtype!(
    /// The number of a leader's reign over a partition, raised by every election. `-1` is unknown.
    LeaderEpoch(i32)
);
newtype!(
    /// The number of a partition's state, raised by each change of it. `-1` is unknown.
    PartitionEpoch(i32)
);
newtype!(
    /// The metadata offset of a broker's registration; tells incarnations of one broker apart
    /// (KIP-903).
    BrokerEpoch(i64)
);
newtype!(
    /// An idempotent or transactional producer (KIP-98). `-1` is none.
    ProducerId(i64)
);
newtype!(
    /// The incarnation of a producer id; a higher one fences a lower one. `-1` is none.
    ProducerEpoch(i16)
);
newtype!(
    /// A record's number within (producer id, epoch, partition); wraps from `i32::MAX` to 0. `-1`
    /// is none.
    Sequence(i32)
);
newtype!(
    /// One client connection, unique for the life of a process; the driver numbers them upward.
    ConnectionId(u64)
);
newtype!(
    /// Position of a request on its connection, from 0; replies leave in this order.
    RequestSequence(u64)
);
newtype!(
    /// One of the addresses a node listens on: an index into its configured listeners.
    ListenerId(u8)
);
newtype!(
    /// A log opened in this incarnation of the node; never reused while the process lives.
    LogId(u32)
);
newtype!(
    /// One of the node's data directories: an index into `log.dirs`.
    DirectoryIndex(u8)
);
newtype!(
    /// Raised by each truncation and reopening of a log; acknowledgements of an older one are
    /// dropped.
    Generation(u32)
);

impl NodeId {
    /// No node: the leader of a partition that has none.
    pub const NONE: Self = Self(-1);
}

impl Offset {
    /// The first offset of every log.
    pub const ZERO: Self = Self(0);
    /// Unknown, or none.
    pub const NONE: Self = Self(-1);

    /// The offset `count` records further on.
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0 + count)
    }
}

impl LeaderEpoch {
    /// Unknown, or none.
    pub const NONE: Self = Self(-1);
}

impl ProducerId {
    /// A batch without a producer id: neither idempotent nor transactional.
    pub const NONE: Self = Self(-1);
}

impl ProducerEpoch {
    /// A batch without a producer epoch.
    pub const NONE: Self = Self(-1);
}

impl Sequence {
    /// A batch without sequence numbers.
    pub const NONE: Self = Self(-1);

    /// The sequence `count` records further on, wrapping from `i32::MAX` to 0 as producers do.
    ///
    /// `count` must not be negative.
    #[must_use]
    pub fn plus(self, count: i32) -> Self {
        debug_assert!(count >= 0, "sequences only grow");
        let sum = i64::from(self.0) + i64::from(count);
        let modulus = i64::from(i32::MAX) + 1;
        Self(i32::try_from(sum % modulus).expect("a remainder by 2^31 fits in i32"))
    }
}

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A topic's identity for its whole life; a topic created again under its old name has another
/// (KIP-516).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicId(pub [u8; 16]);

/// A data directory's identity (KIP-858), or a node's incarnation.
pub type DirectoryId = TopicId;

impl TopicId {
    /// No id: the topic is named instead.
    pub const ZERO: Self = Self([0; 16]);
    /// The id of `__cluster_metadata` (Kafka's `Uuid.METADATA_TOPIC_ID`).
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Whether this is [`Self::ZERO`].
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 16]
    }

    /// Reads the text form; `None` where it is not 22 characters of URL-safe base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 22 {
            return None;
        }
        let mut bits: u32 = 0;
        let mut bits_held = 0;
        let mut bytes = [0u8; 16];
        let mut filled = 0;
        for &character in text {
            let value = ALPHABET.iter().position(|&c| c == character)?;
            bits = (bits << 6) | u32::try_from(value).ok()?;
            bits_held += 6;
            if bits_held >= 8 && filled < 16 {
                bits_held -= 8;
                bytes[filled] = ((bits >> bits_held) & 0xff) as u8;
                filled += 1;
            }
        }
        Some(Self(bytes))
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    /// Kafka's text form of a UUID: URL-safe base64 without padding, 22 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunks(3) {
            let mut block = [0u8; 3];
            block[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from(block[0]) << 16 | u32::from(block[1]) << 8 | u32::from(block[2]);
            for i in 0..=chunk.len() {
                let index = (bits >> (18 - 6 * i)) & 0x3f;
                write!(f, "{}", ALPHABET[index as usize] as char)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Uuid> for TopicId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.to_bytes())
    }
}

impl From<TopicId> for Uuid {
    fn from(id: TopicId) -> Self {
        Self::from_bytes(id.0)
    }
}

/// A topic's name, shared; 1 to 249 characters of `[a-zA-Z0-9._-]` once it exists.
pub type TopicName = Arc<str>;

/// A partition by its topic's name, as people and log folders name it: `topic-0`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's index.
    pub partition: PartitionIndex,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_text_is_kafkas() {
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        let id = TopicId([0xff; 16]);
        assert_eq!(id.to_string(), "_____________________w");
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        assert_eq!(
            TopicId::parse("AAAAAAAAAAAAAAAAAAAAAQ"),
            Some(TopicId::METADATA)
        );
        assert_eq!(TopicId::parse("AAAA"), None);
        assert_eq!(TopicId::parse("AAAAAAAAAAAAAAAAAAAA*Q"), None);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(Sequence(i32::MAX).plus(1), Sequence(0));
        assert_eq!(Sequence(i32::MAX - 1).plus(5), Sequence(3));
        assert_eq!(Sequence(7).plus(0), Sequence(7));
    }
}
