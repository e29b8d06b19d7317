//! Images as records and records as images; the content of a metadata snapshot (KIP-630).
//!
//! The order is Kafka's: features, nodes, topics, configurations, quotas, producer ids, access
//! control, users, tokens. Which snapshots are made and kept is the quorum's business.

use std::sync::Arc;

use bytes::Bytes;

use super::control::{ControlRecord, SnapshotFooterRecord, SnapshotHeaderRecord};
use super::delta::Delta;
use super::image::{BrokerImage, Image, METADATA_VERSION, PartitionImage};
use super::records::{
    ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord,
    ProducerIdsRecord, QuotaEntityData, RegisterBrokerRecord, TopicRecord,
};
use super::replay::{Replay, ReplayError};
use crate::ids::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use crate::limits::SNAPSHOT_BATCH_BYTES;
use crate::time::Timestamp;
use crate::wire::batch::{BatchError, Compression};
use crate::wire::builder::BatchBuilder;
use crate::wire::records::Batches;

impl Image {
    /// The records that make this image out of an empty one.
    #[must_use]
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        self.feature_records(&mut records);
        let brokers = self.brokers.values();
        records.extend(brokers.map(|broker| broker_record(broker).into()));
        records.extend(self.controllers.values().cloned().map(Into::into));
        for topic in self.topics.values() {
            let topic_record = TopicRecord {
                name: Arc::clone(&topic.name),
                topic_id: topic.id,
            };
            records.push(topic_record.into());
            for (index, partition) in topic.indexed() {
                records.push(partition_record(topic.id, index, partition).into());
            }
        }
        for (resource, values) in self.configs.iter() {
            records.extend(values.iter().map(|(name, value)| {
                MetadataRecord::from(ConfigRecord {
                    resource_type: resource.kind as i8,
                    resource_name: Arc::clone(&resource.name),
                    name: Arc::clone(name),
                    value: Some(Arc::clone(value)),
                })
            }));
        }
        self.quota_records(&mut records);
        if self.next_producer_id.0 >= 0 {
            let producer_ids = ProducerIdsRecord {
                broker_id: NodeId::NONE,
                broker_epoch: BrokerEpoch(-1),
                next_producer_id: self.next_producer_id,
            };
            records.push(producer_ids.into());
        }
        records.extend(self.access.values().cloned().map(Into::into));
        records.extend(self.scram.values().cloned().map(Into::into));
        records.extend(self.tokens.values().cloned().map(Into::into));
        records
    }

    /// A number that two images have in common if they know the same, on every platform.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for record in self.to_records() {
            for byte in record.encode() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        hash
    }

    /// The image as text: one record a line, as Kafka's dump tool prints them.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for record in self.to_records() {
            text.push_str(&record.to_json(record.version()));
            text.push('\n');
        }
        text
    }

    /// The version of metadata records comes first: whoever reads a snapshot needs it first.
    fn feature_records(&self, records: &mut Vec<MetadataRecord>) {
        let mut features: Vec<(&Arc<str>, i16)> = self.features().collect();
        features.sort_by_key(|(name, _)| name.as_ref() != METADATA_VERSION);
        records.extend(features.into_iter().map(|(name, feature_level)| {
            MetadataRecord::from(FeatureLevelRecord {
                name: Arc::clone(name),
                feature_level,
            })
        }));
    }

    fn quota_records(&self, records: &mut Vec<MetadataRecord>) {
        for (entity, limits) in self.quotas.iter() {
            let entity: Vec<QuotaEntityData> = entity
                .iter()
                .map(|(entity_type, entity_name)| QuotaEntityData {
                    entity_type: Arc::clone(entity_type),
                    entity_name: entity_name.clone(),
                })
                .collect();
            records.extend(limits.iter().map(|(key, value)| {
                MetadataRecord::from(ClientQuotaRecord {
                    entity: entity.clone(),
                    key: Arc::clone(key),
                    value: *value,
                    remove: false,
                })
            }));
        }
    }
}

