//! A member of a consumer group: partitions by agreement, offsets in the group.
//!
//! Composes a [`Consumer`], which fetches, with what the group adds: it finds the coordinator,
//! joins, divides partitions where it leads, keeps the membership alive, commits and looks up
//! offsets. The classic protocol, with static members (KIP-345) and both ways to rebalance
//! (KIP-429); not the one of KIP-848. Compare Kafka's `AbstractCoordinator` and
//! `ConsumerCoordinator`; checked against Apache Kafka 4.3.1, for brokers from 3.0 on.
//!
//! Reading order: [`protocol`], [`assignor`], [`options`], this file, `coordinator`, `preparing`,
//! `joining`, `commits`. What the Java client tells by callbacks comes as [`GroupEvent`]s. A
//! rebalance waits until its events were taken and the commits they led to are answered; it goes on
//! with the next input or [`GroupConsumer::on_time`]. Records that were handed out count as
//! processed when the caller next gives the machine time: that is what automatic commits commit.

pub mod assignor;
mod commits;
mod coordinator;
mod joining;
pub mod options;
mod preparing;
pub mod protocol;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use crate::client::group::options::{
    Commit, CommitError, CommitId, GroupError, GroupEvent, GroupOptions, TopicMatcher,
};

use crate::client::cluster::{Cluster, Directory};
use crate::client::consumer::{Consumed, Consumer, StartAt};
use crate::client::group::assignor::Assignor;
use crate::client::group::commits::Committing;
use crate::client::group::joining::Phase;
use crate::client::group::protocol::GroupGeneration;
use crate::client::network::{CallId, ClientEffect, ClientInput, LinkId, Network};
use crate::ids::{NodeId, Offset, TopicName, TopicPartition};
use crate::time::Instant;

/// What the caller wants to read.
#[derive(Clone, Debug)]
enum Wish {
    /// Topics whose names match, whichever there are.
    Matching(Arc<dyn TopicMatcher>),
    Nothing,
    /// These partitions, without being a member; the group only keeps offsets.
    Partitions,
    Topics,
}

/// What keeps a membership alive.
#[derive(Clone, Debug, Default)]
struct Heartbeats {
    call: Option<CallId>,
    /// When to send the next.
    at: Instant,
    /// When the coordinator last answered one.
    answered_at: Instant,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct GroupConsumer {
    options: GroupOptions,
    /// To the coordinator, and for metadata; fetches have connections of their own, so that a long
    /// poll never holds up a heartbeat.
    network: Network,
    directory: Directory,
    consumer: Consumer,
    wish: Wish,
    /// The topics wanted, as far as they are known.
    topics: BTreeSet<TopicName>,
    owned: BTreeSet<TopicPartition>,
    paused: BTreeSet<TopicPartition>,
    /// Where the caller is not done with what it took: nothing from there on is committed.
    held: BTreeMap<TopicPartition, Offset>,
    /// Partitions whose offset must be asked of the group.
    unplaced: BTreeSet<TopicPartition>,
    placing: Option<CallId>,
    placing_at: Instant,

    coordinator: Option<NodeId>,
    lookup: Option<CallId>,
    lookup_at: Instant,

    /// Empty until the coordinator gave one.
    member_id: Arc<str>,
    generation: GroupGeneration,
    /// The strategy that the group agreed on.
    assignor: Option<Assignor>,
    phase: Phase,
    /// Why the member must join again.
    rejoin: Option<&'static str>,
    join_at: Instant,
    /// What the last JoinGroup asked for.
    joined_topics: BTreeSet<TopicName>,
    /// The partitions of the group's topics as the leader divided them; `None` for others.
    divided: Option<BTreeMap<TopicName, u32>>,
    /// The last assignment, for the sticky strategy.
    remembered: (BTreeSet<TopicPartition>, GroupGeneration),
    heartbeats: Heartbeats,
    poll_by: Instant,

    commits: VecDeque<Committing>,
    next_commit: u64,
    auto_commit_at: Instant,
    events: VecDeque<GroupEvent>,
    failed: bool,
    last_time: Instant,
    touched: bool,
}

impl GroupConsumer {
    /// A member to be; subscribe it.
    #[must_use]
    pub fn new(options: GroupOptions) -> Self {
        let mut directory = Directory::new(options.creates_topics);
        directory.set_age_max(options.metadata_age_max);
        let mut network = options.consumer.network.clone();
        // By name: what a topic was called when it was read is what the offset belongs to.
        network
            .connection
            .version_caps
            .insert(commits::OFFSET_COMMIT, 9);
        network
            .connection
            .version_caps
            .insert(commits::OFFSET_FETCH, 9);
        Self {
            network: Network::new(network),
            directory,
            consumer: Consumer::new(options.consumer.clone()),
            wish: Wish::Nothing,
            topics: BTreeSet::new(),
            owned: BTreeSet::new(),
            paused: BTreeSet::new(),
            held: BTreeMap::new(),
            unplaced: BTreeSet::new(),
            placing: None,
            placing_at: Instant(0),
            coordinator: None,
            lookup: None,
            lookup_at: Instant(0),
            member_id: "".into(),
            generation: GroupGeneration::NONE,
            assignor: None,
            phase: Phase::Idle,
            rejoin: None,
            join_at: Instant(0),
            joined_topics: BTreeSet::new(),
            divided: None,
            remembered: (BTreeSet::new(), GroupGeneration::NONE),
            heartbeats: Heartbeats::default(),
            poll_by: Instant(u64::MAX),
            commits: VecDeque::new(),
            next_commit: 0,
            auto_commit_at: Instant(u64::MAX),
            events: VecDeque::new(),
            failed: false,
            last_time: Instant(0),
            touched: false,
            options,
        }
    }

