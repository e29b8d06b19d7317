//! `console-consumer`, for people `consume`: prints the records of topics.
//!
//! Source: `kafka-console-consumer.sh` of Apache Kafka 4.3.1. Without a group, partitions are
//! assigned, not subscribed to, and offsets are not committed; with one, see `grouped`.

mod aborted;
mod fetch;
mod formatter;
mod grouped;
mod outlet;
mod position;
mod record;
mod subscription;

use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};

use self::fetch::{FetchOptions, Fetcher};
use self::formatter::Formatter;
pub(crate) use self::formatter::insert_bytes;
use self::position::Start;
use self::subscription::Subscription;
use crate::cli::admin;
use crate::cli::args::{self, Words, flag, given, number, option, repeated, text, texts};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::properties::{self, Properties};

const EXAMPLES: &str = "\
Examples:
  ottla consume orders                     all records there are, then end
  ottla consume orders -f                  the last ten of each partition, then what comes
  ottla consume orders --json              one JSON object for each record
  ottla consume orders -n 5                the last five of each partition
  ottla console-consumer --bootstrap-server localhost:9092 --topic orders --from-beginning
  ottla consume orders --group billing -f
  ottla console-consumer --topic orders --partition 0 --offset 100 --max-messages 1 \\
      --formatter-property print.key=true --formatter-property key.separator=:";

/// Records of each partition that a followed topic begins with (as `tail` has it).
const FOLLOW_RECORDS: i64 = 10;

/// Default of `fetch.max.wait.ms` (Kafka's).
const FETCH_WAIT_MS: u64 = 500;

/// Defaults of `fetch.max.bytes` and `max.partition.fetch.bytes` (Kafka's).
const FETCH_BYTES_MAX: i32 = 50 * 1024 * 1024;
const PARTITION_BYTES_MAX: i32 = 1024 * 1024;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let command = args::command("console-consumer", "Print the records of topics");
    with_printing(with_place(args::with_broker(command))).after_help(EXAMPLES)
}

/// Adds what to consume, and from where to where.
fn with_place(command: Command) -> Command {
    command
        .arg(Arg::new("TOPIC").help("The topic; from its first record to its end unless -f"))
        .arg(
            flag(
                "follow",
                "Go on with what comes; with all about each record",
            )
            .short('f'),
        )
        .arg(
            option(
                "last",
                "N",
                "Begin with the last N records of each partition",
            )
            .short('n'),
        )
        .arg(option(
            "topic",
            "TOPIC",
            "The topic; from its end on unless --from-beginning",
        ))
        .arg(option("include", "REGEX", "All topics whose whole name matches").alias("whitelist"))
        .arg(option("partition", "P", "Only this partition"))
        .arg(option(
            "offset",
            "OFFSET",
            "Begin at this offset, at earliest or at latest",
        ))
        .arg(flag(
            "from-beginning",
            "Begin with the first record there is",
        ))
        .arg(option("max-messages", "N", "End after N records"))
        .arg(option(
            "timeout-ms",
            "MS",
            "End when no record comes for this long",
        ))
        .arg(option(
            "group",
            "GROUP",
            "Join this group: partitions are shared with its members, offsets kept",
        ))
}

