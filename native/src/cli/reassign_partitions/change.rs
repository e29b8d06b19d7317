//! `--execute` and `--cancel`: beginning to move replicas, and going back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kafka_wire::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use kafka_wire::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_wire::{AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::{Value, json};

use super::generate::replicas;
use super::plan::{self, Named, Plan, Replica, plural};
use super::{throttle, verify};
use crate::cli::admin;
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// Pause before directories are asked again to accept replicas.
const DIRECTORY_PAUSE: Duration = Duration::from_millis(100);

/// How `--execute` goes about it.
pub(super) struct Options {
    /// Beside what is under way.
    pub(super) additional: bool,
    /// Bytes a second.
    pub(super) between_brokers: Option<u64>,
    /// Bytes a second.
    pub(super) between_directories: Option<u64>,
    pub(super) timeout_ms: u64,
    /// Refuse another number of replicas.
    pub(super) same_factor: bool,
    pub(super) json: bool,
}

/// Begins to move replicas.
pub(super) fn execute(
    cluster: &mut Cluster,
    plan: &Plan,
    options: &Options,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    check(plan)?;
    if !options.additional && !verify::moving(cluster)?.is_empty() {
        return Err(Failure::refused(
            "Cannot execute because there is an existing partition assignment.  Use --additional \
             to override this and create a new partition assignment in addition to the existing \
             one. The --additional flag can also be used to change the throttle by resubmitting \
             the current reassignment.",
        ));
    }
    check_brokers(cluster, plan)?;
    let current = current(cluster, plan)?;
    let places = plan::places(cluster, &replicas(&current))?;
    let directories = places
        .into_iter()
        .map(|(replica, place)| (replica, place.current))
        .collect();
    let rollback = plan::document(&current, &directories);
    if !options.json {
        console.line(format!(
            "Current partition replica assignment\n\n{rollback}\n\nSave this to use as the \
             --reassignment-json-file option during rollback"
        ))?;
    }
    throttle_all(cluster, &current, plan, options, console)?;
    let targets = plan
        .replicas
        .iter()
        .map(|(named, target)| (named, Some(target.as_slice())));
    let failed = alter(cluster, targets, !options.same_factor)?;
    if !failed.is_empty() {
        return Err(Failure::refused(format!(
            "Error reassigning partition(s):\n{}",
            lines(&failed)
        )));
    }
    if options.json {
        let rollback: Value = serde_json::from_str(&rollback).expect("it was written as JSON");
        let started: Vec<Value> = plan.replicas.keys().map(named_json).collect();
        console.json(&json!({"started": started, "rollback": rollback}))?;
    } else {
        console.line(format!(
            "Successfully started partition reassignment{} for {}",
            plural(plan.replicas.len()),
            plan::names(plan.replicas.keys())
        ))?;
    }
    move_directories(cluster, plan, options, console)
}

fn named_json((topic, partition): &Named) -> Value {
    json!({"topic": topic, "partition": partition})
}

fn lines(failed: &BTreeMap<Named, String>) -> String {
    joined(
        failed
            .iter()
            .map(|(named, words)| format!("{}: {words}", plan::name(named))),
        "\n",
    )
}

/// Refuses plans that cannot be meant.
fn check(plan: &Plan) -> Result<(), Failure> {
    if plan.replicas.is_empty() {
        return Err(Failure::refused(
            "Partition reassignment list cannot be empty",
        ));
    }
    if plan.replicas.values().any(Vec::is_empty) {
        return Err(Failure::refused("Partition replica list cannot be empty"));
    }
    let mut twice = Vec::new();
    for (named, brokers) in &plan.replicas {
        let mut seen = BTreeSet::new();
        let again: BTreeSet<&i32> = brokers.iter().filter(|id| !seen.insert(**id)).collect();
        if !again.is_empty() {
            let name = plan::name(named);
            twice.push(format!(
                "{name} contains multiple entries for {}",
                joined(again, ",")
            ));
        }
    }
    if !twice.is_empty() {
        return Err(Failure::refused(format!(
            "Partition replica lists may not contain duplicate entries: {}",
            twice.join(". ")
        )));
    }
    Ok(())
}

fn check_brokers(cluster: &mut Cluster, plan: &Plan) -> Result<(), Failure> {
    let known = cluster.brokers()?.brokers;
    let is_known = |id: &i32| known.iter().any(|broker| broker.node_id == *id);
    let unknown: BTreeSet<i32> = plan.brokers().filter(|id| !is_known(id)).collect();
    match unknown.first() {
        None => Ok(()),
        Some(id) => Err(Failure::refused(format!("Unknown broker id {id}"))),
    }
}

