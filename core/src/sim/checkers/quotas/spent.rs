//! What clients did lately, and how long who did so much is to wait.
//!
//! How long a wait is depends on where a broker's samples happen to begin; it is judged by what it
//! is at least and at most, wherever they begin. Source: KIP-13, KIP-219, Kafka's `Rate` and
//! `QuotaUtils`: a rate is what was done over the time since the oldest sample began, and that is
//! no less than all samples but one, and no more than all and one. Where it is known what a broker
//! noted and when, there are few ways in which its samples can lie, and each is followed.

use std::collections::{BTreeSet, VecDeque};

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

    /// All of them: what was done last is forgotten then.
    fn all_ms(self) -> u64 {
        self.count * self.length_ms
    }
}

/// How many ways are followed in which a broker's samples may lie: beyond it what is known is too
/// little to be worth it.
const WAYS_MAX: usize = 64;

/// A way in which samples may lie: each with its beginning, its last time and its amount.
type Way = Vec<(u64, u64, u128)>;

/// What those who share a limit did, each thing with its time, and whether a broker knows of it.
#[derive(Clone, Debug)]
pub(super) struct Spent {
    amounts: VecDeque<(u64, u64, bool)>,
    /// How the samples may lie; `None` where that may be anyhow.
    ways: Option<BTreeSet<Way>>,
}

impl Default for Spent {
    /// Nothing was done, and a broker knows of nothing.
    fn default() -> Self {
        Self {
            amounts: VecDeque::new(),
            ways: Some(BTreeSet::from([Way::new()])),
        }
    }
}

impl Spent {
    /// Notes that so much was done.
    pub(super) fn note(&mut self, now_ms: u64, amount: u64, is_known: bool, samples: Samples) {
        let last_ms = self.amounts.back().map(|(at, _, _)| *at);
        if last_ms.is_none_or(|last_ms| now_ms >= last_ms + samples.all_ms()) {
            self.ways = Self::default().ways;
        }
        if let Some(ways) = self.ways.take() {
            let noted = ways.iter().map(|way| noted(way, now_ms, amount, samples));
            let mut all: BTreeSet<Way> = noted.collect();
            if !is_known {
                all.extend(ways);
            }
            self.ways = Some(all).filter(|all| all.len() <= WAYS_MAX);
        }
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
        if let Some(ways) = &mut self.ways {
            ways.insert(Way::new());
        }
    }

    /// The least and the most that one must wait of whom a broker knows all, after a note; `None`
    /// where it is not known what it knows.
    pub(super) fn waits_ms(
        &self,
        now_ms: u64,
        (rate, parts): (u128, u128),
        samples: Samples,
    ) -> Option<(u64, u64)> {
        let wait_ms = |way: &Way| {
            let began_ms = way.first().map_or(now_ms, |(start, _, _)| *start);
            let since_ms = now_ms.saturating_sub(began_ms);
            // Samples that are not over yet, but one, count as if they were: Kafka's `Rate`.
            let lacking = (samples.count - 1).saturating_sub(since_ms / samples.length_ms);
            let over_ms = match since_ms + lacking * samples.length_ms {
                0 => samples.length_ms,
                over_ms => over_ms,
            };
            let amount = way.iter().map(|(_, _, amount)| *amount).sum();
            let wait_ms = time_ms(amount, rate, parts).saturating_sub(over_ms.into());
            u64::try_from(wait_ms).unwrap_or(u64::MAX)
        };
        let waits: Vec<u64> = self.ways.as_ref()?.iter().map(wait_ms).collect();
        Some((*waits.iter().min()?, *waits.iter().max()?))
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

/// Samples after a note: old ones are gone, and a new one begins where the last is over. Source:
/// Kafka's `SampledStat`.
fn noted(way: &Way, now_ms: u64, amount: u64, samples: Samples) -> Way {
    let mut way = way.clone();
    way.retain(|(_, last_ms, _)| now_ms < last_ms + samples.all_ms());
    let kept = usize::try_from(samples.count).unwrap_or(usize::MAX);
    way.drain(..way.len().saturating_sub(kept));
    let is_over = |start_ms: u64| now_ms >= start_ms + samples.length_ms;
    match way
        .last_mut()
        .filter(|(start_ms, _, _)| !is_over(*start_ms))
    {
        Some((_, last_ms, sum)) => {
            *last_ms = now_ms;
            *sum += u128::from(amount);
        }
        None => way.push((now_ms, now_ms, amount.into())),
    }
    way
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

    #[test]
    fn where_all_is_known_there_is_one_wait() {
        let rate = (10_000_000, 1);
        let mut spent = Spent::default();
        spent.note(10_000, 50, true, SAMPLES);
        assert_eq!(spent.waits_ms(10_000, rate, SAMPLES), Some((3_000, 3_000)));
        spent.note(12_500, 50, true, SAMPLES);
        // 100 take 10 s, of which 2.5 have passed.
        assert_eq!(spent.waits_ms(12_500, rate, SAMPLES), Some((7_500, 7_500)));
        spent.note(12_600, 10, false, SAMPLES);
        let either = Some((7_400, 8_400));
        assert_eq!(spent.waits_ms(12_600, rate, SAMPLES), either);
        spent.forget();
        let or_nothing = Some((0, 8_400));
        assert_eq!(spent.waits_ms(12_600, rate, SAMPLES), or_nothing);
        for unknown in 1..9 {
            spent.note(12_600 + unknown * 10, 1 << unknown, false, SAMPLES);
        }
        assert_eq!(spent.waits_ms(12_700, rate, SAMPLES), None);
        spent.note(15_680, 50, true, SAMPLES);
        let anew = Some((3_000, 3_000));
        assert_eq!(spent.waits_ms(15_680, rate, SAMPLES), anew);
    }
}
