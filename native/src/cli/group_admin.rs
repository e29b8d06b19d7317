//! Questions about groups: where they are, who is in them, what they have committed.
//!
//! Groups of the classic protocol, and of KIP-848 where the broker serves them; each of its members
//! is asked of the coordinator. Typed answers only; how they are printed belongs to the tools.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_wire::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_wire::{
    ConsumerGroupDescribeRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest,
};
use kafka_wire_core::StrBytes;
use ottla_core::client::group::protocol::Assignment;
use ottla_core::error::ErrorCode;

use crate::cli::admin;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// Pause between two attempts (`retry.backoff.ms`).
const PAUSE: Duration = Duration::from_millis(100);

/// A partition by name.
pub(crate) type Partition = (String, i32);

/// A group in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Listed {
    pub(crate) group: String,
    pub(crate) protocol_type: String,
    pub(crate) state: String,
    pub(crate) kind: String,
}

impl Listed {
    /// Whether its members are consumers, or it has offsets alone.
    pub(crate) fn is_of_consumers(&self) -> bool {
        match self.kind.as_str() {
            "Consumer" => true,
            "Classic" => matches!(self.protocol_type.as_str(), "consumer" | ""),
            _other => false,
        }
    }
}

/// A member of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) host: String,
    pub(crate) client_id: String,
    /// Of the newer protocol alone.
    pub(crate) epoch: Option<i32>,
    pub(crate) assigned: BTreeSet<Partition>,
    /// Where the group wants it to be; of the newer protocol alone.
    pub(crate) target: Option<BTreeSet<Partition>>,
}

/// A group with its members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    pub(crate) coordinator: i32,
    pub(crate) state: String,
    pub(crate) assignor: String,
    /// The group's epoch and that of its target assignment; of the newer protocol alone.
    pub(crate) epochs: Option<(i32, i32)>,
    pub(crate) members: Vec<Member>,
}

/// What a group has committed for a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    /// Negative where it was not told.
    pub(crate) leader_epoch: i32,
}

/// Every group of every broker, in the order of their answers.
pub(crate) fn list(cluster: &mut Cluster) -> Result<Vec<Listed>, Failure> {
    let brokers = cluster.brokers()?.brokers;
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for broker in brokers {
        let answer = retried(cluster, |cluster| {
            let answer = cluster.call_node(broker.node_id, ListGroupsRequest::default())?;
            Ok((answer.error_code, answer))
        })?;
        admin::check(answer.error_code, None)?;
        for group in answer.groups {
            let kind = if group.group_type.is_empty() {
                "Classic"
            } else {
                &group.group_type
            };
            let listed = Listed {
                group: group.group_id.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
                kind: capitalised(kind),
            };
            if seen.insert(listed.group.clone()) {
                groups.push(listed);
            }
        }
    }
    Ok(groups)
}

