//! Replicas that move between two data directories, through crashes at every call of the disk.
//!
//! Only with the simulator's feature, whose disk keeps the contract of storage.

use std::collections::BTreeMap;

use kafka_wire::alter_replica_log_dirs_request as alter;
use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire_core::StrBytes;

use super::tests::{Bench, start};
use crate::error::ErrorCode;
use crate::ids::{
    DirectoryIndex, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
};
use crate::log::LogState;
use crate::metadata::records::{ConfigRecord, MetadataRecord, RemoveTopicRecord};
use crate::node::door::Input;
use crate::partition::Partition;
use crate::rng::Rng;
use crate::sim::disk::loss::{ByteLoss, NameLoss};
use crate::sim::disk::{DirectoryId, DiskOptions, Entry, PowerLoss, SimulatedDisk as Disk};
use crate::storage::{DirectoryFile, DiskDone, DiskError, FailureScope, LogFile};
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::produce::{ProduceInput, ProducePartition, ProduceTopic};
use crate::wire::records::{Batches, Records};
use crate::wire::request::{Reply, Request};

const PROPERTIES: &str = "log.dirs=/a,/b\nlog.segment.bytes=1048576\nfile.delete.delay.ms=0";
const PRODUCER: ProducerId = ProducerId(77);
const A: DirectoryIndex = DirectoryIndex(0);
const B: DirectoryIndex = DirectoryIndex(1);

/// A node with two directories, and what its clients were told.
struct Moving {
    bench: Bench,
    /// The next number to be written, which is its sequence, too.
    next: i32,
    /// Requests under way: the number each writes.
    asked: BTreeMap<u64, i32>,
    /// Numbers that are acknowledged, with their offsets.
    acknowledged: BTreeMap<i32, i64>,
    sequence: u64,
    /// Reads under way: the offset each is for.
    reading: BTreeMap<u64, i64>,
}

impl Moving {
    /// A topic with some segments of records, all acknowledged.
    fn new() -> Self {
        let mut bench = Bench::boot_with(PROPERTIES, two_disks(), start());
        bench.write_topic("topic");
        bench.propose(vec![MetadataRecord::Config(ConfigRecord {
            resource_type: 2,
            resource_name: "topic".into(),
            name: "segment.bytes".into(),
            value: Some("2000".into()),
        })]);
        bench.connect();
        let mut moving = Self {
            bench,
            next: 0,
            asked: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            sequence: 0,
            reading: BTreeMap::new(),
        };
        for _ in 0..12 {
            moving.produce(400);
            moving.run();
        }
        assert_eq!(moving.acknowledged.len(), 12);
        moving
    }

    fn produce(&mut self, bytes: usize) {
        let epoch = ProducerEpoch(0);
        let mut builder =
            BatchBuilder::new(Compression::None).producer(PRODUCER, epoch, Sequence(self.next));
        let key = self.next.to_be_bytes();
        let value = vec![7; bytes];
        builder.push(self.bench.now.wall, Some(&key), Some(&value));
        let batch = PreparedBatch::from_client(builder.build(), 9).expect("it is valid");
        let mut topic = ProduceTopic {
            name: StrBytes::from("topic"),
            ..ProduceTopic::default()
        };
        topic.partitions.push(ProducePartition {
            index: PartitionIndex(0),
            batch: Ok(batch),
        });
        let mut input = ProduceInput {
            acks: -1,
            timeout_ms: 60_000,
            ..ProduceInput::default()
        };
        input.topics.push(topic);
        self.asked.insert(self.sequence, self.next);
        self.next += 1;
        self.ask(9, Request::Produce(input));
    }

    fn ask(&mut self, version: i16, request: Request) {
        self.bench.ask(self.sequence, version, request);
        self.sequence += 1;
        self.take_replies();
    }

