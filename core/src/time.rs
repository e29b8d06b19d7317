//! Time as an argument.
//!
//! A turn is told what time it is and never asks. Two clocks: the monotonic one orders timers and
//! never steps; the wall clock stamps records and decides retention, and may jump in either
//! direction.

use std::fmt;
use std::time::Duration;

/// A point on the node's monotonic clock, in nanoseconds since an arbitrary start of the driver's
/// choosing.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant `duration` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Time passed since `earlier`; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The duration of a number of milliseconds from the wire or a configuration; negative is none.
#[must_use]
pub fn from_ms(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// Wall-clock time in milliseconds since 1970, as records carry it. `-1` is none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// A record without a timestamp.
    pub const NONE: Self = Self(-1);
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a turn is told of time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// The monotonic clock; never earlier than in the turn before.
    pub instant: Instant,
    /// The wall clock; may step in either direction.
    pub wall: Timestamp,
}

impl Now {
    /// The instant `duration` from now, for a deadline.
    #[must_use]
    pub fn after(&self, duration: Duration) -> Instant {
        self.instant.after(duration)
    }
}
