//! `--generate`: a plan that spreads partitions over brokers.
//!
//! Like Kafka's, the plan begins at a broker by chance, goes around, and visits another rack each
//! time while there are any.

use std::collections::BTreeMap;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::plan::{self, Named};
use crate::cli::args::text;
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::json_file;
use crate::cli::random;

/// A broker that may have replicas.
#[derive(Clone, Debug)]
struct Candidate {
    id: i32,
    rack: Option<String>,
}

pub(super) fn run(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let brokers = broker_ids(text(matches, "broker-list").unwrap_or_default())?;
    let path = text(matches, "topics-to-move-json-file").unwrap_or_default();
    let document = json_file::read(path)?;
    let topics = topics(&document)?;
    let current = plan::replicas_of(cluster, &topics)?;
    let everywhere = replicas(&current);
    let directories = plan::places(cluster, &everywhere)?
        .into_iter()
        .map(|(replica, place)| (replica, place.current))
        .collect();
    let rack_aware = !matches.get_flag("disable-rack-aware");
    let mut candidates = candidates(cluster, &brokers, rack_aware)?;
    let mut proposed = BTreeMap::new();
    for topic in topics {
        let of_topic: Vec<(&Named, &Vec<i32>)> = current
            .iter()
            .filter(|((name, _), _)| name == topic)
            .collect();
        let factor = of_topic.first().map_or(0, |(_, replicas)| replicas.len());
        check_factor(factor, &candidates)?;
        let first = u64::from_le_bytes(random::bytes()?);
        let count = u64::try_from(candidates.len())
            .expect("they are in memory")
            .max(1);
        let first = usize::try_from(first % count).expect("less than their number");
        candidates.rotate_left(first);
        for (turn, (named, _)) in of_topic.into_iter().enumerate() {
            proposed.insert(named.clone(), spread(&candidates, factor, turn));
        }
    }
    let current = plan::document(&current, &directories);
    let proposed = plan::document(&proposed, &BTreeMap::new());
    if matches.get_flag("json") {
        let value = |document: &str| -> Value {
            serde_json::from_str(document).expect("it was just written as JSON")
        };
        return console.json(&json!({"current": value(&current), "proposed": value(&proposed)}));
    }
    console.line(format!(
        "Current partition replica assignment\n{current}\n\nProposed partition reassignment \
         configuration\n{proposed}"
    ))
}

/// Every replica of some partitions.
pub(super) fn replicas(partitions: &BTreeMap<Named, Vec<i32>>) -> Vec<plan::Replica> {
    let replicas = partitions
        .iter()
        .flat_map(|(named, brokers)| brokers.iter().map(|broker| (named.clone(), *broker)));
    replicas.collect()
}

fn broker_ids(list: &str) -> Result<Vec<i32>, Failure> {
    let mut ids: Vec<i32> = Vec::new();
    let mut twice: Vec<i32> = Vec::new();
    for part in list.split(',') {
        let id = part
            .parse()
            .map_err(|_not_a_number| Failure::refused(format!("For input string: \"{part}\"")))?;
        if ids.contains(&id) {
            twice.push(id);
        }
        ids.push(id);
    }
    if !twice.is_empty() {
        return Err(Failure::refused(format!(
            "Broker list contains duplicate entries: [{}]",
            joined(twice, ", ")
        )));
    }
    Ok(ids)
}

/// The topics a document names.
fn topics(document: &Value) -> Result<Vec<&str>, Failure> {
    plan::check_version(document)?;
    let listed = json_file::array(json_file::field(document, "topics")?, "topics")?;
    let mut topics: Vec<&str> = Vec::new();
    let mut twice: Vec<&str> = Vec::new();
    for listed in listed {
        let topic = json_file::text(listed, "topic")?;
        if topics.contains(&topic) {
            twice.push(topic);
        }
        topics.push(topic);
    }
    if !twice.is_empty() {
        return Err(Failure::refused(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            joined(twice, ", ")
        )));
    }
    Ok(topics)
}

