//! What the broker says of itself: events of the core and of the driver, through `tracing`.
//!
//! Human lines on standard error by default, one JSON object a line on request. What is worth
//! saying is decided where it happens; this only prints.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla_core::event::{Event, Severity};
use tracing::Level;
use tracing::level_filters::LevelFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// Something that may happen again and again, and is told at most once in [`Self::PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Untold>);

/// What was not told of it.
#[derive(Debug, Default)]
struct Untold {
    told_at: Option<Instant>,
    times: u64,
}

impl Seldom {
    /// Long enough that a log says little, short enough that somebody who looks sees it go on.
    pub(crate) const PERIOD: Duration = Duration::from_secs(10);

    /// Notes that it happened; how often since it was told of last, where it is to be told now.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.times += 1;
        let is_soon = |told_at: Instant| now.duration_since(told_at) < Self::PERIOD;
        if untold.told_at.is_some_and(is_soon) {
            return None;
        }
        untold.told_at = Some(now);
        Some(std::mem::take(&mut untold.times))
    }
}

/// Starts printing, from now on and once in a process.
pub(crate) fn start(format: LogFormat, level: LevelFilter) {
    use std::io::IsTerminal;
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        // Where nobody reads standard error any more, lines are lost, and nothing else.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Prints an event of the core.
pub(crate) fn print(event: &Event) {
    let Event {
        severity,
        room,
        subject,
        message,
    } = event;
    let level = match severity {
        Severity::Debug => Level::DEBUG,
        Severity::Info => Level::INFO,
        Severity::Warning => Level::WARN,
        Severity::Error => Level::ERROR,
    };
    macro_rules! line {
        ($level:expr) => {
            if subject.is_empty() {
                tracing::event!($level, room, "{message}")
            } else {
                tracing::event!($level, room, subject, "{message}")
            }
        };
    }
    match level {
        Level::ERROR => line!(Level::ERROR),
        Level::WARN => line!(Level::WARN),
        Level::INFO => line!(Level::INFO),
        _debug => line!(Level::DEBUG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_once_in_a_while_with_its_number() {
        let seldom = Seldom::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let told = [0, 1, 9, 10, 11, 30].map(|second| seldom.note(after(second)));
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
