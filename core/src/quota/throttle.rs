//! Who is throttled: what requests cost is noted when their answers leave, and a connection whose
//! client did too much is muted for a while.
//!
//! A connection may have several requests under way; those that were taken in before it was muted
//! are answered, each with a longer wait. Kafka classes to compare: `ClientQuotaManager`,
//! `ClientRequestQuotaManager`, `ControllerMutationQuotaManager`, `ConnectionQuotas`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ANONYMOUS;
use super::bucket::Bucket;
use super::limits::{Kind, Limits, Sharers};
use super::rate::Rate;
use super::window::{Window, Windows};
use crate::ids::{ConnectionId, RequestSequence};
use crate::limits::QUOTA_SHARERS_MAX;
use crate::metadata::Image;
use crate::mutants::mutant;
use crate::time::{Instant, Now, from_ms};
use crate::waiting::ReplyTo;
use crate::wire::api_table::PRODUCE;
use crate::wire::request::RequestHead;

/// Parts of a percent of a second in a nanosecond: 100 of them to one, in billionths.
const PERCENT_PARTS: u64 = 1_000_000_000;

/// Over what times rates are reckoned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotaSettings {
    /// `quota.window.num` and `quota.window.size.seconds`.
    pub clients: Windows,
    /// `controller.quota.window.num` and `controller.quota.window.size.seconds`.
    pub mutations: Windows,
}

/// A request whose answer has not left.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Asked {
    client_id: Arc<str>,
    api_key: i16,
    frame_bytes: u32,
    work_ns: u64,
    /// What it was told to wait already, in milliseconds.
    wait_ms: u64,
}

/// What is done with a connection when its time has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// It is closed: it was one too many.
    Close,
    /// It is read again.
    Unmute,
}

/// Answers to one API that made clients wait, since the node began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Throttled {
    /// How many.
    pub answers: u64,
    /// How long in all, in milliseconds.
    pub wait_ms: u64,
}

/// The room.
#[derive(Clone, Debug)]
pub struct Throttle {
    settings: QuotaSettings,
    limits: Limits,
    user: Arc<str>,
    windows: BTreeMap<Sharers, Window>,
    /// With the rate by which each fills.
    buckets: BTreeMap<Sharers, (Rate, Bucket)>,
    addresses: BTreeMap<Arc<str>, Window>,
    asked: BTreeMap<ReplyTo, Asked>,
    /// Whose requests came in this turn, and whose in the last: they share what it took.
    turned: Vec<Arc<str>>,
    turned_last: Vec<Arc<str>>,
    muted: BTreeMap<ConnectionId, (Instant, Release)>,
    by_time: BTreeSet<(Instant, ConnectionId)>,
    /// By the number of the API; for people, nothing is decided by it.
    throttled: BTreeMap<i16, Throttled>,
}

/// How much a requester may still change, while a request is decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Allowance {
    limit: Option<(Sharers, Rate, Bucket)>,
    is_strict: bool,
    is_refused: bool,
}

impl Allowance {
    /// As much as one likes.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            limit: None,
            is_strict: false,
            is_refused: false,
        }
    }

    /// Takes so many changes out; `false` where they are refused, and nothing is taken.
    #[must_use]
    pub fn take(&mut self, changes: u64) -> bool {
        let Some((_, _, bucket)) = &mut self.limit else {
            return true;
        };
        if self.is_strict && bucket.is_overdrawn() {
            self.is_refused = true;
            return false;
        }
        bucket.take(changes);
        true
    }

    fn wait_ms(&self) -> u64 {
        match &self.limit {
            // A strict client is not made to wait for what it was granted.
            Some((_, rate, bucket)) if !self.is_strict || self.is_refused => bucket.wait_ms(*rate),
            Some(_) | None => 0,
        }
    }
}

impl Throttle {
    /// Nobody did anything yet.
    #[must_use]
    pub fn new(settings: QuotaSettings, image: &Image) -> Self {
        Self {
            settings,
            limits: Limits::of(image),
            user: Arc::from(ANONYMOUS),
            windows: BTreeMap::new(),
            buckets: BTreeMap::new(),
            addresses: BTreeMap::new(),
            asked: BTreeMap::new(),
            turned: Vec::new(),
            turned_last: Vec::new(),
            muted: BTreeMap::new(),
            by_time: BTreeSet::new(),
            throttled: BTreeMap::new(),
        }
    }

