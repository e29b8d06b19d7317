//! Offsets are committed, fetched, deleted and expire.

mod successors;

use kafka_wire::OffsetDeleteRequest;
use kafka_wire::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_wire::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::*;

/// A meeting where offsets are kept for 100 seconds.
fn forgetful() -> Meeting {
    Meeting::with(GroupSettings {
        offsets_retention: Duration::from_secs(100),
        offsets_retention_check_interval: Duration::from_secs(10),
        ..settings()
    })
}

impl Meeting {
    /// What is committed for all partitions, as topic, partition and offset.
    fn fetch_all(&self) -> Vec<(String, i32, i64)> {
        let mut request = OffsetFetchRequestGroup::default();
        request.group_id = "g".into();
        request.topics = None;
        let reply = self.shard.offset_fetch(&request, 9, &self.image);
        assert_eq!(reply.error_code, 0);
        let topics = reply.topics.iter();
        topics
            .flat_map(|topic| {
                topic.partitions.iter().map(|partition| {
                    let name = topic.name.to_string();
                    (name, partition.partition_index, partition.committed_offset)
                })
            })
            .collect()
    }

    fn simple_commit(&mut self, offsets: &[(&str, i32, i64)]) -> Ticket {
        let request = commit_request("g", &MemberId::default(), -1, offsets);
        self.commit_offsets(9, &request)
    }

    fn delete_offset(&mut self, topic: &str, index: i32) -> (ErrorCode, Option<ErrorCode>) {
        let mut partition = OffsetDeleteRequestPartition::default();
        partition.partition_index = index;
        let mut asked = OffsetDeleteRequestTopic::default();
        asked.name = topic.into();
        asked.partitions.push(partition);
        let mut request = OffsetDeleteRequest::default();
        request.group_id = "g".into();
        request.topics.push(asked);
        let image = self.image.clone();
        let (reply, _) = self.act(|shard, _, out| shard.offset_delete(&request, &image, out));
        let first = reply
            .topics
            .first()
            .map(|topic| topic.partitions[0].error_code);
        (code(reply.error_code), first.map(code))
    }
}

#[test]
fn a_simple_consumer_needs_no_group() {
    let mut meeting = Meeting::new();
    let commits = meeting.simple_commit(&[("t", 0, 7), ("u", 3, 9)]);
    assert_eq!(meeting.committed(commits), [ErrorCode::None; 2]);
    let all = meeting.fetch_all();
    assert_eq!(all, [("t".to_owned(), 0, 7), ("u".to_owned(), 3, 9)]);
    assert_eq!(meeting.state(), "Empty");
    let mut topics = OffsetFetchRequestTopics::default();
    topics.name = "t".into();
    topics.partition_indexes = vec![0, 1];
    let mut request = OffsetFetchRequestGroup::default();
    request.group_id = "g".into();
    request.topics = Some(vec![topics]);
    let reply = meeting.shard.offset_fetch(&request, 9, &meeting.image);
    let [known, unknown] = &reply.topics[0].partitions[..] else {
        panic!("two partitions were asked for");
    };
    assert_eq!(
        (known.committed_offset, known.committed_leader_epoch),
        (7, 5)
    );
    assert_eq!(known.metadata.as_deref(), Some("né"));
    assert_eq!(
        (unknown.committed_offset, unknown.committed_leader_epoch),
        (-1, -1)
    );
    assert_eq!(
        (unknown.metadata.as_deref(), unknown.error_code),
        (Some(""), 0)
    );
    request.group_id = "nobody".into();
    let reply = meeting.shard.offset_fetch(&request, 9, &meeting.image);
    assert_eq!(
        (
            reply.error_code,
            reply.topics[0].partitions[0].committed_offset
        ),
        (0, -1)
    );
}

