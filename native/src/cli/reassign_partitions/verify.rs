//! `--list` and `--verify`: what is being moved, and how far a plan is.

use std::collections::BTreeMap;

use kafka_wire::ListPartitionReassignmentsRequest;
use serde_json::{Value, json};

use super::plan::{self, Named, Place, Plan, Replica};
use super::throttle;
use crate::cli::admin;
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// A partition on its way.
pub(super) struct Moving {
    pub(super) replicas: Vec<i32>,
    adding: Vec<i32>,
    removing: Vec<i32>,
}

impl Moving {
    /// Where it is going.
    fn target(&self) -> Vec<i32> {
        let stays = |broker: &&i32| !self.removing.contains(broker);
        self.replicas.iter().filter(stays).copied().collect()
    }
}

/// Everything that is being moved.
pub(super) fn moving(cluster: &mut Cluster) -> Result<BTreeMap<Named, Moving>, Failure> {
    let mut request = ListPartitionReassignmentsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    request.topics = None;
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    let mut moving = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            let named = (topic.name.to_string(), partition.partition_index);
            let found = Moving {
                replicas: partition.replicas,
                adding: partition.adding_replicas,
                removing: partition.removing_replicas,
            };
            moving.insert(named, found);
        }
    }
    Ok(moving)
}

/// Prints everything that is being moved.
pub(super) fn list(
    cluster: &mut Cluster,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let moving = moving(cluster)?;
    if json {
        let shown = moving.iter().map(|((topic, partition), moving)| {
            json!({
                "topic": topic,
                "partition": partition,
                "replicas": moving.replicas,
                "adding": moving.adding,
                "removing": moving.removing,
            })
        });
        return console.json(&shown.collect());
    }
    if moving.is_empty() {
        return console.line("No partition reassignments found.");
    }
    console.line("Current partition reassignments:")?;
    for (named, moving) in &moving {
        let also = |what: &str, brokers: &[i32]| match brokers {
            [] => String::new(),
            brokers => format!("  {what}: {}.", joined(brokers, ",")),
        };
        console.line(format!(
            "{}: replicas: {}.{}{}",
            plan::name(named),
            joined(&moving.replicas, ","),
            also("adding", &moving.adding),
            also("removing", &moving.removing)
        ))?;
    }
    Ok(())
}

/// Tells how far a plan is; ends its throttles when nothing of it is under way.
pub(super) fn run(
    cluster: &mut Cluster,
    plan: &Plan,
    preserve_throttles: bool,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let moving = moving(cluster)?;
    let current = current(cluster, plan)?;
    let partitions: Vec<(&Named, State<'_>)> = plan
        .replicas
        .iter()
        .map(|(named, target)| (named, state(named, target, &moving, &current)))
        .collect();
    let wanted: Vec<Replica> = plan.directories.keys().cloned().collect();
    let places = match wanted[..] {
        [] => BTreeMap::new(),
        ref wanted => plan::places(cluster, wanted)?,
    };
    let moves: Vec<(&Replica, Move<'_>)> = plan
        .directories
        .iter()
        .map(|(replica, target)| (replica, move_of(places.get(replica), target)))
        .collect();
    let under_way = moves.iter().any(|(_, state)| state.is_under_way());
    let done = moving.is_empty() && !under_way;
    if json {
        console.json(&to_json(&partitions, &moves, done))?;
    } else {
        print(&partitions, &moves, console)?;
    }
    if done && !preserve_throttles {
        throttle::clear(cluster, plan, json, console)?;
    }
    Ok(())
}

/// The brokers of the plan's partitions, as far as they exist.
fn current(cluster: &mut Cluster, plan: &Plan) -> Result<BTreeMap<Named, Vec<i32>>, Failure> {
    let mut current = BTreeMap::new();
    for topic in admin::all_topics(cluster)? {
        for partition in &topic.partitions {
            let named = (admin::name_of(&topic).to_owned(), partition.partition_index);
            if plan.replicas.contains_key(&named) {
                current.insert(named, partition.replica_nodes.clone());
            }
        }
    }
    Ok(current)
}

/// How far a partition is.
enum State<'a> {
    Completed,
    InProgress,
    /// Not under way, and elsewhere.
    Elsewhere {
        current: &'a [i32],
        target: &'a [i32],
    },
}

fn state<'a>(
    named: &Named,
    target: &'a [i32],
    moving: &BTreeMap<Named, Moving>,
    current: &'a BTreeMap<Named, Vec<i32>>,
) -> State<'a> {
    let is_there: &[i32] = current.get(named).map_or(&[], Vec::as_slice);
    match moving.get(named) {
        Some(moving) if moving.target() == target => State::InProgress,
        Some(_) => State::Elsewhere {
            current: is_there,
            target,
        },
        None if is_there == target => State::Completed,
        None => State::Elsewhere {
            current: is_there,
            target,
        },
    }
}

