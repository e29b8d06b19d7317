//! One simulated node: a process around the core, on a disk that outlives it.
//!
//! A driver like the native one: bytes to connections, requests to the inbox, a turn over what came
//! together, slices resolved before the disk is told anything, replies to bytes. A process begins
//! from what its disk lists and nothing else: there is no other way for state to survive.

mod running;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::running::Running;
use super::boot::boot;
use super::checkers::Violation;
use super::checkers::door::{DoorChecker, Promise};
use super::checkers::durability::DurabilityChecker;
use super::checkers::saved::SavedChecker;
use super::checkers::topics::TopicChecker;
use super::clock::NodeClock;
use super::disk::{FileSystem, PowerLoss, SimulatedDisk};
use super::judges::Judges;
use super::options::Options;
use crate::connection::{Connection, ConnectionLimits};
use crate::event::Event;
use crate::ids::{ConnectionId, ListenerId};
use crate::node::door::{Input, Outbox};
use crate::rng::Rng;
use crate::storage::{DiskDone, DiskOp, FailureScope};

/// Turns from one look at what topics ask of batches to the next: meanwhile batches are opened as
/// they were asked for before, or not at all.
const DEMANDS_EVERY: u64 = 8;

/// Turns from one look at a node's accounts to the next.
const ACCOUNTS_EVERY: u64 = 4;

/// What a turn leads to outside the node.
#[derive(Clone, Debug, Default)]
pub struct TurnEffects {
    /// Bytes for clients.
    pub outgoing: Vec<(ConnectionId, Bytes)>,
    /// Connections the node is done with.
    pub closed: Vec<ConnectionId>,
    /// Operations its disk was given.
    pub disk_ops: Vec<DiskOp>,
    /// What it said happened.
    pub events: Vec<Event>,
    /// Replies it gave.
    pub replies: u64,
    /// How many inputs the turn had.
    pub inputs: u64,
}

/// A node with its disk and clock.
#[derive(Clone, Debug)]
pub struct SimulatedNode {
    number: u32,
    disk: SimulatedDisk,
    clock: NodeClock,
    running: Option<Running>,
    incarnation: u64,
    promise: Promise,
    judges: Judges,
    saved: SavedChecker,
    topics: TopicChecker,
    /// What was found in its accounts.
    accounts: Vec<Violation>,
    /// How long its turns are said to have taken.
    stopwatch: Rng,
}

impl SimulatedNode {
    /// A node that was never started.
    #[must_use]
    pub fn new(
        number: u32,
        disk: SimulatedDisk,
        (clock, stopwatch): (NodeClock, Rng),
        options: &Options,
    ) -> Self {
        Self {
            number,
            disk,
            clock,
            running: None,
            incarnation: 0,
            promise: Promise {
                survives_power: options.flush_policy == 0,
            },
            judges: Judges::new(options),
            saved: SavedChecker::default(),
            topics: TopicChecker::default(),
            accounts: Vec::new(),
            stopwatch,
        }
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &SimulatedDisk {
        &self.disk
    }

    /// Its disk, for faults.
    pub fn disk_mut(&mut self) -> &mut SimulatedDisk {
        &mut self.disk
    }

    /// Whether a process runs that takes connections.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.node.is_ready())
    }

