//! Members come, go and are replaced.

use super::*;

#[test]
fn a_member_joins_in_two_steps_and_leads() {
    let mut meeting = Meeting::new();
    let (a, joins) = meeting.join_twice("a");
    assert!(a.starts_with("a-"));
    assert_eq!(a.len(), "a-".len() + 36);
    assert!(meeting.waits(joins));
    meeting.pass(Duration::from_millis(2_999));
    assert!(meeting.waits(joins));
    meeting.pass(Duration::from_millis(1));
    let reply = meeting.joined(joins);
    assert_eq!((reply.error_code, reply.generation_id), (0, 1));
    assert_eq!((&reply.leader, &reply.member_id), (&a, &a));
    assert_eq!(reply.protocol_name.as_deref(), Some("range"));
    assert_eq!(reply.members.len(), 1);
    assert_eq!(meeting.state(), "CompletingRebalance");
    let syncs = meeting.sync(&a, 1, &[(&a, "t0")]);
    assert_eq!(meeting.synced(syncs).assignment, "t0");
    assert_eq!(
        meeting.synced(syncs).protocol_name.as_deref(),
        Some("range")
    );
    assert_eq!(meeting.state(), "Stable");
}

#[test]
fn an_id_that_was_given_out_is_forgotten_after_the_session_timeout() {
    let mut meeting = Meeting::new();
    let a = meeting.id_of(&joiner("a"));
    meeting.seconds(10);
    let late = meeting.join(&joiner("a").with_id(&a));
    assert_eq!(meeting.join_code(late), ErrorCode::UnknownMemberId);
}

#[test]
fn who_is_refused_is_told_no_protocol() {
    let mut meeting = Meeting::new();
    // Null from version 7 on; before it there is no null.
    for (version, expected) in [(6, Some("")), (7, None), (9, None)] {
        let stranger = joiner("a").version(version).with_id(&"stranger".into());
        let refused = meeting.join(&stranger);
        assert_eq!(meeting.join_code(refused), ErrorCode::UnknownMemberId);
        let nameless = meeting.join(&joiner("a").version(version));
        assert_eq!(meeting.join_code(nameless), ErrorCode::MemberIdRequired);
        for ticket in [refused, nameless] {
            assert_eq!(meeting.joined(ticket).protocol_name.as_deref(), expected);
        }
    }
}

#[test]
fn before_version_4_and_with_an_instance_one_step_is_enough() {
    let mut meeting = Meeting::new();
    let old = meeting.join(&joiner("old").version(3));
    let fixed = meeting.join(&joiner("fixed").of_instance("i"));
    meeting.seconds(6);
    assert_eq!(meeting.join_code(old), ErrorCode::None);
    assert!(meeting.joined(fixed).member_id.starts_with("i-"));
    assert_eq!(meeting.joined(old).members.len(), 2);
}

#[test]
fn the_first_delay_is_longer_while_members_come_but_not_for_ever() {
    let mut meeting = Meeting::new();
    let first = Joiner {
        rebalance_timeout_ms: 8_000,
        ..joiner("a").version(3)
    };
    let first = meeting.join(&first);
    meeting.seconds(2);
    meeting.join(&joiner("b").version(3));
    meeting.seconds(2);
    meeting.join(&joiner("c").version(3));
    // 3 s, 3 s and what is left of 8 s.
    meeting.pass(Duration::from_millis(3_999));
    assert!(meeting.waits(first));
    meeting.pass(Duration::from_millis(1));
    assert_eq!(meeting.joined(first).members.len(), 3);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut meeting = Meeting::new();
    let nameless = meeting.join_group("", &joiner("a"));
    assert_eq!(meeting.join_code(nameless), ErrorCode::InvalidGroupId);
    let stranger = meeting.join(&joiner("a").with_id(&"x".into()));
    assert_eq!(meeting.join_code(stranger), ErrorCode::UnknownMemberId);
    let silent = meeting.join(&joiner("a").protocols(&[]));
    assert_eq!(
        meeting.join_code(silent),
        ErrorCode::InconsistentGroupProtocol
    );
    for timeout_ms in [5_999, 1_800_001] {
        let mut request = JoinGroupRequest::default();
        request.group_id = "g".into();
        request.session_timeout_ms = timeout_ms;
        let ticket = meeting.ask(9, "a", |shard, now, caller, _, out| {
            shard.join_group(now, caller, &request, out);
        });
        assert_eq!(meeting.join_code(ticket), ErrorCode::InvalidSessionTimeout);
    }
}

