//! Consumer groups of every client: the scenarios of [`crate::groups`] against one broker.
//!
//! Here the members get their interpreters; what a client knows of groups is listed beside its
//! command.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::clients::{binary, empty_folder, end, failure};
use super::command::quiet;
use super::go::{FRANZ, KAFKA_GO, KAFKA_GO_OLD, LIBRDKAFKA_1, Program, SARAMA_2_1, SARAMA_2_8};
use super::lanes::{self, show};
use super::{Tally, Workshop, results, setup};
use crate::broker::Broker;
use crate::groups::clients::Feature::{self, Commit, CommitAsync, Pattern, Pause, Seek, Static};
use crate::groups::{Client, Stage, mixed, restart, scenarios};

/// Scenarios wait more than they work: clients are tried side by side.
const CLIENTS_AT_ONCE: usize = 4;

/// Settings of the broker: sessions may be short, and nobody waits for more members.
pub(super) const SETTINGS: &[&str] = &[
    "num.partitions=4",
    "offsets.topic.num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
    "group.min.session.timeout.ms=500",
];

const EVERYTHING: &[Feature] = &[Commit, CommitAsync, Pause, Pattern, Seek, Static];

/// Every client's groups against one broker, which ends and comes again at the end.
///
/// # Errors
///
/// The broker did not start, did not stop, or complained.
pub fn groups(workshop: &Workshop) -> Result<Tally, String> {
    let folder = empty_folder(workshop, "groups")?;
    let binary = binary(workshop)?;
    let port = lasting_port()?;
    let broker = Broker::start_at(port, &binary, &folder, SETTINGS)?;
    let address = broker.address();
    let mut running = Some(broker);
    let (counted, restarted) = {
        let again = || {
            // As a crash does: what was acknowledged is there again.
            running.take().map_or(Ok(()), Broker::crash)?;
            running = Some(Broker::start_at(port, &binary, &folder, SETTINGS)?);
            Ok(())
        };
        groups_against(workshop, &address, Some(again))
    };
    let mut tally = Tally::default();
    for (name, of_client) in counted {
        results::note(workshop, name, "groups", &of_client)?;
        tally.add(of_client);
    }
    match running {
        Some(broker) => end(broker, &mut tally)?,
        None => return Err("the broker did not come again".to_owned()),
    }
    restarted.map(|()| tally)
}

/// A free port that no client gets for its own end of a connection.
///
/// One that asks again and again for a broker that is away could otherwise connect to itself, and
/// keep the port.
fn lasting_port() -> Result<u16, String> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    (first..first + 2_000)
        .find(is_free)
        .ok_or_else(|| "no port is free".to_owned())
}

/// The same against a broker that runs already; `again`, where it is given, starts it anew.
///
/// What came of each client, and whether the broker came again.
pub fn groups_against(
    workshop: &Workshop,
    address: &str,
    again: Option<impl FnOnce() -> Result<(), String>>,
) -> (Counted, Result<(), String>) {
    let mut counted = Counted::new();
    let mut clients = Vec::new();
    for client in all(workshop) {
        match client {
            Ok(client) => clients.push(client),
            Err(problem) => count(&mut counted, "not installed", failure(problem)),
        }
    }
    if let Some(only) = std::env::var_os("OTTLA_CLIENT") {
        clients.retain(|client| *client.name == *only);
    }
    let run = format!("run{}", seconds());
    let stage = Stage {
        broker: address,
        run: &run,
    };
    let counted = Mutex::new(counted);
    every_client(stage, &clients, &counted);
    let mut counted = counted.into_inner().expect("nobody panics holding it");
    let able: Vec<&Client> = clients
        .iter()
        .filter(|client| is_able_to_mix(client))
        .collect();
    let tally = verdict(MIXED, "group_mixed", mixed(stage, &able));
    count(&mut counted, MIXED, tally);
    let outcome = match again.map(|again| restart(stage, &clients, again)) {
        None => Ok(()),
        Some(Err(problem)) => Err(problem),
        Some(Ok(results)) => {
            for (client, result) in clients.iter().zip(results) {
                let tally = verdict(client.name, "group_broker_restart", result);
                count(&mut counted, client.name, tally);
            }
            Ok(())
        }
    };
    (counted, outcome)
}

/// What came of each client's scenarios.
type Counted = BTreeMap<&'static str, Tally>;

/// The name for members of every client in one group.
const MIXED: &str = "all of them in one group";

fn count(counted: &mut Counted, client: &'static str, tally: Tally) {
    counted.entry(client).or_default().add(tally);
}

/// Whether a client commits when told to and has the assignor that most have.
fn is_able_to_mix(client: &Client) -> bool {
    client.has(Commit) && client.assignors.contains(&"range")
}

/// Each client's scenarios in order, a few clients side by side.
fn every_client(stage: Stage<'_>, clients: &[Client], counted: &Mutex<Counted>) {
    let waiting = Mutex::new(clients.iter().enumerate());
    let label = lanes::label();
    thread::scope(|scope| {
        for _ in 0..CLIENTS_AT_ONCE {
            scope.spawn(|| {
                lanes::set_label(label);
                let next = || waiting.lock().expect("nobody panics holding it").next();
                while let Some((number, client)) = next() {
                    let run = format!("{}-{number}", stage.run);
                    let stage = Stage { run: &run, ..stage };
                    for (name, play) in scenarios(client) {
                        let tally = verdict(client.name, &name, play(stage));
                        let mut counted = counted.lock().expect("nobody panics holding it");
                        count(&mut counted, client.name, tally);
                    }
                }
            });
        }
    });
}

