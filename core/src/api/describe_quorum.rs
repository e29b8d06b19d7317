//! DescribeQuorum: who leads the metadata log, and how far each voter is (KIP-595, KIP-836).
//!
//! The quorum has one partition; a request that asks for anything else is refused partition by
//! partition. Checked against Apache Kafka 4.3.1.

use kafka_wire::describe_quorum_request::DescribeQuorumRequest;
use kafka_wire::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_wire_core::StrBytes;

use super::describe_producers::NOT_HOSTED;
use crate::error::ErrorCode;
use crate::ids::{DirectoryId, LeaderEpoch, NodeId, Offset};
use crate::metadata::records::EndpointData;
use crate::time::Timestamp;

/// The name of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// A member of the quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replica {
    /// The node.
    pub node: NodeId,
    /// Its metadata directory.
    pub directory: DirectoryId,
    /// How far its log goes.
    pub log_end_offset: Offset,
    /// When it fetched last; now, for the leader.
    pub last_fetch: Timestamp,
    /// When it had caught up last; now, for the leader.
    pub last_caught_up: Timestamp,
    /// Where it is reached as a controller.
    pub endpoints: Vec<EndpointData>,
}

/// The state of the quorum.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuorumView {
    /// The leader.
    pub leader: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// The voters, the leader among them.
    pub voters: Vec<Replica>,
    /// Those who follow without a vote.
    pub observers: Vec<Replica>,
}

/// First version whose answer has the times of fetches.
const TIMES_VERSION: i16 = 1;

/// First version whose answer has messages, directories and nodes.
const DIRECTORIES_VERSION: i16 = 2;

/// Answers a DescribeQuorum request of `version`.
#[must_use]
pub fn answer(
    quorum: &QuorumView,
    version: i16,
    request: &DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let is_right = matches!(
        request.topics.as_slice(),
        [topic] if topic.topic_name.as_str() == METADATA_TOPIC
            && matches!(topic.partitions.as_slice(), [only] if only.partition_index == 0)
    );
    let mut response = DescribeQuorumResponse::default();
    response.topics = request
        .topics
        .iter()
        .map(|asked| {
            let mut topic = TopicData::default();
            topic.topic_name = asked.topic_name.clone();
            topic.partitions = asked
                .partitions
                .iter()
                .map(|_| {
                    if is_right {
                        state(quorum, version)
                    } else {
                        not_hosted(version)
                    }
                })
                .collect();
            for (told, asked) in topic.partitions.iter_mut().zip(&asked.partitions) {
                told.partition_index = asked.partition_index;
            }
            topic
        })
        .collect();
    if is_right && version >= DIRECTORIES_VERSION {
        response.nodes = quorum.voters.iter().map(node).collect();
    }
    response
}

fn state(quorum: &QuorumView, version: i16) -> PartitionData {
    let told_all = |replicas: &[Replica]| {
        let told = replicas.iter().map(|member| replica(member, version));
        told.collect()
    };
    let mut told = PartitionData::default();
    told.leader_id = quorum.leader.0;
    told.leader_epoch = quorum.leader_epoch.0;
    told.high_watermark = quorum.high_watermark.0;
    told.current_voters = told_all(&quorum.voters);
    told.observers = told_all(&quorum.observers);
    told
}

fn not_hosted(version: i16) -> PartitionData {
    let mut told = PartitionData::default();
    told.error_code = ErrorCode::UnknownTopicOrPartition.code();
    if version >= DIRECTORIES_VERSION {
        told.error_message = Some(StrBytes::from(NOT_HOSTED));
    }
    told
}

fn replica(replica: &Replica, version: i16) -> ReplicaState {
    let mut told = ReplicaState::default();
    told.replica_id = replica.node.0;
    if version >= DIRECTORIES_VERSION {
        told.replica_directory_id = replica.directory.into();
    }
    told.log_end_offset = replica.log_end_offset.0;
    if version >= TIMES_VERSION {
        told.last_fetch_timestamp = replica.last_fetch.0;
        told.last_caught_up_timestamp = replica.last_caught_up.0;
    }
    told
}

fn node(replica: &Replica) -> Node {
    let mut told = Node::default();
    told.node_id = replica.node.0;
    told.listeners = replica
        .endpoints
        .iter()
        .map(|endpoint| {
            let mut listener = Listener::default();
            listener.name = StrBytes::from(&*endpoint.name);
            listener.host = StrBytes::from(&*endpoint.host);
            listener.port = endpoint.port;
            listener
        })
        .collect();
    told
}
