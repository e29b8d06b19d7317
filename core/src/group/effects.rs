//! What a shard is told about a caller, and what its calls leave behind.

use std::sync::Arc;

use bytes::Bytes;
use kafka_wire::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, OffsetCommitResponse,
    SyncGroupResponse,
};
use kafka_wire_core::StrBytes;

use crate::event::Event;
use crate::waiting::ReplyTo;

/// A write of one shard; they grow in the order in which they must be appended.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WriteId(pub u64);

/// A record to append to the shard's partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupRecord {
    /// Its key.
    pub key: Bytes,
    /// Its value; none deletes what the key names.
    pub value: Option<Bytes>,
}

/// Records to append as one batch: all or nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupWrite {
    /// How the shard is told of its fate.
    pub id: WriteId,
    /// At least one.
    pub records: Vec<GroupRecord>,
}

/// The answer to a request that a shard may keep waiting.
#[derive(Clone, Debug, PartialEq)]
pub enum GroupReply {
    /// To a Heartbeat.
    Heartbeat(HeartbeatResponse),
    /// To a JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// To a LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// To an OffsetCommit.
    OffsetCommit(OffsetCommitResponse),
    /// To a SyncGroup.
    SyncGroup(SyncGroupResponse),
}

/// What a call leaves; calls append to it.
#[derive(Clone, Debug, Default)]
pub struct GroupEffects {
    /// To append, in this order.
    pub writes: Vec<GroupWrite>,
    /// Answers, to this request or to others that waited.
    pub replies: Vec<(ReplyTo, GroupReply)>,
    /// What happened.
    pub events: Vec<Event>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// The version the client speaks.
    pub version: i16,
    /// What the client calls itself; empty where it has no name.
    pub client_id: StrBytes,
    /// Its address: `127.0.0.1`.
    pub peer_host: Arc<str>,
}
