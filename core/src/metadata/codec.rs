//! How the fields of metadata records are written: Kafka's flexible encoding.
//!
//! Compact strings and arrays, tagged fields at the end of every structure, and a JSON form that is
//! the one of Kafka's dump tool. Reading is bounded by the bytes there are: a count never
//! allocates. Tagged fields with unknown numbers are skipped, as a newer Kafka may write them. The
//! records themselves are in [`super::records`] and [`super::control`].

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::ids::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, ProducerId, TopicId,
};
use crate::time::Timestamp;

/// Bytes that are no record, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordError {
    /// What was expected.
    pub what: &'static str,
    /// Position in the record's value.
    pub at: usize,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// A position in the bytes of one record.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at this position.
    pub fn error(&self, what: &'static str) -> RecordError {
        RecordError { what, at: self.at }
    }

    /// Refuses bytes that are left over.
    pub fn finish(self) -> Result<(), RecordError> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error("more bytes than the record has"))
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at..];
        if length > rest.len() {
            return Err(self.error("fewer bytes than the record has"));
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take gives as many as asked for"))
    }

    /// An unsigned varint of at most 32 bits.
    pub fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.error("a varint of 32 bits"));
            }
        }
        Err(self.error("a varint of 32 bits"))
    }

    /// A compact length: one more than it is, 0 for null.
    fn length(&mut self) -> Result<Option<usize>, RecordError> {
        Ok(self.varint()?.checked_sub(1).map(|length| length as usize))
    }
}

/// Writes an unsigned varint.
pub fn write_varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("a record is far smaller than 4 GiB");
    write_varint(length + 1, out);
}

/// A value that a field of a record can have.
pub trait Field: Sized {
    /// Appends the value's bytes.
    fn write(&self, version: i16, out: &mut Vec<u8>);
    /// Reads a value.
    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError>;
    /// Appends the value as Kafka's dump tool shows it.
    fn json(&self, version: i16, out: &mut String);
}

macro_rules! integer_fields {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn write(&self, _version: i16, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
                Ok(Self::from_be_bytes(reader.array()?))
            }

            fn json(&self, _version: i16, out: &mut String) {
                out.push_str(&self.to_string());
            }
        }
    )*};
}

integer_fields!(i8 i16 i32 i64 u16);

macro_rules! newtype_fields {
    ($($type:ident)*) => {$(
        impl Field for $type {
            fn write(&self, version: i16, out: &mut Vec<u8>) {
                self.0.write(version, out);
            }

            fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
                Field::read(version, reader).map(Self)
            }

            fn json(&self, version: i16, out: &mut String) {
                self.0.json(version, out);
            }
        }
    )*};
}

newtype_fields!(BrokerEpoch LeaderEpoch NodeId PartitionEpoch PartitionIndex ProducerId Timestamp);

impl Field for bool {
    fn write(&self, _version: i16, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(reader.array::<1>()? != [0])
    }

    fn json(&self, _version: i16, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

/// A 64-bit floating-point number by its bits: stored and shown, never computed with.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Double(pub u64);

impl Double {
    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl Field for Double {
    fn write(&self, _version: i16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self(u64::from_be_bytes(reader.array()?)))
    }

    fn json(&self, _version: i16, out: &mut String) {
        out.push_str(&crate::config::value::java_double(self.value()));
    }
}

impl Field for TopicId {
    fn write(&self, _version: i16, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self(reader.array()?))
    }

    fn json(&self, version: i16, out: &mut String) {
        Arc::<str>::from(self.to_string()).json(version, out);
    }
}

impl Field for Arc<str> {
    fn write(&self, _version: i16, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let length = reader.length()?;
        let length = length.ok_or_else(|| reader.error("a string that is not null"))?;
        let bytes = reader.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| reader.error("a string of UTF-8"))?;
        Ok(Self::from(text))
    }

    fn json(&self, _version: i16, out: &mut String) {
        out.push('"');
        for character in self.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                control if u32::from(control) < 0x20 => {
                    write!(out, "\\u{:04X}", u32::from(control)).expect("a String takes any text");
                }
                plain => out.push(plain),
            }
        }
        out.push('"');
    }
}

/// Bytes of a record that only mean something to others, such as a salted password.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Blob(pub Arc<[u8]>);

impl Field for Blob {
    fn write(&self, _version: i16, out: &mut Vec<u8>) {
        write_length(self.0.len(), out);
        out.extend_from_slice(&self.0);
    }

    fn read(_version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let length = reader.length()?;
        let length = length.ok_or_else(|| reader.error("bytes that are not null"))?;
        Ok(Self(Arc::from(reader.take(length)?)))
    }

