//! The fields of keys and values, read and written in either encoding.

use bytes::{BufMut, Bytes};
use kafka_wire_core::StrBytes;

use super::RecordError;

pub(super) fn put_string(text: &str, out: &mut Vec<u8>) {
    out.put_i16(i16::try_from(text.len()).expect("strings of requests have at most 32,767 bytes"));
    out.put_slice(text.as_bytes());
}

pub(super) fn put_nullable_string(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => put_string(text, out),
        None => out.put_i16(-1),
    }
}

pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.put_i32(i32::try_from(bytes.len()).expect("bytes of a request fit its frame"));
    out.put_slice(bytes);
}

pub(super) fn put_compact_string(text: &str, out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).expect("strings are short");
    crate::metadata::codec::write_varint(length + 1, out);
    out.put_slice(text.as_bytes());
}

/// A position in the bytes of a key or a value, in either encoding.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    is_flexible: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], is_flexible: bool) -> Self {
        Self {
            bytes,
            at: 0,
            is_flexible,
        }
    }

    /// Reads a value's version.
    pub(super) fn versioned(
        bytes: &'a [u8],
        version_last: i16,
        flexible_from: i16,
    ) -> Result<(i16, Self), RecordError> {
        let mut fields = Self::new(bytes, false);
        let version = fields.i16()?;
        if !(0..=version_last).contains(&version) {
            return Err(fields.error("a version of the record that is known"));
        }
        fields.is_flexible = version >= flexible_from;
        Ok((version, fields))
    }

    fn error(&self, what: &'static str) -> RecordError {
        RecordError { what, at: self.at }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..length)
            .ok_or_else(|| self.error("as many bytes as the record says"))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take gives as many as asked for"))
    }

    pub(super) fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_too_large| self.error("32 bits"));
            }
        }
        Err(self.error("a varint of 32 bits"))
    }

    /// A length that may be null.
    fn length(&mut self, is_short: bool) -> Result<Option<usize>, RecordError> {
        if self.is_flexible {
            return Ok(self.varint()?.checked_sub(1).map(|length| length as usize));
        }
        let length = if is_short {
            i32::from(self.i16()?)
        } else {
            self.i32()?
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_negative) if length == -1 => Ok(None),
            Err(_negative) => Err(self.error("a length")),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<StrBytes>, RecordError> {
        let Some(length) = self.length(true)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?);
        match text {
            Ok(text) => Ok(Some(StrBytes::from(text))),
            Err(_invalid) => Err(self.error("UTF-8")),
        }
    }

    pub(super) fn string(&mut self) -> Result<StrBytes, RecordError> {
        self.nullable_string()?
            .ok_or_else(|| self.error("a string that is not null"))
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        match self.length(false)? {
            Some(length) => self.take(length).map(Bytes::copy_from_slice),
            None => Err(self.error("bytes that are not null")),
        }
    }

    /// The count of an array. Its elements allocate as they are read, never on its word.
    pub(super) fn count(&mut self) -> Result<usize, RecordError> {
        self.length(false)?
            .ok_or_else(|| self.error("an array that is not null"))
    }

    /// Reads the tagged fields of a structure, of a flexible version only.
    pub(super) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &'a [u8]) -> Option<()>,
    ) -> Result<(), RecordError> {
        if !self.is_flexible {
            return Ok(());
        }
        for _field in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()? as usize;
            let value = self.take(length)?;
            known(tag, value).ok_or_else(|| self.error("a tagged field of the right length"))?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), RecordError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error("no more bytes"))
        }
    }
}