#[test]
fn a_newcomer_makes_the_others_join_again() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let (c, c_joins) = meeting.join_twice("c");
    assert_eq!(meeting.state(), "PreparingRebalance");
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
    let syncs = meeting.sync(&b, 1, &[]);
    assert_eq!(meeting.sync_code(syncs), ErrorCode::RebalanceInProgress);
    let a_joins = meeting.join(&joiner("a").with_id(&a));
    assert!(meeting.waits(a_joins) && meeting.waits(c_joins));
    let b_joins = meeting.join(&joiner("b").with_id(&b));
    for ticket in [a_joins, b_joins, c_joins] {
        assert_eq!(meeting.joined(ticket).generation_id, 2);
        assert_eq!(meeting.joined(ticket).leader, a);
    }
    assert!(meeting.joined(b_joins).members.is_empty());
    assert_eq!(meeting.joined(a_joins).members.len(), 3);
    assert_eq!(meeting.heartbeat(&c, 1), ErrorCode::IllegalGeneration);
    assert_eq!(meeting.heartbeat(&c, 2), ErrorCode::None);
}

#[test]
fn who_does_not_join_again_in_time_is_out_be_it_the_leader() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let (_, c_joins) = meeting.join_twice("c");
    let b_joins = meeting.join(&joiner("b").with_id(&b));
    for _beat in 0..6 {
        meeting.seconds(9);
        assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
    }
    meeting.seconds(6);
    assert_eq!(meeting.joined(b_joins).leader, b);
    assert_eq!(meeting.joined(b_joins).members.len(), 2);
    assert_eq!(meeting.joined(c_joins).generation_id, 2);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.join_twice("a");
    let (b, _) = meeting.join_twice("b");
    meeting.seconds(6);
    let syncs = meeting.sync(&a, 1, &[(&a, "t0")]);
    assert_eq!(meeting.sync_code(syncs), ErrorCode::None);
    for _beat in 0..7 {
        meeting.heartbeat(&a, 1);
        meeting.heartbeat(&b, 1);
        meeting.seconds(9);
    }
    assert_eq!(meeting.heartbeat(&b, 1), ErrorCode::UnknownMemberId);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_member_that_is_silent_is_out_after_its_session_timeout() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    meeting.seconds(9);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::None);
    meeting.seconds(1);
    assert_eq!(meeting.heartbeat(&b, 1), ErrorCode::UnknownMemberId);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn members_beyond_the_maximum_are_refused() {
    let mut meeting = Meeting::with(GroupSettings {
        max_size: 2,
        ..settings()
    });
    meeting.two_members();
    let third = meeting.join(&joiner("c"));
    assert_eq!(meeting.join_code(third), ErrorCode::GroupMaxSizeReached);
}

#[test]
fn most_votes_decide_among_what_all_support() {
    let mut meeting = Meeting::new();
    let a = meeting.join(&joiner("a").version(3).protocols(&["x", "range", "sticky"]));
    meeting.join(&joiner("b").version(3).protocols(&["sticky", "range"]));
    meeting.join(&joiner("c").version(3).protocols(&["sticky", "range", "y"]));
    let d = meeting.join(&joiner("d").version(3).protocols(&["x", "y"]));
    assert_eq!(meeting.join_code(d), ErrorCode::InconsistentGroupProtocol);
    meeting.seconds(30);
    let reply = meeting.joined(a);
    assert_eq!(reply.protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn a_lost_answer_is_given_again_and_other_metadata_rebalances() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.join_twice("a");
    meeting.seconds(3);
    let again = meeting.join(&joiner("a").with_id(&a));
    assert_eq!(meeting.joined(again).generation_id, 1);
    assert_eq!(meeting.joined(again).members.len(), 1);
    let other = meeting.join(&joiner("a").with_id(&a).topics(&["u"]));
    assert_eq!(meeting.joined(other).generation_id, 2);
}

#[test]
fn a_follower_that_joins_unchanged_disturbs_nobody_and_the_leader_does() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let again = meeting.join(&joiner("b").with_id(&b));
    assert_eq!(meeting.joined(again).generation_id, 1);
    assert_eq!(meeting.state(), "Stable");
    let leads = meeting.join(&joiner("a").with_id(&a));
    assert!(meeting.waits(leads));
    assert_eq!(meeting.state(), "PreparingRebalance");
}

