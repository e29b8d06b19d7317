//! The crash matrix of one log: small workloads, a crash between any two system calls, every way of
//! losing what was not synced, and recovery from each, itself crashed.
//!
//! It drives the log and the simulated disk without a node around them, so that a failure names the
//! log and nothing else. Checked: R50, R51, R54 to R58, R61.

mod machine;
mod scripts;
mod work;

use machine::Machine;
use ottla_core::rng::Rng;
use ottla_core::sim::disk::PowerLoss;
use ottla_core::sim::disk::loss::{ByteLoss, NameLoss, Tear, TearFill};
use scripts::{COMPACTED_SCRIPTS, SCRIPTS, compacted_script, is_compacted, script};

/// One recovery in so many is itself interrupted.
const NESTED_ONE_IN: u64 = 17;

/// The ways of dying at one point: the process alone, then the power.
fn deaths() -> Vec<Option<PowerLoss>> {
    let plain = |bytes, names| PowerLoss {
        bytes,
        names,
        tear: None,
    };
    let torn = |unit_bytes, fill, bytes| PowerLoss {
        bytes: Some(bytes),
        names: None,
        tear: Some(Tear { unit_bytes, fill }),
    };
    vec![
        None,
        Some(PowerLoss::LOSE_ALL),
        Some(plain(Some(ByteLoss::KeepAll), Some(NameLoss::LoseAll))),
        Some(plain(Some(ByteLoss::LoseAll), Some(NameLoss::KeepAll))),
        Some(plain(Some(ByteLoss::Suffix), Some(NameLoss::KeepAll))),
        Some(plain(Some(ByteLoss::Pages), Some(NameLoss::Prefix))),
        Some(plain(None, Some(NameLoss::Subset))),
        Some(plain(None, None)),
        Some(torn(1, TearFill::Zeros, ByteLoss::Suffix)),
        Some(torn(1, TearFill::Garbage, ByteLoss::Pages)),
        Some(torn(512, TearFill::Old, ByteLoss::Pages)),
        Some(torn(512, TearFill::Garbage, ByteLoss::Suffix)),
    ]
}

/// Recovers, goes on, closes, and judges the files. `nested` crashes the recovery itself.
fn recover(machine: &Machine, rng: &mut Rng, nested: bool) {
    let mut machine = machine.clone();
    if !machine.begin_recovery() {
        return;
    }
    loop {
        if nested && rng.chance(1, 4) {
            let mut again = machine.clone();
            let deaths = deaths();
            let which = usize::try_from(rng.below(deaths.len() as u64)).expect("few");
            again.die(deaths[which].as_ref());
            recover(&again, rng, false);
        }
        if !machine.advance() {
            break;
        }
    }
    machine.finish_recovery();
    let mut at_once = machine.clone();
    at_once.die(Some(&PowerLoss::LOSE_ALL));
    machine.append(rng);
    machine.drain();
    machine.compact(rng);
    machine.drain();
    machine.close();
    machine.drain();
    machine.mark_clean();
    machine.drain();
    machine.check_at_rest();
    machine.die(Some(&PowerLoss::LOSE_ALL));
    assert!(machine.begin_recovery(), "a log that was closed is there");
    machine.drain();
    machine.finish_recovery();
}

/// Where in the matrix a panic came from.
struct Place(u64, usize, Option<PowerLoss>);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "script {}, crash after call {}, {:?}",
                self.0, self.1, self.2
            );
        }
    }
}

#[test]
fn a_log_survives_a_crash_between_any_two_calls() {
    let points = survive(0..SCRIPTS);
    assert!(points > 1_000, "{points} points are no matrix");
}

#[test]
fn a_compacted_log_survives_a_crash_between_any_two_calls() {
    let points = survive(SCRIPTS..SCRIPTS + COMPACTED_SCRIPTS);
    assert!(points > 1_000, "{points} points are no matrix");
}

/// Runs scripts, or the one of `SCRIPT` alone; answers at how many points they died.
fn survive(all: std::ops::Range<u64>) -> u64 {
    let only = std::env::var("SCRIPT")
        .ok()
        .and_then(|text| text.parse().ok());
    let scripts = only.map_or(all.clone(), |only: u64| only..only + 1);
    let mut points = 0u64;
    let mut rounds = 0;
    for seed in scripts {
        let mut rng = Rng::new(seed).child("script", 0);
        let steps = if is_compacted(seed) {
            compacted_script(&mut rng)
        } else {
            script(&mut rng)
        };
        eprintln!("SCRIPT={seed} {steps:?}");
        let mut machine = Machine::new(seed);
        let mut images = Vec::new();
        for step in steps {
            machine.run(step, &mut rng);
            // Between two steps, some of the calls are carried out; a crash may follow each.
            for _ in 0..rng.below(6) {
                machine.keep_image(&mut images);
                if !machine.advance() {
                    break;
                }
            }
        }
        while machine.advance() {
            machine.keep_image(&mut images);
        }
        rounds += machine.rounds;
        // Counted anew in each script, so that `SCRIPT` alone does what it does among the others.
        let mut deaths_died = seed;
        for (index, image) in images.iter().enumerate() {
            for death in deaths() {
                let _place = Place(seed, index, death);
                let mut dead = image.clone();
                dead.die(death.as_ref());
                points += 1;
                deaths_died += 1;
                recover(&dead, &mut rng, deaths_died.is_multiple_of(NESTED_ONE_IN));
            }
        }
    }
    assert!(
        rounds > 20 || !is_compacted(all.start) || only.is_some(),
        "{rounds} rounds are too few"
    );
    if only.is_some() { u64::MAX } else { points }
}
