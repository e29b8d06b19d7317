//! Group coordinators on this node: one for each partition of `__consumer_offsets` that it leads.
//!
//! What groups do is decided by `crate::group`; this room knows which shard a group belongs to,
//! loads shards from their logs, appends what they want written and tells them what is committed.
//! Compare Kafka's `CoordinatorRuntime`.
//!
//! Invariants:
//! * A shard hears of each write once. It hears of those that are committed in the order in which
//!   it asked for them; of one that the log refuses at once, before older ones in flight.
//! * What is told as committed is below the high watermark, and so on the platter.
//! * A request that a shard keeps is answered once, or never where its connection is gone.

mod ask;
mod load;
mod write;

pub use ask::WritePart;
pub use load::GroupLoad;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::broker::Broker;
use super::door::Outbox;
use crate::api::group_writes;
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::error::ErrorCode;
use crate::group::{GroupSettings, Shard, WriteId, partition_of};
use crate::ids::{ConnectionId, LogId, Offset, PartitionIndex, RequestSequence, TopicId};
use crate::metadata::image::TopicImage;
use crate::storage::Token;
use crate::time::{Instant, Now};
use crate::waiting::{ReplyTo, WaitId};

/// The coordinators of this node.
#[derive(Clone, Debug)]
pub struct Groups {
    settings: Arc<GroupSettings>,
    /// Partitions of the topic when this node first saw it. Growing it later would move groups away
    /// from their offsets, so that counts from the next start on, as with Kafka.
    partitions: Option<i32>,
    shards: BTreeMap<PartitionIndex, Hosted>,
    /// Stands in where a group has no shard here: it checks what a shard checks first, and refuses.
    nobody: Shard,
    by_log: BTreeMap<LogId, PartitionIndex>,
    /// Shards that wait for others to be loaded, in order.
    to_load: VecDeque<PartitionIndex>,
    /// Reads of the disk that a load waits for.
    reading: BTreeMap<(LogId, Token), PartitionIndex>,
    /// When shards want a turn.
    due: BTreeSet<(Instant, PartitionIndex)>,
    /// Requests that shards keep, and whose connections are there.
    kept: BTreeSet<ReplyTo>,
    /// Whether the node stops: nothing is appended any more.
    is_stopping: bool,
}

/// A shard, and what lies between it and its log.
#[derive(Clone, Debug)]
struct Hosted {
    log: LogId,
    shard: Shard,
    /// Its load, until it has ended.
    load: Option<GroupLoad>,
    /// Writes that are appended and not committed, by their end offsets.
    writes: VecDeque<(Offset, WriteId)>,
    /// Parts of requests that wait for writes.
    waiters: BTreeMap<WriteId, (WaitId, u32)>,
    due: Option<Instant>,
}

impl Groups {
    /// No coordinators yet.
    #[must_use]
    pub fn new(settings: Arc<GroupSettings>) -> Self {
        Self {
            nobody: Shard::resigned(Arc::clone(&settings)),
            settings,
            partitions: None,
            shards: BTreeMap::new(),
            by_log: BTreeMap::new(),
            to_load: VecDeque::new(),
            reading: BTreeMap::new(),
            due: BTreeSet::new(),
            kept: BTreeSet::new(),
            is_stopping: false,
        }
    }

    /// The topic is there.
    pub(super) fn on_topic(&mut self, topic: &TopicImage) {
        self.partitions.get_or_insert(topic.partitions_count());
    }

    /// The partition that a group's coordinator leads; `None` while there is no topic.
    #[must_use]
    pub fn partition_of(&self, group: &str) -> Option<PartitionIndex> {
        let partitions = self.partitions?;
        Some(PartitionIndex(partition_of(group, partitions)))
    }

    /// The partition of a group's shard, where that is here; it may be loading still.
    fn hosted(&self, group: &str) -> Option<PartitionIndex> {
        let partition = self.partition_of(group);
        partition.filter(|partition| self.shards.contains_key(partition))
    }

    /// The shard of a group, or one that refuses.
    #[must_use]
    pub fn shard_of(&self, group: &str) -> &Shard {
        let shard = self.hosted(group).and_then(|hosted| self.shard(hosted));
        shard.unwrap_or(&self.nobody)
    }

    /// The shards of this node, by partition.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().map(|hosted| &hosted.shard)
    }

    /// The partition of the next shard of this node.
    #[must_use]
    pub fn shard_after(&self, partition: PartitionIndex) -> Option<PartitionIndex> {
        let after = (Bound::Excluded(partition), Bound::Unbounded);
        self.shards.range(after).next().map(|(&next, _)| next)
    }

    /// The shard of a partition; `None` where this node does not lead it.
    #[must_use]
    pub fn shard(&self, partition: PartitionIndex) -> Option<&Shard> {
        self.shards.get(&partition).map(|hosted| &hosted.shard)
    }

    /// When a shard wants a turn.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Nothing is appended any more.
    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
        self.due.clear();
    }

    /// The requests of a connection that is gone need no answer.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        let at = |sequence| ReplyTo {
            connection,
            sequence: RequestSequence(sequence),
        };
        let gone: Vec<ReplyTo> = self.kept.range(at(0)..=at(u64::MAX)).copied().collect();
        for reply_to in gone {
            self.kept.remove(&reply_to);
        }
    }

    /// Notes when a shard wants its next turn.
    fn note_due(&mut self, partition: PartitionIndex, due: Option<Instant>) {
        let Some(hosted) = self.shards.get_mut(&partition) else {
            return;
        };
        if hosted.due == due {
            return;
        }
        if let Some(former) = std::mem::replace(&mut hosted.due, due) {
            self.due.remove(&(former, partition));
        }
        if let Some(due) = due
            && !self.is_stopping
        {
            self.due.insert((due, partition));
        }
    }
}

