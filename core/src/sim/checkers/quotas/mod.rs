//! R94: how long clients that do too much are made to wait, judged from outside.
//!
//! It knows what an administrator asked for and what was acknowledged, what each client sent and
//! was answered. From that it says how long each answer may, and must, make its client wait: not
//! longer than what was done takes by the limit, less what has passed; and not less. It is told so
//! in the answer; then the connection is not read, as long as was said and no longer (KIP-219). A
//! reader that is too fast gets nothing, but where nobody read anything lately. The time of a
//! request is what came with it, and a share of what the turn took in which it came; it never makes
//! one wait for longer than a sample.
//!
//! That nothing is lost, answered twice or out of order by it is what the other judges say.

mod limits;
mod spent;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use self::limits::{Limited, PossibleLimits, Sharers};
use self::spent::{Samples, Spent, wait_least_ms, wait_most_ms};
use super::Violation;
use crate::ids::{ConnectionId, RequestSequence};
use crate::node::door::ReplyEffect;
use crate::quota::ANONYMOUS;
use crate::time::Instant;
use crate::wire::request::{Reply, Request, RequestHead};

/// The numbers of the APIs whose bytes are limited.
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

/// Parts of a second, by which its time is limited.
const NANOS_OF_SECOND: u128 = 1_000_000_000;

/// What a request is known by.
type RequestKey = (ConnectionId, RequestSequence);

/// A request that was not answered.
#[derive(Clone, Debug)]
struct Asked {
    client_id: String,
    api_key: i16,
    frame_bytes: u64,
    work_ns: u64,
    /// Whether somebody was limited when it came, so that the broker noted it.
    is_noted: bool,
}

/// A request that came, as far as the time of its turn goes: its client id, and whether the broker
/// noted it.
type Comer = (String, bool);

/// A wait, in milliseconds at least and at most.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Wait {
    least_ms: u64,
    most_ms: u64,
}

impl Wait {
    /// Both at once.
    fn and(self, other: Self) -> Self {
        Self {
            least_ms: self.least_ms.max(other.least_ms),
            most_ms: self.most_ms.max(other.most_ms),
        }
    }
}

/// A connection that is not to be read: until when at least, and at most.
#[derive(Clone, Copy, Debug)]
struct Mute {
    least: Instant,
    most: Instant,
    /// Whether it must be muted, and whether it was in this turn.
    is_certain: bool,
    is_done: bool,
}

/// The quotas of a node, over all its incarnations; see the module.
#[derive(Clone, Debug)]
pub struct QuotaChecker {
    samples: Samples,
    limits: PossibleLimits,
    spent: BTreeMap<Sharers, Spent>,
    asked: BTreeMap<RequestKey, Asked>,
    /// Requests since the last turn, and those of that turn.
    came: Vec<Comer>,
    came_last: Vec<Comer>,
    muted: BTreeMap<ConnectionId, Mute>,
    /// Who is to be muted in this turn.
    due: BTreeMap<ConnectionId, Mute>,
    /// The largest request there was: no batch is larger.
    largest_bytes: u64,
    /// Whether the process was asked to stop: it counts nothing any more.
    is_stopping: bool,
    /// Answers that made somebody wait.
    pub waits: u64,
    violations: Vec<Violation>,
}

impl QuotaChecker {
    /// A checker of a broker that looks back over so many samples of so many milliseconds.
    #[must_use]
    pub fn new(count: u64, length_ms: u64) -> Self {
        Self {
            samples: Samples { count, length_ms },
            limits: PossibleLimits::default(),
            spent: BTreeMap::new(),
            asked: BTreeMap::new(),
            came: Vec::new(),
            came_last: Vec::new(),
            muted: BTreeMap::new(),
            due: BTreeMap::new(),
            largest_bytes: 0,
            is_stopping: false,
            waits: 0,
            violations: Vec::new(),
        }
    }

