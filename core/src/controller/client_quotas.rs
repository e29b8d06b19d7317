//! Client quotas: whom they may be for, what they may limit, and how they are changed (KIP-546).
//!
//! Kafka classes to compare: `ClientQuotaControlManager`, `ClientQuotasImage`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Decision, Refusal, Scene};
use crate::error::ErrorCode;
use crate::metadata::Image;
use crate::metadata::codec::Double;
use crate::metadata::image::{QuotaEntity, QuotaLimits};
use crate::metadata::records::{ClientQuotaRecord, MetadataRecord, QuotaEntityData};
use crate::quota::rate::Rate;

/// The type of entity that is a user.
pub const USER: &str = "user";
/// The type of entity that is a client id.
pub const CLIENT_ID: &str = "client-id";
/// The type of entity that is an address.
pub const IP: &str = "ip";

/// Limits of users and clients.
const CLIENT_KEYS: [&str; 4] = [
    "consumer_byte_rate",
    "controller_mutation_rate",
    "producer_byte_rate",
    "request_percentage",
];

/// Limits of addresses.
const IP_KEYS: [&str; 1] = ["connection_creation_rate"];

/// Changes of one entity's limits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuotaChange {
    /// Whom they are for: types and names; no name is the default of its type.
    pub entity: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// Limits by what they limit; `None` removes one.
    pub limits: Vec<(Arc<str>, Option<Double>)>,
}

/// What became of a [`QuotaChange`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuotaResult {
    /// Whom it is for.
    pub entity: QuotaEntity,
    /// Whether its records change the limits.
    pub outcome: Result<(), Refusal>,
}

/// Changes limits, each entity's by itself; an entity that comes twice is refused.
#[must_use]
pub fn alter_quotas(scene: &Scene<'_>, changes: &[QuotaChange]) -> Decision<QuotaResult> {
    let mut outcomes: BTreeMap<QuotaEntity, Result<Vec<MetadataRecord>, Refusal>> = BTreeMap::new();
    for change in changes {
        let entity: QuotaEntity = change.entity.iter().cloned().collect();
        let outcome = if outcomes.contains_key(&entity) {
            invalid("An entity may come once only in a request.".to_owned())
        } else {
            check_entity(&entity)
                .and_then(|keys| check_limits(&change.limits, keys))
                .map(|()| records(scene.image, &entity, &change.limits))
        };
        outcomes.insert(entity, outcome);
    }
    let mut decision = Decision::default();
    for (entity, outcome) in outcomes {
        decision.results.push(QuotaResult {
            entity,
            outcome: outcome.map(|records| decision.records.extend(records)),
        });
    }
    decision
}

fn invalid<T>(text: String) -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::InvalidRequest, text))
}

/// The limits that an entity may have.
fn check_entity(entity: &QuotaEntity) -> Result<&'static [&'static str], Refusal> {
    if entity.is_empty() {
        return invalid("Invalid empty client quota entity".to_owned());
    }
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return invalid(format!("Unhandled client quota entity type: {kind}"));
        }
        if name.as_ref().is_some_and(|name| name.is_empty()) {
            return invalid(format!("Empty {kind} not supported"));
        }
    }
    let Some(address) = entity.get(IP) else {
        return Ok(&CLIENT_KEYS);
    };
    if entity.len() > 1 {
        return invalid(
            "Invalid quota entity combination, IP entity should not be combined with User or \
             ClientId"
                .to_owned(),
        );
    }
    match address {
        Some(address) if !is_host(address) => {
            invalid(format!("{address} is not a valid IP or resolvable host."))
        }
        Some(_) | None => Ok(&IP_KEYS),
    }
}

/// Whether a name may stand for a host. Names are not resolved here: only an address has an effect.
fn is_host(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok() || name == "localhost"
}