/// The record of a partition's whole state.
#[must_use]
pub fn partition_record(
    topic_id: TopicId,
    partition_id: PartitionIndex,
    partition: &PartitionImage,
) -> PartitionRecord {
    let some = |nodes: &Vec<NodeId>| Some(nodes.clone()).filter(|nodes| !nodes.is_empty());
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        removing_replicas: partition.removing_replicas.clone(),
        adding_replicas: partition.adding_replicas.clone(),
        leader: partition.leader,
        leader_recovery_state: partition.leader_recovery_state,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        directories: partition.directories.clone(),
        eligible_leader_replicas: some(&partition.eligible_leader_replicas),
        last_known_elr: some(&partition.last_known_elr),
    }
}

fn broker_record(broker: &BrokerImage) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: broker.id,
        is_migrating_zk_broker: false,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: broker.endpoints.clone(),
        features: broker.features.clone(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
        cordoned_log_dirs: broker.cordoned_log_dirs.clone(),
    }
}

/// The content of a snapshot file: a header, what the quorum knows of itself, the records, and a
/// footer, in batches numbered from 0.
///
/// `quorum` holds the control records after the header (KRaftVersion and KRaftVoters);
/// `last_contained` is the time of the last record the snapshot stands for, `now` that of writing.
#[must_use]
pub fn snapshot_bytes(
    records: &[MetadataRecord],
    quorum: &[ControlRecord],
    epoch: LeaderEpoch,
    last_contained: Timestamp,
    now: Timestamp,
) -> Bytes {
    let mut writer = SnapshotWriter {
        bytes: Vec::new(),
        next_offset: Offset::ZERO,
        epoch,
        now,
    };
    let header = ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        version: 0,
        last_contained_log_timestamp: last_contained,
    });
    writer.controls(std::iter::once(&header).chain(quorum));
    writer.records(records);
    let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord::default());
    writer.controls(std::iter::once(&footer));
    Bytes::from(writer.bytes)
}

struct SnapshotWriter {
    bytes: Vec<u8>,
    next_offset: Offset,
    epoch: LeaderEpoch,
    now: Timestamp,
}

impl SnapshotWriter {
    fn builder(&self) -> BatchBuilder {
        BatchBuilder::new(Compression::None).at(self.next_offset, self.epoch)
    }

    fn controls<'a>(&mut self, controls: impl Iterator<Item = &'a ControlRecord>) {
        let mut builder = self.builder().control();
        for control in controls {
            let (key, value) = control.encode();
            builder.push(self.now, Some(&key), Some(&value));
        }
        self.finish(builder);
    }

    fn records(&mut self, records: &[MetadataRecord]) {
        let mut builder = self.builder();
        for record in records {
            builder.push(self.now, None, Some(&record.encode()));
            if builder.size_bytes() >= SNAPSHOT_BATCH_BYTES {
                self.finish(builder);
                builder = self.builder();
            }
        }
        if !builder.is_empty() {
            self.finish(builder);
        }
    }

    fn finish(&mut self, builder: BatchBuilder) {
        self.next_offset = self.next_offset.plus(i64::from(builder.records_count()));
        self.bytes.extend_from_slice(&builder.build());
    }
}

/// What a snapshot file held.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SnapshotContent {
    /// The image.
    pub image: Image,
    /// The control records between header and footer.
    pub quorum: Vec<ControlRecord>,
    /// The time of the last record the snapshot stands for.
    pub last_contained: Timestamp,
}

