//! One group while a scenario runs: its members, what they told, and what must hold meanwhile.
//!
//! Whatever a scenario does, one thing is watched throughout: what was committed before a member
//! got a partition is not read by it, unless it was told to go back. (A commit that overtakes a
//! rebalance does not move a member that has begun already.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kafka_wire::OffsetFetchRequest;
use kafka_wire::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_wire_core::StrBytes;
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::builder::BatchBuilder;

use super::member::{Event, Member, Partition};
use super::{Client, Stage};
use crate::wire_client::WireClient;

/// Longest wait for one event: a rebalance on a machine that does other things too. It outlasts
/// the longest session, for a client that gives a join up leaves a member behind.
const LIMIT: Duration = Duration::from_secs(90);

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_LEADER_OR_FOLLOWER: i16 = 6;

/// Lines of a member that are shown when a scenario fails.
const LINES_SHOWN: usize = 12;

/// What is known of one member.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What is assigned to it.
    pub(super) assigned: BTreeSet<Partition>,
    /// Events of rebalances so far.
    pub(super) rebalances: u32,
    /// Where it may begin to read: what was committed when partitions were last assigned to it.
    begins: BTreeMap<Partition, i64>,
    /// Records it read, in order.
    pub(super) records: Vec<(Partition, i64)>,
    /// Commits answered.
    pub(super) commits: u32,
    /// It left its group.
    pub(super) left: bool,
    /// Its process ended.
    pub(super) ended: bool,
    killed: bool,
    lines: Vec<String>,
}

/// A group and its members.
#[derive(Debug)]
pub(super) struct Play<'a> {
    stage: Stage<'a>,
    /// The group's id, and the beginning of its topics' names.
    pub(super) group: String,
    members: Vec<Member>,
    /// What is known of the members.
    pub(super) states: Vec<State>,
    events: Receiver<(usize, Event)>,
    sender: Sender<(usize, Event)>,
    /// Every offset that somebody read.
    pub(super) read: BTreeMap<Partition, BTreeSet<i64>>,
    /// The next offset of each partition, as far as members committed.
    committed: BTreeMap<Partition, i64>,
    produced: BTreeMap<Partition, i64>,
    problem: Option<String>,
}

impl<'a> Play<'a> {
    /// A group without members.
    pub(super) fn new(stage: Stage<'a>, name: &str) -> Self {
        let (sender, events) = channel();
        Self {
            stage,
            group: format!("{}-{name}", stage.run),
            members: Vec::new(),
            states: Vec::new(),
            events,
            sender,
            read: BTreeMap::new(),
            committed: BTreeMap::new(),
            produced: BTreeMap::new(),
            problem: None,
        }
    }

    /// Creates a topic, and gives its partitions.
    pub(super) fn topic(&mut self, word: &str, partitions: i32) -> Result<Vec<Partition>, String> {
        let name = format!("{}-{word}", self.group);
        self.wire()?
            .create_topic(&name, partitions)
            .map_err(|error| format!("creating {name}: {error}"))?;
        let all = (0..partitions).map(|number| format!("{name}:{number}"));
        Ok(all.collect())
    }

    /// Starts a member and gives its number. `more` is added to its command line.
    pub(super) fn start(
        &mut self,
        client: &Client,
        assignor: &str,
        more: &[&str],
    ) -> Result<usize, String> {
        let number = self.members.len();
        let mut arguments = vec![
            self.stage.broker.to_owned(),
            format!("group={}", self.group),
            format!("assignor={assignor}"),
        ];
        arguments.extend(more.iter().map(|&word| word.to_owned()));
        let member = Member::start(client, &arguments, number, &self.sender)
            .map_err(|error| format!("{}: {error}", client.name))?;
        self.members.push(member);
        self.states.push(State::default());
        Ok(number)
    }

    /// Gives a member a command.
    pub(super) fn tell(&mut self, member: usize, command: &str) -> Result<(), String> {
        let told = self.members[member].tell(command);
        told.map_err(|error| self.account(&format!("telling member {member}: {error}")))
    }

