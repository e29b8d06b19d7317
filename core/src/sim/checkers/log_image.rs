//! Reads the batches of a log from its files, by Kafka's format alone.
//!
//! It answers what recovery must keep: the longest run of whole, intact, contiguous batches from
//! the log's start. Nothing here is shared with `crate::log` or `crate::wire`: a mistake there must
//! not hide itself. Source: record batch format v2 of Apache Kafka.

use std::collections::BTreeMap;

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TopicId};
use crate::limits::decompressed_bytes_max;
use crate::sim::disk::{DirectoryId, FileSystem};
use crate::sim::trace::hash_of;
use crate::time::Timestamp;
use crate::wire::batch::Compression;
use crate::wire::compression::decompress;

/// Bytes of a batch before its records.
pub(super) const HEADER: usize = 61;

/// What the names of compacted topics begin with, in every workload.
pub const COMPACTED: &str = "compacted";

/// What the names of topics have within that are stamped with the time of the append.
pub const STAMPED: &str = "stamped";

/// What the names of topics have within whose records' times must lie near the broker's.
pub const BOUNDED: &str = "bounded";

/// What the names of topics have within that store zstd, whatever their producers send.
pub const RECODED: &str = "recoded";

/// The topic of committed offsets, which is compacted too.
pub const OFFSETS: &str = "__consumer_offsets";

/// Whether a topic or folder of this name is compacted: in every workload the name says so.
#[must_use]
pub fn is_compacted(name: &str) -> bool {
    name.starts_with(COMPACTED) || is_offsets(name)
}

/// Whether a topic or folder of this name is the one of committed offsets.
#[must_use]
pub fn is_offsets(name: &str) -> bool {
    name.starts_with(OFFSETS)
}

/// Where the part under the CRC begins.
const CRC_COVERS_FROM: usize = 21;

/// The files of one log folder.
#[derive(Clone, Debug, Default)]
pub struct LogImage {
    /// The folder's name.
    pub folder: String,
    /// The files by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Where the log starts, where a checkpoint says that it is not the front of its files.
    pub start_offset: Option<Offset>,
}

/// One intact batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FoundBatch {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Leader epoch stamped on it.
    pub leader_epoch: LeaderEpoch,
    /// Base offset of its segment.
    pub segment: Offset,
    /// Where it begins in its segment's file.
    pub position: u32,
    /// Its size, in bytes.
    pub size_bytes: u32,
    /// Its attributes.
    pub attributes: i16,
    /// Its largest timestamp.
    pub max_timestamp: Timestamp,
    /// Its producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its first record.
    pub base_sequence: Sequence,
    /// Hash of the records, opened.
    pub records_hash: u64,
}

/// Where the intact run of batches ends before the files do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The segment.
    pub segment: Offset,
    /// The position in its file.
    pub position: u32,
    /// What is wrong there.
    pub what: String,
}

/// What a log's files hold.
#[derive(Clone, Debug, Default)]
pub struct FoundLog {
    /// The intact run from the first segment on.
    pub batches: Vec<FoundBatch>,
    /// What ends the run, if not the end of the last segment.
    pub damage: Option<Damage>,
    /// Base offset of each segment file, with its length.
    pub segments: Vec<(Offset, u32)>,
    /// Base offset of each segment that goes on after records that were deleted, then lost.
    pub resumed_at: Vec<Offset>,
    end_offset: Offset,
}

impl FoundLog {
    /// Offset after the last intact batch, or where the segment begins that has none yet.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Base offset of the first segment.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.segments
            .first()
            .map_or(Offset::ZERO, |(base, _)| *base)
    }
}

impl LogImage {
    /// The folder as a process sees it.
    #[must_use]
    pub fn take(files: &FileSystem, folder: &str) -> Option<Self> {
        let directory = files.folder(folder)?;
        let mut image = Self {
            folder: folder.to_owned(),
            files: files
                .names(directory)
                .filter_map(|(name, _)| {
                    let content = files.content(directory, name)?;
                    Some((name.to_string(), content.to_vec()))
                })
                .collect(),
            start_offset: start_offset(files, folder),
        };
        super::swapped::finish_swaps(&mut image.files);
        Some(image)
    }

    /// Every log folder of a data directory, leaving out those marked as deleted, and those put
    /// aside as a crash left them because they do not say whose they are.
    #[must_use]
    pub fn take_all(files: &FileSystem) -> Vec<Self> {
        let names = files.names(DirectoryId::ROOT);
        names
            .filter(|(name, _)| !name.ends_with("-delete"))
            .filter_map(|(name, _)| Self::take(files, name))
            .filter(|image| !image.folder.ends_with("-stray") || image.topic_id().is_some())
            .collect()
    }

