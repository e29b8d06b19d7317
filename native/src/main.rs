//! The `ottla` binary: broker and tools.
//!
//! Decides by the name it is called with and by its first argument who is to run, and nothing else.

#![deny(unsafe_code)]

mod cli;
mod disk;
mod driver;
mod http;
mod logging;
mod memory;
mod metrics;
mod net;
mod serve;

use std::ffi::OsString;
use std::process::ExitCode;

const _: () = assert!(
    cfg!(debug_assertions) || !ottla_core::mutants::ARE_COMPILED_IN,
    "no broker that is released can be made wrong"
);

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let tool = cli::tool_called_as(&program).map(OsString::from);
    let Some(tool) = tool.or_else(|| args.next()) else {
        return serve::main(Vec::new());
    };
    if tool == "serve" || tool == "server-start" {
        serve::main(args.collect())
    } else {
        cli::main(&tool.to_string_lossy(), args.collect())
    }
}
