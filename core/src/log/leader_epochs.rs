//! Which offset each leader epoch of a log begins at (KIP-101, KIP-279).
//!
//! A run-length list of the epochs in the log, and the text of `leader-epoch-checkpoint`. It says
//! nothing of who leads. Compare Kafka's `LeaderEpochFileCache`.

use std::fmt::Write as _;

use super::checkpoint::{CheckpointDamage, Lines};
use crate::ids::{LeaderEpoch, Offset};

/// Epochs in the log, oldest first. Invariant: both columns strictly increase.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LeaderEpochs {
    entries: Vec<EpochStart>,
}

/// The first offset appended in an epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EpochStart {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start_offset: Offset,
}

impl LeaderEpochs {
    /// The epochs, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[EpochStart] {
        &self.entries
    }

    /// The newest epoch in the log; `None` in an empty one.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that the batch at `start_offset` was appended in `epoch`. Answers whether that is
    /// news.
    ///
    /// An epoch below the newest, or an offset not above the newest epoch's start, removes what it
    /// contradicts, as Kafka does (KAFKA-7897): the log is the truth.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 || self.latest() == Some(epoch) {
            return false;
        }
        self.entries
            .retain(|entry| entry.epoch < epoch && entry.start_offset < start_offset);
        self.entries.push(EpochStart {
            epoch,
            start_offset,
        });
        self.check();
        true
    }

    /// The largest epoch not above `requested` and the exclusive end of its records (K67); `None`
    /// where the log knows of none.
    ///
    /// Mirrors `endOffsetFor`: the newest epoch itself ends at `log_end_offset`, one below every
    /// known epoch is answered as itself with the oldest start.
    #[must_use]
    pub fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        let latest = self.latest()?;
        if requested.0 < 0 || requested > latest {
            return None;
        }
        if requested == latest {
            return Some((latest, log_end_offset));
        }
        let above = self
            .entries
            .partition_point(|entry| entry.epoch <= requested);
        let end_offset = self.entries[above].start_offset;
        let epoch = above
            .checked_sub(1)
            .map_or(requested, |floor| self.entries[floor].epoch);
        Some((epoch, end_offset))
    }

    /// The epoch of the record at `offset`; `None` before the first known one.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        above.checked_sub(1).map(|floor| self.entries[floor].epoch)
    }

    /// Forgets epochs that begin at or above `end`. Answers whether there were any.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end);
        self.entries.len() != before
    }

    /// Forgets epochs that end at or below `start`; the one that holds `start` begins there from
    /// now on. Answers whether anything changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= start);
        let Some(floor) = above.checked_sub(1) else {
            return false;
        };
        if floor == 0 && self.entries[0].start_offset == start {
            return false;
        }
        self.entries.drain(..floor);
        self.entries[0].start_offset = start;
        self.check();
        true
    }

    /// The text of `leader-epoch-checkpoint`: version 0, the number of entries, then an epoch and
    /// its start offset on each line.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            writeln!(text, "{} {}", entry.epoch, entry.start_offset)
                .expect("a String takes all text");
        }
        text
    }

    /// Reads that text.
    ///
    /// # Errors
    ///
    /// [`CheckpointDamage`] where it is not such a text, or its columns do not increase.
    pub fn parse(text: &[u8]) -> Result<Self, CheckpointDamage> {
        let mut lines = Lines::open(text)?;
        let mut epochs = Self::default();
        while let Some((number, [epoch, start_offset])) = lines.next()? {
            let damage = CheckpointDamage { line: number };
            let entry = EpochStart {
                epoch: LeaderEpoch(epoch.parse().map_err(|_unparsed| damage)?),
                start_offset: Offset(start_offset.parse().map_err(|_unparsed| damage)?),
            };
            let grows = epochs.entries.last().is_none_or(|last| {
                last.epoch < entry.epoch && last.start_offset < entry.start_offset
            });
            if !grows || entry.epoch.0 < 0 || entry.start_offset.0 < 0 {
                return Err(damage);
            }
            epochs.entries.push(entry);
        }
        Ok(epochs)
    }

    fn check(&self) {
        for pair in self.entries.windows(2) {
            assert!(pair[0].epoch < pair[1].epoch, "epochs increase");
            assert!(
                pair[0].start_offset < pair[1].start_offset,
                "start offsets increase"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(pairs: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for &(epoch, start) in pairs {
            assert!(epochs.assign(LeaderEpoch(epoch), Offset(start)));
        }
        epochs
    }

    #[test]
    fn ends_of_epochs() {
        let epochs = epochs(&[(2, 10), (4, 20), (5, 30)]);
        let end = |epoch| {
            epochs
                .end_offset_for(LeaderEpoch(epoch), Offset(40))
                .map(|(epoch, end)| (epoch.0, end.0))
        };
        assert_eq!(end(5), Some((5, 40)));
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(3), Some((2, 20)));
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(1), Some((1, 10)));
        assert_eq!(end(6), None);
        assert_eq!(end(-1), None);
        assert_eq!(epochs.epoch_at(Offset(9)), None);
        assert_eq!(epochs.epoch_at(Offset(29)), Some(LeaderEpoch(4)));
    }

    #[test]
    fn truncation_at_both_ends() {
        let mut both = epochs(&[(2, 10), (4, 20), (5, 30)]);
        assert!(both.truncate_from_end(Offset(30)));
        assert!(!both.truncate_from_end(Offset(30)));
        assert!(both.truncate_from_start(Offset(22)));
        assert!(!both.truncate_from_start(Offset(22)));
        assert_eq!(both, epochs(&[(4, 22)]));
    }

    #[test]
    fn the_log_overrules_what_it_contradicts() {
        let mut wrong = epochs(&[(2, 10), (4, 20)]);
        assert!(!wrong.assign(LeaderEpoch(4), Offset(25)));
        assert!(wrong.assign(LeaderEpoch(5), Offset(15)));
        assert_eq!(wrong, epochs(&[(2, 10), (5, 15)]));
    }

    #[test]
    fn text_is_kafkas() {
        let epochs = epochs(&[(0, 0), (7, 123)]);
        assert_eq!(epochs.to_text(), "0\n2\n0 0\n7 123\n");
        assert_eq!(LeaderEpochs::parse(epochs.to_text().as_bytes()), Ok(epochs));
        for damaged in [
            "",
            "1\n0\n",
            "0\n1\n",
            "0\n1\n0 0\n1 1\n",
            "0\n2\n1 1\n0 2\n",
            "0\n1\n0\n",
        ] {
            assert!(
                LeaderEpochs::parse(damaged.as_bytes()).is_err(),
                "{damaged:?}"
            );
        }
    }
}
