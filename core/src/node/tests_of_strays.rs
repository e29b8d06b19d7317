//! Folders of a partition's name that do not say whose they are: put aside, through crashes too.
//!
//! Only with the simulator's feature, whose disk keeps the contract of storage.

use super::tests::{Bench, empty_disk, start};
use super::*;
use crate::event::Severity;
use crate::ids::{DirectoryIndex, Offset};
use crate::rng::Rng;
use crate::sim::disk::{DirectoryId, PowerLoss, SimulatedDisk};
use crate::storage::LogFile;

const HERE: DirectoryIndex = DirectoryIndex(0);
const NOTES: (&str, &[u8]) = ("notes.txt", b"what somebody copied there");

/// A node with one topic stopped in order; then somebody had a hand in the topic's folder.
fn tampered(metadata: Option<&[u8]>) -> (SimulatedDisk, Now) {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    let (mut disk, now) = bench.stop();
    let files = disk.files_mut(HERE);
    let folder = files.folder("topic-0").expect("it was made");
    let file = LogFile::PartitionMetadata.name();
    files.remove(folder, &file);
    if let Some(damaged) = metadata {
        files.write(folder, &file, 0, damaged);
    }
    files.write(folder, NOTES.0, 0, NOTES.1);
    files.sync_all();
    (disk, now)
}

/// The folders that were put aside.
fn aside(disk: &SimulatedDisk) -> Vec<String> {
    let names = disk.files(HERE).names(DirectoryId::ROOT);
    let aside = names.filter(|(name, _)| name.ends_with("-stray"));
    aside.map(|(name, _)| name.to_string()).collect()
}

/// What was copied there is in one folder, whole; the partition is there too, and empty.
fn check(bench: &Bench) {
    let aside = aside(&bench.disk);
    let [aside] = &aside[..] else {
        panic!("it is put aside once: {aside:?}");
    };
    assert!(aside.starts_with("topic-0."), "{aside}");
    let files = bench.disk.files(HERE);
    let content = |name| files.content(files.folder(name)?, NOTES.0);
    let notes = content(aside).map(|notes| notes.to_vec());
    assert_eq!(notes.as_deref(), Some(NOTES.1));
    assert!(content("topic-0").is_none());
    let broker = bench.node.broker().expect("it runs");
    let partition = broker.partitions.iter().next().expect("it is hosted");
    assert_eq!(partition.log().log_end_offset(), Offset::ZERO);
    let folder = files.folder("topic-0").expect("it is there");
    let metadata = files.content(folder, &LogFile::PartitionMetadata.name());
    assert!(metadata.is_some_and(|text| text.length() > 0));
}

#[test]
fn a_folder_without_readable_metadata_is_put_aside_and_told() {
    for metadata in [None, Some(b"".as_slice()), Some(b"garbage")] {
        let (disk, now) = tampered(metadata);
        let bench = Bench::boot(disk, now);
        let warnings = bench.out.events.iter();
        let mut warnings = warnings.filter(|event| event.severity == Severity::Warning);
        let said = warnings.next().expect("it is told");
        assert_eq!(said.subject, "topic-0");
        assert!(said.message.contains("no readable partition.metadata"));
        assert!(said.message.contains(&aside(&bench.disk)[0]), "{said:?}");
        assert_eq!(warnings.next(), None);
        check(&bench);
        // Once: the next start finds nothing to put aside.
        let (disk, now) = bench.stop();
        let bench = Bench::boot(disk, now);
        check(&bench);
    }
}

#[test]
fn what_is_put_aside_outlives_a_power_cut_at_every_step() {
    let (disk, now) = tampered(None);
    let mut rng = Rng::new(5);
    let mut steps = 0;
    loop {
        let mut bench = Bench::begin_boot("", disk.clone(), now);
        let is_over = (0..steps).any(|_step| !bench.step());
        if is_over {
            break;
        }
        bench.out = Outbox::default();
        for loss in [PowerLoss::LOSE_ALL, PowerLoss::draw(&mut rng, true, true)] {
            let mut disk = bench.disk.clone();
            disk.lose_power(&loss);
            check(&Bench::boot(disk, bench.now));
        }
        steps += 1;
    }
    assert!(steps > 10, "a boot is more than {steps} steps");
}

#[test]
fn a_folder_put_aside_twice_is_kept_twice() {
    let (disk, now) = tampered(None);
    let (mut disk, now) = Bench::boot(disk, now).stop();
    let files = disk.files_mut(HERE);
    files.remove(DirectoryId::ROOT, "topic-0");
    let folder = files.create_folder("topic-0");
    files.write(folder, NOTES.0, 0, b"again");
    files.sync_all();
    let bench = Bench::boot(disk, now);
    assert_eq!(aside(&bench.disk).len(), 2);
}

#[test]
fn what_an_interrupted_creation_left_is_taken_over() {
    let mut bench = Bench::boot(empty_disk(), start());
    bench.write_topic("topic");
    let (mut disk, now) = bench.stop();
    let files = disk.files_mut(HERE);
    files.remove(DirectoryId::ROOT, "topic-0");
    let folder = files.create_folder("topic-0");
    files.create_file(folder, &LogFile::Log(Offset::ZERO).name());
    let mut bench = Bench::boot(disk, now);
    assert_eq!(aside(&bench.disk), [""; 0]);
    assert_eq!(bench.broker().partitions.len(), 1);
}
