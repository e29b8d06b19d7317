//! What Ottla's tools do beyond Kafka's: short forms, JSON, a followed tail, links, quiet ends.

mod broker;
mod tool;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use broker::Broker;
use tool::{Ending, folder, ottla, run, said};

#[test]
fn short_forms_send_and_show() {
    let broker = Broker::start("short");
    let at = ["--bootstrap-server", broker.address()];
    let tool = |args: &[&str], input: &str| said(&[args, &at].concat(), input);
    tool(
        &["topics", "--create", "--topic", "t", "--partitions", "1"],
        "",
    );
    let places = tool(&["produce", "t", "-K", ":", "--json"], "k:v\nk2:\n");
    assert_eq!(
        places,
        "{\"offset\":0,\"partition\":0,\"topic\":\"t\"}\n\
         {\"offset\":1,\"partition\":0,\"topic\":\"t\"}\n"
    );
    // Ends at the end by itself.
    assert_eq!(tool(&["consume", "t"], ""), "v\n\n");
    assert_eq!(tool(&["consume", "t", "-n", "1"], ""), "\n");
    let json = tool(&["consume", "t", "--json", "--max-messages", "1"], "");
    assert!(
        json.contains("\"key\":\"k\"") && json.contains("\"value\":\"v\""),
        "{json}"
    );
    assert_eq!(tool(&["topics", "--list", "--json"], ""), "[\"t\"]\n");
    let described = tool(&["topics", "--describe", "--json"], "");
    assert!(described.contains("\"partitionCount\":1"), "{described}");
    let offsets = tool(&["get-offsets", "--topic", "t", "--json"], "");
    assert_eq!(
        offsets,
        "[{\"offset\":2,\"partition\":0,\"topic\":\"t\"}]\n"
    );
    let configs = tool(
        &["configs", "--describe", "--topic", "t", "--all", "--json"],
        "",
    );
    assert!(configs.contains("\"name\":\"retention.ms\""), "{configs}");
    for args in [
        &["cluster", "cluster-id", "--json"][..],
        &["cluster", "list-endpoints", "--json"],
        &["broker-api-versions", "--json"],
        &["log-dirs", "--describe", "--json"],
        &["metadata-quorum", "describe", "--status", "--json"],
    ] {
        let json = tool(args, "");
        assert!(json.starts_with(['{', '[']), "{args:?}: {json}");
        assert_eq!(json.lines().count(), 1, "{args:?}: {json}");
    }
}

#[test]
fn a_topic_is_followed_with_all_about_its_records() {
    let broker = Broker::start("follow");
    let at = ["--bootstrap-server", broker.address()];
    let lines: String = (0..15).map(|i| format!("k{i}:v{i}\n")).collect();
    said(
        &[
            &["topics", "--create", "--topic", "t", "--partitions", "1"][..],
            &at,
        ]
        .concat(),
        "",
    );
    said(&[&["produce", "t", "-K", ":"][..], &at].concat(), &lines);
    let mut following = ottla(&[&["consume", "t", "-f"][..], &at].concat())
        .spawn()
        .map(Ending)
        .expect("the tool starts");
    let output = following.0.stdout.take().expect("it was piped");
    let mut shown = BufReader::new(output).lines().map_while(Result::ok);
    // The last ten that were there, then what comes.
    for i in 5..15 {
        let line = shown.next().expect("it goes on");
        assert!(line.ends_with(&format!("t-0@{i} k{i} v{i}")), "{line}");
        assert!(!line.contains('\x1b'), "colour is for terminals: {line}");
    }
    said(&[&["produce", "t"][..], &at].concat(), "later\n");
    let line = shown.next().expect("it goes on");
    assert!(line.ends_with("t-0@15 later"), "{line}");
}

