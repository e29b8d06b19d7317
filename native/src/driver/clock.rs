//! The process's clocks, as a turn wants them.

use std::time::{Duration, Instant as SystemInstant, SystemTime, UNIX_EPOCH};

use ottla_core::time::{Instant, Now, Timestamp};

/// Reads both clocks; the monotonic one counts from the making of this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: SystemInstant,
}

impl Clock {
    /// Starts counting.
    pub(crate) fn new() -> Self {
        Self {
            start: SystemInstant::now(),
        }
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall_ms = wall.unwrap_or(Duration::ZERO).as_millis();
        Now {
            instant: self.instant(),
            wall: Timestamp(i64::try_from(wall_ms).unwrap_or(i64::MAX)),
        }
    }

    /// The time that only goes forward.
    pub(crate) fn instant(&self) -> Instant {
        Instant(0).after(self.start.elapsed())
    }

    /// The runtime's word for an instant of the core.
    pub(crate) fn system_instant(&self, instant: Instant) -> SystemInstant {
        self.start + Duration::from_nanos(instant.0)
    }
}