impl Broker {
    /// Hosts the shards of every partition of the topic that is led here, and begins to load them.
    pub(super) fn begin_groups(&mut self, now: Now, out: &mut Outbox) {
        let Some(topic) = self.image.topic(CONSUMER_OFFSETS).cloned() else {
            return;
        };
        self.groups.on_topic(&topic);
        for (index, _partition) in topic.indexed() {
            self.maybe_host_groups(now, topic.id, index, out);
        }
    }

    /// Hosts the shard of a partition of the topic, where it is new here and led.
    pub(super) fn maybe_host_groups(
        &mut self,
        now: Now,
        topic: TopicId,
        index: PartitionIndex,
        out: &mut Outbox,
    ) {
        let Some(log) = self.partitions.log_of(topic, index) else {
            return;
        };
        if self.groups.shards.contains_key(&index) {
            return;
        }
        let settings = Arc::clone(&self.groups.settings);
        let rng = self.rng.child("groups", u64::from(log.0));
        let hosted = Hosted {
            log,
            shard: Shard::new(settings, rng),
            load: None,
            writes: VecDeque::new(),
            waiters: BTreeMap::new(),
            due: None,
        };
        self.groups.shards.insert(index, hosted);
        self.groups.by_log.insert(log, index);
        self.groups.to_load.push_back(index);
        self.load_more_groups(now, out);
    }

    /// A topic is gone: so are the shards that it held, or else what groups committed for it.
    pub(super) fn on_topic_of_groups_gone(
        &mut self,
        now: Now,
        topic: &TopicImage,
        out: &mut Outbox,
    ) {
        let partitions: Vec<PartitionIndex> = self.groups.shards.keys().copied().collect();
        if *topic.name == *CONSUMER_OFFSETS {
            for partition in partitions {
                self.resign_groups(now, partition, out);
            }
            self.groups.partitions = None;
            return;
        }
        for partition in partitions {
            self.with_shard(now, partition, out, |shard, _image, effects| {
                if shard.is_active() {
                    shard.on_topic_deleted(&topic.name, topic.id, effects);
                }
            });
        }
    }

    /// The shard of a log ends: the log is deleted, or lost.
    pub(super) fn resign_groups(&mut self, now: Now, partition: PartitionIndex, out: &mut Outbox) {
        self.with_shard(now, partition, out, |shard, _image, effects| {
            shard.resign(effects);
        });
        self.groups.note_due(partition, None);
        if let Some(hosted) = self.groups.shards.remove(&partition) {
            self.groups.by_log.remove(&hosted.log);
            for part in hosted.waiters.into_values() {
                let lost = Err(ErrorCode::NotLeaderOrFollower);
                group_writes::on_written(self, part, lost, out);
            }
        }
        self.groups.to_load.retain(|waiting| *waiting != partition);
        self.groups.reading.retain(|_, at| *at != partition);
        self.load_more_groups(now, out);
    }

    /// Another log took the place of one: its shard goes on with that.
    pub(super) fn on_group_log_moved(&mut self, former: LogId, present: LogId) {
        let Some(partition) = self.groups.by_log.remove(&former) else {
            return;
        };
        self.groups.by_log.insert(present, partition);
        if let Some(hosted) = self.groups.shards.get_mut(&partition) {
            hosted.log = present;
        }
    }

    /// A log went with its directory.
    pub(super) fn on_group_log_lost(&mut self, now: Now, log: LogId, out: &mut Outbox) {
        if let Some(&partition) = self.groups.by_log.get(&log) {
            self.resign_groups(now, partition, out);
        }
    }

    /// Gives the shards their turns that are due: timers, and loads that go on.
    pub(super) fn keep_groups(&mut self, now: Now, out: &mut Outbox) {
        let mut due = Vec::new();
        while let Some(&(at, partition)) = self.groups.due.first() {
            if at > now.instant {
                break;
            }
            self.groups.note_due(partition, None);
            due.push(partition);
        }
        for partition in due {
            let is_loading = self
                .groups
                .shards
                .get(&partition)
                .is_some_and(|hosted| hosted.load.is_some());
            if is_loading {
                self.go_on_loading(now, partition, out);
            } else {
                self.with_shard(now, partition, out, |shard, image, effects| {
                    shard.on_time(now, image, effects);
                });
            }
        }
    }
}