/// The brokers among `ids` that are there, in an order that changes racks as often as it can.
fn candidates(
    cluster: &mut Cluster,
    ids: &[i32],
    rack_aware: bool,
) -> Result<Vec<Candidate>, Failure> {
    let mut found: Vec<Candidate> = Vec::new();
    for broker in cluster.brokers()?.brokers {
        if ids.contains(&broker.node_id) {
            let rack = broker
                .rack
                .filter(|_| rack_aware)
                .map(|rack| rack.to_string());
            found.push(Candidate {
                id: broker.node_id,
                rack,
            });
        }
    }
    found.sort_by_key(|broker| broker.id);
    let without = found.iter().filter(|broker| broker.rack.is_none()).count();
    if without > 0 && without < found.len() {
        return Err(Failure::refused(
            "Not all brokers have rack information. Add --disable-rack-aware in command line to \
             make replica assignment without rack information.",
        ));
    }
    Ok(alternating(found))
}

/// Takes one broker of each rack, again and again.
fn alternating(brokers: Vec<Candidate>) -> Vec<Candidate> {
    let mut by_rack: BTreeMap<Option<String>, Vec<Candidate>> = BTreeMap::new();
    for broker in brokers {
        by_rack.entry(broker.rack.clone()).or_default().push(broker);
    }
    let longest = by_rack.values().map(Vec::len).max().unwrap_or(0);
    let mut order = Vec::new();
    for round in 0..longest {
        order.extend(by_rack.values().filter_map(|rack| rack.get(round)).cloned());
    }
    order
}

fn check_factor(factor: usize, candidates: &[Candidate]) -> Result<(), Failure> {
    let count = candidates.len();
    if count == 0 && factor > 0 {
        return Err(Failure::refused(
            "All brokers are currently fenced, or have all their log directories cordoned.",
        ));
    }
    if factor > count {
        return Err(Failure::refused(format!(
            "The target replication factor of {factor} cannot be reached because only {count} \
             broker(s) are registered."
        )));
    }
    Ok(())
}

/// The brokers of the partition that is the `turn`-th to be placed.
fn spread(candidates: &[Candidate], factor: usize, turn: usize) -> Vec<i32> {
    let count = candidates.len();
    // Each time around, followers lie one further from their leaders, so that the load of a
    // broker that is lost is shared by all others.
    let shift = match count {
        0 | 1 => 0,
        count => (turn / count) % (count - 1),
    };
    let replicas = (0..factor).map(|index| {
        let follower = match index {
            0 => 0,
            index => 1 + (shift + index - 1) % (count - 1),
        };
        candidates[(turn + follower) % count].id
    });
    replicas.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[(i32, Option<&str>)]) -> Vec<Candidate> {
        let brokers = racks.iter().map(|(id, rack)| Candidate {
            id: *id,
            rack: rack.map(str::to_owned),
        });
        brokers.collect()
    }

    #[test]
    fn replicas_of_a_partition_are_on_different_brokers_and_evenly_spread() {
        let candidates = brokers(&[(1, None), (2, None), (3, None), (4, None)]);
        for factor in 1..=4 {
            let mut load: BTreeMap<i32, u32> = BTreeMap::new();
            let mut lead: BTreeMap<i32, u32> = BTreeMap::new();
            for turn in 0..24 {
                let mut replicas = spread(&candidates, factor, turn);
                *lead.entry(replicas[0]).or_default() += 1;
                replicas
                    .iter()
                    .for_each(|id| *load.entry(*id).or_default() += 1);
                replicas.sort_unstable();
                replicas.dedup();
                assert_eq!(replicas.len(), factor, "turn {turn}");
            }
            assert!(lead.values().all(|count| *count == 6), "{lead:?}");
            let even = 6 * u32::try_from(factor).expect("a small number");
            assert!(load.values().all(|count| *count == even), "{load:?}");
        }
    }

    #[test]
    fn racks_alternate() {
        let candidates = brokers(&[
            (1, Some("a")),
            (2, Some("a")),
            (3, Some("b")),
            (4, Some("b")),
        ]);
        let order: Vec<i32> = alternating(candidates).iter().map(|b| b.id).collect();
        assert_eq!(order, [1, 3, 2, 4]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(check_factor(2, &brokers(&[(1, None)])).is_err());
        assert!(check_factor(1, &[]).is_err());
        assert!(check_factor(0, &[]).is_ok());
        assert!(broker_ids("1,x").is_err());
        assert!(broker_ids("1,1").is_err());
    }
}
