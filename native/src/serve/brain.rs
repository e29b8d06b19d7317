//! The node as a driver turns it.

use std::sync::{Arc, OnceLock};

use ottla_core::node::Node;
use ottla_core::node::door::{Input, Outbox};
use ottla_core::time::{Instant, Now};

use crate::driver::{Brain, Phase};

/// The node itself.
#[derive(Debug)]
pub(crate) struct NodeBrain {
    node: Node,
    cluster_id: Arc<OnceLock<String>>,
}

impl NodeBrain {
    /// Takes a node over that begins to boot; `cluster_id` is filled in before it serves.
    pub(crate) fn new(node: Node, cluster_id: Arc<OnceLock<String>>) -> Self {
        Self { node, cluster_id }
    }
}

impl Brain for NodeBrain {
    fn turn(&mut self, now: Now, inputs: &mut Vec<Input>, out: &mut Outbox) {
        self.node.turn(now, inputs, out);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.node.next_deadline().map(|(deadline, _why)| deadline)
    }

    fn is_measured(&self) -> bool {
        let broker = self.node.broker();
        broker.is_some_and(|broker| broker.throttle.is_measured())
    }

    fn node(&self) -> Option<&Node> {
        Some(&self.node)
    }

    fn phase(&self) -> Phase {
        match self.node.stopped() {
            Some(Ok(())) => return Phase::Stopped,
            Some(Err(error)) => return Phase::Failed(error.to_string()),
            None => {}
        }
        let Some(broker) = self.node.broker() else {
            return Phase::Booting;
        };
        self.cluster_id
            .get_or_init(|| broker.identity.cluster_id.clone());
        Phase::Serving
    }
}
