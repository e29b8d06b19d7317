//! Consumer groups, from a member's side.
//!
//! [`protocol`]: what members tell each other. [`assignor`]: how the leader divides partitions.

pub mod assignor;
pub mod protocol;
