//! Scenarios of the command line: their form, and how their commands are run.

mod normal;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Tools that ask no broker.
const OFFLINE: &[&str] = &["dump-log"];

/// Longest a command may take; Kafka's tools take seconds, Ottla's milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// One command with what it reads and what it must print.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// The lines above it: comments and blank lines.
    pub(crate) above: String,
    pub(crate) command: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) errors: Vec<String>,
    pub(crate) status: i32,
}

pub(crate) fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/cli")
}

pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut above = String::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (&mut open, line.split_at_checked(2)) {
            (None, Some(("$ ", command))) => {
                let above = std::mem::take(&mut above);
                open = Some(Block {
                    above,
                    command: command.to_owned(),
                    ..Block::default()
                });
            }
            (None, _) => {
                above.push_str(line);
                above.push('\n');
            }
            (Some(block), Some(("> ", input))) => {
                block.input.push_str(input);
                block.input.push('\n');
            }
            (Some(block), Some(("! ", error))) => block.errors.push(error.to_owned()),
            (Some(block), Some(("= ", status))) => {
                block.status = status.parse().expect("a status is a number");
                blocks.extend(open.take());
            }
            (Some(block), _) => {
                block.output.push_str(line);
                block.output.push('\n');
            }
        }
    }
    assert!(open.is_none(), "the last block has no status");
    blocks
}

pub(crate) fn print(block: &Block) -> String {
    let mut text = format!("{}$ {}\n", block.above, block.command);
    for line in block.input.lines() {
        writeln!(text, "> {line}").expect("writing to a String cannot fail");
    }
    text.push_str(&block.output);
    for error in &block.errors {
        writeln!(text, "! {error}").expect("writing to a String cannot fail");
    }
    writeln!(text, "= {}", block.status).expect("writing to a String cannot fail");
    text
}

/// Splits a command into words; quotes keep blanks together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut quoted = false;
    let mut word: Option<String> = None;
    for character in command.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

/// Runs a block's command; gives the block as it would be recorded.
pub(crate) fn run(tool: &Path, bootstrap: Option<&str>, block: &Block) -> Block {
    let words = words(&block.command);
    let (name, args) = words.split_first().expect("a command has a name");
    let mut command = Command::new(tool);
    command.arg(name).current_dir(golden_folder());
    let named = args.iter().any(|arg| arg == "BROKER");
    for arg in args {
        command.arg(if arg == "BROKER" {
            bootstrap.expect("a broker runs")
        } else {
            arg
        });
    }
    if !named && !OFFLINE.contains(&name.as_str()) {
        command
            .arg("--bootstrap-server")
            .arg(bootstrap.expect("a broker runs"));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = run_within_limit(&mut command, &block.input);
    let text = |bytes: &[u8]| normal::text(&String::from_utf8_lossy(bytes), bootstrap);
    let error = text(&output.stderr);
    Block {
        above: block.above.clone(),
        command: block.command.clone(),
        input: block.input.clone(),
        output: text(&output.stdout),
        errors: normal::errors(&error),
        status: output.status.code().unwrap_or(-1),
    }
}

/// Runs a command; kills it where it does not end by itself.
fn run_within_limit(command: &mut Command, input: &str) -> Output {
    let mut child = command.spawn().expect("the tool starts");
    let pid = child.id().to_string();
    let mut stdin = child.stdin.take().expect("it was piped");
    // A tool that reads nothing may have ended.
    let _ended = stdin.write_all(input.as_bytes());
    drop(stdin);
    let (sender, ended) = channel();
    let waiting = std::thread::spawn(move || {
        let output = child
            .wait_with_output()
            .expect("the tool's output can be read");
        // Nobody listens where the limit has passed.
        let _late = sender.send(());
        output
    });
    if ended.recv_timeout(LIMIT).is_err() {
        let _gone = Command::new("kill").args(["-9", &pid]).status();
    }
    waiting.join().expect("waiting does not panic")
}
