//! R65: in each partition, the sequences of one producer and epoch follow each other without gap
//! or repetition, and no epoch goes back (R67).

use std::collections::BTreeMap;

use super::Violation;
use super::log_image::{FoundBatch, FoundLog, is_compacted};
use crate::ids::ProducerId;

/// Checks a log's batches.
#[must_use]
pub fn check(folder: &str, found: &FoundLog) -> Vec<Violation> {
    let mut violations = Vec::new();
    if is_compacted(folder) {
        // Batches between those that are left are missing.
        return violations;
    }
    let mut last: BTreeMap<ProducerId, &FoundBatch> = BTreeMap::new();
    let data = found.batches.iter().filter(|batch| {
        let is_control = batch.attributes & 0x20 != 0;
        batch.producer_id.0 >= 0 && !is_control
    });
    for batch in data {
        let Some(before) = last.insert(batch.producer_id, batch) else {
            continue;
        };
        let records = before.last_offset.0 - before.base_offset.0 + 1;
        let records = i32::try_from(records).expect("read from an i32 field");
        let due = before.base_sequence.plus(records);
        if batch.producer_epoch < before.producer_epoch {
            let what = format!("{folder}: epochs go back: {before:?}, {batch:?}");
            violations.push(Violation::new("R67", what));
        } else if batch.producer_epoch == before.producer_epoch && batch.base_sequence != due {
            let what = format!("{folder}: sequence {due} is due: {before:?}, {batch:?}");
            violations.push(Violation::new("R65", what));
        }
    }
    violations
}
