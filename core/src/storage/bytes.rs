//! Bytes of a log, on their way to a disk and from it.

use bytes::Bytes;

use crate::ids::{LogId, Offset};

/// Bytes at the front of a batch that the broker stamps: base offset (8), length (4), leader epoch
/// (4).
pub const STAMP_BYTES: usize = 16;

/// One record batch as it lies in a log: the stamped front and the rest exactly as the producer
/// sent it.
///
/// The stamp is outside the batch's CRC (KIP-98), so an append copies nothing and computes nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StampedBatch {
    /// Base offset, batch length and leader epoch, big-endian, as on disk.
    pub stamp: [u8; STAMP_BYTES],
    /// The batch from its magic byte on.
    pub body: Bytes,
}

impl StampedBatch {
    /// Size on disk and on the wire, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        STAMP_BYTES + self.body.len()
    }

    /// The batch in one piece; copies.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut whole = Vec::with_capacity(self.size_bytes());
        whole.extend_from_slice(&self.stamp);
        whole.extend_from_slice(&self.body);
        Bytes::from(whole)
    }
}

/// Bytes of a log, for a reply: in memory, or in a file the driver may send without reading it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Slice {
    /// A range of a segment's `.log` file.
    File {
        /// The log.
        log: LogId,
        /// Base offset of the segment.
        segment: Offset,
        /// First byte.
        position: u32,
        /// Number of bytes; not zero.
        length: u32,
    },
    /// A batch of the memory tail.
    Memory(StampedBatch),
}

impl Slice {
    /// Length in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::File { length, .. } => *length as usize,
            Self::Memory(batch) => batch.size_bytes(),
        }
    }
}
