//! Members against a toy coordinator: rebalances, and what goes wrong.

mod toy;

use std::time::Duration;

use super::*;
use crate::client::consumer::StartAt;
use crate::client::network::NetworkOptions;
use crate::error::ErrorCode;
use crate::ids::PartitionIndex;
use toy::{Toy, short};

const LEAVE: i16 = 13;
const SECOND: Duration = Duration::from_secs(1);

/// Members, the toy, and the time.
struct World {
    toy: Toy,
    members: Vec<GroupConsumer>,
    /// What members told, in a line each.
    told: Vec<Vec<String>>,
    now: Instant,
}

fn options(assignors: &[Assignor]) -> GroupOptions {
    let network = NetworkOptions::new(vec![("toy".into(), 9092)]);
    let mut options = GroupOptions::new(network, "g");
    options.assignors = assignors.to_vec();
    options.consumer.reset = Some(StartAt::Offset(Offset(0)));
    options
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition {
        topic: "t".into(),
        partition: PartitionIndex(index),
    }
}

impl World {
    fn new() -> Self {
        let mut toy = Toy::default();
        toy.topics.insert("t".to_owned(), 4);
        Self {
            toy,
            members: Vec::new(),
            told: Vec::new(),
            now: Instant(1),
        }
    }

    fn join(&mut self, options: GroupOptions) -> usize {
        let mut member = GroupConsumer::new(options);
        member.subscribe(self.now, ["t".into()]);
        self.members.push(member);
        self.told.push(Vec::new());
        self.members.len() - 1
    }

    /// Lets time pass; members poll and take their events.
    fn run(&mut self, duration: Duration) {
        self.run_but(duration, &[]);
    }

    /// As [`Self::run`], but for those who are stuck.
    fn run_but(&mut self, duration: Duration, stuck: &[usize]) {
        let end = self.now.after(duration);
        for _step in 0..200_000 {
            let mut is_quiet = true;
            for (who, member) in self.members.iter_mut().enumerate() {
                let mut effects = Vec::new();
                member.take_effects(&mut effects);
                is_quiet &= effects.is_empty();
                self.toy.carry_out(who, effects);
                if stuck.contains(&who) {
                    continue;
                }
                while let Some(event) = member.next_event() {
                    is_quiet = false;
                    self.told[who].push(tell(&event));
                }
                assert_eq!(member.next_records(self.now), None);
            }
            while let Some((who, input)) = self.toy.next_input() {
                is_quiet = false;
                self.members[who].on_input(self.now, input);
            }
            if !is_quiet {
                continue;
            }
            let deadlines = self.members.iter().filter_map(GroupConsumer::next_deadline);
            let next = deadlines.min().unwrap_or(end).min(end);
            if next >= end && self.now >= end {
                return;
            }
            self.now = self.now.max(next);
            for member in &mut self.members {
                member.on_time(self.now);
            }
        }
        panic!("members never come to rest");
    }

    fn take_told(&mut self, who: usize) -> String {
        std::mem::take(&mut self.told[who]).join("; ")
    }

    fn fault(&mut self, api: i16, codes: &[ErrorCode]) {
        self.toy.faults.insert(api, codes.iter().copied().collect());
    }
}

fn tell(event: &GroupEvent) -> String {
    match event {
        GroupEvent::Assigned(partitions) => format!("assigned {}", short(partitions)),
        GroupEvent::Committed { result, .. } => format!("committed {result:?}"),
        GroupEvent::Failed(error) => format!("failed {error}"),
        GroupEvent::Lost(partitions) => format!("lost {}", short(partitions)),
        GroupEvent::Revoked(partitions) => format!("revoked {}", short(partitions)),
        GroupEvent::Trouble { partition, error } => format!("trouble {partition} {error}"),
    }
}

fn manual(assignors: &[Assignor]) -> GroupOptions {
    GroupOptions {
        auto_commit: None,
        ..options(assignors)
    }
}

