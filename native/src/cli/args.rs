//! Pieces of the tools' command lines, spelled as Kafka spells them.
//!
//! Kafka's parser takes `--name value`, `--name=value`, `-name` and unambiguous beginnings of a
//! name, lets a value begin with a dash (`--time -1`), and ends with status 1 when it refuses. So
//! does this.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cli::console::Console;
use crate::cli::failure::Failure;
use crate::cli::properties::{self, Properties};

/// Where a tool looks for a broker when it is told nothing.
pub(crate) const BOOTSTRAP_SERVER_DEFAULT: &str = "localhost:9092";

/// What a tool says of `--zookeeper`, in one sentence.
pub(crate) const ZOOKEEPER_NOTICE: &str = "There is no ZooKeeper any more, so --zookeeper is not \
     used: this talks to the broker at";

/// An option that takes one value and may be given once.
pub(crate) fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .num_args(1)
        .allow_hyphen_values(true)
}

/// An option that takes one value and may be repeated.
pub(crate) fn repeated(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(name, value, help).action(ArgAction::Append)
}

/// An option that is there or not.
pub(crate) fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .help(help)
        .action(ArgAction::SetTrue)
}

/// A tool's command with what all tools share.
pub(crate) fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .bin_name(format!("ottla {name}"))
        .about(about)
        .no_binary_name(true)
        .infer_long_args(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .arg(flag("version", "Print the version and end"))
        .max_term_width(100)
}

/// Adds the options that say which broker to ask.
pub(crate) fn with_broker(command: Command) -> Command {
    command
        .arg(option(
            "bootstrap-server",
            "HOST:PORT,...",
            "The broker to ask; localhost:9092 when left out",
        ))
        .arg(option(
            "command-config",
            "FILE",
            "Properties of the client, such as request.timeout.ms",
        ))
        .arg(flag("json", "Print the result as JSON, for programs"))
        .arg(
            option(
                "zookeeper",
                "HOST:PORT",
                "Accepted for old scripts; not used",
            )
            .hide(true),
        )
}

/// Whether JSON is asked for, of the tool or of its subcommand; not every tool has it.
pub(crate) fn wants_json(matches: &ArgMatches) -> bool {
    let is_given = |matches: &ArgMatches| {
        let json = matches.try_get_one::<bool>("json");
        matches!(json, Ok(Some(true)))
    };
    let subcommand = matches.subcommand();
    is_given(matches) || subcommand.is_some_and(|(_name, matches)| is_given(matches))
}

/// Parses a tool's arguments; `Ok(None)` when they asked for help or for the version, now printed.
pub(crate) fn parse(
    command: &Command,
    args: Vec<OsString>,
    console: &mut Console<'_>,
) -> Result<Option<ArgMatches>, Failure> {
    // A question for the version counts whatever else is there, as with Kafka's tools.
    if args.iter().any(|arg| arg == "--version") {
        console.line(version())?;
        return Ok(None);
    }
    match command
        .clone()
        .try_get_matches_from(with_two_dashes(command, args))
    {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            write!(console.out, "{}", error.render())?;
            Ok(None)
        }
        Err(error) => Err(Failure::Usage(explain(&error, command))),
    }
}

/// Long names after a single dash (`-topic`), as scripts have them, with the two that clap wants.
fn with_two_dashes(command: &Command, args: Vec<OsString>) -> Vec<OsString> {
    if OTHER_PARSER.contains(&command.get_name()) {
        return args;
    }
    let option = |name: &str| {
        command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name))
    };
    let mut is_value = false;
    let mut taken = Vec::with_capacity(args.len());
    for arg in args {
        let text = arg.to_str().unwrap_or("");
        let bare = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
        let name = bare.and_then(|bare| bare.split('=').next()).unwrap_or("");
        let known = option(name).filter(|_known| !is_value && name.len() > 1);
        is_value = known.is_some_and(|known| {
            let takes_one = known
                .get_num_args()
                .is_some_and(|count| count.min_values() == 1);
            takes_one && !text.contains('=')
        });
        match known {
            Some(_known) if !text.starts_with("--") => taken.push(format!("-{text}").into()),
            Some(_) | None => taken.push(arg),
        }
    }
    taken
}

