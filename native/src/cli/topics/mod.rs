//! `topics`: create, list, describe, alter and delete topics.
//!
//! Source: `kafka-topics.sh` of Apache Kafka 4.3.1. Reassignments in progress are not shown.

mod change;
mod describe;

use clap::{ArgMatches, Command};

use crate::cli::args::{self, flag, given, option, repeated, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla topics --create --topic orders --partitions 6
  ottla topics --create --topic events --config retention.ms=3600000 --if-not-exists
  ottla topics --list
  ottla topics --describe --topic 'ord.*'
  ottla topics --describe --json
  ottla topics --alter --topic orders --partitions 12
  ottla topics --delete --topic orders";

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Create, list, describe, alter or delete topics";
    with_old_options(args::with_broker(args::command("topics", about)))
        .arg(flag("create", "Create a topic"))
        .arg(flag("list", "List the names of topics"))
        .arg(flag(
            "describe",
            "Show topics with their partitions and settings",
        ))
        .arg(flag("alter", "Add partitions to a topic"))
        .arg(flag("delete", "Delete topics and their records"))
        .arg(option(
            "topic",
            "NAME",
            "The topic; but for --create a regular expression",
        ))
        .arg(option(
            "topic-id",
            "ID",
            "The topic by its id; with --describe",
        ))
        .arg(option("partitions", "N", "Number of partitions"))
        .arg(option(
            "replication-factor",
            "N",
            "Copies of each partition; with --create",
        ))
        .arg(option(
            "replica-assignment",
            "B:B,B:B,...",
            "Brokers of each partition, instead of choosing them; with --create and --alter",
        ))
        .arg(repeated(
            "config",
            "NAME=VALUE",
            "A setting of the topic; with --create",
        ))
        .arg(flag("if-exists", "Do nothing where no topic matches"))
        .arg(flag(
            "if-not-exists",
            "Do nothing where the topic exists; with --create",
        ))
        .arg(flag(
            "exclude-internal",
            "Leave internal topics out; with --list and --describe",
        ))
        .arg(flag(
            "topics-with-overrides",
            "Only topics with settings of their own",
        ))
        .arg(flag(
            "under-replicated-partitions",
            "Only partitions with fewer in-sync replicas",
        ))
        .arg(flag(
            "unavailable-partitions",
            "Only partitions without a leader",
        ))
        .arg(flag(
            "under-min-isr-partitions",
            "Only partitions below min.insync.replicas",
        ))
        .arg(flag(
            "at-min-isr-partitions",
            "Only partitions just at min.insync.replicas",
        ))
        .after_help(EXAMPLES)
}

/// Adds options that are taken and have no meaning here.
fn with_old_options(command: Command) -> Command {
    let no_more = "No more: ottla configs --delete-config";
    command
        .arg(option("partition-size-limit-per-response", "N", "Accepted").hide(true))
        .arg(option("delete-config", "NAME", no_more).hide(true))
}

/// Runs the tool. What the cluster refuses is told on standard output, as Kafka's tool does.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let action = check(matches)?;
    if let Some(name) = text(matches, "delete-config") {
        return Err(Failure::usage(format!(
            "--delete-config is no longer supported here: use ottla configs --alter --topic TOPIC \
             --delete-config {name}"
        )));
    }
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-topics")?;
    let result = match action {
        Action::Alter => change::alter(matches, &mut cluster, console),
        Action::Create => change::create(matches, &mut cluster, console),
        Action::Delete => change::delete(matches, &mut cluster, console),
        Action::Describe => describe::describe(matches, &mut cluster, console),
        Action::List => describe::list(matches, &mut cluster, console),
    };
    match result {
        Err(failure @ (Failure::Refused(_) | Failure::Call(_))) if !matches.get_flag("json") => {
            console.line(format!("Error while executing topic command : {failure}"))?;
            Err(Failure::Told)
        }
        result => result,
    }
}

/// What the tool is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Alter,
    Create,
    Delete,
    Describe,
    List,
}

impl Action {
    const ALL: [(&'static str, Self); 5] = [
        ("list", Self::List),
        ("describe", Self::Describe),
        ("create", Self::Create),
        ("alter", Self::Alter),
        ("delete", Self::Delete),
    ];

    fn name(self) -> &'static str {
        let mut actions = Self::ALL.iter().filter(|(_, action)| *action == self);
        actions.next().expect("every action is in the table").0
    }
}

