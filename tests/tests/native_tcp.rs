//! The real process from outside: start, settings, signals, restart, and what must be refused.
//!
//! Crashes under load are in `native_crash.rs`; what clients see is in `clients/`.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire::create_topics_request::CreatableTopic;
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_wire::{
    AlterClientQuotasRequest, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest,
    IncrementalAlterConfigsRequest, MetadataRequest,
};
use kafka_wire_core::{StrBytes, Uuid};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;
use ottla_tests::broker::{Broker, binary, free_port, fresh_folder};
use ottla_tests::wire_client::WireClient;

fn batch(values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    for value in values {
        batch.push(Timestamp(1_000), None, Some(value.as_bytes()));
    }
    batch.build()
}

fn start(folder: &Path) -> Broker {
    Broker::start(&binary(), folder, &[]).expect("the broker starts")
}

/// Runs a broker that is expected to refuse; returns its exit status and what it said.
fn refused(folder: &Path, settings: &str) -> (Option<i32>, String) {
    fs::create_dir_all(folder).expect("a folder of our own");
    let file = folder.join("server.properties");
    fs::write(&file, settings).expect("a file of our own");
    let mut command = Command::new(binary());
    command.arg("serve").arg(&file).current_dir(folder);
    let mut broker = Broker::spawn(&mut command, 0).expect("a process");
    let status = broker.wait_for_end().expect("it refuses by itself");
    (status.code(), broker.log().join("\n"))
}

#[test]
fn what_was_written_is_there_after_a_clean_restart() {
    let folder = fresh_folder("restart");
    for round in 0..3 {
        let broker = start(&folder);
        let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
        if round == 0 {
            client.create_topic("kept", 2).expect("a topic");
        }
        client
            .send_batch("kept", 1, batch(&["a", "b"]))
            .expect("a batch is sent");
        assert_eq!(
            client.receive_produced().expect("an answer"),
            (0, round * 2)
        );
        let records = client
            .fetch("kept", 1, 0)
            .expect("the partition can be read");
        assert_eq!(records.len() as i64, round * 2 + 2);
        let (status, log) = broker.stop().expect("the broker ends");
        assert!(status.success(), "{status}: {}", log.join("\n"));
        assert!(
            folder.join("data/.kafka_cleanshutdown").exists(),
            "no marker of a clean stop"
        );
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let broker = start(&fresh_folder("signals"));
    broker.signal("TERM").expect("a signal");
    // The first may have been enough already.
    let _ = broker.signal("TERM");
    let mut broker = broker;
    broker.wait_for_end().expect("two signals end it");
}

#[test]
fn ctrl_c_is_a_clean_stop() {
    let folder = fresh_folder("interrupt");
    let mut broker = start(&folder);
    broker.signal("INT").expect("a signal");
    assert!(broker.wait_for_end().expect("it ends").success());
    assert!(
        folder.join("data/.kafka_cleanshutdown").exists(),
        "no marker of a clean stop"
    );
}

#[test]
fn without_any_directory_left_it_ends_at_once_and_says_so() {
    let folder = fresh_folder("all-lost");
    let settings = ["log.dirs=data,other"];
    let mut broker = Broker::start(&binary(), &folder, &settings).expect("the broker starts");
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    client.create_topic("kept", 4).expect("a topic");
    // The second of each is written after the epoch's file, which the first does not wait for.
    for partition in [0, 1, 2, 3, 0, 1, 2, 3] {
        let sent = client.send_batch("kept", partition, batch(&["a"]));
        sent.expect("a batch is sent");
        client.receive_produced().expect("an answer");
    }
    // Every file is there, so that nothing but the stop finds them gone.
    // One call takes each away: while files are removed one by one, the broker may make another.
    for directory in ["data", "other"] {
        let gone = folder.join(format!("{directory}-gone"));
        fs::rename(folder.join(directory), gone).expect("a folder of our own");
    }
    broker.signal("TERM").expect("a signal");
    let status = broker.wait_for_end().expect("it ends");
    let said = broker.log().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("metadata log is lost; the others are closed"),
        "{said}"
    );
    assert!(!said.contains("were not closed within"), "{said}");
}

#[test]
fn a_port_in_use_is_refused_by_name() {
    let holder = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = holder.local_addr().expect("bound").port();
    let folder = fresh_folder("port");
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs=data\n");
    let (status, said) = refused(&folder, &listeners);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = fresh_folder("locked");
    let mut first = start(&folder);
    let data = folder.join("data");
    let other = folder.join("other");
    let port = free_port();
    let settings = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\n",
        data.display()
    );
    let (status, said) = refused(&other, &settings);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains(&data.display().to_string()), "{said}");
    assert!(
        !first.log().iter().any(|line| line.contains("ERROR")),
        "{:?}",
        first.log()
    );
}

#[test]
fn an_unknown_key_is_named_and_ignored() {
    let folder = fresh_folder("unknown-key");
    let settings = ["no.such.key=1", "num.partitions=3"];
    let mut broker = Broker::start(&binary(), &folder, &settings).expect("the broker starts");
    WireClient::connect(&broker.address()).expect("the broker accepts");
    let said = broker.log().join("\n");
    assert!(said.contains("no.such.key"), "{said}");
}

