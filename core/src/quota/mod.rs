//! Client quotas: how much users, clients and addresses may do (KIP-13, KIP-124, KIP-546, KIP-599,
//! KIP-612).
//!
//! * [`rate`]: limits as whole numbers; nothing here computes with floats.
//! * [`limits`]: what the metadata allows whom, by Kafka's precedence (K120).
//! * [`window`], [`bucket`]: what was done lately, and how long who did too much is to wait.
//! * [`throttle`]: the room that a node asks: it remembers who asked for what until the answer
//!   leaves, and who is muted until when (KIP-219: the answer leaves first, then nothing is read).
//!
//! What a request costs in time is reckoned, not measured, so that a seed always throttles alike:
//! see [`request_nanos`].

pub mod bucket;
pub mod limits;
pub mod rate;
pub mod throttle;
pub mod window;

#[cfg(test)]
mod tests;

/// The principal of a connection that did not authenticate, without its type.
pub const ANONYMOUS: &str = "ANONYMOUS";

/// Nanoseconds that any request takes beside its bytes: decoding, a turn, an answer. Measured with
/// acknowledged requests of one record: 1.7 us of the brain and as much again in two system calls,
/// and clients notice little below ten.
const REQUEST_NANOS: u64 = 10_000;

/// Nanoseconds for each KiB of a request or an answer: 430 to 770 us were measured for a MB.
const KIBIBYTE_NANOS: u64 = 600;

/// The time that a request is reckoned to take of the broker, for `request_percentage`.
#[must_use]
pub fn request_nanos(request_bytes: u64, answer_bytes: u64) -> u64 {
    let kibibytes = request_bytes.saturating_add(answer_bytes) / 1024;
    REQUEST_NANOS.saturating_add(kibibytes.saturating_mul(KIBIBYTE_NANOS))
}
