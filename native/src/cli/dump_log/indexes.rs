//! Shows and checks `.index` and `.timeindex` files.
//!
//! Entries are relative to the offset in the file's name. An entry of zeros after the first is
//! space not used yet.

use serde_json::json;

use super::reader::BatchFile;
use super::{Check, json, offset_in_name, read_small};
use crate::cli::console::Console;
use crate::cli::failure::Failure;

/// Bytes of an entry: a 32-bit relative offset and a 32-bit position.
const OFFSET_ENTRY_BYTES: usize = 8;

/// Bytes of an entry: a 64-bit timestamp and a 32-bit relative offset.
const TIME_ENTRY_BYTES: usize = 12;

/// An entry of an offset index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct OffsetEntry {
    offset: i64,
    position: u32,
}

/// An entry of a time index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct TimeEntry {
    timestamp_ms: i64,
    offset: i64,
}

/// Shows an offset index, checking each entry against the log beside it.
pub(super) fn dump_offset_index(
    file: &str,
    check: Check,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let bytes = read_small(file)?;
    if bytes.is_empty() {
        return console.line(format!("{file} is empty."));
    }
    let base = offset_in_name(file)?;
    let entries = offset_entries(&bytes, base);
    if check.sanity_only {
        let ascending = entries
            .windows(2)
            .all(|pair| pair[0].offset < pair[1].offset);
        return report_sanity(
            file,
            bytes.len() % OFFSET_ENTRY_BYTES == 0 && ascending,
            console,
        );
    }
    let mut log = BatchFile::open(&log_of(file), None)?;
    let mut mismatches = Vec::new();
    for entry in entries {
        log.seek(u64::from(entry.position))?;
        let found = log.next_batch()?.map(|batch| batch.header.last_offset().0);
        if found != Some(entry.offset) {
            mismatches.push((entry.offset, found.unwrap_or(-1)));
        }
        if !check.verify_only {
            let (offset, position) = (entry.offset, entry.position);
            let told = || format!("offset: {offset} position: {position}");
            let fields = || json!({"offset": offset, "position": position});
            json::tell(console, (file, "offsetIndexEntry"), told, fields)?;
        }
    }
    if !mismatches.is_empty() {
        console.notice(format!("Mismatches in :{file}"));
        for (index, log) in mismatches {
            console.notice(format!("  Index offset: {index}, log offset: {log}"));
        }
    }
    Ok(())
}

/// Shows a time index, checking each entry against the log beside it.
pub(super) fn dump_time_index(
    file: &str,
    check: Check,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let bytes = read_small(file)?;
    let base = offset_in_name(file)?;
    let entries = time_entries(&bytes, base);
    if check.sanity_only {
        let ascending = entries.windows(2).all(|pair| {
            pair[0].offset < pair[1].offset && pair[0].timestamp_ms <= pair[1].timestamp_ms
        });
        return report_sanity(
            file,
            bytes.len() % TIME_ENTRY_BYTES == 0 && ascending,
            console,
        );
    }
    let mut log = BatchFile::open(&log_of(file), None)?;
    let mut batch = log.next_batch()?;
    let mut mismatches = Vec::new();
    for entry in &entries {
        while let Some(passed) = &batch
            && passed.header.last_offset().0 < entry.offset
        {
            batch = log.next_batch()?;
        }
        let found = batch
            .as_ref()
            .map_or(-1, |batch| batch.header.max_timestamp.0);
        if found != entry.timestamp_ms {
            mismatches.push((entry.timestamp_ms, found));
        }
        if !check.verify_only {
            let (timestamp, offset) = (entry.timestamp_ms, entry.offset);
            let told = || format!("timestamp: {timestamp} offset: {offset}");
            let fields = || json!({"timestamp": timestamp, "offset": offset});
            json::tell(console, (file, "timeIndexEntry"), told, fields)?;
        }
    }
    if !mismatches.is_empty() {
        console.notice(format!("Found timestamp mismatch in :{file}"));
        for (index, log) in mismatches {
            console.notice(format!("  Index timestamp: {index}, log timestamp: {log}"));
        }
    }
    let pairs = entries
        .windows(2)
        .map(|pair| (pair[0].timestamp_ms, pair[1].timestamp_ms));
    let disordered: Vec<(i64, i64)> = pairs.filter(|(first, next)| next < first).collect();
    if !disordered.is_empty() {
        console.notice(format!("Found out of order timestamp in :{file}"));
        for (first, next) in disordered {
            console.notice(format!(
                "  Index timestamp: {next}, Previously indexed timestamp: {first}"
            ));
        }
    }
    Ok(())
}

fn report_sanity(file: &str, sound: bool, console: &mut Console<'_>) -> Result<(), Failure> {
    if sound {
        let told = || format!("{file} passed sanity check.");
        return json::tell(console, (file, "sanity"), told, || json!({"isSound": true}));
    }
    Err(Failure::refused(format!(
        "{file} is not sound: its entries do not ascend, or the last is cut short. Delete it; the \
         broker makes it anew when it starts."
    )))
}

/// The log that an index belongs to.
fn log_of(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("{stem}.log")
}

fn offset_entries(bytes: &[u8], base: i64) -> Vec<OffsetEntry> {
    let entries = bytes
        .chunks_exact(OFFSET_ENTRY_BYTES)
        .map(|entry| OffsetEntry {
            offset: base + i64::from(u32_at(entry, 0)),
            position: u32_at(entry, 4),
        });
    let used = entries.enumerate();
    let used = used.take_while(|(i, entry)| *i == 0 || entry.offset != base);
    used.map(|(_, entry)| entry).collect()
}

fn time_entries(bytes: &[u8], base: i64) -> Vec<TimeEntry> {
    let entries = bytes.chunks_exact(TIME_ENTRY_BYTES).map(|entry| {
        let high = i64::from(u32_at(entry, 0));
        TimeEntry {
            timestamp_ms: high << 32 | i64::from(u32_at(entry, 4)),
            offset: base + i64::from(u32_at(entry, 8)),
        }
    });
    let used = entries.enumerate();
    let used = used.take_while(|(i, entry)| *i == 0 || entry.offset != base);
    used.map(|(_, entry)| entry).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_not_used_yet_is_not_shown() {
        let bytes = [0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
        let entry = OffsetEntry {
            offset: 105,
            position: 256,
        };
        assert_eq!(offset_entries(&bytes, 100), [entry]);
        let bytes = [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        let entry = TimeEntry {
            timestamp_ms: (1 << 32) + 2,
            offset: 13,
        };
        assert_eq!(time_entries(&bytes, 10), [entry]);
        assert_eq!(offset_entries(&[0; 16], 7).len(), 1);
    }

    #[test]
    fn an_index_lies_beside_its_log() {
        assert_eq!(log_of("a.b/0007.timeindex"), "a.b/0007.log");
    }
}
