//! What a round knows of transactions: whose batches were aborted, and which markers are needed.
//!
//! An aborted transaction's batches go at once; its marker stays as long as a batch of it is there
//! (KAFKA-8351), and so does a commit's. Which transactions were aborted is in the transaction
//! indexes of the segments. Compare Kafka's `CleanedTransactionMetadata`, `AbortedTxn`, 4.3.1.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Offset, ProducerId};
use crate::wire::batch::BatchHeader;

/// Bytes of an entry of a `.txnindex` file.
pub const ENTRY_BYTES: usize = 34;

/// The only version of an entry.
const VERSION: i16 = 0;

/// An entry of a `.txnindex` file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the marker that ended it.
    pub last_offset: Offset,
    /// The last stable offset when it ended.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    /// The entry's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        bytes[2..10].copy_from_slice(&self.producer_id.0.to_be_bytes());
        bytes[10..18].copy_from_slice(&self.first_offset.0.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.last_offset.0.to_be_bytes());
        bytes[26..].copy_from_slice(&self.last_stable_offset.0.to_be_bytes());
        bytes
    }

    /// Reads the entries of a file; `None` where it has others than of version 0.
    #[must_use]
    pub fn parse_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let word = |entry: &[u8; ENTRY_BYTES], at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&entry[at..at + 8]);
            i64::from_be_bytes(word)
        };
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() {
            return None;
        }
        entries
            .iter()
            .map(|entry| {
                let is_known = entry[..2] == VERSION.to_be_bytes();
                is_known.then(|| Self {
                    producer_id: ProducerId(word(entry, 2)),
                    first_offset: Offset(word(entry, 10)),
                    last_offset: Offset(word(entry, 18)),
                    last_stable_offset: Offset(word(entry, 26)),
                })
            })
            .collect()
    }
}

/// How a transaction ended, as its marker says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Marker {
    /// It was aborted.
    Abort,
    /// It was committed.
    Commit,
    /// A control record of another kind, which is always kept.
    Other,
}

impl Marker {
    /// What the key of a control record says.
    #[must_use]
    pub fn of_key(key: Option<&[u8]>) -> Self {
        match key {
            Some([_, _, 0, 0, ..]) => Self::Abort,
            Some([_, _, 0, 1, ..]) => Self::Commit,
            Some(_) | None => Self::Other,
        }
    }
}

/// The transactions that are open where a pass over the log stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CleanedTransactions {
    /// Aborted ones that the pass has not reached yet.
    ahead: BTreeMap<(Offset, ProducerId), AbortedTransaction>,
    /// Committed ones of which a batch was seen.
    committed: BTreeSet<ProducerId>,
    /// Aborted ones, and whether a batch was seen.
    aborted: BTreeMap<ProducerId, (AbortedTransaction, bool)>,
    /// Entries of the new segment's index.
    kept: Vec<AbortedTransaction>,
}

impl CleanedTransactions {
    /// A pass over a log in which these transactions were aborted.
    #[must_use]
    pub fn new(aborted: &[AbortedTransaction]) -> Self {
        let key = |entry: &AbortedTransaction| (entry.first_offset, entry.producer_id);
        Self {
            ahead: aborted.iter().map(|entry| (key(entry), *entry)).collect(),
            ..Self::default()
        }
    }

    /// Takes in a batch of data; answers whether it was aborted.
    pub fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.advance(header.last_offset());
        if !header.attributes.is_transactional() {
            return false;
        }
        if let Some((_transaction, is_seen)) = self.aborted.get_mut(&header.producer_id) {
            *is_seen = true;
            return true;
        }
        self.committed.insert(header.producer_id);
        false
    }

    /// Takes in a control batch with this marker, `None` where it is empty; answers whether nothing
    /// is left of what it ended.
    pub fn on_control(&mut self, header: &BatchHeader, marker: Option<Marker>) -> bool {
        self.advance(header.last_offset());
        match marker {
            Some(Marker::Abort) => match self.aborted.remove(&header.producer_id) {
                Some((transaction, true)) => {
                    self.kept.push(transaction);
                    false
                }
                Some((_, false)) | None => true,
            },
            Some(Marker::Commit) => !self.committed.remove(&header.producer_id),
            Some(Marker::Other) => false,
            // It was emptied by a round before.
            None => true,
        }
    }

    /// The entries for the index of the segment that ends here.
    pub fn take_kept(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.kept)
    }

    /// Begins the aborted transactions up to `offset`.
    fn advance(&mut self, offset: Offset) {
        while let Some(first) = self.ahead.first_entry()
            && first.key().0 <= offset
        {
            let transaction = first.remove();
            self.aborted
                .entry(transaction.producer_id)
                .or_insert((transaction, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::batch::Attributes;

    fn at(offset: i64, producer: i64, attributes: Attributes) -> BatchHeader {
        BatchHeader {
            base_offset: Offset(offset),
            producer_id: ProducerId(producer),
            attributes,
            ..BatchHeader::default()
        }
    }

    #[test]
    fn entries_are_kafkas() {
        let entry = AbortedTransaction {
            producer_id: ProducerId(7),
            first_offset: Offset(1),
            last_offset: Offset(9),
            last_stable_offset: Offset(12),
        };
        let bytes = entry.to_bytes();
        assert_eq!(AbortedTransaction::parse_all(&bytes), Some(vec![entry]));
        assert_eq!(AbortedTransaction::parse_all(&bytes[1..]), None);
        let mut later = bytes;
        later[1] = 1;
        assert_eq!(AbortedTransaction::parse_all(&later), None);
        assert_eq!(AbortedTransaction::parse_all(&[]), Some(Vec::new()));
    }

    #[test]
    fn markers_stay_while_their_batches_do() {
        let data = Attributes::default().with_transactional();
        let control = data.with_control();
        let aborted = AbortedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(3),
            last_offset: Offset(6),
            last_stable_offset: Offset(3),
        };
        let mut pass = CleanedTransactions::new(&[aborted]);
        // Producer 1 commits first, and aborts later; producer 2 commits with nothing left.
        assert!(!pass.on_batch(&at(0, 1, data)));
        assert!(!pass.on_control(&at(1, 1, control), Some(Marker::Commit)));
        assert!(pass.on_control(&at(2, 2, control), Some(Marker::Commit)));
        assert!(pass.on_batch(&at(3, 1, data)), "aborted");
        assert!(!pass.on_batch(&at(4, 1, Attributes::default())), "outside");
        assert!(!pass.on_control(&at(6, 1, control), Some(Marker::Abort)));
        assert_eq!(pass.take_kept(), [aborted]);
        // The next round finds no batch of it.
        let mut pass = CleanedTransactions::new(&[aborted]);
        assert!(pass.on_control(&at(6, 1, control), Some(Marker::Abort)));
        assert_eq!(pass.take_kept(), []);
        assert!(pass.on_control(&at(6, 1, control), None));
        assert!(!pass.on_control(&at(7, 1, control), Some(Marker::Other)));
    }

    #[test]
    fn keys_of_control_records_name_their_kind() {
        assert_eq!(Marker::of_key(Some(&[0, 0, 0, 0])), Marker::Abort);
        assert_eq!(Marker::of_key(Some(&[0, 0, 0, 1])), Marker::Commit);
        assert_eq!(Marker::of_key(Some(&[0, 0, 0, 2])), Marker::Other);
        assert_eq!(Marker::of_key(None), Marker::Other);
    }
}
