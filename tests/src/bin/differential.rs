//! Records what an Apache Kafka answers, or compares a broker with what was recorded.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use ottla_tests::differential::{golden, run};

/// How it is called.
const USAGE: &str =
    "usage: differential record HOST:PORT [API/], or compare HOST:PORT [PART-OF-A-SCRIPT'S-NAME]";

#[allow(clippy::print_stdout, reason = "a command's answer")]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["record", address] => record(address, ""),
        ["record", address, only] => record(address, only),
        ["compare", address] => compare(address, ""),
        ["compare", address, only] => compare(address, only),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/answers"))
}

fn record(address: &str, only: &str) -> Result<String, String> {
    let answers = run(address, only)?;
    let stopped = answers.iter().find_map(|(name, steps)| {
        let (_, versions) = steps.iter().find(|(label, _)| label == "stopped")?;
        Some(format!("{name} stopped: {versions:?}"))
    });
    if let Some(reason) = stopped {
        return Err(reason);
    }
    let count = answers.len();
    let mut all = golden::load(folder())?;
    all.extend(answers);
    golden::save(folder(), &all)?;
    Ok(format!("recorded {count} scripts"))
}

fn compare(address: &str, only: &str) -> Result<String, String> {
    let mut wanted = golden::load(folder())?;
    wanted.retain(|name, _| name.contains(only));
    let got = run(address, only)?;
    let differences = golden::differences(&wanted, &got);
    if differences.is_empty() {
        return Ok(format!("{} scripts, no difference", wanted.len()));
    }
    let text: Vec<String> = differences
        .iter()
        .map(|(step, how)| format!("{step}\n   {how}"))
        .collect();
    Err(format!("{}\n{} differences", text.join("\n"), text.len()))
}
