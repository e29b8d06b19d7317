//! Small histories, told one by one.

use std::sync::Arc;

use super::disk::folder;
use super::rig::{Rig, info};
use crate::ids::{DirectoryIndex, Generation, LeaderEpoch, LogId, Offset, ProducerId, TopicId};
use crate::limits::INDEX_ENTRIES_KEPT;
use crate::log::{
    AppendError, BadRange, ClosedSegment, FlushPolicy, Log, LogCreation, LogSettings, LogState,
    ReadOutcome, ReadRequest, SequenceError, partition_metadata,
};
use crate::storage::{DiskOp, LogFile, Slice};
use crate::time::Instant;

fn rig() -> Rig {
    Rig::new(LogSettings::default(), 1 << 20)
}

/// Appends `count` batches of one record with a value of `value_bytes`, and lets the disk finish.
fn fill(rig: &mut Rig, count: i64, value_bytes: usize) {
    for number in 0..count {
        rig.append(&[1_000 + number], None, value_bytes).unwrap();
    }
    rig.settle();
    rig.run_all();
}

fn everything(rig: &Rig, start: i64, max_bytes: u32) -> ReadRequest {
    ReadRequest {
        start_offset: Offset(start),
        bound: rig.log.log_end_offset(),
        max_bytes,
        at_least_one: true,
    }
}

#[test]
fn appends_of_a_turn_are_one_write_and_one_sync() {
    let mut rig = rig();
    rig.run_all();
    for number in 0..3 {
        rig.append(&[number], None, 10).unwrap();
    }
    rig.settle();
    let kinds: Vec<_> = rig.disk.queue.iter().collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    let DiskOp::Append { batches, .. } = kinds[0] else {
        panic!("{kinds:?}");
    };
    assert_eq!(batches.len(), 3);
    assert!(matches!(kinds[1], DiskOp::Sync { .. }));
    let of_epochs = matches!(kinds[2], DiskOp::SaveLogFile { .. });
    assert!(of_epochs, "no record waits for the epoch: {kinds:?}");
    assert_eq!(rig.log.reported_end_offset(), Offset(0));
    rig.run_all();
    assert_eq!(rig.log.reported_end_offset(), Offset(3));
}

#[test]
fn flush_ms_asks_for_a_turn_and_then_syncs() {
    let settings = LogSettings {
        flush_policy: FlushPolicy::Interval {
            messages: 10,
            age_ms: 5,
        },
        ..LogSettings::default()
    };
    let mut rig = Rig::new(settings, 1 << 20);
    fill(&mut rig, 3, 10);
    assert_eq!(
        (rig.log.written(), rig.log.flushed()),
        (Offset(3), Offset(0))
    );
    let (due, _reason) = rig.log.next_deadline().unwrap();
    assert_eq!(due, Instant(5_000_001));
    rig.now.instant = due;
    let mut out = Vec::new();
    rig.log.on_time(rig.now, &mut out);
    rig.disk.queue.extend(out);
    rig.run_all();
    assert_eq!(rig.log.flushed(), Offset(3));
    assert_eq!(rig.log.next_deadline(), None);
    fill(&mut rig, 10, 10);
    assert_eq!(rig.log.flushed(), Offset(13));
}

#[test]
fn a_new_log_acknowledges_nothing_before_its_folder_says_whose_it_is() {
    let interval = FlushPolicy::Interval {
        messages: 1_000,
        age_ms: 1_000,
    };
    for flush_policy in [interval, FlushPolicy::Os] {
        let settings = LogSettings {
            flush_policy,
            ..LogSettings::default()
        };
        let mut rig = Rig::new(settings, 1 << 20);
        let creation = LogCreation {
            id: LogId(0),
            directory: DirectoryIndex(0),
            folder: folder(),
            partition_metadata: partition_metadata::to_text(TopicId([7; 16])).into(),
            settings: Arc::clone(&rig.settings),
            start_offset: Offset::ZERO,
        };
        let mut out = Vec::new();
        rig.log = Log::create(rig.now, creation, &mut out);
        rig.disk.queue = out.into();
        rig.append(&[1], None, 10).unwrap();
        rig.settle();
        while rig.log.written() == Offset(0) {
            rig.run_disk(1);
        }
        assert_eq!(rig.log.reported_end_offset(), Offset(0));
        fill(&mut rig, 1, 10);
        assert_eq!(rig.log.flushed(), Offset(2), "with the first record");
        fill(&mut rig, 1, 10);
        let marks = (rig.log.flushed(), rig.log.reported_end_offset());
        assert_eq!(marks, (Offset(2), Offset(3)), "the policy decides again");
    }
}

