//! Consumer groups of real clients: the same scenarios for every client, and for all in one group.
//!
//! A client is a small program (`tests/clients/members`) that joins a group, tells what happens and
//! does what it is told; a scenario starts and ends such members and waits for what they tell.
//! Nothing here sleeps: every wait is for an event, with a limit. Which broker is asked, and how it
//! is started anew, is the caller's.

pub mod clients;
mod member;
mod play;
mod restart;
mod scenarios;

pub use clients::Client;
pub use restart::restart;
pub use scenarios::{Scenario, mixed, scenarios};

/// What a scenario needs to know of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    /// The broker, `HOST:PORT`.
    pub broker: &'a str,
    /// A word that makes the names of topics and groups of this run its own.
    pub run: &'a str,
}
