//! What a new data directory begins with, as `kafka-storage format --standalone` writes it.
//!
//! Compared with a directory that Apache Kafka 4.3.1 formatted: the same batches and records.
//! Source: KIP-630 (snapshots), KIP-853 (voters), KIP-778 (bootstrap metadata).

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{DirectoryId, LeaderEpoch, NodeId};
use crate::metadata::control::{
    ControlRecord, KRaftVersionRecord, LeaderChangeMessage, LeaderChangeVoter, VersionRangeData,
    VoterData, VotersRecord,
};
use crate::metadata::records::{
    BeginTransactionRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};
use crate::metadata::snapshot::snapshot_bytes;
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
    snapshot_bytes(&records, &[], LeaderEpoch(0), Timestamp(0), now)
}

/// Content of the snapshot that a new metadata log begins with: the quorum's version and voter.
#[must_use]
pub fn first_snapshot(now: Timestamp, node: NodeId, directory: DirectoryId) -> Bytes {
    snapshot_bytes(
        &[],
        &quorum_records(node, directory),
        LeaderEpoch(0),
        now,
        now,
    )
}

fn features() -> impl Iterator<Item = MetadataRecord> {
    FEATURES.iter().map(|&(name, feature_level)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: Arc::from(name),
            feature_level,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::golden::{BOOTSTRAP, FIRST_SNAPSHOT, bytes_of};
    use crate::metadata::snapshot::read_snapshot;
    use crate::wire::batch::BatchHeader;
    use crate::wire::records::{Batches, Records};

    /// The batches of a file: where each begins, whether it is of control records, its epoch, and
    /// its records.
    fn outline(file: &Bytes) -> Vec<String> {
        let outline = |(header, bytes): (BatchHeader, Bytes)| {
            let records = Records::open(&bytes).expect("not compressed");
            let records: Vec<String> = records
                .map(|record| {
                    let record = record.expect("whole");
                    let value = record.value.expect("every value is there");
                    match record.key {
                        Some(key) => show(ControlRecord::decode(&key, &value).expect("known")),
                        None => {
                            let (record, version) = MetadataRecord::decode(&value).expect("known");
                            record.to_json(version)
                        }
                    }
                })
                .collect();
            format!(
                "{} {} {:?} {records:?}",
                header.base_offset, header.leader_epoch, header.attributes
            )
        };
        let batches = Batches::new(file.clone());
        batches
            .map(|batch| outline(batch.expect("whole")))
            .collect()
    }

    /// A control record without what differs between two directories: times, ids and addresses.
    fn show(mut record: ControlRecord) -> String {
        match &mut record {
            ControlRecord::SnapshotHeader(header) => {
                header.last_contained_log_timestamp = Timestamp(0);
            }
            ControlRecord::KRaftVoters(voters) => {
                for voter in &mut voters.voters {
                    voter.voter_directory_id = DirectoryId::ZERO;
                    voter.endpoints.clear();
                }
            }
            ControlRecord::KRaftVersion(_)
            | ControlRecord::LeaderChange(_)
            | ControlRecord::SnapshotFooter(_) => {}
        }
        record.to_json()
    }

    #[test]
    fn a_new_directory_is_as_kafka_formats_one() {
        let now = Timestamp(1_795_379_279_837);
        assert_eq!(
            outline(&bootstrap_checkpoint(now)),
            outline(&bytes_of(BOOTSTRAP[0]))
        );
        let first = first_snapshot(now, NodeId(1), crate::ids::TopicId([5; 16]));
        assert_eq!(outline(&first), outline(&bytes_of(FIRST_SNAPSHOT[0])));
        assert_eq!(read_snapshot(&first).expect("whole").last_contained, now);
    }
}
