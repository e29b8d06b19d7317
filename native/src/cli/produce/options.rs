//! Kafka's producer properties, and the tool's own options, as options of the producer machine.

use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use kafka_wire_core::StrBytes;
use ottla_core::client::network::NetworkOptions;
use ottla_core::client::producer::{Acks, ProducerOptions, RetryPolicy};
use ottla_core::wire::batch::Compression;

use crate::cli::args::{self, Words, text, texts};
use crate::cli::console::Console;
use crate::cli::driver;
use crate::cli::failure::Failure;
use crate::cli::properties::{self, Properties};

/// Options of the tool that stand for a property, with the property.
const STAND_FOR: &[(&str, &str)] = &[
    ("batch-size", "batch.size"),
    ("max-partition-memory-bytes", "batch.size"),
    ("compression-codec", "compression.type"),
    ("message-send-max-retries", "retries"),
    ("request-required-acks", "acks"),
    ("request-timeout-ms", "request.timeout.ms"),
    ("retry-backoff-ms", "retry.backoff.ms"),
    ("timeout", "linger.ms"),
];

/// The producer's properties: a file's, then those given one by one, then the tool's options.
pub(in crate::cli) fn producer_properties(
    matches: &ArgMatches,
    file: Properties,
    console: &mut Console<'_>,
) -> Result<Properties, Failure> {
    for renamed in [
        ("producer-property", "command-property"),
        ("producer.config", "command-config"),
    ] {
        args::deprecated(matches, Words::ConsoleProducer, renamed, console)?;
    }
    let mut merged = file;
    if let Some(path) = text(matches, "producer.config") {
        merged.extend(properties::read_file(path)?);
    }
    merged.extend(properties::from_args(texts(matches, "producer-property")));
    merged.extend(properties::from_args(texts(matches, "command-property")));
    for (name, key) in STAND_FOR {
        if let Some(value) = text(matches, name) {
            merged.insert((*key).to_owned(), value.to_owned());
        }
    }
    Ok(merged)
}

/// The machine's options. Whatever contradicts itself is refused in words.
pub(in crate::cli) fn producer_options(
    bootstrap: &str,
    properties: &Properties,
    sync: bool,
) -> Result<ProducerOptions, Failure> {
    driver::refuse_security(properties)?;
    let mut servers = Vec::new();
    for address in driver::addresses(bootstrap)? {
        let (host, port) = address.rsplit_once(':').expect("addresses are checked");
        let host = host.trim_matches(['[', ']']);
        servers.push((Arc::from(host), port.parse().expect("ports are checked")));
    }
    let mut network = NetworkOptions::new(servers);
    let client_id = properties
        .get("client.id")
        .map_or("console-producer", String::as_str);
    network.connection.client_id = Some(StrBytes::from(client_id));
    network.request_timeout = millis(properties, "request.timeout.ms", network.request_timeout)?;
    let mut options = ProducerOptions::new(network);
    options.acks = acks(properties)?;
    options.compression = compression(properties)?;
    options.batch_bytes_max =
        number(properties, "batch.size", options.batch_bytes_max, "INT")?.max(1);
    options.request_bytes_max = number(
        properties,
        "max.request.size",
        options.request_bytes_max,
        "INT",
    )?;
    options.linger = millis(properties, "linger.ms", Duration::ZERO)?;
    options.delivery_timeout = millis(properties, "delivery.timeout.ms", options.delivery_timeout)?;
    let in_flight = "max.in.flight.requests.per.connection";
    options.in_flight_max = number(properties, in_flight, options.in_flight_max, "INT")?.max(1);
    let retry = RetryPolicy::java();
    options.retry = RetryPolicy {
        backoff: millis(properties, "retry.backoff.ms", retry.backoff)?,
        retries_max: number(properties, "retries", retry.retries_max, "INT")?,
        ..retry
    };
    if sync {
        options.in_flight_max = 1;
    }
    let idempotence = properties.get("enable.idempotence");
    let possible = options.acks == Acks::All && options.in_flight_max <= 5;
    options.is_idempotent = match idempotence
        .map(|value| value.to_ascii_lowercase())
        .as_deref()
    {
        None => possible,
        Some("false") => false,
        Some(_) if possible => true,
        Some(_) => {
            return Err(Failure::refused(
                "enable.idempotence needs acks=all and \
                 max.in.flight.requests.per.connection of at most 5.",
            ));
        }
    };
    // Chance spreads records without a key; two runs should not choose the same partitions.
    options.seed = u64::from(std::process::id()) ^ crate::cli::time::now_ms().cast_unsigned();
    Ok(options)
}

fn acks(properties: &Properties) -> Result<Acks, Failure> {
    match properties.get("acks").map_or("all", String::as_str) {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        other => Err(Failure::refused(format!(
            "Invalid value {other} for configuration acks: String must be one of: all, -1, 0, 1"
        ))),
    }
}

fn compression(properties: &Properties) -> Result<Compression, Failure> {
    let name = properties
        .get("compression.type")
        .map_or("none", String::as_str);
    Compression::parse(name).ok_or_else(|| {
        Failure::refused(format!(
            "Invalid value {name} for configuration compression.type: String must be one of: \
             none, gzip, snappy, lz4, zstd"
        ))
    })
}

fn millis(properties: &Properties, name: &str, default: Duration) -> Result<Duration, Failure> {
    match properties.get(name) {
        None => Ok(default),
        Some(_) => number(properties, name, 0, "LONG").map(Duration::from_millis),
    }
}

pub(in crate::cli) fn number<N: std::str::FromStr>(
    properties: &Properties,
    name: &str,
    default: N,
    kind: &str,
) -> Result<N, Failure> {
    match properties.get(name) {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|_not_a_number| {
            Failure::refused(format!(
                "Invalid value {text} for configuration {name}: Not a number of type {kind}"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(properties: &[(&str, &str)]) -> Result<ProducerOptions, String> {
        let owned = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        producer_options("[::1]:9092,b:1", &owned.collect(), false)
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn properties_become_options() {
        let defaults = options(&[]).expect("defaults are good");
        assert!(defaults.is_idempotent);
        assert_eq!(&*defaults.network.bootstrap[0].0, "::1");
        let given = options(&[
            ("acks", "1"),
            ("compression.type", "zstd"),
            ("linger.ms", "7"),
        ]);
        let given = given.expect("good properties");
        assert_eq!((given.acks, given.is_idempotent), (Acks::Leader, false));
        assert_eq!(given.compression, Compression::Zstd);
        assert_eq!(given.linger, Duration::from_millis(7));
    }

    #[test]
    fn refusals_are_kafkas() {
        let check = |key, value, words: &str| {
            assert_eq!(options(&[(key, value)]).expect_err("a bad value"), words);
        };
        check(
            "acks",
            "5",
            "Invalid value 5 for configuration acks: String must be one of: all, -1, 0, 1",
        );
        check(
            "compression.type",
            "bogus",
            "Invalid value bogus for configuration compression.type: String must be one of: none, \
             gzip, snappy, lz4, zstd",
        );
        check(
            "linger.ms",
            "x",
            "Invalid value x for configuration linger.ms: Not a number of type LONG",
        );
        assert!(options(&[("acks", "1"), ("enable.idempotence", "true")]).is_err());
    }
}