    /// Wants these topics from now on; joins the group where it has not.
    pub fn subscribe(&mut self, now: Instant, topics: impl IntoIterator<Item = TopicName>) {
        self.directory.want_all(now, false);
        self.wish = Wish::Topics;
        self.topics = topics.into_iter().collect();
        for topic in &self.topics {
            self.directory.want(now, topic);
        }
        self.begin(now);
    }

    /// Wants the topics whose names match, as they come and go.
    pub fn subscribe_matching(&mut self, now: Instant, matcher: Arc<dyn TopicMatcher>) {
        self.wish = Wish::Matching(matcher);
        self.directory.want_all(now, true);
        self.topics.clear();
        self.match_topics();
        self.begin(now);
    }

    /// Reads these partitions without being a member; offsets are the group's.
    pub fn assign(&mut self, now: Instant, partitions: impl IntoIterator<Item = TopicPartition>) {
        self.wish = Wish::Partitions;
        self.begin(now);
        self.directory.refresh(now);
        let partitions: BTreeSet<TopicPartition> = partitions.into_iter().collect();
        for gone in self.owned.clone().difference(&partitions) {
            self.drop_partition(gone);
        }
        for partition in partitions {
            self.take_partition(partition);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.touched = true;
        self.last_time = now;
        self.poll_by = now.after(self.options.max_poll_interval);
        if let Some(interval) = self.options.auto_commit
            && self.auto_commit_at == Instant(u64::MAX)
        {
            self.auto_commit_at = now.after(interval);
        }
    }

    /// Leaves the group and stops; over when [`Self::is_closed`] says so.
    ///
    /// Commits first where commits are automatic. A static member does not leave: it stays a member
    /// until its session ends, so that it can come back.
    pub fn close(&mut self, now: Instant) {
        self.touched = true;
        self.last_time = now;
        self.poll_by = Instant(u64::MAX);
        self.start_leaving(now);
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The partitions it reads.
    #[must_use]
    pub fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    /// The id that the coordinator gave, and the generation; `None` where it is no member.
    #[must_use]
    pub fn membership(&self) -> Option<(&Arc<str>, GroupGeneration)> {
        let is_member = self.generation != GroupGeneration::NONE;
        is_member.then_some((&self.member_id, self.generation))
    }

    /// Whether it has an assignment and no rebalance is under way.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        matches!(self.phase, Phase::Stable) && self.rejoin.is_none()
    }

    /// Whether commits are not answered yet.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        !self.commits.is_empty()
    }

    /// What is known of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.directory.cluster
    }

