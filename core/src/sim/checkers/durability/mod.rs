//! What must be left of each log after a crash: R50, R51, R57, R58, R59 and R61; and that what is
//! served is sound, R52.
//!
//! It notes every batch a node asked its disk to write and everything that left the node about
//! them: acknowledgements, and records served to consumers. After a crash it reads the files as the
//! next process will find them, with its own reader, and says whether what was promised is there.
//! The next process must then go on exactly where the intact run of batches ends: less loses
//! records, more invents them.

mod facts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::facts::records_hash;
use self::facts::{LogFacts, fact_of, whole_batches, whole_slices};
use super::Violation;
use super::checkpoint::read_checkpoint;
use super::cleaned::CleanedSegments;
use super::compaction::CompactionChecker;
use super::log_image::{FoundLog, LogImage, i64_at, is_compacted, is_crc_right};
use crate::ids::{LogId, Offset, TopicId};
use crate::sim::disk::{DirectoryId, FileSystem};
use crate::storage::{DirectoryFile, DiskDone, DiskOp, StampedBatch};

/// The logs of all nodes of a world.
#[derive(Clone, Debug, Default)]
pub struct DurabilityChecker {
    logs: BTreeMap<(u32, String), LogFacts>,
    opened: BTreeMap<(u32, LogId), String>,
    /// What compaction writes, until it replaces something.
    cleaned: CleanedSegments,
    /// Judges what compaction takes.
    compaction: CompactionChecker,
    violations: Vec<Violation>,
}

