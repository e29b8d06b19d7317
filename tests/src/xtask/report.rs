//! The table at the end of a run: what ran, how long it took, what came of it.
//!
//! Knows nothing of the steps themselves.

use std::fmt;
use std::time::Duration;

use super::Tally;

/// Columns of the table that a problem may take; all of it stands in the output above.
const PROBLEM_COLUMNS: usize = 160;

/// What came of the steps so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How long all of it took; less than the steps together, where some ran side by side.
    pub took: Duration,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    took: Duration,
    tally: Tally,
    problem: Option<String>,
}

impl Report {
    /// Adds a finished step. A step that counts no checks of its own counts as one.
    pub fn add(&mut self, name: &'static str, took: Duration, outcome: Result<Tally, String>) {
        let (mut tally, problem) = match outcome {
            Ok(tally) => (tally, None),
            Err(problem) => (Tally::default(), Some(problem)),
        };
        if problem.is_some() {
            tally.failed = tally.failed.max(1);
        } else if tally == Tally::default() {
            tally.passed = 1;
        }
        let problem = problem.or_else(|| tally.problem.take());
        self.rows.push(Row {
            name,
            took,
            tally,
            problem,
        });
    }

    /// Whether every step passed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rows.iter().all(Row::is_clean)
    }
}

impl Row {
    fn is_clean(&self) -> bool {
        self.problem.is_none() && self.tally.failed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>8} {:>8} {:>8}  result",
            "step", "seconds", "passed", "failed"
        )?;
        let mut total = Tally::default();
        for row in &self.rows {
            let seconds = row.took.as_secs_f64();
            let result = if row.is_clean() { "ok" } else { "FAILED" };
            let (passed, failed) = (row.tally.passed, row.tally.failed);
            write!(
                f,
                "{:<12} {seconds:>8.1} {passed:>8} {failed:>8}  {result}",
                row.name
            )?;
            match &row.problem {
                Some(problem) => writeln!(f, ": {}", shortened(problem))?,
                None => writeln!(f)?,
            }
            total.passed += passed;
            total.failed += failed;
        }
        let seconds = self.took.as_secs_f64();
        writeln!(f, "{:<12} {seconds:>8.1}\n", "all")?;
        write!(f, "{} passed, {} failed", total.passed, total.failed)
    }
}

/// The first line of a text, cut to what a terminal shows.
fn shortened(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(PROBLEM_COLUMNS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_checks_and_steps() {
        let mut report = Report::default();
        report.add("one", Duration::from_secs(1), Ok(Tally::default()));
        report.add("two", Duration::from_secs(1), Ok(Tally::counted(5, 0)));
        assert!(report.is_clean());
        report.add("three", Duration::from_secs(1), Err("broke".to_owned()));
        assert!(!report.is_clean());
        let text = report.to_string();
        assert!(text.ends_with("\n6 passed, 1 failed"), "{text}");
        assert!(text.contains("FAILED: broke"), "{text}");
    }
}
