//! `reassign-partitions`: moves replicas of partitions to other brokers and directories.
//!
//! Source: `kafka-reassign-partitions.sh` of Apache Kafka 4.3.1. Failures follow Kafka's `Error: `
//! on standard output, as there.

mod change;
mod generate;
mod plan;
mod throttle;
mod verify;

use clap::{ArgMatches, Command};

use self::plan::Plan;
use crate::cli::args::{self, flag, given, number, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::json_file;

const EXAMPLES: &str = "\
Examples:
  ottla reassign-partitions --generate --topics-to-move-json-file topics.json --broker-list 1,2,3
  ottla reassign-partitions --execute --reassignment-json-file plan.json --throttle 50000000
  ottla reassign-partitions --verify --reassignment-json-file plan.json
  ottla reassign-partitions --list --json
  ottla reassign-partitions --cancel --reassignment-json-file plan.json

topics.json is {\"topics\": [{\"topic\": \"orders\"}], \"version\": 1}; plan.json is what --generate
proposes: {\"partitions\": [{\"topic\": \"orders\", \"partition\": 0, \"replicas\": [1, 2]}], \
\"version\": 1}";

/// What every action but --list reads.
const PLAN: &str = "reassignment-json-file";

/// The actions: what each needs, and what it takes besides.
const ACTIONS: [(&str, &[&str], &[&str]); 5] = [
    (
        "generate",
        &["topics-to-move-json-file", "broker-list"],
        &["disable-rack-aware"],
    ),
    (
        "execute",
        &[PLAN],
        &[
            "additional",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
    ),
    ("verify", &[PLAN], &["preserve-throttles"]),
    ("cancel", &[PLAN], &["preserve-throttles", "timeout"]),
    ("list", &[], &[]),
];

/// Every option that belongs to some actions only.
const OPTIONS: [&str; 10] = [
    "additional",
    "broker-list",
    "disable-rack-aware",
    "disallow-replication-factor-change",
    "preserve-throttles",
    PLAN,
    "replica-alter-log-dirs-throttle",
    "throttle",
    "timeout",
    "topics-to-move-json-file",
];

/// How long directories may take to accept replicas, where nothing is said.
const TIMEOUT_MS: u64 = 10_000;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Move replicas of partitions to other brokers or directories";
    args::with_broker(args::command("reassign-partitions", about))
        .arg(option(
            "bootstrap-controller",
            "HOST:PORT,...",
            "The controller to ask instead; with --list and --cancel",
        ))
        .arg(flag("generate", "Propose a plan"))
        .arg(flag("execute", "Begin to carry out a plan"))
        .arg(flag(
            "verify",
            "Tell how far a plan is; ends throttles when it is done",
        ))
        .arg(flag("cancel", "Go back to where the partitions were"))
        .arg(flag("list", "List what is being moved"))
        .arg(option(
            "topics-to-move-json-file",
            "FILE",
            "Topics to plan for",
        ))
        .arg(option(
            "broker-list",
            "ID,...",
            "Brokers that are to have them",
        ))
        .arg(flag("disable-rack-aware", "Ignore the brokers' racks"))
        .arg(option(PLAN, "FILE", "The plan"))
        .arg(option(
            "throttle",
            "BYTES",
            "Bytes a second between brokers, at most",
        ))
        .arg(option(
            "replica-alter-log-dirs-throttle",
            "BYTES",
            "Bytes a second between directories of one broker, at most",
        ))
        .arg(option(
            "timeout",
            "MS",
            "How long directories may take to accept replicas [10000]",
        ))
        .arg(flag("additional", "Beside what is being moved already"))
        .arg(flag("preserve-throttles", "Leave throttles as they are"))
        .arg(flag(
            "disallow-replication-factor-change",
            "Refuse a plan that changes how many replicas there are",
        ))
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let action = action(matches)?;
    let (mut address, properties) = args::broker(matches, console)?;
    if let Some(controller) = text(matches, "bootstrap-controller") {
        if !matches!(action, "list" | "cancel") {
            return Err(Failure::usage(format!(
                "Option \"[bootstrap-controller]\" can't be used with action \"[{action}]\""
            )));
        }
        controller.clone_into(&mut address);
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-reassign-partitions")?;
    match act(action, matches, &mut cluster, console) {
        Err(failure @ (Failure::Refused(_) | Failure::Call(_))) => {
            console.line(format!("Error: {failure}"))?;
            Err(Failure::Told)
        }
        result => result,
    }
}

fn act(
    action: &str,
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let json = matches.get_flag("json");
    let plan = || -> Result<Plan, Failure> {
        Plan::parse(&json_file::read(text(matches, PLAN).unwrap_or_default())?)
    };
    let keep = matches.get_flag("preserve-throttles");
    match action {
        "generate" => generate::run(matches, cluster, console),
        "execute" => {
            let options = execute_options(matches)?;
            change::execute(cluster, &plan()?, &options, console)
        }
        "verify" => verify::run(cluster, &plan()?, keep, json, console),
        "cancel" => change::cancel(cluster, &plan()?, keep, json, console),
        _list => verify::list(cluster, json, console),
    }
}

fn execute_options(matches: &ArgMatches) -> Result<change::Options, Failure> {
    let rate = |name: &str| -> Result<Option<u64>, Failure> {
        let rate: Option<i64> = number(matches, name)?;
        Ok(rate.and_then(|rate| u64::try_from(rate).ok()))
    };
    Ok(change::Options {
        additional: matches.get_flag("additional"),
        between_brokers: rate("throttle")?,
        between_directories: rate("replica-alter-log-dirs-throttle")?,
        timeout_ms: number(matches, "timeout")?.unwrap_or(TIMEOUT_MS),
        same_factor: matches.get_flag("disallow-replication-factor-change"),
        json: matches.get_flag("json"),
    })
}

/// The one action asked for, with what it needs and nothing that it does not take.
fn action(matches: &ArgMatches) -> Result<&'static str, Failure> {
    let asked: Vec<_> = ACTIONS
        .into_iter()
        .filter(|(name, ..)| matches.get_flag(name))
        .collect();
    let [(name, needed, taken)] = asked[..] else {
        return Err(Failure::usage(
            "Command must include exactly one action: --generate, --execute, --verify, --cancel, \
             --list",
        ));
    };
    if let Some(missing) = needed.iter().find(|option| !given(matches, option)) {
        return Err(Failure::usage(format!(
            "Missing required argument \"[{missing}]\""
        )));
    }
    let foreign = |option: &&&str| {
        given(matches, option) && !needed.contains(option) && !taken.contains(option)
    };
    if let Some(option) = OPTIONS.iter().find(foreign) {
        return Err(Failure::usage(format!(
            "Option \"[{option}]\" can't be used with action \"[{name}]\""
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_take_their_own_options() {
        let asked = |args: &[&str]| {
            let matches = command()
                .try_get_matches_from(args)
                .expect("arguments under test parse");
            action(&matches).map_err(|failure| failure.to_string())
        };
        assert_eq!(asked(&["--list"]), Ok("list"));
        assert_eq!(
            asked(&["--execute"]).expect_err("no plan"),
            "Missing required argument \"[reassignment-json-file]\""
        );
        assert_eq!(
            asked(&["--list", "--additional"]).expect_err("another action's"),
            "Option \"[additional]\" can't be used with action \"[list]\""
        );
        assert!(asked(&["--list", "--verify"]).is_err());
    }
}