/// Adds how records are read and printed.
fn with_printing(command: Command) -> Command {
    command
        .arg(repeated(
            "formatter-property",
            "K=V",
            "print.key=true, key.separator=:, ...",
        ))
        .arg(option(
            "formatter-config",
            "FILE",
            "Properties of the formatter",
        ))
        .arg(option(
            "formatter",
            "CLASS",
            "DefaultMessageFormatter, OffsetsMessageFormatter, ...",
        ))
        .arg(option(
            "key-deserializer",
            "CLASS",
            "LongDeserializer, ...: what keys are",
        ))
        .arg(option(
            "value-deserializer",
            "CLASS",
            "LongDeserializer, ...: what values are",
        ))
        .arg(option(
            "isolation-level",
            "LEVEL",
            "read_uncommitted (default), read_committed",
        ))
        .arg(flag(
            "skip-message-on-error",
            "Pass records over that cannot be printed",
        ))
        .arg(repeated(
            "command-property",
            "K=V",
            "Properties of the consumer",
        ))
        .arg(repeated("property", "K=V", "As --formatter-property").hide(true))
        .arg(repeated("consumer-property", "K=V", "As --command-property").hide(true))
        .arg(option("consumer.config", "FILE", "As --command-config").hide(true))
        .arg(flag("enable-systest-events", "Accepted for Kafka's own tests").hide(true))
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let (address, file) = args::broker(matches, console)?;
    let properties = consumer_properties(matches, file, console)?;
    let (subscription, for_person) = subscription(matches)?;
    let options = fetch_options(matches, &properties, for_person)?;
    let formatter = formatter(matches, console)?;
    let limits = Limits {
        records_max: match number::<i64>(matches, "max-messages")? {
            Some(limit) => u64::try_from(limit).ok(),
            None => None,
        },
        timeout: number::<u64>(matches, "timeout-ms")?.map(Duration::from_millis),
        skips: matches.get_flag("skip-message-on-error"),
        start: options.start,
        stops_at_end: options.stop_at_end,
    };
    let printed = match grouped::group(matches, &properties)? {
        Some(group) => {
            let settings = (address.as_str(), group.as_str(), properties);
            grouped::run(matches, settings, &limits, &formatter, console)?
        }
        None => {
            let cluster = Cluster::new(&address, &properties, "console-consumer")?;
            let wait = properties::number(&properties, "fetch.max.wait.ms", FETCH_WAIT_MS)?;
            let wait = Duration::from_millis(wait);
            let fetcher = Fetcher::new(subscription, options);
            consume(cluster, fetcher, wait, &limits, &formatter, console)?
        }
    };
    if matches.get_flag("enable-systest-events") {
        console.line("shutdown_complete")?;
    }
    console.flush()?;
    if !for_person {
        console.notice(format!("Processed a total of {printed} messages"));
    }
    Ok(())
}

/// When to end, and what to do on the way.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Records to print.
    records_max: Option<u64>,
    /// How long to wait for a record.
    timeout: Option<Duration>,
    /// Whether records that cannot be printed are passed over.
    skips: bool,
    /// Where to begin where nothing else says so.
    start: Start,
    /// Whether to end where nothing more is there.
    stops_at_end: bool,
}

impl Limits {
    /// Whether as many records as were asked for have been printed.
    fn is_reached(&self, printed: u64) -> bool {
        self.records_max.is_some_and(|most| printed >= most)
    }
}

/// Consumes without a group; gives the number of records printed.
fn consume(
    mut cluster: Cluster,
    mut fetcher: Fetcher,
    wait: Duration,
    limits: &Limits,
    formatter: &Formatter,
    console: &mut Console<'_>,
) -> Result<u64, Failure> {
    let limit = limits.records_max;
    let mut printed = 0;
    let mut last_at = Instant::now();
    while limit.is_none_or(|limit| printed < limit) && !fetcher.is_done() {
        let left = limits
            .timeout
            .map(|timeout| timeout.saturating_sub(last_at.elapsed()));
        if left == Some(Duration::ZERO) {
            break;
        }
        let wait = left.map_or(wait, |left| left.min(wait));
        let mut consumed = fetcher.poll(&mut cluster, wait, console)?;
        if matches!(formatter, Formatter::Person { .. }) {
            record::sort_by_time(&mut consumed);
        }
        if !consumed.is_empty() {
            last_at = Instant::now();
        }
        for record in &consumed {
            if limit.is_some_and(|limit| printed >= limit) {
                return Ok(printed);
            }
            match formatter.print(record, console.out) {
                Err(Failure::Refused(message)) if limits.skips => console.notice(message),
                result => result?,
            }
            printed += 1;
        }
        console.flush()?;
    }
    Ok(printed)
}

