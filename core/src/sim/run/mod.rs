//! One seed, from the first boot to the last audit.
//!
//! First a node boots and topics are made, without faults. Then clients work and faults strike.
//! Then faults end: every client must come to an end, and a fresh reader to the end of every
//! partition. Last the audit: a crash and a power cut of the quiet cluster lose nothing, an orderly
//! stop leaves files that agree with each other, damage of one batch stays there. A run ends at the
//! first thing that does not hold.

mod actors;
mod damage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{Offset, PartitionIndex, TopicPartition};
use crate::rng::Rng;
use crate::sim::checkers::Violation;
use crate::sim::checkers::consumed;
use crate::sim::checkers::log_files;
use crate::sim::checkers::log_image::LogImage;
use crate::sim::checkers::sequences;
use crate::sim::checkers::times;
use crate::sim::disk::PowerLoss;
use crate::sim::options::Options;
use crate::sim::trace::TraceRecord;
use crate::sim::workload::Actor;
use crate::sim::workload::admin::{Admin, AdminOptions};
use crate::sim::workload::consumer::{Consumer, ConsumerOptions};
use crate::sim::workload::group::auditor::Auditor;
use crate::sim::workload::group::keeper::{KEPT, Keeper, KeeperOptions};
use crate::sim::workload::group::{Member, Ranges, abandoned, unsettled};
use crate::sim::workload::limiter::{Limiter, LimiterOptions};
use crate::sim::world::{Listener, World};

/// A second of the world.
const SECOND_NS: u64 = 1_000_000_000;

/// How long the first boot may take, topics made.
const WARM_UP_NS: u64 = 30 * SECOND_NS;

/// How long clients may take to come to an end once all is well.
const HEAL_NS: u64 = 120 * SECOND_NS;

/// How long a healthy world may take to be read from its first record to its last: some have
/// tens of thousands of batches, each to be found on the disk.
const READING_NS: u64 = 600 * SECOND_NS;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// Hash of all that happened: equal exactly where the runs are.
    pub hash: u128,
    /// Number of things that happened.
    pub events: u64,
    /// Time that passed in the world, in milliseconds.
    pub simulated_ms: u64,
    /// Operations of clients that succeeded.
    pub operations: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Segments that compaction replaced.
    pub replaced_segments: u64,
    /// Those of them with committed offsets.
    pub replaced_segments_of_offsets: u64,
    /// What did not hold; empty where all did.
    pub violations: Vec<Violation>,
    /// The options of the run.
    pub options: Options,
    /// What happened, in numbers; empty unless asked for.
    pub trace: Vec<TraceRecord>,
}

/// The options that a seed draws.
#[must_use]
pub fn options_of(seed: u64) -> Options {
    Options::draw(&Rng::new(seed))
}

/// Runs a seed.
#[must_use]
pub fn run_seed(seed: u64) -> SeedResult {
    run_with(seed, options_of(seed), Watch::default())
}

/// How closely a run is watched; it goes the same way whatever this says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// Whether the records of the trace are kept.
    pub keeps_trace: bool,
    /// Who is told what happens.
    pub listener: Option<Listener>,
}

/// Runs a seed with options of one's own.
#[must_use]
pub fn run_with(seed: u64, options: Options, watch: Watch) -> SeedResult {
    let root = Rng::new(seed);
    let mut run = Run {
        world: World::new(options.clone(), 1, &root, watch.keeps_trace),
        root,
        clients: 0,
    };
    run.world.listen(watch.listener);
    run.phases();
    let world = &run.world;
    SeedResult {
        seed,
        hash: world.trace().hash(),
        events: world.trace().count(),
        simulated_ms: world.now_ns() / 1_000_000,
        operations: world
            .clients()
            .iter()
            .map(|client| client.actor.successes())
            .sum(),
        faults: world.faults(),
        replaced_segments: world.replaced_segments(),
        replaced_segments_of_offsets: world.replaced_segments_of_offsets(),
        violations: world.violations().to_vec(),
        options,
        trace: world.trace().records().to_vec(),
    }
}

/// A run under way.
struct Run {
    world: World,
    root: Rng,
    clients: u64,
}

impl Run {
    /// The phases, until one fails.
    fn phases(&mut self) {
        let _complete = self.warm_up().and_then(|()| self.work()).and_then(|()| {
            self.heal()?;
            self.audit()
        });
    }

    fn warm_up(&mut self) -> Option<()> {
        let options = self.world.options.clone();
        self.world.start_node(0, 0);
        let topics = self.topics();
        let restless = (options.admin == 1).then(|| "restless".into());
        self.add(Actor::Admin(Admin::new(AdminOptions {
            topics,
            restless,
            partitions: i32::try_from(options.partitions).expect("few"),
            configs: Vec::new(),
            timestamp_bound_ms: options.timestamp_bound_ms + options.wall_skew_ms,
            every_ms: options.admin_every_ms,
        })));
        self.expect("L1", "no topics were made", WARM_UP_NS, |world| {
            world.clients().iter().all(|client| match &client.actor {
                Actor::Admin(admin) => admin.is_ready(),
                Actor::Auditor(_)
                | Actor::Consumer(_)
                | Actor::Keeper(_)
                | Actor::Limiter(_)
                | Actor::Member(_)
                | Actor::Producer(_) => true,
            })
        })
    }

