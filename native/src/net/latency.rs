//! How long requests of one connection take: from the last byte of a frame to that of its reply.
//!
//! No clock is read here: the session reads it when bytes came and when bytes left, once for all
//! requests that they belong to.

use std::collections::VecDeque;

use ottla_core::ids::RequestSequence;
use ottla_core::wire::api_table::ServedApi;

use crate::metrics::NetFigures;

/// The requests of one connection that are under way.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// When bytes were read last, on the driver's clock.
    pub(crate) read_ns: u64,
    /// Oldest first.
    requests: VecDeque<Started>,
    /// How many of them, from the front, have their replies among the bytes taken so far.
    taken: usize,
    taken_bytes: u64,
    written_bytes: u64,
}

#[derive(Debug)]
struct Started {
    sequence: RequestSequence,
    api_place: u8,
    at_ns: u64,
    /// All of the reply has left when so many bytes have; known once it is taken.
    end_bytes: u64,
}

impl Latency {
    /// A frame is whole since bytes were read last.
    pub(crate) fn begin(&mut self, sequence: RequestSequence, api_key: i16) {
        let place = ServedApi::place(api_key).expect("a request is of an API that is served");
        self.requests.push_back(Started {
            sequence,
            api_place: u8::try_from(place).expect("there are fewer than 256 APIs"),
            at_ns: self.read_ns,
            end_bytes: 0,
        });
    }

    /// So many more bytes are about to be written: the rest of all replies before `first_waiting`.
    pub(crate) fn taken(&mut self, bytes: usize, first_waiting: RequestSequence) {
        self.taken_bytes += bytes as u64;
        while let Some(started) = self.requests.get_mut(self.taken)
            && started.sequence < first_waiting
        {
            started.end_bytes = self.taken_bytes;
            self.taken += 1;
        }
    }

    /// Whether the oldest request needs no more bytes.
    pub(crate) fn has_ended(&self) -> bool {
        let oldest = self.requests.front();
        self.taken > 0 && oldest.is_some_and(|oldest| oldest.end_bytes <= self.written_bytes)
    }

    /// So many more bytes are written.
    pub(crate) fn written(&mut self, bytes: usize, now_ns: u64, figures: &NetFigures) {
        self.written_bytes += bytes as u64;
        while self.taken > 0
            && let Some(started) = self
                .requests
                .pop_front_if(|started| started.end_bytes <= self.written_bytes)
        {
            self.taken -= 1;
            figures.note_latency(started.api_place, now_ns.saturating_sub(started.at_ns));
        }
    }

    /// Gives memory back that holds nothing.
    pub(crate) fn release(&mut self) {
        self.requests.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_the_last_byte_of_its_reply() {
        let figures = NetFigures::default();
        let counts = || {
            let seen = figures
                .latencies()
                .map(|(api, seen)| (api.name, seen.count));
            seen.collect::<Vec<_>>()
        };
        let mut latency = Latency {
            read_ns: 1_000_000_000,
            ..Latency::default()
        };
        for (sequence, api_key) in [(0, 0), (1, 3), (2, 0)] {
            latency.begin(RequestSequence(sequence), api_key);
        }
        // Two replies of 100 bytes together; the third is not decided yet.
        latency.taken(100, RequestSequence(2));
        latency.written(99, 3_000_000_000, &figures);
        assert_eq!(counts(), []);
        latency.written(1, 3_000_000_000, &figures);
        assert_eq!(counts(), [("Produce", 1), ("Metadata", 1)]);
        latency.taken(5, RequestSequence(3));
        latency.written(5, 2_000_000_000, &figures);
        assert_eq!(counts(), [("Produce", 2), ("Metadata", 1)]);
        // One without a reply ends when it is decided.
        latency.begin(RequestSequence(3), 0);
        assert!(!latency.has_ended());
        latency.taken(0, RequestSequence(4));
        assert!(latency.has_ended());
        latency.written(0, 1_000_000_000, &figures);
        assert_eq!(counts(), [("Produce", 3), ("Metadata", 1)]);
        assert!(latency.requests.is_empty());
        let sums = figures.latencies().map(|(_, seen)| seen.sum);
        assert_eq!(sums.collect::<Vec<_>>(), [3.0, 2.0]);
    }
}
