//! The door of the core: inputs in, effects out.
//!
//! [`Node`] composes the rooms (partitions, controller, quorum, waiting requests) and routes
//! between them; it decides nothing that a room could decide. A turn applies every input, fires
//! what is due and settles: watermarks move, parked requests are looked at, what was appended goes
//! to the disk.

mod apply;
pub mod boot;
mod boot_directories;
mod boot_logs;
pub mod broker;
mod checkpoints;
pub mod compaction;
mod demands;
mod disk_done;
mod dispatch;
pub mod door;
mod folders;
pub mod groups;
pub mod housekeeping;
pub mod identity;
pub mod lookups;
pub mod moves;
pub mod producer_ids;
mod registration;
mod stop;
pub mod survey;
#[cfg(all(test, feature = "sim"))]
mod tests;
#[cfg(all(test, feature = "sim"))]
mod tests_of_administration;
#[cfg(all(test, feature = "sim"))]
mod tests_of_faults;
#[cfg(all(test, feature = "sim"))]
mod tests_of_groups;
#[cfg(all(test, feature = "sim"))]
mod tests_of_moves;
#[cfg(all(test, feature = "sim"))]
mod tests_of_strays;
mod throttled;
pub mod wait;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use boot::{BootError, BootOptions};
pub use broker::Broker;

use crate::counters::RequestCounters;
use crate::event::Severity;
use crate::ids::{ConnectionId, ListenerId};
use crate::storage::DiskDone;
use crate::time::{Instant, Now};
use boot::Boot;
use broker::event;
use door::{Input, Outbox};
use stop::Stop;

/// What is known of a connection.
#[derive(Clone, Debug)]
struct Client {
    listener: ListenerId,
    peer_host: Arc<str>,
}

/// A node: a broker and a controller in one, from its boot to its end.
#[derive(Clone, Debug)]
pub struct Node {
    phase: Phase,
    clients: BTreeMap<ConnectionId, Client>,
    /// The time of the last turn; time never goes back.
    last_turn: Instant,
    /// Turns taken, and inputs applied in them.
    turns: u64,
    inputs: u64,
    requests: RequestCounters,
}

#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of these in a process"
)]
enum Phase {
    Booting(Boot),
    Running(Broker),
    Stopping(Broker, Stop),
    Stopped(Option<BootError>),
}

impl Node {
    /// Begins to boot from what the data directories hold. Turns with the disk's answers go on
    /// until [`Self::is_ready`].
    ///
    /// # Errors
    /// [`BootError`] where the directories are not this node's, or make no sense.
    pub fn boot(now: Now, options: BootOptions, out: &mut Outbox) -> Result<Self, BootError> {
        let mut boot = Boot::begin(now, options, out)?;
        let phase = match boot.settle(now, out) {
            Some(broker) => Phase::Running(broker),
            None => Phase::Booting(boot),
        };
        Ok(Self {
            phase,
            clients: BTreeMap::new(),
            last_turn: now.instant,
            turns: 0,
            inputs: 0,
            requests: RequestCounters::default(),
        })
    }

    /// Whether clients may connect.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Whether the node has stopped: by [`Input::Shutdown`], or with an error.
    #[must_use]
    pub fn stopped(&self) -> Option<Result<(), &BootError>> {
        match &self.phase {
            Phase::Stopped(None) => Some(Ok(())),
            Phase::Stopped(Some(error)) => Some(Err(error)),
            Phase::Booting(_) | Phase::Running(_) | Phase::Stopping(..) => None,
        }
    }

    /// The rooms, once the node is ready: for those who look, not for those who change.
    #[must_use]
    pub fn broker(&self) -> Option<&Broker> {
        match &self.phase {
            Phase::Running(broker) | Phase::Stopping(broker, _) => Some(broker),
            Phase::Booting(_) | Phase::Stopped(_) => None,
        }
    }

    /// Applies every input, fires due timers, then settles. An empty turn is how time passes.
    pub fn turn(&mut self, now: Now, inputs: &mut Vec<Input>, out: &mut Outbox) {
        assert!(
            now.instant >= self.last_turn,
            "the monotonic clock never goes back"
        );
        self.last_turn = now.instant;
        self.turns += 1;
        self.inputs += inputs.len() as u64;
        let replies_start = out.replies.len();
        for input in inputs.drain(..) {
            self.apply(now, input, out);
        }
        self.fire(now, out);
        self.settle(now, out);
        if let Phase::Running(broker) = &mut self.phase {
            broker.throttle_answers(now, out);
        }
        for effect in &out.replies[replies_start..] {
            self.requests.on_reply(&effect.reply);
        }
    }