/// The brokers of the plan's partitions, all of which must exist.
fn current(cluster: &mut Cluster, plan: &Plan) -> Result<BTreeMap<Named, Vec<i32>>, Failure> {
    let mut topics: Vec<&str> = plan
        .replicas
        .keys()
        .map(|(topic, _)| topic.as_str())
        .collect();
    topics.dedup();
    let mut current = plan::replicas_of(cluster, &topics)?;
    if let Some(missing) = plan
        .replicas
        .keys()
        .find(|named| !current.contains_key(*named))
    {
        let class = admin::exception_name(ErrorCode::UnknownTopicOrPartition.code());
        return Err(Failure::refused(format!(
            "{class}: Unable to find partition: {}",
            plan::name(missing)
        )));
    }
    current.retain(|named, _| plan.replicas.contains_key(named));
    Ok(current)
}

fn throttle_all(
    cluster: &mut Cluster,
    current: &BTreeMap<Named, Vec<i32>>,
    plan: &Plan,
    options: &Options,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut said = Vec::new();
    if options.between_brokers.is_some() || options.between_directories.is_some() {
        said.push(
            "Warning: You must run --verify periodically, until the reassignment completes, to \
             ensure the throttle is removed."
                .to_owned(),
        );
    }
    if let Some(rate) = options.between_brokers {
        throttle::between_brokers(cluster, current, plan, rate)?;
        said.push(format!(
            "The inter-broker throttle limit was set to {rate} B/s"
        ));
    }
    if let Some(rate) = options.between_directories {
        throttle::between_directories(cluster, plan, rate)?;
        said.push(format!(
            "The replica-alter-dir throttle limit was set to {rate} B/s"
        ));
    }
    for line in said {
        match options.json {
            true => console.notice(line),
            false => console.line(line)?,
        }
    }
    Ok(())
}

/// Asks for new brokers of partitions, or (`None`) for an end of moving them; what was refused.
fn alter<'a>(
    cluster: &mut Cluster,
    targets: impl Iterator<Item = (&'a Named, Option<&'a [i32]>)>,
    allow_factor_change: bool,
) -> Result<BTreeMap<Named, String>, Failure> {
    let mut request = AlterPartitionReassignmentsRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    let version = cluster
        .any()?
        .version_of::<AlterPartitionReassignmentsRequest>()
        .unwrap_or(0);
    if version >= 1 {
        request.allow_replication_factor_change = allow_factor_change;
    } else if !allow_factor_change {
        return Err(Failure::refused(
            "The broker is too old for --disallow-replication-factor-change.",
        ));
    }
    for ((topic, partition), target) in targets {
        let mut asked = ReassignablePartition::default();
        asked.partition_index = *partition;
        asked.replicas = target.map(<[i32]>::to_vec);
        match request.topics.last_mut() {
            Some(last) if last.name.as_str() == topic => last.partitions.push(asked),
            _another => {
                let mut of_topic = ReassignableTopic::default();
                of_topic.name = StrBytes::from(topic.as_str());
                of_topic.partitions.push(asked);
                request.topics.push(of_topic);
            }
        }
    }
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    let mut failed = BTreeMap::new();
    for topic in &answer.responses {
        for partition in &topic.partitions {
            if partition.error_code != ErrorCode::None.code() {
                let words = admin::words(partition.error_code, partition.error_message.as_ref());
                failed.insert((topic.name.to_string(), partition.partition_index), words);
            }
        }
    }
    Ok(failed)
}

/// Has replicas lie in the directories of the plan, once their brokers have them.
fn move_directories(
    cluster: &mut Cluster,
    plan: &Plan,
    options: &Options,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut pending = plan.directories.clone();
    let give_up = Instant::now() + Duration::from_millis(options.timeout_ms);
    while !pending.is_empty() {
        let accepted = ask_directories(cluster, &pending)?;
        if !accepted.is_empty() && !options.json {
            console.line(format!(
                "Successfully started log directory move{} for: {}",
                plural(accepted.len()),
                replica_names(&accepted)
            ))?;
        }
        pending.retain(|replica, _| !accepted.contains(replica));
        if pending.is_empty() {
            break;
        }
        if Instant::now() >= give_up {
            let left: BTreeSet<Replica> = pending.into_keys().collect();
            return Err(Failure::refused(format!(
                "Timed out before log directory move{} could be started for: {}",
                plural(left.len()),
                replica_names(&left)
            )));
        }
        console.flush()?;
        std::thread::sleep(DIRECTORY_PAUSE);
    }
    Ok(())
}