#[test]
fn keys_go_where_kafkas_producer_sends_them() {
    // As Kafka 4.3.1's console producer placed key1 to key20 in four partitions.
    const PLACED: [&[u32]; 4] = [
        &[1, 6, 10, 14, 18, 19, 20],
        &[3, 4, 13, 16],
        &[11, 15, 17],
        &[2, 5, 7, 8, 9, 12],
    ];
    let broker = Broker::start("keys");
    let at = ["--bootstrap-server", broker.address()];
    said(
        &[
            &["topics", "--create", "--topic", "t", "--partitions", "4"][..],
            &at,
        ]
        .concat(),
        "",
    );
    let lines: String = (1..=20).map(|i| format!("key{i}:v\n")).collect();
    said(&[&["produce", "t", "-K", ":"][..], &at].concat(), &lines);
    for (partition, keys) in PLACED.iter().enumerate() {
        let partition = partition.to_string();
        let only = ["consume", "t", "--partition", &partition];
        let print = ["--formatter-property", "print.key=true"];
        let shown = said(&[&only[..], &print, &at].concat(), "");
        let expected: String = keys.iter().map(|key| format!("key{key}\tv\n")).collect();
        assert_eq!(shown, expected, "partition {partition}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let broker = Broker::start("pipe");
    let at = ["--bootstrap-server", broker.address()];
    let lines: String = (0..50_000).map(|i| format!("line {i}\n")).collect();
    said(&[&["produce", "t"][..], &at].concat(), &lines);
    let mut consuming = ottla(&[&["consume", "t"][..], &at].concat())
        .spawn()
        .expect("the tool starts");
    let mut first = [0u8; 4];
    let mut output = consuming.stdout.take().expect("it was piped");
    output.read_exact(&mut first).expect("it prints");
    drop(output);
    let ended = consuming.wait_with_output().expect("it ends");
    assert!(ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}

#[test]
fn scripts_are_found_by_their_names_and_zookeeper_is_explained() {
    let broker = Broker::start("links");
    let folder = folder("links");
    said(&["links", &folder.display().to_string()], "");
    let mut script = Command::new(folder.join("kafka-topics.sh"));
    script.args([
        "--create",
        "--zookeeper",
        "localhost:2181",
        "--replication-factor",
        "1",
    ]);
    script.args(["--partitions", "1", "--topic", "test"]);
    script.args(["--bootstrap-server", broker.address()]);
    script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = run(&mut script, "");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "Created topic test.\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!(
            "There is no ZooKeeper any more, so --zookeeper is not used: this talks to the broker \
             at {}.\n",
            broker.address()
        )
    );
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

#[test]
fn failures_say_what_to_do_and_end_with_1() {
    let check = |args: &[&str], words: &str| {
        let output = run(&mut ottla(args), "");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    };
    // Nobody listens on the reserved port.
    let nobody = ["--bootstrap-server", "127.0.0.1:1"];
    let reach = "Cannot reach a broker at 127.0.0.1:1";
    check(&[&["topics", "--list"][..], &nobody].concat(), reach);
    check(&[&["produce", "t"][..], &nobody].concat(), reach);
    check(&[&["consume", "t"][..], &nobody].concat(), reach);
    check(
        &[&["consume", "t", "--group", "g"][..], &nobody].concat(),
        reach,
    );
    check(
        &["topics", "--list", "--bootstrap-server", "nonsense"],
        "Invalid url",
    );
    check(&["nosuch"], "`ottla help` lists them");
    check(
        &["consume", "t", "--group", "g", "--partition", "0"],
        "Options group and partition cannot be specified together.",
    );
    check(
        &["dump-log", "--files", "00000000000000000000.log"],
        "Cannot read",
    );
    let broker = Broker::start("failures");
    let at = ["--bootstrap-server", broker.address()];
    check(
        &[&["consume", "nosuch"][..], &at].concat(),
        "`ottla topics --list` shows those that do",
    );
    let bad = run(
        &mut ottla(&[&["produce", "bad name"][..], &at].concat()),
        "x\n",
    );
    assert_eq!(bad.status.code(), Some(1));
}

#[test]
fn a_server_that_is_no_broker_is_named() {
    let answers: [(&[u8], &str); 4] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "does not answer as a Kafka broker does",
        ),
        (
            &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            "does not answer as a Kafka broker does",
        ),
        (
            &[0, 0, 0, 6, 0, 0, 0, 9, 0, 0],
            "does not answer as a Kafka broker does",
        ),
        (&[], "Is it the port of a Kafka listener"),
    ];
    for (bytes, words) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the tool connects");
            let mut asked = [0u8; 64];
            let _length = stream.read(&mut asked).expect("the tool asks");
            // The tool may have gone by the last byte.
            let _gone = stream.write_all(bytes);
        });
        let args = ["topics", "--list", "--bootstrap-server", &address];
        let output = run(&mut ottla(&args), "");
        server.join().expect("the server ends");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(words), "{bytes:?}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn every_tool_helps_with_examples() {
    let overview = said(&["help"], "");
    let commands = overview
        .split_once("Commands:\n")
        .expect("there are commands")
        .1;
    let commands = commands.split_once("\n\n").expect("then examples").0;
    let others = ["serve", "links", "completions", "help", "version"];
    let mut tools = 0;
    for line in commands.lines() {
        let names = line
            .trim_start()
            .split("  ")
            .next()
            .expect("a line has a name");
        for name in names.split(", ") {
            if others.contains(&name.split(' ').next().expect("a name")) {
                continue;
            }
            let help = said(&[name, "--help"], "");
            assert!(help.contains("Example"), "{name}: {help}");
            assert!(said(&[name, "--version"], "").starts_with("4.3.1 (Ottla "));
            tools += 1;
        }
    }
    assert!(tools > 20, "{commands}");
    assert!(overview.contains("console-producer, produce"));
}

#[test]
fn slips_and_absent_scripts_are_explained() {
    let check = |args: &[&str], words: &str| {
        let output = run(&mut ottla(args), "");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains(words), "{args:?}: {error}");
    };
    check(&["topic"], "Did you mean 'topics'?");
    check(&["tpoics", "--list"], "Did you mean 'topics'?");
    check(&["kafka-topics.sh"], "Did you mean 'topics'?");
    check(&["acls", "--list"], "There are no access control lists yet");
    check(&["kafka-server-stop.sh"], "SIGTERM");
    check(&["topics", "--lst"], "Did you mean --list?");
    check(
        &["producer-perf-test", "--topc", "t"],
        "Did you mean --topic?",
    );
    check(
        &["features", "bogus"],
        "invalid choice: 'bogus' (choose from 'describe'",
    );
    check(
        &["metadata-quorum", "add-controller"],
        "is not supported yet",
    );
}

