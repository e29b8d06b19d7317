//! `ottla-sim`: runs simulated worlds by seed, one or many, and says how to repeat what failed.
//!
//! It judges nothing: the checkers of `ottla_core::sim` do.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ottla_core::sim::checkers::Violation;
use ottla_core::sim::options::Options;
use ottla_core::sim::{Watch, options_of};
use ottla_tests::simulator::{self, attempt, minimize};

const HELP: &str = "\
Runs simulated worlds.

  ottla-sim run --seed SEED [--set NAME=VALUE]... [--trace FILE] [--verbose]
      One world. Prints its options before it begins, and its hash at the end.
      --set      changes an option that the seed drew; see what is printed
      --trace    writes what happened to a file, in numbers
      --verbose  prints what happens, in words
  ottla-sim campaign --seeds N [--first SEED | --fresh] [--jobs N] [--budget SECONDS]
      Many worlds, each seed once; status 1 if any failed.
      --fresh  seeds that were hardly ever run before
  ottla-sim minimize --seed SEED [--set NAME=VALUE]... [--mutant NAME]
      Makes a world that fails smaller and calmer as long as the same check fails.
  ottla-sim mutants [--all | --mutant NAME] [--known] [--seeds N] [--first SEED] [--jobs N]
      Switches one bug on at a time, and looks for a world that finds it; status 1 if one is
      not found. Needs the feature `mutants`.
      --known  begins with the world where it was found last

  --mutant    switches a bug on, in any command; needs the feature `mutants`

A seed is a number, decimal or 0x hexadecimal.";

