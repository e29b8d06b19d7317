//! What comes before joining and leaving: the last commits, and giving partitions up. And leaving.

use std::collections::BTreeSet;

use kafka_wire::leave_group_request::MemberIdentity;
use kafka_wire_core::StrBytes;

use super::assignor::RebalanceProtocol;
use super::commits::Kind;
use super::joining::Phase;
use super::protocol::GroupGeneration;
use super::{GroupConsumer, GroupEvent, Wish};
use crate::client::message::ClientRequest;
use crate::client::network::{CallId, Target};
use crate::ids::TopicPartition;
use crate::time::Instant;

/// What happens before a member joins or leaves.
#[derive(Clone, Debug)]
pub(super) struct Preparing {
    /// Partitions that will be gone; once they were told.
    pub(super) giving_up: Option<BTreeSet<TopicPartition>>,
    /// Whether it leaves afterwards.
    pub(super) leaves: bool,
    /// When it goes on whatever is not answered.
    pub(super) until: Instant,
}

impl GroupConsumer {
    /// Whether partitions are being given up, so that nothing more may be read.
    pub(super) fn is_revoking(&self) -> bool {
        match &self.phase {
            Phase::Preparing(preparing) => {
                let gives_up_all = self.protocol() == RebalanceProtocol::Eager;
                let given_up = preparing.giving_up.as_ref();
                gives_up_all || preparing.leaves || given_up.is_some_and(|some| !some.is_empty())
            }
            Phase::Expired | Phase::Leaving { .. } | Phase::Closed => true,
            Phase::Assigning(_)
            | Phase::Idle
            | Phase::Joining(_)
            | Phase::Stable
            | Phase::Syncing(_)
            | Phase::Unjoined => false,
        }
    }

    /// Begins a rebalance: commits, then gives partitions up.
    pub(super) fn start_preparing(&mut self, now: Instant) {
        self.prepare(now, false);
    }

    /// Begins to leave for good.
    pub(super) fn start_leaving(&mut self, now: Instant) {
        match self.phase {
            Phase::Closed | Phase::Leaving { .. } => {}
            Phase::Assigning(_)
            | Phase::Expired
            | Phase::Idle
            | Phase::Joining(_)
            | Phase::Preparing(_)
            | Phase::Stable
            | Phase::Syncing(_)
            | Phase::Unjoined => self.prepare(now, true),
        }
    }

    fn prepare(&mut self, now: Instant, leaves: bool) {
        let limit = if leaves {
            self.options
                .call_timeout
                .min(self.options.consumer.network.request_timeout)
        } else {
            self.options.max_poll_interval
        };
        let is_member = self.membership().is_some() || matches!(self.wish, Wish::Partitions);
        if self.options.auto_commit.is_some() && is_member && !self.failed {
            self.commit_positions(now, Kind::Last);
        }
        self.phase = Phase::Preparing(Preparing {
            giving_up: None,
            leaves,
            until: now.after(limit),
        });
    }

    pub(super) fn drive_preparing(&mut self, now: Instant) -> bool {
        let Phase::Preparing(preparing) = &self.phase else {
            unreachable!("the caller looked");
        };
        let is_late = preparing.until <= now;
        if !is_late && !self.commits.is_empty() {
            return false;
        }
        let leaves = preparing.leaves;
        match preparing.giving_up.clone() {
            None => {
                let given_up = self.tell_what_goes(leaves);
                if let Phase::Preparing(preparing) = &mut self.phase {
                    preparing.giving_up = Some(given_up);
                }
                true
            }
            Some(_untaken) if !is_late && !self.events.is_empty() => false,
            Some(given_up) => {
                for partition in &given_up {
                    self.drop_partition(partition);
                }
                self.rejoin = None;
                if leaves {
                    self.leave(now);
                } else {
                    self.phase = Phase::Unjoined;
                }
                true
            }
        }
    }

    /// Tells which partitions are given up; who is no member has lost them already.
    fn tell_what_goes(&mut self, leaves: bool) -> BTreeSet<TopicPartition> {
        if matches!(self.wish, Wish::Partitions) {
            return if leaves {
                self.owned.clone()
            } else {
                BTreeSet::new()
            };
        }
        if self.membership().is_none() {
            let lost = self.owned.clone();
            if !lost.is_empty() {
                self.events.push_back(GroupEvent::Lost(lost.clone()));
            }
            return lost;
        }
        let keeps = !leaves && self.protocol() == RebalanceProtocol::Cooperative;
        let revoked: BTreeSet<TopicPartition> = self
            .owned
            .iter()
            .filter(|partition| !keeps || !self.topics.contains(&partition.topic))
            .cloned()
            .collect();
        if !revoked.is_empty() {
            self.events.push_back(GroupEvent::Revoked(revoked.clone()));
        }
        revoked
    }

    /// Is no member any more; joins anew, as the same one where `keeps_id`.
    pub(super) fn forget_membership(&mut self, now: Instant, keeps_id: bool, why: &'static str) {
        self.generation = GroupGeneration::NONE;
        self.divided = None;
        if !keeps_id {
            self.member_id = "".into();
        }
        self.drop_commits_of_member();
        match &mut self.phase {
            Phase::Closed | Phase::Expired | Phase::Leaving { .. } => {}
            // What it was about to give up is lost instead.
            Phase::Preparing(preparing) if preparing.giving_up.is_none() => {}
            Phase::Preparing(preparing) if preparing.leaves => {}
            Phase::Assigning(_)
            | Phase::Idle
            | Phase::Joining(_)
            | Phase::Preparing(_)
            | Phase::Stable
            | Phase::Syncing(_)
            | Phase::Unjoined => self.start_preparing(now),
        }
        self.rejoin = Some(why);
    }

    fn leave(&mut self, now: Instant) {
        let call = self.send_leave(now, "the consumer is being closed");
        let until = now.after(self.options.consumer.network.request_timeout);
        self.phase = Phase::Leaving { call, until };
        if call.is_none() {
            self.finish_leaving();
        }
    }

    /// Tells the coordinator that a member goes; static members only stay away.
    pub(super) fn send_leave(&mut self, now: Instant, reason: &'static str) -> Option<CallId> {
        let node = self.coordinator?;
        if self.options.instance_id.is_some() || self.member_id.is_empty() {
            return None;
        }
        let mut member = MemberIdentity::default();
        member.member_id = StrBytes::from(&*self.member_id);
        member.reason = Some(StrBytes::from(reason));
        let mut request = kafka_wire::LeaveGroupRequest::default();
        request.group_id = self.group_id();
        request.members = vec![member];
        let request = ClientRequest::LeaveGroup(request);
        Some(self.network.call(now, Target::Node(node), request))
    }

    pub(super) fn finish_leaving(&mut self) {
        self.phase = Phase::Closed;
        self.generation = GroupGeneration::NONE;
        self.member_id = "".into();
        for partition in self.owned.clone() {
            self.drop_partition(&partition);
        }
        self.network.close();
        self.consumer.close();
    }
}
