//! Fetch sessions: the broker remembers what a consumer fetches, so that it asks for changes only.
//!
//! A session holds the partitions of a client's fetches and what each answer said last; an
//! incremental answer leaves out what has not changed. This module keeps sessions and decides which
//! partitions an answer names; it reads no log. Source: KIP-227, KIP-516 (topic ids), checked
//! against Apache Kafka 4.3.1.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::ErrorCode;
use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicName};
use crate::rng::Rng;
use crate::time::Instant;

/// Idle time after which a session may give its slot to a new one (Kafka's
/// `MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// Session epoch of a request that wants a new session, or none at all with [`FINAL_EPOCH`].
pub const INITIAL_EPOCH: i32 = 0;

/// Session epoch of a request that closes its session, or never had one.
pub const FINAL_EPOCH: i32 = -1;

/// How a request names a topic: by id from version 13 on, by name before (KIP-516).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TopicKey {
    /// By id.
    Id(TopicId),
    /// By name.
    Name(TopicName),
}

/// A partition of a session or of a request.
pub type PartitionKey = (TopicKey, PartitionIndex);

/// What a client wants of one partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchTarget {
    /// Which partition.
    pub key: PartitionKey,
    /// The name that the topic's id stood for when it was asked for; a session goes on to know it.
    pub name: Option<TopicName>,
    /// First offset wanted.
    pub fetch_offset: Offset,
    /// At most so many bytes, the first batch excepted; never negative.
    pub bytes_max: u32,
    /// The leader epoch the client knows, for fencing (KIP-320); `-1` skips the check.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record the client has, for divergence (KIP-595); `-1` skips the check.
    pub last_fetched_epoch: LeaderEpoch,
}

/// What an answer said of a partition, as far as it decides whether the next one names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answered {
    /// Whether there was an error.
    pub is_error: bool,
    /// Bytes of records.
    pub records_bytes: u64,
    /// The high watermark; `-1` with an error.
    pub high_watermark: Offset,
    /// The log start offset; `-1` with an error.
    pub log_start_offset: Offset,
    /// Whether there is something else to say: a diverging epoch, a preferred replica.
    pub has_advice: bool,
}

impl Default for FetchContext {
    fn default() -> Self {
        Self::Sessionless(Vec::new())
    }
}

/// A request's place in the life of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FetchContext {
    /// Answer every partition; then try to open a session.
    Full(Vec<FetchTarget>),
    /// Answer what has changed in session `id`.
    Incremental {
        /// The session.
        id: i32,
        /// All its partitions, in the order of the answer.
        targets: Vec<FetchTarget>,
    },
    /// Answer every partition, without a session.
    Sessionless(Vec<FetchTarget>),
}

#[derive(Clone, Debug)]
struct Entry {
    target: FetchTarget,
    high_watermark: Offset,
    log_start_offset: Offset,
    /// Key of `Session::order`.
    place: u64,
}

#[derive(Clone, Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    created: Instant,
    last_used: Instant,
    partitions: BTreeMap<PartitionKey, Entry>,
    /// The order of answers: a partition that gave records moves to the end (K57).
    order: BTreeMap<u64, PartitionKey>,
    next_place: u64,
}

/// All sessions of a broker, at most `slots_max`.
#[derive(Clone, Debug)]
pub struct FetchSessions {
    slots_max: usize,
    sessions: BTreeMap<i32, Session>,
    rng: Rng,
}

impl FetchSessions {
    /// An empty cache of `slots_max` slots (`max.incremental.fetch.session.cache.slots`).
    #[must_use]
    pub fn new(slots_max: usize, rng: Rng) -> Self {
        Self {
            slots_max,
            sessions: BTreeMap::new(),
            rng,
        }
    }

