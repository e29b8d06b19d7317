//! A disk for a test, calls that fail on demand, and operations in few words.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use ottla_core::ids::{DirectoryIndex, Generation, LogId, Offset};
use ottla_core::storage::{
    DirectoryFile, DiskDone, DiskOp, LogFile, STAMP_BYTES, StampedBatch, Token,
};

use crate::disk::{self, Disk, DiskDoor, DiskOptions, SystemCalls};

pub(super) const LOG: LogId = LogId(1);

pub(super) const BASE: Offset = Offset::ZERO;

/// A folder of its own for each test, removed at the end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
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
pub(super) struct Faulty {
    /// Bytes that may still be written; negative is no bound.
    pub(super) bytes_left: AtomicI64,
    /// Syncs that still succeed; negative is no bound.
    pub(super) syncs_left: AtomicI64,
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
pub(super) struct Rig {
    pub(super) disk: Disk,
    pub(super) door: DiskDoor,
    pub(super) answers: mpsc::Receiver<DiskDone>,
    pub(super) to_answers: mpsc::Sender<DiskDone>,
    pub(super) calls: Arc<Faulty>,
    pub(super) folder: Folder,
}

impl Rig {
    pub(super) fn new() -> Self {
        let calls = Arc::new(Faulty::default());
        let folder = Folder::new();
        let options = DiskOptions {
            directories: vec![folder.0.clone()],
            open_files_max: 2,
            workers_max: 2,
        };
        let shared: Arc<dyn SystemCalls> = Arc::<Faulty>::clone(&calls);
        let (disk, door, _listings) = disk::open(&options, &shared).unwrap();
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
    pub(super) fn with_log() -> Self {
        let mut rig = Self::new();
        rig.run([create_log(LOG, "t-0"), create_segment(1, 0)]);
        assert_eq!(rig.next(), DiskDone::Created { log: LOG });
        rig
    }

    pub(super) fn run(&mut self, operations: impl IntoIterator<Item = DiskOp>) {
        let mut ready = Vec::new();
        let mut done = Vec::new();
        self.door.enqueue(operations, &mut ready);
        self.disk.run(&mut ready, &mut done);
        for answer in done {
            self.to_answers.send(answer).unwrap();
        }
    }

    pub(super) fn next(&self) -> DiskDone {
        let answer = self.answers.recv_timeout(Duration::from_secs(20));
        answer.expect("the disk answers")
    }

    /// Waits until the log's end is appended.
    pub(super) fn until_appended(&self, end: i64) {
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

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    pub(super) fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.path("t-0").join(LogFile::Log(BASE).name())).unwrap()
    }
}

pub(super) fn create_log(log: LogId, folder: &str) -> DiskOp {
    DiskOp::CreateLog {
        log,
        directory: DirectoryIndex(0),
        folder: folder.into(),
        partition_metadata: Bytes::from_static(b"version: 0\n"),
    }
}

pub(super) fn create_segment(generation: u32, segment: i64) -> DiskOp {
    DiskOp::CreateSegment {
        log: LOG,
        generation: Generation(generation),
        segment: Offset(segment),
    }
}

pub(super) fn batch(fill: u8, size: usize) -> StampedBatch {
    StampedBatch {
        stamp: [fill; STAMP_BYTES],
        body: Bytes::from(vec![fill; size - STAMP_BYTES]),
    }
}

pub(super) fn append(
    generation: u32,
    position: u32,
    end: i64,
    batches: Vec<StampedBatch>,
) -> DiskOp {
    DiskOp::Append {
        log: LOG,
        generation: Generation(generation),
        segment: BASE,
        position,
        end_offset: Offset(end),
        batches,
    }
}

pub(super) fn sync(generation: u32, end: i64) -> DiskOp {
    DiskOp::Sync {
        log: LOG,
        generation: Generation(generation),
        end_offset: Offset(end),
    }
}

pub(super) fn truncate(generation: u32, position: u32, end: i64) -> DiskOp {
    DiskOp::Truncate {
        log: LOG,
        generation: Generation(generation),
        segment: BASE,
        position,
        end_offset: Offset(end),
    }
}

pub(super) fn save(name: DirectoryFile, bytes: &'static [u8], token: u64) -> DiskOp {
    DiskOp::SaveDirectoryFile {
        directory: DirectoryIndex(0),
        file: name,
        bytes: Bytes::from_static(bytes),
        token: Token(token),
    }
}

pub(super) fn synced(end: i64) -> DiskDone {
    DiskDone::Synced {
        log: LOG,
        generation: Generation(1),
        end_offset: Offset(end),
    }
}

pub(super) fn read(file: LogFile, position: u32, length: u32, token: u64) -> DiskOp {
    DiskOp::Read {
        log: LOG,
        file,
        position,
        length,
        token: Token(token),
    }
}

pub(super) fn read_answer(token: u64, bytes: &[u8]) -> DiskDone {
    DiskDone::Read {
        log: LOG,
        token: Token(token),
        result: Ok(Bytes::copy_from_slice(bytes)),
    }
}

/// The bytes of a pinned range, or why there are none.
pub(super) fn bytes_of(range: &disk::FileRange) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; range.length() as usize];
    range.with_file(0, |file, position| file.read_exact_at(&mut bytes, position))?;
    Ok(bytes)
}

pub(super) fn saved(token: u64) -> DiskDone {
    DiskDone::Saved {
        token: Token(token),
    }
}
