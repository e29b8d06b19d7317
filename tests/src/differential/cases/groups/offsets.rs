//! OffsetCommit, OffsetFetch, OffsetDelete.

use kafka_wire::delete_topics_request::DeleteTopicState;
use kafka_wire::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use kafka_wire::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_wire::{
    DeleteTopicsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use kafka_wire_core::{StrBytes, Uuid};

use super::{
    Case, JOIN_VERSION, Member, Session, Stopped, UNKNOWN_ID, commit, commit_of, commit_request,
    group, join, join_request, leave, message, named, stable, text,
};

pub(in super::super) const CASES: &[Case] = &[
    Case {
        key: 8,
        name: "OffsetCommit/no member",
        first: 0,
        run: commits,
    },
    Case {
        key: 8,
        name: "OffsetCommit/members",
        first: 0,
        run: commits_of_members,
    },
    Case {
        key: 8,
        name: "OffsetCommit/static",
        first: 7,
        run: commits_static,
    },
    Case {
        key: 9,
        name: "OffsetFetch/one group",
        first: 0,
        run: fetches,
    },
    Case {
        key: 9,
        name: "OffsetFetch/several groups",
        first: 8,
        run: fetches_several,
    },
    Case {
        key: 9,
        name: "OffsetFetch/topic deleted",
        first: 0,
        run: topic_deleted,
    },
    Case {
        key: 47,
        name: "OffsetDelete/offsets",
        first: 0,
        run: deletes,
    },
];

/// First versions of OffsetCommit and OffsetFetch that name topics by id.
const BY_ID_VERSION: i16 = 10;

/// Version of OffsetFetch used to look.
const FETCH_VERSION: i16 = 5;

/// What is committed for a group, by name.
fn committed(
    session: &mut Session,
    label: &str,
    group: &StrBytes,
    topic: &StrBytes,
) -> Result<(), Stopped> {
    let request = message!(OffsetFetchRequest {
        group_id: group.clone(),
        topics: Some(vec![message!(OffsetFetchRequestTopic {
            name: topic.clone(),
            partition_indexes: vec![0, 1, 2],
        })]),
    });
    session.ask_at(label, FETCH_VERSION, &request, &[])
}

fn commits(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 2, &[])?;
    let name = named(session, BY_ID_VERSION, &topic, id);
    let target = (&name.0, name.1);
    let group = group(session, "g")?;
    let ask = |session: &mut Session, label: &str, partitions| {
        session.ask(label, &commit_request(&group, target, partitions))
    };
    ask(session, "one", vec![commit_of(0, 5, Some("note"))])?;
    ask(session, "no note", vec![commit_of(1, 7, None)])?;
    committed(session, "what is committed", &group, &topic)?;
    let mixed = vec![commit_of(0, 6, Some("")), commit_of(2, 6, Some(""))];
    ask(session, "an unknown partition", mixed)?;
    ask(
        session,
        "a negative partition",
        vec![commit_of(-1, 6, Some(""))],
    )?;
    ask(
        session,
        "a negative offset",
        vec![commit_of(0, -1, Some(""))],
    )?;
    let long = "x".repeat(4_097);
    let mixed = vec![
        commit_of(0, 8, Some(&long)),
        commit_of(1, 8, Some(&long[..4_096])),
    ];
    ask(session, "a long note", mixed)?;
    let twice = vec![commit_of(0, 9, Some("a")), commit_of(0, 10, Some("b"))];
    ask(session, "a partition twice", twice)?;
    committed(session, "what is committed then", &group, &topic)?;
    ask(session, "no partitions", Vec::new())?;
    let mut none = commit_request(&group, target, Vec::new());
    none.topics = Vec::new();
    session.ask("no topics", &none)?;
    let stranger = session.name("nowhere");
    let unknown = named(session, BY_ID_VERSION, &stranger, UNKNOWN_ID);
    let one = vec![commit_of(0, 5, Some(""))];
    let request = commit_request(&group, (&unknown.0, unknown.1), one.clone());
    session.ask("an unknown topic", &request)?;
    let mut both = commit_request(&group, target, one.clone());
    both.topics.extend(request.topics);
    session.ask("a known and an unknown topic", &both)?;
    let bad_name = text("bad name");
    let illegal = named(session, BY_ID_VERSION, &bad_name, Uuid::default());
    let request = commit_request(&group, (&illegal.0, illegal.1), one.clone());
    session.ask("an illegal topic", &request)?;
    if session.version() >= 6 {
        let mut partition = commit_of(0, 11, Some(""));
        partition.committed_leader_epoch = 3;
        ask(session, "a leader epoch", vec![partition])?;
        committed(session, "with its leader epoch", &group, &topic)?;
    }
    let empty = commit_request(&text(""), target, one);
    session.ask("no group", &empty)
}

