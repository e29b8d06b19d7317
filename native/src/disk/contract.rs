//! Tests of the real disk against the contract of `ottla_core::storage`, point by point.
//!
//! Scripts of operations run against a fresh folder; calls fail where a test says so.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_core::ids::{DirectoryIndex, Generation, LogId, Offset};
use ottla_core::storage::{
    DirectoryFile, DiskDone, DiskError, DiskOp, FailureScope, LogFile, STAMP_BYTES, StampedBatch,
    Token,
};

use super::{Disk, DiskDoor, DiskOptions, SystemCalls};

const LOG: LogId = LogId(1);
const BASE: Offset = Offset::ZERO;

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ottla-disk-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Calls that fail on demand.
#[derive(Debug)]
struct Faulty {
    /// Bytes that may still be written; negative is no bound.
    bytes_left: AtomicI64,
    /// Syncs that still succeed; negative is no bound.
    syncs_left: AtomicI64,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            bytes_left: AtomicI64::new(-1),
            syncs_left: AtomicI64::new(-1),
        }
    }
}

impl SystemCalls for Faulty {
    fn write_at(&self, file: &File, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let left = self.bytes_left.load(Ordering::Relaxed);
        if left < 0 {
            return Ok(rustix::io::pwritev(file, slices, position)?);
        }
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let first = &slices[0][..slices[0].len().min(usize::try_from(left).unwrap())];
        let count = rustix::io::pwritev(file, &[IoSlice::new(first)], position)?;
        self.bytes_left
            .store(left - i64::try_from(count).unwrap(), Ordering::Relaxed);
        Ok(count)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        match self.syncs_left.load(Ordering::Relaxed) {
            0 => return Err(io::Error::from_raw_os_error(5)),
            left if left > 0 => self.syncs_left.store(left - 1, Ordering::Relaxed),
            _unbounded => {}
        }
        file.sync_data()
    }
}

/// A disk with one directory, and its answers.
struct Rig {
    disk: Disk,
    door: DiskDoor,
    answers: mpsc::Receiver<DiskDone>,
    to_answers: mpsc::Sender<DiskDone>,
    calls: Arc<Faulty>,
    folder: Folder,
}

impl Rig {
    fn new() -> Self {
        let calls = Arc::new(Faulty::default());
        let folder = Folder::new();
        let options = DiskOptions {
            directories: vec![folder.0.clone()],
            open_files_max: 2,
            workers_max: 2,
        };
        let shared: Arc<dyn SystemCalls> = Arc::<Faulty>::clone(&calls);
        let (disk, door, _listings) = super::open(&options, &shared).unwrap();
        let (to_answers, answers) = mpsc::channel();
        let sink = Mutex::new(to_answers.clone());
        disk.connect(move |done| {
            let sink = sink.lock().unwrap();
            for answer in done.drain(..) {
                let _after_the_test = sink.send(answer);
            }
        });
        Self {
            disk,
            door,
            answers,
            to_answers,
            calls,
            folder,
        }
    }

    /// With log 1 in folder `t-0`, and its first segment.
    fn with_log() -> Self {
        let mut rig = Self::new();
        rig.run([create_log(LOG, "t-0"), create_segment(1, 0)]);
        assert_eq!(rig.next(), DiskDone::Created { log: LOG });
        rig
    }

    fn run(&mut self, operations: impl IntoIterator<Item = DiskOp>) {
        let mut ready = Vec::new();
        let mut done = Vec::new();
        self.door.enqueue(operations, &mut ready);
        self.disk.run(&mut ready, &mut done);
        for answer in done {
            self.to_answers.send(answer).unwrap();
        }
    }

    fn next(&self) -> DiskDone {
        let answer = self.answers.recv_timeout(Duration::from_secs(20));
        answer.expect("the disk answers")
    }

