//! `groups`: lists groups of every type.
//!
//! Source: `kafka-groups.sh` of Apache Kafka 4.3.1.

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::cli::args::{self, flag, given, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::group_admin::{self, Listed};
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, string_hash};

const EXAMPLES: &str = "\
Examples:
  ottla groups --list
  ottla groups --list --consumer
  ottla groups --list --group-type classic --protocol connect";

const TYPES: [&str; 4] = ["classic", "consumer", "share", "streams"];

/// The options of this tool.
pub(crate) fn command() -> Command {
    args::with_broker(args::command("groups", "List groups of every type"))
        .arg(flag("list", "List the groups"))
        .arg(option(
            "group-type",
            "TYPE",
            "Only these: classic, consumer, share or streams",
        ))
        .arg(option(
            "protocol",
            "PROTOCOL",
            "Only groups of this protocol type",
        ))
        .arg(flag(
            "consumer",
            "Only groups of consumers, of either protocol",
        ))
        .arg(flag("share", "Only share groups"))
        .arg(flag("streams", "Only streams groups"))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    if !matches.get_flag("list") {
        return Err(Failure::usage(
            "Command must include exactly one action: --list.",
        ));
    }
    check(matches)?;
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-groups")?;
    let mut groups = group_admin::list(&mut cluster)?;
    groups.retain(|listed| is_wanted(matches, listed));
    hash_map_order(&mut groups, HASH_MAP_CAPACITY, |listed| {
        string_hash(&listed.group)
    });
    if matches.get_flag("json") {
        let shown = groups.iter().map(|listed| {
            json!({
                "group": listed.group,
                "type": listed.kind,
                "protocol": listed.protocol_type,
                "state": listed.state,
            })
        });
        return console.json(&shown.collect());
    }
    let longest = groups
        .iter()
        .map(|listed| listed.group.chars().count())
        .max();
    let width = longest.unwrap_or(0).max(20);
    console.line(format!(
        "{:<width$} {:<width$} {:<width$}",
        "GROUP", "TYPE", "PROTOCOL"
    ))?;
    for Listed {
        group,
        kind,
        protocol_type,
        ..
    } in &groups
    {
        console.line(format!(
            "{group:<width$} {kind:<width$} {protocol_type:<width$} "
        ))?;
    }
    Ok(())
}

fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let kind = text(matches, "group-type").map(str::to_lowercase);
    if kind.is_some_and(|kind| !TYPES.contains(&kind.as_str())) {
        return Err(Failure::usage("--group-type must be a valid group type."));
    }
    let filters = ["consumer", "group-type", "protocol", "share", "streams"];
    let mut asked = filters.into_iter().filter(|filter| given(matches, filter));
    match (asked.next(), asked.next()) {
        (Some("group-type"), Some("protocol")) | (None | Some(_), None) => Ok(()),
        (Some(first), Some(second)) => Err(Failure::usage(format!(
            "Option \"[{first}]\" can't be used with option \"[{second}]\""
        ))),
        (None, Some(_)) => unreachable!("the first comes before the second"),
    }
}

fn is_wanted(matches: &ArgMatches, listed: &Listed) -> bool {
    if matches.get_flag("consumer") {
        return listed.is_of_consumers();
    }
    let kind = match (matches.get_flag("share"), matches.get_flag("streams")) {
        (true, _) => Some("share".to_owned()),
        (false, true) => Some("streams".to_owned()),
        (false, false) => text(matches, "group-type").map(str::to_lowercase),
    };
    let has_kind = kind.is_none_or(|kind| listed.kind.to_lowercase() == kind);
    has_kind && text(matches, "protocol").is_none_or(|protocol| listed.protocol_type == protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_exclude_each_other() {
        let checked = |args: &[&str]| {
            let matches = command().try_get_matches_from(args).expect("they parse");
            check(&matches).map_err(|failure| failure.to_string())
        };
        assert_eq!(
            checked(&["--list", "--group-type", "Classic", "--protocol", "p"]),
            Ok(())
        );
        assert_eq!(
            checked(&["--list", "--group-type", "bogus"]),
            Err("--group-type must be a valid group type.".to_owned())
        );
        assert_eq!(
            checked(&["--list", "--consumer", "--share"]),
            Err("Option \"[consumer]\" can't be used with option \"[share]\"".to_owned())
        );
    }
}
