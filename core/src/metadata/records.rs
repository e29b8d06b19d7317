//! The records of the metadata log, field by field.
//!
//! Every record type of Apache Kafka 4.3.1, with all its versions; the values of the log's data
//! batches. Control records are in [`super::control`]. What a record does is decided by
//! [`super::image`], what is written by `crate::controller`.

use std::sync::Arc;

use super::codec::{Blob, Double, Field, Reader, RecordError};
use super::message::message;
use crate::ids::{
    BrokerEpoch, DirectoryId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, ProducerId,
    TopicId, TopicName,
};
use crate::time::Timestamp;

message! {
    /// A broker has registered; a new incarnation has a new epoch.
    RegisterBrokerRecord {
        /// The broker.
        broker_id: NodeId = NodeId(0);
        /// Always false since ZooKeeper is gone.
        is_migrating_zk_broker: bool = false, since 2;
        /// Chosen by the broker at each start.
        incarnation_id: TopicId = TopicId::ZERO;
        /// The offset of this record.
        broker_epoch: BrokerEpoch = BrokerEpoch(0);
        /// Where clients and peers reach it.
        end_points: Vec<EndpointData> = Vec::new();
        /// What it supports.
        features: Vec<FeatureData> = Vec::new();
        /// Its rack.
        rack: Option<Arc<str>> = None;
        /// Whether it may not lead yet.
        fenced: bool = true;
        /// Whether it is on its way out.
        in_controlled_shutdown: bool = false, since 1;
        /// Its data directories that work.
        log_dirs: Vec<DirectoryId> = Vec::new(), since 3, tag 0;
        /// Its data directories that take no new partitions.
        cordoned_log_dirs: Option<Vec<DirectoryId>> = None, since 4, tag 1;
    }
}

message! {
    /// An address of a registered node.
    EndpointData {
        /// The listener's name.
        name: Arc<str> = Arc::from("");
        /// Host name or address.
        host: Arc<str> = Arc::from("");
        /// The port.
        port: u16 = 0;
        /// The number of its security protocol.
        security_protocol: i16 = 0;
    }
}

message! {
    /// Versions of a feature that a node supports.
    FeatureData {
        /// The feature.
        name: Arc<str> = Arc::from("");
        /// The lowest version.
        min_supported_version: i16 = 0;
        /// The highest version.
        max_supported_version: i16 = 0;
    }
}

message! {
    /// A broker is gone for good.
    UnregisterBrokerRecord {
        /// The broker.
        broker_id: NodeId = NodeId(0);
        /// Its epoch.
        broker_epoch: BrokerEpoch = BrokerEpoch(0);
    }
}

message! {
    /// A topic was created; its partitions follow.
    TopicRecord {
        /// Its name.
        name: TopicName = Arc::from("");
        /// Its id.
        topic_id: TopicId = TopicId::ZERO;
    }
}

message! {
    /// The whole state of a partition.
    PartitionRecord {
        /// Its index.
        partition_id: PartitionIndex = PartitionIndex(-1);
        /// Its topic.
        topic_id: TopicId = TopicId::ZERO;
        /// Its replicas, the preferred leader first.
        replicas: Vec<NodeId> = Vec::new();
        /// The replicas in sync.
        isr: Vec<NodeId> = Vec::new();
        /// Replicas that a reassignment takes away.
        removing_replicas: Vec<NodeId> = Vec::new();
        /// Replicas that a reassignment adds.
        adding_replicas: Vec<NodeId> = Vec::new();
        /// The leader.
        leader: NodeId = NodeId::NONE;
        /// 1 while an unclean leader recovers.
        leader_recovery_state: i8 = 0, tag 0;
        /// Raised by each election.
        leader_epoch: LeaderEpoch = LeaderEpoch::NONE;
        /// Raised by each change.
        partition_epoch: PartitionEpoch = PartitionEpoch(-1);
        /// The directory of each replica.
        directories: Vec<DirectoryId> = Vec::new(), since 1;
        /// Replicas that may be elected cleanly though they left the ISR (KIP-966).
        eligible_leader_replicas: Option<Vec<NodeId>> = None, since 2, tag 1;
        /// The last of those before the ISR emptied.
        last_known_elr: Option<Vec<NodeId>> = None, since 2, tag 2;
    }
}