    /// Waits until the log's end is appended.
    fn until_appended(&self, end: i64) {
        loop {
            let answer = self.next();
            let DiskDone::Appended { end_offset, .. } = answer else {
                panic!("{answer:?}");
            };
            assert!(end_offset.0 <= end);
            if end_offset.0 == end {
                return;
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.path("t-0").join(LogFile::Log(BASE).name())).unwrap()
    }
}

fn create_log(log: LogId, folder: &str) -> DiskOp {
    DiskOp::CreateLog {
        log,
        directory: DirectoryIndex(0),
        folder: folder.into(),
        partition_metadata: Bytes::from_static(b"version: 0\n"),
    }
}

fn create_segment(generation: u32, segment: i64) -> DiskOp {
    DiskOp::CreateSegment {
        log: LOG,
        generation: Generation(generation),
        segment: Offset(segment),
    }
}

fn batch(fill: u8, size: usize) -> StampedBatch {
    StampedBatch {
        stamp: [fill; STAMP_BYTES],
        body: Bytes::from(vec![fill; size - STAMP_BYTES]),
    }
}

fn append(generation: u32, position: u32, end: i64, batches: Vec<StampedBatch>) -> DiskOp {
    DiskOp::Append {
        log: LOG,
        generation: Generation(generation),
        segment: BASE,
        position,
        end_offset: Offset(end),
        batches,
    }
}

fn sync(generation: u32, end: i64) -> DiskOp {
    DiskOp::Sync {
        log: LOG,
        generation: Generation(generation),
        end_offset: Offset(end),
    }
}

fn truncate(generation: u32, position: u32, end: i64) -> DiskOp {
    DiskOp::Truncate {
        log: LOG,
        generation: Generation(generation),
        segment: BASE,
        position,
        end_offset: Offset(end),
    }
}

fn save(name: DirectoryFile, bytes: &'static [u8], token: u64) -> DiskOp {
    DiskOp::SaveDirectoryFile {
        directory: DirectoryIndex(0),
        file: name,
        bytes: Bytes::from_static(bytes),
        token: Token(token),
    }
}

fn synced(end: i64) -> DiskDone {
    DiskDone::Synced {
        log: LOG,
        generation: Generation(1),
        end_offset: Offset(end),
    }
}

#[test]
fn appends_are_written_in_order_whatever_their_size() {
    let mut rig = Rig::with_log();
    let mut expected = Vec::new();
    // Small ones are written by the caller, large ones by a disk worker, in one order.
    for (round, size) in (1u8..).zip([100, 300_000, 50, 400_000, 61, 61]) {
        let position = u32::try_from(expected.len()).unwrap();
        let whole = batch(round, size);
        expected.extend_from_slice(&whole.to_bytes());
        rig.run([append(1, position, i64::from(round), vec![whole])]);
    }
    rig.until_appended(6);
    assert_eq!(rig.log_bytes(), expected);
    rig.run([sync(1, 6)]);
    assert_eq!(rig.next(), synced(6));
}

#[test]
fn many_batches_take_several_vectored_writes() {
    let mut rig = Rig::with_log();
    let batches: Vec<_> = (0..200).map(|fill| batch(fill, 70)).collect();
    let expected: Vec<u8> = batches.iter().flat_map(StampedBatch::to_bytes).collect();
    rig.run([
        append(1, 0, 200, batches),
        append(1, 200 * 70, 201, vec![batch(7, 99)]),
    ]);
    rig.until_appended(201);
    assert_eq!(rig.log_bytes()[..expected.len()], expected);
    assert_eq!(rig.log_bytes().len(), expected.len() + 99);
}

#[test]
fn a_full_disk_ends_the_generation_and_a_truncation_begins_the_next() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    rig.calls.bytes_left.store(30, Ordering::Relaxed);
    rig.run([append(1, 100, 2, vec![batch(2, 100)])]);
    let refusal = DiskDone::Failed {
        scope: FailureScope::Append {
            log: LOG,
            generation: Generation(1),
        },
        error: DiskError::Full,
    };
    assert_eq!(rig.next(), refusal);
    // Nothing of it is in the file, and nothing of the generation follows.
    assert_eq!(rig.log_bytes(), [1; 100]);
    rig.calls.bytes_left.store(-1, Ordering::Relaxed);
    rig.run([append(1, 200, 3, vec![batch(3, 100)]), sync(1, 3)]);
    rig.run([truncate(2, 100, 1), append(2, 100, 2, vec![batch(4, 50)])]);
    let truncated = DiskDone::Truncated {
        log: LOG,
        generation: Generation(2),
        end_offset: Offset(1),
    };
    assert_eq!(rig.next(), truncated);
    rig.until_appended(2);
    assert_eq!(rig.log_bytes(), [vec![1; 100], vec![4; 50]].concat());
    // What is left over from the old generation is dropped unanswered.
    rig.run([
        append(1, 150, 9, vec![batch(9, 50)]),
        append(2, 150, 3, vec![batch(5, 50)]),
    ]);
    rig.until_appended(3);
    assert_eq!(rig.log_bytes().len(), 200);
}

