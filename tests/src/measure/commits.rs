//! Offset commits of one group: how many a second, and what each costs.

use std::io;

use kafka_wire::OffsetCommitRequest;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire_core::StrBytes;

use super::member::{Member, refused};
use super::{Target, fresh_name};

const OFFSET_COMMIT: i16 = 7;

/// Partitions of the topic whose offsets are committed.
const PARTITIONS: i32 = 100;

/// Requests that are on their way at once, as several consumers of a group have.
const IN_FLIGHT: u64 = 64;

/// Commits of a group without members, each with one partition, then each with all of them. An
/// answer comes when the commit is durable.
pub(super) fn commits(target: &Target) -> io::Result<Vec<String>> {
    let topic = fresh_name("commits");
    let mut member = Member::connect(&target.address, &fresh_name("commit"))?;
    member.client.create_topic(&topic, PARTITIONS)?;
    let mut lines = Vec::new();
    for (requests, partitions) in [(40_000u64, 1), (2_000, PARTITIONS)] {
        let took = target.time(|| {
            for number in 0..requests + IN_FLIGHT {
                if number < requests {
                    let request = request(&member.group, &topic, number, partitions);
                    member.client.send(OFFSET_COMMIT, &request)?;
                }
                if number >= IN_FLIGHT {
                    receive(&mut member)?;
                }
            }
            Ok(())
        })?;
        let offsets = requests * u64::from(partitions.unsigned_abs());
        lines.push(format!(
            "commits of {partitions} partitions, {IN_FLIGHT} in flight: {} requests and {} offsets \
             a second, {}",
            took.per_second(requests),
            took.per_second(offsets),
            took.each(requests)
        ));
    }
    Ok(lines)
}

fn request(group: &StrBytes, topic: &str, number: u64, partitions: i32) -> OffsetCommitRequest {
    let first = i32::try_from(number % PARTITIONS.unsigned_abs() as u64).unwrap_or(0);
    let mut of_topic = OffsetCommitRequestTopic::default();
    of_topic.name = StrBytes::from(topic);
    of_topic.partitions = (0..partitions)
        .map(|next| {
            let mut partition = OffsetCommitRequestPartition::default();
            partition.partition_index = (first + next) % PARTITIONS;
            partition.committed_offset = i64::try_from(number).unwrap_or(0);
            partition.committed_leader_epoch = -1;
            partition.committed_metadata = Some(StrBytes::from(""));
            partition
        })
        .collect();
    let mut request = OffsetCommitRequest::default();
    request.group_id = group.clone();
    request.generation_id_or_member_epoch = -1;
    request.topics = vec![of_topic];
    request
}

fn receive(member: &mut Member) -> io::Result<()> {
    let answer = member
        .client
        .receive::<OffsetCommitRequest>(OFFSET_COMMIT)?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    match partitions
        .map(|partition| partition.error_code)
        .find(|&code| code != 0)
    {
        None => Ok(()),
        Some(code) => Err(refused("OffsetCommit", code)),
    }
}
