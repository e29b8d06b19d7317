//! What every strategy owes its members, over random groups; and Kafka's own examples.

use super::*;
use crate::ids::PartitionIndex;
use crate::rng::Rng;

fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        id: id.into(),
        instance_id: None,
        subscription: Subscription {
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            ..Subscription::default()
        },
    }
}

fn topics(counts: &[(&str, u32)]) -> Topics {
    let topics = counts.iter().map(|(name, count)| {
        let topic = TopicPartitions {
            count: *count,
            racks: Vec::new(),
        };
        ((*name).into(), topic)
    });
    topics.collect()
}

fn text(assignments: &Assignments) -> String {
    let lines = assignments.iter().map(|(member, partitions)| {
        let partitions = partitions.iter().map(ToString::to_string);
        format!("{member}: {}", partitions.collect::<Vec<_>>().join(" "))
    });
    lines.collect::<Vec<_>>().join("; ")
}

const ALL: [Assignor; 4] = [
    Assignor::CooperativeSticky,
    Assignor::Range,
    Assignor::RoundRobin,
    Assignor::Sticky,
];

#[test]
fn ranges_of_topics_alike_go_together() {
    let members = [member("m2", &["a", "b"]), member("m1", &["a", "b"])];
    let found = Assignor::Range.assign(&members, &topics(&[("a", 3), ("b", 3), ("c", 1)]));
    assert_eq!(text(&found), "m1: a-0 a-1 b-0 b-1; m2: a-2 b-2");
    let mut named = members;
    named[0].instance_id = Some("z".into());
    let found = Assignor::Range.assign(&named, &topics(&[("a", 3)]));
    assert_eq!(
        text(&found),
        "m1: a-2; m2: a-0 a-1",
        "named members come first"
    );
    let some = [member("m1", &["a"]), member("m2", &["a", "b"])];
    let found = Assignor::Range.assign(&some, &topics(&[("a", 2), ("b", 2)]));
    assert_eq!(text(&found), "m1: a-0; m2: a-1 b-0 b-1");
}

#[test]
fn ranges_follow_racks_where_they_matter() {
    let rack = |name: &str| -> Arc<str> { name.into() };
    let mut members = [member("m1", &["a", "b"]), member("m2", &["a", "b"])];
    members[0].subscription.rack = Some(rack("y"));
    members[1].subscription.rack = Some(rack("x"));
    let mut all = topics(&[("a", 4), ("b", 4)]);
    for topic in all.values_mut() {
        let racks = ["x", "y", "x", "y"].map(|name| BTreeSet::from([rack(name)]));
        topic.racks = racks.to_vec();
    }
    let found = Assignor::Range.assign(&members, &all);
    assert_eq!(text(&found), "m1: a-1 a-3 b-1 b-3; m2: a-0 a-2 b-0 b-2");
    all.remove("b");
    let found = Assignor::Range.assign(&members, &all);
    assert_eq!(text(&found), "m1: a-1 a-3; m2: a-0 a-2");
    for topic in all.values_mut() {
        topic.racks = vec![BTreeSet::from([rack("x"), rack("y")]); 4];
    }
    let found = Assignor::Range.assign(&members, &all);
    assert_eq!(
        text(&found),
        "m1: a-0 a-1; m2: a-2 a-3",
        "every partition is in both"
    );
}

#[test]
fn round_robin_goes_over_all_topics() {
    let members = [member("m1", &["a", "b"]), member("m2", &["a", "b"])];
    let found = Assignor::RoundRobin.assign(&members, &topics(&[("a", 3), ("b", 3)]));
    assert_eq!(text(&found), "m1: a-0 a-2 b-1; m2: a-1 b-0 b-2");
    // The example in the documentation of Kafka's class.
    let members = [
        member("m1", &["a"]),
        member("m2", &["a", "b"]),
        member("m3", &["a", "b", "c"]),
    ];
    let found = Assignor::RoundRobin.assign(&members, &topics(&[("a", 1), ("b", 2), ("c", 3)]));
    assert_eq!(text(&found), "m1: a-0; m2: b-0; m3: b-1 c-0 c-1 c-2");
}