impl DurabilityChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        self.violations
            .append(&mut self.compaction.take_violations());
        std::mem::take(&mut self.violations)
    }

    /// What judges compaction.
    #[must_use]
    pub fn compaction(&self) -> &CompactionChecker {
        &self.compaction
    }

    /// Folder of the partition of this topic id on a node.
    #[must_use]
    pub fn folder_of(&self, node: u32, topic_id: TopicId, partition: i32) -> Option<String> {
        let suffix = format!("-{partition}");
        self.logs
            .iter()
            .find(|((at, folder), facts)| {
                *at == node && facts.topic_id == Some(topic_id) && folder.ends_with(&suffix)
            })
            .map(|((_, folder), _)| folder.clone())
    }

    /// Notes an operation in the order of emission.
    pub fn on_op(&mut self, node: u32, op: &DiskOp) {
        self.cleaned.on_op(node, op);
        let mut cleaned = None;
        if let DiskOp::ReplaceSegments { log, segment, .. } = op {
            cleaned = self.cleaned.take(node, *log, *segment);
        }
        self.compaction.on_op(node, op, cleaned.as_deref());
        match op {
            DiskOp::CreateLog {
                log,
                folder,
                partition_metadata,
                ..
            } => self.on_create(node, *log, folder, partition_metadata),
            DiskOp::OpenLog { log, folder, .. } => {
                self.opened.insert((node, *log), folder.to_string());
            }
            DiskOp::MarkLogDeleted { log, .. } => {
                if let Some(folder) = self.opened.remove(&(node, *log)) {
                    self.logs.remove(&(node, folder));
                }
            }
            DiskOp::Append { log, batches, .. } => self.on_append(node, *log, batches),
            DiskOp::CreateSegment { log, segment, .. } => {
                if let Some((_, facts)) = self.facts(node, *log) {
                    facts.segments.insert(*segment);
                }
            }
            DiskOp::MarkSegmentDeleted { log, segment, .. } => {
                self.on_segment_deleted(node, *log, *segment);
            }
            DiskOp::Truncate {
                log,
                segment,
                end_offset,
                ..
            } => self.on_truncate(node, *log, *segment, *end_offset),
            DiskOp::ReplaceSegments {
                log,
                segment,
                sources,
                ..
            } => self.on_replaced(node, *log, *segment, sources, cleaned.as_deref()),
            DiskOp::AppendIndex { .. }
            | DiskOp::Read { .. }
            | DiskOp::RemoveCleaned { .. }
            | DiskOp::RemoveDirectoryFile { .. }
            | DiskOp::RemoveFile { .. }
            | DiskOp::RemoveLog { .. }
            | DiskOp::RemoveSegment { .. }
            | DiskOp::RenameLog { .. }
            | DiskOp::SaveDirectoryFile { .. }
            | DiskOp::SaveLogFile { .. }
            | DiskOp::Sync { .. }
            | DiskOp::SyncCleaned { .. }
            | DiskOp::Work { .. }
            | DiskOp::WriteCleaned { .. } => {}
        }
    }

    /// Notes what a disk says is done.
    pub fn on_done(&mut self, node: u32, done: &DiskDone) {
        if let DiskDone::Synced {
            log, end_offset, ..
        } = done
        {
            self.compaction.on_synced(node, *log, *end_offset);
        }
    }

    /// Notes that a produce request was acknowledged: its records begin at `base`. Answers whether
    /// they do.
    pub fn on_acknowledged(
        &mut self,
        node: u32,
        folder: &str,
        base: Offset,
        records_hash: u64,
        survives_power: bool,
    ) {
        let Some(facts) = self.logs.get_mut(&(node, folder.to_owned())) else {
            let what = format!("{folder}: offset {base} acknowledged, and there is no log");
            self.violations.push(Violation::new("R50", what));
            return;
        };
        let fact = facts
            .batches
            .get(&base)
            .and_then(|variants| variants.last());
        let Some(fact) = fact.filter(|fact| fact.records_hash == records_hash) else {
            let is_deleted = facts.segments.first().is_some_and(|first| base < *first);
            // A retry of a batch of which compaction left less, or nothing.
            if is_deleted || is_compacted(folder) {
                return;
            }
            let what = format!("{folder}: offset {base} acknowledged for other records: {fact:?}");
            self.violations.push(Violation::new("R61", what));
            return;
        };
        let end = fact.last_offset.plus(1);
        facts.promise(end, survives_power);
    }

    /// Notes that records were served to a consumer, in whole batches.
    pub fn on_served(&mut self, node: u32, folder: &str, bytes: &[u8], survives_power: bool) {
        let Some(facts) = self.logs.get_mut(&(node, folder.to_owned())) else {
            let what = format!("{folder}: records served, and there is no log");
            self.violations.push(Violation::new("R41", what));
            return;
        };
        for batch in whole_slices(bytes) {
            if !is_crc_right(batch) {
                let base = i64_at(batch, 0);
                let what = format!("{folder}: served a batch at {base} whose sum is wrong");
                self.violations.push(Violation::new("R52", what));
                return;
            }
            let (base, fact) = fact_of(&batch[..16], &batch[16..]);
            let written = facts
                .batches
                .get(&base)
                .and_then(|variants| variants.last());
            let is_older = is_compacted(folder)
                && facts
                    .batches
                    .get(&base)
                    .is_some_and(|all| all.contains(&fact));
            let is_written = written == Some(&fact) || is_older;
            if !is_written || fact.last_offset >= facts.end {
                let what = format!("{folder}: served {fact:?} at {base}, written was {written:?}");
                self.violations.push(Violation::new("R41", what));
                return;
            }
            facts.promise(fact.last_offset.plus(1), survives_power);
        }
    }

    /// Judges the files of a node whose process died, or whose power went.
    pub fn on_crash(&mut self, node: u32, files: &[&FileSystem], power: bool) {
        self.opened.retain(|(at, _), _| *at != node);
        self.cleaned.on_crash(node);
        let images: BTreeMap<String, (LogImage, FoundLog)> = files
            .iter()
            .flat_map(|files| LogImage::take_all(files))
            .map(|image| {
                let found = image.read();
                (image.folder.clone(), (image, found))
            })
            .collect();
        let all: Vec<&LogImage> = images.values().map(|(image, _)| image).collect();
        self.compaction.on_crash(node, &all, |folder| {
            let facts = self.logs.get(&(node, folder.to_owned()));
            facts.map_or(Offset::ZERO, |facts| facts.promised(power))
        });
        for files in files {
            self.check_marker(node, files, &images);
            self.check_recovery_points(files, &images);
        }
        let names: Vec<String> = self
            .logs
            .keys()
            .filter(|(at, _)| *at == node)
            .map(|(_, folder)| folder.clone())
            .collect();
        for folder in names {
            let key = (node, folder);
            let facts = self.logs.get_mut(&key).expect("it was just listed");
            // The former log of this name lies there where the new one was not made yet.
            let is_own = |image: &LogImage| {
                let (there, own) = (image.topic_id(), facts.topic_id);
                there.is_none() || own.is_none() || there == own
            };
            let found = images.get(&key.1);
            let found = found.filter(|(image, _)| is_own(image));
            let found = found.map(|(_, found)| found);
            if let Err(violation) = facts.judge(&key.1, found, power) {
                self.violations.push(violation);
            }
            if found.is_none() {
                self.logs.remove(&key);
            }
        }
        for (folder, (image, found)) in &images {
            let facts = self.logs.entry((node, folder.clone())).or_default();
            facts.topic_id = image.topic_id().or(facts.topic_id);
            facts.adopt(found, image.start_offset);
        }
    }

    /// Judges that a log at rest holds exactly what was written to it.
    pub fn check_at_rest(&mut self, node: u32, files: &[&FileSystem]) {
        for image in files.iter().flat_map(|files| LogImage::take_all(files)) {
            let found = image.read();
            if let Some(facts) = self.logs.get(&(node, image.folder.clone()))
                && found.end_offset() != facts.end
            {
                let what = format!(
                    "{}: the files end at {}, the log at {}: {:?}",
                    image.folder,
                    found.end_offset(),
                    facts.end,
                    found.damage
                );
                self.violations.push(Violation::new("R50", what));
            }
        }
    }

    fn facts(&mut self, node: u32, log: LogId) -> Option<(String, &mut LogFacts)> {
        let folder = self.opened.get(&(node, log))?.clone();
        let facts = self.logs.get_mut(&(node, folder.clone()))?;
        Some((folder, facts))
    }

    fn on_create(&mut self, node: u32, log: LogId, folder: &str, metadata: &[u8]) {
        let key = (node, folder.to_owned());
        if let Some(former) = self.logs.get(&key)
            && former.power_safe_end > Offset::ZERO
        {
            let what = format!("{folder}: made again over {}", former.power_safe_end);
            self.violations.push(Violation::new("R50", what));
        }
        let files = BTreeMap::from([("partition.metadata".to_owned(), metadata.to_vec())]);
        let image = LogImage {
            folder: folder.to_owned(),
            files,
            start_offset: None,
        };
        let topic_id = image.topic_id();
        // What is emptied may come back with the power, as long as nothing new is synced over it.
        let former = self.logs.remove(&key);
        let former = former.filter(|former| former.topic_id == topic_id);
        let facts = LogFacts {
            topic_id,
            batches: former.map(|former| former.batches).unwrap_or_default(),
            ..LogFacts::default()
        };
        self.logs.insert(key, facts);
        self.opened.insert((node, log), folder.to_owned());
    }

    fn on_append(&mut self, node: u32, log: LogId, batches: &[StampedBatch]) {
        let Some((folder, facts)) = self.facts(node, log) else {
            return;
        };
        let mut complaint = None;
        for batch in batches {
            let (base, fact) = fact_of(&batch.stamp, &batch.body);
            if base != facts.end && complaint.is_none() {
                let check = if facts.resuming { "R50" } else { "R54" };
                let what = format!("{folder}: appends at {base}, the log ends at {}", facts.end);
                complaint = Some(Violation::new(check, what));
            }
            facts.resuming = false;
            facts.end = fact.last_offset.plus(1);
            facts.batches.entry(base).or_default().push(fact);
        }
        self.violations.extend(complaint);
    }

    fn on_truncate(&mut self, node: u32, log: LogId, segment: Offset, end: Offset) {
        let Some((folder, facts)) = self.facts(node, log) else {
            return;
        };
        // The segments behind it go with what is cut, also those of which a full disk made nothing.
        facts.segments.retain(|base| *base <= segment);
        let (from, safe) = (facts.end, facts.crash_safe_end);
        let resuming = facts.resuming;
        let intact = facts.intact_end;
        if !resuming {
            facts.end = end;
        }
        if resuming && end != intact && end != from {
            let what = format!("{folder}: recovery cuts at {end}, intact up to {intact}");
            self.violations.push(Violation::new("R50", what));
        } else if end < safe {
            let what = format!("{folder}: cut at {end}, promised up to {safe}");
            self.violations.push(Violation::new("R61", what));
        }
    }

    fn on_segment_deleted(&mut self, node: u32, log: LogId, segment: Offset) {
        let Some((folder, facts)) = self.facts(node, log) else {
            return;
        };
        let first = facts.segments.first().copied();
        // A rewind repeats removals, which its disk may have dropped.
        let was_there = facts.segments.remove(&segment);
        let start = facts.segments.first().copied().unwrap_or(facts.end);
        facts.batches.retain(|base, _| *base >= start);
        // What a recovery lets go of at the log's end is no retention: R50 and R57 judge it.
        if was_there && !facts.resuming && first != Some(segment) {
            let what = format!("{folder}: segment {segment} deleted before {first:?}");
            self.violations.push(Violation::new("R59", what));
        }
    }

    /// What replaces segments was written too. Whether it may is `compaction`'s business.
    fn on_replaced(
        &mut self,
        node: u32,
        log: LogId,
        segment: Offset,
        sources: &[Offset],
        cleaned: Option<&[u8]>,
    ) {
        let Some((_folder, facts)) = self.facts(node, log) else {
            return;
        };
        for (base, fact) in whole_batches(cleaned.unwrap_or_default()) {
            // Either may be left by a crash, and be read until then.
            facts.batches.entry(base).or_default().push(fact);
        }
        facts.segments.retain(|base| !sources.contains(base));
        facts.segments.insert(segment);
    }

    /// R58: the marker of an orderly stop says that every log is whole.
    fn check_marker(
        &mut self,
        node: u32,
        files: &FileSystem,
        images: &BTreeMap<String, (LogImage, FoundLog)>,
    ) {
        let marker = DirectoryFile::CleanShutdown.name();
        if files.lookup(DirectoryId::ROOT, marker).is_none() {
            return;
        }
        for (folder, (_, found)) in images {
            let end = self
                .logs
                .get(&(node, folder.clone()))
                .map(|facts| facts.end);
            let ends_there = end.is_none_or(|end| end == found.end_offset());
            if found.damage.is_some() || !ends_there {
                let what = format!(
                    "{folder}: marked as closed in order, ends at {} of {end:?}: {:?}",
                    found.end_offset(),
                    found.damage
                );
                self.violations.push(Violation::new("R58", what));
            }
        }
    }

    /// R57: below a recovery point everything is there, and the file is whole.
    fn check_recovery_points(
        &mut self,
        files: &FileSystem,
        images: &BTreeMap<String, (LogImage, FoundLog)>,
    ) {
        for file in [
            DirectoryFile::RecoveryPoints,
            DirectoryFile::HighWatermarks,
            DirectoryFile::LogStartOffsets,
            DirectoryFile::CleanerOffsets,
        ] {
            let Some(content) = files.content(DirectoryId::ROOT, file.name()) else {
                continue;
            };
            let points = match read_checkpoint(&content.to_vec()) {
                Ok(points) => points,
                Err(what) => {
                    let what = format!("{}: {what}", file.name());
                    self.violations.push(Violation::new("R57", what));
                    continue;
                }
            };
            for (folder, point) in points {
                let end = images.get(&folder).map(|(_, found)| found.end_offset());
                let is_promise = matches!(
                    file,
                    DirectoryFile::RecoveryPoints | DirectoryFile::CleanerOffsets
                );
                if is_promise && end.is_some_and(|end| end < point) {
                    let what =
                        format!("{folder}: recovery or clean point {point}, intact up to {end:?}");
                    self.violations.push(Violation::new("R57", what));
                }
            }
        }
    }
}
