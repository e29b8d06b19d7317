//! A simulated world: nodes, clients, the network between them, and what befalls them.
//!
//! One queue of events in virtual time; each is carried out whole. A world is a plain value: it can
//! be cloned, forked and run again. It makes no decision by itself: a seed's streams do.

mod faults;
mod plans;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::client::network::LinkId;
use crate::event::{Event as NodeEvent, Severity};
use crate::ids::ConnectionId;
use crate::rng::Rng;
use crate::sim::checkers::Violation;
use crate::sim::checkers::durability::DurabilityChecker;
use crate::sim::checkers::log_files;
use crate::sim::checkers::log_image::LogImage;
use crate::sim::client::SimulatedClient;
use crate::sim::clock::NodeClock;
use crate::sim::disk::{DirectoryId, FileSystem, SimulatedDisk};
use crate::sim::nemesis::{Fault, Nemesis};
use crate::sim::network::{Direction, Network};
use crate::sim::node::{SimulatedNode, TurnEffects};
use crate::sim::numbers::{done_numbers, hash_of_op, op_numbers};
use crate::sim::options::Options;
use crate::sim::schedule::Schedule;
use crate::sim::trace::{Trace, TraceKind, TraceRecord, hash_of};
use crate::storage::{DirectoryFile, DiskError};

/// How long a node may be without a turn while inputs wait, at most: what a late reply is excused
/// for.
const TURN_SLACK: Duration = Duration::from_millis(20);

/// For how long a late reply is excused by a read of the disk: one waits for all that was asked of
/// its log before a segment was begun or swapped, and may be followed by others.
const READ_SLACK_NS: u64 = 50_000_000;

/// Is told what happens, as it does: for one who wants to read along, even where a run panics.
pub type Listener = fn(&str);

/// Something that is to happen.
#[derive(Clone, Debug)]
enum Event {
    Arrive(ConnectionId, Direction),
    Boot(u32),
    Connect(u32, LinkId, u16),
    CrashDuringRecovery(u32, u64),
    Disk(u32),
    DiskHasSpace(u32),
    Fault(Fault, u64),
    PowerCut(u32, u64),
    Step(u32),
    Stopped(u32, u64),
    Turn(u32, u64),
}

/// The world; see the module.
#[derive(Clone, Debug)]
pub struct World {
    /// The options, as of now.
    pub options: Options,
    schedule: Schedule<Event>,
    network: Network,
    nodes: Vec<SimulatedNode>,
    clients: Vec<SimulatedClient>,
    owners: BTreeMap<ConnectionId, u32>,
    nemesis: Nemesis,
    /// Faults planned in an earlier phase do not strike in a later one.
    phase: u64,
    durability: DurabilityChecker,
    violations: Vec<Violation>,
    trace: Trace,
    rng: Rng,
    turns_planned: BTreeMap<u32, BTreeSet<u64>>,
    /// Whether no disk call takes so long that a reply may be late by it.
    has_prompt_disks: bool,
    disks_planned: BTreeMap<u32, BTreeSet<u64>>,
    /// Whether a disk was damaged from outside: a node may say so, and refuse to run.
    is_damaged: bool,
    /// When a job's read was last seen to wait.
    last_read_ns: u64,
    listener: Option<Listener>,
}

impl World {
    /// A world of `nodes` nodes, none of which runs yet.
    #[must_use]
    pub fn new(options: Options, nodes: u32, root: &Rng, keep_trace: bool) -> Self {
        let make = |number| {
            let index = u64::from(number);
            let disk = SimulatedDisk::new(1, options.disk(), root.child("disk", index));
            let mut dice = root.child("clock", index);
            let clock = NodeClock {
                drift_ppm: options.clock_drift_ppm(),
                start_ns: dice.below(1 << 40),
                wall_skew_ms: i64::try_from(options.wall_skew_ms).unwrap_or(0),
            };
            let stopwatch = root.child("stopwatch", index);
            SimulatedNode::new(number, disk, (clock, stopwatch), &options)
        };
        Self {
            schedule: Schedule::default(),
            network: Network::new(options.network(), root.child("network", 0)),
            nodes: (0..nodes).map(make).collect(),
            clients: Vec::new(),
            owners: BTreeMap::new(),
            nemesis: Nemesis::new(&root.child("nemesis", 0)),
            phase: 0,
            durability: DurabilityChecker::default(),
            violations: Vec::new(),
            trace: Trace::new(keep_trace),
            rng: root.child("world", 0),
            turns_planned: BTreeMap::new(),
            has_prompt_disks: options.disk_slow_one_in == 0 && options.disk_read_ms_max == 0,
            disks_planned: BTreeMap::new(),
            is_damaged: false,
            last_read_ns: 0,
            listener: None,
            options,
        }
    }

