//! What all groups of a shard have in common, and the names it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kafka_wire_core::StrBytes;

use super::classic::ClassicGroup;
use super::record::{GroupMetadata, RecordKey};
use super::timers::{Timer, Timers};
use super::writes::{GroupRef, Then, Writes};
use super::{GroupEffects, GroupRecord, GroupSettings, MemberId};
use crate::event::{Event, Severity};
use crate::limits::MEMBER_ID_PREFIX_BYTES_MAX;
use crate::rng::Rng;
use crate::time::{Instant, Now};

/// The part of a shard beside its groups, so that a group and this can be changed together.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) settings: Arc<GroupSettings>,
    rng: Rng,
    pub(super) timers: Timers,
    pub(super) writes: Writes,
    incarnations: u64,
}

impl Shared {
    pub(super) fn new(settings: Arc<GroupSettings>, rng: Rng) -> Self {
        Self {
            settings,
            rng,
            timers: Timers::default(),
            writes: Writes::default(),
            incarnations: 0,
        }
    }

    /// The number of the next group.
    pub(super) fn next_incarnation(&mut self) -> u64 {
        self.incarnations += 1;
        self.incarnations
    }

    /// A member's id: what its client is called, and a random UUID (version 4).
    pub(super) fn new_member_id(&mut self, prefix: &str) -> MemberId {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let digits = u128::from_be_bytes(bytes);
        let hexadecimal = format!("{digits:032x}");
        let end = prefix.floor_char_boundary(MEMBER_ID_PREFIX_BYTES_MAX);
        StrBytes::from(format!(
            "{}-{}-{}-{}-{}-{}",
            &prefix[..end],
            &hexadecimal[..8],
            &hexadecimal[8..12],
            &hexadecimal[12..16],
            &hexadecimal[16..20],
            &hexadecimal[20..]
        ))
    }

    /// Sets the time by which a member must be heard of.
    pub(super) fn expect_member(&mut self, group: &ClassicGroup, member: &MemberId, at: Instant) {
        let timer = Timer::Session(group.id.clone(), member.clone());
        self.timers.schedule(timer, at);
    }

    /// As [`Self::expect_member`], within the member's session timeout.
    pub(super) fn expect_within_session(
        &mut self,
        now: Now,
        group: &ClassicGroup,
        member: &MemberId,
    ) {
        let timeout = group.member(member).map(|member| member.session_timeout());
        let timeout = timeout.expect("the caller knows the member");
        self.expect_member(group, member, now.after(timeout));
    }

    /// Stops waiting for a member to be heard of.
    pub(super) fn forget_member(&mut self, group: &ClassicGroup, member: &MemberId) {
        let timer = Timer::Session(group.id.clone(), member.clone());
        self.timers.cancel(timer);
    }

    /// Writes what the group is, with these assignments.
    pub(super) fn write_group(
        &mut self,
        group: &mut ClassicGroup,
        assignments: &BTreeMap<MemberId, Bytes>,
        then: Then,
        out: &mut GroupEffects,
    ) {
        let record = group.to_record(assignments);
        self.write_metadata(group, &record, then, out);
    }

    /// Writes a record of the group.
    pub(super) fn write_metadata(
        &mut self,
        group: &mut ClassicGroup,
        record: &GroupMetadata,
        then: Then,
        out: &mut GroupEffects,
    ) {
        let record = GroupRecord {
            key: RecordKey::Group(group.id.clone()).encode(),
            value: Some(record.encode()),
        };
        group.writes_in_flight += 1;
        let reference = reference_to(group);
        let no_offsets = Vec::new();
        self.writes
            .begin(reference, vec![record], no_offsets, then, out);
    }
}

/// The name of a group, with its incarnation.
pub(super) fn reference_to(group: &ClassicGroup) -> GroupRef {
    GroupRef {
        id: group.id.clone(),
        incarnation: group.incarnation,
    }
}

/// Tells what happened to a group.
pub(super) fn tell(
    severity: Severity,
    group_id: &str,
    message: impl Into<String>,
    out: &mut GroupEffects,
) {
    out.events.push(Event {
        severity,
        room: "group",
        subject: group_id.to_owned(),
        message: message.into(),
    });
}
