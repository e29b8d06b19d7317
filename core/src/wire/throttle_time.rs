//! How long a client is told to wait: a field that nearly every reply has (KIP-13, KIP-124).

use super::request::Reply;
use crate::storage::Slice;

/// The field of a reply, borrowed as asked for; `None` where it has none.
macro_rules! throttle_time {
    ($reply:expr, $borrow:tt) => {
        throttle_time! {
            $reply, $borrow,
            having:
                Produce ListOffsets ApiVersions CreateTopics DeleteTopics DeleteRecords
                InitProducerId OffsetForLeaderEpoch DescribeAcls CreateAcls DeleteAcls
                DescribeConfigs AlterConfigs AlterReplicaLogDirs DescribeLogDirs CreatePartitions
                CreateDelegationToken RenewDelegationToken ExpireDelegationToken
                DescribeDelegationToken ElectLeaders IncrementalAlterConfigs
                AlterPartitionReassignments ListPartitionReassignments DescribeClientQuotas
                AlterClientQuotas DescribeUserScramCredentials AlterUserScramCredentials
                UpdateFeatures DescribeCluster DescribeProducers UnregisterBroker
                ListConfigResources DescribeTopicPartitions DeleteGroups DescribeGroups
                FindCoordinator Heartbeat JoinGroup LeaveGroup ListGroups OffsetCommit OffsetDelete
                OffsetFetch SyncGroup,
            lacking: DescribeQuorum SaslAuthenticate SaslHandshake
        }
    };
    ($reply:expr, $borrow:tt, having: $($having:ident)*, lacking: $($lacking:ident)*) => {
        match $reply {
            $(Self::$having(reply) => throttle_time!($borrow reply.throttle_time_ms),)*
            $(Self::$lacking(_) => None,)*
            Self::Fetch(reply) => throttle_time!($borrow reply.response.throttle_time_ms),
            Self::Metadata(reply) => throttle_time!($borrow reply.response.throttle_time_ms),
            Self::Nothing => None,
        }
    };
    (shared $field:expr) => { Some($field) };
    (exclusive $field:expr) => { Some(&mut $field) };
}

impl Reply {
    /// Tells the client how long it is made to wait, where the reply has a place for it.
    pub fn set_throttle_time_ms(&mut self, throttle_time_ms: i32) {
        if let Some(field) = throttle_time!(self, exclusive) {
            *field = throttle_time_ms;
        }
    }

    /// How long the client is told to wait; `None` where the reply has no place for it.
    #[must_use]
    pub fn throttle_time_ms(&self) -> Option<i32> {
        throttle_time!(self, shared)
    }

    /// Bytes of records that the reply carries.
    #[must_use]
    pub fn records_bytes(&self) -> u64 {
        let Self::Fetch(reply) = self else {
            return 0;
        };
        let slices = reply.records.iter().flatten().flatten();
        slices.map(|slice: &Slice| slice.size_bytes() as u64).sum()
    }
}