    /// Kills a member, as a crash does.
    pub(super) fn kill(&mut self, member: usize) -> Result<(), String> {
        self.states[member].killed = true;
        self.members[member]
            .kill()
            .map_err(|error| error.to_string())?;
        self.until("the end of a killed member", |play| {
            play.states[member].ended
        })
    }

    /// A member leaves in order, and its process ends.
    pub(super) fn leave(&mut self, member: usize) -> Result<(), String> {
        self.tell(member, "leave")?;
        self.until("a member leaving", |play| {
            play.states[member].left && play.states[member].ended
        })
    }

    /// A member reads on from an offset that may be committed already.
    pub(super) fn seek(
        &mut self,
        member: usize,
        partition: &str,
        offset: i64,
    ) -> Result<(), String> {
        self.committed.remove(partition);
        self.states[member].begins.remove(partition);
        self.tell(member, &format!("seek {partition} {offset}"))
    }

    /// A member commits, and the answer is awaited.
    pub(super) fn commit(&mut self, member: usize, command: &str) -> Result<(), String> {
        let before = self.states[member].commits;
        self.tell(member, command)?;
        self.until("an answer to a commit", |play| {
            play.states[member].commits > before
        })
    }

    /// Members commit until the broker has all that was produced. Once is not enough where a
    /// rebalance came after the reading: it takes a member back to what is committed.
    pub(super) fn commit_all(&mut self, members: &[usize]) -> Result<(), String> {
        let started = Instant::now();
        loop {
            for &member in members {
                self.commit(member, "commit")?;
            }
            let stored = self.stored(self.produced.keys().cloned().collect())?;
            if stored == self.produced || started.elapsed() > LIMIT {
                return self.expect_all_committed();
            }
        }
    }

    /// Appends records to each of some partitions.
    pub(super) fn produce(&mut self, partitions: &[Partition], count: u32) -> Result<(), String> {
        let mut wire = self.wire()?;
        for partition in partitions {
            let (topic, number) = split(partition);
            let mut batch = BatchBuilder::new(Compression::None);
            for i in 0..count {
                let value = format!("{i}");
                batch.push(now(), None, Some(value.as_bytes()));
            }
            append(&mut wire, topic, number, &batch.build())
                .map_err(|problem| format!("producing to {partition}: {problem}"))?;
            *self.produced.entry(partition.clone()).or_default() += i64::from(count);
        }
        Ok(())
    }

    /// Waits until every record that was produced has been read by somebody.
    pub(super) fn until_all_read(&mut self) -> Result<(), String> {
        self.until("every record", |play| {
            play.produced.iter().all(|(partition, end)| {
                let read = play.read.get(partition);
                read.is_some_and(|read| (0..*end).all(|offset| read.contains(&offset)))
            })
        })
    }

    /// Waits until some members share some partitions: each has one, and none is had twice.
    pub(super) fn until_shared(
        &mut self,
        members: &[usize],
        partitions: &[Partition],
    ) -> Result<(), String> {
        self.until("the members sharing the partitions", |play| {
            let of_members = members.iter().map(|member| &play.states[*member].assigned);
            let total: usize = of_members.clone().map(BTreeSet::len).sum();
            let all: BTreeSet<&Partition> = of_members.clone().flatten().collect();
            let each_has = of_members.clone().all(|assigned| !assigned.is_empty());
            let wanted: BTreeSet<&Partition> = partitions.iter().collect();
            let each_may = members.len() > partitions.len() || each_has;
            each_may && total == partitions.len() && all == wanted
        })
    }

    /// How many records were produced to a partition.
    pub(super) fn produced_of(&self, partition: &Partition) -> usize {
        let produced = self.produced.get(partition).copied().unwrap_or(0);
        usize::try_from(produced).expect("a scenario produces few records")
    }

