//! Committed metadata takes effect on this node.
//!
//! Each committed record is applied to the image; records that concern a partition hosted here then
//! change that partition. The image is replaced as a whole, so that whoever holds an older one
//! reads a consistent state.

use std::sync::Arc;

use super::broker::Broker;
use super::door::Outbox;
use super::wait::Wait;
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::ids::{DirectoryIndex, LeaderEpoch, LogId, Offset, PartitionIndex, TopicId, TopicName};
use crate::log::{Log, LogCreation, partition_metadata};
use crate::metadata::delta::Delta;
use crate::metadata::image::{ConfigResource, ResourceKind, TopicImage};
use crate::partition::{Partition, PartitionIdentity, TopicConfig, Wakeups};
use crate::quorum::Committed;
use crate::time::{Now, from_ms};

impl Broker {
    /// Applies everything that is committed, and answers those who waited for it.
    pub(super) fn apply_committed(&mut self, now: Now, out: &mut Outbox) {
        while let Some(committed) = self.quorum.take_committed() {
            self.apply(now, committed, out);
        }
        while let Some(id) = self.quorum.take_waiter(self.applied) {
            if let Some((reply_to, Wait::Admin(wait))) = self.waiting.take(id) {
                assert!(wait.end_offset <= self.applied, "it waited for just this");
                out.reply(reply_to, wait.reply);
            }
        }
    }

    fn apply(&mut self, now: Now, committed: Committed, out: &mut Outbox) {
        assert!(
            committed.end_offset > self.applied,
            "each offset is applied once"
        );
        let count = i64::try_from(committed.records.len()).expect("bounded by a proposal");
        let first = committed.end_offset.0 - count;
        // Nobody else holds the parts that change then, so they are changed where they are.
        self.image = Arc::default();
        let mut delta = Delta::default();
        for (record, offset) in committed.records.into_iter().zip(first..) {
            self.replay
                .apply_record(Offset(offset), record, &mut delta)
                .expect("the leader wrote what it had applied itself");
        }
        self.applied = committed.end_offset;
        self.image = Arc::new(self.replay.image().clone());
        if !delta.is_empty() {
            let changed = delta.partitions.keys().copied();
            Arc::make_mut(&mut self.controller_image).share_topics(&self.image, changed);
            self.on_delta(now, &delta, out);
        }
    }

    /// The part of a change that concerns what is hosted here.
    fn on_delta(&mut self, now: Now, delta: &Delta, out: &mut Outbox) {
        for (&id, topic) in &delta.deleted_topics {
            self.forget_demand(&topic.name, id);
            self.on_topic_of_groups_gone(now, topic, out);
            self.remove_topic(now, id, out);
        }
        for (&topic_id, indexes) in &delta.partitions {
            let Some(topic) = self.image.topic_by_id(topic_id).cloned() else {
                continue;
            };
            if *topic.name == *CONSUMER_OFFSETS {
                self.groups.on_topic(&topic);
            }
            for &index in indexes {
                self.on_partition(now, &topic, index, out);
                if *topic.name == *CONSUMER_OFFSETS && self.is_hosting {
                    self.maybe_host_groups(now, topic.id, index, out);
                }
            }
        }
        let mut is_broker_changed = false;
        for resource in &delta.configs {
            match resource.kind {
                ResourceKind::Topic => {
                    self.reconfigure_topic(&resource.name);
                    // Where a log is compacted no more, its gaps are to be on record.
                    self.housekeeping.save_checkpoints_soon(now);
                }
                ResourceKind::Broker => is_broker_changed = true,
                ResourceKind::ClientMetrics | ResourceKind::Group => {}
            }
        }
        if delta.quotas {
            self.throttle.set_limits(&self.image);
        }
        if is_broker_changed {
            self.reconfigure_broker();
        }
    }

    fn on_partition(
        &mut self,
        now: Now,
        topic: &TopicImage,
        index: PartitionIndex,
        out: &mut Outbox,
    ) {
        let Some(image) = topic.partition(index) else {
            return;
        };
        if let Some(partition) = self.partitions.find_mut(topic.id, index) {
            partition.set_leader_epoch(image.leader_epoch);
        } else if self.is_hosting
            && image.replicas.contains(&self.identity.node)
            && !self.absent.contains(&(topic.id, index))
        {
            let identity = PartitionIdentity {
                log: self.take_log_id(),
                topic: Arc::clone(&topic.name),
                topic_id: topic.id,
                index,
                directory: self.directory_for_new_log(),
            };
            self.create_partition(now, identity, out);
        }
    }

    /// Makes the log of a partition that is new here, and leads it.
    pub(super) fn create_partition(
        &mut self,
        now: Now,
        identity: PartitionIdentity,
        out: &mut Outbox,
    ) {
        if self.is_postponed(&identity) {
            return;
        }
        let config = self.topic_config(&identity.topic);
        let creation = LogCreation {
            id: identity.log,
            directory: identity.directory,
            folder: format!("{}-{}", identity.topic, identity.index).into(),
            partition_metadata: partition_metadata::to_text(identity.topic_id).into(),
            settings: config.log,
            start_offset: Offset::ZERO,
        };
        let mut log = Log::create(now, creation, &mut out.disk);
        if self.housekeeping.records.is_lost(identity.directory) {
            log.on_directory_failed();
        }
        let epoch = self.leader_epoch_of(identity.topic_id, identity.index);
        self.note_directory(identity.log);
        self.partitions
            .insert(Partition::lead(identity, config.whole, log, epoch));
    }

