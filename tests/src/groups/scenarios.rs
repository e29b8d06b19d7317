//! What a group of one client's members must do, and a group of many clients'.

use std::collections::BTreeSet;

use super::clients::Feature;
use super::member::Partition;
use super::play::Play;
use super::{Client, Stage};

/// One scenario: its name, and how it is played.
pub type Scenario<'a> = (
    String,
    Box<dyn Fn(Stage<'_>) -> Result<(), String> + Send + 'a>,
);

/// The session timeout of members that die, and of members that do not.
pub(super) const SHORT: &str = "session_ms=1500";
pub(super) const LONG: &str = "session_ms=20000";

/// The scenarios of one client: those it has the features for.
#[must_use]
pub fn scenarios(client: &Client) -> Vec<Scenario<'_>> {
    let mut all: Vec<Scenario<'_>> = Vec::new();
    for &assignor in client.assignors {
        let run = move |stage: Stage<'_>| share(stage, client, assignor);
        all.push((format!("group_share_{assignor}"), Box::new(run)));
    }
    let mut add = |name: &str, play: fn(Stage<'_>, &Client) -> Result<(), String>| {
        let run = move |stage: Stage<'_>| play(stage, client);
        all.push((name.to_owned(), Box::new(run)));
    };
    if client.has(Feature::Commit) {
        add("group_death", death);
        add("group_commits", commits);
    }
    if client.has(Feature::Static) {
        add("group_static_member", static_member);
    }
    if client.has(Feature::Pause) {
        add("group_pause", pause);
    }
    if client.has(Feature::Pattern) {
        add("group_pattern", pattern);
    }
    all
}

/// Two members share two topics; one leaves, the other has all; nothing committed is read again.
fn share(stage: Stage<'_>, client: &Client, assignor: &str) -> Result<(), String> {
    let mut play = Play::new(stage, &format!("share-{assignor}"));
    let mut all = play.topic("one", 3)?;
    all.extend(play.topic("two", 3)?);
    let topics = format!("topics={0}-one,{0}-two", play.group);
    let commits = client.has(Feature::Commit);
    play.produce(&all, 5)?;
    let first = play.start(client, assignor, &[&topics, LONG])?;
    play.until_shared(&[first], &all)?;
    play.until_all_read()?;
    if commits {
        play.commit(first, "commit")?;
    }
    let second = play.start(client, assignor, &[&topics, LONG])?;
    play.until_shared(&[first, second], &all)?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    if commits {
        play.commit(first, "commit")?;
        play.commit(second, "commit")?;
        play.expect_all_committed()?;
    }
    play.leave(first)?;
    play.until_shared(&[second], &all)?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    if commits {
        play.commit(second, "commit")?;
    }
    play.leave(second)?;
    play.expect_all_committed()
}

/// A member dies without a word: the other gets its partitions, and reads on from its commits.
fn death(stage: Stage<'_>, client: &Client) -> Result<(), String> {
    let mut play = Play::new(stage, "death");
    let all = play.topic("t", 4)?;
    let topics = format!("topics={}-t", play.group);
    let assignor = client.assignors[0];
    // Only who dies has to be missed soon; the other stays, however busy the machine.
    let first = play.start(client, assignor, &[&topics, LONG])?;
    play.until_shared(&[first], &all)?;
    let second = play.start(client, assignor, &[&topics, SHORT])?;
    play.until_shared(&[first, second], &all)?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    play.commit(first, "commit")?;
    play.commit(second, "commit")?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    // The second has read and not committed: these are read again, by the first.
    let due: Vec<_> = play.states[second].assigned.iter().cloned().collect();
    play.commit(first, "commit")?;
    play.kill(second)?;
    play.until_shared(&[first], &all)?;
    let mut wanted: BTreeSet<(String, i64)> = BTreeSet::new();
    for partition in &due {
        wanted.extend((5..10).map(|offset| (partition.clone(), offset)));
    }
    play.until("what the dead member had not committed", |play| {
        let read: BTreeSet<_> = play.states[first].records.iter().cloned().collect();
        wanted.is_subset(&read)
    })?;
    play.commit(first, "commit")?;
    play.expect_all_committed()?;
    play.leave(first)
}

/// A static member dies and comes again within its session: nobody is rebalanced.
fn static_member(stage: Stage<'_>, client: &Client) -> Result<(), String> {
    let mut play = Play::new(stage, "static");
    let all = play.topic("t", 4)?;
    let topics = format!("topics={}-t", play.group);
    let assignor = client.assignors[0];
    let first = play.start(client, assignor, &[&topics, LONG, "instance=one"])?;
    play.until_shared(&[first], &all)?;
    let second = play.start(client, assignor, &[&topics, LONG, "instance=two"])?;
    play.until_shared(&[first, second], &all)?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    play.commit(first, "commit")?;
    play.commit(second, "commit")?;
    let (rebalances, had) = (
        play.states[first].rebalances,
        play.states[second].assigned.clone(),
    );
    play.kill(second)?;
    let second = play.start(client, assignor, &[&topics, LONG, "instance=two"])?;
    play.until("the partitions it had before", |play| {
        play.states[second].assigned == had
    })?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    play.commit(first, "commit")?;
    play.commit(second, "commit")?;
    play.expect_all_committed()?;
    if play.states[first].rebalances != rebalances {
        return Err("the other member was rebalanced".to_owned());
    }
    Ok(())
}

