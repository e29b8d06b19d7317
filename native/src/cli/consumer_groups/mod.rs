//! `consumer-groups`: lists groups, shows where they are, moves their offsets, deletes them.
//!
//! Source: `kafka-consumer-groups.sh` of Apache Kafka 4.3.1. As there, what fails after the command
//! line was understood is told on standard output after `Error: `, and the status is 0. A time
//! without a zone is one of UTC here, not of the machine's zone.

mod delete;
mod describe;
mod list;
mod plan_file;
mod reset;

use std::collections::BTreeSet;

use clap::{Arg, ArgMatches, Command};
use serde_json::json;

use crate::cli::args::{self, flag, given, option, repeated, text, texts};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::{CallError, Failure};
use crate::cli::group_admin;
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, string_hash};

const EXAMPLES: &str = "\
Examples:
  ottla consumer-groups --list --state
  ottla consumer-groups --describe --group billing
  ottla consumer-groups --describe --group billing --members --verbose
  ottla consumer-groups --reset-offsets --group billing --topic orders --to-earliest --dry-run
  ottla consumer-groups --reset-offsets --group billing --topic orders:0,1 --shift-by -10 --execute
  ottla consumer-groups --delete-offsets --group billing --topic orders
  ottla consumer-groups --delete --group billing";

/// What can be done, in the order in which Kafka's tool names it.
const ACTIONS: [&str; 6] = [
    "list",
    "describe",
    "delete",
    "reset-offsets",
    "delete-offsets",
    "validate-regex",
];

/// Where offsets can be moved to, in the order in which Kafka's tool names it.
const SCENARIOS: [&str; 8] = [
    "to-datetime",
    "from-file",
    "shift-by",
    "to-offset",
    "to-earliest",
    "to-current",
    "to-latest",
    "by-duration",
];

/// What Kafka's tool says where it only plans without being told so.
const NO_ACTION: &str = "WARN: No action will be performed as the --execute option is missing. In \
     version 5.0, this command will require either --dry-run or --execute to be specified. You \
     should add the --dry-run option explicitly if you are scripting this command and want to keep \
     the current default behavior without prompting.";

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "List consumer groups, show their lag, move or delete their offsets";
    let command = args::with_broker(args::command("consumer-groups", about));
    with_reset(with_actions(command)).after_help(EXAMPLES)
}

/// An option whose value may be left out.
fn optional(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help)
        .num_args(0..=1)
        .default_missing_value("")
        .allow_hyphen_values(false)
}

fn with_actions(command: Command) -> Command {
    command
        .arg(flag("list", "List all groups"))
        .arg(flag(
            "describe",
            "Show groups: where they are, and how far behind",
        ))
        .arg(flag("delete", "Delete groups that have no members"))
        .arg(flag(
            "reset-offsets",
            "Move a group's offsets; only a plan without --execute",
        ))
        .arg(flag("delete-offsets", "Delete a group's offsets of topics"))
        .arg(option(
            "validate-regex",
            "REGEX",
            "Check a regular expression",
        ))
        .arg(repeated("group", "GROUP", "The group; may be repeated"))
        .arg(flag("all-groups", "All groups"))
        .arg(repeated(
            "topic",
            "TOPIC[:P,P]",
            "A topic, or some of its partitions; repeatable",
        ))
        .arg(flag("all-topics", "All topics of the group"))
        .arg(flag("members", "With --describe: the members"))
        .arg(flag(
            "offsets",
            "With --describe: the offsets, as when left out",
        ))
        .arg(optional(
            "state",
            "STATE,...",
            "With --describe: the state; with --list: only these",
        ))
        .arg(optional(
            "type",
            "TYPE,...",
            "With --list: the types; only these",
        ))
        .arg(flag("verbose", "With --describe: more"))
        .arg(option(
            "timeout",
            "MS",
            "How long an answer may take [30000]",
        ))
}

