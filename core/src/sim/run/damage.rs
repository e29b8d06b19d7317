//! Damage at rest (D5, D6, D7): one durable batch of a log cannot be read any more, has one bit
//! wrong, or was overwritten with a batch of another log.
//!
//! The next process must leave it at that. It may refuse to serve what is damaged, but no end of a
//! log is cut by it, and no other byte of any log changes (R53). A copy would repair it; on one
//! broker there is none.

use super::{HEAL_NS, Run, SECOND_NS};
use crate::ids::{DirectoryIndex, Offset};
use crate::rng::Rng;
use crate::sim::checkers::Violation;
use crate::sim::checkers::checkpoint::read_checkpoint;
use crate::sim::checkers::log_image::{FoundBatch, LogImage, i64_at};
use crate::sim::disk::{DirectoryId, FileSystem};
use crate::storage::{DirectoryFile, LogFile};

/// Where the disk is damaged.
const DIRECTORY: DirectoryIndex = DirectoryIndex(0);

/// How long a process gets to look through its logs.
const RECOVERY_NS: u64 = 5 * SECOND_NS;

/// What happens to a batch.
#[derive(Clone, Eq, PartialEq)]
enum Damage {
    /// One bit of a byte, counted from the start of the batch (D6).
    Bit(u32, u8),
    /// Another batch was written over it (D7).
    Misdirected(Vec<u8>),
    /// It cannot be read (D5).
    Unreadable,
}

impl std::fmt::Debug for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bit(at, bit) => write!(f, "bit {bit} of byte {at}"),
            Self::Misdirected(bytes) => {
                let base = i64_at(bytes, 0);
                write!(
                    f,
                    "another batch of {} bytes and offset {base}",
                    bytes.len()
                )
            }
            Self::Unreadable => f.write_str("unreadable"),
        }
    }
}

impl Run {
    /// Damages a batch, and judges what the next process makes of it.
    pub(super) fn damage_at_rest(&mut self) -> Option<()> {
        let kind = self.world.options.damage_at_rest;
        if kind == 0 {
            return Some(());
        }
        self.world.crash(0);
        self.held()?;
        let before = self.images();
        let mut dice = self.root.child("damage", 0);
        let points = recovery_points(self.world.nodes()[0].disk().files(DIRECTORY));
        let Some((folder, batch, point)) = choose(&before, &points, &mut dice) else {
            return Some(());
        };
        let damage = draw(kind, &before, (folder, batch, point), &mut dice);
        let folder = folder.to_owned();
        let (base, end) = (batch.base_offset, batch.last_offset.plus(1));
        let what = format!("{folder}: {damage:?} over [{base}, {end})");
        self.inflict(&folder, &batch, damage.clone());
        let before = self.images();
        self.world.start_node(0, SECOND_NS);
        let end_ns = self.world.now_ns() + SECOND_NS + RECOVERY_NS;
        self.world.run_until(end_ns, |_| false);
        self.held()?;
        let may_delete = self.world.options.retention_bytes > 0;
        let after = self.images();
        for image in before.iter().filter(|image| !image.is_compacted()) {
            let now = after.iter().find(|now| now.folder == image.folder);
            if let Err(found) = judge(image, now, may_delete) {
                let what = format!("{what}: {}: {found}", image.folder);
                self.world.complain(Violation::new("R53", what));
            }
        }
        self.held()?;
        if damage != Damage::Unreadable {
            return Some(());
        }
        // The sector can be read again: all is as it was.
        self.world.repair(0);
        self.world.crash(0);
        self.held()?;
        self.world.start_node(0, SECOND_NS);
        self.expect("R53", "did not start again", HEAL_NS, |world| {
            world.nodes()[0].is_ready()
        })?;
        self.read_everything()
    }

    fn inflict(&mut self, folder: &str, batch: &FoundBatch, damage: Damage) {
        let disk = self.world.damage(0);
        let files = disk.files_mut(DIRECTORY);
        let directory = files.folder(folder).expect("an image was taken of it");
        let name = LogFile::Log(batch.segment).name();
        match damage {
            Damage::Bit(at, bit) => {
                let position = batch.position + at;
                let content = files.content(directory, &name);
                let byte = content.expect("it has the batch").read(position, 1)[0];
                files.write(directory, &name, position, &[byte ^ (1 << bit)]);
            }
            Damage::Misdirected(bytes) => files.write(directory, &name, batch.position, &bytes),
            Damage::Unreadable => {
                let range = batch.position..batch.position + batch.size_bytes;
                disk.make_unreadable(directory, name, range);
            }
        }
        disk.files_mut(DIRECTORY).sync_all();
    }
}

