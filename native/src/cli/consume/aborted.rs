//! Leaving out the records of aborted transactions, for `read_committed`.
//!
//! The broker names the aborted transactions that reach into an answer; the consumer drops their
//! batches until the marker that ends each. Source: KIP-98.

use std::collections::BTreeSet;

use bytes::Bytes;
use kafka_wire::fetch_response::AbortedTransaction;
use ottla_core::wire::batch::BatchHeader;
use ottla_core::wire::records::Records;

/// The type of an abort marker, in the second half of a control record's key.
const CONTROL_ABORT: i16 = 0;

/// The aborted transactions of one answer for one partition.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// Transactions not begun yet, the earliest last.
    ahead: Vec<(i64, i64)>,
    /// Producers in the middle of an aborted transaction.
    open: BTreeSet<i64>,
}

impl Aborted {
    /// The transactions a broker named; none where it was not asked.
    pub(super) fn new(named: Option<Vec<AbortedTransaction>>) -> Self {
        let named = named.unwrap_or_default();
        let mut ahead: Vec<(i64, i64)> = named
            .iter()
            .map(|aborted| (aborted.first_offset, aborted.producer_id))
            .collect();
        ahead.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            ahead,
            open: BTreeSet::new(),
        }
    }

    /// Whether a consumer gets to see the records of this batch; to be asked of every batch, in
    /// order.
    pub(super) fn shows(&mut self, header: &BatchHeader, batch: &Bytes) -> bool {
        while let Some(&(first_offset, producer_id)) = self.ahead.last()
            && first_offset <= header.last_offset().0
        {
            self.open.insert(producer_id);
            self.ahead.pop();
        }
        if header.attributes.is_control() {
            if is_abort_marker(batch) {
                self.open.remove(&header.producer_id.0);
            }
            return false;
        }
        !(header.attributes.is_transactional() && self.open.contains(&header.producer_id.0))
    }
}

/// Whether a control batch ends a transaction by aborting it.
fn is_abort_marker(batch: &Bytes) -> bool {
    let Ok(mut records) = Records::open(batch) else {
        return false;
    };
    let Some(Ok(record)) = records.next() else {
        return false;
    };
    let kind = record
        .key
        .as_ref()
        .and_then(|key| key.get(2..4).map(<[u8]>::to_vec));
    kind.as_deref() == Some(&CONTROL_ABORT.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
    use ottla_core::time::Timestamp;
    use ottla_core::wire::batch::Compression;
    use ottla_core::wire::builder::BatchBuilder;

    fn batch(offset: i64, producer: i64, control: Option<i16>) -> (BatchHeader, Bytes) {
        let mut builder = BatchBuilder::new(Compression::None)
            .at(Offset(offset), LeaderEpoch(0))
            .producer(ProducerId(producer), ProducerEpoch(0), Sequence::NONE)
            .transactional();
        let mut key = vec![0, 0];
        if let Some(kind) = control {
            builder = builder.control();
            key.extend_from_slice(&kind.to_be_bytes());
        }
        builder.push(Timestamp(0), Some(&key), Some(b"v"));
        let bytes = builder.build();
        let header = BatchHeader::parse(&bytes).expect("a whole batch");
        (header, bytes)
    }

    #[test]
    fn only_aborted_transactions_are_left_out() {
        let mut named = AbortedTransaction::default();
        named.producer_id = 7;
        named.first_offset = 1;
        let mut aborted = Aborted::new(Some(vec![named]));
        let mut check = |offset, producer, control, shown: bool| {
            let (header, bytes) = batch(offset, producer, control);
            assert_eq!(aborted.shows(&header, &bytes), shown, "offset {offset}");
        };
        check(0, 7, None, true);
        check(1, 7, None, false);
        check(2, 8, None, true);
        check(3, 8, Some(1), false);
        check(4, 7, None, false);
        check(5, 7, Some(0), false);
        check(6, 7, None, true);
    }
}
