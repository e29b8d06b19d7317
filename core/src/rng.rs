//! Seeded randomness, as a tree.
//!
//! One seed makes a root; every user of randomness takes a child by name, so that adding a draw in
//! one place does not reshuffle the others. Generator: xoshiro256** seeded through SplitMix64
//! (Blackman and Vigna, public domain). Not for secrets: those come into the core as inputs.

/// A deterministic generator, the same on every platform.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        let mut state = [0; 4];
        for word in &mut state {
            *word = split_mix(&mut mixer);
        }
        Self { state }
    }

    /// An independent generator for the part of the program called `name`, number `index`.
    ///
    /// Depends on this generator's seed alone, never on how much was drawn from it, as long as
    /// children are taken before the first draw.
    #[must_use]
    pub fn child(&self, name: &str, index: u64) -> Self {
        let mut hash = self.state[0]
            ^ self.state[3].rotate_left(17)
            ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self::new(split_mix(&mut hash))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let result = self.state[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.state[1] << 17;
        self.state[2] ^= self.state[0];
        self.state[3] ^= self.state[1];
        self.state[1] ^= self.state[2];
        self.state[0] ^= self.state[3];
        self.state[2] ^= shifted;
        self.state[3] = self.state[3].rotate_left(45);
        result
    }

    /// A number in `0..end`. `end` must not be zero.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "an empty range has no member");
        // Multiply-shift: a bias of at most end / 2^64, which no test of ours can see.
        let product = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(product >> 64).expect("the high half of a product of two u64 fits")
    }

    /// A number in `start..end`. The range must not be empty.
    pub fn between(&mut self, start: u64, end: u64) -> u64 {
        assert!(start < end, "an empty range has no member");
        start + self.below(end - start)
    }

    /// Whether an event of `numerator` in `denominator` happens.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_children_are_independent() {
        let root = Rng::new(42);
        let mut a = root.child("disk", 0);
        let mut b = root.child("disk", 0);
        let mut c = root.child("disk", 1);
        let drawn: Vec<u64> = (0..8).map(|_| a.next_u64()).collect();
        assert_eq!(drawn, (0..8).map(|_| b.next_u64()).collect::<Vec<_>>());
        assert_ne!(drawn, (0..8).map(|_| c.next_u64()).collect::<Vec<_>>());
    }

    #[test]
    fn first_words_are_pinned_so_that_seeds_stay_valid() {
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0x99ec_5f36_cb75_f2b4);
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(7);
        assert!((0..1000).all(|_| rng.below(3) < 3));
    }
}
