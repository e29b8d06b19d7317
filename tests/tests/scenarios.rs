//! Golden scenarios: a script of commands to one node, and under each what the node let out.
//!
//! The files in `tests/golden/scenario` read like the minutes of a meeting. `UPDATE=1` rewrites
//! what is below the rules; the reader of the difference judges. Commands:
//!
//! ```text
//! start [name=value ...]             boots the node, with these configurations
//! create TOPIC [name=value ...]      makes a topic of one partition
//! alter TOPIC|broker|brokers [name=value ...]   sets configurations; no value removes one
//! quota CLIENT-ID [limit=value ...]  sets limits of a client; no value removes one
//! produce TOPIC records=N acks=A [producer=ID:EPOCH:SEQUENCE] [timeout=MS] [size=BYTES]
//!         [time=MS]                  records of this size, this long after now
//! fetch TOPIC offset=N [wait=MS] [bytes=N]
//! list TOPIC at=N                    ListOffsets: -2 earliest, -1 latest, or a timestamp
//! epoch-end TOPIC epoch=N            OffsetForLeaderEpoch
//! delete-records TOPIC offset=N
//! find GROUP                         FindCoordinator
//! join GROUP as=NAME [session=MS] [rebalance=MS]
//! sync GROUP as=NAME [NAME=WORK ...] the leader says who gets what
//! heartbeat GROUP as=NAME
//! leave GROUP as=NAME
//! commit GROUP topic=T offset=N [as=NAME]
//! committed GROUP topic=T            OffsetFetch
//! hold, release                      the disk answers nothing; it answers again
//! wait MS                            time passes
//! crash, cut-power, stop             the process dies; the power goes; an orderly end
//! ```
//!
//! A request may have `client=ID`, `frame=BYTES` (the size it is said to have had) and `version=N`.

mod scenario_groups;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kafka_wire::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_wire::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_wire::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::error::ErrorCode;
use ottla_core::ids::{
    ConnectionId, DirectoryIndex, ListenerId, LogId, PartitionIndex, ProducerEpoch, ProducerId,
    RequestSequence, Sequence, TopicId,
};
use ottla_core::node::door::{Input, Outbox};
use ottla_core::node::{BootOptions, Node};
use ottla_core::one_or_many::OneOrMany;
use ottla_core::rng::Rng;
use ottla_core::sim::disk::{DiskOptions, PowerLoss, SimulatedDisk};
use ottla_core::storage::{DiskOp, Slice};
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::batch::{Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;
use ottla_core::wire::request::{
    ProduceInput, ProducePartition, ProduceTopic, Reply, Request, RequestHead,
};

use scenario_groups::Members;

const CLIENT: ConnectionId = ConnectionId(1);

/// A command with its named values.
struct Command<'a> {
    name: &'a str,
    subject: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let mut subject = "";
        let mut values = BTreeMap::new();
        for word in words {
            match word.split_once('=') {
                Some((name, value)) => {
                    values.insert(name, value);
                }
                None => subject = word,
            }
        }
        Self {
            name,
            subject,
            values,
        }
    }

    /// The values that are not about the request itself.
    fn properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let values = self.values.iter().map(|(name, value)| (*name, *value));
        values.filter(|(name, _)| !["client", "frame", "version"].contains(name))
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        let text = self.values.get(name);
        text.map_or(default, |text| text.parse().expect("a number"))
    }

    fn small(&self, name: &str, default: i32) -> i32 {
        i32::try_from(self.number(name, i64::from(default))).expect("an int32")
    }
}

/// One node, its disk, and the minutes.
struct Stage {
    disk: SimulatedDisk,
    node: Option<Node>,
    now: Now,
    out: Outbox,
    inputs: Vec<Input>,
    held: bool,
    next_request: u64,
    unanswered: BTreeMap<u64, &'static str>,
    logs: BTreeMap<LogId, String>,
    members: Members,
    minutes: String,
}

impl Stage {
    fn new() -> Self {
        let options = DiskOptions {
            coalesces: false,
            ..DiskOptions::default()
        };
        Self {
            disk: SimulatedDisk::new(1, options, Rng::new(1)),
            node: None,
            now: Now {
                instant: Instant(0),
                wall: Timestamp(1_767_225_600_000),
            },
            out: Outbox::default(),
            inputs: Vec::new(),
            held: false,
            next_request: 0,
            unanswered: BTreeMap::new(),
            logs: BTreeMap::new(),
            members: Members::default(),
            minutes: String::new(),
        }
    }

