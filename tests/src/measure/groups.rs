//! Groups: the first assignment, a large rebalance, heartbeats.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use kafka_wire::ApiVersionsRequest;

use super::member::{ILLEGAL_GENERATION, Member, REBALANCE_IN_PROGRESS, refused};
use super::{Target, Took, fresh_name, spread};

/// Groups of one that are made for the median.
const GROUPS: usize = 21;

/// Members before one more joins.
const MEMBERS: usize = 100;

/// How often a member of the large group asks whether it must join again. Clients ask every 3 s by
/// default, so this measures the broker and not the wait of its clients.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(100);

/// Heartbeats that are counted.
const HEARTBEATS: u64 = 20_000;

/// A group of one, with `group.initial.rebalance.delay.ms=0` at the broker.
pub(super) fn assignment(target: &Target) -> io::Result<Vec<String>> {
    let mut durations = Vec::new();
    for _ in 0..GROUPS {
        let mut member = Member::connect(&target.address, &fresh_name("assignment"))?;
        let started = Instant::now();
        member.settle()?;
        durations.push(started.elapsed());
        member.leave()?;
    }
    Ok(vec![format!(
        "group of one, JoinGroup to assignment: {}",
        spread(durations)
    )])
}

/// Heartbeats of one member on one connection, each sent when the one before is answered.
pub(super) fn heartbeats(target: &Target) -> io::Result<Vec<String>> {
    let mut member = Member::connect(&target.address, &fresh_name("heartbeat"))?;
    member.settle()?;
    let took = target.time(|| {
        for _ in 0..HEARTBEATS {
            match member.heartbeat()? {
                0 => {}
                code => return Err(refused("Heartbeat", code)),
            }
        }
        Ok(())
    })?;
    Ok(vec![format!(
        "heartbeats: {} a second, {}",
        took.per_second(HEARTBEATS),
        took.each(HEARTBEATS)
    )])
}

/// Heartbeats of many members, each on a connection of its own, and the same with ApiVersions: what
/// a request costs that asks for nothing.
pub(super) fn heartbeats_of_many(target: &Target) -> io::Result<Vec<String>> {
    let mut members = Vec::new();
    for _ in 0..MEMBERS {
        let mut member = Member::connect(&target.address, &fresh_name("heartbeats"))?;
        member.settle()?;
        members.push(member);
    }
    let rounds = HEARTBEATS / MEMBERS as u64;
    let heartbeats = target.time(|| {
        for _ in 0..rounds {
            members.iter_mut().try_for_each(Member::send_heartbeat)?;
            for member in &mut members {
                match member.receive_heartbeat()? {
                    0 => {}
                    code => return Err(refused("Heartbeat", code)),
                }
            }
        }
        Ok(())
    })?;
    let request = ApiVersionsRequest::default();
    let versions = target.time(|| {
        for _ in 0..rounds {
            for member in &mut members {
                member.client.send(0, &request)?;
            }
            for member in &mut members {
                member.client.receive::<ApiVersionsRequest>(0)?;
            }
        }
        Ok(())
    })?;
    let line = |what: &str, took: Took| {
        let (rate, each) = (took.per_second(HEARTBEATS), took.each(HEARTBEATS));
        format!("{what} over {MEMBERS} connections: {rate} a second, {each}")
    };
    Ok(vec![
        line("heartbeats", heartbeats),
        line("ApiVersions", versions),
    ])
}

/// What the threads of the members tell each other.
#[derive(Default)]
struct Stage {
    progress: Mutex<Progress>,
    news: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The newest generation that anybody was assigned in.
    newest: i32,
    /// How many were assigned in it.
    settled: usize,
    is_over: bool,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_settled(&self, generation: i32) {
        let mut progress = self.lock();
        if progress.newest < generation {
            progress.newest = generation;
            progress.settled = 0;
        }
        if progress.newest == generation {
            progress.settled += 1;
        }
        self.news.notify_all();
    }

    fn wait_for(&self, members: usize) {
        let waits = |progress: &mut Progress| progress.settled < members && !progress.is_over;
        let ended = self.news.wait_while(self.lock(), waits);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    fn end(&self) {
        self.lock().is_over = true;
        self.news.notify_all();
    }

    /// Waits until the next heartbeat is due; `true` where all is over.
    fn is_over_after(&self, time: Duration) -> bool {
        let goes_on = |progress: &mut Progress| !progress.is_over;
        let ended = self.news.wait_timeout_while(self.lock(), time, goes_on);
        let (progress, _) = ended.unwrap_or_else(PoisonError::into_inner);
        progress.is_over
    }
}

/// The time from one more member's JoinGroup until all have their new assignment.
pub(super) fn rebalance(target: &Target) -> io::Result<Vec<String>> {
    let group = fresh_name("rebalance");
    let stage = Stage::default();
    let live = |mut member: Member| -> io::Result<()> {
        let outcome = live(&mut member, &stage);
        if outcome.is_err() {
            stage.end();
        }
        outcome
    };
    let mut took = None;
    thread::scope(|scope| -> io::Result<()> {
        let mut threads = Vec::new();
        for _ in 0..MEMBERS {
            let member = Member::connect(&target.address, &group)?;
            threads.push(scope.spawn(move || live(member)));
        }
        stage.wait_for(MEMBERS);
        let last = Member::connect(&target.address, &group)?;
        took = Some(target.time(|| {
            threads.push(scope.spawn(move || live(last)));
            stage.wait_for(MEMBERS + 1);
            Ok(())
        })?);
        stage.end();
        for thread in threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a member ended badly"))??;
        }
        Ok(())
    })?;
    let took = took.expect("set where no error was");
    Ok(vec![format!(
        "rebalance of {MEMBERS} members and one more: {} ms, {}",
        took.wall.as_millis(),
        took.each(MEMBERS as u64 + 1)
    )])
}

/// A member's life: assigned, heartbeats, joining again when told to.
fn live(member: &mut Member, stage: &Stage) -> io::Result<()> {
    loop {
        member.settle()?;
        stage.on_settled(member.generation);
        loop {
            if stage.is_over_after(HEARTBEAT_EVERY) {
                return Ok(());
            }
            match member.heartbeat()? {
                0 => {}
                ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS => break,
                code => return Err(refused("Heartbeat", code)),
            }
        }
    }
}
