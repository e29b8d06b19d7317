//! `cargo xtask`: the project's own commands; see [`ottla_tests::xtask`].
//!
//! Holds nothing but the call, so that the modules behind it are documented and tested as a
//! library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    ottla_tests::xtask::main(&arguments)
}
