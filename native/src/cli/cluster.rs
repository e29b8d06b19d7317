//! `cluster`: the cluster's id and endpoints, and taking a dead broker out of it.
//!
//! Source: `kafka-cluster.sh` of Apache Kafka 4.3.1.

use clap::{ArgMatches, Command};
use kafka_wire::describe_cluster_response::DescribeClusterBroker;
use kafka_wire::{DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest};
use serde_json::json;

use crate::cli::admin;
use crate::cli::args::{self, flag, given, number, option, text};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::properties::{self, Properties};

const EXAMPLES: &str = "\
Examples:
  ottla cluster cluster-id
  ottla cluster list-endpoints
  ottla cluster list-endpoints --bootstrap-controller localhost:9093
  ottla cluster unregister --id 3";

/// `EndpointType` numbers on the wire (KIP-919).
const ENDPOINT_BROKER: i8 = 1;
const ENDPOINT_CONTROLLER: i8 = 2;

/// The options of this tool.
pub(crate) fn command() -> Command {
    let subcommand = |name: &'static str, about: &'static str| {
        args::command(name, about)
            .mut_arg("version", |arg| arg.hide(true))
            .arg(
                option(
                    "bootstrap-server",
                    "HOST:PORT,...",
                    "The broker to ask; localhost:9092 \
                     when left out",
                )
                .short('b'),
            )
            .arg(
                option(
                    "bootstrap-controller",
                    "HOST:PORT,...",
                    "The controller to ask instead",
                )
                .short('C')
                .conflicts_with("bootstrap-server"),
            )
            .arg(option("command-config", "FILE", "Properties of the client").short('c'))
            .arg(option("config", "FILE", "As --command-config").hide(true))
            .arg(flag("json", "Print the result as JSON, for programs"))
    };
    args::command(
        "cluster",
        "Show the cluster's id and endpoints; unregister a broker",
    )
    .subcommand_required(true)
    .subcommand(subcommand("cluster-id", "Print the cluster's id"))
    .subcommand(
        subcommand(
            "unregister",
            "Take a broker that will not come back out of the cluster",
        )
        .arg(option("id", "ID", "The broker's id").short('i')),
    )
    .subcommand(
        subcommand("list-endpoints", "List brokers or controllers").arg(flag(
            "include-fenced-brokers",
            "Also those that are registered but not serving",
        )),
    )
    .after_help(EXAMPLES)
}

/// Runs the tool.
pub(crate) fn run(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some((subcommand, matches)) = matches.subcommand() else {
        return Err(Failure::usage("too few arguments"));
    };
    let (mut cluster, controllers) = connect(matches, console)?;
    match subcommand {
        "cluster-id" => {
            let endpoint_type = if controllers {
                ENDPOINT_CONTROLLER
            } else {
                ENDPOINT_BROKER
            };
            let id = describe(&mut cluster, endpoint_type, false)?.cluster_id;
            if matches.get_flag("json") {
                return console.json(&json!({"clusterId": id.as_str()}));
            }
            console.line(format!("Cluster ID: {id}"))
        }
        "unregister" => unregister(matches, &mut cluster, console),
        _list_endpoints => list_endpoints(matches, &mut cluster, controllers, console),
    }
}

/// The cluster to ask, and whether through its controllers.
fn connect(matches: &ArgMatches, console: &mut Console<'_>) -> Result<(Cluster, bool), Failure> {
    if given(matches, "config") {
        console.line(
            "Option --config has been deprecated and will be removed in a future version. Use \
             --command-config instead.",
        )?;
    }
    let properties = match text(matches, "command-config").or(text(matches, "config")) {
        Some(path) => properties::read_file(path)?,
        None => Properties::new(),
    };
    let controller = text(matches, "bootstrap-controller");
    let address = controller
        .or(text(matches, "bootstrap-server"))
        .unwrap_or(args::BOOTSTRAP_SERVER_DEFAULT);
    let cluster = Cluster::new(address, &properties, "ottla-cluster")?;
    Ok((cluster, controller.is_some()))
}

fn describe(
    cluster: &mut Cluster,
    endpoint_type: i8,
    include_fenced: bool,
) -> Result<DescribeClusterResponse, Failure> {
    let mut request = DescribeClusterRequest::default();
    let version = cluster
        .any()?
        .version_of::<DescribeClusterRequest>()
        .unwrap_or(0);
    if endpoint_type != ENDPOINT_BROKER && version < 1 || include_fenced && version < 2 {
        return Err(Failure::refused("The broker is too old to be asked this."));
    }
    request.endpoint_type = endpoint_type;
    request.include_fenced_brokers = include_fenced;
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    Ok(answer)
}

fn unregister(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Some(id) = number::<i32>(matches, "id")? else {
        return Err(Failure::usage("argument --id/-i is required"));
    };
    let mut request = UnregisterBrokerRequest::default();
    request.broker_id = id;
    let answer = cluster.call(request)?;
    admin::check(answer.error_code, answer.error_message.as_ref())?;
    if console.is_json {
        return console.json(&json!({"unregistered": id}));
    }
    console.line(format!("Broker {id} is no longer registered."))
}

fn list_endpoints(
    matches: &ArgMatches,
    cluster: &mut Cluster,
    controllers: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let include_fenced = matches.get_flag("include-fenced-brokers");
    if controllers && include_fenced {
        return Err(Failure::refused(
            "The option --include-fenced-brokers is only supported with --bootstrap-server option",
        ));
    }
    let endpoint_type = if controllers {
        ENDPOINT_CONTROLLER
    } else {
        ENDPOINT_BROKER
    };
    let mut nodes = describe(cluster, endpoint_type, include_fenced)?.brokers;
    nodes.sort_by_key(|node| node.broker_id);
    if matches.get_flag("json") {
        let shown = nodes.iter().map(|node| {
            json!({
                "id": node.broker_id,
                "host": node.host.as_str(),
                "port": node.port,
                "rack": node.rack.as_ref().map(|rack| rack.as_str()),
                "state": state(node),
                "endpointType": if controllers { "controller" } else { "broker" },
            })
        });
        return console.json(&shown.collect());
    }
    print_endpoints(&nodes, controllers, console)
}

/// Prints nodes in Kafka's columns: the host's and the rack's as wide as the longest.
fn print_endpoints(
    nodes: &[DescribeClusterBroker],
    controllers: bool,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let rack_of = |node: &DescribeClusterBroker| match &node.rack {
        Some(rack) => rack.to_string(),
        None => "null".to_owned(),
    };
    let host_width = nodes
        .iter()
        .map(|node| node.host.len())
        .max()
        .unwrap_or(0)
        .max(4);
    let rack_width = nodes
        .iter()
        .map(|node| rack_of(node).len())
        .max()
        .unwrap_or(0)
        .max(10);
    let row = |[id, host, port, rack, state, kind]: [&str; 6]| {
        let state = if controllers {
            String::new()
        } else {
            format!("{state:<10} ")
        };
        format!("{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state}{kind:<15}")
    };
    let kind = if controllers { "controller" } else { "broker" };
    console.line(row([
        "ID",
        "HOST",
        "PORT",
        "RACK",
        "STATE",
        "ENDPOINT_TYPE",
    ]))?;
    for node in nodes {
        let (id, port) = (node.broker_id.to_string(), node.port.to_string());
        console.line(row([
            &id,
            &node.host,
            &port,
            &rack_of(node),
            state(node),
            kind,
        ]))?;
    }
    Ok(())
}

fn state(node: &DescribeClusterBroker) -> &'static str {
    if node.is_fenced { "fenced" } else { "unfenced" }
}
