//! What only the holder of the brain touches: the node, the disk's door, the mailboxes.
//!
//! The order in which turns happen is the order of everything that leaves them, so replies are
//! posted and disk operations queued here, before the room is left. No system call is made here.

use std::fmt;
use std::mem;
use std::sync::Arc;

use ottla_core::config::BrokerConfig;
use ottla_core::event::Event;
use ottla_core::ids::ConnectionId;
use ottla_core::map::LookupMap;
use ottla_core::node::Node;
use ottla_core::node::door::{Input, Outbox, ReplyEffect};
use ottla_core::partition::opening::Demands;
use ottla_core::storage::{DiskDone, Slice};
use ottla_core::time::{Instant, Now};
use ottla_core::wire::request::Reply;

use super::mailbox::{Letter, Mailbox};
use crate::disk::{DiskDoor, FileRange, Work};

/// What decides: the node, or a stand-in of a test.
pub(crate) trait Brain: Send {
    /// Applies every input and leaves the effects in `out`; an empty turn is how time passes.
    fn turn(&mut self, now: Now, inputs: &mut Vec<Input>, out: &mut Outbox);

    /// When an empty turn would do something.
    fn next_deadline(&self) -> Option<Instant>;

    /// How far the brain's life has come.
    fn phase(&self) -> Phase;

    /// Whether it wants to be told how long its turns take.
    fn is_measured(&self) -> bool {
        false
    }

    /// The node, for those who look; a stand-in has none.
    fn node(&self) -> Option<&Node> {
        None
    }
}

/// How far a brain's life has come; it only moves forward.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// It opens what the disk holds.
    Booting,
    /// It answers requests.
    Serving,
    /// It could not boot: why, and what to do.
    Failed(String),
    /// A shutdown that was asked for is complete.
    Stopped,
}

/// What waits for the next turn.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) inputs: Vec<Input>,
    /// Mailboxes of connections whose `Connected` is among the inputs.
    pub(crate) arrivals: Vec<Arc<Mailbox>>,
    /// Connections whose `Disconnected` is among the inputs.
    pub(crate) departures: Vec<ConnectionId>,
    /// Time has come for a turn, inputs or not.
    pub(crate) is_due: bool,
}

/// What a turn leaves to be done outside the room.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Queues of the disk that nobody works on.
    pub(crate) ready: Vec<Work>,
    /// Answers of the disk found while working on them.
    pub(crate) done: Vec<DiskDone>,
    /// Connections with new mail.
    pub(crate) wake: Vec<Arc<Mailbox>>,
    /// What happened.
    pub(crate) events: Vec<Event>,
}

/// The room.
pub(crate) struct Room {
    brain: Box<dyn Brain>,
    /// What the last turn took; 0 where nobody is to be told.
    last_turn_ns: u64,
    known_phase: Phase,
    known_config: Option<Arc<BrokerConfig>>,
    known_demands: Arc<Demands>,
    pub(crate) door: DiskDoor,
    inbox: Inbox,
    outbox: Outbox,
    mailboxes: LookupMap<ConnectionId, Arc<Mailbox>>,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

impl Inbox {
    /// Whether a turn would have nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && !self.is_due
    }
}

impl Room {
    /// Puts a brain beside the door of its disk.
    pub(crate) fn new(brain: Box<dyn Brain>, door: DiskDoor) -> Self {
        Self {
            brain,
            last_turn_ns: 0,
            known_phase: Phase::Booting,
            known_config: None,
            known_demands: Arc::default(),
            door,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            mailboxes: LookupMap::default(),
        }
    }

    /// The node; `None` where a stand-in of a test turns.
    pub(crate) fn node(&self) -> Option<&Node> {
        self.brain.node()
    }

    /// Where [`Self::turn`] looks for inputs: empty between turns, for an exchange.
    pub(crate) fn inbox(&mut self) -> &mut Inbox {
        &mut self.inbox
    }

    /// Turns once over what was put into the inbox.
    pub(crate) fn turn(&mut self, now: Now, effects: &mut Effects) {
        for mailbox in self.inbox.arrivals.drain(..) {
            self.mailboxes.insert(mailbox.connection(), mailbox);
        }
        self.inbox.is_due = false;
        let took_ns = mem::take(&mut self.last_turn_ns);
        if took_ns > 0 {
            self.inbox.inputs.push(Input::TurnMeasured { took_ns });
        }
        self.brain
            .turn(now, &mut self.inbox.inputs, &mut self.outbox);
        assert!(self.inbox.inputs.is_empty(), "a turn applies every input");
        self.post(effects);
        for connection in self.inbox.departures.drain(..) {
            self.mailboxes.remove(&connection);
        }
    }

