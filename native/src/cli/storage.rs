//! `storage`: looks at data directories, and formats them before the first start.
//!
//! Source: `kafka-storage.sh` of Apache Kafka 4.3.1. `ottla serve` formats directories that are
//! not; this is for those who want to choose the cluster's id, and for scripts that always format.
//! What a new cluster begins with is what `ottla serve` writes; another release, other features
//! and credentials are refused with the tool that sets them later.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};
use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::ids::{NodeId, TopicId};
use ottla_core::quorum::directory::MetaProperties;
use ottla_core::quorum::format;
use ottla_core::time::Timestamp;
use serde_json::{Value, json};

use super::features::releases;
use crate::cli::args::{flag, given, option, repeated, text};
use crate::cli::console::{Console, joined};
use crate::cli::failure::Failure;
use crate::cli::time::now_ms;
use crate::cli::{args, random};

const EXAMPLES: &str = "\
Examples:
  ottla storage random-uuid
  ottla storage format --standalone -c server.properties -t $(ottla storage random-uuid)
  ottla storage info -c server.properties --json";

/// A directory's own file that says whose it is; without it the directory is not formatted.
const META_PROPERTIES: &str = "meta.properties";
const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// The metadata log, and the snapshot it begins with: the quorum's only voter.
const METADATA_FOLDER: &str = "__cluster_metadata-0";
const FIRST_SNAPSHOT: &str = "00000000000000000000-0000000000.checkpoint";

/// The release whose features a directory is formatted with.
const RELEASE: &str = "4.3-IV0";

/// The options of this tool.
pub(crate) fn command() -> Command {
    let config = || option("config", "FILE", "The node's server.properties").short('c');
    let json = || flag("json", "Print the result as JSON, for programs");
    let subcommand = |name: &'static str, about: &'static str| Command::new(name).about(about);
    args::command("storage", "Format data directories, or look at them")
        .subcommand_required(true)
        .subcommand(
            subcommand(
                "info",
                "Show the data directories of a node and whose they are",
            )
            .arg(config())
            .arg(json()),
        )
        .subcommand(format_command(
            subcommand("format", "Make data directories ready for a node")
                .arg(config())
                .arg(json()),
        ))
        .subcommand(subcommand("random-uuid", "Print an id for a cluster").arg(json()))
        .subcommand(releases::mapping_command().arg(json()))
        .subcommand(releases::dependencies_command().arg(json()))
        .after_help(EXAMPLES)
}

fn format_command(command: Command) -> Command {
    command
        .arg(option("cluster-id", "ID", "The cluster's id").short('t'))
        .arg(
            flag(
                "ignore-formatted",
                "Leave formatted directories as they are",
            )
            .short('g'),
        )
        .arg(flag("standalone", "A cluster of this node").short('s'))
        .arg(
            option(
                "release-version",
                "RELEASE",
                "Only 4.3, which is the default",
            )
            .short('r'),
        )
        .arg(
            repeated("feature", "NAME=LEVEL", "Not here: ottla features upgrade")
                .short('f')
                .hide(true),
        )
        .arg(
            repeated("add-scram", "CREDENTIAL", "Not here: ottla configs")
                .short('S')
                .hide(true),
        )
        .arg(
            flag("no-initial-controllers", "Not here")
                .short('N')
                .hide(true),
        )
        .arg(
            option("initial-controllers", "LIST", "Not here")
                .short('I')
                .hide(true),
        )
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some((subcommand, matches)) = matches.subcommand() else {
        return Err(Failure::usage("too few arguments"));
    };
    match subcommand {
        "info" => info(matches, console),
        "format" => format(matches, console),
        "version-mapping" => releases::print_mapping(matches, console),
        "feature-dependencies" => releases::print_dependencies(matches, console),
        _random_uuid => {
            let id = random::uuid()?.to_string();
            match matches.get_flag("json") {
                true => console.json(&json!({"uuid": id})),
                false => console.line(id),
            }
        }
    }
}

/// A node's directories: its own, then the one of the metadata log, which may be one of them.
struct Node {
    id: NodeId,
    directories: Vec<PathBuf>,
    metadata: PathBuf,
}

