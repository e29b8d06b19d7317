//! What clients did lately, and how long who did so much is to wait.
//!
//! How long a wait is depends on where a broker's samples happen to begin; it is judged by what it
//! is at least and at most, wherever they begin. Source: KIP-13, KIP-219, Kafka's `Rate` and
//! `QuotaUtils`: a rate is what was done over the time since the oldest sample began, and that is
//! no less than all samples but one, and no more than all and one.

use std::collections::VecDeque;

/// How a broker looks back: so many samples, of so many milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples {
    pub(super) count: u64,
    pub(super) length_ms: u64,
}

impl Samples {
    /// The least time that a broker looks back.
    pub(super) fn least_ms(self) -> u64 {
        (self.count - 1) * self.length_ms
    }

    /// The most.
    pub(super) fn most_ms(self) -> u64 {
        (self.count + 1) * self.length_ms
    }
}

/// What those who share a limit did, each thing with its time, and whether a broker knows of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    amounts: VecDeque<(u64, u64, bool)>,
}

impl Spent {
    /// Notes that so much was done.
    pub(super) fn note(&mut self, now_ms: u64, amount: u64, is_known: bool, samples: Samples) {
        self.amounts.push_back((now_ms, amount, is_known));
        let is_old = |at: &(u64, u64, bool)| at.0 + samples.most_ms() < now_ms;
        while self.amounts.front().is_some_and(is_old) {
            self.amounts.pop_front();
        }
    }

    /// The broker may have forgotten everything.
    pub(super) fn forget(&mut self) {
        for (_, _, is_known) in &mut self.amounts {
            *is_known = false;
        }
    }

    /// What a broker must know of.
    pub(super) fn least(&self, now_ms: u64, samples: Samples) -> u128 {
        let known = self.amounts.iter().filter(|(_, _, is_known)| *is_known);
        let recent = known.filter(|(at, _, _)| at + samples.least_ms() > now_ms);
        recent.map(|(_, amount, _)| u128::from(*amount)).sum()
    }

    /// What it may know of.
    pub(super) fn most(&self, now_ms: u64, samples: Samples) -> u128 {
        let recent = self.amounts.iter();
        let recent = recent.filter(|(at, _, _)| at + samples.most_ms() >= now_ms);
        recent.map(|(_, amount, _)| u128::from(*amount)).sum()
    }
}

/// The time that so much may take by a rate in millionths of `parts` per second, in milliseconds.
fn time_ms(amount: u128, rate: u128, parts: u128) -> u128 {
    (amount * 1_000_000_000).div_ceil((rate * parts).max(1))
}

/// The least that one must wait who did at least so much.
pub(super) fn wait_least_ms(least: u128, rate: u128, parts: u128, samples: Samples) -> u64 {
    let wait_ms = time_ms(least, rate, parts).saturating_sub(samples.most_ms().into());
    u64::try_from(wait_ms).unwrap_or(u64::MAX)
}

/// The most that one may have to wait who did at most so much.
pub(super) fn wait_most_ms(most: u128, rate: u128, parts: u128, samples: Samples) -> u64 {
    let wait_ms = time_ms(most, rate, parts).saturating_sub(samples.least_ms().into());
    u64::try_from(wait_ms).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: Samples = Samples {
        count: 3,
        length_ms: 1_000,
    };

    #[test]
    fn what_is_old_or_unknown_does_not_count() {
        let mut spent = Spent::default();
        spent.note(10_000, 5, true, SAMPLES);
        spent.note(11_000, 7, false, SAMPLES);
        let at = |spent: &Spent, ms| (spent.least(ms, SAMPLES), spent.most(ms, SAMPLES));
        assert_eq!(at(&spent, 11_000), (5, 12));
        assert_eq!(at(&spent, 12_000), (0, 12));
        assert_eq!(at(&spent, 14_001), (0, 7));
        spent.forget();
        assert_eq!(at(&spent, 11_000), (0, 12));
    }

    #[test]
    fn waits_lie_within_bounds() {
        // 10 a second, and 100 at once: that takes 10 s, of which 2 to 4 have passed.
        let rate = 10_000_000;
        assert_eq!(wait_least_ms(100, rate, 1, SAMPLES), 6_000);
        assert_eq!(wait_most_ms(100, rate, 1, SAMPLES), 8_000);
        assert_eq!(wait_most_ms(20, rate, 1, SAMPLES), 0);
    }
}