    /// Base64 with padding, as Jackson writes binary.
    fn json(&self, _version: i16, out: &mut String) {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        out.push('"');
        for chunk in self.0.chunks(3) {
            let mut block = [0u8; 3];
            block[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from(block[0]) << 16 | u32::from(block[1]) << 8 | u32::from(block[2]);
            for i in 0..4 {
                let index = (bits >> (18 - 6 * i)) & 0x3f;
                let letter = ALPHABET[index as usize] as char;
                out.push(if i <= chunk.len() { letter } else { '=' });
            }
        }
        out.push('"');
    }
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, version: i16, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        for element in self {
            element.write(version, out);
        }
    }

    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let count = reader.length()?;
        let count = count.ok_or_else(|| reader.error("an array that is not null"))?;
        read_elements(count, version, reader)
    }

    fn json(&self, version: i16, out: &mut String) {
        out.push('[');
        for (index, element) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            element.json(version, out);
        }
        out.push(']');
    }
}

/// Every element takes at least one byte, so a count beyond the bytes fails before it allocates.
fn read_elements<T: Field>(
    count: usize,
    version: i16,
    reader: &mut Reader<'_>,
) -> Result<Vec<T>, RecordError> {
    if count > reader.bytes.len() - reader.at {
        return Err(reader.error("an array with more elements than bytes"));
    }
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(T::read(version, reader)?);
    }
    Ok(elements)
}

impl Field for Option<Arc<str>> {
    fn write(&self, version: i16, out: &mut Vec<u8>) {
        match self {
            Some(text) => text.write(version, out),
            None => write_varint(0, out),
        }
    }

    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        if reader.bytes.get(reader.at) == Some(&0) {
            reader.at += 1;
            return Ok(None);
        }
        Field::read(version, reader).map(Some)
    }

    fn json(&self, version: i16, out: &mut String) {
        match self {
            Some(text) => text.json(version, out),
            None => out.push_str("null"),
        }
    }
}

impl<T: Field> Field for Option<Vec<T>> {
    fn write(&self, version: i16, out: &mut Vec<u8>) {
        match self {
            Some(elements) => elements.write(version, out),
            None => write_varint(0, out),
        }
    }

    fn read(version: i16, reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        match reader.length()? {
            Some(count) => read_elements(count, version, reader).map(Some),
            None => Ok(None),
        }
    }

    fn json(&self, version: i16, out: &mut String) {
        match self {
            Some(elements) => elements.json(version, out),
            None => out.push_str("null"),
        }
    }
}

/// Collects the tagged fields of one structure, in the order of their numbers.
#[derive(Debug, Default)]
pub struct TagsOut(Vec<(u32, Vec<u8>)>);

impl TagsOut {
    /// Adds a field.
    pub fn push(&mut self, tag: u32, value: &impl Field, version: i16) {
        let mut bytes = Vec::new();
        value.write(version, &mut bytes);
        self.0.push((tag, bytes));
    }

    /// Writes all of them.
    pub fn write(mut self, out: &mut Vec<u8>) {
        self.0.sort_by_key(|(tag, _)| *tag);
        let count = u32::try_from(self.0.len()).expect("a structure has few tagged fields");
        write_varint(count, out);
        for (tag, bytes) in self.0 {
            write_varint(tag, out);
            let length = u32::try_from(bytes.len()).expect("a record is far smaller than 4 GiB");
            write_varint(length, out);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Reads the tagged fields of one structure: `on_tag` reads those it knows and answers whether it
/// did. Numbers must ascend.
pub fn read_tags(
    reader: &mut Reader<'_>,
    mut on_tag: impl FnMut(u32, &mut Reader<'_>) -> Result<bool, RecordError>,
) -> Result<(), RecordError> {
    let count = reader.varint()?;
    let mut previous = None;
    for _ in 0..count {
        let tag = reader.varint()?;
        if previous.is_some_and(|previous| previous >= tag) {
            return Err(reader.error("tagged fields in ascending order"));
        }
        previous = Some(tag);
        let length = reader.varint()? as usize;
        let mut field = Reader::new(reader.take(length)?);
        if on_tag(tag, &mut field)? {
            field.finish()?;
        }
    }
    Ok(())
}

/// `snake_case` as Kafka's `camelCase`.
pub fn camel_case(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut raise = false;
    for character in name.chars() {
        if character == '_' {
            raise = true;
        } else if raise {
            result.push(character.to_ascii_uppercase());
            raise = false;
        } else {
            result.push(character);
        }
    }
    result
}
