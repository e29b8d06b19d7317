//! Frames on their way out: small headers in one growing buffer, record bytes beside it.
//!
//! A frame's length stands in front of bytes that are not copied, so encoding notes where pieces
//! belong (cuts) and the buffer is cut up only when the output is taken. Nothing is written to a
//! socket here.

use bytes::{BufMut, Bytes, BytesMut};

use crate::ids::{LogId, Offset};
use crate::limits::INLINE_SLICE_BYTES_MAX;
use crate::storage::Slice;

/// A part of what goes out on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a log's file, to be sent without reading it where the platform can: the fields of
    /// [`Slice::File`].
    File {
        /// The log.
        log: LogId,
        /// Base offset of the segment.
        segment: Offset,
        /// First byte.
        position: u32,
        /// Number of bytes; not zero.
        length: u32,
    },
}

impl Piece {
    /// Length in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::File { length, .. } => *length as usize,
        }
    }
}

/// A piece that belongs at a position of the buffer.
#[derive(Clone, Debug)]
struct Cut {
    at: usize,
    piece: Piece,
}

/// Where a frame began; see [`FrameWriter::begin`].
#[derive(Debug)]
pub(crate) struct FrameStart {
    at: usize,
    beside_bytes: usize,
}

/// Collects encoded frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct FrameWriter {
    buffer: BytesMut,
    cuts: Vec<Cut>,
    beside_bytes: usize,
}

impl FrameWriter {
    /// Bytes collected and not taken yet.
    pub(crate) fn size_bytes(&self) -> usize {
        self.buffer.len() + self.beside_bytes
    }

    /// Begins a frame; its length is filled in by [`Self::end`].
    pub(crate) fn begin(&mut self) -> FrameStart {
        let start = FrameStart {
            at: self.buffer.len(),
            beside_bytes: self.beside_bytes,
        };
        self.buffer.put_i32(0);
        start
    }

    /// Ends a frame; `Err` gives its size where that does not fit in a frame's length, and the
    /// frame must then be abandoned.
    pub(crate) fn end(&mut self, start: &FrameStart) -> Result<(), usize> {
        let inside = self.buffer.len() - start.at - 4;
        let size = inside + (self.beside_bytes - start.beside_bytes);
        let length = i32::try_from(size).map_err(|_too_large| size)?;
        self.buffer[start.at..start.at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Takes back everything since `start`.
    pub(crate) fn abandon(&mut self, start: &FrameStart) {
        self.buffer.truncate(start.at);
        self.beside_bytes = start.beside_bytes;
        // A piece put where this frame begins belongs to the frame before; it cannot belong to
        // this one, whose length field comes first.
        self.cuts.retain(|cut| cut.at <= start.at);
    }

    /// The buffer, to append to.
    pub(crate) fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Appends a slice of a log.
    pub(crate) fn put_slice(&mut self, slice: &Slice) {
        match slice {
            Slice::File {
                log,
                segment,
                position,
                length,
            } => self.put_piece(Piece::File {
                log: *log,
                segment: *segment,
                position: *position,
                length: *length,
            }),
            Slice::Memory(batch) => {
                self.buffer.extend_from_slice(&batch.stamp);
                self.put_piece(Piece::Bytes(batch.body.clone()));
            }
        }
    }

    /// Appends a piece without copying it, unless it is small.
    pub(crate) fn put_piece(&mut self, piece: Piece) {
        match piece {
            Piece::Bytes(bytes) if bytes.len() <= INLINE_SLICE_BYTES_MAX => {
                self.buffer.extend_from_slice(&bytes);
            }
            piece @ (Piece::Bytes(_) | Piece::File { .. }) => {
                self.beside_bytes += piece.size_bytes();
                self.cuts.push(Cut {
                    at: self.buffer.len(),
                    piece,
                });
            }
        }
    }

    /// Moves everything collected to the end of `pieces`; answers the number of bytes.
    pub(crate) fn take(&mut self, pieces: &mut Vec<Piece>) -> usize {
        let size = self.size_bytes();
        let mut done = 0;
        for cut in self.cuts.drain(..) {
            if cut.at > done {
                let front = self.buffer.split_to(cut.at - done).freeze();
                pieces.push(Piece::Bytes(front));
                done = cut.at;
            }
            pieces.push(cut.piece);
        }
        if !self.buffer.is_empty() {
            pieces.push(Piece::Bytes(self.buffer.split().freeze()));
        }
        self.beside_bytes = 0;
        size
    }

    /// Gives back unused memory; for a connection that falls idle.
    pub(crate) fn release(&mut self) {
        if self.buffer.is_empty() && self.cuts.is_empty() {
            self.buffer = BytesMut::new();
            self.cuts = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{STAMP_BYTES, StampedBatch};

    #[test]
    fn pieces_keep_their_place_and_count_in_the_length() {
        let body = Bytes::from(vec![7u8; INLINE_SLICE_BYTES_MAX + 1]);
        let mut writer = FrameWriter::default();
        let frame = writer.begin();
        writer.buffer_mut().extend_from_slice(b"ab");
        writer.put_slice(&Slice::Memory(StampedBatch {
            stamp: [1; STAMP_BYTES],
            body: body.clone(),
        }));
        writer.put_slice(&Slice::File {
            log: LogId(1),
            segment: Offset(0),
            position: 10,
            length: 20,
        });
        writer.buffer_mut().extend_from_slice(b"z");
        assert_eq!(writer.end(&frame), Ok(()));
        let mut pieces = Vec::new();
        let size = writer.take(&mut pieces);
        assert_eq!(size, pieces.iter().map(Piece::size_bytes).sum::<usize>());
        assert_eq!(pieces.len(), 4);
        let Piece::Bytes(front) = &pieces[0] else {
            panic!("the front is in memory");
        };
        assert_eq!(front[..4], u32::try_from(size - 4).unwrap().to_be_bytes());
        assert_eq!(pieces[1], Piece::Bytes(body));
        assert!(matches!(pieces[2], Piece::File { length: 20, .. }));
        assert_eq!(pieces[3], Piece::Bytes(Bytes::from_static(b"z")));
        assert_eq!(writer.size_bytes(), 0);
    }

    #[test]
    fn an_abandoned_frame_leaves_those_before_it() {
        let large = Bytes::from(vec![7u8; 1000]);
        let mut writer = FrameWriter::default();
        let first = writer.begin();
        writer.put_piece(Piece::Bytes(large.clone()));
        writer.end(&first).unwrap();
        let size = writer.size_bytes();
        let second = writer.begin();
        writer.put_piece(Piece::Bytes(large));
        writer.abandon(&second);
        assert_eq!(writer.size_bytes(), size);
        let mut pieces = Vec::new();
        assert_eq!(writer.take(&mut pieces), size);
        assert_eq!(pieces.len(), 2);
    }
}
