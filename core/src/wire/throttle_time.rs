//! How long a client is told to wait: a field that nearly every reply has (KIP-13, KIP-124).

use super::request::Reply;
use crate::storage::Slice;

macro_rules! replies {
    ($reply:expr, $ms:expr, having: $($having:ident)*, lacking: $($lacking:ident)*) => {
        match $reply {
            $(Self::$having(reply) => reply.throttle_time_ms = $ms,)*
            $(Self::$lacking(_) => {})*
            Self::Fetch(reply) => reply.response.throttle_time_ms = $ms,
            Self::Metadata(reply) => reply.response.throttle_time_ms = $ms,
            Self::Nothing => {}
        }
    };
}

impl Reply {
    /// Tells the client how long it is made to wait, where the reply has a place for it.
    pub fn set_throttle_time_ms(&mut self, throttle_time_ms: i32) {
        replies! {
            self, throttle_time_ms,
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
