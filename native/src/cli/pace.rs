//! So many records a second and no more.

use std::time::Duration;

use ottla_core::time::Instant;

/// When a record may leave so that no more than `a_second` of them do; `None` is no limit.
///
/// Counted from the beginning, so that what was late is caught up.
pub(crate) fn due(started: Instant, sent: u64, a_second: Option<f64>) -> Instant {
    match a_second {
        None => started,
        // Kafka's tools, too, then wait for ever.
        Some(0.0) => Instant(u64::MAX),
        Some(a_second) => {
            // A pace, not an account: 53 bits are plenty.
            let seconds = sent as f64 / a_second;
            started.after(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_from_the_beginning() {
        let second = Duration::from_secs(1);
        let start = Instant(5);
        assert_eq!(due(start, 1_000, None), start);
        assert_eq!(due(start, 0, Some(10.0)), start);
        assert_eq!(due(start, 10, Some(10.0)), start.after(second));
        assert_eq!(due(start, 1, Some(0.5)), start.after(second * 2));
        assert_eq!(due(start, 1, Some(0.0)), Instant(u64::MAX));
    }
}
