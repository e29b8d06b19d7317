//! What topics ask of the records inside batches is told to the driver ([`Demands`]).
//!
//! Only topics with a demand of their own are listed, so the list is short, and is copied where it
//! changes while the driver holds it.

use std::sync::Arc;

use super::Broker;
use crate::config::LogConfig;
use crate::ids::{TopicId, TopicName};
use crate::partition::opening::{Demand, Demands};

impl Broker {
    /// Looks at every topic: after the boot, and where the broker's configuration changed.
    pub(super) fn learn_demands(&mut self) {
        let mut demands = Demands::of_all(Demand::of(&self.topic_defaults.whole));
        for topic in self.image.topics() {
            let config = self.topic_config(&topic.name);
            demands.set(&topic.name, topic.id, Demand::of(&config.whole));
        }
        if *self.demands != demands {
            self.demands = Arc::new(demands);
        }
    }

    /// A topic is configured like this now.
    pub(super) fn note_demand(&mut self, name: &TopicName, id: TopicId, config: &LogConfig) {
        let demand = Demand::of(config);
        if !self.demands.has(name, id, demand) {
            Arc::make_mut(&mut self.demands).set(name, id, demand);
        }
    }

    /// A topic is gone.
    pub(super) fn forget_demand(&mut self, name: &TopicName, id: TopicId) {
        let others = Demand::of(&self.topic_defaults.whole);
        if !self.demands.has(name, id, others) {
            Arc::make_mut(&mut self.demands).forget(name, id);
        }
    }
}
