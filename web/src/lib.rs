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
