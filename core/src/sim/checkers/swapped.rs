//! What Kafka makes of files called `.cleaned` and `.swap`, by its rules alone
//! (`LogLoader.removeTempFilesAndCollectSwapFiles`, 4.3.1): the files that a process would go on
//! with.

use std::collections::BTreeMap;

use super::log_image::{HEADER, i32_at, i64_at};

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

/// Throws away what was being made, and finishes swaps.
pub(super) fn finish_swaps(files: &mut Files) {
    let made = files.keys().filter_map(|name| base_of(name, ".cleaned"));
    let from = made.min().unwrap_or(i64::MAX);
    files.retain(|name, _| {
        let is_made = base_of(name, ".cleaned").is_some();
        let is_void = base_of(name, ".swap").is_some_and(|base| base >= from);
        !is_made && !is_void
    });
    let swaps: Vec<(i64, i64)> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".log.swap"))
        .filter_map(|(name, bytes)| {
            let base = base_of(name, ".swap")?;
            Some((base, end_of(bytes).unwrap_or(base + 1)))
        })
        .collect();
    for (base, end) in swaps {
        files.retain(|name, _| {
            let is_old = ["log", "index", "timeindex", "txnindex"]
                .iter()
                .any(|suffix| {
                    base_of(name, &format!(".{suffix}"))
                        .is_some_and(|old| (base..end).contains(&old))
                });
            !is_old
        });
    }
    let names: Vec<String> = files
        .keys()
        .filter(|name| name.ends_with(".swap"))
        .cloned()
        .collect();
    for name in names {
        let bytes = files.remove(&name).expect("it was just listed");
        let plain = name.trim_end_matches(".swap").to_owned();
        files.insert(plain, bytes);
    }
}

/// The number a file is named by, where its name ends in `suffix`.
fn base_of(name: &str, suffix: &str) -> Option<i64> {
    let stem = name.strip_suffix(suffix)?;
    let digits = stem.split('.').next().unwrap_or(stem);
    let is_whole = suffix == ".swap" || suffix == ".cleaned" || digits.len() == stem.len();
    (is_whole && digits.len() == 20).then(|| digits.parse().ok())?
}

/// The offset after the last batch of a file.
fn end_of(bytes: &[u8]) -> Option<i64> {
    let mut end = None;
    let mut rest = bytes;
    while rest.len() >= HEADER {
        end = Some(i64_at(rest, 0) + i64::from(i32_at(rest, 23)) + 1);
        let size = usize::try_from(i64::from(i32_at(rest, 8)) + 12).ok()?;
        rest = rest.get(size..)?;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::super::log_image::tests::batch;
    use super::*;

    fn names(files: &Files) -> Vec<String> {
        let names = files
            .keys()
            .map(|name| name.trim_start_matches('0').to_owned());
        names.collect()
    }

    fn file(base: i64, suffix: &str) -> String {
        format!("{base:020}.{suffix}")
    }

    #[test]
    fn a_whole_swap_replaces_what_it_covers() {
        let mut files = Files::from([
            (file(1, "log"), vec![1]),
            (file(3, "log"), vec![2]),
            (file(3, "index"), vec![2]),
            (file(5, "log"), vec![3]),
            (file(1, "index.swap"), vec![4]),
            (
                file(1, "log.swap"),
                [batch(1, 1, b""), batch(4, 1, b"")].concat(),
            ),
        ]);
        finish_swaps(&mut files);
        assert_eq!(names(&files), ["1.index", "1.log", "5.log"]);
        assert!(files[&file(1, "log")].len() > 1);
    }

    #[test]
    fn nothing_is_swapped_while_something_is_being_made() {
        let mut files = Files::from([
            (file(1, "log"), vec![1]),
            (file(1, "log.swap"), batch(1, 1, b"")),
            (file(1, "timeindex.cleaned"), vec![]),
        ]);
        finish_swaps(&mut files);
        assert_eq!(files, Files::from([(file(1, "log"), vec![1])]));
    }
}
