//! Members of consumer groups: the client's own machine, and whoever is careless with it.
//!
//! A member polls, processes what it gets, and commits in its own way. It dies without a word,
//! leaves in order, comes back as somebody new or as the static member it was, and now and then
//! takes longer than it may (`max.poll.interval.ms`). Of former memberships it keeps the ids, and
//! later asks with them, as the bytes of a dead process may. What the coordinator makes of all that
//! is judged at the broker's door, and by what has been read in the end.

pub mod auditor;
pub mod keeper;
mod ranges;
mod rest;
mod stale;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::ranges::Ranges;
pub use self::rest::{abandoned, unsettled};
use self::stale::Stale;
use super::Stage;
use crate::client::connection::ConnectionOptions;
use crate::client::consumer::StartAt;
use crate::client::group::assignor::Assignor;
use crate::client::group::protocol::GroupGeneration;
use crate::client::group::{Commit, CommitId, GroupConsumer, GroupError, GroupEvent, GroupOptions};
use crate::client::network::{Answer, ClientEffect, ClientInput, NetworkOptions};
use crate::error::ErrorCode;
use crate::ids::{Offset, TopicName, TopicPartition};
use crate::rng::Rng;
use crate::time::Instant;

/// Batches processed in one poll at the most, and when there is nothing left but to catch up.
const BATCHES_A_POLL: u64 = 4;
const BATCHES_AT_THE_END: u64 = 64;

/// How a member commits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommitKind {
    /// Every so many milliseconds, by itself.
    Automatic(u64),
    /// After a poll, without waiting.
    Later,
    /// After a poll, and processes nothing until it is answered.
    Now,
    /// After a poll, some place that was processed, be it before the last commit.
    Wherever,
}

/// How a member behaves. A rate of 0 is never.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// The group.
    pub group: Arc<str>,
    /// `group.instance.id` of a static one.
    pub instance_id: Option<Arc<str>>,
    /// The strategies it offers.
    pub assignors: Vec<Assignor>,
    /// What it wants to read.
    pub topics: Vec<TopicName>,
    /// How it commits.
    pub commits: CommitKind,
    /// `session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// `max.poll.interval.ms`.
    pub max_poll_ms: u64,
    /// Longest time to process what a poll brought, in milliseconds.
    pub process_ms_max: u64,
    /// Mean time between deaths, in milliseconds.
    pub crash_every_ms: u64,
    /// Mean time between orderly departures, in milliseconds.
    pub leave_every_ms: u64,
    /// Mean time between polls that come too late, in milliseconds.
    pub stall_every_ms: u64,
    /// Highest versions it speaks, by API.
    pub version_caps: BTreeMap<i16, i16>,
}

/// Something that befalls a member.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Mishap {
    Crash,
    Leave,
    Stall,
}

/// The actor; see the module.
#[derive(Clone, Debug)]
pub struct Member {
    options: MemberOptions,
    machine: Option<Box<GroupConsumer>>,
    /// The number of its processes so far.
    life: u64,
    leaving: bool,
    next_poll_at: Instant,
    /// When it comes back.
    return_at: Instant,
    mishaps: BTreeMap<Mishap, Instant>,
    awaited: Option<CommitId>,
    /// What it gave up so that others get it in the next generation, and in which one.
    given_up: BTreeMap<TopicPartition, GroupGeneration>,
    /// What a process of it had given up that died before it joined that next generation.
    abandoned: BTreeMap<TopicPartition, GroupGeneration>,
    processed: BTreeMap<TopicPartition, Ranges>,
    stale: Stale,
    winding_down: bool,
    retired: bool,
    /// Batches processed.
    pub successes: u64,
}

impl Member {
    /// A member to be.
    #[must_use]
    pub fn new(options: MemberOptions) -> Self {
        let first = options.topics.first().map_or("topic-0".into(), Arc::clone);
        Self {
            stale: Stale::new(Arc::clone(&options.group), first),
            options,
            machine: None,
            life: 0,
            leaving: false,
            next_poll_at: Instant(0),
            return_at: Instant(0),
            mishaps: BTreeMap::new(),
            awaited: None,
            given_up: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            processed: BTreeMap::new(),
            winding_down: false,
            retired: false,
            successes: 0,
        }
    }

    /// Nothing more befalls it: it comes back where it is away, and reads on.
    pub fn wind_down(&mut self) {
        self.winding_down = true;
        self.return_at = Instant(0);
    }

    /// It leaves for good.
    pub fn retire(&mut self) {
        self.winding_down = true;
        self.retired = true;
    }