/// Which options go with which actions; all others are refused beside them.
const ONLY_WITH: &[(&str, &[Action])] = &[
    ("config", &[Action::Create]),
    ("partitions", &[Action::Alter, Action::Create]),
    ("replication-factor", &[Action::Create]),
    ("replica-assignment", &[Action::Alter, Action::Create]),
    ("if-not-exists", &[Action::Create]),
    (
        "if-exists",
        &[Action::Alter, Action::Delete, Action::Describe],
    ),
    ("exclude-internal", &[Action::Describe, Action::List]),
    ("topics-with-overrides", &[Action::Describe]),
    ("under-replicated-partitions", &[Action::Describe]),
    ("unavailable-partitions", &[Action::Describe]),
    ("under-min-isr-partitions", &[Action::Describe]),
    ("at-min-isr-partitions", &[Action::Describe]),
];

/// The one action asked for; refuses options that do not go with it.
fn check(matches: &ArgMatches) -> Result<Action, Failure> {
    let asked: Vec<Action> = Action::ALL
        .iter()
        .filter(|(name, _)| matches.get_flag(name))
        .map(|(_, action)| *action)
        .collect();
    let [action] = asked[..] else {
        return Err(Failure::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or \
             --delete",
        ));
    };
    let named = given(matches, "topic") || given(matches, "topic-id");
    if !named && !matches!(action, Action::Describe | Action::List) {
        return Err(Failure::usage("Missing required argument \"[topic]\""));
    }
    if action == Action::Alter && given(matches, "config") {
        return Err(Failure::usage(
            "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \
             \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)",
        ));
    }
    if action == Action::Alter && !given(matches, "partitions") {
        return Err(Failure::usage("Missing required argument \"[partitions]\""));
    }
    for (name, actions) in ONLY_WITH {
        if given(matches, name) && !actions.contains(&action) {
            return Err(refuse_pair(name, action.name()));
        }
    }
    if action == Action::Create && given(matches, "replica-assignment") {
        for name in ["partitions", "replication-factor"] {
            if given(matches, name) {
                return Err(refuse_pair("replica-assignment", name));
            }
        }
    }
    if given(matches, "topic-id") && action != Action::Describe {
        return Err(refuse_pair("topic-id", action.name()));
    }
    if given(matches, "topics-with-overrides") {
        for (name, _) in ONLY_WITH
            .iter()
            .filter(|(name, _)| name.ends_with("-partitions"))
        {
            if given(matches, name) {
                return Err(refuse_pair("topics-with-overrides", name));
            }
        }
    }
    Ok(action)
}

fn refuse_pair(name: &str, other: &str) -> Failure {
    Failure::usage(format!(
        "Option \"[{name}]\" can't be used with option \"[{other}]\""
    ))
}

/// Refuses an empty set of topics, unless `--if-exists` is there.
fn require_match(matches: &ArgMatches, found: bool) -> Result<(), Failure> {
    if found || matches.get_flag("if-exists") {
        return Ok(());
    }
    let (kind, wanted) = match text(matches, "topic-id") {
        Some(id) => ("TopicId", id),
        None => ("Topic", text(matches, "topic").unwrap_or("")),
    };
    if wanted.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{kind} '{wanted}' does not exist as expected"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(args: &[&str]) -> Result<Action, String> {
        let matches = command()
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        check(&matches).map_err(|failure| failure.to_string())
    }

    #[test]
    fn one_action_with_what_goes_with_it() {
        assert_eq!(checked(&["--list"]), Ok(Action::List));
        assert_eq!(
            checked(&["--create", "--topic", "a", "--partitions", "2"]),
            Ok(Action::Create)
        );
        assert_eq!(
            checked(&["--describe", "--if-exists"]),
            Ok(Action::Describe)
        );
        assert_eq!(
            checked(&["--delete", "--topic", "a", "--if-exists"]),
            Ok(Action::Delete)
        );
    }

    #[test]
    fn refusals_are_kafkas() {
        let check = |args: &[&str], words: &str| assert_eq!(checked(args), Err(words.to_owned()));
        let one = "Command must include exactly one action: --list, --describe, --create, --alter \
                   or --delete";
        check(&[], one);
        check(&["--list", "--describe"], one);
        check(&["--create"], "Missing required argument \"[topic]\"");
        check(
            &["--alter", "--topic", "a"],
            "Missing required argument \"[partitions]\"",
        );
        check(
            &[
                "--create",
                "--topic",
                "a",
                "--replica-assignment",
                "1",
                "--partitions",
                "1",
            ],
            "Option \"[replica-assignment]\" can't be used with option \"[partitions]\"",
        );
        check(
            &["--list", "--if-not-exists"],
            "Option \"[if-not-exists]\" can't be used with option \"[list]\"",
        );
    }
}
