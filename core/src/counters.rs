//! What is counted for people: traffic of partitions, requests and the errors answered.
//!
//! Plain numbers that grow, kept in the rooms where things happen. Nothing is decided by them, and
//! they start at zero with the process; whoever looks takes a copy (`crate::node::survey`).

use std::collections::BTreeMap;

use crate::error::ErrorCode;
use crate::wire::api_table::{SERVED, ServedApi};
use crate::wire::reply_errors::for_each_error;
use crate::wire::request::Reply;

/// What went through one partition since its log was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Bytes of the batches that clients appended.
    pub bytes_in: u64,
    /// Records in them.
    pub records_in: u64,
    /// Bytes of records answered to consumers.
    pub bytes_out: u64,
    /// Parts of Produce requests: batches that were to be appended.
    pub produces: u64,
    /// Those of them that were refused.
    pub produces_refused: u64,
    /// Parts of Fetch answers.
    pub fetches: u64,
    /// Those of them that told an error of the partition.
    pub fetches_refused: u64,
}

impl Traffic {
    /// Adds what went through another partition.
    pub fn add(&mut self, other: &Self) {
        self.bytes_in += other.bytes_in;
        self.records_in += other.records_in;
        self.bytes_out += other.bytes_out;
        self.produces += other.produces;
        self.produces_refused += other.produces_refused;
        self.fetches += other.fetches;
        self.fetches_refused += other.fetches_refused;
    }
}

/// Requests that reached a node, and the errors it answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestCounters {
    /// By the API's place in [`SERVED`].
    requests: Vec<u64>,
    errors: BTreeMap<(i16, ErrorCode), u64>,
}

impl Default for RequestCounters {
    fn default() -> Self {
        Self {
            requests: vec![0; SERVED.len()],
            errors: BTreeMap::new(),
        }
    }
}

impl RequestCounters {
    /// Counts a request.
    pub fn on_request(&mut self, api_key: i16) {
        if let Some(place) = ServedApi::place(api_key) {
            self.requests[place] += 1;
        }
    }

    /// Counts the errors of an answer, each as often as it is told (Kafka's `ErrorsPerSec`).
    pub fn on_reply(&mut self, reply: &Reply) {
        let Some(api_key) = reply.api_key() else {
            return;
        };
        for_each_error(reply, |code| {
            let code = ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
            *self.errors.entry((api_key, code)).or_insert(0) += 1;
        });
    }

    /// Requests of each API that was asked at least once.
    pub fn requests(&self) -> impl Iterator<Item = (&'static ServedApi, u64)> {
        let counted = SERVED.iter().zip(&self.requests);
        counted
            .map(|(api, &count)| (api, count))
            .filter(|(_, count)| *count > 0)
    }

    /// Errors answered, by API and code.
    pub fn errors(&self) -> impl Iterator<Item = (&'static ServedApi, ErrorCode, u64)> {
        self.errors.iter().filter_map(|(&(api_key, code), &count)| {
            ServedApi::find(api_key).map(|api| (api, code, count))
        })
    }
}

#[cfg(test)]
mod tests {
    use kafka_wire::InitProducerIdResponse;

    use super::*;
    use crate::wire::api_table::PRODUCE;

    #[test]
    fn requests_and_errors_are_counted_by_api() {
        let mut counters = RequestCounters::default();
        counters.on_request(PRODUCE);
        counters.on_request(PRODUCE);
        // No API of ours.
        counters.on_request(-7);
        let mut response = InitProducerIdResponse::default();
        counters.on_reply(&Reply::InitProducerId(response.clone()));
        response.error_code = ErrorCode::NotCoordinator.code();
        counters.on_reply(&Reply::InitProducerId(response.clone()));
        counters.on_reply(&Reply::InitProducerId(response));
        counters.on_reply(&Reply::Nothing);
        let requests: Vec<_> = counters.requests().map(|(api, n)| (api.name, n)).collect();
        assert_eq!(requests, [("Produce", 2)]);
        let errors = counters.errors().map(|(api, code, n)| (api.name, code, n));
        let expected = [("InitProducerId", ErrorCode::NotCoordinator, 2)];
        assert_eq!(errors.collect::<Vec<_>>(), expected);
    }
}
