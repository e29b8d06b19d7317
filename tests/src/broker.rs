//! A broker as a real process: started in a folder, watched by its output, stopped or killed.
//!
//! Knows nothing of what the broker is asked. Every wait has a limit and ends with an event: a line
//! of output, or the end of the output, which is the end of the process.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::xtask::Workshop;
use crate::xtask::command::{cargo, quiet};

/// Limit for a start and for a stop.
const LIMIT: Duration = Duration::from_secs(30);

/// A running broker; dropped, it is killed.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    port: u16,
    lines: Receiver<String>,
    log: Vec<String>,
}

impl Broker {
    /// Starts a broker on a free port with its data in `FOLDER/data`, and waits until it listens.
    ///
    /// The settings are lines of its `server.properties`.
    ///
    /// # Errors
    ///
    /// What the broker said, when it does not come up.
    pub fn start(binary: &Path, folder: &Path, settings: &[&str]) -> Result<Self, String> {
        Self::start_at(free_port(), binary, folder, settings)
    }

    /// The same on a port of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`Broker::start`].
    pub fn start_at(
        port: u16,
        binary: &Path,
        folder: &Path,
        settings: &[&str],
    ) -> Result<Self, String> {
        let properties = write_properties(folder, port, settings).map_err(|e| e.to_string())?;
        let mut command = Command::new(binary);
        command.arg("serve").arg(properties).current_dir(folder);
        let mut broker = Self::spawn(&mut command, port).map_err(|error| error.to_string())?;
        broker.wait_for_line(&format!(":{port}"))?;
        Ok(broker)
    }

    /// Starts any command as a broker on `port`; does not wait.
    ///
    /// # Errors
    ///
    /// The command could not be started.
    pub fn spawn(command: &mut Command, port: u16) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let child = command.spawn()?;
        // The command holds the writing ends; the reader ends when the process does.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            port,
            lines,
            log: Vec::new(),
        })
    }

    /// Where clients find it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of output that contains a text, and returns it.
    ///
    /// # Errors
    ///
    /// All of the output, when the process ends or the limit passes first.
    pub fn wait_for_line(&mut self, text: &str) -> Result<String, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.log.push(line.clone());
                    if line.contains(text) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.account("said nothing more")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.account("ended")),
            }
        }
    }

    /// Waits for the end of the process by itself.
    ///
    /// # Errors
    ///
    /// All of the output, when the limit passes first.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Timeout) => return Err(self.account("did not end")),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.child.wait().map_err(|error| error.to_string())
    }

    /// Sends a signal by its name, for example `TERM`.
    ///
    /// # Errors
    ///
    /// The signal could not be sent.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let mut kill = Command::new("kill");
        let status = kill
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("kill -{name}: {status}")),
            Err(error) => Err(format!("kill -{name}: {error}")),
        }
    }

    /// Asks it to end and waits; returns its status and everything it said.
    ///
    /// # Errors
    ///
    /// It did not end within the limit.
    pub fn stop(mut self) -> Result<(ExitStatus, Vec<String>), String> {
        self.signal("TERM")?;
        let status = self.wait_for_end()?;
        Ok((status, std::mem::take(&mut self.log)))
    }

    /// Ends it as a crash does: `kill -9`.
    ///
    /// # Errors
    ///
    /// The signal could not be sent, or the process outlived it.
    pub fn crash(mut self) -> Result<(), String> {
        self.child.kill().map_err(|error| error.to_string())?;
        self.wait_for_end().map(drop)
    }

    /// Everything it has said so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
    }

    fn account(&self, what: &str) -> String {
        format!("the broker {what}; its output:\n{}", self.log.join("\n"))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Already ended is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The broker under test: what `OTTLA_BINARY` names, or else built now without optimisation.
///
/// # Panics
///
/// When it does not build.
#[must_use]
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let workshop = Workshop::here();
        quiet(&mut cargo(
            &workshop,
            900,
            &["build", "--quiet", "--package", "ottla"],
        ))
        .expect("the broker builds");
        workshop.target.join("debug/ottla")
    };
    let named = std::env::var_os("OTTLA_BINARY").map(PathBuf::from);
    BUILT.get_or_init(|| named.unwrap_or_else(build)).clone()
}

/// A fresh folder in cargo's output folder, for one test.
///
/// # Panics
///
/// When it cannot be made.
#[must_use]
pub fn fresh_folder(name: &str) -> PathBuf {
    let folder = Workshop::here().target.join("checks").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of an earlier run is ours");
    }
    fs::create_dir_all(&folder).expect("the output folder can be written");
    folder
}

/// A port that nobody listens on at the moment.
///
/// # Panics
///
/// When the machine has no loopback interface.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}

fn write_properties(folder: &Path, port: u16, settings: &[&str]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    // Brokers of tests that run side by side would all want the default port for metrics.
    let mut text =
        format!("listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs=data\nhttp.listener=\n");
    for setting in settings {
        text += setting;
        text += "\n";
    }
    let path = folder.join("server.properties");
    fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_end_are_events() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let mut process = Broker::spawn(&mut command, 1).expect("sh starts");
        assert_eq!(process.wait_for_line("tw"), Ok("two".to_owned()));
        assert_eq!(
            process.wait_for_end().map(|status| status.code()),
            Ok(Some(3))
        );
        assert_eq!(process.log(), ["one", "two"]);
        assert!(process.wait_for_line("three").is_err());
    }

    #[test]
    fn a_signal_ends_it() {
        let mut command = Command::new("tail");
        command.args(["-f", "/dev/null"]);
        let process = Broker::spawn(&mut command, 1).expect("tail starts");
        let (status, log) = process.stop().expect("tail ends");
        assert!(!status.success());
        assert!(log.is_empty());
    }
}
