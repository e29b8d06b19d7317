//! Producer ids are given out in blocks, so that brokers need not ask for each (KIP-730).

use super::Scene;
use crate::ids::{BrokerEpoch, NodeId, ProducerId};
use crate::metadata::records::ProducerIdsRecord;

/// Producer ids in a block (Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const BLOCK_SIZE: i64 = 1_000;

/// A block of producer ids: a half-open range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub start: ProducerId,
    /// The id after the last.
    pub end: ProducerId,
}

/// The next block, for a broker of this epoch, and the record that gives it out. `None` where the
/// ids are exhausted.
#[must_use]
pub fn allocate_block(
    scene: &Scene<'_>,
    broker_id: NodeId,
    broker_epoch: BrokerEpoch,
) -> Option<(ProducerIdBlock, ProducerIdsRecord)> {
    let start = scene.image.next_producer_id();
    let end = ProducerId(start.0.checked_add(BLOCK_SIZE)?);
    let record = ProducerIdsRecord {
        broker_id,
        broker_epoch,
        next_producer_id: end,
    };
    Some((ProducerIdBlock { start, end }, record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::metadata::{Delta, Image};

    #[test]
    fn blocks_follow_each_other() {
        let mut image = Image::default();
        for number in 0..3 {
            let settings = Settings::default();
            let scene = Scene {
                image: &image,
                settings: &settings,
                node: NodeId(1),
            };
            let allocated = allocate_block(&scene, NodeId(1), BrokerEpoch(5));
            let (block, record) = allocated.expect("not exhausted");
            assert_eq!(block.start, ProducerId(number * BLOCK_SIZE));
            assert_eq!(block.end, ProducerId((number + 1) * BLOCK_SIZE));
            image
                .apply(&record.into(), &mut Delta::default())
                .expect("grows");
        }
    }
}
