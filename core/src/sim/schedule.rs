//! What is to happen, in order of time and, at one time, in order of scheduling.

use std::collections::BTreeMap;

/// A queue of events; time jumps to the next.
#[derive(Clone, Debug)]
pub struct Schedule<E> {
    events: BTreeMap<(u64, u64), E>,
    next_number: u64,
    now_ns: u64,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self {
            events: BTreeMap::new(),
            next_number: 0,
            now_ns: 0,
        }
    }
}

impl<E> Schedule<E> {
    /// World time, in nanoseconds since it began.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Plans an event; one planned for the past happens now.
    pub fn at(&mut self, time_ns: u64, event: E) {
        let number = self.next_number;
        self.next_number += 1;
        self.events
            .insert((time_ns.max(self.now_ns), number), event);
    }

    /// Plans an event `delay_ns` from now.
    pub fn after(&mut self, delay_ns: u64, event: E) {
        self.at(self.now_ns.saturating_add(delay_ns), event);
    }

    /// Takes the next event and moves time to it; `None` where there is none until `end_ns`, which
    /// time then moves to.
    pub fn next_until(&mut self, end_ns: u64) -> Option<E> {
        let (&key, _) = self.events.first_key_value()?;
        if key.0 > end_ns {
            self.now_ns = self.now_ns.max(end_ns);
            return None;
        }
        assert!(key.0 >= self.now_ns, "time never goes back");
        self.now_ns = key.0;
        self.events.remove(&key)
    }

    /// Number of events planned.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// Whether nothing is planned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_planning() {
        let mut schedule = Schedule::default();
        schedule.at(5, 'c');
        schedule.at(3, 'a');
        schedule.at(3, 'b');
        assert_eq!(schedule.next_until(10), Some('a'));
        schedule.at(1, 'x');
        assert_eq!(schedule.next_until(10), Some('b'));
        assert_eq!(schedule.next_until(10), Some('x'));
        assert_eq!(schedule.next_until(4), None);
        assert_eq!(schedule.now_ns(), 4);
        assert_eq!(schedule.next_until(5), Some('c'));
        assert!(schedule.is_empty());
    }
}
