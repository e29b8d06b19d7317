//! Writes that are in flight, and what is to be done when their fate is known.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kafka_wire::OffsetCommitResponse;

use super::member::Terms;
use super::record::OffsetCommit;
use super::{GroupEffects, GroupId, GroupRecord, GroupWrite, MemberId, OffsetKey, WriteId};
use crate::waiting::ReplyTo;

/// A group of one incarnation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct GroupRef {
    pub(super) id: GroupId,
    pub(super) incarnation: u64,
}

/// What follows a write.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The request that committed offsets is answered.
    Answer(ReplyTo, OffsetCommitResponse),
    /// The leader's assignments go to the members.
    Assign {
        generation: i32,
        assignments: BTreeMap<MemberId, Bytes>,
    },
    /// A group is gone.
    Delete,
    /// Nothing: the write deletes offsets.
    Nothing,
    /// Nothing, as long as the write succeeds: the log knows what the group is.
    Record,
    /// A static member is told its new id, or gets back the old one.
    Replace(Box<Replacement>),
}

/// A static member whose client came again under another id.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    pub(super) generation: i32,
    pub(super) old: MemberId,
    pub(super) new: MemberId,
    pub(super) old_terms: Terms,
    pub(super) old_leader: Option<MemberId>,
    pub(super) version: i16,
}

/// A write in flight.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) id: WriteId,
    /// The group that it makes, changes or deletes.
    pub(super) group: GroupRef,
    /// The offsets of that group which it changes.
    pub(super) offsets: Vec<(OffsetKey, Option<OffsetCommit>)>,
    pub(super) then: Then,
}

/// The writes of a shard that are in flight, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Writes {
    next: u64,
    in_flight: VecDeque<InFlight>,
}

impl Writes {
    /// Hands out a write.
    pub(super) fn begin(
        &mut self,
        group: GroupRef,
        records: Vec<GroupRecord>,
        offsets: Vec<(OffsetKey, Option<OffsetCommit>)>,
        then: Then,
        out: &mut GroupEffects,
    ) -> WriteId {
        assert!(!records.is_empty(), "a write has records");
        let id = WriteId(self.next);
        self.next += 1;
        out.writes.push(GroupWrite { id, records });
        self.in_flight.push_back(InFlight {
            id,
            group,
            offsets,
            then,
        });
        id
    }

    /// Takes the oldest write that is not after `last`.
    pub(super) fn take_up_to(&mut self, last: WriteId) -> Option<InFlight> {
        let first = self.in_flight.front()?;
        if first.id > last {
            return None;
        }
        self.in_flight.pop_front()
    }

    /// Takes one write.
    pub(super) fn take(&mut self, id: WriteId) -> Option<InFlight> {
        let place = self
            .in_flight
            .binary_search_by_key(&id, |write| write.id)
            .ok()?;
        self.in_flight.remove(place)
    }
}