    /// Whether records may be missing between two batches: the log is compacted, as its name says
    /// in every workload.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        is_compacted(&self.folder)
    }

    /// The topic's id, from `partition.metadata`.
    #[must_use]
    pub fn topic_id(&self) -> Option<TopicId> {
        topic_id_of(self.files.get("partition.metadata")?)
    }

    /// Segments by base offset, each with the file's bytes.
    pub fn segments(&self) -> impl Iterator<Item = (Offset, &[u8])> {
        self.files.iter().filter_map(|(name, bytes)| {
            let stem = name.strip_suffix(".log")?;
            let base = stem.parse().ok().filter(|_| stem.len() == 20)?;
            Some((Offset(base), bytes.as_slice()))
        })
    }

    /// Reads the batches.
    #[must_use]
    pub fn read(&self) -> FoundLog {
        let mut found = FoundLog {
            // Where everything is deleted, the log goes on at its start.
            end_offset: self.start_offset.unwrap_or(Offset::ZERO),
            ..FoundLog::default()
        };
        let mut next: Option<Offset> = None;
        for (segment, bytes) in self.segments() {
            let length = u32::try_from(bytes.len()).expect("a segment is below 4 GiB");
            found.segments.push((segment, length));
            if found.damage.is_some() {
                continue;
            }
            // Records that were deleted, then lost, leave a gap that nobody may read.
            let is_deleted = self.start_offset.is_some_and(|start| segment <= start);
            let is_resumed = is_deleted && next.is_some_and(|next| segment > next);
            if is_resumed {
                found.resumed_at.push(segment);
            }
            if let Some(next) = next
                && segment != next
                && !is_resumed
            {
                let what =
                    format!("the segment begins at {segment}, the one before ends at {next}");
                found.damage = Some(Damage {
                    segment,
                    position: 0,
                    what,
                });
                continue;
            }
            let allows_gaps = self.is_compacted();
            found.end_offset = read_segment(segment, bytes, allows_gaps, &mut found);
            next = Some(found.end_offset);
        }
        found
    }
}

/// The line of `log-start-offset-checkpoint` for a folder.
fn start_offset(files: &FileSystem, folder: &str) -> Option<Offset> {
    let (topic, partition) = folder.rsplit_once('-')?;
    let content = files.content(DirectoryId::ROOT, "log-start-offset-checkpoint")?;
    let text = String::from_utf8(content.to_vec()).ok()?;
    let wanted = format!("{topic} {partition} ");
    let offset = text.lines().find_map(|line| line.strip_prefix(&wanted))?;
    Some(Offset(offset.parse().ok()?))
}

/// Reads one segment; answers the offset after its last intact batch.
fn read_segment(segment: Offset, bytes: &[u8], allows_gaps: bool, found: &mut FoundLog) -> Offset {
    let mut next = segment;
    let mut at = 0;
    while at < bytes.len() {
        match read_batch((segment, at), &bytes[at..], next, allows_gaps) {
            Ok(batch) => {
                next = batch.last_offset.plus(1);
                at += batch.size_bytes as usize;
                found.batches.push(batch);
            }
            Err(what) => {
                found.damage = Some(Damage {
                    segment,
                    position: u32::try_from(at).expect("a segment is below 4 GiB"),
                    what,
                });
                break;
            }
        }
    }
    next
}

/// Reads the batch at the front of `bytes`; it must begin at `expected`, or after it.
fn read_batch(
    (segment, at): (Offset, usize),
    bytes: &[u8],
    expected: Offset,
    allows_gaps: bool,
) -> Result<FoundBatch, String> {
    if bytes.len() < HEADER {
        return Err(format!("{} bytes are too few for a batch", bytes.len()));
    }
    let base_offset = Offset(i64_at(bytes, 0));
    let size = i64::from(i32_at(bytes, 8)) + 12;
    let size = usize::try_from(size).unwrap_or(0);
    if size < HEADER || size > bytes.len() {
        return Err(format!(
            "a batch of {size} bytes where {} are left",
            bytes.len()
        ));
    }
    if bytes[16] != 2 {
        return Err(format!("magic {}", bytes[16]));
    }
    if !is_crc_right(&bytes[..size]) {
        return Err("the CRC is wrong".to_owned());
    }
    let delta = i32_at(bytes, 23);
    if delta < 0 {
        return Err(format!("last offset delta {delta}"));
    }
    let is_gap = base_offset > expected && !allows_gaps;
    if base_offset < expected || is_gap {
        return Err(format!(
            "a batch at offset {base_offset}, expected {expected}"
        ));
    }
    Ok(FoundBatch {
        base_offset,
        last_offset: base_offset.plus(i64::from(delta)),
        leader_epoch: LeaderEpoch(i32_at(bytes, 12)),
        segment,
        position: u32::try_from(at).expect("a segment is below 4 GiB"),
        size_bytes: u32::try_from(size).expect("checked against the file"),
        attributes: i16_at(bytes, 21),
        max_timestamp: Timestamp(i64_at(bytes, 35)),
        producer_id: ProducerId(i64_at(bytes, 43)),
        producer_epoch: ProducerEpoch(i16_at(bytes, 51)),
        base_sequence: Sequence(i32_at(bytes, 53)),
        records_hash: hash_of_records(i16_at(bytes, 21), &bytes[HEADER..size]),
    })
}

