//! Replicas that move between two data directories, through crashes at every call of the disk.
//!
//! Only with the simulator's feature, whose disk keeps the contract of storage.

mod crashes;
mod moving;

use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use moving::{A, B, Moving, PROPERTIES, other};

use super::tests::Bench;
use crate::error::ErrorCode;
use crate::ids::Offset;
use crate::log::LogState;
use crate::metadata::records::{ConfigRecord, MetadataRecord, RemoveTopicRecord};
use crate::sim::disk::{DirectoryId, PowerLoss};
use crate::storage::DirectoryFile;
use crate::wire::request::Request;

#[test]
fn a_replica_moves_with_all_that_is_known_of_it_while_it_is_written_to() {
    let mut moving = Moving::new();
    let from = moving.partition().identity().directory;
    assert_eq!(moving.assigned(), from, "the metadata knows where it is");
    let log = moving.partition().identity().log;
    let (to, path) = other(from);
    assert_eq!(moving.move_to(path), 0);
    let broker = moving.bench.node.broker().expect("it runs");
    let future = broker.futures().next().expect("it is told");
    assert_eq!((future.current, future.directory), (log, to));
    moving.finish();
    assert!(moving.acknowledged.len() > 15, "writes went on");
    assert_eq!(moving.acknowledged.len(), moving.next as usize);
    moving.check();
    assert_eq!(moving.partition().identity().directory, to);
    assert_eq!(moving.assigned(), to);
    moving.bench.pass(61);
    moving.run();
    assert_eq!(moving.folders(), [(to, "topic-0".to_owned())]);
    let recovery = DirectoryFile::RecoveryPoints;
    assert!(moving.checkpoint(to, recovery).contains("topic 0"));
    assert!(!moving.checkpoint(from, recovery).contains("topic 0"));
    // And back, after a start in order.
    let mut moving = moving.restart();
    moving.check();
    assert_eq!(moving.move_to(other(to).1), 0);
    moving.finish();
    moving.check();
    assert_eq!(moving.partition().identity().directory, from);
}

#[test]
fn readers_notice_nothing_of_a_move() {
    let mut moving = Moving::new().restart();
    let from = moving.partition().identity().directory;
    let (to, path) = other(from);
    let end = moving.partition().log().log_end_offset().0;
    // It waits at the end of the log for as long as the move takes.
    moving.fetch(end, 60_000);
    let waiting = moving.sequence - 1;
    assert_eq!(moving.move_to(path), 0);
    let (mut steps, mut pending_at_switch) = (0, 0);
    while moving.is_moving() {
        if moving.reading.len() < 6 {
            moving.fetch(steps % end, 0);
            moving.find_first();
        }
        let pending = moving.reading.len();
        assert!(moving.step());
        if moving.partition().identity().directory == to && pending_at_switch == 0 {
            pending_at_switch = pending;
        }
        steps += 1;
    }
    assert!(
        pending_at_switch > 2,
        "reads of the former log were under way"
    );
    moving.run();
    assert_eq!(
        moving.reading.keys().copied().collect::<Vec<_>>(),
        [waiting]
    );
    moving.produce(10);
    moving.run();
    assert!(moving.reading.is_empty(), "it got the new record");
    moving.check();
}

#[test]
fn a_throttled_move_takes_its_time_and_is_told() {
    let mut moving = Moving::throttled();
    let (to, lag) = moving.future().expect("it is under way");
    let (mut seconds, mut lags) = (0, vec![lag]);
    while moving.is_moving() {
        let (due, why) = moving.bench.node.next_deadline().expect("it wants a turn");
        assert_eq!(why, "a replica moves to another directory");
        assert!(due > moving.bench.now.instant, "not before it may");
        moving.bench.pass(1);
        moving.run();
        lags.extend(moving.future().map(|(_to, lag)| lag));
        seconds += 1;
    }
    let bytes = moving.partition().log().size_bytes();
    assert!(seconds >= bytes / 1000 - 1, "{bytes} bytes in {seconds} s");
    assert!(seconds <= bytes / 1000 + 3, "{bytes} bytes in {seconds} s");
    assert!(lags.is_sorted_by(|a, b| a >= b), "{lags:?}");
    assert_eq!(moving.partition().identity().directory, to);
    moving.check();
}

#[test]
fn a_move_is_called_off_by_asking_for_where_the_replica_is() {
    let mut moving = Moving::throttled();
    let from = moving.partition().identity().directory;
    let (to, path) = other(from);
    assert_eq!(moving.move_to(other(to).1), 0);
    assert_eq!(moving.future(), None);
    moving.run();
    assert_eq!(moving.folders(), [(from, "topic-0".to_owned())]);
    assert_eq!(moving.assigned(), from);
    moving.produce(10);
    moving.run();
    moving.check();
    // And begun again, from the front.
    assert_eq!(moving.move_to(path), 0);
    moving.bench.pass(60);
    moving.run();
    for _ in 0..60 {
        moving.bench.pass(1);
        moving.run();
    }
    assert_eq!(moving.partition().identity().directory, to);
    moving.check();
}

