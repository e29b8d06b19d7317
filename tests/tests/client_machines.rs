//! The producer and the consumer against a whole broker, while connections break and the process
//! dies: what an idempotent producer sends is read once, in order, and nothing acknowledged is
//! missing.
//!
//! The simulator drives requests of its own making; these are the machines that the command line
//! is made of. Everything runs in one thread on virtual time, and a seed repeats it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_wire_core::StrBytes;
use ottla_core::client::admin::{Admin, AdminTarget};
use ottla_core::client::consumer::{Consumer, ConsumerOptions, StartAt};
use ottla_core::client::network::{ClientEffect, ClientInput, LinkId, NetworkOptions};
use ottla_core::client::producer::{Producer, ProducerOptions, ProducerRecord};
use ottla_core::config::listeners::{Listener, SecurityProtocol};
use ottla_core::config::{BrokerConfig, Settings};
use ottla_core::connection::{Connection, ConnectionLimits};
use ottla_core::ids::{ConnectionId, ListenerId, PartitionIndex, TopicPartition};
use ottla_core::node::door::{Input, Outbox};
use ottla_core::node::{BootOptions, Node};
use ottla_core::rng::Rng;
use ottla_core::sim::disk::{DiskOptions, SimulatedDisk};
use ottla_core::storage::Slice;
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::batch::Compression;
use ottla_core::wire::request::Piece;

const TOPIC: &str = "numbers";
const PARTITIONS: i32 = 3;

/// Which machine a connection belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Who {
    Admin,
    Consumer,
    Producer,
}

/// A broker, its disk, and the wires to it.
struct World {
    node: Node,
    disk: SimulatedDisk,
    now: Now,
    out: Outbox,
    inputs: Vec<Input>,
    links: BTreeMap<(Who, LinkId), Connection>,
    next_connection: u64,
    /// What is on its way to the clients.
    arriving: Vec<(Who, ClientInput)>,
    rng: Rng,
}

