//! `console-producer`, for people `produce`: sends lines of standard input as records.
//!
//! Source: `kafka-console-producer.sh` of Apache Kafka 4.3.1. Unlike there, a record that could not
//! be delivered makes the exit status 1.

mod lines;
pub(in crate::cli) mod options;

use std::io::{BufRead, BufReader};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::{Arg, ArgMatches, Command};
use ottla_core::client::network::ClientEffect;
use ottla_core::client::producer::{Producer, ProducerRecord, Report};
use ottla_core::ids::{PartitionIndex, TopicName};
use serde_json::json;

use self::lines::LineReader;
use crate::cli::args::{self, Words, flag, number, option, repeated, text, texts};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use crate::cli::properties::{self, Properties};
use crate::cli::sockets::{Event, Sockets};

const EXAMPLES: &str = "\
Examples:
  ottla produce orders                             type lines, end with ctrl-D
  ottla produce orders -K : < lines.txt            key:value on each line
  echo hello | ottla produce orders --json         tell where each record went
  ottla console-producer --bootstrap-server localhost:9092 --topic orders \\
      --reader-property parse.key=true --reader-property parse.headers=true";

/// Records that may wait for their acknowledgement before more lines are read.
const RECORDS_WAITING_MAX: usize = 20_000;

/// Lines handed over at a time, where they are there already.
const LINES_AT_ONCE: usize = 1_000;

/// Buffer of standard input.
const INPUT_BYTES: usize = 256 * 1024;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let command = args::command(
        "console-producer",
        "Send lines of standard input as records",
    );
    with_producer(args::with_broker(command))
        .arg(Arg::new("TOPIC").help("The topic"))
        .arg(option("topic", "TOPIC", "The topic"))
        .arg(option(
            "partition",
            "P",
            "The partition, instead of choosing by key or chance",
        ))
        .arg(
            option("key-separator", "SEP", "Lines are key, SEP, value")
                .short('K')
                .conflicts_with("reader-property"),
        )
        .arg(repeated(
            "reader-property",
            "K=V",
            "parse.key=true, key.separator=:, ...",
        ))
        .arg(option(
            "reader-config",
            "FILE",
            "Properties of the reader of lines",
        ))
        .arg(
            option(
                "line-reader",
                "CLASS",
                "Kafka's LineMessageReader alone is here",
            )
            .hide(true),
        )
        .arg(repeated("property", "K=V", "As --reader-property").hide(true))
        .arg(option("broker-list", "HOST:PORT,...", "As --bootstrap-server").hide(true))
        .after_help(EXAMPLES)
}

/// Adds how records are sent.
fn with_producer(command: Command) -> Command {
    let codec = option(
        "compression-codec",
        "CODEC",
        "none, gzip, snappy, lz4 or zstd [gzip]",
    );
    // What begins with a dash is the next option, not a codec.
    let codec = codec
        .num_args(0..=1)
        .allow_hyphen_values(false)
        .default_missing_value("gzip");
    command
        .arg(codec)
        .arg(option("request-required-acks", "ACKS", "all (-1), 1 or 0"))
        .arg(flag("sync", "Wait for each record before the next"))
        .arg(option(
            "batch-size",
            "BYTES",
            "Size at which a batch is sent",
        ))
        .arg(option(
            "timeout",
            "MS",
            "Wait this long for more records of a batch",
        ))
        .arg(option(
            "message-send-max-retries",
            "N",
            "Retries of a batch",
        ))
        .arg(option("retry-backoff-ms", "MS", "Wait before a retry"))
        .arg(option(
            "request-timeout-ms",
            "MS",
            "How long an acknowledgement may take",
        ))
        .arg(repeated(
            "command-property",
            "K=V",
            "Properties of the producer",
        ))
        .arg(repeated("producer-property", "K=V", "As --command-property").hide(true))
        .arg(option("producer.config", "FILE", "As --command-config").hide(true))
        .arg(option("max-partition-memory-bytes", "BYTES", "As --batch-size").hide(true))
        .arg(option("max-block-ms", "MS", "Accepted").hide(true))
        .arg(option("max-memory-bytes", "BYTES", "Accepted").hide(true))
        .arg(option("metadata-expiry-ms", "MS", "Accepted").hide(true))
        .arg(option("socket-buffer-size", "BYTES", "Accepted").hide(true))
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let (address, file) = args::broker(matches, console)?;
    let topic = match (text(matches, "TOPIC"), text(matches, "topic")) {
        (Some(topic), None) | (None, Some(topic)) => topic,
        (None, None) => return Err(Failure::usage("Missing required argument \"[topic]\"")),
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "The topic is to be named once, as TOPIC or with --topic.",
            ));
        }
    };
    let properties = options::producer_properties(matches, file, console)?;
    let reader = LineReader::new(&reader_properties(matches, console)?)?;
    let sync = matches.get_flag("sync");
    let options = options::producer_options(&address, &properties, sync)?;
    let partition = number::<i32>(matches, "partition")?.map(PartitionIndex);
    // Says at once that there is nobody, which the producer would try for two minutes.
    Cluster::new(&address, &properties, "console-producer")?.brokers()?;
    let mut sockets = Sockets::new(options.network.connect_timeout);
    let credit = read_input(&sockets);
    let mut sender = Sending {
        producer: Producer::new(options),
        effects: Vec::new(),
        topic: Arc::from(topic),
        partition,
        reader,
        json: matches.get_flag("json"),
        failed: false,
        acknowledged: 0,
    };
    let prompt = console.in_is_terminal && console.out_is_terminal;
    sender.run(&mut sockets, &credit, sync, prompt, console)
}

