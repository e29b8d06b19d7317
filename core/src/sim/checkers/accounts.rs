//! R92: what a broker accounts for is compared with its bounds.
//!
//! These are its own figures, those of its page of metrics; all that is known from outside is how
//! many connections it has and how many requests it was given and has not answered. More of
//! anything than that is memory that nobody will give back.

use super::Violation;
use crate::limits::{INDEX_CACHE_BYTES_MAX, QUOTA_SHARERS_MAX};
use crate::node::survey::BrokerFigures;

/// What is known of a node from outside, after a turn.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Connections that it was told of.
    pub connections: u64,
    /// Requests that it was given and had not answered before the turn.
    pub pending: u64,
}

/// Compares the figures of a node that had a turn with their bounds.
#[must_use]
pub fn check(figures: &BrokerFigures, seen: Seen) -> Option<Violation> {
    let size = |bytes: usize| bytes as u64;
    let bounded = [
        (
            "bytes of the tail",
            figures.tail_bytes,
            figures.tail_bytes_max,
        ),
        (
            "bytes of indexes",
            figures.index_bytes,
            size(INDEX_CACHE_BYTES_MAX),
        ),
        (
            "fetch sessions",
            figures.fetch_sessions,
            figures.fetch_sessions_max,
        ),
        (
            "connections muted",
            figures.connections_muted,
            seen.connections,
        ),
        ("requests parked", figures.requests_parked, seen.pending),
        ("requests metered", figures.requests_metered, seen.pending),
        (
            "sharers of quotas",
            figures.quota_sharers,
            size(QUOTA_SHARERS_MAX),
        ),
    ];
    let beyond = bounded.into_iter().find(|(_, held, most)| held > most);
    beyond.map(|(what, held, most)| {
        let what = format!("{what}: {held} are held, and {most} is the most");
        Violation::new("R92", what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_bound_is_told() {
        let seen = Seen {
            connections: 2,
            pending: 3,
        };
        let right = BrokerFigures {
            tail_bytes: 10,
            tail_bytes_max: 10,
            fetch_sessions: 1,
            fetch_sessions_max: 1,
            connections_muted: 2,
            requests_parked: 3,
            requests_metered: 3,
            ..BrokerFigures::default()
        };
        assert_eq!(check(&right, seen), None);
        let mut wrong: [BrokerFigures; 6] = std::array::from_fn(|_| right.clone());
        wrong[0].tail_bytes += 1;
        wrong[1].index_bytes = 1 << 40;
        wrong[2].fetch_sessions += 1;
        wrong[3].connections_muted += 1;
        wrong[4].requests_parked += 1;
        wrong[5].requests_metered += 1;
        for figures in wrong {
            assert!(check(&figures, seen).is_some(), "{figures:?}");
        }
    }
}
