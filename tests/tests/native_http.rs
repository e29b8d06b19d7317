//! Metrics and health checks of the real process, over real HTTP.
//!
//! The client here writes bytes and reads bytes: what is tested is what any other would meet.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_wire::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_wire::{FindCoordinatorRequest, OffsetCommitRequest};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, free_port, fresh_folder};
use ottla_tests::exposition::Exposition;
use ottla_tests::wire_client::WireClient;

/// Limit for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(name: &str, settings: &[&str]) -> (Broker, String) {
    let listener = ["http.listener=127.0.0.1:0"];
    let settings = [&listener[..], settings].concat();
    let mut broker = Broker::start(&binary(), &fresh_folder(name), &settings).expect("it starts");
    let line = broker.log().iter().find(|line| line.contains("http://"));
    let line = line.expect("it says where its metrics are");
    let (_, address) = line.split_once("http://").expect("just found");
    let address = address.split('/').next().expect("a first part").to_owned();
    (broker, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream
}

/// What came back: head and body.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends one request and reads all that comes until the connection is closed.
fn ask(address: &str, request: &str) -> Answer {
    let mut stream = connect(address);
    // Where the broker refuses early, the rest may meet a closed socket.
    let _sent = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{request}");
    }
    let text = String::from_utf8(bytes).expect("answers are text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("{text:?} is no answer to {request:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn get(address: &str, path: &str, more: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{more}\r\n");
    ask(address, &request)
}

fn scrape(address: &str) -> Exposition {
    let answer = get(address, "/metrics", "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("text/plain; version=0.0.4"));
    Exposition::parse(&answer.body, false).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Scrapes until a series has a value: what is counted after a reply was written comes a moment
/// after its client has it.
fn scrape_until(address: &str, series: &str, value: f64) -> Exposition {
    let started = Instant::now();
    loop {
        let page = scrape(address);
        if page.value(series) == Some(value) {
            return page;
        }
        let seen = page.value(series);
        assert!(started.elapsed() < PATIENCE, "{series} is {seen:?}");
    }
}

fn batch(records: u32) -> bytes::Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("this is after 1970").as_millis();
    let now = i64::try_from(now).expect("for a long time yet");
    let mut builder = BatchBuilder::new(Compression::None);
    for _ in 0..records {
        builder.push(Timestamp(now), Some(b"key"), Some(b"value"));
    }
    builder.build()
}

/// Five batches of three records were written to partition 1, one to a partition that is not there,
/// and four of them were read.
fn check_counts(page: &Exposition, bytes: f64) {
    let topic = |name: &str| {
        let series = format!("kafka_server_brokertopicmetrics_{name}_total{{topic=\"counted\"}}");
        page.value(&series)
    };
    assert_eq!(topic("messagesin"), Some(15.0));
    assert_eq!(topic("bytesin"), Some(5.0 * bytes));
    assert_eq!(topic("totalproducerequests"), Some(5.0));
    assert_eq!(topic("failedproducerequests"), Some(0.0));
    // From offset 5 on: the whole batches that hold 5 to 14.
    assert_eq!(topic("bytesout"), Some(4.0 * bytes));
    check_series(page, bytes);
}

fn check_series(page: &Exposition, bytes: f64) {
    for (series, value) in [
        (
            "kafka_network_requestmetrics_requests_total{request=\"Produce\"}",
            6.0,
        ),
        (
            "kafka_network_requestmetrics_errors_total{error=\"UNKNOWN_TOPIC_OR_PARTITION\",\
             request=\"Produce\"}",
            1.0,
        ),
        (
            "ottla_request_latency_seconds_count{request=\"Produce\"}",
            6.0,
        ),
        ("kafka_topic_partitions{topic=\"counted\"}", 2.0),
        (
            "kafka_topic_partition_current_offset{partition=\"1\",topic=\"counted\"}",
            15.0,
        ),
        (
            "kafka_topic_partition_current_offset{partition=\"0\",topic=\"counted\"}",
            0.0,
        ),
        (
            "kafka_topic_partition_leader{partition=\"0\",topic=\"counted\"}",
            1.0,
        ),
        (
            "kafka_topic_partition_in_sync_replica{partition=\"0\",topic=\"counted\"}",
            1.0,
        ),
        (
            "kafka_log_log_size{partition=\"1\",topic=\"counted\"}",
            5.0 * bytes,
        ),
        ("ottla_topic_size_bytes{topic=\"counted\"}", 5.0 * bytes),
        ("kafka_controller_kafkacontroller_globaltopiccount", 1.0),
        (
            "kafka_controller_kafkacontroller_activecontrollercount",
            1.0,
        ),
        (
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            0.0,
        ),
        ("ottla_connections{listener=\"PLAINTEXT\"}", 1.0),
        (
            "ottla_connections_accepted_total{listener=\"PLAINTEXT\"}",
            1.0,
        ),
        ("kafka_brokers", 1.0),
        ("ottla_ready", 1.0),
    ] {
        assert_eq!(page.value(series), Some(value), "{series}");
    }
    for series in ["ottla_append_seconds_count", "ottla_flush_seconds_count"] {
        // One for each acknowledged batch at least; the metadata log has its own.
        assert!(page.value(series) >= Some(5.0), "{series}");
    }
    for series in [
        "ottla_turns_total",
        "process_resident_memory_bytes",
        "ottla_uptime_seconds",
    ] {
        assert!(page.value(series) > Some(0.0), "{series}");
    }
}

#[test]
fn what_was_done_is_counted() {
    let (broker, address) = start("metrics", &[]);
    let mut client = WireClient::connect(&broker.address()).expect("it listens");
    client.create_topic("counted", 2).expect("a topic");
    let bytes = batch(3).len() as f64;
    for _ in 0..5 {
        client.send_batch("counted", 1, batch(3)).expect("sent");
        let (code, _offset) = client.receive_produced().expect("answered");
        assert_eq!(code, 0);
    }
    client.send_batch("counted", 7, batch(1)).expect("sent");
    let (code, _offset) = client.receive_produced().expect("answered");
    assert_eq!(code, 3, "there is no partition 7");
    let records = client.fetch("counted", 1, 5).expect("answered");
    assert!(!records.is_empty());
    let page = scrape_until(
        &address,
        "ottla_request_latency_seconds_count{request=\"Fetch\"}",
        1.0,
    );
    check_counts(&page, bytes);
    drop(client);
    let closed = "ottla_connections{listener=\"PLAINTEXT\"}";
    scrape_until(&address, closed, 0.0);
    broker.stop().expect("it stops");
}

#[test]
fn both_formats_are_well_formed_and_tell_the_same() {
    let (broker, address) = start("formats", &[]);
    let mut client = WireClient::connect(&broker.address()).expect("it listens");
    client.create_topic("one", 1).expect("a topic");
    // Counted after its answer is sent: both pages are to know it.
    let counted = "ottla_request_latency_seconds_count{request=\"CreateTopics\"}";
    scrape_until(&address, counted, 1.0);
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let answer = get(&address, "/metrics", accept);
    assert!(
        answer
            .head
            .contains("application/openmetrics-text; version=1.0.0")
    );
    let open = Exposition::parse(&answer.body, true).unwrap_or_else(|wrong| panic!("{wrong}"));
    let classic = scrape(&address);
    let series: Vec<&String> = classic.samples.keys().collect();
    assert_eq!(series, open.samples.keys().collect::<Vec<_>>());
    let help = get(&address, "/metrics/help", "").body;
    let documented = include_str!("../../native/METRICS.md");
    assert_eq!(help, documented);
    for name in classic.types.keys() {
        assert!(
            documented.contains(&format!("`{name}`")),
            "{name} is not documented"
        );
    }
    broker.stop().expect("it stops");
}

#[test]
fn series_of_partitions_can_be_left_out() {
    let (broker, address) = start("few", &["metrics.partitions.enable=false"]);
    let mut client = WireClient::connect(&broker.address()).expect("it listens");
    client.create_topic("t", 3).expect("a topic");
    let page = scrape(&address);
    let with_partition = |series: &&String| series.contains("partition=");
    assert_eq!(page.samples.keys().find(with_partition), None);
    assert_eq!(page.value("kafka_topic_partitions{topic=\"t\"}"), Some(3.0));
    broker.stop().expect("it stops");
}

#[test]
fn paths_and_methods() {
    let (broker, address) = start("paths", &[]);
    for (path, body) in [("/healthz", "ok\n"), ("/readyz?verbose", "ok\n")] {
        let answer = get(&address, path, "");
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
    }
    let index = get(&address, "/", "");
    assert!(index.head.contains("text/html"));
    let missing = get(&address, "/favicon.ico", "");
    assert_eq!(missing.status, 404);
    for path in ["/metrics", "/metrics/help", "/healthz", "/readyz"] {
        assert!(index.body.contains(&format!("href=\"{path}\"")), "{path}");
        assert!(missing.body.contains(path), "{path}");
    }
    let close = "Host: test\r\nConnection: close\r\n";
    let head = ask(&address, &format!("HEAD /metrics HTTP/1.1\r\n{close}\r\n"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: "));
    let body = "Content-Length: 5\r\n\r\nhello";
    let posted = ask(
        &address,
        &format!("POST /metrics HTTP/1.1\r\n{close}{body}"),
    );
    assert_eq!(posted.status, 405);
    assert!(posted.head.contains("allow: get, head"));
    broker.stop().expect("it stops");
}

#[test]
fn strange_requests_do_no_harm() {
    let (broker, address) = start("strange", &[]);
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert_eq!(ask(&address, &huge).status, 431);
    assert_eq!(ask(&address, "nonsense\r\n\r\n").status, 400);
    // Half a request and gone, nothing and gone.
    for bytes in ["GET /metr", ""] {
        let mut stream = connect(&address);
        stream.write_all(bytes.as_bytes()).expect("sent");
    }
    // A connection that is kept answers again, two at once too.
    let mut kept = connect(&address);
    let twice = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n".repeat(2);
    for _ in 0..3 {
        kept.write_all(twice.as_bytes()).expect("sent");
        let mut seen = String::new();
        while seen.matches("\r\n\r\nok\n").count() < 2 {
            let mut bytes = [0; 1024];
            let count = kept.read(&mut bytes).expect("an answer");
            assert!(count > 0, "it is kept open");
            seen += std::str::from_utf8(&bytes[..count]).expect("text");
        }
    }
    drop(kept);
    // More than there is place for: the first, which asked for nothing, is closed at once, and a
    // place is free again as soon as one leaves.
    let others: Vec<TcpStream> = (0..40).map(|_| connect(&address)).collect();
    let mut first = others.first().expect("there are some");
    assert_eq!(first.read(&mut [0; 1]).expect("an end"), 0, "it is closed");
    drop(others);
    let started = Instant::now();
    loop {
        let mut stream = connect(&address);
        let request = b"GET /readyz HTTP/1.0\r\n\r\n";
        let mut answer = String::new();
        let sent = stream.write_all(request);
        if sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            assert!(answer.ends_with("ok\n"), "{answer}");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "no place gets free");
    }
    broker.stop().expect("it stops");
}

/// Starts a broker with exactly these settings and waits for a line of its output.
fn start_plainly(folder: &Path, settings: &str, line: &str) -> Result<Broker, String> {
    let file = folder.join("server.properties");
    std::fs::write(&file, settings).expect("a file of our own");
    let mut command = Command::new(binary());
    command.arg("serve").arg(&file).current_dir(folder);
    let mut broker = Broker::spawn(&mut command, 0).map_err(|error| error.to_string())?;
    broker.wait_for_line(line).map(|_line| broker)
}

#[test]
fn a_port_in_use_stops_only_a_broker_that_was_told_to_have_it() {
    // Held here, or by another broker of this machine.
    let _held = TcpListener::bind(("127.0.0.1", 9644));
    let port = free_port();
    let settings = format!("listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs=data\n");
    let folder = fresh_folder("http-port");
    let mut broker =
        start_plainly(&folder, &settings, &format!(":{port}")).expect("it serves all the same");
    let warned = broker.log().iter().any(|line| {
        line.contains("WARN") && line.contains("127.0.0.1:9644") && line.contains("http.listener")
    });
    assert!(warned, "{:?}", broker.log());
    broker.stop().expect("it stops");
    let holder = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let taken = holder.local_addr().expect("bound");
    let explicit = format!("{settings}http.listener={taken}\n");
    let refused = start_plainly(&folder, &explicit, &format!(":{port};"));
    let said = refused.expect_err("it refuses");
    assert!(
        said.contains("ended") && said.contains(&taken.to_string()),
        "{said}"
    );
    assert!(said.contains("http.listener"), "{said}");
    let none = format!("{settings}http.listener=\n");
    let mut broker = start_plainly(&folder, &none, &format!(":{port}")).expect("it serves");
    let is_told = broker.log().iter().any(|line| line.contains("http://"));
    assert!(!is_told, "{:?}", broker.log());
    broker.stop().expect("it stops");
}

/// Commits an offset of a group without members, as a consumer does that chooses its partitions.
fn commit(client: &mut WireClient, group: &str, topic: &str, partition: i32, offset: i64) {
    let mut find = FindCoordinatorRequest::default();
    find.coordinator_keys = vec![group.into()];
    let mut of_partition = OffsetCommitRequestPartition::default();
    of_partition.partition_index = partition;
    of_partition.committed_offset = offset;
    of_partition.committed_leader_epoch = -1;
    let mut of_topic = OffsetCommitRequestTopic::default();
    of_topic.name = topic.into();
    of_topic.partitions = vec![of_partition];
    let mut request = OffsetCommitRequest::default();
    request.group_id = group.into();
    request.generation_id_or_member_epoch = -1;
    request.group_instance_id = None;
    request.topics = vec![of_topic];
    let started = Instant::now();
    loop {
        // The first question makes the topic that offsets are kept in.
        client.call(6, &find).expect("answered");
        let answer = client.call(9, &request).expect("answered");
        let code = answer.topics[0].partitions[0].error_code;
        if code == 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "error {code}");
    }
}

#[test]
fn groups_are_told_with_their_lag() {
    let (broker, address) = start("groups", &[]);
    let mut client = WireClient::connect(&broker.address()).expect("it listens");
    client.create_topic("read", 2).expect("a topic");
    for partition in [0, 1] {
        client
            .send_batch("read", partition, batch(10))
            .expect("sent");
        let (code, _offset) = client.receive_produced().expect("answered");
        assert_eq!(code, 0);
    }
    commit(&mut client, "readers", "read", 0, 4);
    commit(&mut client, "readers", "read", 1, 10);
    let page = scrape(&address);
    let of = |rest: &str| format!("{{consumergroup=\"readers\"{rest}}}");
    let first = ",partition=\"0\",topic=\"read\"";
    let second = ",partition=\"1\",topic=\"read\"";
    for (name, labels, value) in [
        ("kafka_consumergroup_current_offset", first, 4.0),
        ("kafka_consumergroup_lag", first, 6.0),
        ("kafka_consumergroup_lag", second, 0.0),
        ("kafka_consumergroup_lag_sum", ",topic=\"read\"", 6.0),
        (
            "kafka_consumergroup_current_offset_sum",
            ",topic=\"read\"",
            14.0,
        ),
        ("kafka_consumergroup_members", "", 0.0),
        ("ottla_consumergroup_state", ",state=\"Empty\"", 1.0),
    ] {
        let series = format!("{name}{}", of(labels));
        assert_eq!(page.value(&series), Some(value), "{series}");
    }
    broker.stop().expect("it stops");
}

#[test]
fn a_group_may_have_any_name() {
    let (broker, address) = start("names", &[]);
    let mut client = WireClient::connect(&broker.address()).expect("it listens");
    client.create_topic("read", 1).expect("a topic");
    commit(&mut client, "x\n# TYPE y\"\\", "read", 0, 4);
    let series = r#"kafka_consumergroup_members{consumergroup="x\n# TYPE y\"\\"}"#;
    let page = scrape(&address);
    assert_eq!(page.value(series), Some(0.0), "{:?}", page.samples);
    let accept = "Accept: application/openmetrics-text\r\n";
    let page = Exposition::parse(&get(&address, "/metrics", accept).body, true);
    let page = page.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(page.value(series), Some(0.0));
    broker.stop().expect("it stops");
}

#[test]
fn a_probe_is_answered_whoever_holds_connections() {
    let (broker, address) = start("probe", &[]);
    let silent: Vec<TcpStream> = (0..40).map(|_| connect(&address)).collect();
    assert_eq!(get(&address, "/healthz", "").status, 200);
    let mut kept: Vec<TcpStream> = (0..40).map(|_| connect(&address)).collect();
    for stream in &mut kept {
        // Those at the front may have lost their places already.
        let _sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    assert_eq!(get(&address, "/readyz", "").status, 200);
    drop((silent, kept));
    let (status, log) = broker.stop().expect("it stops");
    assert!(status.success(), "{log:?}");
}
