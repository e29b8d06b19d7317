//! The tools print what Kafka's own tools print: scenarios of commands with their output.
//!
//! The scenarios in `tests/golden/cli` were recorded from the tools of Apache Kafka 4.3.1 against
//! its broker; here Ottla's tools run against Ottla's broker. A block is
//!
//! ```text
//! $ topics --create --topic a
//! > a line of standard input
//! Created topic a.
//! ! the first line of standard error
//! = 0
//! ```
//!
//! To record again: `KAFKA_TOOL` names a program that runs Kafka's tools by their names, and
//! `KAFKA_BOOTSTRAP` a fresh broker of Kafka without an authorizer. With `KAFKA_BOOTSTRAP` alone,
//! Ottla's tools are checked against that broker.

mod broker;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use broker::Broker;

/// Tools that ask no broker.
const OFFLINE: &[&str] = &["dump-log"];

/// Longest a command may take; Kafka's tools take seconds, Ottla's milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Settings that Kafka's broker sets for the whole cluster, or does not have.
const OWN_SETTINGS: &[&str] = &[
    "flush.policy=",
    "min.insync.replicas=",
    "record.validation=",
];

/// One command with what it reads and what it must print.
#[derive(Debug, Default)]
struct Block {
    /// The lines above it: comments and blank lines.
    above: String,
    command: String,
    input: String,
    output: String,
    error: Option<String>,
    status: i32,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/cli")
}

