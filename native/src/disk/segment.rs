//! A segment's `.log` file, and ranges of it that replies still have to send.
//!
//! A range is taken while the order of effects is held, and sent later, from another thread. What
//! may happen in between: the file is closed (it is opened again), renamed (the name is looked up
//! at opening), removed (it is opened before it loses its name), or cut. A cut into a range makes
//! that range an error, so that a reply never carries bytes written after it was decided.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ottla_core::ids::{LogId, Offset};
use ottla_core::storage::LogFile;

use super::handles::LazyFile;
use super::log::Log;

/// One segment's `.log` file.
#[derive(Debug)]
pub(crate) struct Segment {
    base: Offset,
    file: Arc<LazyFile>,
    /// A [`Stage`].
    stage: AtomicU8,
    cut: RwLock<Cut>,
}

/// What the file is called at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// By its own name.
    Plain,
    /// A compaction has made it, and it is about to replace others.
    Cleaned,
    /// It is on its way out.
    Deleted,
    /// It is replacing others.
    Swap,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Plain, Self::Cleaned, Self::Deleted, Self::Swap];

    fn suffix(self) -> &'static str {
        match self {
            Self::Cleaned => CLEANED_SUFFIX,
            Self::Deleted => DELETED_SUFFIX,
            Self::Plain => "",
            Self::Swap => SWAP_SUFFIX,
        }
    }
}

/// What truncations did to a file.
#[derive(Clone, Copy, Debug)]
struct Cut {
    count: u32,
    /// The lowest position ever cut to.
    lowest: u64,
}

impl Segment {
    /// Names a segment; the file is not touched.
    pub(crate) fn new(base: Offset) -> Self {
        Self::at_stage(base, Stage::Plain)
    }

    /// Names a segment whose file is called otherwise for now.
    pub(crate) fn at_stage(base: Offset, stage: Stage) -> Self {
        Self {
            base,
            file: Arc::default(),
            stage: AtomicU8::new(stage as u8),
            cut: RwLock::new(Cut {
                count: 0,
                lowest: u64::MAX,
            }),
        }
    }

    /// Base offset: the number in the file's name.
    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// The file's slot.
    pub(crate) fn file(&self) -> &LazyFile {
        &self.file
    }

    /// The file's path in a log's folder as it is named now.
    fn path(&self, log: &Log) -> PathBuf {
        let mut name = LogFile::Log(self.base).name();
        let stage = usize::from(self.stage.load(Ordering::Acquire));
        name.push_str(Stage::ALL[stage].suffix());
        log.folder_path().join(name)
    }

    /// The open file; it must exist.
    pub(crate) fn open(&self, log: &Log) -> io::Result<Arc<File>> {
        let directory = log.directory();
        let _name_stays = log.hold_folder();
        directory.handles().open(&self.file, || {
            let path = self.path(log);
            directory.calls().open(&path)
        })
    }

    /// The open file, made if it is not there.
    pub(crate) fn create(&self, log: &Log) -> io::Result<Arc<File>> {
        let directory = log.directory();
        let _name_stays = log.hold_folder();
        directory.handles().open(&self.file, || {
            let path = self.path(log);
            directory.calls().create(&path)
        })
    }

    /// Says that the file is renamed; the caller holds the slot's lock.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Readies the file to lose its name: ranges that are still to be sent keep it open.
    pub(crate) fn retire(self: &Arc<Self>, log: &Log) {
        // One reference is the caller's; the map's is gone.
        if Arc::strong_count(self) > 1 && self.open(log).is_ok() {
            self.file.keep_open();
        }
    }

    /// Keeps readers out while the file is cut to `position`.
    pub(crate) fn begin_cut(&self, position: u64) -> impl Drop + '_ {
        let mut cut: RwLockWriteGuard<'_, Cut> =
            self.cut.write().unwrap_or_else(PoisonError::into_inner);
        cut.count += 1;
        cut.lowest = cut.lowest.min(position);
        CutGuard(cut)
    }

    fn hold_cut(&self) -> RwLockReadGuard<'_, Cut> {
        self.cut.read().unwrap_or_else(PoisonError::into_inner)
    }
}

