//! Reads a file of record batches one batch at a time, however long the file is.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use bytes::Bytes;
use ottla_core::wire::batch::{BATCH_HEADER_BYTES, BatchHeader, crc32c};

use super::unreadable;
use crate::cli::failure::Failure;

/// First byte that a batch's CRC covers: its attributes.
const CRC_COVERS_FROM: usize = 21;

/// A batch with its place.
#[derive(Debug)]
pub(super) struct PlacedBatch {
    pub(super) position: u64,
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
}

impl PlacedBatch {
    /// Whether the bytes are those the CRC was made of.
    pub(super) fn is_valid(&self) -> bool {
        crc32c(&self.bytes[CRC_COVERS_FROM..]) == self.header.crc
    }
}

/// The batches of a file, from a position on.
#[derive(Debug)]
pub(super) struct BatchFile {
    name: String,
    input: BufReader<File>,
    position: u64,
    end: u64,
}

impl BatchFile {
    /// Opens a file; looks at no more than `bytes_max` of it.
    pub(super) fn open(name: &str, bytes_max: Option<u64>) -> Result<Self, Failure> {
        let file = File::open(name).map_err(|error| unreadable(name, &error))?;
        let length = file
            .metadata()
            .map_err(|error| unreadable(name, &error))?
            .len();
        Ok(Self {
            name: name.to_owned(),
            input: BufReader::with_capacity(256 * 1024, file),
            position: 0,
            end: bytes_max.map_or(length, |bytes_max| bytes_max.min(length)),
        })
    }

    /// Goes on at another position.
    pub(super) fn seek(&mut self, position: u64) -> Result<(), Failure> {
        let sought = self.input.seek(SeekFrom::Start(position));
        sought.map_err(|error| unreadable(&self.name, &error))?;
        self.position = position;
        Ok(())
    }

    /// Bytes after the last whole batch.
    pub(super) fn remaining(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    /// The next whole batch; `None` at the end, and at bytes that are none.
    pub(super) fn next_batch(&mut self) -> Result<Option<PlacedBatch>, Failure> {
        let left = self.remaining();
        let mut head = [0u8; BATCH_HEADER_BYTES];
        if left < head.len() as u64 {
            return Ok(None);
        }
        self.read(&mut head)?;
        let header = BatchHeader::parse(&head).expect("a whole header was read");
        let Some(size) = header.size_bytes() else {
            return Ok(None);
        };
        if size as u64 > left {
            return Ok(None);
        }
        let mut bytes = vec![0u8; size];
        bytes[..head.len()].copy_from_slice(&head);
        self.read(&mut bytes[head.len()..])?;
        let position = self.position;
        self.position += size as u64;
        Ok(Some(PlacedBatch {
            position,
            header,
            bytes: Bytes::from(bytes),
        }))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let read = self.input.read_exact(bytes);
        read.map_err(|error| unreadable(&self.name, &error))
    }
}
