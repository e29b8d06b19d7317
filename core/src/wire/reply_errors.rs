//! The error codes that a reply tells, wherever in it they stand.
//!
//! For counting only: no decision is made by them. Success is not told.

use crate::wire::request::Reply;

/// Calls `tell` for each error of a reply; the same code as often as it stands there.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the rest has one code for the whole answer or none, see the next function"
)]
pub fn for_each_error(reply: &Reply, mut tell: impl FnMut(i16)) {
    let tell: &mut dyn FnMut(i16) = &mut |code| {
        if code != 0 {
            tell(code);
        }
    };
    match reply {
        Reply::Produce(reply) => {
            let parts = reply.responses.iter().flat_map(|t| &t.partition_responses);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::Fetch(reply) => {
            tell(reply.response.error_code);
            let parts = reply.response.responses.iter().flat_map(|t| &t.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::ListOffsets(reply) => {
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::OffsetForLeaderEpoch(reply) => {
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::DeleteRecords(reply) => {
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::DescribeProducers(reply) => {
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::Metadata(reply) => {
            // Nothing is wrong with topics that are encoded already.
            let topics = reply.response.topics.iter();
            topics.for_each(|topic| tell(topic.error_code));
        }
        Reply::DescribeTopicPartitions(reply) => {
            reply.topics.iter().for_each(|topic| tell(topic.error_code));
        }
        Reply::CreateTopics(reply) => {
            reply.topics.iter().for_each(|topic| tell(topic.error_code));
        }
        Reply::DeleteTopics(reply) => {
            let topics = reply.responses.iter();
            topics.for_each(|topic| tell(topic.error_code));
        }
        other => for_each_of_groups(other, tell),
    }
}

/// Groups and their offsets.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the data path is matched above, the rest in the next function"
)]
fn for_each_of_groups(reply: &Reply, tell: &mut dyn FnMut(i16)) {
    match reply {
        Reply::FindCoordinator(reply) => {
            tell(reply.error_code);
            let found = reply.coordinators.iter();
            found.for_each(|part| tell(part.error_code));
        }
        Reply::JoinGroup(reply) => tell(reply.error_code),
        Reply::SyncGroup(reply) => tell(reply.error_code),
        Reply::Heartbeat(reply) => tell(reply.error_code),
        Reply::LeaveGroup(reply) => {
            tell(reply.error_code);
            reply.members.iter().for_each(|part| tell(part.error_code));
        }
        Reply::OffsetCommit(reply) => {
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::OffsetFetch(reply) => {
            tell(reply.error_code);
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
            for group in &reply.groups {
                tell(group.error_code);
                let parts = group.topics.iter().flat_map(|topic| &topic.partitions);
                parts.for_each(|part| tell(part.error_code));
            }
        }
        Reply::OffsetDelete(reply) => {
            tell(reply.error_code);
            let parts = reply.topics.iter().flat_map(|topic| &topic.partitions);
            parts.for_each(|part| tell(part.error_code));
        }
        Reply::DescribeGroups(reply) => {
            reply.groups.iter().for_each(|part| tell(part.error_code));
        }
        Reply::ListGroups(reply) => tell(reply.error_code),
        Reply::DeleteGroups(reply) => {
            reply.results.iter().for_each(|part| tell(part.error_code));
        }
        other => for_each_of_the_rest(other, tell),
    }
}

/// Administration: an error for each thing named, or one for the whole.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the data path is matched above; an answer without a code has nothing to tell"
)]
fn for_each_of_the_rest(reply: &Reply, tell: &mut dyn FnMut(i16)) {
    match reply {
        Reply::CreateAcls(reply) => reply.results.iter().for_each(|part| tell(part.error_code)),
        Reply::DeleteAcls(reply) => {
            let filters = reply.filter_results.iter();
            filters.for_each(|part| tell(part.error_code));
        }
        Reply::DescribeConfigs(reply) => {
            reply.results.iter().for_each(|part| tell(part.error_code));
        }
        Reply::AlterConfigs(reply) => {
            reply
                .responses
                .iter()
                .for_each(|part| tell(part.error_code));
        }
        Reply::IncrementalAlterConfigs(reply) => {
            reply
                .responses
                .iter()
                .for_each(|part| tell(part.error_code));
        }
        Reply::CreatePartitions(reply) => {
            reply.results.iter().for_each(|part| tell(part.error_code));
        }
        Reply::AlterUserScramCredentials(reply) => {
            reply.results.iter().for_each(|part| tell(part.error_code));
        }
        Reply::DescribeLogDirs(reply) => {
            tell(reply.error_code);
            reply.results.iter().for_each(|part| tell(part.error_code));
        }
        Reply::ApiVersions(reply) => tell(reply.error_code),
        Reply::InitProducerId(reply) => tell(reply.error_code),
        Reply::DescribeAcls(reply) => tell(reply.error_code),
        Reply::DescribeCluster(reply) => tell(reply.error_code),
        Reply::DescribeQuorum(reply) => tell(reply.error_code),
        Reply::DescribeUserScramCredentials(reply) => tell(reply.error_code),
        Reply::CreateDelegationToken(reply) => tell(reply.error_code),
        Reply::RenewDelegationToken(reply) => tell(reply.error_code),
        Reply::ExpireDelegationToken(reply) => tell(reply.error_code),
        Reply::DescribeDelegationToken(reply) => tell(reply.error_code),
        Reply::ListConfigResources(reply) => tell(reply.error_code),
        Reply::SaslAuthenticate(reply) => tell(reply.error_code),
        Reply::SaslHandshake(reply) => tell(reply.error_code),
        _without_a_code => {}
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::ProduceResponse;
    use kafka_wire::produce_response::{PartitionProduceResponse, TopicProduceResponse};

    use super::*;

    #[test]
    fn every_part_is_told_and_success_is_not() {
        let mut topic = TopicProduceResponse::default();
        topic.partition_responses = [0, 3, 3]
            .map(|code| {
                let mut part = PartitionProduceResponse::default();
                part.error_code = code;
                part
            })
            .into();
        let mut response = ProduceResponse::default();
        response.responses.push(topic);
        let mut told = Vec::new();
        for_each_error(&Reply::Produce(response), |code| told.push(code));
        assert_eq!(told, [3, 3]);
    }
}
