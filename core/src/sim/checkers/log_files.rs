//! The files of one log judged together: R28, R54, R55 and R56.
//!
//! For a log at rest, that is after recovery or after an orderly stop. Right after a crash its
//! files may contradict each other; what may be left then is the business of
//! `crate::sim::checkers::durability`.

use std::collections::BTreeMap;

use super::Violation;
use super::log_image::{FoundBatch, FoundLog, LogImage, crc32c, i16_at, i32_at, i64_at};
use crate::ids::Offset;

/// Checks all files of a log at rest.
#[must_use]
pub fn check(image: &LogImage) -> Vec<Violation> {
    let found = image.read();
    let mut violations = Vec::new();
    if let Some(damage) = &found.damage {
        violations.push(Violation::new(
            "R54",
            format!(
                "{}: segment {} at byte {}: {}",
                image.folder, damage.segment, damage.position, damage.what
            ),
        ));
        return violations;
    }
    for what in missing_indexes(image, &found) {
        violations.push(Violation::new("R55", format!("{}: {what}", image.folder)));
    }
    for (name, bytes) in &image.files {
        let Some((stem, suffix)) = name.split_once('.') else {
            continue;
        };
        let Ok(base) = stem.parse::<i64>() else {
            continue;
        };
        let checked = match suffix {
            "index" => check_offset_index(Offset(base), bytes, &found).map_err(|e| ("R55", e)),
            "timeindex" => check_time_index(Offset(base), bytes, &found).map_err(|e| ("R55", e)),
            "snapshot" => {
                let is_compacted = image.is_compacted();
                check_snapshot(Offset(base), bytes, &found, is_compacted).map_err(|e| ("R56", e))
            }
            _other => Ok(()),
        };
        if let Err((check, what)) = checked {
            let what = format!("{}/{name}: {what}", image.folder);
            violations.push(Violation::new(check, what));
        }
    }
    if let Err(what) = check_leader_epochs(image, &found) {
        violations.push(Violation::new("R28", format!("{}: {what}", image.folder)));
    }
    violations
}

/// A segment that is no longer appended to has both its indexes: else every read of it that knows
/// no better would look for its place from the front.
fn missing_indexes(image: &LogImage, found: &FoundLog) -> Vec<String> {
    let closed = found
        .segments
        .split_last()
        .map_or(&[][..], |(_, rest)| rest);
    let names = closed
        .iter()
        .filter(|(_base, length)| *length > 0)
        .flat_map(|(base, _)| {
            ["index", "timeindex"].map(|suffix| format!("{:020}.{suffix}", base.0))
        });
    names
        .filter(|name| !image.files.contains_key(name))
        .map(|name| format!("{name} is missing"))
        .collect()
}

