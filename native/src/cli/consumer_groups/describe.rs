//! `--describe`: offsets and lag, members, or state.

use std::collections::{BTreeMap, BTreeSet};

use clap::ArgMatches;
use serde_json::{Value, json};

use super::{error, groups};
use crate::cli::admin;
use crate::cli::args::given;
use crate::cli::console::{Console, joined};
use crate::cli::driver::{Cluster, address_of};
use crate::cli::failure::Failure;
use crate::cli::group_admin::{self, Committed, Described, Member, Partition};

/// ListOffsets' time for the end.
const TIME_LATEST: i64 = -1;

/// What is shown of a partition.
struct Row {
    partition: Partition,
    committed: Option<Committed>,
    end: Option<i64>,
    /// Its member, by index.
    member: Option<usize>,
}

pub(super) fn run(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let is_verbose = matches.get_flag("verbose");
    let mut described = BTreeMap::new();
    for group in groups(matches, cluster)? {
        match group_admin::describe(cluster, &group)? {
            Ok(found) => described.insert(group, found),
            Err(refused) => {
                let message = format!("Executing consumer group command failed due to {refused}");
                return error(&message, console);
            }
        };
    }
    if matches.get_flag("json") {
        print_json(cluster, &described, console)?;
        let absent = described.iter().find(|(_, found)| found.state == "Dead");
        return match absent {
            Some((group, _)) => error(
                &format!("Consumer group '{group}' does not exist."),
                console,
            ),
            None => Ok(()),
        };
    }
    for (group, found) in &described {
        if given(matches, "members") {
            notices(group, found, console)?;
            members(group, found, is_verbose, console)?;
        } else if given(matches, "state") {
            notices(group, found, console)?;
            state(cluster, group, found, is_verbose, console)?;
        } else {
            let rows = rows(cluster, group, found)?;
            notices(group, found, console)?;
            if !rows.is_empty() && found.state != "Dead" {
                offsets(group, found, &rows, is_verbose, console)?;
            }
        }
    }
    Ok(())
}

/// What Kafka's tool says of groups that are not at work.
fn notices(group: &str, found: &Described, console: &mut Console<'_>) -> Result<(), Failure> {
    match found.state.as_str() {
        "Dead" => error(
            &format!("Consumer group '{group}' does not exist."),
            console,
        ),
        "Empty" => {
            console.flush()?;
            console.notice(format!("\nConsumer group '{group}' has no active members."));
            Ok(())
        }
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            console.flush()?;
            console.notice(format!(
                "\nWarning: Consumer group '{group}' is rebalancing."
            ));
            Ok(())
        }
        _at_work => Ok(()),
    }
}

/// The partitions that members have, or that the group has offsets of.
fn rows(cluster: &mut Cluster, group: &str, found: &Described) -> Result<Vec<Row>, Failure> {
    let committed = group_admin::committed(cluster, group)?;
    let mut owners: BTreeMap<&Partition, usize> = BTreeMap::new();
    for (index, member) in found.members.iter().enumerate() {
        owners.extend(member.assigned.iter().map(|partition| (partition, index)));
    }
    let all: BTreeSet<Partition> = committed
        .keys()
        .chain(owners.keys().copied())
        .cloned()
        .collect();
    let ends = ends(cluster, &all)?;
    let rows = all.iter().map(|partition| Row {
        partition: partition.clone(),
        committed: committed.get(partition).copied(),
        end: ends.get(partition).copied(),
        member: owners.get(partition).copied(),
    });
    Ok(rows.collect())
}

