//! Kafka's checkpoint files as text: a version, a count, and lines of words.
//!
//! Of a data directory: `recovery-point-offset-checkpoint`, `replication-offset-checkpoint`,
//! `log-start-offset-checkpoint`. When they are written is the node's business. Compare Kafka's
//! `CheckpointFile`, `OffsetCheckpointFile`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use crate::ids::{Offset, PartitionIndex, TopicPartition};

/// Offsets of partitions, as one of a directory's checkpoint files holds them.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

/// Text that is not a checkpoint file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CheckpointDamage {
    /// The offending line, from 1.
    pub line: u32,
}

impl fmt::Display for CheckpointDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed at line {}", self.line)
    }
}

/// The text of an offset checkpoint: version 0, the number of entries, then topic, partition and
/// offset on each line.
#[must_use]
pub fn offsets_to_text<'a>(
    entries: impl ExactSizeIterator<Item = (&'a TopicPartition, Offset)>,
) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for (at, offset) in entries {
        writeln!(text, "{} {} {offset}", at.topic, at.partition).expect("a String takes all text");
    }
    text
}

/// Reads that text.
///
/// # Errors
///
/// [`CheckpointDamage`] where it is not such a text, or names a partition twice.
pub fn parse_offsets(text: &[u8]) -> Result<OffsetCheckpoint, CheckpointDamage> {
    let mut lines = Lines::open(text)?;
    let mut offsets = OffsetCheckpoint::new();
    while let Some((number, [topic, partition, offset])) = lines.next()? {
        let damage = CheckpointDamage { line: number };
        let at = TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(partition.parse().map_err(|_unparsed| damage)?),
        };
        let offset = Offset(offset.parse().map_err(|_unparsed| damage)?);
        if offset.0 < 0 || at.partition.0 < 0 || offsets.insert(at, offset).is_some() {
            return Err(damage);
        }
    }
    Ok(offsets)
}

/// Reads a checkpoint file line by line; checks the version first and the count at the end.
pub(super) struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: u32,
    remaining: u32,
}

impl<'a> Lines<'a> {
    /// Reads the version and the count.
    pub(super) fn open(text: &'a [u8]) -> Result<Self, CheckpointDamage> {
        let text = std::str::from_utf8(text).map_err(|_not_text| CheckpointDamage { line: 1 })?;
        let mut lines = text.lines();
        if lines.next() != Some("0") {
            return Err(CheckpointDamage { line: 1 });
        }
        let count = lines.next().and_then(|count| count.parse().ok());
        let remaining = count.ok_or(CheckpointDamage { line: 2 })?;
        Ok(Self {
            lines,
            number: 2,
            remaining,
        })
    }

    /// The next line's number and its words, which must be exactly `WORDS`; `None` after the last.
    pub(super) fn next<const WORDS: usize>(
        &mut self,
    ) -> Result<Option<(u32, [&'a str; WORDS])>, CheckpointDamage> {
        let line = self.lines.next();
        self.number += 1;
        let damage = CheckpointDamage { line: self.number };
        let Some(line) = line else {
            return if self.remaining == 0 {
                Ok(None)
            } else {
                Err(damage)
            };
        };
        self.remaining = self.remaining.checked_sub(1).ok_or(damage)?;
        let mut words = [""; WORDS];
        let mut given = line.split_ascii_whitespace();
        for word in &mut words {
            *word = given.next().ok_or(damage)?;
        }
        if given.next().is_some() {
            return Err(damage);
        }
        Ok(Some((self.number, words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition: PartitionIndex(partition),
        }
    }

    #[test]
    fn text_is_kafkas() {
        let mut offsets = OffsetCheckpoint::new();
        offsets.insert(at("b", 0), Offset(17));
        offsets.insert(at("a.x", 12), Offset(0));
        let text = offsets_to_text(offsets.iter().map(|(at, offset)| (at, *offset)));
        assert_eq!(text, "0\n2\na.x 12 0\nb 0 17\n");
        assert_eq!(parse_offsets(text.as_bytes()), Ok(offsets));
        assert_eq!(parse_offsets(b"0\n0\n"), Ok(OffsetCheckpoint::new()));
    }

    #[test]
    fn damage_names_its_line() {
        for (text, line) in [
            ("", 1),
            ("2\n0\n", 1),
            ("0\nx\n", 2),
            ("0\n1\n", 3),
            ("0\n1\na 0 1 2\n", 3),
            ("0\n2\na 0 1\na 0 1\n", 4),
            ("0\n1\na 0 1\nb 0 1\n", 4),
            ("0\n1\na 0 -1\n", 3),
        ] {
            let damage = parse_offsets(text.as_bytes()).unwrap_err();
            assert_eq!(damage, CheckpointDamage { line }, "{text:?}");
        }
    }
}
