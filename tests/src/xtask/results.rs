//! What came of each client and tool, and the table of it in the README.
//!
//! Steps write what they counted to cargo's output folder. `cargo xtask table` makes that the
//! repository's own (`tests/clients/results.tsv`) and writes the README's table from it; the step
//! `table` says when a run counted something else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use super::clients::failure;
use super::{Tally, Workshop};

/// Where the table stands in the README.
const START: &str = "<!-- results of the test command: cargo xtask table -->\n";
const END: &str = "<!-- end of the results -->\n";

/// Held while a note is added to the others: steps run side by side.
static NOTING: Mutex<()> = Mutex::new(());

/// Passed and failed checks by client and kind, in the order of names.
type Results = BTreeMap<(String, String), (u32, u32)>;

/// Notes what came of a client's checks of one kind.
///
/// # Errors
///
/// The file could not be read or written.
pub(super) fn note(
    workshop: &Workshop,
    client: &str,
    kind: &str,
    tally: &Tally,
) -> Result<(), String> {
    let path = counted(workshop);
    let _alone = NOTING.lock().expect("nobody panics holding it");
    let mut results =
        fs::read_to_string(&path).map_or_else(|_| Results::new(), |text| parse(&text));
    results.insert(
        (client.to_owned(), kind.to_owned()),
        (tally.passed, tally.failed),
    );
    fs::create_dir_all(path.parent().expect("the file is in a folder"))
        .and_then(|()| fs::write(&path, print(&results)))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Forgets what earlier runs counted: a run of every step speaks for itself.
pub(super) fn forget(workshop: &Workshop) {
    // Where nothing was counted there is nothing to forget.
    drop(fs::remove_file(counted(workshop)));
}

/// Makes what the last runs counted the repository's results, and writes the README's table.
///
/// # Errors
///
/// Nothing was counted yet, or a file could not be read or written.
pub fn table(workshop: &Workshop) -> Result<Tally, String> {
    let mut results = parse(&read(&stored(workshop)).unwrap_or_default());
    results.extend(parse(&read(&counted(workshop))?));
    write(&stored(workshop), &print(&results))?;
    let readme = workshop.root.join("README.md");
    let text = read(&readme)?;
    write(&readme, &with_table(&text, &results)?)?;
    Ok(Tally::default())
}

/// Whether the last runs counted what the README's table says.
///
/// # Errors
///
/// A file could not be read.
pub fn is_current(workshop: &Workshop) -> Result<Tally, String> {
    let stored = parse(&read(&stored(workshop))?);
    let mut tally = Tally::default();
    for (of, result) in parse(&read(&counted(workshop))?) {
        if stored.get(&of) == Some(&result) {
            tally.add(Tally::counted(1, 0));
        } else {
            let (client, kind) = &of;
            println!(
                "FAIL {client}, {kind}: {result:?}, stored is {:?}",
                stored.get(&of)
            );
            tally.add(failure(format!("{client}: run cargo xtask table")));
        }
    }
    Ok(tally)
}

/// Whether the README's table is made from the repository's results.
///
/// # Errors
///
/// A file could not be read, or the table is missing.
pub fn readme_is_current(workshop: &Workshop) -> Result<bool, String> {
    let results = parse(&read(&stored(workshop))?);
    let readme = read(&workshop.root.join("README.md"))?;
    Ok(with_table(&readme, &results)? == readme)
}

fn counted(workshop: &Workshop) -> PathBuf {
    workshop.target.join("checks/results.tsv")
}

fn stored(workshop: &Workshop) -> PathBuf {
    workshop.tests("clients/results.tsv")
}

fn read(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &PathBuf, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Results {
    let result = |line: &str| {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (client, kind) = (next()?.to_owned(), next()?.to_owned());
        Some((
            (client, kind),
            (next()?.parse().ok()?, next()?.parse().ok()?),
        ))
    };
    text.lines().filter_map(result).collect()
}

fn print(results: &Results) -> String {
    let mut text = "# client\tkind\tpassed\tfailed\n".to_owned();
    for ((client, kind), (passed, failed)) in results {
        writeln!(text, "{client}\t{kind}\t{passed}\t{failed}").expect("a String takes it");
    }
    text
}

/// The README with the table of the results in its place.
fn with_table(readme: &str, results: &Results) -> Result<String, String> {
    let missing = || format!("README.md has no place for the table: {START}");
    let (before, rest) = readme.split_once(START).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    let mut table = "\n| client or tool | checks passed | of groups |\n|---|---|---|\n".to_owned();
    let mut clients: Vec<&str> = results.keys().map(|(client, _)| client.as_str()).collect();
    clients.dedup();
    for client in clients {
        let of = |kind: &str| {
            let key = (client.to_owned(), kind.to_owned());
            results
                .get(&key)
                .map_or("-".to_owned(), |(passed, failed)| {
                    format!("{passed}/{}", passed + failed)
                })
        };
        let (checks, groups) = (of("checks"), of("groups"));
        writeln!(table, "| {client} | {checks} | {groups} |").expect("a String takes it");
    }
    Ok(format!("{before}{START}{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_its_place() {
        let results = parse("# x\ty\na 1\tchecks\t3\t1\na 1\tgroups\t2\t0\nb\tchecks\t5\t0\n");
        let readme = format!("one\n{START}old{END}two\n");
        let got = with_table(&readme, &results).expect("there is a place");
        assert!(
            got.contains("| a 1 | 3/4 | 2/2 |\n| b | 5/5 | - |\n"),
            "{got}"
        );
        assert!(got.starts_with("one\n") && got.ends_with("two\n"), "{got}");
        assert_eq!(with_table(&got, &results).as_deref(), Ok(got.as_str()));
        assert_eq!(parse(&print(&results)), results);
    }
}
