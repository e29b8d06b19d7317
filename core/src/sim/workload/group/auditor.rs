//! Asks a coordinator for every offset of every group, once: what it answers is judged at the door.

use std::sync::Arc;

use kafka_wire::OffsetFetchRequest;
use kafka_wire::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_wire_core::StrBytes;

use crate::client::message::{Call, ClientRequest};
use crate::client::network::{Answer, CallId};
use crate::sim::workload::Stage;
use crate::time::Instant;

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Auditor {
    groups: Vec<Arc<str>>,
    call: Option<CallId>,
    not_before: Instant,
    done: bool,
}

impl Auditor {
    /// One that asks for these groups.
    #[must_use]
    pub fn new(groups: Vec<Arc<str>>) -> Self {
        Self {
            done: groups.is_empty(),
            groups,
            call: None,
            not_before: Instant(0),
        }
    }

    /// Whether all were answered.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// See [`crate::sim::workload::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.done || self.call.is_some() {
            return None;
        }
        if stage.now < self.not_before {
            return Some(self.not_before);
        }
        let groups = self.groups.iter().map(|group| {
            made!(OffsetFetchRequestGroup {
                group_id: StrBytes::from(&**group),
                topics: None,
            })
        });
        let request = made!(OffsetFetchRequest {
            groups: groups.collect(),
        });
        self.call = Some(stage.call(ClientRequest::OffsetFetch(request)));
        None
    }

    /// See [`crate::sim::workload::Actor::on_answer`].
    pub fn on_answer(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        if self.call.take_if(|call| *call == answer.call).is_none() {
            return;
        }
        let response = answer
            .result
            .ok()
            .and_then(OffsetFetchRequest::from_response);
        self.done = response.is_some_and(|response| {
            let is_told = response.groups.iter().all(|group| group.error_code == 0);
            is_told && response.groups.len() == self.groups.len()
        });
        self.not_before = stage.in_ms(20);
    }
}
