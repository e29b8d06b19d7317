//! With `--json`, standard output is JSON and nothing else, whatever happens.

mod broker;

use std::process::{Command, Stdio};

use broker::Broker;
use serde_json::{Value, json};

/// Runs a tool with `--json`; gives whether it succeeded, its documents and its notices.
fn told(broker: &Broker, args: &[&str]) -> (bool, Vec<Value>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
        .args(args)
        .args(["--json", "--bootstrap-server", broker.address()])
        .stdin(Stdio::null())
        .output()
        .expect("the tool runs");
    let text = |bytes| String::from_utf8(bytes).expect("tools print UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    let documents = out.lines().map(|line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{args:?}: {line}: {error}"))
    });
    (output.status.success(), documents.collect(), err)
}

/// Runs a tool that must succeed; gives its one document.
fn document(broker: &Broker, args: &[&str]) -> Value {
    let (succeeded, mut documents, err) = told(broker, args);
    assert!(succeeded, "{args:?}: {err}");
    let document = documents.pop().expect("there is one");
    assert!(documents.is_empty(), "{args:?}: more than one");
    document
}

#[test]
fn topics_that_change_are_told() {
    let broker = Broker::start("json-topics");
    let topics = |args: &[&str]| document(&broker, &[&["topics"][..], args].concat());
    let created = topics(&["--create", "--topic", "a.b", "--partitions", "1"]);
    assert_eq!(created, json!({"created": ["a.b"]}));
    let again = topics(&["--create", "--topic", "a.b", "--if-not-exists"]);
    assert_eq!(again, json!({"created": []}));
    let altered = topics(&["--alter", "--topic", "a.b", "--partitions", "2"]);
    assert_eq!(altered, json!({"altered": ["a.b"]}));
    let deleted = topics(&["--delete", "--topic", "a.b"]);
    assert_eq!(deleted, json!({"deleted": ["a.b"]}));
    let (succeeded, documents, err) = told(&broker, &["topics", "--delete", "--topic", "a.b"]);
    assert!(!succeeded && documents.is_empty(), "{documents:?}");
    assert!(err.contains("a.b"), "{err}");
}

#[test]
fn groups_are_told_with_what_failed() {
    let broker = Broker::start("json-groups");
    let groups = |args: &[&str]| told(&broker, &[&["consumer-groups"][..], args].concat());
    let create = ["topics", "--create", "--topic", "t", "--partitions", "1"];
    document(&broker, &create);
    // The partition is empty, which is said beside the document.
    let to = ["--by-duration", "PT1H", "--execute"];
    let reset = ["--reset-offsets", "--group", "g", "--topic", "t"];
    let (succeeded, documents, err) = groups(&[&reset[..], &to].concat());
    assert!(succeeded, "{err}");
    let moved = json!([{"group": "g", "topic": "t", "partition": 0, "newOffset": 0}]);
    assert_eq!(documents, [moved]);
    assert!(err.contains("Partition 0 from topic t is empty"), "{err}");

    let (succeeded, _documents, err) = groups(&["--describe", "--group", "nope"]);
    assert!(!succeeded && err.contains("nope"), "{err}");
    let offsets = ["--delete-offsets", "--group", "g", "--topic", "t"];
    let (succeeded, documents, err) = groups(&offsets);
    assert!(succeeded, "{err}");
    let deleted = json!([{"topic": "t", "partition": 0, "error": null}]);
    assert_eq!(documents, [deleted]);
    groups(&[&reset[..], &to].concat());
    let (succeeded, documents, _err) = groups(&["--delete", "--group", "g", "--group", "nope"]);
    assert!(!succeeded);
    assert_eq!(documents[0][0], json!({"group": "g", "error": null}));
    assert_eq!(documents[0][1]["group"], "nope");
    assert!(documents[0][1]["error"].is_string());
    let (_succeeded, documents, _err) = groups(&["--validate-regex", "("]);
    assert_eq!(documents[0]["valid"], false);
}

#[test]
fn a_measurement_that_ends_early_is_one_document() {
    let broker = Broker::start("json-perf");
    let create = ["topics", "--create", "--topic", "t", "--partitions", "1"];
    document(&broker, &create);
    let args = [
        "consumer-perf-test",
        "--topic",
        "t",
        "--num-records",
        "1",
        "--timeout",
        "1",
    ];
    let (_succeeded, documents, err) = told(&broker, &args);
    assert_eq!(documents.len(), 1, "{err}");
    assert!(err.contains("Exiting before consuming"), "{err}");
}

#[test]
fn files_of_logs_are_told_line_by_line() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/cli/dump-log");
    let files = [
        "p1-0/00000000000000000000.log",
        "p1-0/00000000000000000013.snapshot",
        "tx-0/00000000000000000000.log",
        "idx-0/00000000000000000000.index",
        "idx-0/00000000000000000000.timeindex",
        "__cluster_metadata-0/00000000000000007328-0000000001.checkpoint",
    ];
    let mut kinds = std::collections::BTreeMap::new();
    for file in files {
        let output = Command::new(env!("CARGO_BIN_EXE_ottla"))
            .args(["dump-log", "--json", "--print-data-log", "--files", file])
            .args(
                file.ends_with("checkpoint")
                    .then_some("--cluster-metadata-decoder"),
            )
            .current_dir(folder)
            .output()
            .expect("the tool runs");
        assert!(output.status.success(), "{file}");
        let out = String::from_utf8(output.stdout).expect("tools print UTF-8");
        for line in out.lines() {
            let told: Value = serde_json::from_str(line).expect("every line is JSON");
            assert_eq!(told["file"], file);
            let kind = told["kind"].as_str().expect("it has a kind").to_owned();
            if kind == "record" {
                assert!(
                    told["offset"].is_i64() && told.get("sequence").is_some(),
                    "{told}"
                );
            }
            kinds.entry(kind).or_insert_with(Vec::new).push(told);
        }
    }
    let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
    let expected = [
        "batch",
        "offsetIndexEntry",
        "producer",
        "record",
        "timeIndexEntry",
    ];
    assert_eq!(names, expected);
    let records = &kinds["record"];
    assert!(
        records
            .iter()
            .any(|record| record["value"]["type"] == "FEATURE_LEVEL_RECORD")
    );
    assert!(
        records
            .iter()
            .any(|record| record["control"]["type"] == "SnapshotHeader")
    );
    assert!(records.iter().any(|record| record["key"].is_string()));
}
