//! One file per API: a request becomes calls on the rooms, and their answers a reply.
//!
//! Handlers translate; what a request may do is decided by the rooms they call. A handler that
//! cannot answer yet parks the request in `Broker::waiting`.

use std::sync::Arc;

use crate::ids::ListenerId;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;
use crate::waiting::ReplyTo;
use crate::wire::request::{Reply, Request, RequestHead};

pub mod acls;
pub mod alter_configs;
pub mod alter_replica_log_dirs;
pub mod api_versions;
mod change;
pub mod client_quotas;
pub mod cluster_view;
pub mod create_partitions;
pub mod create_topics;
pub mod delegation_tokens;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
mod describe;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod fetch;
pub mod find_coordinator;
pub mod group_writes;
pub mod heartbeat;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod partition_reassignments;
pub mod produce;
pub mod sasl;
pub mod sync_group;
pub mod unregister_broker;
pub mod update_features;
pub mod user_scram_credentials;

/// Who asks, and where the answer goes.
#[derive(Clone, Debug)]
pub struct Requester {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// The listener the client came to.
    pub listener: ListenerId,
    /// The client's address, without the port.
    pub peer_host: Arc<str>,
    /// API, version, client id.
    pub head: RequestHead,
}

impl Requester {
    /// The version the client speaks.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.head.version
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "moved once, straight into the outbox"
)]
pub enum Handled {
    /// The connection is to be closed, for this reason.
    Close(&'static str),
    /// The request waits; it is answered by whoever ends its wait.
    Parked,
    /// The answer.
    Reply(Reply),
}

/// Hands a request to the file of its API.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is matched one by one in the next function"
)]
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: Request,
    out: &mut Outbox,
) -> Handled {
    match request {
        Request::DeleteRecords(request) => delete_records::handle(broker, now, from, &request, out),
        Request::Fetch(request) => fetch::handle(broker, now, from, &request, out),
        Request::InitProducerId(request) => {
            init_producer_id::handle(broker, now, from, &request, out)
        }
        Request::ListOffsets(request) => list_offsets::handle(broker, from, &request, out),
        Request::OffsetForLeaderEpoch(request) => offset_for_leader_epoch::handle(broker, &request),
        Request::Produce(input) => produce::handle(broker, now, from, input, out),
        other => coordinate(broker, now, from, other, out),
    }
}

/// Hands a request about groups to the file of its API.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is matched one by one in the next function"
)]
fn coordinate(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: Request,
    out: &mut Outbox,
) -> Handled {
    match request {
        Request::DeleteGroups(request) => delete_groups::handle(broker, now, from, &request, out),
        Request::DescribeGroups(request) => {
            Handled::Reply(describe_groups::handle(broker, from, &request))
        }
        Request::FindCoordinator(request) => {
            Handled::Reply(find_coordinator::handle(broker, now, from, &request, out))
        }
        Request::Heartbeat(request) => heartbeat::handle(broker, now, from, &request, out),
        Request::JoinGroup(request) => join_group::handle(broker, now, from, &request, out),
        Request::LeaveGroup(request) => leave_group::handle(broker, now, from, &request, out),
        Request::ListGroups(request) => Handled::Reply(list_groups::handle(broker, &request)),
        Request::OffsetCommit(request) => offset_commit::handle(broker, now, from, &request, out),
        Request::OffsetDelete(request) => offset_delete::handle(broker, now, from, &request, out),
        Request::OffsetFetch(request) => {
            Handled::Reply(offset_fetch::handle(broker, from, &request))
        }
        Request::SyncGroup(request) => sync_group::handle(broker, now, from, &request, out),
        other => administer(broker, now, from, other, out),
    }
}