/// Each entry rises in both columns and points at a batch that its offset is not before.
fn check_offset_index(base: Offset, bytes: &[u8], found: &FoundLog) -> Result<(), String> {
    if !bytes.len().is_multiple_of(8) {
        return Err(format!("{} bytes are no whole entries", bytes.len()));
    }
    let batches = segment_batches(base, found)?;
    let mut before: Option<(i32, i32)> = None;
    for entry in bytes.chunks_exact(8) {
        let (relative, position) = (i32_at(entry, 0), i32_at(entry, 4));
        if let Some(before) = before
            && (relative <= before.0 || position <= before.1)
        {
            return Err(format!("entry ({relative}, {position}) after {before:?}"));
        }
        before = Some((relative, position));
        let offset = base.plus(i64::from(relative));
        let at = u32::try_from(position)
            .ok()
            .and_then(|position| batches.get(&position));
        match at {
            None => return Err(format!("entry for {offset} points at {position}: no batch")),
            Some(batch) if batch.base_offset > offset => {
                let first = batch.base_offset;
                return Err(format!("entry for {offset} points past it, at {first}"));
            }
            Some(_) if offset >= found.end_offset() => {
                return Err(format!("entry for {offset} is past the end of the log"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Each entry does not fall in either column, and nothing before its offset is later than it says.
fn check_time_index(base: Offset, bytes: &[u8], found: &FoundLog) -> Result<(), String> {
    if !bytes.len().is_multiple_of(12) {
        return Err(format!("{} bytes are no whole entries", bytes.len()));
    }
    let batches = segment_batches(base, found)?;
    let mut before = (i64::MIN, i32::MIN);
    for entry in bytes.chunks_exact(12) {
        let (timestamp, relative) = (i64_at(entry, 0), i32_at(entry, 8));
        if timestamp < before.0 || relative < before.1 {
            return Err(format!("entry ({timestamp}, {relative}) after {before:?}"));
        }
        before = (timestamp, relative);
        let offset = base.plus(i64::from(relative));
        if offset >= found.end_offset() && !batches.is_empty() {
            return Err(format!("entry for {offset} is past the end of the log"));
        }
        let earlier = batches.values().filter(|batch| batch.last_offset <= offset);
        if let Some(batch) = earlier.max_by_key(|batch| batch.max_timestamp)
            && batch.max_timestamp.0 > timestamp
        {
            return Err(format!(
                "entry ({timestamp}, {offset}), but offset {} has {}",
                batch.base_offset, batch.max_timestamp
            ));
        }
    }
    Ok(())
}

/// The batches of a segment by position.
fn segment_batches(base: Offset, found: &FoundLog) -> Result<BTreeMap<u32, &FoundBatch>, String> {
    if !found.segments.iter().any(|(segment, _)| *segment == base) {
        return Err("an index without a segment".to_owned());
    }
    let batches = found.batches.iter().filter(|batch| batch.segment == base);
    Ok(batches.map(|batch| (batch.position, batch)).collect())
}

/// One producer of a snapshot.
#[derive(Debug, Eq, PartialEq)]
struct Producer {
    epoch: i16,
    last_sequence: i32,
    last_offset: i64,
    offset_delta: i32,
}

/// A snapshot says of each producer what a replay of the log below it says. Of a compacted log it
/// may know later batches than are left. Where the log goes on after lost records, the producers
/// begin anew: the lost ones may have been theirs.
fn check_snapshot(
    at: Offset,
    bytes: &[u8],
    found: &FoundLog,
    is_compacted: bool,
) -> Result<(), String> {
    let told = read_snapshot(bytes)?;
    if at > found.end_offset() {
        return Err(format!(
            "a snapshot past the log's end {}",
            found.end_offset()
        ));
    }
    let mut replayed: BTreeMap<i64, Producer> = BTreeMap::new();
    let resumed_at = found.resumed_at.iter().rfind(|resumed| **resumed <= at);
    let from = resumed_at.copied().unwrap_or(Offset::ZERO);
    let below = found
        .batches
        .iter()
        .filter(|batch| batch.base_offset >= from && batch.last_offset < at);
    for batch in below.filter(|batch| batch.producer_id.0 >= 0 && batch.attributes & 0x20 == 0) {
        let delta = i32::try_from(batch.last_offset.0 - batch.base_offset.0)
            .expect("read from an i32 field");
        let producer = Producer {
            epoch: batch.producer_epoch.0,
            last_sequence: batch.base_sequence.plus(delta).0,
            last_offset: batch.last_offset.0,
            offset_delta: delta,
        };
        replayed.insert(batch.producer_id.0, producer);
    }
    for (id, producer) in &replayed {
        match told.get(id) {
            Some(said) if said == producer => {}
            Some(said) if is_compacted && said.last_offset > producer.last_offset => {}
            said => {
                return Err(format!(
                    "producer {id}: {said:?}, the log says {producer:?}"
                ));
            }
        }
    }
    // A producer whose batches retention removed may still be known; none may be invented.
    let start = found.start_offset();
    let invented = told.iter().find(|(id, producer)| {
        !replayed.contains_key(id) && producer.last_offset >= start.0 && !is_compacted
    });
    match invented {
        Some((id, producer)) => Err(format!("producer {id} is not in the log: {producer:?}")),
        None => Ok(()),
    }
}

fn read_snapshot(bytes: &[u8]) -> Result<BTreeMap<i64, Producer>, String> {
    const HEAD: usize = 10;
    const ENTRY: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;
    if bytes.len() < HEAD || i16_at(bytes, 0) != 1 {
        return Err("no snapshot of version 1".to_owned());
    }
    if crc32c(&bytes[6..]) != u32::from_be_bytes(i32_at(bytes, 2).to_be_bytes()) {
        return Err("the CRC is wrong".to_owned());
    }
    let entries = &bytes[HEAD..];
    let count = usize::try_from(i32_at(bytes, 6)).unwrap_or(usize::MAX);
    if entries.len() / ENTRY != count || !entries.len().is_multiple_of(ENTRY) {
        return Err(format!("{count} producers in {} bytes", entries.len()));
    }
    Ok(entries
        .chunks_exact(ENTRY)
        .map(|entry| {
            let producer = Producer {
                epoch: i16_at(entry, 8),
                last_sequence: i32_at(entry, 10),
                last_offset: i64_at(entry, 14),
                offset_delta: i32_at(entry, 22),
            };
            (i64_at(entry, 0), producer)
        })
        .collect())
}

/// Where each epoch begins, as the checkpoint says, is where the batches begin to carry it.
fn check_leader_epochs(image: &LogImage, found: &FoundLog) -> Result<(), String> {
    let Some(text) = image.files.get("leader-epoch-checkpoint") else {
        return if found.batches.is_empty() {
            Ok(())
        } else {
            Err("no leader-epoch-checkpoint".to_owned())
        };
    };
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    for line in text.lines().skip(2) {
        let fields = line.split_once(' ').and_then(|(epoch, start)| {
            Some((epoch.parse::<i32>().ok()?, start.parse::<i64>().ok()?))
        });
        entries.push(fields.ok_or_else(|| format!("leader-epoch-checkpoint: {line:?}"))?);
    }
    if !entries.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1) {
        return Err(format!("epochs or starts do not rise: {entries:?}"));
    }
    // Below the log's start, which may lie inside a segment, the epochs are forgotten.
    let start = image.start_offset.unwrap_or(Offset::ZERO);
    let known = found
        .batches
        .iter()
        .filter(|batch| batch.last_offset >= start);
    for batch in known {
        let entry = entries
            .iter()
            .rev()
            .find(|(_, start)| *start <= batch.base_offset.0);
        let is_first = entry.is_none() && batch.base_offset < start;
        if !is_first && entry.map(|(epoch, _)| *epoch) != Some(batch.leader_epoch.0) {
            return Err(format!(
                "offset {} has epoch {}, the checkpoint says {entries:?}",
                batch.base_offset, batch.leader_epoch
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::log_image::tests::{batch, two_segments};
    use super::*;

    fn with(name: &str, bytes: Vec<u8>) -> LogImage {
        let mut image = two_segments();
        let epochs = b"0\n1\n0 0\n".to_vec();
        image
            .files
            .insert("leader-epoch-checkpoint".to_owned(), epochs);
        image.files.insert(name.to_owned(), bytes);
        image
    }

    fn verdicts(image: &LogImage) -> Vec<&'static str> {
        check(image)
            .into_iter()
            .map(|violation| violation.check)
            .collect()
    }

    fn words(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn offset_indexes_point_at_batches_not_past_their_offset() {
        let name = "00000000000000000000.index";
        let check = |entries: &[i32]| verdicts(&with(name, words(entries)));
        assert!(check(&[]).is_empty());
        assert!(check(&[3, 64]).is_empty());
        assert_eq!(check(&[3, 65]), ["R55"]);
        assert_eq!(check(&[2, 64]), ["R55"]);
        assert_eq!(check(&[3, 64, 3, 64]), ["R55"]);
        assert_eq!(check(&[3]), ["R55"]);
        assert_eq!(check(&[9, 64]), ["R55"]);
        let orphan = with("00000000000000000002.index", words(&[1, 0]));
        assert_eq!(verdicts(&orphan), ["R55"]);
    }

    #[test]
    fn time_indexes_bound_what_is_before_them() {
        let name = "00000000000000000000.timeindex";
        let entry = |timestamp: i64, relative: i32| {
            let mut bytes = timestamp.to_be_bytes().to_vec();
            bytes.extend(relative.to_be_bytes());
            bytes
        };
        assert!(verdicts(&with(name, entry(1003, 3))).is_empty());
        assert_eq!(verdicts(&with(name, entry(1002, 3))), ["R55"]);
        let falling = [entry(1003, 3), entry(1002, 3)].concat();
        assert_eq!(verdicts(&with(name, falling)), ["R55"]);
    }

    #[test]
    fn a_closed_segment_has_its_indexes() {
        let mut image = with("leader-epoch-checkpoint", b"0\n1\n0 0\n".to_vec());
        assert_eq!(verdicts(&image), [""; 0]);
        image.files.remove("00000000000000000000.index");
        assert_eq!(verdicts(&image), ["R55"]);
    }

    #[test]
    fn producers_begin_anew_after_records_that_were_deleted_and_lost() {
        const NINE: &str = "00000000000000000009.snapshot";
        let sealed = |mut snapshot: Vec<u8>| {
            let crc = crc32c(&snapshot[6..]);
            snapshot[2..6].copy_from_slice(&crc.to_be_bytes());
            snapshot
        };
        let none = sealed(vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Producer 9, in epoch 0, wrote [4, 6).
        let mut one = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        one.extend(9i64.to_be_bytes());
        one.extend([0; 2]);
        one.extend(1i32.to_be_bytes());
        one.extend(5i64.to_be_bytes());
        one.extend(1i32.to_be_bytes());
        one.extend([0; 20]);
        let one = sealed(one);
        let image = |base: i64, snapshot: &[u8]| {
            let mut image = with(NINE, snapshot.to_vec());
            let mut nines = batch(4, 2, b"ef");
            nines[43..51].copy_from_slice(&9i64.to_be_bytes());
            nines[51..57].fill(0);
            let crc = crc32c(&nines[21..]);
            nines[17..21].copy_from_slice(&crc.to_be_bytes());
            let count = i32::try_from(9 - base).unwrap();
            let files = &mut image.files;
            files.insert("00000000000000000004.log".to_owned(), nines);
            for suffix in ["index", "timeindex"] {
                files.insert(format!("00000000000000000004.{suffix}"), Vec::new());
            }
            files.insert(format!("{base:020}.log"), batch(base, count, b"g"));
            image.start_offset = Some(Offset(8));
            image
        };
        assert!(verdicts(&image(6, &one)).is_empty());
        assert_eq!(verdicts(&image(6, &none)), ["R56"]);
        assert!(verdicts(&image(8, &none)).is_empty());
        assert_eq!(verdicts(&image(8, &one)), ["R56"]);
    }

    #[test]
    fn snapshots_and_epochs_say_what_the_log_says() {
        let name = "00000000000000000004.snapshot";
        let mut empty = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let crc = crc32c(&empty[6..]);
        empty[2..6].copy_from_slice(&crc.to_be_bytes());
        assert!(verdicts(&with(name, empty.clone())).is_empty());
        empty[9] = 1;
        assert_eq!(verdicts(&with(name, empty)), ["R56"]);
        let wrong = with("leader-epoch-checkpoint", b"0\n1\n1 0\n".to_vec());
        assert_eq!(verdicts(&wrong), ["R28"]);
        let falling = with("leader-epoch-checkpoint", b"0\n2\n0 2\n1 1\n".to_vec());
        assert_eq!(verdicts(&falling), ["R28"]);
    }
}
