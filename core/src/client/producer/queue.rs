//! The batches of one partition that have not been acknowledged.
//!
//! Sequence numbers are given when a batch is first taken to be sent, so that batches that expire
//! before leave no gap; a retry keeps its number. It sends nothing.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::client::producer::RecordId;
use crate::ids::{ProducerEpoch, ProducerId, Sequence};
use crate::time::Instant;
use crate::wire::batch::{BatchHeader, seal};
use crate::wire::builder::BatchBuilder;

/// A batch's records: still growing, or sealed.
#[derive(Clone, Debug)]
enum Content {
    Growing(Box<BatchBuilder>),
    Sealed(Bytes),
}

/// A batch of one partition.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    content: Content,
    /// Its records, in order.
    pub(super) records: Vec<RecordId>,
    /// Place among the partition's batches, for order among retries.
    pub(super) number: u64,
    /// When its first record came.
    created: Instant,
    /// When it is given up.
    pub(super) deadline: Instant,
    /// Times it was sent.
    pub(super) attempts: u32,
    /// Not to be sent before.
    pub(super) retry_at: Instant,
    /// Its first sequence number; none where it has none yet.
    pub(super) sequence: Sequence,
    /// Whether an attempt may have been written.
    pub(super) may_be_written: bool,
    is_closed: bool,
}

/// Who a producer is to the brokers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
}

impl Batch {
    pub(super) fn new(builder: BatchBuilder, number: u64, now: Instant, keep: Duration) -> Self {
        Self {
            content: Content::Growing(Box::new(builder)),
            records: Vec::new(),
            number,
            created: now,
            deadline: now.after(keep),
            attempts: 0,
            retry_at: now,
            sequence: Sequence::NONE,
            may_be_written: false,
            is_closed: false,
        }
    }

    /// The builder, while records may be added.
    pub(super) fn builder_mut(&mut self) -> Option<&mut BatchBuilder> {
        match &mut self.content {
            Content::Growing(builder) if !self.is_closed => Some(builder),
            Content::Growing(_) | Content::Sealed(_) => None,
        }
    }

    /// Takes no more records.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// When it may be sent.
    pub(super) fn ready_at(&self, linger: Duration) -> Instant {
        if self.is_closed || self.attempts > 0 {
            self.retry_at
        } else {
            self.created.after(linger)
        }
    }

    /// Number of records.
    pub(super) fn count(&self) -> i32 {
        i32::try_from(self.records.len()).expect("a batch has fewer than 2^31 records")
    }

    /// Size in bytes, before compression where it is not sealed.
    pub(super) fn size_bytes(&self) -> usize {
        match &self.content {
            Content::Growing(builder) => builder.size_bytes(),
            Content::Sealed(bytes) => bytes.len(),
        }
    }

    /// The bytes to send, sealed now if they were not.
    pub(super) fn seal(&mut self, identity: Option<Identity>) -> Bytes {
        self.is_closed = true;
        if let Content::Growing(builder) = &self.content {
            let mut builder = (**builder).clone();
            if let Some(Identity { id, epoch }) = identity {
                builder = builder.producer(id, epoch, self.sequence);
            }
            self.content = Content::Sealed(builder.build());
        }
        match &self.content {
            Content::Sealed(bytes) => bytes.clone(),
            Content::Growing(_) => unreachable!("sealed above"),
        }
    }

    /// Takes its sequence number away; the next seal writes another, of another epoch.
    pub(super) fn unsequence(&mut self) {
        self.sequence = Sequence::NONE;
    }

    /// Writes an identity and the batch's sequence into bytes sealed before.
    pub(super) fn restamp(&mut self, identity: Identity) {
        if let Content::Sealed(bytes) = &self.content {
            let mut copy = BytesMut::from(&bytes[..]);
            let mut header = BatchHeader::parse(&copy).expect("sealed here");
            header.producer_id = identity.id;
            header.producer_epoch = identity.epoch;
            header.base_sequence = self.sequence;
            seal(&mut header, &mut copy);
            self.content = Content::Sealed(copy.freeze());
        }
    }
}

/// The queue of a partition.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    /// Numbers of the batches in flight.
    pub(super) in_flight: Vec<u64>,
    /// The next sequence number to give.
    pub(super) next_sequence: Sequence,
    next_number: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            batches: VecDeque::new(),
            in_flight: Vec::new(),
            next_sequence: Sequence(0),
            next_number: 0,
        }
    }
}

impl Queue {
    /// The batch at the end, while it takes records; else a new one.
    pub(super) fn open_batch(
        &mut self,
        fits: impl Fn(&BatchBuilder) -> bool,
        fresh: impl FnOnce() -> BatchBuilder,
        now: Instant,
        keep: Duration,
    ) -> &mut Batch {
        let has_room = match self.batches.back_mut() {
            Some(last) => match last.builder_mut() {
                Some(builder) if fits(builder) => true,
                Some(_full) => {
                    last.close();
                    false
                }
                None => false,
            },
            None => false,
        };
        if !has_room {
            let batch = Batch::new(fresh(), self.next_number, now, keep);
            self.next_number += 1;
            self.batches.push_back(batch);
        }
        self.batches.back_mut().expect("there is one")
    }

    /// Closes the batch at the end where it has no room for so many bytes; answers whether it did.
    pub(super) fn close_if_full(&mut self, record_bytes: usize, batch_bytes_max: usize) -> bool {
        let Some(last) = self.batches.back_mut() else {
            return false;
        };
        let is_full = last
            .builder_mut()
            .is_some_and(|builder| builder.size_bytes() + record_bytes > batch_bytes_max);
        if is_full {
            last.close();
        }
        is_full
    }

    /// Number of the batch begun last.
    pub(super) fn last_number(&self) -> u64 {
        self.next_number.saturating_sub(1)
    }

    /// Puts a batch that failed back into its place.
    pub(super) fn put_back(&mut self, batch: Batch) {
        let place = self
            .batches
            .iter()
            .position(|other| other.number > batch.number)
            .unwrap_or(self.batches.len());
        self.batches.insert(place, batch);
    }

    /// Whether a batch before this one is not acknowledged.
    pub(super) fn has_earlier(&self, number: u64) -> bool {
        self.in_flight.iter().any(|other| *other < number)
            || self.batches.iter().any(|other| other.number < number)
    }

    /// Whether a batch that waits has a sequence number already.
    pub(super) fn has_sequenced(&self) -> bool {
        self.batches
            .iter()
            .any(|batch| batch.sequence != Sequence::NONE)
    }
}
