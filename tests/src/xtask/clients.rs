//! Real clients against the released broker, and Kafka's dump tool over what they left behind.
//!
//! The checks themselves are in `tests/clients/`, each in its client's language; here they get an
//! interpreter, a broker and a verdict.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{cargo, command, quiet, run};
use super::lanes::show;
use super::{Tally, Workshop, go, results, setup};
use crate::broker::Broker;

/// Seconds for all checks of one client.
const CLIENT_LIMIT_S: u32 = 300;

/// What the introduction's example types, after the name of the tool.
const INTRODUCTION: &str =
    "--create --zookeeper localhost:2181 --replication-factor 1 --partitions 1 --topic test";

/// Lines of Kafka's dump tool that tell of a damaged file.
const DAMAGE: &[&str] = &[
    "isvalid: false",
    "Mismatches in",
    "invalid bytes",
    "Found timestamp mismatch",
    "Found out of order",
    "Exception",
];

/// How Java programs are run: they are short.
pub(super) const JAVA: &[&str] = &[
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];

/// Builds the broker as it is released: by itself, so that no test feature is in it.
///
/// # Errors
///
/// The build's.
pub fn release(workshop: &Workshop) -> Result<Tally, String> {
    run(&mut cargo(
        workshop,
        1200,
        &["build", "--quiet", "--release", "--package", "ottla"],
    ))
}

/// The broker to check: the released one, built now where it is not; or what `OTTLA_BINARY` names.
///
/// # Errors
///
/// The build's.
pub(super) fn binary(workshop: &Workshop) -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("OTTLA_BINARY") {
        return Ok(PathBuf::from(named));
    }
    release(workshop).map(|_| workshop.release_binary())
}

/// Every client of `tests/clients/` against one broker.
///
/// # Errors
///
/// The broker did not start, did not stop, or complained.
pub fn clients(workshop: &Workshop) -> Result<Tally, String> {
    let folder = empty_folder(workshop, "clients")?;
    let broker = Broker::start(&binary(workshop)?, &folder, &["num.partitions=4"])?;
    let mut tally = Tally::default();
    for (name, counted) in clients_against(workshop, &broker.address()) {
        results::note(workshop, name, "checks", &counted)?;
        tally.add(counted);
    }
    end(broker, &mut tally)?;
    Ok(tally)
}

/// Stops a broker in order; its status and its errors count, and what it said is shown when
/// anything failed.
///
/// # Errors
///
/// It did not end.
pub(super) fn end(broker: Broker, tally: &mut Tally) -> Result<(), String> {
    let (status, log) = broker.stop()?;
    if !status.success() {
        tally.add(failure(format!("the broker ended with {status}")));
    }
    if let Some(line) = log.iter().find(|line| line.contains(" ERROR ")) {
        tally.add(failure(format!("the broker complained: {line}")));
    }
    if tally.failed > 0 {
        show(log.join("\n"));
    }
    Ok(())
}

/// The same against a broker that runs already, for instance Apache Kafka itself.
pub fn clients_against(workshop: &Workshop, address: &str) -> Vec<(&'static str, Tally)> {
    let mut tallies = Vec::new();
    for (name, client) in all(workshop, address) {
        show(format_args!("-- {name}"));
        let counted = client.and_then(|mut client| run(&mut client));
        let tally = counted.unwrap_or_else(|problem| failure(format!("{name}: {problem}")));
        tallies.push((name, tally));
    }
    tallies
}

type Prepared = Result<Command, String>;

/// The clients with the commands that run their checks.
fn all(workshop: &Workshop, address: &str) -> Vec<(&'static str, Prepared)> {
    let python = |name, script: &str| -> Prepared {
        let mut client = command(workshop, CLIENT_LIMIT_S, setup::python(workshop, name)?);
        client
            .arg(workshop.tests("clients").join(script))
            .arg(address);
        client.env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(client)
    };
    let kcat = || -> Prepared {
        setup::kcat(workshop)?;
        let mut client = command(workshop, CLIENT_LIMIT_S, "bash");
        client.arg(workshop.tests("clients/kcat.sh")).arg(address);
        Ok(client)
    };
    let kafkajs = || -> Prepared {
        let modules = setup::node_modules(workshop)?;
        let mut client = command(workshop, CLIENT_LIMIT_S, "node");
        client
            .arg(workshop.tests("clients/kafkajs.js"))
            .arg(address)
            .env("NODE_PATH", modules);
        Ok(client)
    };
    let java = || -> Prepared {
        let mut client = java(workshop)?;
        client
            .arg(workshop.tests("clients/java/Checks.java"))
            .arg(address);
        Ok(client)
    };
    let go = |program: go::Program| -> Prepared {
        let mut client = command(workshop, CLIENT_LIMIT_S, program.build(workshop)?);
        client.args(["checks", address]).args(program.more);
        Ok(client)
    };
    let mut clients = vec![
        ("kafka-python 2.0.2", python("old", "kafka_python.py")),
        ("kafka-python 3.0.12", python("new", "kafka_python.py")),
        ("confluent-kafka 2.16.1", python("new", "confluent.py")),
        ("aiokafka 0.14.0", python("new", "aio.py")),
        ("kcat 1.7.1", kcat()),
        ("KafkaJS 2.2.4", kafkajs()),
        ("kafka-clients 4.3.1", java()),
    ];
    clients.extend(go::ALL.iter().map(|program| (program.name, go(*program))));
    clients
}

