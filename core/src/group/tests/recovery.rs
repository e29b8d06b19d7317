//! Loading, writes that are lost, and the end.

use super::*;

impl Meeting {
    /// Another shard that reads the log.
    fn reload(&self) -> Self {
        let mut other = self.clone();
        other.shard = Shard::new(Arc::new(settings()), Rng::new(8));
        other.in_flight.clear();
        for record in &self.log {
            let read = other.shard.replay(&record.key, record.value.as_deref());
            read.expect("the shard wrote it");
        }
        other
    }
}

#[test]
fn until_the_log_is_read_nothing_is_answered() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.two_members();
    meeting.commit_offset(&a, 1, 5);
    let mut other = meeting.reload();
    let loading = ErrorCode::CoordinatorLoadInProgress;
    assert_eq!(other.shard.refusal(), Some(loading));
    let joins = other.join(&joiner("a").with_id(&a));
    assert_eq!(other.join_code(joins), loading);
    let syncs = other.sync(&a, 1, &[]);
    assert_eq!(other.sync_code(syncs), loading);
    // A member that only says that it is there need not know.
    assert_eq!(other.heartbeat(&a, 1), ErrorCode::None);
    assert_eq!(other.leave(5, &[(&a, None)]).error_code, loading.code());
    let commits = other.commit_offset(&a, 1, 6);
    assert_eq!(other.committed(commits), [loading]);
    let described = other.shard.describe_group(&"g".into(), 6);
    assert_eq!(described.error_code, loading.code());
    let mut request = kafka_wire::offset_fetch_request::OffsetFetchRequestGroup::default();
    request.group_id = "g".into();
    let fetched = other.shard.offset_fetch(&request, 9, &other.image);
    assert_eq!(
        (fetched.error_code, fetched.topics.len()),
        (loading.code(), 0)
    );
    let deleted = other.act(|shard, _, out| shard.delete_group(&"g".into(), out));
    assert_eq!(deleted, Err(loading));
}

