//! Batches of the metadata log into an image, with the transactions between them.
//!
//! Records between BeginTransaction and EndTransaction take effect together at its end, or not at
//! all (KIP-868). Control records are handed to the quorum, which knows what they mean.

use std::fmt;

use bytes::Bytes;

use super::codec::RecordError;
use super::control::ControlRecord;
use super::delta::Delta;
use super::image::{Image, ImageError};
use super::records::MetadataRecord;
use crate::ids::{LeaderEpoch, Offset};
use crate::time::Timestamp;
use crate::wire::batch::BatchError;
use crate::wire::records::Records;

/// Why a batch cannot be part of this metadata log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReplayError {
    /// It is no batch that can be read.
    Batch(BatchError),
    /// A record contradicts those before it.
    Image(Offset, ImageError),
    /// A record is none that this version knows.
    Record(Offset, RecordError),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch(error) => f.write_str(error.message()),
            Self::Image(offset, error) => write!(f, "record at offset {offset}: {error}"),
            Self::Record(offset, error) => write!(f, "record at offset {offset}: {error}"),
        }
    }
}

/// An image that follows the metadata log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Replay {
    image: Image,
    /// The records of a transaction that has not ended; `None` outside of one.
    pending: Option<Vec<(Offset, MetadataRecord)>>,
    end_offset: Offset,
    last_epoch: LeaderEpoch,
    last_timestamp: Timestamp,
}

impl Replay {
    /// Begins after a snapshot that ended before `end_offset`, in the epoch of its last record.
    #[must_use]
    pub fn after(image: Image, end_offset: Offset, last_epoch: LeaderEpoch) -> Self {
        Self {
            image,
            pending: None,
            end_offset,
            last_epoch,
            last_timestamp: Timestamp(0),
        }
    }

    /// What the cluster knows at [`Self::end_offset`], without the transaction in progress.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The offset of the next record to be applied.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// The epoch of the last batch applied.
    #[must_use]
    pub fn last_epoch(&self) -> LeaderEpoch {
        self.last_epoch
    }

    /// The time of the last batch applied.
    #[must_use]
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// Whether a transaction has begun and not ended.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.pending.is_some()
    }

    /// Applies a whole batch; answers its control records. Batches come in the order of the log,
    /// and one that overlaps those before it is an error.
    ///
    /// # Errors
    /// Where the batch cannot be read or contradicts the image; nothing more can be applied then.
    pub fn apply_batch(
        &mut self,
        batch: &Bytes,
        delta: &mut Delta,
    ) -> Result<Vec<ControlRecord>, ReplayError> {
        let records = Records::open(batch).map_err(ReplayError::Batch)?;
        let header = *records.header();
        if header.base_offset < self.end_offset {
            let what = "the batch begins before the end of the one before it";
            return Err(ReplayError::Image(
                header.base_offset,
                ImageError(what.to_owned()),
            ));
        }
        let mut controls = Vec::new();
        for record in records {
            let record = record.map_err(ReplayError::Batch)?;
            let offset = record.offset;
            let value = record.value.unwrap_or_default();
            match record.key {
                Some(key) if header.attributes.is_control() => {
                    let control = ControlRecord::decode(&key, &value);
                    controls.push(control.map_err(|error| ReplayError::Record(offset, error))?);
                }
                Some(_) | None => {
                    let decoded = MetadataRecord::decode(&value);
                    let (record, _) =
                        decoded.map_err(|error| ReplayError::Record(offset, error))?;
                    self.apply_record(offset, record, delta)?;
                }
            }
        }
        self.end_offset = header.next_offset();
        self.last_epoch = header.leader_epoch;
        self.last_timestamp = header.max_timestamp;
        Ok(controls)
    }

    /// Applies one record at its offset.
    ///
    /// # Errors
    /// Where the record contradicts the image or the transaction it lies in.
    pub fn apply_record(
        &mut self,
        offset: Offset,
        record: MetadataRecord,
        delta: &mut Delta,
    ) -> Result<(), ReplayError> {
        let misplaced = |what: &str| ReplayError::Image(offset, ImageError(what.to_owned()));
        match (record, &mut self.pending) {
            (MetadataRecord::BeginTransaction(_), Some(_)) => {
                Err(misplaced("a transaction begins inside of another"))
            }
            (MetadataRecord::BeginTransaction(_), pending @ None) => {
                *pending = Some(Vec::new());
                Ok(())
            }
            (MetadataRecord::EndTransaction(_), pending @ Some(_)) => {
                for (offset, record) in pending.take().unwrap_or_default() {
                    let applied = self.image.apply(&record, delta);
                    applied.map_err(|error| ReplayError::Image(offset, error))?;
                }
                Ok(())
            }
            (MetadataRecord::AbortTransaction(_), pending @ Some(_)) => {
                *pending = None;
                Ok(())
            }
            (MetadataRecord::AbortTransaction(_) | MetadataRecord::EndTransaction(_), None) => {
                Err(misplaced("a transaction ends that has not begun"))
            }
            (record, Some(pending)) => {
                pending.push((offset, record));
                Ok(())
            }
            (record, None) => {
                let applied = self.image.apply(&record, delta);
                applied.map_err(|error| ReplayError::Image(offset, error))
            }
        }
    }
}
