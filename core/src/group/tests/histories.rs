//! Random histories: calls, commits, losses and time, against a replay of the log (K81, R79, R85).

use std::collections::BTreeSet;

use super::*;
use crate::group::classic::{ClassicGroup, GroupState};
use crate::group::timers::Timer;

const GROUPS: [&str; 3] = ["g", "h", "i"];
const CLIENTS: [&str; 4] = ["a", "b", "c", "d"];
const INSTANCES: [&str; 2] = ["s0", "s1"];

/// What a client of the history knows.
#[derive(Clone, Debug, Default)]
struct Client {
    id: MemberId,
    generation: i32,
    members: Vec<MemberId>,
    joins: Option<Ticket>,
    syncs: Option<Ticket>,
}

struct History {
    meeting: Meeting,
    rng: Rng,
    /// A shard that only ever reads what is committed.
    replica: Shard,
    read: usize,
    clients: BTreeMap<(usize, usize), Client>,
    /// What was delivered in a generation of a group's incarnation: partition by partition.
    owned: BTreeMap<(usize, u64, i32), BTreeMap<String, MemberId>>,
    generations: BTreeMap<u64, i32>,
}

impl History {
    fn new(seed: u64) -> Self {
        let settings = GroupSettings {
            offsets_retention: Duration::from_secs(120),
            offsets_retention_check_interval: Duration::from_secs(20),
            max_size: 4,
            ..settings()
        };
        let mut meeting = Meeting::with(settings);
        meeting.commits_at_once = false;
        Self {
            meeting,
            rng: Rng::new(seed),
            replica: Shard::new(Arc::new(super::settings()), Rng::new(0)),
            read: 0,
            clients: BTreeMap::new(),
            owned: BTreeMap::new(),
            generations: BTreeMap::new(),
        }
    }

    fn pick(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("small");
        usize::try_from(self.rng.below(end)).expect("small")
    }

    fn step(&mut self) {
        let group = self.pick(GROUPS.len());
        // The last clients are the static members.
        let client = self.pick(CLIENTS.len() + INSTANCES.len());
        match self.rng.below(100) {
            0..25 => self.join(group, client),
            25..45 => self.sync(group, client),
            45..55 => self.beat(group, client),
            55..59 => self.leave(group, client),
            59..70 => self.commit_offset(group, client),
            70..72 => self.delete_group(group),
            72..74 => self.delete_topic(),
            74..88 => self.meeting.commit(),
            88..90 => {
                let in_flight = self.meeting.in_flight.len();
                if in_flight > 0 {
                    let place = self.pick(in_flight);
                    self.meeting.lose(place);
                }
            }
            _ => {
                let milliseconds = self.rng.below(4_000);
                self.meeting.pass(Duration::from_millis(milliseconds));
            }
        }
        self.listen();
        self.check();
    }

    fn known(&mut self, group: usize, client: usize) -> &mut Client {
        self.clients.entry((group, client)).or_default()
    }

    fn join(&mut self, group: usize, client: usize) {
        let forgets = self.rng.chance(1, 10);
        let version = [0, 3, 4, 8, 9][self.pick(5)];
        let instance = client
            .checked_sub(CLIENTS.len())
            .map(|index| INSTANCES[index]);
        let known = self.known(group, client);
        let id = if forgets {
            MemberId::default()
        } else {
            known.id.clone()
        };
        let mut joiner = joiner(CLIENTS[client % CLIENTS.len()]);
        joiner = joiner
            .with_id(&id)
            .version(if instance.is_some() { 9 } else { version });
        joiner.instance = instance;
        joiner.rebalance_timeout_ms = 8_000;
        if self.rng.chance(1, 6) {
            joiner = joiner.topics(&["u"]);
        }
        let ticket = self.meeting.join_group(GROUPS[group], &joiner);
        self.known(group, client).joins = Some(ticket);
    }

