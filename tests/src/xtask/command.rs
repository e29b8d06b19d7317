//! Running other programs: with a time limit, their output shown, their checks counted.
//!
//! Does not judge the output beyond the lines that cargo's test harness and the client checks print
//! for each check.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::Workshop;
use super::lanes::show;

/// How many checks passed and failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Checks that held.
    pub passed: u32,
    /// Checks that did not.
    pub failed: u32,
    /// What went wrong, in one line, when something did.
    pub problem: Option<String>,
}

impl Tally {
    /// A tally without a problem text.
    #[must_use]
    pub fn counted(passed: u32, failed: u32) -> Self {
        Self {
            passed,
            failed,
            problem: None,
        }
    }

    /// Adds the counts of another; the first problem is kept.
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.problem = self.problem.take().or(other.problem);
    }

    /// Counts one line of output, when it tells of checks.
    ///
    /// Known are cargo's `test result: ok. 3 passed; 0 failed; ...`, and `PASS name` and `FAIL
    /// name` of the client checks.
    pub fn count_line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            let counted = |what: &str| {
                let before = rest
                    .split(what)
                    .next()
                    .filter(|before| before.len() < rest.len())?;
                before.split_whitespace().next_back()?.parse::<u32>().ok()
            };
            self.passed += counted(" passed").unwrap_or(0);
            self.failed += counted(" failed").unwrap_or(0);
        } else if line.starts_with("PASS ") {
            self.passed += 1;
        } else if let Some(check) = line.strip_prefix("FAIL ") {
            self.failed += 1;
            self.problem.get_or_insert_with(|| check.to_owned());
        }
    }
}

/// A command in the repository that is killed after `limit_s` seconds, with all that it started: it
/// is a process group of its own.
#[must_use]
pub fn command(workshop: &Workshop, limit_s: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["-k", "10"])
        .arg(limit_s.to_string())
        .arg(program);
    command.current_dir(&workshop.root);
    // `cargo run` adds its own libraries, which a compiler of Debian's must not load.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// `cargo ...` of the toolchain that runs us, with a limit in seconds.
#[must_use]
pub fn cargo(workshop: &Workshop, limit_s: u32, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = command(workshop, limit_s, program);
    command.args(arguments).env("CARGO_TERM_COLOR", "never");
    command
}

/// Runs a command, shows its output, and counts the checks it tells of.
///
/// # Errors
///
/// The command could not be started, or failed without telling of a failed check.
pub fn run(command: &mut Command) -> Result<Tally, String> {
    let name = name_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name}: {error}"))?;
    let stdout = child.stdout.take().expect("stdout is piped, two lines up");
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(|error| format!("{name}: {error}"))?;
        let line = String::from_utf8_lossy(&line);
        show(&line);
        tally.count_line(&line);
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        return Ok(tally);
    }
    let problem = match status.code() {
        Some(124 | 137) => format!("{name}: time limit exceeded"),
        Some(code) => format!("{name}: exit status {code}"),
        None => format!("{name}: killed by a signal"),
    };
    if tally.failed == 0 {
        return Err(problem);
    }
    tally.problem.get_or_insert(problem);
    Ok(tally)
}

/// Runs a command silently; its output is part of the error.
///
/// # Errors
///
/// The command could not be started or failed.
pub fn quiet(command: &mut Command) -> Result<String, String> {
    let name = name_of(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    eprintln!("{stdout}{stderr}");
    Err(format!("{name}: {}", output.status))
}

/// The program and its first arguments, without the wrapper that limits its time.
fn name_of(command: &Command) -> String {
    let mut words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if words.first().is_some_and(|word| word == "timeout") && words.len() > 4 {
        words.drain(..4);
    }
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default().to_owned();
    }
    words.truncate(4);
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_and_of_client_checks_are_counted() {
        let mut tally = Tally::default();
        tally.count_line("test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured");
        tally.count_line("PASS codec_gzip");
        tally.count_line("FAIL codec_zstd got nothing");
        tally.count_line("a line about something else passed");
        assert_eq!((tally.passed, tally.failed), (13, 4));
        assert_eq!(tally.problem.as_deref(), Some("codec_zstd got nothing"));
    }

    #[test]
    fn a_command_past_its_limit_is_an_error_that_says_so() {
        let workshop = Workshop::here();
        let outcome = run(command(&workshop, 1, "tail").args(["-f", "/dev/null"]));
        assert_eq!(
            outcome,
            Err("tail -f /dev/null: time limit exceeded".to_owned())
        );
        // What it started holds the pipe open, and goes with it.
        let script = "tail -f /dev/null; :";
        let outcome = run(command(&workshop, 1, "sh").args(["-c", script]));
        let expected = format!("sh -c {script}: time limit exceeded");
        assert_eq!(outcome, Err(expected));
        let outcome = quiet(command(&workshop, 10, "printf").arg("hello"));
        assert_eq!(outcome.as_deref(), Ok("hello"));
    }
}
