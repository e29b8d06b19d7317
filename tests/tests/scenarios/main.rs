//! Golden scenarios: a script of commands to one node, and under each what the node let out.
//!
//! The files in `tests/golden/scenario` read like the minutes of a meeting. `UPDATE=1` rewrites
//! what is below the rules; the reader of the difference judges. Commands:
//!
//! ```text
//! start [name=value ...]             boots the node, with these configurations
//! create TOPIC [name=value ...]      makes a topic of one partition
//! alter TOPIC|broker|brokers [name=value ...]   sets configurations; no value removes one
//! quota CLIENT-ID [limit=value ...]  sets limits of a client; no value removes one
//! produce TOPIC records=N acks=A [producer=ID:EPOCH:SEQUENCE] [timeout=MS] [size=BYTES]
//!         [time=MS]                  records of this size, this long after now
//! fetch TOPIC offset=N [wait=MS] [bytes=N]
//! list TOPIC at=N                    ListOffsets: -2 earliest, -1 latest, or a timestamp
//! epoch-end TOPIC epoch=N            OffsetForLeaderEpoch
//! delete-records TOPIC offset=N
//! find GROUP                         FindCoordinator
//! join GROUP as=NAME [session=MS] [rebalance=MS]
//! sync GROUP as=NAME [NAME=WORK ...] the leader says who gets what
//! heartbeat GROUP as=NAME
//! leave GROUP as=NAME
//! commit GROUP topic=T offset=N [as=NAME]
//! committed GROUP topic=T            OffsetFetch
//! hold, release                      the disk answers nothing; it answers again
//! wait MS                            time passes
//! crash, cut-power, stop             the process dies; the power goes; an orderly end
//! ```
//!
//! A request may have `client=ID`, `frame=BYTES` (the size it is said to have had) and `version=N`.

mod groups;
mod requests;
mod stage;

use std::fmt::Write as _;

use stage::Stage;

/// Runs a script; answers it with what happened now.
fn play(script: &str) -> String {
    let mut stage = Stage::new();
    let mut played = String::new();
    let mut is_outcome = false;
    for line in script.lines() {
        let is_command = !line.is_empty() && !line.starts_with('#') && line != "----";
        if line == "----" {
            is_outcome = true;
        } else if line.is_empty() {
            is_outcome = false;
            played.push('\n');
        } else if !is_outcome {
            writeln!(played, "{line}").expect("a String takes all text");
            if is_command {
                let minutes = stage.run(line);
                if !minutes.is_empty() {
                    write!(played, "----\n{minutes}").expect("a String takes all text");
                    is_outcome = true;
                }
            }
        }
    }
    played
}

#[test]
fn scenarios_go_as_they_are_written_down() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/scenario");
    let update = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/golden/scenario")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are scenarios");
    let mut different = Vec::new();
    for path in paths {
        let script = std::fs::read_to_string(&path).expect("readable");
        let played = play(&script);
        if played != script {
            if update {
                std::fs::write(&path, &played).expect("writable");
            } else {
                different.push(format!("{}:\n{played}", path.display()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "UPDATE=1 rewrites\n{}",
        different.join("\n")
    );
}
