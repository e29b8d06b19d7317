//! Opening a log that was there at boot: a job made of disk reads.
//!
//! After a clean stop it reads the ends of the indexes and the last few batches. Otherwise it scans
//! from the recovery point (from the newest usable producer snapshot, if that is older), rebuilds
//! what it scans, and makes everything durable before the log is served: what a crash during
//! recovery leaves behind is what the next recovery starts from. Never cuts below the recovery
//! point. Compare Kafka's `LogLoader`.

mod files;
mod finish;
mod known;
mod scan;
mod segment_scan;
mod segments;
mod swap;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::files::{FolderFiles, SegmentFiles};
use self::segment_scan::SegmentScan;
use self::swap::SwapScan;
use super::segment::{ActiveSegment, ClosedSegment};
use super::{BatchInfo, Log, LogSettings, LogState};
use crate::event::{Event, Severity};
use crate::ids::{DirectoryIndex, Generation, LogId, Offset};
use crate::limits::JOB_READ_BYTES;
use crate::storage::{DiskDone, DiskError, DiskOp, FailureScope, FolderListing, LogFile, Token};
use crate::time::{Now, Timestamp};

/// What is known of a log before any of its files is read.
#[derive(Clone, Debug)]
pub struct LogFound {
    /// Its id; never used before in this incarnation of the node.
    pub id: LogId,
    /// The data directory it lies in.
    pub directory: DirectoryIndex,
    /// Its topic's settings.
    pub settings: Arc<LogSettings>,
    /// From `recovery-point-offset-checkpoint`; `None` where the log is not in it.
    pub recovery_point: Option<Offset>,
    /// From `log-start-offset-checkpoint`; `None` where the log is not in it.
    pub log_start_offset: Option<Offset>,
    /// From `cleaner-offset-checkpoint`; `None` where the log is not in it.
    pub cleaned_to: Option<Offset>,
    /// The node was stopped cleanly.
    pub is_clean: bool,
}

/// A log that is ready.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The log; offline where its directory could not be read.
    pub log: Log,
    /// What was found on the way and a person should know.
    pub events: Vec<Event>,
}

/// What is left of a log that was cut while it was open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reopened {
    /// The segment that became the last.
    pub(super) segment: Offset,
    /// Its size now.
    pub(super) size_bytes: u32,
    /// The data directory.
    pub(super) directory: DirectoryIndex,
    /// Below this offset nothing may be missing.
    pub(super) sound_to: Offset,
}

/// The job.
#[derive(Clone, Debug)]
pub struct Opening {
    log: Log,
    found: LogFound,
    files: FolderFiles,
    now: Now,
    stage: Stage,
    /// The read that is awaited.
    awaited: Option<Token>,
    /// What came of the current file so far.
    gathered: BytesMut,
    /// Segments still to be looked at, in order.
    todo: VecDeque<(Offset, SegmentFiles)>,
    /// The log's end so far.
    end_offset: Offset,
    /// Producers are replayed from here.
    replay_from: Offset,
    /// Batches in front of that, for what the snapshot leaves out.
    history: VecDeque<BatchInfo>,
    /// Everything is scanned, whatever is durable: the epochs are to be found again.
    scans_all: bool,
    /// Nothing below is scanned.
    scan_from: Offset,
    /// The segment that holds it.
    first_scanned: Offset,
    is_epochs_changed: bool,
    /// The disk was asked to cut the log, and has not yet.
    is_cutting: bool,
    /// The log goes on after records that are missing.
    is_resumed: bool,
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Reading `leader-epoch-checkpoint`.
    Epochs,
    /// Reading the last entry of a closed segment's time index.
    LastTime(Offset, SegmentFiles),
    /// Reading a producer snapshot.
    Snapshot(Offset),
    /// Reading a segment.
    Segment(Box<SegmentScan>),
    /// Reading the first batch's header of the segment in use.
    FirstHeader,
    /// The disk cuts the log.
    Truncating,
    /// Looking through a segment that is to replace others.
    Swap(Box<SwapScan>),
    /// The disk makes the log durable.
    Syncing,
    Done,
}

impl Opening {
    /// Begins to open the log in a folder.
    #[must_use]
    pub fn begin(
        now: Now,
        found: LogFound,
        listing: &FolderListing,
        out: &mut Vec<DiskOp>,
    ) -> Self {
        let folder: Arc<str> = listing.name.as_str().into();
        out.push(DiskOp::OpenLog {
            log: found.id,
            directory: found.directory,
            folder: Arc::clone(&folder),
        });
        let files = FolderFiles::of(listing);
        let start = found.log_start_offset.unwrap_or(Offset::ZERO);
        let log = Log::empty(
            found.id,
            folder,
            Arc::clone(&found.settings),
            Generation(1),
            ActiveSegment::new(start, now.wall),
        );
        let mut opening = Self {
            log,
            found,
            files,
            now,
            stage: Stage::Done,
            awaited: None,
            gathered: BytesMut::new(),
            todo: VecDeque::new(),
            end_offset: start,
            replay_from: Offset::ZERO,
            history: VecDeque::new(),
            scans_all: false,
            scan_from: Offset::ZERO,
            first_scanned: Offset::ZERO,
            is_epochs_changed: false,
            is_cutting: false,
            is_resumed: false,
            events: Vec::new(),
        };
        opening.begin_swaps(out);
        opening
    }

