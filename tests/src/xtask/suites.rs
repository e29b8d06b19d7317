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

/// Checks that their own client fails now and then, with Apache Kafka too: a failed one is run
/// again, alone.
///
/// This one sets a callback on a queue right after `assign`, and counts its calls before anything
/// was sent. librdkafka's main thread puts a barrier of its own into that queue then; when that
/// comes after the callback is set, one call is one too many. On a busy machine 5 of 120 runs ended
/// so with Apache Kafka 4.3.1, and 4 of 120 with Ottla.
const FICKLE: &[(&str, &str)] = &[(
    "rdkafka-crate",
    "test_low_consumers::test_produce_consume_message_queue_nonempty_callback",
)];

/// Runs of such a check after which it counts as failed.
const TRIES: u32 = 3;

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
        let names = due.iter().map(|(_, check)| check.as_str());
        let (fickle, steady): (Vec<&str>, Vec<&str>) =
            names.partition(|check| FICKLE.contains(&(suite, check)));
        let run_only = |names: &[&str]| {
            let program = suites.join(format!("suite-{suite}"));
            let mut client = command(workshop, LIMIT_S, "bash");
            client.arg(program).arg(address);
            client.env("ONLY", names.join(","));
            client.env("SUITE_CACHE", workshop.cache.join("suites"));
            client.env("PYTHONDONTWRITEBYTECODE", "1");
            run(&mut client).unwrap_or_else(failure)
        };
        let mut counted = run_only(&steady);
        for check in fickle {
            counted.add(until_passed(TRIES, || run_only(&[check])));
        }
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

/// Runs something until it does not fail, at most `tries` times, and gives the last outcome.
fn until_passed(tries: u32, attempt: impl Fn() -> Tally) -> Tally {
    let mut tally = attempt();
    for _ in 1..tries {
        if tally.failed == 0 {
            break;
        }
        println!("-- once more, for its own client fails it now and then");
        tally = attempt();
    }
    tally
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_fickle_check_fails_when_it_fails_each_time() {
        let check = |failures: u32, expected_runs: u32, expected: Tally| {
            let runs = Cell::new(0);
            let outcome = until_passed(3, || {
                runs.set(runs.get() + 1);
                match runs.get() > failures {
                    true => Tally::counted(1, 0),
                    false => Tally::counted(0, 1),
                }
            });
            assert_eq!((runs.get(), outcome), (expected_runs, expected));
        };
        check(0, 1, Tally::counted(1, 0));
        check(2, 3, Tally::counted(1, 0));
        check(3, 3, Tally::counted(0, 1));
    }
}