fn commits_of_members(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 2, &[])?;
    let name = named(session, BY_ID_VERSION, &topic, id);
    let target = (&name.0, name.1);
    let unknown = group(session, "unknown")?;
    let (busy, member) = stable(session, "g", None)?;
    let good = |group: &StrBytes| {
        let mut request = commit_request(group, target, vec![commit_of(0, 5, Some("note"))]);
        request.generation_id_or_member_epoch = member.generation;
        request.member_id = member.id.clone();
        request
    };
    let ask = |session: &mut Session, label: &str, change: &dyn Fn(&mut OffsetCommitRequest)| {
        let mut request = good(&busy);
        change(&mut request);
        session.ask(label, &request)
    };
    session.ask("good", &good(&busy))?;
    committed(session, "what is committed", &busy, &topic)?;
    ask(session, "no member of a busy group", &|r| {
        r.generation_id_or_member_epoch = -1;
        r.member_id = text("");
    })?;
    ask(session, "no generation", &|r| {
        r.generation_id_or_member_epoch = -1
    })?;
    ask(session, "no member id", &|r| r.member_id = text(""))?;
    ask(session, "an unknown member", &|r| {
        r.member_id = text("nobody")
    })?;
    ask(session, "an old generation", &|r| {
        r.generation_id_or_member_epoch -= 1
    })?;
    ask(session, "a new generation", &|r| {
        r.generation_id_or_member_epoch += 1
    })?;
    session.ask("an unknown group", &good(&unknown))?;
    let rejoined = {
        let mut request = join_request(&busy, &member.id);
        request.protocols = super::protocols(&["range", "sticky"]);
        join(session, &request)?
    };
    ask(session, "before the sync", &|r| {
        r.generation_id_or_member_epoch = rejoined.generation_id;
    })?;
    let now = Member {
        generation: rejoined.generation_id,
        ..member.clone()
    };
    super::settle(session, &busy, &now, None)?;
    leave(session, &busy, &member)?;
    session.ask("after leaving", &good(&busy))?;
    ask(session, "no member of an empty group", &|r| {
        r.generation_id_or_member_epoch = -1;
        r.member_id = text("");
    })?;
    committed(session, "what is committed then", &busy, &topic)
}

fn commits_static(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let name = named(session, BY_ID_VERSION, &topic, id);
    let target = (&name.0, name.1);
    let (busy, member) = stable(session, "g", Some("one"))?;
    let ask = |session: &mut Session, label: &str, id: &str, instance: Option<&str>| {
        let mut request = commit_request(&busy, target, vec![commit_of(0, 5, Some("note"))]);
        request.generation_id_or_member_epoch = member.generation;
        request.member_id = if id.is_empty() {
            member.id.clone()
        } else {
            text(id)
        };
        request.group_instance_id = instance.map(text);
        session.ask(label, &request)
    };
    ask(session, "good", "", Some("one"))?;
    ask(session, "without instance", "", None)?;
    ask(session, "fenced", "nobody", Some("one"))?;
    ask(session, "an unknown instance", "", Some("two"))
}

