//! When what happens next: turns, the calls of disks, arrivals and faults.

use super::{Event, World};
use crate::sim::nemesis::Fault;
use crate::sim::network::Planned;

impl World {
    pub(super) fn plan_fault(&mut self, fault: Fault) {
        if let Some(pause_ns) = self.nemesis.pause_ns(fault, &self.options) {
            let event = Event::Fault(fault, self.phase);
            self.schedule.after(pause_ns, event);
        }
    }

    pub(super) fn plan_arrivals(&mut self, planned: &[Planned]) {
        for plan in planned {
            let event = Event::Arrive(plan.connection, plan.direction);
            self.schedule.at(plan.time_ns, event);
        }
    }

    pub(super) fn plan_disk(&mut self, node: u32) {
        let Some(at_ns) = self.nodes[node as usize].disk().next_at_ns() else {
            return;
        };
        let planned = self.disks_planned.entry(node).or_default();
        // As with turns: an earlier one plans the later one again, if there is none then.
        if planned.first().is_none_or(|first| at_ns < *first) && planned.insert(at_ns) {
            self.schedule.at(at_ns, Event::Disk(node));
        }
    }

    /// Sees to it that a node gets a turn: soon where inputs wait, else when it asked for one.
    pub(super) fn plan_turn(&mut self, node: u32) {
        let now_ns = self.now_ns();
        let at = &self.nodes[node as usize];
        if !at.is_up() {
            return;
        }
        let incarnation = at.incarnation();
        let at_ns = if at.has_inputs() {
            let most_ns = self.options.turn_delay_ns_max;
            now_ns + self.rng.below(most_ns + 1)
        } else {
            match at.next_turn_ns() {
                Some(at_ns) => at_ns.max(now_ns),
                None => return,
            }
        };
        let planned = self.turns_planned.entry(node).or_default();
        // An earlier turn plans the later one again, if it is still wanted then.
        if planned.first().is_none_or(|first| at_ns < *first) && planned.insert(at_ns) {
            self.schedule.at(at_ns, Event::Turn(node, incarnation));
        }
    }
}