/// Tools whose Kafka original has another parser (argparse4j), with words of its own.
const OTHER_PARSER: &[&str] = &[
    "cluster",
    "features",
    "metadata-quorum",
    "producer-perf-test",
    "storage",
    "verifiable-producer",
];

/// What `--version` prints: the Kafka whose tools these answer for, then our own.
pub(crate) fn version() -> String {
    format!("4.3.1 (Ottla {})", env!("CARGO_PKG_VERSION"))
}

/// Kafka's words for what its parser refuses; clap's for the rest.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "clap's enum, which may grow: its own words are good for every other kind"
)]
fn explain(error: &clap::Error, command: &Command) -> String {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _no_argument => "",
    };
    let name = argument
        .trim_start_matches('-')
        .split([' ', '='])
        .next()
        .unwrap_or("");
    let suggestion = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(text)) => format!(". Did you mean {text}?"),
        _none => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument if OTHER_PARSER.contains(&command.get_name()) => {
            format!("unrecognized arguments: '{argument}'{suggestion}")
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            format!("{name} is not a recognized option{suggestion}")
        }
        ErrorKind::InvalidSubcommand => {
            let given = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(given)) => given.as_str(),
                _none => "",
            };
            let names = command
                .get_subcommands()
                .map(|known| format!("'{}'", known.get_name()));
            let names: Vec<String> = names.collect();
            format!(
                "invalid choice: '{given}' (choose from {})",
                names.join(", ")
            )
        }
        ErrorKind::ArgumentConflict
            if error.get(ContextKind::PriorArg) == error.get(ContextKind::InvalidArg) =>
        {
            format!("Found multiple arguments for option {name}, but you asked for only one")
        }
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "too few arguments".to_owned()
        }
        ErrorKind::InvalidValue if error.get(ContextKind::InvalidValue).is_some_and(is_empty) => {
            format!("Option {name} requires an argument")
        }
        _ => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            text.split("\n\n").next().unwrap_or(text).to_owned()
        }
    }
}

fn is_empty(value: &ContextValue) -> bool {
    matches!(value, ContextValue::String(text) if text.is_empty())
}

/// The text given for an option; `None` where it was left out or the tool does not have it.
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches
        .try_get_one::<String>(name)
        .ok()
        .flatten()
        .map(String::as_str)
}

/// Every text given for an option that may be repeated.
pub(crate) fn texts<'a>(matches: &'a ArgMatches, name: &str) -> Vec<&'a String> {
    match matches.try_get_many::<String>(name) {
        Ok(Some(values)) => values.collect(),
        Ok(None) | Err(_) => Vec::new(),
    }
}

/// Whether an option was given, with or without a value.
pub(crate) fn given(matches: &ArgMatches, name: &str) -> bool {
    matches.try_contains_id(name).unwrap_or(false)
        && matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
}

/// The whole number given for an option.
pub(crate) fn number<N: std::str::FromStr>(
    matches: &ArgMatches,
    name: &str,
) -> Result<Option<N>, Failure> {
    let Some(text) = text(matches, name) else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_not_a_number) => Err(Failure::usage(format!(
            "Cannot parse argument '{text}' of option {name}"
        ))),
    }
}

