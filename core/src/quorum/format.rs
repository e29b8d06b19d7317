//! What a new data directory begins with, as `kafka-storage format --standalone` writes it.
//!
//! Compared with a directory that Apache Kafka 4.3.1 formatted: the same batches and records.
//! Source: KIP-630 (snapshots), KIP-853 (voters), KIP-778 (bootstrap metadata).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::batches::{control_at, metadata_at};
use crate::ids::{DirectoryId, NodeId, Offset};
use crate::metadata::control::{
    ControlRecord, KRaftVersionRecord, LeaderChangeMessage, LeaderChangeVoter,
    SnapshotFooterRecord, SnapshotHeaderRecord, VersionRangeData, VoterData, VotersRecord,
};
use crate::metadata::records::{
    BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};
use crate::time::Timestamp;

/// The version of the metadata: 4.3-IV0.
pub const METADATA_VERSION: i16 = 30;

/// The version of the quorum: voters are records, and may change (KIP-853).
pub const KRAFT_VERSION: i16 = 1;

/// The features a new cluster has finalized, by name.
///
/// The groups, transactions and replicas of later versions are raised when Ottla has them; a
/// directory written before opens then as well.
pub const FEATURES: &[(&str, i16)] = &[("metadata.version", METADATA_VERSION)];

/// The record that begins a leader's epoch in a quorum of one.
#[must_use]
pub fn leader_change(leader: NodeId) -> ControlRecord {
    let voter = LeaderChangeVoter {
        voter_id: leader,
        ..LeaderChangeVoter::default()
    };
    ControlRecord::LeaderChange(LeaderChangeMessage {
        leader_id: leader,
        voters: vec![voter.clone()],
        granting_voters: vec![voter],
        ..LeaderChangeMessage::default()
    })
}

/// The quorum's version and its one voter.
#[must_use]
pub fn quorum_records(node: NodeId, directory: DirectoryId) -> [ControlRecord; 2] {
    let voter = VoterData {
        voter_id: node,
        voter_directory_id: directory,
        endpoints: Vec::new(),
        k_raft_version_feature: VersionRangeData {
            min_supported_version: 0,
            max_supported_version: KRAFT_VERSION,
        },
    };
    [
        ControlRecord::KRaftVersion(KRaftVersionRecord {
            k_raft_version: KRAFT_VERSION,
            ..KRaftVersionRecord::default()
        }),
        ControlRecord::KRaftVoters(VotersRecord {
            voters: vec![voter],
            ..VotersRecord::default()
        }),
    ]
}

/// The first metadata records of a cluster, as one transaction.
#[must_use]
pub fn bootstrap_records() -> Vec<MetadataRecord> {
    let begin = BeginTransactionRecord {
        name: Some(Arc::from("Bootstrap records")),
    };
    let end = EndTransactionRecord::default();
    let mut records = vec![MetadataRecord::BeginTransaction(begin)];
    records.extend(features());
    records.push(MetadataRecord::EndTransaction(end));
    records
}

/// Content of `bootstrap.checkpoint`.
#[must_use]
pub fn bootstrap_checkpoint(now: Timestamp) -> Bytes {
    let records: Vec<MetadataRecord> = features().collect();
    let end = i64::try_from(records.len()).expect("a handful") + 1;
    let mut file = BytesMut::new();
    file.extend_from_slice(&control_at(Offset(0), now, &[header(Timestamp(0))]));
    file.extend_from_slice(&metadata_at(Offset(1), now, &records));
    file.extend_from_slice(&control_at(Offset(end), now, &[footer()]));
    file.freeze()
}

/// Content of the snapshot that a new metadata log begins with: the quorum's version and voter.
#[must_use]
pub fn first_snapshot(now: Timestamp, node: NodeId, directory: DirectoryId) -> Bytes {
    let [version, voters] = quorum_records(node, directory);
    let mut file = BytesMut::new();
    file.extend_from_slice(&control_at(Offset(0), now, &[header(now), version, voters]));
    file.extend_from_slice(&control_at(Offset(3), now, &[footer()]));
    file.freeze()
}

fn features() -> impl Iterator<Item = MetadataRecord> {
    FEATURES.iter().map(|&(name, feature_level)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: Arc::from(name),
            feature_level,
        })
    })
}

fn header(last_contained_log_timestamp: Timestamp) -> ControlRecord {
    ControlRecord::SnapshotHeader(SnapshotHeaderRecord {
        last_contained_log_timestamp,
        ..SnapshotHeaderRecord::default()
    })
}

fn footer() -> ControlRecord {
    ControlRecord::SnapshotFooter(SnapshotFooterRecord::default())
}
