//! Which offset each key was last seen at, in bounded memory.
//!
//! A key is known by 128 bits of its SHA-256, as Kafka knows it by its MD5: two keys that share
//! them would cost one of them a record. By chance that happens once in 10^24 rounds over ten
//! million keys; on purpose it takes a second preimage, for the victim's key is given. The hash
//! begins with a salt that clients cannot know, so that none can choose keys that crowd one place
//! of the table. SHA-256 is in the tree for SCRAM, and processors have instructions for it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::ids::Offset;
use crate::mutants::mutant;

/// Bytes of one slot: the key's hash and the offset.
pub const SLOT_BYTES: u64 = 24;

/// An open-addressed table with linear probing; it never grows.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyMap {
    /// Two words of hash, and the offset plus one: 0 is an empty slot.
    slots: Vec<[u64; 3]>,
    len: u64,
    len_max: u64,
    salt: u64,
}

impl KeyMap {
    /// A map that holds `keys_expected` keys, or as many as `bytes_max` has room for when filled to
    /// `load_millionths`; at least one.
    #[must_use]
    pub fn new(bytes_max: u64, load_millionths: u32, keys_expected: u64, salt: u64) -> Self {
        let slots_max = (bytes_max / SLOT_BYTES).max(2);
        // Half empty, where there is room: then a probe looks at one or two slots.
        let slots = keys_expected.saturating_mul(2).clamp(2, slots_max);
        let filled = u128::from(slots) * u128::from(load_millionths.min(1_000_000)) / 1_000_000;
        let filled = u64::try_from(filled).expect("not more than the slots");
        let count = usize::try_from(slots).expect("a buffer fits in memory");
        Self {
            slots: vec![[0; 3]; count],
            len: 0,
            // One slot stays empty: it is what ends a probe.
            len_max: filled.clamp(1, slots - 1),
            salt,
        }
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory it takes, in bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> u64 {
        self.slots.len() as u64 * SLOT_BYTES
    }

    /// Notes that `key` is at `offset`, which is not below any noted before. `false` where the key
    /// is new and there is no room.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let place = self.find(hash);
        let slot = &mut self.slots[place];
        if slot[2] == 0 {
            if self.len == self.len_max {
                return false;
            }
            self.len += 1;
        }
        let stored = u64::try_from(offset.0 + 1).expect("offsets are not negative");
        debug_assert!(slot[2] <= stored, "keys are noted in order of offset");
        *slot = [hash[0], hash[1], stored];
        true
    }

    /// The last offset of `key`; `None` where it was not noted.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.find(self.hash(key))];
        let offset = slot[2].checked_sub(1)?;
        Some(Offset(i64::try_from(offset).expect("it was an offset")))
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let mut hasher = Sha256::new();
        hasher.update(self.salt.to_le_bytes());
        // A key of a committed offset ends with its partition.
        let is_mixed_up = mutant!(M51) && key.starts_with(&[0, 1]) && key.len() > 4;
        hasher.update(&key[..key.len() - usize::from(is_mixed_up) * 4]);
        let digest = hasher.finalize();
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&digest[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        [word(0), word(8)]
    }

    /// The slot of a hash, or the empty one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        let place = (u128::from(hash[0]) * count as u128) >> 64;
        let mut place = usize::try_from(place).expect("below the number of slots");
        loop {
            let slot = &self.slots[place];
            if slot[2] == 0 || (slot[0] == hash[0] && slot[1] == hash[1]) {
                return place;
            }
            place += 1;
            if place == count {
                place = 0;
            }
        }
    }
}

impl fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyMap({} of {} keys)", self.len, self.len_max)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn it_is_a_map() {
        let mut rng = Rng::new(1);
        let mut map = KeyMap::new(u64::MAX, 900_000, 1_000, 7);
        let mut model = BTreeMap::new();
        for offset in 0..5_000 {
            let key = rng.below(1_000).to_le_bytes();
            assert!(map.put(&key, Offset(offset)));
            model.insert(key, Offset(offset));
        }
        for key in 0..1_100u64 {
            let key = key.to_le_bytes();
            assert_eq!(map.get(&key), model.get(&key).copied());
        }
        assert_eq!(map.len(), model.len() as u64);
    }

    #[test]
    fn it_never_grows_and_still_takes_keys_it_knows() {
        let mut map = KeyMap::new(10 * SLOT_BYTES, 900_000, 1_000_000, 0);
        assert_eq!(map.heap_bytes(), 10 * SLOT_BYTES);
        for key in 0..9u8 {
            assert!(map.put(&[key], Offset(i64::from(key))));
        }
        assert!(!map.put(&[9], Offset(9)), "90 of 100 are taken");
        assert!(map.put(&[3], Offset(10)));
        assert_eq!(map.get(&[3]), Some(Offset(10)));
        assert_eq!(map.get(&[9]), None);
    }

    #[test]
    fn the_smallest_has_room_for_a_key() {
        let mut map = KeyMap::new(0, 0, 0, 0);
        assert!(map.put(b"", Offset(0)));
        assert!(!map.put(b"b", Offset(1)));
        assert_eq!(map.get(b""), Some(Offset(0)));
    }
}
