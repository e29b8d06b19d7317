//! Requests with the ids of former memberships, which must have no effect (R81).

use std::sync::Arc;

use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::{HeartbeatRequest, OffsetCommitRequest};
use kafka_wire_core::StrBytes;

use crate::client::group::protocol::GroupGeneration;
use crate::client::message::ClientRequest;
use crate::client::network::{Answer, CallId};
use crate::sim::workload::Stage;
use crate::time::Instant;

/// Former memberships that are remembered.
const FORMER_MAX: usize = 6;

/// Mean time between two such requests, in milliseconds.
const EVERY_MS: u64 = 150;

/// Who asks with former ids.
#[derive(Clone, Debug)]
pub(super) struct Stale {
    group: Arc<str>,
    /// What it commits an offset of.
    topic: Arc<str>,
    /// The last is the one of now.
    memberships: Vec<(Arc<str>, GroupGeneration)>,
    call: Option<CallId>,
    at: Instant,
}

impl Stale {
    pub(super) fn new(group: Arc<str>, topic: Arc<str>) -> Self {
        Self {
            group,
            topic,
            memberships: Vec::new(),
            call: None,
            at: Instant(0),
        }
    }

    /// Notes the membership of now.
    pub(super) fn learn(&mut self, id: &Arc<str>, generation: GroupGeneration) {
        let last = self.memberships.last();
        if last.is_none_or(|(member, at)| member != id || *at != generation) {
            self.memberships.push((Arc::clone(id), generation));
            if self.memberships.len() > FORMER_MAX {
                self.memberships.remove(0);
            }
        }
    }

    pub(super) fn on_answer(&mut self, answer: &Answer) {
        self.call.take_if(|call| *call == answer.call);
    }

    /// Asks with a former id now and then; answers when to be stepped again.
    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        let former = self.memberships.len().saturating_sub(1);
        if self.call.is_some() || former == 0 {
            return None;
        }
        if stage.now < self.at {
            return Some(self.at);
        }
        self.at = stage.within_ms(EVERY_MS * 2);
        let index = stage.rng.below(former as u64) as usize;
        let (member, generation) = self.memberships[index].clone();
        let request = match stage.rng.below(3) {
            0 => ClientRequest::Heartbeat(made!(HeartbeatRequest {
                group_id: StrBytes::from(&*self.group),
                member_id: StrBytes::from(&*member),
                generation_id: generation.0,
            })),
            _more => ClientRequest::OffsetCommit(made!(OffsetCommitRequest {
                group_id: StrBytes::from(&*self.group),
                member_id: StrBytes::from(&*member),
                generation_id_or_member_epoch: generation.0,
                topics: vec![made!(OffsetCommitRequestTopic {
                    name: StrBytes::from(&*self.topic),
                    partitions: vec![made!(OffsetCommitRequestPartition {
                        partition_index: 0,
                        committed_offset: 0,
                        committed_leader_epoch: -1,
                    })],
                })],
            })),
        };
        self.call = Some(stage.call(request));
        None
    }
}
