//! The style rules that a program can check, over every source file of the repository.
//!
//! Each failure names file, line and rule. What rustfmt and clippy check is left to them; licences
//! and dependencies are in `dependencies.rs`.

mod source;

use std::collections::BTreeMap;
use std::io::Write as _;

use source::{Source, functions, identifiers, sources, words};

/// Columns of a line.
const LINE_COLUMNS_MAX: usize = 100;

/// Files with tables whose rows are longer, each with its reason.
const MAY_BE_WIDE: &[(&str, &str)] = &[(
    "core/src/wire/request.rs",
    "one row for each API, read by a macro and by people",
)];

/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Lines of a file; above the first number it is listed as worth a split.
const FILE_LINES_LISTED: usize = 500;
const FILE_LINES_MAX: usize = 800;

/// Abbreviations that cost every reader a guess. Kafka's own words are spelled out.
const BANNED_WORDS: &[&str] = &[
    "ctx", "helper", "helpers", "hw", "leo", "lso", "mgr", "tp", "tps", "util", "utils",
];

/// Identifiers that are not ours to name: crates and their items.
const FOREIGN_IDENTIFIERS: &[&str] = &["http_body_util", "hyper_util", "tokio_util"];

/// Parts of paths that exist on one machine alone.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/"];

/// Files that may pause, each with its reason.
const MAY_SLEEP: &[(&str, &str)] = &[(
    "tests/src/xtask/setup.rs",
    "another process releases apt's lock without telling anybody",
)];

/// Collects what is wrong and fails with all of it at once.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, source: &Source, line: usize, what: &str) {
        self.0.push(format!("{}:{line}: {what}", source.path));
    }

    #[track_caller]
    fn finish(self) {
        assert!(
            self.0.is_empty(),
            "{} complaints:\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

fn rust() -> impl Iterator<Item = Source> {
    sources()
        .into_iter()
        .filter(|source| source.path.ends_with(".rs"))
}

#[test]
fn lines_fit_the_page() {
    let mut complaints = Complaints::default();
    let is_wide = |source: &Source| MAY_BE_WIDE.iter().any(|(path, _)| *path == source.path);
    for source in sources().into_iter().filter(|source| !is_wide(source)) {
        for (number, line) in source.lines() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                complaints.add(&source, number, &format!("{columns} columns"));
            }
        }
    }
    complaints.finish();
}

#[test]
fn functions_fit_the_screen() {
    let mut complaints = Complaints::default();
    for source in rust() {
        for function in functions(&source.text) {
            if function.lines > FUNCTION_LINES_MAX {
                let what = format!("function of {} lines", function.lines);
                complaints.add(&source, function.first_line, &what);
            }
        }
    }
    complaints.finish();
}

#[test]
fn files_are_short() {
    let mut complaints = Complaints::default();
    let mut listed = String::new();
    for source in rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.add(&source, lines, "file too long: split it");
        } else if lines > FILE_LINES_LISTED {
            listed += &format!(
                "tidy: {} has {lines} lines: think of a split\n",
                source.path
            );
        }
    }
    // Straight to the terminal: the test harness shows nothing of a test that passes.
    std::io::stderr()
        .write_all(listed.as_bytes())
        .expect("stderr is open");
    complaints.finish();
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut complaints = Complaints::default();
    for source in sources() {
        let first = source.text.lines().next().unwrap_or_default();
        let second = source.text.lines().nth(1).unwrap_or_default();
        let begins = match source.path.rsplit('.').next() {
            Some("rs") => first.starts_with("//! "),
            Some("py") if first.starts_with("#!") => second.starts_with("\"\"\""),
            Some("py") => first.starts_with("\"\"\""),
            Some("sh") => second.starts_with("# "),
            Some("js" | "mjs") => first.starts_with("// "),
            _ => true,
        };
        if !begins {
            complaints.add(&source, 1, "does not begin with its purpose");
        }
    }
    complaints.finish();
}

#[test]
fn names_are_spelled_out() {
    let mut complaints = Complaints::default();
    for source in rust() {
        for (number, line) in source.code_lines() {
            for identifier in identifiers(line) {
                if FOREIGN_IDENTIFIERS.contains(&identifier) {
                    continue;
                }
                let is_banned = |word: &String| BANNED_WORDS.contains(&word.as_str());
                if let Some(word) = words(identifier).into_iter().find(is_banned) {
                    complaints.add(&source, number, &format!("`{word}` in `{identifier}`"));
                }
            }
        }
    }
    complaints.finish();
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Complaints::default();
    for source in rust() {
        for (number, line) in source.code_lines() {
            for word in ["todo!", "unimplemented!", "#[ignore"] {
                if line.contains(word) {
                    complaints.add(&source, number, word);
                }
            }
        }
    }
    complaints.finish();
}

#[test]
fn tests_await_events_and_never_sleep() {
    let mut complaints = Complaints::default();
    for source in rust() {
        if MAY_SLEEP.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        let mut in_tests = source.path.starts_with("tests/");
        for (number, line) in source.code_lines() {
            in_tests |= line.starts_with("mod tests");
            if in_tests && identifiers(line).any(|identifier| identifier == "sleep") {
                complaints.add(&source, number, "sleeps; await an event instead");
            }
        }
    }
    complaints.finish();
}

#[test]
fn no_path_of_one_machine() {
    let mut complaints = Complaints::default();
    for source in sources()
        .iter()
        .filter(|source| source.path != "tests/tests/tidy.rs")
    {
        for (number, line) in source.lines() {
            if MACHINE_PATHS.iter().any(|path| line.contains(path)) {
                complaints.add(source, number, "a path of one machine");
            }
        }
    }
    complaints.finish();
}

/// A golden file is alive when a test names it, or names the folder it lies in.
#[test]
fn every_golden_file_is_read_by_a_test() {
    let mut complaints = Complaints::default();
    let tests: Vec<Source> = rust()
        .filter(|source| source.path != "tests/tests/tidy.rs")
        .collect();
    // Most files lie in a folder that is named, and few folders hold them all.
    let mut known = BTreeMap::new();
    let mut is_named = |name: &str| -> bool {
        *known
            .entry(name.to_owned())
            .or_insert_with(|| tests.iter().any(|source| source.text.contains(name)))
    };
    for path in source::files_below("tests/golden") {
        let parts: Vec<&str> = path.split('/').collect();
        let file = parts.last().copied().unwrap_or_default();
        let mut folders = (3..parts.len()).map(|end| parts[1..end].join("/"));
        if !folders.any(|folder| is_named(&folder)) && !is_named(file) {
            complaints
                .0
                .push(format!("{path}: no test names it or its folder"));
        }
    }
    complaints.finish();
}