#[test]
fn two_requests_of_one_member_are_both_answered() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let first = meeting.join(&joiner("a").with_id(&a));
    let second = meeting.join(&joiner("a").with_id(&a));
    assert_eq!(meeting.join_code(first), ErrorCode::RebalanceInProgress);
    assert!(meeting.waits(second));
    meeting.join(&joiner("b").with_id(&b));
    assert_eq!(meeting.joined(second).generation_id, 2);
    let first = meeting.sync(&b, 2, &[]);
    let second = meeting.sync(&b, 2, &[]);
    assert_eq!(meeting.sync_code(first), ErrorCode::RebalanceInProgress);
    // Who leaves is answered too.
    meeting.leave(5, &[(&b, None)]);
    assert_eq!(meeting.sync_code(second), ErrorCode::UnknownMemberId);
}

#[test]
fn followers_wait_for_the_leader_and_whom_it_forgot_gets_no_bytes() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.join_twice("a");
    let (b, _) = meeting.join_twice("b");
    meeting.seconds(6);
    let follows = meeting.sync(&b, 1, &[]);
    assert!(meeting.waits(follows));
    let leads = meeting.sync(&a, 1, &[(&a, "all")]);
    assert_eq!(meeting.synced(leads).assignment, "all");
    assert_eq!(meeting.sync_code(follows), ErrorCode::None);
    assert!(meeting.synced(follows).assignment.is_empty());
    let again = meeting.sync(&a, 1, &[(&a, "other")]);
    assert_eq!(meeting.synced(again).assignment, "all");
}

#[test]
fn a_sync_names_its_protocol_from_version_5_on() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.two_members();
    let mut request = SyncGroupRequest::default();
    request.group_id = "g".into();
    request.member_id = a;
    request.generation_id = 1;
    let nameless = meeting.sync_as(5, &request);
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    assert_eq!(meeting.sync_code(nameless), inconsistent);
    let old = meeting.sync_as(4, &request);
    assert_eq!(meeting.sync_code(old), ErrorCode::None);
    request.protocol_type = Some("consumer".into());
    request.protocol_name = Some("sticky".into());
    let other = meeting.sync_as(5, &request);
    assert_eq!(meeting.sync_code(other), inconsistent);
    request.protocol_name = Some("range".into());
    request.generation_id = 2;
    let late = meeting.sync_as(5, &request);
    assert_eq!(meeting.sync_code(late), ErrorCode::IllegalGeneration);
}

#[test]
fn a_static_member_comes_back_unnoticed() {
    let mut meeting = Meeting::new();
    let first = meeting.join(&joiner("a").of_instance("i"));
    let (b, _) = meeting.join_twice("b");
    meeting.seconds(6);
    let old = meeting.joined(first).member_id.clone();
    meeting.sync(&b, 1, &[]);
    meeting.sync(&old, 1, &[(&old, "t0"), (&b, "t1")]);
    let back = meeting.join(&joiner("a").of_instance("i"));
    let reply = meeting.joined(back).clone();
    assert_eq!((reply.error_code, reply.generation_id), (0, 1));
    assert_ne!(reply.member_id, old);
    assert_eq!(reply.leader, reply.member_id);
    assert!(reply.skip_assignment);
    assert_eq!(reply.members.len(), 2);
    let syncs = meeting.sync(&reply.member_id, 1, &[]);
    assert_eq!(meeting.synced(syncs).assignment, "t0");
    assert_eq!(meeting.heartbeat(&b, 1), ErrorCode::None);
    assert_eq!(
        meeting.heartbeat_as(&old, 1, Some("i")),
        ErrorCode::FencedInstanceId
    );
    assert_eq!(meeting.heartbeat(&old, 1), ErrorCode::UnknownMemberId);
    // An older client is not told that it leads.
    let third = meeting.join(&joiner("a").of_instance("i").version(8));
    assert_eq!(meeting.joined(third).leader, reply.member_id);
    assert!(!meeting.joined(third).skip_assignment);
    assert!(meeting.joined(third).members.is_empty());
}