    /// Whether it has left for good.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.retired && self.machine.is_none()
    }

    /// Its group.
    #[must_use]
    pub fn group(&self) -> &Arc<str> {
        &self.options.group
    }

    /// What it wants to read.
    #[must_use]
    pub fn topics(&self) -> &[TopicName] {
        &self.options.topics
    }

    /// The number of the process that runs, or ran last; connections of earlier ones are closed.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.life
    }

    /// Whether a process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.machine.is_some()
    }

    /// Where it reads, if it is a member of a group that does not rebalance.
    #[must_use]
    pub fn positions(&self) -> Option<BTreeMap<TopicPartition, Option<Offset>>> {
        let machine = self
            .machine
            .as_ref()
            .filter(|machine| machine.is_stable())?;
        let owned = machine.owned().iter();
        let at = |partition: &TopicPartition| (partition.clone(), machine.position(partition));
        Some(owned.map(at).collect())
    }

    /// The offsets it has processed, of each partition.
    #[must_use]
    pub fn processed(&self) -> &BTreeMap<TopicPartition, Ranges> {
        &self.processed
    }

    /// Where it stands, for a message.
    #[must_use]
    pub fn progress(&self) -> String {
        let machine = self.machine.as_ref();
        let membership = machine.and_then(|machine| machine.membership());
        let (group, life) = (&self.options.group, self.life);
        format!("{group}: life {life} {membership:?} {:?}", self.positions())
    }

    /// Takes an input of the process that runs.
    pub fn on_input(&mut self, now: Instant, input: ClientInput) {
        if let Some(machine) = &mut self.machine {
            machine.on_input(now, input);
        }
    }

    /// Moves the effects of the process that runs to the end of `effects`.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        if let Some(machine) = &mut self.machine {
            machine.take_effects(effects);
        }
    }

    /// See [`super::Actor::on_answer`]; answers to what it asks with former ids.
    pub fn on_answer(&mut self, answer: &Answer) {
        self.stale.on_answer(answer);
    }

    /// See [`super::Actor::step`].
    pub fn step(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        let stale_at = match self.winding_down {
            true => None,
            false => self.stale.step(stage),
        };
        if self.machine.is_none() {
            if self.retired {
                return None;
            }
            if stage.now < self.return_at {
                return [Some(self.return_at), stale_at].into_iter().flatten().min();
            }
            self.begin(stage);
        }
        self.suffer(stage);
        let mut own_at = self.go_on(stage);
        if self
            .machine
            .as_ref()
            .is_some_and(|machine| machine.is_closed())
        {
            self.end(stage);
            own_at = (!self.retired).then_some(self.return_at);
        }
        let mishap_at = match self.winding_down {
            true => None,
            false => self.mishaps.values().min().copied(),
        };
        [own_at, mishap_at, stale_at].into_iter().flatten().min()
    }

    /// Starts a process.
    fn begin(&mut self, stage: &mut Stage<'_>) {
        self.life += 1;
        self.leaving = false;
        self.awaited = None;
        self.next_poll_at = stage.now;
        let mut machine = Box::new(GroupConsumer::new(self.machine_options()));
        machine.subscribe(stage.now, self.options.topics.iter().cloned());
        self.machine = Some(machine);
        self.mishaps.clear();
        for (mishap, every_ms) in [
            (Mishap::Crash, self.options.crash_every_ms),
            (Mishap::Leave, self.options.leave_every_ms),
            (Mishap::Stall, self.options.stall_every_ms),
        ] {
            if every_ms > 0 {
                let at = stage.within_ms(every_ms * 2);
                self.mishaps.insert(mishap, at);
            }
        }
    }

    fn machine_options(&self) -> GroupOptions {
        let options = &self.options;
        let mut network = NetworkOptions {
            connection: ConnectionOptions {
                version_caps: options.version_caps.clone(),
                ..ConnectionOptions::default()
            },
            ..NetworkOptions::new(vec![("node".into(), crate::sim::client::FIRST_PORT)])
        };
        network.request_timeout = Duration::from_millis(2_000);
        let mut made = GroupOptions::new(network, &options.group);
        made.instance_id.clone_from(&options.instance_id);
        made.assignors.clone_from(&options.assignors);
        made.auto_commit = match options.commits {
            CommitKind::Automatic(every_ms) => Some(Duration::from_millis(every_ms)),
            CommitKind::Later | CommitKind::Now | CommitKind::Wherever => None,
        };
        made.consumer.reset = Some(StartAt::Earliest);
        made.consumer.max_wait = Duration::from_millis(100);
        made.consumer.partition_max_bytes = 16 * 1024;
        made.consumer.buffer_bytes_max = 32 * 1024;
        made.call_timeout = Duration::from_millis(3_000);
        made.creates_topics = false;
        made.heartbeat_interval = Duration::from_millis((options.session_timeout_ms / 4).max(5));
        made.max_poll_interval = Duration::from_millis(options.max_poll_ms);
        made.metadata_age_max = Duration::from_millis(700);
        made.session_timeout = Duration::from_millis(options.session_timeout_ms);
        made
    }

    /// What befalls it now, does.
    fn suffer(&mut self, stage: &mut Stage<'_>) {
        if self.retired && !self.leaving {
            self.leave(stage.now);
        }
        if self.winding_down || self.leaving {
            return;
        }
        let due = self.mishaps.iter().find(|(_, at)| **at <= stage.now);
        let Some(mishap) = due.map(|(mishap, _)| *mishap) else {
            return;
        };
        match mishap {
            Mishap::Crash => self.end(stage),
            Mishap::Leave => self.leave(stage.now),
            Mishap::Stall => {
                let late_ms = stage.rng.below(self.options.max_poll_ms * 2) + 1;
                self.next_poll_at = stage.in_ms(late_ms);
                let every_ms = self.options.stall_every_ms;
                let again = stage.within_ms(every_ms * 2);
                self.mishaps.insert(Mishap::Stall, again);
            }
        }
    }

    fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.mishaps.clear();
        if let Some(machine) = &mut self.machine {
            machine.close(now);
        }
    }

    /// The process is over; another begins later.
    fn end(&mut self, stage: &mut Stage<'_>) {
        self.machine = None;
        let given_up = std::mem::take(&mut self.given_up);
        if self.options.instance_id.is_some() {
            self.abandoned.extend(given_up);
        }
        self.life += 1;
        self.mishaps.clear();
        let away_ms = match self.winding_down {
            true => 1,
            false => stage.rng.below(self.options.session_timeout_ms * 2) + 1,
        };
        self.return_at = stage.in_ms(away_ms);
    }

    /// Lets the process do what is due.
    fn go_on(&mut self, stage: &mut Stage<'_>) -> Option<Instant> {
        let Some(machine) = &mut self.machine else {
            return Some(self.return_at);
        };
        machine.on_time(stage.now);
        if let Some((id, generation)) = machine.membership() {
            self.stale.learn(id, generation);
        }
        if self.next_poll_at <= stage.now {
            self.poll(stage);
        }
        let machine = self.machine.as_mut()?;
        let poll_at = (!machine.is_closed()).then_some(self.next_poll_at);
        [poll_at, machine.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// One round of the loop that every consumer has.
    fn poll(&mut self, stage: &mut Stage<'_>) {
        let (most_ms, most_batches) = match self.winding_down {
            true => (5, BATCHES_AT_THE_END),
            false => (self.options.process_ms_max, BATCHES_A_POLL),
        };
        self.next_poll_at = stage.within_ms(most_ms);
        let Some(machine) = &mut self.machine else {
            return;
        };
        machine.poll(stage.now);
        let mut failure = None;
        while let Some(event) = machine.next_event() {
            let membership = machine.membership();
            let generation = membership.map_or(GroupGeneration::NONE, |(_id, current)| current);
            match event {
                GroupEvent::Assigned(_) => self.given_up.retain(|_, since| *since == generation),
                GroupEvent::Revoked(partitions) => {
                    let given_up = partitions.into_iter().map(|one| (one, generation));
                    self.given_up.extend(given_up);
                }
                GroupEvent::Committed { id, .. } => {
                    self.awaited.take_if(|awaited| *awaited == id);
                }
                GroupEvent::Failed(error) => failure = Some(error),
                GroupEvent::Lost(_) | GroupEvent::Trouble { .. } => {}
            }
        }
        if let Some(error) = failure {
            // The bytes of its own former process came later, and took its place.
            if error != GroupError::Broker(ErrorCode::FencedInstanceId) {
                stage.complaints.push(format!("a member failed: {error}"));
            }
            return self.end(stage);
        }
        if self.leaving || self.awaited.is_some() {
            return;
        }
        let mut places = BTreeMap::new();
        for _batch in 0..=stage.rng.below(most_batches) {
            let Some(consumed) = machine.next_records(stage.now) else {
                break;
            };
            let first = consumed.records.first().expect("at least one").offset;
            let end = consumed
                .records
                .last()
                .expect("at least one")
                .offset
                .plus(1);
            let ranges = self
                .processed
                .entry(consumed.partition.clone())
                .or_default();
            ranges.add(first, end);
            places.insert(consumed.partition, (first, end));
            self.successes += 1;
        }
        if !places.is_empty() {
            self.commit(stage, &places);
        }
    }

    fn commit(
        &mut self,
        stage: &mut Stage<'_>,
        places: &BTreeMap<TopicPartition, (Offset, Offset)>,
    ) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        match self.options.commits {
            CommitKind::Automatic(_) => {}
            CommitKind::Later => {
                machine.commit_all(stage.now);
            }
            CommitKind::Now => self.awaited = Some(machine.commit_all(stage.now)),
            CommitKind::Wherever => {
                let somewhere = |rng: &mut Rng, (first, end): (Offset, Offset)| {
                    let count = u64::try_from(end.0 - first.0).unwrap_or(0);
                    let ahead = i64::try_from(rng.below(count + 1)).expect("below an i64");
                    Commit::at(first.plus(ahead))
                };
                let offsets = places
                    .iter()
                    .map(|(partition, range)| (partition.clone(), somewhere(stage.rng, *range)));
                machine.commit(stage.now, offsets.collect());
            }
        }
    }
}