#[test]
fn a_group_of_one_owns_everything_and_leaves() {
    let mut world = World::new();
    world.join(options(&[Assignor::Range]));
    world.run(SECOND);
    assert_eq!(world.take_told(0), "assigned t-0 t-1 t-2 t-3");
    assert_eq!(world.members[0].position(&partition(2)), Some(Offset(0)));
    let (now, two) = (world.now, partition(2));
    world.members[0].seek(now, &two, StartAt::Offset(Offset(7)));
    world.run(6 * SECOND);
    assert_eq!(world.take_told(0), "committed Ok(())", "it is automatic");
    assert_eq!(world.toy.committed[&("t".to_owned(), 2)], 7);
    world.members[0].seek(now, &two, StartAt::Offset(Offset(9)));
    world.members[0].close(world.now);
    world.run(SECOND);
    assert!(world.members[0].is_closed());
    assert_eq!(
        world.take_told(0),
        "committed Ok(()); revoked t-0 t-1 t-2 t-3"
    );
    assert_eq!(world.toy.committed[&("t".to_owned(), 2)], 9);
    assert_eq!(world.toy.members.len(), 0);
}

#[test]
fn eager_members_give_up_all_and_begin_where_others_ended() {
    let mut world = World::new();
    world.join(options(&[Assignor::Range]));
    world.run(SECOND);
    let now = world.now;
    world.members[0].seek(now, &partition(3), StartAt::Offset(Offset(5)));
    world.join(options(&[Assignor::Range]));
    world.run(4 * SECOND);
    let expected = "assigned t-0 t-1 t-2 t-3; committed Ok(()); revoked t-0 t-1 t-2 t-3; \
                    assigned t-0 t-1";
    assert_eq!(world.take_told(0), expected);
    assert_eq!(world.take_told(1), "assigned t-2 t-3");
    assert_eq!(world.members[1].position(&partition(3)), Some(Offset(5)));
    world.members[0].close(world.now);
    world.run(4 * SECOND);
    assert_eq!(short(world.members[1].owned()), "t-0 t-1 t-2 t-3");
}

#[test]
fn cooperative_members_give_up_only_what_moves() {
    let mut world = World::new();
    world.join(manual(&[Assignor::CooperativeSticky]));
    world.run(SECOND);
    world.join(manual(&[Assignor::CooperativeSticky]));
    world.run(10 * SECOND);
    let told = world.take_told(0);
    let expected = "assigned t-0 t-1 t-2 t-3; revoked t-2 t-3; assigned ; assigned ";
    assert_eq!(told, expected);
    assert_eq!(world.take_told(1), "assigned ; assigned t-2 t-3");
    assert_eq!(world.toy.generation, 3, "two rounds");
    for member in &world.members {
        assert!(member.is_stable());
    }
}

#[test]
fn who_does_not_poll_loses_its_partitions() {
    let mut world = World::new();
    let mut options = manual(&[Assignor::Sticky]);
    options.max_poll_interval = 20 * SECOND;
    world.join(options.clone());
    world.join(options);
    world.run(5 * SECOND);
    let before = short(world.members[0].owned());
    let id = world.members[0].member_id.to_string();
    world.run_but(30 * SECOND, &[0]);
    let reason = "consumer poll timeout has expired.";
    assert!(world.toy.seen.contains(&(LEAVE, reason.to_owned())));
    assert_eq!(short(world.members[1].owned()), "t-0 t-1 t-2 t-3");
    world.told[0].clear();
    world.toy.joined_as.clear();
    world.run(10 * SECOND);
    // The coordinator does not know the id any more that left.
    assert!(!world.toy.joined_as.contains(&id));
    assert!(
        world
            .take_told(0)
            .starts_with(&format!("lost {before}; assigned t-"))
    );
    assert!(world.members[0].is_stable() && world.members[1].is_stable());
    assert_eq!(world.members[0].owned().len(), 2);
}

