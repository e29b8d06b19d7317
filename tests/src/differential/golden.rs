//! The answers of Apache Kafka as text, one file for each API, and the differences allowed.
//!
//! ```text
//! == CreateTopics/exists
//! -- again
//! v2-4: topics=
//!   - name="$a" error_code=36 error_message=...
//! v5-7: ...
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Answers;

/// Writes answers, one file for each API.
///
/// # Errors
///
/// A file cannot be written.
pub fn save(folder: &Path, answers: &Answers) -> Result<(), String> {
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for (name, steps) in answers {
        let api = name.split('/').next().unwrap_or(name);
        let text = files.entry(api).or_insert_with(|| {
            "Answers of Apache Kafka 4.3.1; written by the differential runner.\n".to_owned()
        });
        text.push_str(&format!("\n== {name}\n"));
        for (label, versions) in steps {
            text.push_str(&format!("-- {label}\n"));
            for (range, answer) in grouped(versions) {
                text.push_str(&format!("v{range}: {answer}\n"));
            }
        }
    }
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    for (api, text) in files {
        let path = folder.join(format!("{api}.txt"));
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Ranges of versions with the same answer: `2-4`.
fn grouped(versions: &BTreeMap<i16, String>) -> Vec<(String, &String)> {
    let mut groups: Vec<(i16, i16, &String)> = Vec::new();
    for (&version, answer) in versions {
        match groups.last_mut() {
            Some((_, last, same)) if *same == answer && *last + 1 == version => *last = version,
            Some(_) | None => groups.push((version, version, answer)),
        }
    }
    let range = |first, last| match first == last {
        true => format!("{first}"),
        false => format!("{first}-{last}"),
    };
    groups
        .into_iter()
        .map(|(first, last, answer)| (range(first, last), answer))
        .collect()
}

/// Reads every file of a folder back.
///
/// # Errors
///
/// A file cannot be read or is not of this form.
pub fn load(folder: &Path) -> Result<Answers, String> {
    let mut answers = Answers::new();
    let files = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for file in files {
        let path = file.map_err(|error| error.to_string())?.path();
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        parse(&text, &mut answers).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(answers)
}

fn parse(text: &str, answers: &mut Answers) -> Result<(), String> {
    let mut name = "";
    let mut last: Option<(i16, i16)> = None;
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("== ") {
            name = title;
            answers.insert(name.to_owned(), Vec::new());
            continue;
        }
        let steps = answers.get_mut(name).ok_or("an answer before any script")?;
        if let Some(label) = line.strip_prefix("-- ") {
            steps.push((label.to_owned(), BTreeMap::new()));
            continue;
        }
        let (_, versions) = steps.last_mut().ok_or("an answer before any step")?;
        if let Some((range, answer)) = line.strip_prefix('v').and_then(|l| l.split_once(':')) {
            let answer = answer.strip_prefix(' ').unwrap_or(answer);
            let range = parse_range(range).ok_or_else(|| format!("no range: {line}"))?;
            last = Some(range);
            for version in range.0..=range.1 {
                versions.insert(version, answer.to_owned());
            }
        } else if let Some((first, end)) = last {
            for (_, answer) in versions.range_mut(first..=end) {
                answer.push('\n');
                answer.push_str(line);
            }
        }
    }
    Ok(())
}

fn parse_range(range: &str) -> Option<(i16, i16)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The differences between what was wanted and what was got: script, step and version, and how.
#[must_use]
pub fn differences(wanted: &Answers, got: &Answers) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (name, steps) in wanted {
        let got_steps = got.get(name).map(Vec::as_slice).unwrap_or_default();
        for (label, versions) in steps {
            let answers = got_steps.iter().find(|(other, _)| other == label);
            for (version, want) in versions {
                let have = answers.and_then(|(_, by_version)| by_version.get(version));
                if have != Some(want) {
                    let have = have.map_or("nothing", String::as_str);
                    let how = format!("Kafka answers: {want}\n   Ottla answers: {have}");
                    found.insert(format!("{name}: {label}, v{version}"), how);
                }
            }
        }
        let is_new = |label: &String| steps.iter().all(|(known, _)| known != label);
        for (label, versions) in got_steps.iter().filter(|(label, _)| is_new(label)) {
            for (version, have) in versions {
                let how = format!("Kafka has no such step\n   Ottla answers: {have}");
                found.insert(format!("{name}: {label}, v{version}"), how);
            }
        }
    }
    found
}

/// The steps that `DIFFERENCES.md` lists as answered otherwise on purpose: lines that begin with
/// ``* `SCRIPT: STEP, vFIRST-LAST` ``, or with one version.
#[must_use]
pub fn allowed(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("* `"))
        .filter_map(|line| line.split_once('`')?.0.rsplit_once(", v"))
        .filter_map(|(step, range)| Some((step, parse_range(range)?)))
        .flat_map(|(step, (first, last))| (first..=last).map(move |v| format!("{step}, v{v}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_differences_are_read_from_the_page() {
        let page = "text\n* `Api/script: step, 1, v2-4` because\n* `Api/other: step, v7`\n* none";
        let expected = [
            "Api/other: step, v7",
            "Api/script: step, 1, v2",
            "Api/script: step, 1, v3",
            "Api/script: step, 1, v4",
        ];
        assert_eq!(allowed(page), expected.map(str::to_owned).into());
    }

    #[test]
    fn what_is_written_is_read() {
        let mut steps = BTreeMap::new();
        for (version, answer) in [(2, "a=1"), (3, "a=1"), (4, "b=\n  - c=2"), (7, "a=1")] {
            steps.insert(version, answer.to_owned());
        }
        let mut answers = Answers::new();
        let script = vec![("first step".to_owned(), steps)];
        answers.insert("Api/script".to_owned(), script);
        let folder = std::env::temp_dir().join(format!("golden-{}", std::process::id()));
        save(&folder, &answers).expect("written");
        let read = load(&folder);
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(read, Ok(answers));
    }
}
