//! The clocks of a simulated node: a monotonic one that may run fast or slow, and a wall clock that
//! may be wrong and may jump.

use crate::time::{Instant, Now, Timestamp};

/// Wall-clock time at which every world begins: 2026-01-01T00:00:00Z.
const WORLD_BEGINS_MS: i64 = 1_767_225_600_000;

/// Parts in a million.
const MILLION: i128 = 1_000_000;

/// One node's view of world time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeClock {
    /// How much faster than the world the monotonic clock runs, in parts per million.
    pub drift_ppm: i32,
    /// What the monotonic clock read when the world began.
    pub start_ns: u64,
    /// How far the wall clock is off, in milliseconds.
    pub wall_skew_ms: i64,
}

impl NodeClock {
    /// What a turn at this world time is told.
    #[must_use]
    pub fn now(&self, world_ns: u64) -> Now {
        let passed_ms = i64::try_from(world_ns / 1_000_000).expect("a world lasts less than ages");
        Now {
            instant: Instant(self.start_ns + self.own_ns(world_ns)),
            wall: Timestamp(WORLD_BEGINS_MS + passed_ms + self.wall_skew_ms),
        }
    }

    /// The first world time at which the monotonic clock reads at least `instant`.
    #[must_use]
    pub fn world_ns(&self, instant: Instant) -> u64 {
        let own = i128::from(instant.0.saturating_sub(self.start_ns));
        let rate = MILLION + i128::from(self.drift_ppm);
        let guess = u64::try_from(own * MILLION / rate).unwrap_or(u64::MAX / 2);
        let mut world_ns = guess.saturating_sub(2);
        while self.now(world_ns).instant < instant {
            world_ns += 1;
        }
        world_ns
    }

    fn own_ns(&self, world_ns: u64) -> u64 {
        let rate = MILLION + i128::from(self.drift_ppm);
        u64::try_from(i128::from(world_ns) * rate / MILLION).expect("a drift is far below 100 %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn world_time_of_an_instant_is_the_first_that_reaches_it() {
        for drift_ppm in [-50_000, -1, 0, 3, 50_000] {
            let clock = NodeClock {
                drift_ppm,
                start_ns: 77,
                wall_skew_ms: -5,
            };
            for target in [0, 77, 78, 1_000, 123_456_789_012] {
                let world = clock.world_ns(Instant(target));
                assert!(clock.now(world).instant >= Instant(target));
                assert!(world == 0 || clock.now(world - 1).instant < Instant(target));
            }
        }
    }
}
