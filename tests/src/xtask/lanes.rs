//! Running steps: phases in order, the lanes of a phase side by side.
//!
//! Where lanes run side by side, each line that a step shows begins with the step's name. Nothing
//! here knows what a step does.

use std::cell::Cell;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use super::report::Report;
use super::{PHASES, Step, Tally, Workshop};

thread_local! {
    /// The step that this thread works for, where another runs beside it.
    static LABEL: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What came of one step.
type Row = (&'static str, Duration, Result<Tally, String>);

/// The name that the lines of this thread begin with; a thread that works for it takes it over.
#[must_use]
pub fn label() -> Option<&'static str> {
    LABEL.get()
}

/// Makes this thread's lines begin with a name.
pub fn set_label(label: Option<&'static str>) {
    LABEL.set(label);
}

/// Prints lines as the step's that this thread works for.
pub fn show(lines: impl fmt::Display) {
    match label() {
        None => println!("{lines}"),
        Some(name) => {
            for line in lines.to_string().lines() {
                println!("{name:<12} {line}");
            }
        }
    }
}

/// Runs the steps that are wanted; what came of them stands in the order of all steps.
#[must_use]
pub fn run_steps(workshop: &Workshop, wanted: impl Fn(&Step) -> bool) -> Report {
    let started = Instant::now();
    let mut report = Report::default();
    for phase in PHASES {
        let of_lane = |lane: &&'static [Step]| lane.iter().filter(|step| wanted(step)).collect();
        let lanes: Vec<Vec<&'static Step>> = phase.iter().map(of_lane).collect();
        let is_alone = lanes.iter().filter(|lane| !lane.is_empty()).count() < 2;
        let rows = thread::scope(|scope| {
            let running: Vec<_> = lanes
                .into_iter()
                .map(|lane| scope.spawn(move || run_lane(workshop, &lane, is_alone)))
                .collect();
            let ended = |lane: thread::ScopedJoinHandle<'_, Vec<Row>>| {
                lane.join().expect("a step ends with a result")
            };
            running.into_iter().flat_map(ended).collect::<Vec<Row>>()
        });
        for (name, took, outcome) in rows {
            report.add(name, took, outcome);
        }
    }
    report.took = started.elapsed();
    report
}

fn run_lane(workshop: &Workshop, lane: &[&'static Step], is_alone: bool) -> Vec<Row> {
    let run = |step: &&'static Step| {
        set_label((!is_alone).then_some(step.name));
        println!("\n== {}: {}", step.name, step.what);
        let started = Instant::now();
        let outcome = (step.run)(workshop);
        (step.name, started.elapsed(), outcome)
    };
    lane.iter().map(run).collect()
}