#[test]
fn a_failed_sync_is_final_for_the_directory() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    rig.run([sync(1, 1)]);
    assert_eq!(rig.next(), synced(1));
    rig.calls.syncs_left.store(0, Ordering::Relaxed);
    rig.run([append(1, 100, 2, vec![batch(2, 100)])]);
    rig.until_appended(2);
    rig.run([sync(1, 2)]);
    let DiskDone::Failed { scope, error } = rig.next() else {
        panic!("the sync failed");
    };
    assert_eq!(scope, FailureScope::Directory(DirectoryIndex(0)));
    assert!(matches!(error, DiskError::Io(_)), "{error}");
    // The device is well again; nothing is acknowledged all the same. A read still is answered.
    rig.calls.syncs_left.store(-1, Ordering::Relaxed);
    rig.run([sync(1, 2), save(DirectoryFile::CleanShutdown, b"{}", 5)]);
    rig.run([
        append(1, 200, 3, vec![batch(3, 100)]),
        read(LogFile::Log(BASE), 0, 10, 6),
    ]);
    assert_eq!(rig.next(), read_answer(6, &[1; 10]));
    assert!(!rig.path(".kafka_cleanshutdown").exists());
}

#[test]
fn files_are_saved_whole_or_not_at_all() {
    let mut rig = Rig::with_log();
    rig.run([save(DirectoryFile::HighWatermarks, b"old", 1)]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(1) });
    rig.calls.bytes_left.store(1, Ordering::Relaxed);
    rig.run([save(DirectoryFile::HighWatermarks, b"new", 2)]);
    let refusal = DiskDone::Failed {
        scope: FailureScope::Save(Token(2)),
        error: DiskError::Full,
    };
    assert_eq!(rig.next(), refusal);
    let path = rig.path(DirectoryFile::HighWatermarks.name());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    rig.calls.bytes_left.store(-1, Ordering::Relaxed);
    rig.run([
        save(DirectoryFile::HighWatermarks, b"newer", 3),
        DiskOp::RemoveDirectoryFile {
            directory: DirectoryIndex(0),
            file: DirectoryFile::HighWatermarks,
            token: Token(4),
        },
    ]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(3) });
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(4) });
    assert!(!path.exists());
}

fn read(file: LogFile, position: u32, length: u32, token: u64) -> DiskOp {
    DiskOp::Read {
        log: LOG,
        file,
        position,
        length,
        token: Token(token),
    }
}

fn read_answer(token: u64, bytes: &[u8]) -> DiskDone {
    DiskDone::Read {
        log: LOG,
        token: Token(token),
        result: Ok(Bytes::copy_from_slice(bytes)),
    }
}

#[test]
fn reads_end_where_the_file_does() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 300_000)])]);
    rig.until_appended(1);
    rig.run([read(LogFile::Log(BASE), 299_990, 1000, 1)]);
    assert_eq!(rig.next(), read_answer(1, &[1; 10]));
    rig.run([read(LogFile::Log(BASE), 0, 300_000, 2)]);
    assert_eq!(rig.next(), read_answer(2, &[1; 300_000]));
    rig.run([
        read(LogFile::OffsetIndex(BASE), 0, 8, 3),
        read(LogFile::Log(BASE), 900_000, 8, 4),
    ]);
    assert_eq!(rig.next(), read_answer(3, &[]));
    assert_eq!(rig.next(), read_answer(4, &[]));
    rig.run([read(LogFile::PartitionMetadata, 0, 8, 5)]);
    assert_eq!(rig.next(), read_answer(5, b"version:"));
}

/// The bytes of a pinned range, or why there are none.
fn bytes_of(range: &super::FileRange) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; range.length() as usize];
    range.with_file(0, |file, position| file.read_exact_at(&mut bytes, position))?;
    Ok(bytes)
}

