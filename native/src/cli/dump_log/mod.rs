//! `dump-log`: shows what the files of a log hold.
//!
//! Source: `kafka-dump-log.sh` of Apache Kafka 4.3.1. The decoders of transactions,
//! share groups and remote logs are not here yet; nor are formats older than
//! version 2 of the record batch.

mod batches;
mod indexes;
mod json;
mod reader;
mod snapshot;

use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use crate::cli::args::{self, flag, number, option, text};
use crate::cli::console::Console;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  ottla dump-log ottla-data/orders-0/00000000000000000000.log
  ottla dump-log --files orders-0/00000000000000000000.log --print-data-log
  ottla dump-log --files orders-0/00000000000000000000.log --print-data-log --json
  ottla dump-log --files orders-0/00000000000000000000.index --index-sanity-check
  ottla dump-log --files __cluster_metadata-0/00000000000000000000.log --cluster-metadata-decoder
  ottla dump-log --files __consumer_offsets-0/00000000000000000000.log --offsets-decoder";

/// Decoders that come with what they decode.
const LATER: &[&str] = &[
    "transaction-log-decoder",
    "share-group-state-decoder",
    "remote-log-metadata-decoder",
];

/// The options of this tool.
pub(crate) fn command() -> Command {
    let mut command = args::command("dump-log", "Show what the files of a log hold")
        .arg(
            Arg::new("FILE")
                .num_args(0..)
                .help("Files, as with --files"),
        )
        .arg(option(
            "files",
            "FILE,FILE,...",
            ".log, .index, .timeindex, .snapshot, ...",
        ))
        .arg(flag("print-data-log", "Show keys and values"))
        .arg(flag(
            "deep-iteration",
            "Show every record, not only batches",
        ))
        .arg(flag(
            "cluster-metadata-decoder",
            "Show records of the metadata log as JSON",
        ))
        .arg(flag(
            "offsets-decoder",
            "Show records of __consumer_offsets as JSON",
        ))
        .arg(flag(
            "skip-record-metadata",
            "Show of records only keys and values",
        ))
        .arg(flag(
            "index-sanity-check",
            "Only check that an index is sound",
        ))
        .arg(flag(
            "verify-index-only",
            "Only check an index against its log",
        ))
        .arg(option(
            "max-bytes",
            "BYTES",
            "Look at this much of each .log file",
        ))
        .arg(flag("json", "Print objects, one a line, for programs"))
        .arg(option("max-message-size", "BYTES", "Accepted").hide(true))
        .arg(option("key-decoder-class", "CLASS", "Kafka's StringDecoder alone").hide(true))
        .arg(
            option(
                "value-decoder-class",
                "CLASS",
                "Kafka's StringDecoder alone",
            )
            .hide(true),
        );
    for decoder in LATER {
        command = command.arg(flag(decoder, "Not here yet").hide(true));
    }
    command.after_help(EXAMPLES)
}

/// What is shown of a log.
#[derive(Clone, Copy, Debug, Default)]
struct Show {
    /// Every record.
    records: bool,
    /// Their keys and values.
    contents: bool,
    /// Values are records of the metadata log.
    metadata: bool,
    /// Records are those of groups and their offsets.
    offsets: bool,
    /// Of records, nothing else.
    contents_only: bool,
    /// Bytes of the file to look at.
    bytes_max: Option<u64>,
}