    /// Asks for the move, and answers what was answered at once.
    fn move_to(&mut self, path: &str) -> i16 {
        let mut topic = alter::AlterReplicaLogDirTopic::default();
        topic.name = "topic".into();
        topic.partitions = vec![0];
        let mut directory = alter::AlterReplicaLogDir::default();
        directory.path = path.into();
        directory.topics = vec![topic];
        let mut request = kafka_wire::AlterReplicaLogDirsRequest::default();
        request.dirs = vec![directory];
        let sequence = self.sequence;
        self.sequence += 1;
        self.bench.out.replies.clear();
        self.bench
            .ask(sequence, 2, Request::AlterReplicaLogDirs(request));
        let replies = self.bench.replies();
        let answer = replies.into_iter().find(|(asked, _)| *asked == sequence);
        let Some((_, Reply::AlterReplicaLogDirs(answer))) = answer else {
            panic!("it is answered at once");
        };
        answer.results[0].partitions[0].error_code
    }

    /// Reads one record from an offset on, at once or when there is one.
    fn fetch(&mut self, offset: i64, max_wait_ms: i32) {
        let mut partition = FetchPartition::default();
        partition.fetch_offset = offset;
        partition.partition_max_bytes = 1;
        partition.current_leader_epoch = -1;
        partition.last_fetched_epoch = -1;
        let mut topic = FetchTopic::default();
        topic.topic = StrBytes::from("topic");
        topic.partitions = vec![partition];
        let mut request = kafka_wire::FetchRequest::default();
        request.max_wait_ms = max_wait_ms;
        request.min_bytes = 1;
        request.max_bytes = 1 << 20;
        request.session_epoch = -1;
        request.topics = vec![topic];
        self.reading.insert(self.sequence, offset);
        self.ask(12, Request::Fetch(request));
    }

    /// Looks for the first record by its time.
    fn find_first(&mut self) {
        let mut partition = ListOffsetsPartition::default();
        partition.current_leader_epoch = -1;
        partition.timestamp = start().wall.0;
        let mut topic = ListOffsetsTopic::default();
        topic.name = StrBytes::from("topic");
        topic.partitions = vec![partition];
        let mut request = kafka_wire::ListOffsetsRequest::default();
        request.topics = vec![topic];
        self.reading.insert(self.sequence, 0);
        self.ask(7, Request::ListOffsets(request));
    }

    /// An answer to a read is of the record that was asked for.
    fn check_read(&mut self, sequence: u64, reply: &Reply) {
        let Some(offset) = self.reading.remove(&sequence) else {
            return;
        };
        if let Reply::ListOffsets(reply) = reply {
            let part = &reply.topics[0].partitions[0];
            assert_eq!((part.error_code, part.offset), (0, offset));
            return;
        }
        let Reply::Fetch(reply) = reply else {
            panic!("{reply:?}");
        };
        let part = &reply.response.responses[0].partitions[0];
        assert_eq!(part.error_code, 0, "{reply:?}");
        let slice = &reply.records[0][0][0];
        let bytes = self.bench.disk.resolve(slice);
        let batch = Batches::new(bytes).next().expect("a whole batch");
        assert_eq!(batch.expect("it is sound").0.base_offset.0, offset);
    }

    fn take_replies(&mut self) {
        for (sequence, reply) in self.bench.replies() {
            self.check_read(sequence, &reply);
            let Reply::Produce(reply) = reply else {
                continue;
            };
            let number = self.asked.remove(&sequence).expect("it is answered once");
            let part = &reply.responses[0].partition_responses[0];
            if part.error_code == 0 {
                self.acknowledged.insert(number, part.base_offset);
            }
        }
    }

    fn step(&mut self) -> bool {
        let is_more = self.bench.step();
        self.take_replies();
        is_more
    }

    fn run(&mut self) {
        while self.step() {}
    }

    /// Steps until the move is over, with a write now and then.
    fn finish(&mut self) {
        let mut steps = 0;
        while self.is_moving() {
            if steps % 7 == 0 && steps < 200 {
                self.produce(100);
            }
            assert!(self.step(), "the move goes on by itself");
            steps += 1;
        }
        self.run();
    }

    fn is_moving(&mut self) -> bool {
        let broker = self.bench.node.broker().expect("it runs");
        broker.futures().next().is_some() || broker.moves.is_switching()
    }

    fn partition(&self) -> &Partition {
        let broker = self.bench.node.broker().expect("it runs");
        let mut partitions = broker.partitions.iter();
        let partition = partitions.next().expect("it is hosted");
        assert!(partitions.next().is_none(), "once");
        partition
    }

