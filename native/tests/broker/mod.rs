//! A broker of this build as a process, for the tests of the command line.
//!
//! Started on a port of its own with its data in a folder of its own; dropped, it is killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running broker.
#[derive(Debug)]
pub(crate) struct Broker {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Broker {
    /// Starts a broker and waits until it says where it listens.
    #[allow(dead_code, reason = "not every test that has this module needs it")]
    pub(crate) fn start(name: &str) -> Self {
        let folder = Self::folder(name);
        let directory = format!("log.dirs={}", folder.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command
            .args(["serve", "--override", "listeners=PLAINTEXT://127.0.0.1:0"])
            .args(["--override", "num.partitions=4"])
            .args(["--override", &directory]);
        Self::spawn(command, folder)
    }

    /// Starts a broker with a configuration file, which says where its data are.
    #[allow(dead_code, reason = "not every test that has this module needs it")]
    pub(crate) fn start_with(name: &str, properties: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
        command.args(["serve", properties]);
        Self::spawn(command, Self::folder(name))
    }

    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("the folder for tests can be written");
        folder
    }

    fn spawn(mut command: Command, folder: PathBuf) -> Self {
        let mut child = command
            .args(["--override", "http.listener="])
            .args(["--override", "group.initial.rebalance.delay.ms=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the broker starts");
        let said = BufReader::new(child.stderr.take().expect("it was piped"));
        let mut lines = said.lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| {
                let (_, after) = line.split_once("PLAINTEXT://")?;
                Some(
                    after
                        .split([';', ',', ' '])
                        .next()
                        .unwrap_or(after)
                        .to_owned(),
                )
            })
            .expect("the broker says where it listens");
        // Somebody has to read what it says, or it would wait for that one day.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            folder,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already ended is as good as killed, and a folder that stays is no failure of the test.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _stays = std::fs::remove_dir_all(&self.folder);
    }
}
