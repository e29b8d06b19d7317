//! Asserts the contract of `crate::storage` on what passes between a node and its disk.
//!
//! Every driver can feed it: each operation in the order it was emitted, each answer in the order
//! it was given. It keeps lengths, ends and generations only, never bytes, and knows nothing of how
//! a log decides what to write. A breach is a bug of this program, so it panics, saying which
//! operation broke what.

use std::collections::BTreeMap;

use crate::ids::{Generation, LogId, Offset};
use crate::storage::{DiskDone, DiskError, DiskOp, FailureScope, LogFile, StampedBatch};

/// Offset of `lastOffsetDelta` in a batch's body, which begins at the magic byte.
const LAST_OFFSET_DELTA_AT: usize = 7;

/// What is known of one log.
#[derive(Clone, Debug, Default)]
struct LogFacts {
    /// Known once an operation named it, for a log that was there at boot.
    generation: Option<Generation>,
    /// The segment appends go to, with its length; `None` until an operation tells.
    active: Option<(Offset, Option<u32>)>,
    /// End offset of the last append or truncation; `None` until an operation tells.
    end: Option<Offset>,
    /// Highest end asked to be synced in this generation.
    sync_requested: Option<Offset>,
    /// Highest ends acknowledged in this generation.
    appended: Option<Offset>,
    synced: Option<Offset>,
    /// An append failed for lack of space: only a truncation may follow.
    full: bool,
    /// The folder was renamed out of the way.
    deleted: bool,
    /// Segments renamed out of the way, to be removed.
    segments_deleted: Vec<Offset>,
    /// It was there at boot, perhaps with segments that an earlier incarnation had marked.
    was_there: bool,
    /// Lengths of the segments that were there at boot.
    lengths_at_boot: BTreeMap<Offset, u32>,
    /// Segments that compaction is making.
    cleaned: BTreeMap<Offset, CleanedFacts>,
}

/// What is known of a segment that compaction is making.
#[derive(Clone, Debug, Default)]
struct CleanedFacts {
    ends: BTreeMap<LogFile, u32>,
    /// Nothing was written since the last sync.
    is_synced: bool,
}

/// Watches one incarnation of a node and its disk.
#[derive(Clone, Debug, Default)]
pub struct DiskContract {
    logs: BTreeMap<LogId, LogFacts>,
}

impl DiskContract {
    /// Notes an operation, in the order of emission. `lengths` are the `.log` files of the folder
    /// that an `OpenLog` names, as they are on disk; empty for any other operation.
    ///
    /// # Panics
    /// Where the operation breaks the contract.
    pub fn on_op(&mut self, op: &DiskOp, lengths: &BTreeMap<Offset, u32>) {
        match op {
            DiskOp::CreateLog { log, .. } => {
                let facts = LogFacts {
                    end: None,
                    ..LogFacts::default()
                };
                let former = self.logs.insert(*log, facts);
                assert!(former.is_none(), "{op:?}: the id was used before");
            }
            DiskOp::OpenLog { log, folder, .. } => {
                let facts = LogFacts {
                    deleted: folder.ends_with("-delete"),
                    lengths_at_boot: lengths.clone(),
                    was_there: true,
                    ..LogFacts::default()
                };
                let former = self.logs.insert(*log, facts);
                assert!(former.is_none(), "{op:?}: the id was used before");
            }
            DiskOp::RemoveLog { log } => {
                let facts = self.logs.remove(log).expect("RemoveLog of an unknown log");
                assert!(facts.deleted, "{op:?}: not marked as deleted first");
            }
            DiskOp::SaveDirectoryFile { .. } | DiskOp::RemoveDirectoryFile { .. } => {}
            DiskOp::Append { log, .. }
            | DiskOp::AppendIndex { log, .. }
            | DiskOp::CreateSegment { log, .. }
            | DiskOp::MarkLogDeleted { log, .. }
            | DiskOp::MarkSegmentDeleted { log, .. }
            | DiskOp::Read { log, .. }
            | DiskOp::RemoveCleaned { log, .. }
            | DiskOp::RemoveFile { log, .. }
            | DiskOp::RemoveSegment { log, .. }
            | DiskOp::RenameLog { log, .. }
            | DiskOp::ReplaceSegments { log, .. }
            | DiskOp::SaveLogFile { log, .. }
            | DiskOp::Sync { log, .. }
            | DiskOp::SyncCleaned { log, .. }
            | DiskOp::Truncate { log, .. }
            | DiskOp::Work { log, .. }
            | DiskOp::WriteCleaned { log, .. } => {
                let facts = self.logs.get_mut(log);
                let facts = facts.unwrap_or_else(|| panic!("{op:?}: an unknown log"));
                facts.on_log_op(op);
            }
        }
    }

