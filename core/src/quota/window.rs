//! What was done lately, in samples of equal length, and how long to wait after too much of it.
//!
//! Kafka classes to compare: `SampledStat`, `Rate`, `QuotaUtils`.

use std::collections::VecDeque;

use super::rate::{MILLION, Rate};
use crate::mutants::mutant;

/// How long one looks back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Windows {
    /// How many samples are kept (`quota.window.num`), at least 1.
    pub count: u64,
    /// How long each is, in milliseconds (`quota.window.size.seconds`), at least 1.
    pub length_ms: u64,
}

impl Windows {
    /// All samples together, in milliseconds.
    #[must_use]
    pub fn all_ms(self) -> u64 {
        self.count.saturating_mul(self.length_ms)
    }

    /// The samples that are over, in milliseconds: the least time a rate is reckoned over.
    #[must_use]
    pub fn least_ms(self) -> u64 {
        (self.count - 1).saturating_mul(self.length_ms)
    }

    /// The most that may be done at once without a wait: what the least time allows; at least 1.
    #[must_use]
    pub fn burst(self, rate: Rate) -> u64 {
        let least_ms = u128::from(self.least_ms().max(self.length_ms));
        let amount = rate.millionths().saturating_mul(least_ms) / (MILLION * 1_000);
        u64::try_from(amount).unwrap_or(u64::MAX).max(1)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Sample {
    start_ms: u64,
    last_ms: u64,
    amount: u128,
}

/// What was done lately.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Window {
    samples: VecDeque<Sample>,
}

impl Window {
    /// Notes that something was done.
    pub fn record(&mut self, now_ms: u64, amount: u64, windows: Windows) {
        self.forget(now_ms, windows);
        let is_over = |sample: &Sample| now_ms.saturating_sub(sample.start_ms) >= windows.length_ms;
        if self.samples.back().is_none_or(is_over) {
            self.samples.push_back(Sample {
                start_ms: now_ms,
                last_ms: now_ms,
                amount: 0,
            });
        }
        let sample = self.samples.back_mut().expect("there is one by now");
        sample.last_ms = now_ms;
        sample.amount = sample.amount.saturating_add(u128::from(amount));
        assert!(
            self.samples.len() as u64 <= windows.count + 1,
            "older samples are forgotten"
        );
    }

    /// Takes back what was noted just before.
    pub fn take_back(&mut self, amount: u64) {
        if let Some(sample) = self.samples.back_mut() {
            sample.amount = sample.amount.saturating_sub(u128::from(amount));
        }
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&mut self, now_ms: u64, windows: Windows) -> bool {
        self.forget(now_ms, windows);
        self.total() == 0
    }

    fn total(&self) -> u128 {
        let count = if mutant!(M58) { 1 } else { usize::MAX };
        let samples = self.samples.iter().rev().take(count);
        let amounts = samples.map(|sample| sample.amount);
        amounts.fold(0, u128::saturating_add)
    }

    /// Milliseconds until what is remembered is no more than the rate allows, `scale` parts being
    /// one of its units; 0 where it is not more now.
    ///
    /// The rate is reckoned over the time since the oldest sample began, and over no less than the
    /// samples that are over: so a beginner may do all at once that the least time allows.
    #[must_use]
    pub fn wait_ms(&self, now_ms: u64, rate: Rate, scale: u64, windows: Windows) -> u64 {
        let oldest_ms = self
            .samples
            .front()
            .map_or(now_ms, |sample| sample.start_ms);
        let elapsed_ms = now_ms.saturating_sub(oldest_ms);
        let lacking = (windows.count - 1).saturating_sub(elapsed_ms / windows.length_ms);
        let over_ms = elapsed_ms.saturating_add(lacking.saturating_mul(windows.length_ms));
        let over_ms = if over_ms == 0 {
            windows.length_ms
        } else {
            over_ms
        };
        // The time that so much may take; what is more than the time it took is to wait.
        let parts = self.total().saturating_mul(1_000 * MILLION);
        let allowed = rate.millionths().saturating_mul(u128::from(scale)).max(1);
        let needed_ms = u64::try_from(parts.div_ceil(allowed)).unwrap_or(u64::MAX);
        needed_ms.saturating_sub(over_ms)
    }

    fn forget(&mut self, now_ms: u64, windows: Windows) {
        let all_ms = windows.all_ms();
        let is_old = |sample: &Sample| now_ms.saturating_sub(sample.last_ms) >= all_ms;
        while self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
        // With as many samples as are kept, the next takes the place of the oldest, as in Kafka.
        while self.samples.len() as u64 > windows.count {
            self.samples.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        length_ms: 1_000,
    };

    #[test]
    fn a_beginner_has_a_burst() {
        let rate = Rate::per_second(1_000);
        let mut window = Window::default();
        window.record(5_000, 10_000, WINDOWS);
        assert_eq!(window.wait_ms(5_000, rate, 1, WINDOWS), 0);
        window.record(5_000, 5_000, WINDOWS);
        assert_eq!(window.wait_ms(5_000, rate, 1, WINDOWS), 5_000);
        window.take_back(5_000);
        assert_eq!(window.wait_ms(5_000, rate, 1, WINDOWS), 0);
        assert_eq!(WINDOWS.burst(rate), 10_000);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut window = Window::default();
        window.record(5_000, 7, WINDOWS);
        assert!(!window.is_empty(15_999, WINDOWS));
        assert!(window.is_empty(16_000, WINDOWS));
    }

    #[test]
    fn parts_of_a_unit() {
        // Half a second of each second, in nanoseconds: 12 s of work at once wait 14 s beyond ten.
        let mut window = Window::default();
        let rate = Rate::of(crate::metadata::codec::Double(0.5_f64.to_bits()));
        window.record(0, 12_000_000_000, WINDOWS);
        assert_eq!(window.wait_ms(0, rate, 1_000_000_000, WINDOWS), 14_000);
    }
}