    /// A stop in order, and a start: nothing is in memory then.
    fn restart(self) -> Self {
        let (disk, now) = self.bench.stop();
        let mut bench = Bench::boot_with(PROPERTIES, disk, now);
        bench.connect();
        Self { bench, ..self }
    }

    /// The process dies, or the power goes; then the node boots.
    fn crash(self, loss: Option<PowerLoss>) -> Self {
        let Self {
            bench,
            next,
            acknowledged,
            sequence,
            ..
        } = self;
        let Bench { mut disk, now, .. } = bench;
        match loss {
            Some(loss) => disk.lose_power(&loss),
            None => disk.crash_process(),
        }
        let mut bench = Bench::boot_until_ready(PROPERTIES, disk, now);
        bench.connect();
        Self {
            bench,
            next,
            asked: BTreeMap::new(),
            acknowledged,
            sequence,
            reading: BTreeMap::new(),
        }
    }

    /// Numbers in the files of the partition's log, by their offsets.
    fn records(&self) -> BTreeMap<i64, i32> {
        let directory = self.partition().identity().directory;
        let files = self.bench.disk.files(directory);
        let folder = files.folder("topic-0").expect("the log has its own name");
        let mut records = BTreeMap::new();
        for (name, _) in files.names(folder) {
            let Some(LogFile::Log(_)) = LogFile::parse(name) else {
                continue;
            };
            let content = files.content(folder, name).expect("it is a file");
            for batch in Batches::new(content.to_vec().into()) {
                let (_, batch) = batch.expect("it is sound");
                for record in Records::open(&batch).expect("it is sound") {
                    let record = record.expect("it is sound");
                    let key = record.key.expect("it has a key");
                    let number = i32::from_be_bytes(key[..4].try_into().expect("four bytes"));
                    let former = records.insert(record.offset.0, number);
                    assert_eq!(former, None, "one record at an offset");
                }
            }
        }
        records
    }

    /// Folders of the topic, in both directories.
    fn folders(&self) -> Vec<(DirectoryIndex, String)> {
        let mut folders = Vec::new();
        for directory in [A, B] {
            for (name, entry) in self.bench.disk.files(directory).names(DirectoryId::ROOT) {
                if matches!(entry, Entry::Folder(_)) && name.starts_with("topic") {
                    folders.push((directory, name.to_string()));
                }
            }
        }
        folders
    }

    /// Everything acknowledged is there, once, where it was said to be; and nothing else is.
    fn check(&self) {
        let records = self.records();
        for (number, offset) in &self.acknowledged {
            assert_eq!(
                records.get(offset),
                Some(number),
                "acknowledged at {offset}"
            );
        }
        let numbers: Vec<i32> = records.values().copied().collect();
        let expected: Vec<i32> = (0..numbers.len())
            .map(|n| i32::try_from(n).expect("a few"))
            .collect();
        assert_eq!(numbers, expected, "each once, in order");
        let log = self.partition().log();
        assert_eq!(log.log_end_offset().0, records.len() as i64);
        assert_eq!(self.partition().high_watermark(), log.log_end_offset());
        let producer = log.producers().producer(PRODUCER).expect("it is known");
        assert_eq!(producer.last_sequence().0, numbers.len() as i32 - 1);
        let first = log.epochs().entries()[0];
        assert_eq!(
            (first.epoch, first.start_offset),
            (LeaderEpoch(0), Offset(0))
        );
    }

    /// What the metadata says of where the replica is.
    fn assigned(&self) -> DirectoryIndex {
        let broker = self.bench.node.broker().expect("it runs");
        let identity = self.partition().identity();
        let topic = broker.image.topic_by_id(identity.topic_id).expect("there");
        let id = topic.directory_of(identity.index, broker.identity.node);
        let ids = &broker.identity.directories;
        let at = ids.iter().position(|known| Some(*known) == id);
        let at = at.expect("a directory of the node");
        DirectoryIndex(u8::try_from(at).expect("two"))
    }