message! {
    /// A configuration of a resource was set, or removed where the value is null.
    ConfigRecord {
        /// The kind of resource (`ConfigResource.Type`): 2 topic, 4 broker, 16 client metrics,
        /// 32 group.
        resource_type: i8 = 0;
        /// The resource; empty for all brokers.
        resource_name: Arc<str> = Arc::from("");
        /// The configuration.
        name: Arc<str> = Arc::from("");
        /// Its value.
        value: Option<Arc<str>> = None;
    }
}

message! {
    /// Part of a partition's state changed.
    PartitionChangeRecord {
        /// Its index.
        partition_id: PartitionIndex = PartitionIndex(-1);
        /// Its topic.
        topic_id: TopicId = TopicId::ZERO;
        /// The new ISR.
        isr: Option<Vec<NodeId>> = None, tag 0;
        /// The new leader; -2 for no change, which also keeps the leader epoch.
        leader: NodeId = Self::NO_LEADER_CHANGE, tag 1;
        /// The new replicas.
        replicas: Option<Vec<NodeId>> = None, tag 2;
        /// The new replicas to be taken away.
        removing_replicas: Option<Vec<NodeId>> = None, tag 3;
        /// The new replicas to be added.
        adding_replicas: Option<Vec<NodeId>> = None, tag 4;
        /// The new recovery state; -1 for no change.
        leader_recovery_state: i8 = -1, tag 5;
        /// The new directories.
        directories: Option<Vec<DirectoryId>> = None, since 1, tag 8;
        /// The new eligible leader replicas.
        eligible_leader_replicas: Option<Vec<NodeId>> = None, since 2, tag 6;
        /// The new last known ones.
        last_known_elr: Option<Vec<NodeId>> = None, since 2, tag 7;
    }
}

impl PartitionChangeRecord {
    /// The leader of a change that elects none.
    pub const NO_LEADER_CHANGE: NodeId = NodeId(-2);
}

message! {
    /// A broker may not lead (older than [`BrokerRegistrationChangeRecord`]).
    FenceBrokerRecord {
        /// The broker.
        id: NodeId = NodeId(0);
        /// Its epoch.
        epoch: BrokerEpoch = BrokerEpoch(0);
    }
}

message! {
    /// A broker may lead (older than [`BrokerRegistrationChangeRecord`]).
    UnfenceBrokerRecord {
        /// The broker.
        id: NodeId = NodeId(0);
        /// Its epoch.
        epoch: BrokerEpoch = BrokerEpoch(0);
    }
}

message! {
    /// A topic was deleted with its partitions and configurations.
    RemoveTopicRecord {
        /// The topic.
        topic_id: TopicId = TopicId::ZERO;
    }
}

message! {
    /// A delegation token exists.
    DelegationTokenRecord {
        /// Who it speaks for.
        owner: Arc<str> = Arc::from("");
        /// Who asked for it.
        requester: Arc<str> = Arc::from("");
        /// Who may renew it.
        renewers: Vec<Arc<str>> = Vec::new();
        /// When it was issued.
        issue_timestamp: Timestamp = Timestamp(0);
        /// When it ends whatever happens.
        max_timestamp: Timestamp = Timestamp(0);
        /// When it ends unless it is renewed.
        expiration_timestamp: Timestamp = Timestamp(0);
        /// Its id.
        token_id: Arc<str> = Arc::from("");
    }
}

message! {
    /// A user's SCRAM credential.
    UserScramCredentialRecord {
        /// The user.
        name: Arc<str> = Arc::from("");
        /// 1 for SCRAM-SHA-256, 2 for SCRAM-SHA-512.
        mechanism: i8 = 0;
        /// The salt.
        salt: Blob = Blob::default();
        /// The stored key.
        stored_key: Blob = Blob::default();
        /// The server key.
        server_key: Blob = Blob::default();
        /// The iterations.
        iterations: i32 = 0;
    }
}

message! {
    /// A feature's finalized version changed; 0 turns it off.
    FeatureLevelRecord {
        /// The feature.
        name: Arc<str> = Arc::from("");
        /// Its version.
        feature_level: i16 = 0;
    }
}

message! {
    /// A client quota was set or removed.
    ClientQuotaRecord {
        /// Whom it is for.
        entity: Vec<QuotaEntityData> = Vec::new();
        /// What it limits.
        key: Arc<str> = Arc::from("");
        /// The limit.
        value: Double = Double(0);
        /// Whether it is taken away.
        remove: bool = false;
    }
}