    fn sync(&mut self, group: usize, client: usize) {
        let known = self.known(group, client).clone();
        let mut request = SyncGroupRequest::default();
        request.group_id = GROUPS[group].into();
        request.member_id = known.id.clone();
        request.generation_id = known.generation;
        // Each member gets a partition of its own; the last may be forgotten.
        let salt = self.rng.below(1_000);
        let texts: Vec<String> = (0..known.members.len())
            .map(|index| format!("p{index} of {salt}"))
            .collect();
        let pairs: Vec<(&MemberId, &str)> = std::iter::zip(&known.members, &texts)
            .map(|(id, text)| (id, text.as_str()))
            .collect();
        request.assignments = assignments_of(&pairs);
        let ticket = self.meeting.sync_as(4, &request);
        self.known(group, client).syncs = Some(ticket);
    }

    fn beat(&mut self, group: usize, client: usize) {
        let known = self.known(group, client).clone();
        let mut request = HeartbeatRequest::default();
        request.group_id = GROUPS[group].into();
        request.member_id = known.id;
        request.generation_id = known.generation;
        self.meeting.ask(4, "", |shard, now, caller, _, out| {
            shard.heartbeat(now, caller, &request, out);
        });
    }

    fn leave(&mut self, group: usize, client: usize) {
        let known = std::mem::take(self.known(group, client));
        let mut request = LeaveGroupRequest::default();
        request.group_id = GROUPS[group].into();
        let mut identity = MemberIdentity::default();
        identity.member_id = known.id;
        request.members.push(identity);
        self.meeting.ask(5, "", |shard, now, caller, _, out| {
            shard.leave_group(now, caller, &request, out);
        });
    }

    fn commit_offset(&mut self, group: usize, client: usize) {
        let known = self.known(group, client).clone();
        let is_simple = self.rng.chance(1, 3);
        let partition = i32::try_from(self.pick(3)).expect("small");
        let topic = if self.rng.chance(1, 2) { "t" } else { "u" };
        let offset = i64::try_from(self.rng.below(1_000)).expect("small");
        let offsets = [(topic, partition, offset)];
        let (id, generation) = if is_simple {
            (MemberId::default(), -1)
        } else {
            (known.id, known.generation)
        };
        let request = commit_request(GROUPS[group], &id, generation, &offsets);
        self.meeting.commit_offsets(9, &request);
    }

    fn delete_group(&mut self, group: usize) {
        let id = StrBytes::from(GROUPS[group]);
        let _may_be_refused = self
            .meeting
            .act(|shard, _, out| shard.delete_group(&id, out));
    }

    fn delete_topic(&mut self) {
        let name: crate::ids::TopicName = "u".into();
        let id = topic_id("u");
        self.meeting
            .act(|shard, _, out| shard.on_topic_deleted(&name, id, out));
    }

    /// Clients take note of what they were told.
    fn listen(&mut self) {
        let mut delivered = Vec::new();
        for ((group, _), client) in &mut self.clients {
            let joined = client
                .joins
                .and_then(|ticket| self.meeting.replies.get(&ticket));
            if let Some(GroupReply::JoinGroup(reply)) = joined {
                client.joins = None;
                let code = code(reply.error_code);
                if [ErrorCode::None, ErrorCode::MemberIdRequired].contains(&code) {
                    client.id = reply.member_id.clone();
                    client.generation = reply.generation_id;
                    let members = reply.members.iter();
                    client.members = members.map(|m| m.member_id.clone()).collect();
                } else if code != ErrorCode::RebalanceInProgress {
                    *client = Client::default();
                }
            }
            let synced = client
                .syncs
                .and_then(|ticket| self.meeting.replies.get(&ticket));
            if let Some(GroupReply::SyncGroup(reply)) = synced {
                client.syncs = None;
                if reply.error_code == 0 && !reply.assignment.is_empty() {
                    let text = String::from_utf8_lossy(&reply.assignment);
                    let partition = text.split(' ').next().unwrap_or_default();
                    let (id, generation) = (client.id.clone(), client.generation);
                    delivered.push((*group, partition.to_owned(), id, generation));
                }
            }
        }
        for (group, partition, id, generation) in delivered {
            self.own(group, partition, id, generation);
        }
    }