#[test]
fn a_full_disk_takes_back_what_is_not_written_and_the_log_goes_on() {
    let mut rig = rig();
    rig.append(&[1], Some((7, 0, 0)), 100).unwrap();
    rig.settle();
    rig.run_all();
    let used: usize = rig.disk.files.values().map(Vec::len).sum();
    rig.disk.capacity_bytes = Some(used + 50);
    rig.epoch = LeaderEpoch(1);
    rig.append(&[2], Some((7, 0, 1)), 100).unwrap();
    rig.append(&[3], Some((7, 1, 0)), 100).unwrap();
    rig.settle();
    while rig.log.state() == LogState::Usable {
        rig.run_disk(1);
    }
    assert_eq!(rig.log.log_end_offset(), Offset(1));
    assert_eq!(rig.log.epochs().latest(), Some(LeaderEpoch(0)));
    let producer = rig.log.producers().producer(ProducerId(7)).unwrap();
    assert_eq!((producer.epoch.0, producer.batches.len()), (0, 1));
    assert_eq!(rig.append(&[4], None, 1), Err(AppendError::Storage));
    let (batches, _partial) = rig.read(everything(&rig, 0, 1_000)).unwrap();
    assert_eq!(batches.len(), 1, "reads go on");
    rig.run_all();
    assert_eq!(rig.log.state(), LogState::Usable);
    rig.disk.capacity_bytes = None;
    rig.append(&[2], Some((7, 0, 1)), 100).unwrap();
    rig.settle();
    rig.run_all();
    assert_eq!(rig.log.flushed(), Offset(2));
}

#[test]
fn answers_of_an_older_generation_are_dropped() {
    let mut rig = rig();
    fill(&mut rig, 2, 10);
    rig.append(&[9], None, 10).unwrap();
    rig.settle();
    let memory = &mut rig.memory;
    assert!(!rig.log.on_appended(Generation(0), Offset(3), memory));
    assert!(!rig.log.on_synced(Generation(0), Offset(3), memory));
    assert!(!rig.log.on_truncated(Generation(1), Offset(2)));
    let failed = rig
        .log
        .on_append_failed(Generation(7), memory, &mut Vec::new());
    assert_eq!(failed, None);
    assert_eq!(rig.log.written(), Offset(2));
}

#[test]
fn a_failed_directory_neither_reads_nor_writes() {
    let mut rig = rig();
    fill(&mut rig, 2, 10);
    rig.log.on_directory_failed();
    let request = everything(&rig, 0, 100);
    let outcome = rig.log.read(request, &mut rig.memory);
    assert!(matches!(outcome, ReadOutcome::StorageError));
    assert_eq!(rig.append(&[1], None, 1), Err(AppendError::Storage));
    rig.settle();
    assert!(rig.disk.queue.is_empty());
}

#[test]
fn damage_below_the_recovery_point_is_kept_and_the_rest_served() {
    let mut rig = Rig::new(LogSettings::default(), 0);
    fill(&mut rig, 5, 10);
    rig.save_checkpoints();
    let size = rig.model[0].len();
    let name = LogFile::Log(Offset(0)).name();
    rig.disk.files.get_mut(&name).unwrap()[2 * size + 65] ^= 1;
    rig.disk.kill();
    let said = rig.restart(false);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("records [2, 3) are damaged"), "{said:?}");
    let bad = BadRange {
        start_offset: Offset(2),
        end_offset: Offset(3),
    };
    assert_eq!(rig.log.bad_ranges(), [bad]);
    assert_eq!(rig.log.log_end_offset(), Offset(5));
    let (before, _) = rig.read(everything(&rig, 0, 10_000)).unwrap();
    assert_eq!(before, rig.model[..2]);
    assert_eq!(rig.read(everything(&rig, 2, 10_000)), None);
    let (after, _) = rig.read(everything(&rig, 3, 10_000)).unwrap();
    assert_eq!(after, rig.model[3..]);
}