    /// The offset read next; `None` while it is not known.
    #[must_use]
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.consumer.position(partition)
    }

    /// The high watermark that the last Fetch told; `None` before.
    #[must_use]
    pub fn high_watermark(&self, partition: &TopicPartition) -> Option<Offset> {
        self.consumer.high_watermark(partition)
    }

    /// Reads an owned partition from there on.
    pub fn seek(&mut self, now: Instant, partition: &TopicPartition, start: StartAt) {
        if self.owned.contains(partition) {
            self.unplaced.remove(partition);
            self.place(now, partition, start);
        }
    }

    /// Fetches an owned partition no more, or again.
    pub fn set_paused(&mut self, partition: &TopicPartition, is_paused: bool) {
        if is_paused && self.owned.contains(partition) {
            self.paused.insert(partition.clone());
        } else {
            self.paused.remove(partition);
        }
        self.consumer.set_paused(partition, is_paused);
    }

    /// Says that the caller is not done with what it took of an owned partition from this offset
    /// on, so that positions beyond it are not committed; `None` where it is done with all.
    pub fn set_held(&mut self, partition: &TopicPartition, from: Option<Offset>) {
        match from {
            Some(offset) if self.owned.contains(partition) => {
                self.held.insert(partition.clone(), offset);
            }
            Some(_) | None => {
                self.held.remove(partition);
            }
        }
    }

    /// Says that the caller is alive; [`Self::next_records`] says so too.
    pub fn poll(&mut self, now: Instant) {
        self.poll_by = now.after(self.options.max_poll_interval);
        if matches!(self.phase, Phase::Expired) {
            self.start_preparing(now);
            self.on_time(now);
        }
    }

    /// The next records of any partition, batch by batch; none while partitions are given up.
    pub fn next_records(&mut self, now: Instant) -> Option<Consumed> {
        self.poll(now);
        if self.is_revoking() {
            return None;
        }
        self.consumer.next_records()
    }

    /// The next event; rebalances wait for theirs to be taken.
    pub fn next_event(&mut self) -> Option<GroupEvent> {
        let event = self.events.pop_front();
        self.touched |= event.is_some();
        if event.is_none()
            && let Some((partition, error)) = self.consumer.next_error()
        {
            return Some(GroupEvent::Trouble { partition, error });
        }
        event
    }

    /// Takes an input of the driver.
    pub fn on_input(&mut self, now: Instant, input: ClientInput) {
        let (link, make): (LinkId, fn(LinkId, bytes::Bytes) -> ClientInput) = match &input {
            ClientInput::Closed { link } => (*link, |link, _none| ClientInput::Closed { link }),
            ClientInput::Connected { link } => {
                (*link, |link, _none| ClientInput::Connected { link })
            }
            ClientInput::Received { link, .. } => {
                (*link, |link, bytes| ClientInput::Received { link, bytes })
            }
        };
        let bytes = match input {
            ClientInput::Received { bytes, .. } => bytes,
            ClientInput::Closed { .. } | ClientInput::Connected { .. } => bytes::Bytes::new(),
        };
        let input = make(LinkId(link.0 / 2), bytes);
        if link.0 % 2 == 0 {
            self.network.on_input(now, input);
        } else {
            self.consumer.on_input(now, input);
        }
        self.on_time(now);
    }

    /// Lets time pass; does what is due.
    pub fn on_time(&mut self, now: Instant) {
        self.last_time = now;
        self.touched = false;
        self.network.on_time(now);
        loop {
            self.directory.on_time(now, &mut self.network);
            self.drive_coordinator(now);
            let mut is_quiet = !self.drive_membership(now);
            self.drive_commits(now);
            self.drive_places(now);
            while let Some(answer) = self.network.next_answer() {
                is_quiet = false;
                if self.directory.on_answer(now, &answer, &mut self.network) {
                    self.on_metadata();
                } else {
                    self.on_answer(now, answer);
                }
            }
            if is_quiet {
                break;
            }
        }
        self.consumer.on_time(now);
    }

    /// When [`Self::on_time`] would do something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let own = [
            self.network.next_deadline(),
            self.directory.next_deadline(),
            self.consumer.next_deadline(),
            self.coordinator_deadline(),
            self.membership_deadline(),
            self.commits_deadline(),
            self.touched.then_some(self.last_time),
        ];
        own.into_iter().flatten().min()
    }

    /// Moves the effects to the end of `effects`.
    ///
    /// The links of both networks are numbered so that they can be told apart.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        let start = effects.len();
        self.network.take_effects(effects);
        let middle = effects.len();
        self.consumer.take_effects(effects);
        for (index, effect) in effects.iter_mut().enumerate().skip(start) {
            let (ClientEffect::Close { link }
            | ClientEffect::Connect { link, .. }
            | ClientEffect::Send { link, .. }) = effect;
            link.0 = link.0 * 2 + u64::from(index >= middle);
        }
    }

    /// Metadata came: which topics match, and whether the group must divide anew.
    fn on_metadata(&mut self) {
        self.match_topics();
        if let Some(divided) = &self.divided {
            let now: BTreeMap<TopicName, u32> = self.counts(divided.keys());
            if *divided != now {
                self.rejoin = Some("the partitions of the group's topics changed");
            }
        }
    }

    fn match_topics(&mut self) {
        let Wish::Matching(matcher) = &self.wish else {
            return;
        };
        let topics = self.directory.cluster.topics.iter();
        let matching = topics.filter(|(name, topic)| {
            let is_hidden = topic.is_internal && self.options.excludes_internal_topics;
            !is_hidden && matcher.matches(name)
        });
        self.topics = matching.map(|(name, _topic)| Arc::clone(name)).collect();
    }

    /// How many partitions topics have; none where they do not exist.
    fn counts<'a>(&self, topics: impl Iterator<Item = &'a TopicName>) -> BTreeMap<TopicName, u32> {
        let known = &self.directory.cluster.topics;
        let counts = topics.map(|name| {
            let count = known.get(name).map_or(0, |topic| topic.partitions.len());
            (Arc::clone(name), u32::try_from(count).unwrap_or(u32::MAX))
        });
        counts.collect()
    }

    fn take_partition(&mut self, partition: TopicPartition) {
        if self.owned.insert(partition.clone()) {
            self.unplaced.insert(partition);
        }
    }

    fn drop_partition(&mut self, partition: &TopicPartition) {
        self.owned.remove(partition);
        self.unplaced.remove(partition);
        self.paused.remove(partition);
        self.held.remove(partition);
        self.consumer.unassign(partition);
    }

    /// Begins to read a partition.
    fn place(&mut self, now: Instant, partition: &TopicPartition, start: StartAt) {
        self.consumer.assign(now, partition, start);
        let is_paused = self.paused.contains(partition);
        self.consumer.set_paused(partition, is_paused);
        self.touched = true;
    }

    /// Gives up for good; the caller is told why.
    fn fail(&mut self, error: GroupError) {
        if !self.failed {
            self.failed = true;
            self.events.push_back(GroupEvent::Failed(error));
        }
    }
}
