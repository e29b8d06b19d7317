//! Reading the protocol's primitive types straight from a frame.
//!
//! The codec's own decoder cuts its reference-counted input for every integer, two atomic
//! operations each; the paths that every batch takes (request headers, Produce) read through this
//! one instead. Errors are the codec's. It is no general decoder: only what those paths need.

use bytes::Bytes;
use kafka_wire_core::{DecodeError, StrBytes};

use crate::limits::TAGGED_FIELDS_MAX;

/// A position in a frame.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    frame: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front of `frame`.
    pub(crate) fn new(frame: &'a Bytes) -> Self {
        Self { frame, at: 0 }
    }

    /// Where the next read begins.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.frame.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.frame[self.at..].first_chunk::<N>() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(self.ends(N)),
        }
    }

    fn ends(&self, needed: usize) -> DecodeError {
        DecodeError::UnexpectedEnd {
            offset: self.at,
            needed,
            remaining: self.remaining(),
        }
    }

    /// A signed 16-bit integer.
    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A signed 32-bit integer.
    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// The 16 bytes of a UUID.
    pub(crate) fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        self.array()
    }

    /// An unsigned varint of at most 32 bits.
    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let offset = self.at;
        let mut value = 0u32;
        for shift in [0u32, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            if shift == 28 && byte & 0xf0 != 0 {
                return Err(DecodeError::MalformedVarint { offset });
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::MalformedVarint { offset })
    }

    /// The next `length` bytes, sharing the frame's memory.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return Err(self.ends(length));
        }
        let bytes = self.frame.slice(self.at..self.at + length);
        self.at += length;
        Ok(bytes)
    }

    /// The length of a nullable field: `-1`, or 0 as a varint, is `None`.
    ///
    /// `width_two` is for strings of the older encoding, whose length has 16 bits.
    fn nullable_length(
        &mut self,
        kind: &'static str,
        flexible: bool,
        width_two: bool,
    ) -> Result<Option<usize>, DecodeError> {
        let offset = self.at;
        if flexible {
            let encoded = self.unsigned_varint()?;
            return Ok(encoded.checked_sub(1).map(|length| length as usize));
        }
        let length = if width_two {
            i32::from(self.i16()?)
        } else {
            self.i32()?
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_negative) if length == -1 => Ok(None),
            Err(_negative) => Err(DecodeError::NegativeLength {
                kind,
                length: i64::from(length),
                offset,
            }),
        }
    }

    /// A nullable string of either encoding.
    pub(crate) fn nullable_string(
        &mut self,
        flexible: bool,
    ) -> Result<Option<StrBytes>, DecodeError> {
        let Some(length) = self.nullable_length("string", flexible, true)? else {
            return Ok(None);
        };
        let offset = self.at;
        let bytes = self.take(length)?;
        StrBytes::try_from(bytes)
            .map(Some)
            .map_err(|error| DecodeError::InvalidUtf8 {
                offset,
                valid_up_to: error.valid_up_to(),
            })
    }

    /// A string of either encoding.
    pub(crate) fn string(&mut self, flexible: bool) -> Result<StrBytes, DecodeError> {
        let offset = self.at;
        self.nullable_string(flexible)?
            .ok_or(DecodeError::NullNotAllowed {
                kind: "string",
                offset,
            })
    }

    /// Nullable bytes of either encoding, sharing the frame's memory.
    pub(crate) fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.nullable_length("bytes", flexible, false)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// The count of an array that is not null; at most `elements_max`, and no more than the bytes
    /// that are left could hold at `element_bytes_min` each.
    pub(crate) fn array_count(
        &mut self,
        flexible: bool,
        elements_max: usize,
        element_bytes_min: usize,
    ) -> Result<usize, DecodeError> {
        let offset = self.at;
        let Some(count) = self.nullable_length("array", flexible, false)? else {
            return Err(DecodeError::NullNotAllowed {
                kind: "array",
                offset,
            });
        };
        if count > elements_max {
            return Err(DecodeError::LimitExceeded {
                kind: "array",
                length: count,
                limit: elements_max,
                offset,
            });
        }
        if count > self.remaining() / element_bytes_min {
            return Err(DecodeError::CountExceedsFrame {
                kind: "array",
                count,
                remaining: self.remaining(),
                offset,
            });
        }
        Ok(count)
    }

    /// Passes over a structure's tagged fields, all unknown here; ascending order is demanded
    /// (K10).
    pub(crate) fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        let offset = self.at;
        let count = self.unsigned_varint()? as usize;
        if count > TAGGED_FIELDS_MAX {
            return Err(DecodeError::LimitExceeded {
                kind: "tagged fields",
                length: count,
                limit: TAGGED_FIELDS_MAX,
                offset,
            });
        }
        let mut previous: Option<u32> = None;
        for _field in 0..count {
            let offset = self.at;
            let tag = self.unsigned_varint()?;
            if let Some(previous) = previous.filter(|previous| tag <= *previous) {
                return Err(DecodeError::TaggedFieldOrder {
                    previous,
                    current: tag,
                    offset,
                });
            }
            previous = Some(tag);
            let length = self.unsigned_varint()? as usize;
            if length > self.remaining() {
                return Err(self.ends(length));
            }
            self.at += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primitives_agree_with_the_codec() {
        let frame =
            Bytes::from_static(&[0xff, 0xff, 0x03, b'a', b'b', 0x00, 0x80, 0x01, 0, 0, 0, 1]);
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.nullable_string(false), Ok(None));
        assert_eq!(reader.string(true), Ok(StrBytes::from("ab")));
        assert_eq!(reader.nullable_string(true), Ok(None));
        assert_eq!(reader.unsigned_varint(), Ok(128));
        assert_eq!(reader.i32(), Ok(1));
        assert_eq!(reader.remaining(), 0);
        assert!(matches!(
            reader.i16(),
            Err(DecodeError::UnexpectedEnd { .. })
        ));
    }

    #[test]
    fn counts_beyond_the_bytes_are_refused_before_anything_is_reserved() {
        let frame = Bytes::from_static(&[0, 0, 0, 3, 1, 2, 3, 4, 5]);
        assert_eq!(Reader::new(&frame).array_count(false, 10, 1), Ok(3));
        assert!(Reader::new(&frame).array_count(false, 10, 2).is_err());
        assert!(Reader::new(&frame).array_count(false, 2, 1).is_err());
        let null = Bytes::from_static(&[0xff; 4]);
        assert!(Reader::new(&null).array_count(false, 2, 1).is_err());
    }

    #[test]
    fn tagged_fields_are_skipped_in_order_only() {
        let good = Bytes::from_static(&[2, 0, 1, 9, 5, 0]);
        let mut reader = Reader::new(&good);
        assert_eq!(reader.skip_tagged_fields(), Ok(()));
        assert_eq!(reader.remaining(), 0);
        let twice = Bytes::from_static(&[2, 5, 0, 5, 0]);
        assert!(Reader::new(&twice).skip_tagged_fields().is_err());
        let many = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(Reader::new(&many).skip_tagged_fields().is_err());
    }
}
