//! Finding frames in what a socket delivers, without copying them.
//!
//! Small requests share a read buffer, several frames to one allocation; the buffer doubles while
//! reads fill it. A frame that does not fit gets a buffer of exactly its size, so that the socket's
//! bytes go straight to where they stay until they are on disk. A claim of more than
//! [`FRAME_RESERVE_BYTES_MAX`] is believed step by step, as its bytes arrive.

use bytes::{Bytes, BytesMut};

use crate::connection::error::{ConnectionError, Protocol};
use crate::limits::{FRAME_RESERVE_BYTES_MAX, READ_BYTES_MAX, READ_BYTES_MIN};

/// Bytes of a frame's length.
const LENGTH_BYTES: usize = 4;

/// The receiving side of a connection.
#[derive(Clone, Debug)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    /// Size of the frame at the front, without its length, once that was read and allowed.
    frame_size: Option<usize>,
    /// What a fresh read buffer holds.
    read_bytes: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            frame_size: None,
            read_bytes: READ_BYTES_MIN,
        }
    }
}

impl FrameReader {
    /// Bytes that the frame at the front still lacks; of its length, where that is unknown.
    fn missing(&self) -> usize {
        let wanted = LENGTH_BYTES + self.frame_size.unwrap_or(0);
        wanted.saturating_sub(self.buffer.len())
    }

    /// Spare capacity worth reading into; 0 where a fresh buffer is due.
    fn useful_spare(&self) -> usize {
        let spare = self.buffer.capacity() - self.buffer.len();
        let wanted = if self.buffer.is_empty() {
            // The rest of a read buffer whose frames are gone: no read of a few bytes.
            READ_BYTES_MIN / 4
        } else if self.buffer.capacity() >= FRAME_RESERVE_BYTES_MAX {
            // A large frame, reserved in part.
            1
        } else {
            self.missing().max(1)
        };
        if spare >= wanted { spare } else { 0 }
    }

    /// Capacity of the buffer that is due.
    fn fresh_capacity(&self) -> usize {
        let missing = match self.missing() {
            // Nobody has looked for frames in what there is: nothing is known but that more comes.
            0 => self.read_bytes,
            missing => missing,
        };
        let needed = self.buffer.len() + missing;
        let believed = FRAME_RESERVE_BYTES_MAX.max(self.buffer.len() * 2);
        needed.min(believed).max(self.read_bytes)
    }

    /// See [`super::Connection::read_hint`].
    pub(crate) fn read_hint(&self) -> usize {
        match self.useful_spare() {
            0 => self.fresh_capacity() - self.buffer.len(),
            spare => spare,
        }
    }

    /// See [`super::Connection::buffer_mut`].
    pub(crate) fn buffer_mut(&mut self) -> &mut BytesMut {
        self.make_room();
        &mut self.buffer
    }

    fn make_room(&mut self) {
        if self.useful_spare() > 0 {
            return;
        }
        // A read that left no room: there was more to read. (A large frame says nothing of that.)
        let is_full = self.buffer.capacity() > 0 && self.buffer.len() == self.buffer.capacity();
        let is_busy = is_full && self.fresh_capacity() <= READ_BYTES_MAX;
        // A fresh buffer of exactly this capacity: `reserve` would round up.
        let mut fresh = BytesMut::with_capacity(self.fresh_capacity());
        fresh.extend_from_slice(&self.buffer);
        self.buffer = fresh;
        if is_busy {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
    }

    /// See [`super::Connection::receive`].
    pub(crate) fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.make_room();
            let spare = self.buffer.capacity() - self.buffer.len();
            let (now, later) = bytes.split_at(spare.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
    }

    /// The frame at the front without its length, if it is whole.
    pub(crate) fn take_frame(
        &mut self,
        frame_bytes_max: u32,
    ) -> Result<Option<Bytes>, ConnectionError> {
        if self.frame_size.is_none() {
            self.frame_size = self.parse_size(frame_bytes_max)?;
        }
        let Some(size) = self.frame_size else {
            return Ok(None);
        };
        if self.buffer.len() < LENGTH_BYTES + size {
            return Ok(None);
        }
        self.frame_size = None;
        let frame = self.buffer.split_to(LENGTH_BYTES + size).freeze();
        if self.buffer.capacity() == 0 {
            // Its last bytes went with the frame: hold nothing.
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame.slice(LENGTH_BYTES..)))
    }

    /// The API and version that the frame at the front names, once those bytes have come.
    pub(crate) fn front_api(&self) -> Option<(i16, i16)> {
        let [.., a, b, c, d] = *self.buffer.first_chunk::<{ LENGTH_BYTES + 4 }>()?;
        Some((i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d])))
    }

    /// The size that the frame at the front announces, once its length has come.
    pub(crate) fn parse_size(
        &self,
        frame_bytes_max: u32,
    ) -> Result<Option<usize>, ConnectionError> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let signed = i32::from_be_bytes(*length);
        if let Some(protocol) = Protocol::recognise(*length) {
            // Read as sizes, all of these are beyond what the first frames may have.
            if signed.unsigned_abs() > frame_bytes_max {
                return Err(ConnectionError::NotKafka(protocol));
            }
        }
        let Ok(size) = u32::try_from(signed) else {
            return Err(ConnectionError::NegativeSize { size: signed });
        };
        if size > frame_bytes_max {
            return Err(ConnectionError::FrameTooLarge {
                size,
                size_max: frame_bytes_max,
            });
        }
        Ok(Some(size as usize))
    }

    /// Bytes of memory reserved.
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Whether a frame has begun and is not whole.
    pub(crate) fn has_partial_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Drops a buffer that holds nothing, and forgets that the connection was busy.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_read_buffer_may_arrive_before_anyone_looks_for_frames() {
        let mut reader = FrameReader::default();
        let frame = [&[0, 0, 0, 8][..], &[7; 8]].concat();
        let sent = frame.repeat(20_000);
        reader.receive(&sent);
        for _ in 0..20_000 {
            let taken = reader.take_frame(100).expect("good frames");
            assert_eq!(taken.as_deref(), Some(&[7; 8][..]));
        }
        assert_eq!(reader.take_frame(100), Ok(None));
    }
}
