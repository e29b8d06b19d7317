//! `configs`: show and change the settings of topics, brokers and groups, the quotas of users,
//! clients and addresses, and SCRAM credentials.
//!
//! Source: `kafka-configs.sh` of Apache Kafka 4.3.1.

mod alter;
mod describe;
mod quotas;
mod scram;

use clap::{ArgMatches, Command};
use serde_json::{Value, json};

use self::quotas::Part;
use crate::cli::admin::{Changes, resource};
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
  ottla configs --describe --entity-type brokers --entity-name 1 --all
  ottla configs --alter --user alice --add-config producer_byte_rate=1048576
  ottla configs --alter --user alice --add-config SCRAM-SHA-512=[password=secret]
  ottla configs --describe --entity-type users --entity-type clients --json";

/// Kinds of entities, with the shorter options that name one, and its default, directly.
const KINDS: &[Kind] = &[
    Kind {
        plural: "topics",
        one: "topic",
        short: "topic",
        help: "A topic",
        resource: Some(resource::TOPIC),
        quota_type: "",
    },
    Kind {
        plural: "clients",
        one: "client-id",
        short: "client",
        help: "A client id",
        resource: None,
        quota_type: "client-id",
    },
    Kind {
        plural: "users",
        one: "user-principal",
        short: "user",
        help: "A user",
        resource: None,
        quota_type: "user",
    },
    Kind {
        plural: "brokers",
        one: "broker",
        short: "broker",
        help: "A broker",
        resource: Some(resource::BROKER),
        quota_type: "",
    },
    Kind {
        plural: "ips",
        one: "ip",
        short: "ip",
        help: "An address",
        resource: None,
        quota_type: "ip",
    },
    Kind {
        plural: "client-metrics",
        one: "client-metric",
        short: "client-metrics",
        help: "A metrics subscription of clients",
        resource: Some(resource::CLIENT_METRICS),
        quota_type: "",
    },
    Kind {
        plural: "groups",
        one: "group",
        short: "group",
        help: "A group",
        resource: Some(resource::GROUP),
        quota_type: "",
    },
    Kind {
        plural: "broker-loggers",
        one: "broker-logger",
        short: "broker-logger",
        help: "The log levels of a broker",
        resource: Some(resource::BROKER_LOGGER),
        quota_type: "",
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
    /// What that option says of itself.
    help: &'static str,
    /// Its number on the wire; `None` for those whose settings are quotas.
    resource: Option<i8>,
    /// What quotas call it; empty for those that have none.
    quota_type: &'static str,
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
        .arg(
            repeated("entity-default", "", "The default of all of the kind")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(""),
        )
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
        command = command.arg(option(kind.short, "NAME", kind.help));
    }
    for (defaults, help) in [
        ("client-defaults", "The default quotas of clients"),
        ("user-defaults", "The default quotas of users"),
        ("ip-defaults", "The default quotas of addresses"),
    ] {
        command = command.arg(flag(defaults, help));
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
    let parts = parts(matches)?;
    let changes = match alter {
        true => Some(alter::changes(matches)?),
        false => None,
    };
    quotas::check_ips(&parts)?;
    let (mut address, properties) = args::broker(matches, console)?;
    if let Some(controller) = text(matches, "bootstrap-controller") {
        controller.clone_into(&mut address);
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-configs")?;
    let json = matches.get_flag("json");
    let result = match changes {
        Some(changes) => {
            let document = changed(&parts, &changes);
            change(&mut cluster, &parts, changes).and_then(|sentence| match json {
                true => console.json(&document),
                false => console.line(sentence),
            })
        }
        None => show(matches, &mut cluster, parts, console),
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

fn show(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    mut parts: Vec<Part>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let (kind, _) = parts[0];
    let Some(resource_type) = kind.resource else {
        return quotas::describe(matches, cluster, &parts, console);
    };
    let (_, name) = parts.remove(0);
    let entity = describe::Entity {
        kind,
        resource_type,
        name,
    };
    describe::describe(matches, cluster, &entity, console)
}

/// What was changed, as data.
fn changed(parts: &[Part], changes: &Changes) -> Value {
    let entities = parts
        .iter()
        .map(|(kind, name)| json!({"entityType": kind.plural, "entityName": name}));
    let of = |is_added: bool| {
        let names = changes
            .iter()
            .filter(|(_, value)| value.is_some() == is_added);
        names
            .map(|(name, _)| name.as_str().into())
            .collect::<Vec<Value>>()
    };
    let (set, unset) = (of(true), of(false));
    json!({"entities": entities.collect::<Vec<Value>>(), "set": set, "unset": unset})
}

/// Makes the changes; what Kafka's tool says then.
fn change(cluster: &mut Cluster, parts: &[Part], changes: Changes) -> Result<String, Failure> {
    let (kind, name) = &parts[0];
    let Some(resource_type) = kind.resource else {
        return quotas::alter(cluster, parts, &changes);
    };
    match name {
        Some(name) => alter::alter(cluster, kind, resource_type, name, changes),
        None => Err(Failure::usage(format!(
            "An entity name must be specified with --alter of {}",
            kind.plural
        ))),
    }
}

/// Which entity is asked for, in its parts: at least one; several only of those with quotas.
fn parts(matches: &ArgMatches) -> Result<Vec<Part>, Failure> {
    let mut kinds: Vec<&'static Kind> = Vec::new();
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
    let mut names = named_in_order(matches).into_iter();
    let mut parts: Vec<Part> = kinds.into_iter().map(|kind| (kind, names.next())).collect();
    for kind in KINDS {
        if let Some(named) = text(matches, kind.short) {
            parts.push((kind, Some(named.to_owned())));
        }
        let defaults = format!("{}-defaults", kind.short);
        if given(matches, &defaults) {
            parts.push((kind, Some(String::new())));
        }
    }
    let has_quotas = |(kind, _): &Part| matches!(kind.plural, "users" | "clients");
    match &parts[..] {
        [] => return Err(Failure::usage("At least one entity type must be specified")),
        [_one] => {}
        [..] if parts.iter().all(has_quotas) => {}
        [..] => {
            return Err(Failure::usage(
                "Only 'users' and 'clients' entity types may be specified together",
            ));
        }
    }
    for (kind, name) in &parts {
        let by_number = matches!(kind.plural, "brokers" | "broker-loggers");
        if let Some(name) = name.as_deref().filter(|name| by_number && !name.is_empty())
            && name.parse::<i32>().is_err()
        {
            return Err(Failure::usage(format!(
                "The entity name for {} must be a valid integer broker id, but it is: {name}",
                kind.plural
            )));
        }
    }
    Ok(parts)
}

/// The names of `--entity-name` and the empty ones of `--entity-default`, in the order given:
/// they belong to the kinds of `--entity-type` in theirs.
fn named_in_order(matches: &ArgMatches) -> Vec<String> {
    let mut named: Vec<(usize, String)> = Vec::new();
    for option in ["entity-name", "entity-default"] {
        let places = matches.indices_of(option).into_iter().flatten();
        let values = texts(matches, option);
        named.extend(places.zip(values.into_iter().cloned()));
    }
    named.sort_unstable();
    named.into_iter().map(|(_place, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<(&'static str, Option<String>), String> {
        let matches = command()
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        let mut parts = parts(&matches).map_err(|failure| failure.to_string())?;
        let (kind, name) = parts.remove(0);
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
    fn names_belong_to_kinds_in_order() {
        let of = |args: &[&str]| {
            let matches = command()
                .try_get_matches_from(args)
                .expect("arguments under test parse");
            let parts = parts(&matches).expect("a good entity");
            let parts = parts.into_iter().map(|(kind, name)| (kind.plural, name));
            parts.collect::<Vec<_>>()
        };
        let name = |name: &str| Some(name.to_owned());
        let (users, clients) = (["--entity-type", "users"], ["--entity-type", "clients"]);
        let default = ["--entity-default"];
        assert_eq!(
            of(&[&users[..], &default, &clients, &["--entity-name", "app"]].concat()),
            [("users", name("")), ("clients", name("app"))]
        );
        assert_eq!(
            of(&[&clients[..], &users, &["--entity-name", "app"]].concat()),
            [("clients", name("app")), ("users", None)]
        );
        assert_eq!(
            of(&[&users[..], &default, &clients, &default].concat()),
            [("users", name("")), ("clients", name(""))]
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
