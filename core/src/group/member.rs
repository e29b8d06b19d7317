//! A member of a classic group.

use std::time::Duration;

use bytes::Bytes;
use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};
use kafka_wire_core::StrBytes;

use super::record::MemberMetadata;
use super::{Caller, GroupEffects, GroupReply, MemberId, owned};
use crate::time::from_ms;
use crate::waiting::ReplyTo;

/// A protocol that a member could follow, in its order of preference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Protocol {
    pub(super) name: StrBytes,
    pub(super) metadata: Bytes,
}

/// The protocols of a JoinGroup, without its frame.
pub(super) fn protocols_of(request: &JoinGroupRequest) -> Vec<Protocol> {
    request
        .protocols
        .iter()
        .map(|protocol| Protocol {
            name: owned(&protocol.name),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        })
        .collect()
}

/// A JoinGroup or SyncGroup that waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Parked {
    pub(super) reply_to: ReplyTo,
    pub(super) version: i16,
}

impl Parked {
    pub(super) fn of(caller: &Caller) -> Self {
        Self {
            reply_to: caller.reply_to,
            version: caller.version,
        }
    }
}

/// What a member told in its last JoinGroup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Terms {
    pub(super) protocols: Vec<Protocol>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
}

impl Terms {
    /// The terms of a request. Version 0 has no rebalance timeout: it is the session's.
    pub(super) fn of(version: i16, request: &JoinGroupRequest) -> Self {
        Self {
            protocols: protocols_of(request),
            rebalance_timeout_ms: if version == 0 {
                request.session_timeout_ms
            } else {
                request.rebalance_timeout_ms
            },
            session_timeout_ms: request.session_timeout_ms,
        }
    }

    /// The bytes they take.
    pub(super) fn size_bytes(&self) -> usize {
        let protocols = self.protocols.iter();
        protocols
            .map(|protocol| protocol.name.len() + protocol.metadata.len())
            .sum()
    }
}

/// A member of a classic group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) instance_id: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) client_host: StrBytes,
    pub(super) terms: Terms,
    /// What the leader assigned to it in the current generation; empty before.
    pub(super) assignment: Bytes,
    /// It joined and has not been told of a generation yet.
    pub(super) is_new: bool,
    /// Its place in the order of joining.
    pub(super) place: u64,
    pub(super) joining: Option<Parked>,
    pub(super) syncing: Option<Parked>,
}

impl Member {
    /// A member as a record has it, under the protocol of its group.
    pub(super) fn from_record(record: MemberMetadata, protocol: &StrBytes) -> Self {
        let rebalance_timeout_ms = match record.rebalance_timeout_ms {
            -1 => record.session_timeout_ms,
            timeout_ms => timeout_ms,
        };
        Self {
            id: record.member_id,
            instance_id: record.group_instance_id,
            client_id: record.client_id,
            client_host: record.client_host,
            terms: Terms {
                protocols: vec![Protocol {
                    name: protocol.clone(),
                    metadata: record.subscription,
                }],
                rebalance_timeout_ms,
                session_timeout_ms: record.session_timeout_ms,
            },
            assignment: record.assignment,
            is_new: false,
            place: 0,
            joining: None,
            syncing: None,
        }
    }

    /// The member's part of its group's record.
    pub(super) fn to_record(&self, protocol: &StrBytes, assignment: Bytes) -> MemberMetadata {
        MemberMetadata {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.terms.rebalance_timeout_ms,
            session_timeout_ms: self.terms.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    /// What it said under a protocol that it supports; empty under another.
    pub(super) fn metadata(&self, protocol: &StrBytes) -> Bytes {
        let mut protocols = self.terms.protocols.iter();
        let found = protocols.find(|candidate| candidate.name == *protocol);
        found.map_or_else(Bytes::new, |protocol| protocol.metadata.clone())
    }

    /// Whether a request names the same protocols with the same metadata, in the same order.
    pub(super) fn matches(&self, protocols: &[JoinGroupRequestProtocol]) -> bool {
        let own = &self.terms.protocols;
        own.len() == protocols.len()
            && std::iter::zip(own, protocols)
                .all(|(own, asked)| own.name == asked.name && own.metadata == asked.metadata)
    }

    /// Whether it need not be heard of now: it waits for an answer of ours.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// How long it may be silent.
    pub(super) fn session_timeout(&self) -> Duration {
        from_ms(i64::from(self.terms.session_timeout_ms))
    }

    /// Answers a SyncGroup that waits; whether one did.
    pub(super) fn answer_sync(&mut self, reply: SyncGroupResponse, out: &mut GroupEffects) -> bool {
        let Some(parked) = self.syncing.take() else {
            return false;
        };
        let reply = GroupReply::SyncGroup(reply);
        out.replies.push((parked.reply_to, reply));
        true
    }
}

/// Answers a JoinGroup: before version 7 the protocol's name cannot be null.
pub(super) fn answer_join(to: Parked, mut reply: JoinGroupResponse, out: &mut GroupEffects) {
    if to.version < 7 && reply.protocol_name.is_none() {
        reply.protocol_name = Some(StrBytes::default());
    }
    out.replies
        .push((to.reply_to, GroupReply::JoinGroup(reply)));
}
