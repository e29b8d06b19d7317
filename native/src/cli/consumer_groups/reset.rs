//! `--reset-offsets`: moves the offsets of groups without members, or shows where they would go.

use std::collections::{BTreeMap, BTreeSet};

use clap::ArgMatches;
use serde_json::json;

use super::plan_file::{self, File, Plan, cell};
use super::{SCENARIOS, error, groups_in_kafkas_order};
use crate::cli::admin;
use crate::cli::args::{given, number, text, texts};
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::group_admin::{self, Partition};
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, topic_partition_hash};
use crate::cli::time::now_ms;
use crate::cli::when;

/// ListOffsets' times for the end and for the first record.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) fn run(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let is_single = texts(matches, "group").len() == 1;
    // What is no number is told first, whatever else is asked.
    let numbers = Numbers {
        shift: whole(matches, "shift-by")?,
        target: whole(matches, "to-offset")?,
    };
    let file = match text(matches, "from-file") {
        Some(path) => Some(plan_file::read(path, is_single)?),
        None => None,
    };
    let mut plans: Vec<(String, Plan)> = Vec::new();
    let mut is_refused = false;
    for group in groups_in_kafkas_order(matches, cluster)? {
        let state = match group_admin::describe(cluster, &group)? {
            Ok(found) => found.state,
            Err(_absent) => "Dead".to_owned(),
        };
        if !matches!(state.as_str(), "Dead" | "Empty") {
            console.line(format!(
                "\nError: Assignments can only be reset if the group '{group}' is inactive, but \
                 the current state is {state}."
            ))?;
            is_refused = true;
            continue;
        }
        let plan = match &file {
            Some(file) => from_file(cluster, file, &group, is_single, console)?,
            None => plan(matches, cluster, &group, &numbers, console)?,
        };
        plans.push((group, plan));
    }
    if matches.get_flag("execute") {
        for (group, plan) in plans.iter().filter(|(_group, plan)| !plan.is_empty()) {
            group_admin::commit(cluster, group, plan)?;
        }
    }
    print(matches, &plans, is_single, console)?;
    if is_refused && console.is_json {
        return Err(Failure::Told);
    }
    Ok(())
}

fn print(
    matches: &ArgMatches,
    plans: &[(String, Plan)],
    is_single: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut rows: Vec<(&str, &Partition, i64)> = Vec::new();
    for (group, plan) in plans {
        let mut of_group: Vec<(&Partition, i64)> = plan
            .iter()
            .map(|(partition, offset)| (partition, *offset))
            .collect();
        hash_map_order(
            &mut of_group,
            HASH_MAP_CAPACITY,
            |((topic, index), _offset)| topic_partition_hash(topic, *index),
        );
        rows.extend(
            of_group
                .into_iter()
                .map(|(partition, offset)| (group.as_str(), partition, offset)),
        );
    }
    if matches.get_flag("json") {
        let shown = rows.iter().map(|(group, (topic, index), offset)| {
            json!({"group": group, "topic": topic, "partition": index, "newOffset": offset})
        });
        return console.json(&shown.collect());
    }
    if matches.get_flag("export") {
        for (group, (topic, index), offset) in rows {
            let group = if is_single {
                String::new()
            } else {
                format!("{},", cell(group))
            };
            console.line(format!("{group}{},{index},{offset}", cell(topic)))?;
        }
        return console.line("");
    }
    let groups = rows.iter().map(|(group, ..)| group.chars().count());
    let topics = rows
        .iter()
        .map(|(_group, (topic, _index), _offset)| topic.chars().count());
    let group_width = groups.max().unwrap_or(0).max(15);
    let topic_width = topics.max().unwrap_or(0).max(15);
    console.line("")?;
    let mut row = |group: &str, topic: &str, index: &str, offset: &str| {
        console.line(format!(
            "{group:<group_width$} {topic:<topic_width$} {index:<10} {offset}"
        ))
    };
    row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")?;
    for (group, (topic, index), offset) in rows {
        row(group, topic, &index.to_string(), &offset.to_string())?;
    }
    Ok(())
}