#[test]
fn slices_outlive_renaming_removal_and_cuts_behind_them() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 2, vec![batch(1, 100), batch(2, 100)])]);
    rig.until_appended(2);
    let kept = rig.door.pin(LOG, BASE, 0, 100).unwrap();
    let cut = rig.door.pin(LOG, BASE, 50, 100).unwrap();
    rig.run([truncate(2, 100, 1), append(2, 100, 2, vec![batch(3, 100)])]);
    assert!(matches!(rig.next(), DiskDone::Truncated { .. }));
    rig.until_appended(2);
    assert_eq!(bytes_of(&kept).unwrap(), [1; 100]);
    assert!(bytes_of(&cut).is_err(), "bytes changed under a reply");
    let late = rig.door.pin(LOG, BASE, 50, 100).unwrap();
    rig.run([DiskOp::MarkSegmentDeleted {
        log: LOG,
        generation: Generation(2),
        segment: BASE,
    }]);
    rig.run([DiskOp::RemoveSegment {
        log: LOG,
        segment: BASE,
    }]);
    // The answer to a later operation of the log says that the removal happened.
    rig.run([DiskOp::SaveLogFile {
        log: LOG,
        file: LogFile::LeaderEpochs,
        bytes: Bytes::from_static(b"0\n0\n"),
        token: Token(1),
    }]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(1) });
    assert!(!rig.path("t-0/00000000000000000000.log").exists());
    assert!(!rig.path("t-0/00000000000000000000.log.deleted").exists());
    assert_eq!(
        bytes_of(&late).unwrap(),
        [vec![1; 50], vec![3; 50]].concat()
    );
}

fn write_cleaned(file: LogFile, position: u32, bytes: Vec<u8>, token: u64) -> DiskOp {
    DiskOp::WriteCleaned {
        log: LOG,
        file,
        position,
        bytes: Bytes::from(bytes),
        token: Token(token),
    }
}

fn saved(token: u64) -> DiskDone {
    DiskDone::Saved {
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

#[test]
fn a_deleted_log_makes_room_for_its_name() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    let slice = rig.door.pin(LOG, BASE, 0, 100).unwrap();
    rig.run([
        DiskOp::MarkLogDeleted {
            log: LOG,
            folder: "t-0.0123-delete".into(),
        },
        DiskOp::RemoveLog { log: LOG },
        create_log(LogId(2), "t-0"),
    ]);
    assert_eq!(rig.next(), DiskDone::Created { log: LogId(2) });
    assert!(rig.path("t-0").is_dir());
    assert!(!rig.path("t-0").join(LogFile::Log(BASE).name()).exists());
    assert_eq!(bytes_of(&slice).unwrap(), [1; 100]);
}

#[test]
fn a_renamed_log_goes_on_and_makes_room_for_its_names() {
    let mut rig = Rig::with_log();
    let rename = |folder: &str, number| DiskOp::RenameLog {
        log: LOG,
        folder: folder.into(),
        token: Token(number),
    };
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    let slice = rig.door.pin(LOG, BASE, 0, 100).unwrap();
    rig.run([
        rename("t-0.0123-future", 7),
        create_log(LogId(2), "t-0"),
        append(1, 100, 2, vec![batch(2, 100)]),
        rename("t-1", 8),
        create_log(LogId(3), "t-0.0123-future"),
    ]);
    let mut answers: Vec<DiskDone> = (0..5).map(|_at| rig.next()).collect();
    let own = [
        DiskDone::Saved { token: Token(7) },
        DiskDone::Appended {
            log: LOG,
            generation: Generation(1),
            end_offset: Offset(2),
        },
        DiskDone::Saved { token: Token(8) },
    ];
    answers.retain(|answer| !matches!(answer, DiskDone::Created { .. }));
    assert_eq!(answers, own, "in the order of the operations");
    let log = LogFile::Log(BASE).name();
    assert_eq!(fs::read(rig.path("t-1").join(&log)).unwrap().len(), 200);
    for made in ["t-0", "t-0.0123-future"] {
        assert!(rig.path(made).is_dir(), "{made}");
        assert!(!rig.path(made).join(&log).exists(), "{made} is new");
    }
    assert_eq!(bytes_of(&slice).unwrap(), [1; 100]);
    rig.run([rename("t-1.45-delete", 9), DiskOp::RemoveLog { log: LOG }]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(9) });
    rig.run([create_log(LogId(4), "t-1")]);
    assert_eq!(rig.next(), DiskDone::Created { log: LogId(4) });
}

#[test]
fn indexes_are_cut_to_where_entries_begin() {
    let mut rig = Rig::with_log();
    let index = |position, bytes: &'static [u8]| DiskOp::AppendIndex {
        log: LOG,
        generation: Generation(1),
        file: LogFile::OffsetIndex(BASE),
        position,
        bytes: Bytes::from_static(bytes),
    };
    rig.run([
        index(0, b"abcdefgh"),
        index(8, b"ijklmnop"),
        index(4, b"XY"),
    ]);
    rig.run([read(LogFile::OffsetIndex(BASE), 0, 100, 1)]);
    assert_eq!(rig.next(), read_answer(1, b"abcdXY"));
}

