//! The client suites that may stand beside the repository, run when they do.
//!
//! They are no part of the project. What Ottla does not pass yet is listed, with its reason, in
//! `tests/clients/not-yet.tsv`; those checks are not run, for most of them would wait in vain.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::clients::{binary, empty_folder, end, failure};
use super::command::{command, run};
use super::{Tally, Workshop, setup};
use crate::broker::Broker;

/// Where the suites are, from the root of the repository.
const SUITES: &str = "../shared/suites";

/// The suites, in order; the last two compile their clients the first time.
const ALL: &[&str] = &[
    "kcat",
    "confluent-kafka",
    "kafka-python",
    "rskafka-crate",
    "rdkafka-crate",
];

/// Settings that the suites assume.
const SETTINGS: &[&str] = &["num.partitions=4", "group.initial.rebalance.delay.ms=1000"];

/// Seconds for one suite, with the installing of its client.
const LIMIT_S: u32 = 1_800;

/// Runs every suite against one broker of our own.
///
/// # Errors
///
/// The broker did not start or stop, or a list could not be read.
pub fn suites(workshop: &Workshop) -> Result<Tally, String> {
    if !workshop.root.join(SUITES).is_dir() {
        println!("no suites beside the repository");
        return Ok(Tally::default());
    }
    // For librdkafka, which comes as sources.
    setup::debian(workshop, &["g++", "make"])?;
    let folder = empty_folder(workshop, "suites")?;
    let broker = Broker::start(&binary(workshop)?, &folder, SETTINGS)?;
    let mut tally = suites_against(workshop, &broker.address())?;
    end(broker, &mut tally)?;
    Ok(tally)
}

/// The same against a broker that runs already.
///
/// # Errors
///
/// A list could not be read.
pub fn suites_against(workshop: &Workshop, address: &str) -> Result<Tally, String> {
    let suites = workshop.root.join(SUITES);
    let not_yet = read_checks(&workshop.tests("clients/not-yet.tsv"))?;
    let expected = read_checks(&suites.join("kafka-expected.tsv"))?;
    let mut tally = Tally::default();
    if let Some((suite, check)) = not_yet.difference(&expected).next() {
        tally.add(failure(format!(
            "not-yet.tsv names {suite} {check}, which no suite has"
        )));
    }
    for suite in ALL {
        println!("-- {suite}");
        let of_suite = |(name, _): &&Check| name == suite;
        let due: Vec<&Check> = expected.difference(&not_yet).filter(of_suite).collect();
        let names: Vec<&str> = due.iter().map(|(_, check)| check.as_str()).collect();
        let mut client = command(workshop, LIMIT_S, "bash");
        client
            .arg(suites.join(format!("suite-{suite}")))
            .arg(address);
        client
            .env("ONLY", names.join(","))
            .env("SUITE_CACHE", workshop.cache.join("suites"));
        client.env("PYTHONDONTWRITEBYTECODE", "1");
        let counted = run(&mut client).unwrap_or_else(failure);
        let seen = counted.passed + counted.failed;
        tally.add(counted);
        if seen as usize != due.len() {
            tally.add(failure(format!(
                "{suite}: {seen} checks ran, {} are known",
                due.len()
            )));
        }
    }
    Ok(tally)
}

/// A suite and one of its checks.
type Check = (String, String);

fn read_checks(path: &Path) -> Result<BTreeSet<Check>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let check = |line: &str| {
        let mut columns = line.split('\t');
        Some((columns.next()?.to_owned(), columns.next()?.to_owned()))
    };
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(check)
        .collect())
}