    fn note(&mut self, what: &str) {
        writeln!(self.minutes, "{what}").expect("a String takes all text");
    }

    fn run(&mut self, line: &str) -> String {
        let command = Command::parse(line);
        let asked = self.next_request;
        match command.name {
            "start" => self.start(&command),
            "crash" => self.die(None),
            "cut-power" => self.die(Some(PowerLoss::LOSE_ALL)),
            "stop" => {
                self.inputs.push(Input::Shutdown);
                self.turn();
                let stopped = self.node.as_ref().and_then(Node::stopped);
                let what = format!("stopped {stopped:?}");
                self.note(&what);
                self.die(None);
            }
            "hold" => self.held = true,
            "release" => {
                self.held = false;
                self.turn();
            }
            "wait" => self.wait(command.subject.parse().expect("milliseconds")),
            name => {
                let (request, version) = match self.members.request(&command, asked) {
                    Some(of_groups) => of_groups,
                    None => (request(&command, self.now), version(name)),
                };
                self.ask(&command, request, version);
            }
        }
        if asked < self.next_request && self.unanswered.contains_key(&asked) {
            let what = format!("parked #{asked} {}", self.unanswered[&asked]);
            self.note(&what);
        }
        std::mem::take(&mut self.minutes)
    }

    fn start(&mut self, command: &Command<'_>) {
        let mut properties = String::from("log.dirs=data\n");
        for (name, value) in &command.values {
            writeln!(properties, "{name}={value}").expect("a String takes all text");
        }
        let settings = Settings::load(&properties, &[]).expect("good configurations");
        let config = BrokerConfig::of(&settings).expect("good configurations");
        let options = BootOptions {
            listeners: config.listeners.advertised.clone(),
            settings,
            config,
            directories: vec![self.disk.list_at_boot(DirectoryIndex(0))],
            seed: 1,
        };
        let mut out = Outbox::default();
        let node = Node::boot(self.now, options, &mut out).expect("its own directory");
        self.node = Some(node);
        self.out = out;
        self.carry_out();
        self.turn();
        self.inputs.push(Input::Connected {
            connection: CLIENT,
            listener: ListenerId(0),
            peer_host: "10.0.0.1".into(),
        });
        self.turn();
        let is_ready = self.node.as_ref().is_some_and(Node::is_ready);
        self.note(if is_ready { "ready" } else { "not ready" });
    }

    fn die(&mut self, loss: Option<PowerLoss>) {
        self.node = None;
        self.inputs.clear();
        self.unanswered.clear();
        self.logs.clear();
        match loss {
            Some(loss) => self.disk.lose_power(&loss),
            None => self.disk.crash_process(),
        }
    }

    fn ask(&mut self, command: &Command<'_>, request: Request, version: i32) {
        let version = command.small("version", version);
        let sequence = self.next_request;
        self.next_request += 1;
        self.unanswered.insert(sequence, request.api_name());
        let head = RequestHead {
            api_key: request.api_key(),
            version: i16::try_from(version).expect("a version"),
            correlation_id: 0,
            client_id: command.values.get("client").map(|id| (*id).into()),
            frame_bytes: u32::try_from(command.number("frame", 0)).expect("a size"),
        };
        self.inputs.push(Input::Request {
            connection: CLIENT,
            sequence: RequestSequence(sequence),
            head,
            request,
        });
        self.turn();
    }

    /// Time passes; the node is woken whenever it asked to be.
    fn wait(&mut self, milliseconds: u64) {
        let end = Instant(self.now.instant.0 + milliseconds * 1_000_000);
        while let Some((at, _why)) = self.node.as_ref().and_then(Node::next_deadline)
            && at <= end
        {
            self.pass_to(at);
            self.turn();
        }
        self.pass_to(end);
        self.turn();
    }

    fn pass_to(&mut self, at: Instant) {
        let before_ms = self.now.instant.0 / 1_000_000;
        self.now.instant = self.now.instant.max(at);
        let passed_ms = self.now.instant.0 / 1_000_000 - before_ms;
        self.now.wall.0 += i64::try_from(passed_ms).expect("short");
    }

    /// One turn over what there is, then as many as the disk's answers make.
    fn turn(&mut self) {
        loop {
            let Some(node) = &mut self.node else {
                return;
            };
            node.turn(self.now, &mut self.inputs, &mut self.out);
            self.inputs.clear();
            self.carry_out();
            let Some(at_ns) = self.disk.next_at_ns().filter(|_| !self.held) else {
                return;
            };
            self.pass_to(Instant(at_ns));
            let mut done = Vec::new();
            self.disk.advance(self.now.instant.0, &mut done);
            self.inputs.extend(done.into_iter().map(Input::Disk));
        }
    }

