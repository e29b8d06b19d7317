//! The broker ends and comes again while groups of every client are reading.

use std::sync::Barrier;
use std::thread;

use super::clients::Feature;
use super::play::Play;
use super::scenarios::LONG;
use super::{Client, Stage};

/// Two members of each client read and commit; the broker is started anew; they go on.
///
/// `again` starts the broker anew, at the same address with the same data. Gives what came of each
/// client's group, in order.
///
/// # Errors
///
/// The broker's, when it did not come again.
pub fn restart(
    stage: Stage<'_>,
    clients: &[Client],
    again: impl FnOnce() -> Result<(), String>,
) -> Result<Vec<Result<(), String>>, String> {
    let barrier = Barrier::new(clients.len() + 1);
    thread::scope(|scope| {
        let play = |(number, client)| {
            let barrier = &barrier;
            scope.spawn(move || one(stage, number, client, barrier))
        };
        let running: Vec<_> = clients.iter().enumerate().map(play).collect();
        barrier.wait();
        let outcome = again();
        barrier.wait();
        let join = |running: thread::ScopedJoinHandle<'_, Result<(), String>>| {
            running.join().expect("a scenario does not panic")
        };
        let results = running.into_iter().map(join).collect();
        outcome.map(|()| results)
    })
}

/// One client's group. It comes to the barrier twice whatever happens, for the others wait there.
fn one(stage: Stage<'_>, number: usize, client: &Client, barrier: &Barrier) -> Result<(), String> {
    let mut play = Play::new(stage, &format!("restart-{number}"));
    let before = read_and_commit(&mut play, client);
    barrier.wait();
    barrier.wait();
    let (all, members) = before?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    play.until_shared(&members, &all)?;
    if client.has(Feature::Commit) {
        play.commit_all(&members)?;
    }
    for &member in &members {
        play.leave(member)?;
    }
    play.expect_all_committed()
}

fn read_and_commit(
    play: &mut Play<'_>,
    client: &Client,
) -> Result<(Vec<String>, Vec<usize>), String> {
    let all = play.topic("t", 4)?;
    let topics = format!("topics={}-t", play.group);
    play.produce(&all, 5)?;
    let first = play.start(client, client.assignors[0], &[&topics, LONG])?;
    play.until_shared(&[first], &all)?;
    play.until_all_read()?;
    if client.has(Feature::Commit) {
        play.commit(first, "commit")?;
    }
    let second = play.start(client, client.assignors[0], &[&topics, LONG])?;
    let members = vec![first, second];
    play.until_shared(&members, &all)?;
    play.produce(&all, 5)?;
    play.until_all_read()?;
    if client.has(Feature::Commit) {
        play.commit_all(&members)?;
    }
    Ok((all, members))
}