/// The ends of partitions, of those that exist.
pub(super) fn ends(
    cluster: &mut Cluster,
    partitions: &BTreeSet<Partition>,
) -> Result<BTreeMap<Partition, i64>, Failure> {
    let mut leaders: BTreeMap<i32, Vec<Partition>> = BTreeMap::new();
    for topic in admin::all_topics(cluster)? {
        for of in &topic.partitions {
            let named = (admin::name_of(&topic).to_owned(), of.partition_index);
            if of.leader_id >= 0 && partitions.contains(&named) {
                leaders.entry(of.leader_id).or_default().push(named);
            }
        }
    }
    let mut ends = BTreeMap::new();
    for (leader, partitions) in leaders {
        let answers = admin::list_offsets(cluster, leader, &partitions, TIME_LATEST, 0)?;
        ends.extend(
            answers
                .into_iter()
                .filter_map(|(of, end)| Some((of, end.ok()?))),
        );
    }
    Ok(ends)
}

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The width of a column: that of its longest text, and no less than `least`.
fn width<'a>(least: usize, texts: impl Iterator<Item = &'a str>) -> usize {
    texts
        .map(|text| text.chars().count())
        .max()
        .unwrap_or(0)
        .max(least)
}

fn epoch_of(committed: Option<Committed>) -> Option<i32> {
    committed
        .map(|committed| committed.leader_epoch)
        .filter(|epoch| *epoch >= 0)
}

fn lag(row: &Row) -> Option<i64> {
    Some(row.end? - row.committed?.offset)
}

fn offsets(
    group: &str,
    found: &Described,
    rows: &[Row],
    is_verbose: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let ids = found.members.iter().map(|member| member.id.as_str());
    let hosts = found.members.iter().map(|member| member.host.as_str());
    let topics = rows.iter().map(|row| row.partition.0.as_str());
    let group_width = width(15, [group].into_iter());
    let (topic_width, id_width) = (width(15, topics), width(15, ids));
    let host_width = width(15, hosts);
    console.line("")?;
    let mut print = |cells: [&str; 10]| {
        let [
            group,
            topic,
            partition,
            epoch,
            current,
            end,
            lag,
            id,
            host,
            client,
        ] = cells;
        let epoch = if is_verbose {
            format!(" {epoch:<15}")
        } else {
            String::new()
        };
        console.line(format!(
            "{group:<group_width$} {topic:<topic_width$} {partition:<10}{epoch} {current:<15} \
             {end:<15} {lag:<15} {id:<id_width$} {host:<host_width$} {client}"
        ))
    };
    print([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "LEADER-EPOCH",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ])
    .and_then(|()| {
        rows.iter().try_for_each(|row| {
            let member = row.member.map(|member| &found.members[member]);
            let text = |of: fn(&Member) -> &str| member.map_or("-", of);
            print([
                group,
                &row.partition.0,
                &row.partition.1.to_string(),
                &shown(epoch_of(row.committed)),
                &shown(row.committed.map(|committed| committed.offset)),
                &shown(row.end),
                &shown(lag(row)),
                text(|member| &member.id),
                text(|member| &member.host),
                text(|member| &member.client_id),
            ])
        })
    })
}

fn members(
    group: &str,
    found: &Described,
    is_verbose: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut members = found.members.iter();
    let has_names = members.any(|member| member.instance_id.is_some());
    let rows = member_rows(group, found);
    // The least width of each column; the widest text of a member makes it wider.
    let least = [15, 15, 17, 15, 15, 15, 15, 20, 15, 20];
    let mut widths = least;
    for (column, width) in widths.iter_mut().enumerate() {
        let texts = rows.iter().map(|row| row[column].chars().count());
        *width = texts.max().unwrap_or(0).max(*width);
    }
    let heading = [
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "CURRENT-EPOCH",
        "CURRENT-ASSIGNMENT",
        "TARGET-EPOCH",
        "TARGET-ASSIGNMENT",
    ];
    let columns: Vec<usize> = (0..if is_verbose { 10 } else { 6 })
        .filter(|column| has_names || heading[*column] != "GROUP-INSTANCE-ID")
        .collect();
    console.line("")?;
    for row in [heading.map(str::to_owned)].iter().chain(&rows) {
        let cells = columns.iter().map(|column| {
            let width = widths[*column];
            format!("{:<width$}", row[*column])
        });
        let end = if is_verbose { "" } else { " " };
        console.line(joined(cells, " ") + end)?;
    }
    Ok(())
}

