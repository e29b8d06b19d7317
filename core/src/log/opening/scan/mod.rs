//! Reading a segment's file batch by batch, and telling an unfinished write from corruption.
//!
//! Pure over the bytes it is fed. At or above the recovery point the first batch that is not sound
//! ends the log: a write that was under way. Below it everything was durable once, so the same
//! sight is corruption: noted as a bad range and stepped over, never cut (reliability: recovery,
//! step 5). Compare Kafka's `LogSegment.recover`, which cuts in both cases.

#[cfg(test)]
mod tests;

use crate::ids::Offset;
use crate::limits::JOB_READ_BYTES;
use crate::log::BadRange;
use crate::log::batch::{BatchDamage, BatchInfo, CRC_START, HEADER_BYTES};
use crate::mutants::mutant;

/// Where a batch's magic byte is, and what it is.
const MAGIC_AT: usize = 16;
const MAGIC_BYTE: u8 = 2;

/// A scan of one file.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    file_bytes: u32,
    /// No record of this file has this offset or a higher one.
    bound: Offset,
    recovery_point: Offset,
    /// In front of offsets up to here, records may be missing.
    gaps_to: Offset,
    /// Where the next batch should begin.
    position: u32,
    /// Where the last sound batch ends.
    valid_bytes: u32,
    /// The offset after the last sound batch, or after one known to be damaged.
    expected: Offset,
    /// Looking for the next sound batch after a header that makes no sense.
    is_lost: bool,
    /// Damaged ranges, in order.
    bad: Vec<BadRange>,
    /// Where the last batch began, and the log ended before it, if it was damaged and stepped over
    /// by what its header says: no sum vouches for that.
    stepped_over: Option<(u32, Offset)>,
    /// A batch larger than one read, summed piece by piece.
    large: Option<Box<LargeBatch>>,
}

/// A batch on its way through memory.
#[derive(Clone, Debug)]
struct LargeBatch {
    info: BatchInfo,
    digest: crc_fast::Digest,
    /// Bytes of it seen.
    seen_bytes: u32,
}

/// What a scan wants, or what it came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ScanStep {
    /// The first unsound batch at or above the recovery point.
    Cut {
        position: u32,
        offset: Offset,
        damage: BatchDamage,
    },
    /// The file's end; after the last sound batch there may be bytes that make no sense.
    End,
    /// Bytes from here.
    Read { position: u32, length: u32 },
}

impl Scanner {
    /// A scan of a file of `file_bytes` from a batch boundary on, before which the log ended at
    /// `expected`; the next segment begins at `bound`.
    pub(super) fn new(
        file_bytes: u32,
        (position, expected): (u32, Offset),
        bound: Offset,
        recovery_point: Offset,
        gaps_to: Offset,
    ) -> Self {
        Self {
            file_bytes,
            bound,
            recovery_point,
            gaps_to,
            position,
            valid_bytes: position,
            expected,
            is_lost: false,
            bad: Vec::new(),
            stepped_over: None,
            large: None,
        }
    }

    /// A scan of what lies behind a cut, to tell how many sound batches go with it: a power cut may
    /// leave holes with such behind them.
    pub(super) fn behind(&self) -> Self {
        Self {
            recovery_point: Offset(i64::MAX),
            gaps_to: Offset(i64::MAX),
            is_lost: true,
            bad: Vec::new(),
            stepped_over: None,
            large: None,
            ..self.clone()
        }
    }

    /// The batch where the scan begins is known to be sound and to have this base offset: the log
    /// ended just before it.
    pub(super) fn trust_first(&mut self, base_offset: Offset) {
        assert!(base_offset >= self.expected, "the log did not end past it");
        self.expected = base_offset;
    }

    /// Where the last sound batch ends.
    pub(super) fn valid_bytes(&self) -> u32 {
        self.valid_bytes
    }

    /// The offset after the last sound batch.
    pub(super) fn end_offset(&self) -> Offset {
        self.expected
    }

    /// Damaged ranges, in order.
    pub(super) fn into_bad(self) -> Vec<BadRange> {
        self.bad
    }

    /// What the scan wants first.
    pub(super) fn begin(&self) -> ScanStep {
        if self.position == self.file_bytes {
            ScanStep::End
        } else {
            self.read(JOB_READ_BYTES)
        }
    }

