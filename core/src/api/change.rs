//! Requests that change the metadata: decided by the controller, answered once the change holds.

use std::sync::Arc;

use super::{Handled, Requester};
use crate::config::Settings;
use crate::controller::Scene;
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::metadata::image::Image;
use crate::metadata::records::MetadataRecord;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::{Now, from_ms};
use crate::wire::request::Reply;

/// What a decision is made against, kept apart from the broker that draws random numbers for it.
///
/// Let go of it before the decision is proposed: an image that is still held is copied when it
/// changes.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    image: Arc<Image>,
    settings: Arc<Settings>,
    node: NodeId,
}

impl Ground {
    /// Everything decided so far at this broker, committed or not.
    pub(super) fn of(broker: &Broker) -> Self {
        Self {
            image: Arc::clone(&broker.controller_image),
            settings: Arc::clone(&broker.settings),
            node: broker.identity.node,
        }
    }

    /// As the controller takes it.
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            image: &self.image,
            settings: &self.settings,
            node: self.node,
        }
    }
}

/// Writes the records of a decision, and answers when they are committed and applied here.
///
/// `answer` makes the reply; given an error, with that error in the place of every success: the
/// change was not made, or not in time.
pub(super) fn propose(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    (records, timeout_ms): (Vec<MetadataRecord>, i32),
    answer: impl Fn(Option<ErrorCode>) -> Reply,
    out: &mut Outbox,
) -> Handled {
    if records.is_empty() {
        return Handled::Reply(answer(None));
    }
    let deadline = now.after(from_ms(i64::from(timeout_ms)));
    let replies = (answer(None), answer(Some(ErrorCode::RequestTimedOut)));
    match broker.propose(now, records, from.reply_to, replies, (deadline, out)) {
        Ok(()) => Handled::Parked,
        Err(code) => Handled::Reply(answer(Some(code))),
    }
}