#[test]
fn errors_of_a_membership_are_overcome() {
    let overcome = [
        (10, ErrorCode::CoordinatorNotAvailable),
        (11, ErrorCode::CoordinatorLoadInProgress),
        (11, ErrorCode::NotCoordinator),
        (11, ErrorCode::UnknownMemberId),
        (11, ErrorCode::RebalanceInProgress),
        (14, ErrorCode::RebalanceInProgress),
        (14, ErrorCode::IllegalGeneration),
        (14, ErrorCode::NotCoordinator),
        (12, ErrorCode::NotCoordinator),
        (12, ErrorCode::IllegalGeneration),
        (12, ErrorCode::UnknownMemberId),
        (12, ErrorCode::RebalanceInProgress),
        (9, ErrorCode::CoordinatorLoadInProgress),
        (9, ErrorCode::NotCoordinator),
        (8, ErrorCode::CoordinatorLoadInProgress),
        (8, ErrorCode::UnknownMemberId),
        (8, ErrorCode::RebalanceInProgress),
    ];
    for (api, code) in overcome {
        for assignor in [Assignor::Range, Assignor::CooperativeSticky] {
            let mut world = World::new();
            world.fault(api, &[code, code]);
            world.join(options(&[assignor]));
            world.run(30 * SECOND);
            assert!(
                world.toy.faults[&api].is_empty(),
                "{api} {code} was not met"
            );
            let told = world.take_told(0);
            assert!(!told.contains("failed"), "{api} {code}: {told}");
            let member = &world.members[0];
            assert!(member.is_stable(), "{api} {code}: {member:?}");
            assert_eq!(member.owned().len(), 4, "{api} {code}");
            assert_eq!(
                member.position(&partition(0)),
                Some(Offset(0)),
                "{api} {code}"
            );
        }
    }
}

#[test]
fn errors_that_cannot_pass_end_a_membership() {
    let finals = [
        (10, ErrorCode::GroupAuthorizationFailed),
        (11, ErrorCode::FencedInstanceId),
        (11, ErrorCode::GroupMaxSizeReached),
        (11, ErrorCode::InconsistentGroupProtocol),
        (11, ErrorCode::InvalidSessionTimeout),
        (12, ErrorCode::FencedInstanceId),
        (14, ErrorCode::FencedInstanceId),
        (8, ErrorCode::FencedInstanceId),
        (9, ErrorCode::GroupAuthorizationFailed),
    ];
    for (api, code) in finals {
        let mut world = World::new();
        world.fault(api, &[code]);
        world.join(options(&[Assignor::Range]));
        world.run(10 * SECOND);
        let told = world.take_told(0);
        assert!(
            told.ends_with(&format!("failed {}", code.name())),
            "{api}: {told}"
        );
        world.members[0].close(world.now);
        world.run(SECOND);
        assert!(world.members[0].is_closed());
    }
}

#[test]
fn a_coordinator_that_moves_is_followed() {
    let mut world = World::new();
    world.join(manual(&[Assignor::Range]));
    world.run(SECOND);
    world.toy.drops_links = true;
    world.run(10 * SECOND);
    assert!(!world.toy.drops_links, "a connection was lost");
    assert_eq!(world.take_told(0), "assigned t-0 t-1 t-2 t-3");
    assert!(world.members[0].is_stable());
    assert_eq!(world.toy.generation, 1);
}

#[test]
fn commits_end_with_an_event_each() {
    let mut world = World::new();
    world.fault(
        8,
        &[
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::NotCoordinator,
        ],
    );
    world.join(manual(&[Assignor::Range]));
    world.run(SECOND);
    let now = world.now;
    let offsets = BTreeMap::from([(partition(1), Commit::at(Offset(3)))]);
    world.members[0].commit(now, offsets.clone());
    world.members[0].commit(now, BTreeMap::new());
    world.run(5 * SECOND);
    let told = world.take_told(0);
    assert_eq!(
        told,
        "assigned t-0 t-1 t-2 t-3; committed Ok(()); committed Ok(())"
    );
    assert_eq!(world.toy.committed[&("t".to_owned(), 1)], 3);
    world.fault(8, &[ErrorCode::OffsetMetadataTooLarge]);
    world.members[0].commit(world.now, offsets);
    world.run(SECOND);
    assert_eq!(
        world.take_told(0),
        "committed Err(Broker(OffsetMetadataTooLarge))"
    );
    assert!(world.members[0].is_stable());
}