fn parse(text: &str) -> Vec<Block> {
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
            (Some(block), Some(("! ", error))) => block.error = Some(error.to_owned()),
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

fn print(block: &Block) -> String {
    let mut text = format!("{}$ {}\n", block.above, block.command);
    for line in block.input.lines() {
        writeln!(text, "> {line}").expect("writing to a String cannot fail");
    }
    text.push_str(&block.output);
    if let Some(error) = &block.error {
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
fn run(tool: &Path, bootstrap: Option<&str>, block: &Block) -> Block {
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
    let text = |bytes: &[u8]| normalised(&String::from_utf8_lossy(bytes), bootstrap);
    let error = text(&output.stderr);
    Block {
        above: block.above.clone(),
        command: block.command.clone(),
        input: block.input.clone(),
        output: text(&output.stdout),
        error: first_error(&error),
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

/// What standard error says: its first line for people; of Java's usage errors what is wrong,
/// without the usage, on one line.
fn first_error(error: &str) -> Option<String> {
    if error.starts_with("usage: ") {
        let words: Vec<&str> = error.split_whitespace().collect();
        let words = words.join(" ").replace(" -- ", " --");
        let (_usage, words) = words.split_once(": error: ")?;
        return Some(words.to_owned());
    }
    let line = error.lines().find(|line| is_for_users(line))?;
    let line = match line.strip_prefix("Exception in thread \"main\" ") {
        Some(thrown) => thrown
            .split_once(": ")
            .map_or(thrown, |(_class, words)| words),
        None => line,
    };
    let line = line.strip_prefix("Command line error: ").unwrap_or(line);
    let line = line.strip_suffix(". Type --help for help.").unwrap_or(line);
    Some(line.to_owned())
}

/// Whether a line of standard output is part of a stack trace of Java.
fn is_trace(line: &str) -> bool {
    const JAVA: &[&str] = &[
        "\tat ",
        "\t... ",
        "Caused by: ",
        "java.",
        "org.apache.kafka.",
    ];
    JAVA.iter().any(|start| line.starts_with(start))
}

/// Whether a line of standard error is the tool's own, and not of Java's logging.
fn is_for_users(line: &str) -> bool {
    const JAVA: &[&str] = &[
        "[",
        "The consumer rebalance protocol",
        "java.",
        "org.apache.kafka.",
        "\tat ",
    ];
    !line.is_empty() && !JAVA.iter().any(|start| line.starts_with(start))
}

/// Replaces what differs from run to run: ids, times, addresses, sizes on disk.
fn normalised(text: &str, bootstrap: Option<&str>) -> String {
    let mut normal = String::new();
    let mut after_trace = false;
    for line in text.lines() {
        let skipped = is_trace(line) || after_trace && line.is_empty();
        after_trace = is_trace(line);
        if skipped {
            continue;
        }
        if OWN_SETTINGS
            .iter()
            .any(|setting| line.trim_start().starts_with(setting))
        {
            continue;
        }
        let mut line = line.to_owned();
        if let Some(address) = bootstrap {
            let (host, port) = address.rsplit_once(':').expect("an address has a port");
            line = line
                .replace(address, "BROKER")
                .replace(&format!("{host} {port}"), "HOST PORT");
        }
        for label in ["TopicId: ", "Cluster ID: ", "\"directoryId\":\""] {
            line = after_label(&line, label, 22, "ID");
        }
        for label in [
            "CreateTime:",
            "CreateTime: ",
            "imestamp: ",
            "\"size\":",
            "\"timestamp\":",
            " Epoch: ",
        ] {
            line = digits_after_label(&line, label);
        }
        line = figures(&line);
        if let Some((before, _folder)) = line.split_once("payloads from: ") {
            line = format!("{before}payloads from: FILE");
        }
        for (label, end) in [("\"log_dirs\":[\"/", "\"]"), ("from log dir /", " to ")] {
            let mut parts = line.split(label);
            let mut found = parts.next().unwrap_or("").to_owned();
            for part in parts {
                let rest = part.split_once(end).map_or("", |(_, rest)| rest);
                found.push_str(&format!("{label}DIR{end}{rest}"));
            }
            line = found;
        }
        if let Some((before, after)) = line.split_once("\"logDir\":\"") {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            line = format!("{before}\"logDir\":\"DIR\"{rest}");
        }
        for setting in ["min.insync.replicas=1,", "min.insync.replicas=1"] {
            line = line.replace(setting, "");
        }
        if let Some((before, configs)) = line.split_once("Configs: ") {
            // Of those in one bucket of its hash map, Kafka's tool keeps the broker's order.
            let mut configs: Vec<&str> = configs.split(',').collect();
            configs.sort_unstable();
            line = format!("{before}Configs: {}", configs.join(","));
        }
        line = sorted_credentials(line);
        normal.push_str(&line);
        normal.push('\n');
    }
    sorted_quotas(&normal)
}

/// Sorts a user's credentials, whose order is the broker's and says nothing.
fn sorted_credentials(line: String) -> String {
    let Some((before, known)) = line.split_once(" are SCRAM-") else {
        return line;
    };
    let known = format!("SCRAM-{known}");
    let mut known: Vec<&str> = known.split(", ").collect();
    known.sort_unstable();
    format!("{before} are {}", known.join(", "))
}

/// Sorts lines of quotas that follow each other: of those in one bucket of its hash map, Kafka's
/// tool keeps the broker's order.
fn sorted_quotas(text: &str) -> String {
    let is_quota = |line: &str| line.starts_with("Quota configs for ");
    let mut lines: Vec<&str> = text.lines().collect();
    for together in lines.chunk_by_mut(|a, b| is_quota(a) && is_quota(b)) {
        together.sort_unstable();
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Replaces what was measured: in lines of figures all numbers but the first, else averages.
fn figures(line: &str) -> String {
    if line.contains(" records/sec ") {
        let (count, figures) = line.split_once(' ').unwrap_or((line, ""));
        let mut normal = format!("{count} ");
        for character in figures.chars() {
            match character {
                '0'..='9' if normal.ends_with('N') => {}
                '0'..='9' => normal.push('N'),
                other => normal.push(other),
            }
        }
        // The names of percentiles are no figures, but the same ones.
        return normal.replace("N.N", "N");
    }
    match line.split_once("\"avg_throughput\":") {
        Some((before, _figure)) => format!("{before}\"avg_throughput\":N}}"),
        None => line.to_owned(),
    }
}

fn after_label(line: &str, label: &str, length: usize, name: &str) -> String {
    let Some((before, after)) = line.split_once(label) else {
        return line.to_owned();
    };
    match after.split_at_checked(length) {
        Some((_, rest)) => format!("{before}{label}{name}{rest}"),
        None => line.to_owned(),
    }
}

fn digits_after_label(line: &str, label: &str) -> String {
    let mut parts = line.split(label);
    let mut normal = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|character: char| character.is_ascii_digit());
        let name = if rest.len() < part.len() { "N" } else { "" };
        normal.push_str(&format!("{label}{name}{rest}"));
    }
    normal
}

/// Plays one scenario; records it where Kafka's tools are named.
fn play(name: &str) {
    let path = golden_folder().join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).expect("the scenario is there");
    let recorder = std::env::var_os("KAFKA_TOOL").map(PathBuf::from);
    let named = std::env::var("KAFKA_BOOTSTRAP").ok();
    let broker = named.is_none().then(|| Broker::start(name));
    let bootstrap = named.or_else(|| broker.as_ref().map(|broker| broker.address().to_owned()));
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_ottla"));
    let tool = recorder.as_ref().unwrap_or(&ours);
    let mut played = String::new();
    let mut differences = String::new();
    for block in parse(&expected) {
        let found = run(tool, bootstrap.as_deref(), &block);
        let (wanted, found) = (print(&block), print(&found));
        if wanted != found {
            write!(differences, "--- expected\n{wanted}--- found\n{found}\n")
                .expect("writing to a String cannot fail");
        }
        played.push_str(&found);
    }
    if recorder.is_some() {
        std::fs::write(&path, played).expect("the scenario can be written");
        return;
    }
    assert!(
        differences.is_empty(),
        "{name} is not as Kafka has it:\n{differences}"
    );
}

/// Plays a scenario whose commands need `api`; where the broker does not serve it yet, what is
/// compared instead is that the tools say so.
fn play_where_served(name: &str, api: &str) {
    let broker = Broker::start(&format!("{name}-served"));
    let ours = Path::new(env!("CARGO_BIN_EXE_ottla"));
    let ask = |command: &str| {
        let command = command.to_owned();
        let block = Block {
            command,
            ..Block::default()
        };
        run(ours, Some(broker.address()), &block)
    };
    let served = ask("broker-api-versions --json").output;
    if std::env::var_os("KAFKA_BOOTSTRAP").is_some() || served.contains(&format!("\"{api}\"")) {
        play(name);
        return;
    }
    let words = format!("does not support {api}");
    let path = golden_folder().join(format!("{name}.txt"));
    let scenario = std::fs::read_to_string(path).expect("the scenario is there");
    let told = parse(&scenario).into_iter().any(|block| {
        let found = ask(&block.command);
        let error = found.error.unwrap_or_default();
        found.status == 1 && (error.contains(&words) || found.output.contains(&words))
    });
    assert!(told, "no tool of {name} says that the broker {words}");
}

#[test]
fn client_metrics() {
    play("client-metrics");
}

#[test]
fn cluster() {
    play("cluster");
}

#[test]
fn configs() {
    play("configs");
}

#[test]
fn console() {
    play("console");
}

#[test]
fn consumer_groups() {
    play("consumer-groups");
}

#[test]
fn delete_records() {
    play("delete-records");
}

#[test]
fn dump_log() {
    play("dump-log");
}

#[test]
fn features() {
    play("features");
}

#[test]
fn get_offsets() {
    play("get-offsets");
}

/// The features of Ottla are not those of Kafka, so that the scenario is played against Kafka
/// alone; the lines are of the same form.
#[test]
fn features_update() {
    if std::env::var_os("KAFKA_BOOTSTRAP").is_some() {
        play("features-update");
        return;
    }
    let broker = Broker::start("features-update");
    let block = Block {
        command: "features --bootstrap-server BROKER describe".to_owned(),
        ..Block::default()
    };
    let ours = Path::new(env!("CARGO_BIN_EXE_ottla"));
    let found = run(ours, Some(broker.address()), &block);
    let scenario = golden_folder().join("features-update.txt");
    let scenario = std::fs::read_to_string(scenario).expect("the scenario is there");
    let line = "Feature: kraft.version ";
    let of = |text: &str| {
        let mut lines = text.lines();
        lines
            .find(|found| found.starts_with(line))
            .map(str::to_owned)
    };
    assert!(of(&scenario).is_some());
    assert_eq!(of(&found.output), of(&scenario), "{found:?}");
}

#[test]
fn leader_election() {
    play_where_served("leader-election", "ElectLeaders");
}

#[test]
fn log_dirs() {
    play("log-dirs");
}

#[test]
fn perf() {
    play("perf");
}

#[test]
fn quotas() {
    play_where_served("quotas", "DescribeClientQuotas");
}

#[test]
fn reassign_partitions() {
    play_where_served("reassign-partitions", "ListPartitionReassignments");
}

#[test]
fn topics() {
    play("topics");
}

#[test]
fn usage() {
    play("usage");
}

#[test]
fn verifiable_producer() {
    play("verifiable-producer");
}
