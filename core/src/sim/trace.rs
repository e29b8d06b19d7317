//! What happened in a simulated world, as numbers, and their running hash.
//!
//! Two runs of one seed are the same exactly when their hashes are. Nothing of platform width is
//! absorbed: positions and lengths are `u64`. The records themselves are kept only on request; they
//! are for finding where two runs part, not for people (events are).

use std::fmt;

/// A 128-bit running hash of words: two multiply-rotate lanes that feed each other. Fast and the
/// same everywhere; no defence against an adversary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunningHash {
    first: u64,
    second: u64,
}

impl Default for RunningHash {
    fn default() -> Self {
        Self {
            first: 0x6a09_e667_f3bc_c908,
            second: 0xbb67_ae85_84ca_a73b,
        }
    }
}

impl RunningHash {
    /// Absorbs a word.
    pub fn word(&mut self, word: u64) {
        self.first = (self.first ^ word)
            .wrapping_mul(0x9fb2_1c65_1e98_df25)
            .rotate_left(31);
        self.second = (self.second.rotate_left(17) ^ word ^ self.first)
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
            .rotate_left(29);
    }

    /// Absorbs bytes and their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(word));
        self.word(bytes.len() as u64);
    }

    /// All 128 bits.
    #[must_use]
    pub fn value(&self) -> u128 {
        let mut last = *self;
        last.word(0x005e_ed0f_5eed);
        u128::from(last.first) << 64 | u128::from(last.second)
    }
}

/// A short hash of bytes, for records and for comparing contents.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> u64 {
    let mut hash = RunningHash::default();
    hash.bytes(bytes);
    (hash.value() >> 64) as u64
}

/// What a record is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TraceKind {
    /// A node began; `a` is its incarnation.
    Boot = 1,
    /// A client did something; `a` and `b` say what.
    Client = 2,
    /// A connection was made, closed or reset; `a` is its number.
    Connection = 3,
    /// A node's process died; `a` is 1 where the power went too.
    Crash = 4,
    /// Bytes arrived; `a` is the connection, `b` the number of bytes.
    Delivery = 5,
    /// A disk answered; `a` is the log or token, `b` an end offset.
    DiskDone = 6,
    /// A node asked its disk for something; `a` is the log or token, `b` an end offset.
    DiskOp = 7,
    /// A node said that something happened.
    Event = 8,
    /// A node answered a request; `a` is the connection, `b` the request's sequence.
    Reply = 9,
    /// A node took a turn; `a` is the number of inputs.
    Turn = 10,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceRecord {
    /// World time.
    pub time_ns: u64,
    /// The node or client it happened to.
    pub place: u32,
    /// What it is about.
    pub kind: TraceKind,
    /// See the kind.
    pub a: u64,
    /// See the kind.
    pub b: u64,
    /// Hash of the bytes it is about; 0 for none.
    pub payload: u64,
}

impl fmt::Display for TraceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09} {} {:?} a={} b={} payload={:016x}",
            self.time_ns / 1_000_000_000,
            self.time_ns % 1_000_000_000,
            self.place,
            self.kind,
            self.a,
            self.b,
            self.payload
        )
    }
}

/// The records of a run, hashed as they come.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hash: RunningHash,
    count: u64,
    kept: Option<Vec<TraceRecord>>,
}

impl Trace {
    /// A trace that keeps its records, or only their hash.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            kept: keep.then(Vec::new),
            ..Self::default()
        }
    }

    /// Adds a record.
    pub fn add(&mut self, record: TraceRecord) {
        self.hash.word(record.time_ns);
        self.hash
            .word(u64::from(record.place) << 8 | record.kind as u64);
        self.hash.word(record.a);
        self.hash.word(record.b);
        self.hash.word(record.payload);
        self.count += 1;
        if let Some(kept) = &mut self.kept {
            kept.push(record);
        }
    }

    /// Hash of all records so far.
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash.value()
    }

    /// Number of records so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether records are kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The records, where they were to be kept.
    #[must_use]
    pub fn records(&self) -> &[TraceRecord] {
        self.kept.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_pinned_and_sees_order() {
        let hash = |words: &[u64]| {
            let mut hash = RunningHash::default();
            for &word in words {
                hash.word(word);
            }
            hash.value()
        };
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[0]), hash(&[0, 0]));
        assert_ne!(hash_of(b"a"), hash_of(b"a\0"));
        assert_eq!(hash(&[1, 2, 3]), 232528036708572273170519381485830071676);
    }
}
