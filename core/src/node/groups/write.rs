//! What shards leave behind: appended, answered, and told when it is committed or lost.

use std::collections::VecDeque;

use crate::api::group_writes;
use crate::error::ErrorCode;
use crate::group::{GroupEffects, GroupReply, GroupWrite, Shard, WriteId};
use crate::ids::{LogId, Offset, PartitionIndex};
use crate::metadata::image::Image;
use crate::node::broker::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::wire::batch::Compression;
use crate::wire::builder::BatchBuilder;
use crate::wire::request::Reply;

impl Broker {
    /// Calls the shard of a partition and carries out what it leaves; `None` where there is none.
    pub(crate) fn with_shard<T>(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        out: &mut Outbox,
        call: impl FnOnce(&mut Shard, &Image, &mut GroupEffects) -> T,
    ) -> Option<T> {
        let hosted = self.groups.shards.get_mut(&partition)?;
        let mut effects = GroupEffects::default();
        let result = call(&mut hosted.shard, &self.image, &mut effects);
        self.carry_out(now, partition, effects, out);
        Some(result)
    }

    /// Carries out what a shard left: each write is appended, or told to have failed before the
    /// next is looked at.
    pub(super) fn carry_out(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        mut effects: GroupEffects,
        out: &mut Outbox,
    ) {
        let mut writes = VecDeque::new();
        loop {
            self.tell(&mut effects, out);
            writes.extend(effects.writes.drain(..));
            let Some(write) = writes.pop_front() else {
                break;
            };
            let Some(hosted) = self.groups.shards.get(&partition) else {
                break;
            };
            let log = hosted.log;
            let appended = self.append_for_group(now, log, &write, out);
            let hosted = self.groups.shards.get_mut(&partition);
            let hosted = hosted.expect("appending removes no shard");
            match appended {
                Ok(end_offset) => hosted.writes.push_back((end_offset, write.id)),
                Err(code) => {
                    hosted
                        .shard
                        .on_write_failed(now, write.id, code, &mut effects);
                    let waiter = hosted.waiters.remove(&write.id);
                    if let Some(part) = waiter {
                        group_writes::on_written(self, part, Err(code), out);
                    }
                }
            }
        }
        self.note_next_turn(partition);
    }

    /// Notes when the shard wants its next turn.
    pub(super) fn note_next_turn(&mut self, partition: PartitionIndex) {
        let Some(hosted) = self.groups.shards.get(&partition) else {
            return;
        };
        // One that is loading has its turns for that.
        if hosted.load.is_none() {
            let due = hosted.shard.next_deadline();
            self.groups.note_due(partition, due);
        }
    }

    /// Sends answers to those that are still there, and lets events out.
    pub(super) fn tell(&mut self, effects: &mut GroupEffects, out: &mut Outbox) {
        out.events.append(&mut effects.events);
        for (reply_to, reply) in effects.replies.drain(..) {
            if self.groups.kept.remove(&reply_to) {
                out.reply(reply_to, reply_of(reply));
            }
        }
    }

    /// Appends a shard's write to its log as one batch; answers the offset whose commit commits it.
    fn append_for_group(
        &mut self,
        now: Now,
        log: LogId,
        write: &GroupWrite,
        out: &mut Outbox,
    ) -> Result<Offset, ErrorCode> {
        assert!(!write.records.is_empty(), "a write has a record");
        if self.groups.is_stopping {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let partition = self.partitions.get_mut(log);
        let partition = partition.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let mut batch = BatchBuilder::new(Compression::None);
        for record in &write.records {
            batch.push(now.wall, Some(&record.key), record.value.as_deref());
        }
        let rooms = (&mut self.memory, &mut out.disk);
        let end_offset = partition.append_own(now, batch.build(), rooms)?;
        self.touched.insert(log);
        Ok(end_offset)
    }

    /// The high watermark of a log moved: tells its shard which writes are committed.
    pub(in crate::node) fn on_group_log_committed(
        &mut self,
        now: Now,
        (log, high_watermark): (LogId, Offset),
        out: &mut Outbox,
    ) {
        let Some(&partition) = self.groups.by_log.get(&log) else {
            return;
        };
        self.on_load_committed(now, partition, out);
        loop {
            let hosted = self.groups.shards.get_mut(&partition);
            let hosted = hosted.expect("both indexes name the same shards");
            let Some(&(end_offset, id)) = hosted.writes.front() else {
                return;
            };
            if end_offset > high_watermark {
                return;
            }
            hosted.writes.pop_front();
            let waiter = hosted.waiters.remove(&id);
            self.with_shard(now, partition, out, |shard, _image, effects| {
                shard.on_committed(now, id, effects);
            });
            if let Some(part) = waiter {
                group_writes::on_written(self, part, Ok(()), out);
            }
        }
    }

    /// What a log held at or after `end_offset` is lost: so are the writes of its shard.
    pub(in crate::node) fn on_group_log_cut(
        &mut self,
        now: Now,
        (log, end_offset): (LogId, Offset),
        out: &mut Outbox,
    ) {
        if let Some(&partition) = self.groups.by_log.get(&log) {
            let code = ErrorCode::KafkaStorageError;
            self.fail_group_writes(now, partition, (end_offset, code), out);
        }
    }

    /// The writes of a shard that end after `end_offset` will never be committed.
    pub(super) fn fail_group_writes(
        &mut self,
        now: Now,
        partition: PartitionIndex,
        (end_offset, code): (Offset, ErrorCode),
        out: &mut Outbox,
    ) {
        let Some(hosted) = self.groups.shards.get_mut(&partition) else {
            return;
        };
        let kept = hosted.writes.partition_point(|(end, _)| *end <= end_offset);
        let lost: Vec<WriteId> = hosted.writes.drain(kept..).map(|(_, id)| id).collect();
        for id in lost {
            self.with_shard(now, partition, out, |shard, _image, effects| {
                shard.on_write_failed(now, id, code, effects);
            });
            let hosted = self.groups.shards.get_mut(&partition);
            if let Some(part) = hosted.and_then(|hosted| hosted.waiters.remove(&id)) {
                group_writes::on_written(self, part, Err(code), out);
            }
        }
    }
}

fn reply_of(reply: GroupReply) -> Reply {
    match reply {
        GroupReply::Heartbeat(reply) => Reply::Heartbeat(reply),
        GroupReply::JoinGroup(reply) => Reply::JoinGroup(reply),
        GroupReply::LeaveGroup(reply) => Reply::LeaveGroup(reply),
        GroupReply::OffsetCommit(reply) => Reply::OffsetCommit(reply),
        GroupReply::SyncGroup(reply) => Reply::SyncGroup(reply),
    }
}
