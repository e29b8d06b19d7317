//! Group coordinators on a node: loading, appending, and what becomes of who waits.

mod loading;

use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire_core::StrBytes;

use super::tests::{Bench, empty_disk, start};
use super::*;
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::event::Event;
use crate::group::{OffsetCommit, OffsetKey, RecordKey};
use crate::ids::{
    DirectoryIndex, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, ProducerEpoch, ProducerId,
    Sequence, TopicId,
};
use crate::log::{LeaderBatch, ReadOutcome};
use crate::metadata::records::{MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord};
use crate::sim::disk::PowerLoss;
use crate::storage::{DiskError, DiskOp, FailureScope};
use crate::time::Timestamp;
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::request::{Reply, Request};

const ONE_PARTITION: &str = "offsets.topic.num.partitions=1";
const NOT_COORDINATOR: i16 = 16;
const LOADING: i16 = 14;
const UNKNOWN_MEMBER: i16 = 25;

impl Bench {
    /// A node with a topic to commit for, and the topic of groups.
    fn with_groups() -> Self {
        Self::with_groups_and("")
    }

    fn with_groups_and(properties: &str) -> Self {
        let properties = format!("{ONE_PARTITION}\n{properties}");
        let mut bench = Self::boot_with(&properties, empty_disk(), start());
        bench.write_topic("topic");
        bench.connect();
        bench.find(900, 15);
        bench.run();
        bench.find(901, 0);
        bench
    }

