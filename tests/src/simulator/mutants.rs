//! Does the simulator have teeth? One bug at a time is switched on, and worlds are run until one of
//! the checks that ought to find it does, in a world that holds without the bug.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_core::mutants::{ALL, Mutant, Name, choose};
use ottla_core::sim::options_of;

use super::violations;

/// How far a bug is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Worlds for each bug at the most.
    pub seeds: u64,
    /// The first.
    pub first: u64,
    /// Threads.
    pub jobs: u64,
    /// One bug alone.
    pub only: Option<String>,
}

/// What became of a bug.
#[derive(Debug, Default)]
struct Fate {
    /// The least seed that found it, and by which check.
    killed: Option<(u64, &'static str)>,
    /// The first complaint of another check.
    otherwise: Option<(u64, String)>,
    worlds: u64,
    took: Duration,
}

/// Prints the kill matrix as a table; whether every bug was found.
pub fn matrix(search: &Search, mut print: impl FnMut(&str)) -> bool {
    print("| mutant | what it does | needs | found by | seed | worlds | otherwise |");
    print("|---|---|---|---|---|---|---|");
    let mut all_found = true;
    for mutant in ALL {
        let name = mutant.name.to_string();
        if search.only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let fate = look_for(mutant, search);
        all_found &= fate.killed.is_some();
        let (check, seed) = match fate.killed {
            Some((seed, check)) => (check, format!("{seed:#x}")),
            None => ("**nothing**", String::new()),
        };
        let otherwise = fate
            .otherwise
            .map(|(seed, what)| format!("{what} ({seed:#x})"));
        print(&format!(
            "| {name} | {} | {} | {check} | {seed} | {} | {} |",
            mutant.what,
            mutant.needs,
            fate.worlds,
            otherwise.unwrap_or_default()
        ));
        eprintln!("{name}: {} ms", fate.took.as_millis());
    }
    all_found
}

fn look_for(mutant: &Mutant, search: &Search) -> Fate {
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let is_found = AtomicBool::new(false);
    let fate = Mutex::new(Fate::default());
    std::thread::scope(|scope| {
        for _ in 0..search.jobs {
            scope.spawn(|| {
                while !is_found.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= search.seeds {
                        break;
                    }
                    let seed = search.first.wrapping_add(index);
                    let found = try_seed(mutant, seed);
                    let mut fate = fate.lock().expect("worlds panic inside an attempt");
                    fate.worlds += 1;
                    match found {
                        Verdict::Killed(check) => {
                            let kill = (seed, check);
                            fate.killed = Some(fate.killed.map_or(kill, |known| known.min(kill)));
                            is_found.store(true, Ordering::Relaxed);
                        }
                        Verdict::Otherwise(what) => {
                            fate.otherwise.get_or_insert((seed, what));
                        }
                        Verdict::Holds => {}
                    }
                }
            });
        }
    });
    let mut fate = fate.into_inner().expect("worlds panic inside an attempt");
    fate.took = began.elapsed();
    fate
}

enum Verdict {
    Holds,
    Killed(&'static str),
    /// By a check that is not named for the bug, or a panic.
    Otherwise(String),
}

fn try_seed(mutant: &Mutant, seed: u64) -> Verdict {
    let mut options = options_of(seed);
    for (name, value) in mutant.settings {
        assert!(options.set(name, *value), "{name} is an option");
    }
    let run = |chosen: Option<Name>| {
        choose(chosen);
        violations(seed, &options)
    };
    let found = run(Some(mutant.name));
    let Some(first) = found.first() else {
        return Verdict::Holds;
    };
    if !run(None).is_empty() {
        return Verdict::Holds;
    }
    match mutant.killers.contains(&first.check) {
        true => Verdict::Killed(first.check),
        false => {
            let what: String = first.what.chars().take(60).collect();
            Verdict::Otherwise(format!("{}: {}", first.check, what.replace('|', "/")))
        }
    }
}
