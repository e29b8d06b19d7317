//! Requests to shards: who answers for a group, and what becomes of the answer.

use kafka_wire::offset_delete_request::OffsetDeleteRequest;
use kafka_wire_core::StrBytes;

use crate::api::Requester;
use crate::api::group_writes::{self, GroupsReply};
use crate::error::ErrorCode;
use crate::group::{Caller, GroupEffects, Shard, WriteId};
use crate::ids::PartitionIndex;
use crate::metadata::image::Image;
use crate::node::broker::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::waiting::WaitId;

/// A part of a request that waits for writes, and where their error would stand in the answer.
pub type WritePart = (WaitId, u32);

impl Broker {
    /// The partition whose shard answers for a group.
    ///
    /// # Errors
    /// Why nobody here does: the group's coordinator is elsewhere, or still loading.
    pub(crate) fn shard_for(&self, group: &str) -> Result<PartitionIndex, ErrorCode> {
        let partition = self.groups.partition_of(group);
        let partition = partition.ok_or(ErrorCode::NotCoordinator)?;
        let shard = self.groups.shard(partition);
        match shard.ok_or(ErrorCode::NotCoordinator)?.refusal() {
            None => Ok(partition),
            Some(code) => Err(code),
        }
    }

    /// Hands a request to the shard of its group; the shard answers it, now or later.
    ///
    /// # Errors
    /// As [`Self::shard_for`]; then the caller answers.
    pub(crate) fn ask_group(
        &mut self,
        now: Now,
        from: &Requester,
        group: &str,
        out: &mut Outbox,
        call: impl FnOnce(&mut Shard, &Caller, &Image, &mut GroupEffects),
    ) -> Result<(), ErrorCode> {
        let partition = self.shard_for(group)?;
        let caller = Caller {
            reply_to: from.reply_to,
            version: from.version(),
            client_id: from.head.client_id.clone().unwrap_or_default(),
            client_host: StrBytes::from(format!("/{}", from.peer_host)),
        };
        self.groups.kept.insert(from.reply_to);
        self.with_shard(now, partition, out, |shard, image, effects| {
            call(shard, &caller, image, effects);
        });
        Ok(())
    }

    /// Deletes a group; `part` is told of each write that this takes.
    ///
    /// # Errors
    /// Why it is not deleted.
    pub(crate) fn delete_group(
        &mut self,
        now: Now,
        group: &StrBytes,
        part: WritePart,
        out: &mut Outbox,
    ) -> Result<(), ErrorCode> {
        let partition = self.shard_for(group)?;
        let hosted = self.groups.shards.get_mut(&partition);
        let hosted = hosted.ok_or(ErrorCode::NotCoordinator)?;
        let mut effects = GroupEffects::default();
        let deleted = hosted.shard.delete_group(group, &mut effects);
        let deleted = deleted.map(|writes| self.await_writes(partition, &writes, part));
        self.carry_out(now, partition, effects, out);
        deleted
    }

    /// Deletes offsets of a group; `part` is told of each write that this takes.
    ///
    /// # Errors
    /// Why the group's shard does not answer.
    pub(crate) fn delete_offsets(
        &mut self,
        now: Now,
        request: &OffsetDeleteRequest,
        part: WritePart,
        out: &mut Outbox,
    ) -> Result<(), ErrorCode> {
        let partition = self.shard_for(&request.group_id)?;
        let hosted = self.groups.shards.get_mut(&partition);
        let hosted = hosted.ok_or(ErrorCode::NotCoordinator)?;
        let mut effects = GroupEffects::default();
        let (response, writes) = hosted
            .shard
            .offset_delete(request, &self.image, &mut effects);
        group_writes::answer_with(self, part.0, GroupsReply::OffsetDelete(response));
        self.await_writes(partition, &writes, part);
        self.carry_out(now, partition, effects, out);
        Ok(())
    }

    /// Notes who waits for writes, before these are carried out.
    fn await_writes(&mut self, partition: PartitionIndex, writes: &[WriteId], part: WritePart) {
        for &id in writes {
            group_writes::expect(self, part.0);
            let hosted = self.groups.shards.get_mut(&partition);
            let hosted = hosted.expect("its shard was asked just now");
            hosted.waiters.insert(id, part);
        }
    }
}
