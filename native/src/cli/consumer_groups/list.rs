//! `--list`: the groups of consumers, their types and states.

use clap::ArgMatches;
use serde_json::json;

use crate::cli::args::{given, text};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::group_admin::{self, Listed};
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, string_hash};

/// States of groups of consumers, in the order in which Kafka's tool names them.
const STATES: [&str; 7] = [
    "Reconciling",
    "PreparingRebalance",
    "Dead",
    "Assigning",
    "CompletingRebalance",
    "Stable",
    "Empty",
];

const TYPES: [&str; 2] = ["Consumer", "Classic"];

pub(super) fn run(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let states = wanted(
        text(matches, "state").unwrap_or(""),
        &STATES,
        |given, all| format!("Invalid state list '{given}'. Valid states are: {all}"),
    )?;
    let types = wanted(text(matches, "type").unwrap_or(""), &TYPES, |given, all| {
        format!("Invalid types list '{given}'. Valid types are: {all}")
    })?;
    let mut groups = group_admin::list(cluster)?;
    groups.retain(|listed| {
        let has_state = states.is_empty() || states.contains(&listed.state.to_lowercase());
        let has_type = types.is_empty() || types.contains(&listed.kind.to_lowercase());
        listed.is_of_consumers() && has_state && has_type
    });
    hash_map_order(&mut groups, HASH_MAP_CAPACITY, |listed| {
        string_hash(&listed.group)
    });
    if matches.get_flag("json") {
        let shown = groups.iter().map(
            |listed| json!({"group": listed.group, "type": listed.kind, "state": listed.state}),
        );
        return console.json(&shown.collect());
    }
    print(
        &groups,
        given(matches, "state"),
        given(matches, "type"),
        console,
    )
}

/// Reads a list of words, each of which must be a known one.
fn wanted(
    list: &str,
    known: &[&str],
    refuse: impl Fn(&str, &str) -> String,
) -> Result<Vec<String>, Failure> {
    let words: Vec<String> = list
        .split(',')
        .map(|word| word.trim().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let is_known = |word: &String| known.iter().any(|known| known.to_lowercase() == *word);
    if !words.iter().all(is_known) {
        return Err(Failure::usage(refuse(list, &joined(known, ", "))));
    }
    Ok(words)
}

fn print(
    groups: &[Listed],
    with_state: bool,
    with_type: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if !with_state && !with_type {
        return groups
            .iter()
            .try_for_each(|listed| console.line(&listed.group));
    }
    let longest = groups
        .iter()
        .map(|listed| listed.group.chars().count())
        .max();
    let width = longest.unwrap_or(0).max(15) + 10;
    let mut row = |group: &str, kind: &str, state: &str| {
        let mut line = format!("{group:<width$}");
        if with_type {
            line += &format!(" {kind:<20}");
        }
        if with_state {
            line += &format!(" {state:<20}");
        }
        console.line(line)
    };
    row("GROUP", "TYPE", "STATE")?;
    groups
        .iter()
        .try_for_each(|listed| row(&listed.group, &listed.kind, &listed.state))
}
