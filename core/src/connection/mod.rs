//! One client connection as a pure machine: bytes in, typed requests out; replies in, bytes out.
//!
//! A driver reads into [`Connection::buffer_mut`], asks [`Connection::next_request`] until there is
//! none, hands what the brain decides to [`Connection::reply`], and writes what
//! [`Connection::take_output`] gives it. Replies leave in the order of their requests, whatever the
//! order they were decided in (K9). Nothing leaves after [`Connection::close`].
//!
//! It opens no socket, knows no clock (idle limits are the driver's) and decides no request, except
//! an ApiVersions of a version too new, whose answer is the same everywhere (K3, KIP-511).

mod error;
mod frames;
pub(crate) mod input;

use std::collections::VecDeque;

use bytes::BytesMut;

pub use error::{ConnectionError, Protocol};

use crate::connection::frames::{decode_limits, encode_frame, parse_head, too_new};
use crate::connection::input::FrameReader;
use crate::ids::{ConnectionId, RequestSequence};
use crate::limits;
use crate::wire::api_table::{API_VERSIONS, PRODUCE, ServedApi};
use crate::wire::frame_writer::{FrameWriter, Piece};
use crate::wire::request::{Reply, Request, RequestHead};

/// What a connection may send and hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionLimits {
    /// Largest frame, in bytes, once a first request was valid.
    pub frame_bytes_max: u32,
    /// Largest frame, in bytes, before that.
    pub first_frame_bytes_max: u32,
    /// Requests that may wait for their replies before the connection reads no further.
    pub requests_in_flight_max: usize,
    /// Bytes of frames whose requests may wait for their replies before the connection reads no
    /// further.
    pub in_flight_bytes_max: u64,
    /// Bytes of replies that may wait to be written before the connection reads no further.
    pub output_bytes_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            first_frame_bytes_max: limits::FIRST_FRAME_BYTES_MAX,
            requests_in_flight_max: limits::REQUESTS_IN_FLIGHT_MAX,
            in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX,
            output_bytes_max: limits::OUTPUT_BYTES_MAX,
        }
    }
}

/// A request that arrived whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// Its place among the connection's requests; its reply is handed back with it.
    pub sequence: RequestSequence,
    /// API, version, client id.
    pub head: RequestHead,
    /// The body.
    pub request: Request,
    /// Bytes of the frame it came in.
    pub frame_bytes: u32,
}

/// The place of a reply that has not left yet.
#[derive(Clone, Debug)]
struct Slot {
    correlation_id: i32,
    api: &'static ServedApi,
    version: i16,
    frame_bytes: u32,
    reply: Waiting,
}

/// How far the reply of a slot is.
#[derive(Clone, Debug)]
enum Waiting {
    /// Decided, and encoded, but a request before it still waits.
    Encoded(Vec<Piece>),
    /// Not decided.
    Undecided,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct Connection {
    id: ConnectionId,
    limits: ConnectionLimits,
    input: FrameReader,
    /// Whether a request was valid, so that the full limits apply.
    is_trusted: bool,
    is_closed: bool,
    /// Whether no more requests are taken, though output may still leave.
    is_finishing: bool,
    /// Whether no requests are taken for now.
    is_muted: bool,
    /// Sequence of the slot at the front.
    first_slot: u64,
    slots: VecDeque<Slot>,
    /// Bytes of the frames whose requests wait for a reply.
    in_flight_bytes: u64,
    /// Bytes encoded in slots behind one that waits.
    held_bytes: usize,
    output: FrameWriter,
    /// Bytes taken by the driver and not written yet.
    taken_bytes: usize,
}

impl Connection {
    /// A connection that has sent nothing yet.
    #[must_use]
    pub fn new(id: ConnectionId, limits: ConnectionLimits) -> Self {
        Self {
            id,
            limits,
            input: FrameReader::default(),
            is_trusted: false,
            is_closed: false,
            is_finishing: false,
            is_muted: false,
            first_slot: 0,
            slots: VecDeque::new(),
            in_flight_bytes: 0,
            held_bytes: 0,
            output: FrameWriter::default(),
            taken_bytes: 0,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Whether the driver should read: false while too many requests wait, or too much output does,
    /// and while it is muted.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.is_closed
            && !self.is_finishing
            && !self.is_muted
            && self.slots.len() < self.limits.requests_in_flight_max
            && self.in_flight_bytes < self.limits.in_flight_bytes_max
            && self.output_bytes() < self.limits.output_bytes_max
    }

    /// Bytes to read next, at most: the rest of a frame whose length is known, or a small read.
    #[must_use]
    pub fn read_hint(&self) -> usize {
        self.input.read_hint()
    }

    /// Where to read to: spare capacity of at least [`Self::read_hint`] bytes after what is there.
    ///
    /// The driver appends and never removes. A large frame is read straight into its final place,
    /// and its reservation ends where it ends.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        self.input.buffer_mut()
    }