    fn carry_out(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        for effect in out.replies.drain(..) {
            let sequence = effect.sequence.0;
            self.unanswered.remove(&sequence);
            let of_groups = self.members.describe(&effect.reply, sequence);
            let said = of_groups.unwrap_or_else(|| self.describe(&effect.reply));
            self.note(&format!("reply #{sequence} {said}"));
        }
        for (_connection, is_muted) in out.muted.drain(..) {
            self.note(if is_muted { "mute" } else { "unmute" });
        }
        for (_connection, why) in out.close.drain(..) {
            self.note(&format!("close {why}"));
        }
        for event in out.events.drain(..) {
            let said = self.members.with_names(&event.to_string());
            self.note(&format!("event {:?} {said}", event.severity));
        }
        for op in out.disk.drain(..) {
            self.note_op(&op);
            self.disk.submit(op, self.now.instant.0);
        }
        self.out = out;
    }

    /// Notes what is asked of the disk for logs of topics; the metadata log is not our subject.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the minutes leave out what they do not speak of"
    )]
    fn note_op(&mut self, op: &DiskOp) {
        if let DiskOp::CreateLog { log, folder, .. } | DiskOp::OpenLog { log, folder, .. } = op
            && (!folder.starts_with("__") || folder.starts_with("__consumer_offsets"))
        {
            self.logs.insert(*log, folder.to_string());
        }
        let said = match op {
            DiskOp::Append {
                log,
                generation,
                segment,
                position,
                end_offset,
                batches,
            } => {
                let mut base = [0; 8];
                base.copy_from_slice(&batches[0].stamp[..8]);
                let base = i64::from_be_bytes(base);
                let place = format!("segment={segment} position={position}");
                let range = format!("[{base},{end_offset})");
                Some((
                    log,
                    format!("append {range} generation={generation} {place}"),
                ))
            }
            DiskOp::CreateSegment { log, segment, .. } => {
                Some((log, format!("create segment {segment}")))
            }
            DiskOp::MarkLogDeleted { log, folder } | DiskOp::RenameLog { log, folder, .. } => {
                Some((log, format!("rename to {folder}")))
            }
            DiskOp::MarkSegmentDeleted { log, segment, .. } => {
                Some((log, format!("mark segment {segment} deleted")))
            }
            DiskOp::RemoveSegment { log, segment } => {
                Some((log, format!("remove segment {segment}")))
            }
            DiskOp::Sync {
                log, end_offset, ..
            } => Some((log, format!("sync to {end_offset}"))),
            DiskOp::Truncate {
                log,
                end_offset,
                position,
                ..
            } => Some((
                log,
                format!("truncate to {end_offset}, position={position}"),
            )),
            _quiet => None,
        };
        if let Some((log, what)) = said
            && let Some(folder) = self.logs.get(log)
        {
            let line = format!("disk {folder} {what}");
            self.note(&line);
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "no command asks for any other reply"
    )]
    fn describe(&self, reply: &Reply) -> String {
        match reply {
            Reply::AlterClientQuotas(reply) => {
                format!("limited {}", name_of(reply.entries[0].error_code))
            }
            Reply::IncrementalAlterConfigs(reply) => {
                format!("altered {}", name_of(reply.responses[0].error_code))
            }
            Reply::CreateTopics(reply) => {
                format!("created {}", name_of(reply.topics[0].error_code))
            }
            Reply::DeleteRecords(reply) => {
                let partition = &reply.topics[0].partitions[0];
                let code = name_of(partition.error_code);
                format!("deleted {code} low_watermark={}", partition.low_watermark)
            }
            Reply::Fetch(reply) => self.describe_fetch(reply),
            Reply::ListOffsets(reply) => {
                let partition = &reply.topics[0].partitions[0];
                let code = name_of(partition.error_code);
                format!(
                    "offset {code} {} at {}",
                    partition.offset, partition.timestamp
                )
            }
            Reply::OffsetForLeaderEpoch(reply) => {
                let partition = &reply.topics[0].partitions[0];
                let code = name_of(partition.error_code);
                format!(
                    "epoch {code} {} ends at {}",
                    partition.leader_epoch, partition.end_offset
                )
            }
            Reply::Produce(reply) => {
                let partition = &reply.responses[0].partition_responses[0];
                let code = name_of(partition.error_code);
                let start = partition.log_start_offset;
                format!(
                    "produced {code} base_offset={} log_start={start}{}",
                    partition.base_offset,
                    throttled(reply.throttle_time_ms)
                )
            }
            Reply::Nothing => "nothing".to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn describe_fetch(&self, reply: &ottla_core::wire::request::FetchReply) -> String {
        let throttled = throttled(reply.response.throttle_time_ms);
        let Some(topic) = reply.response.responses.first() else {
            return format!("fetched nothing{throttled}");
        };
        let partition = &topic.partitions[0];
        let mut text = format!(
            "fetched {} high_watermark={} log_start={}",
            name_of(partition.error_code),
            partition.high_watermark,
            partition.log_start_offset
        );
        for slice in &reply.records[0][0] {
            let place = match slice {
                Slice::File { .. } => "file",
                Slice::Memory(_) => "memory",
            };
            let bytes = self.disk.resolve(slice);
            for range in ranges(&bytes) {
                write!(text, " {range} from {place}").expect("a String takes all text");
            }
        }
        text + &throttled
    }
}

fn throttled(throttle_time_ms: i32) -> String {
    match throttle_time_ms {
        0 => String::new(),
        waits => format!(" throttled for {waits} ms"),
    }
}

/// The offsets of the batches in front of what was fetched.
fn ranges(mut bytes: &[u8]) -> Vec<String> {
    let mut ranges = Vec::new();
    while bytes.len() >= 61 {
        let word = |at: usize| i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        let base = i64::from_be_bytes(bytes[..8].try_into().expect("eight"));
        let size = usize::try_from(word(8) + 12).expect("a batch");
        if size > bytes.len() {
            break;
        }
        let attributes = bytes[22];
        let codec = ["", " gzip", " snappy", " lz4", " zstd"][usize::from(attributes & 7)];
        let stamped = if attributes & 8 == 0 { "" } else { " stamped" };
        let end = base + i64::from(word(23)) + 1;
        ranges.push(format!("[{base},{end}){codec}{stamped}"));
        bytes = &bytes[size..];
    }
    ranges
}

fn name_of(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("?", ErrorCode::name)
}

/// A version of each API that names topics.
fn version(command: &str) -> i32 {
    match command {
        "alter" | "quota" => 1,
        "create" => 7,
        "delete-records" => 2,
        "epoch-end" => 4,
        "fetch" => 11,
        "list" => 7,
        "produce" => 9,
        other => panic!("{other} is no command"),
    }
}

fn request(command: &Command<'_>, now: Now) -> Request {
    match command.name {
        "create" => {
            let mut topic = CreatableTopic::default();
            topic.name = command.subject.into();
            topic.num_partitions = 1;
            topic.replication_factor = 1;
            for (name, value) in command.properties() {
                let mut config = CreatableTopicConfig::default();
                config.name = name.into();
                config.value = Some(value.into());
                topic.configs.push(config);
            }
            let mut request = kafka_wire::CreateTopicsRequest::default();
            request.topics = vec![topic];
            request.timeout_ms = 1_000;
            Request::CreateTopics(request)
        }
        "delete-records" => {
            let mut partition = DeleteRecordsPartition::default();
            partition.offset = command.number("offset", -1);
            let mut topic = DeleteRecordsTopic::default();
            topic.name = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::DeleteRecordsRequest::default();
            request.topics = vec![topic];
            request.timeout_ms = 1_000;
            Request::DeleteRecords(request)
        }
        "epoch-end" => {
            let mut partition = OffsetForLeaderPartition::default();
            partition.current_leader_epoch = -1;
            partition.leader_epoch = command.small("epoch", 0);
            let mut topic = OffsetForLeaderTopic::default();
            topic.topic = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::OffsetForLeaderEpochRequest::default();
            request.topics = vec![topic];
            Request::OffsetForLeaderEpoch(request)
        }
        "alter" => alter(command),
        "fetch" => fetch(command),
        "list" => {
            let mut partition = ListOffsetsPartition::default();
            partition.current_leader_epoch = -1;
            partition.timestamp = command.number("at", -1);
            let mut topic = ListOffsetsTopic::default();
            topic.name = command.subject.into();
            topic.partitions = vec![partition];
            let mut request = kafka_wire::ListOffsetsRequest::default();
            request.replica_id = -1;
            request.topics = vec![topic];
            Request::ListOffsets(request)
        }
        "produce" => produce(command, now),
        "quota" => quota(command),
        other => panic!("{other} is no command"),
    }
}

/// Kinds of resource: a topic, a broker.
const KINDS: (i8, i8) = (2, 4);

fn alter(command: &Command<'_>) -> Request {
    let mut resource = AlterConfigsResource::default();
    (resource.resource_type, resource.resource_name) = match command.subject {
        "broker" => (KINDS.1, "1".into()),
        "brokers" => (KINDS.1, "".into()),
        topic => (KINDS.0, topic.into()),
    };
    for (name, value) in command.properties() {
        let mut config = AlterableConfig::default();
        config.name = name.into();
        config.config_operation = i8::from(value.is_empty());
        config.value = Some(value.into());
        resource.configs.push(config);
    }
    let mut request = kafka_wire::IncrementalAlterConfigsRequest::default();
    request.resources = vec![resource];
    Request::IncrementalAlterConfigs(request)
}

fn quota(command: &Command<'_>) -> Request {
    let mut entity = EntityData::default();
    entity.entity_type = "client-id".into();
    entity.entity_name = Some(command.subject.into());
    let mut entry = EntryData::default();
    entry.entity = vec![entity];
    for (name, value) in command.properties() {
        let mut op = OpData::default();
        op.key = name.into();
        op.remove = value.is_empty();
        op.value = value.parse().unwrap_or(0.0);
        entry.ops.push(op);
    }
    let mut request = kafka_wire::AlterClientQuotasRequest::default();
    request.entries = vec![entry];
    Request::AlterClientQuotas(request)
}

fn fetch(command: &Command<'_>) -> Request {
    let mut partition = FetchPartition::default();
    partition.current_leader_epoch = command.small("leader-epoch", -1);
    partition.fetch_offset = command.number("offset", 0);
    partition.last_fetched_epoch = -1;
    partition.log_start_offset = -1;
    partition.partition_max_bytes = command.small("bytes", 1 << 20);
    let mut topic = FetchTopic::default();
    topic.topic = command.subject.into();
    topic.partitions = vec![partition];
    let mut request = kafka_wire::FetchRequest::default();
    request.replica_id = -1;
    request.max_wait_ms = command.small("wait", 0);
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_epoch = -1;
    request.topics = vec![topic];
    Request::Fetch(request)
}

fn produce(command: &Command<'_>, now: Now) -> Request {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(producer) = command.values.get("producer") {
        let numbers: Vec<i64> = producer.split(':').map(|n| n.parse().expect("n")).collect();
        let epoch = ProducerEpoch(i16::try_from(numbers[1]).expect("an int16"));
        let sequence = Sequence(i32::try_from(numbers[2]).expect("an int32"));
        builder = builder.producer(ProducerId(numbers[0]), epoch, sequence);
    }
    let value = vec![b'v'; usize::try_from(command.number("size", 20)).expect("a size")];
    let mut time = now.wall;
    time.0 += command.number("time", 0);
    for _ in 0..command.number("records", 1) {
        builder.push(time, None, Some(&value));
    }
    let acks = match command.values.get("acks") {
        Some(&"0") => 0,
        Some(&"1") => 1,
        _all => -1,
    };
    Request::Produce(ProduceInput {
        transactional_id: None,
        acks,
        timeout_ms: command.small("timeout", 1_000),
        topics: OneOrMany::One(ProduceTopic {
            name: command.subject.into(),
            topic_id: TopicId::ZERO,
            partitions: OneOrMany::One(ProducePartition {
                index: PartitionIndex(0),
                batch: PreparedBatch::from_client(builder.build(), 9),
            }),
        }),
    })
}

/// Runs a script; answers it with what happened now.
fn play(script: &str) -> String {
    let mut stage = Stage::new();
    let mut played = String::new();
    let mut is_outcome = false;
    for line in script.lines() {
        let is_command = !line.is_empty() && !line.starts_with('#') && line != "----";
        if line == "----" {
            is_outcome = true;
        } else if line.is_empty() {
            is_outcome = false;
            played.push('\n');
        } else if !is_outcome {
            writeln!(played, "{line}").expect("a String takes all text");
            if is_command {
                let minutes = stage.run(line);
                if !minutes.is_empty() {
                    write!(played, "----\n{minutes}").expect("a String takes all text");
                    is_outcome = true;
                }
            }
        }
    }
    played
}

#[test]
fn scenarios_go_as_they_are_written_down() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/scenario");
    let update = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/golden/scenario")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are scenarios");
    let mut different = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("readable");
        let played = play(&script);
        if played != script {
            if update {
                std::fs::write(&path, &played).expect("writable");
            } else {
                different.push(format!("{}:\n{played}", path.display()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "UPDATE=1 rewrites\n{}",
        different.join("\n")
    );
}