    /// The turn took so long; the next one is told.
    pub(crate) fn note_turn(&mut self, took_ns: u64) {
        if self.brain.is_measured() {
            self.last_turn_ns = took_ns;
        }
    }

    /// Lets the effects of the boot, or of a turn, out: replies are posted with their slices
    /// pinned, then disk operations are queued.
    fn post(&mut self, effects: &mut Effects) {
        for effect in self.outbox.replies.drain(..) {
            // A connection that is gone is told nothing.
            if let Some(mailbox) = self.mailboxes.get(&effect.connection) {
                let letter = pin(&self.door, effect);
                mailbox.put(|mail| mail.replies.push(letter));
                effects.note_mail(mailbox);
            }
        }
        for (connection, is_muted) in self.outbox.muted.drain(..) {
            if let Some(mailbox) = self.mailboxes.get(&connection) {
                mailbox.put(|mail| mail.muted = Some(is_muted));
                effects.note_mail(mailbox);
            }
        }
        for (connection, reason) in self.outbox.close.drain(..) {
            if let Some(mailbox) = self.mailboxes.get(&connection) {
                mailbox.put(|mail| mail.finish = Some(reason));
                effects.note_mail(mailbox);
            }
        }
        self.door
            .enqueue(self.outbox.disk.drain(..), &mut effects.ready);
        effects.events.append(&mut self.outbox.events);
        assert!(self.outbox.is_empty(), "every effect is let out");
    }

    /// Lets the effects of the boot out.
    pub(crate) fn post_boot(&mut self, outbox: Outbox, effects: &mut Effects) {
        let former = mem::replace(&mut self.outbox, outbox);
        assert!(former.is_empty(), "the boot comes before any turn");
        self.post(effects);
    }

    /// When an empty turn would do something.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.brain.next_deadline()
    }

    /// How far the brain's life has come, if that is further than when it was last asked.
    pub(crate) fn new_phase(&mut self) -> Option<Phase> {
        let phase = self.brain.phase();
        if phase == self.known_phase {
            return None;
        }
        self.known_phase = phase.clone();
        Some(phase)
    }

    /// What topics ask of batches, where that is not what it was when this was last asked.
    pub(crate) fn new_demands(&mut self) -> Option<Arc<Demands>> {
        let broker = self.brain.node().and_then(Node::broker)?;
        if Arc::ptr_eq(&self.known_demands, &broker.demands) {
            return None;
        }
        self.known_demands = Arc::clone(&broker.demands);
        Some(Arc::clone(&self.known_demands))
    }

    /// Whether the node's configuration is another than when this was last asked.
    pub(crate) fn is_reconfigured(&mut self) -> bool {
        let Some(broker) = self.brain.node().and_then(Node::broker) else {
            return false;
        };
        let known = self.known_config.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &broker.config)) {
            return false;
        }
        self.known_config = Some(Arc::clone(&broker.config));
        true
    }
}

impl Effects {
    /// Remembers to wake a connection, once.
    fn note_mail(&mut self, mailbox: &Arc<Mailbox>) {
        let last = self.wake.last();
        if !last.is_some_and(|last| Arc::ptr_eq(last, mailbox)) {
            self.wake.push(Arc::clone(mailbox));
        }
    }
}

/// Pins the file ranges that a reply names, in the order in which they will leave.
fn pin(door: &DiskDoor, effect: ReplyEffect) -> Letter {
    let mut pins = Vec::new();
    if let Reply::Fetch(fetch) = &effect.reply {
        for slice in fetch.records.iter().flatten().flatten() {
            if let Slice::File {
                log,
                segment,
                position,
                length,
            } = slice
            {
                let pin: Option<FileRange> = door.pin(*log, *segment, *position, *length);
                pins.push(pin.expect("a reply names logs that exist"));
            }
        }
    }
    Letter {
        sequence: effect.sequence,
        reply: effect.reply,
        pins,
    }
}
