//! A record batch's attribute bits: codec, meaning of timestamps, transaction, control.
//!
//! Numbers and bits only; what they oblige a broker to is in [`crate::wire::batch`]. Source: magic
//! 2 of KIP-98.

/// How a batch's records are compressed, by Kafka's numbers.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy, in the framing of xerial's Java library.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

impl Compression {
    /// Every codec, by number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    #[must_use]
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of a number; `None` where there is none.
    #[must_use]
    pub fn from_id(id: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.id() == id)
    }

    /// The name in configurations and tools.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name; `None` where there is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// What a batch's timestamps mean.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TimestampType {
    /// Each record has its producer's time.
    #[default]
    CreateTime,
    /// All records have the time of the append, which is the batch's maximum.
    LogAppendTime,
}

/// A batch's attribute bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec; `None` for a number that no codec has.
    #[must_use]
    pub fn compression(self) -> Option<Compression> {
        Compression::from_id(self.0 & Self::COMPRESSION)
    }

    /// What the timestamps mean.
    #[must_use]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch is part of a transaction.
    #[must_use]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records: markers, which no client may write.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is a delete horizon (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The bits that have a meaning, with or without a delete horizon in the base timestamp.
    #[must_use]
    pub fn with_delete_horizon(self, has_horizon: bool) -> Self {
        let bits = self.0 & (Self::DELETE_HORIZON - 1);
        Self(bits | if has_horizon { Self::DELETE_HORIZON } else { 0 })
    }

    /// These bits with this codec.
    #[must_use]
    pub fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !Self::COMPRESSION | codec.id())
    }

    /// These bits with this meaning of timestamps.
    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    /// These bits, as part of a transaction.
    #[must_use]
    pub fn with_transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    /// These bits, holding control records.
    #[must_use]
    pub fn with_control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }
}
