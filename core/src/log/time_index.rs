//! Entries of a segment's `.timeindex`: the largest timestamp so far and the offset that has it.
//!
//! Compare Kafka's `TimeIndex`. Twelve bytes: the timestamp, then the offset relative to the
//! segment's base, big-endian. Both columns increase.

use super::index::IndexEntry;
use crate::time::Timestamp;

/// One entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TimeEntry {
    /// Largest timestamp of the segment up to the entry.
    pub(super) timestamp: Timestamp,
    /// Last offset of the batch that has it, relative to the segment's base.
    pub(super) relative_offset: u32,
}

impl IndexEntry for TimeEntry {
    type Key = Timestamp;
    const BYTES: u32 = 12;

    fn key(&self) -> Timestamp {
        self.timestamp
    }

    fn relative_offset(&self) -> u32 {
        self.relative_offset
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.timestamp.0.to_be_bytes());
        bytes.extend_from_slice(&self.relative_offset.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut timestamp = [0; 8];
        timestamp.copy_from_slice(&bytes[..8]);
        let mut relative_offset = [0; 4];
        relative_offset.copy_from_slice(&bytes[8..12]);
        Self {
            timestamp: Timestamp(i64::from_be_bytes(timestamp)),
            relative_offset: u32::from_be_bytes(relative_offset),
        }
    }

    fn is_before(&self, next: &Self) -> bool {
        self.timestamp < next.timestamp && self.relative_offset < next.relative_offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas() {
        let entry = TimeEntry {
            timestamp: Timestamp(0x0102_0304_0506_0708),
            relative_offset: 0x090a_0b0c,
        };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(TimeEntry::decode(&bytes), entry);
    }
}
