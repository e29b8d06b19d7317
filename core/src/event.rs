//! What happened, as data: one stream that feeds logs, metrics, the picture in the browser and the
//! checkers.
//!
//! An event is a fact about this node, never a command. Drivers print them; the core never formats
//! a log line itself.

use std::fmt;

/// How much a person running the broker should care.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// For those who debug Ottla.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Something a person should look at.
    Warning,
    /// Something was lost or refused that should not have been.
    Error,
}

/// One thing that happened in a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// How much it matters.
    pub severity: Severity,
    /// The part of the node it happened in: `log`, `partition`, `controller`, ...
    pub room: &'static str,
    /// What it happened to: `topic-0`, a connection, a file. May be empty.
    pub subject: String,
    /// What happened and, where a person can act, what to do next.
    pub message: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subject.is_empty() {
            write!(f, "{}: {}", self.room, self.message)
        } else {
            write!(f, "{}: {}: {}", self.room, self.subject, self.message)
        }
    }
}