/// What is done with an index.
#[derive(Clone, Copy, Debug, Default)]
struct Check {
    sanity_only: bool,
    verify_only: bool,
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut files: Vec<&str> = args::texts(matches, "FILE")
        .iter()
        .map(|f| f.as_str())
        .collect();
    files.extend(
        text(matches, "files")
            .unwrap_or("")
            .split(',')
            .filter(|f| !f.is_empty()),
    );
    if files.is_empty() {
        return Err(Failure::usage("Missing required argument \"[files]\""));
    }
    if let Some(decoder) = LATER.iter().find(|decoder| matches.get_flag(decoder)) {
        return Err(Failure::refused(format!(
            "--{decoder} is not here yet. Leave it out to see the raw records with \
             --print-data-log."
        )));
    }
    for name in ["key-decoder-class", "value-decoder-class"] {
        if text(matches, name).is_some_and(|class| !class.ends_with("StringDecoder")) {
            return Err(Failure::refused(format!(
                "--{name}: only Kafka's StringDecoder is here."
            )));
        }
    }
    let metadata = matches.get_flag("cluster-metadata-decoder");
    let offsets = matches.get_flag("offsets-decoder");
    let contents = matches.get_flag("print-data-log") || metadata || offsets;
    let show = Show {
        records: contents || matches.get_flag("deep-iteration"),
        contents,
        metadata,
        offsets,
        contents_only: matches.get_flag("skip-record-metadata"),
        bytes_max: number(matches, "max-bytes")?,
    };
    let check = Check {
        sanity_only: matches.get_flag("index-sanity-check"),
        verify_only: matches.get_flag("verify-index-only"),
    };
    for file in files {
        if !console.is_json {
            console.line(format!("Dumping {file}"))?;
        }
        dump(file, show, check, console)?;
    }
    Ok(())
}

fn dump(file: &str, show: Show, check: Check, console: &mut Console<'_>) -> Result<(), Failure> {
    let extension = Path::new(file)
        .extension()
        .and_then(|extension| extension.to_str());
    match extension {
        Some("log" | "checkpoint") => batches::dump(file, show, console),
        Some("index") => indexes::dump_offset_index(file, check, console),
        Some("timeindex") => indexes::dump_time_index(file, check, console),
        Some("snapshot") => snapshot::dump_producers(file, console),
        Some("txnindex") => snapshot::dump_aborted_transactions(file, console),
        _unknown => {
            console.notice(format!("Ignoring unknown file {file}"));
            Ok(())
        }
    }
}

/// Reads a whole file of bounded size: indexes and snapshots.
fn read_small(file: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &str, error: &std::io::Error) -> Failure {
    Failure::refused(format!("Cannot read {file}: {error}."))
}

/// The number a log file is named after: its first offset.
fn offset_in_name(file: &str) -> Result<i64, Failure> {
    let stem = Path::new(file)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or("");
    let digits = stem.split('-').next().unwrap_or("");
    digits.parse().map_err(|_not_a_number| {
        Failure::refused(format!(
            "{file} is not named as a file of a log is: an offset in 20 digits, then its kind."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    /// Files that Kafka wrote, of every kind.
    const FILES: &[&str] = &[
        "p1-0/00000000000000000000.log",
        "p1-0/00000000000000000013.snapshot",
        "tx-0/00000000000000000000.log",
        "idx-0/00000000000000000000.index",
        "idx-0/00000000000000000000.timeindex",
        "__cluster_metadata-0/00000000000000007328-0000000001.checkpoint",
    ];

    /// Shows damaged bytes in every way; what is said does not matter, only that it ends in order.
    fn survive(file: &Path, bytes: &[u8]) {
        std::fs::write(file, bytes).expect("the folder is ours");
        let name = file.display().to_string();
        let show = Show {
            records: true,
            contents: true,
            metadata: true,
            ..Show::default()
        };
        for check in [
            Check::default(),
            Check {
                sanity_only: true,
                verify_only: false,
            },
        ] {
            let _any = with_console(|console| dump(&name, show, check, console));
        }
    }

    #[test]
    fn damaged_files_are_survived() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/cli/dump-log");
        let folder = std::env::temp_dir().join(format!("ottla-dump-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is a folder for temporary files");
        for name in FILES {
            let whole = std::fs::read(golden.join(name)).expect("the file is there");
            let file = folder.join(Path::new(name).file_name().expect("it is a file"));
            for length in (0..whole.len()).step_by(whole.len() / 40 + 1) {
                survive(&file, &whole[..length]);
            }
            for at in (0..whole.len()).step_by(whole.len() / 80 + 1) {
                for value in [0, 0x7f, 0xff] {
                    let mut damaged = whole.clone();
                    damaged[at] = value;
                    survive(&file, &damaged);
                }
            }
        }
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    }
}