    /// Takes the limits that the metadata has now; what was done is not forgotten.
    pub fn set_limits(&mut self, image: &Image) {
        self.limits = Limits::of(image);
        if self.limits.is_empty() {
            self.windows.clear();
            self.buckets.clear();
            self.addresses.clear();
        }
    }

    /// Notes who asks, where anybody is limited.
    pub fn on_request(&mut self, reply_to: ReplyTo, head: &RequestHead) {
        if self.limits.is_empty() {
            return;
        }
        let asked = Asked {
            client_id: Arc::from(head.client_id.as_deref().unwrap_or_default()),
            api_key: head.api_key,
            frame_bytes: head.frame_bytes,
            work_ns: head.work_ns,
            wait_ms: 0,
        };
        if self.turned.len() < QUOTA_SHARERS_MAX {
            self.turned.push(Arc::clone(&asked.client_id));
        }
        self.asked.insert(reply_to, asked);
    }

    /// The turn before this one took so long: those whose requests came in it have a share each.
    /// It counts against what they may still do, as with the time of Kafka's network threads.
    pub fn on_turn_measured(&mut self, now: Now, took_ns: u64) {
        let (now_ms, windows) = (ms(now), self.settings.clients);
        let count = self.turned_last.len() as u64;
        for client_id in std::mem::take(&mut self.turned_last) {
            let limit = self.limits.of_client(Kind::Request, &self.user, &client_id);
            if let Some((sharers, _rate)) = limit {
                let window = window_of(&mut self.windows, sharers, now_ms, windows);
                window.record(now_ms, (took_ns / count).saturating_mul(100), windows);
            }
        }
    }

