//! Figures of a running broker that no client's own load tool tells: groups, commits, metadata.
//!
//! `measure HOST:PORT [--pid PID] FIGURE...`; with the broker's process id also what each costs in
//! processor time. Any Kafka may be asked, so two brokers can be compared in alternation.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

use std::process::ExitCode;

use ottla_tests::measure::{FIGURES, Target};

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("measure: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), String> {
    let mut rest = arguments.into_iter();
    let address = rest.next().ok_or_else(usage)?;
    let mut target = Target { address, pid: None };
    while let Some(argument) = rest.next() {
        if argument == "--pid" {
            let pid = rest.next().and_then(|pid| pid.parse().ok());
            target.pid = Some(pid.ok_or("--pid wants a number")?);
            continue;
        }
        let figure = FIGURES.iter().find(|figure| figure.name == argument);
        let figure = figure.ok_or_else(usage)?;
        for line in (figure.measure)(&target).map_err(|error| format!("{argument}: {error}"))? {
            println!("{line}");
        }
    }
    Ok(())
}

fn usage() -> String {
    let names: Vec<String> = FIGURES
        .iter()
        .map(|figure| format!("  {:<12} {}", figure.name, figure.what))
        .collect();
    format!(
        "usage: measure HOST:PORT [--pid PID] FIGURE...\n{}",
        names.join("\n")
    )
}
