//! FindCoordinator, DescribeGroups, ListGroups, DeleteGroups.

use kafka_wire::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, JoinGroupRequest,
    ListGroupsRequest,
};
use kafka_wire_core::StrBytes;

use super::{
    Case, JOIN_VERSION, Session, Stopped, commit, commit_of, commit_request, group, join,
    join_request, leave, message, stable, text,
};

pub(in super::super) const CASES: &[Case] = &[
    Case {
        key: 10,
        name: "FindCoordinator/keys",
        first: 0,
        run: finds,
    },
    Case {
        key: 15,
        name: "DescribeGroups/states",
        first: 0,
        run: describes,
    },
    Case {
        key: 16,
        name: "ListGroups/states",
        first: 0,
        run: lists,
    },
    Case {
        key: 42,
        name: "DeleteGroups/states",
        first: 0,
        run: deletes,
    },
];

/// First version of FindCoordinator with several keys.
const SEVERAL_KEYS_VERSION: i16 = 4;

fn finds(session: &mut Session) -> Result<(), Stopped> {
    let group = group(session, "g")?;
    let share_key = text("g:AAAAAAAAAAAAAAAAAAAAAQ:0");
    let ask = |session: &mut Session, label: &str, key_type: i8, keys: &[&StrBytes]| {
        let mut request = message!(FindCoordinatorRequest { key_type: key_type });
        if session.version() < SEVERAL_KEYS_VERSION {
            request.key = keys
                .first()
                .map_or_else(StrBytes::default, |key| (*key).clone());
        } else {
            request.coordinator_keys = keys.iter().copied().cloned().collect();
        }
        session.ask(label, &request)
    };
    ask(session, "a group", 0, &[&group])?;
    ask(session, "no group", 0, &[&text("")])?;
    ask(
        session,
        "several, one twice",
        0,
        &[&group, &text("other"), &group],
    )?;
    ask(session, "none", 0, &[])?;
    ask(session, "type 7", 7, &[&group])?;
    ask(session, "type -1", -1, &[&group])?;
    ask(session, "no share key", 2, &[&group])?;
    if session.version() < 6 {
        ask(session, "a share key", 2, &[&share_key])?;
    }
    Ok(())
}

fn describes(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let unknown = group(session, "unknown")?;
    let simple = group(session, "simple")?;
    let one = vec![commit_of(0, 5, Some(""))];
    commit(session, &commit_request(&simple, (&topic, id), one))?;
    let (stable_group, member) = stable(session, "stable", Some("one"))?;
    let completing = group(session, "completing")?;
    join(session, &join_request(&completing, &text("")))?;
    let (empty, gone) = stable(session, "empty", None)?;
    leave(session, &empty, &gone)?;
    let ask = |session: &mut Session, label: &str, groups: &[&StrBytes], operations: bool| {
        let mut request = message!(DescribeGroupsRequest {
            groups: groups.iter().copied().cloned().collect(),
        });
        request.include_authorized_operations = operations;
        session.ask(label, &request)
    };
    ask(session, "stable", &[&stable_group], false)?;
    ask(session, "completing", &[&completing], false)?;
    ask(session, "empty", &[&empty], false)?;
    ask(session, "simple", &[&simple], false)?;
    ask(session, "unknown", &[&unknown], false)?;
    ask(session, "operations", &[&empty, &unknown], true)?;
    ask(session, "one twice", &[&empty, &empty], false)?;
    ask(session, "none", &[], false)?;
    let mut second = join_request(&stable_group, &text(""));
    second.member_id = session.quiet(JOIN_VERSION, &second)?.member_id;
    session.park(JOIN_VERSION, &second)?;
    let heartbeat = message!(kafka_wire::HeartbeatRequest {
        group_id: stable_group.clone(),
        generation_id: member.generation,
        member_id: member.id.clone(),
    });
    session.until("a rebalance", |session| {
        Ok(session
            .quiet(super::HEARTBEAT_VERSION, &heartbeat)?
            .error_code
            == 27)
    })?;
    ask(session, "preparing", &[&stable_group], false)?;
    let mut first = join_request(&stable_group, &member.id);
    first.group_instance_id = Some(text("one"));
    session.quiet(JOIN_VERSION, &first)?;
    session.parked::<JoinGroupRequest>(JOIN_VERSION).map(drop)
}

fn lists(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let simple = group(session, "simple")?;
    let one = vec![commit_of(0, 5, Some(""))];
    commit(session, &commit_request(&simple, (&topic, id), one))?;
    stable(session, "stable", None)?;
    let completing = group(session, "completing")?;
    join(session, &join_request(&completing, &text("")))?;
    let (empty, gone) = stable(session, "empty", None)?;
    leave(session, &empty, &gone)?;
    let own = session.name("");
    let ask = |session: &mut Session, label: &str, states: &[&str], types: &[&str]| {
        let request = message!(ListGroupsRequest {
            states_filter: states.iter().map(|state| text(state)).collect(),
            types_filter: types.iter().map(|kind| text(kind)).collect(),
        });
        let version = session.version();
        if !states.is_empty() && version < 4 || !types.is_empty() && version < 5 {
            return Ok(());
        }
        let mut answer = session.quiet(version, &request)?;
        answer
            .groups
            .retain(|group| group.group_id.starts_with(&*own));
        session.note(label, &answer, &[]);
        Ok(())
    };
    ask(session, "all", &[], &[])?;
    ask(session, "stable", &["Stable"], &[])?;
    ask(session, "small letters", &["stable", "empty"], &[])?;
    ask(
        session,
        "two states",
        &["Empty", "CompletingRebalance"],
        &[],
    )?;
    ask(session, "an unknown state", &["Weird"], &[])?;
    ask(session, "known and unknown", &["Weird", "Stable"], &[])?;
    ask(session, "classic", &[], &["classic"])?;
    ask(session, "Classic", &[], &["Classic"])?;
    ask(session, "consumer", &[], &["consumer"])?;
    ask(session, "an unknown type", &[], &["weird"])?;
    ask(session, "stable and classic", &["Stable"], &["classic"])
}

fn deletes(session: &mut Session) -> Result<(), Stopped> {
    let (topic, id) = session.topic("t", 1, &[])?;
    let unknown = group(session, "unknown")?;
    let (busy, _) = stable(session, "busy", None)?;
    let (empty, gone) = stable(session, "empty", None)?;
    leave(session, &empty, &gone)?;
    let simple = group(session, "simple")?;
    let one = vec![commit_of(0, 5, Some(""))];
    commit(session, &commit_request(&simple, (&topic, id), one))?;
    let ask = |session: &mut Session, label: &str, groups: &[&StrBytes]| {
        let request = message!(DeleteGroupsRequest {
            groups_names: groups.iter().copied().cloned().collect(),
        });
        session.ask(label, &request)
    };
    ask(session, "busy", &[&busy])?;
    ask(session, "unknown", &[&unknown])?;
    ask(session, "none", &[])?;
    ask(session, "several", &[&empty, &busy, &unknown, &simple])?;
    ask(session, "again", &[&empty])?;
    let describe = message!(DescribeGroupsRequest {
        groups: vec![empty, simple],
    });
    session.ask_at("what is left", 5, &describe, &[])
}