    /// Notes an answer, in the order given.
    ///
    /// # Panics
    /// Where the answer breaks the contract.
    pub fn on_done(&mut self, done: &DiskDone) {
        match done {
            DiskDone::Appended {
                log,
                generation,
                end_offset,
            } => {
                if let Some(facts) = self.logs.get_mut(log)
                    && facts.generation == Some(*generation)
                {
                    assert!(Some(*end_offset) <= facts.end, "{done:?}: never emitted");
                    assert!(
                        facts.appended <= Some(*end_offset),
                        "{done:?}: went back from {:?}",
                        facts.appended
                    );
                    facts.appended = Some(*end_offset);
                }
            }
            DiskDone::Synced {
                log,
                generation,
                end_offset,
            } => {
                if let Some(facts) = self.logs.get_mut(log)
                    && facts.generation == Some(*generation)
                {
                    assert!(
                        Some(*end_offset) <= facts.sync_requested,
                        "{done:?}: never asked for"
                    );
                    assert!(
                        facts.synced <= Some(*end_offset),
                        "{done:?}: went back from {:?}",
                        facts.synced
                    );
                    facts.synced = Some(*end_offset);
                }
            }
            DiskDone::Failed {
                scope: FailureScope::Append { log, generation },
                error,
            } => {
                assert_eq!(
                    *error,
                    DiskError::Full,
                    "{done:?}: only a full disk fails one log"
                );
                if let Some(facts) = self.logs.get_mut(log)
                    && facts.generation == Some(*generation)
                {
                    facts.full = true;
                }
            }
            DiskDone::Created { log } => {
                assert!(self.logs.contains_key(log), "{done:?}: an unknown log");
            }
            DiskDone::Failed { .. }
            | DiskDone::Read { .. }
            | DiskDone::Saved { .. }
            | DiskDone::Truncated { .. }
            | DiskDone::Worked { .. } => {}
        }
    }
}

