//! Which configurations of brokers may be set at run time, for one of them or for all (KIP-226).
//!
//! Rules between values are those of `config::rules`. Kafka class to compare:
//! `DynamicBrokerConfig.validate`, in whose order everything is looked at.

use std::sync::Arc;

use super::{Refusal, Scene};
use crate::config::definition::{Scope, Update};
use crate::config::rules::{check_change, check_class, listener_base};
use crate::config::{Overrides, table};
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::metadata::ConfigResource;

/// Keys and certificates, which belong to a listener each (`DynamicSecurityConfigs`).
const OF_LISTENERS_ONLY: [&str; 10] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Configurations of a listener that may be set for all brokers (`ListenerConfigs`).
const OF_LISTENERS_EVERYWHERE: [&str; 3] = [
    "max.connection.creation.rate",
    "max.connections",
    "num.network.threads",
];

/// Checks the values that a broker, or all of them, would have; `named` are those that the request
/// names. Names that no table knows are allowed, as in Kafka.
///
/// # Errors
/// Where one cannot change at run time, must be set for each listener or broker by itself, is not
/// valid, or where they do not go together.
pub(super) fn check_broker_set(
    scene: &Scene<'_>,
    resource: &ConfigResource,
    values: &Overrides,
    named: &Overrides,
) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    let with = |is_wanted: &dyn Fn(&str) -> bool| {
        let names = named.keys().map(AsRef::as_ref);
        let names: Vec<&str> = names.filter(|name| is_wanted(name)).collect();
        names.join(", ")
    };
    let read_only = with(&|name| update_of(name) == Some(Update::ReadOnly));
    if !read_only.is_empty() {
        return refuse(format!(
            "Cannot update these configs dynamically: [{read_only}]"
        ));
    }
    let bare = with(&|name| OF_LISTENERS_ONLY.contains(&name));
    if !bare.is_empty() {
        return refuse(format!(
            "These security configs can be dynamically updated only per-listener using the \
             listener prefix: [{bare}]"
        ));
    }
    for (name, text) in named {
        let base = listener_base(name).unwrap_or(name);
        if let Some(definition) = table::find(Scope::Broker, base)
            && let Err(error) = definition.parse(text)
        {
            return refuse(error.to_string());
        }
        check_class(name, text).or_else(refuse)?;
    }
    let per_broker = with(&is_per_broker);
    if resource.name.is_empty() && !per_broker.is_empty() {
        return refuse(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: \
             [{per_broker}]"
        ));
    }
    let everywhere = scene.image.configs(&ConfigResource::broker_default());
    let here = scene.image.configs(&ConfigResource::broker(scene.node));
    let mut present = scene.settings.clone();
    present.set_dynamic(Arc::clone(&everywhere), Arc::clone(&here));
    let mut new = present.clone();
    let values = Arc::new(values.clone());
    if resource.name.is_empty() {
        new.set_dynamic(values, here);
    } else {
        assert_eq!(
            resource.name.parse().map(NodeId),
            Ok(scene.node),
            "a broker is changed by itself"
        );
        new.set_dynamic(everywhere, values);
    }
    check_change(&present, &new, named).or_else(refuse)
}

fn is_per_broker(name: &str) -> bool {
    match listener_base(name) {
        Some(base) => !OF_LISTENERS_EVERYWHERE.contains(&base),
        None => update_of(name) == Some(Update::PerBroker),
    }
}

/// How a broker configuration may change at run time; a quota on replication is set broker by
/// broker but may be set for all of them.
fn update_of(name: &str) -> Option<Update> {
    let definition = table::find(Scope::Broker, name)?;
    let is_rate = name.ends_with(".throttled.rate")
        || name == "replica.alter.log.dirs.io.max.bytes.per.second";
    Some(if is_rate {
        Update::ClusterWide
    } else {
        definition.update
    })
}