/// The reader's properties; `-K` asks for keys.
fn reader_properties(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Properties, Failure> {
    let renamed = ("property", "reader-property");
    args::deprecated(matches, Words::ConsoleProducer, renamed, console)?;
    if let Some(class) = text(matches, "line-reader")
        && !class.ends_with("LineMessageReader")
    {
        return Err(Failure::refused(format!(
            "There is no line reader {class} here: only Kafka's LineMessageReader."
        )));
    }
    let mut merged = match text(matches, "reader-config") {
        Some(path) => properties::read_file(path)?,
        None => Properties::new(),
    };
    merged.extend(properties::from_args(texts(matches, "property")));
    merged.extend(properties::from_args(texts(matches, "reader-property")));
    if let Some(separator) = text(matches, "key-separator") {
        merged.insert("parse.key".to_owned(), "true".to_owned());
        merged.insert("key.separator".to_owned(), separator.to_owned());
    }
    Ok(merged)
}

/// What the reading thread hands over.
#[derive(Debug, Default)]
struct Lines {
    /// Some lines without their ends.
    lines: Vec<Vec<u8>>,
    /// Whether they are the last: at the end of input, or where it cannot be read further.
    end: Option<std::io::Result<()>>,
}

/// Reads standard input on its own thread, some lines for each credit.
fn read_input(sockets: &Sockets<Lines>) -> SyncSender<()> {
    let (credit, credits): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let sender = sockets.sender();
    std::thread::spawn(move || {
        let mut input = BufReader::with_capacity(INPUT_BYTES, std::io::stdin());
        while credits.recv().is_ok() {
            let lines = some_lines(&mut input);
            let ended = lines.end.is_some();
            if sender.send(Event::Tool(lines)).is_err() || ended {
                return;
            }
        }
    });
    credit
}

/// Waits for one line, and takes with it those that are there already.
fn some_lines<R: std::io::Read>(input: &mut BufReader<R>) -> Lines {
    let mut given = Lines::default();
    loop {
        let mut line = Vec::new();
        match input.read_until(b'\n', &mut line) {
            Ok(1..) => {}
            ended => {
                // What was read of a line that breaks off is no record.
                given.end = Some(ended.map(|_nothing| ()));
                return given;
            }
        }
        if line.ends_with(b"\n") {
            line.pop();
            if line.ends_with(b"\r") {
                line.pop();
            }
        }
        given.lines.push(line);
        if given.lines.len() >= LINES_AT_ONCE || !input.buffer().contains(&b'\n') {
            return given;
        }
    }
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::refused(format!(
        "Cannot read standard input: {error}. The lines before were sent."
    ))
}

/// A run of the tool.
struct Sending {
    producer: Producer,
    effects: Vec<ClientEffect>,
    topic: TopicName,
    partition: Option<PartitionIndex>,
    reader: LineReader,
    json: bool,
    /// Whether any record was not delivered.
    failed: bool,
    acknowledged: u64,
}

impl Sending {
    /// Sends until input ends and everything has been acknowledged.
    fn run(
        &mut self,
        sockets: &mut Sockets<Lines>,
        credit: &SyncSender<()>,
        sync: bool,
        prompt: bool,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut ended = false;
        let mut refused = None;
        let mut is_reading = false;
        let mut progress = Progress::new(console, !console.in_is_terminal && !self.json);
        loop {
            let room = if sync { 1 } else { RECORDS_WAITING_MAX };
            if !ended && !is_reading && self.producer.records_waiting() < room {
                if prompt {
                    write!(console.out, ">")?;
                }
                console.flush()?;
                is_reading = credit.send(()).is_ok();
            }
            if ended && self.producer.is_idle() {
                break;
            }
            match sockets.wait(self.producer.next_deadline()) {
                Some(Event::Tool(lines)) => {
                    is_reading = false;
                    let sent = self.send(&lines.lines, sockets, sync, console)?;
                    ended = lines.end.is_some() || sent.is_err();
                    let unread = lines.end.and_then(Result::err).map(unreadable);
                    refused = sent.err().or(unread);
                    if ended {
                        self.producer.flush();
                    }
                    self.producer.on_time(sockets.now());
                }
                Some(Event::Client(input)) => self.producer.on_input(sockets.now(), input),
                Some(Event::Opened(..)) | None => self.producer.on_time(sockets.now()),
            }
            self.settle(sockets, console)?;
            progress.show(console, || {
                format!("{} records acknowledged", self.acknowledged)
            });
        }
        progress.end(console);
        match (refused, self.failed) {
            (Some(failure), _) => Err(failure),
            (None, true) => Err(Failure::Told),
            (None, false) => Ok(()),
        }
    }

    /// Hands lines to the producer; stops at the first that is no record.
    fn send(
        &mut self,
        lines: &[Vec<u8>],
        sockets: &mut Sockets<Lines>,
        sync: bool,
        console: &mut Console<'_>,
    ) -> Result<Result<(), Failure>, Failure> {
        for line in lines {
            let content = match self.reader.read(line) {
                Ok(content) => content,
                Err(failure) => return Ok(Err(failure)),
            };
            let record = ProducerRecord {
                topic: Arc::clone(&self.topic),
                partition: self.partition,
                key: content.key,
                value: content.value,
                headers: content.headers,
                timestamp: None,
            };
            let now = sockets.now();
            self.producer.send(now, record);
            while sync && !self.producer.is_idle() {
                self.producer.on_time(sockets.now());
                self.settle(sockets, console)?;
                match sockets.wait(self.producer.next_deadline()) {
                    Some(Event::Client(input)) => self.producer.on_input(sockets.now(), input),
                    // Input is read only when asked for, and nothing was asked.
                    Some(Event::Opened(..) | Event::Tool(_)) | None => {}
                }
            }
        }
        Ok(Ok(()))
    }

    /// Carries out what the producer wants and tells what became of records.
    fn settle(
        &mut self,
        sockets: &mut Sockets<Lines>,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.producer.take_effects(&mut self.effects);
        sockets.perform(&mut self.effects);
        while let Some(report) = self.producer.next_report() {
            self.tell(report, console)?;
        }
        Ok(())
    }

    fn tell(&mut self, report: Report, console: &mut Console<'_>) -> Result<(), Failure> {
        self.acknowledged += u64::from(report.result.is_ok());
        match report.result {
            Ok(delivered) if self.json => {
                let partition = delivered.partition;
                console.json(&json!({
                    "topic": &*partition.topic,
                    "partition": partition.partition.0,
                    "offset": delivered.offset.0,
                }))
            }
            Ok(_delivered) => Ok(()),
            Err(undelivered) => {
                self.failed = true;
                let maybe = match undelivered.may_be_written {
                    true => " It may have been written all the same.",
                    false => "",
                };
                console.notice(format!(
                    "Error when sending record {} to topic {}: {}.{maybe}",
                    report.record.0 + 1,
                    self.topic,
                    undelivered.error
                ));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_come_together() {
        let mut input = BufReader::new(&b"a\r\nb\n\nlast"[..]);
        let first = some_lines(&mut input);
        assert_eq!(first.lines, [b"a".to_vec(), b"b".to_vec(), Vec::new()]);
        assert!(first.end.is_none());
        assert_eq!(some_lines(&mut input).lines, [b"last".to_vec()]);
        assert!(matches!(some_lines(&mut input).end, Some(Ok(()))));
    }

    #[test]
    fn input_that_breaks_is_not_at_its_end() {
        /// Gives this, then an error.
        struct Broken(Option<&'static [u8]>);
        impl std::io::Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let given = self.0.take().ok_or(std::io::ErrorKind::IsADirectory)?;
                buffer[..given.len()].copy_from_slice(given);
                Ok(given.len())
            }
        }
        let mut input = BufReader::new(Broken(Some(b"whole\nhal")));
        assert_eq!(some_lines(&mut input).lines, [b"whole".to_vec()]);
        let broken = some_lines(&mut input);
        assert!(broken.lines.is_empty());
        assert!(matches!(broken.end, Some(Err(_))));
    }

    #[test]
    fn the_codec_may_be_left_to_the_tool() {
        let codec = |args: &[&str]| {
            let matches = command()
                .try_get_matches_from(args)
                .expect("good arguments");
            text(&matches, "compression-codec").map(str::to_owned)
        };
        assert_eq!(
            codec(&["t", "--compression-codec"]).as_deref(),
            Some("gzip")
        );
        assert_eq!(
            codec(&["t", "--compression-codec", "zstd"]).as_deref(),
            Some("zstd")
        );
        assert_eq!(
            codec(&["--compression-codec=lz4", "--topic", "t"]).as_deref(),
            Some("lz4")
        );
        let followed = ["--compression-codec", "--topic", "t"];
        assert_eq!(codec(&followed).as_deref(), Some("gzip"));
        assert_eq!(codec(&["t"]), None);
    }
}