    /// Whether a process runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// The number of times a process was started.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether inputs wait for a turn.
    #[must_use]
    pub fn has_inputs(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| !running.inbox.is_empty())
    }

    /// Starts a process from what the disk holds.
    pub fn boot(
        &mut self,
        world_ns: u64,
        options: &Options,
        durability: &mut DurabilityChecker,
    ) -> TurnEffects {
        assert!(self.running.is_none(), "one process at a time");
        self.incarnation += 1;
        let now = self.clock.now(world_ns);
        let mut outbox = Outbox::default();
        let node = boot(
            self.number,
            self.incarnation,
            &mut self.disk,
            options,
            now,
            &mut outbox,
        );
        self.running = Some(Running {
            node,
            connections: BTreeMap::new(),
            inbox: Vec::new(),
            door: DoorChecker::default(),
            is_stopping: false,
            turns: 0,
            last_turn_ns: None,
            demands: Arc::default(),
        });
        self.carry_out(world_ns, outbox, durability)
    }

    /// The process dies; its disk keeps what was written.
    pub fn crash(&mut self, durability: &mut DurabilityChecker) {
        self.running = None;
        self.judges.on_crash();
        self.topics.on_crash();
        self.disk.crash_process();
        self.judge_death(durability, false);
    }

    /// The power goes; its disk keeps what `loss` leaves.
    pub fn lose_power(&mut self, loss: &PowerLoss, durability: &mut DurabilityChecker) {
        self.running = None;
        self.judges.on_crash();
        self.topics.on_crash();
        self.disk.lose_power(loss);
        self.judge_death(durability, true);
    }

    /// Judges what is left.
    fn judge_death(&mut self, durability: &mut DurabilityChecker, power: bool) {
        durability.on_crash(self.number, &self.file_systems(), power);
        for directory in self.disk.directories() {
            self.saved.on_crash(self.disk.files(directory), power);
        }
    }

    /// The file systems of its disk.
    #[must_use]
    pub fn file_systems(&self) -> Vec<&FileSystem> {
        let directories = self.disk.directories();
        directories
            .map(|directory| self.disk.files(directory))
            .collect()
    }

    /// A client connected.
    pub fn on_connected(&mut self, connection: ConnectionId, client: u32) {
        if let Some(running) = &mut self.running {
            let limits = ConnectionLimits::default();
            let machine = Connection::new(connection, limits);
            running.connections.insert(connection, machine);
            running.inbox.push(Input::Connected {
                connection,
                listener: ListenerId(0),
                peer_host: format!("10.0.0.{client}").into(),
            });
        }
    }

    /// Bytes arrived. Answers whether the connection still stands.
    pub fn on_bytes(&mut self, world_ns: u64, connection: ConnectionId, bytes: &[u8]) -> bool {
        let now = self.clock.now(world_ns);
        let Some(running) = &mut self.running else {
            return false;
        };
        let Some(machine) = running.connections.get_mut(&connection) else {
            return false;
        };
        machine.receive(bytes);
        running.take_requests(connection, now, &mut self.judges)
    }

    /// A connection is gone.
    pub fn on_closed(&mut self, connection: ConnectionId) {
        if let Some(running) = &mut self.running {
            running.drop_connection(connection, &mut self.judges);
        }
    }

    /// Asks the process to stop in order.
    pub fn ask_to_stop(&mut self) {
        if let Some(running) = &mut self.running {
            running.inbox.push(Input::Shutdown);
            running.is_stopping = true;
            self.judges.quotas.on_stop();
        }
    }

    /// Whether the process has closed everything and may end; the error it ended with, if any.
    #[must_use]
    pub fn stopped(&self) -> Option<Result<(), String>> {
        let stopped = self.running.as_ref()?.node.stopped()?;
        Some(stopped.map_err(ToString::to_string))
    }

    /// Lets the disk go on; its answers wait for the next turn.
    pub fn advance_disk(
        &mut self,
        world_ns: u64,
        durability: &mut DurabilityChecker,
    ) -> Vec<DiskDone> {
        let mut done = Vec::new();
        self.disk.advance(world_ns, &mut done);
        for answer in &done {
            self.saved.on_done(answer);
            durability.on_done(self.number, answer);
        }
        if let Some(running) = &mut self.running {
            running.inbox.extend(done.iter().cloned().map(Input::Disk));
        }
        done
    }

    /// Gives the node a turn over everything that waits.
    pub fn turn(&mut self, world_ns: u64, durability: &mut DurabilityChecker) -> TurnEffects {
        let now = self.clock.now(world_ns);
        let Some(running) = &mut self.running else {
            return TurnEffects::default();
        };
        let took_ns = running.last_turn_ns.take();
        running
            .inbox
            .extend(took_ns.map(|took_ns| Input::TurnMeasured { took_ns }));
        self.judges.quotas.on_turn(now.instant, took_ns);
        let inputs = running.inbox.len() as u64;
        let tells_loss = running.inbox.iter().any(is_loss);
        let mut outbox = Outbox::default();
        running.node.turn(now, &mut running.inbox, &mut outbox);
        running.inbox.clear();
        running.turns += 1;
        // As a driver does, it measures while that matters to anybody.
        let broker = running.node.broker();
        if broker.is_some_and(|broker| broker.throttle.is_measured()) {
            running.last_turn_ns = Some(turn_ns(&mut self.stopwatch));
        }
        if running.turns.is_multiple_of(ACCOUNTS_EVERY) && !running.is_stopping {
            self.accounts.extend(running.check_accounts());
        }
        if running.turns.is_multiple_of(DEMANDS_EVERY)
            && let Some(broker) = running.node.broker()
        {
            running.demands = Arc::clone(&broker.demands);
        }
        self.judges.groups.on_turn(now);
        let mut effects = self.carry_out(world_ns, outbox, durability);
        effects.inputs = inputs;
        if let Some(running) = self.running.as_mut().filter(|_| tells_loss) {
            running.door.on_disk_lost();
        }
        effects
    }

    /// Judges what a turn came to; `slack` is what the world may take to give the node one.
    pub fn end_turn(&mut self, world_ns: u64, slack: Duration) {
        let now = self.clock.now(world_ns);
        self.judges.quotas.end_turn(now.instant, slack);
    }

    /// The world time at which the node wants an empty turn.
    #[must_use]
    pub fn next_turn_ns(&self) -> Option<u64> {
        let (instant, _why) = self.running.as_ref()?.node.next_deadline()?;
        Some(self.clock.world_ns(instant))
    }

    /// Judges that nothing waits past its deadline.
    pub fn check_deadlines(&mut self, world_ns: u64, slack: Duration) {
        let now = self.clock.now(world_ns);
        // One that stops answers nobody; its connections end with it.
        if let Some(running) = self.running.as_mut().filter(|running| !running.is_stopping) {
            running.door.check_deadlines(now.instant, slack);
        }
    }

    /// Takes what the door checker found.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        let door = self.running.as_mut().map(|running| &mut running.door);
        let mut found = door.map(DoorChecker::take_violations).unwrap_or_default();
        found.append(&mut self.judges.take_violations());
        found.append(&mut self.saved.take_violations());
        found.append(&mut self.topics.take_violations());
        found.append(&mut self.accounts);
        found
    }

    /// Carries out the effects of a turn: replies first, because their slices name what the disk
    /// operations may remove.
    fn carry_out(
        &mut self,
        world_ns: u64,
        outbox: Outbox,
        durability: &mut DurabilityChecker,
    ) -> TurnEffects {
        let now = self.clock.now(world_ns);
        let running = self.running.as_mut().expect("effects come from a process");
        let disk = &self.disk;
        let mut effects = TurnEffects::default();
        for effect in outbox.replies {
            effects.replies += 1;
            if let Some(machine) = running.connections.get_mut(&effect.connection) {
                self.judges.on_reply(&effect, now, |topic_id, partition| {
                    durability.folder_of(self.number, topic_id, partition)
                });
                self.topics.on_reply(&effect);
                let resolve = |slice: &_| disk.resolve(slice);
                running
                    .door
                    .on_reply(self.number, &effect, self.promise, durability, &resolve);
                machine
                    .reply(effect.sequence, effect.reply)
                    .expect("every reply has a form in the version it was asked in");
            }
        }
        for (connection, is_muted) in outbox.muted {
            if let Some(machine) = running.connections.get_mut(&connection) {
                machine.set_muted(is_muted);
                let quotas = &mut self.judges.quotas;
                quotas.on_muted(connection, is_muted, now.instant);
            }
        }
        for (connection, _why) in outbox.close {
            if let Some(machine) = running.connections.get_mut(&connection) {
                machine.finish();
            }
        }
        running.flush(disk, &mut self.judges, &mut effects);
        // Replies made room: requests may have waited for it.
        let connections: Vec<ConnectionId> = running.connections.keys().copied().collect();
        for connection in connections {
            running.take_requests(connection, now, &mut self.judges);
        }
        for op in &outbox.disk {
            let directories = self.disk.directories();
            let files: Vec<&FileSystem> = directories
                .map(|directory| self.disk.files(directory))
                .collect();
            self.topics.on_op(op, &files);
            durability.on_op(self.number, op);
            self.judges.on_op(op, now);
            self.saved.on_op(op);
            self.disk.submit(op.clone(), world_ns);
        }
        effects.disk_ops = outbox.disk;
        effects.events = outbox.events;
        effects
    }
}

/// Whether an input says that a data directory is lost.
fn is_loss(input: &Input) -> bool {
    matches!(
        input,
        Input::Disk(DiskDone::Failed {
            scope: FailureScope::Directory(_),
            ..
        })
    )
}

/// What a turn is said to have taken: from a microsecond to a millisecond and more, because each
/// share of a busy one is to matter.
fn turn_ns(dice: &mut Rng) -> u64 {
    (1_000 << dice.below(11)) + dice.below(1_000)
}