    fn work(&mut self) -> Option<()> {
        let options = self.world.options.clone();
        for number in 0..options.producers {
            let producer = self.producer(number);
            self.add(producer);
        }
        for _ in 0..options.consumers {
            let topics = self.topics();
            let fetch_version = self.version("fetch", 4, 18);
            let honours_quotas = self.honours_quotas();
            self.add(Actor::Consumer(Consumer::new(ConsumerOptions {
                topics,
                fetch_version,
                honours_quotas,
                is_final: false,
            })));
        }
        for group in 0..options.groups {
            for number in 0..options.group_members {
                let member = self.member(group, number);
                self.add(member);
            }
        }
        if options.groups > 0 && options.group_admin_every_ms > 0 {
            self.add(Actor::Keeper(Keeper::new(KeeperOptions {
                groups: self.groups(),
                topics: self.topics(),
                every_ms: options.group_admin_every_ms,
            })));
        }
        if options.quotas == 1 {
            self.add(Actor::Limiter(Limiter::new(LimiterOptions {
                every_ms: options.quota_every_ms,
                bytes_per_second: options.quota_bytes,
                percent_millionths: options.quota_percent_millionths,
            })));
        }
        self.world.begin_phase();
        let end_ns = self.world.now_ns() + options.safety_ms * 1_000_000;
        self.world.run_until(end_ns, |_| false);
        self.held()
    }

    fn heal(&mut self) -> Option<()> {
        self.world.options.calm();
        self.world.begin_phase();
        self.world.start_node(0, 500_000_000);
        for client in self.world.clients_mut() {
            client.actor.wind_down();
        }
        self.expect("L3", "clients did not come to an end", HEAL_NS, |world| {
            let mut others = actors(world).filter(|actor| actor.member().is_none());
            world.nodes()[0].is_up() && others.all(Actor::is_done)
        })?;
        self.settle_groups()?;
        self.read_everything()
    }

    /// Members read everything, commit it and leave.
    fn settle_groups(&mut self) -> Option<()> {
        let names = self.groups();
        let end_ns = self.world.now_ns() + HEAL_NS;
        let ends = loop {
            let ends = self.ends();
            let incarnation = self.world.nodes()[0].incarnation();
            let is_same = |world: &World| world.nodes()[0].incarnation() == incarnation;
            let is_over = |world: &World| !is_same(world) || at_rest(world, &names, &ends);
            // A sync that was to fail may do so as late as now. The power goes with it, and takes
            // records: the ends are others then.
            if !self.world.run_until(end_ns, is_over) || is_same(&self.world) {
                break ends;
            }
        };
        if !at_rest(&self.world, &names, &ends) && self.world.violations().is_empty() {
            let left = names
                .iter()
                .flat_map(|name| unsettled(&members(&self.world, name), &ends));
            let what = format!("groups are not at rest: {:?}", left.collect::<Vec<_>>());
            self.world.complain(Violation::new("L10", what));
        }
        self.held()?;
        let abandoned: BTreeMap<Arc<str>, BTreeSet<TopicPartition>> = names
            .iter()
            .map(|name| (Arc::clone(name), abandoned(&members(&self.world, name))))
            .collect();
        for client in self.world.clients_mut() {
            if let Some(member) = client.actor.member_mut() {
                member.retire();
            }
        }
        self.expect("L10", "members did not leave", HEAL_NS, |world| {
            actors(world).all(Actor::is_done)
        })?;
        self.check_consumed(&ends, &abandoned)
    }

    /// L11, where what was served stays. What arrives after `ends` were seen is nobody's: a
    /// producer that asks for no answer may be done before its records are there.
    fn check_consumed(
        &mut self,
        ends: &BTreeMap<TopicPartition, Offset>,
        abandoned: &BTreeMap<Arc<str>, BTreeSet<TopicPartition>>,
    ) -> Option<()> {
        if self.world.options.flush_policy != 0 {
            return Some(());
        }
        for group in self.groups() {
            let mut processed: BTreeMap<TopicPartition, Ranges> = BTreeMap::new();
            let members = members(&self.world, &group);
            for (partition, ranges) in members.iter().flat_map(|member| member.processed()) {
                let all = processed.entry(partition.clone()).or_default();
                all.add_all(ranges);
            }
            let topics = members.first().map_or(&[][..], |member| member.topics());
            let mut found = Vec::new();
            for image in self.images() {
                let partition = partition_of(&image.folder);
                let is_judged = |at: &TopicPartition| {
                    topics.contains(&at.topic) && !abandoned[&group].contains(at)
                };
                if let Some(partition) = partition.filter(is_judged) {
                    let ranges = processed.get(&partition).cloned().unwrap_or_default();
                    let end = ends.get(&partition).copied().unwrap_or(Offset::ZERO);
                    found.extend(consumed::check(&image, end, &group, &ranges));
                }
            }
            for violation in found {
                self.world.complain(violation);
            }
        }
        self.held()
    }

