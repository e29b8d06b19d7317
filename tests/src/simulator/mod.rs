//! Running simulated worlds: one, again and smaller, or with a bug switched on.
//!
//! Judges nothing: the checkers of `ottla_core::sim` do.

pub mod minimize;
#[cfg(feature = "mutants")]
pub mod mutants;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ottla_core::sim::checkers::Violation;
use ottla_core::sim::options::Options;
use ottla_core::sim::{SeedResult, Watch, run_with};

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what panics say, in place of printing it. Once in a process.
pub fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        let text = format!("{}: {message}", place.unwrap_or_default());
        LAST_PANIC.with_borrow_mut(|last| *last = text);
    }));
}

/// Runs a seed; a panic is a violation of R93.
///
/// # Errors
///
/// The panic.
pub fn attempt(seed: u64, options: &Options, watch: Watch) -> Result<SeedResult, Violation> {
    let run = AssertUnwindSafe(|| run_with(seed, options.clone(), watch));
    catch_unwind(run).map_err(|_panic| {
        let what = LAST_PANIC.with_borrow(Clone::clone);
        Violation::new("R93", what)
    })
}

/// What did not hold in a world.
#[must_use]
pub fn violations(seed: u64, options: &Options) -> Vec<Violation> {
    match attempt(seed, options, Watch::default()) {
        Ok(result) => result.violations,
        Err(panic) => vec![panic],
    }
}

/// Switches a bug on for this thread.
///
/// # Errors
///
/// There is no bug of this name, or none at all in this build.
pub fn choose_mutant(name: &str) -> Result<(), String> {
    #[cfg(feature = "mutants")]
    {
        let mutant = ottla_core::mutants::Mutant::find(name);
        let mutant = mutant.ok_or_else(|| format!("no mutant is called {name}"))?;
        ottla_core::mutants::choose(Some(mutant.name));
        Ok(())
    }
    #[cfg(not(feature = "mutants"))]
    Err(format!(
        "this build has no mutant {name}; build it with --features mutants"
    ))
}
