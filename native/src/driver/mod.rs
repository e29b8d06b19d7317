//! Turning the brain: whoever brings work does it.
//!
//! Inputs go into an inbox. If nobody is turning, the one who brought them takes the brain, turns
//! it once over everything in the inbox, leaves the room and carries the effects out: disk
//! operations, mail, log lines. If somebody is, that one looks again before leaving. So an idle
//! broker answers without a change of threads, and a busy one serves many inputs with one turn. No
//! system call is made while the brain is held.
//!
//! The other way, a thread that owns the brain, is kept behind a switch so that both can be
//! measured ([`Turning`]). What a turn decides is the core's business.

mod clock;
mod mailbox;
mod room;

use std::cell::Cell;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::Duration;

use ottla_core::ids::ConnectionId;
use ottla_core::node::Node;
use ottla_core::node::door::{Input, Outbox};
use ottla_core::partition::opening::Demands;
use ottla_core::storage::DiskDone;
use ottla_core::time::{Instant, Timestamp};
use tokio::sync::{Notify, watch};

pub(crate) use clock::Clock;
pub(crate) use mailbox::{Mail, Mailbox};
pub(crate) use room::{Brain, Inbox, Phase};

use crate::disk::{Disk, DiskDoor, FileRange};
use crate::logging;
use crate::metrics::EventFigures;
use room::{Effects, Room};

/// Who turns the brain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turning {
    /// A thread of its own: a change of threads for every input that finds it asleep.
    Owner,
    /// Whoever brings work.
    WhoeverBrings,
}

/// Turns that one thread takes in a row before it carries their effects out. More would answer
/// the first of them late; fewer would leave inputs waiting behind a write of 256 KiB.
const TURNS_IN_A_ROW: usize = 4;

/// Times that one thread carries effects out before it leaves what has come meanwhile to the relay:
/// its own connection waits all the while, and under load there is always more.
const ROUNDS_IN_A_ROW: usize = 4;

/// How often the room on disks is looked at: as often as checkpoints are written by default.
const SPACE_INTERVAL: Duration = Duration::from_secs(60);

/// The brain, its disk, and the inbox between them and the connections.
#[derive(Debug)]
pub(crate) struct Driver {
    clock: Clock,
    inbox: Mutex<Inbox>,
    room: Mutex<Room>,
    disk: Disk,
    turning: Turning,
    /// The thread that owns the brain, where there is one.
    owner: OnceLock<Thread>,
    timer: Timer,
    /// Rung by one who leaves although there may be more to turn over.
    relay: Notify,
    phase: watch::Sender<Phase>,
    /// What topics ask of batches.
    demands: watch::Sender<Arc<Demands>>,
    /// Rung when the node's configuration is another.
    reconfigured: Notify,
    events: EventFigures,
    /// What turns took, in nanoseconds. Beside the room: nobody takes that only to read.
    turning_ns: AtomicU64,
}

/// The earliest deadline, for the task that waits for it.
#[derive(Debug)]
struct Timer {
    /// Nanoseconds of the driver's clock; `u64::MAX` is none.
    armed: AtomicU64,
    changed: Notify,
}

thread_local! {
    /// The lists of a turn's effects, kept between turns so that they need no new memory.
    static EFFECTS: Cell<Option<Box<Effects>>> = const { Cell::new(None) };
}

impl Driver {
    /// Connects a booted brain to its disk, and lets the effects of the boot out.
    pub(crate) fn start(
        clock: Clock,
        brain: Box<dyn Brain>,
        boot: Outbox,
        (disk, door): (Disk, DiskDoor),
        turning: Turning,
    ) -> Arc<Self> {
        let driver = Arc::new(Self {
            clock,
            inbox: Mutex::default(),
            room: Mutex::new(Room::new(brain, door)),
            disk,
            turning,
            owner: OnceLock::new(),
            timer: Timer {
                armed: AtomicU64::new(u64::MAX),
                changed: Notify::new(),
            },
            relay: Notify::new(),
            phase: watch::Sender::new(Phase::Booting),
            demands: watch::Sender::default(),
            reconfigured: Notify::new(),
            events: EventFigures::default(),
            turning_ns: AtomicU64::new(0),
        });
        let sink = Arc::downgrade(&driver);
        driver.disk.connect(move |done| {
            if let Some(driver) = sink.upgrade() {
                driver.submit_disk(done);
            }
        });
        if turning == Turning::Owner {
            driver.spawn_owner();
        }
        let mut effects = Box::<Effects>::default();
        {
            let mut room = driver.room.lock().unwrap_or_else(|_| broken());
            room.post_boot(boot, &mut effects);
            // Nobody waits for the deadline yet, so nobody is to be told.
            let _is_sooner = driver.note_outcome(&mut room);
        }
        driver.carry_out(&mut effects, None);
        // Answers of the disk, and what the clock has made due since the boot began.
        driver.submit_due();
        driver
    }