    fn checkpoint(&self, directory: DirectoryIndex, file: DirectoryFile) -> String {
        let listing = self.bench.disk.listing(directory);
        let bytes = listing.file(file).cloned().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn two_disks() -> Disk {
    let options = DiskOptions {
        coalesces: false,
        ..DiskOptions::default()
    };
    Disk::new(2, options, Rng::new(3))
}

fn other(directory: DirectoryIndex) -> (DirectoryIndex, &'static str) {
    if directory == A { (B, "/b") } else { (A, "/a") }
}

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

/// Crashes after one call of the disk after the other, of which `calls` are tried, checks what is
/// there then, and lets the move end.
fn crash_after(calls: impl Iterator<Item = u64>, loss: Option<PowerLoss>) {
    let mut ends = BTreeMap::new();
    for crash_at in calls {
        let mut moving = Moving::new();
        let from = moving.partition().identity().directory;
        let (to, path) = other(from);
        assert_eq!(moving.move_to(path), 0);
        let mut steps = 0;
        while steps < crash_at && moving.is_moving() {
            if steps % 9 == 0 {
                moving.produce(100);
            }
            assert!(moving.step());
            steps += 1;
        }
        let is_over = steps < crash_at;
        moving = moving.crash(loss);
        let at_boot = moving.partition().identity().directory;
        moving.run();
        assert!(
            !moving.is_moving(),
            "crash at {crash_at}: {:?}",
            moving.bench.broker().moves
        );
        moving.check();
        *ends
            .entry((at_boot, moving.partition().identity().directory))
            .or_insert(0) += 1;
        moving.bench.pass(61);
        moving.run();
        let place = moving.partition().identity().directory;
        assert_eq!(moving.assigned(), place, "crash at {crash_at}");
        assert_eq!(
            moving.folders(),
            [(place, "topic-0".to_owned())],
            "crash at {crash_at}"
        );
        moving.next = moving.partition().log().log_end_offset().0 as i32;
        moving.produce(50);
        moving.run();
        moving.check();
        if is_over {
            assert_eq!(place, to);
            assert!(crash_at > 60, "{crash_at}");
            break;
        }
    }
    assert!(ends.len() >= 2, "before the switch, and after: {ends:?}");
}

#[test]
fn a_process_that_dies_at_any_point_loses_nothing() {
    crash_after(0.., None);
}

#[test]
fn a_power_cut_at_any_point_loses_nothing() {
    let cuts = [
        (ByteLoss::LoseAll, NameLoss::LoseAll),
        (ByteLoss::KeepAll, NameLoss::LoseAll),
        (ByteLoss::Suffix, NameLoss::Subset),
    ];
    for ((bytes, names), first) in cuts.into_iter().zip(0..) {
        let loss = PowerLoss {
            bytes: Some(bytes),
            names: Some(names),
            tear: None,
        };
        // Together they are at every call; each by itself is at every third.
        crash_after((first..).step_by(cuts.len()), Some(loss));
    }
}

impl Moving {
    /// A topic of some segments, whose move goes on only when time passes.
    fn throttled() -> Self {
        let mut moving = Self::new();
        moving
            .bench
            .propose(vec![MetadataRecord::Config(ConfigRecord {
                resource_type: 4,
                resource_name: "1".into(),
                name: "replica.alter.log.dirs.io.max.bytes.per.second".into(),
                value: Some("1000".into()),
            })]);
        let from = moving.partition().identity().directory;
        assert_eq!(moving.move_to(other(from).1), 0);
        moving.run();
        assert!(moving.is_moving(), "a piece is copied, then it waits");
        moving
    }

    fn future(&mut self) -> Option<(DirectoryIndex, i64)> {
        let broker = self.bench.node.broker().expect("it runs");
        let mut futures = broker.futures();
        let future = futures.next().map(|future| (future.directory, future.lag));
        assert!(futures.next().is_none(), "one replica moves");
        future
    }

    fn fail(&mut self, directory: DirectoryIndex) {
        let failed = DiskDone::Failed {
            scope: FailureScope::Directory(directory),
            error: DiskError::Io("it is gone".into()),
        };
        self.bench.turn(vec![Input::Disk(failed)]);
        self.run();
    }
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
