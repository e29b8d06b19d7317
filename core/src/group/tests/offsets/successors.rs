//! Offsets of topics that are gone, and of those made again by the same name.

use super::*;

impl Meeting {
    /// The offset of partition 0 of `t`, asked for by name.
    fn fetch_one(&self) -> i64 {
        let mut topics = OffsetFetchRequestTopics::default();
        topics.name = "t".into();
        topics.partition_indexes = vec![0];
        let mut request = OffsetFetchRequestGroup::default();
        request.group_id = "g".into();
        request.topics = Some(vec![topics]);
        let reply = self.shard.offset_fetch(&request, 9, &self.image);
        reply.topics[0].partitions[0].committed_offset
    }

    /// Deletes topic `t` and makes it again under another id, without a word to the shard.
    fn make_topic_again(&mut self) {
        let topic_id = topic_id("t");
        let again = TopicRecord {
            name: "t".into(),
            topic_id: TopicId([99; 16]),
        };
        let partition = PartitionRecord {
            partition_id: PartitionIndex(0),
            topic_id: again.topic_id,
            replicas: vec![NodeId(1)],
            isr: vec![NodeId(1)],
            leader: NodeId(1),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            directories: vec![TopicId([9; 16])],
            ..PartitionRecord::default()
        };
        let gone = crate::metadata::records::RemoveTopicRecord { topic_id };
        for record in [
            MetadataRecord::RemoveTopic(gone),
            MetadataRecord::Topic(again),
            MetadataRecord::Partition(partition),
        ] {
            let applied = self.image.apply(&record, &mut Delta::default());
            applied.expect("a topic is made when the former is gone");
        }
    }
}

#[test]
fn what_was_committed_for_a_topic_is_not_its_successors() {
    let mut meeting = Meeting::new();
    meeting.simple_commit(&[("t", 0, 1_000), ("u", 0, 8)]);
    meeting.make_topic_again();
    assert_eq!(meeting.fetch_one(), -1);
    assert_eq!(meeting.fetch_all(), [("u".to_owned(), 0, 8)]);
    meeting.simple_commit(&[("t", 0, 3)]);
    assert_eq!(meeting.fetch_one(), 3);
    assert_eq!(meeting.fetch_all().len(), 2);
}

#[test]
fn a_deletion_of_many_offsets_is_told_of_each_of_its_writes() {
    let mut meeting = Meeting::new();
    // So long a name that eight tombstones fill a write.
    let id = StrBytes::from("g".repeat(32_000));
    let offsets: Vec<(&str, i32, i64)> = (0..8)
        .map(|at| (if at < 4 { "t" } else { "u" }, at % 4, 1))
        .collect();
    let request = commit_request(&id, &MemberId::default(), -1, &offsets);
    meeting.commit_offsets(9, &request);
    meeting.commits_at_once = false;
    let deleted = meeting.act(|shard, _, out| shard.delete_group(&id, out));
    let asked: Vec<_> = meeting.in_flight.iter().map(|write| write.id).collect();
    assert_eq!((asked.len(), deleted), (2, Ok(asked)));
}

#[test]
fn what_was_committed_for_a_topic_that_is_gone_goes_with_the_next_look() {
    let mut meeting = forgetful();
    let (a, b) = meeting.two_members();
    let request = commit_request("g", &a, 1, &[("t", 0, 1), ("u", 0, 2)]);
    meeting.commit_offsets(9, &request);
    meeting.make_topic_again();
    let is_there = |meeting: &Meeting| {
        let offsets = meeting.shard.offsets.get(&"g".into()).expect("u has one");
        offsets.get("t", PartitionIndex(0)).is_some()
    };
    assert!(is_there(&meeting));
    for _beat in 0..2 {
        meeting.heartbeat(&a, 1);
        meeting.heartbeat(&b, 1);
        meeting.seconds(9);
    }
    // It is gone though the group has members who subscribe to the name.
    assert!(!is_there(&meeting));
    assert_eq!(meeting.fetch_all(), [("u".to_owned(), 0, 2)]);
}

#[test]
fn a_look_at_many_groups_takes_several_turns() {
    let mut meeting = forgetful();
    let groups = crate::limits::GROUPS_CLEANED_PER_TURN * 2 + 1;
    for at in 0..groups {
        let request = commit_request(&format!("g{at}"), &MemberId::default(), -1, &[("t", 0, 1)]);
        meeting.commit_offsets(9, &request);
    }
    assert_eq!(meeting.shard.groups.len(), groups);
    meeting.move_to(meeting.now.instant.after(Duration::from_secs(200)));
    let mut left = Vec::new();
    for _turn in 0..3 {
        let due = meeting.shard.next_deadline();
        assert!(due.is_some_and(|due| due <= meeting.now.instant));
        let image = meeting.image.clone();
        meeting.act(|shard, now, out| shard.on_time(now, &image, out));
        left.push(meeting.shard.groups.len());
    }
    assert_eq!(left, [groups - 1_000, 1, 0]);
    // The next look is in its time.
    let due = meeting.shard.next_deadline();
    assert!(due.is_some_and(|due| due > meeting.now.instant));
}

#[test]
fn the_groups_of_a_topic_are_found_by_its_name() {
    let mut meeting = Meeting::new();
    let groups = |meeting: &Meeting, topic: &str| -> Vec<String> {
        let topic = topic.into();
        let groups = meeting.shard.offsets.groups_of(&topic);
        groups.map(ToString::to_string).collect()
    };
    for (group, topic) in [("a", "t"), ("b", "u"), ("c", "t")] {
        let request = commit_request(group, &MemberId::default(), -1, &[(topic, 0, 1)]);
        meeting.commit_offsets(9, &request);
    }
    assert_eq!(groups(&meeting, "t"), ["a", "c"]);
    // One that is on its way counts, until it is lost.
    meeting.commits_at_once = false;
    let request = commit_request("b", &MemberId::default(), -1, &[("t", 1, 1)]);
    meeting.commit_offsets(9, &request);
    assert_eq!(groups(&meeting, "t"), ["a", "b", "c"]);
    meeting.lose(0);
    meeting.act(|shard, _, out| shard.on_topic_deleted(&"t".into(), topic_id("t"), out));
    assert_eq!(meeting.in_flight.len(), 2);
    meeting.commit_all();
    assert!(groups(&meeting, "t").is_empty());
    assert_eq!(groups(&meeting, "u"), ["b"]);
}