/// The addresses to ask, and the client's properties from `--command-config`.
///
/// Explains `--zookeeper` where it was given.
pub(crate) fn broker(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<(String, Properties), Failure> {
    let address = text(matches, "bootstrap-server")
        .or_else(|| text(matches, "broker-list"))
        .unwrap_or(BOOTSTRAP_SERVER_DEFAULT)
        .to_owned();
    if given(matches, "zookeeper") {
        console.notice(format!("{ZOOKEEPER_NOTICE} {address}."));
    }
    let properties = match text(matches, "command-config") {
        Some(path) => properties::read_file(path)?,
        None => Properties::new(),
    };
    Ok((address, properties))
}

/// Whose words tell that an option has another name today.
#[derive(Clone, Copy)]
pub(crate) enum Words {
    ConsoleConsumer,
    ConsoleProducer,
}

/// Says that an option has another name today, where it is given; refuses both names together.
pub(crate) fn deprecated(
    matches: &ArgMatches,
    words: Words,
    (old, new): (&str, &str),
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if !given(matches, old) {
        return Ok(());
    }
    let (subject, first, second) = match words {
        Words::ConsoleConsumer => ("Option", old, new),
        Words::ConsoleProducer => ("Warning:", new, old),
    };
    if given(matches, new) {
        return Err(Failure::usage(format!(
            "Options --{first} and --{second} cannot be specified together."
        )));
    }
    console.line(format!(
        "{subject} --{old} is deprecated and will be removed in a future version. Use --{new} \
         instead."
    ))
}

/// The properties of an option for a file that has another name today; says so where it is given.
///
/// Refuses the old name beside the new one.
pub(crate) fn deprecated_file(
    matches: &ArgMatches,
    old: &str,
    new: &str,
    console: &mut Console<'_>,
) -> Result<Properties, Failure> {
    let Some(path) = text(matches, old) else {
        return Ok(Properties::new());
    };
    if given(matches, new) {
        return Err(Failure::usage(format!(
            "Options --{new} and --{old} cannot be specified together."
        )));
    }
    console.line(format!(
        "Option --{old} has been deprecated and will be removed in a future version. Use --{new} \
         instead."
    ))?;
    properties::read_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    fn sample() -> Command {
        with_broker(command("sample", "A sample"))
            .arg(option("time", "TIME", "A time"))
            .arg(repeated("config", "K=V", "A setting"))
            .arg(flag("list", "List"))
    }

    fn parsed(args: &[&str]) -> Result<ArgMatches, String> {
        let args = args.iter().map(Into::into).collect();
        let mut matches = None;
        let (result, _out, _err) = with_console(|console| {
            matches = parse(&sample(), args, console)?;
            Ok(())
        });
        match result {
            Ok(()) => Ok(matches.expect("no help was asked for")),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn arguments_are_taken_as_kafka_takes_them() {
        let matches = parsed(&["--time", "-1", "--config=a=b", "--config", "c=d", "--li"]);
        let matches = matches.expect("all of these are good");
        assert_eq!(text(&matches, "time"), Some("-1"));
        assert_eq!(texts(&matches, "config"), ["a=b", "c=d"]);
        assert!(matches.get_flag("list"));
        assert_eq!(number::<i64>(&matches, "time").ok(), Some(Some(-1)));
        assert!(number::<u8>(&matches, "time").is_err());
    }

    #[test]
    fn a_single_dash_will_do() {
        let matches = parsed(&["-list", "-config=a=b", "-config", "-list", "-time", "-1"]);
        let matches = matches.expect("all of these are good");
        assert!(matches.get_flag("list"));
        assert_eq!(texts(&matches, "config"), ["a=b", "-list"]);
        assert_eq!(text(&matches, "time"), Some("-1"));
        assert!(parsed(&["-lists"]).is_err());
    }

    #[test]
    fn refusals_are_in_kafkas_words() {
        let check = |args: &[&str], words: &str| {
            let refused = parsed(args).expect_err("a bad command line");
            assert_eq!(refused, words);
        };
        check(&["--bogus"], "bogus is not a recognized option");
        check(&["--bogus=1"], "bogus is not a recognized option");
        check(&["--time"], "Option time requires an argument");
        check(
            &["--time", "1", "--time", "2"],
            "Found multiple arguments for option time, but you asked for only one",
        );
        check(
            &["--lisst"],
            "lisst is not a recognized option. Did you mean --list?",
        );
    }

    #[test]
    fn zookeeper_is_explained_in_one_sentence() {
        let matches = parsed(&["--zookeeper", "localhost:2181"]).expect("it is accepted");
        let (result, out, err) = with_console(|console| {
            let (address, _) = broker(&matches, console)?;
            console.line(address)
        });
        assert!(result.is_ok());
        assert_eq!(out, "localhost:9092\n");
        assert_eq!(err, format!("{ZOOKEEPER_NOTICE} localhost:9092.\n"));
    }
}
