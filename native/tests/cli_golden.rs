//! The tools print what Kafka's own tools print: scenarios of commands with their output.
//!
//! The scenarios in `tests/golden/cli` were recorded from the tools of Apache Kafka 4.3.1 against
//! its broker; here Ottla's tools run against Ottla's broker. A block is
//!
//! ```text
//! $ topics --create --topic a
//! > a line of standard input
//! Created topic a.
//! ! a line of standard error
//! = 0
//! ```
//!
//! To record again: `KAFKA_TOOL` names a program that runs Kafka's tools by their names, and
//! `KAFKA_BOOTSTRAP` a fresh broker of Kafka without an authorizer. With `KAFKA_BOOTSTRAP` alone,
//! Ottla's tools are checked against that broker.

mod broker;
mod golden;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use broker::Broker;
use golden::{Block, golden_folder, parse, print, run};

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
    play("leader-election");
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
    play("quotas");
}

#[test]
fn reassign_partitions() {
    play("reassign-partitions");
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