    fn find(&mut self, sequence: u64, expected: i16) {
        let mut request = kafka_wire::FindCoordinatorRequest::default();
        request.key = "g".into();
        self.ask(sequence, 2, Request::FindCoordinator(request));
        match self.replies().as_slice() {
            [(_, Reply::FindCoordinator(reply))] => assert_eq!(reply.error_code, expected),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, sequence: u64, offset: i64) {
        self.commit_for("g", sequence, (offset, ""));
    }

    fn commit_for(&mut self, group: &str, sequence: u64, (offset, note): (i64, &str)) {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.committed_offset = offset;
        partition.committed_metadata = Some(note.into());
        partition.committed_leader_epoch = -1;
        let mut topic = OffsetCommitRequestTopic::default();
        topic.name = "topic".into();
        topic.partitions = vec![partition];
        let mut request = kafka_wire::OffsetCommitRequest::default();
        request.group_id = group.into();
        request.generation_id_or_member_epoch = -1;
        request.topics = vec![topic];
        self.ask(sequence, 7, Request::OffsetCommit(request));
    }

    /// The errors of commits that were answered, by request.
    fn commits(&mut self) -> Vec<(u64, i16)> {
        let replies = self.replies().into_iter();
        let codes = replies.map(|(sequence, reply)| {
            let Reply::OffsetCommit(reply) = reply else {
                panic!("{reply:?}");
            };
            (sequence, reply.topics[0].partitions[0].error_code)
        });
        codes.collect()
    }

    /// The committed offset, or the error of the group.
    fn committed(&mut self) -> Result<i64, i16> {
        self.committed_for("g")
    }

    fn committed_for(&mut self, group: &str) -> Result<i64, i16> {
        let mut topic = OffsetFetchRequestTopic::default();
        topic.name = "topic".into();
        topic.partition_indexes = vec![0];
        let mut request = kafka_wire::OffsetFetchRequest::default();
        request.group_id = group.into();
        request.topics = Some(vec![topic]);
        self.ask(950, 5, Request::OffsetFetch(request));
        match self.replies().pop() {
            Some((950, Reply::OffsetFetch(reply))) if reply.error_code == 0 => {
                Ok(reply.topics[0].partitions[0].committed_offset)
            }
            Some((950, Reply::OffsetFetch(reply))) => Err(reply.error_code),
            other => panic!("{other:?}"),
        }
    }

    /// 600 commits of 200 groups, 4 KiB each.
    fn commit_much(&mut self) {
        let note = "n".repeat(4_096);
        for at in 0..600 {
            let group = format!("group-{}", at % 200);
            self.commit_for(&group, u64::try_from(at).expect("small"), (at, &note));
            self.run();
        }
        assert!(self.commits().iter().all(|(_, code)| *code == 0));
    }

    /// What those groups have committed last.
    fn check_much(&mut self) {
        for at in 0..200 {
            assert_eq!(self.committed_for(&format!("group-{at}")), Ok(400 + at));
        }
    }

    fn heartbeat(&mut self) -> i16 {
        let mut request = kafka_wire::HeartbeatRequest::default();
        request.group_id = "g".into();
        request.member_id = "nobody".into();
        request.generation_id = 1;
        self.ask(951, 3, Request::Heartbeat(request));
        match self.replies().pop() {
            Some((951, Reply::Heartbeat(reply))) => reply.error_code,
            other => panic!("{other:?}"),
        }
    }

    fn join(&mut self, sequence: u64) {
        let mut protocol = JoinGroupRequestProtocol::default();
        protocol.name = "range".into();
        let mut request = kafka_wire::JoinGroupRequest::default();
        request.group_id = "g".into();
        request.session_timeout_ms = 10_000;
        request.rebalance_timeout_ms = 10_000;
        request.protocol_type = StrBytes::from("consumer");
        request.protocols = vec![protocol];
        self.ask(sequence, 3, Request::JoinGroup(request));
    }

    fn offsets_log(&mut self) -> (crate::ids::LogId, crate::ids::Generation) {
        let broker = self.broker();
        let topic = broker.topic_id(CONSUMER_OFFSETS).expect("it was created");
        let replica = broker.partitions.find(topic, PartitionIndex(0));
        let log = replica.expect("it is hosted").log();
        (log.id(), log.generation())
    }

    /// Appends a batch to the log of groups behind the back of its shard.
    fn append(&mut self, batch: BatchBuilder) {
        let (log, _) = self.offsets_log();
        let now = self.now;
        let mut disk = Vec::new();
        let broker = self.broker();
        let replica = broker.partitions.get_mut(log).expect("it is hosted");
        let (end, epoch) = (replica.log().log_end_offset(), replica.leader_epoch());
        let batch = PreparedBatch::from_log(batch.at(end, epoch).build()).expect("whole");
        let batch = LeaderBatch::new(&batch);
        let log_mut = replica.log_mut();
        let appended = log_mut.append_as_follower(now, &batch, &mut broker.memory, &mut disk);
        appended.expect("there is room");
        broker.touched.insert(log);
        self.out.disk.append(&mut disk);
        self.turn(Vec::new());
        self.run();
    }

    fn power_cycle(self) -> Self {
        let Self { mut disk, now, .. } = self;
        disk.lose_power(&PowerLoss::LOSE_ALL);
        let mut bench = Self::boot_with(ONE_PARTITION, disk, now);
        bench.connect();
        bench
    }
}

#[test]
fn a_commit_is_answered_when_it_is_synced_and_survives_the_power() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    assert_eq!(bench.commits(), [], "it is not on the disk");
    assert_eq!(bench.committed(), Ok(-1), "nor is it told");
    bench.run();
    assert_eq!(bench.commits(), [(0, 0)]);
    bench.commit(1, 6);
    bench.run();
    assert_eq!(bench.commits(), [(1, 0)]);
    let mut bench = bench.power_cycle();
    assert_eq!(bench.committed(), Ok(6));
}

#[test]
fn the_policy_for_records_is_not_that_for_offsets() {
    let properties = format!("{ONE_PARTITION}\nlog.flush.policy=os");
    let mut bench = Bench::boot_with(&properties, empty_disk(), start());
    bench.write_topic("topic");
    bench.connect();
    bench.find(900, 15);
    bench.run();
    bench.commit(0, 5);
    let is_sync = |op: &DiskOp| matches!(op, DiskOp::Sync { .. });
    assert!(bench.out.disk.iter().any(is_sync));
    bench.run();
    assert_eq!(bench.commits(), [(0, 0)]);
    assert_eq!(bench.power_cycle().committed(), Ok(5));
}