    /// When the next empty turn would do something, and why (for logs).
    #[must_use]
    pub fn next_deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.phase {
            Phase::Running(broker) => broker.next_deadline(),
            Phase::Booting(_) | Phase::Stopping(..) | Phase::Stopped(_) => None,
        }
    }

    fn apply(&mut self, now: Now, input: Input, out: &mut Outbox) {
        match input {
            Input::Connected {
                connection,
                listener,
                peer_host,
            } => {
                if let Phase::Running(broker) = &mut self.phase {
                    broker.on_connected(now, connection, &peer_host, out);
                }
                let client = Client {
                    listener,
                    peer_host,
                };
                let former = self.clients.insert(connection, client);
                assert!(former.is_none(), "connection ids are never reused");
            }
            Input::Disconnected { connection } => {
                self.clients.remove(&connection);
                if let Phase::Running(broker) = &mut self.phase {
                    broker.forget(connection);
                }
            }
            Input::Disk(done) => self.on_disk(now, done, out),
            Input::Request {
                connection,
                sequence,
                head,
                request,
            } => {
                self.requests.on_request(head.api_key);
                match (&mut self.phase, self.clients.get(&connection)) {
                    (Phase::Running(broker), Some(client)) => {
                        let from = dispatch::requester(client, connection, sequence, head);
                        broker.handle(now, &from, request, out);
                    }
                    (Phase::Booting(_) | Phase::Stopping(..) | Phase::Stopped(_), _) => {
                        out.close.push((connection, "the node is not serving"));
                    }
                    // It disconnected in the same turn.
                    (Phase::Running(_), None) => {}
                }
            }
            Input::Space { directory, space } => {
                if let Phase::Running(broker) = &mut self.phase {
                    broker.spaces.insert(directory, space);
                }
            }
            Input::TurnMeasured { took_ns } => {
                if let Phase::Running(broker) = &mut self.phase {
                    broker.throttle.on_turn_measured(now, took_ns);
                }
            }
            Input::Shutdown => self.shut_down(now, out),
        }
    }

    fn on_disk(&mut self, now: Now, done: DiskDone, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Booting(boot) => {
                if let Err(error) = boot.on_disk(now, done, out) {
                    out.events
                        .push(event(Severity::Error, "", error.to_string()));
                    self.phase = Phase::Stopped(Some(error));
                }
            }
            Phase::Running(broker) => broker.on_disk(now, done, out),
            Phase::Stopping(broker, stop) => {
                stop.on_disk(&done);
                broker.on_disk(now, done, out);
            }
            Phase::Stopped(_) => {}
        }
    }

    fn shut_down(&mut self, now: Now, out: &mut Outbox) {
        let phase = std::mem::replace(&mut self.phase, Phase::Stopped(None));
        self.phase = match phase {
            Phase::Running(mut broker) => {
                let stop = Stop::begin(&mut broker, now, out);
                Phase::Stopping(broker, stop)
            }
            // Nothing was served: the next boot begins again with what the disk holds.
            Phase::Booting(_) => Phase::Stopped(None),
            phase @ (Phase::Stopping(..) | Phase::Stopped(_)) => phase,
        };
    }

    fn fire(&mut self, now: Now, out: &mut Outbox) {
        if let Phase::Running(broker) = &mut self.phase {
            broker.release_muted(now, out);
            broker.expire_waiting(now, out);
            broker.keep_house(now, out);
            broker.keep_groups(now, out);
        }
    }

    fn settle(&mut self, now: Now, out: &mut Outbox) {
        match &mut self.phase {
            Phase::Booting(boot) => {
                if let Some(broker) = boot.settle(now, out) {
                    self.phase = Phase::Running(broker);
                }
            }
            Phase::Running(broker) => broker.settle(now, out),
            Phase::Stopping(broker, stop) => {
                broker.settle(now, out);
                stop.settle(broker, out);
                if matches!(stop, Stop::Stopped) {
                    self.phase = Phase::Stopped(None);
                }
            }
            Phase::Stopped(_) => {}
        }
    }
}