/// Hash of a batch's records, the same in every codec; of what is there, where that does not open.
pub(super) fn hash_of_records(attributes: i16, records: &[u8]) -> u64 {
    let codec = Compression::from_id(attributes & 0x07).filter(|&codec| codec != Compression::None);
    let size_max = decompressed_bytes_max(records.len());
    let opened = codec.and_then(|codec| decompress(codec, records, size_max).ok());
    opened.map_or_else(|| hash_of(records), |opened| hash_of(&opened))
}

/// The topic's id, in the content of `partition.metadata`.
pub(super) fn topic_id_of(content: &[u8]) -> Option<TopicId> {
    let text = std::str::from_utf8(content).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("topic_id: "))?;
    TopicId::parse(line.trim())
}

/// Whether a whole batch has the CRC that it says.
#[must_use]
pub(super) fn is_crc_right(batch: &[u8]) -> bool {
    crc32c(&batch[CRC_COVERS_FROM..]) == u32::from_be_bytes(i32_at(batch, 17).to_be_bytes())
}

/// Big-endian `i64` at a position known to be there.
#[must_use]
pub(in crate::sim) fn i64_at(bytes: &[u8], at: usize) -> i64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(word)
}

/// Big-endian `i32` at a position known to be there.
#[must_use]
pub(super) fn i32_at(bytes: &[u8], at: usize) -> i32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    i32::from_be_bytes(word)
}

/// Big-endian `i16` at a position known to be there.
#[must_use]
pub(super) fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// CRC-32C (Castagnoli), by table: slow and plain, so that it shares nothing with the fast one.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (crc >> 8) ^ CRC_TABLE[usize::from((crc as u8) ^ byte)]
    })
}

const CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An intact batch with `records` as its records, whatever they say.
    pub(in crate::sim::checkers) fn batch(base: i64, count: i32, records: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(records);
        let length = i32::try_from(bytes.len()).expect("small") - 12;
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        bytes[35..43].copy_from_slice(&(1000 + base).to_be_bytes());
        bytes[43..51].copy_from_slice(&(-1i64).to_be_bytes());
        bytes[51..53].copy_from_slice(&(-1i16).to_be_bytes());
        bytes[53..57].copy_from_slice(&(-1i32).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c(&bytes[CRC_COVERS_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// A log of two segments with three batches.
    pub(in crate::sim::checkers) fn two_segments() -> LogImage {
        let mut first = batch(0, 3, b"abc");
        first.extend(batch(3, 1, b"d"));
        LogImage {
            folder: "t-0".to_owned(),
            files: BTreeMap::from([
                ("00000000000000000000.index".to_owned(), Vec::new()),
                ("00000000000000000000.log".to_owned(), first),
                ("00000000000000000000.timeindex".to_owned(), Vec::new()),
                ("00000000000000000004.log".to_owned(), batch(4, 2, b"ef")),
            ]),
            start_offset: None,
        }
    }

    #[test]
    fn crc_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_intact_log_is_read_whole() {
        let found = two_segments().read();
        assert_eq!(found.damage, None);
        assert_eq!(found.batches.len(), 3);
        assert_eq!(found.end_offset(), Offset(6));
        assert_eq!(found.batches[1].position, 64);
    }

    #[test]
    fn any_damaged_byte_ends_the_run_before_its_batch() {
        let image = two_segments();
        let name = "00000000000000000000.log";
        // The leader epoch of each batch lies outside its CRC.
        for at in (0..126).filter(|at| !(12..16).contains(&(at % 64))) {
            let mut damaged = image.clone();
            let file = damaged.files.get_mut(name).expect("it is there");
            file[at] ^= 0x40;
            let found = damaged.read();
            assert_eq!(found.batches.len(), at / 64, "byte {at}");
            assert!(found.damage.is_some(), "byte {at}");
        }
    }

    #[test]
    fn without_a_segment_a_log_ends_where_it_starts() {
        let mut image = two_segments();
        image.files.clear();
        assert_eq!(image.read().end_offset(), Offset(0));
        image.start_offset = Some(Offset(11));
        assert_eq!(image.read().end_offset(), Offset(11));
    }

    #[test]
    fn a_missing_tail_before_a_later_segment_is_damage() {
        let mut image = two_segments();
        let file = image
            .files
            .get_mut("00000000000000000000.log")
            .expect("there");
        file.truncate(64);
        let found = image.read();
        assert_eq!(found.end_offset(), Offset(3));
        assert!(found.damage.is_some());
    }
}
