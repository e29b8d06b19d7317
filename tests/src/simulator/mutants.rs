//! Does the simulator have teeth? One bug at a time is switched on, and worlds are run until one of
//! the checks that ought to find it does, in a world that holds without the bug.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_core::mutants::{ALL, Mutant, Name, choose};
use ottla_core::sim::options_of;

use super::violations;

/// Where each bug was found last: a world that finds it at once. A change of the core may make
/// another of it; then the bug is looked for again, and the world that found it belongs here.
const KNOWN: &[(Name, u64)] = &[
    (Name::M2, 0x2),
    (Name::M19, 0x33),
    (Name::M21, 0x9),
    (Name::M22, 0xe),
    (Name::M23, 0x6),
    (Name::M29, 0x4),
    (Name::M30, 0x1),
    (Name::M31, 0x22),
    (Name::M32, 0x1),
    (Name::M33, 0x2),
    (Name::M34, 0x1),
    (Name::M35, 0x2),
    (Name::M39, 0x1),
    (Name::M41, 0x1a),
    (Name::M42, 0x3),
    (Name::M43, 0x24),
    (Name::M45, 0x1),
    (Name::M51, 0x1),
    (Name::M52, 0x1),
    (Name::M53, 0x2),
    (Name::M54, 0x3),
    (Name::M55, 0x6),
    (Name::M56, 0x1),
    (Name::M57, 0x1),
    (Name::M58, 0x3),
    (Name::M59, 0x6),
];

/// How far a bug is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Whether the world is tried first where it was found last.
    pub begins_at_known: bool,
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

/// Prints the kill matrix as a table, or a line for each bug that was looked for where it is known
/// to be found; whether every bug was found.
pub fn matrix(search: &Search, mut print: impl FnMut(&str)) -> bool {
    if !search.begins_at_known {
        print("| mutant | what it does | needs | found by | seed | worlds | otherwise |");
        print("|---|---|---|---|---|---|---|");
    }
    let mut all_found = true;
    for mutant in ALL {
        let name = mutant.name.to_string();
        if search.only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let fate = look_for(mutant, search);
        all_found &= fate.killed.is_some();
        print(&match search.begins_at_known {
            true => verdict(mutant, &fate),
            false => row(mutant, &fate),
        });
        eprintln!("{name}: {} ms", fate.took.as_millis());
    }
    all_found
}

fn verdict(mutant: &Mutant, fate: &Fate) -> String {
    match fate.killed {
        Some((seed, check)) => format!("PASS {}: {check} finds it in {seed:#x}", mutant.name),
        None => format!("FAIL {} not found in {} worlds", mutant.name, fate.worlds),
    }
}

fn row(mutant: &Mutant, fate: &Fate) -> String {
    let (check, seed) = match fate.killed {
        Some((seed, check)) => (check, format!("{seed:#x}")),
        None => ("**nothing**", String::new()),
    };
    let otherwise = fate.otherwise.as_ref();
    let otherwise = otherwise.map(|(seed, what)| format!("{what} ({seed:#x})"));
    format!(
        "| {} | {} | {} | {check} | {seed} | {} | {} |",
        mutant.name,
        mutant.what,
        mutant.needs,
        fate.worlds,
        otherwise.unwrap_or_default()
    )
}

fn look_for(mutant: &Mutant, search: &Search) -> Fate {
    let began = Instant::now();
    if search.begins_at_known {
        let known = KNOWN.iter().find(|(name, _)| *name == mutant.name);
        if let Some(&(name, seed)) = known {
            if let Verdict::Killed(check) = try_seed(mutant, seed) {
                return Fate {
                    killed: Some((seed, check)),
                    worlds: 1,
                    took: began.elapsed(),
                    ..Fate::default()
                };
            }
            eprintln!("{name} is not found in world {seed:#x} any more: the table is old");
        }
    }
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
