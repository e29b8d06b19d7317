//! How long things take, counted in buckets by whoever measures.
//!
//! Buckets are powers of two of nanoseconds, so that the right one is found without a search and
//! noting a duration is two additions. The counters are shared by all threads: they lie on a few
//! cache lines beside the inbox and the brain, which every request passes too. Numbers are whole;
//! Prometheus's fractions are made when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The first bucket ends at 2^14 ns, 16 microseconds: nothing measured here is shorter often.
const FIRST_BITS: u32 = 14;

/// Buckets with an end: the last ends at 2^34 ns, 17 seconds.
const BUCKETS: usize = 21;

/// Durations in buckets.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// The last one has no end.
    buckets: [AtomicU64; BUCKETS + 1],
    sum_ns: AtomicU64,
}

/// What a histogram held when somebody looked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Distribution {
    /// Upper bounds in seconds, each with the durations in its bucket alone; the last bound stands
    /// for infinity.
    pub(crate) buckets: Vec<(f64, u64)>,
    /// How many durations there were.
    pub(crate) count: u64,
    /// All of them together, in seconds.
    pub(crate) sum: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS + 1],
            sum_ns: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Notes a duration.
    pub(crate) fn note(&self, ns: u64) {
        // A duration of exactly the bound belongs below it, as Prometheus has it.
        let bits = u64::BITS - ns.saturating_sub(1).leading_zeros();
        let place = bits.saturating_sub(FIRST_BITS) as usize;
        self.buckets[place.min(BUCKETS)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// What it holds. Durations noted meanwhile are in or out; count and buckets agree.
    pub(crate) fn look(&self) -> Distribution {
        let counts = self
            .buckets
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let bounds = (0..=BUCKETS).map(|place| match place {
            BUCKETS => f64::MAX,
            _ends => seconds(1 << (FIRST_BITS as usize + place)),
        });
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        Distribution {
            count: buckets.iter().map(|(_bound, count)| count).sum(),
            sum: seconds(self.sum_ns.load(Ordering::Relaxed)),
            buckets,
        }
    }
}

/// Nanoseconds since then.
pub(crate) fn nanoseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds in Prometheus's unit.
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_below_their_bounds() {
        let histogram = Histogram::default();
        let bound = 1 << FIRST_BITS;
        for ns in [
            0,
            1,
            bound,
            bound + 1,
            2 * bound,
            1 << 34,
            (1 << 34) + 1,
            u64::MAX >> 8,
        ] {
            histogram.note(ns);
        }
        let seen = histogram.look();
        assert_eq!(seen.count, 8);
        let counts: Vec<u64> = seen.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!((counts[0], counts[1], counts[2]), (3, 2, 0));
        assert_eq!((counts[BUCKETS - 1], counts[BUCKETS]), (1, 2));
        assert_eq!(seen.buckets[0].0, 0.000_016_384);
        assert!(seen.buckets.is_sorted_by(|a, b| a.0 < b.0));
    }
}
