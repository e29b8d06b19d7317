//! `--delete` and `--delete-offsets`.

use std::collections::BTreeSet;

use clap::ArgMatches;
use serde_json::json;

use super::error;
use crate::cli::admin;
use crate::cli::args::texts;
use crate::cli::console::{Console, joined};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::group_admin::{self, Partition, with_class};

/// Deletes groups.
pub(super) fn groups(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let (mut deleted, mut refused) = (Vec::new(), Vec::new());
    for group in super::groups_in_kafkas_order(matches, cluster)? {
        match group_admin::delete(cluster, &group)? {
            Ok(()) => deleted.push(group),
            Err(why) => refused.push((group, why)),
        }
    }
    if console.is_json {
        let results = refused
            .iter()
            .map(|(group, why)| json!({"group": group, "error": why}));
        let deleted = deleted
            .iter()
            .map(|group| json!({"group": group, "error": null}));
        console.json(&deleted.chain(results).collect())?;
        return if refused.is_empty() {
            Ok(())
        } else {
            Err(Failure::Told)
        };
    }
    let deleted: Vec<String> = deleted.iter().map(|group| format!("'{group}'")).collect();
    if refused.is_empty() {
        return console.line(format!(
            "Deletion of requested consumer groups ({}) was successful.",
            joined(&deleted, ", ")
        ));
    }
    error("Deletion of some consumer groups failed:", console)?;
    for (group, why) in refused {
        console.line(format!(
            "* Group '{group}' could not be deleted due to: {why}"
        ))?;
    }
    if deleted.is_empty() {
        return Ok(());
    }
    let deleted = joined(&deleted, ", ");
    console.line(format!(
        "\nThese consumer groups were deleted successfully: {deleted}"
    ))
}

/// Deletes a group's offsets of topics.
pub(super) fn offsets(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let groups = texts(matches, "group");
    let [group] = groups[..] else {
        return Err(Failure::refused(
            "Found multiple arguments for option group, but you asked for only one",
        ));
    };
    let mut partitions: BTreeSet<Partition> = BTreeSet::new();
    let mut unknown = Vec::new();
    let known = admin::all_topics(cluster)?;
    for asked in texts(matches, "topic") {
        let (name, chosen) = super::reset::topic_and_partitions(asked)?;
        match (
            chosen,
            known.iter().find(|topic| admin::name_of(topic) == name),
        ) {
            (Some(chosen), _) => {
                partitions.extend(chosen.into_iter().map(|index| (name.clone(), index)));
            }
            (None, Some(topic)) => partitions.extend(
                topic
                    .partitions
                    .iter()
                    .map(|of| (name.clone(), of.partition_index)),
            ),
            (None, None) => unknown.push(name),
        }
    }
    let answer = group_admin::delete_offsets(cluster, group, &partitions)?;
    let code = answer.error_code;
    if code != 0 {
        // Refused as a whole: then so is each of the partitions.
        error(&admin::words(code, None), console)?;
        let rows = partitions.into_iter();
        let rows = rows.map(|(topic, index)| (topic, index.to_string(), code));
        return print_rows(rows, console);
    }
    let mut rows: Vec<(String, String, i16)> = Vec::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index.to_string();
            rows.push((topic.name.to_string(), index, partition.error_code));
        }
    }
    rows.sort();
    let missing = ottla_core::error::ErrorCode::UnknownTopicOrPartition.code();
    let is_refused = rows.iter().any(|(_topic, _partition, code)| *code != 0);
    let absent = unknown
        .into_iter()
        .map(|topic| (topic, "-".to_owned(), missing));
    rows.extend(absent);
    if console.is_json {
        return print_json(&rows, console);
    }
    if is_refused {
        error(
            "Encountered some partition-level error, see the follow-up details.",
            console,
        )?;
    } else {
        console.line(format!(
            "Request succeeded for deleting offsets from group {group}."
        ))?;
    }
    print_rows(rows, console)
}

/// The table of what became of the offsets of partitions.
fn print_rows(
    rows: impl IntoIterator<Item = (String, String, i16)>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    console.line(format!(
        "\n{:<15} {:<10} {:<15}",
        "TOPIC", "PARTITION", "STATUS"
    ))?;
    for (topic, partition, code) in rows {
        let status = match code {
            0 => "Successful".to_owned(),
            code => format!("Error: {}", with_class(code, None)),
        };
        console.line(format!("{topic:<15} {partition:<10} {status:<15}"))?;
    }
    Ok(())
}

/// What became of the offsets of partitions; a topic that is not there has none.
fn print_json(rows: &[(String, String, i16)], console: &mut Console<'_>) -> Result<(), Failure> {
    let shown = rows.iter().map(|(topic, partition, code)| {
        let partition: Option<i32> = partition.parse().ok();
        let error = (*code != 0).then(|| with_class(*code, None));
        json!({"topic": topic, "partition": partition, "error": error})
    });
    console.json(&shown.collect())?;
    if rows.iter().all(|(_topic, _partition, code)| *code == 0) {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}
