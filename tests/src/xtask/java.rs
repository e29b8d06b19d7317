//! Kafka's own Java programs: its tools, Streams and Connect, each in one process against a broker.
//!
//! The programs are in `tests/clients/java`; what the tools must print was recorded from Kafka's
//! own broker, which had the settings and the directories that the scripts say.

use std::path::Path;
use std::process::Command;

use super::clients::{JAVA, binary, empty_folder, end};
use super::command::{command, run};
use super::{Tally, Workshop, results, setup};
use crate::broker::Broker;

/// Seconds for one program.
const LIMIT_S: u32 = 300;

/// Settings of the brokers, and of the Kafka that was recorded.
const SETTINGS: &[&str] = &[
    "num.partitions=4",
    "offsets.topic.num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
];

/// What the tools are told to do, and what they print.
const SCRIPTS: [&str; 2] = ["tools.txt", "moves.txt"];

/// A second directory beside the first, for moves between the two.
const TWO_FOLDERS: &str = "log.dirs=data,data2";

/// The programs besides the tools.
const PROGRAMS: [(&str, &str); 2] = [
    ("Kafka Streams 4.3.1", "Streams.java"),
    ("Kafka Connect 4.3.1", "Connect.java"),
];

/// Kafka's tools, each script against a broker of its own.
///
/// # Errors
///
/// A broker did not start, did not stop, or complained.
pub fn tools(workshop: &Workshop) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let moving: Vec<&str> = SETTINGS.iter().copied().chain([TWO_FOLDERS]).collect();
    for (script, settings) in SCRIPTS.iter().zip([SETTINGS, &moving]) {
        let folder = empty_folder(workshop, "tools")?;
        let broker = Broker::start(&binary(workshop)?, &folder, settings)?;
        let data = folder.join("data");
        tally.add(script_of(workshop, script, &broker.address(), &data)?);
        end(broker, &mut tally)?;
    }
    results::note(workshop, "Kafka's tools 4.3.1", "checks", &tally)?;
    Ok(tally)
}

/// Kafka's tools against a broker that runs already, whose data is in a folder; for the moves, also
/// in the one beside it whose name ends with a 2.
///
/// # Errors
///
/// The program could not be run.
pub fn tools_of(workshop: &Workshop, address: &str, data: &Path) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for script in SCRIPTS {
        tally.add(script_of(workshop, script, address, data)?);
    }
    Ok(tally)
}

fn script_of(
    workshop: &Workshop,
    script: &str,
    address: &str,
    data: &Path,
) -> Result<Tally, String> {
    let mut java = program(workshop, "Tools.java")?;
    java.arg(address)
        .arg(data)
        .arg(workshop.tests("clients/java").join(script));
    if std::env::var_os("UPDATE").is_some() {
        java.arg("record");
    }
    run(&mut java)
}

/// Kafka Streams, at least once, and Kafka Connect, standalone, against one broker.
///
/// # Errors
///
/// The broker did not start, did not stop, or complained.
pub fn streams_and_connect(workshop: &Workshop) -> Result<Tally, String> {
    let folder = empty_folder(workshop, "streams")?;
    let broker = Broker::start(&binary(workshop)?, &folder, SETTINGS)?;
    let mut tally = Tally::default();
    for (name, source) in PROGRAMS {
        let counted = run(program(workshop, source)?.arg(broker.address()))?;
        results::note(workshop, name, "checks", &counted)?;
        tally.add(counted);
    }
    end(broker, &mut tally)?;
    Ok(tally)
}

/// The same against a broker that runs already.
///
/// # Errors
///
/// A program could not be run.
pub fn streams_and_connect_of(workshop: &Workshop, address: &str) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for (_, source) in PROGRAMS {
        tally.add(run(program(workshop, source)?.arg(address))?);
    }
    Ok(tally)
}

/// The command of a Java program of the repository, compiled where it changed.
fn program(workshop: &Workshop, source: &str) -> Result<Command, String> {
    let source = workshop.tests("clients/java").join(source);
    let class_path = setup::java_classes(workshop, &source)?;
    let mut java = command(workshop, LIMIT_S, "java");
    // The tools' driver ends them by the hooks that they add to the process.
    java.args(["--add-opens", "java.base/java.lang=ALL-UNNAMED"]);
    java.args(JAVA).arg("-cp").arg(class_path);
    java.arg(source.file_stem().expect("a source has a name"));
    Ok(java)
}