#[test]
fn offsets_of_lost_durable_records_are_never_given_to_others() {
    let mut rig = Rig::new(LogSettings::default(), 0);
    fill(&mut rig, 5, 10);
    rig.save_checkpoints();
    let name = LogFile::Log(Offset(0)).name();
    let size = rig.model[0].len();
    rig.disk.files.get_mut(&name).unwrap().truncate(3 * size);
    rig.disk.kill();
    let said = rig.restart(false);
    assert!(said[0].contains("records [3, 5) are damaged"), "{said:?}");
    assert_eq!(rig.log.log_end_offset(), Offset(5));
    rig.append(&[9], None, 10).unwrap();
    rig.settle();
    rig.run_all();
    assert_eq!(rig.log.active_segment(), Offset(5));
    let (after, _) = rig.read(everything(&rig, 5, 10_000)).unwrap();
    assert_eq!(info(&after[0]).base_offset, Offset(5));
    assert_eq!(rig.read(everything(&rig, 4, 10_000)), None);
}

#[test]
fn a_segment_of_which_nothing_makes_sense_is_kept() {
    let mut rig = Rig::new(LogSettings::default(), 0);
    fill(&mut rig, 1, 10);
    rig.save_checkpoints();
    let name = LogFile::Log(Offset(0)).name();
    rig.disk.files.get_mut(&name).unwrap()[16] ^= 4;
    let damaged = rig.disk.files[&name].clone();
    rig.disk.kill();
    for is_clean in [false, true] {
        let said = rig.restart(is_clean);
        assert!(said[0].contains("records [0, 1) are damaged"), "{said:?}");
        rig.run_all();
        let (now, end) = (rig.now, rig.log.log_end_offset());
        let mut out = Vec::new();
        let kept = rig.log.retain(now, end, &mut rig.memory, &mut out);
        assert_eq!(kept.segments, 0, "it is not old, nor is anything too large");
        assert_eq!(rig.disk.files.get(&name), Some(&damaged));
        assert_eq!(rig.log.active_segment(), Offset(1));
        assert_eq!(rig.read(everything(&rig, 0, 10_000)), None);
        rig.append(&[9], None, 10).unwrap();
        rig.stop();
    }
}

#[test]
fn an_unfinished_write_is_cut_and_said() {
    let mut rig = Rig::new(LogSettings::default(), 0);
    fill(&mut rig, 5, 10);
    let name = LogFile::Log(Offset(0)).name();
    let size = rig.model[0].len();
    let file = rig.disk.files.get_mut(&name).unwrap();
    file.truncate(4 * size + 30);
    file.resize(8 * size, 0);
    rig.disk.kill();
    let said = rig.restart(false);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("an unfinished write at offset 4"),
        "{said:?}"
    );
    assert_eq!(rig.log.log_end_offset(), Offset(4));
    assert_eq!(rig.disk.files[&name].len(), 4 * size);
}

#[test]
fn a_retry_is_recognised_after_a_clean_restart() {
    let mut rig = rig();
    for number in 0..7 {
        let timestamp = i64::from(number);
        rig.append(&[timestamp], Some((7, 0, number)), 10).unwrap();
    }
    rig.settle();
    rig.stop();
    rig.restart(true);
    let end = rig.log.log_end_offset();
    for number in 2..7 {
        let timestamp = i64::from(number);
        assert_eq!(rig.append(&[timestamp], Some((7, 0, number)), 10), Ok(()));
    }
    assert_eq!(rig.log.log_end_offset(), end);
    let older = rig.append(&[1], Some((7, 0, 1)), 10);
    let last = crate::ids::Sequence(6);
    let refused = AppendError::Sequence(SequenceError::OutOfOrder { last });
    assert_eq!(older, Err(refused));
}

#[test]
fn a_clean_restart_writes_nothing() {
    let mut rig = rig();
    fill(&mut rig, 300, 1_000);
    rig.stop();
    rig.restart(true);
    let left: Vec<_> = rig.disk.queue.iter().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(rig.log.flushed(), Offset(300));
}