    /// World time, in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.schedule.now_ns()
    }

    /// What happened, as numbers.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Tells `listener` what happens, in words, from now on.
    pub fn listen(&mut self, listener: Option<Listener>) {
        self.listener = listener;
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &[SimulatedNode] {
        &self.nodes
    }

    /// The clients.
    #[must_use]
    pub fn clients(&self) -> &[SimulatedClient] {
        &self.clients
    }

    /// The clients, to tell them what to do.
    pub fn clients_mut(&mut self) -> &mut [SimulatedClient] {
        &mut self.clients
    }

    /// Segments that compaction replaced so far.
    #[must_use]
    pub fn replaced_segments(&self) -> u64 {
        self.durability.compaction().replaced
    }

    /// Those of them with committed offsets.
    #[must_use]
    pub fn replaced_segments_of_offsets(&self) -> u64 {
        self.durability.compaction().replaced_of_offsets
    }

    /// The checker of what must be on disk.
    pub fn durability(&mut self) -> &mut DurabilityChecker {
        &mut self.durability
    }

    /// How often a fault struck.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.nemesis.struck()
    }

    /// What did not hold so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Notes that something did not hold.
    pub fn complain(&mut self, violation: Violation) {
        self.violations.push(violation);
    }

    /// Adds a client; it begins at once.
    pub fn add_client(&mut self, client: SimulatedClient) -> u32 {
        let number = u32::try_from(self.clients.len()).expect("a world has few clients");
        self.clients.push(client);
        self.schedule.after(0, Event::Step(number));
        number
    }

    /// Plans the start of a node, unless it runs.
    pub fn start_node(&mut self, node: u32, delay_ns: u64) {
        self.schedule.after(delay_ns, Event::Boot(node));
    }

    /// Begins a phase: faults planned before do not strike any more; new ones are planned by the
    /// options as they are now.
    pub fn begin_phase(&mut self) {
        self.phase += 1;
        for node in &mut self.nodes {
            node.disk_mut().make_space();
        }
        for fault in Fault::ALL {
            self.plan_fault(fault);
        }
    }

    /// Runs until `is_over` says so, at the latest until `end_ns`, or until something does not
    /// hold. Answers whether it was over.
    pub fn run_until(&mut self, end_ns: u64, is_over: impl Fn(&Self) -> bool) -> bool {
        while self.violations.is_empty() {
            if is_over(self) {
                return true;
            }
            let Some(event) = self.schedule.next_until(end_ns) else {
                return is_over(self);
            };
            self.carry_out(event);
        }
        false
    }

    /// Asks a node to stop in order.
    pub fn ask_to_stop(&mut self, node: u32) {
        self.tell(node, "is asked to stop");
        self.nodes[node as usize].ask_to_stop();
        self.plan_turn(node);
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Arrive(connection, direction) => self.arrive(connection, direction),
            Event::Boot(node) => self.boot(node),
            Event::Connect(client, link, port) => self.connect(client, link, port),
            Event::CrashDuringRecovery(node, incarnation) => {
                let at = &self.nodes[node as usize];
                if at.is_up() && at.incarnation() == incarnation {
                    self.nemesis.strike();
                    self.die(node);
                }
            }
            Event::Disk(node) => self.advance_disk(node),
            Event::DiskHasSpace(node) => {
                self.tell(node, "its disk has space again");
                self.nodes[node as usize].disk_mut().make_space();
            }
            Event::PowerCut(node, incarnation) => {
                let at = &self.nodes[node as usize];
                if at.is_up() && at.incarnation() == incarnation {
                    let loss = self.nemesis.power_loss(&self.options);
                    self.cut_power(node, &loss);
                    self.start_again(node, Fault::SyncError);
                }
            }
            Event::Fault(fault, phase) => {
                if phase == self.phase {
                    self.strike(fault);
                    self.plan_fault(fault);
                }
            }
            Event::Step(client) => self.step(client),
            Event::Stopped(node, incarnation) => self.on_stopped(node, incarnation),
            Event::Turn(node, incarnation) => self.turn(node, incarnation),
        }
    }

    fn boot(&mut self, node: u32) {
        if self.nodes[node as usize].is_up() {
            return;
        }
        let now_ns = self.now_ns();
        let at = &mut self.nodes[node as usize];
        let effects = at.boot(now_ns, &self.options, &mut self.durability);
        let incarnation = at.incarnation();
        self.note(node, TraceKind::Boot, incarnation, 0, 0);
        self.tell(node, "starts");
        self.after_turn(node, effects);
    }

    fn turn(&mut self, node: u32, incarnation: u64) {
        let now_ns = self.now_ns();
        self.turns_planned.entry(node).or_default().remove(&now_ns);
        let at = &mut self.nodes[node as usize];
        if !at.is_up() || at.incarnation() != incarnation {
            return;
        }
        let was_reading = at.disk().is_reading();
        let effects = at.turn(now_ns, &mut self.durability);
        // A read may have ended in this turn and the next one have begun, with no turn between.
        if was_reading || at.disk().is_reading() {
            self.last_read_ns = now_ns;
        }
        self.note(node, TraceKind::Turn, effects.inputs, effects.replies, 0);
        self.after_turn(node, effects);
        self.nodes[node as usize].end_turn(now_ns, TURN_SLACK);
        if self.has_prompt_disks {
            let was_reading = now_ns.saturating_sub(self.last_read_ns) < READ_SLACK_NS;
            if !was_reading {
                self.nodes[node as usize].check_deadlines(now_ns, TURN_SLACK);
            }
        }
        self.collect_violations(node);
        match self.nodes[node as usize].stopped() {
            Some(Ok(())) => self.schedule.after(1, Event::Stopped(node, incarnation)),
            // It could not boot upon a disk that failed; the machine is about to go.
            Some(Err(_)) if self.is_damaged || self.nodes[node as usize].disk().has_failed() => {}
            Some(Err(error)) => self.violations.push(Violation::new("L2", error)),
            None => {}
        }
    }

    fn after_turn(&mut self, node: u32, effects: TurnEffects) {
        let now_ns = self.now_ns();
        for op in &effects.disk_ops {
            let (a, b) = op_numbers(op);
            self.note(node, TraceKind::DiskOp, a, b, hash_of_op(op));
        }
        for event in &effects.events {
            self.on_node_event(node, event);
        }
        let mut planned = Vec::new();
        for (connection, bytes) in effects.outgoing {
            let length = bytes.len() as u64;
            self.note(
                node,
                TraceKind::Reply,
                connection.0,
                length,
                hash_of(&bytes),
            );
            let direction = Direction::ToClient;
            self.network
                .send(now_ns, connection, direction, bytes, &mut planned);
        }
        for connection in effects.closed {
            self.network
                .close(now_ns, connection, Direction::ToClient, &mut planned);
        }
        self.plan_arrivals(&planned);
        self.plan_disk(node);
        self.plan_turn(node);
    }

    fn advance_disk(&mut self, node: u32) {
        let now_ns = self.now_ns();
        self.disks_planned.entry(node).or_default().remove(&now_ns);
        let had_failed = self.nodes[node as usize].disk().has_failed();
        let done = self.nodes[node as usize].advance_disk(now_ns, &mut self.durability);
        if !had_failed && self.nodes[node as usize].disk().has_failed() {
            self.on_disk_lost(node);
        }
        for answer in &done {
            let (a, b) = done_numbers(answer);
            self.note(node, TraceKind::DiskDone, a, b, 0);
        }
        self.plan_disk(node);
        self.plan_turn(node);
    }

    fn on_stopped(&mut self, node: u32, incarnation: u64) {
        let at = &mut self.nodes[node as usize];
        if !at.is_up() || at.incarnation() != incarnation {
            return;
        }
        self.tell(node, "has stopped in order");
        let marker = DirectoryFile::CleanShutdown.name();
        let files = self.nodes[node as usize].file_systems();
        let marked = |files: &&FileSystem| files.lookup(DirectoryId::ROOT, marker).is_some();
        for files in files.into_iter().filter(marked) {
            for image in LogImage::take_all(files) {
                self.violations.extend(log_files::check(&image));
            }
        }
        // An orderly stop is a death after everything was said and done.
        self.crash(node);
        self.start_node(node, 1_000_000);
    }

    fn after_death(&mut self, node: u32) {
        self.nodes[node as usize].disk_mut().make_space();
        self.turns_planned.remove(&node);
        self.clients
            .iter_mut()
            .for_each(SimulatedClient::on_node_died);
        let mut planned = Vec::new();
        let now_ns = self.now_ns();
        self.network.node_died(now_ns, node, &mut planned);
        self.plan_arrivals(&planned);
        self.collect_violations(node);
    }

    fn on_node_event(&mut self, node: u32, event: &NodeEvent) {
        let text = event.to_string();
        self.note(node, TraceKind::Event, 0, 0, hash_of(text.as_bytes()));
        self.tell(node, &text);
        let is_excused = self.is_damaged
            || self.nodes[node as usize].disk().has_failed()
            || text.contains(&DiskError::Full.to_string());
        if event.severity == Severity::Error && !is_excused {
            self.violations.push(Violation::new("error", text));
        }
    }

    fn collect_violations(&mut self, node: u32) {
        self.violations.extend(self.durability.take_violations());
        let found = self.nodes[node as usize].take_violations();
        self.violations.extend(found);
    }

    fn note(&mut self, place: u32, kind: TraceKind, a: u64, b: u64, payload: u64) {
        self.trace.add(TraceRecord {
            time_ns: self.schedule.now_ns(),
            place,
            kind,
            a,
            b,
            payload,
        });
    }

    /// Tells people, where somebody listens.
    fn tell(&self, node: u32, what: &str) {
        if let Some(listener) = self.listener {
            let now_ms = self.now_ns() / 1_000_000;
            listener(&format!("{now_ms:>8} ms node {node}: {what}"));
        }
    }
}
