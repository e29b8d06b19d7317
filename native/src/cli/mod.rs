//! The command line: Kafka's tools under their own names, flags and output.
//!
//! Each tool is found by a subcommand (`ottla topics`), or by the name the binary is called with
//! (`kafka-topics.sh`, `kafka-topics`, from any directory). Tools are plain blocking programs over
//! the sans-I/O client: they start in milliseconds, and only those that run until a signal have a
//! runtime, on the thread that waits for it. The broker itself (`ottla serve`,
//! `kafka-server-start.sh`) is not here.

mod admin;
mod args;
mod broker_api_versions;
mod client_metrics;
mod cluster;
mod completions;
mod configs;
mod console;
mod consume;
mod consumer_groups;
mod consumer_perf_test;
mod delete_records;
mod driver;
mod dump_log;
mod e2e_latency;
mod failure;
mod features;
mod get_offsets;
mod group_admin;
mod group_records;
mod groups;
mod interrupt;
mod json_file;
mod kafka_order;
mod leader_election;
mod link;
mod log_dirs;
mod member;
mod metadata_quorum;
mod overview;
mod pace;
mod produce;
mod producer_perf_test;
mod progress;
mod properties;
mod random;
mod reassign_partitions;
mod replica_verification;
mod scripts;
mod sender;
mod sockets;
mod storage;
mod time;
mod topics;
mod verifiable_consumer;
mod verifiable_producer;
mod when;

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use console::{Console, joined};
use failure::Failure;

