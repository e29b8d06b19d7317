//! The records of `__consumer_offsets` that belong to classic groups, as bytes.
//!
//! Read: every version that Kafka ever wrote. Written: the versions that Kafka 4.3.1 writes, which
//! are 4 of an offset (1 where a client of OffsetCommit 4 or older set its own retention) and 3 of
//! a group. Sources: the messages `OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey` and
//! `GroupMetadataValue`. Fields are checked, meanings are not.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use kafka_wire_core::StrBytes;

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

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.put_i16(i16::try_from(text.len()).expect("strings of requests have at most 32,767 bytes"));
    out.put_slice(text.as_bytes());
}

fn put_nullable_string(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => put_string(text, out),
        None => out.put_i16(-1),
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.put_i32(i32::try_from(bytes.len()).expect("bytes of a request fit its frame"));
    out.put_slice(bytes);
}

fn put_compact_string(text: &str, out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).expect("strings are short");
    crate::metadata::codec::write_varint(length + 1, out);
    out.put_slice(text.as_bytes());
}

/// A position in the bytes of a key or a value, in either encoding.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    is_flexible: bool,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], is_flexible: bool) -> Self {
        Self {
            bytes,
            at: 0,
            is_flexible,
        }
    }

    /// Reads a value's version.
    fn versioned(
        bytes: &'a [u8],
        version_last: i16,
        flexible_from: i16,
    ) -> Result<(i16, Self), RecordError> {
        let mut fields = Self::new(bytes, false);
        let version = fields.i16()?;
        if !(0..=version_last).contains(&version) {
            return Err(fields.error("a version of the record that is known"));
        }
        fields.is_flexible = version >= flexible_from;
        Ok((version, fields))
    }

    fn error(&self, what: &'static str) -> RecordError {
        RecordError { what, at: self.at }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..length)
            .ok_or_else(|| self.error("as many bytes as the record says"))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives as many as asked for"))
    }

    fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_too_large| self.error("32 bits"));
            }
        }
        Err(self.error("a varint of 32 bits"))
    }

    /// A length that may be null.
    fn length(&mut self, is_short: bool) -> Result<Option<usize>, RecordError> {
        if self.is_flexible {
            return Ok(self.varint()?.checked_sub(1).map(|length| length as usize));
        }
        let length = if is_short {
            i32::from(self.i16()?)
        } else {
            self.i32()?
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_negative) if length == -1 => Ok(None),
            Err(_negative) => Err(self.error("a length")),
        }
    }

    fn nullable_string(&mut self) -> Result<Option<StrBytes>, RecordError> {
        let Some(length) = self.length(true)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?);
        match text {
            Ok(text) => Ok(Some(StrBytes::from(text))),
            Err(_invalid) => Err(self.error("UTF-8")),
        }
    }

    fn string(&mut self) -> Result<StrBytes, RecordError> {
        self.nullable_string()?
            .ok_or_else(|| self.error("a string that is not null"))
    }

    fn bytes(&mut self) -> Result<Bytes, RecordError> {
        match self.length(false)? {
            Some(length) => self.take(length).map(Bytes::copy_from_slice),
            None => Err(self.error("bytes that are not null")),
        }
    }

    /// The count of an array. Its elements allocate as they are read, never on its word.
    fn count(&mut self) -> Result<usize, RecordError> {
        self.length(false)?
            .ok_or_else(|| self.error("an array that is not null"))
    }

    /// Reads the tagged fields of a structure, of a flexible version only.
    fn tags(
        &mut self,
        mut known: impl FnMut(u32, &'a [u8]) -> Option<()>,
    ) -> Result<(), RecordError> {
        if !self.is_flexible {
            return Ok(());
        }
        for _field in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let value = self.take(length)?;
            known(tag, value).ok_or_else(|| self.error("a tagged field of the right length"))?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), RecordError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error("no more bytes"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from a log of Apache Kafka 4.3.1, in hexadecimal.
    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits: Vec<char> = hexadecimal.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| {
                let text: String = pair.iter().collect();
                u8::from_str_radix(&text, 16).expect("hexadecimal")
            })
            .collect()
    }

    /// Reads what Kafka wrote, expects `record`, and expects our own bytes to be the same.
    fn check(key: &str, value: &str, record: &Record) {
        let (key, value) = (bytes(key), bytes(value));
        assert_eq!(Record::decode(&key, Some(&value)).as_ref(), Ok(record));
        match record {
            Record::Group(group, Some(metadata)) => {
                assert_eq!(RecordKey::Group(group.clone()).encode(), key);
                assert_eq!(metadata.encode(), value);
            }
            Record::Offset(group, offset_key, Some(commit)) => {
                let written = RecordKey::Offset(group.clone(), offset_key.clone());
                assert_eq!(written.encode(), key);
                assert_eq!(commit.encode(), value);
            }
            Record::Group(_, None) | Record::Offset(_, _, None) | Record::Other(_) => {
                panic!("{record:?} is no record with a value")
            }
        }
        for length in 0..value.len() {
            let cut = Record::decode(&key, Some(&value[..length]));
            assert!(cut.is_err(), "cut to {length} bytes");
        }
    }

    fn group(value: GroupMetadata) -> Record {
        Record::Group("grp".into(), Some(value))
    }

    const GROUP: &str = "0002 0003 677270";

    #[test]
    fn a_group_that_is_new() {
        let value = "0003 0000 00000000 ffff ffff 000001a21b9fc82b 00000000";
        check(
            GROUP,
            value,
            &group(GroupMetadata {
                protocol_type: "".into(),
                generation: 0,
                protocol: None,
                leader: None,
                current_state_timestamp: Timestamp(1_795_759_786_027),
                members: Vec::new(),
            }),
        );
    }

    #[test]
    fn a_group_with_a_member() {
        let member_id =
            "636c692d32343765376334332d643930372d343230652d626131372d336634343938303136316363";
        let value = format!(
            "0003 0008 636f6e73756d6572 00000001 0005 72616e6765 0028 {member_id} \
             000001a21b9fcd04 00000001 \
             0028 {member_id} ffff 0003 636c69 000a 2f3132372e302e302e31 000493e0 0000afc8 \
             0000000d 0000 00000001 0001 74 00000000 \
             00000021 0000 00000001 0001 74 00000004 00000000 00000001 00000002 00000003 00000000"
        );
        let id = StrBytes::from("cli-247e7c43-d907-420e-ba17-3f44980161cc");
        check(
            GROUP,
            &value,
            &group(GroupMetadata {
                protocol_type: "consumer".into(),
                generation: 1,
                protocol: Some("range".into()),
                leader: Some(id.clone()),
                current_state_timestamp: Timestamp(1_795_759_787_268),
                members: vec![MemberMetadata {
                    member_id: id,
                    group_instance_id: None,
                    client_id: "cli".into(),
                    client_host: "/127.0.0.1".into(),
                    rebalance_timeout_ms: 300_000,
                    session_timeout_ms: 45_000,
                    subscription: bytes("0000 00000001 0001 74 00000000").into(),
                    assignment: bytes(
                        "0000 00000001 0001 74 00000004 \
                         00000000 00000001 00000002 00000003 00000000",
                    )
                    .into(),
                }],
            }),
        );
    }

    const OFFSET: &str = "0001 0003 677270 0001 74 00000000";

    fn offset(commit: OffsetCommit) -> Record {
        let topic = Arc::from("t");
        let partition = PartitionIndex(0);
        Record::Offset("grp".into(), OffsetKey { topic, partition }, Some(commit))
    }

    #[test]
    fn an_offset() {
        let value = "0004 0000000000000001 00000003 07 6dc3a974c3a9 000001a21b9fcebd \
                     01 00 10 b0c7a4b0f0724ead89969137bad16e75";
        check(
            OFFSET,
            value,
            &offset(OffsetCommit {
                offset: Offset(1),
                leader_epoch: LeaderEpoch(3),
                metadata: "mété".into(),
                commit_timestamp: Timestamp(1_795_759_787_709),
                expire_timestamp: Timestamp::NONE,
                topic_id: TopicId::parse("sMeksPByTq2JlpE3utFudQ").expect("an id"),
            }),
        );
    }

    #[test]
    fn an_offset_with_a_time_of_its_own() {
        let value = "0001 0000000000000007 0001 6d 0000000000000064 00000000000000c8";
        check(
            OFFSET,
            value,
            &offset(OffsetCommit {
                offset: Offset(7),
                leader_epoch: LeaderEpoch::NONE,
                metadata: "m".into(),
                commit_timestamp: Timestamp(100),
                expire_timestamp: Timestamp(200),
                topic_id: TopicId::ZERO,
            }),
        );
    }

    #[test]
    fn older_versions_of_an_offset() {
        let expected = OffsetCommit {
            offset: Offset(7),
            leader_epoch: LeaderEpoch::NONE,
            metadata: "m".into(),
            commit_timestamp: Timestamp(100),
            expire_timestamp: Timestamp::NONE,
            topic_id: TopicId::ZERO,
        };
        let with_epoch = OffsetCommit {
            leader_epoch: LeaderEpoch(9),
            ..expected.clone()
        };
        for (value, expected) in [
            ("0000 0000000000000007 0001 6d 0000000000000064", &expected),
            ("0002 0000000000000007 0001 6d 0000000000000064", &expected),
            (
                "0003 0000000000000007 00000009 0001 6d 0000000000000064",
                &with_epoch,
            ),
            // A tag this program does not know is passed over.
            (
                "0004 0000000000000007 00000009 02 6d 0000000000000064 01 05 01 ff",
                &with_epoch,
            ),
        ] {
            assert_eq!(
                OffsetCommit::decode(&bytes(value)).as_ref(),
                Ok(expected),
                "{value}"
            );
        }
        assert!(OffsetCommit::decode(&bytes("0005")).is_err());
        assert!(OffsetCommit::decode(&bytes("ffff")).is_err());
    }

    #[test]
    fn older_versions_of_a_group() {
        let members = "00000001 0001 61 0001 62 0001 63";
        for (version, value) in [
            (0, format!("0000 0000 00000001 ffff ffff {members} 00000005 00000000 00000000")),
            (
                1,
                format!(
                    "0001 0000 00000001 ffff ffff {members} 00000009 00000005 \
                     00000000 00000000"
                ),
            ),
            (
                2,
                format!(
                    "0002 0000 00000001 ffff ffff 0000000000000064 {members} 00000009 00000005 \
                     00000000 00000000"
                ),
            ),
            (
                4,
                "0004 01 00000001 00 00 0000000000000064 02 02 61 00 02 62 02 63 00000009 00000005 \
                 01 01 00 00"
                    .to_owned(),
            ),
        ] {
            let metadata = GroupMetadata::decode(&bytes(&value)).expect("a version of old");
            let member = &metadata.members[0];
            assert_eq!(member.member_id.as_str(), "a");
            assert_eq!(member.client_host.as_str(), "c");
            assert_eq!(member.session_timeout_ms, 5);
            assert_eq!(member.rebalance_timeout_ms, if version == 0 { -1 } else { 9 });
            let stamp = if version < 2 { -1 } else { 100 };
            assert_eq!(metadata.current_state_timestamp, Timestamp(stamp));
        }
    }

    #[test]
    fn keys_of_other_kinds_are_told_apart_and_tombstones_have_no_value() {
        assert_eq!(
            Record::decode(&bytes("0003 0003 677270"), None),
            Ok(Record::Other(3))
        );
        assert_eq!(
            Record::decode(&bytes(GROUP), None),
            Ok(Record::Group("grp".into(), None))
        );
        assert!(Record::decode(&bytes("00"), None).is_err());
        assert!(Record::decode(&bytes("0002 0004 677270"), None).is_err());
        assert!(Record::decode(&bytes("0002 0003 67727000"), None).is_err());
        assert!(Record::decode(&bytes("0002 0001 ff"), None).is_err());
    }

    #[test]
    fn a_count_of_members_allocates_nothing() {
        let value = "0003 0000 00000000 ffff ffff 0000000000000000 7fffffff";
        assert!(GroupMetadata::decode(&bytes(value)).is_err());
    }
}