/// Hands a request of administration to the file of its API: here those that only ask.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is matched one by one in the next function"
)]
fn administer(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: Request,
    out: &mut Outbox,
) -> Handled {
    Handled::Reply(match request {
        Request::AlterPartitionReassignments(request) => {
            let answer = partition_reassignments::alter(broker, &request);
            Reply::AlterPartitionReassignments(answer)
        }
        Request::AlterReplicaLogDirs(request) => {
            let answer = alter_replica_log_dirs::answer(broker, now, &request, out);
            Reply::AlterReplicaLogDirs(answer)
        }
        Request::ApiVersions(request) => describe::api_versions(broker, from, &request),
        Request::DescribeAcls(request) => return acls::describe(&request),
        Request::DescribeClientQuotas(request) => {
            Reply::DescribeClientQuotas(client_quotas::describe(&broker.image, &request))
        }
        Request::DescribeCluster(request) => describe::cluster(broker, from, &request),
        Request::DescribeConfigs(request) => describe::configs(broker, &request),
        Request::DescribeDelegationToken(_) => {
            Reply::DescribeDelegationToken(delegation_tokens::describe())
        }
        Request::DescribeLogDirs(request) => describe::log_dirs(broker, &request),
        Request::DescribeProducers(request) => describe::producers(broker, &request),
        Request::DescribeQuorum(request) => describe::quorum(broker, now, from, &request),
        Request::DescribeTopicPartitions(request) => {
            describe::topic_partitions(broker, from, &request)
        }
        Request::DescribeUserScramCredentials(request) => {
            let answer = user_scram_credentials::describe(&broker.image, &request);
            Reply::DescribeUserScramCredentials(answer)
        }
        Request::ListConfigResources(request) => describe::config_resources(broker, from, &request),
        Request::ListPartitionReassignments(request) => {
            let answer = partition_reassignments::list(broker, &request);
            Reply::ListPartitionReassignments(answer)
        }
        Request::Metadata(request) => metadata::handle(broker, now, from, &request, out),
        Request::SaslAuthenticate(_) => Reply::SaslAuthenticate(sasl::authenticate()),
        Request::SaslHandshake(_) => Reply::SaslHandshake(sasl::handshake()),
        other => return change_metadata(broker, now, from, other, out),
    })
}

/// Hands a request that changes the metadata to the file of its API.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the callers took the other requests, and an API that is served by none is a bug"
)]
fn change_metadata(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: Request,
    out: &mut Outbox,
) -> Handled {
    Handled::Reply(match request {
        Request::AlterClientQuotas(request) => {
            return client_quotas::handle(broker, now, from, &request, out);
        }
        Request::AlterConfigs(request) => {
            return alter_configs::handle_legacy(broker, now, from, &request, out);
        }
        Request::AlterUserScramCredentials(request) => {
            return user_scram_credentials::handle(broker, now, from, &request, out);
        }
        Request::CreateAcls(request) => return acls::create(&request),
        Request::CreateDelegationToken(request) => {
            Reply::CreateDelegationToken(delegation_tokens::create(from.version(), &request))
        }
        Request::CreatePartitions(request) => {
            return create_partitions::handle(broker, now, from, &request, out);
        }
        Request::CreateTopics(request) => {
            return create_topics::handle(broker, now, from, &request, out);
        }
        Request::DeleteAcls(request) => return acls::delete(&request),
        Request::DeleteTopics(request) => {
            return delete_topics::handle(broker, now, from, &request, out);
        }
        Request::ElectLeaders(request) => {
            return elect_leaders::handle(broker, now, from, &request, out);
        }
        Request::ExpireDelegationToken(_) => {
            Reply::ExpireDelegationToken(delegation_tokens::expire())
        }
        Request::IncrementalAlterConfigs(request) => {
            return alter_configs::handle_incremental(broker, now, from, &request, out);
        }
        Request::RenewDelegationToken(_) => Reply::RenewDelegationToken(delegation_tokens::renew()),
        Request::UnregisterBroker(request) => {
            return unregister_broker::handle(broker, now, from, &request, out);
        }
        Request::UpdateFeatures(request) => {
            return update_features::handle(broker, now, from, &request, out);
        }
        other => unreachable!("{} has been handed out before", other.api_name()),
    })
}
