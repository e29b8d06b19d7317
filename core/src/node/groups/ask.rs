//! Requests to shards: who answers for a group, and what becomes of the answer.

use std::sync::Arc;

use kafka_wire::offset_delete_request::OffsetDeleteRequest;
use kafka_wire_core::StrBytes;

use crate::api::group_writes::{self, GroupsReply};
use crate::api::{Handled, Requester};
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
    /// Hands a request to the shard of its group; the shard answers it, now or later. One that does
    /// not serve, or stands in for a shard that is not here, refuses it as far as it makes sense.
    pub(crate) fn ask_group(
        &mut self,
        now: Now,
        from: &Requester,
        group: &str,
        out: &mut Outbox,
        call: impl FnOnce(&mut Shard, &Caller, &Image, &mut GroupEffects),
    ) -> Handled {
        let caller = Caller {
            reply_to: from.reply_to,
            version: from.version(),
            client_id: from.head.client_id.clone().unwrap_or_default(),
            peer_host: Arc::clone(&from.peer_host),
        };
        self.groups.kept.insert(from.reply_to);
        if let Some(partition) = self.groups.hosted(group) {
            self.with_shard(now, partition, out, |shard, image, effects| {
                call(shard, &caller, image, effects);
            });
        } else {
            let mut effects = GroupEffects::default();
            let nobody = &mut self.groups.nobody;
            call(nobody, &caller, &self.image, &mut effects);
            assert!(effects.writes.is_empty(), "who has no log writes nothing");
            self.tell(&mut effects, out);
        }
        Handled::Parked
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
        let partition = self.groups.hosted(group);
        let partition = partition.ok_or(ErrorCode::NotCoordinator)?;
        let hosted = self.groups.shards.get_mut(&partition);
        let hosted = hosted.expect("it is hosted");
        let mut effects = GroupEffects::default();
        let deleted = hosted.shard.delete_group(group, &mut effects);
        let deleted = deleted.map(|writes| self.await_writes(partition, &writes, part));
        self.carry_out(now, partition, effects, out);
        deleted
    }

    /// Deletes offsets of a group; `part` is told of each write that this takes.
    pub(crate) fn delete_offsets(
        &mut self,
        now: Now,
        request: &OffsetDeleteRequest,
        part: WritePart,
        out: &mut Outbox,
    ) {
        let partition = self.groups.hosted(&request.group_id);
        let hosted = partition.and_then(|partition| self.groups.shards.get_mut(&partition));
        let shard = hosted.map_or(&mut self.groups.nobody, |hosted| &mut hosted.shard);
        let mut effects = GroupEffects::default();
        let (response, writes) = shard.offset_delete(request, &self.image, &mut effects);
        group_writes::answer_with(self, part.0, GroupsReply::OffsetDelete(response));
        if let Some(partition) = partition {
            self.await_writes(partition, &writes, part);
            self.carry_out(now, partition, effects, out);
        }
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
