//! What is asked of the real process, at every version, is answered as Apache Kafka answers.
//!
//! The scripts and Kafka's recorded answers are in `ottla_tests::differential` and
//! `golden/answers`; what may differ is listed with its reason in `DIFFERENCES.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ottla_tests::broker::{Broker, binary, fresh_folder};
use ottla_tests::differential::{golden, run};

/// The settings of the Kafka that was recorded.
const SETTINGS: &[&str] = &[
    "group.initial.rebalance.delay.ms=0",
    "num.partitions=4",
    "offsets.topic.num.partitions=4",
];

#[test]
fn requests_are_answered_as_by_kafka() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = fresh_folder("answers");
    let broker = Broker::start(&binary(), &folder, SETTINGS).expect("a broker starts");
    let got = run(&broker.address(), "").expect("the broker answers");
    let (status, log) = broker.stop().expect("the broker stops");
    assert!(status.success(), "{status}: {log:?}");
    let bugs: Vec<&String> = log.iter().filter(|line| line.contains("bug:")).collect();
    assert!(bugs.is_empty(), "{bugs:#?}");

    let wanted = golden::load(&tests.join("golden/answers")).expect("Kafka's answers");
    let page = fs::read_to_string(tests.join("DIFFERENCES.md")).expect("the page");
    let allowed = golden::allowed(&page);
    let found = golden::differences(&wanted, &got);
    let unexplained: Vec<String> = found
        .iter()
        .filter(|(step, _)| !allowed.contains(*step))
        .map(|(step, how)| format!("{step}\n   {how}"))
        .collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    let same: BTreeSet<&String> = allowed
        .iter()
        .filter(|step| !found.contains_key(*step))
        .collect();
    assert!(same.is_empty(), "listed and no longer different: {same:#?}");
}
