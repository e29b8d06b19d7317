//! Simulated worlds: a handful of seeds hold, and a seed is a seed.
//!
//! Many more run by `ottla-sim campaign` in the test command, optimised and with every check on.

use ottla_core::sim::{Watch, options_of, run_seed, run_with};

#[test]
fn a_few_seeds_hold() {
    let mut replaced_segments = 0;
    for seed in 1..=12 {
        let result = run_seed(seed);
        replaced_segments += result.replaced_segments;
        assert!(
            result.violations.is_empty(),
            "seed {seed}: {:?}",
            result.violations
        );
        assert!(result.operations > 0, "seed {seed} did something");
    }
    assert!(replaced_segments > 0, "segments are rolled and compacted");
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [7, 0xdead_beef] {
        let watch = Watch {
            keeps_trace: true,
            listener: None,
        };
        let first = run_with(seed, options_of(seed), watch);
        let second = run_seed(seed);
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.events, second.events, "seed {seed}");
        assert_eq!(first.trace.len() as u64, first.events);
    }
}

#[test]
fn another_seed_is_another_world() {
    assert_ne!(run_seed(21).hash, run_seed(22).hash);
}

/// Committed offsets stay, though their log is rolled and compacted under crashes and power cuts.
#[test]
fn the_log_of_offsets_is_compacted() {
    let mut replaced = 0;
    for seed in 1..=4 {
        let mut options = options_of(seed);
        (options.groups, options.offsets_segment_bytes) = (2, 4096);
        let result = run_with(seed, options, Watch::default());
        assert!(result.violations.is_empty(), "{:?}", result.violations);
        replaced += result.replaced_segments_of_offsets;
    }
    assert!(replaced > 0, "its segments are rolled and compacted");
}

/// A fetch of several partitions on the disk: while the last is looked for, compaction moves what
/// was found of the first.
#[test]
fn records_that_were_found_before_a_compaction_are_looked_for_again() {
    let mut options = options_of(0x19);
    options.damage_at_rest = 0;
    let result = run_with(0x19, options, Watch::default());
    assert!(result.violations.is_empty(), "{:?}", result.violations);
    assert!(result.replaced_segments > 0, "segments are compacted");
}

/// A sync fails when everybody but the members of groups is done, and the power goes with it: there
/// is less to read than there was.
#[test]
fn records_may_be_lost_while_groups_come_to_rest() {
    let mut options = options_of(0x10046);
    (options.producers, options.groups) = (1, 2);
    let result = run_with(0x10046, options, Watch::default());
    assert!(result.violations.is_empty(), "{:?}", result.violations);
}
