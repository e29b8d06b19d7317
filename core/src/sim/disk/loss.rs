//! What a power cut leaves of a simulated file system: faults D1 to D4.
//!
//! D1 un-synced bytes are lost: all, a suffix, or any pages. D2 a write is torn inside a page, with
//! old bytes, zeros or garbage after the tear. D3 files lose independently of each other, so a
//! checkpoint may outlive the data it speaks of. D4 names that were not synced are lost: creations,
//! renames, removals. Whatever was synced stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::{Content, PAGE_BYTES};
use super::files::{DirectoryId, Entry, File, FileSystem, apply_name_change};
use crate::rng::Rng;

/// What happens to un-synced bytes of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ByteLoss {
    /// Everything had reached the platter.
    KeepAll,
    /// Nothing had.
    LoseAll,
    /// Any subset of the dirty pages had; the length may have come without the bytes.
    Pages,
    /// A prefix had.
    Suffix,
}

/// What happens to un-synced names of a directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameLoss {
    /// Every change had reached the platter.
    KeepAll,
    /// None had.
    LoseAll,
    /// The first few had, as with an ordered journal.
    Prefix,
    /// Any of them had.
    Subset,
}

/// What stands after a tear inside a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TearFill {
    /// Bytes of no meaning.
    Garbage,
    /// What the page held before.
    Old,
    /// Zeros.
    Zeros,
}

/// Where inside a page a write may be torn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tear {
    /// A tear lies at a multiple of this many bytes: 1 or 512.
    pub unit_bytes: u32,
    /// What stands after it.
    pub fill: TearFill,
}

/// One way of losing power.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerLoss {
    /// For bytes; `None` lets each file draw its own, which reorders writes across files (D3).
    pub bytes: Option<ByteLoss>,
    /// For names; `None` lets each directory draw its own.
    pub names: Option<NameLoss>,
    /// Whether one dirty page of each file is torn.
    pub tear: Option<Tear>,
}

impl PowerLoss {
    /// Everything un-synced is lost: the plainest cut.
    pub const LOSE_ALL: Self = Self {
        bytes: Some(ByteLoss::LoseAll),
        names: Some(NameLoss::LoseAll),
        tear: None,
    };

    /// Draws a way of losing power. `torn` allows tears, `names` the loss of names.
    #[must_use]
    pub fn draw(rng: &mut Rng, torn: bool, names: bool) -> Self {
        let bytes = match rng.below(8) {
            0 => Some(ByteLoss::LoseAll),
            1 => Some(ByteLoss::Suffix),
            2 => Some(ByteLoss::Pages),
            3 => Some(ByteLoss::KeepAll),
            _most => None,
        };
        let names = match rng.below(6) {
            _any if !names => Some(NameLoss::KeepAll),
            0 => Some(NameLoss::LoseAll),
            1 => Some(NameLoss::Prefix),
            2 => Some(NameLoss::Subset),
            3 => Some(NameLoss::KeepAll),
            _most => None,
        };
        let tear = (torn && rng.chance(1, 2)).then(|| Tear {
            unit_bytes: if rng.chance(1, 2) { 1 } else { 512 },
            fill: match rng.below(3) {
                0 => TearFill::Garbage,
                1 => TearFill::Old,
                _last => TearFill::Zeros,
            },
        });
        Self { bytes, names, tear }
    }
}

impl FileSystem {
    /// Cuts the power: what is left is durable, and is what the next process sees.
    pub fn lose_power(&mut self, loss: &PowerLoss, rng: &mut Rng) {
        for file in self.files.values_mut() {
            if file.is_dirty() {
                let bytes = loss.bytes.unwrap_or_else(|| draw_byte_loss(rng));
                let kept = surviving_bytes(file, bytes, loss.tear, rng);
                file.cached = kept.clone();
                file.durable = kept;
            }
            file.cached = file.durable.clone();
            file.dirty.clear();
        }
        for directory in self.directories.values_mut() {
            let names = loss.names.unwrap_or_else(|| draw_name_loss(rng));
            let mut kept: BTreeMap<Arc<str>, Entry> = directory.durable.clone();
            let pending = std::mem::take(&mut directory.pending);
            let count = pending.len() as u64;
            let prefix = rng.below(count + 1);
            for (index, change) in (0u64..).zip(&pending) {
                let survives = match names {
                    NameLoss::KeepAll => true,
                    NameLoss::LoseAll => false,
                    NameLoss::Prefix => index < prefix,
                    NameLoss::Subset => rng.chance(1, 2),
                };
                if survives {
                    apply_name_change(&mut kept, change);
                }
            }
            directory.durable = kept.clone();
            directory.cached = kept;
        }
        self.collect();
        assert!(
            self.directories.contains_key(&DirectoryId::ROOT),
            "the data directory itself is never lost"
        );
    }
}

fn draw_byte_loss(rng: &mut Rng) -> ByteLoss {
    match rng.below(4) {
        0 => ByteLoss::KeepAll,
        1 => ByteLoss::LoseAll,
        2 => ByteLoss::Pages,
        _last => ByteLoss::Suffix,
    }
}

fn draw_name_loss(rng: &mut Rng) -> NameLoss {
    match rng.below(4) {
        0 => NameLoss::KeepAll,
        1 => NameLoss::LoseAll,
        2 => NameLoss::Prefix,
        _last => NameLoss::Subset,
    }
}