/// What happens to the batch.
fn draw(
    kind: u64,
    images: &[LogImage],
    (folder, batch, point): (&str, FoundBatch, Offset),
    dice: &mut Rng,
) -> Damage {
    let at = u32::try_from(dice.below(u64::from(batch.size_bytes))).expect("below a u32");
    let bit = Damage::Bit(at, u8::try_from(dice.below(8)).expect("one of eight"));
    match kind {
        1 => bit,
        2 => {
            let others = images.iter().filter(|image| image.folder != folder);
            let fitting: Vec<Vec<u8>> = others
                .flat_map(|image| {
                    let found = image.read().batches;
                    let fits = |other: &FoundBatch| {
                        other.size_bytes <= batch.size_bytes && !hides(other, &batch, point)
                    };
                    let fitting = found.into_iter().filter(fits);
                    fitting.filter_map(|other| bytes_of(image, &other))
                })
                .collect();
            match fitting.len() as u64 {
                0 => bit,
                count => Damage::Misdirected(fitting[dice.below(count) as usize].clone()),
            }
        }
        _last => Damage::Unreadable,
    }
}

/// Whether a batch in the place of another looks like the last durable one, so that what follows
/// looks like a write that was under way. A log's recovery point is an offset, and no file says how
/// many bytes were durable: nothing can tell.
fn hides(other: &FoundBatch, batch: &FoundBatch, point: Offset) -> bool {
    let is_next = other.base_offset == batch.base_offset;
    let shape = |batch: &FoundBatch| (batch.size_bytes, batch.last_offset);
    is_next && other.last_offset.plus(1) >= point && shape(other) != shape(batch)
}

fn bytes_of(image: &LogImage, batch: &FoundBatch) -> Option<Vec<u8>> {
    let mut segments = image.segments();
    let (_, bytes) = segments.find(|(base, _)| *base == batch.segment)?;
    let start = batch.position as usize;
    let bytes = bytes.get(start..start + batch.size_bytes as usize)?;
    Some(bytes.to_vec())
}

/// Where each log is known to be durable, as its own process wrote down.
fn recovery_points(files: &FileSystem) -> Vec<(String, Offset)> {
    let name = DirectoryFile::RecoveryPoints.name();
    let content = files.content(DirectoryId::ROOT, name);
    let points = content.and_then(|content| read_checkpoint(&content.to_vec()).ok());
    points.unwrap_or_default()
}

/// A durable batch of one of the workload's logs, and where what is durable ends; often the last
/// one: most of what may be wrong with a recovery is wrong there.
fn choose<'a>(
    images: &'a [LogImage],
    points: &[(String, Offset)],
    dice: &mut Rng,
) -> Option<(&'a str, FoundBatch, Offset)> {
    let mut logs = Vec::new();
    for image in images.iter().filter(|image| !image.is_compacted()) {
        let point = points.iter().find(|(folder, _)| *folder == image.folder);
        let Some((_, point)) = point.filter(|(folder, _)| !folder.starts_with("__")) else {
            continue;
        };
        let start = image.start_offset.unwrap_or(Offset::ZERO);
        let is_durable =
            |batch: &FoundBatch| batch.base_offset >= start && batch.last_offset < *point;
        let batches: Vec<FoundBatch> = image.read().batches;
        let batches: Vec<FoundBatch> = batches.into_iter().filter(is_durable).collect();
        if !batches.is_empty() {
            logs.push((image.folder.as_str(), batches, *point));
        }
    }
    if logs.is_empty() {
        return None;
    }
    let (folder, batches, point) = &logs[dice.below(logs.len() as u64) as usize];
    let index = match dice.chance(1, 2) {
        true => batches.len() - 1,
        false => dice.below(batches.len() as u64) as usize,
    };
    Some((folder, batches[index], *point))
}

/// Whether a log's files are what they were: longer perhaps, and with fewer old segments where such
/// may be deleted.
fn judge(before: &LogImage, after: Option<&LogImage>, may_delete: bool) -> Result<(), String> {
    let Some(after) = after else {
        return Err("the log is gone".to_owned());
    };
    let first = after.segments().next().map(|(base, _)| base);
    for (base, bytes) in before.segments() {
        let is_old = first.is_some_and(|first| base < first);
        let is_deleted = before.start_offset.is_some() || may_delete;
        let now = after.segments().find(|(other, _)| *other == base);
        match now {
            Some((_, now)) if now.starts_with(bytes) => {}
            Some((_, now)) => {
                let (had, has) = (bytes.len(), now.len());
                return Err(format!("segment {base} had {had} bytes, it has {has}"));
            }
            None if is_old && is_deleted => {}
            None => return Err(format!("segment {base} is gone")),
        }
    }
    Ok(())
}