/// Asks for offsets of one group, in the form that the version under test has.
fn fetch(
    session: &mut Session,
    label: &str,
    group: &StrBytes,
    topics: Option<&[(&StrBytes, Uuid, &[i32])]>,
) -> Result<(), Stopped> {
    let mut request = OffsetFetchRequest::default();
    if session.version() < 8 {
        request.group_id = group.clone();
        let topic = |(name, _id, partitions): &(&StrBytes, Uuid, &[i32])| {
            message!(OffsetFetchRequestTopic {
                name: (*name).clone(),
                partition_indexes: partitions.to_vec(),
            })
        };
        request.topics = topics.map(|topics| topics.iter().map(topic).collect());
    } else {
        request.groups = vec![fetch_group(session, group, topics)];
    }
    session.ask(label, &request)
}

fn fetch_group(
    session: &Session,
    group: &StrBytes,
    topics: Option<&[(&StrBytes, Uuid, &[i32])]>,
) -> OffsetFetchRequestGroup {
    let topic = |(name, id, partitions): &(&StrBytes, Uuid, &[i32])| {
        let (name, id) = named(session, BY_ID_VERSION, name, *id);
        message!(OffsetFetchRequestTopics {
            name: name,
            topic_id: id,
            partition_indexes: partitions.to_vec(),
        })
    };
    let mut asked = OffsetFetchRequestGroup::default();
    asked.group_id = group.clone();
    asked.topics = topics.map(|topics| topics.iter().map(topic).collect());
    asked
}

fn fetches(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 2, &[])?;
    let (other, other_id) = session.topic("u", 1, &[])?;
    let stranger = session.name("nowhere");
    let unknown = group(session, "unknown")?;
    let group = group(session, "g")?;
    let partitions = vec![commit_of(0, 5, Some("note")), commit_of(1, 7, None)];
    commit(session, &commit_request(&group, (&topic, id), partitions))?;
    let one = vec![commit_of(0, 1, Some(""))];
    commit(session, &commit_request(&group, (&other, other_id), one))?;
    let all: &[i32] = &[0, 1, 2];
    fetch(
        session,
        "some",
        &group,
        Some(&[(&topic, id, all), (&other, other_id, all)]),
    )?;
    fetch(session, "every one", &group, None)?;
    fetch(session, "no topics", &group, Some(&[]))?;
    fetch(session, "no partitions", &group, Some(&[(&topic, id, &[])]))?;
    fetch(
        session,
        "a partition twice",
        &group,
        Some(&[(&topic, id, &[0, 0])]),
    )?;
    let twice = [(&topic, id, &[0][..]), (&topic, id, &[1][..])];
    fetch(session, "a topic twice", &group, Some(&twice))?;
    fetch(
        session,
        "an unknown topic",
        &group,
        Some(&[(&stranger, UNKNOWN_ID, &[0])]),
    )?;
    fetch(
        session,
        "an unknown group",
        &unknown,
        Some(&[(&topic, id, &[0])]),
    )?;
    fetch(session, "every one of an unknown group", &unknown, None)?;
    fetch(session, "no group", &text(""), Some(&[(&topic, id, &[0])]))
}