    /// Asks for everything that was committed.
    fn audit_groups(&mut self) -> Option<()> {
        let mut groups = self.groups();
        if groups.is_empty() {
            return Some(());
        }
        groups.push(KEPT.into());
        self.add(Actor::Auditor(Auditor::new(groups)));
        self.expect("L10", "groups were not loaded", HEAL_NS, |world| {
            actors(world).last().is_some_and(Actor::is_done)
        })
    }

    /// A fresh reader reads every partition to its end.
    fn read_everything(&mut self) -> Option<()> {
        let fetch_version = self.version("final", 4, 18);
        let reader = Consumer::new(ConsumerOptions {
            topics: Vec::new(),
            fetch_version,
            honours_quotas: false,
            is_final: true,
        });
        self.add(Actor::Consumer(reader));
        self.expect(
            "L11",
            "the final reader did not get to the end",
            READING_NS,
            |world| {
                world
                    .clients()
                    .last()
                    .is_some_and(|client| client.actor.is_done())
            },
        )
    }

    fn audit(&mut self) -> Option<()> {
        self.check_sequences()?;
        self.audit_groups()?;
        self.world.crash(0);
        self.held()?;
        self.world.start_node(0, SECOND_NS);
        self.audit_groups()?;
        self.read_everything()?;
        self.world.cut_power(0, &PowerLoss::LOSE_ALL);
        self.held()?;
        self.world.start_node(0, SECOND_NS);
        self.audit_groups()?;
        self.read_everything()?;
        let incarnation = self.world.nodes()[0].incarnation();
        self.world.ask_to_stop(0);
        self.expect("L18", "the node did not stop", HEAL_NS, |world| {
            world.nodes()[0].incarnation() != incarnation || !world.nodes()[0].is_up()
        })?;
        for image in self.images() {
            for violation in log_files::check(&image) {
                self.world.complain(violation);
            }
        }
        self.held()?;
        self.world.start_node(0, SECOND_NS);
        self.read_everything()?;
        self.damage_at_rest()
    }

    /// R62 and R65, over every log.
    fn check_sequences(&mut self) -> Option<()> {
        for image in self.images() {
            let found = image.read();
            let times = times::check(&image.folder, &found);
            for violation in sequences::check(&image.folder, &found)
                .into_iter()
                .chain(times)
            {
                self.world.complain(violation);
            }
        }
        self.held()
    }

    /// Where the logs end.
    fn ends(&self) -> BTreeMap<TopicPartition, Offset> {
        let images = self.images();
        let ends = images.iter();
        ends.filter_map(|image| Some((partition_of(&image.folder)?, image.read().end_offset())))
            .collect()
    }

    fn images(&self) -> Vec<LogImage> {
        let files = self.world.nodes()[0].file_systems();
        files.into_iter().flat_map(LogImage::take_all).collect()
    }

    /// Runs until something is so; it must be within `limit_ns`.
    fn expect(
        &mut self,
        check: &'static str,
        what: &str,
        limit_ns: u64,
        is_so: impl Fn(&World) -> bool,
    ) -> Option<()> {
        let end_ns = self.world.now_ns() + limit_ns;
        if !self.world.run_until(end_ns, is_so) && self.world.violations().is_empty() {
            let stuck: Vec<String> = self
                .world
                .clients()
                .iter()
                .filter(|client| !client.actor.is_done())
                .map(|client| client.actor.progress())
                .collect();
            let what = format!("{what}: {stuck:?}");
            self.world.complain(Violation::new(check, what));
        }
        self.held()
    }

    fn held(&self) -> Option<()> {
        self.world.violations().is_empty().then_some(())
    }
}

fn actors(world: &World) -> impl Iterator<Item = &Actor> {
    world.clients().iter().map(|client| &client.actor)
}

fn members<'a>(world: &'a World, group: &str) -> Vec<&'a Member> {
    let members = actors(world).filter_map(Actor::member);
    members
        .filter(|member| **member.group() == *group)
        .collect()
}

/// Whether the members of all groups have read everything.
fn at_rest(world: &World, groups: &[Arc<str>], ends: &BTreeMap<TopicPartition, Offset>) -> bool {
    let mut groups = groups.iter();
    groups.all(|name| unsettled(&members(world, name), ends).is_empty())
}

/// The partition whose folder this is.
fn partition_of(folder: &str) -> Option<TopicPartition> {
    let (topic, partition) = folder.rsplit_once('-')?;
    Some(TopicPartition {
        topic: topic.into(),
        partition: PartitionIndex(partition.parse().ok()?),
    })
}