/// What the command line asks for.
#[derive(Debug, Default)]
struct Arguments {
    seed: Option<u64>,
    settings: Vec<(String, u64)>,
    trace: Option<String>,
    verbose: bool,
    seeds: u64,
    first: u64,
    jobs: u64,
    budget: Option<Duration>,
    mutant: Option<String>,
    known: bool,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let arguments = match parse(words) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("ottla-sim: {what}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    simulator::watch_panics();
    if let Some(name) = arguments.mutant.as_ref().filter(|_| command != "mutants")
        && let Err(what) = simulator::choose_mutant(name)
    {
        eprintln!("ottla-sim: {what}");
        return ExitCode::from(2);
    }
    match command.as_str() {
        "run" => run(&arguments),
        "campaign" => campaign(&arguments),
        "minimize" => minimize(&arguments),
        "mutants" => mutants(&arguments),
        _unknown => {
            eprintln!("{HELP}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 100,
        first: 1,
        jobs: 1,
        ..Arguments::default()
    };
    while let Some(word) = words.next() {
        if word == "--verbose" {
            arguments.verbose = true;
            continue;
        }
        if word == "--known" {
            arguments.known = true;
            continue;
        }
        if word == "--all" {
            arguments.mutant = None;
            continue;
        }
        if word == "--fresh" {
            let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let nanoseconds = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
            arguments.first = nanoseconds & (u64::MAX >> 4);
            continue;
        }
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        match word.as_str() {
            "--budget" => {
                let seconds = value.trim_end_matches('s');
                arguments.budget = Some(Duration::from_secs(number(seconds)?));
            }
            "--first" => arguments.first = number(&value)?,
            "--mutant" => arguments.mutant = Some(value),
            "--jobs" => arguments.jobs = number(&value)?.max(1),
            "--seed" => arguments.seed = Some(number(&value)?),
            "--seeds" => arguments.seeds = number(&value)?,
            "--set" => {
                let (name, value) = value.split_once('=').ok_or("--set NAME=VALUE")?;
                if !Options::default().set(name, 0) {
                    return Err(format!("no option is called {name}"));
                }
                arguments.settings.push((name.to_owned(), number(value)?));
            }
            "--trace" => arguments.trace = Some(value),
            _unknown => return Err(format!("{word} is not known")),
        }
    }
    Ok(arguments)
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{text}: {error}"))
}

#[allow(clippy::print_stdout, reason = "a command line tool")]
fn run(arguments: &Arguments) -> ExitCode {
    let Some(seed) = arguments.seed else {
        eprintln!("ottla-sim run: --seed is missing");
        return ExitCode::from(2);
    };
    let mut options = options_of(seed);
    for (name, value) in &arguments.settings {
        options.set(name, *value);
    }
    print!("{options}");
    let watch = Watch {
        keeps_trace: arguments.trace.is_some(),
        listener: arguments.verbose.then_some(print_line),
    };
    let outcome = attempt(seed, &options, watch);
    if let (Some(path), Ok(result)) = (&arguments.trace, &outcome) {
        let lines: String = result
            .trace
            .iter()
            .map(|record| format!("{record}\n"))
            .collect();
        if let Err(error) = std::fs::write(path, lines) {
            eprintln!("ottla-sim: {path}: {error}");
            return ExitCode::from(2);
        }
    }
    match outcome {
        Ok(result) if result.violations.is_empty() => {
            println!(
                "ok seed={seed:#x} hash={:032x} events={} simulated_ms={} operations={} faults={}",
                result.hash, result.events, result.simulated_ms, result.operations, result.faults
            );
            ExitCode::SUCCESS
        }
        Ok(result) => {
            println!("{}", failure(seed, &result.violations, &arguments.settings));
            ExitCode::FAILURE
        }
        Err(violation) => {
            println!("{}", failure(seed, &[violation], &arguments.settings));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "a command line tool")]
fn print_line(line: &str) {
    println!("{line}");
}

fn failure(seed: u64, violations: &[Violation], settings: &[(String, u64)]) -> String {
    let mut line = format!("FAIL seed={seed:#x} commit={}", commit());
    for violation in violations.iter().take(3) {
        let what: String = violation.what.chars().take(1_500).collect();
        let _infallible = write!(line, " check={} {what}", violation.check);
    }
    let _infallible = write!(line, "\n  repro: ottla-sim run --seed {seed:#x}");
    for (name, value) in settings {
        let _infallible = write!(line, " --set {name}={value}");
    }
    line
}

/// Makes a failing world smaller.
fn minimize(arguments: &Arguments) -> ExitCode {
    let Some(seed) = arguments.seed else {
        eprintln!("ottla-sim minimize: --seed is missing");
        return ExitCode::from(2);
    };
    let mut options = options_of(seed);
    for (name, value) in &arguments.settings {
        options.set(name, *value);
    }
    let Some(small) = minimize::minimize(seed, options, print_line) else {
        print_line("the world holds: there is nothing to make smaller");
        return ExitCode::SUCCESS;
    };
    let mut line = failure(seed, &small.violations, &small.settings);
    if let Some(mutant) = &arguments.mutant {
        let _infallible = write!(line, " --mutant {mutant}");
    }
    print_line(&line);
    ExitCode::FAILURE
}

#[cfg(feature = "mutants")]
fn mutants(arguments: &Arguments) -> ExitCode {
    use ottla_tests::simulator::mutants::{Search, matrix};
    let search = Search {
        begins_at_known: arguments.known,
        seeds: arguments.seeds,
        first: arguments.first,
        jobs: arguments.jobs,
        only: arguments.mutant.clone(),
    };
    if matrix(&search, print_line) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(not(feature = "mutants"))]
fn mutants(_arguments: &Arguments) -> ExitCode {
    eprintln!("ottla-sim: this build has no mutants; build it with --features mutants");
    ExitCode::from(2)
}

fn commit() -> String {
    let output = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok()
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// What a campaign came to so far.
#[derive(Debug, Default)]
struct Tally {
    seeds: u64,
    simulated_ms: u64,
    operations: u64,
    faults: u64,
    failures: Vec<String>,
}

#[allow(clippy::print_stdout, reason = "a command line tool")]
fn campaign(arguments: &Arguments) -> ExitCode {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let over = arguments
                        .budget
                        .is_some_and(|budget| began.elapsed() > budget);
                    if index >= arguments.seeds || over {
                        return;
                    }
                    let seed = arguments.first.wrapping_add(index);
                    count(seed, arguments, &tally);
                }
            });
        }
    });
    let tally = tally
        .into_inner()
        .expect("no thread panics outside of an attempt");
    println!(
        "{} seeds from {:#x}, {} failed; {} simulated ms, {} operations, {} faults, in {} ms",
        tally.seeds,
        arguments.first,
        tally.failures.len(),
        tally.simulated_ms,
        tally.operations,
        tally.faults,
        began.elapsed().as_millis()
    );
    if tally.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[allow(clippy::print_stdout, reason = "a command line tool")]
fn count(seed: u64, arguments: &Arguments, tally: &Mutex<Tally>) {
    let mut options = options_of(seed);
    for (name, value) in &arguments.settings {
        options.set(name, *value);
    }
    let outcome = attempt(seed, &options, Watch::default());
    let mut tally = tally
        .lock()
        .expect("no thread panics outside of an attempt");
    tally.seeds += 1;
    let violations = match outcome {
        Ok(result) => {
            tally.simulated_ms += result.simulated_ms;
            tally.operations += result.operations;
            tally.faults += result.faults;
            result.violations
        }
        Err(violation) => vec![violation],
    };
    if !violations.is_empty() {
        let line = failure(seed, &violations, &arguments.settings);
        println!("{line}");
        tally.failures.push(line);
    }
}