/// Prints what came of a check, and counts it.
fn verdict(client: &str, check: &str, outcome: Result<(), String>) -> Tally {
    match outcome {
        Ok(()) => {
            show(format_args!("PASS {client}: {check}"));
            Tally::counted(1, 0)
        }
        Err(problem) => {
            show(format_args!("FAIL {client}: {check} {problem}"));
            failure(format!("{client}: {check} {problem}"))
        }
    }
}

/// The clients, or why one of them cannot be had.
fn all(workshop: &Workshop) -> Vec<Result<Client, String>> {
    let mut clients = pythons(workshop);
    clients.extend([
        kafkajs(workshop),
        java(workshop),
        go(workshop, SARAMA_2_1, SARAMA_ASSIGNORS, &[Commit, Pause]),
        go(
            workshop,
            SARAMA_2_8,
            SARAMA_ASSIGNORS,
            &[Commit, Pause, Static],
        ),
        go(workshop, FRANZ, FRANZ_ASSIGNORS, EVERYTHING),
        go(workshop, KAFKA_GO, &["range", "roundrobin"], &[Commit]),
        go(workshop, KAFKA_GO_OLD, &["range", "roundrobin"], &[Commit]),
        go(
            workshop,
            LIBRDKAFKA_1,
            &["range", "roundrobin", "cooperative-sticky"],
            &[Commit, Pause, Pattern, Seek, Static],
        ),
    ]);
    clients
}

/// Those whose programs are in Python.
fn pythons(workshop: &Workshop) -> Vec<Result<Client, String>> {
    let member = |file: &str| workshop.tests("clients/members").join(file);
    let python = |name, environment: &str, file: &str, assignors, features| {
        let interpreter = setup::python(workshop, environment)?;
        Ok(Client {
            name,
            command: words([interpreter, member(file)]),
            environment: vec![("PYTHONDONTWRITEBYTECODE", "1".into())],
            assignors,
            features,
            more: &[],
        })
    };
    let without_static = &EVERYTHING[..5];
    vec![
        python(
            "kafka-python 2.0.2",
            "old",
            "kafka_python.py",
            // Its sticky assignor ends with a TypeError in any Python 3.
            &["range", "roundrobin"],
            without_static,
        ),
        python(
            "kafka-python 2.3.3",
            "groups",
            "kafka_python.py",
            &["range", "roundrobin", "sticky"],
            // Now and then it joins no more when its pattern finds a new topic, seen with Ottla;
            // 3.0.12 does so with Kafka too.
            &[Commit, CommitAsync, Pause, Seek, Static],
        ),
        python(
            "confluent-kafka 2.16.1",
            "new",
            "confluent.py",
            &["range", "roundrobin", "cooperative-sticky"],
            EVERYTHING,
        ),
        python(
            "aiokafka 0.14.0",
            "new",
            "aio.py",
            &["range", "roundrobin", "sticky"],
            EVERYTHING,
        ),
        setup::kcat(workshop).and_then(|()| {
            python(
                "kcat 1.7.1",
                "new",
                "kcat.py",
                &["range", "roundrobin", "cooperative-sticky"],
                &[Pattern],
            )
        }),
    ]
}

const SARAMA_ASSIGNORS: &[&str] = &["range", "roundrobin", "sticky"];
const FRANZ_ASSIGNORS: &[&str] = &["range", "roundrobin", "sticky", "cooperative-sticky"];

fn go(
    workshop: &Workshop,
    program: Program,
    assignors: &'static [&'static str],
    features: &'static [Feature],
) -> Result<Client, String> {
    let mut command = words([program.build(workshop)?]);
    command.push("member".into());
    Ok(Client {
        name: program.name,
        command,
        more: program.more,
        environment: Vec::new(),
        assignors,
        features,
    })
}

fn words<const N: usize>(paths: [PathBuf; N]) -> Vec<OsString> {
    paths.into_iter().map(PathBuf::into_os_string).collect()
}

fn kafkajs(workshop: &Workshop) -> Result<Client, String> {
    let modules = setup::node_modules(workshop)?;
    let script = workshop.tests("clients/members/kafkajs.js");
    Ok(Client {
        name: "KafkaJS 2.2.4",
        command: words(["node".into(), script]),
        more: &[],
        environment: vec![("NODE_PATH", modules.into_os_string())],
        assignors: &["roundrobin", "range"],
        features: &[Commit, Pause, Seek],
    })
}

fn java(workshop: &Workshop) -> Result<Client, String> {
    let source = workshop.tests("clients/members/Member.java");
    let class_path = setup::java_classes(workshop, &source)?;
    let mut command: Vec<OsString> = super::clients::JAVA.iter().map(OsString::from).collect();
    command.insert(0, "java".into());
    command.extend(["-cp".into(), class_path, "Member".into()]);
    Ok(Client {
        name: "kafka-clients 4.3.1",
        command,
        more: &[],
        environment: Vec::new(),
        assignors: &["range", "roundrobin", "sticky", "cooperative-sticky"],
        features: EVERYTHING,
    })
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs()
}

/// Groups against a broker that somebody else started; the command starts it anew.
pub fn groups_of(workshop: &Workshop, address: &str, again: Option<&str>) -> Result<Tally, String> {
    let again = again.map(|program| move || quiet(&mut Command::new(program)).map(drop));
    let (counted, restarted) = groups_against(workshop, address, again);
    let mut tally = Tally::default();
    counted
        .into_values()
        .for_each(|of_client| tally.add(of_client));
    restarted.map(|()| tally)
}
