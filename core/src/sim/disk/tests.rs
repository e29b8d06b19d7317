//! The simulated disk by itself: answers, order, crashes, lack of space.

use bytes::Bytes;

use super::*;
use crate::storage::{DirectoryFile, DiskError, FailureScope, StampedBatch, Token};

const LOG: LogId = LogId(1);
const DIRECTORY: DirectoryIndex = DirectoryIndex(0);
const G0: Generation = Generation(0);

fn batch(base: i64, count: i32, fill: u8) -> StampedBatch {
    let mut body = vec![fill; 45];
    body[0] = 2;
    body[7..11].copy_from_slice(&(count - 1).to_be_bytes());
    let mut stamp = [0; 16];
    stamp[..8].copy_from_slice(&base.to_be_bytes());
    stamp[8..12].copy_from_slice(&(45i32 + 4).to_be_bytes());
    StampedBatch {
        stamp,
        body: body.into(),
    }
}

fn append(base: i64, position: u32, fill: u8) -> DiskOp {
    DiskOp::Append {
        log: LOG,
        generation: G0,
        segment: Offset(0),
        position,
        end_offset: Offset(base + 2),
        batches: vec![batch(base, 2, fill)],
    }
}

fn sync(end: i64) -> DiskOp {
    DiskOp::Sync {
        log: LOG,
        generation: G0,
        end_offset: Offset(end),
    }
}

fn create() -> [DiskOp; 2] {
    [
        DiskOp::CreateLog {
            log: LOG,
            directory: DIRECTORY,
            folder: "t-0".into(),
            partition_metadata: Bytes::from_static(b"version: 0\n"),
        },
        DiskOp::CreateSegment {
            log: LOG,
            generation: G0,
            segment: Offset(0),
        },
    ]
}

fn disk(seed: u64, options: DiskOptions) -> SimulatedDisk {
    SimulatedDisk::new(1, options, Rng::new(seed))
}

fn run(disk: &mut SimulatedDisk, ops: impl IntoIterator<Item = DiskOp>) -> Vec<DiskDone> {
    for op in ops {
        disk.submit(op, 0);
    }
    let mut done = Vec::new();
    while let Some(at_ns) = disk.next_at_ns() {
        disk.advance(at_ns, &mut done);
    }
    done
}

#[test]
fn a_synced_append_survives_a_power_cut_and_an_unsynced_one_does_not() {
    let mut disk = disk(1, DiskOptions::default());
    let done = run(
        &mut disk,
        create().into_iter().chain([append(0, 0, 7), sync(2)]),
    );
    assert_eq!(done.first(), Some(&DiskDone::Created { log: LOG }));
    let synced = DiskDone::Synced {
        log: LOG,
        generation: G0,
        end_offset: Offset(2),
    };
    assert_eq!(done.last(), Some(&synced));
    run(&mut disk, [append(2, 61, 8)]);
    let read = Slice::File {
        log: LOG,
        segment: Offset(0),
        position: 61,
        length: 61,
    };
    assert_eq!(disk.resolve(&read), batch(2, 2, 8).to_bytes());

    let mut cut = disk.clone();
    cut.lose_power(&PowerLoss::LOSE_ALL);
    let listing = cut.listing(DIRECTORY);
    assert_eq!(listing.folders.len(), 1);
    assert_eq!(&listing.folders[0].partition_metadata[..], b"version: 0\n");
    let log = ("00000000000000000000.log".to_owned(), 61);
    assert!(listing.folders[0].files.contains(&log), "{listing:?}");

    disk.crash_process();
    let folder = disk.files(DIRECTORY).folder("t-0").expect("it was made");
    let kept = disk
        .files(DIRECTORY)
        .content(folder, &log.0)
        .expect("written");
    assert_eq!(kept.length(), 122);
}

