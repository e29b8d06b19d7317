//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use kafka_wire::leave_group_request::MemberIdentity;
use kafka_wire::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_wire_core::StrBytes;

use super::{
    CONSUMER, Case, JOIN_VERSION, Member, SYNC_VERSION, Session, Stopped, group, join,
    join_request, leave, message, protocols, settle, stable, sync_request, text,
};

pub(in super::super) const CASES: &[Case] = &[
    Case {
        key: 11,
        name: "JoinGroup/alone",
        first: 0,
        run: joins_alone,
    },
    Case {
        key: 11,
        name: "JoinGroup/refused",
        first: 0,
        run: joins_refused,
    },
    Case {
        key: 11,
        name: "JoinGroup/static",
        first: 5,
        run: joins_static,
    },
    Case {
        key: 11,
        name: "JoinGroup/two",
        first: 0,
        run: joins_two,
    },
    Case {
        key: 12,
        name: "Heartbeat/states",
        first: 0,
        run: heartbeats,
    },
    Case {
        key: 12,
        name: "Heartbeat/static",
        first: 3,
        run: heartbeats_static,
    },
    Case {
        key: 13,
        name: "LeaveGroup/members",
        first: 0,
        run: leaves,
    },
    Case {
        key: 13,
        name: "LeaveGroup/several",
        first: 3,
        run: leaves_several,
    },
    Case {
        key: 14,
        name: "SyncGroup/alone",
        first: 0,
        run: syncs,
    },
    Case {
        key: 14,
        name: "SyncGroup/static",
        first: 3,
        run: syncs_static,
    },
    Case {
        key: 14,
        name: "SyncGroup/two",
        first: 0,
        run: syncs_two,
    },
];

/// An id that no member has.
const NOBODY: &str = "nobody";

fn joins_alone(session: &mut Session) -> Result<(), Stopped> {
    let group = group(session, "g")?;
    let mut request = join_request(&group, &text(""));
    let first = session.ask_and_take("without an id", &request)?;
    request.member_id = first.member_id;
    let joined = session.ask_and_take("with the id", &request)?;
    let member = Member {
        id: joined.member_id,
        generation: joined.generation_id,
    };
    let again = session.ask_and_take("again before the sync", &request)?;
    let member = Member {
        generation: again.generation_id,
        ..member
    };
    settle(session, &group, &member, None)?;
    session.ask("again when stable", &request)?;
    request.protocols = protocols(&["range", "roundrobin"]);
    session.ask("with other protocols", &request)?;
    request.protocols = protocols(&["roundrobin"]);
    session.ask("with one it did not have", &request)
}

/// Asks to join with one thing wrong.
fn ask_changed(
    session: &mut Session,
    label: &str,
    good: &JoinGroupRequest,
    change: impl FnOnce(&mut JoinGroupRequest),
) -> Result<(), Stopped> {
    let mut request = good.clone();
    change(&mut request);
    session.ask(label, &request)
}

fn joins_refused(session: &mut Session) -> Result<(), Stopped> {
    let (busy, member) = stable(session, "busy", None)?;
    let group = group(session, "g")?;
    let nobody = text("");
    let good = join_request(&group, &nobody);
    ask_changed(session, "no group", &good, |r| r.group_id = text(""))?;
    ask_changed(session, "an unknown member", &good, |r| {
        r.member_id = text(NOBODY);
    })?;
    for (label, timeout_ms) in [
        ("a short session", 5_999),
        ("a long session", 1_800_001),
        ("a session of none", -1),
    ] {
        ask_changed(session, label, &good, |r| r.session_timeout_ms = timeout_ms)?;
    }
    ask_changed(session, "no protocols", &good, |r| r.protocols = Vec::new())?;
    ask_changed(session, "no protocol type", &good, |r| {
        r.protocol_type = text("");
    })?;
    let good = join_request(&busy, &nobody);
    ask_changed(session, "another protocol type", &good, |r| {
        r.protocol_type = text("connect");
    })?;
    ask_changed(session, "no common protocol", &good, |r| {
        r.protocols = protocols(&["other"]);
    })?;
    ask_changed(session, "no protocols, busy", &good, |r| {
        r.protocols = Vec::new();
    })?;
    ask_changed(session, "an unknown member, busy", &good, |r| {
        r.member_id = text(NOBODY);
    })?;
    ask_changed(session, "a member with another type", &good, |r| {
        r.member_id = member.id.clone();
        r.protocol_type = text("connect");
    })
}

