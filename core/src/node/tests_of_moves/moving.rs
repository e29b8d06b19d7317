//! A node with two data directories and one topic, and what a client sees of it.

use std::collections::BTreeMap;

use kafka_wire::alter_replica_log_dirs_request as alter;
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire_core::StrBytes;

use super::super::tests::{Bench, start};
use crate::ids::{
    DirectoryIndex, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence,
};
use crate::metadata::records::{ConfigRecord, MetadataRecord};
use crate::node::door::Input;
use crate::partition::Partition;
use crate::rng::Rng;
use crate::sim::disk::{DirectoryId, DiskOptions, Entry, PowerLoss, SimulatedDisk as Disk};
use crate::storage::{DirectoryFile, DiskDone, DiskError, FailureScope, LogFile};
use crate::wire::batch::{Compression, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::produce::{ProduceInput, ProducePartition, ProduceTopic};
use crate::wire::records::{Batches, Records};
use crate::wire::request::{Reply, Request};

pub(super) const PROPERTIES: &str =
    "log.dirs=/a,/b\nlog.segment.bytes=1048576\nfile.delete.delay.ms=0";

pub(super) const PRODUCER: ProducerId = ProducerId(77);

pub(super) const A: DirectoryIndex = DirectoryIndex(0);

pub(super) const B: DirectoryIndex = DirectoryIndex(1);

/// A node with two directories, and what its clients were told.
pub(super) struct Moving {
    pub(super) bench: Bench,
    /// The next number to be written, which is its sequence, too.
    pub(super) next: i32,
    /// Requests under way: the number each writes.
    pub(super) asked: BTreeMap<u64, i32>,
    /// Numbers that are acknowledged, with their offsets.
    pub(super) acknowledged: BTreeMap<i32, i64>,
    pub(super) sequence: u64,
    /// Reads under way: the offset each is for.
    pub(super) reading: BTreeMap<u64, i64>,
}

impl Moving {
    /// A topic with some segments of records, all acknowledged.
    pub(super) fn new() -> Self {
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

    pub(super) fn produce(&mut self, bytes: usize) {
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

    pub(super) fn ask(&mut self, version: i16, request: Request) {
        self.bench.ask(self.sequence, version, request);
        self.sequence += 1;
        self.take_replies();
    }

    /// Asks for the move, and answers what was answered at once.
    pub(super) fn move_to(&mut self, path: &str) -> i16 {
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
    pub(super) fn fetch(&mut self, offset: i64, max_wait_ms: i32) {
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
    pub(super) fn find_first(&mut self) {
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
    pub(super) fn check_read(&mut self, sequence: u64, reply: &Reply) {
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

    pub(super) fn take_replies(&mut self) {
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

    pub(super) fn step(&mut self) -> bool {
        let is_more = self.bench.step();
        self.take_replies();
        is_more
    }

    pub(super) fn run(&mut self) {
        while self.step() {}
    }

    /// Steps until the move is over, with a write now and then.
    pub(super) fn finish(&mut self) {
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

    pub(super) fn is_moving(&mut self) -> bool {
        let broker = self.bench.node.broker().expect("it runs");
        broker.futures().next().is_some() || broker.moves.is_switching()
    }

    pub(super) fn partition(&self) -> &Partition {
        let broker = self.bench.node.broker().expect("it runs");
        let mut partitions = broker.partitions.iter();
        let partition = partitions.next().expect("it is hosted");
        assert!(partitions.next().is_none(), "once");
        partition
    }

    /// A stop in order, and a start: nothing is in memory then.
    pub(super) fn restart(self) -> Self {
        let (disk, now) = self.bench.stop();
        let mut bench = Bench::boot_with(PROPERTIES, disk, now);
        bench.connect();
        Self { bench, ..self }
    }

    /// The process dies, or the power goes; then the node boots.
    pub(super) fn crash(self, loss: Option<PowerLoss>) -> Self {
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
    pub(super) fn records(&self) -> BTreeMap<i64, i32> {
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
    pub(super) fn folders(&self) -> Vec<(DirectoryIndex, String)> {
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
    pub(super) fn check(&self) {
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
    pub(super) fn assigned(&self) -> DirectoryIndex {
        let broker = self.bench.node.broker().expect("it runs");
        let identity = self.partition().identity();
        let topic = broker.image.topic_by_id(identity.topic_id).expect("there");
        let id = topic.directory_of(identity.index, broker.identity.node);
        let ids = &broker.identity.directories;
        let at = ids.iter().position(|known| Some(*known) == id);
        let at = at.expect("a directory of the node");
        DirectoryIndex(u8::try_from(at).expect("two"))
    }

    pub(super) fn checkpoint(&self, directory: DirectoryIndex, file: DirectoryFile) -> String {
        let listing = self.bench.disk.listing(directory);
        let bytes = listing.file(file).cloned().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

pub(super) fn two_disks() -> Disk {
    let options = DiskOptions {
        coalesces: false,
        ..DiskOptions::default()
    };
    Disk::new(2, options, Rng::new(3))
}

pub(super) fn other(directory: DirectoryIndex) -> (DirectoryIndex, &'static str) {
    if directory == A { (B, "/b") } else { (A, "/a") }
}

impl Moving {
    /// A topic of some segments, whose move goes on only when time passes.
    pub(super) fn throttled() -> Self {
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

    pub(super) fn future(&mut self) -> Option<(DirectoryIndex, i64)> {
        let broker = self.bench.node.broker().expect("it runs");
        let mut futures = broker.futures();
        let future = futures.next().map(|future| (future.directory, future.lag));
        assert!(futures.next().is_none(), "one replica moves");
        future
    }

    pub(super) fn fail(&mut self, directory: DirectoryIndex) {
        let failed = DiskDone::Failed {
            scope: FailureScope::Directory(directory),
            error: DiskError::Io("it is gone".into()),
        };
        self.bench.turn(vec![Input::Disk(failed)]);
        self.run();
    }
}
