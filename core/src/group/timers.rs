//! When a shard must act of its own accord: one deadline for each name, in order.

use std::collections::{BTreeMap, BTreeSet};

use super::{GroupId, MemberId};
use crate::time::Instant;

/// What becomes due.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Timer {
    /// Look for expired offsets.
    Cleanup,
    /// End the wait for members to join.
    Join(GroupId),
    /// Write a group again whose record was lost.
    Rewrite(GroupId),
    /// A member, or one whose id was given out, was silent for too long.
    Session(GroupId, MemberId),
    /// End the wait for members to ask for their assignments.
    Sync(GroupId),
}

/// The deadlines of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeMap<Timer, Instant>,
    order: BTreeSet<(Instant, Timer)>,
}

impl Timers {
    /// Sets or moves a deadline.
    pub(super) fn schedule(&mut self, timer: Timer, at: Instant) {
        if let Some(former) = self.deadlines.insert(timer.clone(), at) {
            let removed = self.order.remove(&(former, timer.clone()));
            assert!(removed, "both indexes hold the same deadlines");
        }
        self.order.insert((at, timer));
    }

    /// Forgets a deadline, if there is one.
    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(former) = self.deadlines.remove(&timer) {
            let removed = self.order.remove(&(former, timer));
            assert!(removed, "both indexes hold the same deadlines");
        }
    }

    /// Takes one timer that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, timer) = self.order.pop_first().expect("it was just seen");
        let known = self.deadlines.remove(&timer);
        assert!(known.is_some(), "both indexes hold the same deadlines");
        Some(timer)
    }

    /// Whether a deadline is set.
    #[cfg(test)]
    pub(super) fn is_scheduled(&self, timer: &Timer) -> bool {
        self.deadlines.contains_key(timer)
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_deadline() {
        let mut timers = Timers::default();
        let join = Timer::Join("g".into());
        let session = Timer::Session("g".into(), "m".into());
        timers.schedule(join.clone(), Instant(10));
        timers.schedule(session.clone(), Instant(5));
        timers.schedule(session.clone(), Instant(20));
        assert_eq!((timers.len(), timers.next()), (2, Some(Instant(10))));
        assert_eq!(timers.take_due(Instant(9)), None);
        assert_eq!(timers.take_due(Instant(30)), Some(join));
        timers.cancel(session.clone());
        timers.cancel(session);
        assert_eq!((timers.len(), timers.next()), (0, None));
    }
}
