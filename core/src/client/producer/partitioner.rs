//! Which partition a record goes to.
//!
//! Keys are hashed as Kafka's Java client does (murmur2), or as librdkafka does by default
//! (CRC-32), so that records of one key meet in one partition whoever writes them. Records without
//! a key stick to one partition until its batch is closed (KIP-480).

use crate::ids::PartitionIndex;

/// How keys are hashed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyHash {
    /// librdkafka's `consistent`.
    Crc32,
    /// The Java client's.
    #[default]
    Murmur2,
}

impl KeyHash {
    /// The partition, of this many, that a key belongs to.
    #[must_use]
    pub fn partition(self, key: &[u8], partitions_count: u32) -> PartitionIndex {
        assert!(partitions_count > 0, "a topic has partitions");
        let hash = match self {
            Self::Crc32 => crc32(key),
            Self::Murmur2 => murmur2(key) & 0x7fff_ffff,
        };
        let index = hash % partitions_count;
        PartitionIndex(i32::try_from(index).expect("a partition's index fits in i32"))
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes);
    u32::try_from(sum).expect("a 32-bit checksum fits in u32")
}

/// MurmurHash2, 32 bits, with the seed of Kafka's `Utils.murmur2`.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_is_kafkas() {
        // What Apache Kafka 4.3.1's `Utils.murmur2` answers.
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }
}