fn boot(disk: &SimulatedDisk, now: Now, out: &mut Outbox) -> Node {
    let settings = Settings::load("log.flush.policy=os", &[]).expect("they are valid");
    let config = BrokerConfig::of(&settings).expect("defaults are valid");
    let options = BootOptions {
        settings,
        config,
        listeners: vec![Listener {
            name: "PLAINTEXT".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
        }],
        directories: disk.directories().map(|at| disk.listing(at)).collect(),
        seed: 7,
    };
    Node::boot(now, options, out).expect("its own directory")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let disk = SimulatedDisk::new(1, DiskOptions::default(), rng.child("disk", 0));
        let now = Now {
            instant: Instant(1),
            wall: Timestamp(1_700_000_000_000),
        };
        let mut out = Outbox::default();
        let node = boot(&disk, now, &mut out);
        // One draw, so that worlds of neighbouring seeds differ at once.
        let _first = rng.next_u64();
        let mut world = Self {
            node,
            disk,
            now,
            out,
            inputs: Vec::new(),
            links: BTreeMap::new(),
            next_connection: 0,
            arriving: Vec::new(),
            rng,
        };
        loop {
            world.turn();
            if world.node.is_ready() {
                return world;
            }
            let next = world.next_at().expect("the boot goes on");
            world.pass_until(next);
        }
    }

    /// Carries out what a machine asks for.
    fn carry_out(&mut self, who: Who, effects: Vec<ClientEffect>) {
        for effect in effects {
            match effect {
                ClientEffect::Close { link } => {
                    if let Some(connection) = self.links.remove(&(who, link)) {
                        self.disconnected(&connection);
                    }
                }
                ClientEffect::Connect { link, .. } => {
                    let id = ConnectionId(self.next_connection);
                    self.next_connection += 1;
                    let connection = Connection::new(id, ConnectionLimits::default());
                    self.links.insert((who, link), connection);
                    self.inputs.push(Input::Connected {
                        connection: id,
                        listener: ListenerId(0),
                        peer_host: "127.0.0.1".into(),
                    });
                    self.arriving.push((who, ClientInput::Connected { link }));
                }
                ClientEffect::Send { link, bytes } => self.on_bytes(who, link, &bytes),
            }
        }
    }

    fn disconnected(&mut self, connection: &Connection) {
        self.inputs.push(Input::Disconnected {
            connection: connection.id(),
        });
    }

    fn on_bytes(&mut self, who: Who, link: LinkId, bytes: &[u8]) {
        let Some(connection) = self.links.get_mut(&(who, link)) else {
            return;
        };
        connection.receive(bytes);
        while let Some(received) = connection.next_request().expect("our client is sane") {
            self.inputs.push(Input::Request {
                connection: connection.id(),
                sequence: received.sequence,
                head: received.head,
                request: received.request,
            });
        }
    }

    /// One turn of the broker, and its effects.
    fn turn(&mut self) {
        self.node.turn(self.now, &mut self.inputs, &mut self.out);
        for effect in std::mem::take(&mut self.out.replies) {
            let mut links = self.links.iter_mut();
            let owner = links.find(|(_, connection)| connection.id() == effect.connection);
            let Some(((who, link), connection)) = owner else {
                continue;
            };
            connection
                .reply(effect.sequence, effect.reply)
                .expect("encodes");
            let mut pieces = Vec::new();
            let size = connection.take_output(&mut pieces);
            connection.wrote(size);
            for piece in pieces {
                let bytes = resolve(&self.disk, piece);
                let link = *link;
                self.arriving
                    .push((*who, ClientInput::Received { link, bytes }));
            }
        }
        for op in self.out.disk.drain(..) {
            self.disk.submit(op, self.now.instant.0);
        }
        for (id, _reason) in std::mem::take(&mut self.out.close) {
            let mut links = self.links.iter();
            let owner = links.find(|(_, connection)| connection.id() == id);
            if let Some(key) = owner.map(|(key, _)| *key) {
                self.break_link(key);
            }
        }
        self.out.clear();
    }

    fn next_at(&self) -> Option<Instant> {
        let disk = self.disk.next_at_ns().map(Instant);
        let node = self.node.next_deadline().map(|(at, _why)| at);
        disk.into_iter().chain(node).min()
    }

    fn pass_until(&mut self, at: Instant) {
        let before = self.now.instant;
        self.now.instant = before.max(at);
        let passed_ms = self.now.instant.since(before).as_millis();
        self.now.wall.0 += i64::try_from(passed_ms).expect("a short time");
        let mut done = Vec::new();
        self.disk.advance(self.now.instant.0, &mut done);
        self.inputs.extend(done.into_iter().map(Input::Disk));
    }

    /// Breaks a connection; what was under way to the client is lost.
    fn break_one(&mut self) {
        let count = self.links.len() as u64;
        if count == 0 {
            return;
        }
        let at = usize::try_from(self.rng.below(count)).expect("a few");
        let key = *self.links.keys().nth(at).expect("below the count");
        self.break_link(key);
    }

    fn break_link(&mut self, (who, link): (Who, LinkId)) {
        let connection = self.links.remove(&(who, link)).expect("listed");
        self.disconnected(&connection);
        self.arriving.retain(|(other, input)| {
            let other_link = match input {
                ClientInput::Closed { link }
                | ClientInput::Connected { link }
                | ClientInput::Received { link, .. } => *link,
            };
            (*other, other_link) != (who, link)
        });
        self.arriving.push((who, ClientInput::Closed { link }));
    }

    /// Kills the process and starts it again over what the page cache holds.
    fn kill(&mut self) {
        while !self.links.is_empty() {
            self.break_one();
        }
        self.inputs.clear();
        self.disk.crash_process();
        self.out = Outbox::default();
        self.node = boot(&self.disk, self.now, &mut self.out);
        for op in self.out.disk.drain(..) {
            self.disk.submit(op, self.now.instant.0);
        }
    }
}

fn resolve(disk: &SimulatedDisk, piece: Piece) -> Bytes {
    match piece {
        Piece::Bytes(bytes) => bytes,
        Piece::File {
            log,
            segment,
            position,
            length,
        } => disk.resolve(&Slice::File {
            log,
            segment,
            position,
            length,
        }),
    }
}

fn network() -> NetworkOptions {
    let mut options = NetworkOptions::new(vec![("127.0.0.1".into(), 9092)]);
    options.request_timeout = Duration::from_secs(5);
    options
}

/// The three machines.
struct Clients {
    admin: Admin,
    consumer: Consumer,
    producer: Producer,
}

impl Clients {
    fn on_input(&mut self, now: Now, who: Who, input: ClientInput) {
        match who {
            Who::Admin => self.admin.on_input(now.instant, input),
            Who::Consumer => self.consumer.on_input(now.instant, input),
            Who::Producer => self.producer.on_input(now, input),
        }
    }

    fn take_effects(&mut self) -> Vec<(Who, Vec<ClientEffect>)> {
        let mut all = vec![
            (Who::Admin, Vec::new()),
            (Who::Consumer, Vec::new()),
            (Who::Producer, Vec::new()),
        ];
        self.admin.take_effects(&mut all[0].1);
        self.consumer.take_effects(&mut all[1].1);
        self.producer.take_effects(&mut all[2].1);
        all.retain(|(_, effects)| !effects.is_empty());
        all
    }

