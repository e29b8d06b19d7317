//! What crosses the door: [`Input`] in, [`Outbox`] out.
//!
//! Both are plain data, so that a turn can be recorded, replayed and compared.

use std::sync::Arc;

use crate::event::Event;
use crate::ids::{ConnectionId, DirectoryIndex, ListenerId, RequestSequence};
use crate::storage::{DiskDone, DiskOp, DiskSpace};
use crate::waiting::ReplyTo;
use crate::wire::request::{Reply, Request, RequestHead};

/// Something that happened outside, for a turn to apply.
///
/// Requests are by far the most frequent input, so they are not boxed.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every input is a request: a box would cost each an allocation"
)]
pub enum Input {
    /// A client connected.
    Connected {
        /// Its connection.
        connection: ConnectionId,
        /// The listener it came to; replies name addresses of this listener (K18).
        listener: ListenerId,
        /// Where it comes from, as text without the port: `127.0.0.1`.
        peer_host: Arc<str>,
    },
    /// A connection is gone; its parked requests are forgotten.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// The disk answered.
    Disk(DiskDone),
    /// A whole request arrived; it was decoded, and its batches checked, by the connection's
    /// worker.
    Request {
        /// Where the reply goes.
        connection: ConnectionId,
        /// Its place among the connection's requests.
        sequence: RequestSequence,
        /// API, version, client id.
        head: RequestHead,
        /// The body.
        request: Request,
    },
    /// The room on a data directory's disk, as the driver finds it from time to time.
    Space {
        /// The directory.
        directory: DirectoryIndex,
        /// The room.
        space: DiskSpace,
    },
    /// What the turn before this one took, as the driver measured it; a driver without a clock says
    /// nothing. Part of the time of those whose requests it took in (`request_percentage`).
    TurnMeasured {
        /// In nanoseconds.
        took_ns: u64,
    },
    /// Stop in order: park nothing new, close every log, say so when the disk has confirmed.
    Shutdown,
}

/// A reply for a connection; the connection puts replies into the order of their requests.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyEffect {
    /// Where it goes.
    pub connection: ConnectionId,
    /// Which request it answers.
    pub sequence: RequestSequence,
    /// What it says.
    pub reply: Reply,
}

/// The effects of a turn. A driver resolves the slices of `replies` before it carries out `disk`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    /// Replies, in the order they were decided.
    pub replies: Vec<ReplyEffect>,
    /// Disk operations; FIFO per log.
    pub disk: Vec<DiskOp>,
    /// Connections to close once their earlier replies are out, each with the reason for the log.
    pub close: Vec<(ConnectionId, &'static str)>,
    /// Connections of which nothing is read any more, once their replies are out, or again:
    /// throttled clients (KIP-219).
    pub muted: Vec<(ConnectionId, bool)>,
    /// What happened.
    pub events: Vec<Event>,
}

impl Outbox {
    /// Whether the turn had no effect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replies.is_empty()
            && self.disk.is_empty()
            && self.close.is_empty()
            && self.muted.is_empty()
            && self.events.is_empty()
    }

    /// Answers a request.
    pub fn reply(&mut self, to: ReplyTo, reply: Reply) {
        self.replies.push(ReplyEffect {
            connection: to.connection,
            sequence: to.sequence,
            reply,
        });
    }

    /// Empties it, keeping its memory.
    pub fn clear(&mut self) {
        self.replies.clear();
        self.disk.clear();
        self.close.clear();
        self.muted.clear();
        self.events.clear();
    }
}
