//! `metadata-quorum describe`: the state of the metadata quorum.
//!
//! Source: `kafka-metadata-quorum.sh` of Apache Kafka 4.3.1. Adding and removing controllers is not
//! here yet.

use clap::{ArgMatches, Command};
use kafka_wire::describe_quorum_request::{PartitionData as AskedPartition, TopicData};
use kafka_wire::describe_quorum_response::{PartitionData, ReplicaState};
use kafka_wire::{DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_wire_core::StrBytes;
use ottla_core::ids::TopicId;
use serde_json::{Value, json};

use crate::cli::admin;
use crate::cli::args::{self, flag, option, text};
use crate::cli::console::{Console, joined};
use crate::cli::driver::{Cluster, address_of};
use crate::cli::failure::Failure;
use crate::cli::time::now_ms;

const EXAMPLES: &str = "\
Examples:
  ottla metadata-quorum describe --status
  ottla metadata-quorum --bootstrap-server localhost:9092 describe --replication --human-readable";

/// The topic of the metadata log.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// The options of this tool.
pub(crate) fn command() -> Command {
    let about = "Show the state of the metadata quorum";
    args::with_broker(args::command("metadata-quorum", about))
        .mut_arg("bootstrap-server", |arg| arg.global(true))
        .mut_arg("command-config", |arg| arg.global(true))
        .mut_arg("json", |arg| arg.global(true))
        .arg(
            option(
                "bootstrap-controller",
                "HOST:PORT,...",
                "The controller to ask instead",
            )
            .global(true),
        )
        .subcommand_required(true)
        .subcommand(
            Command::new("describe")
                .about("Show the quorum's leader and marks, or its replicas")
                .arg(flag(
                    "status",
                    "Show the leader, its epoch and how far it is",
                ))
                .arg(flag(
                    "replication",
                    "Show each replica and how far it is behind",
                ))
                .arg(flag(
                    "human-readable",
                    "Show times as ages; with --replication",
                )),
        )
        .subcommand(
            Command::new("add-controller")
                .about("Not here yet")
                .hide(true)
                .arg(flag("dry-run", "Only ask whether it could be done")),
        )
        .subcommand(
            Command::new("remove-controller")
                .about("Not here yet")
                .hide(true)
                .arg(option("controller-id", "ID", "The controller").short('i'))
                .arg(option("controller-directory-id", "ID", "Its directory").short('d'))
                .arg(flag("dry-run", "Only ask whether it could be done")),
        )
        .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some((subcommand, matches)) = matches.subcommand() else {
        return Err(Failure::usage("too few arguments"));
    };
    if subcommand != "describe" {
        return Err(Failure::refused(format!(
            "{subcommand} is not supported yet: there are no quorums of several controllers here. \
             Use Kafka's own tool for a cluster that has one."
        )));
    }
    let status = matches.get_flag("status");
    let replication = matches.get_flag("replication");
    if status == replication {
        let which = if status { "Only one" } else { "One" };
        let must = if status { "should" } else { "must" };
        return Err(Failure::refused(format!(
            "{which} of --status or --replication {must} be specified with describe sub-command"
        )));
    }
    if status && matches.get_flag("human-readable") {
        return Err(Failure::refused(
            "The option --human-readable is only supported along with --replication",
        ));
    }
    let (mut address, properties) = args::broker(matches, console)?;
    if let Some(controller) = text(matches, "bootstrap-controller") {
        controller.clone_into(&mut address);
    }
    let mut cluster = Cluster::new(&address, &properties, "ottla-metadata-quorum")?;
    let answer = describe(&mut cluster)?;
    let quorum = answer
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    let quorum =
        quorum.ok_or_else(|| Failure::refused("The broker told nothing of the quorum."))?;
    admin::check(quorum.error_code, quorum.error_message.as_ref())?;
    if matches.get_flag("json") {
        return console.json(&to_json(&answer, quorum));
    }
    if status {
        let mut request = kafka_wire::DescribeClusterRequest::default();
        request.endpoint_type = if text(matches, "bootstrap-controller").is_some() {
            2
        } else {
            1
        };
        let cluster_id = cluster.call(request)?.cluster_id;
        return print_status(&cluster_id, &answer, quorum, console);
    }
    print_replication(quorum, matches.get_flag("human-readable"), console)
}

fn describe(cluster: &mut Cluster) -> Result<DescribeQuorumResponse, Failure> {
    let mut request = DescribeQuorumRequest::default();
    let mut topic = TopicData::default();
    topic.topic_name = StrBytes::from(METADATA_TOPIC);
    topic.partitions.push(AskedPartition::default());
    request.topics.push(topic);
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    Ok(answer)
}

fn print_status(
    cluster_id: &str,
    answer: &DescribeQuorumResponse,
    quorum: &PartitionData,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let voters = &quorum.current_voters;
    let leader = voters
        .iter()
        .find(|voter| voter.replica_id == quorum.leader_id);
    let slowest = voters.iter().min_by_key(|voter| voter.log_end_offset);
    let lag = match (leader, slowest) {
        (Some(leader), Some(slowest)) => leader.log_end_offset - slowest.log_end_offset,
        _unknown => -1,
    };
    let lag_ms = match (leader, slowest) {
        (Some(leader), Some(slowest)) if slowest.replica_id != leader.replica_id => {
            if slowest.last_caught_up_timestamp < 0 {
                -1
            } else {
                leader.last_caught_up_timestamp - slowest.last_caught_up_timestamp
            }
        }
        (Some(_), Some(_)) => 0,
        _unknown => -1,
    };
    console.line(format!("ClusterId:              {cluster_id}"))?;
    console.line(format!("LeaderId:               {}", quorum.leader_id))?;
    console.line(format!("LeaderEpoch:            {}", quorum.leader_epoch))?;
    console.line(format!("HighWatermark:          {}", quorum.high_watermark))?;
    console.line(format!("MaxFollowerLag:         {lag}"))?;
    console.line(format!("MaxFollowerLagTimeMs:   {lag_ms}"))?;
    let members = |replicas: &[ReplicaState], endpoints: bool| {
        let members = replicas
            .iter()
            .map(|replica| member(answer, replica, endpoints));
        joined(members, ", ")
    };
    console.line(format!(
        "CurrentVoters:          [{}]",
        members(voters, true)
    ))?;
    console.line(format!(
        "CurrentObservers:       [{}]",
        members(&quorum.observers, false)
    ))
}

/// A member as `--status` shows it.
fn member(answer: &DescribeQuorumResponse, replica: &ReplicaState, endpoints: bool) -> String {
    let mut text = format!("{{\"id\": {}", replica.replica_id);
    let directory = TopicId::from(replica.replica_directory_id);
    if !directory.is_zero() {
        text.push_str(&format!(", \"directoryId\": \"{directory}\""));
    }
    let node = answer
        .nodes
        .iter()
        .find(|node| node.node_id == replica.replica_id);
    if let Some(node) = node.filter(|node| endpoints && !node.listeners.is_empty()) {
        let listeners = node.listeners.iter().map(|listener| {
            let address = address_of(&listener.host, i32::from(listener.port));
            format!("\"{}://{address}\"", listener.name)
        });
        text.push_str(&format!(", \"endpoints\": [{}]", joined(listeners, ", ")));
    }
    text.push('}');
    text
}

fn print_replication(
    quorum: &PartitionData,
    human_readable: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let header = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    let voters = &quorum.current_voters;
    let leader = voters
        .iter()
        .find(|voter| voter.replica_id == quorum.leader_id);
    let end = leader.map_or(quorum.high_watermark, |leader| leader.log_end_offset);
    let now_ms = now_ms();
    let time = |at_ms: i64| match (human_readable, at_ms) {
        (true, -1) => "unknown".to_owned(),
        (true, at_ms) => format!("{} ms ago", now_ms.saturating_sub(at_ms)),
        (false, at_ms) => at_ms.to_string(),
    };
    let mut row = |replica: &ReplicaState, status: &str| {
        rows.push([
            replica.replica_id.to_string(),
            TopicId::from(replica.replica_directory_id).to_string(),
            replica.log_end_offset.to_string(),
            (end - replica.log_end_offset).to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]);
    };
    if let Some(leader) = leader {
        row(leader, "Leader");
    }
    for voter in voters
        .iter()
        .filter(|voter| voter.replica_id != quorum.leader_id)
    {
        row(voter, "Follower");
    }
    for observer in &quorum.observers {
        row(observer, "Observer");
    }
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            line.push_str(&format!("{cell:<width$}\t"));
        }
        console.line(line)?;
    }
    Ok(())
}

fn to_json(answer: &DescribeQuorumResponse, quorum: &PartitionData) -> Value {
    let replicas = |replicas: &[ReplicaState]| -> Vec<Value> {
        let shown = replicas.iter().map(|replica| {
            json!({
                "id": replica.replica_id,
                "directoryId": TopicId::from(replica.replica_directory_id).to_string(),
                "logEndOffset": replica.log_end_offset,
                "lastFetchTimestamp": replica.last_fetch_timestamp,
                "lastCaughtUpTimestamp": replica.last_caught_up_timestamp,
            })
        });
        shown.collect()
    };
    let nodes = answer.nodes.iter().map(|node| {
        let listeners = node.listeners.iter().map(|listener| {
            let address = address_of(&listener.host, i32::from(listener.port));
            format!("{}://{address}", listener.name)
        });
        json!({"id": node.node_id, "endpoints": listeners.collect::<Vec<String>>()})
    });
    json!({
        "leaderId": quorum.leader_id,
        "leaderEpoch": quorum.leader_epoch,
        "highWatermark": quorum.high_watermark,
        "voters": replicas(&quorum.current_voters),
        "observers": replicas(&quorum.observers),
        "nodes": nodes.collect::<Vec<Value>>(),
    })
}
