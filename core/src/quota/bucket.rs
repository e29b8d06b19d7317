//! A token bucket: changes may come in a burst, and then as fast as tokens drip (KIP-599).
//!
//! Kafka class to compare: `TokenBucket`.

use super::rate::Rate;

/// Parts of a token: a rate in millionths per second times milliseconds.
const PARTS: i128 = 1_000_000_000;

/// Tokens as of a time; below zero is a debt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    parts: i128,
    filled_ms: u64,
}

impl Bucket {
    /// A bucket that is full.
    #[must_use]
    pub fn full(now_ms: u64, rate: Rate, window_ms: u64) -> Self {
        Self {
            parts: capacity(rate, window_ms),
            filled_ms: now_ms,
        }
    }

    /// Lets the tokens in that dripped since it was last filled; no more than what a window brings.
    pub fn fill(&mut self, now_ms: u64, rate: Rate, window_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.filled_ms);
        let dripped = parts(rate).saturating_mul(i128::from(elapsed_ms));
        let most = capacity(rate, window_ms);
        self.parts = self.parts.saturating_add(dripped).min(most);
        self.filled_ms = self.filled_ms.max(now_ms);
    }

    /// Whether there is a debt.
    #[must_use]
    pub fn is_overdrawn(&self) -> bool {
        self.parts < 0
    }

    /// Takes tokens out, into debt if there are not enough.
    pub fn take(&mut self, tokens: u64) {
        self.parts = self.parts.saturating_sub(i128::from(tokens) * PARTS);
    }

    /// Milliseconds until the debt is paid, rounded up; 0 without one.
    #[must_use]
    pub fn wait_ms(&self, rate: Rate) -> u64 {
        if !self.is_overdrawn() {
            return 0;
        }
        let drip = parts(rate).unsigned_abs().max(1);
        u64::try_from(self.parts.unsigned_abs().div_ceil(drip)).unwrap_or(u64::MAX)
    }
}

/// What drips in a millisecond.
fn parts(rate: Rate) -> i128 {
    i128::try_from(rate.millionths()).unwrap_or(i128::MAX)
}

fn capacity(rate: Rate, window_ms: u64) -> i128 {
    parts(rate).saturating_mul(i128::from(window_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_drip() {
        let rate = Rate::per_second(2);
        let mut bucket = Bucket::full(1_000, rate, 10_000);
        bucket.take(20);
        assert!(!bucket.is_overdrawn());
        bucket.take(5);
        assert!(bucket.is_overdrawn());
        assert_eq!(bucket.wait_ms(rate), 2_500);
        bucket.fill(3_499, rate, 10_000);
        assert!(bucket.is_overdrawn());
        assert_eq!(bucket.wait_ms(rate), 1);
        bucket.fill(3_500, rate, 10_000);
        assert!(!bucket.is_overdrawn());
        bucket.fill(1_000_000, rate, 10_000);
        assert_eq!(bucket, Bucket::full(1_000_000, rate, 10_000));
    }
}