#[test]
fn sticky_moves_over_a_third_member() {
    // 0 has three of what 1 wants too, 1 has two of what 2 wants too.
    let mut members = [
        member("m0", &["a"]),
        member("m1", &["a", "b"]),
        member("m2", &["b"]),
    ];
    let own = |member: &mut Member, topic: &str, count| {
        let topic: TopicName = topic.into();
        member.subscription.owned = partitions(&topic, count).collect();
        member.subscription.generation = Some(GroupGeneration(1));
    };
    own(&mut members[0], "a", 3);
    own(&mut members[1], "b", 2);
    let all = topics(&[("a", 3), ("b", 3)]);
    members[2].subscription.owned = [TopicPartition {
        topic: "b".into(),
        partition: PartitionIndex(2),
    }]
    .into();
    members[2].subscription.generation = Some(GroupGeneration(1));
    let sorted: Vec<&Member> = members.iter().collect();
    let found = sticky::assign(&sorted, &all, sticky::previous_cooperative);
    let sizes: Vec<usize> = found.values().map(BTreeSet::len).collect();
    assert_eq!(sizes, [2, 2, 2], "{}", text(&found));
}

#[test]
fn names_are_kafkas() {
    for assignor in ALL {
        assert_eq!(Assignor::parse(assignor.name()), Some(assignor));
    }
    let class = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
    assert_eq!(Assignor::parse(class), Some(Assignor::CooperativeSticky));
    assert_eq!(Assignor::parse("lottery"), None);
}

/// A random group; with `is_equal`, all want the same.
fn group(rng: &mut Rng, is_equal: bool) -> (Vec<Member>, Topics) {
    let names = ["a", "b", "c", "d", "e"];
    let count = 1 + usize::try_from(rng.below(5)).unwrap();
    let counts: Vec<(&str, u32)> = names[..count]
        .iter()
        .map(|name| (*name, u32::try_from(rng.below(9)).unwrap()))
        .collect();
    let members = (0..=rng.below(7)).map(|index| {
        let wanted = names.iter().filter(|_name| is_equal || rng.below(3) > 0);
        member(&format!("m{index}"), &wanted.copied().collect::<Vec<_>>())
    });
    (members.collect(), topics(&counts))
}

/// Every wanted partition is somebody's who wants it, and nobody else's.
fn check_complete(members: &[Member], all: &Topics, assignments: &Assignments, held_back: usize) {
    assert_eq!(assignments.len(), members.len());
    let mut seen = BTreeSet::new();
    for member in members {
        for partition in &assignments[&member.id] {
            assert!(member.subscription.topics.contains(&partition.topic));
            assert!(seen.insert(partition.clone()), "{partition} is given twice");
        }
    }
    let is_wanted = |topic: &TopicName| {
        members
            .iter()
            .any(|member| member.subscription.topics.contains(topic))
    };
    let wanted = all.iter().filter(|(topic, _of)| is_wanted(topic));
    let wanted: usize = wanted.map(|(_topic, of)| of.count as usize).sum();
    assert_eq!(seen.len() + held_back, wanted);
}

/// No partition could go to a member that has at least two fewer.
fn check_even(members: &[Member], assignments: &Assignments) {
    for member in members {
        let mine = &assignments[&member.id];
        for other in members {
            let theirs = assignments[&other.id].len();
            let wants =
                |partition: &TopicPartition| other.subscription.topics.contains(&partition.topic);
            assert!(
                theirs + 2 > mine.len() || !mine.iter().any(wants),
                "{}",
                text(assignments)
            );
        }
    }
}

fn moves(before: &Assignments, after: &Assignments) -> usize {
    let lost = before
        .iter()
        .map(|(member, owned)| match after.get(member) {
            Some(assigned) => owned.difference(assigned).count(),
            None => 0,
        });
    lost.sum()
}

