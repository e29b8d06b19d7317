//! One committed offset, as a register: what may be read of it (R82).
//!
//! A coordinator carries out what it is asked in the order in which it comes. So whatever was asked
//! before the last change that is known to have happened cannot be seen any more; what was asked
//! after it may be.

/// A change of the register that may be seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Change {
    number: u64,
    /// `None` where the offset is deleted.
    value: Option<i64>,
}

/// The register.
#[derive(Clone, Debug, Default)]
pub(super) struct Register {
    /// In order. The first one happened, unless none is known to have.
    changes: Vec<Change>,
    has_happened: bool,
}

impl Register {
    /// A change is asked for.
    pub(super) fn ask(&mut self, number: u64, value: Option<i64>) {
        self.changes.push(Change { number, value });
    }

    /// A change happened. One that was thought to be over, because what came later was seen, came
    /// later still: a deletion is noticed in the log, after it was decided.
    pub(super) fn acknowledge(&mut self, number: u64, value: i64, now: u64) {
        let place = self
            .changes
            .iter()
            .position(|change| change.number == number);
        let value = Some(value);
        match place {
            Some(place) => drop(self.changes.drain(..place)),
            None => self.changes.push(Change { number: now, value }),
        }
        self.has_happened = true;
    }

    /// A change was refused, and never happens.
    pub(super) fn refuse(&mut self, number: u64) {
        let is_known = |change: &Change| change.number == number;
        let is_first = self.changes.first().is_some_and(is_known);
        // What was seen of it is another's.
        if !(is_first && self.has_happened) {
            self.changes.retain(|change| !is_known(change));
        }
    }

    /// Whether there is an offset, whatever else was asked for.
    pub(super) fn is_certain(&self) -> bool {
        let has_value = |change: &Change| change.value.is_some();
        self.has_happened && self.changes.iter().all(has_value)
    }

    /// The register was read.
    ///
    /// # Errors
    /// It cannot have this value any more, or never had it.
    pub(super) fn serve(&mut self, value: Option<i64>) -> Result<(), String> {
        let place = self.changes.iter().position(|change| change.value == value);
        match place {
            Some(place) => {
                self.changes.drain(..place);
                self.has_happened = true;
                Ok(())
            }
            None if value.is_none() && !self.has_happened => Ok(()),
            None => {
                let last: Vec<Option<i64>> =
                    self.changes.iter().map(|change| change.value).collect();
                Err(format!("{value:?} was told, it may be {last:?}"))
            }
        }
    }
}

/// Whether a commit answered with this error never happens. After the others it may: they say that
/// the log, or the coordinator, is in trouble.
pub(super) fn is_refusal(code: i16) -> bool {
    // OFFSET_METADATA_TOO_LARGE, COORDINATOR_LOAD_IN_PROGRESS, ILLEGAL_GENERATION,
    // UNKNOWN_MEMBER_ID, REBALANCE_IN_PROGRESS, GROUP_ID_NOT_FOUND, FENCED_INSTANCE_ID,
    // UNKNOWN_TOPIC_OR_PARTITION
    [12, 14, 22, 25, 27, 69, 82, 3].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_overwritten_is_not_seen_again() {
        let mut register = Register::default();
        assert_eq!(register.serve(None), Ok(()));
        register.ask(1, Some(5));
        register.ask(2, Some(7));
        assert_eq!(register.serve(None), Ok(()), "nothing has happened yet");
        assert_eq!(register.serve(Some(5)), Ok(()));
        assert!(register.serve(None).is_err(), "5 was seen");
        register.acknowledge(2, 7, 3);
        assert!(register.serve(Some(5)).is_err(), "7 is acknowledged");
        assert_eq!(register.serve(Some(7)), Ok(()));
        register.ask(4, Some(9));
        register.refuse(4);
        assert!(register.serve(Some(9)).is_err());
    }

    #[test]
    fn a_deletion_that_is_noticed_late_hides_no_commit() {
        let mut register = Register::default();
        register.ask(1, Some(5));
        register.acknowledge(1, 5, 2);
        register.ask(3, Some(6));
        register.ask(4, None);
        assert_eq!(register.serve(None), Ok(()));
        register.acknowledge(3, 6, 5);
        assert_eq!(register.serve(Some(6)), Ok(()));
        assert!(register.serve(Some(5)).is_err());
    }
}
