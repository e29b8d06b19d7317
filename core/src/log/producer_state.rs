//! What a log remembers of its idempotent and transactional producers (KIP-98).
//!
//! Decides whether a batch is next in sequence, a retry, or out of order (K40-K43). Knows nothing
//! of transactions' outcomes beyond where an open one began. Compare Kafka's
//! `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`.

use std::collections::{BTreeMap, VecDeque};

use super::batch::BatchInfo;
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::limits::PRODUCER_BATCHES_REMEMBERED;
use crate::mutants::mutant;
use crate::time::Timestamp;

/// One remembered batch of a producer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProducerBatch {
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset less the first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
}

/// One producer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Producer {
    /// Its newest incarnation.
    pub epoch: ProducerEpoch,
    /// Its newest batches in that incarnation, oldest first; at most
    /// [`PRODUCER_BATCHES_REMEMBERED`]. Empty after a transaction marker that raised the epoch.
    pub batches: VecDeque<ProducerBatch>,
    /// Epoch of the transaction coordinator that wrote the last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// Timestamp of its newest batch or marker.
    pub last_timestamp: Timestamp,
    /// First offset of its open transaction.
    pub transaction_start: Option<Offset>,
}

/// All producers of a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Producers {
    by_id: BTreeMap<ProducerId, Producer>,
}

/// What a batch is to the producer's history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SequenceCheck {
    /// A retry of a batch that is in the log already.
    Duplicate(ProducerBatch),
    /// The batch that comes next.
    Next,
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SequenceError {
    /// A newer incarnation of the producer wrote already (K42): INVALID_PRODUCER_EPOCH.
    FencedEpoch {
        /// The newest incarnation seen.
        newest: ProducerEpoch,
    },
    /// There is a gap before it, or it is older than what is remembered (K41):
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrder {
        /// Sequence of the last record known; -1 for none in this incarnation.
        last: Sequence,
    },
}

/// How to take back what one append changed.
#[derive(Clone, Debug)]
pub(super) enum ProducerUndo {
    /// A batch was added; at the bound it displaced another.
    Added {
        producer_id: ProducerId,
        displaced: Option<ProducerBatch>,
        last_timestamp: Timestamp,
        transaction_start: Option<Offset>,
    },
    /// The producer was unknown, or had an older incarnation.
    Replaced {
        producer_id: ProducerId,
        before: Option<Box<Producer>>,
    },
}

impl ProducerBatch {
    /// What is remembered of a batch that lies at its place in the log.
    #[must_use]
    pub fn of(info: &BatchInfo) -> Self {
        Self {
            last_sequence: info.last_sequence(),
            last_offset: info.last_offset(),
            offset_delta: info.last_offset_delta,
            timestamp: info.max_timestamp,
        }
    }

    /// Offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    /// Sequence of its first record.
    #[must_use]
    pub fn first_sequence(&self) -> Sequence {
        let modulus = i64::from(i32::MAX) + 1;
        let first = i64::from(self.last_sequence.0) - i64::from(self.offset_delta);
        let wrapped = first.rem_euclid(modulus);
        Sequence(i32::try_from(wrapped).expect("a remainder by 2^31 fits in i32"))
    }
}

