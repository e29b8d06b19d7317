//! What the records of the test hold.

use bytes::Bytes;
use clap::ArgMatches;
use ottla_core::rng::Rng;
use regex_lite::Regex;

use crate::cli::args::{given, text};
use crate::cli::console::Console;
use crate::cli::failure::Failure;

/// A source of payloads.
pub(super) enum Payloads {
    /// Letters by chance, this many.
    Letters { size: usize, rng: Rng },
    /// Texts of a file, chosen by chance.
    Lines { lines: Vec<Bytes>, rng: Rng },
    /// The number of the record.
    Numbers,
}

impl Payloads {
    /// The source asked for; exactly one must be.
    pub(super) fn new(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Self, Failure> {
        let ways = ["record-size", "payload-file", "payload-monotonic"];
        let chosen: Vec<&str> = ways.into_iter().filter(|way| given(matches, way)).collect();
        match chosen[..] {
            [] => Err(Failure::usage(
                "one of the arguments --record-size --payload-file --payload-monotonic is required",
            )),
            [way] if way == ways[0] => letters(text(matches, way).unwrap_or_default()),
            [way] if way == ways[1] => lines(matches, console),
            [_monotonic] => Ok(Self::Numbers),
            [first, second, ..] => Err(Failure::usage(format!(
                "argument --{second}: not allowed with argument --{first}"
            ))),
        }
    }

    /// The payload of one record, by its number.
    pub(super) fn next(&mut self, number: u64) -> Bytes {
        match self {
            Self::Letters { size, rng } => {
                let mut letters = Vec::with_capacity(*size);
                while letters.len() < *size {
                    let chance = rng.next_u64();
                    let left = *size - letters.len();
                    // Eight letters from one number: 26/256 of each byte, near enough to even.
                    let eight = chance.to_le_bytes().into_iter().take(left);
                    letters.extend(eight.map(|byte| b'A' + ((u16::from(byte) * 26) >> 8) as u8));
                }
                Bytes::from(letters)
            }
            Self::Lines { lines, rng } => {
                let count = u64::try_from(lines.len()).expect("they are in memory");
                let index = usize::try_from(rng.below(count)).expect("below a usize");
                lines[index].clone()
            }
            Self::Numbers => Bytes::from(number.to_string()),
        }
    }
}

/// The seed of every run: as with Kafka's tool, runs send the same.
const SEED: u64 = 0;

fn letters(size: &str) -> Result<Payloads, Failure> {
    let number: i64 = size.parse().map_err(|_not_a_number| {
        Failure::usage(format!(
            "argument --record-size: could not convert '{size}' to Integer (For input string: \
             \"{size}\")"
        ))
    })?;
    let size = usize::try_from(number).unwrap_or(0);
    if size == 0 {
        return Err(Failure::usage("--record-size should be greater than zero."));
    }
    let rng = Rng::new(SEED);
    Ok(Payloads::Letters { size, rng })
}

fn lines(matches: &ArgMatches, console: &mut Console<'_>) -> Result<Payloads, Failure> {
    let path = text(matches, "payload-file").unwrap_or_default();
    let delimiter = text(matches, "payload-delimiter").unwrap_or("\\n");
    let delimiter = Regex::new(delimiter).map_err(|error| {
        Failure::usage(format!(
            "--payload-delimiter is no regular expression: {error}"
        ))
    })?;
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.into());
    console.line(format!("Reading payloads from: {}", shown.display()))?;
    let content = std::fs::read_to_string(path).unwrap_or_default();
    if content.is_empty() {
        return Err(Failure::refused(
            "File does not exist or empty file provided.",
        ));
    }
    let mut lines: Vec<Bytes> = delimiter
        .split(&content)
        .map(|line| Bytes::from(line.to_owned()))
        .collect();
    // Java's split leaves empty ends out.
    while lines.len() > 1 && lines.last().is_some_and(Bytes::is_empty) {
        lines.pop();
    }
    console.line(format!("Number of records read: {}", lines.len()))?;
    let rng = Rng::new(SEED);
    Ok(Payloads::Lines { lines, rng })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_their_size_and_are_letters() {
        for size in [1, 7, 8, 9, 1_000] {
            let mut payloads = letters(&size.to_string()).expect("a good size");
            let payload = payloads.next(0);
            assert_eq!(payload.len(), size);
            assert!(payload.iter().all(u8::is_ascii_uppercase), "{payload:?}");
        }
        let mut payloads = letters("100").expect("a good size");
        assert_ne!(payloads.next(0), payloads.next(1));
        assert_eq!(Payloads::Numbers.next(41), "41");
        for bad in ["0", "-1", "x"] {
            assert!(letters(bad).is_err(), "{bad}");
        }
    }
}