#[test]
fn a_cold_read_of_a_large_segment_needs_two_small_reads() {
    let settings = LogSettings {
        index_interval_bytes: 100,
        ..LogSettings::default()
    };
    let mut rig = Rig::new(settings, 0);
    let count = i64::try_from(INDEX_ENTRIES_KEPT).unwrap() * 5;
    fill(&mut rig, count, 100);
    for start in [count / 7, count / 3, count - 100] {
        let request = ReadRequest {
            start_offset: Offset(start),
            bound: Offset(count),
            max_bytes: 1_000,
            at_least_one: true,
        };
        let mut outcome = rig.log.read(request, &mut rig.memory);
        let mut reads = Vec::new();
        while let ReadOutcome::NeedsLookup(lookup) = outcome {
            let DiskOp::Read {
                file,
                position,
                length,
                ..
            } = *lookup.op()
            else {
                panic!("{lookup:?}");
            };
            reads.push((file, length));
            let bytes = rig.disk.read(file, position, length);
            outcome = rig.log.resume_read(*lookup, &Ok(bytes), &mut rig.memory);
        }
        assert!(reads.len() <= 2, "{reads:?}");
        let ReadOutcome::Slices(slices) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(matches!(slices[..], [Slice::File { length: 1_000, .. }]));
        check_first(&mut rig, request);
    }
}

fn check_first(rig: &mut Rig, request: ReadRequest) {
    let (batches, _partial) = rig.read(request).unwrap();
    assert_eq!(info(&batches[0]).base_offset, request.start_offset);
}

#[test]
fn one_batch_is_answered_even_if_it_is_larger_than_asked_for() {
    for tail_bytes in [0, 1 << 20] {
        let mut rig = Rig::new(LogSettings::default(), tail_bytes);
        fill(&mut rig, 3, 40_000);
        let (batches, partial_bytes) = rig.read(everything(&rig, 1, 100)).unwrap();
        assert_eq!((batches.len(), partial_bytes), (1, 0));
        let modest = ReadRequest {
            at_least_one: false,
            ..everything(&rig, 1, 100)
        };
        assert_eq!(rig.read(modest), Some((Vec::new(), 0)));
    }
}

#[test]
fn retention_removes_whole_segments_below_the_high_watermark() {
    let settings = LogSettings {
        segment_bytes: 500,
        retention_bytes: 1_000,
        file_delete_delay_ms: 10,
        ..LogSettings::default()
    };
    let mut rig = Rig::new(settings, 0);
    fill(&mut rig, 20, 100);
    let segments = rig.log.closed_segments().len();
    let mut out = Vec::new();
    let kept = rig.log.closed_segments()[1].end_offset;
    let done = rig.log.retain(rig.now, kept, &mut rig.memory, &mut out);
    assert_eq!(done.segments, 2);
    assert_eq!(rig.log.closed_segments().len(), segments - 2);
    assert_eq!(rig.log.log_start_offset(), kept);
    let end = rig.log.log_end_offset();
    rig.log.retain(rig.now, end, &mut rig.memory, &mut out);
    let size = rig.log.size_bytes();
    assert!((1_000..1_500).contains(&size), "{size}");
    rig.disk.queue.extend(out);
    rig.run_all();
    assert!(rig.disk.files.keys().any(|name| name.ends_with(".deleted")));
    rig.now.instant = Instant(20_000_000);
    let mut out = Vec::new();
    rig.log.on_time(rig.now, &mut out);
    rig.disk.queue.extend(out);
    rig.run_all();
    assert!(!rig.disk.files.keys().any(|name| name.ends_with(".deleted")));
}

#[test]
fn an_expired_active_segment_is_rolled_and_goes_too() {
    let settings = LogSettings {
        retention_ms: 1_000,
        ..LogSettings::default()
    };
    let mut rig = Rig::new(settings, 0);
    fill(&mut rig, 3, 10);
    let mut out = Vec::new();
    let end = rig.log.log_end_offset();
    let done = rig.log.retain(rig.now, end, &mut rig.memory, &mut out);
    assert_eq!(done.segments, 1);
    assert_eq!(rig.log.log_start_offset(), Offset(3));
    assert_eq!(rig.log.size_bytes(), 0);
    rig.disk.queue.extend(out);
    rig.run_all();
    rig.append(&[2_000_000], None, 10).unwrap();
    rig.settle();
    rig.run_all();
    assert_eq!(rig.log.written(), Offset(4));
}

#[test]
fn idle_logs_are_small() {
    let log = size_of::<Log>();
    assert!(log <= 1_024 - 160, "{log}");
    let closed = size_of::<ClosedSegment>();
    assert!(closed <= 64, "{closed}");
}