/// Reads a whole snapshot file.
///
/// # Errors
/// Where a batch is damaged, a record contradicts another, or header or footer are missing: a
/// snapshot without its footer was never finished.
pub fn read_snapshot(bytes: &Bytes) -> Result<SnapshotContent, ReplayError> {
    let mut replay = Replay::default();
    let mut controls = Vec::new();
    let mut batches = Batches::new(bytes.clone());
    for batch in batches.by_ref() {
        let (_, batch) = batch.map_err(ReplayError::Batch)?;
        crate::wire::batch::PreparedBatch::from_log(batch.clone()).map_err(ReplayError::Batch)?;
        controls.extend(replay.apply_batch(&batch, &mut Delta::default())?);
    }
    let is_whole = batches.remaining() == 0;
    let footer = controls.pop();
    let has_footer = matches!(footer, Some(ControlRecord::SnapshotFooter(_)));
    match controls.first() {
        Some(ControlRecord::SnapshotHeader(header)) if is_whole && has_footer => {
            let last_contained = header.last_contained_log_timestamp;
            Ok(SnapshotContent {
                image: replay.image().clone(),
                quorum: controls.split_off(1),
                last_contained,
            })
        }
        Some(_) | None => Err(ReplayError::Batch(BatchError::Length)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{BOOTSTRAP, CLUSTER, FIRST_SNAPSHOT, bytes_of};
    use super::*;

    /// The image of the metadata log that Kafka wrote, and its deltas together.
    fn cluster() -> (Replay, Delta) {
        let mut replay = Replay::default();
        let mut delta = Delta::default();
        for batch in Batches::new(bytes_of(CLUSTER[0])) {
            let (_, batch) = batch.expect("a batch of Kafka's");
            replay.apply_batch(&batch, &mut delta).expect("consistent");
        }
        (replay, delta)
    }

    #[test]
    fn kafkas_log_becomes_an_image() {
        let (replay, delta) = cluster();
        let image = replay.image();
        assert!(!replay.is_in_transaction());
        let names: Vec<&str> = image.topics().map(|topic| topic.name.as_ref()).collect();
        assert_eq!(names, ["first", "second"]);
        let first = image.topic("first").expect("created");
        assert_eq!(first.partitions_count(), 5);
        assert_eq!(image.topic_by_id(first.id), Some(first));
        let partition = first.partition(PartitionIndex(0)).expect("the first");
        assert_eq!(partition.leader, NodeId::NONE, "the broker was stopped");
        assert_eq!(partition.eligible_leader_replicas, [NodeId(1)]);
        assert!(
            partition.leader_epoch > LeaderEpoch(0),
            "elected again after the restart"
        );
        assert_eq!(image.feature(METADATA_VERSION), 30);
        assert_eq!(image.feature("group.version"), 0);
        assert_eq!(image.next_producer_id().0, 1000);
        assert_eq!(image.scram_credentials().len(), 1);
        assert_eq!(image.access_entries().len(), 1);
        assert_eq!(image.quotas().len(), 1);
        assert!(image.broker(NodeId(1)).is_some_and(|broker| broker.fenced));
        assert_eq!(delta.created_topics.len(), 2);
        assert!(
            delta.deleted_topics.is_empty(),
            "created and deleted in one run"
        );
    }

    #[test]
    fn an_image_goes_through_a_snapshot_unchanged() {
        let (replay, _) = cluster();
        let image = replay.image();
        let epoch = replay.last_epoch();
        let bytes = snapshot_bytes(
            &image.to_records(),
            &[],
            epoch,
            replay.last_timestamp(),
            Timestamp(7),
        );
        let content = read_snapshot(&bytes).expect("whole");
        assert_eq!(content.image, *image);
        assert_eq!(content.image.fingerprint(), image.fingerprint());
        assert_eq!(content.last_contained, replay.last_timestamp());
        assert_eq!(image.to_text().lines().count(), image.to_records().len());
        for length in 0..bytes.len() {
            assert!(
                read_snapshot(&bytes.slice(..length)).is_err(),
                "cut at {length}"
            );
        }
    }

    #[test]
    fn kafkas_snapshots_are_read() {
        let bootstrap = read_snapshot(&bytes_of(BOOTSTRAP[0])).expect("whole");
        assert_eq!(bootstrap.image.feature(METADATA_VERSION), 30);
        assert_eq!(bootstrap.image.features().count(), 1);
        let first = read_snapshot(&bytes_of(FIRST_SNAPSHOT[0])).expect("whole");
        assert_eq!(first.quorum.len(), 2);
        assert_eq!(first.image, Image::default());
    }

    #[test]
    fn large_images_take_several_batches() {
        let mut image = Image::default();
        for number in 0..40_000u64 {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&(number + 1).to_be_bytes());
            let record = TopicRecord {
                name: Arc::from(format!("a-topic-with-a-rather-long-name-{number}")),
                topic_id: TopicId(id),
            };
            image
                .apply(&record.into(), &mut Delta::default())
                .expect("new");
        }
        let bytes = snapshot_bytes(
            &image.to_records(),
            &[],
            LeaderEpoch(3),
            Timestamp(1),
            Timestamp(2),
        );
        assert!(Batches::new(bytes.clone()).count() > 4);
        assert_eq!(read_snapshot(&bytes).expect("whole").image, image);
    }
}
