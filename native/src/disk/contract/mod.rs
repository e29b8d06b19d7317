//! Tests of the real disk against the contract of `ottla_core::storage`, point by point.
//!
//! Scripts of operations run against a fresh folder; calls fail where a test says so.

mod compaction;
mod folders;
mod logs;
mod rig;