    /// Milliseconds of the driver's clock; never 0.
    pub(crate) fn now_ms(&self) -> u64 {
        milliseconds(self.now_ns())
    }

    /// Nanoseconds of the driver's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.instant().0
    }

    /// The time that people go by.
    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.now().wall
    }

    /// The disk.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Events that were logged.
    pub(crate) fn event_figures(&self) -> &EventFigures {
        &self.events
    }

    /// Nanoseconds that turns took so far.
    pub(crate) fn turning_ns(&self) -> u64 {
        self.turning_ns.load(Ordering::Relaxed)
    }

    /// Shows the node to somebody who may not change it; `None` where a stand-in of a test turns.
    ///
    /// The brain is held meanwhile: `look` makes no system call, and is short. It may wait for a
    /// turn to end, so it is for threads that may wait.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Node) -> T) -> Option<T> {
        let seen = {
            let room = self.room.lock().unwrap_or_else(|_| broken());
            room.node().map(look)
        };
        // Those who found the room taken left their inputs to whoever was in there.
        self.submit(None, |_nothing_to_add| {});
        seen
    }

    /// Adds to the inbox and sees to it that it is turned over. `own` is the connection that asks:
    /// it looks into its mailbox by itself.
    pub(crate) fn submit(&self, own: Option<ConnectionId>, add: impl FnOnce(&mut Inbox)) {
        add(&mut self.lock_inbox());
        match self.turning {
            Turning::WhoeverBrings => self.work(own),
            Turning::Owner => {
                let owner = self.owner.get();
                owner.expect("the owner starts with the driver").unpark();
            }
        }
    }

    /// Hands in answers of the disk.
    fn submit_disk(&self, done: &mut Vec<DiskDone>) {
        self.submit(None, |inbox| {
            inbox.inputs.extend(done.drain(..).map(Input::Disk));
        });
    }

    /// Asks for a turn because time has passed.
    fn submit_due(&self) {
        self.submit(None, |inbox| inbox.is_due = true);
    }

    /// Reads the bytes of a range for a connection's output, on a disk worker.
    pub(crate) fn load(&self, mailbox: &Arc<Mailbox>, range: FileRange, skip: u32, length: u32) {
        let mailbox = Arc::clone(mailbox);
        self.disk.load(range, skip, length, move |loaded| {
            mailbox.put(|mail| mail.loaded = Some(loaded));
            mailbox.wake();
        });
    }

    /// Turns over the inbox and carries out effects until there is nothing, or somebody else is at
    /// it, or it is the relay's turn.
    fn work(&self, own: Option<ConnectionId>) {
        let mut effects = EFFECTS.take().unwrap_or_default();
        let mut rounds = 0;
        loop {
            let mut turns = 0;
            // Between leaving the room and carrying effects out, inputs that came meanwhile are
            // taken along: those who brought them found the room taken and went away.
            while turns < TURNS_IN_A_ROW && self.turn_once(&mut effects) {
                turns += 1;
            }
            if turns == 0 {
                break;
            }
            self.carry_out(&mut effects, own);
            rounds += 1;
            if rounds == ROUNDS_IN_A_ROW && self.turning == Turning::WhoeverBrings {
                self.relay.notify_one();
                break;
            }
        }
        EFFECTS.set(Some(effects));
    }

    /// Takes the room, and turns over the inbox. `false` where the inbox is empty or the room is
    /// taken.
    ///
    /// No input is forgotten: (1) whoever brings one puts it into the inbox before trying the
    /// room; (2) whoever leaves the room looks into the inbox afterwards. Either the try succeeds,
    /// or the one who is in there looks later than the input came. The fence keeps both in that
    /// order on every processor.
    fn turn_once(&self, effects: &mut Effects) -> bool {
        loop {
            fence(Ordering::SeqCst);
            if self.lock_inbox().is_empty() {
                return false;
            }
            let mut room = match self.room.try_lock() {
                Ok(room) => room,
                Err(TryLockError::WouldBlock) => return false,
                Err(TryLockError::Poisoned(_)) => broken(),
            };
            mem::swap(&mut *self.lock_inbox(), room.inbox());
            if room.inbox().is_empty() {
                continue;
            }
            let now = self.clock.now();
            room.turn(now, effects);
            let took_ns = self.clock.instant().0 - now.instant.0;
            self.turning_ns.fetch_add(took_ns, Ordering::Relaxed);
            room.note_turn(took_ns);
            let is_sooner = self.note_outcome(&mut room);
            drop(room);
            if is_sooner {
                self.timer.changed.notify_one();
            }
            return true;
        }
    }

    /// Notes the next deadline and how far the brain's life has come; the room is held. Answers
    /// whether whoever waits for the deadline is to be told: that may wake a thread, so it is done
    /// outside.
    fn note_outcome(&self, room: &mut Room) -> bool {
        let deadline = room.next_deadline().map_or(u64::MAX, |deadline| deadline.0);
        let is_sooner = deadline < self.timer.armed.load(Ordering::Acquire);
        if is_sooner {
            self.timer.armed.store(deadline, Ordering::Release);
        }
        // A few times in a life, in order: here.
        if let Some(phase) = room.new_phase() {
            self.phase.send_replace(phase);
        }
        if let Some(demands) = room.new_demands() {
            self.demands.send_replace(demands);
        }
        if room.is_reconfigured() {
            self.reconfigured.notify_one();
        }
        is_sooner
    }

    /// Does what turns left to be done; the room is not held.
    fn carry_out(&self, effects: &mut Effects, own: Option<ConnectionId>) {
        for mailbox in effects.wake.drain(..) {
            if own != Some(mailbox.connection()) {
                mailbox.wake();
            }
        }
        self.disk.run(&mut effects.ready, &mut effects.done);
        if !effects.done.is_empty() {
            let mut inbox = self.lock_inbox();
            inbox.inputs.extend(effects.done.drain(..).map(Input::Disk));
        }
        if !effects.events.is_empty() && self.disk.is_lost() {
            let reason = "the data directory of the metadata log is lost; see the error before";
            // One that has stopped stays so: somebody waits for it.
            self.phase.send_if_modified(|phase| {
                let is_news = *phase != Phase::Stopped;
                if is_news {
                    *phase = Phase::Failed(reason.to_owned());
                }
                is_news
            });
        }
        for event in effects.events.drain(..) {
            self.events.note(event.severity);
            logging::print(&event);
        }
    }

    fn lock_inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread that owns the brain.
    fn spawn_owner(self: &Arc<Self>) {
        let driver = Arc::clone(self);
        let thread = thread::Builder::new()
            .name("brain".to_owned())
            .spawn(move || {
                while *driver.phase.borrow() != Phase::Stopped {
                    driver.work(None);
                    thread::park();
                }
            })
            .expect("the process may start a few threads; without them the broker cannot work");
        let first = self.owner.set(thread.thread().clone());
        assert!(first.is_ok(), "a driver starts once");
    }

    /// Turns when a deadline comes, and when somebody left although there may be more; a task that
    /// lives as long as the runtime.
    pub(crate) async fn serve_deadlines(self: Arc<Self>) {
        loop {
            let armed = self.timer.armed.load(Ordering::Acquire);
            let deadline = async {
                if armed == u64::MAX {
                    std::future::pending().await
                } else {
                    let deadline = self.clock.system_instant(Instant(armed));
                    tokio::time::sleep_until(deadline.into()).await;
                }
            };
            tokio::select! {
                () = self.timer.changed.notified() => {}
                () = self.relay.notified() => {
                    self.work(None);
                    // Connections that wait for this thread come first.
                    tokio::task::yield_now().await;
                }
                () = deadline => {
                    self.timer.armed.store(u64::MAX, Ordering::Release);
                    self.submit_due();
                }
            }
        }
    }

    /// Tells the brain of the room on its disks from time to time; a task that lives as long as the
    /// runtime.
    pub(crate) async fn serve_spaces(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SPACE_INTERVAL).await;
            let driver = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || driver.disk.spaces());
            let spaces = looked.await.unwrap_or_default();
            let inputs = spaces.into_iter();
            let inputs = inputs.map(|(directory, space)| Input::Space { directory, space });
            self.submit(None, |inbox| inbox.inputs.extend(inputs));
        }
    }

    /// Waits until the brain's life has come to one of some phases; answers which.
    pub(crate) async fn until(&self, is_wanted: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phases = self.phase.subscribe();
        let reached = phases.wait_for(is_wanted).await;
        reached.expect("the driver holds the other end").clone()
    }

    /// What topics ask of batches, as the last turn left it.
    pub(crate) fn demands(&self) -> Arc<Demands> {
        Arc::clone(&self.demands.borrow())
    }

    /// Waits until the node's configuration is another than when this was last answered; for one.
    pub(crate) async fn reconfigured(&self) {
        self.reconfigured.notified().await;
    }

    /// Closes the disk: what was allocated ahead is given back, the committers end. After a
    /// shutdown is complete; no work may follow.
    pub(crate) fn close(&self) {
        let room = self.room.lock().unwrap_or_else(|_| broken());
        self.disk.close(&room.door);
    }
}

/// Nanoseconds as milliseconds; never 0.
pub(crate) fn milliseconds(ns: u64) -> u64 {
    ns / 1_000_000 + 1
}

/// A turn panicked: what the brain remembers cannot be trusted, so the process ends as if it had
/// been killed, which is what recovery is made for.
fn broken() -> ! {
    std::process::abort()
}
