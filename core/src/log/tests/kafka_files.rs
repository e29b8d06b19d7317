//! Files that Apache Kafka 4.3.1 wrote, beside ours for the same batches.
//!
//! `tests/golden/log` holds two folders of one broker, stopped cleanly: `plain-0` with keyed
//! records of uneven size and time (`index.interval.bytes=300`), `idempotent-0` with two idempotent
//! producers (`index.interval.bytes=200`).

use bytes::Bytes;

use super::rig::{Rig, info};
use crate::ids::Offset;
use crate::log::{
    BatchInfo, LeaderBatch, LeaderEpochs, LogSettings, partition_metadata, producer_snapshot,
};
use crate::storage::LogFile;
use crate::wire::batch::PreparedBatch;

/// One folder that Kafka wrote.
struct Written {
    index_interval_bytes: u32,
    log: &'static [u8],
    offsets: &'static [u8],
    times: &'static [u8],
    snapshot: (i64, &'static [u8]),
    epochs: &'static [u8],
    partition_metadata: &'static [u8],
}

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/golden/log/", $name))
    };
}

fn plain() -> Written {
    Written {
        index_interval_bytes: 300,
        log: golden!("plain-0/00000000000000000000.log"),
        offsets: golden!("plain-0/00000000000000000000.index"),
        times: golden!("plain-0/00000000000000000000.timeindex"),
        snapshot: (114, golden!("plain-0/00000000000000000114.snapshot")),
        epochs: golden!("plain-0/leader-epoch-checkpoint"),
        partition_metadata: golden!("plain-0/partition.metadata"),
    }
}

fn idempotent() -> Written {
    Written {
        index_interval_bytes: 200,
        log: golden!("idempotent-0/00000000000000000000.log"),
        offsets: golden!("idempotent-0/00000000000000000000.index"),
        times: golden!("idempotent-0/00000000000000000000.timeindex"),
        snapshot: (40, golden!("idempotent-0/00000000000000000040.snapshot")),
        epochs: golden!("idempotent-0/leader-epoch-checkpoint"),
        partition_metadata: golden!("idempotent-0/partition.metadata"),
    }
}

fn batches(log: &'static [u8]) -> Vec<Bytes> {
    let mut rest = Bytes::from_static(log);
    let mut batches = Vec::new();
    while let Ok(info) = BatchInfo::parse(&rest) {
        batches.push(rest.split_to(info.size_bytes as usize));
    }
    assert!(rest.is_empty(), "Kafka's file is whole");
    batches
}

#[test]
fn the_same_batches_make_the_same_files() {
    for written in [plain(), idempotent()] {
        let settings = LogSettings {
            index_interval_bytes: written.index_interval_bytes,
            ..LogSettings::default()
        };
        let mut rig = Rig::new(settings, 1 << 20);
        for batch in batches(written.log) {
            let prepared = PreparedBatch::from_log(batch.clone()).unwrap();
            let batch = LeaderBatch::new(&prepared);
            let mut out = Vec::new();
            rig.log
                .append_as_follower(rig.now, &batch, &mut rig.memory, &mut out)
                .unwrap();
            rig.disk.queue.extend(out);
        }
        rig.settle();
        rig.stop();
        let ours = |file: LogFile| &rig.disk.files[&file.name()][..];
        assert_eq!(ours(LogFile::Log(Offset(0))), written.log);
        assert_eq!(ours(LogFile::OffsetIndex(Offset(0))), written.offsets);
        assert_eq!(ours(LogFile::TimeIndex(Offset(0))), written.times);
        assert_eq!(ours(LogFile::LeaderEpochs), written.epochs);
        let snapshot = producer_snapshot::encode(rig.log.producers());
        assert_eq!(snapshot, written.snapshot.1);
        assert_eq!(rig.log.log_end_offset(), Offset(written.snapshot.0));
    }
}

#[test]
fn a_folder_of_kafkas_is_opened_as_it_is() {
    for written in [plain(), idempotent()] {
        for is_clean in [true, false] {
            let settings = LogSettings {
                index_interval_bytes: written.index_interval_bytes,
                ..LogSettings::default()
            };
            let mut rig = Rig::new(settings, 0);
            rig.run_all();
            for (file, bytes) in [
                (LogFile::Log(Offset(0)), written.log),
                (LogFile::OffsetIndex(Offset(0)), written.offsets),
                (LogFile::TimeIndex(Offset(0)), written.times),
                (LogFile::LeaderEpochs, written.epochs),
                (
                    LogFile::ProducerSnapshot(Offset(written.snapshot.0)),
                    written.snapshot.1,
                ),
            ] {
                rig.disk.files.insert(file.name(), bytes.to_vec());
            }
            let before = rig.disk.files.clone();
            rig.recovery_point = Offset(written.snapshot.0);
            assert_eq!(rig.restart(is_clean), Vec::<String>::new());
            rig.run_all();
            assert_eq!(rig.log.log_end_offset(), Offset(written.snapshot.0));
            assert_eq!(rig.disk.files, before, "clean {is_clean}");
            rig.model = batches(written.log);
            for (id, producer) in rig.log.producers().iter() {
                let expected = rig.expected_producer(id.0).unwrap();
                assert_eq!(*producer, expected);
            }
            let last = info(rig.model.last().unwrap()).max_timestamp.0;
            let end = rig.log.log_end_offset();
            let found = rig.found_at(last, end);
            assert_eq!(found, rig.expected_at(last, end));
        }
    }
}

#[test]
fn small_files_are_kafkas() {
    for written in [plain(), idempotent()] {
        let epochs = LeaderEpochs::parse(written.epochs).unwrap();
        assert_eq!(epochs.to_text().as_bytes(), written.epochs);
        let id = partition_metadata::parse(written.partition_metadata).unwrap();
        assert_eq!(
            partition_metadata::to_text(id).as_bytes(),
            written.partition_metadata
        );
    }
}