impl Producers {
    /// The producers in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.by_id.iter().map(|(id, producer)| (*id, producer))
    }

    /// What is known of a producer.
    #[must_use]
    pub fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.by_id.get(&id)
    }

    /// How many producers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether no producer is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// First offset of the oldest open transaction: reads of committed records end there.
    #[must_use]
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.by_id
            .values()
            .filter_map(|producer| producer.transaction_start)
            .min()
    }

    /// Judges a client's batch before it is appended. A batch without a producer id is always next.
    ///
    /// # Errors
    ///
    /// [`SequenceError`], and then nothing may be appended.
    pub fn check(&self, info: &BatchInfo) -> Result<SequenceCheck, SequenceError> {
        if info.producer_id == ProducerId::NONE {
            return Ok(SequenceCheck::Next);
        }
        // Nothing known (also when all its records were deleted): any sequence will do.
        let Some(producer) = self.by_id.get(&info.producer_id) else {
            return Ok(SequenceCheck::Next);
        };
        if let Some(earlier) = producer.duplicate_of(info) {
            return Ok(SequenceCheck::Duplicate(earlier));
        }
        if info.producer_epoch < producer.epoch {
            return Err(SequenceError::FencedEpoch {
                newest: producer.epoch,
            });
        }
        let last = if info.producer_epoch == producer.epoch {
            producer.last_sequence()
        } else {
            Sequence::NONE
        };
        if producer.epoch != ProducerEpoch::NONE && !follows(last, info.base_sequence) {
            return Err(SequenceError::OutOfOrder { last });
        }
        Ok(SequenceCheck::Next)
    }

    /// Remembers a batch that lies at its place in the log; answers how to take it back.
    ///
    /// Also used to replay a log, where nothing is refused: what is there was accepted once.
    pub(super) fn on_append(&mut self, info: &BatchInfo) -> Option<ProducerUndo> {
        if info.producer_id == ProducerId::NONE || info.is_control() {
            return None;
        }
        let batch = ProducerBatch::of(info);
        let producer_id = info.producer_id;
        let known = self
            .by_id
            .get_mut(&producer_id)
            .filter(|producer| producer.epoch == info.producer_epoch);
        if let Some(producer) = known {
            let undo = ProducerUndo::Added {
                producer_id,
                displaced: (producer.batches.len() == PRODUCER_BATCHES_REMEMBERED)
                    .then(|| producer.batches.pop_front())
                    .flatten(),
                last_timestamp: producer.last_timestamp,
                transaction_start: producer.transaction_start,
            };
            producer.remember(batch, info.is_transactional());
            return Some(undo);
        }
        let mut producer = Producer {
            epoch: info.producer_epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_start: None,
        };
        producer.remember(batch, info.is_transactional());
        let mut before = self.by_id.insert(producer_id, producer);
        if let (Some(before), Some(after)) = (&mut before, self.by_id.get_mut(&producer_id)) {
            after.coordinator_epoch = before.coordinator_epoch;
            after.transaction_start = before.transaction_start.or(after.transaction_start);
        }
        Some(ProducerUndo::Replaced {
            producer_id,
            before: before.map(Box::new),
        })
    }

    /// Takes back the newest append that was not taken back yet.
    pub(super) fn undo(&mut self, undo: ProducerUndo) {
        match undo {
            ProducerUndo::Added {
                producer_id,
                displaced,
                last_timestamp,
                transaction_start,
            } => {
                // Expiry may have removed it meanwhile; then there is nothing to take back.
                let Some(producer) = self.by_id.get_mut(&producer_id) else {
                    return;
                };
                producer.batches.pop_back();
                if let Some(displaced) = displaced {
                    producer.batches.push_front(displaced);
                }
                producer.last_timestamp = last_timestamp;
                producer.transaction_start = transaction_start;
            }
            ProducerUndo::Replaced {
                producer_id,
                before: Some(before),
            } => {
                self.by_id.insert(producer_id, *before);
            }
            ProducerUndo::Replaced {
                producer_id,
                before: None,
            } => {
                self.by_id.remove(&producer_id);
            }
        }
    }

    /// Forgets producers without an open transaction that wrote nothing for `expiration_ms`
    /// (`producer.id.expiration.ms`), by the timestamps of their batches, as Kafka does.
    pub fn expire(&mut self, wall: Timestamp, expiration_ms: i64) {
        self.by_id.retain(|_id, producer| {
            producer.transaction_start.is_some()
                || wall.0.saturating_sub(producer.last_timestamp.0) < expiration_ms
        });
    }

    /// Takes in a producer from a snapshot.
    pub(super) fn restore(&mut self, id: ProducerId, producer: Producer) {
        self.by_id.insert(id, producer);
    }

    /// Adds what a snapshot left out: a batch older than those remembered of its producer.
    ///
    /// Batches must be given newest first.
    pub(super) fn restore_older(&mut self, info: &BatchInfo) {
        let Some(producer) = self.by_id.get_mut(&info.producer_id) else {
            return;
        };
        let Some(oldest) = producer.batches.front() else {
            return;
        };
        let is_wanted = info.producer_epoch == producer.epoch
            && !info.is_control()
            && producer.batches.len() < PRODUCER_BATCHES_REMEMBERED
            && info.last_offset() < oldest.first_offset()
            && follows(info.last_sequence(), oldest.first_sequence());
        if is_wanted {
            producer.batches.push_front(ProducerBatch::of(info));
        }
    }
}

impl Producer {
    /// Sequence of its last record; -1 for none in this incarnation.
    #[must_use]
    pub fn last_sequence(&self) -> Sequence {
        self.batches
            .back()
            .map_or(Sequence::NONE, |batch| batch.last_sequence)
    }

    fn duplicate_of(&self, info: &BatchInfo) -> Option<ProducerBatch> {
        if info.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (info.base_sequence, info.last_sequence());
        let is_same =
            |batch: &&ProducerBatch| batch.first_sequence() == first && batch.last_sequence == last;
        let unseen = usize::from(mutant!(M22) && self.batches.len() == PRODUCER_BATCHES_REMEMBERED);
        self.batches.iter().skip(unseen).find(is_same).copied()
    }