    /// How many sessions there may be.
    #[must_use]
    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Places a request: what is to be answered.
    ///
    /// `targets` are the partitions the request names, `forgotten` those it takes out of its
    /// session; `by_id` says how it names topics.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND`, `INVALID_FETCH_SESSION_EPOCH` or
    /// `FETCH_SESSION_TOPIC_ID_ERROR`: the answer is that error alone, and the client starts over.
    pub fn begin(
        &mut self,
        now: Instant,
        (id, epoch): (i32, i32),
        targets: Vec<FetchTarget>,
        forgotten: &[PartitionKey],
        by_id: bool,
    ) -> Result<FetchContext, ErrorCode> {
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            self.sessions.remove(&id);
            return Ok(if epoch == FINAL_EPOCH {
                FetchContext::Sessionless(targets)
            } else {
                FetchContext::Full(targets)
            });
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(ErrorCode::FetchSessionIdNotFound);
        };
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id && !(targets.is_empty() && forgotten.is_empty()) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for target in targets {
            session.insert(target, None);
        }
        for key in forgotten {
            session.remove(key);
        }
        if session.partitions.is_empty() {
            self.sessions.remove(&id);
            return Ok(FetchContext::Sessionless(Vec::new()));
        }
        session.epoch = next_epoch(epoch);
        session.last_used = now;
        Ok(FetchContext::Incremental {
            id,
            targets: session.targets(),
        })
    }

    /// Ends a full fetch: opens a session with what was answered. Answers its id, or 0 where there
    /// is no free slot.
    pub fn open(
        &mut self,
        now: Instant,
        targets: Vec<FetchTarget>,
        answers: &[Answered],
        by_id: bool,
    ) -> i32 {
        assert_eq!(targets.len(), answers.len(), "one answer for each target");
        if targets.is_empty() || !self.has_slot(now, targets.len()) {
            return 0;
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            by_id,
            created: now,
            last_used: now,
            partitions: BTreeMap::new(),
            order: BTreeMap::new(),
            next_place: 0,
        };
        for (target, answered) in targets.into_iter().zip(answers) {
            session.insert(target, Some(answered));
        }
        let id = loop {
            let drawn = (self.rng.next_u64() >> 33) as i32;
            if drawn != 0 && !self.sessions.contains_key(&drawn) {
                break drawn;
            }
        };
        self.sessions.insert(id, session);
        assert!(
            self.sessions.len() <= self.slots_max,
            "a session was opened without a slot"
        );
        id
    }

    /// Notes what an incremental answer would say; answers which partitions it must name.
    pub fn settle(&mut self, id: i32, keys: &[PartitionKey], answers: &[Answered]) -> Vec<bool> {
        assert_eq!(keys.len(), answers.len(), "one answer for each partition");
        let Some(session) = self.sessions.get_mut(&id) else {
            // Closed or evicted while the fetch was parked: the client will meet the error next.
            return vec![true; keys.len()];
        };
        keys.iter()
            .zip(answers)
            .map(|(key, answered)| session.note(key, answered))
            .collect()
    }

    /// Whether a session of `size` partitions has or can be given a slot; may evict another.
    fn has_slot(&mut self, now: Instant, size: usize) -> bool {
        if self.slots_max == 0 {
            return false;
        }
        if self.sessions.len() < self.slots_max {
            return true;
        }
        let stale = self
            .sessions
            .iter()
            .filter(|(_, session)| now.since(session.last_used) > EVICTION_AGE)
            .min_by_key(|(_, session)| session.last_used)
            .map(|(&id, _)| id);
        let smaller = || {
            self.sessions
                .iter()
                .filter(|(_, session)| now.since(session.created) > EVICTION_AGE)
                .min_by_key(|(_, session)| session.partitions.len())
                .filter(|(_, session)| session.partitions.len() < size)
                .map(|(&id, _)| id)
        };
        match stale.or_else(smaller) {
            Some(evicted) => self.sessions.remove(&evicted).is_some(),
            None => false,
        }
    }
}

