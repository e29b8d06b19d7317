//! The brain of Ottla: a Kafka broker as a pure function.
//!
//! Nothing in this crate opens a file, reads a clock, draws entropy or waits. A driver (the tokio
//! broker, the deterministic simulator, the WebAssembly build) brings inputs to
//! `node::Node::turn` and carries out the effects that the turn leaves in its `node::Outbox`:
//!
//! ```text
//! inputs (requests, disk acknowledgements, connections)          time is an argument
//!        |                                                              |
//!        v                                                              v
//!   Node::turn(now, inputs, out): apply each input -> fire due timers -> settle
//!        |
//!        v
//! effects: replies (bytes still unread), disk operations, connections to close, events
//! ```
//!
//! * The same inputs at the same times give the same effects, byte for byte, on every platform.
//! * The work of one input is bounded; long work (recovery, index loading) is a job made of disk
//!   reads.
//! * Bytes from the network never panic it and never allocate more than a small multiple of their
//!   frame.
//!
//! Reading order: [`ids`], [`time`], [`storage`] (the contract with any disk), [`wire`],
//! `connection`, `log`, `partition`, `group`, `metadata`, `quorum`, `controller`, `api`,
//! [`node`].

#![forbid(unsafe_code)]

pub mod api;
pub mod client;
pub mod config;
pub mod connection;
pub mod controller;
pub mod counters;
pub mod error;
pub mod event;
pub mod fetch_session;
pub mod group;
pub mod ids;
pub mod limits;
pub mod log;
pub mod map;
pub mod metadata;
pub mod mutants;
pub mod node;
pub mod one_or_many;
pub mod partition;
pub mod quorum;
pub mod quota;
pub mod rng;
#[cfg(feature = "sim")]
pub mod sim;
pub mod storage;
pub mod time;
pub mod waiting;
pub mod wire;