#[test]
fn topics_go_by_their_ids_from_version_10_on() {
    let mut meeting = Meeting::new();
    let mut request = commit_request("g", &MemberId::default(), -1, &[("t", 0, 7), ("t", 0, 8)]);
    for topic in &mut request.topics {
        topic.name = StrBytes::default();
    }
    request.topics[0].topic_id = topic_id("t").into();
    request.topics[1].topic_id = topic_id("z").into();
    let commits = meeting.commit_offsets(10, &request);
    let codes = meeting.committed(commits);
    assert_eq!(codes, [ErrorCode::UnknownTopicId, ErrorCode::None]);
    let asked = |name: &str| {
        let mut topics = OffsetFetchRequestTopics::default();
        topics.topic_id = topic_id(name).into();
        topics.partition_indexes = vec![0];
        topics
    };
    let mut request = OffsetFetchRequestGroup::default();
    request.group_id = "g".into();
    request.topics = Some(vec![asked("z"), asked("t")]);
    let reply = meeting.shard.offset_fetch(&request, 10, &meeting.image);
    assert_eq!(reply.topics[0].partitions[0].committed_offset, 7);
    let unknown = ErrorCode::UnknownTopicId.code();
    assert_eq!(reply.topics[1].partitions[0].error_code, unknown);
}

#[test]
fn what_does_not_exist_or_is_too_long_is_refused_alone() {
    let mut meeting = Meeting::new();
    let offsets = [("t", 0, 1), ("t", 4, 1), ("x", 0, 1), ("u", 0, 1)];
    let mut request = commit_request("g", &MemberId::default(), -1, &offsets);
    let long = Some(StrBytes::from("ä".repeat(4_097)));
    request.topics[3].partitions[0].committed_metadata = long;
    let commits = meeting.commit_offsets(9, &request);
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(
        meeting.committed(commits),
        // `t-4` and `x`, then beside `t-4` the rest of `t`, as Kafka orders them.
        [
            unknown,
            ErrorCode::None,
            unknown,
            ErrorCode::OffsetMetadataTooLarge
        ]
    );
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 1)]);
    let mut fits = commit_request("g", &MemberId::default(), -1, &[("u", 0, 1)]);
    fits.topics[0].partitions[0].committed_metadata = Some(StrBytes::from("ä".repeat(4_096)));
    let commits = meeting.commit_offsets(9, &fits);
    assert_eq!(meeting.committed(commits), [ErrorCode::None]);
}

#[test]
fn only_members_of_the_generation_commit() {
    let mut meeting = Meeting::new();
    let nobody = MemberId::default();
    for (version, expected) in [
        (8, ErrorCode::IllegalGeneration),
        (9, ErrorCode::GroupIdNotFound),
    ] {
        let request = commit_request("g", &"m".into(), 1, &[("t", 0, 1)]);
        let commits = meeting.commit_offsets(version, &request);
        assert_eq!(meeting.committed(commits), [expected]);
    }
    let (a, b) = meeting.two_members();
    for (id, generation, expected) in [
        (&a, 1, ErrorCode::None),
        (&a, 0, ErrorCode::IllegalGeneration),
        (&nobody, -1, ErrorCode::UnknownMemberId),
        (&"x".into(), 1, ErrorCode::UnknownMemberId),
    ] {
        let commits = meeting.commit_offset(id, generation, 1);
        assert_eq!(meeting.committed(commits), [expected], "{id} {generation}");
    }
    // While the group prepares, members commit what they had; once it completes, they do not.
    meeting.join(&joiner("a").with_id(&a));
    let commits = meeting.commit_offset(&b, 1, 2);
    assert_eq!(meeting.committed(commits), [ErrorCode::None]);
    meeting.join(&joiner("b").with_id(&b));
    let commits = meeting.commit_offset(&b, 2, 3);
    assert_eq!(meeting.committed(commits), [ErrorCode::RebalanceInProgress]);
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 2)]);
}

