//! A node over a simulated disk: boot, stop, boot again.
//!
//! Only with the simulator's feature, whose disk keeps the contract of storage.

use super::*;
use crate::config::listeners::{Listener, SecurityProtocol};
use crate::config::{BrokerConfig, Settings};
use crate::ids::{DirectoryIndex, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicId};
use crate::metadata::image::{ConfigResource, ResourceKind};
use crate::metadata::records::{
    ConfigRecord, MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use crate::rng::Rng;
use crate::sim::disk::{DiskOptions, SimulatedDisk as Disk};
use crate::storage::DiskDone;
use crate::time::Timestamp;

/// A node and its disk.
pub(super) struct Bench {
    pub(super) node: Node,
    pub(super) disk: Disk,
    pub(super) now: Now,
    pub(super) out: Outbox,
}

impl Bench {
    pub(super) fn boot(disk: Disk, now: Now) -> Self {
        Self::boot_with("", disk, now)
    }

    pub(super) fn boot_with(properties: &str, disk: Disk, now: Now) -> Self {
        let mut bench = Self::boot_until_ready(properties, disk, now);
        bench.run();
        bench
    }

    /// Boots a node and lets the disk rest as soon as it is ready.
    pub(super) fn boot_until_ready(properties: &str, disk: Disk, now: Now) -> Self {
        let mut bench = Self::begin_boot(properties, disk, now);
        while !bench.node.is_ready() && bench.step() {}
        assert!(bench.node.is_ready(), "{:?}", bench.node.stopped());
        bench
    }

    /// A node that has just begun to boot.
    pub(super) fn begin_boot(properties: &str, mut disk: Disk, now: Now) -> Self {
        let settings = Settings::load(properties, &[]).expect("they are valid");
        let config = BrokerConfig::of(&settings).expect("defaults are valid");
        let directories: Vec<DirectoryIndex> = disk.directories().collect();
        let directories = directories.into_iter().map(|at| disk.list_at_boot(at));
        let directories = directories.collect();
        let options = BootOptions {
            settings,
            config,
            listeners: vec![Listener {
                name: "PLAINTEXT".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: 9092,
                protocol: SecurityProtocol::Plaintext,
            }],
            directories,
            seed: 7,
        };
        let mut out = Outbox::default();
        let node = Node::boot(now, options, &mut out).expect("the directories are its own");
        Self {
            node,
            disk,
            now,
            out,
        }
    }

    /// Turns until the disk has nothing more to answer.
    pub(super) fn run(&mut self) {
        while self.step() {}
    }

    /// One answer of the disk and its turn; says whether there was one.
    pub(super) fn step(&mut self) -> bool {
        for op in self.out.disk.drain(..) {
            self.disk.submit(op, self.now.instant.0);
        }
        let Some(at_ns) = self.disk.next_at_ns() else {
            return false;
        };
        self.now.instant = self.now.instant.max(Instant(at_ns));
        let mut done: Vec<DiskDone> = Vec::new();
        self.disk.advance(self.now.instant.0, &mut done);
        let mut inputs = done.into_iter().map(Input::Disk).collect();
        self.node.turn(self.now, &mut inputs, &mut self.out);
        true
    }

    /// Writes a topic of one partition.
    pub(super) fn write_topic(&mut self, name: &str) {
        self.write_topic_of(name, 1);
    }

    /// Writes a topic of so many partitions.
    pub(super) fn write_topic_of(&mut self, name: &str, partitions: i32) {
        let topic_id = TopicId([name.as_bytes()[0]; 16]);
        let directory = self.node.broker().expect("it runs").identity.directories[0];
        let topic = TopicRecord {
            name: name.into(),
            topic_id,
        };
        let mut records = vec![MetadataRecord::Topic(topic)];
        records.extend((0..partitions).map(|index| {
            MetadataRecord::Partition(PartitionRecord {
                partition_id: PartitionIndex(index),
                topic_id,
                replicas: vec![NodeId(1)],
                isr: vec![NodeId(1)],
                leader: NodeId(1),
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
                directories: vec![directory],
                ..PartitionRecord::default()
            })
        }));
        self.propose(records);
    }

    /// Writes a configuration of a client metrics subscription: metadata nobody acts upon.
    fn write_config(&mut self, name: &str, value: &str) {
        self.propose(vec![MetadataRecord::Config(ConfigRecord {
            resource_type: 16,
            resource_name: "subscription".into(),
            name: name.into(),
            value: Some(value.into()),
        })]);
    }

    pub(super) fn propose(&mut self, records: Vec<MetadataRecord>) {
        let Phase::Running(broker) = &mut self.node.phase else {
            panic!("it is running");
        };
        broker
            .propose_unanswered(self.now, records, &mut self.out)
            .expect("there is space");
        self.node.turn(self.now, &mut Vec::new(), &mut self.out);
        self.run();
    }

    pub(super) fn stop(mut self) -> (Disk, Now) {
        let mut inputs = vec![Input::Shutdown];
        self.node.turn(self.now, &mut inputs, &mut self.out);
        self.run();
        assert_eq!(self.node.stopped(), Some(Ok(())));
        // A process that ended: its open files are forgotten, the page cache stays.
        self.disk.crash_process();
        (self.disk, self.now)
    }
}

pub(super) fn empty_disk() -> Disk {
    Disk::new(1, DiskOptions::default(), Rng::new(3))
}

pub(super) fn start() -> Now {
    Now {
        instant: Instant(0),
        wall: Timestamp(1_700_000_000_000),
    }
}

#[test]
fn an_empty_directory_is_formatted_and_opens_again() {
    let bench = Bench::boot(empty_disk(), start());
    let broker = bench.node.broker().expect("it is ready");
    let cluster_id = broker.identity.cluster_id.clone();
    let epoch = broker.identity.broker_epoch;
    assert_eq!(broker.quorum.epoch().0, 1);
    assert_eq!(broker.image.feature("metadata.version"), 30);
    let (disk, now) = bench.stop();
    let bench = Bench::boot(disk, now);
    let broker = bench.node.broker().expect("it is ready");
    assert_eq!(broker.identity.cluster_id, cluster_id);
    assert!(broker.identity.broker_epoch > epoch);
    assert_eq!(broker.quorum.epoch().0, 2);
    assert_eq!(broker.image.feature("metadata.version"), 30);
}

#[test]
fn a_killed_node_boots_from_what_was_written() {
    let Bench { mut disk, now, .. } = Bench::boot(empty_disk(), start());
    disk.crash_process();
    let bench = Bench::boot(disk, now);
    assert_eq!(
        bench.node.broker().map(|broker| broker.quorum.epoch().0),
        Some(2)
    );
}

#[test]
fn a_snapshot_stands_for_the_log_before_it() {
    let properties = "metadata.log.max.record.bytes.between.snapshots=1000";
    let mut bench = Bench::boot_with(properties, empty_disk(), start());
    for at in 0..40 {
        bench.write_config(&format!("name{at}"), &at.to_string());
    }
    let expected = bench.node.broker().map(|broker| broker.image.fingerprint());
    let (disk, now) = bench.stop();
    let listing = disk.listing(DirectoryIndex(0));
    let folder = &listing.folders[0];
    let snapshots = folder
        .files
        .iter()
        .filter(|(name, _)| name.ends_with(".checkpoint"));
    let names: Vec<&String> = snapshots.map(|(name, _)| name).collect();
    assert_eq!(names.len(), 2, "the first and the newest: {names:?}");
    let mut bench = Bench::boot_with(properties, disk, now);
    bench.write_config("one", "more");
    bench.write_config("one", "less");
    let broker = bench.node.broker().expect("it is ready");
    let resource = ConfigResource {
        kind: ResourceKind::ClientMetrics,
        name: "subscription".into(),
    };
    let configs = broker.image.configs(&resource);
    assert_eq!(configs.len(), 41);
    assert_ne!(Some(broker.image.fingerprint()), expected);
}

#[test]
fn a_killed_node_raises_the_epochs_of_its_partitions_and_hosts_them_again() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    let epoch_of = |bench: &Bench| {
        let broker = bench.node.broker().expect("it is ready");
        let mut partitions = broker.partitions.iter();
        let epoch = partitions.next().map(|partition| partition.leader_epoch());
        assert!(partitions.next().is_none(), "there is one partition");
        epoch
    };
    assert_eq!(epoch_of(&bench), Some(LeaderEpoch(0)));
    let Bench { mut disk, now, .. } = bench;
    disk.crash_process();
    let bench = Bench::boot(disk, now);
    assert_eq!(epoch_of(&bench), Some(LeaderEpoch(1)));
    let (disk, now) = bench.stop();
    let bench = Bench::boot(disk, now);
    assert_eq!(
        epoch_of(&bench),
        Some(LeaderEpoch(1)),
        "a clean stop raises none"
    );
}

#[test]
fn a_topic_made_again_waits_until_its_old_log_is_off_the_record() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    let gone = MetadataRecord::RemoveTopic(RemoveTopicRecord {
        topic_id: TopicId([b't'; 16]),
    });
    let Phase::Running(broker) = &mut bench.node.phase else {
        panic!("it is running");
    };
    broker.housekeeping.save_checkpoints_soon(bench.now);
    bench.node.turn(bench.now, &mut Vec::new(), &mut bench.out);
    bench.run();
    bench.propose(vec![gone]);
    bench.write_topic("topic");
    let broker = bench.node.broker().expect("it is running");
    assert_eq!(
        broker.partitions.len(),
        1,
        "the record was saved in between"
    );
    let recovery = bench.disk.listing(DirectoryIndex(0));
    let text = recovery.file(crate::storage::DirectoryFile::RecoveryPoints);
    let text = text.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(!text.unwrap_or_default().contains("topic 0"));
}
