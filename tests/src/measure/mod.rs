//! What a running broker costs and how long it takes, measured over the wire.
//!
//! Nothing here judges: a figure is printed, with what was done to get it. Source of the goals:
//! `tests/BENCHMARKS.md`.

mod commits;
mod groups;
mod member;
mod topics;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

/// A broker to measure.
#[derive(Clone, Debug)]
pub struct Target {
    /// `HOST:PORT`.
    pub address: String,
    /// Its process, where processor time is to be told.
    pub pid: Option<u32>,
}

/// Something that can be measured.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// The word on the command line.
    pub name: &'static str,
    /// What is told.
    pub what: &'static str,
    /// Measures it; answers lines for a person.
    pub measure: fn(&Target) -> io::Result<Vec<String>>,
}

/// Everything there is to measure.
pub const FIGURES: &[Figure] = &[
    Figure {
        name: "assignment",
        what: "a group of one, from its first JoinGroup to its assignment",
        measure: groups::assignment,
    },
    Figure {
        name: "rebalance",
        what: "a hundred members, when one more joins",
        measure: groups::rebalance,
    },
    Figure {
        name: "heartbeat",
        what: "one member's heartbeats, one after the other",
        measure: groups::heartbeats,
    },
    Figure {
        name: "heartbeats",
        what: "a hundred members' heartbeats, each on its connection; and ApiVersions",
        measure: groups::heartbeats_of_many,
    },
    Figure {
        name: "commit",
        what: "offset commits of one group, with 1 and with 100 partitions each",
        measure: commits::commits,
    },
    Figure {
        name: "topics",
        what: "10,000 topics of one partition: creation, and their Metadata",
        measure: topics::topics,
    },
];

/// The process's processor time so far, user and system.
fn processor_time(pid: u32) -> io::Result<Duration> {
    /// Ticks of a second: `USER_HZ`, which is 100 on every Linux.
    const TICKS: u64 = 100;
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the process is in brackets and may hold anything; what follows is numbers.
    let numbers = text.rsplit(')').next().unwrap_or_default();
    let field = |at: usize| -> Option<u64> { numbers.split_whitespace().nth(at)?.parse().ok() };
    let (Some(user), Some(system)) = (field(11), field(12)) else {
        return Err(io::Error::other("/proc tells no processor time"));
    };
    Ok(Duration::from_millis((user + system) * 1_000 / TICKS))
}

/// What a piece of work took.
struct Took {
    wall: Duration,
    processor: Option<Duration>,
}

impl Target {
    /// Does a piece of work, and tells what it took.
    fn time(&self, work: impl FnOnce() -> io::Result<()>) -> io::Result<Took> {
        let before = self.pid.map(processor_time).transpose()?;
        let started = Instant::now();
        work()?;
        let wall = started.elapsed();
        let after = self.pid.map(processor_time).transpose()?;
        let processor = match (before, after) {
            (Some(before), Some(after)) => Some(after.saturating_sub(before)),
            _unknown => None,
        };
        Ok(Took { wall, processor })
    }
}

impl Took {
    /// The processor time of each of `count` pieces, for a person.
    fn each(&self, count: u64) -> String {
        match self.processor {
            Some(time) => {
                let nanoseconds = time.as_nanos() / u128::from(count.max(1));
                format!(
                    "{}.{:01} us of processor each",
                    nanoseconds / 1_000,
                    nanoseconds / 100 % 10
                )
            }
            None => "processor time not asked for (--pid)".to_owned(),
        }
    }

    /// How many of `count` pieces were done in a second.
    fn per_second(&self, count: u64) -> u128 {
        u128::from(count) * 1_000_000 / self.wall.as_micros().max(1)
    }
}

/// The median and the largest of some durations, for a person.
fn spread(mut durations: Vec<Duration>) -> String {
    durations.sort();
    let median = durations[durations.len() / 2];
    let largest = durations[durations.len() - 1];
    format!(
        "median {} us, largest {} us of {}",
        median.as_micros(),
        largest.as_micros(),
        durations.len()
    )
}

/// A name that no earlier run has used.
fn fresh_name(prefix: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = now.map_or(0, |now| now.as_nanos());
    format!("{prefix}-{}-{nanoseconds}", std::process::id())
}