#[test]
fn space_ahead_of_a_busy_log_is_given_back() {
    use std::os::unix::fs::MetadataExt;
    let mut rig = Rig::with_log();
    let path = rig.path("t-0").join(LogFile::Log(BASE).name());
    let blocks = || fs::metadata(&path).unwrap().blocks() * 512;
    rig.run([append(1, 0, 1, vec![batch(1, 1000)])]);
    rig.until_appended(1);
    assert!(blocks() <= 8192, "a quiet log takes no space ahead");
    rig.run([append(1, 1000, 2, vec![batch(1, 500_000)])]);
    rig.until_appended(2);
    let ahead = blocks();
    assert_eq!(fs::metadata(&path).unwrap().len(), 501_000);
    let Rig {
        disk,
        door,
        folder: _folder,
        ..
    } = rig;
    disk.close(&door);
    assert!(blocks() <= ahead);
    assert!(blocks() < 600_000, "{} bytes stay allocated", blocks());
}

#[test]
fn a_directory_serves_one_broker_and_lists_what_it_holds() {
    let mut rig = Rig::with_log();
    rig.run([append(1, 0, 1, vec![batch(1, 100)])]);
    rig.until_appended(1);
    rig.run([save(DirectoryFile::MetaProperties, b"version=1\n", 1)]);
    assert_eq!(rig.next(), DiskDone::Saved { token: Token(1) });
    let options = DiskOptions {
        directories: vec![rig.folder.0.clone()],
        open_files_max: 1,
        workers_max: 1,
    };
    let calls: Arc<dyn SystemCalls> = Arc::new(super::OperatingSystem);
    let refusal = super::open(&options, &calls).expect_err("it is in use");
    assert!(
        refusal.to_string().contains("in use by another broker"),
        "{refusal}"
    );
    let Rig {
        disk, door, folder, ..
    } = rig;
    disk.close(&door);
    drop((disk, door));
    let listing = wait_for_listing(&options, &calls);
    let content = listing.file(DirectoryFile::MetaProperties);
    assert_eq!(content.unwrap(), &b"version=1\n"[..]);
    assert_eq!(listing.folders.len(), 1);
    let log = &listing.folders[0];
    assert_eq!(log.name, "t-0");
    assert_eq!(log.partition_metadata, &b"version: 0\n"[..]);
    let files: Vec<_> = log
        .files
        .iter()
        .map(|(name, size)| (&**name, *size))
        .collect();
    assert_eq!(
        files,
        [
            ("00000000000000000000.log", 100),
            ("partition.metadata", 11)
        ]
    );
    assert!(Path::new(&folder.0).is_dir());
}

/// The lock is let go with the last thread of the first disk.
fn wait_for_listing(
    options: &DiskOptions,
    calls: &Arc<dyn SystemCalls>,
) -> ottla_core::storage::DirectoryListing {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match super::open(options, calls) {
            Ok((disk, door, mut listings)) => {
                disk.close(&door);
                return listings.remove(0);
            }
            Err(still_held) => {
                assert!(Instant::now() < deadline, "{still_held}");
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn very_many_folders_are_listed_in_order_and_each_once() {
    let folder = Folder::new();
    let names: Vec<String> = (0..700).map(|number| format!("t-{number:04}")).collect();
    // Made in another order than that of their names.
    for name in names.iter().rev() {
        let path = folder.0.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(LogFile::PartitionMetadata.name()), name).unwrap();
    }
    let options = DiskOptions {
        directories: vec![folder.0.clone()],
        open_files_max: 1,
        workers_max: 1,
    };
    let calls: Arc<dyn SystemCalls> = Arc::new(super::OperatingSystem);
    let listing = wait_for_listing(&options, &calls);
    let listed = listing.folders.iter().map(|folder| &folder.name);
    assert!(listed.eq(&names));
    for folder in &listing.folders {
        assert_eq!(folder.partition_metadata, folder.name.as_bytes());
        assert_eq!(folder.files.len(), 1);
    }
    // One that cannot be read, among the last of them, is an error as it is among few.
    let unreadable = folder
        .0
        .join("t-0699")
        .join(LogFile::PartitionMetadata.name());
    fs::remove_file(&unreadable).unwrap();
    File::create(&unreadable).unwrap().set_len(1 << 20).unwrap();
    let refusal = super::open(&options, &calls).expect_err("a log of ours");
    assert!(refusal.to_string().contains("is far too long"), "{refusal}");
}