/// Takes an assignment into the members, as the next JoinGroup would bring it.
fn remember(assignor: Assignor, members: &mut [Member], found: &Assignments, generation: i32) {
    let generation = GroupGeneration(generation);
    for member in members {
        let owned = &found[&member.id];
        member.subscription.user_data = assignor.user_data(owned, generation);
        if assignor == Assignor::CooperativeSticky {
            member.subscription.owned.clone_from(owned);
            member.subscription.generation = Some(generation);
        }
        let blob = member.subscription.encode();
        member.subscription = Subscription::decode(&blob).expect("our own blob");
    }
}

#[test]
fn every_strategy_gives_everything_once() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let (members, all) = group(&mut rng, seed % 2 == 0);
        for assignor in ALL {
            let found = assignor.assign(&members, &all);
            check_complete(&members, &all, &found, 0);
            if matches!(assignor, Assignor::Sticky | Assignor::CooperativeSticky) {
                check_even(&members, &found);
            }
            assert_eq!(found, assignor.assign(&members, &all), "deterministic");
        }
    }
}

#[test]
fn sticky_moves_little() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let is_equal = seed % 2 == 0;
        let (mut members, all) = group(&mut rng, is_equal);
        let assignor = Assignor::Sticky;
        let first = assignor.assign(&members, &all);
        remember(assignor, &mut members, &first, 1);
        assert_eq!(
            assignor.assign(&members, &all),
            first,
            "nothing moves by itself"
        );
        let mut more = members.clone();
        more.push(member("new", &["a", "b", "c", "d", "e"]));
        let second = assignor.assign(&more, &all);
        check_complete(&more, &all, &second, 0);
        check_even(&more, &second);
        if is_equal {
            let taken = second["new"].len();
            assert_eq!(moves(&first, &second), taken, "only what the new one takes");
        }
        remember(assignor, &mut more, &second, 2);
        let gone = usize::try_from(rng.below(more.len() as u64)).unwrap();
        more.remove(gone);
        let third = assignor.assign(&more, &all);
        check_complete(&more, &all, &third, 0);
        check_even(&more, &third);
        if is_equal {
            assert_eq!(moves(&second, &third), 0, "only what the leaver had");
        }
    }
}

#[test]
fn cooperative_never_gives_what_another_owns() {
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let (mut members, all) = group(&mut rng, seed % 2 == 0);
        let assignor = Assignor::CooperativeSticky;
        let first = assignor.assign(&members, &all);
        remember(assignor, &mut members, &first, 1);
        members.push(member("new", &["a", "b", "c", "d", "e"]));
        let second = assignor.assign(&members, &all);
        let mut held_back = 0;
        for (member, owned) in &first {
            for (other, assigned) in &second {
                assert!(
                    member == other || assigned.is_disjoint(owned),
                    "seed {seed}"
                );
            }
            held_back += owned.difference(&second[member]).count();
        }
        check_complete(&members, &all, &second, held_back);
        remember(assignor, &mut members, &second, 2);
        let third = assignor.assign(&members, &all);
        check_complete(&members, &all, &third, 0);
        check_even(&members, &third);
        assert_eq!(moves(&second, &third), 0, "the second round only gives");
    }
}

#[test]
fn the_latest_generation_owns() {
    let mut members = [
        member("m1", &["a"]),
        member("m2", &["a"]),
        member("m3", &["a"]),
    ];
    let all = topics(&[("a", 3)]);
    for (index, generation) in [(0, 5), (1, 6), (2, 6)] {
        let owned = if index == 0 { 3 } else { 1 };
        let topic: TopicName = "a".into();
        members[index].subscription.owned = partitions(&topic, owned).collect();
        members[index].subscription.generation = Some(GroupGeneration(generation));
    }
    let sorted: Vec<&Member> = members.iter().collect();
    let found = sticky::assign(&sorted, &all, sticky::previous_cooperative);
    // Two say that they own a-0: it is free. m1 keeps one of the others.
    assert_eq!(text(&found), "m1: a-1; m2: a-0; m3: a-2");
}
