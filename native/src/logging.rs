//! What the broker says of itself: events of the core and of the driver, through `tracing`.
//!
//! Human lines on standard error by default, one JSON object a line on request. What is worth
//! saying is decided where it happens; this only prints.

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