fn check_limits(limits: &[(Arc<str>, Option<Double>)], keys: &[&str]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for (key, limit) in limits {
        if !seen.insert(key) {
            return invalid(format!("The limit {key} comes twice."));
        }
        let Some(limit) = limit else {
            // What is not there is removed without a word, whatever its name.
            continue;
        };
        if !keys.contains(&&**key) {
            return invalid(format!("Invalid configuration key {key}"));
        }
        if !is_positive(*limit) {
            return invalid(format!("Quota {key} must be greater than 0"));
        }
        let largest = match &**key {
            "connection_creation_rate" => Some(i32::MAX.unsigned_abs().into()),
            "consumer_byte_rate" | "producer_byte_rate" => Some(i64::MAX.unsigned_abs().into()),
            _fractional => None,
        };
        if let Some(largest) = largest {
            match Rate::of(*limit).whole() {
                None => return invalid(format!("{key} cannot be a fractional value.")),
                Some(whole) if whole > largest => {
                    return invalid(format!("Proposed value for {key} is too large."));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Whether a number is above zero; NaN is not.
fn is_positive(number: Double) -> bool {
    number.value() > 0.0
}

/// A record for each limit that changes.
fn records(
    image: &Image,
    entity: &QuotaEntity,
    limits: &[(Arc<str>, Option<Double>)],
) -> Vec<MetadataRecord> {
    let none = QuotaLimits::new();
    let present = image.quotas().get(entity).unwrap_or(&none);
    let data: Vec<QuotaEntityData> = entity
        .iter()
        .map(|(entity_type, entity_name)| QuotaEntityData {
            entity_type: Arc::clone(entity_type),
            entity_name: entity_name.clone(),
        })
        .collect();
    limits
        .iter()
        .filter(|(key, limit)| present.get(key) != limit.as_ref())
        .map(|(key, limit)| {
            let record = ClientQuotaRecord {
                entity: data.clone(),
                key: Arc::clone(key),
                value: limit.unwrap_or_default(),
                remove: limit.is_none(),
            };
            record.into()
        })
        .collect()
}

/// What part of an entity a filter wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Match {
    /// No name: the default of the type.
    Default,
    /// This name.
    Exact(Arc<str>),
    /// Any name, or none.
    Specified,
}

/// The entities that fit a filter, with their limits. A strict filter wants nothing beside what it
/// names.
///
/// # Errors
/// Where the filter makes no sense.
pub fn describe<'a>(
    image: &'a Image,
    filter: &[(Arc<str>, Match)],
    is_strict: bool,
) -> Result<Vec<(&'a QuotaEntity, &'a QuotaLimits)>, Refusal> {
    let mut wanted = BTreeMap::new();
    for (kind, matching) in filter {
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if wanted.insert(&**kind, matching).is_some() {
            return invalid(format!(
                "Entity type {kind} cannot appear more than once in the filter."
            ));
        }
        if ![USER, CLIENT_ID, IP].contains(&&**kind) {
            return Err(Refusal::new(
                ErrorCode::UnsupportedVersion,
                format!("Unsupported entity type {kind}"),
            ));
        }
    }
    if wanted.contains_key(IP) && wanted.len() > 1 {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used \
             with user or clientId filter component."
                .to_owned(),
        );
    }
    let fits = |entity: &QuotaEntity| {
        let is_whole = !is_strict || entity.len() == wanted.len();
        let mut parts = wanted.iter();
        is_whole
            && parts.all(|(kind, matching)| match (entity.get(*kind), matching) {
                (None, _) => false,
                (Some(name), Match::Default) => name.is_none(),
                (Some(name), Match::Exact(wanted)) => name.as_ref() == Some(wanted),
                (Some(_), Match::Specified) => true,
            })
    };
    let quotas = image.quotas().iter();
    Ok(quotas.filter(|(entity, _)| fits(entity)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::ids::NodeId;
    use crate::metadata::Delta;

    fn entity(parts: &[(&str, Option<&str>)]) -> Vec<(Arc<str>, Option<Arc<str>>)> {
        let part = |(kind, name): &(&str, Option<&str>)| (Arc::from(*kind), name.map(Arc::from));
        parts.iter().map(part).collect()
    }

    fn limit(number: f64) -> Option<Double> {
        Some(Double(number.to_bits()))
    }

    /// The error of one change; the records it makes are applied.
    fn change(
        image: &mut Image,
        parts: &[(&str, Option<&str>)],
        limits: &[(&str, Option<Double>)],
    ) -> Option<ErrorCode> {
        let settings = Settings::load("", &[]).expect("no settings");
        let scene = Scene {
            image,
            settings: &settings,
            node: NodeId(1),
        };
        let limits = limits.iter().map(|(key, limit)| (Arc::from(*key), *limit));
        let decision = alter_quotas(
            &scene,
            &[QuotaChange {
                entity: entity(parts),
                limits: limits.collect(),
            }],
        );
        for record in &decision.records {
            let applied = image.apply(record, &mut Delta::default());
            applied.expect("decided on it");
        }
        let outcome = decision.results[0].outcome.clone();
        outcome.err().map(|refusal| refusal.code)
    }

    #[test]
    fn limits_are_set_and_removed() {
        let mut image = Image::default();
        let both: &[(&str, Option<&str>)] = &[("user", Some("u")), ("client-id", None)];
        let rate = ("producer_byte_rate", limit(1024.0));
        assert_eq!(change(&mut image, both, &[rate]), None);
        assert_eq!(image.quotas().len(), 1);
        let again = ("request_percentage", limit(0.5));
        assert_eq!(change(&mut image, both, &[again, rate]), None);
        let found = describe(&image, &[(Arc::from("user"), Match::Specified)], false);
        assert_eq!(found.expect("a fair question")[0].1.len(), 2);
        let strictly = describe(&image, &[(Arc::from("user"), Match::Specified)], true);
        assert!(strictly.expect("a fair question").is_empty());
        let removed = [("producer_byte_rate", None), ("request_percentage", None)];
        assert_eq!(change(&mut image, both, &removed), None);
        assert!(image.quotas().is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_changes_nothing() {
        let mut image = Image::default();
        type Entity<'a> = &'a [(&'a str, Option<&'a str>)];
        let user: Entity<'_> = &[("user", Some("u"))];
        let ip: Entity<'_> = &[("ip", Some("10.0.0.1"))];
        let cases: &[(Entity<'_>, &str, f64)] = &[
            (&[], "producer_byte_rate", 1.0),
            (&[("group", Some("g"))], "producer_byte_rate", 1.0),
            (&[("user", Some(""))], "producer_byte_rate", 1.0),
            (&[("ip", Some("no host"))], "connection_creation_rate", 1.0),
            (
                &[("ip", None), ("user", None)],
                "connection_creation_rate",
                1.0,
            ),
            (user, "connection_creation_rate", 1.0),
            (user, "producer_byte_rate", 0.0),
            (user, "producer_byte_rate", -1.0),
            (user, "producer_byte_rate", f64::NAN),
            (user, "producer_byte_rate", 1.5),
            (user, "producer_byte_rate", 1e30),
            (user, "nothing", 1.0),
            (ip, "producer_byte_rate", 1.0),
            (ip, "connection_creation_rate", 3e9),
        ];
        for (parts, key, number) in cases {
            let refused = change(&mut image, parts, &[(key, limit(*number))]);
            assert_eq!(
                refused,
                Some(ErrorCode::InvalidRequest),
                "{parts:?} {key} {number}"
            );
        }
        assert!(image.quotas().is_empty());
    }
}
