//! What the members of a group agree on, and what they are told of it.

use std::collections::BTreeSet;

use kafka_wire::join_group_response::JoinGroupResponseMember;
use kafka_wire::{JoinGroupResponse, SyncGroupResponse};
use kafka_wire_core::StrBytes;

use super::ClassicGroup;
use crate::group::MemberId;
use crate::group::member::Member;
use crate::group::placement::java_hash;
use crate::group::subscription::{CONSUMER, add_topics};
use crate::ids::TopicName;

impl ClassicGroup {
    /// The protocol that most members prefer among those that all of them support.
    ///
    /// Of two with as many votes, Kafka takes the one that comes first in a hash map of Java, and
    /// so does this: the lower bucket, and within one the earlier vote.
    pub(in crate::group) fn select_protocol(&self) -> Option<StrBytes> {
        let is_candidate = |name: &StrBytes| self.support.get(name) == Some(&self.members.len());
        let mut votes: Vec<(&StrBytes, usize)> = Vec::new();
        for member in self.members.values() {
            let mut names = member.terms.protocols.iter().map(|protocol| &protocol.name);
            let vote = names.find(|name| is_candidate(name))?;
            match votes.iter_mut().find(|(name, _)| *name == vote) {
                Some((_, count)) => *count += 1,
                None => votes.push((vote, 1)),
            }
        }
        // A map of Java has 16 buckets, and twice as many whenever three quarters are used.
        let mut buckets = 16;
        while votes.len() * 4 > buckets * 3 {
            buckets *= 2;
        }
        let bucket = |name: &StrBytes| {
            let hash = java_hash(name).cast_unsigned();
            (hash ^ (hash >> 16)) as usize & (buckets - 1)
        };
        let most = votes.iter().map(|(_, count)| *count).max()?;
        let best = votes.iter().filter(|(_, count)| *count == most);
        best.min_by_key(|(name, _)| bucket(name))
            .map(|(name, _)| StrBytes::clone(name))
    }

    /// The topics of all members; `None` where the group is not of consumers, or where somebody's
    /// metadata cannot be read.
    pub(in crate::group) fn compute_subscribed(&self) -> Option<BTreeSet<TopicName>> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol.as_ref()?;
        for member in self.members.values() {
            add_topics(&member.metadata(protocol), &mut topics)?;
        }
        Some(topics)
    }

    /// Whether its members are consumers.
    pub(in crate::group) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether a member may be subscribed to a topic.
    pub(in crate::group) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// The members as the leader is told of them.
    pub(in crate::group) fn join_members(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.values().map(|member| {
            let mut told = JoinGroupResponseMember::default();
            told.member_id = member.id.clone();
            told.group_instance_id = member.instance_id.clone();
            told.metadata = member.metadata(&protocol);
            told
        });
        members.collect()
    }

    /// What a member is told of the current generation; only the leader gets the members.
    pub(in crate::group) fn join_reply(
        &self,
        id: &MemberId,
        with_members: bool,
    ) -> JoinGroupResponse {
        let mut reply = JoinGroupResponse::default();
        reply.generation_id = self.generation;
        reply.protocol_type = self.protocol_type.clone();
        reply.protocol_name = self.protocol.clone();
        reply.leader = self.leader.clone().unwrap_or_default();
        reply.member_id = id.clone();
        if with_members {
            reply.members = self.join_members();
        }
        reply
    }

    /// What a member that asks for its assignment is told.
    pub(in crate::group) fn sync_reply(&self, member: &Member) -> SyncGroupResponse {
        let mut reply = SyncGroupResponse::default();
        reply.protocol_type = self.protocol_type.clone();
        reply.protocol_name = self.protocol.clone();
        reply.assignment = member.assignment.clone();
        reply
    }
}
