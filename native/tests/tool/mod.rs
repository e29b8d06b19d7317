//! A tool of this build as a process, for the tests of the command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn ottla(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command.spawn().expect("the tool starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).expect("the tool reads");
    drop(stdin);
    child.wait_with_output().expect("the tool ends")
}

/// Runs a tool that must succeed; gives its standard output.
pub(crate) fn said(args: &[&str], input: &str) -> String {
    let output = run(&mut ottla(args), input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).expect("it is text")
}

/// Ends a child that would go on for ever.
#[allow(dead_code, reason = "not every test that has this module needs it")]
pub(crate) struct Ending(pub(crate) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

pub(crate) fn folder(name: &str) -> PathBuf {
    let name = format!("tools-{name}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("the folder for tests can be written");
    folder
}
