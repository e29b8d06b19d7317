//! The real process moves a replica between two data directories while it is written to, through
//! `kill -9`: with the tools, as an operator would.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_wire::DescribeLogDirsRequest;
use ottla_core::ids::{ProducerEpoch, ProducerId, Sequence};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, fresh_folder};
use ottla_tests::wire_client::WireClient;

const TOPIC: &str = "travels";
const RECORDS_OF_BATCH: u32 = 50;
/// Some segments of the smallest size, and a part of one.
const BATCHES_BEFORE: u32 = 250;
/// So slow that the move is not over when the broker dies.
const THROTTLE: &str = "50000";
/// How long the move may take without it, and whatever else is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

const SETTINGS: &[&str] = &["log.dirs=one,two", "log.segment.bytes=1048576"];

fn start(folder: &Path) -> Broker {
    Broker::start(&binary(), folder, SETTINGS).expect("the broker starts")
}

fn value(number: u32) -> Vec<u8> {
    let mut value = format!("{number} ").into_bytes();
    value.resize(200, b'.');
    value
}

/// One producer that numbers its records.
struct Writer {
    client: WireClient,
    id: (i64, i16),
    next: u32,
}

impl Writer {
    fn batch(&self, first: u32) -> Bytes {
        let sequence = Sequence(i32::try_from(first).expect("few"));
        let (id, epoch) = (ProducerId(self.id.0), ProducerEpoch(self.id.1));
        let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.expect("after 1970").as_millis();
        let now = Timestamp(i64::try_from(now).expect("in this age"));
        for number in first..first + RECORDS_OF_BATCH {
            builder.push(now, None, Some(&value(number)));
        }
        builder.build()
    }

    fn write(&mut self) {
        let batch = self.batch(self.next);
        assert_eq!(self.send(batch), i64::from(self.next));
        self.next += RECORDS_OF_BATCH;
    }

    /// Sends a batch and answers its offset.
    fn send(&mut self, batch: Bytes) -> i64 {
        self.client.send_batch(TOPIC, 0, batch).expect("it is sent");
        let (code, offset) = self.client.receive_produced().expect("it is answered");
        assert_eq!(code, 0);
        offset
    }

    /// Where the replica is, and where it is copied to.
    fn places(&mut self) -> (Option<String>, Option<String>) {
        let mut request = DescribeLogDirsRequest::default();
        request.topics = None;
        let answer = self.client.call(4, &request).expect("it is answered");
        let (mut current, mut future) = (None, None);
        for directory in answer.results {
            assert_eq!(directory.error_code, 0);
            let topics = directory.topics.iter();
            for topic in topics.filter(|topic| topic.name.as_str() == TOPIC) {
                for partition in &topic.partitions {
                    let place = match partition.is_future_key {
                        true => &mut future,
                        false => &mut current,
                    };
                    let former = place.replace(directory.log_dir.to_string());
                    assert_eq!(former, None, "there is one");
                }
            }
        }
        (current, future)
    }

