//! The door of the core: inputs in, effects out.
//!
//! `Node` composes the rooms (partitions, controller, quorum, waiting requests) and routes between
//! them; it decides nothing that a room could decide.

pub mod door;
