//! What was read of a segment and not yet taken apart.

use bytes::{Bytes, BytesMut};

use crate::ids::Offset;
use crate::limits::COMPACTION_READ_BYTES;
use crate::log::ClosedSegment;
use crate::log::batch::{BatchInfo, HEADER_BYTES};
use crate::wire::batch::BatchHeader;

/// Where in a source the round is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Input {
    /// Bytes that came and were not taken apart yet.
    pub(super) gathered: BytesMut,
    /// Where in the file they end.
    pub(super) position: u32,
    /// Where the next batch may begin.
    pub(super) expected: Offset,
}

impl Input {
    pub(super) fn begin(&mut self, source: &ClosedSegment) {
        // Where the map filled up in the middle of a source, something is left of it.
        *self = Self {
            expected: source.base_offset,
            ..Self::default()
        };
    }

    /// Whether every batch of the source was handed out.
    pub(super) fn is_over(&self, source: &ClosedSegment) -> bool {
        self.gathered.is_empty() && self.position == source.size_bytes
    }

    /// Takes in the piece that was asked for.
    pub(super) fn add(&mut self, source: &ClosedSegment, bytes: &Bytes) -> Result<(), String> {
        let left = source.size_bytes - self.position;
        if (bytes.len() as u64) < u64::from(left.min(COMPACTION_READ_BYTES)) {
            return Err("the file is shorter than it was".to_owned());
        }
        self.gathered.extend_from_slice(bytes);
        self.position += u32::try_from(bytes.len()).expect("a piece is small");
        Ok(())
    }

    /// The next whole batch, checked; `None` where more must come first.
    pub(super) fn next_batch(
        &mut self,
        source: &ClosedSegment,
    ) -> Result<Option<(BatchHeader, Bytes)>, String> {
        let left = (source.size_bytes - self.position) as usize;
        if self.gathered.len() < HEADER_BYTES && left > 0 || self.gathered.is_empty() {
            return Ok(None);
        }
        let info = BatchInfo::parse(&self.gathered).map_err(|damage| damage.to_string())?;
        let size = info.size_bytes as usize;
        if size > self.gathered.len() + left {
            return Err("a batch is longer than the rest of its segment".to_owned());
        }
        if size > self.gathered.len() {
            return Ok(None);
        }
        if info.base_offset < self.expected || info.end_offset() > source.end_offset {
            return Err("offsets are out of order".to_owned());
        }
        let batch = self.gathered.split_to(size).freeze();
        info.check_crc(&batch)
            .map_err(|damage| damage.to_string())?;
        self.expected = info.end_offset();
        let header = BatchHeader::parse(&batch).expect("it was just parsed");
        Ok(Some((header, batch)))
    }
}
