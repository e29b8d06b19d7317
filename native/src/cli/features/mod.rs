//! `features`: which features the cluster has switched on, and switching them.
//!
//! Source: `kafka-features.sh` of Apache Kafka 4.3.1. The tables of releases are that Kafka's, as
//! its tool prints them.

mod change;
pub(super) mod releases;

use clap::{ArgMatches, Command};
use kafka_wire::{ApiVersionsRequest, ApiVersionsResponse};
use kafka_wire_core::StrBytes;
use serde_json::{Value, json};

use crate::cli::args::{self, number, option, repeated, text, texts};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla features describe
  ottla features --bootstrap-server localhost:9092 describe --json
  ottla features upgrade --feature transaction.version=2 --dry-run
  ottla features version-mapping --release-version 4.0";

/// The feature whose levels have names.
const METADATA: &str = "metadata.version";

/// The options of this tool.
pub(crate) fn command() -> Command {
    let global = |command: Command, name: &'static str| {
        command.mut_arg(name, |argument| argument.global(true))
    };
    let mut command = args::with_broker(args::command(
        "features",
        "Show the features of a cluster, or switch them",
    ));
    command = command.arg(option(
        "bootstrap-controller",
        "HOST:PORT,...",
        "The controller to ask instead",
    ));
    for name in [
        "bootstrap-server",
        "bootstrap-controller",
        "command-config",
        "json",
    ] {
        command = global(command, name);
    }
    command
        .subcommand_required(true)
        .subcommand(
            Command::new("describe")
                .about("Show the features")
                .arg(option("node-id", "ID", "Ask this node")),
        )
        .subcommand(change::command("upgrade", "Raise the level of features"))
        .subcommand(change::command("downgrade", "Lower the level of features"))
        .subcommand(change::command("disable", "Set features to level 0"))
        .subcommand(releases::mapping_command())
        .subcommand(releases::dependencies_command())
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some((subcommand, matches)) = matches.subcommand() else {
        return Err(Failure::usage("too few arguments"));
    };
    match subcommand {
        "describe" => describe(matches, console),
        "version-mapping" => releases::print_mapping(matches, console),
        "feature-dependencies" => releases::print_dependencies(matches, console),
        change => change::run(change, matches, &mut connect(matches, console)?, console),
    }
}

fn connect(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Cluster, Failure> {
    let (mut address, properties) = args::broker(matches, console)?;
    if let Some(controller) = text(matches, "bootstrap-controller") {
        controller.clone_into(&mut address);
    }
    Cluster::new(&address, &properties, "ottla-features")
}

/// What a node says of itself.
fn introduction(
    cluster: &mut Cluster,
    node_id: Option<i32>,
) -> Result<ApiVersionsResponse, Failure> {
    let mut request = ApiVersionsRequest::default();
    request.client_software_name = StrBytes::from("ottla");
    request.client_software_version = StrBytes::from(env!("CARGO_PKG_VERSION"));
    Ok(match node_id {
        Some(node_id) => cluster.call_node(node_id, request)?,
        None => cluster.call(request)?,
    })
}

fn describe(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let node_id = number(matches, "node-id")?;
    let mut cluster = connect(matches, console)?;
    let mut answer = introduction(&mut cluster, node_id)?;
    answer
        .supported_features
        .sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
    let epoch = answer.finalized_features_epoch;
    let finalized = |name: &str| {
        let known = answer.finalized_features.iter();
        let mut known = known.filter(|feature| feature.name.as_str() == name);
        known.next().map_or(0, |feature| feature.max_version_level)
    };
    if matches.get_flag("json") {
        let features = answer.supported_features.iter().map(|feature| {
            json!({
                "name": feature.name.as_str(),
                "supportedMinVersion": feature.min_version,
                "supportedMaxVersion": feature.max_version,
                "finalizedVersionLevel": finalized(&feature.name),
            })
        });
        let features = features.collect::<Vec<Value>>();
        return console.json(&json!({"epoch": epoch, "features": features}));
    }
    for feature in &answer.supported_features {
        let level = |level: i16| releases::level_text(&feature.name, level);
        let epoch = match epoch {
            -1 => "-".to_owned(),
            epoch => epoch.to_string(),
        };
        console.line(format!(
            "Feature: {:<42}SupportedMinVersion: {:<17}SupportedMaxVersion: {:<17}\
             FinalizedVersionLevel: {:<17}Epoch: {epoch}",
            feature.name.as_str(),
            level(feature.min_version),
            level(feature.max_version),
            level(finalized(&feature.name)),
        ))?;
    }
    Ok(())
}

/// Reads `NAME=LEVEL` arguments; each feature once.
fn levels(matches: &ArgMatches) -> Result<Vec<(String, i16)>, Failure> {
    let mut levels: Vec<(String, i16)> = Vec::new();
    for given in texts(matches, "feature") {
        let refused = |why: String| {
            Failure::refused(format!("Can't parse feature=level string {given}: {why}."))
        };
        let (name, level) = given
            .split_once('=')
            .ok_or_else(|| refused("equals sign not found".to_owned()))?;
        let (name, level) = (name.trim(), level.trim());
        let number = level
            .parse()
            .map_err(|_not_a_number| refused(format!("unable to parse {level} as a short")))?;
        if levels.iter().any(|(known, _)| known == name) {
            return Err(Failure::refused(format!(
                "Feature {name} was specified more than once."
            )));
        }
        levels.push((name.to_owned(), number));
    }
    Ok(levels)
}

fn feature_option(value: &'static str, help: &'static str) -> clap::Arg {
    repeated("feature", value, help)
}
