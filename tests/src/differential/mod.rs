//! Asks a broker scripted questions at every version it serves, and compares with what Apache Kafka
//! answered.
//!
//! * [`cases`]: the scripts, each a few requests to one API.
//! * [`session`]: what a script sees: a connection, names of its own, notes of the answers.
//! * [`value`], [`normal`]: an answer as a tree, without what two right brokers may differ in.
//! * [`golden`]: the answers of Apache Kafka, recorded as text; the list of allowed differences.
//!
//! The recorded answers are made by `cargo run -p ottla-tests --bin differential -- record
//! HOST:PORT` against an Apache Kafka 4.3.1 without authorizer; the test asks Ottla alone.

pub mod cases;
pub mod golden;
pub mod normal;
pub mod peer;
pub mod session;
pub mod value;

use std::collections::BTreeMap;

use ottla_core::wire::api_table::ServedApi;

use cases::Case;
use session::Session;

/// What was answered: by script and step, in the order of the steps, the text at each version.
pub type Answers = BTreeMap<String, Vec<(String, BTreeMap<i16, String>)>>;

/// Runs every script whose name contains `only` against the broker at `address`.
///
/// # Errors
///
/// The broker cannot be reached.
pub fn run(address: &str, only: &str) -> Result<Answers, String> {
    let mut answers = Answers::new();
    for case in cases::all().iter().filter(|case| case.name.contains(only)) {
        let served = ServedApi::find(case.key).ok_or("an API that Ottla does not serve")?;
        let first = case.first.max(served.version_min);
        for version in first..=served.version_last {
            let notes = run_one(address, case, version)?;
            note_all(
                answers.entry(case.name.to_owned()).or_default(),
                version,
                notes,
            );
        }
    }
    Ok(answers)
}

fn run_one(address: &str, case: &Case, version: i16) -> Result<Vec<(String, String)>, String> {
    let mut session = Session::open(address, case, version)?;
    match (case.run)(&mut session) {
        Ok(()) => Ok(session.into_notes()),
        Err(reason) => {
            let mut notes = session.into_notes();
            notes.push(("stopped".to_owned(), reason));
            Ok(notes)
        }
    }
}

fn note_all(
    steps: &mut Vec<(String, BTreeMap<i16, String>)>,
    version: i16,
    notes: Vec<(String, String)>,
) {
    for (label, text) in notes {
        let at = steps.iter().position(|(known, _)| *known == label);
        let at = at.unwrap_or_else(|| {
            steps.push((label, BTreeMap::new()));
            steps.len() - 1
        });
        steps[at].1.insert(version, text);
    }
}
