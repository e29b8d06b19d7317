//! A disk for one log, in memory, small enough to be believed.
//!
//! Files have a content and a durable content; operations wait in a queue until a test carries them
//! out, so that a crash may fall between any two.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "operations are handed down a chain that ends in a panic"
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Generation, LogId, Offset};
use crate::rng::Rng;
use crate::storage::{
    DiskDone, DiskError, DiskOp, FailureScope, FolderListing, LogFile, StampedBatch, Token,
};

type Files = BTreeMap<String, Vec<u8>>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk {
    pub(super) files: Files,
    durable: Files,
    pub(super) queue: VecDeque<DiskOp>,
    /// Most bytes of all files together.
    pub(super) capacity_bytes: Option<usize>,
    /// The generation that is over for want of space.
    full: Option<Generation>,
}

impl MemoryDisk {
    /// Carries out the oldest operation.
    pub(super) fn step(&mut self) -> Option<DiskDone> {
        let op = self.queue.pop_front()?;
        self.execute(op)
    }

    /// What a new process finds.
    pub(super) fn listing(&self) -> FolderListing {
        FolderListing {
            name: "t-0".to_owned(),
            files: self
                .files
                .iter()
                .map(|(name, bytes)| (name.clone(), bytes.len() as u64))
                .collect(),
            ..FolderListing::default()
        }
    }

    /// The process dies: what was not carried out is lost, the rest stays.
    pub(super) fn kill(&mut self) {
        self.queue.clear();
        self.full = None;
        self.capacity_bytes = None;
    }

    /// Power is lost: of what was not synced, each file keeps any part, perhaps torn, and names may
    /// be those from before.
    pub(super) fn cut_power(&mut self, rng: &mut Rng) {
        self.kill();
        let mut after = Files::new();
        for (name, bytes) in &self.files {
            match self.durable.get(name) {
                Some(durable) => {
                    after.insert(name.clone(), keep_some(durable, bytes, rng));
                }
                None if rng.chance(1, 2) => {
                    after.insert(name.clone(), keep_some(&[], bytes, rng));
                }
                None => {}
            }
        }
        for (name, durable) in &self.durable {
            if !self.files.contains_key(name) && rng.chance(1, 2) {
                after.insert(name.clone(), durable.clone());
            }
        }
        self.files = after.clone();
        self.durable = after;
    }

    fn execute(&mut self, op: DiskOp) -> Option<DiskDone> {
        if self.is_dropped(&op) {
            return None;
        }
        match op {
            DiskOp::Append {
                log,
                generation,
                segment,
                position,
                end_offset,
                batches,
            } => {
                if let Some(done) = self.append(log, generation, segment, position, &batches) {
                    return Some(done);
                }
                Some(DiskDone::Appended {
                    log,
                    generation,
                    end_offset,
                })
            }
            DiskOp::AppendIndex {
                file,
                position,
                bytes,
                ..
            } => {
                let content = self.files.entry(file.name()).or_default();
                assert!(position as usize <= content.len(), "no hole in {file:?}");
                content.truncate(position as usize);
                content.extend_from_slice(&bytes);
                None
            }
            DiskOp::SaveLogFile {
                file, bytes, token, ..
            } => {
                self.files.insert(file.name(), bytes.to_vec());
                self.durable.insert(file.name(), bytes.to_vec());
                Some(DiskDone::Saved { token })
            }
            DiskOp::Work { work, token, .. } => Some(DiskDone::Worked {
                token,
                result: work.run(),
            }),
            other => self.answer(&other),
        }
    }