    /// Whether it matters to anybody how long turns take.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        !self.limits.is_empty()
    }

    /// A turn ends.
    pub fn on_turned(&mut self) {
        std::mem::swap(&mut self.turned, &mut self.turned_last);
        self.turned.clear();
    }

    /// A connection is gone.
    pub fn forget(&mut self, connection: ConnectionId) {
        let first = |sequence| ReplyTo {
            connection,
            sequence: RequestSequence(sequence),
        };
        if mutant!(M54) {
            return;
        }
        let its: Vec<ReplyTo> = self
            .asked
            .range(first(0)..=first(u64::MAX))
            .map(|(reply_to, _)| *reply_to)
            .collect();
        for reply_to in its {
            self.asked.remove(&reply_to);
        }
        if let Some((until, _)) = self.muted.remove(&connection) {
            self.by_time.remove(&(until, connection));
        }
    }

    /// Whether no answer that leaves needs a look.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// How many buckets are remembered.
    #[cfg(test)]
    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// The most bytes that one answer may bring a reader: more would have to wait in any case.
    #[must_use]
    pub fn fetch_bytes_max(&self, reply_to: ReplyTo) -> u64 {
        let limit = self.asked.get(&reply_to).and_then(|asked| {
            self.limits
                .of_client(Kind::Consume, &self.user, &asked.client_id)
        });
        limit.map_or(u64::MAX, |(_, rate)| self.settings.clients.burst(rate))
    }

    /// A reader is to get so many bytes: notes it and answers 0, or says how long it is to wait
    /// before it gets any, in milliseconds.
    ///
    /// What does not fit a whole window goes out when nothing else did, and is waited for later.
    pub fn on_fetched(&mut self, now: Now, reply_to: ReplyTo, bytes: u64) -> u64 {
        let Some(asked) = self.asked.get(&reply_to) else {
            return 0;
        };
        let client = (&self.user, &asked.client_id);
        let Some((sharers, rate)) = self.limits.of_client(Kind::Consume, client.0, client.1) else {
            return 0;
        };
        let (now_ms, windows) = (ms(now), self.settings.clients);
        let window = window_of(&mut self.windows, sharers, now_ms, windows);
        let is_first = window.is_empty(now_ms, windows);
        window.record(now_ms, bytes, windows);
        let wait_ms = window.wait_ms(now_ms, rate, 1, windows);
        let is_first = is_first || mutant!(M59);
        if wait_ms > 0 && !is_first {
            window.take_back(bytes);
        }
        let asked = self.asked.get_mut(&reply_to).expect("found just before");
        asked.wait_ms = asked.wait_ms.max(wait_ms);
        if is_first { 0 } else { wait_ms }
    }

    /// How much a requester may change; a strict one is refused what is too much.
    #[must_use]
    pub fn allowance(&mut self, now: Now, reply_to: ReplyTo, is_strict: bool) -> Allowance {
        let limit = self.asked.get(&reply_to).and_then(|asked| {
            self.limits
                .of_client(Kind::Mutate, &self.user, &asked.client_id)
        });
        let Some((sharers, rate)) = limit else {
            return Allowance::unlimited();
        };
        let (now_ms, all_ms) = (ms(now), self.settings.mutations.all_ms());
        let full = Bucket::full(now_ms, rate, all_ms);
        let known = self.buckets.get(&sharers);
        let mut bucket = known.map_or(full, |(_, bucket)| *bucket);
        bucket.fill(now_ms, rate, all_ms);
        Allowance {
            limit: Some((sharers, rate, bucket)),
            is_strict,
            is_refused: false,
        }
    }

    /// Notes what a request changed.
    pub fn on_changed(&mut self, now: Now, reply_to: ReplyTo, allowance: Allowance) {
        let wait_ms = allowance.wait_ms();
        let Some((sharers, rate, bucket)) = allowance.limit else {
            return;
        };
        if self.buckets.len() >= QUOTA_SHARERS_MAX && !self.buckets.contains_key(&sharers) {
            self.make_room_for_a_bucket(now);
        }
        self.buckets.insert(sharers, (rate, bucket));
        if let Some(asked) = self.asked.get_mut(&reply_to) {
            asked.wait_ms = asked.wait_ms.max(wait_ms);
        }
    }

    /// Forgets buckets that are full again; where none is, the one that is nearest to it, so that
    /// nobody gets rid of a debt by calling itself something else.
    fn make_room_for_a_bucket(&mut self, now: Now) {
        let (now_ms, all_ms) = (ms(now), self.settings.mutations.all_ms());
        self.buckets.retain(|_, (rate, bucket)| {
            bucket.fill(now_ms, *rate, all_ms);
            *bucket != Bucket::full(now_ms, *rate, all_ms)
        });
        if self.buckets.len() >= QUOTA_SHARERS_MAX {
            let buckets = self.buckets.iter();
            let nearest = buckets.min_by_key(|(_, (rate, bucket))| bucket.wait_ms(*rate));
            if let Some(sharers) = nearest.map(|(sharers, _)| sharers.clone()) {
                self.buckets.remove(&sharers);
            }
        }
    }

    /// An answer leaves: notes what it cost, and says how long its connection is to wait, in
    /// milliseconds; 0 where it is not to. Where it has no answer, the time of the request does not
    /// count.
    pub fn on_answered(&mut self, now: Now, reply_to: ReplyTo, has_answer: bool) -> i32 {
        let Some(asked) = self.asked.remove(&reply_to) else {
            return 0;
        };
        let (now_ms, windows) = (ms(now), self.settings.clients);
        let mut wait_ms = asked.wait_ms;
        let client = (&self.user, &asked.client_id);
        if asked.api_key == PRODUCE
            && let Some((sharers, rate)) = self.limits.of_client(Kind::Produce, client.0, client.1)
        {
            let window = window_of(&mut self.windows, sharers, now_ms, windows);
            window.record(now_ms, u64::from(asked.frame_bytes), windows);
            wait_ms = wait_ms.max(window.wait_ms(now_ms, rate, 1, windows));
        }
        if has_answer
            && let Some((sharers, rate)) = self.limits.of_client(Kind::Request, client.0, client.1)
        {
            let window = window_of(&mut self.windows, sharers, now_ms, windows);
            window.record(now_ms, asked.work_ns.saturating_mul(100), windows);
            let its_ms = window.wait_ms(now_ms, rate, PERCENT_PARTS, windows);
            wait_ms = wait_ms.max(its_ms.min(windows.length_ms));
        }
        let wait_ms = i32::try_from(wait_ms).unwrap_or(i32::MAX);
        if wait_ms > 0 {
            let throttled = self.throttled.entry(asked.api_key).or_default();
            throttled.answers += 1;
            throttled.wait_ms += u64::from(wait_ms.unsigned_abs());
            let muted_ms = i64::from(wait_ms) / if mutant!(M57) { 2 } else { 1 };
            let until = now.after(from_ms(muted_ms));
            self.mute(reply_to.connection, until, Release::Unmute);
        }
        wait_ms
    }

    /// A connection comes: `false` where it is one too many from its address. It is muted then, and
    /// closed after a while.
    #[must_use]
    pub fn on_connected(&mut self, now: Now, connection: ConnectionId, from: &Arc<str>) -> bool {
        if self.limits.has_no_addresses() {
            return true;
        }
        let Some(rate) = self.limits.of_address(from) else {
            return true;
        };
        let (now_ms, windows) = (ms(now), self.settings.clients);
        if self.addresses.len() >= QUOTA_SHARERS_MAX && !self.addresses.contains_key(from) {
            self.addresses
                .retain(|_, window| !window.is_empty(now_ms, windows));
            if self.addresses.len() >= QUOTA_SHARERS_MAX {
                self.addresses.pop_first();
            }
        }
        let window = self.addresses.entry(Arc::clone(from)).or_default();
        window.record(now_ms, 1, windows);
        let wait_ms = window.wait_ms(now_ms, rate, 1, windows);
        if wait_ms == 0 {
            return true;
        }
        window.take_back(1);
        let wait_ms = i64::try_from(wait_ms).unwrap_or(i64::MAX);
        self.mute(connection, now.after(from_ms(wait_ms)), Release::Close);
        false
    }

    fn mute(&mut self, connection: ConnectionId, until: Instant, release: Release) {
        if let Some((former, _)) = self.muted.get(&connection) {
            if *former >= until {
                return;
            }
            self.by_time.remove(&(*former, connection));
        }
        self.muted.insert(connection, (until, release));
        self.by_time.insert((until, connection));
    }

    /// A connection whose time has come, until there is none.
    pub fn take_due(&mut self, now: Instant) -> Option<(ConnectionId, Release)> {
        let &(until, connection) = self.by_time.first()?;
        if until > now {
            return None;
        }
        self.by_time.pop_first();
        let (_, release) = self.muted.remove(&connection)?;
        Some((connection, release))
    }

    /// What answers made clients wait, by the number of the API.
    pub fn throttled(&self) -> impl Iterator<Item = (i16, Throttled)> {
        self.throttled
            .iter()
            .map(|(api_key, seen)| (*api_key, *seen))
    }

    /// Requests whose answers have not left, as far as they are noted.
    #[must_use]
    pub fn metered(&self) -> usize {
        self.asked.len()
    }

    /// The most that is remembered of any kind: windows, buckets or addresses.
    #[must_use]
    pub fn sharers(&self) -> usize {
        let buckets = self.buckets.len().max(self.addresses.len());
        self.windows.len().max(buckets)
    }

    /// Connections that are not read now.
    #[must_use]
    pub fn muted(&self) -> usize {
        self.muted.len()
    }

    /// When the next connection's time comes.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_time.first().map(|&(until, _)| until)
    }
}

fn window_of(
    windows: &mut BTreeMap<Sharers, Window>,
    sharers: Sharers,
    now_ms: u64,
    length: Windows,
) -> &mut Window {
    if windows.len() >= QUOTA_SHARERS_MAX && !windows.contains_key(&sharers) {
        windows.retain(|_, window| !window.is_empty(now_ms, length));
        if windows.len() >= QUOTA_SHARERS_MAX {
            windows.pop_first();
        }
    }
    windows.entry(sharers).or_default()
}

/// The monotonic time in whole milliseconds.
fn ms(now: Now) -> u64 {
    now.instant.0 / 1_000_000
}
