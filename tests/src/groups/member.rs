//! One member as a process: its events as values, commands to it as lines.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use super::Client;

/// A partition as members name it, `TOPIC:NUMBER`.
pub(super) type Partition = String;

/// What a member told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// All that is assigned to it now.
    Assigned(Vec<Partition>),
    /// What a commit committed: the next offset of each partition.
    Committed(BTreeMap<Partition, i64>),
    /// The end of its output, which is the end of the process.
    Ended,
    /// A commit or a command failed.
    Failed(String),
    /// It left its group in order.
    Left,
    /// Anything else it printed, kept for the account of a failure.
    Other(String),
    /// It read a record.
    Record(Partition, i64),
    /// A rebalance took something from it.
    Revoked,
}

impl Event {
    /// A line of output as an event.
    pub(super) fn parse(line: &str) -> Self {
        let other = || Self::Other(line.to_owned());
        let mut words = line.split_whitespace();
        match words.next() {
            Some("assigned") => Self::Assigned(words.map(str::to_owned).collect()),
            Some("committed") => offsets(words).map_or_else(other, Self::Committed),
            Some("failed") => Self::Failed(line.to_owned()),
            Some("left") => Self::Left,
            Some("record") => {
                let (partition, offset) = (words.next(), words.next());
                match (partition, offset.and_then(|offset| offset.parse().ok())) {
                    (Some(partition), Some(offset)) => Self::Record(partition.to_owned(), offset),
                    _ => other(),
                }
            }
            Some("revoked") => Self::Revoked,
            Some(_) | None => other(),
        }
    }
}

fn offsets<'a>(words: impl Iterator<Item = &'a str>) -> Option<BTreeMap<Partition, i64>> {
    let pair = |word: &str| {
        let (partition, offset) = word.split_once('=')?;
        Some((partition.to_owned(), offset.parse().ok()?))
    };
    words.map(pair).collect()
}

/// A running member; dropped, it is killed.
#[derive(Debug)]
pub(super) struct Member {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Member {
    /// Starts a member; what it tells goes to `events`, with its number.
    pub(super) fn start(
        client: &Client,
        arguments: &[String],
        number: usize,
        events: &Sender<(usize, Event)>,
    ) -> io::Result<Self> {
        let (program, first) = client
            .command
            .split_first()
            .expect("a client's command has a program");
        let mut child = Command::new(program)
            .args(first)
            .args(arguments)
            .args(client.more)
            .envs(client.environment.iter().cloned())
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout is piped, above");
        let stderr = child.stderr.take().expect("stderr is piped, above");
        let (told, said) = (events.clone(), events.clone());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once the scenario is over.
                let _over = told.send((number, Event::parse(&line)));
            }
            let _over = told.send((number, Event::Ended));
        });
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _over = said.send((number, Event::Other(line)));
            }
        });
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// Gives a command.
    pub(super) fn tell(&mut self, command: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(format!("{command}\n").as_bytes()),
            None => Err(io::Error::other("a killed member is told nothing")),
        }
    }

    /// Ends it as a crash does.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.stdin = None;
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Already ended is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_events() {
        let check = |line: &str, event: Event| assert_eq!(Event::parse(line), event);
        check(
            "assigned a:0 a:1",
            Event::Assigned(vec!["a:0".to_owned(), "a:1".to_owned()]),
        );
        check("assigned", Event::Assigned(Vec::new()));
        check("record a:0 17", Event::Record("a:0".to_owned(), 17));
        check(
            "committed a:0=18",
            Event::Committed(BTreeMap::from([("a:0".to_owned(), 18)])),
        );
        check(
            "record of something",
            Event::Other("record of something".to_owned()),
        );
        check("committed a", Event::Other("committed a".to_owned()));
        check("revoked", Event::Revoked);
    }
}
