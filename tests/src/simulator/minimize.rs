//! Making a world that fails smaller: options are dropped and sizes cut, one at a time, as long as
//! the same check fails.
//!
//! Every stream of dice is one option's own, so what is dropped leaves the rest nearly as it was;
//! what is left is what the failure needs.

use ottla_core::sim::checkers::Violation;
use ottla_core::sim::options::Options;

use super::violations;

/// Options that are dropped by a value, calm first.
const DROPS: &[(&str, u64)] = &[
    ("wall_skew_ms", 0),
    ("drift_ppm", 0),
    ("clog_every_ms", 0),
    ("reset_every_ms", 0),
    ("zombie_percent", 0),
    ("restart_every_ms", 0),
    ("crash_again_percent", 0),
    ("crash_every_ms", 0),
    ("power_cut_every_ms", 0),
    ("disk_full_every_ms", 0),
    ("sync_error_every_ms", 0),
    ("stop_interrupt_percent", 0),
    ("idempotence", 0),
    ("disk_slow_one_in", 0),
    ("torn_pages", 0),
    ("lost_names", 0),
    ("lost_bytes", 0),
    ("admin", 0),
    ("chunking", 0),
    ("retention_bytes", 0),
    ("flush_policy", 0),
    ("sync_takes_indexes", 0),
    ("consumers", 1),
    ("producers", 1),
    ("topics", 1),
    ("partitions", 1),
];

/// Options that are halved again and again, each with its least value.
const HALVES: &[(&str, u64)] = &[
    ("safety_ms", 10),
    ("batch_records_max", 1),
    ("value_bytes_max", 1),
    ("turn_delay_ns_max", 1),
    ("tail_bytes", 1),
];

/// A world that still fails.
#[derive(Clone, Debug)]
pub struct Small {
    /// What has to be set to get it from its seed.
    pub settings: Vec<(String, u64)>,
    /// What fails in it.
    pub violations: Vec<Violation>,
}

/// Makes a world smaller; `None` where it does not fail. `tell` is told of each step.
pub fn minimize(seed: u64, options: Options, mut tell: impl FnMut(&str)) -> Option<Small> {
    let drawn = ottla_core::sim::options_of(seed);
    let mut options = options;
    let mut found = violations(seed, &options);
    let check = found.first()?.check;
    tell(&format!("{check} fails"));
    let mut try_it = |options: &mut Options, name: &str, value: u64| {
        if value_of(options, name) == value {
            return false;
        }
        let mut candidate = options.clone();
        assert!(candidate.set(name, value), "the lists name options");
        let seen = violations(seed, &candidate);
        let is_same = seen.first().is_some_and(|first| first.check == check);
        if is_same {
            tell(&format!("{check} fails with {name} = {value}"));
            *options = candidate;
            found = seen;
        }
        is_same
    };
    loop {
        let mut is_smaller = false;
        for &(name, value) in DROPS {
            is_smaller |= try_it(&mut options, name, value);
        }
        for &(name, least) in HALVES {
            while value_of(&options, name) > least {
                let half = (value_of(&options, name) / 2).max(least);
                if !try_it(&mut options, name, half) {
                    break;
                }
                is_smaller = true;
            }
        }
        if !is_smaller {
            break;
        }
    }
    Some(Small {
        settings: differences(&drawn, &options),
        violations: found,
    })
}

fn entries(options: &Options) -> Vec<(String, u64)> {
    let text = options.to_string();
    let lines = text.lines().filter_map(|line| line.split_once(" = "));
    lines
        .map(|(name, value)| (name.to_owned(), value.parse().expect("options are numbers")))
        .collect()
}

fn value_of(options: &Options, wanted: &str) -> u64 {
    let found = entries(options)
        .into_iter()
        .find(|(name, _)| name == wanted);
    found.expect("the lists name options").1
}

fn differences(from: &Options, to: &Options) -> Vec<(String, u64)> {
    let pairs = entries(from).into_iter().zip(entries(to));
    pairs
        .filter(|(before, after)| before != after)
        .map(|(_before, after)| after)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_option() {
        let mut options = Options::default();
        for (name, value) in DROPS.iter().chain(HALVES) {
            assert!(options.set(name, *value), "{name}");
            assert_eq!(value_of(&options, name), *value);
        }
        let mut other = options.clone();
        other.set("producers", 7);
        assert_eq!(differences(&options, &other), [("producers".to_owned(), 7)]);
    }
}
