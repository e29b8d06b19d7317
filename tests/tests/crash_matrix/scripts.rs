//! What the processes are made to do, and with which settings.

use std::sync::Arc;

use ottla_core::log::{FlushPolicy, LogSettings};
use ottla_core::rng::Rng;

pub(crate) const SCRIPTS: u64 = 40;

/// Scripts of compacted logs; their seeds follow those of the others.
pub(crate) const COMPACTED_SCRIPTS: u64 = 24;

/// What a workload does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Append,
    Checkpoint,
    Close,
    Compact,
    DeleteRecords,
    Drain,
    Elect,
}

/// Whether a script is of a compacted log.
pub(crate) fn is_compacted(seed: u64) -> bool {
    seed >= SCRIPTS
}

pub(crate) fn settings(rng: &mut Rng, compact: bool) -> Arc<LogSettings> {
    let flush_policy = match rng.below(3) {
        0 => FlushPolicy::Os,
        1 => FlushPolicy::Interval {
            messages: 5,
            age_ms: 1_000,
        },
        _last => FlushPolicy::Ack,
    };
    Arc::new(LogSettings {
        compact,
        delete: !compact,
        // A tombstone may go with the round after the one that saw it first.
        delete_retention_ms: 0,
        min_cleanable_dirty_ratio_millionths: 0,
        file_delete_delay_ms: 0,
        flush_policy,
        index_interval_bytes: u32::try_from(rng.between(1, 400)).expect("small"),
        segment_bytes: u32::try_from(rng.between(200, 1_500)).expect("small"),
        ..LogSettings::default()
    })
}

/// Appends in several segments first, then rounds among everything else.
pub(crate) fn compacted_script(rng: &mut Rng) -> Vec<Step> {
    let mut steps = vec![Step::Append; usize::try_from(rng.between(6, 12)).expect("few")];
    steps.push(Step::Drain);
    for _ in 0..rng.between(2, 5) {
        steps.push(match rng.below(8) {
            0 => Step::Checkpoint,
            1 => Step::DeleteRecords,
            2 => Step::Elect,
            3 => Step::Drain,
            _most => Step::Append,
        });
        steps.push(Step::Compact);
        if rng.chance(1, 2) {
            steps.push(Step::Drain);
        }
    }
    if rng.chance(1, 4) {
        steps.push(Step::Close);
    }
    steps
}

pub(crate) fn script(rng: &mut Rng) -> Vec<Step> {
    let length = rng.between(4, 12);
    let mut steps: Vec<Step> = (0..length)
        .map(|_| match rng.below(10) {
            0 => Step::Checkpoint,
            1 => Step::DeleteRecords,
            2 => Step::Elect,
            3 | 4 => Step::Drain,
            _most => Step::Append,
        })
        .collect();
    if rng.chance(1, 3) {
        steps.push(Step::Close);
    }
    steps
}
