//! Producer ids: unique forever, handed out from blocks that the metadata log reserves (KIP-730).

use crate::ids::ProducerId;

/// Ids in a block (Kafka's `PRODUCER_ID_BLOCK_SIZE`).
pub const BLOCK_IDS: i64 = 1_000;

/// What is left of this broker's block.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProducerIds {
    next: i64,
    end: i64,
}

impl ProducerIds {
    /// An unused id; `None` where a new block must be reserved first.
    pub fn take(&mut self) -> Option<ProducerId> {
        if self.next >= self.end {
            return None;
        }
        let id = ProducerId(self.next);
        self.next += 1;
        Some(id)
    }

    /// Begins a block whose reservation is on its way to the disk; the first id of it is used when
    /// the reservation is committed.
    pub fn begin_block(&mut self, start: i64) {
        assert!(self.next >= self.end, "a block is used up before the next");
        assert!(start >= self.end, "blocks never overlap");
        self.next = start;
        self.end = start + BLOCK_IDS;
    }

    /// The reservation of a block may be lost with the metadata log's last records: below
    /// `reserved` everything is reserved, and ids of a block above it are given to nobody.
    pub fn forget_unreserved(&mut self, reserved: ProducerId) {
        if self.end > reserved.0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_two_blocks_never_meet() {
        let mut ids = ProducerIds::default();
        assert_eq!(ids.take(), None);
        ids.begin_block(3_000);
        let taken: Vec<_> = std::iter::from_fn(|| ids.take()).collect();
        assert_eq!(taken.len(), 1_000);
        assert_eq!(taken.first(), Some(&ProducerId(3_000)));
        ids.begin_block(4_000);
        assert_eq!(ids.take(), Some(ProducerId(4_000)));
    }
}
