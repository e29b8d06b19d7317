//! Client quotas: how much users, clients and addresses may do (KIP-13, KIP-124, KIP-546, KIP-599,
//! KIP-612).
//!
//! * [`rate`]: limits as whole numbers; nothing here computes with floats.
//! * [`limits`]: what the metadata allows whom, by Kafka's precedence (K120).
//! * [`window`], [`bucket`]: what was done lately, and how long who did too much is to wait.
//! * [`throttle`]: the room that a node asks: it remembers who asked for what until the answer
//!   leaves, and who is muted until when (KIP-219: the answer leaves first, then nothing is read).
//!
//! What a request costs in time is what the driver measured: its own work comes with the request,
//! and what a turn took with the next one.

pub mod bucket;
pub mod limits;
pub mod rate;
pub mod throttle;
pub mod window;

#[cfg(test)]
mod tests;

/// The principal of a connection that did not authenticate, without its type.
pub const ANONYMOUS: &str = "ANONYMOUS";