    /// Takes bytes that are elsewhere already: copies them into the buffer.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.receive(bytes);
    }

    /// The next whole request, if there is one and it may be taken; call it until there is none.
    ///
    /// # Errors
    /// What was wrong; the connection is closed by it, as Kafka does, and nothing leaves any more.
    pub fn next_request(&mut self) -> Result<Option<Received>, ConnectionError> {
        loop {
            if !self.wants_input() {
                return Ok(None);
            }
            let taken = self.take_request();
            match taken {
                Ok(Taken::Answered) => {}
                Ok(Taken::Incomplete) => return Ok(None),
                Ok(Taken::Request(received)) => return Ok(Some(received)),
                Err(error) => {
                    self.close();
                    return Err(error);
                }
            }
        }
    }

    fn take_request(&mut self) -> Result<Taken, ConnectionError> {
        let Some(frame_bytes_max) = self.frame_bytes_max()? else {
            return Ok(Taken::Incomplete);
        };
        let Some(frame) = self.input.take_frame(frame_bytes_max)? else {
            return Ok(Taken::Incomplete);
        };
        let frame_bytes = u32::try_from(frame.len()).expect("a frame is within its limit");
        let (head, api, body) = parse_head(&frame)?;
        if !api.serves(head.version) {
            assert!(api.key == API_VERSIONS, "parse_head refuses all others");
            let sequence = self.open_slot(&head, api, 0, frame_bytes);
            self.reply(sequence, Reply::ApiVersions(too_new(api)))
                .expect("a reply without strings or tags encodes in version 0");
            return Ok(Taken::Answered);
        }
        let limits = decode_limits(self.is_trusted, frame_bytes_max);
        let decoded = Request::decode(api, head.version, body, limits);
        let request = decoded.map_err(|error| ConnectionError::Malformed {
            api: api.name,
            version: head.version,
            error,
        })?;
        self.is_trusted = true;
        let sequence = self.open_slot(&head, api, head.version, frame_bytes);
        Ok(Taken::Request(Received {
            sequence,
            head,
            request,
            frame_bytes,
        }))
    }

    /// How large the frame at the front may be; `None` until enough of it has come to tell.
    ///
    /// Only a Produce may be large: its batches are not decoded, while other requests become up to
    /// 47 times their bytes. That holds for the first frame too, since a connection may begin with
    /// a Produce: kafka-python 2.0.2 opens one to each node without a word of greeting.
    fn frame_bytes_max(&self) -> Result<Option<u32>, ConnectionError> {
        let full = self.limits.frame_bytes_max;
        let other = if self.is_trusted {
            limits::OTHER_FRAME_BYTES_MAX
        } else {
            self.limits.first_frame_bytes_max
        };
        let other = other.min(full);
        let size = self.input.parse_size(full)?;
        if size.is_none_or(|size| size <= other as usize) {
            return Ok(Some(other));
        }
        let Some((api_key, version)) = self.input.front_api() else {
            return Ok(None);
        };
        let api = ServedApi::find(api_key).filter(|api| api.key == PRODUCE);
        let is_produce = api.is_some_and(|api| api.serves(version));
        Ok(Some(if is_produce { full } else { other }))
    }

    fn open_slot(
        &mut self,
        head: &RequestHead,
        api: &'static ServedApi,
        version: i16,
        frame_bytes: u32,
    ) -> RequestSequence {
        let sequence = RequestSequence(self.first_slot + self.slots.len() as u64);
        self.slots.push_back(Slot {
            correlation_id: head.correlation_id,
            api,
            version,
            frame_bytes,
            reply: Waiting::Undecided,
        });
        self.in_flight_bytes += u64::from(frame_bytes);
        sequence
    }