#[test]
fn without_a_shard_a_request_is_checked_before_it_is_refused() {
    let mut bench = Bench::boot_with(ONE_PARTITION, empty_disk(), start());
    bench.connect();
    let code = |bench: &mut Bench, group: &str, session_timeout_ms: i32| {
        let mut request = kafka_wire::JoinGroupRequest::default();
        request.group_id = group.into();
        request.session_timeout_ms = session_timeout_ms;
        bench.ask(1, 3, Request::JoinGroup(request));
        match bench.replies().as_slice() {
            [(1, Reply::JoinGroup(reply))] => reply.error_code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code(&mut bench, "", 10_000), 24, "INVALID_GROUP_ID");
    assert_eq!(code(&mut bench, "g", 1), 26, "INVALID_SESSION_TIMEOUT");
    assert_eq!(code(&mut bench, "g", 10_000), NOT_COORDINATOR);
    assert_eq!(bench.heartbeat(), NOT_COORDINATOR);
    assert_eq!(bench.committed(), Err(NOT_COORDINATOR));
}

#[test]
fn a_topic_of_groups_that_cannot_be_made_is_complained_about() {
    let properties = format!("{ONE_PARTITION}\noffsets.topic.replication.factor=2");
    let mut bench = Bench::boot_with(&properties, empty_disk(), start());
    bench.connect();
    bench.find(0, 15);
    let told = |event: &Event| event.severity == Severity::Error;
    assert!(bench.out.events.iter().any(told), "{:?}", bench.out.events);
    bench.run();
    bench.find(1, 15);
}

#[test]
fn a_commit_that_does_not_fit_is_refused_and_the_next_goes_on() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    bench.commit(1, 6);
    bench.commit(2, 7);
    let (log, generation) = bench.offsets_log();
    drop(bench.take_operations());
    assert_eq!(bench.commits(), [(0, 0)]);
    bench.turn(vec![Input::Disk(DiskDone::Failed {
        scope: FailureScope::Append { log, generation },
        error: DiskError::Full,
    })]);
    let refused = [(1, NOT_COORDINATOR), (2, NOT_COORDINATOR)];
    assert_eq!(bench.commits(), refused);
    bench.run();
    assert_eq!(bench.committed(), Ok(5));
    bench.commit(3, 8);
    bench.run();
    assert_eq!(bench.commits(), [(3, 0)]);
    assert_eq!(bench.committed(), Ok(8));
}

#[test]
fn a_lost_directory_ends_the_shards_that_lie_in_it() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    drop(bench.take_operations());
    bench.turn(vec![Input::Disk(DiskDone::Failed {
        scope: FailureScope::Directory(DirectoryIndex(0)),
        error: DiskError::Io("gone".into()),
    })]);
    assert_eq!(bench.commits(), [(0, NOT_COORDINATOR)]);
    assert_eq!(bench.heartbeat(), NOT_COORDINATOR);
}

#[test]
fn who_waits_for_a_topic_of_groups_that_is_deleted_is_told() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.join(1);
    let topic_id = bench.broker().topic_id(CONSUMER_OFFSETS).expect("there");
    bench.propose(vec![MetadataRecord::RemoveTopic(RemoveTopicRecord {
        topic_id,
    })]);
    let mut told: Vec<(u64, i16)> = Vec::new();
    for (sequence, reply) in bench.replies() {
        if let Reply::JoinGroup(reply) = &reply {
            told.push((sequence, reply.error_code));
        }
        if let Reply::OffsetCommit(reply) = &reply {
            told.push((sequence, reply.topics[0].partitions[0].error_code));
        }
    }
    told.sort_unstable();
    assert_eq!(told.len(), 2, "each was answered once: {told:?}");
    assert_eq!(told[1], (1, NOT_COORDINATOR));
    assert_eq!(bench.heartbeat(), NOT_COORDINATOR);
    bench.find(2, 15);
    bench.run();
    bench.find(3, 0);
    assert_eq!(bench.committed(), Ok(-1), "a new topic knows no offset");
}