#[test]
fn a_crash_leaves_a_replaced_file_old_or_new() {
    let save = |bytes: &'static [u8], token| DiskOp::SaveDirectoryFile {
        directory: DIRECTORY,
        file: DirectoryFile::RecoveryPoints,
        bytes: Bytes::from_static(bytes),
        token: Token(token),
    };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let mut disk = disk(seed, DiskOptions::default());
        run(&mut disk, [save(b"old", 1)]);
        disk.submit(save(b"newer", 2), 0);
        let mut done = Vec::new();
        for _ in 0..seed % 7 {
            let Some(at_ns) = disk.next_at_ns() else {
                break;
            };
            disk.advance(at_ns, &mut done);
        }
        let mut rng = Rng::new(seed);
        disk.lose_power(&PowerLoss::draw(&mut rng, true, true));
        let listing = disk.listing(DIRECTORY);
        let content = listing
            .file(DirectoryFile::RecoveryPoints)
            .expect("it stays");
        assert!(content == "old" || content == "newer", "{content:?}");
        assert!(done.is_empty() || content == "newer");
        seen.insert(content.clone());
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_full_disk_fails_the_generation_until_it_is_truncated() {
    let options = DiskOptions {
        capacity_bytes: Some(100),
        ..DiskOptions::default()
    };
    let mut disk = disk(4, options);
    let ops = create()
        .into_iter()
        .chain([append(0, 0, 1), append(2, 61, 2), sync(4)]);
    let done = run(&mut disk, ops);
    let failed = DiskDone::Failed {
        scope: FailureScope::Append {
            log: LOG,
            generation: G0,
        },
        error: DiskError::Full,
    };
    assert_eq!(done.last(), Some(&failed));
    let truncate = DiskOp::Truncate {
        log: LOG,
        generation: Generation(1),
        segment: Offset(0),
        position: 61,
        end_offset: Offset(2),
    };
    let done = run(&mut disk, [truncate]);
    assert_eq!(
        done,
        [DiskDone::Truncated {
            log: LOG,
            generation: Generation(1),
            end_offset: Offset(2),
        }]
    );
}

#[test]
fn a_failed_sync_is_the_end_of_the_directory() {
    let options = DiskOptions {
        sync_error_one_in: 1,
        ..DiskOptions::default()
    };
    let mut disk = disk(4, options);
    let done = run(
        &mut disk,
        create().into_iter().chain([append(0, 0, 1), sync(2)]),
    );
    assert!(matches!(
        done.last(),
        Some(DiskDone::Failed {
            scope: FailureScope::Directory(DIRECTORY),
            ..
        })
    ));
    let is_synced = |answer: &DiskDone| matches!(answer, DiskDone::Synced { .. });
    assert!(!done.iter().any(is_synced), "{done:?}");
}

#[test]
fn a_read_sees_the_log_that_was_opened_before_it() {
    let mut disk = disk(9, DiskOptions::default());
    run(
        &mut disk,
        create().into_iter().chain([append(0, 0, 7), sync(2)]),
    );
    disk.crash_process();
    let open = DiskOp::OpenLog {
        log: LogId(5),
        directory: DIRECTORY,
        folder: "t-0".into(),
    };
    let read = |file, token| DiskOp::Read {
        log: LogId(5),
        file,
        position: 50,
        length: 100,
        token: Token(token),
    };
    let reads = [
        read(LogFile::Log(Offset(0)), 1),
        read(LogFile::Log(Offset(9)), 2),
    ];
    let done = run(&mut disk, [open].into_iter().chain(reads));
    let answer = |token, bytes: Bytes| DiskDone::Read {
        log: LogId(5),
        token: Token(token),
        result: Ok(bytes),
    };
    assert_eq!(done.len(), 2, "{done:?}");
    assert!(done.contains(&answer(1, batch(0, 2, 7).to_bytes().slice(50..))));
    assert!(done.contains(&answer(2, Bytes::new())));
}

#[test]
fn the_same_seed_gives_the_same_answers_at_the_same_times() {
    let times = |seed| {
        let mut disk = disk(seed, DiskOptions::default());
        let mut times = Vec::new();
        for op in create().into_iter().chain([append(0, 0, 7), sync(2)]) {
            disk.submit(op, 0);
        }
        while let Some(at_ns) = disk.next_at_ns() {
            disk.advance(at_ns, &mut Vec::new());
            times.push(at_ns);
        }
        times
    };
    assert_eq!(times(3), times(3));
    assert_ne!(times(3), times(4));
}
