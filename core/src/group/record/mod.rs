//! The records of `__consumer_offsets` that belong to classic groups, as bytes.
//!
//! Read: every version that Kafka ever wrote. Written: the versions that Kafka 4.3.1 writes, which
//! are 4 of an offset (1 where a client of OffsetCommit 4 or older set its own retention) and 3 of
//! a group. Sources: the messages `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey` and
//! `GroupMetadataValue`. Fields are checked, meanings are not.

mod fields;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kafka_wire_core::StrBytes;

use self::fields::{Fields, put_bytes, put_compact_string, put_nullable_string, put_string};
use super::{GroupId, MemberId};
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use crate::time::Timestamp;

/// Bytes that are no record of a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordError {
    /// What was expected.
    pub what: &'static str,
    /// Position in the key or in the value.
    pub at: usize,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A partition whose offset is committed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct OffsetKey {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionIndex,
}

/// A committed offset.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OffsetCommit {
    /// Where the group goes on.
    pub offset: Offset,
    /// The epoch of the last record consumed, or none.
    pub leader_epoch: LeaderEpoch,
    /// Whatever the client wants to find again.
    pub metadata: StrBytes,
    /// When it was committed.
    pub commit_timestamp: Timestamp,
    /// When it expires, where the client said so; else [`Timestamp::NONE`].
    pub expire_timestamp: Timestamp,
    /// The topic's id, where it was known.
    pub topic_id: TopicId,
}

/// A member as its group's record has it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberMetadata {
    /// Its id.
    pub member_id: MemberId,
    /// Its instance id, where it is static.
    pub group_instance_id: Option<StrBytes>,
    /// What its client calls itself.
    pub client_id: StrBytes,
    /// Its client's address, as `/127.0.0.1`.
    pub client_host: StrBytes,
    /// How long it may take to join again; -1 in records of version 0.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent.
    pub session_timeout_ms: i32,
    /// Its metadata under the group's protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// A group at the end of a rebalance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupMetadata {
    /// The protocol type, or empty.
    pub protocol_type: StrBytes,
    /// The generation.
    pub generation: i32,
    /// The protocol chosen.
    pub protocol: Option<StrBytes>,
    /// The leader.
    pub leader: Option<MemberId>,
    /// Since when the group is in its state, or [`Timestamp::NONE`].
    pub current_state_timestamp: Timestamp,
    /// The members.
    pub members: Vec<MemberMetadata>,
}

/// What a record is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordKey {
    /// A group.
    Group(GroupId),
    /// A committed offset of a group.
    Offset(GroupId, OffsetKey),
    /// Something of another kind of group, by the number of its record.
    Other(i16),
}

/// A record; a value that is not there deletes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// A group.
    Group(GroupId, Option<GroupMetadata>),
    /// A committed offset of a group.
    Offset(GroupId, OffsetKey, Option<OffsetCommit>),
    /// Something of another kind of group, by the number of its record.
    Other(i16),
}

const LEGACY_OFFSET_KEY: i16 = 0;
const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const OFFSET_VALUE: i16 = 4;
const OFFSET_VALUE_WITH_EXPIRY: i16 = 1;
const GROUP_VALUE: i16 = 3;

impl RecordKey {
    /// The key's bytes. Records of other kinds of groups are never written.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            Self::Group(group) => {
                out.put_i16(GROUP_KEY);
                put_string(group, &mut out);
            }
            Self::Offset(group, key) => {
                out.put_i16(OFFSET_KEY);
                put_string(group, &mut out);
                put_string(&key.topic, &mut out);
                out.put_i32(key.partition.0);
            }
            Self::Other(number) => unreachable!("a record of kind {number} is never written"),
        }
        Bytes::from(out)
    }

    /// Reads a key.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::new(bytes, false);
        let number = fields.i16()?;
        let key = match number {
            LEGACY_OFFSET_KEY | OFFSET_KEY => {
                let group = fields.string()?;
                let topic = Arc::from(fields.string()?.as_str());
                let partition = PartitionIndex(fields.i32()?);
                Self::Offset(group, OffsetKey { topic, partition })
            }
            GROUP_KEY => Self::Group(fields.string()?),
            other => return Ok(Self::Other(other)),
        };
        fields.finish()?;
        Ok(key)
    }
}