#[test]
fn a_topic_of_groups_that_is_made_again_at_once_is_served() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    let topic_id = bench.broker().topic_id(CONSUMER_OFFSETS).expect("there");
    let topic = bench.broker().image.topic_by_id(topic_id).cloned();
    let image = topic.expect("there");
    let image = image.partition(PartitionIndex(0)).expect("there").clone();
    let again = TopicId([77; 16]);
    bench.propose(vec![
        MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }),
        MetadataRecord::Topic(TopicRecord {
            name: CONSUMER_OFFSETS.into(),
            topic_id: again,
        }),
        MetadataRecord::Partition(PartitionRecord {
            partition_id: PartitionIndex(0),
            topic_id: again,
            replicas: image.replicas.clone(),
            isr: image.replicas.clone(),
            leader: image.replicas[0],
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            directories: vec![TopicId([9; 16])],
            ..PartitionRecord::default()
        }),
    ]);
    bench.replies();
    assert_eq!(bench.committed(), Ok(-1), "a new topic knows no offset");
    bench.commit(1, 6);
    bench.run();
    assert_eq!(bench.commits(), [(1, 0)]);
    assert_eq!(bench.committed(), Ok(6));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    assert_eq!(bench.committed(), Ok(5));
    let topic_id = bench.broker().topic_id("topic").expect("there");
    bench.propose(vec![MetadataRecord::RemoveTopic(RemoveTopicRecord {
        topic_id,
    })]);
    bench.replies();
    assert_eq!(bench.committed(), Ok(-1));
    bench.write_topic("topic");
    assert_eq!(bench.power_cycle().committed(), Ok(-1));
}

#[test]
fn a_member_whose_connection_is_gone_is_not_answered() {
    let mut bench = Bench::with_groups();
    bench.join(0);
    bench.run();
    assert_eq!(bench.replies(), [], "the first waits for others");
    bench.turn(vec![Input::Disconnected {
        connection: ConnectionId(1),
    }]);
    bench.pass(4);
    bench.run();
    assert_eq!(bench.replies(), [], "nobody is there to hear it");
}

#[test]
fn groups_go_on_while_their_log_moves_to_another_directory() {
    let properties = format!("{ONE_PARTITION}\nlog.dirs=/a,/b");
    let disk = crate::sim::disk::SimulatedDisk::new(
        2,
        crate::sim::disk::DiskOptions::default(),
        crate::rng::Rng::new(3),
    );
    let mut bench = Bench::boot_with(&properties, disk, start());
    bench.write_topic("topic");
    bench.connect();
    bench.find(900, 15);
    bench.run();
    bench.commit(0, 10);
    bench.run();
    assert_eq!(bench.commits(), [(0, 0)]);
    let (now, broker) = (bench.now, bench.broker());
    let mut partitions = broker.partitions.iter();
    let identity = partitions
        .find(|partition| *partition.identity().topic == *CONSUMER_OFFSETS)
        .expect("it is hosted")
        .identity()
        .clone();
    drop(partitions);
    let target = DirectoryIndex(1 - identity.directory.0);
    let mut out = std::mem::take(&mut bench.out);
    let broker = bench.broker();
    broker.move_replica(now, identity.log, target, &mut out);
    bench.out = out;
    let (mut sequence, mut codes) = (1, Vec::new());
    loop {
        let broker = bench.broker();
        if broker.futures().next().is_none() && !broker.moves.is_switching() {
            break;
        }
        if sequence <= 8 * (1 + codes.len() as u64) {
            bench.commit(sequence, 10 + i64::try_from(sequence).expect("few"));
            sequence += 1;
        }
        codes.extend(bench.commits());
        assert!(bench.step());
        codes.extend(bench.commits());
    }
    bench.run();
    codes.extend(bench.commits());
    assert!(codes.len() > 10, "{codes:?}");
    assert!(codes.iter().all(|(_, code)| *code == 0), "{codes:?}");
    assert_eq!(codes.len() + 1, usize::try_from(sequence).expect("few"));
    let last = Ok(10 + i64::try_from(sequence - 1).expect("few"));
    assert_eq!(bench.committed(), last);
    let moved = bench
        .broker()
        .partitions
        .get(identity.log)
        .expect("it is there");
    assert_eq!(moved.identity().directory, target);
    let Bench { mut disk, now, .. } = bench;
    disk.crash_process();
    let mut bench = Bench::boot_with(&properties, disk, now);
    bench.connect();
    assert_eq!(bench.committed(), last, "after a crash too");
}