    fn remember(&mut self, batch: ProducerBatch, is_transactional: bool) {
        assert!(
            self.batches.len() < PRODUCER_BATCHES_REMEMBERED,
            "room was made for the batch"
        );
        self.batches.push_back(batch);
        self.last_timestamp = batch.timestamp;
        if is_transactional && self.transaction_start.is_none() {
            self.transaction_start = Some(batch.first_offset());
        }
    }
}

/// Whether a record with sequence `next` may come after one with `last`.
fn follows(last: Sequence, next: Sequence) -> bool {
    next == last.plus_one() && !(mutant!(M23) && next < last)
}

impl Sequence {
    /// The sequence after this one; 0 after none.
    fn plus_one(self) -> Self {
        if self == Self::NONE {
            Self(0)
        } else {
            self.plus(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::build::{Wanted, batch};
    use super::*;

    fn info(offset: i64, epoch: i16, sequence: i32, count: i32) -> BatchInfo {
        let bytes = batch(Wanted {
            base_offset: offset,
            count,
            producer: (5, epoch, sequence),
            max_timestamp: offset,
            ..Wanted::default()
        });
        BatchInfo::parse(&bytes).unwrap()
    }

    fn filled() -> Producers {
        let mut producers = Producers::default();
        for number in 0..7 {
            let info = info(i64::from(number) * 2, 3, number * 2, 2);
            assert_eq!(producers.check(&info), Ok(SequenceCheck::Next));
            producers.on_append(&info);
        }
        producers
    }

    #[test]
    fn the_last_five_batches_are_recognised() {
        let producers = filled();
        for number in 2..7 {
            let again = producers.check(&info(99, 3, number * 2, 2));
            let Ok(SequenceCheck::Duplicate(earlier)) = again else {
                panic!("{again:?}");
            };
            assert_eq!(earlier.first_offset(), Offset(i64::from(number) * 2));
        }
        let last = Sequence(13);
        let out_of_order = Err(SequenceError::OutOfOrder { last });
        assert_eq!(producers.check(&info(99, 3, 2, 2)), out_of_order);
        assert_eq!(producers.check(&info(99, 3, 12, 1)), out_of_order);
        assert_eq!(producers.check(&info(99, 3, 15, 1)), out_of_order);
        assert_eq!(
            producers.check(&info(99, 3, 14, 1)),
            Ok(SequenceCheck::Next)
        );
    }

    #[test]
    fn epochs_fence_and_begin_at_zero() {
        let producers = filled();
        let newest = ProducerEpoch(3);
        let fenced = Err(SequenceError::FencedEpoch { newest });
        assert_eq!(producers.check(&info(99, 2, 0, 1)), fenced);
        let last = Sequence::NONE;
        let out_of_order = Err(SequenceError::OutOfOrder { last });
        assert_eq!(producers.check(&info(99, 4, 14, 1)), out_of_order);
        assert_eq!(producers.check(&info(99, 4, 0, 1)), Ok(SequenceCheck::Next));
        let unknown = Producers::default();
        assert_eq!(unknown.check(&info(99, 0, 77, 1)), Ok(SequenceCheck::Next));
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.on_append(&info(0, 0, i32::MAX - 1, 3));
        assert_eq!(
            producers.producer(ProducerId(5)).unwrap().last_sequence(),
            Sequence(0)
        );
        let again = producers.check(&info(9, 0, i32::MAX - 1, 3));
        assert!(matches!(again, Ok(SequenceCheck::Duplicate(_))));
        assert_eq!(producers.check(&info(9, 0, 1, 1)), Ok(SequenceCheck::Next));
    }

    #[test]
    fn appends_are_taken_back_in_reverse() {
        let before = filled();
        let mut producers = before.clone();
        let undos: Vec<_> = [
            info(14, 3, 14, 1),
            info(15, 3, 15, 1),
            info(16, 4, 0, 1),
            info(17, 4, 1, 1),
        ]
        .iter()
        .map(|info| producers.on_append(info).unwrap())
        .collect();
        assert_ne!(producers, before);
        for undo in undos.into_iter().rev() {
            producers.undo(undo);
        }
        assert_eq!(producers, before);
    }

    #[test]
    fn silent_producers_are_forgotten() {
        let mut producers = filled();
        producers.expire(Timestamp(111), 100);
        assert_eq!(producers.len(), 1);
        producers.expire(Timestamp(112), 100);
        assert!(producers.is_empty());
    }

    #[test]
    fn older_batches_are_added_in_front() {
        let whole = filled();
        let mut partial = Producers::default();
        let mut producer = whole.producer(ProducerId(5)).unwrap().clone();
        producer.batches.drain(..4);
        partial.restore(ProducerId(5), producer);
        for number in (0..7).rev() {
            partial.restore_older(&info(i64::from(number) * 2, 3, number * 2, 2));
        }
        assert_eq!(partial, whole);
    }
}
