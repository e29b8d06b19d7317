//! Quotas of users, clients and addresses: `configs` over DescribeClientQuotas and
//! AlterClientQuotas.

use std::net::ToSocketAddrs as _;

use clap::ArgMatches;
use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire::describe_client_quotas_request::ComponentData;
use kafka_wire::{AlterClientQuotasRequest, DescribeClientQuotasRequest};
use kafka_wire_core::StrBytes;
use serde_json::{Map, Value, json};

use super::{Kind, alter, scram};
use crate::cli::admin::{self, Changes};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::kafka_order::{hash_map_order, string_hash};

/// `ClientQuotaFilterComponent` match types on the wire.
const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;
const MATCH_SPECIFIED: i8 = 2;

/// What a user or a client may be limited to.
const CLIENT_QUOTAS: [&str; 4] = [
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
];

/// What an address may be limited to.
const IP_QUOTAS: [&str; 1] = ["connection_creation_rate"];

/// One part of whom a quota is for: a kind, and a name; the empty name is the default, `None` is
/// everyone with a quota of their own.
pub(super) type Part = (&'static Kind, Option<String>);

/// Quotas of one entity, as the cluster has them.
struct Quotas {
    /// Types and names; `None` is the default.
    entity: Vec<(String, Option<String>)>,
    values: Vec<(String, f64)>,
}

/// Prints the quotas of whom was asked for, and credentials of users.
pub(super) fn describe(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    parts: &[Part],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let quotas = of(cluster, parts)?;
    let credentials = match parts {
        [(kind, name)] if kind.plural == "users" => scram::describe(cluster, name.as_deref())?,
        _others => Vec::new(),
    };
    if matches.get_flag("json") {
        let quotas = quotas.iter().map(Quotas::to_json);
        let mut shown: Vec<Value> = quotas.collect();
        shown.extend(credentials.iter().map(scram::Credentials::to_json));
        return console.json(&Value::Array(shown));
    }
    for quotas in &quotas {
        console.line(quotas.line())?;
    }
    for credentials in &credentials {
        console.line(credentials.line())?;
    }
    Ok(())
}

/// The quotas there are for exactly these parts.
fn of(cluster: &mut Cluster, parts: &[Part]) -> Result<Vec<Quotas>, Failure> {
    let mut request = DescribeClientQuotasRequest::default();
    request.strict = true;
    for (kind, name) in parts {
        let mut component = ComponentData::default();
        component.entity_type = StrBytes::from(kind.quota_type);
        component.match_type = match name.as_deref() {
            None => MATCH_SPECIFIED,
            Some("") => MATCH_DEFAULT,
            Some(_) => MATCH_EXACT,
        };
        let name = name.as_deref().filter(|name| !name.is_empty());
        component.match_ = name.map(StrBytes::from);
        request.components.push(component);
    }
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    let entries = answer.entries.unwrap_or_default();
    let mut all: Vec<Quotas> = Vec::new();
    for entry in entries {
        let entity = entry.entity.iter().map(|part| {
            let name = part.entity_name.as_ref().map(ToString::to_string);
            (part.entity_type.to_string(), name)
        });
        let mut values: Vec<(String, f64)> = entry
            .values
            .iter()
            .map(|value| (value.key.to_string(), value.value))
            .collect();
        let count = values.len();
        hash_map_order(&mut values, count, |(name, _)| string_hash(name));
        all.push(Quotas {
            entity: entity.collect(),
            values,
        });
    }
    let count = all.len();
    hash_map_order(&mut all, count, Quotas::hash);
    Ok(all)
}

impl Quotas {
    /// The hash code of Kafka's `ClientQuotaEntity`.
    fn hash(&self) -> u32 {
        self.entity.iter().fold(31, |hash: u32, (kind, name)| {
            let name = name.as_deref().map_or(0, string_hash);
            hash.wrapping_add(string_hash(kind) ^ name)
        })
    }

    fn line(&self) -> String {
        let values = self
            .values
            .iter()
            .map(|(name, value)| format!("{name}={}", java_double(*value)));
        // Users come before clients.
        let part = |kind: &str, one: &str| {
            let (_, name) = self.entity.iter().find(|(found, _)| found == kind)?;
            Some(match name {
                Some(name) => format!("{one} '{name}'"),
                None => format!("the default {one}"),
            })
        };
        let parts = [
            part("user", "user-principal"),
            part("client-id", "client-id"),
            part("ip", "ip"),
        ];
        format!(
            "Quota configs for {} are {}",
            joined(parts.into_iter().flatten(), ", "),
            joined(values, ", ")
        )
    }

    fn to_json(&self) -> Value {
        let entity: Map<String, Value> = self
            .entity
            .iter()
            .map(|(kind, name)| (kind.clone(), name.clone().into()))
            .collect();
        let values: Map<String, Value> = self
            .values
            .iter()
            .map(|(name, value)| (name.clone(), (*value).into()))
            .collect();
        json!({"entity": entity, "quotas": values})
    }
}

/// A number as Java's `Double.toString` writes it.
fn java_double(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
        None => text,
    }
}

/// Changes quotas, or credentials, of one entity.
pub(super) fn alter(
    cluster: &mut Cluster,
    parts: &[Part],
    changes: &Changes,
) -> Result<String, Failure> {
    let Some((first, Some(name))) = parts.first() else {
        return Err(Failure::usage(NO_NAME));
    };
    if parts.iter().any(|(_, name)| name.is_none()) {
        return Err(Failure::usage(NO_NAME));
    }
    let has_scram = check_names(parts, changes)?;
    if has_scram {
        if name.is_empty() {
            return Err(Failure::usage(
                "The use of --entity-default or --user-defaults is not allowed with User SCRAM \
                 Credentials using --bootstrap-server.",
            ));
        }
        scram::alter(cluster, name, changes)?;
    } else {
        check_ips(parts)?;
        alter_quotas(cluster, parts, changes)?;
    }
    Ok(alter::completed(first, name))
}