    /// Gives the log's folder the name it is to have from now on.
    pub fn rename(&mut self, folder: Arc<str>, out: &mut Vec<DiskOp>) {
        self.log.rename(Arc::clone(&folder));
        let token = self.log.take_token();
        out.push(DiskOp::RenameLog {
            log: self.found.id,
            folder,
            token,
        });
    }

    /// Reads the end of a log again that was just cut; what is in front of the newest producer
    /// snapshot stands as it was.
    pub(super) fn reopen(
        now: Now,
        mut log: Log,
        reopened: Reopened,
        out: &mut Vec<DiskOp>,
    ) -> Self {
        let snapshots = log.take_snapshots();
        let replay_from = snapshots.last().copied().unwrap_or(Offset::ZERO);
        let sizes = |size_bytes: u32| SegmentFiles {
            log_bytes: u64::from(size_bytes),
            // There may be too many entries, never too few: read, and written again.
            offsets_bytes: Some(u64::MAX),
            times_bytes: Some(u64::MAX),
        };
        let kept = log
            .closed
            .partition_point(|closed| closed.end_offset < replay_from);
        let again = log.closed.split_off(kept);
        let mut segments: std::collections::BTreeMap<Offset, SegmentFiles> = again
            .iter()
            .filter(|closed| closed.base_offset < reopened.segment)
            .map(|closed| (closed.base_offset, sizes(closed.size_bytes)))
            .collect();
        segments.insert(reopened.segment, sizes(reopened.size_bytes));
        let mut opening = Self {
            found: LogFound {
                id: log.id,
                directory: reopened.directory,
                settings: Arc::clone(&log.settings),
                recovery_point: Some(reopened.sound_to),
                log_start_offset: Some(log.log_start_offset),
                cleaned_to: Some(log.cleaned_to),
                is_clean: false,
            },
            files: FolderFiles {
                segments,
                snapshots,
                ..FolderFiles::default()
            },
            now,
            stage: Stage::Done,
            awaited: None,
            gathered: BytesMut::new(),
            todo: VecDeque::new(),
            end_offset: log.log_start_offset,
            replay_from: Offset::ZERO,
            history: VecDeque::new(),
            scans_all: false,
            scan_from: Offset::ZERO,
            first_scanned: Offset::ZERO,
            is_epochs_changed: false,
            is_cutting: true,
            is_resumed: false,
            events: Vec::new(),
            log,
        };
        opening.after_epochs(out);
        opening
    }

    /// The log, once it is ready; then the job is over.
    pub fn take_opened(&mut self) -> Option<Opened> {
        matches!(self.stage, Stage::Done).then(|| Opened {
            log: self.log.clone(),
            events: std::mem::take(&mut self.events),
        })
    }