#[test]
fn a_wrong_value_is_refused_with_key_and_value() {
    let folder = fresh_folder("wrong-value");
    let (status, said) = refused(&folder, "log.dirs=data\nnum.partitions=many\n");
    assert_eq!(status, Some(1), "{said}");
    for word in ["num.partitions", "many"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn other_protocols_are_turned_away_and_the_broker_goes_on() {
    let broker = start(&fresh_folder("protocols"));
    let address = broker.address();
    for first_bytes in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        &b"\xff\xff\xff\xff"[..],
        &b"\x7f\xff\xff\xff\x00\x03"[..],
        &b"\x00\x00\x00\x00"[..],
        &b"\x00\x00\x00\x04\x00\x03\x00\x09"[..],
        &b"\x00\x00\x00\x0a\x7f\xff\x00\x00\x00\x00\x00\x01\xff\xff"[..],
    ] {
        let mut stream = TcpStream::connect(&address).expect("the broker accepts");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
        stream.write_all(first_bytes).expect("bytes are sent");
        let mut answer = Vec::new();
        // A reset is an end too.
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset,
                "{first_bytes:?}"
            );
        }
        assert!(
            answer.len() < 1000,
            "{first_bytes:?} was answered by {} bytes",
            answer.len()
        );
    }
    let mut client = WireClient::connect(&address).expect("the broker goes on");
    client.create_topic("after", 1).expect("a topic");
}

/// Sets configurations of broker 1; answers the error code.
fn configure(client: &mut WireClient, values: &[(&str, &str)]) -> i16 {
    let configs = values.iter().map(|(name, value)| {
        let mut config = AlterableConfig::default();
        config.name = StrBytes::from(*name);
        config.value = Some(StrBytes::from(*value));
        config
    });
    let mut resource = AlterConfigsResource::default();
    resource.resource_type = 4;
    resource.resource_name = StrBytes::from("1");
    resource.configs = configs.collect();
    let mut request = IncrementalAlterConfigsRequest::default();
    request.resources.push(resource);
    let answer = client.call(1, &request).expect("an answer");
    answer.responses[0].error_code
}

/// Whether the broker ends this connection without a word.
fn ends(mut connection: TcpStream) -> bool {
    let patience = Some(Duration::from_secs(20));
    connection.set_read_timeout(patience).expect("a limit");
    matches!(connection.read(&mut [0]), Ok(0))
}

const PLAIN_MAP: &str = "PLAINTEXT:PLAINTEXT,EXTRA:PLAINTEXT,SAFE:SSL";

#[test]
fn listeners_come_and_go_while_the_broker_runs_and_stay_after_a_restart() {
    const INVALID_REQUEST: i16 = 42;
    let folder = fresh_folder("listeners");
    let port = free_port();
    let first = format!("PLAINTEXT://127.0.0.1:{port}");
    let advertised = format!("advertised.listeners={first}");
    let start = || Broker::start_at(port, &binary(), &folder, &[&advertised]);
    let mut broker = start().expect("the broker starts");
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    let mut set = |listeners: &str| {
        let map = ("listener.security.protocol.map", PLAIN_MAP);
        configure(&mut client, &[("listeners", listeners), map])
    };
    let extra_port = free_port();
    let extra = format!("EXTRA://127.0.0.1:{extra_port}");
    let both = format!("{first},{extra}");
    // Neither may the one go that is advertised, nor one come that is not served.
    assert_eq!(set(&extra), INVALID_REQUEST);
    let safe = format!("{first},SAFE://127.0.0.1:{extra_port}");
    assert_eq!(set(&safe), INVALID_REQUEST);

    assert_eq!(set(&both), 0);
    broker
        .wait_for_line(&format!("listens on {extra}"))
        .expect("it is bound");
    let at_extra = format!("127.0.0.1:{extra_port}");
    let mut other = WireClient::connect(&at_extra).expect("it accepts");
    // It is asked there to listen there no more; the answer comes, then the end.
    assert_eq!(configure(&mut other, &[("listeners", &first)]), 0);
    broker
        .wait_for_line(&format!("listens no more on {extra}"))
        .expect("it is closed");
    assert!(other.is_ended().expect("no bytes nobody asked for"));
    assert!(TcpStream::connect(&at_extra).is_err(), "nobody listens");

    // A port that is taken: the change is kept, and done when there is room.
    let holder = TcpListener::bind(&at_extra).expect("the port is free again");
    assert_eq!(set(&both), 0);
    broker
        .wait_for_line(&format!("cannot listen on {at_extra}"))
        .expect("it is told");
    drop(holder);
    let (status, _log) = broker.stop().expect("the broker ends");
    assert!(status.success(), "{status}");
    let broker = start().expect("the broker starts again");
    WireClient::connect(&at_extra).expect("it listens there after a start");
    WireClient::connect(&broker.address()).expect("and where it did before");
}