    /// Takes the reply to a request; it leaves when all before it have.
    ///
    /// Slices are kept as they are: a driver pins their files before it hands the reply on.
    ///
    /// # Errors
    /// [`ConnectionError::Unencodable`] where the reply does not fit its version: a bug of the
    /// handler; the connection is closed.
    ///
    /// # Panics
    /// Where the request was answered before, or never arrived.
    pub fn reply(
        &mut self,
        sequence: RequestSequence,
        reply: Reply,
    ) -> Result<(), ConnectionError> {
        if self.is_closed {
            return Ok(());
        }
        assert!(sequence.0 >= self.first_slot, "answered once");
        let index = usize::try_from(sequence.0 - self.first_slot).expect("a slot's index");
        assert!(index < self.slots.len(), "answers a request that arrived");
        if index > 0 {
            let slot = &mut self.slots[index];
            assert!(
                matches!(slot.reply, Waiting::Undecided),
                "a request is answered once"
            );
            let mut writer = FrameWriter::default();
            let result = encode_frame(slot, &reply, &mut writer);
            let mut pieces = Vec::new();
            self.held_bytes += writer.take(&mut pieces);
            slot.reply = Waiting::Encoded(pieces);
            return result.inspect_err(|_error| self.close());
        }
        let slot = self.pop_slot();
        let result = encode_frame(&slot, &reply, &mut self.output);
        if result.is_err() {
            self.close();
            return result;
        }
        self.release_slots();
        Ok(())
    }

    /// Lets the replies leave that waited for the one at the front.
    fn release_slots(&mut self) {
        while let Some(Slot {
            reply: Waiting::Encoded(_),
            ..
        }) = self.slots.front()
        {
            let slot = self.pop_slot();
            if let Waiting::Encoded(pieces) = slot.reply {
                for piece in pieces {
                    self.held_bytes -= piece.size_bytes();
                    self.output.put_piece(piece);
                }
            }
        }
    }

    fn pop_slot(&mut self) -> Slot {
        let slot = self.slots.pop_front().expect("the caller saw the slot");
        self.first_slot += 1;
        self.in_flight_bytes -= u64::from(slot.frame_bytes);
        slot
    }

    /// Moves what may be written to the end of `pieces`; answers the number of bytes. The driver
    /// says by [`Self::wrote`] how far it came.
    pub fn take_output(&mut self, pieces: &mut Vec<Piece>) -> usize {
        if self.is_closed {
            return 0;
        }
        let size = self.output.take(pieces);
        self.taken_bytes += size;
        size
    }

    /// Whether [`Self::take_output`] would give anything.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.is_closed && self.output.size_bytes() > 0
    }

    /// Notes that so many bytes taken before are written.
    pub fn wrote(&mut self, bytes: usize) {
        assert!(bytes <= self.taken_bytes, "wrote what was taken");
        self.taken_bytes -= bytes;
    }

    /// Bytes of replies encoded and not written yet.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.held_bytes + self.output.size_bytes() + self.taken_bytes
    }

    /// Bytes the connection holds: input read, frames whose requests wait, output.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.input.held_bytes() as u64 + self.in_flight_bytes + self.output_bytes() as u64
    }

    /// Requests that wait for their replies.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.slots.len()
    }

    /// The first request whose reply is not encoded yet: those of all before it are in the output,
    /// or left already.
    #[must_use]
    pub fn first_waiting(&self) -> RequestSequence {
        RequestSequence(self.first_slot)
    }

    /// Whether a part of a frame has arrived, so that its sender may be told to hurry.
    #[must_use]
    pub fn has_partial_frame(&self) -> bool {
        self.input.has_partial_frame()
    }

    /// Gives buffers back that hold nothing; for a driver that is about to wait for a quiet
    /// connection.
    pub fn release_buffers(&mut self) {
        self.input.release();
        self.output.release();
    }

    /// Takes no requests for now, or takes them again: what arrived is kept, and replies leave
    /// (KIP-219).
    pub fn set_muted(&mut self, is_muted: bool) {
        self.is_muted = is_muted;
    }

    /// Takes no more requests; what was decided still leaves, what was not is forgotten (K33).
    pub fn finish(&mut self) {
        self.is_finishing = true;
    }

    /// Whether the driver may close the socket: closed, or finishing with nothing left to write.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_closed
            || self.is_finishing && self.output.size_bytes() == 0 && self.taken_bytes == 0
    }

    /// Forgets everything; nothing leaves any more.
    pub fn close(&mut self) {
        self.is_closed = true;
        self.input = FrameReader::default();
        self.first_slot += self.slots.len() as u64;
        self.slots = VecDeque::new();
        self.in_flight_bytes = 0;
        self.held_bytes = 0;
        self.output = FrameWriter::default();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }
}

/// What one frame came to.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every frame is a request: a box would cost each an allocation"
)]
enum Taken {
    /// An ApiVersions of a version too new, answered here.
    Answered,
    /// The frame is not whole yet.
    Incomplete,
    /// A request for the brain.
    Request(Received),
}

#[cfg(test)]
mod tests;
