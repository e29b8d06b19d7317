//! Which partitions are consumed: one topic, one partition of it, or topics by their names.

use std::sync::Arc;

use kafka_wire::MetadataRequest;
use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use ottla_core::ids::TopicId;
use regex_lite::Regex;

use crate::cli::admin;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// What was asked for.
#[derive(Clone, Debug)]
pub(super) enum Subscription {
    /// All topics whose whole name matches, internal ones left out.
    Matching(Regex),
    /// One topic.
    Topic {
        /// Its name.
        name: String,
        /// Only this partition.
        partition: Option<i32>,
        /// Wait for the topic, and create it where the broker does so; otherwise its absence is
        /// an error.
        wait: bool,
    },
}

/// A partition that exists, with its leader; negative where there is none.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: TopicId,
    pub(super) partition: i32,
    pub(super) leader: i32,
}

impl Subscription {
    /// The partitions that exist now.
    pub(super) fn find(&self, cluster: &mut Cluster) -> Result<Vec<Found>, Failure> {
        let topics = match self {
            Self::Matching(filter) => {
                let mut topics = admin::all_topics(cluster)?;
                topics.retain(|topic| !topic.is_internal && filter.is_match(admin::name_of(topic)));
                topics
            }
            Self::Topic { name, wait, .. } => {
                let mut named = MetadataRequestTopic::default();
                named.name = Some(StrBytes::from(name.as_str()));
                let mut request = MetadataRequest::default();
                request.topics = Some(vec![named]);
                request.allow_auto_topic_creation = *wait;
                cluster.metadata(request)?.topics
            }
        };
        let mut found = Vec::new();
        for topic in &topics {
            self.check(admin::name_of(topic), topic.error_code)?;
            let name: Arc<str> = Arc::from(admin::name_of(topic));
            for partition in &topic.partitions {
                if self.includes(partition.partition_index) {
                    found.push(Found {
                        topic: Arc::clone(&name),
                        topic_id: TopicId::from(topic.topic_id),
                        partition: partition.partition_index,
                        leader: partition.leader_id,
                    });
                }
            }
        }
        match self {
            Self::Topic {
                name,
                partition: Some(partition),
                wait: false,
            } if found.is_empty() => Err(Failure::refused(format!(
                "The topic '{name}' has no partition {partition}. See its partitions with \
                     `ottla topics --describe --topic {name}`."
            ))),
            Self::Topic { .. } | Self::Matching(_) => Ok(found),
        }
    }

    fn includes(&self, partition: i32) -> bool {
        match self {
            Self::Topic {
                partition: Some(only),
                ..
            } => partition == *only,
            Self::Topic {
                partition: None, ..
            }
            | Self::Matching(_) => true,
        }
    }

    /// Refuses a topic whose error will not pass.
    fn check(&self, name: &str, code: i16) -> Result<(), Failure> {
        let unknown = code == ErrorCode::UnknownTopicOrPartition.code();
        match self {
            Self::Topic { wait: false, .. } if unknown => Err(Failure::refused(format!(
                "The topic '{name}' does not exist. `ottla topics --list` shows those that do."
            ))),
            Self::Topic { .. } | Self::Matching(_) => match ErrorCode::from_code(code) {
                Some(ErrorCode::None) => Ok(()),
                Some(error) if error.is_retriable() => Ok(()),
                _final => Err(Failure::refused(format!(
                    "The topic '{name}' cannot be read: {}",
                    admin::words(code, None)
                ))),
            },
        }
    }
}
