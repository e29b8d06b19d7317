//! Where a connection's task finds what others decided for it.
//!
//! Whoever turns the brain puts replies here while it holds the order of effects; the connection's
//! task takes them when it is woken and writes them. No socket is touched here.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use futures::task::AtomicWaker;
use ottla_core::ids::{ConnectionId, RequestSequence};
use ottla_core::wire::request::Reply;

use crate::disk::FileRange;

/// A connection as the rest of the process sees it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    connection: ConnectionId,
    mail: Mutex<Mail>,
    task: AtomicWaker,
    /// When the task last moved bytes, in milliseconds of the driver's clock.
    pub(crate) moved_ms: AtomicU64,
    /// Since when the peer owes the rest of a frame, or has not taken output; 0 where it owes
    /// nothing.
    pub(crate) owing_since_ms: AtomicU64,
    /// Bytes the peer moved since then.
    pub(crate) owing_moved_bytes: AtomicU64,
    /// What the peer owes is room for output.
    pub(crate) is_room_owed: AtomicBool,
    /// The task was told that the connection is quiet, and nothing has moved since.
    pub(crate) is_quiet: AtomicBool,
}

/// What waits for a connection's task.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// Decided replies.
    pub(crate) replies: Vec<Letter>,
    /// Bytes of the file range at the front of the output, read by a disk worker.
    pub(crate) loaded: Option<io::Result<Bytes>>,
    /// Whether nothing is to be read for now; the last word counts.
    pub(crate) muted: Option<bool>,
    /// The connection is to end, once its earlier replies are out.
    pub(crate) finish: Option<&'static str>,
    /// The connection is to end now.
    pub(crate) abort: Option<&'static str>,
    /// Nothing has moved for a while: memory that holds nothing may go.
    pub(crate) is_quiet: bool,
}

/// A reply, with the file ranges it names pinned in their order.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) sequence: RequestSequence,
    pub(crate) reply: Reply,
    pub(crate) pins: Vec<FileRange>,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.replies.is_empty()
            && self.loaded.is_none()
            && self.muted.is_none()
            && self.finish.is_none()
            && self.abort.is_none()
            && !self.is_quiet
    }
}

impl Mailbox {
    /// An empty one.
    pub(crate) fn new(connection: ConnectionId, now_ms: u64) -> Self {
        Self {
            connection,
            mail: Mutex::default(),
            task: AtomicWaker::new(),
            moved_ms: AtomicU64::new(now_ms),
            owing_since_ms: AtomicU64::new(0),
            owing_moved_bytes: AtomicU64::new(0),
            is_room_owed: AtomicBool::new(false),
            is_quiet: AtomicBool::new(false),
        }
    }

    /// Whose it is.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Adds to what waits; the task is not woken.
    pub(crate) fn put(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.lock());
    }

    /// Wakes the task.
    pub(crate) fn wake(&self) {
        self.task.wake();
    }

    /// Exchanges what waits for an empty one; `false` where there was nothing.
    pub(crate) fn take(&self, mail: &mut Mail) -> bool {
        assert!(mail.is_empty(), "mail is read before more is taken");
        let mut waiting = self.lock();
        mem::swap(&mut *waiting, mail);
        !mail.is_empty()
    }

    /// Whether anything waits; if not, `waker` is woken by the next [`Self::wake`].
    pub(crate) fn has_mail(&self, waker: &Waker) -> bool {
        self.task.register(waker);
        !self.lock().is_empty()
    }

    /// Notes when bytes moved.
    pub(crate) fn touch(&self, now_ms: u64) {
        self.moved_ms.store(now_ms, Ordering::Relaxed);
        self.is_quiet.store(false, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
