//! A sans-I/O client: for the command line, the simulator, and brokers towards peers.
//!
//! Machines that take time and inputs and leave effects, like the broker itself: the same client
//! runs over real sockets and over simulated ones. Reading order: [`message`], [`connection`],
//! [`network`], [`cluster`], [`admin`], [`producer`], [`consumer`], [`group`]. It holds no opinion
//! on what to do with data, and starts nothing by itself.

pub mod admin;
mod call;
pub mod cluster;
pub mod connection;
pub mod consumer;
pub mod group;
pub mod message;
pub mod network;
pub mod producer;

#[cfg(test)]
mod tests;