    /// Takes in an answer of the disk that concerns this log.
    pub fn on_done(&mut self, done: &DiskDone, out: &mut Vec<DiskOp>) {
        match done {
            DiskDone::Read { token, result, .. } if self.awaited == Some(*token) => {
                self.awaited = None;
                match result {
                    Ok(bytes) => self.on_bytes(bytes, out),
                    Err(error) => self.fail(error),
                }
            }
            DiskDone::Truncated { generation, .. } if *generation == self.log.generation => {
                self.is_cutting = false;
                if matches!(self.stage, Stage::Truncating) {
                    self.sync(out);
                }
            }
            DiskDone::Synced { generation, .. } if *generation == self.log.generation => {
                if matches!(self.stage, Stage::Syncing) {
                    self.log.flushed = self.log.written;
                    self.stage = Stage::Done;
                }
            }
            DiskDone::Failed {
                scope: FailureScope::Directory(directory),
                error,
            } if *directory == self.found.directory => self.fail(error),
            DiskDone::Failed {
                scope: FailureScope::Append { .. },
                error,
            } => self.fail(error),
            DiskDone::Failed {
                scope: FailureScope::Save(token),
                ..
            } => self.log.on_save_failed(*token),
            DiskDone::Saved { token } => self.log.on_saved(*token, out),
            DiskDone::Appended { .. }
            | DiskDone::Created { .. }
            | DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Synced { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => {}
        }
    }

    fn remove_leftovers(&mut self, out: &mut Vec<DiskOp>) {
        let log = self.found.id;
        for &segment in &self.files.deleted_segments {
            out.push(DiskOp::RemoveSegment { log, segment });
        }
        for &file in &self.files.strays {
            out.push(DiskOp::RemoveFile { log, file });
        }
        // Segments below the log's start were to be removed, perhaps with others that are gone
        // already: what they tell of producers would be old.
        let start = self.found.log_start_offset.unwrap_or(Offset::ZERO);
        let held = self.files.segments.range(..=start).next_back();
        let Some((&first, _files)) = held.or(self.files.segments.first_key_value()) else {
            return;
        };
        let kept = self.files.segments.split_off(&first);
        for (segment, _files) in std::mem::replace(&mut self.files.segments, kept) {
            out.push(DiskOp::MarkSegmentDeleted {
                log,
                generation: self.log.generation,
                segment,
            });
            out.push(DiskOp::RemoveSegment { log, segment });
        }
        self.files.snapshots.retain(|&offset| {
            let is_kept = offset >= first;
            if !is_kept {
                out.push(DiskOp::RemoveFile {
                    log,
                    file: LogFile::ProducerSnapshot(offset),
                });
            }
            is_kept
        });
    }

    fn start(&mut self, out: &mut Vec<DiskOp>) {
        if self
            .files
            .segments
            .values()
            .any(|files| u32::try_from(files.log_bytes).is_err())
        {
            let message = "a segment is larger than 4 GiB, which no broker writes".to_owned();
            self.note(Severity::Error, message);
            self.log.state = LogState::Offline;
            return;
        }
        if self.files.epochs_bytes > 0 {
            self.stage = Stage::Epochs;
            self.read(LogFile::LeaderEpochs, 0, JOB_READ_BYTES, out);
        } else {
            self.after_epochs(out);
        }
    }

    fn read(&mut self, file: LogFile, position: u32, length: u32, out: &mut Vec<DiskOp>) {
        let token = self.log.saves.next_token();
        self.awaited = Some(token);
        out.push(DiskOp::Read {
            log: self.found.id,
            file,
            position,
            length,
            token,
        });
    }

    fn on_bytes(&mut self, bytes: &Bytes, out: &mut Vec<DiskOp>) {
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Epochs => {
                if let Some(text) = self.gather(LogFile::LeaderEpochs, bytes, out) {
                    self.on_epochs(&text, out);
                } else {
                    self.stage = Stage::Epochs;
                }
            }
            Stage::Snapshot(offset) => {
                let file = LogFile::ProducerSnapshot(offset);
                if let Some(content) = self.gather(file, bytes, out) {
                    self.on_snapshot(offset, &content, out);
                } else {
                    self.stage = Stage::Snapshot(offset);
                }
            }
            Stage::LastTime(base, files) => self.on_last_time(base, files, bytes, out),
            Stage::Segment(scan) => self.on_segment_bytes(scan, bytes, out),
            Stage::Swap(scan) => self.on_swap_bytes(scan, bytes, out),
            Stage::FirstHeader => {
                if let Ok(info) = BatchInfo::parse(bytes) {
                    self.log.active.first_timestamp = Some(info.max_timestamp);
                }
                self.finish(out);
            }
            Stage::Truncating | Stage::Syncing | Stage::Done => {
                unreachable!("no read is awaited then")
            }
        }
    }

    /// Puts the pieces of a small file together; `None` while there is more.
    fn gather(&mut self, file: LogFile, bytes: &Bytes, out: &mut Vec<DiskOp>) -> Option<Bytes> {
        self.gathered.extend_from_slice(bytes);
        let held = u32::try_from(self.gathered.len()).expect("small files are below 4 GiB");
        if bytes.len() == JOB_READ_BYTES as usize {
            self.read(file, held, JOB_READ_BYTES, out);
            return None;
        }
        Some(std::mem::take(&mut self.gathered).freeze())
    }

    fn note(&mut self, severity: Severity, message: String) {
        self.events.push(Event {
            severity,
            room: "log",
            subject: self.log.folder.to_string(),
            message,
        });
    }

    fn fail(&mut self, error: &DiskError) {
        self.note(
            Severity::Error,
            format!("cannot be opened: {error}; it stays offline until the next start"),
        );
        self.log.on_directory_failed();
        self.stage = Stage::Done;
    }

    /// A timestamp for a segment whose time index says nothing.
    fn closed(
        base_offset: Offset,
        end_offset: Offset,
        files: &SegmentFiles,
        max_timestamp: Timestamp,
    ) -> ClosedSegment {
        ClosedSegment {
            base_offset,
            end_offset,
            size_bytes: u32::try_from(files.log_bytes).expect("checked when it began"),
            first_timestamp: Timestamp::NONE,
            max_timestamp,
        }
    }
}
