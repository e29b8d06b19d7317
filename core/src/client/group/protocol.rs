//! What members tell each other through the coordinator: subscriptions and assignments.
//!
//! The coordinator carries these blobs without reading them; the leader among the members does.
//! They are those of Kafka's `ConsumerProtocol`, versions 0 to 3, written in version 3. A blob of a
//! later version is read as far as version 3 goes, as Kafka does. Checked against Apache Kafka
//! 4.3.1.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_wire::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_wire_core::{ApiVersion, DecodeError, DecodeLimits, Decoder, KafkaDecode, StrBytes};

use crate::ids::{PartitionIndex, TopicName, TopicPartition};

/// The type of groups whose members are consumers, in JoinGroup.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The newest version of both blobs.
const VERSION_LAST: i16 = 3;

/// First version of subscriptions that name the generation of what is owned (KIP-792).
const GENERATION_FROM: i16 = 2;

/// The number of a group's generation, raised by each rebalance. `-1` is none.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupGeneration(pub i32);

impl GroupGeneration {
    /// Of somebody who is no member.
    pub const NONE: Self = Self(-1);
}

/// What a member wants, and what it has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subscription {
    /// The topics it wants.
    pub topics: BTreeSet<TopicName>,
    /// What its assignor adds.
    pub user_data: Option<Bytes>,
    /// The partitions it owns at the moment.
    pub owned: BTreeSet<TopicPartition>,
    /// The generation in which it was given them; `None` where the blob cannot say (before version
    /// 2).
    pub generation: Option<GroupGeneration>,
    /// Where it is (`client.rack`).
    pub rack: Option<Arc<str>>,
}

impl Subscription {
    /// The blob of JoinGroup.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut message = ConsumerProtocolSubscription::default();
        let topics = self.topics.iter();
        message.topics = topics.map(|topic| StrBytes::from(&**topic)).collect();
        message.user_data.clone_from(&self.user_data);
        message.owned_partitions = by_topic(&self.owned)
            .into_iter()
            .map(|(topic, partitions)| {
                let mut owned =
                    kafka_wire::consumer_protocol_subscription::TopicPartition::default();
                owned.topic = StrBytes::from(&**topic);
                owned.partitions = partitions;
                owned
            })
            .collect();
        message.generation_id = self.generation.unwrap_or(GroupGeneration::NONE).0;
        message.rack_id = self.rack.as_deref().map(StrBytes::from);
        let mut blob = BytesMut::new();
        let version = ApiVersion::new(VERSION_LAST);
        kafka_wire::encode_consumer_protocol_subscription(&mut blob, &message, version)
            .expect("the newest version can say everything");
        blob.freeze()
    }

    /// Reads the blob of a member.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(blob: &Bytes) -> Result<Self, DecodeError> {
        let (version, message) = decode::<ConsumerProtocolSubscription>(blob)?;
        let owned = message.owned_partitions.iter();
        Ok(Self {
            topics: message
                .topics
                .iter()
                .map(|topic| (&**topic).into())
                .collect(),
            user_data: message.user_data.as_ref().map(owned_bytes),
            owned: owned
                .flat_map(|owned| partitions_of(&owned.topic, &owned.partitions))
                .collect(),
            generation: (version >= GENERATION_FROM)
                .then_some(GroupGeneration(message.generation_id))
                .filter(|generation| generation.0 >= 0),
            rack: message.rack_id.as_deref().map(Arc::from),
        })
    }
}

/// What the leader gives a member.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Assignment {
    /// The member's partitions.
    pub partitions: BTreeSet<TopicPartition>,
    /// What the assignor adds.
    pub user_data: Option<Bytes>,
}

