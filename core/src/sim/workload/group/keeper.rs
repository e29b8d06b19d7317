//! An administrator of groups: lists, describes and deletes them, deletes and commits offsets.
//!
//! It has a group of its own, without members, and meddles with those that have some. What it may
//! be told, and what it may do, is judged at the broker's door.

use std::sync::Arc;

use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_wire::{
    DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetDeleteRequest,
};
use kafka_wire_core::StrBytes;

use crate::client::message::ClientRequest;
use crate::client::network::{Answer, CallId};
use crate::sim::workload::Stage;
use crate::time::Instant;

/// The group that nobody is a member of.
pub const KEPT: &str = "kept";

/// How it behaves.
#[derive(Clone, Debug)]
pub struct KeeperOptions {
    /// The groups that have members.
    pub groups: Vec<Arc<str>>,
    /// What they read.
    pub topics: Vec<Arc<str>>,
    /// Mean time between two requests, in milliseconds.
    pub every_ms: u64,
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Keeper {
    options: KeeperOptions,
    call: Option<CallId>,
    at: Instant,
    winding_down: bool,
    /// What it committed last: every commit of its is another.
    committed: i64,
    /// Requests answered.
    pub successes: u64,
}

impl Keeper {
    /// One that has not begun.
    #[must_use]
    pub fn new(options: KeeperOptions) -> Self {
        Self {
            options,
            call: None,
            at: Instant(0),
            winding_down: false,
            committed: 0,
            successes: 0,
        }
    }

    /// Begins nothing new.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
    }

    /// Whether nothing is under way and nothing will be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.winding_down && self.call.is_none()
    }

    /// See [`crate::sim::workload::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.winding_down || self.call.is_some() {
            return None;
        }
        if stage.now < self.at {
            return Some(self.at);
        }
        self.at = stage.within_ms(self.options.every_ms * 2);
        let request = self.request(stage);
        self.call = Some(stage.call(request));
        None
    }

    /// See [`crate::sim::workload::Actor::on_answer`].
    pub fn on_answer(&mut self, answer: &Answer) {
        if self.call.take_if(|call| *call == answer.call).is_some() {
            self.successes += u64::from(answer.result.is_ok());
        }
    }

    fn request(&mut self, stage: &mut Stage<'_>) -> ClientRequest {
        let count = self.options.groups.len() as u64;
        let place = stage.rng.below(count + 1) as usize;
        let some = self.options.groups.get(place);
        let some = some.map_or(StrBytes::from(KEPT), |name| StrBytes::from(&**name));
        match stage.rng.below(8) {
            0 => ClientRequest::ListGroups(ListGroupsRequest::default()),
            1 => {
                let groups = self.options.groups.iter();
                let groups = groups.map(|name| StrBytes::from(&**name));
                let groups = groups.chain([StrBytes::from(KEPT)]).collect();
                ClientRequest::DescribeGroups(made!(DescribeGroupsRequest { groups: groups }))
            }
            2 => ClientRequest::DeleteGroups(made!(DeleteGroupsRequest {
                groups_names: vec![some],
            })),
            3 => ClientRequest::OffsetDelete(made!(OffsetDeleteRequest {
                group_id: some,
                topics: vec![made!(OffsetDeleteRequestTopic {
                    name: StrBytes::from(&*self.topic(stage)),
                    partitions: vec![made!(OffsetDeleteRequestPartition { partition_index: 0 })],
                })],
            })),
            4 => self.commit(some, stage),
            _more => self.commit(StrBytes::from(KEPT), stage),
        }
    }

    fn topic(&self, stage: &mut Stage<'_>) -> Arc<str> {
        let count = self.options.topics.len() as u64;
        Arc::clone(&self.options.topics[stage.rng.below(count) as usize])
    }

    fn commit(&mut self, group: StrBytes, stage: &mut Stage<'_>) -> ClientRequest {
        // Members read everything once more from an older place, and would miss what is in front of
        // a newer one.
        let is_kept = *group == *KEPT;
        self.committed += i64::from(is_kept);
        let committed = if is_kept { self.committed } else { 0 };
        ClientRequest::OffsetCommit(made!(OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            topics: vec![made!(OffsetCommitRequestTopic {
                name: StrBytes::from(&*self.topic(stage)),
                partitions: vec![made!(OffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: committed,
                    committed_leader_epoch: -1,
                })],
            })],
        }))
    }
}