message! {
    /// Part of whom a quota is for.
    QuotaEntityData {
        /// `user`, `client-id` or `ip`.
        entity_type: Arc<str> = Arc::from("");
        /// Its name; null for the default.
        entity_name: Option<Arc<str>> = None;
    }
}

message! {
    /// Producer ids below this one are given out.
    ProducerIdsRecord {
        /// The broker that got the block.
        broker_id: NodeId = NodeId(0);
        /// Its epoch.
        broker_epoch: BrokerEpoch = BrokerEpoch(-1);
        /// The first id that is free.
        next_producer_id: ProducerId = ProducerId(0);
    }
}

message! {
    /// Part of a broker's registration changed.
    BrokerRegistrationChangeRecord {
        /// The broker.
        broker_id: NodeId = NodeId(0);
        /// Its epoch.
        broker_epoch: BrokerEpoch = BrokerEpoch(0);
        /// 1 fences it, -1 unfences it.
        fenced: i8 = 0, tag 0;
        /// 1 where it is on its way out.
        in_controlled_shutdown: i8 = 0, since 1, tag 1;
        /// Its data directories that work; empty for no change.
        log_dirs: Vec<DirectoryId> = Vec::new(), since 2, tag 2;
        /// Its data directories that take no new partitions; null for no change.
        cordoned_log_dirs: Option<Vec<DirectoryId>> = None, since 3, tag 3;
    }
}

message! {
    /// An access control entry.
    AccessControlEntryRecord {
        /// Its id.
        id: TopicId = TopicId::ZERO;
        /// The kind of resource.
        resource_type: i8 = 0;
        /// The resource, or its prefix.
        resource_name: Arc<str> = Arc::from("");
        /// How the name is matched.
        pattern_type: i8 = 0;
        /// Who.
        principal: Arc<str> = Arc::from("");
        /// From where.
        host: Arc<str> = Arc::from("");
        /// Does what.
        operation: i8 = 0;
        /// May or may not.
        permission_type: i8 = 0;
    }
}

message! {
    /// An access control entry is gone.
    RemoveAccessControlEntryRecord {
        /// Its id.
        id: TopicId = TopicId::ZERO;
    }
}

message! {
    /// Nothing: keeps the log moving.
    NoOpRecord {}
}

message! {
    /// A user's SCRAM credential is gone.
    RemoveUserScramCredentialRecord {
        /// The user.
        name: Arc<str> = Arc::from("");
        /// The mechanism.
        mechanism: i8 = 0;
    }
}

message! {
    /// The records up to the end of the transaction take effect together.
    BeginTransactionRecord {
        /// What the transaction is for.
        name: Option<Arc<str>> = None, tag 0;
    }
}

message! {
    /// The transaction takes effect.
    EndTransactionRecord {}
}

message! {
    /// The transaction has no effect.
    AbortTransactionRecord {
        /// Why.
        reason: Option<Arc<str>> = None, tag 0;
    }
}

message! {
    /// A delegation token is gone.
    RemoveDelegationTokenRecord {
        /// Its id.
        token_id: Arc<str> = Arc::from("");
    }
}

message! {
    /// A controller has registered.
    RegisterControllerRecord {
        /// The controller.
        controller_id: NodeId = NodeId(0);
        /// Chosen by the controller at each start.
        incarnation_id: TopicId = TopicId::ZERO;
        /// Always false since ZooKeeper is gone.
        zk_migration_ready: bool = false;
        /// Where it is reached.
        end_points: Vec<EndpointData> = Vec::new();
        /// What it supports.
        features: Vec<FeatureData> = Vec::new();
    }
}

message! {
    /// The eligible leader replicas of a topic, or of all, are forgotten.
    ClearElrRecord {
        /// The topic; empty for all.
        topic_name: TopicName = Arc::from("");
    }
}