    fn answer(&mut self, op: &DiskOp) -> Option<DiskDone> {
        match *op {
            DiskOp::Sync {
                log,
                generation,
                end_offset,
            } => {
                self.sync();
                Some(DiskDone::Synced {
                    log,
                    generation,
                    end_offset,
                })
            }
            DiskOp::Truncate {
                log,
                generation,
                segment,
                position,
                end_offset,
            } => {
                self.truncate(segment, position);
                Some(DiskDone::Truncated {
                    log,
                    generation,
                    end_offset,
                })
            }
            DiskOp::Read {
                log,
                file,
                position,
                length,
                token,
            } => Some(DiskDone::Read {
                log,
                token,
                result: Ok(self.read(file, position, length)),
            }),
            ref other => {
                if let Some(token) = self.compact(other) {
                    return Some(DiskDone::Saved { token });
                }
                self.rename_or_remove(other);
                None
            }
        }
    }

    /// What a compaction asks for; its token where it is answered.
    fn compact(&mut self, op: &DiskOp) -> Option<Token> {
        match op {
            DiskOp::ReplaceSegments {
                segment,
                sources,
                token,
                ..
            } => {
                for name in sources.iter().flat_map(|source| segment_names(*source)) {
                    self.files.remove(&name);
                }
                for name in segment_names(*segment) {
                    for suffix in [".swap", ".cleaned"] {
                        if let Some(content) = self.files.remove(&format!("{name}{suffix}")) {
                            self.files.insert(name.clone(), content);
                        }
                    }
                }
                self.durable = self.files.clone();
                Some(*token)
            }
            DiskOp::SyncCleaned { token, .. } => {
                for (name, content) in &self.files {
                    if name.ends_with(".cleaned") {
                        self.durable.insert(name.clone(), content.clone());
                    }
                }
                Some(*token)
            }
            DiskOp::WriteCleaned {
                file,
                position,
                bytes,
                token,
                ..
            } => {
                let content = self.files.entry(file.name() + ".cleaned").or_default();
                assert!(*position == 0 || *position as usize == content.len());
                content.truncate(*position as usize);
                content.extend_from_slice(bytes);
                Some(*token)
            }
            _other => None,
        }
    }

