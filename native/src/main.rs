//! The `ottla` binary: broker and tools.
//!
//! Decides by the name it is called with and by its first argument who is to run, and nothing else.

mod cli;
#[allow(
    dead_code,
    unused_imports,
    reason = "the command that uses it is being built"
)]
mod disk;
#[allow(dead_code, reason = "the command that uses it is being built")]
mod driver;
#[allow(dead_code, reason = "the command that uses it is being built")]
mod logging;
#[allow(
    dead_code,
    unused_imports,
    reason = "the command that uses it is being built"
)]
mod net;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    if let Some(tool) = cli::tool_called_as(&program) {
        return cli::main(&tool, args.collect());
    }
    match args.next() {
        Some(tool) => cli::main(&tool.to_string_lossy(), args.collect()),
        None => cli::main("help", Vec::new()),
    }
}
