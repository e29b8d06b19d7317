//! The arguments of `ottla serve`, which are those of `kafka-server-start.sh` and a few more.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};
use tracing::level_filters::LevelFilter;

use crate::driver::Turning;
use crate::logging::LogFormat;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Options {
    /// Path of a `server.properties`; none is the defaults.
    pub(crate) properties: Option<String>,
    /// `key=value` arguments, which win over the file.
    pub(crate) overrides: Vec<String>,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// Which of them are printed.
    pub(crate) log_level: LevelFilter,
    /// Who turns the brain.
    pub(crate) turning: Turning,
    /// Whether to go to the background.
    pub(crate) is_daemon: bool,
}

/// What the command line came to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Serve.
    Options(Options),
    /// Help or a version was asked for: print it and end well.
    Text(String),
}

const EXAMPLES: &str = "\
Examples:
  ottla                                      a cluster of one: data in ./ottla-data,
                                             Kafka on 127.0.0.1:9092
  ottla serve --override log.dirs=/var/lib/ottla
  ottla serve server.properties --override listeners=PLAINTEXT://:9092";

fn command() -> Command {
    Command::new("ottla serve")
        .about("Run the broker")
        .after_help(EXAMPLES)
        .disable_version_flag(true)
        .arg(
            Arg::new("properties")
                .value_name("server.properties")
                .help("Kafka's configuration file; without one the defaults are used"),
        )
        .arg(
            Arg::new("override")
                .long("override")
                .value_name("key=value")
                .action(ArgAction::Append)
                .help("A configuration that wins over the file; may be repeated"),
        )
        .arg(
            Arg::new("log-format")
                .long("log-format")
                .value_name("FORMAT")
                .value_parser(["human", "json"])
                .default_value("human")
                .help("How log lines look"),
        )
        .arg(
            Arg::new("log-level")
                .long("log-level")
                .value_name("LEVEL")
                .value_parser(["error", "warn", "info", "debug", "trace"])
                .default_value("info")
                .help("The least important log lines to print"),
        )
        .arg(
            Arg::new("daemon")
                .long("daemon")
                .action(ArgAction::SetTrue)
                .help("Go to the background (Kafka's -daemon)"),
        )
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::SetTrue)
                .help("Print the version"),
        )
        .arg(
            Arg::new("brain")
                .long("brain")
                .hide(true)
                .value_parser(["owner", "shared"])
                .default_value("shared"),
        )
}

/// Reads the arguments after `serve`.
///
/// # Errors
/// What is wrong with them, and how to ask for help.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Parsed, String> {
    // Kafka's script has one option with a single dash.
    let args = args.into_iter().map(|arg| {
        if arg == "-daemon" {
            OsString::from("--daemon")
        } else {
            arg
        }
    });
    let args = [OsString::from("ottla serve")].into_iter().chain(args);
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Err(error.to_string()),
        Err(help) => return Ok(Parsed::Text(help.to_string())),
    };
    if matches.get_flag("version") {
        let version = env!("CARGO_PKG_VERSION");
        return Ok(Parsed::Text(format!("ottla {version}\n")));
    }
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str);
    let overrides = matches.get_many::<String>("override");
    Ok(Parsed::Options(Options {
        properties: text("properties").map(str::to_owned),
        overrides: overrides.unwrap_or_default().cloned().collect(),
        log_format: match text("log-format") {
            Some("json") => LogFormat::Json,
            _human => LogFormat::Human,
        },
        log_level: text("log-level")
            .and_then(|level| level.parse().ok())
            .unwrap_or(LevelFilter::INFO),
        turning: match text("brain") {
            Some("owner") => Turning::Owner,
            _shared => Turning::WhoeverBrings,
        },
        is_daemon: matches.get_flag("daemon"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        match parse(args.iter().map(OsString::from).collect()) {
            Ok(Parsed::Options(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn kafkas_arguments_are_taken() {
        command().debug_assert();
        let options = options(&[
            "-daemon",
            "config/server.properties",
            "--override",
            "broker.id=1",
            "--override",
            "log.dirs=/data",
        ]);
        assert_eq!(
            options.properties.as_deref(),
            Some("config/server.properties")
        );
        assert_eq!(options.overrides, ["broker.id=1", "log.dirs=/data"]);
        assert!(options.is_daemon);
        assert_eq!(options.turning, Turning::WhoeverBrings);
    }

    #[test]
    fn nothing_is_the_defaults() {
        let options = options(&[]);
        assert_eq!(options.properties, None);
        assert!(options.overrides.is_empty());
        assert_eq!(options.log_format, LogFormat::Human);
        assert_eq!(options.log_level, LevelFilter::INFO);
    }

    #[test]
    fn wrong_arguments_are_named() {
        let wrong = parse(vec!["--overide".into(), "a=b".into()]).unwrap_err();
        assert!(wrong.contains("--override"), "{wrong}");
    }
}
