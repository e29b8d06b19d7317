//! Files that compaction makes, and their way into the log.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ottla_core::ids::{Generation, Offset};
use ottla_core::storage::{DiskDone, DiskError, DiskOp, FailureScope, LogFile, Token};

use super::rig::{BASE, LOG, Rig, append, batch, bytes_of, create_segment, saved};

fn write_cleaned(file: LogFile, position: u32, bytes: Vec<u8>, token: u64) -> DiskOp {
    DiskOp::WriteCleaned {
        log: LOG,
        file,
        position,
        bytes: Bytes::from(bytes),
        token: Token(token),
    }
}

fn segment_2(generation: u32) -> [DiskOp; 2] {
    let append = DiskOp::Append {
        log: LOG,
        generation: Generation(generation),
        segment: Offset(2),
        position: 0,
        end_offset: Offset(3),
        batches: vec![batch(3, 80)],
    };
    [create_segment(generation, 2), append]
}

#[test]
fn a_cleaned_segment_replaces_others_under_replies_that_name_them() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 2, vec![batch(1, 100), batch(2, 100)])]);
    rig.until_appended(2);
    rig.run(segment_2(1));
    rig.until_appended(3);
    let log = LogFile::Log(BASE);
    rig.run([write_cleaned(log, 0, vec![7; 60], 1)]);
    assert_eq!(rig.next(), saved(1));
    rig.run([write_cleaned(log, 60, vec![8; 20], 2)]);
    assert_eq!(rig.next(), saved(2));
    rig.run([write_cleaned(LogFile::OffsetIndex(BASE), 0, vec![9; 8], 3)]);
    assert_eq!(rig.next(), saved(3));
    rig.run([DiskOp::SyncCleaned {
        log: LOG,
        segment: BASE,
        token: Token(4),
    }]);
    assert_eq!(rig.next(), saved(4));
    let before = rig.door.pin(LOG, BASE, 0, 200).unwrap();
    let mut ready = Vec::new();
    rig.door.enqueue(
        [DiskOp::ReplaceSegments {
            log: LOG,
            segment: BASE,
            sources: Arc::from([BASE]),
            token: Token(5),
        }],
        &mut ready,
    );
    // A reply of a later turn names the new segment, wherever it lies just then.
    let after = rig.door.pin(LOG, BASE, 0, 80).unwrap();
    let new = [vec![7; 60], vec![8; 20]].concat();
    assert_eq!(bytes_of(&after).unwrap(), new);
    let mut done = Vec::new();
    rig.disk.run(&mut ready, &mut done);
    assert_eq!(rig.next(), saved(5));
    assert_eq!(
        bytes_of(&before).unwrap(),
        [vec![1; 100], vec![2; 100]].concat()
    );
    assert_eq!(bytes_of(&after).unwrap(), new);
    assert_eq!(rig.log_bytes(), new);
    let mut names: Vec<String> = fs::read_dir(rig.path("t-0"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000002.log",
        "partition.metadata",
    ];
    assert_eq!(names, expected);
    // The segment in use is appended to as before.
    rig.run([DiskOp::Append {
        log: LOG,
        generation: Generation(1),
        segment: Offset(2),
        position: 80,
        end_offset: Offset(4),
        batches: vec![batch(4, 70)],
    }]);
    rig.until_appended(4);
}

#[test]
fn a_full_disk_fails_a_round_and_nothing_else() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    rig.calls.bytes_left.store(10, Ordering::Relaxed);
    rig.run([write_cleaned(LogFile::Log(BASE), 0, vec![7; 60], 1)]);
    let refusal = DiskDone::Failed {
        scope: FailureScope::Save(Token(1)),
        error: DiskError::Full,
    };
    assert_eq!(rig.next(), refusal);
    rig.calls.bytes_left.store(-1, Ordering::Relaxed);
    rig.run([
        DiskOp::RemoveCleaned {
            log: LOG,
            segment: BASE,
        },
        append(1, 100, 2, vec![batch(2, 100)]),
    ]);
    rig.until_appended(2);
    assert!(!rig.path("t-0/00000000000000000000.log.cleaned").exists());
}