#[test]
fn members_go_on_where_they_were_when_the_log_is_read() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let mut other = meeting.reload();
    other.act(|shard, now, out| shard.finish_loading(now, out));
    assert_eq!(other.state(), "Stable");
    other.seconds(9);
    assert_eq!(other.heartbeat(&a, 1), ErrorCode::None);
    let syncs = other.sync(&b, 1, &[]);
    assert_eq!(other.synced(syncs).assignment, "t1");
    let joins = other.join(&joiner("b").with_id(&b));
    assert_eq!(other.joined(joins).generation_id, 1);
    // A sync says nothing of a session: b was last heard of before.
    other.seconds(1);
    assert_eq!(other.heartbeat(&b, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_group_that_was_loaded_with_too_many_members_rebalances() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    let mut other = meeting.reload();
    other.shard.shared.settings = Arc::new(GroupSettings {
        max_size: 1,
        ..settings()
    });
    other.act(|shard, now, out| shard.finish_loading(now, out));
    assert_eq!(other.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
    let a_joins = other.join(&joiner("a").with_id(&a));
    let b_joins = other.join(&joiner("b").with_id(&b));
    assert_eq!(other.join_code(b_joins), ErrorCode::GroupMaxSizeReached);
    assert_eq!(other.joined(a_joins).generation_id, 2);
}

#[test]
fn the_first_record_of_a_group_is_lost() {
    let mut meeting = Meeting::new();
    meeting.commits_at_once = false;
    let waits = meeting.join(&joiner("a").version(3));
    meeting.lose(0);
    assert_eq!(meeting.join_code(waits), ErrorCode::NotCoordinator);
    assert!(meeting.shard.groups.is_empty());
    meeting.seconds(3);
    assert!(meeting.in_flight.is_empty());
}

#[test]
fn assignments_are_lost() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.join_twice("a");
    let (b, _) = meeting.join_twice("b");
    meeting.seconds(6);
    meeting.commits_at_once = false;
    let follows = meeting.sync(&b, 1, &[]);
    let leads = meeting.sync(&a, 1, &[(&a, "t0"), (&b, "t1")]);
    assert!(meeting.waits(leads) && meeting.waits(follows));
    meeting.lose(0);
    assert_eq!(meeting.sync_code(leads), ErrorCode::NotCoordinator);
    assert_eq!(meeting.sync_code(follows), ErrorCode::NotCoordinator);
    assert_eq!(meeting.heartbeat(&a, 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn assignments_come_too_late_for_the_next_generation() {
    let mut meeting = Meeting::new();
    let (a, _) = meeting.join_twice("a");
    meeting.seconds(3);
    meeting.commits_at_once = false;
    let first = meeting.sync(&a, 1, &[(&a, "old")]);
    meeting.join(&joiner("a").with_id(&a).topics(&["u"]));
    assert_eq!(meeting.sync_code(first), ErrorCode::RebalanceInProgress);
    let second = meeting.sync(&a, 2, &[(&a, "new")]);
    meeting.commit();
    assert!(meeting.waits(second));
    meeting.commit();
    assert_eq!(meeting.synced(second).assignment, "new");
}

#[test]
fn a_static_member_keeps_its_old_id_where_the_new_one_is_lost() {
    let mut meeting = Meeting::new();
    let first = meeting.join(&joiner("a").of_instance("i"));
    meeting.seconds(3);
    let old = meeting.joined(first).member_id.clone();
    meeting.sync(&old, 1, &[(&old, "t0")]);
    meeting.commits_at_once = false;
    let back = meeting.join(&joiner("a").of_instance("i"));
    meeting.lose(0);
    assert_eq!(meeting.join_code(back), ErrorCode::NotCoordinator);
    assert_eq!(meeting.heartbeat_as(&old, 1, Some("i")), ErrorCode::None);
}

#[test]
fn a_group_that_lost_its_record_writes_it_again() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    meeting.commits_at_once = false;
    meeting.leave(5, &[(&a, None), (&b, None)]);
    meeting.lose(0);
    assert_eq!(meeting.state(), "Empty");
    assert!(meeting.in_flight.is_empty());
    meeting.seconds(1);
    meeting.commit_all();
    let mut other = meeting.reload();
    other.act(|shard, now, out| shard.finish_loading(now, out));
    assert_eq!(other.state(), "Empty");
}

#[test]
fn whoever_waits_when_the_shard_resigns_is_told() {
    let mut meeting = Meeting::new();
    let (a, b) = meeting.two_members();
    meeting.commits_at_once = false;
    let commits = meeting.commit_offset(&b, 1, 7);
    let joins = meeting.join(&joiner("a").with_id(&a));
    meeting.act(|shard, _, out| shard.resign(out));
    let gone = ErrorCode::NotCoordinator;
    assert_eq!(meeting.join_code(joins), gone);
    assert_eq!(meeting.committed(commits), [gone]);
    assert_eq!(meeting.heartbeat(&b, 1), gone);
    assert_eq!(meeting.shard.next_deadline(), None);
    // The log may still answer for what it was given.
    meeting.commit_all();
}

#[test]
fn a_static_member_whose_write_takes_longer_than_its_session_is_watched_again() {
    let mut meeting = Meeting::new();
    let first = meeting.join(&joiner("a").of_instance("i"));
    meeting.seconds(3);
    let old = meeting.joined(first).member_id.clone();
    meeting.sync(&old, 1, &[(&old, "t0")]);
    meeting.commits_at_once = false;
    let back = meeting.join(&joiner("a").of_instance("i"));
    // The disk takes its time; meanwhile nobody expects to hear of the client.
    meeting.seconds(20);
    assert!(meeting.waits(back));
    meeting.commit_all();
    assert_eq!(meeting.join_code(back), ErrorCode::None);
    meeting.seconds(9);
    assert_eq!(meeting.state(), "Stable");
    // It is never heard of again.
    meeting.seconds(1);
    meeting.commit_all();
    assert_eq!(meeting.state(), "Empty");
}

#[test]
fn what_makes_no_sense_is_refused_before_who_is_not_the_coordinator() {
    let meeting = Meeting::new();
    let mut loading = meeting.reload();
    let mut resigned = meeting;
    resigned.shard = Shard::resigned(Arc::new(settings()));
    for meeting in [&mut loading, &mut resigned] {
        let nameless = meeting.join_group("", &joiner("a"));
        assert_eq!(meeting.join_code(nameless), ErrorCode::InvalidGroupId);
        let mut request = JoinGroupRequest::default();
        request.group_id = "g".into();
        request.session_timeout_ms = 1;
        let short = meeting.ask(9, "a", |shard, now, caller, _, out| {
            shard.join_group(now, caller, &request, out);
        });
        assert_eq!(meeting.join_code(short), ErrorCode::InvalidSessionTimeout);
        let mut request = SyncGroupRequest::default();
        request.group_id = "g".into();
        let nameless = meeting.sync_as(5, &request);
        let code = ErrorCode::InconsistentGroupProtocol;
        assert_eq!(meeting.sync_code(nameless), code);
        // A partition that does not exist is told as such, beside the others.
        let refusal = meeting.shard.refusal().expect("it does not serve");
        let request = commit_request("g", &MemberId::default(), -1, &[("x", 0, 1), ("t", 0, 1)]);
        let commits = meeting.commit_offsets(9, &request);
        let told = [ErrorCode::UnknownTopicOrPartition, refusal];
        assert_eq!(meeting.committed(commits), told);
        let joins = meeting.join(&joiner("a"));
        assert_eq!(meeting.join_code(joins), refusal);
        assert_eq!(meeting.joined(joins).protocol_name, None);
    }
}