    /// What is never answered.
    fn rename_or_remove(&mut self, op: &DiskOp) {
        match op {
            DiskOp::CreateSegment { segment, .. } => {
                self.files.insert(LogFile::Log(*segment).name(), Vec::new());
            }
            DiskOp::MarkSegmentDeleted { segment, .. } => {
                for name in segment_names(*segment) {
                    if let Some(content) = self.files.remove(&name) {
                        self.files.insert(format!("{name}.deleted"), content);
                    }
                }
            }
            DiskOp::RemoveSegment { segment, .. } => {
                for name in segment_names(*segment) {
                    self.files.remove(&format!("{name}.deleted"));
                }
            }
            DiskOp::RemoveFile { file, .. } => {
                self.files.remove(&file.name());
            }
            DiskOp::RemoveCleaned { segment, .. } => {
                for name in segment_names(*segment) {
                    self.files.remove(&format!("{name}.cleaned"));
                    self.files.remove(&format!("{name}.swap"));
                }
            }
            DiskOp::CreateLog { .. } | DiskOp::OpenLog { .. } => {}
            DiskOp::Append { .. }
            | DiskOp::AppendIndex { .. }
            | DiskOp::MarkLogDeleted { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::RenameLog { .. }
            | DiskOp::ReplaceSegments { .. }
            | DiskOp::SaveDirectoryFile { .. }
            | DiskOp::SaveLogFile { .. }
            | DiskOp::Sync { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::Work { .. }
            | DiskOp::WriteCleaned { .. } => panic!("{op:?} is answered, or not a log's"),
        }
    }

    /// Part of a file; fewer bytes where it ends.
    pub(super) fn read(&self, file: LogFile, position: u32, length: u32) -> Bytes {
        assert!(length > 0, "a read wants something");
        let empty = Vec::new();
        let content = self.files.get(&file.name()).unwrap_or(&empty);
        let start = (position as usize).min(content.len());
        let end = (start + length as usize).min(content.len());
        Bytes::copy_from_slice(&content[start..end])
    }

    fn is_dropped(&self, op: &DiskOp) -> bool {
        match op {
            DiskOp::Append { generation, .. }
            | DiskOp::AppendIndex { generation, .. }
            | DiskOp::CreateSegment { generation, .. }
            | DiskOp::MarkSegmentDeleted { generation, .. }
            | DiskOp::Sync { generation, .. } => self.full.is_some_and(|full| *generation <= full),
            DiskOp::CreateLog { .. }
            | DiskOp::MarkLogDeleted { .. }
            | DiskOp::OpenLog { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveFile { .. }
            | DiskOp::RemoveCleaned { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::RemoveSegment { .. }
            | DiskOp::RenameLog { .. }
            | DiskOp::ReplaceSegments { .. }
            | DiskOp::SaveDirectoryFile { .. }
            | DiskOp::SaveLogFile { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::Work { .. }
            | DiskOp::WriteCleaned { .. } => false,
        }
    }

    fn append(
        &mut self,
        log: LogId,
        generation: Generation,
        segment: Offset,
        position: u32,
        batches: &[StampedBatch],
    ) -> Option<DiskDone> {
        let used: usize = self.files.values().map(Vec::len).sum();
        let size: usize = batches.iter().map(StampedBatch::size_bytes).sum();
        if self.capacity_bytes.is_some_and(|most| used + size > most) {
            self.full = Some(generation);
            return Some(DiskDone::Failed {
                scope: FailureScope::Append { log, generation },
                error: DiskError::Full,
            });
        }
        let name = LogFile::Log(segment).name();
        let content = self.files.get_mut(&name).expect("the segment was created");
        assert_eq!(content.len(), position as usize, "appends are at the end");
        for batch in batches {
            content.extend_from_slice(&batch.to_bytes());
        }
        None
    }

    /// All but the indexes of the segment in use, which a sync need not take along.
    fn sync(&mut self) {
        let logs = self
            .files
            .keys()
            .filter_map(|name| match LogFile::parse(name) {
                Some(LogFile::Log(base)) => Some(base),
                Some(_) | None => None,
            });
        let active = segment_names(logs.max().unwrap_or_default());
        self.durable
            .retain(|name, _content| active[1..].contains(name));
        for (name, content) in &self.files {
            if !active[1..].contains(name) {
                self.durable.insert(name.clone(), content.clone());
            }
        }
    }

    fn truncate(&mut self, segment: Offset, position: u32) {
        let name = LogFile::Log(segment).name();
        let content = self.files.entry(name).or_default();
        assert!(position as usize <= content.len(), "a cut only removes");
        content.truncate(position as usize);
        self.files.retain(|name, _content| {
            !matches!(
                LogFile::parse(name),
                Some(
                    LogFile::Log(base)
                        | LogFile::OffsetIndex(base)
                        | LogFile::TimeIndex(base)
                ) if base > segment
            )
        });
        self.durable = self.files.clone();
    }
}

fn segment_names(segment: Offset) -> [String; 3] {
    [
        LogFile::Log(segment).name(),
        LogFile::OffsetIndex(segment).name(),
        LogFile::TimeIndex(segment).name(),
    ]
}

/// What power loss leaves of a file: all that was durable, and a part of what came after.
fn keep_some(durable: &[u8], bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let common = durable
        .iter()
        .zip(bytes)
        .take_while(|(before, after)| before == after)
        .count();
    if common < durable.len() {
        // Rewritten since: old or new.
        let chosen = if rng.chance(1, 2) { durable } else { bytes };
        return chosen.to_vec();
    }
    let added = &bytes[common..];
    let kept = usize::try_from(rng.below(added.len() as u64 + 1)).unwrap();
    let mut after = bytes[..common + kept].to_vec();
    match rng.below(4) {
        0 => after.resize(bytes.len(), 0),
        1 if kept > 0 => {
            let at = common + usize::try_from(rng.below(kept as u64)).unwrap();
            // Garbage from there on: what the sum covers is always hit, or nothing.
            rng.fill(&mut after[at..]);
        }
        _ => {}
    }
    after
}

/// The folder a test's log lies in.
pub(super) fn folder() -> Arc<str> {
    "t-0".into()
}
