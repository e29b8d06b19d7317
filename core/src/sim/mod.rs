//! The deterministic simulator: one more driver of the core, with everything around it invented.
//!
//! One seed decides the network, the disks, the clocks, the faults, what the clients do and how
//! many inputs share a turn. It executes the very operations the native broker executes, and
//! watches from outside: what left a node, and what lies on its disk. It never looks into a node
//! to judge it, but at the figures that the node shows anyone.

mod boot;
pub mod checkers;
pub mod client;
pub mod clock;
pub mod disk;
pub mod disk_contract;
mod judges;
pub mod nemesis;
pub mod network;
pub mod node;
mod numbers;
pub mod options;
pub mod run;
pub mod schedule;
pub mod trace;
pub mod workload;
pub mod world;

pub use self::run::{SeedResult, Watch, options_of, run_seed, run_with};