/// `classic` as the tools print it: `Classic`.
fn capitalised(word: &str) -> String {
    let lower = word.to_lowercase();
    let mut characters = lower.chars();
    let first = characters
        .next()
        .map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// Asks until the answer is not that the coordinator is on its way.
///
/// No longer than one request may take (`--timeout`).
fn retried<T>(
    cluster: &mut Cluster,
    mut ask: impl FnMut(&mut Cluster) -> Result<(i16, T), Failure>,
) -> Result<T, Failure> {
    let limit = Duration::from_millis(u64::try_from(cluster.request_timeout_ms()).unwrap_or(0));
    let began = Instant::now();
    loop {
        let (code, answer) = ask(cluster)?;
        let passes = matches!(
            ErrorCode::from_code(code),
            Some(
                ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator
            )
        );
        if !passes || began.elapsed() >= limit {
            return Ok(answer);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The node that coordinates a group.
pub(crate) fn coordinator(cluster: &mut Cluster, group: &str) -> Result<i32, Failure> {
    let found = retried(cluster, |cluster| {
        let mut request = FindCoordinatorRequest::default();
        request.coordinator_keys = vec![StrBytes::from(group)];
        let answer = cluster.call(request)?;
        let found = answer.coordinators.into_iter().next().unwrap_or_default();
        Ok((found.error_code, found))
    })?;
    admin::check(found.error_code, found.error_message.as_ref())?;
    Ok(found.node_id)
}

/// Asks the coordinator of a group; looks for it again where it is another one meanwhile.
fn at_coordinator<T>(
    cluster: &mut Cluster,
    group: &str,
    mut ask: impl FnMut(&mut Cluster, i32) -> Result<(i16, T), Failure>,
) -> Result<T, Failure> {
    retried(cluster, |cluster| {
        let node = coordinator(cluster, group)?;
        ask(cluster, node)
    })
}

/// A refusal with its Java class in front, as Kafka's tools print what an answer failed with.
pub(crate) fn with_class(code: i16, message: Option<&StrBytes>) -> String {
    format!(
        "{}: {}",
        admin::exception_name(code),
        admin::words(code, message)
    )
}

/// A group with its members; the error of one that is not there.
pub(crate) fn describe(
    cluster: &mut Cluster,
    group: &str,
) -> Result<Result<Described, String>, Failure> {
    let node = coordinator(cluster, group)?;
    let is_newer = cluster
        .node(node)?
        .version_of::<ConsumerGroupDescribeRequest>()
        .is_some();
    if is_newer && let Some(described) = describe_newer(cluster, node, group)? {
        return Ok(Ok(described));
    }
    let (node, answer) = at_coordinator(cluster, group, |cluster, node| {
        let mut request = DescribeGroupsRequest::default();
        request.groups = vec![StrBytes::from(group)];
        let answer = cluster.call_node(node, request)?.groups.into_iter().next();
        let answer = answer.unwrap_or_default();
        Ok((answer.error_code, (node, answer)))
    })?;
    if answer.error_code != 0 {
        return Ok(Err(with_class(
            answer.error_code,
            answer.error_message.as_ref(),
        )));
    }
    let members = answer.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        host: member.client_host.to_string(),
        client_id: member.client_id.to_string(),
        assigned: assigned(&member.member_assignment),
        ..Member::default()
    });
    Ok(Ok(Described {
        coordinator: node,
        state: answer.group_state.to_string(),
        assignor: answer.protocol_data.to_string(),
        epochs: None,
        members: members.collect(),
    }))
}

fn assigned(blob: &Bytes) -> BTreeSet<Partition> {
    let assignment = Assignment::decode(blob).unwrap_or_default();
    let partitions = assignment.partitions.iter();
    partitions
        .map(|of| (of.topic.to_string(), of.partition.0))
        .collect()
}

/// A group of KIP-848; `None` where it is not one.
fn describe_newer(
    cluster: &mut Cluster,
    node: i32,
    group: &str,
) -> Result<Option<Described>, Failure> {
    let mut request = ConsumerGroupDescribeRequest::default();
    request.group_ids = vec![StrBytes::from(group)];
    let answer = cluster.call_node(node, request)?.groups.into_iter().next();
    let Some(answer) = answer.filter(|answer| answer.error_code == 0) else {
        return Ok(None);
    };
    let members = answer.members.iter().map(|member| {
        let named = |assignment: &kafka_wire::consumer_group_describe_response::Assignment| {
            let topics = assignment.topic_partitions.iter();
            let partitions = topics.flat_map(|topic| {
                let name = topic.topic_name.to_string();
                topic
                    .partitions
                    .iter()
                    .map(move |partition| (name.clone(), *partition))
            });
            partitions.collect::<BTreeSet<Partition>>()
        };
        Member {
            id: member.member_id.to_string(),
            instance_id: member.instance_id.as_ref().map(ToString::to_string),
            host: member.client_host.to_string(),
            client_id: member.client_id.to_string(),
            epoch: Some(member.member_epoch),
            assigned: named(&member.assignment),
            target: Some(named(&member.target_assignment)),
        }
    });
    Ok(Some(Described {
        coordinator: node,
        state: answer.group_state.to_string(),
        assignor: answer.assignor_name.to_string(),
        epochs: Some((answer.group_epoch, answer.assignment_epoch)),
        members: members.collect(),
    }))
}

/// Everything a group has committed.
pub(crate) fn committed(
    cluster: &mut Cluster,
    group: &str,
) -> Result<BTreeMap<Partition, Committed>, Failure> {
    let answer = at_coordinator(cluster, group, |cluster, node| {
        let mut of = OffsetFetchRequestGroup::default();
        of.group_id = StrBytes::from(group);
        of.topics = None;
        let mut request = OffsetFetchRequest::default();
        request.groups = vec![of];
        let answer = cluster.call_node(node, request)?.groups.into_iter().next();
        let answer = answer.unwrap_or_default();
        Ok((answer.error_code, answer))
    })?;
    admin::check(answer.error_code, None)?;
    let mut committed = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            if partition.committed_offset >= 0 {
                let found = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                };
                committed.insert((topic.name.to_string(), partition.partition_index), found);
            }
        }
    }
    Ok(committed)
}

