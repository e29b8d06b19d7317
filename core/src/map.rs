//! A hash map for look-ups on hot paths that is never iterated.
//!
//! Its hasher has no seed, so runs repeat; its type offers no iteration, so an order can never leak
//! into a decision. Keys that a peer chooses freely belong in a `BTreeMap`: a fixed hasher can be
//! attacked.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map from small trusted keys to values; look-ups only.
#[derive(Clone)]
#[allow(
    clippy::disallowed_types,
    reason = "fixed hasher and no iteration: the two reasons of the ban do not apply"
)]
pub struct LookupMap<K, V> {
    inner: std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>,
}

impl<K, V> fmt::Debug for LookupMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LookupMap({} entries)", self.inner.len())
    }
}

impl<K, V> Default for LookupMap<K, V> {
    #[allow(clippy::disallowed_types, reason = "see LookupMap")]
    fn default() -> Self {
        Self {
            inner: std::collections::HashMap::default(),
        }
    }
}

impl<K: Eq + Hash, V> LookupMap<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.inner.get(key)
    }

    /// The value of `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.inner.get_mut(key)
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: &K) -> bool {
        self.inner.contains_key(key)
    }

    /// Sets the value of `key`; answers the former one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.inner.insert(key, value)
    }

    /// Removes `key`; answers its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.inner.remove(key)
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }
}

/// FNV-1a widened to eight bytes a step: short keys, no seed.
#[derive(Clone, Debug)]
pub struct FixedHasher(u64);

impl Default for FixedHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word))
                .wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }
}