const NO_NAME: &str = "An entity-name or default entity must be specified with --alter of users, \
     clients, brokers or ips";

/// Refuses settings that these entities do not have; whether the changes are to credentials.
fn check_names(parts: &[Part], changes: &Changes) -> Result<bool, Failure> {
    let is = |plural: &str| parts.iter().any(|(kind, _)| kind.plural == plural);
    let refuse = |refused: &dyn Fn(&str) -> bool, what: &str, whose: &str| {
        for (way, is_added) in [("added", true), ("deleted", false)] {
            let unexpected: Vec<&str> = changes
                .iter()
                .filter(|(name, value)| value.is_some() == is_added && refused(name))
                .map(|(name, _)| name.as_str())
                .collect();
            if !unexpected.is_empty() {
                let list = match (whose, is_added) {
                    ("ips", _) => joined(unexpected, ","),
                    (_, true) => format!("Set({})", joined(unexpected, ", ")),
                    (_, false) => format!("ArrayBuffer({})", joined(unexpected, ", ")),
                };
                return Err(Failure::usage(format!(
                    "Only {what} configs can be {way} for '{whose}' using --bootstrap-server. \
                     Unexpected config names: {list}"
                )));
            }
        }
        Ok(())
    };
    let is_quota = |name: &str| CLIENT_QUOTAS.contains(&name);
    if is("ips") {
        refuse(
            &|name| !IP_QUOTAS.contains(&name),
            "connection quota",
            "ips",
        )?;
        return Ok(false);
    }
    if is("clients") {
        refuse(&|name| !is_quota(name), "quota", "clients")?;
        return Ok(false);
    }
    let is_scram = |name: &str| scram::Mechanism::named(name).is_some();
    refuse(
        &|name| !is_quota(name) && !is_scram(name),
        "quota and SCRAM credential",
        "users",
    )?;
    let has_scram = changes.iter().any(|(name, _)| is_scram(name));
    if has_scram && changes.iter().any(|(name, _)| is_quota(name)) {
        return Err(Failure::usage(
            "Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using \
             --bootstrap-server.",
        ));
    }
    Ok(has_scram)
}

/// Refuses addresses that are none.
pub(super) fn check_ips(parts: &[Part]) -> Result<(), Failure> {
    for (kind, name) in parts {
        let Some(name) = name
            .as_deref()
            .filter(|name| kind.plural == "ips" && !name.is_empty())
        else {
            continue;
        };
        if (name, 0).to_socket_addrs().is_err() {
            return Err(Failure::usage(format!(
                "The entity name for ips must be a valid IP or resolvable host, but it is: {name}"
            )));
        }
    }
    Ok(())
}

fn alter_quotas(cluster: &mut Cluster, parts: &[Part], changes: &Changes) -> Result<(), Failure> {
    let mut operations = Vec::new();
    for (name, value) in changes {
        let mut operation = OpData::default();
        operation.key = StrBytes::from(name.as_str());
        operation.remove = value.is_none();
        if let Some(value) = value {
            operation.value = value.trim().parse().map_err(|_not_a_number| {
                Failure::usage(format!(
                    "Cannot parse quota configuration value for {name}: {value}"
                ))
            })?;
        }
        operations.push(operation);
    }
    let existing = of(cluster, parts)?;
    let has = |name: &str| {
        let mut values = existing.iter().flat_map(|quotas| &quotas.values);
        values.any(|(known, _)| known == name)
    };
    let unset: Vec<&str> = changes
        .iter()
        .filter(|(name, value)| value.is_none() && !has(name))
        .map(|(name, _)| name.as_str())
        .collect();
    if !unset.is_empty() {
        return Err(Failure::usage(format!(
            "Invalid config(s): {}",
            joined(unset, ",")
        )));
    }
    let mut entry = EntryData::default();
    entry.ops = operations;
    for (kind, name) in parts {
        let mut entity = EntityData::default();
        entity.entity_type = StrBytes::from(kind.quota_type);
        let name = name.as_deref().filter(|name| !name.is_empty());
        entity.entity_name = name.map(StrBytes::from);
        entry.entity.push(entity);
    }
    let mut request = AlterClientQuotasRequest::default();
    request.entries.push(entry);
    for entry in &cluster.call(request)?.entries {
        admin::check(entry.error_code, entry.error_message.as_ref())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_javas() {
        let check = |value: f64, text: &str| assert_eq!(java_double(value), text);
        check(1024.0, "1024.0");
        check(12.5, "12.5");
        check(0.0, "0.0");
        check(10_485_760.0, "1.048576E7");
        check(1e7, "1.0E7");
        check(0.0005, "5.0E-4");
    }

    #[test]
    fn entities_are_listed_as_kafkas_tool_lists_them() {
        let quotas = |user: Option<&str>, client: Option<&str>| Quotas {
            entity: vec![
                ("user".to_owned(), user.map(str::to_owned)),
                ("client-id".to_owned(), client.map(str::to_owned)),
            ],
            values: vec![("producer_byte_rate".to_owned(), 11.0)],
        };
        let mut all = [
            quotas(Some("alice"), None),
            quotas(None, None),
            quotas(None, Some("app")),
            quotas(Some("alice"), Some("app")),
        ];
        let count = all.len();
        hash_map_order(&mut all, count, Quotas::hash);
        let lines = all.each_ref().map(Quotas::line);
        assert!(
            lines[0].starts_with("Quota configs for the default user-principal, client-id 'app'")
        );
        assert!(lines[3].contains("are producer_byte_rate=11.0"));
    }
}