fn with_reset(command: Command) -> Command {
    command
        .arg(flag("to-earliest", "To the first record there is"))
        .arg(flag("to-latest", "To the end"))
        .arg(flag("to-current", "To where the group is"))
        .arg(option("to-offset", "OFFSET", "To this offset"))
        .arg(option(
            "shift-by",
            "N",
            "N further on, or back where it is negative",
        ))
        .arg(option(
            "by-duration",
            "PnDTnHnMnS",
            "To the first record of the last so long",
        ))
        .arg(option(
            "to-datetime",
            "YYYY-MM-DDTHH:MM:SS.sss",
            "To the first record of then or later; UTC unless it ends in a zone",
        ))
        .arg(option(
            "from-file",
            "FILE",
            "To what a file says: topic,partition,offset lines",
        ))
        .arg(flag("dry-run", "Only show what would be done"))
        .arg(flag("execute", "Do it"))
        .arg(flag("export", "Print lines for --from-file"))
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let action = check(matches, console)?;
    if action == "validate-regex" {
        return validate(text(matches, "validate-regex").unwrap_or(""), console);
    }
    let (address, mut properties) = args::broker(matches, console)?;
    if let Some(timeout) = args::number::<u64>(matches, "timeout")? {
        properties.insert("request.timeout.ms".to_owned(), timeout.to_string());
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-consumer-groups")?;
    let done = match action {
        "list" => list::run(matches, &mut cluster, console),
        "describe" => describe::run(matches, &mut cluster, console),
        "delete" => delete::groups(matches, &mut cluster, console),
        "reset-offsets" => reset::run(matches, &mut cluster, console),
        _delete_offsets => delete::offsets(matches, &mut cluster, console),
    };
    match done {
        Err(Failure::Refused(message)) if !console.is_json => error(
            &format!("Executing consumer group command failed due to {message}"),
            console,
        ),
        Err(Failure::Call(unreachable @ CallError::Unreachable { .. })) => Err(unreachable.into()),
        other => other,
    }
}

/// Prints what failed, as Kafka's tool does: on standard output, and that is success.
///
/// A program that wants JSON is told by the exit status, and by standard error.
fn error(message: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.is_json {
        return Err(Failure::refused(message));
    }
    console.line(format!("\nError: {message}"))
}

fn validate(pattern: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let read = regex_lite::Regex::new(pattern);
    if console.is_json {
        let error = read.err().map(|error| error.to_string());
        return console.json(&json!({"valid": error.is_none(), "error": error}));
    }
    match read {
        Ok(_good) => console.line(format!("The regular expression `{pattern}` is valid.")),
        Err(error) => console.line(format!(
            "The regular expression `{pattern}` is invalid: {error}."
        )),
    }
}

/// The groups asked for; with `--all-groups`, all of consumers.
fn groups(matches: &ArgMatches, cluster: &mut Cluster) -> Result<Vec<String>, Failure> {
    if matches.get_flag("all-groups") {
        let listed = group_admin::list(cluster)?.into_iter();
        let listed = listed.filter(group_admin::Listed::is_of_consumers);
        return Ok(listed.map(|listed| listed.group).collect());
    }
    let mut seen = BTreeSet::new();
    let named = texts(matches, "group").into_iter().cloned();
    Ok(named.filter(|group| seen.insert(group.clone())).collect())
}

/// The same in the order in which Kafka's tool goes through them.
fn groups_in_kafkas_order(
    matches: &ArgMatches,
    cluster: &mut Cluster,
) -> Result<Vec<String>, Failure> {
    let mut groups = groups(matches, cluster)?;
    hash_map_order(&mut groups, HASH_MAP_CAPACITY, |group| string_hash(group));
    Ok(groups)
}

/// Checks what goes with what; gives the one action.
fn check(matches: &ArgMatches, console: &mut Console<'_>) -> Result<&'static str, Failure> {
    let asked: Vec<&'static str> = ACTIONS
        .into_iter()
        .filter(|action| given(matches, action))
        .collect();
    let all = joined(ACTIONS.iter().map(|action| format!("--{action}")), ", ");
    if asked.is_empty() {
        return Err(Failure::usage(format!(
            "Command must include exactly one action: {all}"
        )));
    }
    let has_groups = given(matches, "group") || given(matches, "all-groups");
    if asked.contains(&"describe") {
        check_describe(matches, has_groups)?;
    }
    let [action] = asked[..] else {
        return Err(Failure::usage(format!(
            "Command must include exactly one action: {all}"
        )));
    };
    if action == "delete" {
        if !has_groups {
            return Err(which("delete", "all-groups", "group"));
        }
        // A person means the offsets of the topic; the group would go with all of them.
        if given(matches, "topic") {
            return Err(Failure::usage(
                "The consumer does not support topic-specific offset deletion from a consumer \
                 group.",
            ));
        }
    }
    if action == "delete-offsets" && !(given(matches, "group") && given(matches, "topic")) {
        let order = if given(matches, "group") {
            ["topic", "group"]
        } else {
            ["group", "topic"]
        };
        return Err(Failure::usage(format!(
            "Option [delete-offsets] takes the following options: [{}], [{}]",
            order[0], order[1]
        )));
    }
    if action == "reset-offsets" {
        check_reset(matches, has_groups, console)?;
    }
    if given(matches, "group") && given(matches, "all-groups") {
        return Err(Failure::usage(
            "Option \"[group]\" can't be used with option \"[all-groups]\"",
        ));
    }
    for (option, actions) in [("group", &["list"][..]), ("topic", &["list", "describe"])] {
        if given(matches, option) && actions.contains(&action) {
            return Err(Failure::usage(format!(
                "Option \"[{option}]\" can't be used with option \"[{action}]\""
            )));
        }
    }
    if given(matches, "verbose") && action != "describe" {
        return Err(Failure::usage(
            "Option(s) [verbose] are unavailable given other options on the command line",
        ));
    }
    Ok(action)
}

/// The refusal of an action without either of the options it takes one of.
fn which(action: &str, first: &str, second: &str) -> Failure {
    Failure::usage(format!(
        "Option [{action}] takes one of these options: [{first}], [{second}]"
    ))
}

fn check_describe(matches: &ArgMatches, has_groups: bool) -> Result<(), Failure> {
    if !has_groups {
        return Err(which("describe", "group", "all-groups"));
    }
    let parts = ["members", "offsets", "state"];
    if parts.iter().filter(|part| given(matches, part)).count() > 1 {
        return Err(Failure::usage(
            "Option [describe] takes at most one of these options: [members], [offsets], \
             [state]",
        ));
    }
    if text(matches, "state").is_some_and(|states| !states.is_empty()) {
        return Err(Failure::usage(
            "Option [describe] does not take a value for [state]",
        ));
    }
    Ok(())
}

fn check_reset(
    matches: &ArgMatches,
    has_groups: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if given(matches, "dry-run") && given(matches, "execute") {
        return Err(Failure::usage(
            "Option [reset-offsets] only accepts one of [execute] and [dry-run]",
        ));
    }
    if !given(matches, "dry-run") && !given(matches, "execute") {
        console.notice(NO_ACTION);
    }
    if !has_groups {
        return Err(Failure::usage(
            "Option [reset-offsets] takes one of these options: [all-groups], [group]",
        ));
    }
    let scenarios: Vec<&str> = SCENARIOS
        .into_iter()
        .filter(|scenario| given(matches, scenario))
        .collect();
    match scenarios[..] {
        [] => {
            let all = joined(
                SCENARIOS.iter().map(|scenario| format!("[{scenario}]")),
                ", ",
            );
            Err(Failure::usage(format!(
                "Option '[reset-offsets]' requires one of the following scenarios: [{all}]"
            )))
        }
        [scenario] => {
            let has_scope = given(matches, "all-topics") || given(matches, "topic");
            if !has_scope && scenario != "from-file" {
                return Err(Failure::usage(
                    "One of the reset scopes should be defined: --all-topics, --topic.",
                ));
            }
            Ok(())
        }
        [first, second, ..] => Err(Failure::usage(format!(
            "Option \"[{first}]\" can't be used with option \"[{second}]\""
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    fn checked(args: &[&str]) -> Result<&'static str, String> {
        let matches = command()
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        let mut action = "";
        let (result, _out, _err) = with_console(|console| {
            action = check(&matches, console)?;
            Ok(())
        });
        let result = result.map(|()| action);
        result.map_err(|failure| failure.to_string())
    }

    #[test]
    fn one_action_with_what_goes_with_it() {
        assert_eq!(checked(&["--list", "--state"]), Ok("list"));
        assert_eq!(checked(&["--list", "--state", "Stable,Empty"]), Ok("list"));
        let describe = ["--describe", "--group", "g", "--verbose"];
        assert_eq!(checked(&describe), Ok("describe"));
        let scope = ["--group", "g", "--topic", "t"];
        let reset = [&["--reset-offsets", "--shift-by", "-1"][..], &scope].concat();
        assert_eq!(checked(&reset), Ok("reset-offsets"));
        let file = [
            "--reset-offsets",
            "--group",
            "g",
            "--from-file",
            "f",
            "--execute",
        ];
        assert_eq!(checked(&file), Ok("reset-offsets"));
    }

    /// Where Kafka's tool lists a set, it does so in any order; here it is always the same.
    #[test]
    fn refusals_are_kafkas() {
        let check = |args: &[&str], words: &str| {
            let refused = checked(args).expect_err("a bad command");
            assert!(refused.starts_with(words), "{refused}");
        };
        let groups = "takes one of these options: [group], [all-groups]";
        check(
            &["--list", "--describe"],
            &format!("Option [describe] {groups}"),
        );
        check(
            &["--list", "--delete"],
            "Command must include exactly one action: --list, ",
        );
        let groups = "takes one of these options: [all-groups], [group]";
        check(&["--delete"], &format!("Option [delete] {groups}"));
        check(
            &["--describe", "--group", "g", "--members", "--state"],
            "Option [describe] takes at most one of these options: [members], [offsets], [state]",
        );
        check(
            &["--delete-offsets", "--topic", "t"],
            "Option [delete-offsets] takes the following options: [group], [topic]",
        );
        check(
            &["--reset-offsets", "--group", "g", "--topic", "t"],
            "Option '[reset-offsets]' requires one of the following scenarios: [[to-datetime], ",
        );
        let reset = ["--reset-offsets", "--topic", "t", "--to-latest"];
        check(&reset, &format!("Option [reset-offsets] {groups}"));
        let refused = "Option \"[topic]\" can't be used with option \"[describe]\"";
        check(&["--describe", "--group", "g", "--topic", "t"], refused);
        let refused = "Option \"[group]\" can't be used with option \"[list]\"";
        check(&["--list", "--group", "g"], refused);
        check(
            &["--delete", "--group", "g", "--topic", "t"],
            "The consumer does not support topic-specific offset deletion from a consumer group.",
        );
        let verbose = "Option(s) [verbose] are unavailable given other options";
        check(&["--list", "--verbose"], verbose);
    }
}