/// What is shown of each member, column by column.
fn member_rows(group: &str, found: &Described) -> Vec<[String; 10]> {
    let rows = found.members.iter().map(|member| {
        let target = member.target.as_ref();
        let epochs = found.epochs.filter(|_epochs| target.is_some());
        [
            group.to_owned(),
            member.id.clone(),
            member.instance_id.clone().unwrap_or_default(),
            member.host.clone(),
            member.client_id.clone(),
            member.assigned.len().to_string(),
            shown(member.epoch),
            assignment(&member.assigned),
            shown(epochs.map(|(_group, target)| target)),
            target.map_or_else(|| "-".to_owned(), assignment),
        ]
    });
    rows.collect()
}

/// `a:0,1;b:0`, or a dash for none.
fn assignment(partitions: &BTreeSet<Partition>) -> String {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    if topics.is_empty() {
        return "-".to_owned();
    }
    let topics = topics.iter();
    joined(
        topics.map(|(topic, indexes)| format!("{topic}:{}", joined(indexes, ","))),
        ";",
    )
}

fn state(
    cluster: &mut Cluster,
    group: &str,
    found: &Described,
    is_verbose: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let coordinator = format!("{}  ({})", address(cluster, found)?, found.coordinator);
    let strategy = Some(&found.assignor).filter(|name| !name.is_empty());
    let coordinator_width = width(25, [coordinator.as_str()].into_iter());
    let group_width = width(15, [group].into_iter());
    console.line("")?;
    let mut print = |cells: [&str; 7]| {
        let [group, coordinator, strategy, state, epoch, target, members] = cells;
        let more = if is_verbose {
            format!(" {epoch:<15} {target:<25}")
        } else {
            String::new()
        };
        console.line(format!(
            "{group:<group_width$} {coordinator:<coordinator_width$} {strategy:<20} \
             {state:<20}{more} {members}"
        ))
    };
    print([
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ])?;
    print([
        group,
        &coordinator,
        &shown(strategy),
        &found.state,
        &shown(found.epochs.map(|(group, _target)| group)),
        &shown(found.epochs.map(|(_group, target)| target)),
        &found.members.len().to_string(),
    ])
}

/// Where a group's coordinator is.
fn address(cluster: &mut Cluster, found: &Described) -> Result<String, Failure> {
    let brokers = cluster.brokers()?.brokers;
    let broker = brokers
        .iter()
        .find(|broker| broker.node_id == found.coordinator);
    Ok(broker.map_or_else(String::new, |broker| address_of(&broker.host, broker.port)))
}

fn print_json(
    cluster: &mut Cluster,
    described: &BTreeMap<String, Described>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut all = Vec::new();
    for (group, found) in described {
        let rows = rows(cluster, group, found)?;
        let offsets = rows.iter().map(|row| {
            json!({
                "topic": row.partition.0,
                "partition": row.partition.1,
                "leaderEpoch": epoch_of(row.committed),
                "currentOffset": row.committed.map(|committed| committed.offset),
                "logEndOffset": row.end,
                "lag": lag(row),
                "consumerId": row.member.map(|member| found.members[member].id.as_str()),
            })
        });
        let offsets: Vec<Value> = offsets.collect();
        let members = found.members.iter().map(|member| {
            json!({
                "consumerId": member.id,
                "groupInstanceId": member.instance_id,
                "host": member.host,
                "clientId": member.client_id,
                "partitions": partitions_json(&member.assigned),
            })
        });
        let members: Vec<Value> = members.collect();
        all.push(json!({
            "group": group,
            "state": found.state,
            "coordinator": found.coordinator,
            "assignmentStrategy": found.assignor,
            "members": members,
            "offsets": offsets,
        }));
    }
    console.json(&Value::Array(all))
}

fn partitions_json(partitions: &BTreeSet<Partition>) -> Vec<Value> {
    let partitions = partitions.iter();
    partitions
        .map(|(topic, index)| json!({"topic": topic, "partition": index}))
        .collect()
}