fn node(matches: &ArgMatches) -> Result<Node, Failure> {
    let Some(path) = text(matches, "config") else {
        return Err(Failure::usage("argument --config/-c is required"));
    };
    let content = fs::read_to_string(path).map_err(|error| {
        Failure::refused(format!(
            "Cannot read the configuration {path}: {error}. Name another file with --config."
        ))
    })?;
    let refused = |errors: Vec<String>| {
        Failure::refused(format!("{path} cannot be used: {}", joined(errors, "; ")))
    };
    let texts = |errors: &[_]| errors.iter().map(ToString::to_string).collect();
    let settings = Settings::load(&content, &[]).map_err(|errors| refused(texts(&errors)))?;
    let config = BrokerConfig::of(&settings)
        .map_err(|errors| refused(errors.iter().map(ToString::to_string).collect()))?;
    let mut directories: Vec<PathBuf> = config.log_dirs.iter().map(PathBuf::from).collect();
    let metadata = PathBuf::from(&config.metadata_log_dir);
    if !directories.contains(&metadata) {
        directories.push(metadata.clone());
    }
    directories.sort_unstable();
    Ok(Node {
        id: config.node_id,
        directories,
        metadata,
    })
}

/// What a directory's file says of it; `None` where it has none.
fn owner(directory: &Path) -> Result<Option<MetaProperties>, Failure> {
    let path = directory.join(META_PROPERTIES);
    let shown = path.display();
    match fs::read(&path) {
        Ok(bytes) => match MetaProperties::parse(&bytes) {
            Ok(owner) => Ok(Some(owner)),
            Err(error) => Err(Failure::refused(format!("{shown} {error}."))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::refused(format!("Cannot read {shown}: {error}."))),
    }
}

fn info(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let node = node(matches)?;
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut first: Option<MetaProperties> = None;
    for directory in &node.directories {
        let shown = directory.display();
        if !directory.is_dir() {
            let what = if directory.exists() {
                "is not a directory"
            } else {
                "does not exist"
            };
            problems.push(format!("{shown} {what}"));
            continue;
        }
        found.push(shown.to_string());
        match owner(directory) {
            Ok(Some(owner)) => {
                if first
                    .as_ref()
                    .is_some_and(|first| first.cluster_id != owner.cluster_id)
                {
                    problems.push(format!("{shown} is of the cluster {}", owner.cluster_id));
                }
                first.get_or_insert(owner);
            }
            Ok(None) => problems.push(format!("{shown} is not formatted.")),
            Err(failure) => problems.push(failure.to_string()),
        }
    }
    if matches.get_flag("json") {
        let metadata = first.as_ref().map(|owner| {
            json!({
                "clusterId": owner.cluster_id,
                "nodeId": owner.node_id.0,
                "directoryId": owner.directory_id.to_string(),
            })
        });
        console.json(&json!({"directories": found, "metadata": metadata, "problems": problems}))?;
    } else {
        print_info(&found, first.as_ref(), &problems, console)?;
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Failure::Told),
    }
}

fn print_info(
    found: &[String],
    owner: Option<&MetaProperties>,
    problems: &[String],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let list = |title: &str, lines: &[String], console: &mut Console<'_>| {
        console.line(title)?;
        for line in lines {
            console.line(format!("  {line}"))?;
        }
        console.line("")
    };
    if !found.is_empty() {
        let title = match found.len() {
            1 => "Found log directory:",
            _more => "Found log directories:",
        };
        list(title, found, console)?;
    }
    if let Some(owner) = owner {
        console.line(format!(
            "Found metadata: {{cluster.id={}, directory.id={}, node.id={}, version=1}}\n",
            owner.cluster_id, owner.directory_id, owner.node_id
        ))?;
    }
    match problems {
        [] => Ok(()),
        [_one] => list("Found problem:", problems, console),
        [..] => list("Found problems:", problems, console),
    }
}