impl LogFacts {
    fn on_log_op(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Append {
                generation,
                segment,
                position,
                end_offset,
                batches,
                ..
            } => {
                self.check_generation(op, *generation);
                self.on_append(op, *segment, *position, *end_offset, batches);
            }
            DiskOp::AppendIndex {
                generation, file, ..
            } => {
                self.check_generation(op, *generation);
                assert!(is_index(*file), "{op:?}: not an index");
            }
            DiskOp::CreateSegment {
                generation,
                segment,
                ..
            } => {
                self.check_generation(op, *generation);
                self.on_create_segment(op, *segment);
            }
            DiskOp::MarkLogDeleted { .. } => {
                assert!(!std::mem::replace(&mut self.deleted, true), "{op:?}: twice");
            }
            DiskOp::RenameLog { folder, .. } => self.on_rename(op, folder),
            DiskOp::MarkSegmentDeleted {
                generation,
                segment,
                ..
            } => {
                self.check_generation(op, *generation);
                self.segments_deleted.push(*segment);
            }
            DiskOp::RemoveSegment { segment, .. } => self.on_remove_segment(op, *segment),
            DiskOp::Sync {
                generation,
                end_offset,
                ..
            } => self.on_sync(op, *generation, *end_offset),
            DiskOp::Truncate {
                generation,
                segment,
                position,
                end_offset,
                ..
            } => self.on_truncate(op, *generation, *segment, *position, *end_offset),
            DiskOp::RemoveCleaned { .. }
            | DiskOp::ReplaceSegments { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::WriteCleaned { .. } => self.on_compaction(op),
            DiskOp::Read { length, .. } => assert!(*length > 0, "{op:?}: reads nothing"),
            DiskOp::Work { .. } => {}
            DiskOp::RemoveFile { file, .. } | DiskOp::SaveLogFile { file, .. } => {
                self.on_file(op, *file);
            }
            DiskOp::CreateLog { .. }
            | DiskOp::OpenLog { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::SaveDirectoryFile { .. } => unreachable!("no change within a log: {op:?}"),
        }
    }

    fn on_file(&self, op: &DiskOp, file: LogFile) {
        assert!(
            !matches!(file, LogFile::Log(base) if self.is_active(base)),
            "{op:?}: the active segment is only appended to or truncated"
        );
    }

    fn on_rename(&mut self, op: &DiskOp, folder: &str) {
        assert!(!self.deleted, "{op:?}: marked as deleted before");
        self.deleted = folder.ends_with("-delete");
    }

    fn on_sync(&mut self, op: &DiskOp, generation: Generation, end_offset: Offset) {
        self.check_generation(op, generation);
        let end = self.end.unwrap_or(end_offset);
        assert!(end_offset <= end, "{op:?}: the log ends at {end}");
        self.sync_requested = self.sync_requested.max(Some(end_offset));
    }

    fn on_create_segment(&mut self, op: &DiskOp, segment: Offset) {
        if let (Some((active, _)), Some(end)) = (self.active, self.end) {
            assert!(
                segment >= active,
                "{op:?}: before the active segment {active}"
            );
            assert!(segment >= end, "{op:?}: the log ends at {end}");
        }
        // A log that goes on after damage leaves offsets out; nothing is written at them.
        self.end = self.end.max(Some(segment));
        self.active = Some((segment, Some(0)));
    }

    fn on_remove_segment(&mut self, op: &DiskOp, segment: Offset) {
        let marked = self
            .segments_deleted
            .iter()
            .position(|base| *base == segment);
        match marked {
            Some(marked) => {
                self.segments_deleted.remove(marked);
            }
            None => assert!(self.was_there, "{op:?}: not marked first"),
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller sorted the others out"
    )]
    fn on_compaction(&mut self, op: &DiskOp) {
        match op {
            DiskOp::RemoveCleaned { segment, .. } => {
                self.cleaned.remove(segment);
            }
            DiskOp::ReplaceSegments {
                segment, sources, ..
            } => self.on_replace(op, *segment, sources),
            DiskOp::SyncCleaned { segment, .. } => {
                let cleaned = self.cleaned.get_mut(segment);
                let cleaned = cleaned.unwrap_or_else(|| panic!("{op:?}: nothing was written"));
                cleaned.is_synced = true;
            }
            DiskOp::WriteCleaned {
                file,
                position,
                bytes,
                ..
            } => self.on_write_cleaned(op, *file, *position, bytes.len()),
            _other => unreachable!("not of compaction: {op:?}"),
        }
    }

    fn on_write_cleaned(&mut self, op: &DiskOp, file: LogFile, position: u32, length: usize) {
        let (LogFile::Log(base)
        | LogFile::OffsetIndex(base)
        | LogFile::TimeIndex(base)
        | LogFile::TransactionIndex(base)) = file
        else {
            panic!("{op:?}: no file of a segment");
        };
        assert!(!self.is_active(base), "{op:?}: the active segment");
        let cleaned = self.cleaned.entry(base).or_default();
        cleaned.is_synced = false;
        let end = cleaned.ends.entry(file).or_default();
        assert!(
            position == 0 || position == *end,
            "{op:?}: the file has {end} bytes"
        );
        *end = position + u32::try_from(length).expect("a write is small");
    }

    fn on_replace(&mut self, op: &DiskOp, segment: Offset, sources: &[Offset]) {
        let cleaned = self.cleaned.remove(&segment);
        let is_synced = cleaned.is_some_and(|cleaned| cleaned.is_synced);
        assert!(is_synced || self.was_there, "{op:?}: not durable");
        assert!(sources.is_sorted(), "{op:?}: out of order");
        assert!(
            sources.iter().all(|base| *base >= segment),
            "{op:?}: a segment before the new one"
        );
        let is_active = sources.iter().any(|base| self.is_active(*base));
        assert!(!is_active, "{op:?}: the active segment");
        self.lengths_at_boot
            .retain(|base, _| !sources.contains(base));
    }

    fn on_append(
        &mut self,
        op: &DiskOp,
        segment: Offset,
        position: u32,
        end_offset: Offset,
        batches: &[StampedBatch],
    ) {
        assert!(!self.deleted, "{op:?}: the log is deleted");
        assert!(!batches.is_empty(), "{op:?}: appends nothing");
        let length = match self.active {
            Some((active, length)) => {
                assert_eq!(active, segment, "{op:?}: not the active segment");
                length
            }
            None => self.lengths_at_boot.get(&segment).copied(),
        };
        let length = length.unwrap_or(position);
        assert_eq!(length, position, "{op:?}: not at the end of the segment");
        let mut next = self.end;
        let mut written = u64::from(position);
        for batch in batches {
            let (base, last) = offsets_of(batch);
            if let Some(next) = next {
                assert!(
                    base >= next,
                    "{op:?}: batch {base} overlaps, the end was {next}"
                );
            }
            assert!(base >= segment, "{op:?}: batch {base} before its segment");
            assert!(last >= base, "{op:?}: batch {base} has no last offset");
            let stamped = u32::from_be_bytes(stamp_word(batch, 8));
            assert_eq!(
                u64::from(stamped) + 12,
                batch.size_bytes() as u64,
                "{op:?}: batch {base} has a wrong length"
            );
            next = Some(last.plus(1));
            written += batch.size_bytes() as u64;
        }
        assert_eq!(
            next,
            Some(end_offset),
            "{op:?}: the end is not the last batch's"
        );
        let written = u32::try_from(written);
        self.active = Some((segment, Some(written.expect("a segment is below 4 GiB"))));
        self.end = Some(end_offset);
    }

    fn on_truncate(
        &mut self,
        op: &DiskOp,
        generation: Generation,
        segment: Offset,
        position: u32,
        end_offset: Offset,
    ) {
        if let Some(current) = self.generation {
            assert_eq!(
                generation,
                current.next(),
                "{op:?}: not the next generation"
            );
        }
        if let (Some(end), false) = (self.end, self.full) {
            assert!(end_offset <= end, "{op:?}: the log ended at {end}");
        }
        if let Some((active, Some(length))) = self.active {
            assert!(
                segment <= active,
                "{op:?}: past the active segment {active}"
            );
            if segment == active {
                assert!(position <= length, "{op:?}: the segment has {length} bytes");
            }
        }
        assert!(
            segment <= end_offset,
            "{op:?}: ends before its last segment"
        );
        self.generation = Some(generation);
        self.active = Some((segment, Some(position)));
        self.end = Some(end_offset);
        self.sync_requested = None;
        self.appended = None;
        self.synced = None;
        self.full = false;
    }

    fn check_generation(&mut self, op: &DiskOp, generation: Generation) {
        let current = *self.generation.get_or_insert(generation);
        assert_eq!(generation, current, "{op:?}: not the log's generation");
    }

    fn is_active(&self, base: Offset) -> bool {
        self.active.is_some_and(|(active, _)| active == base)
    }
}

fn is_index(file: LogFile) -> bool {
    matches!(
        file,
        LogFile::OffsetIndex(_) | LogFile::TimeIndex(_) | LogFile::TransactionIndex(_)
    )
}

fn stamp_word(batch: &StampedBatch, at: usize) -> [u8; 4] {
    let mut word = [0; 4];
    word.copy_from_slice(&batch.stamp[at..at + 4]);
    word
}

/// First and last offset of a stamped batch.
fn offsets_of(batch: &StampedBatch) -> (Offset, Offset) {
    let mut base = [0; 8];
    base.copy_from_slice(&batch.stamp[..8]);
    let mut delta = [0; 4];
    let field = batch
        .body
        .get(LAST_OFFSET_DELTA_AT..LAST_OFFSET_DELTA_AT + 4)
        .expect("a batch has a whole header");
    delta.copy_from_slice(field);
    let base = Offset(i64::from_be_bytes(base));
    (base, base.plus(i64::from(i32::from_be_bytes(delta))))
}
