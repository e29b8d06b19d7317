//! The clients that can be members, and what each of them knows.
//!
//! What a client does not have (static membership in KafkaJS, say) is not asked of it; the list
//! says so, instead of a check that passes.

use std::ffi::OsString;

/// One client with the command of its member program.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name, with the version where there are several.
    pub name: &'static str,
    /// The program of its member and the first arguments.
    pub command: Vec<OsString>,
    /// Words after all others of the command line.
    pub more: &'static [&'static str],
    /// More variables of its environment.
    pub environment: Vec<(&'static str, OsString)>,
    /// Assignors, by the names that `member.py` documents.
    pub assignors: &'static [&'static str],
    /// What else it knows.
    pub features: &'static [Feature],
}

/// Something that not every client can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Feature {
    /// Commits when it is told to; without it, when it leaves.
    Commit,
    /// Commits without waiting for the answer.
    CommitAsync,
    /// Stops reading a partition, and goes on.
    Pause,
    /// Finds topics by a pattern, also those that come later.
    Pattern,
    /// Goes back to an offset.
    Seek,
    /// Keeps its partitions over a restart (`group.instance.id`).
    Static,
}

impl Client {
    /// Whether it can do something.
    #[must_use]
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}
