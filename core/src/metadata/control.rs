//! Control records of the metadata log and its snapshots: who leads, who votes, where a snapshot
//! begins and ends.
//!
//! Their key is a version and a type, two 16-bit numbers; the value carries its version as its
//! first field (`LeaderChangeMessage`, `SnapshotHeaderRecord`, `SnapshotFooterRecord`,
//! `KRaftVersionRecord`, `VotersRecord`). Transaction markers are the transaction room's.

use std::sync::Arc;

use super::codec::{Field, Reader, RecordError};
use super::message::message;
use crate::ids::{DirectoryId, NodeId};
use crate::time::Timestamp;

message! {
    /// A leader begins its epoch.
    LeaderChangeMessage {
        /// The version of this message.
        version: i16 = 0;
        /// The leader.
        leader_id: NodeId = NodeId::NONE;
        /// Those who could vote.
        voters: Vec<LeaderChangeVoter> = Vec::new();
        /// Those who voted for it.
        granting_voters: Vec<LeaderChangeVoter> = Vec::new();
    }
}

message! {
    /// A voter of an election.
    LeaderChangeVoter {
        /// The voter.
        voter_id: NodeId = NodeId(0);
        /// Its metadata directory.
        voter_directory_id: DirectoryId = DirectoryId::ZERO, since 1;
    }
}

message! {
    /// A snapshot begins.
    SnapshotHeaderRecord {
        /// The version of this message.
        version: i16 = 0;
        /// The time of the last record that the snapshot contains.
        last_contained_log_timestamp: Timestamp = Timestamp(0);
    }
}

message! {
    /// A snapshot ends.
    SnapshotFooterRecord {
        /// The version of this message.
        version: i16 = 0;
    }
}

message! {
    /// How the quorum works from here on; 1 lets voters change (KIP-853).
    KRaftVersionRecord {
        /// The version of this message.
        version: i16 = 0;
        /// The quorum's version.
        k_raft_version: i16 = 0;
    }
}

message! {
    /// Who votes from here on.
    VotersRecord {
        /// The version of this message.
        version: i16 = 0;
        /// The voters.
        voters: Vec<VoterData> = Vec::new();
    }
}

message! {
    /// A voter of the quorum.
    VoterData {
        /// The voter.
        voter_id: NodeId = NodeId(0);
        /// Its metadata directory.
        voter_directory_id: DirectoryId = DirectoryId::ZERO;
        /// Where it is reached.
        endpoints: Vec<VoterEndpointData> = Vec::new();
        /// The quorum versions it supports.
        k_raft_version_feature: VersionRangeData = VersionRangeData::default();
    }
}

message! {
    /// An address of a voter.
    VoterEndpointData {
        /// The listener's name.
        name: Arc<str> = Arc::from("");
        /// Host name or address.
        host: Arc<str> = Arc::from("");
        /// The port.
        port: u16 = 0;
    }
}

message! {
    /// A range of versions, both ends included.
    VersionRangeData {
        /// The lowest.
        min_supported_version: i16 = 0;
        /// The highest.
        max_supported_version: i16 = 0;
    }
}

/// A control record of the metadata log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ControlRecord {
    /// A leader begins its epoch.
    LeaderChange(LeaderChangeMessage),
    /// A snapshot begins.
    SnapshotHeader(SnapshotHeaderRecord),
    /// A snapshot ends.
    SnapshotFooter(SnapshotFooterRecord),
    /// The quorum's version.
    KRaftVersion(KRaftVersionRecord),
    /// The voters.
    KRaftVoters(VotersRecord),
}

impl ControlRecord {
    /// The record's type in its key (`ControlRecordType`).
    #[must_use]
    pub fn type_code(&self) -> i16 {
        match self {
            Self::LeaderChange(_) => 2,
            Self::SnapshotHeader(_) => 3,
            Self::SnapshotFooter(_) => 4,
            Self::KRaftVersion(_) => 5,
            Self::KRaftVoters(_) => 6,
        }
    }

    /// The key and the value of the log record.
    #[must_use]
    pub fn encode(&self) -> ([u8; 4], Vec<u8>) {
        let [high, low] = self.type_code().to_be_bytes();
        let mut value = Vec::new();
        match self {
            Self::LeaderChange(message) => message.write(message.version, &mut value),
            Self::SnapshotHeader(message) => message.write(message.version, &mut value),
            Self::SnapshotFooter(message) => message.write(message.version, &mut value),
            Self::KRaftVersion(message) => message.write(message.version, &mut value),
            Self::KRaftVoters(message) => message.write(message.version, &mut value),
        }
        ([0, 0, high, low], value)
    }

    /// The control record of a key and a value.
    ///
    /// # Errors
    /// Where the key is none of these types, or the value is not exactly such a message.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let key_error = RecordError {
            what: "the key of a control record of the metadata log",
            at: 0,
        };
        let &[_, _, high, low] = key else {
            return Err(key_error);
        };
        let mut reader = Reader::new(value);
        let version = i16::read(0, &mut Reader::new(value))?;
        let record = match i16::from_be_bytes([high, low]) {
            2 => Field::read(version, &mut reader).map(Self::LeaderChange)?,
            3 => Field::read(version, &mut reader).map(Self::SnapshotHeader)?,
            4 => Field::read(version, &mut reader).map(Self::SnapshotFooter)?,
            5 => Field::read(version, &mut reader).map(Self::KRaftVersion)?,
            6 => Field::read(version, &mut reader).map(Self::KRaftVoters)?,
            _other => return Err(key_error),
        };
        reader.finish()?;
        Ok(record)
    }

    /// The record as Kafka's dump tool prints it: its name and the message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        match self {
            Self::LeaderChange(message) => {
                out.push_str("LeaderChange: ");
                message.json(message.version, &mut out);
            }
            Self::SnapshotHeader(message) => {
                out.push_str("SnapshotHeader ");
                message.json(message.version, &mut out);
            }
            Self::SnapshotFooter(message) => {
                out.push_str("SnapshotFooter ");
                message.json(message.version, &mut out);
            }
            Self::KRaftVersion(message) => {
                out.push_str("KRaftVersion ");
                message.json(message.version, &mut out);
            }
            Self::KRaftVoters(message) => {
                out.push_str("KRaftVoters ");
                message.json(message.version, &mut out);
            }
        }
        out
    }
}
