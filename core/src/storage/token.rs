//! How an answer finds the one who asked.

use crate::ids::LogId;

/// Names a job's read, or a save whose end the core waits for; chosen by the core, returned as it
/// was.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

impl Token {
    /// A token of a log; its answer goes to that log.
    ///
    /// The high half is the log's id and one more, so that the node's own tokens have none.
    #[must_use]
    pub fn of_log(log: LogId, number: u32) -> Self {
        Self(((u64::from(log.0) + 1) << 32) | u64::from(number))
    }

    /// A token of the node itself.
    #[must_use]
    pub fn of_node(number: u32) -> Self {
        Self(u64::from(number))
    }

    /// The log it belongs to; `None` where it is the node's own.
    #[must_use]
    pub fn log(self) -> Option<LogId> {
        let high = u32::try_from(self.0 >> 32).expect("half of 64 bits");
        high.checked_sub(1).map(LogId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_find_their_owner() {
        assert_eq!(Token::of_node(7).log(), None);
        for log in [LogId(0), LogId(7), LogId(u32::MAX - 1)] {
            assert_eq!(Token::of_log(log, u32::MAX).log(), Some(log));
        }
    }
}