fn surviving_bytes(file: &File, loss: ByteLoss, tear: Option<Tear>, rng: &mut Rng) -> Content {
    match loss {
        ByteLoss::KeepAll => file.cached.clone(),
        ByteLoss::LoseAll => file.durable.clone(),
        ByteLoss::Pages => surviving_pages(file, tear, rng),
        ByteLoss::Suffix => {
            let shortest = file.durable.length().min(file.cached.length());
            let longest = file.cached.length();
            let end = rng.between(u64::from(shortest), u64::from(longest) + 1);
            let end = u32::try_from(end).expect("below a file's length");
            let mut kept = file.cached.clone();
            match tear {
                None => kept.set_length(end),
                Some(tear) => fill_after(&mut kept, &file.durable, end, tear, rng),
            }
            kept
        }
    }
}

/// Any of the dirty pages over the durable bytes, under the new length or the old one.
fn surviving_pages(file: &File, tear: Option<Tear>, rng: &mut Rng) -> Content {
    let mut kept = file.durable.clone();
    if rng.chance(2, 3) {
        kept.set_length(file.cached.length());
    }
    let torn = tear.map(|tear| (tear, rng.below(file.dirty.len().max(1) as u64)));
    for (index, &page) in (0u64..).zip(&file.dirty) {
        if page >= kept.page_count() || rng.chance(1, 2) {
            continue;
        }
        kept.copy_page(page, &file.cached);
        if let Some((tear, torn_index)) = torn
            && torn_index == index
        {
            tear_page(&mut kept, &file.durable, page, tear, rng);
        }
    }
    kept
}

/// Replaces the end of one page, from a tear on.
fn tear_page(kept: &mut Content, old: &Content, page: u32, tear: Tear, rng: &mut Rng) {
    let units = u64::from(PAGE_BYTES / tear.unit_bytes);
    let unit = u32::try_from(rng.below(units)).expect("below the units of a page");
    let start = page * PAGE_BYTES + unit * tear.unit_bytes;
    let end = kept.length().min((page + 1) * PAGE_BYTES);
    overwrite(kept, old, start, end, tear.fill, rng);
}

/// Keeps the length and replaces every byte from `start` on.
fn fill_after(kept: &mut Content, old: &Content, start: u32, tear: Tear, rng: &mut Rng) {
    let start = start.next_multiple_of(tear.unit_bytes);
    let end = kept.length();
    overwrite(kept, old, start, end, tear.fill, rng);
}

fn overwrite(
    kept: &mut Content,
    old: &Content,
    start: u32,
    end: u32,
    fill: TearFill,
    rng: &mut Rng,
) {
    if start >= end {
        return;
    }
    let mut bytes = vec![0; (end - start) as usize];
    let before = old.read(start, end - start);
    let after = kept.read(start, end - start);
    match fill {
        TearFill::Garbage => rng.fill(&mut bytes),
        TearFill::Old => bytes[..before.len()].copy_from_slice(&before),
        TearFill::Zeros => {}
    }
    // A byte that was synced and written again as it was is the same on both sides of a tear.
    for (index, byte) in before.iter().enumerate() {
        if after[index] == *byte {
            bytes[index] = *byte;
        }
    }
    kept.write(start, &bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: DirectoryId = DirectoryId::ROOT;

    /// A file with 5,000 synced bytes of 1 and 10,000 more of 2.
    fn half_synced() -> FileSystem {
        let mut files = FileSystem::default();
        files.write(ROOT, "a", 0, &[1; 5000]);
        files.sync_file(ROOT, "a");
        files.sync_directory(ROOT);
        files.write(ROOT, "a", 5000, &[2; 10_000]);
        files
    }

    #[test]
    fn what_was_synced_survives_every_cut() {
        let mut rng = Rng::new(1);
        let mut lengths = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let mut files = half_synced();
            let loss = PowerLoss::draw(&mut rng, true, true);
            files.lose_power(&loss, &mut rng);
            let kept = files
                .content(ROOT, "a")
                .expect("its name was synced")
                .to_vec();
            assert_eq!(kept[..5000], [1; 5000], "{loss:?}");
            assert!(kept.len() <= 15_000, "{loss:?}");
            lengths.insert(kept.len());
        }
        assert!(lengths.len() > 20, "cuts are varied: {lengths:?}");
    }

    #[test]
    fn losing_all_is_what_was_synced() {
        let mut files = half_synced();
        files.write(ROOT, "b", 0, b"x");
        files.sync_file(ROOT, "b");
        files.rename(ROOT, "a", "c");
        files.lose_power(&PowerLoss::LOSE_ALL, &mut Rng::new(0));
        assert_eq!(files.content(ROOT, "a").map(Content::length), Some(5000));
        assert_eq!(files.content(ROOT, "b"), None);
        assert_eq!(files.content(ROOT, "c"), None);
    }

    #[test]
    fn names_may_be_lost_apart() {
        let mut rng = Rng::new(3);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut files = half_synced();
            files.write(ROOT, "b", 0, b"x");
            files.rename(ROOT, "b", "a");
            let loss = PowerLoss {
                bytes: Some(ByteLoss::KeepAll),
                names: Some(NameLoss::Subset),
                tear: None,
            };
            files.lose_power(&loss, &mut rng);
            let length = files.content(ROOT, "a").map(Content::length);
            seen.insert((length, files.content(ROOT, "b").is_some()));
        }
        assert!(
            seen.contains(&(Some(15_000), false)),
            "create and rename lost"
        );
        assert!(seen.contains(&(Some(15_000), true)), "rename lost");
        assert!(seen.contains(&(Some(1), false)), "both kept");
    }
}