/// One of the tools.
struct Tool {
    /// Its name: Kafka's script without `kafka-` and `.sh`.
    name: &'static str,
    /// A shorter name for people.
    short: Option<&'static str>,
    command: fn() -> Command,
    run: fn(&ArgMatches, &mut Console<'_>) -> Result<(), Failure>,
}

/// Every tool, by name.
const TOOLS: &[Tool] = &[
    Tool {
        name: "broker-api-versions",
        short: None,
        command: broker_api_versions::command,
        run: broker_api_versions::run,
    },
    Tool {
        name: "client-metrics",
        short: None,
        command: client_metrics::command,
        run: client_metrics::run,
    },
    Tool {
        name: "cluster",
        short: None,
        command: cluster::command,
        run: cluster::run,
    },
    Tool {
        name: "configs",
        short: None,
        command: configs::command,
        run: configs::run,
    },
    Tool {
        name: "console-consumer",
        short: Some("consume"),
        command: consume::command,
        run: consume::run,
    },
    Tool {
        name: "console-producer",
        short: Some("produce"),
        command: produce::command,
        run: produce::run,
    },
    Tool {
        name: "consumer-groups",
        short: None,
        command: consumer_groups::command,
        run: consumer_groups::run,
    },
    Tool {
        name: "consumer-perf-test",
        short: None,
        command: consumer_perf_test::command,
        run: consumer_perf_test::run,
    },
    Tool {
        name: "delete-records",
        short: None,
        command: delete_records::command,
        run: delete_records::run,
    },
    Tool {
        name: "dump-log",
        short: None,
        command: dump_log::command,
        run: dump_log::run,
    },
    Tool {
        name: "e2e-latency",
        short: None,
        command: e2e_latency::command,
        run: e2e_latency::run,
    },
    Tool {
        name: "features",
        short: None,
        command: features::command,
        run: features::run,
    },
    Tool {
        name: "get-offsets",
        short: None,
        command: get_offsets::command,
        run: get_offsets::run,
    },
    Tool {
        name: "groups",
        short: None,
        command: groups::command,
        run: groups::run,
    },
    Tool {
        name: "leader-election",
        short: None,
        command: leader_election::command,
        run: leader_election::run,
    },
    Tool {
        name: "log-dirs",
        short: None,
        command: log_dirs::command,
        run: log_dirs::run,
    },
    Tool {
        name: "metadata-quorum",
        short: None,
        command: metadata_quorum::command,
        run: metadata_quorum::run,
    },
    Tool {
        name: "producer-perf-test",
        short: None,
        command: producer_perf_test::command,
        run: producer_perf_test::run,
    },
    Tool {
        name: "reassign-partitions",
        short: None,
        command: reassign_partitions::command,
        run: reassign_partitions::run,
    },
    Tool {
        name: "replica-verification",
        short: None,
        command: replica_verification::command,
        run: replica_verification::run,
    },
    Tool {
        name: "storage",
        short: None,
        command: storage::command,
        run: storage::run,
    },
    Tool {
        name: "topics",
        short: None,
        command: topics::command,
        run: topics::run,
    },
    Tool {
        name: "verifiable-consumer",
        short: None,
        command: verifiable_consumer::command,
        run: verifiable_consumer::run,
    },
    Tool {
        name: "verifiable-producer",
        short: None,
        command: verifiable_producer::command,
        run: verifiable_producer::run,
    },
];

/// Runs one tool, named without `kafka-` and `.sh`, with the arguments after its name.
///
/// The exit status is Kafka's: 0 when it did what was asked, 1 otherwise; where Kafka's tool only
/// prints what failed (`consumer-groups`), so does this.
pub(crate) fn main(name: &str, args: Vec<OsString>) -> ExitCode {
    let stdout = std::io::stdout();
    let out_is_terminal = stdout.is_terminal();
    let mut console = Console {
        command_line: joined(args.iter().map(|arg| arg.to_string_lossy()), " "),
        out: &mut BufWriter::new(stdout),
        err: &mut std::io::stderr(),
        out_is_terminal,
        err_is_terminal: std::io::stderr().is_terminal(),
        colours: out_is_terminal && console::wants_colours(|name| std::env::var_os(name)),
        is_json: false,
        in_is_terminal: std::io::stdin().is_terminal(),
    };
    let result = run(name, args, &mut console);
    // What was printed before a failure is part of what happened.
    let flushed = console.flush();
    match result.and(flushed) {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(Failure::Usage(message)) => {
            console.notice(message);
            console.notice(format!("For help: ottla {name} --help"));
            ExitCode::FAILURE
        }
        Err(failure @ (Failure::Call(_) | Failure::Refused(_))) => {
            console.notice(failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, args: Vec<OsString>, console: &mut Console<'_>) -> Result<(), Failure> {
    match name {
        "help" | "--help" | "-h" => return overview::print(console),
        "version" | "--version" | "-V" => return console.line(args::version()),
        "links" => return overview::make_links(&args, console),
        "completions" => return completions::run(&args, console),
        _a_tool => {}
    }
    let Some(tool) = TOOLS
        .iter()
        .find(|tool| tool.name == name || tool.short == Some(name))
    else {
        return Err(Failure::Refused(no_tool(name)));
    };
    let command = (tool.command)();
    match args::parse(&command, args, console)? {
        Some(matches) => {
            console.is_json = args::wants_json(&matches);
            (tool.run)(&matches, console)
        }
        None => Ok(()),
    }
}

/// Commands that are no tools.
const COMMANDS: &[&str] = &["completions", "help", "links", "serve", "version"];

/// What is said of a name that is no tool's.
fn no_tool(name: &str) -> String {
    let known = TOOLS.iter().flat_map(|tool| [Some(tool.name), tool.short]);
    let known = known.flatten().chain(COMMANDS.iter().copied());
    let plain = name.strip_prefix("kafka-").unwrap_or(name);
    let plain = plain.strip_suffix(".sh").unwrap_or(plain);
    if plain != name && TOOLS.iter().any(|tool| tool.name == plain) {
        return format!("ottla: there is no tool '{name}'. Did you mean '{plain}'?");
    }
    if let Some(sentence) = scripts::absent(plain) {
        return format!("ottla: there is no tool '{plain}'. {sentence}");
    }
    match scripts::meant(plain, known) {
        Some(meant) => format!(
            "ottla: there is no tool '{name}'. Did you mean '{meant}'? `ottla help` lists them."
        ),
        None => format!("ottla: there is no tool '{name}'; `ottla help` lists them."),
    }
}

/// The tool that a program name stands for: `/opt/bin/kafka-topics.sh` is `topics`.
///
/// `None` for `ottla` itself and every other name that is not one of Kafka's scripts.
pub(crate) fn tool_called_as(program: &OsStr) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_prefix("kafka-")?;
    Some(name.strip_suffix(".sh").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_the_name_of_its_script() {
        let called_as = |program: &str| tool_called_as(OsStr::new(program));
        assert_eq!(
            called_as("/opt/kafka/bin/kafka-topics.sh").as_deref(),
            Some("topics")
        );
        assert_eq!(
            called_as("kafka-console-producer").as_deref(),
            Some("console-producer")
        );
        assert_eq!(called_as("./target/release/ottla"), None);
        assert_eq!(called_as(""), None);
    }

    #[test]
    fn no_name_is_no_tool() {
        let (result, out, _err) = console::testing::with_console(|console| {
            let nobody = ["--bootstrap-server", "127.0.0.1:1"].map(OsString::from);
            run("", Vec::from(nobody), console)
        });
        let refused = result.expect_err("an empty name").to_string();
        assert!(
            refused.starts_with("ottla: there is no tool ''"),
            "{refused}"
        );
        assert_eq!(out, "");
    }

    #[test]
    fn every_command_line_is_sound() {
        for tool in TOOLS {
            (tool.command)().debug_assert();
        }
    }
}