/// Commits of both kinds, going back, and a new member that begins where the last one ended.
fn commits(stage: Stage<'_>, client: &Client) -> Result<(), String> {
    let mut play = Play::new(stage, "commits");
    let all = play.topic("t", 2)?;
    let topics = format!("topics={}-t", play.group);
    let assignor = client.assignors[0];
    play.produce(&all, 5)?;
    let first = play.start(client, assignor, &[&topics, LONG])?;
    play.until_all_read()?;
    if play
        .stored(all.clone())?
        .values()
        .any(|&offset| offset != -1)
    {
        return Err("offsets were committed that nobody committed".to_owned());
    }
    play.commit(first, "commit")?;
    play.expect_all_committed()?;
    if client.has(Feature::CommitAsync) {
        play.produce(&all, 5)?;
        play.until_all_read()?;
        play.commit(first, "commit-async")?;
        play.expect_all_committed()?;
    }
    if client.has(Feature::Seek) {
        // A rebalance on the way takes a member on to what is committed.
        while !goes_back(&mut play, first, &all)? {}
        play.commit(first, "commit")?;
    }
    play.leave(first)?;
    play.produce(&all, 5)?;
    let second = play.start(client, assignor, &[&topics, LONG])?;
    play.until_all_read()?;
    play.commit(second, "commit")?;
    play.expect_all_committed()?;
    play.leave(second)
}

/// Told to go back, a member reads committed records again, those before them excepted; `false`
/// where a rebalance came between.
fn goes_back(play: &mut Play<'_>, member: usize, all: &[Partition]) -> Result<bool, String> {
    play.until_shared(&[member], all)?;
    let before = play.states[member].records.len();
    let rebalances = play.states[member].rebalances;
    play.seek(member, &all[0], 2)?;
    let again = |play: &Play<'_>| -> Vec<i64> {
        let records = play.states[member].records[before..].iter();
        let of_it = records.filter(|(partition, _)| *partition == all[0]);
        of_it.map(|&(_, offset)| offset).collect()
    };
    let is_back = |play: &Play<'_>| again(play).windows(3).any(|three| three == [2, 3, 4]);
    play.until("the records from where it went back to", |play| {
        is_back(play) || play.states[member].rebalances != rebalances
    })?;
    match again(play).iter().all(|&offset| offset >= 2) {
        true => Ok(is_back(play)),
        false => Err("it read on from before where it went back to".to_owned()),
    }
}

/// A paused partition is not read while others are; resumed, it goes on where it was.
fn pause(stage: Stage<'_>, client: &Client) -> Result<(), String> {
    let mut play = Play::new(stage, "pause");
    let all = play.topic("t", 2)?;
    let topics = format!("topics={}-t", play.group);
    let member = play.start(client, client.assignors[0], &[&topics, LONG])?;
    play.produce(&all, 1)?;
    play.until_all_read()?;
    // A rebalance on the way makes a member forget what it paused.
    while !stays_paused(&mut play, member, &all)? {
        play.until_all_read()?;
    }
    play.tell(member, &format!("resume {}", all[0]))?;
    play.until_all_read()?;
    play.commit(member, "commit")?;
    play.expect_all_committed()?;
    play.leave(member)
}

/// Pauses the first of two partitions and reads the other; `false` where a rebalance came between.
fn stays_paused(play: &mut Play<'_>, member: usize, all: &[Partition]) -> Result<bool, String> {
    let read = |play: &Play<'_>, of: &Partition| {
        let records = play.states[member].records.iter();
        records.filter(|(partition, _)| partition == of).count()
    };
    let (rebalances, before) = (play.states[member].rebalances, read(play, &all[0]));
    play.tell(member, &format!("pause {}", all[0]))?;
    // What was fetched before the pause may still come; the answer to a commit comes after it.
    play.commit(member, "commit")?;
    play.produce(&all[..1], 5)?;
    for _ in 0..5 {
        play.produce(&all[1..], 1)?;
        let end = play.produced_of(&all[1]);
        play.until("the other partition", |play| read(play, &all[1]) >= end)?;
    }
    if play.states[member].rebalances != rebalances {
        return Ok(false);
    }
    match read(play, &all[0]) == before {
        true => Ok(true),
        false => Err("a paused partition was read".to_owned()),
    }
}

/// A pattern finds the topics there are, and one that comes later.
fn pattern(stage: Stage<'_>, client: &Client) -> Result<(), String> {
    let mut play = Play::new(stage, "pattern");
    let mut all = play.topic("t1", 2)?;
    play.topic("other", 1)?;
    let pattern = format!("pattern={}-t", play.group);
    let member = play.start(client, client.assignors[0], &[&pattern, LONG])?;
    play.until_shared(&[member], &all)?;
    all.extend(play.topic("t2", 2)?);
    play.until_shared(&[member], &all)?;
    play.produce(&all, 3)?;
    play.until_all_read()?;
    play.leave(member)
}

/// Members of many clients share one topic; each leaves in turn.
///
/// # Errors
///
/// What did not hold.
pub fn mixed(stage: Stage<'_>, clients: &[&Client]) -> Result<(), String> {
    let mut play = Play::new(stage, "mixed");
    let partitions = i32::try_from(clients.len() + 1).expect("a handful of clients");
    let all = play.topic("t", partitions)?;
    let topics = format!("topics={}-t", play.group);
    let mut members = Vec::new();
    for client in clients {
        members.push(play.start(client, "range", &[&topics, LONG])?);
        play.until_shared(&members, &all)?;
        play.produce(&all, 2)?;
        play.until_all_read()?;
        for &member in &members {
            play.commit(member, "commit")?;
        }
        play.expect_all_committed()?;
    }
    while let Some(member) = members.pop() {
        play.leave(member)?;
        if !members.is_empty() {
            play.until_shared(&members, &all)?;
            play.produce(&all, 2)?;
            play.until_all_read()?;
            for &member in &members {
                play.commit(member, "commit")?;
            }
            play.expect_all_committed()?;
        }
    }
    Ok(())
}