/// What to consume, and whether it was asked for in the short form.
fn subscription(matches: &ArgMatches) -> Result<(Subscription, bool), Failure> {
    let partition = number::<i32>(matches, "partition")?;
    let short = text(matches, "TOPIC");
    let asked = [short, text(matches, "topic"), text(matches, "include")];
    if asked.iter().flatten().count() != 1 {
        return Err(Failure::usage(
            "Exactly one of the following arguments is required: [topic], [include]",
        ));
    }
    if given(matches, "offset") && partition.is_none() {
        return Err(Failure::usage(
            "The partition is required when offset is specified.",
        ));
    }
    if given(matches, "include") && partition.is_some() {
        return Err(Failure::usage(
            "The topic is required when partition is specified.",
        ));
    }
    let subscription = match (short.or(text(matches, "topic")), text(matches, "include")) {
        (Some(name), _) => {
            let wait = short.is_none();
            Subscription::Topic {
                name: name.to_owned(),
                partition,
                wait,
            }
        }
        (None, pattern) => Subscription::Matching(admin::topic_filter(pattern.unwrap_or(""))?),
    };
    Ok((subscription, short.is_some()))
}

/// The consumer's properties: a file's, then those given one by one.
fn consumer_properties(
    matches: &ArgMatches,
    file: Properties,
    console: &mut Console<'_>,
) -> Result<Properties, Failure> {
    for renamed in [
        ("consumer-property", "command-property"),
        ("consumer.config", "command-config"),
    ] {
        args::deprecated(matches, Words::ConsoleConsumer, renamed, console)?;
    }
    let mut merged = file;
    if let Some(path) = text(matches, "consumer.config") {
        merged.extend(properties::read_file(path)?);
    }
    merged.extend(properties::from_args(texts(matches, "consumer-property")));
    merged.extend(properties::from_args(texts(matches, "command-property")));
    Ok(merged)
}

fn fetch_options(
    matches: &ArgMatches,
    properties: &Properties,
    for_person: bool,
) -> Result<FetchOptions, Failure> {
    let level = text(matches, "isolation-level")
        .or(properties.get("isolation.level").map(String::as_str))
        .unwrap_or("read_uncommitted");
    let isolation_level = match level {
        "read_uncommitted" => 0,
        "read_committed" => 1,
        other => {
            return Err(Failure::refused(format!(
                "Invalid value {other} for configuration isolation.level: String must be one of: \
                 read_committed, read_uncommitted"
            )));
        }
    };
    let follow = matches.get_flag("follow");
    Ok(FetchOptions {
        start: start(matches, properties, for_person, follow)?,
        stop_at_end: for_person && !follow,
        isolation_level,
        max_bytes: properties::number(properties, "fetch.max.bytes", FETCH_BYTES_MAX)?,
        partition_max_bytes: properties::number(
            properties,
            "max.partition.fetch.bytes",
            PARTITION_BYTES_MAX,
        )?,
    })
}

/// Where to begin.
fn start(
    matches: &ArgMatches,
    properties: &Properties,
    for_person: bool,
    follow: bool,
) -> Result<Start, Failure> {
    let from_beginning = matches.get_flag("from-beginning");
    if let Some(offset) = text(matches, "offset") {
        if from_beginning {
            return Err(Failure::usage(
                "Options from-beginning and offset cannot be specified together.",
            ));
        }
        return match (offset.to_lowercase().as_str(), offset.parse()) {
            ("earliest", _) => Ok(Start::Earliest),
            ("latest", _) => Ok(Start::Latest),
            (_, Ok(offset)) if offset >= 0 => Ok(Start::Offset(offset)),
            _neither => Err(Failure::usage(format!(
                "The provided offset value '{offset}' is incorrect. Valid values are 'earliest', \
                 'latest', or a non-negative long."
            ))),
        };
    }
    let last = number::<i64>(matches, "last")?;
    let reset = properties.get("auto.offset.reset").map(String::as_str);
    if let Some(other) = reset.filter(|reset| from_beginning && *reset != "earliest") {
        return Err(Failure::usage(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={other}', \
             please remove one option"
        )));
    }
    Ok(match (last, from_beginning, for_person, follow, reset) {
        (Some(last), ..) => Start::FromEnd(last.max(0)),
        (None, true, ..) | (None, false, true, false, _) => Start::Earliest,
        (None, false, _, true, _) => Start::FromEnd(FOLLOW_RECORDS),
        (None, false, false, false, Some("earliest")) => Start::Earliest,
        (None, false, false, false, _) => Start::Latest,
    })
}