#[test]
fn a_static_member_comes_back_as_itself() {
    let mut world = World::new();
    let mut options = manual(&[Assignor::Range]);
    options.instance_id = Some("me".into());
    world.join(options.clone());
    world.run(SECOND);
    world.members[0].close(world.now);
    world.run(SECOND);
    assert!(world.members[0].is_closed());
    assert_eq!(world.toy.members.len(), 1, "it does not leave");
    world.join(options);
    world.run(SECOND);
    assert_eq!(world.take_told(1), "assigned t-0 t-1 t-2 t-3");
}

#[test]
fn new_partitions_and_topics_are_taken_up() {
    #[derive(Debug)]
    struct BeginsWithT;
    impl TopicMatcher for BeginsWithT {
        fn matches(&self, name: &str) -> bool {
            name.starts_with('t')
        }
    }
    let mut world = World::new();
    world.toy.topics.insert("other".to_owned(), 1);
    let who = world.join(manual(&[Assignor::Range]));
    world.members[who].subscribe_matching(world.now, Arc::new(BeginsWithT));
    world.run(SECOND);
    assert_eq!(world.take_told(0), "assigned t-0 t-1 t-2 t-3");
    world.toy.topics.insert("t".to_owned(), 5);
    world.toy.topics.insert("t2".to_owned(), 1);
    world.run(301 * SECOND);
    assert_eq!(short(world.members[0].owned()), "t-0 t-1 t-2 t-3 t-4 t2-0");
}

#[test]
fn partitions_by_hand_need_no_membership() {
    let mut world = World::new();
    world.toy.committed.insert(("t".to_owned(), 1), 8);
    let mut member = GroupConsumer::new(options(&[Assignor::Range]));
    member.assign(world.now, [partition(1)]);
    world.members.push(member);
    world.told.push(Vec::new());
    world.run(SECOND);
    assert_eq!(world.members[0].position(&partition(1)), Some(Offset(8)));
    world.members[0].seek(world.now, &partition(1), StartAt::Offset(Offset(9)));
    world.members[0].close(world.now);
    world.run(SECOND);
    assert!(world.members[0].is_closed());
    assert_eq!(world.toy.committed[&("t".to_owned(), 1)], 9);
    assert_eq!(world.toy.generation, 0);
}

#[test]
fn what_is_held_is_not_committed() {
    let mut world = World::new();
    world.join(options(&[Assignor::Range]));
    world.run(SECOND);
    let (two, three) = (partition(2), partition(3));
    for partition in [&two, &three] {
        world.members[0].seek(world.now, partition, StartAt::Offset(Offset(9)));
    }
    world.members[0].set_held(&two, Some(Offset(4)));
    world.members[0].set_held(&three, Some(Offset(12)));
    world.run(6 * SECOND);
    assert_eq!(world.toy.committed[&("t".to_owned(), 2)], 4);
    assert_eq!(world.toy.committed[&("t".to_owned(), 3)], 9);
    world.members[0].set_held(&two, Some(Offset(6)));
    world.members[0].set_held(&three, None);
    world.members[0].close(world.now);
    world.run(SECOND);
    assert_eq!(world.toy.committed[&("t".to_owned(), 2)], 6);
    assert_eq!(world.toy.committed[&("t".to_owned(), 3)], 9);
    // Somebody else's partition is not held.
    world.members[0].set_held(&two, Some(Offset(1)));
    assert!(world.members[0].held.is_empty());
}