#[test]
fn a_listener_takes_no_more_connections_than_it_may() {
    let folder = fresh_folder("listener-limits");
    let port = free_port();
    let extra_port = free_port();
    let settings = [
        &format!("listeners=PLAINTEXT://127.0.0.1:{port},EXTRA://127.0.0.1:{extra_port}"),
        &format!("listener.security.protocol.map={PLAIN_MAP}"),
        "listener.name.extra.max.connections=1",
    ];
    let broker = Broker::start_at(port, &binary(), &folder, &settings).expect("it starts");
    let connect = |port| TcpStream::connect(("127.0.0.1", port)).expect("it accepts");
    let mut only = WireClient::connect(&format!("127.0.0.1:{extra_port}")).expect("it accepts");
    only.create_topic("served", 1).expect("a topic");
    assert!(ends(connect(extra_port)), "one more than it may");
    // The other listener is not bounded by it.
    let mut client = WireClient::connect(&broker.address()).expect("it accepts");
    client.create_topic("other", 1).expect("a topic");
    // Told at run time, both may have more.
    let key = "listener.name.extra.max.connections";
    assert_eq!(configure(&mut client, &[(key, "2")]), 0);
    let mut second = loop {
        let mut second =
            WireClient::connect(&format!("127.0.0.1:{extra_port}")).expect("it accepts");
        if second.create_topic("second", 1).is_ok() {
            break second;
        }
    };
    assert!(ends(connect(extra_port)), "one more than it may now");
    second.init_producer().expect("it is served still");
}

/// Creates a topic; answers its id.
fn create(client: &mut WireClient, name: &str) -> Uuid {
    let mut topic = CreatableTopic::default();
    topic.name = StrBytes::from(name);
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    let mut request = CreateTopicsRequest::default();
    request.topics.push(topic);
    request.timeout_ms = 10_000;
    let answer = client.call(7, &request).expect("an answer");
    assert_eq!(answer.topics[0].error_code, 0);
    answer.topics[0].topic_id
}

#[test]
fn a_session_remembers_the_name_of_a_topic_that_is_deleted() {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    const UNKNOWN_TOPIC_ID: i16 = 100;
    const INCONSISTENT_TOPIC_ID: i16 = 103;
    let broker = start(&fresh_folder("session-name"));
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    let id = create(&mut client, "gone");
    let fetch = |client: &mut WireClient, session: (i32, i32), topic: Option<Uuid>| {
        let mut request = FetchRequest::default();
        request.max_bytes = 1_000;
        (request.session_id, request.session_epoch) = session;
        if let Some(id) = topic {
            let mut partition = FetchPartition::default();
            partition.partition_max_bytes = 1_000;
            let mut topic = FetchTopic::default();
            topic.topic_id = id;
            topic.partitions.push(partition);
            request.topics.push(topic);
        }
        let answer = client.call(13, &request).expect("an answer");
        assert_eq!(answer.error_code, 0);
        let topics = answer.responses.iter();
        let codes = topics.flat_map(|topic| &topic.partitions);
        let codes: Vec<i16> = codes.map(|partition| partition.error_code).collect();
        (answer.session_id, codes)
    };
    let (session, codes) = fetch(&mut client, (0, 0), Some(id));
    assert_eq!(codes, [0]);
    let mut delete = DeleteTopicsRequest::default();
    delete.topic_names.push(StrBytes::from("gone"));
    delete.timeout_ms = 10_000;
    let deleted = client.call(5, &delete).expect("an answer");
    assert_eq!(deleted.responses[0].error_code, 0);
    let next = |client: &mut WireClient, epoch| fetch(client, (session, epoch), None).1;
    assert_eq!(next(&mut client, 1), [UNKNOWN_TOPIC_OR_PARTITION]);
    assert_ne!(create(&mut client, "gone"), id);
    assert_eq!(next(&mut client, 2), [INCONSISTENT_TOPIC_ID]);
    // Whoever comes with it now is told that nobody knows it.
    assert_eq!(fetch(&mut client, (0, -1), Some(id)).1, [UNKNOWN_TOPIC_ID]);
}

#[test]
fn who_takes_more_time_than_its_percentage_waits() {
    let broker = start(&fresh_folder("request-time"));
    let mut client = WireClient::connect(&broker.address()).expect("the broker accepts");
    let throttled = |client: &mut WireClient| {
        let answer = client.call(9, &MetadataRequest::default());
        answer.expect("an answer").throttle_time_ms
    };
    assert_eq!(throttled(&mut client), 0);
    let mut of = EntityData::default();
    of.entity_type = StrBytes::from("user");
    of.entity_name = None;
    let mut op = OpData::default();
    op.key = StrBytes::from("request_percentage");
    // A microsecond in ten seconds: nobody is as fast.
    op.value = 0.000_01;
    let mut entry = EntryData::default();
    entry.entity.push(of);
    entry.ops.push(op);
    let mut request = AlterClientQuotasRequest::default();
    request.entries.push(entry);
    let answer = client.call(1, &request).expect("an answer");
    assert_eq!(answer.entries[0].error_code, 0);
    let waits_ms = throttled(&mut client);
    assert!((1..=1_000).contains(&waits_ms), "{waits_ms} ms");
}