impl Assignment {
    /// The blob of SyncGroup.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut message = ConsumerProtocolAssignment::default();
        message.user_data.clone_from(&self.user_data);
        message.assigned_partitions = by_topic(&self.partitions)
            .into_iter()
            .map(|(topic, partitions)| {
                let mut assigned =
                    kafka_wire::consumer_protocol_assignment::TopicPartition::default();
                assigned.topic = StrBytes::from(&**topic);
                assigned.partitions = partitions;
                assigned
            })
            .collect();
        let mut blob = BytesMut::new();
        let version = ApiVersion::new(VERSION_LAST);
        kafka_wire::encode_consumer_protocol_assignment(&mut blob, &message, version)
            .expect("the newest version can say everything");
        blob.freeze()
    }

    /// Reads the blob from a SyncGroup; an empty one is an assignment of nothing.
    ///
    /// # Errors
    /// It is not one.
    pub fn decode(blob: &Bytes) -> Result<Self, DecodeError> {
        if blob.is_empty() {
            return Ok(Self::default());
        }
        let (_version, message) = decode::<ConsumerProtocolAssignment>(blob)?;
        let assigned = message.assigned_partitions.iter();
        Ok(Self {
            partitions: assigned
                .flat_map(|assigned| partitions_of(&assigned.topic, &assigned.partitions))
                .collect(),
            user_data: message.user_data.as_ref().map(owned_bytes),
        })
    }
}

/// Reads a blob with its version in front; what follows the fields is a later version's.
fn decode<M: KafkaDecode>(blob: &Bytes) -> Result<(i16, M), DecodeError> {
    let mut decoder = Decoder::new(blob.clone(), DecodeLimits::default())?;
    let version = decoder.read_i16()?.min(VERSION_LAST);
    let message = M::decode(&mut decoder, ApiVersion::new(version))?;
    Ok((version, message))
}

/// A copy, so that a small blob does not keep a large frame.
fn owned_bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn partitions_of<'a>(
    topic: &str,
    partitions: &'a [i32],
) -> impl Iterator<Item = TopicPartition> + use<'a> {
    let topic: TopicName = topic.into();
    partitions.iter().map(move |partition| TopicPartition {
        topic: Arc::clone(&topic),
        partition: PartitionIndex(*partition),
    })
}

/// The partitions of each topic, both in order.
pub(super) fn by_topic(partitions: &BTreeSet<TopicPartition>) -> BTreeMap<&TopicName, Vec<i32>> {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        let indexes = topics.entry(&partition.topic).or_default();
        indexes.push(partition.partition.0);
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(index),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_subscription_is_kafkas_version_3() {
        let subscription = Subscription {
            topics: ["b".into(), "a".into()].into(),
            user_data: Some(Bytes::from_static(&[0xff; 4])),
            owned: [partition("a", 1), partition("a", 0)].into(),
            generation: Some(GroupGeneration(7)),
            rack: Some("r".into()),
        };
        let blob = subscription.encode();
        let expected = concat!(
            "0003", "00000002", "000161", "000162", "00000004", "ffffffff", "00000001", "000161",
            "00000002", "00000000", "00000001", "00000007", "000172",
        );
        assert_eq!(hex(&blob), expected);
        assert_eq!(Subscription::decode(&blob), Ok(subscription));
    }

    #[test]
    fn older_and_newer_subscriptions_are_read() {
        let oldest = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
        let read = Subscription::decode(&oldest).expect("version 0");
        assert_eq!(read.topics, ["t".into()].into());
        assert_eq!((read.user_data, read.generation), (None, None));
        let mut newer = BytesMut::from(&Subscription::default().encode()[..]);
        newer[1] = 4;
        newer.extend_from_slice(b"more");
        let read = Subscription::decode(&newer.freeze()).expect("version 4");
        assert_eq!(read, Subscription::default());
        for length in 0..oldest.len() {
            assert!(Subscription::decode(&oldest.slice(..length)).is_err());
        }
    }

    #[test]
    fn an_assignment_is_kafkas_version_3() {
        let assignment = Assignment {
            partitions: [partition("t", 2), partition("t", 0), partition("s", 1)].into(),
            user_data: None,
        };
        let blob = assignment.encode();
        let expected = concat!(
            "0003", "00000002", "000173", "00000001", "00000001", "000174", "00000002", "00000000",
            "00000002", "ffffffff",
        );
        assert_eq!(hex(&blob), expected);
        assert_eq!(Assignment::decode(&blob), Ok(assignment));
        assert_eq!(Assignment::decode(&Bytes::new()), Ok(Assignment::default()));
    }
}