/// How far a replica is on its way to a directory.
enum Move<'a> {
    Completed,
    InProgress,
    /// Moving to another directory than the plan's.
    Astray {
        to: &'a str,
        target: &'a str,
    },
    /// Not moving, and in another directory.
    NotMoving {
        from: &'a str,
        target: &'a str,
    },
    Missing,
}

impl Move<'_> {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::InProgress | Self::Astray { .. })
    }
}

fn move_of<'a>(place: Option<&'a Place>, target: &'a str) -> Move<'a> {
    match place {
        None => Move::Missing,
        Some(place) => match &place.future {
            Some(to) if to == target => Move::InProgress,
            Some(to) => Move::Astray { to, target },
            None if place.current == target => Move::Completed,
            None => Move::NotMoving {
                from: &place.current,
                target,
            },
        },
    }
}

fn print(
    partitions: &[(&Named, State<'_>)],
    moves: &[(&Replica, Move<'_>)],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.line("Status of partition reassignment:")?;
    for (named, state) in partitions {
        let name = plan::name(named);
        console.line(match state {
            State::Completed => format!("Reassignment of partition {name} is completed."),
            State::InProgress => format!("Reassignment of partition {name} is still in progress."),
            State::Elsewhere { current, target } => format!(
                "There is no active reassignment of partition {name}, but replica set is {} rather \
                 than {}.",
                joined(*current, ","),
                joined(*target, ",")
            ),
        })?;
    }
    let lines: Vec<String> = moves
        .iter()
        .map(|((named, broker), state)| {
            let name = plan::name(named);
            match state {
                Move::Completed => {
                    format!("Reassignment of replica {name}-{broker} completed successfully.")
                }
                Move::InProgress => {
                    format!("Reassignment of replica {name}-{broker} is still in progress.")
                }
                Move::Astray { to, target } => format!(
                    "Partition {name} on broker {broker} is being moved to log dir {to} instead of \
                     {target}."
                ),
                Move::NotMoving { from, target } => format!(
                    "Partition {name} on broker {broker} is not being moved from log dir {from} to \
                     {target}."
                ),
                Move::Missing => format!(
                    "Partition {name} cannot be found in any live log directory on broker \
                     {broker}."
                ),
            }
        })
        .collect();
    console.line(lines.join("\n"))
}

fn to_json(
    partitions: &[(&Named, State<'_>)],
    moves: &[(&Replica, Move<'_>)],
    done: bool,
) -> Value {
    let partitions = partitions.iter().map(|((topic, partition), state)| {
        let state = match state {
            State::Completed => "completed",
            State::InProgress => "inProgress",
            State::Elsewhere { .. } => "notActive",
        };
        json!({"topic": topic, "partition": partition, "state": state})
    });
    let moves = moves.iter().map(|(((topic, partition), broker), state)| {
        let state = match state {
            Move::Completed => "completed",
            Move::InProgress => "inProgress",
            Move::Astray { .. } => "movingElsewhere",
            Move::NotMoving { .. } => "notActive",
            Move::Missing => "missing",
        };
        json!({"topic": topic, "partition": partition, "broker": broker, "state": state})
    });
    json!({
        "done": done,
        "partitions": partitions.collect::<Vec<Value>>(),
        "directories": moves.collect::<Vec<Value>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_follow_from_where_replicas_are() {
        let named = ("t".to_owned(), 0);
        let current = BTreeMap::from([(named.clone(), vec![1, 2])]);
        let under_way = Moving {
            replicas: vec![3, 1, 2],
            adding: vec![3],
            removing: vec![1, 2],
        };
        let moving = BTreeMap::from([(named.clone(), under_way)]);
        let none = BTreeMap::new();
        let check = |target: &[i32], moving| {
            matches!(state(&named, target, moving, &current), State::Completed)
        };
        assert!(check(&[1, 2], &none));
        assert!(!check(&[2, 1], &none));
        assert!(!check(&[1, 2], &moving));
        assert!(matches!(
            state(&named, &[3], &moving, &current),
            State::InProgress
        ));
    }

    #[test]
    fn moves_follow_from_directories() {
        let place = |current: &str, future: Option<&str>| Place {
            current: current.to_owned(),
            future: future.map(str::to_owned),
        };
        assert!(matches!(move_of(None, "/b"), Move::Missing));
        assert!(matches!(
            move_of(Some(&place("/b", None)), "/b"),
            Move::Completed
        ));
        assert!(matches!(
            move_of(Some(&place("/a", Some("/b"))), "/b"),
            Move::InProgress
        ));
        assert!(move_of(Some(&place("/a", Some("/c"))), "/b").is_under_way());
        assert!(!move_of(Some(&place("/a", None)), "/b").is_under_way());
    }
}