fn fetches_several(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let unknown = group(session, "unknown")?;
    let first = group(session, "g")?;
    let (second, member) = stable(session, "h", None)?;
    let one = vec![commit_of(0, 5, Some(""))];
    commit(session, &commit_request(&first, (&topic, id), one))?;
    let asked = |session: &Session, group: &StrBytes| {
        fetch_group(session, group, Some(&[(&topic, id, &[0])]))
    };
    let three = [&first, &second, &unknown].map(|group| asked(session, group));
    let ask = |session: &mut Session, label: &str, groups: &[OffsetFetchRequestGroup]| {
        let request = message!(OffsetFetchRequest {
            groups: groups.to_vec(),
        });
        session.ask(label, &request)
    };
    ask(session, "three", &three)?;
    ask(session, "none", &[])?;
    ask(session, "one twice", &[three[0].clone(), three[0].clone()])?;
    let stable = message!(OffsetFetchRequest {
        require_stable: true,
        groups: three.to_vec(),
    });
    session.ask("stable ones", &stable)?;
    if session.version() >= 9 {
        let as_member = |id: &StrBytes, epoch: i32| {
            let mut group = three[1].clone();
            group.member_id = Some(id.clone());
            group.member_epoch = epoch;
            group
        };
        ask(
            session,
            "as a member",
            &[as_member(&member.id, member.generation)],
        )?;
        ask(session, "as a stranger", &[as_member(&text("nobody"), 7)])?;
    }
    Ok(())
}

fn topic_deleted(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let (other, other_id) = session.topic("u", 1, &[])?;
    let group = group(session, "g")?;
    for target in [(&topic, id), (&other, other_id)] {
        let one = vec![commit_of(0, 5, Some(""))];
        commit(session, &commit_request(&group, target, one))?;
    }
    let request = message!(DeleteTopicsRequest {
        topics: vec![message!(DeleteTopicState {
            name: Some(topic.clone()),
        })],
        timeout_ms: 8_000,
    });
    session.quiet(6, &request)?;
    let look = message!(OffsetFetchRequest {
        group_id: group.clone(),
        topics: None,
    });
    session.until("an end of its offsets", |session| {
        let answer = session.quiet(FETCH_VERSION, &look)?;
        Ok(answer.topics.iter().all(|left| left.name != topic))
    })?;
    fetch(session, "every one", &group, None)?;
    fetch(session, "the deleted", &group, Some(&[(&topic, id, &[0])]))?;
    let (again, new_id) = session.topic("t", 1, &[])?;
    fetch(
        session,
        "created again",
        &group,
        Some(&[(&again, new_id, &[0])]),
    )
}

fn deletes(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 2, &[])?;
    let stranger = session.name("nowhere");
    let unknown = group(session, "unknown")?;
    let (group, member) = stable(session, "g", None)?;
    let mut request = commit_request(&group, (&topic, id), vec![commit_of(0, 5, Some(""))]);
    request.generation_id_or_member_epoch = member.generation;
    request.member_id = member.id.clone();
    commit(session, &request)?;
    let ask = |session: &mut Session, label: &str, group: &StrBytes, topics: &[&StrBytes]| {
        let topic = |name: &&StrBytes| {
            let partition = |index: i32| {
                message!(OffsetDeleteRequestPartition {
                    partition_index: index,
                })
            };
            message!(OffsetDeleteRequestTopic {
                name: (*name).clone(),
                partitions: [0, 1, 7].map(partition).to_vec(),
            })
        };
        let request = message!(OffsetDeleteRequest {
            group_id: group.clone(),
            topics: topics.iter().map(topic).collect(),
        });
        session.ask(label, &request)
    };
    ask(session, "not subscribed", &group, &[&topic])?;
    committed(session, "what is committed", &group, &topic)?;
    ask(session, "an unknown topic", &group, &[&stranger])?;
    ask(session, "an unknown group", &unknown, &[&topic])?;
    ask(session, "no group", &text(""), &[&topic])?;
    ask(session, "no topics", &group, &[])?;
    let mut subscribed = join_request(&group, &member.id);
    subscribed.protocols[0].metadata = super::subscription(&[&topic]);
    let joined = session.quiet(JOIN_VERSION, &subscribed)?;
    let now = Member {
        generation: joined.generation_id,
        ..member.clone()
    };
    super::settle(session, &group, &now, None)?;
    ask(session, "subscribed", &group, &[&topic, &stranger])?;
    leave(session, &group, &member)?;
    ask(session, "an empty group", &group, &[&topic])?;
    ask(session, "and again", &group, &[&topic])
}
