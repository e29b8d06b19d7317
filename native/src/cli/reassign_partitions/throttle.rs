//! Throttles of moving replicas: settings of brokers and topics.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Named, Plan, plural};
use crate::cli::admin::{self, Changes, resource};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// Bytes a second that a broker sends and receives for moving replicas.
const BROKER_RATES: [&str; 2] = [
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];

/// Bytes a second that a broker copies between its directories.
const DIRECTORY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// The replicas of a topic whose sending, and whose receiving, is throttled.
const LEADERS: &str = "leader.replication.throttled.replicas";
const FOLLOWERS: &str = "follower.replication.throttled.replicas";

/// Ends all throttles of a plan, and says so unless the result is data.
pub(super) fn clear(
    cluster: &mut Cluster,
    plan: &Plan,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut brokers: BTreeSet<i32> = plan.brokers().collect();
    brokers.extend(
        cluster
            .brokers()?
            .brokers
            .iter()
            .map(|broker| broker.node_id),
    );
    if !json {
        console.line(format!(
            "Clearing broker-level throttles on broker{} {}",
            plural(brokers.len()),
            joined(&brokers, ",")
        ))?;
    }
    let unset = |names: &[&str]| -> Changes {
        names
            .iter()
            .map(|name| ((*name).to_owned(), None))
            .collect()
    };
    for broker in &brokers {
        let changes = unset(&[BROKER_RATES[0], BROKER_RATES[1], DIRECTORY_RATE]);
        alter(cluster, resource::BROKER, &broker.to_string(), changes)?;
    }
    let topics: BTreeSet<&str> = plan
        .replicas
        .keys()
        .map(|(topic, _)| topic.as_str())
        .collect();
    if !json {
        console.line(format!(
            "Clearing topic-level throttles on topic{} {}",
            plural(topics.len()),
            joined(&topics, ",")
        ))?;
    }
    for topic in topics {
        alter(
            cluster,
            resource::TOPIC,
            topic,
            unset(&[LEADERS, FOLLOWERS]),
        )?;
    }
    Ok(())
}

/// Limits what moving replicas send between brokers: those that leave, and those that come.
pub(super) fn between_brokers(
    cluster: &mut Cluster,
    current: &BTreeMap<Named, Vec<i32>>,
    plan: &Plan,
    rate: u64,
) -> Result<(), Failure> {
    let mut leaders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut followers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut brokers = BTreeSet::new();
    for (named, target) in &plan.replicas {
        let sources = current.get(named).cloned().unwrap_or_default();
        let (topic, partition) = (named.0.as_str(), named.1);
        let written = |broker: &i32| format!("{partition}:{broker}");
        leaders
            .entry(topic)
            .or_default()
            .extend(sources.iter().map(written));
        let coming = target.iter().filter(|broker| !sources.contains(broker));
        followers
            .entry(topic)
            .or_default()
            .extend(coming.map(written));
        brokers.extend(sources.iter().chain(target).copied());
    }
    for (topic, leaders) in leaders {
        let followers = followers.remove(topic).unwrap_or_default();
        let changes = vec![
            (LEADERS.to_owned(), Some(leaders.join(","))),
            (FOLLOWERS.to_owned(), Some(followers.join(","))),
        ];
        alter(cluster, resource::TOPIC, topic, changes)?;
    }
    for broker in brokers {
        let changes = BROKER_RATES.map(|name| (name.to_owned(), Some(rate.to_string())));
        alter(
            cluster,
            resource::BROKER,
            &broker.to_string(),
            changes.to_vec(),
        )?;
    }
    Ok(())
}

/// Limits what brokers copy between their directories.
pub(super) fn between_directories(
    cluster: &mut Cluster,
    plan: &Plan,
    rate: u64,
) -> Result<(), Failure> {
    let brokers: BTreeSet<i32> = plan.directories.keys().map(|(_, broker)| *broker).collect();
    for broker in brokers {
        let changes = vec![(DIRECTORY_RATE.to_owned(), Some(rate.to_string()))];
        alter(cluster, resource::BROKER, &broker.to_string(), changes)?;
    }
    Ok(())
}

/// Changes settings; an error is told with its class, as the tool's others are.
fn alter(
    cluster: &mut Cluster,
    resource_type: i8,
    name: &str,
    changes: Changes,
) -> Result<(), Failure> {
    let refused = admin::alter_configs_or(cluster, resource_type, name, changes)?;
    match refused {
        None => Ok(()),
        Some((code, words)) => {
            let class = admin::exception_name(code);
            Err(Failure::refused(format!("{class}: {words}")))
        }
    }
}