    /// Takes events in until something holds.
    pub(super) fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(problem) = self.problem.take() {
                return Err(self.account(&problem));
            }
            if holds(self) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok((member, event)) => self.take(member, event),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.account(&format!("waited in vain for {what}")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("a sender is kept beside the receiver")
                }
            }
        }
    }

    fn take(&mut self, member: usize, event: Event) {
        let state = &mut self.states[member];
        state.lines.push(format!("{event:?}"));
        match event {
            Event::Assigned(partitions) => {
                state.assigned = partitions.into_iter().collect();
                state.rebalances += 1;
                state.begins = self.committed.clone();
            }
            Event::Committed(offsets) => {
                state.commits += 1;
                for (partition, offset) in offsets {
                    let committed = self.committed.entry(partition).or_default();
                    *committed = offset.max(*committed);
                }
            }
            Event::Ended => {
                if !state.left && !state.killed {
                    self.problem = Some(format!("member {member} ended by itself"));
                }
                state.ended = true;
                state.assigned.clear();
            }
            Event::Failed(problem) => self.problem = Some(problem),
            Event::Left => state.left = true,
            Event::Other(_) => {}
            Event::Record(partition, offset) => {
                let begin = state.begins.get(&partition).copied().unwrap_or(0);
                if offset < begin {
                    self.problem = Some(format!(
                        "member {member} read {offset} of {partition} again, {begin} committed"
                    ));
                }
                state.records.push((partition.clone(), offset));
                self.read.entry(partition).or_default().insert(offset);
            }
            Event::Revoked => {
                state.assigned.clear();
                state.rebalances += 1;
            }
        }
    }

    /// Checks that the broker has what the members committed, which is all that was produced.
    pub(super) fn expect_all_committed(&mut self) -> Result<(), String> {
        let produced = self.produced.clone();
        let stored = self.stored(produced.keys().cloned().collect())?;
        if stored == produced {
            Ok(())
        } else {
            Err(self.account(&format!("committed are {stored:?}, produced {produced:?}")))
        }
    }

    /// The offsets of the group as the broker has them.
    pub(super) fn stored(
        &self,
        partitions: Vec<Partition>,
    ) -> Result<BTreeMap<Partition, i64>, String> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, number) in partitions.iter().map(|partition| split(partition)) {
            topics.entry(topic).or_default().push(number);
        }
        let mut request = OffsetFetchRequest::default();
        request.group_id = StrBytes::from(self.group.as_str());
        let of_topic = |(name, numbers): (&str, Vec<i32>)| {
            let mut topic = OffsetFetchRequestTopic::default();
            topic.name = StrBytes::from(name);
            topic.partition_indexes = numbers;
            topic
        };
        request.topics = Some(topics.into_iter().map(of_topic).collect());
        let answer = self.wire()?.call(5, &request).map_err(|e| e.to_string())?;
        let mut stored = BTreeMap::new();
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let name = format!("{}:{}", topic.name, partition.partition_index);
                stored.insert(name, partition.committed_offset);
            }
        }
        Ok(stored)
    }

    fn wire(&self) -> Result<WireClient, String> {
        WireClient::connect(self.stage.broker).map_err(|error| error.to_string())
    }

    /// A problem with what the members told last.
    fn account(&self, problem: &str) -> String {
        let mut text = problem.to_owned();
        for (number, state) in self.states.iter().enumerate() {
            let first = state.lines.len().saturating_sub(LINES_SHOWN);
            text += &format!("\n   member {number}: has {:?}", state.assigned);
            for line in &state.lines[first..] {
                text += &format!("\n      {line}");
            }
        }
        text
    }
}

/// Appends a batch; Apache Kafka needs a moment until it leads what it has just created.
fn append(wire: &mut WireClient, topic: &str, number: i32, batch: &Bytes) -> Result<(), String> {
    let started = Instant::now();
    loop {
        let answer = wire
            .send_batch(topic, number, batch.clone())
            .and_then(|()| wire.receive_produced());
        match answer {
            Ok((0, _)) => return Ok(()),
            Ok((UNKNOWN_TOPIC_OR_PARTITION | NOT_LEADER_OR_FOLLOWER, _))
                if started.elapsed() < LIMIT => {}
            other => return Err(format!("{other:?}")),
        }
    }
}

/// `TOPIC:NUMBER` in its parts.
pub(super) fn split(partition: &str) -> (&str, i32) {
    let (topic, number) = partition.rsplit_once(':').expect("partitions are named so");
    (topic, number.parse().expect("partitions are numbered"))
}

/// The time of the wall: retention must not take the records away.
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    Timestamp(i64::try_from(since.as_millis()).expect("a clock before the year 292 million"))
}