#[test]
fn a_topic_that_is_deleted_takes_its_copy_along() {
    let mut moving = Moving::throttled();
    let topic_id = moving.partition().identity().topic_id;
    assert_eq!(moving.folders().len(), 2);
    let gone = RemoveTopicRecord { topic_id };
    moving
        .bench
        .propose(vec![MetadataRecord::RemoveTopic(gone)]);
    assert_eq!(moving.future(), None);
    moving.bench.pass(61);
    moving.run();
    assert_eq!(moving.folders(), []);
}

#[test]
fn records_deleted_during_a_move_stay_deleted_through_a_crash() {
    for is_copied in [false, true] {
        let mut moving = Moving::throttled();
        let mut start = 5;
        if is_copied {
            // What is deleted is in the copy already.
            while moving.future().expect("it moves").1 > 4 {
                moving.bench.pass(1);
                moving.run();
            }
            start = 3;
        }
        let mut partition = DeleteRecordsPartition::default();
        partition.offset = start;
        let mut topic = DeleteRecordsTopic::default();
        topic.name = "topic".into();
        topic.partitions = vec![partition];
        let mut request = kafka_wire::DeleteRecordsRequest::default();
        request.topics = vec![topic];
        request.timeout_ms = 60_000;
        moving.ask(2, Request::DeleteRecords(request));
        moving.run();
        for _ in 0..60 {
            moving.bench.pass(1);
            moving.run();
        }
        assert!(!moving.is_moving());
        let to = moving.partition().identity().directory;
        assert_eq!(moving.partition().log().log_start_offset(), Offset(start));
        let moving = moving.crash(Some(PowerLoss::LOSE_ALL));
        assert_eq!(moving.partition().identity().directory, to);
        let log = moving.partition().log();
        assert_eq!(log.log_start_offset(), Offset(start));
        assert_eq!(log.log_end_offset(), Offset(12));
    }
}

#[test]
fn a_target_that_fails_ends_the_move_and_nothing_else() {
    let mut moving = Moving::throttled();
    let from = moving.partition().identity().directory;
    let (to, path) = other(from);
    assert_eq!(from, A, "the other one can fail without the metadata");
    moving.fail(to);
    assert_eq!(moving.future(), None);
    assert_eq!(moving.move_to(path), ErrorCode::KafkaStorageError.code());
    moving.produce(10);
    moving.run();
    moving.check();
    assert_eq!(moving.acknowledged.len(), 13);
    let mut moving = moving.crash(None);
    for _ in 0..60 {
        moving.bench.pass(1);
        moving.run();
    }
    moving.check();
    assert_eq!(moving.partition().identity().directory, to, "it moves anew");
}

#[test]
fn a_replica_whose_directory_fails_moves_after_the_next_start() {
    let mut moving = Moving::throttled();
    let (to, _path) = other(moving.partition().identity().directory);
    moving.fail(other(to).0);
    assert_eq!(moving.future(), None);
    assert_eq!(moving.partition().log().state(), LogState::Offline);
    let mut moving = moving.crash(None);
    for _ in 0..60 {
        moving.bench.pass(1);
        moving.run();
    }
    moving.check();
    assert_eq!(moving.partition().identity().directory, to);
}

/// A disk that is not mounted: an empty directory is found in its place.
#[test]
fn a_replica_whose_directory_is_not_there_waits_for_it() {
    let mut moving = Moving::new();
    assert_eq!(moving.move_to("/b"), 0);
    moving.finish();
    assert_eq!(moving.assigned(), B);
    let (mut disk, now) = moving.bench.stop();
    let unmounted = std::mem::take(disk.files_mut(B));
    let mut bench = Bench::boot_with(PROPERTIES, disk, now);
    assert_eq!(bench.broker().partitions.iter().count(), 0, "not made anew");
    let absent = |bench: &Bench| bench.node.survey().broker.map(|of| of.replicas_absent);
    assert_eq!(absent(&bench), Some(1));
    // Nor is it when the metadata speaks of the topic again.
    bench.propose(vec![MetadataRecord::Config(ConfigRecord {
        resource_type: 2,
        resource_name: "topic".into(),
        name: "retention.ms".into(),
        value: Some("-1".into()),
    })]);
    assert_eq!(bench.broker().partitions.iter().count(), 0);
    let (mut disk, now) = bench.stop();
    *disk.files_mut(B) = unmounted;
    let mut bench = Bench::boot_with(PROPERTIES, disk, now);
    assert_eq!(absent(&bench), Some(0));
    let partition = bench.broker().partitions.iter().next().expect("it is back");
    assert_eq!(partition.identity().directory, B);
    let end = i64::from(moving.next);
    assert_eq!(partition.log().log_end_offset(), Offset(end));
}

#[test]
fn a_copy_without_its_log_is_put_aside_unless_it_is_whole() {
    let moving = Moving::throttled();
    let from = moving.partition().identity().directory;
    let Bench { mut disk, now, .. } = moving.bench;
    disk.crash_process();
    let files = disk.files_mut(from);
    files.rename(DirectoryId::ROOT, "topic-0", "elsewhere");
    let mut bench = Bench::boot_with(PROPERTIES, disk, now);
    let broker = bench.broker();
    let partition = broker.partitions.iter().next().expect("it is hosted");
    assert_eq!(partition.log().log_end_offset(), Offset::ZERO, "a new one");
    let names = bench.disk.files(other(from).0).names(DirectoryId::ROOT);
    let aside = names.filter(|(name, _)| name.ends_with("-stray")).count();
    assert_eq!(aside, 1, "for a person to look at");
}
