//! What a shard makes of the log that it loads.

use super::*;

#[test]
fn while_a_shard_loads_its_groups_are_told_to_wait() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    assert_eq!(bench.commits(), [(0, 0)]);
    let (disk, now) = bench.stop();
    let mut bench = Bench::boot_until_ready(ONE_PARTITION, disk, now);
    bench.connect();
    // Who only says that it is there need not wait.
    assert_eq!(bench.heartbeat(), 0);
    assert_eq!(bench.committed(), Err(LOADING));
    bench.run();
    assert_eq!(bench.heartbeat(), UNKNOWN_MEMBER);
    assert_eq!(bench.committed(), Ok(5));
}

#[test]
fn a_log_of_which_compaction_left_no_record_is_loaded() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    let (disk, now) = bench.stop();
    let mut bench = Bench::boot_until_ready(ONE_PARTITION, disk, now);
    bench.connect();
    assert_eq!(bench.committed(), Err(LOADING));
    let (log, _) = bench.offsets_log();
    let (now, place) = (bench.now, (PartitionIndex(0), log));
    let nothing = ReadOutcome::Slices(Vec::new());
    let mut out = std::mem::take(&mut bench.out);
    let broker = bench.broker();
    broker.on_load_outcome(now, place, nothing, &mut out);
    bench.out = out;
    bench.turn(Vec::new());
    assert_eq!(bench.committed(), Ok(-1));
}

#[test]
fn a_shard_whose_log_is_damaged_says_so_and_answers_nobody() {
    let mut bench = Bench::with_groups();
    bench.commit(0, 5);
    bench.run();
    let (mut disk, now) = bench.stop();
    let files = disk.files_mut(DirectoryIndex(0));
    let folder = files.folder("__consumer_offsets-0").expect("it is there");
    files.write(folder, "00000000000000000000.log", 70, b"damage");
    let mut bench = Bench::boot_with(ONE_PARTITION, disk, now);
    let told = |event: &Event| {
        event.severity == Severity::Error && event.message.contains("groups are not served")
    };
    assert!(bench.out.events.iter().any(told), "{:?}", bench.out.events);
    bench.connect();
    assert_eq!(bench.heartbeat(), NOT_COORDINATOR);
    assert_eq!(bench.committed(), Err(NOT_COORDINATOR));
}

#[test]
fn a_large_log_is_loaded_piece_by_piece() {
    let mut bench = Bench::with_groups();
    bench.commit_much();
    let Bench { mut disk, now, .. } = bench;
    disk.lose_power(&PowerLoss::LOSE_ALL);
    let mut bench = Bench::boot_until_ready(ONE_PARTITION, disk, now);
    bench.connect();
    let mut reads = 0;
    while bench.committed() == Err(LOADING) {
        let is_read = |op: &&DiskOp| matches!(op, DiskOp::Read { .. });
        reads += bench.out.disk.iter().filter(is_read).count();
        assert!(bench.step(), "the disk answers what a load asks for");
    }
    assert!(reads >= 3, "2.4 MiB are read in pieces of 1 MiB: {reads}");
    bench.check_much();
}

#[test]
fn a_compacted_log_is_loaded_to_the_same_offsets() {
    let properties = "offsets.topic.segment.bytes=1048576\nlog.cleaner.min.cleanable.ratio=0";
    let mut bench = Bench::with_groups_and(properties);
    bench.commit_much();
    let size = |bench: &mut Bench| {
        let (log, _) = bench.offsets_log();
        let replica = bench.broker().partitions.get(log);
        replica.expect("it is hosted").log().size_bytes()
    };
    let before = size(&mut bench);
    for _ in 0..20 {
        bench.pass(15);
        bench.run();
    }
    let after = size(&mut bench);
    assert!(after < before, "{after} bytes of {before} are left");
    bench.check_much();
    bench.power_cycle().check_much();
}

/// The record of an offset that the group `g` committed for `topic-0`.
fn record_of(offset: i64) -> (bytes::Bytes, bytes::Bytes) {
    let key = OffsetKey {
        topic: "topic".into(),
        partition: PartitionIndex(0),
    };
    let value = OffsetCommit {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        metadata: StrBytes::default(),
        commit_timestamp: start().wall,
        expire_timestamp: Timestamp::NONE,
        topic_id: TopicId::ZERO,
    };
    (RecordKey::Offset("g".into(), key).encode(), value.encode())
}

fn transaction(producer: i64, offset: i64) -> BatchBuilder {
    let (key, value) = record_of(offset);
    let mut batch = BatchBuilder::new(Compression::Lz4)
        .producer(ProducerId(producer), ProducerEpoch(0), Sequence(0))
        .transactional();
    batch.push(start().wall, Some(&key), Some(&value));
    batch
}

fn marker(producer: i64, kind: u8) -> BatchBuilder {
    let mut batch = BatchBuilder::new(Compression::None)
        .producer(ProducerId(producer), ProducerEpoch(0), Sequence::NONE)
        .transactional()
        .control();
    batch.push(start().wall, Some(&[0, 0, 0, kind]), Some(&[0; 6]));
    batch
}

#[test]
fn offsets_of_transactions_count_when_they_are_decided() {
    let mut bench = Bench::with_groups();
    let (key, value) = record_of(1);
    let mut plain = BatchBuilder::new(Compression::Zstd);
    plain.push(start().wall, Some(&key), Some(&value));
    bench.append(plain);
    bench.append(transaction(1, 2));
    bench.append(transaction(2, 3));
    bench.append(marker(2, 0));
    let mut bench = bench.power_cycle();
    assert_eq!(bench.committed(), Ok(1), "one is open, the other aborted");
    bench.append(marker(1, 1));
    assert_eq!(bench.power_cycle().committed(), Ok(2));
}

#[test]
fn a_record_that_makes_no_sense_is_not_passed_over() {
    let mut bench = Bench::with_groups();
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(start().wall, Some(b"\0"), Some(b"?"));
    bench.append(batch);
    let mut bench = bench.power_cycle();
    assert_eq!(bench.committed(), Err(NOT_COORDINATOR));
}
