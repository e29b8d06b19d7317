//! Records inside batches: reading them one by one, and finding batches in a run of bytes.
//!
//! For what must look inside: lookups by time, coordinators, the metadata log, clients. Keys and
//! values share the batch's memory where it is not compressed. What a broker checks of a produced
//! batch is in [`crate::wire::batch`] and [`crate::wire::walk`]; it decodes no records.

use bytes::Bytes;

use crate::ids::Offset;
use crate::limits::decompressed_bytes_max;
use crate::time::Timestamp;
use crate::wire::batch::{
    BATCH_HEADER_BYTES, BatchError, BatchHeader, Compression, PreparedBatch, TimestampType,
};
use crate::wire::compression::decompress;
use crate::wire::walk::{RecordFacts, varint, varlong, walk_records};

/// One record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Its offset in the log.
    pub offset: Offset,
    /// Its time, by the batch's meaning of timestamps.
    pub timestamp: Timestamp,
    /// The key; `None` is null.
    pub key: Option<Bytes>,
    /// The value; `None` is null, a deletion on a compacted topic.
    pub value: Option<Bytes>,
    /// The headers, in order; a key may come twice.
    pub headers: Vec<RecordHeader>,
}

/// One header of a record.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordHeader {
    /// Its key: UTF-8 by convention, not checked.
    pub key: Bytes,
    /// Its value; `None` is null.
    pub value: Option<Bytes>,
}

/// The records of one batch, in order; ends after the first error.
#[derive(Clone, Debug)]
pub struct Records {
    header: BatchHeader,
    rest: Bytes,
    left: i32,
}

impl Records {
    /// Opens a whole batch; compressed records are decompressed now, into at most
    /// [`decompressed_bytes_max`] bytes.
    ///
    /// # Errors
    /// [`BatchError::Length`] or [`BatchError::Magic`] where it is no batch,
    /// [`BatchError::UnsupportedCompression`] or [`BatchError::Record`] where its records cannot be
    /// read. The CRC is not checked here.
    pub fn open(batch: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(batch).ok_or(BatchError::Length)?;
        if header.magic != crate::wire::batch::MAGIC {
            return Err(BatchError::Magic);
        }
        let size = header.size_bytes().ok_or(BatchError::Length)?;
        if size > batch.len() {
            return Err(BatchError::Length);
        }
        let rest = open_records(&header, &batch.slice(..size))?;
        Ok(Self {
            header,
            rest,
            left: header.records_count.max(0),
        })
    }

    /// The batch's header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn take_record(&mut self) -> Result<Record, BatchError> {
        let length = self.varint()?;
        let length = usize::try_from(length).map_err(|_sign| BatchError::Record)?;
        if length > self.rest.len() {
            return Err(BatchError::Record);
        }
        let mut body = Self {
            header: self.header,
            rest: self.rest.split_to(length),
            left: 0,
        };
        body.skip_bytes(1)?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let mut record = Record {
            offset: self.header.base_offset.plus(i64::from(offset_delta)),
            timestamp: match self.header.attributes.timestamp_type() {
                TimestampType::CreateTime => {
                    Timestamp(self.header.base_timestamp.0.wrapping_add(timestamp_delta))
                }
                TimestampType::LogAppendTime => self.header.max_timestamp,
            },
            key: body.field()?,
            value: body.field()?,
            headers: Vec::new(),
        };
        let headers = usize::try_from(body.varint()?).map_err(|_sign| BatchError::Record)?;
        if headers > body.rest.len() / 2 {
            return Err(BatchError::Record);
        }
        record.headers.reserve_exact(headers);
        for _header in 0..headers {
            record.headers.push(RecordHeader {
                key: body.field()?.ok_or(BatchError::Record)?,
                value: body.field()?,
            });
        }
        if body.rest.is_empty() {
            Ok(record)
        } else {
            Err(BatchError::Record)
        }
    }

    fn skip_bytes(&mut self, length: usize) -> Result<(), BatchError> {
        if length > self.rest.len() {
            return Err(BatchError::Record);
        }
        let _skipped = self.rest.split_to(length);
        Ok(())
    }

    fn varint(&mut self) -> Result<i32, BatchError> {
        let mut bytes = &self.rest[..];
        let value = varint(&mut bytes)?;
        let left = bytes.len();
        self.skip_bytes(self.rest.len() - left)?;
        Ok(value)
    }

    fn varlong(&mut self) -> Result<i64, BatchError> {
        let mut bytes = &self.rest[..];
        let value = varlong(&mut bytes)?;
        let left = bytes.len();
        self.skip_bytes(self.rest.len() - left)?;
        Ok(value)
    }

    fn field(&mut self) -> Result<Option<Bytes>, BatchError> {
        match usize::try_from(self.varint()?) {
            Err(_negative) => Ok(None),
            Ok(length) if length > self.rest.len() => Err(BatchError::Record),
            Ok(length) => Ok(Some(self.rest.split_to(length))),
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = self.take_record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

/// The records of a whole batch, decompressed.
fn open_records(header: &BatchHeader, batch: &Bytes) -> Result<Bytes, BatchError> {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "a whole batch");
    let codec = header
        .attributes
        .compression()
        .ok_or(BatchError::UnsupportedCompression)?;
    let records = batch.slice(BATCH_HEADER_BYTES..);
    if codec == Compression::None {
        return Ok(records);
    }
    decompress(codec, &records, decompressed_bytes_max(records.len()))
        .map(Bytes::from)
        .map_err(|_error| BatchError::Record)
}

impl PreparedBatch {
    /// What walking the records finds, decompressing them where needed: what `record.validation`
    /// `deep`, compacted topics and bounds on timestamps ask for.
    ///
    /// # Errors
    /// [`BatchError::Count`] or [`BatchError::Record`] where the records do not bear the header
    /// out.
    pub fn deep_facts(&self) -> Result<RecordFacts, BatchError> {
        match (self.facts, self.flaw) {
            (Some(facts), _) => Ok(facts),
            (None, Some(flaw)) => Err(flaw),
            (None, None) => walk_records(&self.header, &open_records(&self.header, &self.bytes)?),
        }
    }
}

/// The whole batches at the front of a run of bytes, such as a Fetch answers or a segment holds.
///
/// Ends at the first batch that is cut short, and after the first that makes no sense.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Batches {
    /// Looks through `bytes`, which begin with a batch.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not handed out: a batch cut short, or nothing.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Bytes not handed out: what is left is a batch cut short, or nothing.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl Iterator for Batches {
    type Item = Result<(BatchHeader, Bytes), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let header = BatchHeader::parse(&self.rest)?;
        if header.magic != crate::wire::batch::MAGIC {
            self.rest = Bytes::new();
            return Some(Err(BatchError::Magic));
        }
        let Some(size) = header.size_bytes() else {
            self.rest = Bytes::new();
            return Some(Err(BatchError::Length));
        };
        if size > self.rest.len() {
            return None;
        }
        Some(Ok((header, self.rest.split_to(size))))
    }
}
