//! Entries of a segment's `.index`: the last offset of a batch and the batch's position.
//!
//! Compare Kafka's `OffsetIndex`. Eight bytes: the offset relative to the segment's base, then the
//! position in the `.log`, big-endian.

use super::index::IndexEntry;

/// One entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OffsetEntry {
    /// Last offset of the batch, relative to the segment's base.
    pub(super) relative_offset: u32,
    /// Where the batch begins in the `.log`.
    pub(super) position: u32,
}

impl IndexEntry for OffsetEntry {
    type Key = u32;
    const BYTES: u32 = 8;

    fn key(&self) -> u32 {
        self.relative_offset
    }

    fn relative_offset(&self) -> u32 {
        self.relative_offset
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.relative_offset.to_be_bytes());
        bytes.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut halves = [[0; 4]; 2];
        halves[0].copy_from_slice(&bytes[..4]);
        halves[1].copy_from_slice(&bytes[4..8]);
        Self {
            relative_offset: u32::from_be_bytes(halves[0]),
            position: u32::from_be_bytes(halves[1]),
        }
    }

    fn is_before(&self, next: &Self) -> bool {
        self.relative_offset < next.relative_offset && self.position < next.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas() {
        let entry = OffsetEntry {
            relative_offset: 0x0102_0304,
            position: 0x0506_0708,
        };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(OffsetEntry::decode(&bytes), entry);
        assert!(!entry.is_before(&entry));
    }
}