impl Session {
    fn insert(&mut self, target: FetchTarget, answered: Option<&Answered>) {
        if let Some(entry) = self.partitions.get_mut(&target.key) {
            let known = entry.target.name.take();
            entry.target = target;
            let name = &mut entry.target.name;
            *name = name.take().or(known);
            return;
        }
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, target.key.clone());
        let entry = Entry {
            high_watermark: answered.map_or(Offset::NONE, |answer| answer.high_watermark),
            log_start_offset: answered.map_or(Offset::NONE, |answer| answer.log_start_offset),
            place,
            target,
        };
        self.partitions.insert(entry.target.key.clone(), entry);
    }

    fn remove(&mut self, key: &PartitionKey) {
        if let Some(entry) = self.partitions.remove(key) {
            self.order.remove(&entry.place);
        }
    }

    fn targets(&self) -> Vec<FetchTarget> {
        assert_eq!(
            self.order.len(),
            self.partitions.len(),
            "each partition has one place"
        );
        self.order
            .values()
            .filter_map(|key| self.partitions.get(key))
            .map(|entry| entry.target.clone())
            .collect()
    }

    /// Remembers `answered`; answers whether it must be said.
    fn note(&mut self, key: &PartitionKey, answered: &Answered) -> bool {
        let Some(entry) = self.partitions.get_mut(key) else {
            return true;
        };
        let must_say = answered.records_bytes > 0
            || answered.is_error
            || answered.has_advice
            || entry.high_watermark != answered.high_watermark
            || entry.log_start_offset != answered.log_start_offset;
        // After an error the next good answer is news, whatever it says.
        entry.high_watermark = if answered.is_error {
            Offset::NONE
        } else {
            answered.high_watermark
        };
        entry.log_start_offset = answered.log_start_offset;
        if answered.records_bytes > 0 {
            let place = self.next_place;
            self.next_place += 1;
            let key = self.order.remove(&entry.place);
            entry.place = place;
            if let Some(key) = key {
                self.order.insert(place, key);
            }
        }
        must_say
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, offset: i64) -> FetchTarget {
        FetchTarget {
            key: (TopicKey::Name(name.into()), PartitionIndex(0)),
            name: None,
            fetch_offset: Offset(offset),
            bytes_max: 100,
            current_leader_epoch: LeaderEpoch::NONE,
            last_fetched_epoch: LeaderEpoch::NONE,
        }
    }

    fn answered(records_bytes: u64, high_watermark: i64) -> Answered {
        Answered {
            is_error: false,
            records_bytes,
            high_watermark: Offset(high_watermark),
            log_start_offset: Offset(0),
            has_advice: false,
        }
    }

    fn names(targets: &[FetchTarget]) -> Vec<String> {
        targets
            .iter()
            .map(|target| match &target.key.0 {
                TopicKey::Name(name) => name.to_string(),
                TopicKey::Id(id) => id.to_string(),
            })
            .collect()
    }

    fn sessions(slots: usize) -> FetchSessions {
        FetchSessions::new(slots, Rng::new(1))
    }

    fn opened(sessions: &mut FetchSessions, names: &[&str]) -> i32 {
        let targets: Vec<_> = names.iter().map(|name| target(name, 0)).collect();
        let answers = vec![answered(0, 5); targets.len()];
        sessions.open(Instant(0), targets, &answers, false)
    }

    #[test]
    fn incremental_fetch_names_what_changed_and_rotates() {
        let mut sessions = sessions(10);
        let id = opened(&mut sessions, &["a", "b", "c"]);
        assert!(id > 0);
        let context = sessions.begin(Instant(1), (id, 1), Vec::new(), &[], false);
        let Ok(FetchContext::Incremental { targets, .. }) = context else {
            panic!("{context:?}");
        };
        assert_eq!(names(&targets), ["a", "b", "c"]);
        let keys: Vec<_> = targets.into_iter().map(|target| target.key).collect();
        let said = sessions.settle(
            id,
            &keys,
            &[answered(10, 6), answered(0, 5), answered(0, 7)],
        );
        assert_eq!(said, [true, false, true]);
        let Ok(FetchContext::Incremental { targets, .. }) = sessions.begin(
            Instant(2),
            (id, 2),
            vec![target("d", 3)],
            &[keys[1].clone()],
            false,
        ) else {
            panic!("the session is open");
        };
        assert_eq!(names(&targets), ["c", "a", "d"]);
    }

    #[test]
    fn wrong_ids_epochs_and_names_are_refused() {
        let mut sessions = sessions(10);
        let id = opened(&mut sessions, &["a"]);
        let mut begin = |id, epoch, by_id| {
            sessions.begin(Instant(1), (id, epoch), vec![target("a", 0)], &[], by_id)
        };
        assert_eq!(
            begin(id + 1, 1, false),
            Err(ErrorCode::FetchSessionIdNotFound)
        );
        assert_eq!(
            begin(id, 7, false),
            Err(ErrorCode::InvalidFetchSessionEpoch)
        );
        assert_eq!(begin(id, 1, true), Err(ErrorCode::FetchSessionTopicIdError));
        assert!(matches!(
            begin(id, FINAL_EPOCH, false),
            Ok(FetchContext::Sessionless(_))
        ));
        assert_eq!(begin(id, 1, false), Err(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn forgetting_everything_closes_the_session() {
        let mut sessions = sessions(10);
        let id = opened(&mut sessions, &["a"]);
        let gone = [target("a", 0).key];
        let context = sessions.begin(Instant(1), (id, 1), Vec::new(), &gone, false);
        assert_eq!(context, Ok(FetchContext::Sessionless(Vec::new())));
        assert!(sessions.is_empty());
    }

    #[test]
    fn a_full_cache_gives_no_session_until_one_is_stale() {
        let mut sessions = sessions(1);
        let first = opened(&mut sessions, &["a"]);
        assert!(first > 0);
        assert_eq!(opened(&mut sessions, &["b"]), 0);
        let later = Instant(0).after(EVICTION_AGE + Duration::from_secs(1));
        let second = sessions.open(later, vec![target("c", 0)], &[answered(0, 0)], false);
        assert!(second > 0);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn an_error_makes_the_next_good_answer_news() {
        let mut sessions = sessions(1);
        let id = opened(&mut sessions, &["a"]);
        let keys = [target("a", 0).key];
        let error = Answered {
            is_error: true,
            high_watermark: Offset::NONE,
            ..answered(0, 0)
        };
        assert_eq!(sessions.settle(id, &keys, &[answered(0, 5)]), [false]);
        assert_eq!(sessions.settle(id, &keys, &[error]), [true]);
        assert_eq!(sessions.settle(id, &keys, &[answered(0, 5)]), [true]);
        assert_eq!(sessions.settle(id, &keys, &[answered(0, 5)]), [false]);
    }

    #[test]
    fn epochs_wrap_to_one() {
        assert_eq!(next_epoch(i32::MAX), 1);
        assert_eq!(next_epoch(INITIAL_EPOCH), 1);
    }
}
