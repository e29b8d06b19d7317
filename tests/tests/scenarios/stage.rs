//! One node on a stage: its disk, its client, and the minutes of what it lets out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::error::ErrorCode;
use ottla_core::ids::{ConnectionId, DirectoryIndex, ListenerId, LogId, RequestSequence};
use ottla_core::node::door::{Input, Outbox};
use ottla_core::node::{BootOptions, Node};
use ottla_core::rng::Rng;
use ottla_core::sim::disk::{DiskOptions, PowerLoss, SimulatedDisk};
use ottla_core::storage::{DiskOp, Slice};
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::request::{Reply, Request, RequestHead};

use crate::groups::Members;
use crate::requests::{Command, request, version};

pub(crate) const CLIENT: ConnectionId = ConnectionId(1);

/// One node, its disk, and the minutes.
pub(crate) struct Stage {
    pub(crate) disk: SimulatedDisk,
    pub(crate) node: Option<Node>,
    pub(crate) now: Now,
    pub(crate) out: Outbox,
    pub(crate) inputs: Vec<Input>,
    pub(crate) held: bool,
    pub(crate) next_request: u64,
    pub(crate) unanswered: BTreeMap<u64, &'static str>,
    pub(crate) logs: BTreeMap<LogId, String>,
    pub(crate) members: Members,
    pub(crate) minutes: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn note(&mut self, what: &str) {
        writeln!(self.minutes, "{what}").expect("a String takes all text");
    }

    pub(crate) fn run(&mut self, line: &str) -> String {
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

    pub(crate) fn start(&mut self, command: &Command<'_>) {
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

    pub(crate) fn die(&mut self, loss: Option<PowerLoss>) {
        self.node = None;
        self.inputs.clear();
        self.unanswered.clear();
        self.logs.clear();
        match loss {
            Some(loss) => self.disk.lose_power(&loss),
            None => self.disk.crash_process(),
        }
    }

    pub(crate) fn ask(&mut self, command: &Command<'_>, request: Request, version: i32) {
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
            work_ns: 0,
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
    pub(crate) fn wait(&mut self, milliseconds: u64) {
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

    pub(crate) fn pass_to(&mut self, at: Instant) {
        let before_ms = self.now.instant.0 / 1_000_000;
        self.now.instant = self.now.instant.max(at);
        let passed_ms = self.now.instant.0 / 1_000_000 - before_ms;
        self.now.wall.0 += i64::try_from(passed_ms).expect("short");
    }

    /// One turn over what there is, then as many as the disk's answers make.
    pub(crate) fn turn(&mut self) {
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

    pub(crate) fn carry_out(&mut self) {
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
    pub(crate) fn note_op(&mut self, op: &DiskOp) {
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
    pub(crate) fn describe(&self, reply: &Reply) -> String {
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

    pub(crate) fn describe_fetch(&self, reply: &ottla_core::wire::request::FetchReply) -> String {
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

pub(crate) fn throttled(throttle_time_ms: i32) -> String {
    match throttle_time_ms {
        0 => String::new(),
        waits => format!(" throttled for {waits} ms"),
    }
}

/// The offsets of the batches in front of what was fetched.
pub(crate) fn ranges(mut bytes: &[u8]) -> Vec<String> {
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

pub(crate) fn name_of(code: i16) -> &'static str {
    ErrorCode::from_code(code).map_or("?", ErrorCode::name)
}