    /// The directory with the fewest logs among those that are not lost, as Kafka chooses.
    pub(super) fn directory_for_new_log(&self) -> DirectoryIndex {
        let directories = self.identity.directories.len();
        if directories == 1 {
            return DirectoryIndex(0);
        }
        let mut counts = vec![0u32; directories];
        for partition in self.partitions.iter() {
            counts[usize::from(partition.identity().directory.0)] += 1;
        }
        (0..directories)
            .map(|at| DirectoryIndex(u8::try_from(at).expect("log.dirs is bounded")))
            .min_by_key(|&at| {
                let is_lost = self.housekeeping.records.is_lost(at);
                (is_lost, counts[usize::from(at.0)])
            })
            .unwrap_or(DirectoryIndex(0))
    }

    /// The topic is gone: its logs are put out of the way and removed a little later.
    fn remove_topic(&mut self, now: Now, topic: TopicId, out: &mut Outbox) {
        self.absent.retain(|(of, _index)| *of != topic);
        let logs: Vec<LogId> = self
            .partitions
            .iter()
            .filter(|partition| partition.identity().topic_id == topic)
            .map(|partition| partition.identity().log)
            .collect();
        for log in logs {
            self.drop_move(log, out);
            let Some(mut partition) = self.partitions.remove(log) else {
                continue;
            };
            let mut wakeups = Wakeups::default();
            partition.fail_all(&mut wakeups);
            partition.log_mut().release(&mut self.memory);
            let delay = from_ms(partition.config().file_delete_delay_ms);
            self.housekeeping.remove_log_at(now.after(delay), log);
            let name = partition.topic_partition();
            self.housekeeping.records.on_departure(name);
            out.disk.push(crate::storage::DiskOp::MarkLogDeleted {
                log,
                folder: super::folders::deleted(partition.log().folder(), topic),
            });
            self.wake(now, wakeups, out);
        }
        self.housekeeping.save_checkpoints_soon(now);
    }

    fn reconfigure_topic(&mut self, name: &TopicName) {
        let config = self.topic_config(name);
        let Some(topic) = self.image.topic(name).cloned() else {
            return;
        };
        self.note_demand(name, topic.id, &config.whole);
        for (index, _image) in topic.indexed() {
            if let Some(partition) = self.partitions.find_mut(topic.id, index) {
                partition.reconfigure(config.clone());
            }
        }
    }

    /// The broker's dynamic configuration changed: everything that follows from it does too.
    fn reconfigure_broker(&mut self) {
        self.take_dynamic_configuration();
        self.learn_demands();
        let names: Vec<TopicName> = self
            .image
            .topics()
            .map(|topic| Arc::clone(&topic.name))
            .collect();
        for name in names {
            self.reconfigure_topic(&name);
        }
    }

    /// Puts what the metadata says of this broker, and of all of them, over its own configuration.
    pub(super) fn take_dynamic_configuration(&mut self) {
        let everywhere = self.image.configs(&ConfigResource::broker_default());
        let here = self
            .image
            .configs(&ConfigResource::broker(self.identity.node));
        Arc::make_mut(&mut self.settings).set_dynamic(everywhere, here);
        match crate::config::BrokerConfig::of(&self.settings) {
            Ok(mut config) => {
                // The driver made these paths absolute; they do not change while the broker runs.
                config.log_dirs.clone_from(&self.config.log_dirs);
                config
                    .metadata_log_dir
                    .clone_from(&self.config.metadata_log_dir);
                self.config = Arc::new(config);
            }
            // The controller validated each value; together they are what they were.
            Err(_kept) => return,
        }
        self.identity.note_listeners(&self.config.listeners);
        self.topic_defaults = TopicConfig::of(Arc::clone(&self.config.log_defaults));
        self.memory.tail.resize(self.config.tail_bytes);
    }

    /// The partitions that are to be hosted here.
    pub(super) fn hosted_partitions(&self) -> Vec<(TopicName, TopicId, PartitionIndex)> {
        let mut hosted = Vec::new();
        for topic in self.image.topics() {
            for (index, partition) in topic.indexed() {
                if partition.replicas.contains(&self.identity.node) {
                    hosted.push((Arc::clone(&topic.name), topic.id, index));
                }
            }
        }
        hosted
    }

    /// The leader epoch of a partition, as committed.
    pub(super) fn leader_epoch_of(&self, topic: TopicId, index: PartitionIndex) -> LeaderEpoch {
        self.image
            .topic_by_id(topic)
            .and_then(|topic| topic.partition(index))
            .map_or(LeaderEpoch(0), |partition| partition.leader_epoch)
    }
}
