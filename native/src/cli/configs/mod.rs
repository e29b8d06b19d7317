//! `configs`: show and change the settings of topics, brokers and groups.
//!
//! Source: `kafka-configs.sh` of Apache Kafka 4.3.1. Quotas of users, clients and addresses, and
//! SCRAM credentials, are not here yet.

mod alter;
mod describe;

use clap::{ArgMatches, Command};

use crate::cli::admin::resource;
use crate::cli::args::{self, flag, given, option, repeated, text, texts};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla configs --describe --topic orders
  ottla configs --describe --topic orders --all --json
  ottla configs --alter --topic orders --add-config retention.ms=3600000
  ottla configs --alter --topic orders --add-config cleanup.policy=[compact,delete]
  ottla configs --alter --topic orders --delete-config retention.ms
  ottla configs --describe --entity-type brokers --entity-name 1 --all";

/// Kinds of entities, with the shorter options that name one, and its default, directly.
const KINDS: &[Kind] = &[
    Kind {
        plural: "topics",
        one: "topic",
        short: "topic",
        resource: Some(resource::TOPIC),
    },
    Kind {
        plural: "clients",
        one: "client-id",
        short: "client",
        resource: None,
    },
    Kind {
        plural: "users",
        one: "user-principal",
        short: "user",
        resource: None,
    },
    Kind {
        plural: "brokers",
        one: "broker",
        short: "broker",
        resource: Some(resource::BROKER),
    },
    Kind {
        plural: "ips",
        one: "ip",
        short: "ip",
        resource: None,
    },
    Kind {
        plural: "client-metrics",
        one: "client-metric",
        short: "client-metrics",
        resource: Some(resource::CLIENT_METRICS),
    },
    Kind {
        plural: "groups",
        one: "group",
        short: "group",
        resource: Some(resource::GROUP),
    },
    Kind {
        plural: "broker-loggers",
        one: "broker-logger",
        short: "broker-logger",
        resource: Some(resource::BROKER_LOGGER),
    },
];

/// A kind of entity that has settings.
#[derive(Debug)]
struct Kind {
    /// Its name for `--entity-type`.
    plural: &'static str,
    /// What messages call one of them.
    one: &'static str,
    /// The option that names one.
    short: &'static str,
    /// Its number on the wire; `None` for those whose settings are quotas.
    resource: Option<i8>,
}

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Show or change the settings of topics, brokers and groups";
    let mut command = args::with_broker(args::command("configs", about))
        .arg(option(
            "bootstrap-controller",
            "HOST:PORT,...",
            "The controller to ask instead",
        ))
        .arg(flag("describe", "Show settings"))
        .arg(flag("alter", "Change settings"))
        .arg(repeated(
            "entity-type",
            "KIND",
            "topics, brokers, broker-loggers, groups, ...",
        ))
        .arg(repeated(
            "entity-name",
            "NAME",
            "Which one; all of the kind when left out",
        ))
        .arg(flag("entity-default", "The default of all brokers"))
        .arg(option(
            "add-config",
            "K=V,K=[V,V],...",
            "Settings to set; with --alter",
        ))
        .arg(option(
            "add-config-file",
            "FILE",
            "Properties to set; with --alter",
        ))
        .arg(option(
            "delete-config",
            "K,K,...",
            "Settings to set back to default; with --alter",
        ))
        .arg(flag(
            "all",
            "All settings, not only those somebody has set; with --describe",
        ))
        .arg(flag("force", "Accepted; nothing asks back").hide(true))
        .arg(flag("broker-defaults", "The default of all brokers"));
    for kind in KINDS {
        let hidden = kind.resource.is_none();
        command = command.arg(option(kind.short, "NAME", "The one with this name").hide(hidden));
    }
    for defaults in ["client-defaults", "user-defaults", "ip-defaults"] {
        command = command.arg(flag(defaults, "The default").hide(true));
    }
    command.after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let (alter, describe) = (matches.get_flag("alter"), matches.get_flag("describe"));
    if alter == describe {
        return Err(Failure::usage(
            "Command must include exactly one action: --describe, --alter",
        ));
    }
    let (kind, resource_type, name) = entity(matches)?;
    let (mut address, properties) = args::broker(matches, console)?;
    if let Some(controller) = text(matches, "bootstrap-controller") {
        controller.clone_into(&mut address);
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-configs")?;
    let result = match (alter, name) {
        (false, name) => {
            let entity = describe::Entity {
                kind,
                resource_type,
                name,
            };
            describe::describe(matches, &mut cluster, &entity, console)
        }
        (true, Some(name)) => {
            let changes = alter::changes(matches)?;
            alter::alter(&mut cluster, kind, resource_type, &name, changes, console)
        }
        (true, None) => Err(Failure::usage(format!(
            "An entity name must be specified with --alter of {}",
            kind.plural
        ))),
    };
    match result {
        Err(Failure::Refused(message)) => {
            console.notice(format!(
                "Error while executing config command with args '{}'",
                console.command_line
            ));
            Err(Failure::Refused(message))
        }
        result => result,
    }
}