fn joins_static(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", Some("one"))?;
    let request = |id: &StrBytes, instance: Option<&str>, names: &[&str]| {
        let mut request = join_request(&group, id);
        request.group_instance_id = instance.map(text);
        request.protocols = protocols(names);
        request
    };
    let again = request(&member.id, Some("one"), &["range"]);
    session.ask("the same again", &again)?;
    let without = request(&member.id, None, &["range"]);
    session.ask("the same without instance", &without)?;
    let unknown = request(&text(NOBODY), Some("one"), &["range"]);
    session.ask("another id, the same instance", &unknown)?;
    let unknown = request(&text(NOBODY), Some("two"), &["range"]);
    session.ask("an unknown instance with an id", &unknown)?;
    let restarted = request(&text(""), Some("one"), &["range"]);
    session.ask("restarted", &restarted)?;
    session.ask("the former", &again)?;
    let changed = request(&text(""), Some("one"), &["range", "sticky"]);
    session.ask("restarted with more protocols", &changed)?;
    for (label, instance) in [("an empty instance", ""), ("an odd instance", "a b")] {
        let mut request = join_request(&super::group(session, label)?, &text(""));
        request.group_instance_id = Some(text(instance));
        session.ask(label, &request)?;
    }
    Ok(())
}

fn joins_two(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", None)?;
    let version = session.version();
    let mut second = join_request(&group, &text(""));
    if version >= 4 {
        second.member_id = session.ask_and_take("a second member", &second)?.member_id;
    }
    second.protocols = protocols(&["other", "range"]);
    second.protocols[1].metadata = super::subscription(&["another"]);
    session.park(version, &second)?;
    rebalancing(session, &group, &member)?;
    let first = join_request(&group, &member.id);
    let leader = session.ask_and_take("the first again", &first)?;
    let follower = session.parked::<JoinGroupRequest>(version)?;
    session.note("the second", &follower, &[]);
    let leader = Member {
        id: leader.member_id,
        generation: leader.generation_id,
    };
    settle(session, &group, &leader, None)?;
    second.member_id = follower.member_id;
    session.ask("the second again", &second)
}

/// Waits until a member is told to join again.
fn rebalancing(session: &mut Session, group: &StrBytes, member: &Member) -> Result<(), Stopped> {
    let request = heartbeat_of(group, member);
    session.until("a rebalance", |session| {
        Ok(session
            .quiet(super::HEARTBEAT_VERSION, &request)?
            .error_code
            == 27)
    })
}

fn heartbeat_of(group: &StrBytes, member: &Member) -> HeartbeatRequest {
    message!(HeartbeatRequest {
        group_id: group.clone(),
        generation_id: member.generation,
        member_id: member.id.clone(),
    })
}

