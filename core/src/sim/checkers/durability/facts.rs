//! What is known of one log, and of each of its batches; see the parent.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Violation;
use super::super::log_image::{
    FoundBatch, FoundLog, hash_of_records, i16_at, i32_at, i64_at, is_compacted,
};
use crate::ids::{Offset, TopicId};

/// What is known of one batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BatchFact {
    pub(super) last_offset: Offset,
    pub(super) records_hash: u64,
}

/// What is known of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct LogFacts {
    pub(super) topic_id: Option<TopicId>,
    /// By base offset; the batches ever asked to be written there, the latest last. More than one
    /// only where a truncation came between, which a crash may undo.
    pub(super) batches: BTreeMap<Offset, Vec<BatchFact>>,
    pub(super) segments: BTreeSet<Offset>,
    /// Where the next batch belongs.
    pub(super) end: Offset,
    /// Where the intact run of batches ended at the last boot.
    pub(super) intact_end: Offset,
    /// Below this, records were acknowledged or served: they survive the process.
    pub(super) crash_safe_end: Offset,
    /// Below this, they survive the power.
    pub(super) power_safe_end: Offset,
    /// Whether nothing was appended since the boot: the first change must agree with the files.
    pub(super) resuming: bool,
}

impl LogFacts {
    pub(super) fn promise(&mut self, end: Offset, survives_power: bool) {
        self.crash_safe_end = self.crash_safe_end.max(end);
        if survives_power {
            self.power_safe_end = self.power_safe_end.max(end);
        }
    }

    pub(super) fn promised(&self, power: bool) -> Offset {
        if power {
            self.power_safe_end
        } else {
            self.crash_safe_end
        }
    }

    /// R50: nothing promised is gone, nothing is there that was never written.
    pub(super) fn judge(
        &self,
        folder: &str,
        found: Option<&FoundLog>,
        power: bool,
    ) -> Result<(), Violation> {
        let promised = self.promised(power);
        let violation = |what| Err(Violation::new("R50", format!("{folder}: {what}")));
        let Some(found) = found else {
            return match promised {
                Offset::ZERO => Ok(()),
                _some => violation(format!("gone, promised up to {promised}")),
            };
        };
        if found.end_offset() < promised {
            return violation(format!(
                "intact up to {}, promised up to {promised}: {:?}",
                found.end_offset(),
                found.damage
            ));
        }
        let start = self.segments.first().copied().unwrap_or(self.end);
        if found.start_offset() > start && start < promised {
            return violation(format!("begins at {}, not {start}", found.start_offset()));
        }
        for batch in found
            .batches
            .iter()
            .filter(|batch| batch.base_offset >= start)
        {
            let variants = self.batches.get(&batch.base_offset);
            let variants = variants.map_or(&[][..], Vec::as_slice);
            let fact = BatchFact::from(batch);
            let is_right = if batch.last_offset < promised && !is_compacted(folder) {
                variants.last() == Some(&fact)
            } else {
                variants.contains(&fact)
            };
            if !is_right {
                let base = batch.base_offset;
                return violation(format!("{fact:?} at {base}, written were {variants:?}"));
            }
        }
        Ok(())
    }

    /// From now on, the files are what the log must go on from.
    /// Where records were deleted up to a point that the files do not reach, it goes on there.
    pub(super) fn adopt(&mut self, found: &FoundLog, start_offset: Option<Offset>) {
        self.batches = found
            .batches
            .iter()
            .map(|batch| (batch.base_offset, vec![BatchFact::from(batch)]))
            .collect();
        self.segments = found.segments.iter().map(|(base, _)| *base).collect();
        self.intact_end = found.end_offset();
        self.end = self.intact_end.max(start_offset.unwrap_or(Offset::ZERO));
        self.crash_safe_end = self.crash_safe_end.min(self.intact_end);
        self.power_safe_end = self.power_safe_end.min(self.intact_end);
        self.resuming = true;
    }
}

impl From<&FoundBatch> for BatchFact {
    fn from(batch: &FoundBatch) -> Self {
        Self {
            last_offset: batch.last_offset,
            records_hash: batch.records_hash,
        }
    }
}

/// Bytes of a batch from its magic byte to its records.
const BODY_BEFORE_RECORDS: usize = 45;

/// Base offset and facts of a batch, from its two parts.
pub(super) fn fact_of(stamp: &[u8], body: &[u8]) -> (Offset, BatchFact) {
    let base = Offset(i64_at(stamp, 0));
    let fact = BatchFact {
        last_offset: base.plus(i64::from(i32_at(body, 7))),
        records_hash: hash_of_records(i16_at(body, 5), &body[BODY_BEFORE_RECORDS..]),
    };
    (base, fact)
}

/// Hash of the records of a whole batch, opened.
#[must_use]
pub fn records_hash(batch: &[u8]) -> u64 {
    hash_of_records(i16_at(batch, 21), &batch[BODY_BEFORE_RECORDS + 16..])
}

/// The whole batches at the front of what was served; the last may be cut.
pub(super) fn whole_slices(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if bytes.len() < BODY_BEFORE_RECORDS + 16 {
            return None;
        }
        let size = usize::try_from(i64::from(i32_at(bytes, 8)) + 12).ok()?;
        let batch = bytes.get(..size)?;
        bytes = &bytes[size..];
        Some(batch)
    })
}

/// The facts of whole batches, one after the other.
pub(super) fn whole_batches(bytes: &[u8]) -> impl Iterator<Item = (Offset, BatchFact)> {
    whole_slices(bytes).map(|batch| fact_of(&batch[..16], &batch[16..]))
}