impl Record {
    /// Reads a record; `value` is none in a tombstone.
    ///
    /// # Errors
    /// Where the bytes are none, or of a version newer than this program.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, RecordError> {
        Ok(match RecordKey::decode(key)? {
            RecordKey::Group(group) => {
                Self::Group(group, value.map(GroupMetadata::decode).transpose()?)
            }
            RecordKey::Offset(group, key) => {
                Self::Offset(group, key, value.map(OffsetCommit::decode).transpose()?)
            }
            RecordKey::Other(number) => Self::Other(number),
        })
    }
}

impl OffsetCommit {
    /// The value's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        if self.expire_timestamp == Timestamp::NONE {
            out.put_i16(OFFSET_VALUE);
            out.put_i64(self.offset.0);
            out.put_i32(self.leader_epoch.0);
            put_compact_string(&self.metadata, &mut out);
            out.put_i64(self.commit_timestamp.0);
            if self.topic_id.is_zero() {
                out.put_u8(0);
            } else {
                // One tagged field: number 0, of 16 bytes.
                out.put_slice(&[1, 0, 16]);
                out.put_slice(&self.topic_id.0);
            }
        } else {
            out.put_i16(OFFSET_VALUE_WITH_EXPIRY);
            out.put_i64(self.offset.0);
            put_string(&self.metadata, &mut out);
            out.put_i64(self.commit_timestamp.0);
            out.put_i64(self.expire_timestamp.0);
        }
        Bytes::from(out)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Where the bytes are none, or of a version newer than this program.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (version, mut fields) = Fields::versioned(bytes, OFFSET_VALUE, 4)?;
        let mut commit = Self {
            offset: Offset(fields.i64()?),
            leader_epoch: LeaderEpoch(if version >= 3 { fields.i32()? } else { -1 }),
            metadata: fields.string()?,
            commit_timestamp: Timestamp(fields.i64()?),
            expire_timestamp: Timestamp(if version == 1 { fields.i64()? } else { -1 }),
            topic_id: TopicId::ZERO,
        };
        fields.tags(|tag, value| {
            if tag == 0 {
                commit.topic_id = TopicId(value.try_into().ok()?);
            }
            Some(())
        })?;
        fields.finish()?;
        Ok(commit)
    }
}

impl GroupMetadata {
    /// The value's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        out.put_i16(GROUP_VALUE);
        put_string(&self.protocol_type, &mut out);
        out.put_i32(self.generation);
        put_nullable_string(self.protocol.as_deref(), &mut out);
        put_nullable_string(self.leader.as_deref(), &mut out);
        out.put_i64(self.current_state_timestamp.0);
        out.put_i32(i32::try_from(self.members.len()).expect("members are bounded"));
        for member in &self.members {
            put_string(&member.member_id, &mut out);
            put_nullable_string(member.group_instance_id.as_deref(), &mut out);
            put_string(&member.client_id, &mut out);
            put_string(&member.client_host, &mut out);
            out.put_i32(member.rebalance_timeout_ms);
            out.put_i32(member.session_timeout_ms);
            put_bytes(&member.subscription, &mut out);
            put_bytes(&member.assignment, &mut out);
        }
        Bytes::from(out)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Where the bytes are none, or of a version newer than this program.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (version, mut fields) = Fields::versioned(bytes, 4, 4)?;
        let protocol_type = fields.string()?;
        let generation = fields.i32()?;
        let protocol = fields.nullable_string()?;
        let leader = fields.nullable_string()?;
        let current_state_timestamp = Timestamp(if version >= 2 { fields.i64()? } else { -1 });
        let mut members = Vec::new();
        for _member in 0..fields.count()? {
            members.push(MemberMetadata {
                member_id: fields.string()?,
                group_instance_id: if version >= 3 {
                    fields.nullable_string()?
                } else {
                    None
                },
                client_id: fields.string()?,
                client_host: fields.string()?,
                rebalance_timeout_ms: if version >= 1 { fields.i32()? } else { -1 },
                session_timeout_ms: fields.i32()?,
                subscription: fields.bytes()?,
                assignment: fields.bytes()?,
            });
            fields.tags(|_, _| Some(()))?;
        }
        fields.tags(|_, _| Some(()))?;
        fields.finish()?;
        Ok(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            current_state_timestamp,
            members,
        })
    }
}