/// Which entity is asked for: its kind, the kind's number, and a name; the empty name is the
/// default of all.
fn entity(matches: &ArgMatches) -> Result<(&'static Kind, i8, Option<String>), Failure> {
    let mut kinds: Vec<&Kind> = Vec::new();
    for wanted in texts(matches, "entity-type") {
        let kind = KINDS.iter().find(|kind| kind.plural == wanted);
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.plural).collect();
        kinds.push(kind.ok_or_else(|| {
            Failure::usage(format!(
                "Invalid entity type {wanted}, the entity type must be one of {} with a \
                 --bootstrap-server or --bootstrap-controller argument",
                names.join(", ")
            ))
        })?);
    }
    let mut name = texts(matches, "entity-name")
        .first()
        .map(|name| (*name).clone());
    if matches.get_flag("entity-default") {
        name = Some(String::new());
    }
    for kind in KINDS {
        if let Some(named) = text(matches, kind.short) {
            kinds.push(kind);
            name = Some(named.to_owned());
        }
        let defaults = format!("{}-defaults", kind.short);
        if given(matches, &defaults) {
            kinds.push(kind);
            name = Some(String::new());
        }
    }
    let kind = match kinds[..] {
        [] => return Err(Failure::usage("At least one entity type must be specified")),
        [kind] => kind,
        [..] => {
            return Err(Failure::usage(
                "Only 'users' and 'clients' entity types may be specified together",
            ));
        }
    };
    let Some(resource_type) = kind.resource else {
        return Err(Failure::refused(format!(
            "The settings of {} are quotas and credentials, which this tool cannot show or change \
             yet.",
            kind.plural
        )));
    };
    let by_number = matches!(resource_type, resource::BROKER | resource::BROKER_LOGGER);
    if let Some(name) = name.as_deref().filter(|name| by_number && !name.is_empty())
        && name.parse::<i32>().is_err()
    {
        return Err(Failure::usage(format!(
            "The entity name for {} must be a valid integer broker id, but it is: {name}",
            kind.plural
        )));
    }
    Ok((kind, resource_type, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<(&'static str, Option<String>), String> {
        let matches = command()
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        let (kind, _, name) = entity(&matches).map_err(|failure| failure.to_string())?;
        Ok((kind.plural, name))
    }

    #[test]
    fn entities_are_named_in_two_ways() {
        let check = |args: &[&str], plural, name: Option<&str>| {
            assert_eq!(asked(args), Ok((plural, name.map(str::to_owned))));
        };
        check(&["--entity-type", "topics"], "topics", None);
        check(
            &["--entity-type", "topics", "--entity-name", "a"],
            "topics",
            Some("a"),
        );
        check(&["--topic", "a"], "topics", Some("a"));
        check(&["--broker-defaults"], "brokers", Some(""));
        check(
            &["--entity-type", "brokers", "--entity-default"],
            "brokers",
            Some(""),
        );
    }

    #[test]
    fn refusals_are_kafkas() {
        let check = |args: &[&str], words: &str| {
            assert_eq!(asked(args), Err(words.to_owned()));
        };
        check(&[], "At least one entity type must be specified");
        check(
            &["--topic", "t", "--user", "u"],
            "Only 'users' and 'clients' entity types may be specified together",
        );
        check(
            &["--broker", "x"],
            "The entity name for brokers must be a valid integer broker id, but it is: x",
        );
    }
}