/// `java` with Kafka's jars on its class path.
fn java(workshop: &Workshop) -> Prepared {
    let jars = setup::java(workshop)?;
    let mut java = command(workshop, CLIENT_LIMIT_S, "java");
    java.args(JAVA).arg("-cp").arg(jars.join("*"));
    Ok(java)
}

/// The introduction's example, word for word, on a broker that was started with nothing.
///
/// # Errors
///
/// Port 9092 is taken, the broker did not start, or a command failed.
pub fn introduction(workshop: &Workshop) -> Result<Tally, String> {
    let folder = empty_folder(workshop, "introduction")?;
    let binary = binary(workshop)?;
    let broker = start_with_nothing(&binary, &folder)?;
    quiet(
        command(workshop, 30, &binary)
            .arg("links")
            .arg(folder.join("bin")),
    )?;
    let mut topics = command(workshop, 30, folder.join("bin/kafka-topics.sh"));
    let said = quiet(topics.args(INTRODUCTION.split(' ')))?;
    let mut tally = Tally::default();
    if said.trim() != "Created topic test." {
        tally.add(failure(format!("kafka-topics.sh said {said:?}")));
    }
    for name in ["old", "new"] {
        let mut client = command(workshop, 60, setup::python(workshop, name)?);
        client.arg(workshop.tests("clients/introduction.py"));
        tally.add(run(client.env("PYTHONDONTWRITEBYTECODE", "1"))?);
    }
    end(broker, &mut tally)?;
    Ok(tally)
}

/// Starts a broker with its defaults, whose one line tells what a user must know.
fn start_with_nothing(binary: &Path, folder: &Path) -> Result<Broker, String> {
    let mut command = Command::new(binary);
    let mut broker = Broker::spawn(command.current_dir(folder), 9092).map_err(|e| e.to_string())?;
    let line = broker.wait_for_line(":9092")?;
    show(&line);
    for text in [
        env!("CARGO_PKG_VERSION"),
        "127.0.0.1:9092",
        "ottla-data",
        "ack",
    ] {
        if !line.contains(text) {
            return Err(format!("the broker's line does not tell {text}: {line}"));
        }
    }
    Ok(broker)
}

/// Kafka's dump tool reads every file that the clients' broker left behind.
///
/// # Errors
///
/// Nothing to read, or the tool failed.
pub fn dump(workshop: &Workshop) -> Result<Tally, String> {
    let data = workshop.target.join("checks/clients/data");
    let mut files = Vec::new();
    collect(&data, &mut files).map_err(|error| format!("{}: {error}", data.display()))?;
    let is_metadata = |path: &PathBuf| path.to_string_lossy().contains("__cluster_metadata");
    let (metadata, topics): (Vec<_>, Vec<_>) = files.into_iter().partition(is_metadata);
    if metadata.is_empty() || topics.is_empty() {
        return Err("no files to dump: the step `clients` leaves them".to_owned());
    }
    let mut tally = Tally::default();
    for chunk in topics.chunks(200) {
        tally.add(dump_files(workshop, chunk, "--deep-iteration")?);
    }
    tally.add(dump_files(
        workshop,
        &metadata,
        "--cluster-metadata-decoder",
    )?);
    Ok(tally)
}

fn dump_files(workshop: &Workshop, files: &[PathBuf], flag: &str) -> Result<Tally, String> {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let mut tool = java(workshop)?;
    tool.args(["org.apache.kafka.tools.DumpLogSegments", flag, "--files"]);
    let text = quiet(tool.arg(names.join(",")))?;
    let mut tally = Tally::default();
    let mut rest = text.as_str();
    for name in &names {
        let Some((_, after)) = rest.split_once(&format!("Dumping {name}\n")) else {
            tally.add(failure(format!("not dumped: {name}")));
            continue;
        };
        rest = after;
        let own = after.split("\nDumping ").next().unwrap_or_default();
        match own
            .lines()
            .find(|line| DAMAGE.iter().any(|damage| line.contains(damage)))
        {
            None => tally.add(Tally::counted(1, 0)),
            Some(line) => {
                show(format_args!("FAIL dump {name}: {line}"));
                tally.add(failure(format!("{name}: {line}")));
            }
        }
    }
    show(format_args!("{} files read by the dump tool", names.len()));
    Ok(tally)
}

/// The files that the dump tool knows, in order. It cannot read the index of a log that is empty.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let is_empty_log = |path: &Path| fs::metadata(path).is_ok_and(|log| log.len() == 0);
    for path in paths {
        let kind = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match kind.as_str() {
            _ if path.is_dir() => collect(&path, files)?,
            "index" | "timeindex" if is_empty_log(&path.with_extension("log")) => {}
            "index" | "log" | "snapshot" | "timeindex" => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// One failed check.
pub(super) fn failure(problem: String) -> Tally {
    Tally {
        passed: 0,
        failed: 1,
        problem: Some(problem),
    }
}

/// A fresh folder of that name for a broker.
pub(super) fn empty_folder(workshop: &Workshop, name: &str) -> Result<PathBuf, String> {
    let folder = workshop.target.join("checks").join(name);
    let problem = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(problem)?;
    }
    fs::create_dir_all(&folder).map_err(problem)?;
    Ok(folder)
}
