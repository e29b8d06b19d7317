//! The files of `--reset-offsets --export` and `--from-file`: a line for each partition.
//!
//! A line must have all of its cells. Kafka's tool takes those that are missing for 0, so that a
//! line cut short would move a group to the first record there is.

use std::collections::BTreeMap;

use crate::cli::failure::Failure;
use crate::cli::group_admin::Partition;

/// Offsets to move to.
pub(super) type Plan = BTreeMap<Partition, i64>;

/// The groups' offsets by the lines of a file.
pub(super) type File = BTreeMap<Option<String>, Plan>;

/// A cell of an exported line, in quotes where Kafka's tool puts some.
pub(super) fn cell(text: &str) -> String {
    const PLAIN_LENGTH_MAX: usize = 24;
    if text.len() <= PLAIN_LENGTH_MAX && text.chars().all(|character| character > ',') {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Reads lines of `topic,partition,offset`, with the group in front where there are several; for a
/// single group the first line says whether it is there.
pub(super) fn read(path: &str, is_single: bool) -> Result<File, Failure> {
    let lines = std::fs::read_to_string(path).map_err(|_unreadable| {
        Failure::refused(format!("java.io.IOException: Unable to read file {path}"))
    })?;
    let file = parse(&lines, is_single)?;
    if file.is_empty() {
        return Err(Failure::refused(format!("The file {path} has no lines")));
    }
    Ok(file)
}

/// The cells of a line; between quotes a comma is a character like others, and `""` is a quote.
///
/// `None` where a quote is not closed.
fn cells(line: &str) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut rest = line.chars().peekable();
    let mut is_quoted = false;
    while let Some(character) = rest.next() {
        let cell = cells.last_mut().expect("there is always one");
        match character {
            '"' if !is_quoted => is_quoted = true,
            '"' if rest.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = false,
            ',' if !is_quoted => cells.push(String::new()),
            other => cell.push(other),
        }
    }
    (!is_quoted).then_some(cells)
}

fn parse(lines: &str, is_single: bool) -> Result<File, Failure> {
    let mut file = File::new();
    let mut lines = lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    let first = lines.peek().and_then(|line| cells(line));
    let is_single = is_single && first.is_none_or(|cells| cells.len() != 4);
    for line in lines {
        let bad = || {
            let form = if is_single { "" } else { "group," };
            Failure::refused(format!(
                "The line '{line}' is not of the form {form}topic,partition,offset"
            ))
        };
        let cells = cells(line).ok_or_else(bad)?;
        let (group, cells) = match &cells[..] {
            [group, rest @ ..] if !is_single && rest.len() == 3 => (Some(group.clone()), rest),
            all => (None, all),
        };
        let [topic, index, offset] = cells else {
            return Err(bad());
        };
        if is_single == group.is_some() {
            return Err(bad());
        }
        let index = index.trim().parse().map_err(|_not_a_number| bad())?;
        let offset: i64 = offset.trim().parse().map_err(|_not_a_number| bad())?;
        if offset < 0 {
            // As in Kafka's tool, which takes it for a slip on the command line.
            return Err(Failure::usage("Invalid negative offset"));
        }
        let plan = file.entry(group).or_default();
        plan.insert((topic.clone(), index), offset);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exported_is_read_again() {
        for group in [
            "plain",
            "a,b",
            "with \"quotes\"",
            "a group with a name that is long",
        ] {
            let line = format!("{},t,0,7", cell(group));
            let file = parse(&line, false).expect("our own line");
            let plan = Plan::from([(("t".to_owned(), 0), 7)]);
            assert_eq!(file, File::from([(Some(group.to_owned()), plan)]), "{line}");
        }
        assert!(parse("\"open,t,0,7", false).is_err());
    }

    #[test]
    fn files_have_a_line_for_each_partition() {
        let one = parse("a,0,7\n\"b\",1,8\n\n", true).expect("good");
        assert_eq!(one[&None][&("b".to_owned(), 1)], 8);
        let several = parse("g,a,0,7\nh,a,0,9\n", false).expect("good");
        assert_eq!(several[&Some("h".to_owned())][&("a".to_owned(), 0)], 9);
        let named = parse("g,a,0,7\nh,a,0,9\n", true).expect("as with several");
        assert_eq!(named, several);
        assert!(parse("a,0,7\ng,a,0,7\n", true).is_err());
        assert!(parse("a,0,7\n", false).is_err());
        for bad in ["a,0,x\n", "a,0\n", "a\n"] {
            let refused = parse(bad, true).expect_err("a line without an offset");
            assert!(matches!(refused, Failure::Refused(_)), "{bad}");
        }
        let below = parse("a,0,-1\n", true).expect_err("an offset below 0");
        assert!(matches!(below, Failure::Usage(_)));
    }
}