/// Reads `topic` or `topic:0,1`.
pub(super) fn topic_and_partitions(asked: &str) -> Result<(String, Option<Vec<i32>>), Failure> {
    let Some((topic, list)) = asked.split_once(':') else {
        return Ok((asked.to_owned(), None));
    };
    let mut partitions = Vec::new();
    for word in list.split(',') {
        let index = word.trim().parse().map_err(|_not_a_number| {
            Failure::usage(format!(
                "Invalid partition '{word}' specified in topic arg '{asked}''"
            ))
        })?;
        partitions.push(index);
    }
    Ok((topic.to_owned(), Some(partitions)))
}

/// The partitions that are to be moved, with their leaders.
fn scope(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    committed: &BTreeMap<Partition, group_admin::Committed>,
) -> Result<BTreeMap<i32, Vec<Partition>>, Failure> {
    let topics = admin::all_topics(cluster)?;
    let mut leaders: BTreeMap<Partition, i32> = BTreeMap::new();
    for topic in &topics {
        for of in &topic.partitions {
            let named = (admin::name_of(topic).to_owned(), of.partition_index);
            leaders.insert(named, of.leader_id);
        }
    }
    let mut wanted: BTreeSet<Partition> = BTreeSet::new();
    // All topics are those partitions where the group is; what `--topic` says then counts no more.
    let named = if matches.get_flag("all-topics") {
        wanted.extend(committed.keys().cloned());
        Vec::new()
    } else {
        texts(matches, "topic")
    };
    for asked in named {
        match topic_and_partitions(asked)? {
            (topic, Some(partitions)) => {
                wanted.extend(partitions.into_iter().map(|index| (topic.clone(), index)));
            }
            (topic, None) => {
                let before = wanted.len();
                wanted.extend(
                    leaders
                        .keys()
                        .filter(|(name, _index)| *name == topic)
                        .cloned(),
                );
                if wanted.len() == before {
                    return Err(Failure::refused(
                        "This server does not host this topic-partition.",
                    ));
                }
            }
        }
    }
    check_exist(&wanted, &leaders)?;
    let mut by_leader: BTreeMap<i32, Vec<Partition>> = BTreeMap::new();
    for partition in wanted {
        by_leader
            .entry(leaders[&partition])
            .or_default()
            .push(partition);
    }
    Ok(by_leader)
}

fn check_exist(
    wanted: &BTreeSet<Partition>,
    leaders: &BTreeMap<Partition, i32>,
) -> Result<(), Failure> {
    let absent = wanted
        .iter()
        .filter(|partition| !leaders.contains_key(*partition));
    let absent = joined(absent.map(|(topic, index)| format!("{topic}-{index}")), ",");
    if absent.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "The partitions \"{absent}\" do not exist"
    )))
}

/// Offsets at one time, by partition.
fn at(
    cluster: &mut Cluster,
    scope: &BTreeMap<i32, Vec<Partition>>,
    time: i64,
) -> Result<Plan, Failure> {
    let mut offsets = Plan::new();
    for (leader, partitions) in scope {
        for (partition, answer) in admin::list_offsets(cluster, *leader, partitions, time, 0)? {
            match answer {
                Ok(offset) => {
                    offsets.insert(partition, offset);
                }
                Err(code) => return Err(Failure::refused(admin::words(code, None))),
            }
        }
    }
    Ok(offsets)
}

/// What was said in numbers; 0 where nothing was.
struct Numbers {
    shift: i64,
    target: i64,
}

/// A number of the command line; what is none is a refusal here, as in Kafka's tool.
fn whole(matches: &ArgMatches, option: &str) -> Result<i64, Failure> {
    match number::<i64>(matches, option) {
        Ok(number) => Ok(number.unwrap_or(0)),
        Err(Failure::Usage(words)) => Err(Failure::Refused(words)),
        Err(other) => Err(other),
    }
}

