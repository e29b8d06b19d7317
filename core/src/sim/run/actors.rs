//! Who works in a world: what each client is like, by the options and the dice.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Run;
use crate::client::group::assignor::Assignor;
use crate::sim::checkers::log_image::{BOUNDED, COMPACTED, RECODED, STAMPED};
use crate::sim::client::SimulatedClient;
use crate::sim::workload::Actor;
use crate::sim::workload::group::{CommitKind, Member, MemberOptions};
use crate::sim::workload::limiter::CLIENT_IDS;
use crate::sim::workload::producer::{Producer, ProducerOptions};

/// The API numbers whose versions clients choose.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;

impl Run {
    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        let options = &self.world.options;
        let kind = |number| match () {
            () if number < options.stamped_topics => format!("-{STAMPED}"),
            () if options.timestamp_bound_ms > 0 => format!("-{BOUNDED}"),
            () => String::new(),
        };
        let codec = |number| match number < options.recoded_topics {
            true => format!("-{RECODED}"),
            false => String::new(),
        };
        let name = |what, number| format!("{what}{}{}-{number}", kind(number), codec(number));
        let plain = (0..options.topics).map(|number| name("topic", number));
        let compacted = (0..options.compacted_topics).map(|number| name(COMPACTED, number));
        plain.chain(compacted).map(Arc::from).collect()
    }

    pub(super) fn groups(&self) -> Vec<Arc<str>> {
        let numbers = 0..self.world.options.groups;
        numbers
            .map(|number| format!("group-{number}").into())
            .collect()
    }

    /// A member. All of a group have a strategy in common; some are static.
    pub(super) fn member(&mut self, group: u64, number: u64) -> Actor {
        let options = self.world.options.clone();
        let mut dice = self.root.child("group", group);
        let all = [
            Assignor::Range,
            Assignor::RoundRobin,
            Assignor::Sticky,
            Assignor::CooperativeSticky,
        ];
        let common = all[dice.below(4) as usize];
        let mut dice = dice.child("member", number);
        let mut assignors = vec![common];
        if common != Assignor::CooperativeSticky && dice.chance(1, 3) {
            let other = all[dice.below(3) as usize];
            assignors.extend((other != common).then_some(other));
        }
        let instance_id = dice
            .chance(1, 3)
            .then(|| format!("static-{group}-{number}").into());
        let commits = match dice.below(4) {
            0 => CommitKind::Automatic(dice.between(20, 500)),
            1 => CommitKind::Later,
            2 => CommitKind::Now,
            _last => CommitKind::Wherever,
        };
        // OffsetCommit, JoinGroup, Heartbeat, LeaveGroup, SyncGroup.
        let versions = [(8, 7, 9), (11, 5, 9), (12, 3, 4), (13, 3, 5), (14, 3, 5)];
        let version_caps = versions.map(|(api, first, last)| {
            let version = dice.between(first, last + 1);
            (api, i16::try_from(version).expect("versions are small"))
        });
        Actor::Member(Box::new(Member::new(MemberOptions {
            group: format!("group-{group}").into(),
            instance_id,
            assignors,
            topics: self.topics(),
            commits,
            session_timeout_ms: options.session_timeout_ms,
            max_poll_ms: options.max_poll_ms,
            process_ms_max: options.process_ms_max,
            crash_every_ms: options.member_crash_every_ms,
            leave_every_ms: options.member_leave_every_ms,
            stall_every_ms: options.member_stall_every_ms,
            version_caps: BTreeMap::from(version_caps),
        })))
    }

    pub(super) fn producer(&mut self, number: u64) -> Actor {
        let options = self.world.options.clone();
        let mut dice = self.root.child("producer", number);
        let is_idempotent = dice.chance(1, 2);
        let acks = match dice.below(6) {
            _any if is_idempotent => -1,
            0 => 0,
            1 | 2 => 1,
            _most => -1,
        };
        let mut topics = self.topics();
        if options.admin == 1 && dice.chance(1, 2) {
            topics.push("restless".into());
        }
        // Some begin shortly before sequences start again at 0.
        let first_sequence = match options.idempotence == 1 && dice.chance(1, 4) {
            true => i32::MAX - i32::try_from(dice.below(200)).expect("a small number"),
            false => 0,
        };
        Actor::Producer(Producer::new(ProducerOptions {
            name: u32::try_from(number).expect("few"),
            topics,
            acks,
            is_idempotent,
            in_flight_max: if is_idempotent {
                dice.between(1, 6) as usize
            } else {
                1
            },
            timestamp_bounds_ms: (
                options.timestamp_bound_ms,
                options.timestamp_bound_ms + 2 * options.wall_skew_ms,
            ),
            batch_records_max: options.batch_records_max,
            value_bytes_max: options.value_bytes_max,
            compacted_keys: options.compacted_keys,
            pause_ms_max: options.pause_ms_max,
            produce_version: self.version("produce", 3, 13),
            gets_id: options.idempotence == 1,
            keeps_order: options.flush_policy == 0 && options.admin == 0,
            is_refused: options.disk_full_every_ms > 0 || options.timestamp_bound_ms > 0,
            first_sequence,
            honours_quotas: self.honours_quotas(),
        }))
    }

    /// Whether the next client waits as it is told.
    pub(super) fn honours_quotas(&self) -> bool {
        let mut dice = self.root.child("quotas", self.clients);
        dice.chance(1, 2)
    }

    /// A version for the next client, often the newest.
    pub(super) fn version(&self, name: &str, first: u64, last: u64) -> i16 {
        let mut dice = self.root.child(name, self.clients);
        let version = if dice.chance(1, 2) {
            last
        } else {
            dice.between(first, last + 1)
        };
        i16::try_from(version).expect("versions are small")
    }

    pub(super) fn add(&mut self, actor: Actor) {
        let caps = match &actor {
            Actor::Admin(_) | Actor::Limiter(_) => BTreeMap::new(),
            // They name topics, and are told names.
            Actor::Auditor(_) | Actor::Keeper(_) | Actor::Member(_) => {
                BTreeMap::from([(OFFSET_COMMIT, 9), (OFFSET_FETCH, 9)])
            }
            Actor::Consumer(consumer) => BTreeMap::from([(FETCH, consumer.fetch_version())]),
            Actor::Producer(producer) => BTreeMap::from([(PRODUCE, producer.produce_version())]),
        };
        let rng = self.root.child("client", self.clients);
        let client_id = match self.world.options.quotas {
            0 => "ottla",
            _limited => CLIENT_IDS[self.clients as usize % CLIENT_IDS.len()],
        };
        self.clients += 1;
        let client = SimulatedClient::new(1, (client_id, caps), actor, rng);
        self.world.add_client(client);
    }
}