struct CutGuard<'a>(#[allow(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, Cut>);

impl Drop for CutGuard<'_> {
    fn drop(&mut self) {}
}

/// What Kafka appends to the names of files that are to be removed.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";

/// What Kafka appends to the names of files that compaction is making.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";

/// What Kafka appends to the names of files that are about to replace others.
pub(crate) const SWAP_SUFFIX: &str = ".swap";

/// A range of a segment that a reply names; it keeps the file reachable.
#[derive(Debug)]
pub(crate) struct FileRange {
    log: Arc<Log>,
    segment: Arc<Segment>,
    cuts_seen: u32,
    position: u64,
    length: u32,
}

impl FileRange {
    /// Pins a range of written bytes; touches no file.
    pub(crate) fn new(log: Arc<Log>, segment: Arc<Segment>, position: u32, length: u32) -> Self {
        assert!(length > 0, "a slice names at least one byte");
        let cuts_seen = segment.hold_cut().count;
        Self {
            log,
            segment,
            cuts_seen,
            position: u64::from(position),
            length,
        }
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> u32 {
        self.length
    }

    /// Whether this is the range that an output names.
    pub(crate) fn is(&self, log: LogId, segment: Offset, position: u32, length: u32) -> bool {
        (self.log.id(), self.segment.base()) == (log, segment)
            && (self.position, self.length) == (u64::from(position), length)
    }

    /// Another hold on the same range.
    pub(crate) fn share(&self) -> Self {
        Self {
            log: Arc::clone(&self.log),
            segment: Arc::clone(&self.segment),
            ..*self
        }
    }

    /// Whether sending the bytes from `skip` on would not wait for the device, as far as the first
    /// and the last of them tell.
    ///
    /// # Errors
    /// As [`Self::with_file`].
    pub(crate) fn is_resident(&self, skip: u32, length: u32) -> io::Result<bool> {
        let calls = self.log.directory().calls();
        self.with_file(skip, |file, position| {
            let mut byte = [0; 1];
            let last = position + u64::from(length) - 1;
            Ok(calls.read_resident(file, &mut byte, last)? == Some(1)
                && calls.read_resident(file, &mut byte, position)? == Some(1))
        })
    }

    /// Reads `length` bytes from byte `skip` on; may wait for the device.
    ///
    /// # Errors
    /// As [`Self::with_file`], or the file ends early.
    pub(crate) fn load(&self, skip: u32, length: u32) -> io::Result<Bytes> {
        let calls = self.log.directory().calls();
        let mut bytes = vec![0; length as usize];
        let count = self.with_file(skip, |file, position| {
            calls.read_at(file, &mut bytes, position)
        })?;
        if count < bytes.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes.into())
    }

    /// Runs `send` with the file and the position of the range's byte `skip`, while no truncation
    /// can change it.
    ///
    /// # Errors
    /// That of `send`, of opening, or that the log was cut into the range meanwhile: the reply can
    /// not be sent, so its connection must end.
    pub(crate) fn with_file<T>(
        &self,
        skip: u32,
        send: impl FnOnce(&Arc<File>, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        assert!(skip <= self.length, "a reply sends its range once");
        let file = self.segment.open(&self.log)?;
        let cut = self.segment.hold_cut();
        if cut.count != self.cuts_seen && cut.lowest < self.position + u64::from(self.length) {
            return Err(io::Error::other("the log was truncated below a reply"));
        }
        send(&file, self.position + u64::from(skip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_remembered_at_its_lowest() {
        let segment = Segment::new(Offset(5));
        drop(segment.begin_cut(100));
        drop(segment.begin_cut(200));
        let cut = *segment.hold_cut();
        assert_eq!((cut.count, cut.lowest), (2, 100));
        assert_eq!(segment.base(), Offset(5));
    }
}