fn heartbeats(session: &mut Session) -> Result<(), Stopped> {
    let unknown = group(session, "unknown")?;
    let fresh = group(session, "g")?;
    let joined = join(session, &join_request(&fresh, &text("")))?;
    let member = Member {
        id: joined.member_id,
        generation: joined.generation_id,
    };
    let good = heartbeat_of(&fresh, &member);
    session.ask("before the sync", &good)?;
    settle(session, &fresh, &member, None)?;
    session.ask("when stable", &good)?;
    let ask = |session: &mut Session, label: &str, change: &dyn Fn(&mut HeartbeatRequest)| {
        let mut request = good.clone();
        change(&mut request);
        session.ask(label, &request)
    };
    ask(session, "no group", &|r| r.group_id = text(""))?;
    ask(session, "an unknown group", &|r| {
        r.group_id = unknown.clone()
    })?;
    ask(session, "an unknown member", &|r| {
        r.member_id = text(NOBODY)
    })?;
    ask(session, "no member", &|r| r.member_id = text(""))?;
    ask(session, "an old generation", &|r| r.generation_id -= 1)?;
    ask(session, "a new generation", &|r| r.generation_id += 1)?;
    ask(session, "no generation", &|r| r.generation_id = -1)?;
    let mut second = join_request(&fresh, &text(""));
    second.member_id = session.quiet(JOIN_VERSION, &second)?.member_id;
    session.park(JOIN_VERSION, &second)?;
    rebalancing(session, &fresh, &member)?;
    session.ask("in a rebalance", &good)?;
    leave(session, &fresh, &member)?;
    session.ask("after leaving", &good)?;
    session.parked::<JoinGroupRequest>(JOIN_VERSION).map(drop)
}

fn heartbeats_static(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", Some("one"))?;
    let ask = |session: &mut Session, label: &str, id: &str, instance: Option<&str>| {
        let mut request = heartbeat_of(&group, &member);
        if !id.is_empty() {
            request.member_id = text(id);
        }
        request.group_instance_id = instance.map(text);
        session.ask(label, &request)
    };
    ask(session, "good", "", Some("one"))?;
    ask(session, "without instance", "", None)?;
    ask(session, "fenced", NOBODY, Some("one"))?;
    ask(session, "an unknown instance", "", Some("two"))?;
    ask(session, "nobody at all", NOBODY, Some("two"))
}

fn leaves(session: &mut Session) -> Result<(), Stopped> {
    let unknown = group(session, "unknown")?;
    let (group, member) = stable(session, "g", None)?;
    let version = session.version();
    let ask = |session: &mut Session, label: &str, group: &StrBytes, id: &StrBytes| {
        let mut request = message!(LeaveGroupRequest {
            group_id: group.clone(),
        });
        if version < 3 {
            request.member_id = id.clone();
        } else {
            request.members = vec![message!(MemberIdentity {
                member_id: id.clone(),
            })];
        }
        session.ask(label, &request)
    };
    ask(session, "no group", &text(""), &member.id)?;
    ask(session, "an unknown group", &unknown, &member.id)?;
    ask(session, "an unknown member", &group, &text(NOBODY))?;
    ask(session, "no member", &group, &text(""))?;
    ask(session, "good", &group, &member.id)?;
    ask(session, "again", &group, &member.id)?;
    let pending = session.quiet(JOIN_VERSION, &join_request(&group, &text("")))?;
    ask(session, "a pending member", &group, &pending.member_id)
}

fn leaves_several(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", Some("one"))?;
    let ask = |session: &mut Session, label: &str, members: &[(&str, Option<&str>)]| {
        let member = |(id, instance): &(&str, Option<&str>)| {
            message!(MemberIdentity {
                member_id: text(id),
                group_instance_id: instance.map(text),
                reason: None,
            })
        };
        let request = message!(LeaveGroupRequest {
            group_id: group.clone(),
            members: members.iter().map(member).collect(),
        });
        session.ask(label, &request)
    };
    ask(session, "none", &[])?;
    ask(session, "an unknown instance", &[("", Some("two"))])?;
    ask(session, "a fenced instance", &[(NOBODY, Some("one"))])?;
    let both = [(NOBODY, None), ("", Some("one")), ("", Some("one"))];
    ask(session, "unknown, good, gone", &both)?;
    ask(session, "gone", &[(&member.id, Some("one"))])
}

