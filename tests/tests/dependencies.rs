//! What the project stands on: licences, sources, one version of each crate, core's short list.
//!
//! Asks cargo, without the network. Advisories are not looked up: that needs a repository
//! elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Licences that a crate may offer; one of its alternatives must consist of these alone.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// All that core may name. A longer list needs a reason in the commit that makes it longer.
const CORE: &[&str] = &[
    "bytes",
    "crc-fast",
    "crc32fast",
    "flate2",
    "hmac",
    "kafka-wire",
    "kafka-wire-core",
    "lz4_flex",
    "ruzstd",
    "serde",
    "sha2",
    "snap",
    "zstd",
];

/// Crates that are in the broker twice, each with its reason.
const TWICE: &[(&str, &str)] = &[];

fn cargo(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent");
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program)
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {}: {stderr}",
        arguments.join(" ")
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

#[test]
fn every_licence_is_an_allowed_one() {
    let format = ["--format", "{p}\t{l}"];
    let tree = [
        &["tree", "--workspace", "--all-features", "--prefix", "none"],
        &format[..],
    ];
    let mut wrong = Vec::new();
    for line in cargo(&tree.concat())
        .lines()
        .filter(|line| !line.is_empty())
    {
        let (name, licence) = line.split_once('\t').expect("the format has a tab");
        if !is_allowed(licence.trim_end_matches(" (*)")) {
            wrong.push(format!("{name}: {licence}"));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(
        wrong.is_empty(),
        "licences to look at:\n{}",
        wrong.join("\n")
    );
}

/// Whether one alternative of an SPDX expression is made of allowed licences.
fn is_allowed(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], "");
    let is_listed = |licence: &str| LICENCES.contains(&licence.trim());
    // `A OR B AND C`, flattened: each conjunct must have an allowed alternative.
    flat.split(" AND ")
        .all(|conjunct| conjunct.split(" OR ").any(is_listed))
}

#[test]
fn everything_comes_from_the_registry() {
    let lock = include_str!("../../Cargo.lock");
    let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let sources = lock.lines().filter(|line| line.starts_with("source = "));
    let foreign: Vec<&str> = sources.filter(|line| *line != registry).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn the_broker_has_neither_the_simulator_nor_its_mutants() {
    let features_of_core = |of: &[&str]| -> String {
        let tree = ["tree", "-e", "normal", "--prefix", "none", "--format"];
        let text = cargo(&[&tree[..], &["{p} [{f}]", "-p"], of].concat());
        let mut lines = text.lines().filter(|line| line.starts_with("ottla-core "));
        let line = lines.next().expect("both are made of core");
        let (_name, features) = line.split_once('[').expect("the format has a bracket");
        features.trim_end_matches(']').to_owned()
    };
    assert_eq!(features_of_core(&["ottla"]), "");
    let simulator = features_of_core(&["ottla-tests", "--features", "mutants"]);
    assert_eq!(simulator, "mutants,sim");
}

#[test]
fn the_broker_holds_each_crate_once() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in cargo(&["tree", "-p", "ottla", "-e", "normal", "--prefix", "none"]).lines() {
        let mut parts = line.split(' ');
        let name = parts.next().expect("a line has a name").to_owned();
        let version = parts.next().expect("a line has a version").to_owned();
        let known = versions.entry(name).or_default();
        if !known.contains(&version) {
            known.push(version);
        }
    }
    let is_excused = |name: &String| TWICE.iter().any(|(excused, _)| excused == name);
    versions.retain(|name, versions| versions.len() > 1 && !is_excused(name));
    assert!(
        versions.is_empty(),
        "in the broker more than once: {versions:?}"
    );
}

#[test]
fn core_stands_on_its_short_list() {
    let tree = cargo(&["tree", "-p", "ottla-core", "-e", "normal", "--depth", "1"]);
    for line in tree.lines().skip(1) {
        let name = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        let name = name.split(' ').next().unwrap_or_default();
        assert!(
            CORE.contains(&name),
            "core depends on {name}, which is not on its list"
        );
    }
}

#[test]
fn expressions_of_licences_are_understood() {
    assert!(is_allowed("MIT OR Apache-2.0"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(is_allowed("MIT/Apache-2.0"));
    assert!(!is_allowed("GPL-3.0"));
    assert!(!is_allowed("MIT AND GPL-3.0"));
}