    /// Takes what was found so far.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.violations)
    }

    /// The process was asked to stop.
    pub fn on_stop(&mut self) {
        self.is_stopping = true;
    }

    /// The process died: it knows limits, and nothing of what was done.
    pub fn on_crash(&mut self) {
        self.limits.on_crash();
        self.spent.clear();
        self.asked.clear();
        self.came.clear();
        self.came_last.clear();
        self.muted.clear();
        self.due.clear();
        self.is_stopping = false;
    }

    /// A connection is gone.
    pub fn on_disconnected(&mut self, connection: ConnectionId) {
        self.limits.on_disconnected(connection);
        self.asked.retain(|(at, _), _| *at != connection);
        self.muted.remove(&connection);
        self.due.remove(&connection);
    }

    /// Notes a request, as it is taken from its connection.
    pub fn on_request(&mut self, key: RequestKey, head: &RequestHead, request: &Request) {
        if self.muted.contains_key(&key.0) {
            self.complain(format!("{key:?}: read though its connection is muted"));
        }
        if let Request::AlterClientQuotas(alter) = request
            && !alter.validate_only
        {
            self.limits.on_asked(key, alter);
        }
        let frame_bytes = u64::from(head.frame_bytes);
        self.largest_bytes = self.largest_bytes.max(frame_bytes);
        let client_id = head.client_id.as_ref().map(ToString::to_string);
        let asked = Asked {
            client_id: client_id.unwrap_or_default(),
            api_key: head.api_key,
            frame_bytes,
            work_ns: head.work_ns,
            is_noted: !self.limits.may_be_none(),
        };
        self.came.push((asked.client_id.clone(), asked.is_noted));
        self.asked.insert(key, asked);
    }

    /// A turn begins over what came; it is told what the one before it took, if anything.
    pub fn on_turn(&mut self, now: Instant, took_ns: Option<u64>) {
        let came = std::mem::take(&mut self.came);
        let sharing = std::mem::replace(&mut self.came_last, came);
        let Some(took_ns) = took_ns.filter(|_| !self.limits.is_untouched()) else {
            return;
        };
        // Whose requests were not noted have no share, and the shares of others are larger.
        let noted = sharing.iter().filter(|(_, is_noted)| *is_noted).count() as u64;
        let is_sure = noted == sharing.len() as u64;
        let share = took_ns / noted.max(1) * 100;
        for (client_id, _) in &sharing {
            let of = (Limited::Request, NANOS_OF_SECOND);
            let _wait = self.count((client_id, is_sure), of, share, now.0 / 1_000_000);
        }
    }

    /// Judges an answer.
    pub fn on_reply(&mut self, effect: &ReplyEffect, now: Instant) {
        let key = (effect.connection, effect.sequence);
        let Some(asked) = self.asked.remove(&key) else {
            return;
        };
        if let Reply::AlterClientQuotas(reply) = &effect.reply {
            let is_made = reply.entries.iter().all(|entry| entry.error_code == 0);
            self.limits.on_answered(key, is_made);
        }
        let told = effect.reply.throttle_time_ms();
        let read_bytes = effect.reply.records_bytes();
        let answer_bytes = (effect.reply != Reply::Nothing).then_some(read_bytes);
        let wait = self.judge_answer(&asked, answer_bytes, now);
        let Wait { least_ms, most_ms } = match told.map(u64::try_from) {
            // It is not told, and must be made to wait all the same.
            None => wait,
            Some(Ok(told)) if (wait.least_ms..=wait.most_ms).contains(&told) => Wait {
                least_ms: told,
                most_ms: told,
            },
            Some(_wrong) => {
                self.complain(format!(
                    "{key:?} {asked:?}: told to wait {told:?}, not {wait:?}"
                ));
                return;
            }
        };
        if most_ms > 0 {
            self.waits += u64::from(least_ms > 0);
            self.due_at(effect.connection, now, Wait { least_ms, most_ms });
        }
    }

    fn due_at(&mut self, connection: ConnectionId, now: Instant, wait: Wait) {
        let at = |ms| now.after(Duration::from_millis(ms));
        let due = self.due.entry(connection).or_insert(Mute {
            least: now,
            most: now,
            is_certain: false,
            is_done: false,
        });
        due.least = due.least.max(at(wait.least_ms));
        due.most = due.most.max(at(wait.most_ms));
        due.is_certain |= wait.least_ms > 0;
    }

    /// Counts what an answer cost; says how long its client is to wait.
    fn judge_answer(&mut self, asked: &Asked, answer_bytes: Option<u64>, now: Instant) -> Wait {
        if self.limits.is_untouched() {
            return Wait::default();
        }
        let now_ms = now.0 / 1_000_000;
        let mut wait = Wait::default();
        let who = (&*asked.client_id, asked.is_noted);
        match asked.api_key {
            PRODUCE => {
                let of = (Limited::Produce, 1);
                wait = self.count(who, of, asked.frame_bytes, now_ms);
            }
            FETCH => wait = self.judge_read(asked, answer_bytes.unwrap_or(0), now_ms),
            _other => {}
        }
        if answer_bytes.is_some() {
            // Of a second, a percent is a hundredth.
            let amount = asked.work_ns * 100;
            let of = (Limited::Request, NANOS_OF_SECOND);
            let its = self.count(who, of, amount, now_ms);
            let bound = |ms: u64| ms.min(self.samples.length_ms);
            wait = wait.and(Wait {
                least_ms: bound(its.least_ms),
                most_ms: bound(its.most_ms),
            });
        }
        if !asked.is_noted || self.is_stopping {
            wait.least_ms = 0;
        }
        wait
    }

    /// A reader got so many bytes, or none.
    fn judge_read(&mut self, asked: &Asked, bytes: u64, now_ms: u64) -> Wait {
        let who = (ANONYMOUS, &*asked.client_id);
        let found = self.limits.of_client(Limited::Consume, who);
        let (samples, spent) = (self.samples, &self.spent);
        let has_read = found.iter().all(|limit| {
            let sharers = limit.as_ref().map(|(sharers, _)| sharers);
            let spent = sharers.and_then(|sharers| spent.get(sharers));
            spent.is_some_and(|spent| spent.least(now_ms, samples) > 0)
        });
        let who = (&*asked.client_id, asked.is_noted);
        let mut wait = self.count(who, (Limited::Consume, 1), bytes, now_ms);
        if bytes > 0 {
            if has_read && wait.least_ms > 0 && asked.is_noted && !self.is_stopping {
                self.complain(format!(
                    "{asked:?}: got {bytes} bytes, and is to wait {wait:?}"
                ));
            }
            return wait;
        }
        // What it does not get would make it wait too: no more than may be read at once, or one
        // batch.
        for (sharers, rate) in found.into_iter().flatten() {
            let of_once_ms = u128::from(samples.least_ms().max(samples.length_ms));
            let at_once = (rate * of_once_ms).div_ceil(1_000_000_000);
            let done = self.spent.get(&sharers);
            let done = done.map_or(0, |spent| spent.most(now_ms, samples));
            let most = done + at_once + u128::from(self.largest_bytes);
            wait.most_ms = wait.most_ms.max(wait_most_ms(most, rate, 1, samples));
        }
        wait.least_ms = 0;
        wait
    }

    /// Counts so much for those who share the client's limit, of which so many parts are a unit.
    fn count(
        &mut self,
        (client_id, is_noted): (&str, bool),
        (limited, parts): (Limited, u128),
        amount: u64,
        now_ms: u64,
    ) -> Wait {
        let who = (ANONYMOUS, client_id);
        let found = self.limits.of_client(limited, who);
        let mut sharers: Vec<&Sharers> = found.iter().flatten().map(|(of, _)| of).collect();
        sharers.dedup();
        let is_sure = !found.contains(&None) && sharers.len() == 1;
        let is_known = is_sure && is_noted && !self.is_stopping;
        for of in sharers {
            let spent = self.spent.entry(of.clone()).or_default();
            spent.note(now_ms, amount, is_known, self.samples);
        }
        let waits = found.iter().map(|limit| match limit {
            None => Wait::default(),
            Some((of, rate)) => {
                let (spent, samples) = (&self.spent[of], self.samples);
                // A reader that gets nothing may begin a sample all the same.
                let exact = spent.waits_ms(now_ms, (*rate, parts), samples);
                if let Some((least_ms, most_ms)) = exact.filter(|_| limited != Limited::Consume) {
                    return Wait { least_ms, most_ms };
                }
                let (least, most) = (spent.least(now_ms, samples), spent.most(now_ms, samples));
                Wait {
                    least_ms: wait_least_ms(least, *rate, parts, samples),
                    most_ms: wait_most_ms(most, *rate, parts, samples),
                }
            }
        });
        let waits: Vec<Wait> = waits.collect();
        Wait {
            least_ms: waits.iter().map(|wait| wait.least_ms).min().unwrap_or(0),
            most_ms: waits.iter().map(|wait| wait.most_ms).max().unwrap_or(0),
        }
    }

    /// The broker reads a connection no more, or again.
    pub fn on_muted(&mut self, connection: ConnectionId, is_muted: bool, now: Instant) {
        if !is_muted {
            if let Some(mute) = self.muted.remove(&connection)
                && now < mute.least
            {
                let until = mute.least;
                self.complain(format!(
                    "{connection:?}: read again at {now:?}, before {until:?}"
                ));
            }
            return;
        }
        let Some(due) = self.due.get_mut(&connection) else {
            self.complain(format!("{connection:?}: muted without a word"));
            return;
        };
        due.is_done = true;
        let due = *due;
        let mute = self.muted.entry(connection).or_insert(due);
        mute.least = mute.least.max(due.least);
        mute.most = mute.most.max(due.most);
    }

    /// The turn is over. `slack` is what the world itself may take to give the node a turn.
    pub fn end_turn(&mut self, now: Instant, slack: Duration) {
        let due = std::mem::take(&mut self.due);
        let mut due = due.iter();
        if let Some((connection, _)) = due.find(|(_, mute)| mute.is_certain && !mute.is_done) {
            self.complain(format!("{connection:?}: is to wait, and is read on"));
        }
        self.limits.end_turn();
        if self.limits.may_be_none() {
            self.spent.values_mut().for_each(Spent::forget);
        }
        let late = self.muted.iter();
        let mut late = late.filter(|(_, mute)| mute.most.after(slack) < now);
        if let Some((connection, mute)) = late.next().filter(|_| !self.is_stopping) {
            let what = format!("{connection:?}: is not read at {now:?}, was to be {mute:?}");
            self.complain(what);
        }
    }

    fn complain(&mut self, what: String) {
        self.violations.push(Violation::new("R94", what));
    }
}