    /// Takes in the bytes asked for; tells `each` of every sound batch and where it lies.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(u32, &BatchInfo)) -> ScanStep {
        if self.large.is_some() {
            return self.feed_large(bytes, each);
        }
        let start = self.position;
        loop {
            let rest = bytes.get((self.position - start) as usize..).unwrap_or(&[]);
            let left = self.file_bytes - self.position;
            if left == 0 || (self.is_lost && (left as usize) < HEADER_BYTES) {
                return ScanStep::End;
            }
            if self.is_lost && !self.skip_to_candidate(rest) {
                let is_shorter = self.position == start;
                return if is_shorter {
                    ScanStep::End
                } else {
                    self.read(JOB_READ_BYTES)
                };
            }
            let rest = bytes.get((self.position - start) as usize..).unwrap_or(&[]);
            match self.look_at(rest) {
                Look::Sound(info) => {
                    self.on_sound(&info);
                    each(self.position - info.size_bytes, &info);
                }
                Look::Large(info) => {
                    self.large = Some(Box::new(LargeBatch {
                        info,
                        digest: crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi),
                        seen_bytes: 0,
                    }));
                    return self.feed_large(rest, each);
                }
                Look::Short(length) if self.position > start => return self.read(length),
                Look::Short(_length) => {
                    // Fewer bytes than asked for: the file is shorter than it was said to be.
                    if let Some(step) = self.on_damage(BatchDamage::Short, None) {
                        return step;
                    }
                    self.position = self.file_bytes;
                }
                Look::Unsound(damage, info) => {
                    if let Some(step) = self.on_damage(damage, info) {
                        return step;
                    }
                }
            }
        }
    }

    /// Takes in a piece of a large batch, from where the last one ended.
    fn feed_large(&mut self, bytes: &[u8], mut each: impl FnMut(u32, &BatchInfo)) -> ScanStep {
        let mut large = self.large.take().expect("the caller saw it");
        let wanted = (large.info.size_bytes - large.seen_bytes) as usize;
        let piece = &bytes[..bytes.len().min(wanted)];
        let covered = CRC_START.saturating_sub(large.seen_bytes as usize);
        large.digest.update(piece.get(covered..).unwrap_or(&[]));
        large.seen_bytes += u32::try_from(piece.len()).expect("a piece is small");
        let info = large.info;
        let left_bytes = info.size_bytes - large.seen_bytes;
        if left_bytes > 0 && !piece.is_empty() {
            let position = self.position + large.seen_bytes;
            self.large = Some(large);
            return ScanStep::Read {
                position,
                length: left_bytes.min(JOB_READ_BYTES),
            };
        }
        if left_bytes == 0 && large.digest.finalize() == u64::from(info.crc) {
            self.on_sound(&info);
            each(self.position - info.size_bytes, &info);
        } else if let Some(step) = self.on_damage(BatchDamage::Crc, Some(info)) {
            return step;
        }
        self.begin()
    }

    fn read(&self, length: u32) -> ScanStep {
        let left = self.file_bytes - self.position;
        ScanStep::Read {
            position: self.position,
            length: length.max(JOB_READ_BYTES).min(left),
        }
    }

    /// Judges what lies at the current position.
    fn look_at(&self, rest: &[u8]) -> Look {
        let left = self.file_bytes - self.position;
        if rest.len() < HEADER_BYTES {
            let wanted = u32::try_from(HEADER_BYTES).expect("a small constant");
            return if left < wanted {
                Look::Unsound(BatchDamage::Short, None)
            } else {
                Look::Short(wanted)
            };
        }
        let info = match BatchInfo::parse(rest) {
            Ok(info) => info,
            Err(damage) => return Look::Unsound(damage, None),
        };
        if info.size_bytes > left {
            return Look::Unsound(BatchDamage::Short, None);
        }
        if info.base_offset < self.expected || info.end_offset() > self.bound {
            return Look::Unsound(BatchDamage::Offsets, None);
        }
        if info.base_offset > self.expected && info.base_offset > self.gaps_to {
            match self.look_at_gap(&info, rest) {
                Gap::Damage => {}
                Gap::Unsound => return Look::Unsound(BatchDamage::Offsets, None),
                Gap::Unknown(wanted) => return Look::Short(wanted),
            }
        }
        let Some(batch) = rest.get(..info.size_bytes as usize) else {
            return if info.size_bytes > JOB_READ_BYTES {
                Look::Large(info)
            } else {
                Look::Short(info.size_bytes)
            };
        };
        match info.check_crc(batch) {
            Ok(()) => Look::Sound(info),
            Err(damage) => Look::Unsound(damage, Some(info)),
        }
    }

    /// Judges a batch in front of which records are missing that nobody took on purpose.
    fn look_at_gap(&self, info: &BatchInfo, rest: &[u8]) -> Gap {
        // What is durable ends with a batch, so the next one begins there, whatever became of those
        // before. Where nothing is damaged before it, and beyond that point or across it, a batch
        // does not follow what was written.
        if self.is_lost && info.base_offset == self.recovery_point {
            return Gap::Damage;
        }
        if info.end_offset() > self.recovery_point {
            return Gap::Unsound;
        }
        let left = self.file_bytes - self.position - info.size_bytes;
        if self.is_lost || left == 0 || info.size_bytes > JOB_READ_BYTES {
            return Gap::Damage;
        }
        // A batch of another log, written over one of this one, looks the same. What follows tells:
        // the records after those that it lies on.
        let header = u32::try_from(HEADER_BYTES).expect("a small constant");
        let wanted = info.size_bytes + header.min(left);
        let Some(next) = rest.get(info.size_bytes as usize..wanted as usize) else {
            return Gap::Unknown(wanted);
        };
        match BatchInfo::parse(next) {
            Ok(next) if next.base_offset >= info.end_offset() => Gap::Damage,
            Ok(_) | Err(_) => Gap::Unsound,
        }
    }

    fn on_sound(&mut self, info: &BatchInfo) {
        if self.is_lost {
            self.note_bad(info.base_offset);
            self.is_lost = false;
        }
        if self.stepped_over.take().is_some()
            && info.base_offset > self.gaps_to
            && let Some(last) = self.bad.last_mut()
        {
            // Its header said less than there was.
            last.end_offset = info.base_offset;
        }
        self.position += info.size_bytes;
        self.valid_bytes = self.position;
        self.expected = info.end_offset();
    }

    /// Cuts, or steps over.
    fn on_damage(&mut self, damage: BatchDamage, info: Option<BatchInfo>) -> Option<ScanStep> {
        if self.is_lost {
            self.position += 1;
            return None;
        }
        let is_in_place = info.is_some_and(|info| info.base_offset == self.expected);
        if let Some((position, expected)) = self.stepped_over.take()
            && !is_in_place
        {
            // Nothing joins on to the batch before: its header is damaged, too.
            self.bad.pop();
            self.position = position + 1;
            self.valid_bytes = position;
            self.expected = expected;
            self.is_lost = true;
            return Some(self.read(JOB_READ_BYTES));
        }
        if self.expected >= self.recovery_point || mutant!(M30) {
            return Some(ScanStep::Cut {
                position: self.position,
                offset: self.expected,
                damage,
            });
        }
        match info {
            // Its header is in its place; perhaps only what the sum covers is damaged.
            Some(info) if is_in_place => {
                self.stepped_over = Some((self.position, self.expected));
                self.note_bad(info.end_offset());
                self.expected = info.end_offset();
                self.position += info.size_bytes;
                self.valid_bytes = self.position;
            }
            Some(_) | None => {
                self.is_lost = true;
                self.position += 1;
            }
        }
        None
    }

    fn note_bad(&mut self, end_offset: Offset) {
        if end_offset > self.expected {
            self.bad.push(BadRange {
                start_offset: self.expected,
                end_offset,
            });
        }
    }

    /// Moves on to the next bytes that look like a header; answers whether there are such.
    fn skip_to_candidate(&mut self, rest: &[u8]) -> bool {
        let Some(last) = rest.len().checked_sub(HEADER_BYTES) else {
            return false;
        };
        let mut at = 0;
        while at <= last {
            let magics = &rest[at + MAGIC_AT..=last + MAGIC_AT];
            let Some(skipped) = magics.iter().position(|&byte| byte == MAGIC_BYTE) else {
                at = last + 1;
                break;
            };
            at += skipped;
            if self.is_candidate(&rest[at..], at) {
                self.position += u32::try_from(at).expect("a piece is small");
                return true;
            }
            at += 1;
        }
        self.position += u32::try_from(at).expect("a piece is small");
        false
    }

    /// Whether what lies `at` bytes on could be the next batch of the log.
    fn is_candidate(&self, bytes: &[u8], at: usize) -> bool {
        let span = i64::from(i32::MAX);
        let left = (self.file_bytes - self.position) as usize - at;
        BatchInfo::parse(bytes).is_ok_and(|info| {
            info.base_offset >= self.expected
                && info.base_offset.0 - self.expected.0 <= span
                && info.size_bytes as usize <= left
        })
    }
}

/// What a batch is in front of which records are missing.
enum Gap {
    /// It is the log's; what was in front of it is damaged or gone.
    Damage,
    /// It takes so many bytes to tell.
    Unknown(u32),
    /// It does not belong there.
    Unsound,
}

/// What lies where a batch should begin.
enum Look {
    /// A header in its place, of a batch larger than one read.
    Large(BatchInfo),
    Sound(BatchInfo),
    /// It takes so many bytes to tell.
    Short(u32),
    Unsound(BatchDamage, Option<BatchInfo>),
}
