//! Ottla for the browser and for Node: a thin shell around the simulator.
//!
//! Decides nothing and keeps no state of its own; what it returns, the native simulator returns
//! too.

use wasm_bindgen::prelude::wasm_bindgen;

/// The version of this build, as in `Cargo.toml`.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Runs one world of the simulator and returns the hash of all that happened, as `ottla-sim` prints
/// it: 32 hexadecimal digits, the same for the same seed in every build of one version.
#[wasm_bindgen]
#[must_use]
pub fn run_seed(seed: u64) -> String {
    format!("{:032x}", ottla_core::sim::run_seed(seed).hash)
}