#[test]
fn bash_completes_tools_and_options() {
    let folder = folder("completions");
    let script = folder.join("ottla.bash");
    std::fs::write(&script, said(&["completions", "bash"], "")).expect("the folder is ours");
    let complete = |program: &str, function: &str, words: &str, current: usize| {
        let commands = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={current}; \
             {function} {program} \"${{COMP_WORDS[{current}]}}\" \"\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &commands])
            .output()
            .expect("bash is there");
        String::from_utf8(output.stdout).expect("it is text")
    };
    assert_eq!(complete("ottla", "_ottla", "ottla top", 1), "topics\n");
    assert_eq!(
        complete("ottla", "_ottla", "ottla topics --under-rep", 2),
        "--under-replicated-partitions\n"
    );
    let script_words = "/opt/kafka/bin/kafka-topics.sh --replication";
    let completed = complete("kafka-topics.sh", "_ottla_script", script_words, 1);
    assert_eq!(completed, "--replication-factor\n");
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

#[test]
fn a_verifiable_producer_ends_in_order_when_it_is_told_to() {
    let broker = Broker::start("verifiable");
    let mut producing = ottla(&[
        "verifiable-producer",
        "--bootstrap-server",
        broker.address(),
        "--topic",
        "t",
        "--throughput",
        "50",
    ])
    .spawn()
    .map(Ending)
    .expect("the tool starts");
    let output = producing.0.stdout.take().expect("it was piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    for _acknowledged in 0..3 {
        lines.next().expect("it goes on");
    }
    let ended = Command::new("kill")
        .args(["-TERM", &producing.0.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(ended.success());
    let rest: Vec<String> = lines.collect();
    let last = rest.last().expect("it says what it did");
    assert!(last.contains("\"name\":\"tool_data\""), "{last}");
    assert!(
        rest[rest.len() - 2].contains("shutdown_complete"),
        "{rest:?}"
    );
    let status = producing.0.wait().expect("it ends");
    assert!(status.success());
}

#[test]
fn records_are_timed_from_end_to_end() {
    let broker = Broker::start("latency");
    let at = ["--bootstrap-server", broker.address(), "--topic", "t"];
    let plan = [
        "--num-records",
        "20",
        "--producer-acks",
        "all",
        "--record-size",
        "9",
    ];
    let text = said(&[&["e2e-latency"][..], &at, &plan].concat(), "");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("Topic \"t\" does not exist."),
        "{text}"
    );
    assert!(lines[1].starts_with("0\t"), "{text}");
    assert!(lines[2].starts_with("Avg latency: "), "{text}");
    assert!(lines[3].starts_with("Percentiles: 50th = "), "{text}");
    let positions = ["e2e-latency", broker.address(), "t", "3", "1", "9"];
    assert!(said(&positions, "").starts_with("WARNING: Positional argument usage"));
    let json = said(&[&["e2e-latency", "--json"][..], &at, &plan].concat(), "");
    assert!(json.contains("\"records\":20"), "{json}");
}

#[test]
fn replicas_are_compared_until_the_tool_is_ended() {
    let broker = Broker::start("replicas");
    said(
        &["produce", "t", "--bootstrap-server", broker.address()],
        "a\nb\n",
    );
    let mut comparing = ottla(&[
        "replica-verification",
        "--broker-list",
        broker.address(),
        "--time",
        "-2",
        "--report-interval-ms",
        "1",
        "--max-wait-ms",
        "10",
        "--topics-include",
        "t",
    ])
    .spawn()
    .map(Ending)
    .expect("the tool starts");
    let output = comparing.0.stdout.take().expect("it was piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let first = lines.next().expect("it says that it begins");
    assert!(
        first.ends_with(": verification process is started"),
        "{first}"
    );
    let compared = lines.find(|line| line.contains("max lag is 0 for partition t-"));
    assert!(compared.is_some(), "it reaches the end");
}

#[test]
fn what_is_wrong_with_a_topic_is_told_though_it_is_there() {
    let broker = Broker::start("if-not-exists");
    let create = |more: &[&str]| {
        let args = ["topics", "--create", "--topic", "t", "--if-not-exists"];
        let at = ["--bootstrap-server", broker.address()];
        let output = run(&mut ottla(&[&args[..], &at, more].concat()), "");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).expect("text"))
    };
    for _is_there in [false, true] {
        let (status, text) = create(&["--config", "bogus=1"]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("Unknown topic config name: bogus"), "{text}");
        let (status, text) = create(&["--config", "retention.ms=soon"]);
        assert_eq!(status, Some(1), "{text}");
        assert!(text.contains("retention.ms"), "{text}");
        let (status, text) = create(&[]);
        assert_eq!(status, Some(0), "{text}");
    }
}