#[test]
fn a_commit_keeps_its_member() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.two_members();
    meeting.seconds(9);
    meeting.commit_offset(&a, 1, 1);
    meeting.seconds(9);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn an_offset_is_seen_when_it_is_committed_and_not_before() {
    let mut meeting = Meeting::new();
    meeting.commits_at_once = false;
    let first = meeting.simple_commit(&[("t", 0, 1)]);
    let second = meeting.simple_commit(&[("t", 0, 2)]);
    assert!(meeting.fetch_all().is_empty());
    assert_eq!(meeting.state(), "Dead");
    meeting.commit();
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 1)]);
    assert!(!meeting.waits(first) && meeting.waits(second));
    meeting.lose(0);
    assert_eq!(meeting.committed(second), [ErrorCode::NotCoordinator]);
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn offsets_of_an_empty_group_expire_after_it_lost_its_last_member() {
    let mut meeting = forgetful();
    let (a, b) = meeting.two_members();
    meeting.commit_offset(&a, 1, 5);
    for _beat in 0..12 {
        // Nobody expires what a member is subscribed to.
        meeting.heartbeat(&a, 1);
        meeting.heartbeat(&b, 1);
        meeting.seconds(9);
    }
    meeting.leave(5, &[(&a, None), (&b, None)]);
    meeting.seconds(90);
    assert_eq!(meeting.fetch_all().len(), 1);
    meeting.seconds(20);
    assert!(meeting.fetch_all().is_empty());
    assert_eq!(meeting.state(), "Dead");
}

#[test]
fn nothing_expires_while_a_group_rebalances() {
    let mut meeting = forgetful();
    let (a, b) = meeting.two_members();
    meeting.commit_offset(&a, 1, 5);
    // A member that waits for the others need not be heard of; b is heard of, and never joins.
    let patient = Joiner {
        rebalance_timeout_ms: i32::MAX,
        ..joiner("a").with_id(&a).topics(&["u"])
    };
    meeting.join(&patient);
    for _beat in 0..20 {
        meeting.heartbeat(&b, 1);
        meeting.seconds(9);
    }
    assert_eq!(meeting.state(), "PreparingRebalance");
    assert_eq!(meeting.fetch_all().len(), 1);
}

#[test]
fn topics_that_nobody_subscribes_to_any_more_expire_in_a_live_group() {
    let mut meeting = forgetful();
    let (a, b) = meeting.two_members();
    let request = commit_request("g", &a, 1, &[("t", 0, 1), ("u", 0, 2)]);
    meeting.commit_offsets(9, &request);
    for beat in 0..13 {
        // The first look after 100 seconds.
        let expected = if beat < 12 { 2 } else { 1 };
        assert_eq!(meeting.fetch_all().len(), expected, "beat {beat}");
        meeting.heartbeat(&a, 1);
        meeting.heartbeat(&b, 1);
        meeting.seconds(9);
    }
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 1)]);
    assert_eq!(meeting.state(), "Stable");
}

#[test]
fn the_retention_that_an_old_client_asks_for() {
    let mut meeting = Meeting::new();
    let mut request = commit_request("g", &MemberId::default(), -1, &[("t", 0, 7)]);
    request.retention_time_ms = 60_000;
    meeting.commit_offsets(4, &request);
    assert_eq!(meeting.fetch_all().len(), 1);
    meeting.seconds(601);
    assert!(meeting.fetch_all().is_empty());
}

#[test]
fn offsets_of_a_deleted_topic_are_deleted() {
    let mut meeting = Meeting::new();
    meeting.simple_commit(&[("t", 0, 7), ("u", 0, 8)]);
    let name: crate::ids::TopicName = "t".into();
    let another = topic_id("z");
    meeting.act(|shard, _, out| shard.on_topic_deleted(&name, another, out));
    assert_eq!(meeting.fetch_all().len(), 2);
    meeting.act(|shard, _, out| shard.on_topic_deleted(&name, topic_id("t"), out));
    assert_eq!(meeting.fetch_all(), [("u".to_owned(), 0, 8)]);
}

