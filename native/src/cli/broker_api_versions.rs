//! `broker-api-versions`: what each broker serves, and in which versions.
//!
//! Source: `kafka-broker-api-versions.sh` of Apache Kafka 4.3.1. The APIs between brokers are left
//! out, as there.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{ArgMatches, Command};
use kafka_wire::api_versions_response::ApiVersion;
use kafka_wire::metadata_response::MetadataResponseBroker;
use kafka_wire::{API_DESCRIPTORS, ApiVersionsRequest};
use kafka_wire_core::StrBytes;
use serde_json::{Value, json};

use crate::cli::args;
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

const EXAMPLES: &str = "\
Example:
  ottla broker-api-versions --bootstrap-server localhost:9092";

/// APIs that brokers and controllers use among themselves: no client has them.
const BETWEEN_BROKERS: &[i16] = &[52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];

/// Newest version of an API in a stable release, where the codec already knows a later one.
const STABLE_MAX: &[(i16, i16)] = &[(22, 5)];

/// Highest API key of Apache Kafka 4.3.
const API_KEY_MAX: i16 = 92;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Show what each broker serves, and in which versions";
    args::with_broker(args::command("broker-api-versions", about)).after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let (address, properties) = args::broker(matches, console)?;
    let mut cluster = Cluster::new(&address, &properties, "ottla-broker-api-versions")?;
    let mut brokers = cluster.brokers()?.brokers;
    brokers.sort_by_key(|broker| broker.node_id);
    let mut described = Vec::new();
    for broker in &brokers {
        let link = cluster.node(broker.node_id)?;
        let answer = link.call(introduction())?;
        let served = answer.api_keys.into_iter().map(|api| (api.api_key, api));
        let served: BTreeMap<i16, ApiVersion> = served.collect();
        if matches.get_flag("json") {
            described.push(to_json(broker, &served));
        } else {
            print(broker, &served, console)?;
        }
    }
    if matches.get_flag("json") {
        return console.json(&Value::Array(described));
    }
    Ok(())
}

/// The request for a broker's versions; from version 3 a client has to name itself.
fn introduction() -> ApiVersionsRequest {
    let mut request = ApiVersionsRequest::default();
    request.client_software_name = StrBytes::from("ottla");
    request.client_software_version = StrBytes::from(env!("CARGO_PKG_VERSION"));
    request
}

/// The APIs of a client, with their names and the versions this tool could use.
fn client_apis() -> impl Iterator<Item = (i16, &'static str, i16, i16)> {
    API_DESCRIPTORS.iter().filter_map(|api| {
        let key = api.api_key.value();
        let name = api
            .request
            .name
            .strip_suffix("Request")
            .unwrap_or(api.request.name);
        let versions = api.supported_versions;
        let stable = STABLE_MAX.iter().find(|(stable_key, _)| *stable_key == key);
        let max = stable.map_or(versions.max().value(), |(_, max)| *max);
        let between = BETWEEN_BROKERS.contains(&key) || key > API_KEY_MAX;
        (!between).then_some((key, name, versions.min().value(), max))
    })
}

fn print(
    broker: &MetadataResponseBroker,
    served: &BTreeMap<i16, ApiVersion>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let rack = broker.rack.as_ref().map_or("null", |rack| rack.as_str());
    let mut lines = Vec::new();
    let mut known = Vec::new();
    for (key, name, min, max) in client_apis() {
        known.push(key);
        let Some(api) = served.get(&key) else {
            lines.push(format!("\t{name}({key}): UNSUPPORTED"));
            continue;
        };
        let usable = api.max_version.min(max);
        let mut line = format!("\t{name}({key}): {}", range(api));
        let fits = usable >= api.min_version && usable >= min;
        let written = match fits {
            true => write!(line, " [usable: {usable}]"),
            false => write!(line, " [unusable: {}]", node_too(api, max)),
        };
        written.expect("writing to a String cannot fail");
        lines.push(line);
    }
    for (key, api) in served.iter().filter(|(key, _)| !known.contains(key)) {
        lines.push(format!("\tUNKNOWN({key}): {}", range(api)));
    }
    console.line(format!(
        "{}:{} (id: {} rack: {rack} isFenced: false) -> (",
        broker.host, broker.port, broker.node_id
    ))?;
    console.line(lines.join(",\n"))?;
    console.line(")")
}

fn range(api: &ApiVersion) -> String {
    if api.min_version == api.max_version {
        return api.min_version.to_string();
    }
    format!("{} to {}", api.min_version, api.max_version)
}

fn node_too(api: &ApiVersion, max: i16) -> &'static str {
    if api.min_version > max {
        "node too new"
    } else {
        "node too old"
    }
}

fn to_json(broker: &MetadataResponseBroker, served: &BTreeMap<i16, ApiVersion>) -> Value {
    let apis = client_apis().filter_map(|(key, name, _, _)| {
        let api = served.get(&key)?;
        Some(json!({
            "name": name, "key": key, "minVersion": api.min_version, "maxVersion": api.max_version,
        }))
    });
    json!({
        "id": broker.node_id,
        "host": broker.host.as_str(),
        "port": broker.port,
        "apis": apis.collect::<Vec<Value>>(),
    })
}
