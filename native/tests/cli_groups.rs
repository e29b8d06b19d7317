//! Two consumers as processes share a topic, over a broker of this build.
//!
//! What members tell is read as it comes: nothing here waits for time to pass.

mod broker;

use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use broker::Broker;
use serde_json::Value;

const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

/// A member of the group, and what it tells.
struct Member {
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Member {
    fn start(broker: &Broker, strategy: &str) -> Self {
        let mut child = Command::new(OTTLA)
            .args([
                "verifiable-consumer",
                "--topic",
                "shared",
                "--group-id",
                strategy,
            ])
            .args(["--assignment-strategy", strategy, "--verbose"])
            .args(["--bootstrap-server", broker.address()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        let out = child.stdout.take().expect("it was piped");
        let told = BufReader::new(out).lines();
        Self { child, told }
    }

    /// Waits for an event that fits; panics where the member ends before.
    fn await_event(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self
                .told
                .next()
                .unwrap_or_else(|| panic!("it ended before: {what}"));
            let line = line.expect("it can be read");
            let event: Value = serde_json::from_str(&line).expect("every line is JSON");
            if fits(&event) {
                return event;
            }
        }
    }

    /// Waits until it was given this many partitions at once.
    fn await_assigned(&mut self, count: usize) {
        self.await_event(&format!("{count} partitions"), |event| {
            let partitions = event["partitions"].as_array().map_or(0, Vec::len);
            event["name"] == "partitions_assigned" && partitions == count
        });
    }

    fn terminate(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").arg(&pid).status();
        assert!(sent.expect("kill runs").success());
        self.await_event("its end", |event| event["name"] == "shutdown_complete");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Already ended is as good as killed.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn run(broker: &Broker, args: &[&str], input: &str) -> String {
    let mut child = Command::new(OTTLA)
        .args(args)
        .args(["--bootstrap-server", broker.address()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin
        .write_all(input.as_bytes())
        .expect("the tool reads or is there");
    drop(stdin);
    let output = child.wait_with_output().expect("it can be read");
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).expect("tools print UTF-8")
}

/// Two members share six partitions, one leaves, the other goes on where it ended.
fn share(strategy: &str, given_up: usize, regained: usize) {
    let broker = Broker::start(&format!("groups-{strategy}"));
    run(
        &broker,
        &[
            "topics",
            "--create",
            "--topic",
            "shared",
            "--partitions",
            "6",
        ],
        "",
    );
    let mut first = Member::start(&broker, strategy);
    first.await_assigned(6);
    let mut second = Member::start(&broker, strategy);
    let revoked = first.await_event("partitions to go", |event| {
        event["name"] == "partitions_revoked"
    });
    assert_eq!(
        revoked["partitions"].as_array().map(Vec::len),
        Some(given_up)
    );
    second.await_assigned(3);
    let lines: String = (0..30).map(|n| format!("k{n}:{n}\n")).collect();
    let produce = ["produce", "shared", "--reader-property", "parse.key=true"];
    let separator = ["--reader-property", "key.separator=:"];
    run(&broker, &[&produce[..], &separator].concat(), &lines);
    let is_commit = |event: &Value| event["name"] == "offsets_committed";
    let committed = second.await_event("a commit", is_commit);
    assert_eq!(committed["success"], true);
    second.terminate();
    first.await_assigned(regained);
    let described = run(
        &broker,
        &["consumer-groups", "--list", "--state", "Stable"],
        "",
    );
    assert!(described.contains(strategy), "{described}");
    first.terminate();
    let state = [
        "consumer-groups",
        "--describe",
        "--group",
        strategy,
        "--json",
    ];
    let state: Value = serde_json::from_str(&run(&broker, &state, "")).expect("it is JSON");
    assert_eq!(state[0]["state"], "Empty");
}

/// A topic `t` of one partition with these lines.
fn filled(name: &str, lines: &str) -> Broker {
    let broker = Broker::start(name);
    let create = ["topics", "--create", "--topic", "t", "--partitions", "1"];
    run(&broker, &create, "");
    // All in one batch, as one answer brings it.
    let batch = ["--command-property", "batch.size=900000"];
    let linger = ["--command-property", "linger.ms=500"];
    run(
        &broker,
        &[&["produce", "t"][..], &batch, &linger].concat(),
        lines,
    );
    broker
}

/// Where the group `g` is in the topic.
fn committed(broker: &Broker) -> i64 {
    let describe = ["consumer-groups", "--describe", "--group", "g", "--json"];
    let told: Value = serde_json::from_str(&run(broker, &describe, "")).expect("it is JSON");
    let offset = told[0]["offsets"][0]["currentOffset"].as_i64();
    offset.unwrap_or_else(|| panic!("no offset: {told}"))
}

fn consumer(broker: &Broker) -> Command {
    let mut command = Command::new(OTTLA);
    command
        .args(["console-consumer", "--topic", "t", "--group", "g"])
        .args(["--from-beginning", "--bootstrap-server", broker.address()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_record_that_cannot_be_printed_is_not_consumed() {
    let broker = filled("unprinted", "12345678\nbad\n12345678\n12345678\n");
    let class = "org.apache.kafka.common.serialization.LongDeserializer";
    let output = consumer(&broker)
        .args(["--value-deserializer", class])
        .output()
        .expect("the tool runs");
    assert!(!output.status.success());
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1
    );
    assert_eq!(committed(&broker), 1);
}

#[test]
fn what_nobody_reads_any_more_is_not_consumed() {
    // More than a pipe holds, and less than one fetch brings.
    const RECORDS: i64 = 400;
    let lines: String = (0..RECORDS).map(|n| format!("{n:>1000}\n")).collect();
    let broker = filled("unread", &lines);
    let mut child = consumer(&broker).spawn().expect("the tool starts");
    let out = child.stdout.take().expect("it was piped");
    assert_eq!(BufReader::new(out).lines().take(5).count(), 5);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let committed = committed(&broker);
    // A pipe has room for the first 64 records, which are flushed together, not for as many again;
    // what was being flushed when the reader went away counts as unread, be it the first.
    assert!((0..=64).contains(&committed), "{committed}");
}

#[test]
fn a_member_whose_output_nobody_reads_stays_in_its_group() {
    // More than a pipe holds and more than waits to be printed.
    const RECORDS: i64 = 1000;
    let broker = Broker::start("blocked");
    let create = ["topics", "--create", "--topic", "shared", "--partitions"];
    run(&broker, &[&create[..], &["2"]].concat(), "");
    let lines: String = (0..RECORDS).map(|n| format!("{n:>1000}\n")).collect();
    run(&broker, &["produce", "shared"], &lines);
    let mut first = Command::new(OTTLA)
        .args(["console-consumer", "--topic", "shared", "--group", "range"])
        .args(["--from-beginning", "--bootstrap-server", broker.address()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut told = BufReader::new(first.stdout.take().expect("it was piped")).lines();
    told.next().expect("it prints").expect("it can be read");
    // Nobody reads on. A member that waits for that would not join again when another comes.
    let mut second = Member::start(&broker, "range");
    let assigned = second.await_event("partitions", |event| {
        let partitions = event["partitions"].as_array().map_or(0, Vec::len);
        event["name"] == "partitions_assigned" && partitions > 0
    });
    assert_eq!(assigned["partitions"].as_array().map(Vec::len), Some(1));
    let describe = [
        "consumer-groups",
        "--describe",
        "--group",
        "range",
        "--json",
    ];
    let state: Value = serde_json::from_str(&run(&broker, &describe, "")).expect("it is JSON");
    let partitions = state[0]["offsets"].as_array().expect("it committed");
    let theirs =
        |partition: &&Value| partition["partition"] != assigned["partitions"][0]["partition"];
    let committed: Vec<i64> = partitions
        .iter()
        .filter(theirs)
        .filter_map(|partition| partition["currentOffset"].as_i64())
        .collect();
    // Two pieces of 64 records are more than went into the pipe.
    assert!(committed.iter().all(|offset| *offset <= 128), "{state}");
    second.terminate();
    drop(told);
    assert!(first.wait().expect("it ends").success());
}

#[test]
fn eager_members_give_up_all() {
    share("range", 6, 6);
}

#[test]
fn cooperative_members_give_up_what_moves() {
    share("cooperative-sticky", 3, 3);
}

/// As Kafka's tool, whose own end asks it to shut down.
#[test]
fn a_verifiable_consumer_that_has_enough_says_so_last() {
    let broker = Broker::start("enough");
    let enough = ["--topic", "enough", "--max-messages", "3"];
    run(
        &broker,
        &[&["verifiable-producer"][..], &enough].concat(),
        "",
    );
    let consumer = ["verifiable-consumer", "--group-id", "enough"];
    let told = run(&broker, &[&consumer[..], &enough].concat(), "");
    let names: Vec<String> = told
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).expect("every line is JSON");
            event["name"].as_str().expect("it has a name").to_owned()
        })
        .collect();
    assert!(
        names.ends_with(&["shutdown_complete".into(), "shutdown_requested".into()]),
        "{names:?}"
    );
}
