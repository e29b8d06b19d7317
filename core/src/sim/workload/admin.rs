//! An administrator: makes the topics of a world, and changes things under way.
//!
//! It deletes and makes again a topic of its own, often at once, adds partitions, deletes records.
//! What a change must lead to is judged elsewhere; here it only must come to an end.

use std::sync::Arc;

use kafka_wire::create_partitions_request::CreatePartitionsTopic;
use kafka_wire::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::delete_topics_request::DeleteTopicState;
use kafka_wire::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
};
use kafka_wire_core::StrBytes;

use super::{Stage, TopicView, is_compacted};
use crate::client::message::{Call, ClientRequest};
use crate::client::network::{Answer, CallId};
use crate::sim::checkers::log_image::{BOUNDED, RECODED, STAMPED};
use crate::time::Instant;

/// How an administrator behaves.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Topics to make first.
    pub topics: Vec<Arc<str>>,
    /// A topic to delete and make again under way.
    pub restless: Option<Arc<str>>,
    /// Partitions of each topic.
    pub partitions: i32,
    /// Configurations of each topic.
    pub configs: Vec<(&'static str, String)>,
    /// How far records of topics with such a bound may be off the broker's clock, in milliseconds.
    pub timestamp_bound_ms: u64,
    /// Mean time between changes, in milliseconds.
    pub every_ms: u64,
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Admin {
    options: AdminOptions,
    view: TopicView,
    call: Option<CallId>,
    next_at: Instant,
    winding_down: bool,
    /// The topic that was just deleted is to be made again at once.
    hurries: bool,
    /// Changes answered.
    pub successes: u64,
}

impl Admin {
    /// An administrator that has not begun.
    #[must_use]
    pub fn new(options: AdminOptions) -> Self {
        Self {
            options,
            view: TopicView::new(),
            call: None,
            next_at: Instant(0),
            winding_down: false,
            hurries: false,
            successes: 0,
        }
    }

    /// Begins nothing new.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
    }

    /// Whether every topic is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.view.is_fresh() && self.missing().next().is_none()
    }

    /// Whether nothing is under way and nothing will be.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.winding_down && self.call.is_none()
    }

    /// What it waits for: for a message about one that does not come to an end.
    #[must_use]
    pub fn progress(&self) -> String {
        format!("{:?} {:?}", self.call, self.view)
    }

    /// See [`super::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        if self.is_done() || self.call.is_some() {
            return None;
        }
        if std::mem::take(&mut self.hurries)
            && let Some(restless) = self.options.restless.clone()
        {
            self.call = Some(stage.call(self.create(&[restless])));
            return None;
        }
        let view_at = self.view.step(stage, &[]);
        if !self.view.is_fresh() {
            return view_at;
        }
        if stage.now < self.next_at {
            return Some(self.next_at);
        }
        let missing: Vec<Arc<str>> = self.missing().cloned().collect();
        let request = if missing.is_empty() {
            self.change(stage)
        } else {
            Some(self.create(&missing))
        };
        let pause_ms = stage.rng.below(self.options.every_ms * 2) + 1;
        self.next_at = stage.in_ms(if missing.is_empty() { pause_ms } else { 50 });
        match request {
            Some(request) => {
                self.call = Some(stage.call(request));
                None
            }
            None => Some(self.next_at),
        }
    }

    /// See [`super::Actor::on_answer`].
    pub fn on_answer(&mut self, stage: &mut Stage<'_>, answer: Answer) {
        let Some(answer) = self.view.on_answer(answer) else {
            return;
        };
        if self.call.take_if(|call| *call == answer.call).is_some() {
            self.successes += u64::from(answer.result.is_ok());
            let answered = answer.result.ok();
            let is_deletion = answered.and_then(DeleteTopicsRequest::from_response);
            let is_deleted = is_deletion.is_some_and(|response| {
                response.responses.iter().all(|topic| topic.error_code == 0)
            });
            self.hurries = is_deleted && !self.winding_down && stage.rng.chance(1, 2);
            self.view.distrust();
        }
    }

    fn missing(&self) -> impl Iterator<Item = &Arc<str>> {
        let topics = self.options.topics.iter();
        topics.filter(|topic| self.view.topic(topic).is_none())
    }

    fn create(&self, names: &[Arc<str>]) -> ClientRequest {
        let configs = self.options.configs.iter().map(|(name, value)| {
            made!(CreatableTopicConfig {
                name: StrBytes::from(*name),
                value: Some(StrBytes::from(value.as_str())),
            })
        });
        let configs: Vec<CreatableTopicConfig> = configs.collect();
        let topics = names.iter().map(|name| {
            let mut configs = configs.clone();
            if is_compacted(name) {
                let keeps_all = name.ends_with('0');
                configs.push(made!(CreatableTopicConfig {
                    name: StrBytes::from("cleanup.policy"),
                    value: Some(StrBytes::from(if keeps_all {
                        "compact"
                    } else {
                        "compact,delete"
                    })),
                }));
            }
            if name.contains(RECODED) {
                configs.push(made!(CreatableTopicConfig {
                    name: StrBytes::from("compression.type"),
                    value: Some(StrBytes::from("zstd")),
                }));
            }
            configs.extend(self.configs_of_times(name));
            made!(CreatableTopic {
                name: StrBytes::from(&**name),
                num_partitions: self.options.partitions,
                replication_factor: 1,
                configs: configs,
            })
        });
        ClientRequest::CreateTopics(made!(CreateTopicsRequest {
            topics: topics.collect(),
            timeout_ms: 1_000,
        }))
    }

    /// What a topic's name says of the times of its records.
    fn configs_of_times(&self, name: &str) -> Vec<CreatableTopicConfig> {
        let config = |name: &'static str, value: &str| {
            made!(CreatableTopicConfig {
                name: StrBytes::from(name),
                value: Some(StrBytes::from(value)),
            })
        };
        if name.contains(STAMPED) {
            return vec![config("message.timestamp.type", "LogAppendTime")];
        }
        if name.contains(BOUNDED) {
            let bound_ms = self.options.timestamp_bound_ms.to_string();
            return vec![
                config("message.timestamp.before.max.ms", &bound_ms),
                config("message.timestamp.after.max.ms", &bound_ms),
            ];
        }
        Vec::new()
    }

    /// A change, unless it is too late for one.
    fn change(&self, stage: &mut Stage<'_>) -> Option<ClientRequest> {
        if self.winding_down {
            return None;
        }
        let restless = self.options.restless.as_ref()?;
        let is_there = self.view.topic(restless).is_some();
        Some(match stage.rng.below(4) {
            0 if is_there => ClientRequest::DeleteTopics(made!(DeleteTopicsRequest {
                topics: vec![made!(DeleteTopicState {
                    name: Some(StrBytes::from(&**restless)),
                })],
                timeout_ms: 1_000,
            })),
            1 => self.add_partition(stage),
            2 => self.delete_records(stage),
            _other if is_there => self.delete_records(stage),
            _other => self.create(&[Arc::clone(restless)]),
        })
    }

    /// One of the topics there are; there is one, because none is missing.
    fn any_topic(&self, stage: &mut Stage<'_>) -> (Arc<str>, i32) {
        let count = self.options.topics.len() as u64;
        let name = &self.options.topics[stage.rng.below(count) as usize];
        let partitions = self.view.topic(name).map_or(1, |topic| topic.partitions);
        (Arc::clone(name), partitions.max(1))
    }

    fn add_partition(&self, stage: &mut Stage<'_>) -> ClientRequest {
        let (topic, partitions) = self.any_topic(stage);
        ClientRequest::CreatePartitions(made!(CreatePartitionsRequest {
            topics: vec![made!(CreatePartitionsTopic {
                name: StrBytes::from(&*topic),
                count: (partitions + 1).min(8),
            })],
            timeout_ms: 1_000,
        }))
    }

    fn delete_records(&self, stage: &mut Stage<'_>) -> ClientRequest {
        let (topic, partitions) = self.any_topic(stage);
        let partition = stage.rng.below(u64::try_from(partitions).unwrap_or(1));
        let offset = if stage.rng.chance(1, 4) {
            -1
        } else {
            i64::try_from(stage.rng.below(200)).expect("small")
        };
        ClientRequest::DeleteRecords(made!(DeleteRecordsRequest {
            topics: vec![made!(DeleteRecordsTopic {
                name: StrBytes::from(&*topic),
                partitions: vec![made!(DeleteRecordsPartition {
                    partition_index: i32::try_from(partition).expect("below an i32"),
                    offset: offset,
                })],
            })],
            timeout_ms: 1_000,
        }))
    }
}
