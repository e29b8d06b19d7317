//! The files of a log, read by themselves: what any other reader must be able to rely on (R54,
//! R55).

use super::rig::{Rig, info};
use crate::ids::Offset;
use crate::log::index::IndexEntry;
use crate::log::offset_index::OffsetEntry;
use crate::log::time_index::TimeEntry;
use crate::storage::LogFile;

/// Checks every segment and both of its indexes against the model.
pub(super) fn check_files(rig: &Rig) {
    let mut bases: Vec<Offset> = rig
        .log
        .closed_segments()
        .iter()
        .map(|segment| segment.base_offset)
        .collect();
    bases.push(rig.log.active_segment());
    for (place, base) in bases.iter().enumerate() {
        let next = bases.get(place + 1).copied().unwrap_or(Offset(i64::MAX));
        // What a power cut brought back of deleted segments lies below the log's start.
        if next > rig.log.log_start_offset() {
            check_segment(rig, *base, next);
        }
    }
    for name in rig.disk.files.keys() {
        if let Some(LogFile::Log(base)) = LogFile::parse(name) {
            assert!(
                bases.contains(&base),
                "{name} belongs to no segment: {bases:?} {:?}",
                rig.log
            );
        }
    }
}

fn check_segment(rig: &Rig, base: Offset, next: Offset) {
    let mut expected = Vec::new();
    let mut batches = Vec::new();
    for batch in &rig.model {
        let info = info(batch);
        if info.base_offset >= base && info.base_offset < next {
            batches.push((info, expected.len()));
            expected.extend_from_slice(batch);
        }
    }
    let log = &rig.disk.files[&LogFile::Log(base).name()];
    let same = log
        .iter()
        .zip(&expected)
        .take_while(|(left, right)| left == right);
    let same_bytes = same.count();
    assert!(
        *log == expected,
        "segment {base} has {} bytes, not {}, and is right up to {same_bytes}: {:?}",
        log.len(),
        expected.len(),
        rig.log
    );
    let offsets: Vec<OffsetEntry> = entries(rig, LogFile::OffsetIndex(base));
    for entry in &offsets {
        let pointed = batches
            .iter()
            .find(|(_info, position)| *position == entry.position as usize);
        let (info, _position) = pointed.expect("an entry points at a batch");
        let last = i64::from(entry.relative_offset);
        assert_eq!(info.last_offset(), base.plus(last), "{entry:?}");
    }
    let times: Vec<TimeEntry> = entries(rig, LogFile::TimeIndex(base));
    for entry in &times {
        let last = base.plus(i64::from(entry.relative_offset));
        let largest = batches
            .iter()
            .filter(|(info, _position)| info.last_offset() <= last)
            .map(|(info, _position)| info.max_timestamp)
            .max();
        assert_eq!(largest, Some(entry.timestamp), "{entry:?}");
    }
}

/// The entries of an index file, which must be in order.
fn entries<E: IndexEntry>(rig: &Rig, file: LogFile) -> Vec<E> {
    let empty = Vec::new();
    let bytes = rig.disk.files.get(&file.name()).unwrap_or(&empty);
    assert!(
        bytes.len().is_multiple_of(E::BYTES as usize),
        "whole entries in {file:?}"
    );
    let entries: Vec<E> = bytes
        .chunks_exact(E::BYTES as usize)
        .map(E::decode)
        .collect();
    for pair in entries.windows(2) {
        assert!(pair[0].is_before(&pair[1]), "{file:?}: {pair:?}");
    }
    entries
}