fn replica_names(replicas: &BTreeSet<Replica>) -> String {
    let names = replicas
        .iter()
        .map(|(named, broker)| format!("{}-{broker}", plan::name(named)));
    joined(names, ",")
}

/// The replicas whose directories were accepted. One that is not there yet is not.
fn ask_directories(
    cluster: &mut Cluster,
    pending: &BTreeMap<Replica, String>,
) -> Result<BTreeSet<Replica>, Failure> {
    let mut requests: BTreeMap<i32, AlterReplicaLogDirsRequest> = BTreeMap::new();
    for (((topic, partition), broker), directory) in pending {
        let request = requests.entry(*broker).or_default();
        let mut of_topic = AlterReplicaLogDirTopic::default();
        of_topic.name = StrBytes::from(topic.as_str());
        of_topic.partitions.push(*partition);
        match request
            .dirs
            .iter_mut()
            .find(|dir| dir.path.as_str() == directory)
        {
            Some(dir) => match dir
                .topics
                .iter_mut()
                .find(|known| known.name == of_topic.name)
            {
                Some(known) => known.partitions.push(*partition),
                None => dir.topics.push(of_topic),
            },
            None => {
                let mut dir = AlterReplicaLogDir::default();
                dir.path = StrBytes::from(directory.as_str());
                dir.topics.push(of_topic);
                request.dirs.push(dir);
            }
        }
    }
    let mut accepted = BTreeSet::new();
    for (broker, request) in requests {
        for topic in cluster.call_node(broker, request)?.results {
            for partition in topic.partitions {
                let named = (topic.topic_name.to_string(), partition.partition_index);
                let name = format!("{}-{broker}", plan::name(&named));
                // The one error that goes by itself: the replica is still on its way to the broker.
                let later = ErrorCode::ReplicaNotAvailable.code();
                if partition.error_code == ErrorCode::None.code() {
                    accepted.insert((named, broker));
                } else if partition.error_code != later {
                    return Err(Failure::refused(format!(
                        "Failed to alter dir for {name}: {}",
                        admin::words(partition.error_code, None)
                    )));
                }
            }
        }
    }
    Ok(accepted)
}

/// Has partitions go back to where they were.
pub(super) fn cancel(
    cluster: &mut Cluster,
    plan: &Plan,
    preserve_throttles: bool,
    json: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let moving = verify::moving(cluster)?;
    let active: Vec<&Named> = plan
        .replicas
        .keys()
        .filter(|named| moving.contains_key(*named))
        .collect();
    let mut failed = BTreeMap::new();
    if !active.is_empty() {
        failed = alter(cluster, active.iter().map(|named| (*named, None)), true)?;
    }
    if !failed.is_empty() {
        return Err(Failure::refused(format!(
            "Error cancelling partition reassignment{} for:\n{}",
            plural(failed.len()),
            lines(&failed)
        )));
    }
    let moves = moves_under_way(cluster, plan)?;
    let back: BTreeMap<Replica, String> = moves.into_iter().collect();
    if !back.is_empty() {
        ask_directories(cluster, &back)?;
    }
    if json {
        let cancelled: Vec<Value> = active.into_iter().map(named_json).collect();
        console.json(&json!({"cancelled": cancelled, "directories": back.len()}))?;
    } else {
        let back: BTreeSet<Replica> = back.into_keys().collect();
        print_cancelled(&active, &back, console)?;
    }
    if !preserve_throttles {
        throttle::clear(cluster, plan, json, console)?;
    }
    Ok(())
}

fn print_cancelled(
    active: &[&Named],
    back: &BTreeSet<Replica>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match active {
        [] => console.line("None of the specified partition reassignments are active.")?,
        active => console.line(format!(
            "Successfully cancelled partition reassignment{} for: {}",
            plural(active.len()),
            plan::names(active.iter().copied())
        ))?,
    }
    if back.is_empty() {
        // Without an end of line, as Kafka's tool has it.
        write!(
            console.out,
            "None of the specified partition moves are active."
        )?;
        return Ok(());
    }
    console.line(format!(
        "Successfully cancelled log directory move{} for: {}",
        plural(back.len()),
        replica_names(back)
    ))
}

/// The plan's replicas on their way to another directory, with the one they came from.
fn moves_under_way(cluster: &mut Cluster, plan: &Plan) -> Result<Vec<(Replica, String)>, Failure> {
    let wanted: Vec<Replica> = plan.directories.keys().cloned().collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let places = plan::places(cluster, &wanted)?;
    let moving = places
        .into_iter()
        .filter(|(_, place)| place.future.is_some());
    Ok(moving
        .map(|(replica, place)| (replica, place.current))
        .collect())
}
