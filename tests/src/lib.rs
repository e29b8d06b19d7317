//! Shared parts of the tests, and the commands that run them.
//!
//! Nothing here is linked into the broker.

pub mod broker;
pub mod differential;
pub mod exposition;
pub mod groups;
pub mod measure;
pub mod simulator;
pub mod wire_client;
pub mod xtask;