    /// In one generation a partition is assigned to one member, whatever id a static one has.
    fn own(&mut self, group: usize, partition: String, id: MemberId, generation: i32) {
        let Some(live) = self
            .meeting
            .shard
            .groups
            .get(&StrBytes::from(GROUPS[group]))
        else {
            return;
        };
        let name = |id: &MemberId| id.split('-').next().unwrap_or_default().to_owned();
        let key = (group, live.incarnation, generation);
        let owners = self.owned.entry(key).or_default();
        if let Some(former) = owners.insert(partition.clone(), id.clone()) {
            let is_static = INSTANCES.contains(&name(&id).as_str());
            let is_same = former == id || (is_static && name(&former) == name(&id));
            assert!(is_same, "{key:?}: {partition} is of {former} and of {id}");
        }
    }

    fn check(&mut self) {
        for record in &self.meeting.log[self.read..] {
            let read = self.replica.replay(&record.key, record.value.as_deref());
            read.expect("the shard wrote it");
        }
        self.read = self.meeting.log.len();
        let shard = &self.meeting.shard;
        let offsets = |shard: &Shard| {
            let kept = shard.offsets.checked();
            kept.map(|(id, offsets)| (id.clone(), offsets.committed().clone()))
                .filter(|(_, committed)| !committed.is_empty())
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(offsets(shard), offsets(&self.replica), "offsets");
        let mut shown: BTreeSet<StrBytes> = BTreeSet::new();
        for (id, group) in &shard.groups {
            let generation = self.generations.entry(group.incarnation).or_default();
            assert!(group.generation >= *generation, "generations only grow");
            *generation = group.generation;
            if group.is_recorded {
                shown.insert(id.clone());
            } else {
                assert!(group.writes_in_flight > 0, "{id} is known to no log");
            }
            compare(shard, group, self.replica.groups.get(id));
        }
        shown.extend(
            shard
                .dying
                .iter()
                .filter(|(_, group)| group.is_recorded)
                .map(|((id, _), _)| id.clone()),
        );
        let replayed: BTreeSet<StrBytes> = self.replica.groups.keys().cloned().collect();
        assert_eq!(shown, replayed, "groups");
    }

    /// All that waits is answered at the end.
    fn end(mut self) {
        self.meeting.act(|shard, _, out| shard.resign(out));
        let answered = self.meeting.replies.len();
        assert_eq!(u64::try_from(answered).expect("few"), self.meeting.asked);
    }
}

/// A group that is settled is what the log says.
fn compare(shard: &Shard, group: &ClassicGroup, replayed: Option<&ClassicGroup>) {
    let is_settled = [GroupState::Empty, GroupState::Stable].contains(&group.state);
    let rewrite = Timer::Rewrite(group.id.clone());
    let is_complete = group.writes_in_flight == 0 && !shard.shared.timers.is_scheduled(&rewrite);
    // A simple group has no record of its own until somebody joins and its first rebalance ends.
    if !is_settled || !is_complete || group.generation == 0 {
        return;
    }
    let replayed = replayed.expect("a group that is written is in the log");
    let mut live = group.to_record(&group.assignments());
    let mut read = replayed.to_record(&replayed.assignments());
    assert_eq!(group.state, replayed.state, "{}", group.id);
    if group.state == GroupState::Stable {
        // Written before the group was Stable.
        live.current_state_timestamp = Timestamp::NONE;
        read.current_state_timestamp = Timestamp::NONE;
    }
    assert_eq!(live, read, "{}", group.id);
    assert_eq!(group.subscribed, replayed.subscribed, "{}", group.id);
}

#[test]
fn what_is_served_is_what_a_replay_of_the_log_gives() {
    let (mut stable, mut delivered) = (0, 0);
    for seed in 0..60 {
        let mut history = History::new(seed);
        for _step in 0..600 {
            history.step();
            let groups = history.meeting.shard.groups.values();
            stable += groups
                .filter(|group| group.state == GroupState::Stable)
                .count();
        }
        delivered += history.owned.len();
        history.end();
    }
    assert!(stable > 1_000, "histories reach Stable: {stable}");
    assert!(
        delivered > 100,
        "histories deliver assignments: {delivered}"
    );
}
