//! The calls of compaction: files that are made, and that replace others
//! (`crate::log::compaction`).

use std::sync::Arc;

use bytes::Bytes;

use super::files::{DirectoryId, FileSystem};
use super::steps::Step;
use crate::ids::Offset;
use crate::storage::LogFile;

/// Suffix of a file that is being made.
const CLEANED_SUFFIX: &str = ".cleaned";

/// Suffix of a file that replaces others.
const SWAP_SUFFIX: &str = ".swap";

fn name(file: LogFile, suffix: &str) -> Arc<str> {
    (file.name() + suffix).into()
}

/// Writes part of a file; the first part begins it.
pub(super) fn write(folder: DirectoryId, file: LogFile, position: u32, bytes: &Bytes) -> Vec<Step> {
    let name = name(file, CLEANED_SUFFIX);
    let mut steps = Vec::new();
    if position == 0 {
        steps.push(Step::Create(folder, Arc::clone(&name)));
    }
    if !bytes.is_empty() {
        steps.push(Step::Write(folder, name, position, bytes.clone()));
    }
    steps
}

/// Makes the files and their names durable.
pub(super) fn sync(files: &FileSystem, folder: DirectoryId, segment: Offset) -> Vec<Step> {
    let names = LogFile::of_segment(segment).map(|file| name(file, CLEANED_SUFFIX));
    let mut steps: Vec<Step> = names
        .into_iter()
        .filter(|name| files.is_dirty(folder, name))
        .map(|name| Step::SyncFile(folder, name))
        .collect();
    steps.push(Step::SyncDirectory(folder));
    steps
}

/// Swaps the files in, or goes on with that.
pub(super) fn replace(
    files: &FileSystem,
    folder: DirectoryId,
    segment: Offset,
    sources: &[Offset],
) -> Vec<Step> {
    let has = |name: &str| files.lookup(folder, name).is_some();
    let mut steps = Vec::new();
    for file in LogFile::of_segment(segment) {
        let cleaned = name(file, CLEANED_SUFFIX);
        if has(&cleaned) {
            steps.push(Step::Rename(folder, cleaned, name(file, SWAP_SUFFIX)));
        }
    }
    steps.push(Step::SyncDirectory(folder));
    for file in sources.iter().flat_map(|base| LogFile::of_segment(*base)) {
        if has(&file.name()) {
            steps.push(Step::Remove(folder, file.name().into()));
        }
    }
    steps.push(Step::SyncDirectory(folder));
    for file in LogFile::of_segment(segment) {
        let swap = name(file, SWAP_SUFFIX);
        if has(&swap) || has(&name(file, CLEANED_SUFFIX)) {
            steps.push(Step::Rename(folder, swap, file.name().into()));
        }
    }
    steps.push(Step::SyncDirectory(folder));
    steps
}

/// Removes what was not swapped in.
pub(super) fn remove(files: &FileSystem, folder: DirectoryId, segment: Offset) -> Vec<Step> {
    let mut steps = Vec::new();
    for suffix in [SWAP_SUFFIX, CLEANED_SUFFIX] {
        for file in LogFile::of_segment(segment) {
            let name = name(file, suffix);
            if files.lookup(folder, &name).is_some() {
                steps.push(Step::Remove(folder, name));
            }
        }
        // What is called `.cleaned` says that nothing old is gone: it goes last, durably.
        steps.push(Step::SyncDirectory(folder));
    }
    steps
}

/// The names under which the batches of a segment may lie while it is swapped in, in order.
pub(super) fn names_under_way(segment: Offset) -> [Arc<str>; 3] {
    let file = LogFile::Log(segment);
    [
        name(file, CLEANED_SUFFIX),
        name(file, SWAP_SUFFIX),
        file.name().into(),
    ]
}
