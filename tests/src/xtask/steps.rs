//! The steps of `cargo xtask test`, in the order they run: the quick and the strict first.
//!
//! They come in phases, one after the other. A phase has lanes that run side by side where one
//! would leave the processors idle: downloads beside compilers, and clients, which mostly wait for
//! their own timers, beside each other. The steps of a lane run in order.
//!
//! What a step checks lives with the thing checked; here is only how it is called.

use std::process::Command;
use std::thread;

use super::command::{cargo, run};
use super::{Tally, Workshop, clients, groups, java, results, setup, suites, wasm};

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The word for `--only` and `--skip`.
    pub name: &'static str,
    /// What holds when it passes.
    pub what: &'static str,
    /// Runs it; an error is the reason in one line.
    pub run: fn(&Workshop) -> Result<Tally, String>,
}

/// Worlds of the simulation step: the same ones in every run, of which some have consumer groups,
/// and ones that no other version of core was tried in.
const KNOWN_SEEDS: u32 = 400;
const GROUP_SEEDS: u32 = 20;
const FRESH_SEEDS: u32 = 60;

/// Worlds in which a mutant is looked for that is not found where it was last.
const MUTANT_SEEDS: u32 = 400;

/// Steps that run one after the other.
pub type Lane = &'static [Step];

/// Every step: phases one after the other, each of lanes side by side.
pub const PHASES: &[&[Lane]] = &[
    &[
        &[Step {
            name: "setup",
            what: "what the steps need is installed",
            run: setup::everything,
        }],
        &[
            Step {
                name: "fmt",
                what: "rustfmt would change nothing",
                run: fmt,
            },
            Step {
                name: "clippy",
                what: "no lint fires, in any target, with any feature",
                run: clippy,
            },
            Step {
                name: "doc",
                what: "the documentation builds, with every link leading somewhere",
                run: doc,
            },
            Step {
                name: "release",
                what: "the broker builds as it is released, and the browser's module beside it",
                run: release,
            },
        ],
    ],
    &[&[
        Step {
            name: "test",
            what: "unit, golden, property, style and real-process tests",
            run: test,
        },
        Step {
            name: "simulation",
            what: "worlds with faults keep every promise, known and fresh ones; mutants are found",
            run: simulation,
        },
        Step {
            name: "exhaustive",
            what: "a crash between any two calls is survived, and no bytes make a decoder fail",
            run: exhaustive,
        },
        Step {
            name: "wasm",
            what: "the simulator runs under Node as it runs here",
            run: wasm::check,
        },
    ]],
    &[
        &[
            Step {
                name: "introduction",
                what: "the introduction's example works word for word",
                run: clients::introduction,
            },
            Step {
                name: "clients",
                what: "real clients in five languages do what they do with Kafka",
                run: clients::clients,
            },
            Step {
                name: "dump",
                what: "Kafka's own dump tool reads every file the clients left behind",
                run: clients::dump,
            },
        ],
        &[Step {
            name: "groups",
            what: "every client's groups share, rebalance, commit, and survive the broker's crash",
            run: groups::groups,
        }],
        &[
            Step {
                name: "tools",
                what: "Kafka's own tools print what they print with Kafka",
                run: java::tools,
            },
            Step {
                name: "streams",
                what: "Kafka Streams counts words, Kafka Connect copies a file",
                run: java::streams_and_connect,
            },
        ],
    ],
    &[&[
        Step {
            name: "table",
            what: "the README's table of clients is what these steps counted",
            run: results::is_current,
        },
        Step {
            name: "suites",
            what: "the client suites beside the repository, where there are any",
            run: suites::suites,
        },
    ]],
];

/// Every step, in order.
pub fn all() -> impl Iterator<Item = &'static Step> {
    PHASES.iter().copied().flatten().copied().flatten()
}

fn fmt(workshop: &Workshop) -> Result<Tally, String> {
    run(&mut cargo(workshop, 60, &["fmt", "--all", "--", "--check"]))
}

fn clippy(workshop: &Workshop) -> Result<Tally, String> {
    let arguments = [
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
    ];
    run(cargo(workshop, 900, &arguments).args(["--", "-D", "warnings"]))
}

fn doc(workshop: &Workshop) -> Result<Tally, String> {
    let arguments = [
        "doc",
        "--quiet",
        "--workspace",
        "--no-deps",
        "--all-features",
    ];
    run(cargo(workshop, 600, &arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Two builds side by side: where one waits for a single crate, the other has the processor.
fn release(workshop: &Workshop) -> Result<Tally, String> {
    thread::scope(|scope| {
        let module = scope.spawn(|| wasm::module(workshop));
        let broker = clients::release(workshop);
        let module = module.join().expect("a build ends with a result");
        module.and(broker)
    })
}

fn test(workshop: &Workshop) -> Result<Tally, String> {
    let mut command: Command = cargo(workshop, 1200, &["test", "--quiet", "--workspace"]);
    // Tests of the real process take the released broker; without it they build one of their own.
    if clients::release(workshop).is_ok() {
        command.env("OTTLA_BINARY", workshop.release_binary());
    }
    run(command.arg("--no-fail-fast"))
}

/// Built as the simulator is, with optimisation and every assertion, and upon the same core.
fn exhaustive(workshop: &Workshop) -> Result<Tally, String> {
    let mut command: Command = cargo(workshop, 1200, &["test", "--quiet", "--profile", "sim"]);
    command.args(["--package", "ottla-tests"]);
    command.args(["--features", "exhaustive,mutants"]);
    run(command.args(["--test", "allocation", "--test", "crash_matrix"]))
}

/// The first fresh seed: from what core is in the last commit, so that no two versions of it try
/// the same seeds, and one version is judged alike wherever it is judged.
fn seed_of_core() -> Result<String, String> {
    let git = Command::new("git")
        .args(["rev-parse", "HEAD:core"])
        .output()
        .map_err(|error| format!("git: {error}"))?;
    let hash = String::from_utf8_lossy(&git.stdout);
    match hash.get(..15) {
        Some(digits) if git.status.success() => Ok(format!("0x{digits}")),
        Some(_) | None => Err("git does not tell the version of core".to_owned()),
    }
}

fn simulation(workshop: &Workshop) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let fresh = seed_of_core()?;
    for (seeds, first, options) in [
        (KNOWN_SEEDS, "0", &[][..]),
        (GROUP_SEEDS, "0", &["--set", "groups=2"]),
        (FRESH_SEEDS, &fresh, &[]),
    ] {
        let mut campaign = wasm::simulator(workshop, 1200);
        campaign.args(["campaign", "--jobs", "2", "--seeds", &seeds.to_string()]);
        campaign.args(options);
        let mut counted = run(campaign.args(["--first", first]))?;
        counted.passed += seeds.saturating_sub(counted.failed);
        tally.add(counted);
    }
    // And the checkers have teeth: bugs that are switched on are found.
    let mut mutants = wasm::simulator(workshop, 1200);
    mutants.args(["mutants", "--all", "--known", "--jobs", "2"]);
    tally.add(run(mutants.args(["--seeds", &MUTANT_SEEDS.to_string()]))?);
    Ok(tally)
}
