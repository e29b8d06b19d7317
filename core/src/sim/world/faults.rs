//! What befalls a world: deaths, power cuts, full and failing disks, connections that break or
//! stall.

use super::{Event, World};
use crate::ids::ConnectionId;
use crate::sim::disk::{PowerLoss, SimulatedDisk};
use crate::sim::nemesis::Fault;
use crate::sim::network::Direction;
use crate::sim::trace::TraceKind;

impl World {
    /// A process dies.
    pub fn crash(&mut self, node: u32) {
        if self.nodes[node as usize].disk().has_failed() {
            // What memory holds of a disk that failed is not to be trusted: the machine goes too.
            let loss = self.nemesis.power_loss(&self.options);
            self.cut_power(node, &loss);
            return;
        }
        self.note(node, TraceKind::Crash, 0, 0, 0);
        self.tell(node, "the process dies");
        self.nodes[node as usize].crash(&mut self.durability);
        self.after_death(node);
    }

    /// The power of a node goes.
    pub fn cut_power(&mut self, node: u32, loss: &PowerLoss) {
        self.note(node, TraceKind::Crash, 1, 0, 0);
        self.tell(node, &format!("the power goes: {loss:?}"));
        self.nodes[node as usize].lose_power(loss, &mut self.durability);
        self.after_death(node);
    }

    /// The disk of a node, to be damaged: what the node says about it from now on is excused.
    pub fn damage(&mut self, node: u32) -> &mut SimulatedDisk {
        self.is_damaged = true;
        self.nodes[node as usize].disk_mut()
    }

    /// What could not be read can be read again.
    pub fn repair(&mut self, node: u32) {
        self.is_damaged = false;
        self.nodes[node as usize].disk_mut().make_readable();
    }

    /// A directory is lost: the process may go on for a moment, then the machine is started again.
    pub(super) fn on_disk_lost(&mut self, node: u32) {
        self.tell(node, "a sync failed");
        let bits = self.nemesis.dice(Fault::SyncError).between(10, 28);
        let delay_ns = self.nemesis.dice(Fault::SyncError).below(2 << bits);
        let incarnation = self.nodes[node as usize].incarnation();
        self.schedule
            .after(delay_ns, Event::PowerCut(node, incarnation));
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        let count = self.nodes.len() as u64;
        let node = u32::try_from(self.nemesis.dice(fault).below(count)).expect("few nodes");
        let is_up = self.nodes[node as usize].is_up();
        match fault {
            Fault::Clog => self.clog(),
            Fault::Crash if is_up => {
                self.nemesis.strike();
                self.crash(node);
                self.start_again(node, fault);
            }
            Fault::PowerCut if is_up => {
                self.nemesis.strike();
                self.die(node);
            }
            Fault::Reset => self.reset(),
            Fault::Restart if is_up => {
                self.nemesis.strike();
                self.ask_to_stop(node);
                self.maybe_interrupt(node);
            }
            // A boot upon a full disk is refused, and rightly.
            Fault::DiskFull if self.nodes[node as usize].is_ready() => {
                self.nemesis.strike();
                self.fill_disk(node);
            }
            Fault::SyncError if is_up => {
                self.nemesis.strike();
                self.nodes[node as usize].disk_mut().fail_next_sync();
            }
            Fault::Crash
            | Fault::DiskFull
            | Fault::PowerCut
            | Fault::Restart
            | Fault::SyncError => {}
        }
    }

    /// Lets a node die while it stops, now and then.
    fn maybe_interrupt(&mut self, node: u32) {
        let percent = self.options.stop_interrupt_percent;
        let dice = self.nemesis.dice(Fault::Restart);
        if percent > 0 && dice.chance(percent, 100) {
            let bits = dice.between(10, 25);
            let delay_ns = dice.below(2 << bits);
            let incarnation = self.nodes[node as usize].incarnation();
            let event = Event::CrashDuringRecovery(node, incarnation);
            self.schedule.after(delay_ns, event);
        }
    }

    /// Leaves little space, for a while.
    fn fill_disk(&mut self, node: u32) {
        let dice = self.nemesis.dice(Fault::DiskFull);
        let left_bytes = dice.below(16 * 1024);
        let bits = dice.between(20, 30);
        let until_ns = dice.below(2 << bits);
        self.tell(node, &format!("its disk has {left_bytes} bytes left"));
        self.nodes[node as usize].disk_mut().fill(left_bytes);
        self.schedule.after(until_ns, Event::DiskHasSpace(node));
    }

    /// A node dies by a power cut, and is started again.
    pub(super) fn die(&mut self, node: u32) {
        if self.options.power_cut_every_ms > 0 {
            let loss = self.nemesis.power_loss(&self.options);
            self.cut_power(node, &loss);
            self.start_again(node, Fault::PowerCut);
        } else {
            self.crash(node);
            self.start_again(node, Fault::Crash);
        }
    }

    pub(super) fn start_again(&mut self, node: u32, fault: Fault) {
        let dice = self.nemesis.dice(fault);
        let delay_ns = dice.between(1_000_000, 300_000_000);
        self.start_node(node, delay_ns);
        let dice = self.nemesis.dice(fault);
        if dice.chance(self.options.crash_again_percent, 100) {
            let bits = dice.below(28);
            let again_ns = delay_ns + dice.below(2 << bits);
            let incarnation = self.nodes[node as usize].incarnation() + 1;
            let event = Event::CrashDuringRecovery(node, incarnation);
            self.schedule.after(again_ns, event);
        }
    }

    fn any_connection(&mut self, fault: Fault) -> Option<ConnectionId> {
        let connections = self.network.connections();
        let count = connections.len() as u64;
        if count == 0 {
            return None;
        }
        let index = self.nemesis.dice(fault).below(count);
        self.nemesis.strike();
        Some(connections[index as usize])
    }

    fn reset(&mut self) {
        let Some(connection) = self.any_connection(Fault::Reset) else {
            return;
        };
        let zombie_percent = self.options.zombie_percent;
        let dice = self.nemesis.dice(Fault::Reset);
        let late_ns = if dice.chance(zombie_percent, 100) {
            let bits = dice.between(20, 33);
            dice.below(2 << bits)
        } else {
            0
        };
        let now_ns = self.now_ns();
        let mut planned = Vec::new();
        self.network
            .reset(now_ns, connection, late_ns, &mut planned);
        self.note(0, TraceKind::Connection, connection.0, late_ns, 1);
        self.plan_arrivals(&planned);
    }

    fn clog(&mut self) {
        let Some(connection) = self.any_connection(Fault::Clog) else {
            return;
        };
        let dice = self.nemesis.dice(Fault::Clog);
        let bits = dice.between(20, 32);
        let until_ns = self.schedule.now_ns() + dice.below(2 << bits);
        let direction = if dice.chance(1, 2) {
            Direction::ToClient
        } else {
            Direction::ToNode
        };
        let mut planned = Vec::new();
        self.network
            .clog(connection, direction, until_ns, &mut planned);
        self.plan_arrivals(&planned);
    }
}
