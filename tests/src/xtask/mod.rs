//! `cargo xtask test`: everything that must hold, in one command.
//!
//! Each [`Step`] stands alone: it installs what it needs, runs, and says how many checks passed. A
//! failing step does not hide the ones after it. Nothing here decides what is right; the steps call
//! the tools, tests and clients that do.

#![allow(
    clippy::print_stdout,
    reason = "the output of a command is its purpose"
)]

pub mod clients;
pub mod command;
mod go;
pub mod groups;
pub mod java;
pub mod lanes;
pub mod report;
pub mod results;
pub mod setup;
pub mod steps;
pub mod suites;
pub mod wasm;
pub mod workshop;

use std::process::ExitCode;
use std::time::Instant;

pub use command::Tally;
pub use steps::{PHASES, Step};
pub use workshop::Workshop;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test                   every step; what the machine lacks is installed first
  test --list            the steps, in order
  test --only STEP...    these steps alone
  test --skip STEP...    all but these
  setup                  only the installing
  clients HOST:PORT      the client checks against a broker that runs already
  groups HOST:PORT [P]   the group scenarios against such a broker; P starts it anew
  tools HOST:PORT DATA   Kafka's tools against such a broker; with UPDATE=1 recorded from it
  streams HOST:PORT      Kafka Streams and Connect against such a broker
  table                  makes what the last runs counted the README's table
  suites HOST:PORT       the suites beside the repository against such a broker
  help                   this text";

/// Runs one command of `cargo xtask`; the status is not zero when anything failed.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    let workshop = Workshop::here();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => {
            results::forget(&workshop);
            conclude(&lanes::run_steps(&workshop, |_| true))
        }
        ["test", "--list"] => {
            for step in steps::all() {
                println!("{:<12} {}", step.name, step.what);
            }
            ExitCode::SUCCESS
        }
        ["test", "--only", names @ ..] if !names.is_empty() => match unknown(names) {
            Some(name) => refuse(&format!("no step `{name}`; see `cargo xtask test --list`")),
            None => conclude(&lanes::run_steps(&workshop, |step| {
                names.contains(&step.name)
            })),
        },
        ["test", "--skip", names @ ..] if !names.is_empty() => match unknown(names) {
            Some(name) => refuse(&format!("no step `{name}`; see `cargo xtask test --list`")),
            None => conclude(&lanes::run_steps(&workshop, |step| {
                !names.contains(&step.name)
            })),
        },
        ["setup"] => conclude(&lanes::run_steps(&workshop, |step| step.name == "setup")),
        ["clients", address] => against("clients", || {
            let mut tally = Tally::default();
            for (_, counted) in clients::clients_against(&workshop, address) {
                tally.add(counted);
            }
            Ok(tally)
        }),
        ["groups", address, again @ ..] if again.len() < 2 => against("groups", || {
            groups::groups_of(&workshop, address, again.first().copied())
        }),
        ["tools", address, data] => against("tools", || {
            java::tools_of(&workshop, address, std::path::Path::new(data))
        }),
        ["streams", address] => against("streams", || {
            java::streams_and_connect_of(&workshop, address)
        }),
        ["table"] => against("table", || results::table(&workshop)),
        ["suites", address] => against("suites", || suites::suites_against(&workshop, address)),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => refuse(USAGE),
    }
}

fn unknown<'a>(names: &[&'a str]) -> Option<&'a str> {
    let is_known = |name: &&str| steps::all().any(|step| step.name == *name);
    names.iter().copied().find(|name| !is_known(name))
}

fn refuse(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(2)
}

/// One run of checks outside the list of steps.
fn against(name: &'static str, checks: impl FnOnce() -> Result<Tally, String>) -> ExitCode {
    let mut report = report::Report::default();
    let started = Instant::now();
    let outcome = checks();
    report.took = started.elapsed();
    report.add(name, report.took, outcome);
    conclude(&report)
}

fn conclude(report: &report::Report) -> ExitCode {
    println!("\n{report}");
    if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
