//! The scripts: each asks one API a few things, the good and the bad.

mod admin;
mod batches;
mod configs;
mod groups;
mod logs;
mod metadata;
mod produce;
mod quotas;
mod reads;
mod security;
mod topics;

use kafka_wire_core::{StrBytes, Uuid};

use super::session::{Session, Stopped};

/// One script.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The API's number.
    pub key: i16,
    /// The API's name and what the script is about: `CreateTopics/exists`.
    pub name: &'static str,
    /// The first version it is run at.
    pub first: i16,
    /// The script.
    pub run: fn(&mut Session) -> Result<(), Stopped>,
}

/// Every script.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        admin::CASES,
        configs::CASES,
        groups::administration::CASES,
        groups::members::CASES,
        groups::offsets::CASES,
        logs::CASES,
        metadata::CASES,
        produce::CASES,
        quotas::CASES,
        reads::CASES,
        security::CASES,
        topics::CASES,
    ]
    .concat()
}

/// A message with some fields set and the others at their defaults.
macro_rules! message {
    ($type:ty { $($field:ident: $value:expr),* $(,)? }) => {{
        #[allow(unused_mut, reason = "a message may have no field to set")]
        let mut message = <$type>::default();
        $(message.$field = $value;)*
        message
    }};
}
use message;

/// An id that no topic has.
const UNKNOWN_ID: Uuid = Uuid::from_bytes([
    0x7e, 0x57, 0x7e, 0x57, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1,
]);

/// Names that no topic may have, each with a label.
fn illegal_names() -> Vec<(&'static str, String)> {
    vec![
        ("empty", String::new()),
        ("one dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
        ("a space", "bad name".to_owned()),
        ("250 characters", "x".repeat(250)),
        ("an umlaut", "\u{e4}".to_owned()),
        ("a slash", "a/b".to_owned()),
    ]
}

fn text(text: &str) -> StrBytes {
    StrBytes::from(text)
}
