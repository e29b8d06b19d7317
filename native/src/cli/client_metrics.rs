//! `client-metrics`: which metrics clients are to push to brokers (KIP-714).
//!
//! Source: `kafka-client-metrics.sh` of Apache Kafka 4.3.1.

use clap::{ArgMatches, Command};
use serde_json::{Map, Value, json};

use crate::cli::admin::{self, resource};
use crate::cli::args::{self, flag, given, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::random;

const EXAMPLES: &str = "\
Examples:
  ottla client-metrics --list
  ottla client-metrics --alter --name producers --metrics org.apache.kafka.producer. \\
      --interval 60000 --match client_software_name=apache-kafka-java
  ottla client-metrics --describe --name producers --json
  ottla client-metrics --delete --name producers";

/// The actions, of which one is to be asked for.
const ACTIONS: [&str; 4] = ["alter", "delete", "describe", "list"];

/// Options that only some actions take: the action, and what it does not take.
const REFUSED: [(&str, &[&str]); 4] = [
    ("alter", &[]),
    ("delete", &["generate-name", "metrics", "interval", "match"]),
    (
        "describe",
        &["generate-name", "metrics", "interval", "match"],
    ),
    (
        "list",
        &["name", "generate-name", "metrics", "interval", "match"],
    ),
];

/// The settings of a resource, with the options that set them.
const SETTINGS: [(&str, &str); 3] = [
    ("interval", "interval.ms"),
    ("match", "match"),
    ("metrics", "metrics"),
];

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Show or change which metrics clients push to brokers";
    args::with_broker(args::command("client-metrics", about))
        .arg(flag("list", "List the resources"))
        .arg(flag("describe", "Show the settings of one, or of all"))
        .arg(flag("alter", "Make one, or change it"))
        .arg(flag("delete", "Delete one"))
        .arg(option("name", "NAME", "The name of the resource"))
        .arg(flag("generate-name", "Make a name up; with --alter"))
        .arg(option(
            "metrics",
            "PREFIX,...",
            "Beginnings of metric names",
        ))
        .arg(option(
            "interval",
            "MS",
            "How often clients push; empty for the default",
        ))
        .arg(option(
            "match",
            "K=V,...",
            "Which clients: client_id, client_instance_id, client_software_name, \
             client_software_version, client_source_address, client_source_port",
        ))
        .after_help(EXAMPLES)
}

/// Runs the tool. The broker's refusals follow Kafka's words, on standard output as there.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let action = action(matches)?;
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-client-metrics")?;
    let result = match action {
        "alter" => alter(matches, &mut cluster, console),
        "delete" => delete(matches, &mut cluster, console),
        "describe" => describe(matches, &mut cluster, console),
        _list => list(matches, &mut cluster, console),
    };
    match result {
        Err(Failure::Refused(words)) => {
            console.line(format!(
                "Error while executing client metrics command : {words}"
            ))?;
            Err(Failure::Told)
        }
        result => result,
    }
}

fn action(matches: &ArgMatches) -> Result<&'static str, Failure> {
    let asked: Vec<&str> = ACTIONS
        .into_iter()
        .filter(|action| matches.get_flag(action))
        .collect();
    let [action] = asked[..] else {
        return Err(Failure::usage(
            "Command must include exactly one action: --alter, --delete, --describe or --list.",
        ));
    };
    let is_there = |option: &&&str| given(matches, option);
    let refused = REFUSED.iter().find(|(of, _)| *of == action);
    if let Some(option) = refused.and_then(|(_, options)| options.iter().find(is_there)) {
        return Err(Failure::usage(format!(
            "Option \"[{action}]\" can't be used with option \"[{option}]\""
        )));
    }
    let named = given(matches, "name");
    if action == "alter" && named == matches.get_flag("generate-name") {
        return Err(Failure::usage(
            "One of --name or --generate-name must be specified with --alter.",
        ));
    }
    if action == "delete" && !named {
        return Err(Failure::usage(
            "A client metrics resource name must be specified with --delete.",
        ));
    }
    Ok(ACTIONS
        .into_iter()
        .find(|known| *known == action)
        .unwrap_or("list"))
}

fn list(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let names = admin::config_resources(cluster, resource::CLIENT_METRICS)?;
    if matches.get_flag("json") {
        return console.json(&json!(names));
    }
    console.line(names.join("\n"))
}

/// The settings of one resource, by name.
fn settings(cluster: &mut Cluster, name: &str) -> Result<Vec<(String, String)>, Failure> {
    let results = admin::describe_configs(cluster, &[(resource::CLIENT_METRICS, name)])?;
    let mut settings = Vec::new();
    for result in results {
        admin::check(result.error_code, result.error_message.as_ref())?;
        for entry in result.configs {
            let value = entry.value.map(|value| value.to_string());
            settings.push((entry.name.to_string(), value.unwrap_or_default()));
        }
    }
    settings.sort_unstable();
    Ok(settings)
}

fn describe(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let existing = admin::config_resources(cluster, resource::CLIENT_METRICS)?;
    let json = matches.get_flag("json");
    let chosen = match text(matches, "name") {
        Some(name) if existing.iter().any(|known| known == name) => vec![name.to_owned()],
        Some(_) if json => Vec::new(),
        Some(name) => {
            return console.line(format!(
                "The client metric resource {name} doesn't exist and doesn't have dynamic config."
            ));
        }
        None => existing,
    };
    let mut shown = Vec::new();
    for name in chosen {
        let settings = settings(cluster, &name)?;
        if json {
            let configs: Map<String, Value> = settings
                .into_iter()
                .map(|(key, value)| (key, Value::String(value)))
                .collect();
            shown.push(json!({"name": name, "configs": configs}));
            continue;
        }
        console.line(format!("Client metrics configs for {name} are:"))?;
        for (key, value) in settings {
            console.line(format!("  {key}={value}"))?;
        }
    }
    match json {
        true => console.json(&Value::Array(shown)),
        false => Ok(()),
    }
}

fn alter(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let name = match text(matches, "name") {
        Some(name) => name.to_owned(),
        None => random::uuid()?.to_string(),
    };
    let changes = SETTINGS.iter().filter_map(|(option, setting)| {
        let value = text(matches, option)?;
        let value = (!value.is_empty()).then(|| value.to_owned());
        Some(((*setting).to_owned(), value))
    });
    let changes = changes.collect();
    admin::alter_configs(cluster, resource::CLIENT_METRICS, &name, changes)?;
    if matches.get_flag("json") {
        return console.json(&json!({"altered": name}));
    }
    console.line(format!("Altered client metrics config for {name}."))
}

fn delete(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let name = text(matches, "name").unwrap_or_default();
    let settings = settings(cluster, name)?;
    let changes = settings.into_iter().map(|(setting, _)| (setting, None));
    let changes = changes.collect();
    admin::alter_configs(cluster, resource::CLIENT_METRICS, name, changes)?;
    if matches.get_flag("json") {
        return console.json(&json!({"deleted": name}));
    }
    console.line(format!("Deleted client metrics config for {name}."))
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
        assert_eq!(asked(&["--alter", "--name", "a"]), Ok("alter"));
        assert_eq!(asked(&["--alter", "--generate-name"]), Ok("alter"));
        assert!(asked(&["--alter"]).is_err());
        assert!(asked(&["--delete"]).is_err());
        assert_eq!(
            asked(&["--list", "--name", "a"]).expect_err("no name"),
            "Option \"[list]\" can't be used with option \"[name]\""
        );
    }
}