/// Commits offsets for a group without members.
pub(crate) fn commit(
    cluster: &mut Cluster,
    group: &str,
    offsets: &BTreeMap<Partition, i64>,
) -> Result<(), Failure> {
    let mut request = OffsetCommitRequest::default();
    request.group_id = StrBytes::from(group);
    request.generation_id_or_member_epoch = -1;
    for ((topic, index), offset) in offsets {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = *index;
        partition.committed_offset = *offset;
        partition.committed_leader_epoch = -1;
        partition.committed_metadata = Some(StrBytes::from(""));
        match request.topics.last_mut() {
            Some(last) if *last.name == **topic => last.partitions.push(partition),
            Some(_) | None => {
                let mut named = OffsetCommitRequestTopic::default();
                named.name = StrBytes::from(topic.as_str());
                named.partitions = vec![partition];
                request.topics.push(named);
            }
        }
    }
    let code = at_coordinator(cluster, group, |cluster, node| {
        let answer = cluster.call_node(node, request.clone())?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let failed = partitions.find(|partition| partition.error_code != 0);
        let code = failed.map_or(0, |failed| failed.error_code);
        Ok((code, code))
    })?;
    admin::check(code, None)
}

/// Deletes a group; its error otherwise.
pub(crate) fn delete(cluster: &mut Cluster, group: &str) -> Result<Result<(), String>, Failure> {
    let code = at_coordinator(cluster, group, |cluster, node| {
        let mut request = DeleteGroupsRequest::default();
        request.groups_names = vec![StrBytes::from(group)];
        let answer = cluster.call_node(node, request)?;
        let code = answer.results.first().map_or(0, |result| result.error_code);
        Ok((code, code))
    })?;
    Ok(if code == 0 {
        Ok(())
    } else {
        Err(with_class(code, None))
    })
}

/// Deletes a group's offsets of partitions.
pub(crate) fn delete_offsets(
    cluster: &mut Cluster,
    group: &str,
    partitions: &BTreeSet<Partition>,
) -> Result<OffsetDeleteResponse, Failure> {
    let mut request = OffsetDeleteRequest::default();
    request.group_id = StrBytes::from(group);
    for (topic, index) in partitions {
        let mut partition = OffsetDeleteRequestPartition::default();
        partition.partition_index = *index;
        match request.topics.last_mut() {
            Some(last) if *last.name == **topic => last.partitions.push(partition),
            Some(_) | None => {
                let mut named = OffsetDeleteRequestTopic::default();
                named.name = StrBytes::from(topic.as_str());
                named.partitions = vec![partition];
                request.topics.push(named);
            }
        }
    }
    at_coordinator(cluster, group, |cluster, node| {
        let answer = cluster.call_node(node, request.clone())?;
        Ok((answer.error_code, answer))
    })
}