#[test]
fn the_former_client_of_a_static_member_is_fenced_where_it_waits() {
    let mut meeting = Meeting::new();
    let first = meeting.join(&joiner("a").of_instance("i"));
    let second = meeting.join(&joiner("a").of_instance("i"));
    assert_eq!(meeting.join_code(first), ErrorCode::FencedInstanceId);
    meeting.seconds(6);
    assert_eq!(meeting.join_code(second), ErrorCode::None);
}

#[test]
fn members_leave_one_by_one_or_together() {
    let mut meeting = Meeting::new();
    let fixed = meeting.join(&joiner("f").of_instance("i"));
    let (a, _) = meeting.join_twice("a");
    let pending = meeting.id_of(&joiner("p"));
    meeting.seconds(10);
    assert_eq!(meeting.join_code(fixed), ErrorCode::None);
    let pending_now = meeting.id_of(&joiner("p"));
    let reply = meeting.leave(
        5,
        &[
            ("", Some("i")),
            ("", Some("j")),
            ("x", None),
            (&pending, None),
            (&pending_now, None),
        ],
    );
    let codes: Vec<ErrorCode> = reply.members.iter().map(|m| code(m.error_code)).collect();
    assert_eq!(
        codes,
        [
            ErrorCode::None,
            ErrorCode::UnknownMemberId,
            ErrorCode::UnknownMemberId,
            ErrorCode::UnknownMemberId,
            ErrorCode::None,
        ]
    );
    let alone = meeting.leave(2, &[(&a, None)]);
    assert_eq!((alone.error_code, alone.members.len()), (0, 0));
    let unknown = ErrorCode::UnknownMemberId.code();
    assert_eq!(meeting.leave(2, &[(&a, None)]).error_code, unknown);
    assert_eq!(meeting.state(), "Empty");
}

#[test]
fn a_rebalance_of_a_hundred_members() {
    let mut meeting = Meeting::new();
    let tickets: Vec<Ticket> = (0..100)
        .map(|_| meeting.join(&joiner("c").version(3)))
        .collect();
    meeting.seconds(6);
    let ids: Vec<MemberId> = tickets
        .iter()
        .map(|ticket| meeting.joined(*ticket).member_id.clone())
        .collect();
    let leader = meeting.joined(tickets[0]).leader.clone();
    assert_eq!(leader, ids[0], "the first to join leads");
    let assignments: Vec<(&MemberId, &str)> = ids.iter().map(|id| (id, "x")).collect();
    let syncs: Vec<Ticket> = ids
        .iter()
        .rev()
        .map(|id| {
            let is_leader = *id == leader;
            meeting.sync(id, 1, if is_leader { &assignments } else { &[] })
        })
        .collect();
    assert!(
        syncs
            .iter()
            .all(|sync| meeting.synced(*sync).assignment == "x")
    );
}

#[test]
fn a_group_is_there_once_a_client_was_told_of_it() {
    let mut meeting = Meeting::new();
    meeting.commits_at_once = false;
    let a = meeting.id_of(&joiner("a"));
    assert_eq!(meeting.state(), "Empty");
    let mut known = joiner("a");
    known.member_id = a.clone();
    meeting.join(&known);
    meeting.seconds(6);
    assert_eq!(meeting.state(), "CompletingRebalance");
    let filter = crate::group::GroupFilter::default();
    assert_eq!(meeting.shard.list_groups(&filter).count(), 1);
    // Its first record is lost, and nobody is left: there is no such group.
    meeting.lose(0);
    meeting.leave(5, &[(&a, None)]);
    meeting.lose(0);
    assert_eq!(meeting.state(), "Dead");
}
