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

#[test]
fn eager_members_give_up_all() {
    share("range", 6, 6);
}

#[test]
fn cooperative_members_give_up_what_moves() {
    share("cooperative-sticky", 3, 3);
}