/// How records are printed.
fn formatter(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Formatter, Failure> {
    if matches.get_flag("json") {
        return Ok(Formatter::Json);
    }
    let renamed = ("property", "formatter-property");
    args::deprecated(matches, Words::ConsoleConsumer, renamed, console)?;
    let mut properties = match text(matches, "formatter-config") {
        Some(path) => properties::read_file(path)?,
        None => Properties::new(),
    };
    properties.extend(properties::from_args(texts(matches, "property")));
    properties.extend(properties::from_args(texts(matches, "formatter-property")));
    for (name, key) in [
        ("key-deserializer", "key.deserializer"),
        ("value-deserializer", "value.deserializer"),
    ] {
        if let Some(class) = text(matches, name) {
            properties.insert(key.to_owned(), class.to_owned());
        }
    }
    if matches.get_flag("follow") && properties.is_empty() && !given(matches, "formatter") {
        return Ok(Formatter::Person {
            colour: console.colours,
        });
    }
    Formatter::parse(text(matches, "formatter"), &properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(args: &[&str]) -> Result<Start, String> {
        let matches = command()
            .try_get_matches_from(args)
            .expect("arguments under test parse");
        let options = subscription(&matches)
            .and_then(|(_, short)| fetch_options(&matches, &Properties::new(), short));
        options
            .map(|options| options.start)
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn where_to_begin_depends_on_who_asks() {
        let check = |args: &[&str], start| assert_eq!(started(args), Ok(start));
        check(&["--topic", "a"], Start::Latest);
        check(&["--topic", "a", "--from-beginning"], Start::Earliest);
        check(
            &["--topic", "a", "--partition", "0", "--offset", "7"],
            Start::Offset(7),
        );
        check(
            &["--topic", "a", "--partition", "0", "--offset", "EARLIEST"],
            Start::Earliest,
        );
        check(&["a"], Start::Earliest);
        check(&["a", "-f"], Start::FromEnd(10));
        check(&["a", "-n", "3"], Start::FromEnd(3));
        check(&["a", "-f", "--from-beginning"], Start::Earliest);
    }

    #[test]
    fn the_beginning_and_a_reset_do_not_go_together() {
        let arguments = ["--topic", "a", "--from-beginning"];
        let matches = command()
            .try_get_matches_from(arguments)
            .expect("good arguments");
        let begun = |reset: &str| {
            let given = ("auto.offset.reset".to_owned(), reset.to_owned());
            start(&matches, &Properties::from_iter([given]), false, false)
        };
        assert_eq!(begun("earliest").expect("the same"), Start::Earliest);
        let refused = begun("latest").expect_err("the opposite").to_string();
        assert!(refused.starts_with("Can't simultaneously"), "{refused}");
    }

    #[test]
    fn refusals_are_kafkas() {
        let check = |args: &[&str], words: &str| {
            let refused = started(args).expect_err("a bad command");
            assert!(refused.starts_with(words), "{refused}");
        };
        let one = "Exactly one of the following arguments is required: [topic], [include]";
        check(&[], one);
        check(&["--topic", "a", "--include", "b"], one);
        check(
            &["--topic", "a", "--offset", "3"],
            "The partition is required when offset is specified.",
        );
        check(
            &["--topic", "a", "--partition", "0", "--offset", "-5"],
            "The provided offset value '-5' is incorrect. Valid values are 'earliest', 'latest', \
             or a non-negative long.",
        );
        check(
            &[
                "--topic",
                "a",
                "--partition",
                "0",
                "--offset",
                "3",
                "--from-beginning",
            ],
            "Options from-beginning and offset cannot be specified together.",
        );
        check(
            &["--topic", "a", "--isolation-level", "bogus"],
            "Invalid value bogus for configuration isolation.level",
        );
    }
}