fn syncs(session: &mut Session) -> Result<(), Stopped> {
    let unknown = group(session, "unknown")?;
    let fresh = group(session, "g")?;
    let joined = join(session, &join_request(&fresh, &text("")))?;
    let member = Member {
        id: joined.member_id,
        generation: joined.generation_id,
    };
    let mut good = sync_request(&fresh, &member, &["work"]);
    if session.version() >= 5 {
        good.protocol_type = Some(text(CONSUMER));
        good.protocol_name = Some(text("range"));
    }
    let ask = |session: &mut Session, label: &str, change: &dyn Fn(&mut SyncGroupRequest)| {
        let mut request = good.clone();
        change(&mut request);
        session.ask(label, &request)
    };
    ask(session, "no group", &|r| r.group_id = text(""))?;
    ask(session, "an unknown group", &|r| {
        r.group_id = unknown.clone()
    })?;
    ask(session, "an unknown member", &|r| {
        r.member_id = text(NOBODY)
    })?;
    ask(session, "an old generation", &|r| r.generation_id -= 1)?;
    ask(session, "a new generation", &|r| r.generation_id += 1)?;
    if session.version() >= 5 {
        ask(session, "another type", &|r| {
            r.protocol_type = Some(text("other"))
        })?;
        ask(session, "another protocol", &|r| {
            r.protocol_name = Some(text("other"))
        })?;
        ask(session, "no type", &|r| r.protocol_type = None)?;
    }
    session.ask("good", &good)?;
    ask(session, "when stable", &|r| r.assignments = Vec::new())?;
    leave(session, &fresh, &member)?;
    session.ask("after leaving", &good)?;
    let joined = join(session, &join_request(&fresh, &text("")))?;
    let member = Member {
        id: joined.member_id,
        generation: joined.generation_id,
    };
    let request = sync_request(&fresh, &member, &[]);
    if session.version() < 5 {
        session.ask("without assignments", &request)?;
    }
    Ok(())
}

fn syncs_static(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", Some("one"))?;
    let is_typed = session.version() >= 5;
    let ask = |session: &mut Session, label: &str, id: &str, instance: Option<&str>| {
        let mut request = sync_request(&group, &member, &[]);
        if !id.is_empty() {
            request.member_id = text(id);
        }
        if is_typed {
            request.protocol_type = Some(text(CONSUMER));
            request.protocol_name = Some(text("range"));
        }
        request.group_instance_id = instance.map(text);
        session.ask(label, &request)
    };
    ask(session, "good", "", Some("one"))?;
    ask(session, "without instance", "", None)?;
    ask(session, "fenced", NOBODY, Some("one"))?;
    ask(session, "an unknown instance", "", Some("two"))
}

fn syncs_two(session: &mut Session) -> Result<(), Stopped> {
    let (group, member) = stable(session, "g", None)?;
    let version = session.version();
    let mut second = join_request(&group, &text(""));
    second.member_id = session.quiet(JOIN_VERSION, &second)?.member_id;
    session.park(JOIN_VERSION, &second)?;
    rebalancing(session, &group, &member)?;
    let early = sync_request(&group, &member, &[]);
    let typed = |mut request: SyncGroupRequest| {
        if version >= 5 {
            request.protocol_type = Some(text(CONSUMER));
            request.protocol_name = Some(text("range"));
        }
        request
    };
    session.ask("in a rebalance", &typed(early))?;
    let leader = join(session, &join_request(&group, &member.id))?;
    let follower = session.parked::<JoinGroupRequest>(JOIN_VERSION)?;
    let leader = Member {
        id: leader.member_id,
        generation: leader.generation_id,
    };
    let follower = Member {
        id: follower.member_id,
        generation: follower.generation_id,
    };
    session.park(version, &typed(sync_request(&group, &follower, &[])))?;
    session.ask(
        "the leader",
        &typed(sync_request(&group, &leader, &["work"])),
    )?;
    let parked = session.parked::<SyncGroupRequest>(version)?;
    session.note("the follower, without an assignment", &parked, &[]);
    let again = session.quiet(SYNC_VERSION, &sync_request(&group, &follower, &[]))?;
    session.note("the follower again", &again, &[]);
    Ok(())
}