/// Where a group is to go.
fn plan(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    group: &str,
    numbers: &Numbers,
    console: &mut Console<'_>,
) -> Result<Plan, Failure> {
    let committed = group_admin::committed(cluster, group)?;
    let scope = scope(matches, cluster, &committed)?;
    let scenario = SCENARIOS
        .into_iter()
        .find(|scenario| given(matches, scenario));
    match scenario.expect("the command line was checked") {
        "to-earliest" => at(cluster, &scope, EARLIEST),
        "to-latest" => at(cluster, &scope, LATEST),
        "to-current" => {
            let mut plan = at(cluster, &scope, LATEST)?;
            for (partition, offset) in &mut plan {
                let current = committed.get(partition);
                *offset = current.map_or(*offset, |current| current.offset);
            }
            Ok(plan)
        }
        "to-offset" => {
            let offset = numbers.target;
            let all = scope.values().flatten();
            bounded(
                cluster,
                &scope,
                all.map(|partition| (partition.clone(), offset)).collect(),
                console,
            )
        }
        "shift-by" => {
            let mut plan = Plan::new();
            for partition in scope.values().flatten() {
                // Kafka's tool takes it for a slip on the command line.
                let current = committed.get(partition).ok_or_else(|| {
                    Failure::usage(format!(
                        "Cannot shift offset for partition {}-{} since there is no current \
                         committed offset",
                        partition.0, partition.1
                    ))
                })?;
                plan.insert(
                    partition.clone(),
                    current.offset.saturating_add(numbers.shift),
                );
            }
            bounded(cluster, &scope, plan, console)
        }
        "by-duration" => {
            let duration = text(matches, "by-duration").unwrap_or("");
            let time = now_ms().saturating_sub(when::duration_ms(duration)?);
            at_time(cluster, &scope, time, console)
        }
        _to_datetime => {
            let time = when::datetime_ms(text(matches, "to-datetime").unwrap_or(""))?;
            at_time(cluster, &scope, time, console)
        }
    }
}

/// The first records of a time or later; the end where there is none.
fn at_time(
    cluster: &mut Cluster,
    scope: &BTreeMap<i32, Vec<Partition>>,
    time: i64,
    console: &mut Console<'_>,
) -> Result<Plan, Failure> {
    let mut plan = at(cluster, scope, time.max(0))?;
    let ends = at(cluster, scope, LATEST)?;
    for ((topic, index), offset) in &mut plan {
        if *offset < 0 {
            console.line(format!(
                "\nWarn: Partition {index} from topic {topic} is empty. Falling back to latest \
                 known offset."
            ))?;
            *offset = ends[&(topic.clone(), *index)];
        }
    }
    Ok(plan)
}

/// Offsets within what there is.
fn bounded(
    cluster: &mut Cluster,
    scope: &BTreeMap<i32, Vec<Partition>>,
    mut plan: Plan,
    console: &mut Console<'_>,
) -> Result<Plan, Failure> {
    let starts = at(cluster, scope, EARLIEST)?;
    let ends = at(cluster, scope, LATEST)?;
    for (partition, offset) in &mut plan {
        let (topic, index) = partition;
        let (start, end) = (starts[partition], ends[partition]);
        if *offset > end {
            console.notice(format!(
                "[WARN] New offset ({offset}) is higher than latest offset for topic partition \
                 {topic}-{index}. Value will be set to {end}"
            ));
            *offset = end;
        } else if *offset < start {
            console.notice(format!(
                "[WARN] New offset ({offset}) is lower than earliest offset for topic partition \
                 {topic}-{index}. Value will be set to {start}"
            ));
            *offset = start;
        }
    }
    Ok(plan)
}

/// The plan of a file for one group.
fn from_file(
    cluster: &mut Cluster,
    file: &File,
    group: &str,
    is_single: bool,
    console: &mut Console<'_>,
) -> Result<Plan, Failure> {
    let named = Some(group.to_owned());
    let plan = file.get(&named);
    let Some(plan) = plan.or_else(|| file.get(&None).filter(|_| is_single)) else {
        error(&format!("No reset plan for group {group} found"), console)?;
        return Ok(Plan::new());
    };
    let mut leaders: BTreeMap<Partition, i32> = BTreeMap::new();
    for topic in admin::all_topics(cluster)? {
        for of in &topic.partitions {
            let named = (admin::name_of(&topic).to_owned(), of.partition_index);
            leaders.insert(named, of.leader_id);
        }
    }
    check_exist(&plan.keys().cloned().collect(), &leaders)?;
    let mut scope: BTreeMap<i32, Vec<Partition>> = BTreeMap::new();
    for partition in plan.keys() {
        scope
            .entry(leaders[partition])
            .or_default()
            .push(partition.clone());
    }
    bounded(cluster, &scope, plan.clone(), console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_may_name_partitions() {
        let read = |asked| topic_and_partitions(asked).expect("good");
        assert_eq!(read("a"), ("a".to_owned(), None));
        assert_eq!(read("a:0,2"), ("a".to_owned(), Some(vec![0, 2])));
        assert!(topic_and_partitions("a:x").is_err());
    }
}