    fn next_deadline(&self) -> Option<Instant> {
        let all = [
            self.admin.next_deadline(),
            self.consumer.next_deadline(),
            self.producer.next_deadline(),
        ];
        all.into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Now) {
        self.admin.on_time(now.instant);
        self.consumer.on_time(now.instant);
        self.producer.on_time(now);
    }
}

/// Lets the world go on by one step.
fn step(world: &mut World, clients: &mut Clients) {
    let effects = clients.take_effects();
    let mut is_quiet = effects.is_empty() && world.inputs.is_empty();
    for (who, effects) in effects {
        world.carry_out(who, effects);
    }
    world.turn();
    if !world.arriving.is_empty() {
        is_quiet = false;
        for (who, input) in std::mem::take(&mut world.arriving) {
            clients.on_input(world.now, who, input);
        }
    }
    if is_quiet {
        let next = world.next_at().into_iter().chain(clients.next_deadline());
        let next = next.min().expect("something is always to come");
        world.pass_until(next.max(Instant(world.now.instant.0 + 1)));
        clients.on_time(world.now);
    }
}

fn create_topic(world: &mut World, clients: &mut Clients) {
    let mut topic = kafka_wire::create_topics_request::CreatableTopic::default();
    topic.name = StrBytes::from(TOPIC);
    topic.num_partitions = PARTITIONS;
    topic.replication_factor = 1;
    let mut create = kafka_wire::CreateTopicsRequest::default();
    create.topics = vec![topic];
    create.timeout_ms = 5_000;
    let now = world.now.instant;
    let call = clients.admin.call(now, AdminTarget::Controller, create);
    for _step in 0..10_000 {
        step(world, clients);
        if let Some(answer) = clients.admin.next_answer() {
            assert_eq!(answer.call, call);
            assert!(answer.result.is_ok(), "{:?}", answer.result);
            return;
        }
    }
    panic!("the topic is never created");
}

fn clients(rng: &mut Rng) -> Clients {
    let codec = usize::try_from(rng.below(5)).expect("a codec");
    let mut producer = ProducerOptions::new(network());
    producer.batch_bytes_max = 100 + usize::try_from(rng.below(2_000)).expect("small");
    producer.compression = Compression::ALL[codec];
    producer.in_flight_max = 1 + usize::try_from(rng.below(5)).expect("small");
    let mut consumer = ConsumerOptions::new(network());
    consumer.uses_sessions = rng.chance(2, 3);
    consumer.partition_max_bytes = 300;
    Clients {
        admin: Admin::new(network()),
        consumer: Consumer::new(consumer),
        producer: Producer::new(producer),
    }
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition {
        topic: TOPIC.into(),
        partition: PartitionIndex(index),
    }
}

/// Writes numbers while things break, reads them back, and compares.
fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut clients = clients(&mut world.rng);
    create_topic(&mut world, &mut clients);
    let now = world.now.instant;
    for index in 0..PARTITIONS {
        let start = StartAt::Earliest;
        clients.consumer.assign(now, &partition(index), start);
    }
    let count = 150;
    let mut written: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let mut read: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    let (mut sent, mut delivered, mut consumed, mut kills) = (0i64, 0, 0, 0);
    for _step in 0..200_000 {
        if sent < count && world.rng.chance(1, 3) {
            let index = i32::try_from(world.rng.below(3)).expect("small");
            let record = ProducerRecord {
                topic: TOPIC.into(),
                partition: Some(PartitionIndex(index)),
                value: Some(Bytes::copy_from_slice(&sent.to_be_bytes())),
                ..ProducerRecord::default()
            };
            clients.producer.send(world.now, record);
            written.entry(index).or_default().push(sent);
            sent += 1;
        }
        if world.rng.chance(1, 40) && consumed < count {
            world.break_one();
        }
        if world.rng.chance(1, 150) && kills < 5 {
            kills += 1;
            world.kill();
        }
        step(&mut world, &mut clients);
        while let Some(report) = clients.producer.next_report() {
            let end = report.result;
            assert!(end.is_ok(), "seed {seed}: {end:?}");
            delivered += 1;
        }
        while let Some(batch) = clients.consumer.next_records() {
            let values = read.entry(batch.partition.partition.0).or_default();
            for record in batch.records {
                let value = record.value.expect("a number");
                values.push(i64::from_be_bytes(*value.first_chunk().expect("8 bytes")));
                consumed += 1;
            }
        }
        if let Some((partition, error)) = clients.consumer.next_error() {
            panic!("seed {seed}: {partition}: {error}");
        }
        if delivered == count && consumed >= count {
            break;
        }
    }
    assert_eq!(delivered, count, "seed {seed}: all are acknowledged");
    assert_eq!(read, written, "seed {seed}: once, and in order");
}

#[test]
fn records_arrive_once_and_in_order_whatever_breaks() {
    for seed in 0..60 {
        run(seed);
    }
}