    /// Writes on until something has come.
    fn write_until(&mut self, what: &str, has_come: impl Fn(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !has_come(self) {
            assert!(Instant::now() < deadline, "{what} does not come");
            self.write();
        }
    }

    /// Every record is there, once, at its offset.
    fn check(&mut self) {
        let mut next = 0;
        while next < i64::from(self.next) {
            let (records, after) = self.client.fetch_on(TOPIC, 0, next).expect("it is read");
            assert!(after.0 > next, "reading goes on");
            for (offset, found) in records {
                assert_eq!(offset.0, next);
                assert_eq!(found, value(u32::try_from(next).expect("few")));
                next += 1;
            }
        }
        assert_eq!(next, i64::from(self.next));
        // A retry of the last batch is recognised.
        let last = self.next - RECORDS_OF_BATCH;
        let batch = self.batch(last);
        assert_eq!(self.send(batch), i64::from(last));
    }
}

/// Runs a tool of the binary, and answers what it printed.
fn tool(broker: &Broker, folder: &Path, arguments: &[&str]) -> String {
    let address = broker.address();
    let output = Command::new(binary())
        .args(arguments)
        .args(["--bootstrap-server", &address])
        .current_dir(folder)
        .output()
        .expect("the tool starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {printed}{said}");
    printed
}

fn folders(of: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(of).expect("a data directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(TOPIC)).collect()
}

/// Whether a data directory has the folder of a copy that says of which topic it is.
fn is_begun(directory: &Path) -> bool {
    let copies = folders(directory).into_iter();
    let files = copies.map(|copy| directory.join(copy).join("partition.metadata"));
    let mut sizes = files.map(|file| std::fs::metadata(file).map_or(0, |file| file.len()));
    sizes.any(|size| size > 0)
}

/// A plan that moves the replica to a directory.
fn write_plan(folder: &Path, target: &str) {
    let plan = format!(
        "{{\"version\":1,\"partitions\":[{{\"topic\":\"{TOPIC}\",\"partition\":0,\
         \"replicas\":[1],\"log_dirs\":[\"{target}\"]}}]}}"
    );
    std::fs::write(folder.join("plan.json"), plan).expect("the folder is ours");
}

fn reassign(broker: &Broker, folder: &Path, action: &str, more: &[&str]) -> String {
    let plan = ["--reassignment-json-file", "plan.json"];
    let arguments = [&["reassign-partitions", action], &plan[..], more].concat();
    tool(broker, folder, &arguments)
}

fn unthrottle(broker: &Broker, folder: &Path) {
    let rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    let node = ["--entity-type", "brokers", "--entity-name", "1"];
    let unset = ["--alter", "--delete-config", rate];
    tool(broker, folder, &[&["configs"], &node[..], &unset].concat());
}

/// A topic with some segments.
fn fill(broker: &Broker) -> Writer {
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    client.create_topic(TOPIC, 1).expect("a topic");
    let id = client.init_producer().expect("a producer id");
    let mut writer = Writer {
        client,
        id,
        next: 0,
    };
    for _ in 0..BATCHES_BEFORE {
        writer.write();
    }
    writer
}

#[test]
fn a_replica_moves_while_it_is_written_and_through_a_crash() {
    let folder = fresh_folder("moves");
    let broker = start(&folder);
    let mut writer = fill(&broker);
    let (home, future) = writer.places();
    assert_eq!(future, None);
    let home = home.expect("it is somewhere");
    let (from, to) = match home.ends_with("one") {
        true => ("one", "two"),
        false => ("two", "one"),
    };
    let stem = home.strip_suffix(from).expect("it is one of the two");
    let target = format!("{stem}{to}");
    write_plan(&folder, &target);
    let throttle = ["--replica-alter-log-dirs-throttle", THROTTLE];
    reassign(&broker, &folder, "--execute", &throttle);
    for _ in 0..20 {
        writer.write();
    }
    // What a start goes by is made after the tool has its answer.
    writer.write_until("the copy's folder", |_writer| is_begun(&folder.join(to)));
    let under_way = (Some(home), Some(target.clone()));
    assert_eq!(writer.places(), under_way);
    let told = reassign(&broker, &folder, "--verify", &["--preserve-throttles"]);
    assert!(told.contains("is still in progress"), "{told}");
    let described = tool(&broker, &folder, &["log-dirs", "--describe"]);
    assert!(described.contains("\"isFuture\":true"), "{described}");

    broker.crash().expect("kill -9 kills");
    let mut broker = start(&folder);
    writer.client = WireClient::connect(&broker.address()).expect("the broker accepts");
    writer.check();
    assert_eq!(writer.places(), under_way, "it goes on");
    unthrottle(&broker, &folder);
    let arrived = (Some(target), None);
    writer.write_until("the move's end", |writer| writer.places() == arrived);
    let line = broker.wait_for_line("is in its new data directory");
    line.expect("it says so");
    let told = reassign(&broker, &folder, "--verify", &[]);
    assert!(told.contains("completed successfully"), "{told}");
    writer.write();
    writer.check();
    assert_eq!(folders(&folder.join(to)), [format!("{TOPIC}-0")]);

    broker.crash().expect("kill -9 kills");
    let broker = start(&folder);
    writer.client = WireClient::connect(&broker.address()).expect("the broker accepts");
    writer.check();
    assert_eq!(writer.places(), arrived);
    // A start does not wait for that.
    writer.write_until("the former log's end", |_writer| {
        folders(&folder.join(from)).is_empty()
    });
    let (status, _) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}");
}
