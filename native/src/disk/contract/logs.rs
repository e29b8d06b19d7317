//! The files of one log: appends, syncs, cuts, reads and slices.

use std::fs;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use ottla_core::ids::{DirectoryIndex, Generation, Offset};
use ottla_core::storage::{
    DirectoryFile, DiskDone, DiskError, DiskOp, FailureScope, LogFile, StampedBatch, Token,
};

use super::rig::{
    BASE, LOG, Rig, append, batch, bytes_of, read, read_answer, save, saved, sync, synced, truncate,
};

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

#[test]
fn files_that_are_saved_in_a_row_are_answered_each() {
    let mut rig = Rig::with_log();
    let save = |file, bytes: &'static [u8], token| DiskOp::SaveLogFile {
        log: LOG,
        file,
        bytes: bytes.into(),
        token: Token(token),
    };
    let [epochs, vote] = [LogFile::LeaderEpochs, LogFile::QuorumState];
    rig.run([
        save(epochs, b"1", 1),
        save(vote, b"22", 2),
        save(epochs, b"3", 3),
    ]);
    for token in 1..=3 {
        assert_eq!(rig.next(), saved(token));
    }
    let content = |rig: &Rig, file: LogFile| fs::read(rig.path("t-0").join(file.name())).unwrap();
    assert_eq!(content(&rig, epochs), b"3");
    assert_eq!(content(&rig, vote), b"22");
    rig.calls.bytes_left.store(3, Ordering::Relaxed);
    rig.run([save(vote, b"44444", 4), save(epochs, b"5", 5)]);
    let refused = |token| DiskDone::Failed {
        scope: FailureScope::Save(Token(token)),
        error: DiskError::Full,
    };
    assert_eq!([rig.next(), rig.next()], [refused(4), refused(5)]);
    assert_eq!(content(&rig, vote), b"22");
    rig.calls.bytes_left.store(-1, Ordering::Relaxed);
    rig.run([save(epochs, b"6", 6), save(vote, b"77", 7)]);
    assert_eq!([rig.next(), rig.next()], [saved(6), saved(7)]);
    assert_eq!(content(&rig, epochs), b"6");
    assert_eq!(content(&rig, vote), b"77");
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
    rig.run([read(LogFile::PartitionMetadata, 0, 1_000, 6)]);
    assert_eq!(rig.next(), read_answer(6, b"version: 0\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn reading_a_file_is_not_noted_in_it() {
    let mut rig = Rig::with_log();
    let path = rig.path("t-0").join(LogFile::PartitionMetadata.name());
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    let times = fs::FileTimes::new().set_accessed(long_ago);
    fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_times(times))
        .unwrap();
    rig.run([read(LogFile::PartitionMetadata, 0, 1_000, 1)]);
    assert_eq!(rig.next(), read_answer(1, b"version: 0\n"));
    crate::disk::listing::list(&rig.folder.0).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().accessed().unwrap(), long_ago);
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