#[test]
fn offsets_are_deleted_unless_a_member_needs_them() {
    let mut meeting = Meeting::new();
    let not_found = (ErrorCode::GroupIdNotFound, None);
    assert_eq!(meeting.delete_offset("t", 0), not_found);
    let (a, _) = meeting.two_members();
    let request = commit_request("g", &a, 1, &[("t", 0, 1), ("u", 0, 2)]);
    meeting.commit_offsets(9, &request);
    let none = ErrorCode::None;
    let subscribed = ErrorCode::GroupSubscribedToTopic;
    assert_eq!(meeting.delete_offset("t", 0), (none, Some(subscribed)));
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(meeting.delete_offset("x", 0), (none, Some(unknown)));
    assert_eq!(meeting.delete_offset("u", 4), (none, Some(unknown)));
    assert_eq!(meeting.delete_offset("u", 0), (none, Some(none)));
    assert_eq!(meeting.fetch_all(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn a_group_is_deleted_with_its_offsets_once_it_is_empty() {
    let mut meeting = Meeting::new();
    let id: StrBytes = "g".into();
    let delete = |meeting: &mut Meeting| meeting.act(|shard, _, out| shard.delete_group(&id, out));
    assert_eq!(delete(&mut meeting), Err(ErrorCode::GroupIdNotFound));
    let (a, b) = meeting.two_members();
    meeting.commit_offset(&a, 1, 5);
    assert_eq!(delete(&mut meeting), Err(ErrorCode::NonEmptyGroup));
    meeting.leave(5, &[(&a, None), (&b, None)]);
    meeting.commits_at_once = false;
    assert!(delete(&mut meeting).is_ok());
    // As long as the log has it, it is there; if the deletion is lost, it stays.
    assert_eq!(meeting.state(), "Empty");
    meeting.lose(0);
    assert_eq!(
        (meeting.state().as_str(), meeting.fetch_all().len()),
        ("Empty", 1)
    );
    assert!(delete(&mut meeting).is_ok());
    meeting.commit();
    assert_eq!(
        (meeting.state().as_str(), meeting.fetch_all().len()),
        ("Dead", 0)
    );
}

#[test]
fn groups_are_described_and_listed() {
    use kafka_wire::ListGroupsRequest;
    let mut meeting = Meeting::new();
    let nobody = meeting.shard.describe_group(&"g".into(), 5);
    assert_eq!(
        (nobody.group_state.as_str(), nobody.error_code),
        ("Dead", 0)
    );
    let nobody = meeting.shard.describe_group(&"g".into(), 6);
    assert_eq!(nobody.error_code, ErrorCode::GroupIdNotFound.code());
    let (a, b) = meeting.two_members();
    let described = meeting.shard.describe_group(&"g".into(), 6);
    assert_eq!(described.protocol_data.as_str(), "range");
    let ids: Vec<&MemberId> = described.members.iter().map(|m| &m.member_id).collect();
    assert_eq!(ids, [&a, &b]);
    assert_eq!(described.members[0].member_metadata, subscription(&["t"]));
    assert_eq!(described.members[1].member_assignment, "t1");
    let listed = |states: &[&str], types: &[&str]| {
        let mut request = ListGroupsRequest::default();
        request.states_filter = states.iter().map(|name| StrBytes::from(*name)).collect();
        request.types_filter = types.iter().map(|name| StrBytes::from(*name)).collect();
        let filter = crate::group::GroupFilter::of(&request);
        meeting.shard.list_groups(&filter).count()
    };
    assert_eq!(listed(&[], &[]), 1);
    assert_eq!(listed(&["empty", " STABLE "], &["Classic"]), 1);
    assert_eq!(listed(&["empty"], &[]), 0);
    assert_eq!(listed(&[], &["consumer"]), 0);
    meeting.join(&joiner("a").with_id(&a));
    let described = meeting.shard.describe_group(&"g".into(), 6);
    assert_eq!(described.group_state.as_str(), "PreparingRebalance");
    assert!(described.protocol_data.is_empty());
    assert!(described.members[0].member_metadata.is_empty());
    assert_eq!(described.members[1].member_assignment, "t1");
}