macro_rules! metadata_records {
    ($($variant:ident($type:ident) = $key:literal, max $max:literal, $name:literal;)*) => {
        /// A record of the metadata log, in the order of Kafka's keys.
        #[derive(Clone, Debug, Eq, Hash, PartialEq)]
        pub enum MetadataRecord {
            $(#[doc = concat!("[`", stringify!($type), "`].")] $variant($type),)*
        }

        impl MetadataRecord {
            /// Kafka's number of the record type.
            #[must_use]
            pub fn key(&self) -> u32 {
                match self { $(Self::$variant(_) => $key,)* }
            }

            /// Kafka's name of the record type, as its dump tool prints it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// The highest version of the record type.
            #[must_use]
            pub fn version_max(&self) -> i16 {
                match self { $(Self::$variant(_) => $max,)* }
            }

            pub(super) fn write_fields(&self, version: i16, out: &mut Vec<u8>) {
                match self { $(Self::$variant(record) => record.write(version, out),)* }
            }

            pub(super) fn json_fields(&self, version: i16, out: &mut String) {
                match self { $(Self::$variant(record) => record.json(version, out),)* }
            }

            pub(super) fn read_fields(
                key: u32,
                version: i16,
                reader: &mut Reader<'_>,
            ) -> Result<Self, RecordError> {
                match key {
                    $($key if version <= $max => {
                        Field::read(version, reader).map(Self::$variant)
                    })*
                    $($key => Err(reader.error(concat!("a version of ", $name, " up to ", $max))),)*
                    _ => Err(reader.error("a record type of Kafka 4.3")),
                }
            }
        }

        $(impl From<$type> for MetadataRecord {
            fn from(record: $type) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

metadata_records! {
    RegisterBroker(RegisterBrokerRecord) = 0, max 4, "REGISTER_BROKER_RECORD";
    UnregisterBroker(UnregisterBrokerRecord) = 1, max 0, "UNREGISTER_BROKER_RECORD";
    Topic(TopicRecord) = 2, max 0, "TOPIC_RECORD";
    Partition(PartitionRecord) = 3, max 2, "PARTITION_RECORD";
    Config(ConfigRecord) = 4, max 0, "CONFIG_RECORD";
    PartitionChange(PartitionChangeRecord) = 5, max 2, "PARTITION_CHANGE_RECORD";
    FenceBroker(FenceBrokerRecord) = 7, max 0, "FENCE_BROKER_RECORD";
    UnfenceBroker(UnfenceBrokerRecord) = 8, max 0, "UNFENCE_BROKER_RECORD";
    RemoveTopic(RemoveTopicRecord) = 9, max 0, "REMOVE_TOPIC_RECORD";
    DelegationToken(DelegationTokenRecord) = 10, max 0, "DELEGATION_TOKEN_RECORD";
    UserScramCredential(UserScramCredentialRecord) = 11, max 0, "USER_SCRAM_CREDENTIAL_RECORD";
    FeatureLevel(FeatureLevelRecord) = 12, max 0, "FEATURE_LEVEL_RECORD";
    ClientQuota(ClientQuotaRecord) = 14, max 0, "CLIENT_QUOTA_RECORD";
    ProducerIds(ProducerIdsRecord) = 15, max 0, "PRODUCER_IDS_RECORD";
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17, max 3,
        "BROKER_REGISTRATION_CHANGE_RECORD";
    AccessControlEntry(AccessControlEntryRecord) = 18, max 0, "ACCESS_CONTROL_ENTRY_RECORD";
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord) = 19, max 0,
        "REMOVE_ACCESS_CONTROL_ENTRY_RECORD";
    NoOp(NoOpRecord) = 20, max 0, "NO_OP_RECORD";
    RemoveUserScramCredential(RemoveUserScramCredentialRecord) = 22, max 0,
        "REMOVE_USER_SCRAM_CREDENTIAL_RECORD";
    BeginTransaction(BeginTransactionRecord) = 23, max 0, "BEGIN_TRANSACTION_RECORD";
    EndTransaction(EndTransactionRecord) = 24, max 0, "END_TRANSACTION_RECORD";
    AbortTransaction(AbortTransactionRecord) = 25, max 0, "ABORT_TRANSACTION_RECORD";
    RemoveDelegationToken(RemoveDelegationTokenRecord) = 26, max 0,
        "REMOVE_DELEGATION_TOKEN_RECORD";
    RegisterController(RegisterControllerRecord) = 27, max 0, "REGISTER_CONTROLLER_RECORD";
    ClearElr(ClearElrRecord) = 28, max 0, "CLEAR_ELR_RECORD";
}