/// Refuses what `ottla serve` would not start with.
fn check_format(matches: &ArgMatches) -> Result<(), Failure> {
    if let Some(release) = text(matches, "release-version") {
        let level = releases::metadata_level(release)?;
        if level != releases::metadata_level(RELEASE)? {
            return Err(Failure::refused(format!(
                "A directory is formatted with the features of {RELEASE} only; leave \
                 --release-version out."
            )));
        }
    }
    let refused = [
        (
            "feature",
            "Features are switched when the broker runs: ottla features upgrade --feature ...",
        ),
        (
            "add-scram",
            "Credentials are set when the broker runs: ottla configs --alter --user NAME \
             --add-config SCRAM-SHA-256=[password=...]",
        ),
        (
            "no-initial-controllers",
            "There are no clusters of several nodes yet: format with --standalone.",
        ),
        (
            "initial-controllers",
            "There are no clusters of several nodes yet: format with --standalone.",
        ),
    ];
    match refused.iter().find(|(option, _)| given(matches, option)) {
        Some((_, why)) => Err(Failure::refused(*why)),
        None => Ok(()),
    }
}

fn format(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(cluster_id) = text(matches, "cluster-id") else {
        return Err(Failure::usage("argument --cluster-id/-t is required"));
    };
    let node = node(matches)?;
    check_format(matches)?;
    if cluster_id.is_empty() || cluster_id.contains(char::is_whitespace) {
        return Err(Failure::usage(format!(
            "Cluster ID string {cluster_id} does not appear to be a valid cluster id: ottla \
             storage random-uuid makes one."
        )));
    }
    let mut unformatted = Vec::new();
    for directory in &node.directories {
        let shown = directory.display();
        match owner(directory)? {
            None => unformatted.push(directory),
            Some(_) if !matches.get_flag("ignore-formatted") => {
                return Err(Failure::refused(format!(
                    "Log directory {shown} is already formatted. Use --ignore-formatted to ignore \
                     this directory and format the others."
                )));
            }
            Some(owner) if owner.cluster_id != cluster_id => {
                return Err(Failure::refused(format!(
                    "Invalid cluster.id in: {shown}/{META_PROPERTIES}. Expected {cluster_id}, but \
                     read {}",
                    owner.cluster_id
                )));
            }
            Some(_) => {}
        }
    }
    // The metadata's directory is last, as there.
    unformatted.sort_by_key(|directory| **directory == node.metadata);
    let json = matches.get_flag("json");
    let mut formatted: Vec<Value> = Vec::new();
    for directory in &unformatted {
        let shown = directory.display();
        if !json {
            let what = match **directory == node.metadata {
                true => "dynamic metadata voter directory",
                false => "data directory",
            };
            console.line(format!(
                "Formatting {what} {shown} with metadata.version {RELEASE}."
            ))?;
        }
        let id = random::uuid()?;
        let has_metadata = **directory == node.metadata;
        write_directory(directory, cluster_id, node.id, id, has_metadata)?;
        formatted.push(json!({"directory": shown.to_string(), "directoryId": id.to_string()}));
    }
    if json {
        return console.json(&json!({"clusterId": cluster_id, "formatted": formatted}));
    }
    match unformatted.is_empty() {
        true => console.line("All of the log directories are already formatted."),
        false => Ok(()),
    }
}

/// Writes a directory's files, durably; last the one that makes it formatted.
fn write_directory(
    directory: &Path,
    cluster_id: &str,
    node_id: NodeId,
    directory_id: TopicId,
    has_metadata: bool,
) -> Result<(), Failure> {
    let properties = MetaProperties {
        cluster_id: cluster_id.to_owned(),
        node_id,
        directory_id,
    };
    let now = Timestamp(now_ms());
    let checkpoint = format::bootstrap_checkpoint(now);
    let written = || -> std::io::Result<()> {
        fs::create_dir_all(directory)?;
        if has_metadata {
            let log = directory.join(METADATA_FOLDER);
            fs::create_dir_all(&log)?;
            let voters = format::first_snapshot(now, node_id, directory_id);
            save(&log, FIRST_SNAPSHOT, &voters)?;
        }
        save(directory, BOOTSTRAP_CHECKPOINT, &checkpoint)?;
        save(directory, META_PROPERTIES, &properties.to_bytes())
    };
    written().map_err(|error| {
        Failure::refused(format!(
            "Cannot format {}: {error}. Give this user the right to write there, or choose another \
             directory with log.dirs.",
            directory.display()
        ))
    })
}

fn save(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let draft = directory.join(format!("{name}.tmp"));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, directory.join(name))?;
    File::open(directory)?.sync_all()
}
