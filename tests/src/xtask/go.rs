//! The Go clients: their programs, built from `tests/clients/go` with pinned modules.
//!
//! Modules come through Go's proxy, checked against `go.sum`. Where the machine has no Go, or one
//! too old, Debian's fetches the wanted one, which is a module like the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{command, quiet};
use super::{Workshop, setup};

/// The oldest Go that compiles the clients, and the one that is fetched where there is none.
const MINOR_MIN: u32 = 26;
const FETCHED: &str = "1.26.8";

/// One client as it is built and called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Its folder in `tests/clients/go`.
    folder: &'static str,
    /// The file of its modules.
    modules: &'static str,
    /// What is added to its command line.
    pub(super) more: &'static [&'static str],
}

pub(super) const SARAMA_2_1: Program = Program {
    name: "sarama 1.45.2 (2.1)",
    folder: "sarama",
    modules: "go.mod",
    more: &["version=2.1.0"],
};

pub(super) const SARAMA_2_8: Program = Program {
    name: "sarama 1.45.2 (2.8)",
    more: &["version=2.8.0"],
    ..SARAMA_2_1
};

pub(super) const FRANZ: Program = Program {
    name: "franz-go 1.22.3",
    folder: "franz",
    modules: "go.mod",
    more: &[],
};

pub(super) const KAFKA_GO: Program = Program {
    name: "kafka-go 0.4.51",
    folder: "kafkago",
    modules: "go.mod",
    more: &[],
};

pub(super) const KAFKA_GO_OLD: Program = Program {
    name: "kafka-go 0.4.47",
    modules: "old.mod",
    ..KAFKA_GO
};

pub(super) const LIBRDKAFKA_1: Program = Program {
    name: "librdkafka 1.9.2",
    folder: "librdkafka",
    modules: "go.mod",
    more: &[],
};

/// Every client.
pub(super) const ALL: &[Program] = &[
    SARAMA_2_1,
    SARAMA_2_8,
    FRANZ,
    KAFKA_GO,
    KAFKA_GO_OLD,
    LIBRDKAFKA_1,
];

impl Program {
    /// Builds the program, unless it was built from the same sources and modules before.
    ///
    /// # Errors
    ///
    /// Go's, or a file of the repository could not be read.
    pub(super) fn build(self, workshop: &Workshop) -> Result<PathBuf, String> {
        let folder = workshop.tests("clients/go").join(self.folder);
        let modules = folder.join(self.modules);
        let mut inputs = vec![modules.clone(), modules.with_extension("sum")];
        for sources in [&folder, &workshop.tests("clients/go/common")] {
            inputs.extend(go_files(sources)?);
        }
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        let name = format!("go-{}-{}", self.folder, self.modules);
        let built = workshop.cache.join(name);
        setup::once(workshop, &built, &inputs, |built| {
            let mut go = go(workshop)?;
            go.args(["build", "-trimpath", "-mod=readonly", "-modfile"]);
            go.arg(self.modules)
                .arg("-o")
                .arg(built.join("program"))
                .arg(".");
            quiet(go.current_dir(&folder)).map(drop)
        })?;
        Ok(built.join("program"))
    }
}

fn go_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        if path.extension().is_some_and(|kind| kind == "go") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A command of a Go that is new enough.
fn go(workshop: &Workshop) -> Result<Command, String> {
    for program in ["go", "/usr/local/go/bin/go"] {
        if minor_version(workshop, program) >= Some(MINOR_MIN) {
            return Ok(of(workshop, Path::new(program)));
        }
    }
    setup::debian(workshop, &["golang-go"])?;
    let folder = workshop.cache.join("go-toolchain");
    setup::once(workshop, &folder, &[], |folder| {
        let module = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.linux-amd64");
        let mut download = of(workshop, Path::new("/usr/bin/go"));
        download.args(["mod", "download", "-x", &module]);
        quiet(download.current_dir(folder).env("GOMODCACHE", folder))?;
        // The files of a module are not programs until they are made so.
        let mut chmod = command(workshop, 60, "chmod");
        chmod.args(["-R", "+rx"]).arg(folder.join("golang.org"));
        quiet(&mut chmod).map(drop)
    })?;
    let name = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.linux-amd64/bin/go");
    Ok(of(workshop, &folder.join(name)))
}

fn of(workshop: &Workshop, program: &Path) -> Command {
    let mut go = command(workshop, 900, program);
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "");
    go
}

/// The number after `go1.`, where there is such a program.
fn minor_version(workshop: &Workshop, program: &str) -> Option<u32> {
    let output = of(workshop, Path::new(program)).arg("version").output();
    let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
    let after = text.split("go1.").nth(1)?;
    after.split(['.', ' ']).next()?.parse().ok()
}
