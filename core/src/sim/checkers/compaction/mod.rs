//! R60: what compaction may take, judged from outside.
//!
//! It keeps every record of the compacted logs as it was appended, and reads what is to replace
//! segments with a reader of its own. A record may go if it has no key, if a later one of its key
//! is there, or if it is a tombstone whose time was set by a round before. Everything else must be
//! there, at its offset, byte for byte; and batches keep their headers. After a crash, of each key
//! the last record that was promised must be there, or a later one.

mod model;

use std::collections::BTreeMap;

use self::model::Model;
pub(super) use self::model::read_batches;
use super::Violation;
use super::log_image::{LogImage, is_compacted, is_offsets};
use crate::ids::{LogId, Offset};
use crate::storage::{DiskOp, LogFile};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct CompactionChecker {
    logs: BTreeMap<(u32, String), Model>,
    opened: BTreeMap<(u32, LogId), String>,
    /// What was durable of a log when its segment was last written to.
    bounds: BTreeMap<(u32, LogId, Offset), i64>,
    /// Segments that were replaced.
    pub replaced: u64,
    /// Those of them with committed offsets.
    pub replaced_of_offsets: u64,
    violations: Vec<Violation>,
}

impl CompactionChecker {
    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// Notes an operation in the order of emission; `cleaned` is the content of the segment that
    /// replaces others by it, unless another process wrote that.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "a checker names what it looks at; the rest changes no record"
    )]
    pub fn on_op(&mut self, node: u32, op: &DiskOp, cleaned: Option<&[u8]>) {
        match op {
            DiskOp::CreateLog { log, folder, .. } if is_compacted(folder) => {
                self.opened.insert((node, *log), folder.to_string());
                self.logs
                    .insert((node, folder.to_string()), Model::default());
            }
            DiskOp::OpenLog { log, folder, .. } if is_compacted(folder) => {
                self.opened.insert((node, *log), folder.to_string());
            }
            DiskOp::MarkLogDeleted { log, .. } => {
                if let Some(folder) = self.opened.remove(&(node, *log)) {
                    self.logs.remove(&(node, folder));
                }
            }
            DiskOp::WriteCleaned {
                log,
                file: LogFile::Log(base),
                ..
            } => {
                if let Some(durable) = self.judge_bound((node, *log), *base) {
                    self.bounds.insert((node, *log, *base), durable);
                }
            }
            DiskOp::ReplaceSegments {
                log,
                segment,
                sources,
                ..
            } => {
                if let Some(last) = sources.last() {
                    self.judge_bound((node, *log), *last);
                }
                let bound = self.bounds.remove(&(node, *log, *segment));
                // Without bytes it goes on with what another process wrote.
                if let Some(bytes) = cleaned {
                    self.on_replaced((node, *log), bytes, sources, bound.unwrap_or(i64::MAX));
                }
            }
            _other => {
                let log = match op {
                    DiskOp::Append { log, .. }
                    | DiskOp::CreateSegment { log, .. }
                    | DiskOp::MarkSegmentDeleted { log, .. }
                    | DiskOp::Truncate { log, .. } => *log,
                    _other => return,
                };
                if let Some(folder) = self.opened.get(&(node, log))
                    && let Some(model) = self.logs.get_mut(&(node, folder.clone()))
                {
                    model.on_op(op);
                }
            }
        }
    }

    /// Judges what a crash left; below `promised` of a folder, its records were promised.
    pub fn on_crash(&mut self, node: u32, images: &[&LogImage], promised: impl Fn(&str) -> Offset) {
        self.opened.retain(|(at, _), _| *at != node);
        self.bounds.retain(|(at, _, _), _| *at != node);
        for image in images.iter().filter(|image| image.is_compacted()) {
            // The next process is told only of what is durable.
            let left = Model {
                durable_end: image.read().end_offset().0,
                ..Model::of(image)
            };
            let key = (node, image.folder.clone());
            if let Some(before) = self.logs.get(&key)
                && let Err(what) = before.judge_crash(&left, promised(&image.folder).0)
            {
                let what = format!("{}: {what}", image.folder);
                self.violations.push(Violation::new("R60", what));
            }
            self.logs.insert(key, left);
        }
    }

    /// Everything of a log below this offset is durable.
    pub fn on_synced(&mut self, node: u32, log: LogId, end_offset: Offset) {
        if let Some(folder) = self.opened.get(&(node, log))
            && let Some(model) = self.logs.get_mut(&(node, folder.clone()))
        {
            model.durable_end = model.durable_end.max(end_offset.0);
        }
    }

    /// A segment is compacted only if all of it is durable, and thus no transaction's or follower's
    /// business any more: what takes the place of older records must not go with the power. Answers
    /// what is durable.
    fn judge_bound(&mut self, (node, log): (u32, LogId), segment: Offset) -> Option<i64> {
        let model = self.opened.get(&(node, log)).and_then(|folder| {
            let model = self.logs.get(&(node, folder.clone()))?;
            Some((folder, model))
        });
        let (folder, model) = model?;
        let end = model.segments.range(segment.0 + 1..).next().copied();
        let durable = model.durable_end;
        if end.is_none_or(|end| end > durable) {
            let what = format!(
                "{folder}: compacts segment {segment}, which ends at {end:?}; durable is {durable}"
            );
            self.violations.push(Violation::new("R60", what));
        }
        Some(durable)
    }

    fn on_replaced(
        &mut self,
        (node, log): (u32, LogId),
        bytes: &[u8],
        sources: &[Offset],
        bound: i64,
    ) {
        let Some(folder) = self.opened.get(&(node, log)) else {
            return;
        };
        let key = (node, folder.clone());
        let Some(model) = self.logs.get_mut(&key) else {
            return;
        };
        self.replaced += sources.len() as u64;
        if is_offsets(folder) {
            self.replaced_of_offsets += sources.len() as u64;
        }
        if let Err(what) = model.replace(bytes, sources, bound) {
            let what = format!("{}: {what}", key.1);
            self.violations.push(Violation::new("R60", what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::time::Timestamp;
    use crate::wire::batch::Compression;
    use crate::wire::builder::BatchBuilder;

    fn batch(base: i64, records: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None).at(Offset(base), LeaderEpoch(0));
        for (key, value) in records {
            let value = value.map(str::as_bytes);
            builder.push(Timestamp(5), Some(key.as_bytes()), value);
        }
        builder.build().to_vec()
    }

    fn model(batches: &[Vec<u8>]) -> Model {
        let mut model = Model {
            segments: BTreeSet::from([0, 2, 4]),
            ..Model::default()
        };
        for batch in read_batches(&batches.concat()) {
            model.add(batch);
        }
        model
    }

    #[test]
    fn the_last_of_a_key_must_stay() {
        let first = batch(0, &[("a", Some("1")), ("b", Some("1"))]);
        let second = batch(2, &[("a", Some("2")), ("b", Some("2"))]);
        let world = model(&[first.clone(), second.clone()]);
        let sources = [Offset(0), Offset(2)];
        let check = |bytes: &[u8]| world.clone().replace(bytes, &sources, i64::MAX);
        assert_eq!(check(&[first, second.clone()].concat()), Ok(()));
        assert_eq!(check(&second), Ok(()));
        let early = world.clone().replace(&second, &sources, 2);
        assert!(early.is_err(), "what takes the place is not durable yet");
        let changed = batch(2, &[("a", Some("3")), ("b", Some("2"))]);
        assert!(check(&changed).is_err(), "another value");
        let mut other = second.clone();
        other[15] = 1;
        assert!(check(&other).is_err(), "another epoch");
        assert!(check(&[]).is_err(), "the end is lost");
        let half = batch(2, &[("a", Some("2"))]);
        assert!(check(&half).is_err(), "the batch is shorter");
        assert!(
            world
                .clone()
                .replace(&second, &[Offset(4)], i64::MAX)
                .is_err(),
            "in use"
        );
    }

    #[test]
    fn a_torn_batch_says_nothing() {
        let mut torn = batch(2, &[("a", Some("2"))]);
        let last = torn.len() - 1;
        torn[last] ^= 1;
        let left = model(&[batch(0, &[("a", Some("1"))]), torn]);
        assert!(left.records.keys().eq([&0]), "{:?}", left.records);
    }

    #[test]
    fn a_segment_that_was_cut_off_is_not_there() {
        let first = batch(0, &[("a", Some("1")), ("b", Some("1"))]);
        let mut world = model(std::slice::from_ref(&first));
        world.segments = BTreeSet::from([0, 2]);
        // The segment at 2 did not fit on the disk; the next batch goes to the one before.
        world.on_op(&DiskOp::Truncate {
            log: LogId(1),
            generation: crate::ids::Generation(1),
            segment: Offset(0),
            position: 0,
            end_offset: Offset(2),
        });
        assert_eq!(world.segments, BTreeSet::from([0]));
        assert!(world.records.keys().eq([&0, &1]));
    }

    #[test]
    fn a_tombstone_without_a_horizon_must_stay() {
        let only = batch(0, &[("a", None), ("b", Some("1"))]);
        let mut world = model(std::slice::from_ref(&only));
        let mut gone = BatchBuilder::new(Compression::None).at(Offset(0), LeaderEpoch(0));
        gone.push(Timestamp(5), Some(b"x"), Some(b"1"));
        assert!(
            world
                .clone()
                .replace(&gone.build(), &[Offset(0)], i64::MAX)
                .is_err()
        );
        assert_eq!(world.clone().replace(&only, &[Offset(0)], i64::MAX), Ok(()));
        world.horizons.insert(0, 9);
        assert!(world.judge_crash(&Model::default(), 1).is_ok());
        assert!(world.judge_crash(&Model::default(), 2).is_err());
    }
}
